//! Rows that are looked at and mended: each change is checked by the same rules, and so are its twins.

use serde_json::{Value, json};
use tap_analytics::{
    imports::sample,
    proto::tap_v1::{GetImportReportRequest, imports_client::ImportsClient},
};
use tonic::Code;

use super::{Importer, bad, nid, number, pair, people, person, phone, text, with};

fn row(rows: &[Value], number: f64) -> &Value {
    rows.iter().find(|row| row["row"].as_f64() == Some(number)).unwrap()
}

fn counts(import: &Value) -> [f64; 5] {
    ["total", "valid", "invalid", "duplicate", "skipped"]
        .map(|name| number(&import["counts"][name]))
}

#[tokio::test]
async fn a_row_that_is_mended_is_valid_and_its_counts_move() {
    let desk = Importer::open().await;
    let csv = people(0..3).replace(&phone(1), "07881").replace(&nid(2), "");
    let import = desk.ready(&csv).await;
    let id = text(&import["id"]);
    assert_eq!(counts(&import), [3.0, 1.0, 2.0, 0.0, 0.0]);
    let mended = desk.patch(id, 3, json!({ "phone": " 0788 000 001 " })).await;
    assert_eq!((text(&mended["status"]), text(&mended["action"])), ("VALID", "INSERT"));
    assert_eq!(mended["changed"], true);
    let cell = &mended["cells"][2];
    assert_eq!((text(&cell["raw"]), text(&cell["value"])), ("0788 000 001", "+250788000001"));
    let worse = desk.patch(id, 2, json!({ "gender": "?", "email": "nobody" })).await;
    assert_eq!(bad(&worse), [pair("gender", "UNKNOWN_GENDER"), pair("email", "MALFORMED_EMAIL")]);
    let after = desk.get(id).await;
    assert_eq!(counts(&after), [3.0, 1.0, 2.0, 0.0, 0.0]);
    assert_ne!(after["etag"], import["etag"]);
    let reasons: Vec<&str> =
        after["faults"].as_array().unwrap().iter().map(|fault| text(&fault["reason"])).collect();
    assert_eq!(reasons, ["MALFORMED_EMAIL", "UNKNOWN_GENDER", "EMPTY"]);
    // As it is listed.
    assert_eq!(row(&desk.rows(id, json!({})).await, 3.0), &mended);
}

#[tokio::test]
async fn twins_name_each_other_until_one_is_mended_or_left_out() {
    let desk = Importer::open().await;
    // Rows 2, 3 and 4 have one phone number, 5 and 6 one national id, 7 is alone.
    let csv = people(0..6)
        .replace(&phone(1), &phone(0))
        .replace(&phone(2), "+250788000000")
        .replace(&nid(4), &nid(3));
    let import = desk.ready(&csv).await;
    let id = text(&import["id"]);
    assert_eq!(counts(&import), [6.0, 1.0, 0.0, 5.0, 0.0]);
    let rows = desk.rows(id, json!({"status": "DUPLICATE"})).await;
    assert_eq!(bad(row(&rows, 2.0)), [pair("phone", "DUPLICATE_IN_FILE")]);
    let words = |row: &Value| text(&row["violations"][0]["description"]).to_owned();
    assert!(words(row(&rows, 2.0)).contains("rows 3, 4"), "{}", words(row(&rows, 2.0)));
    assert!(words(row(&rows, 6.0)).contains("row 5"), "{}", words(row(&rows, 6.0)));
    assert_eq!(bad(row(&rows, 6.0)), [pair("nid", "DUPLICATE_IN_FILE")]);

    desk.patch(id, 4, json!({ "phone": phone(100) })).await;
    assert_eq!(counts(&desk.get(id).await), [6.0, 2.0, 0.0, 4.0, 0.0]);
    let skip = |row: u32, skipped: bool| json!({"importId": id, "row": row, "skipped": skipped});
    let left = desk.answer("PatchImportRow", skip(3, true)).await;
    assert_eq!((text(&left["status"]), text(&left["action"])), ("SKIPPED", ""));
    assert_eq!(counts(&desk.get(id).await), [6.0, 3.0, 0.0, 2.0, 1.0]);
    // And back again.
    desk.answer("PatchImportRow", skip(3, false)).await;
    assert_eq!(counts(&desk.get(id).await), [6.0, 2.0, 0.0, 4.0, 0.0]);
    // A row that was alone gets a twin.
    let twin = desk.patch(id, 7, json!({ "email": "P0@example.com" })).await;
    assert_eq!(bad(&twin), [pair("email", "DUPLICATE_IN_FILE")]);
    assert_eq!(counts(&desk.get(id).await), [6.0, 1.0, 0.0, 5.0, 0.0]);
}

#[tokio::test]
async fn what_somebody_who_is_stored_has_is_found_and_so_is_who_is_stored() {
    let desk = Importer::open().await;
    desk.store(&people(0..3)).await;
    // 0 as it is; 1 with another name; 7 with the phone number of 2; 8 is new.
    let taken = person(7).replace(&phone(7), &phone(2));
    let csv = format!(
        "{}\n{}\n{}\n{taken}\n{}\n",
        super::TITLES,
        person(0),
        person(1).replace("Person", "Another"),
        person(8)
    );
    let import = desk.ready(&csv).await;
    let id = text(&import["id"]);
    let plan =
        ["insert", "update", "unchanged", "conflict"].map(|name| number(&import["plan"][name]));
    assert_eq!(plan, [1.0, 1.0, 1.0, 1.0]);
    let rows = desk.rows(id, json!({})).await;
    let actions: Vec<&str> = rows.iter().map(|row| text(&row["action"])).collect();
    assert_eq!(actions, ["UNCHANGED", "UPDATE", "CONFLICT", "INSERT"]);
    assert_eq!(bad(&rows[2]), [pair("phone", "TAKEN")]);
    assert_eq!(rows[2]["status"], "INVALID");
    let mended = desk.patch(id, 4, json!({ "phone": phone(7) })).await;
    assert_eq!((text(&mended["status"]), text(&mended["action"])), ("VALID", "INSERT"));
    let taken = desk.patch(id, 5, json!({ "email": "p2@example.com" })).await;
    assert_eq!(bad(&taken), [pair("email", "TAKEN")]);
}

#[tokio::test]
async fn what_cannot_be_changed_is_said() {
    let desk = Importer::open().await;
    let import = desk.ready(&people(0..2)).await;
    let id = text(&import["id"]);
    let patch = |more: Value| with(json!({ "importId": id, "row": 2 }), more);
    let none = desk.violations("PatchImportRow", patch(json!({}))).await;
    assert_eq!(none, [pair("cells", "NOTHING_TO_CHANGE")]);
    let cells = json!({"row": 0, "cells": {"district": "x", "names": "y".repeat(40_000)}});
    let bad = desk.violations("PatchImportRow", patch(cells)).await;
    let reasons: Vec<&str> = bad.iter().map(|bad| bad.1.as_str()).collect();
    assert_eq!(reasons, ["OUT_OF_RANGE", "UNKNOWN_FIELD", "TOO_LONG"]);
    let far = desk.refusal("PatchImportRow", patch(json!({"row": 99, "skipped": true}))).await;
    assert_eq!(far, (Code::NotFound, "ROW_NOT_FOUND".to_owned()));
    let stale = patch(json!({"skipped": true, "etag": "999"}));
    assert_eq!(desk.reason("PatchImportRow", stale).await, "ETAG_MISMATCH");
    let fresh = patch(json!({"skipped": true, "etag": import["etag"]}));
    desk.answer("PatchImportRow", fresh).await;
    desk.answer("CancelImport", json!({ "importId": id })).await;
    assert_eq!(
        desk.reason("PatchImportRow", patch(json!({"skipped": true}))).await,
        "IMPORT_STATE"
    );
    assert_eq!(desk.reason("ListImportRows", json!({ "importId": id })).await, "IMPORT_STATE");
    // A column that the file never had.
    let tags = desk.import("TAGS", "tags.csv", b"uid\ndoor\n").await;
    let label = json!({"importId": tags["id"], "row": 2, "cells": {"label": "x"}});
    assert_eq!(
        desk.violations("PatchImportRow", label).await,
        [pair("cells.label", "NO_SUCH_COLUMN")]
    );
}

#[tokio::test]
async fn a_report_can_be_mended_and_uploaded_again() {
    let desk = Importer::open().await;
    let csv = people(0..4).replace(&phone(1), "07881").replace("Person 2", "=cmd|' /C calc'!A0");
    let csv =
        csv.replace("Email\n", "Email,Note\n").replace("p3@example.com", "p3@example.com,+keep");
    let import = desk.ready(&csv).await;
    let id = text(&import["id"]);
    let report = async |file: &str, all: bool| report_of(&desk, id, file, all).await;
    let (kind, bytes) = report("report.csv", false).await;
    assert_eq!(kind, "text/csv; charset=utf-8");
    let csv_text = String::from_utf8(bytes.clone()).unwrap();
    let lines: Vec<&str> = csv_text.lines().collect();
    assert_eq!(lines[0], "\u{feff}Names,NID,Phone,Gender,Email,Note,error");
    assert_eq!(lines.len(), 3);
    assert!(lines[1].contains("phone") && lines[1].contains("PHONE_LENGTH"), "{}", lines[1]);
    assert!(lines[2].starts_with("'=cmd|"), "no program takes it for a formula: {}", lines[2]);
    // Mended, and uploaded again: the mark of what was no formula is gone, and so are the errors.
    let mended = csv_text.replace("'=cmd|' /C calc'!A0", "Person 2").replace("07881", &phone(1));
    let again = desk.ready(&mended).await;
    assert_eq!(counts(&again), [2.0, 2.0, 0.0, 0.0, 0.0]);

    let (kind, workbook) = report("", true).await;
    assert!(kind.contains("spreadsheetml"), "{kind}");
    let all = desk.import("USERS", "again.xlsx", &workbook).await;
    assert_eq!(counts(&all), [4.0, 2.0, 2.0, 0.0, 0.0], "{all}");
    let rows = desk.rows(text(&all["id"]), json!({})).await;
    let cell = |row: &Value, at: usize| text(&row["cells"][at]["raw"]).to_owned();
    assert_eq!(cell(&rows[2], 0), "=cmd|' /C calc'!A0");
    assert_eq!(cell(&rows[3], 5), "+keep");
    // By CSV, too, whatever begins as a formula does.
    let (_, bytes) = report("report.csv", true).await;
    let all = desk.ready(&String::from_utf8(bytes).unwrap()).await;
    let rows = desk.rows(text(&all["id"]), json!({})).await;
    assert_eq!(cell(&rows[2], 0), "=cmd|' /C calc'!A0");
    assert_eq!(cell(&rows[3], 5), "+keep");
    let missing =
        desk.refusal("GetImportReport", json!({"importId": id, "file": "report.pdf"})).await;
    assert_eq!(missing, (Code::NotFound, "REPORT_NOT_FOUND".to_owned()));
}

/// A report, and of what type it is.
async fn report_of(desk: &Importer, id: &str, file: &str, all: bool) -> (String, Vec<u8>) {
    let request = GetImportReportRequest { import_id: id.to_owned(), file: file.to_owned(), all };
    let mut request = tonic::Request::new(request);
    request.metadata_mut().insert("x-api-key", desk.key.parse().unwrap());
    let address = format!("http://{}", desk.app.grpc);
    let mut client = ImportsClient::connect(address).await.unwrap();
    let mut frames = client.get_import_report(request).await.unwrap().into_inner();
    let (mut bytes, mut content_type) = (Vec::new(), String::new());
    while let Some(frame) = frames.message().await.unwrap() {
        content_type = frame.content_type;
        bytes.extend(frame.data);
    }
    (content_type, bytes)
}

#[tokio::test]
async fn what_is_bad_is_bad_when_a_report_comes_back_as_it_is() {
    let desk = Importer::open().await;
    // Every fault that is made, numbers that have lost digits among them.
    let workbook = sample::write_users_xlsx(2_000, 1).unwrap();
    let first = desk.import("USERS", "users.xlsx", &workbook).await;
    assert_eq!(counts(&first), [2_000.0, 1_960.0, 32.0, 8.0, 0.0], "{first}");
    for file in ["report.xlsx", "report.csv"] {
        let mut import = first.clone();
        for _ in 0..2 {
            let (_, bytes) = report_of(&desk, text(&import["id"]), file, false).await;
            import = desk.import("USERS", file, &bytes).await;
            assert_eq!(counts(&import), [40.0, 0.0, 32.0, 8.0, 0.0], "{import}");
            let titles = import["columns"].as_array().unwrap();
            assert_eq!(titles.len(), 6, "there is one column of errors: {titles:?}");
        }
    }
}
