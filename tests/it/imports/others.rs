//! Files that others have made: each bad cell has its reason, and nothing else of them is lost.

use serde_json::{Value, json};

use super::{Importer, bad, number, pair, text};
use crate::app::books;

fn value<'a>(row: &'a Value, field: &str) -> Option<&'a str> {
    let cells = row["cells"].as_array().unwrap();
    cells.iter().find(|cell| cell["field"] == field).and_then(|cell| cell["value"].as_str())
}

#[tokio::test]
async fn columns_are_found_by_their_titles_wherever_they_are() {
    let desk = Importer::open().await;
    let rows: &[&[&str]] = &[
        &["List of members, 2026"],
        &[],
        &[
            "No",
            " PHONE NUMBER ",
            "E-mail Address",
            "Sexe",
            "Full  name",
            "District",
            "National ID Number",
        ],
        &["1", "785576983", "A@Example.COM", "femme", "Uwase Aline", "Gasabo", "1199070123456789"],
        &[
            "2",
            "+250 788 123 456",
            "e@example.com",
            "MALE",
            "Mugisha Eric",
            "Huye",
            "1198580123456781",
        ],
        &[],
        &["3", "0722000111", "k@example.com", "Femal", "Keza Diane", "Huye", "1200170123456781"],
    ];
    let notes: &[&[&str]] = &[&["Read me first"], &["Nothing to see here"]];
    let file = books::workbook(&[("Notes", notes), ("Members", rows)]);
    let import = desk.import("USERS", "members.XLSX", &file).await;
    assert_eq!(import["state"], "READY", "{import}");
    assert_eq!((text(&import["sheet"]), number(&import["headerRow"])), ("Members", 3.0));
    let columns: Vec<(&str, &str)> = import["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| (text(&column["letter"]), text(&column["field"])))
        .collect();
    let expected = [
        ("A", ""),
        ("B", "phone"),
        ("C", "email"),
        ("D", "gender"),
        ("E", "names"),
        ("F", ""),
        ("G", "nid"),
    ];
    assert_eq!(columns, expected);
    assert_eq!(number(&import["counts"]["valid"]), 3.0, "{import}");
    let rows = desk.rows(text(&import["id"]), json!({})).await;
    let numbers: Vec<f64> = rows.iter().map(|row| number(&row["row"])).collect();
    assert_eq!(numbers, [4.0, 5.0, 7.0]);
    let phones: Vec<_> = rows.iter().map(|row| value(row, "phone").unwrap()).collect();
    assert_eq!(phones, ["+250785576983", "+250788123456", "+250722000111"]);
    let genders: Vec<_> = rows.iter().map(|row| value(row, "gender").unwrap()).collect();
    assert_eq!(genders, ["F", "M", "F"]);
    assert_eq!(value(&rows[0], "email"), Some("a@example.com"));
    assert_eq!(super::reasons(&rows[2]["warnings"]), [pair("gender", "GENDER_GUESSED")]);
}

#[tokio::test]
async fn every_bad_cell_has_its_own_reason() {
    let desk = Importer::open().await;
    let good = ["Person", "1199070123456789", "0788123456", "F", "p@example.com"];
    let long = "x".repeat(201);
    let cases: &[(usize, &str, &str, &str)] = &[
        (0, "", "names", "EMPTY"),
        (0, &long, "names", "TOO_LONG"),
        (0, "12345", "names", "NO_LETTERS"),
        (0, "=HYPERLINK(1)", "names", "LOOKS_LIKE_FORMULA"),
        (1, "", "nid", "EMPTY"),
        (1, "11990701234567890", "nid", "NID_LENGTH"),
        (1, "119907012345", "nid", "NID_LENGTH"),
        (1, "1199O70123456789", "nid", "NOT_DIGITS"),
        (1, "4199070123456789", "nid", "NID_PREFIX"),
        (1, "1299070123456789", "nid", "NID_BIRTH_YEAR"),
        (1, "1.19907E+15", "nid", "DIGITS_LOST"),
        (2, "", "phone", "EMPTY"),
        (2, "call me", "phone", "NOT_DIGITS"),
        (2, "078812", "phone", "PHONE_LENGTH"),
        (2, "0788123456789", "phone", "PHONE_LENGTH"),
        // As long as they are in some countries, and longer than any other one can call.
        (2, "+49 30 1234567890123", "phone", "PHONE_LENGTH"),
        (2, "0588123456", "phone", "UNKNOWN_PHONE"),
        (2, "0788123456/0722000111", "phone", "SEVERAL_PHONES"),
        (3, "", "gender", "EMPTY"),
        (3, "emale", "gender", "UNKNOWN_GENDER"),
        (4, "", "email", "EMPTY"),
        (4, "p@", "email", "MALFORMED_EMAIL"),
    ];
    let mut csv = format!("{}\n", super::TITLES);
    for (column, cell, ..) in cases {
        let mut cells = good;
        cells[*column] = cell;
        csv += &cells.join(",");
        csv.push('\n');
    }
    let import = desk.ready(&csv).await;
    let rows = desk.rows(text(&import["id"]), json!({})).await;
    assert_eq!(rows.len(), cases.len());
    for (row, (_, cell, field, reason)) in rows.iter().zip(cases) {
        // All of them are somebody's twin: that is another matter.
        let own: Vec<_> = bad(row).into_iter().filter(|bad| bad.1 != "DUPLICATE_IN_FILE").collect();
        assert_eq!(own, [pair(field, reason)], "{cell:?}");
        assert_eq!(row["status"], "INVALID");
        // What is wrong is said without what is in the cell.
        let words: Vec<&str> = row["violations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bad| text(&bad["description"]))
            .collect();
        assert!(cell.len() < 6 || !words.join(" ").contains(cell), "{words:?}");
    }
}

#[tokio::test]
async fn an_empty_column_is_a_fault_of_each_row_and_a_missing_one_of_the_file() {
    let desk = Importer::open().await;
    let rows: &[&[&str]] = &[
        &["Names", "NID", "Phone", "Gender", "Email"],
        &["A B", "", "0788000001", "F", "a@example.com"],
        &["C D", "", "0788000002", "M", "b@example.com"],
    ];
    let import = desk.import("USERS", "a.xlsx", &books::workbook(&[("S", rows)])).await;
    assert_eq!(number(&import["counts"]["invalid"]), 2.0);
    let faults = &import["faults"][0];
    assert_eq!((text(&faults["field"]), text(&faults["reason"])), ("nid", "EMPTY"));
    let csv = "Names,Phone,Gender\nA,0788000001,F\n";
    assert_eq!(
        desk.errors("a.csv", csv.as_bytes()).await,
        [pair("nid", "MISSING_COLUMN"), pair("email", "MISSING_COLUMN")]
    );
}

#[tokio::test]
async fn national_ids_that_are_numbers_are_read_and_lost_digits_are_seen() {
    let desk = Importer::open().await;
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (place, title) in (0..).zip(super::TITLES.split(',')) {
        sheet.write_string(0, place, title).unwrap();
    }
    for (row, (nid, phone)) in (1..).zip([
        (1_199_070_123_456_789.0, 788_000_001.0),
        (1_199_070_123_456_780.0, 250_788_000_002.0),
    ]) {
        sheet.write_string(row, 0, format!("Person {}", ["A", "B"][row as usize - 1])).unwrap();
        sheet.write_number(row, 1, nid).unwrap();
        sheet.write_number(row, 2, phone).unwrap();
        sheet.write_string(row, 3, "f").unwrap();
        sheet.write_string(row, 4, format!("n{row}@example.com")).unwrap();
    }
    let import = desk.import("USERS", "n.xlsx", &book.save_to_buffer().unwrap()).await;
    let rows = desk.rows(text(&import["id"]), json!({})).await;
    assert_eq!(rows[0]["status"], "VALID", "{}", rows[0]);
    assert_eq!(value(&rows[0], "nid"), Some("1199070123456789"));
    assert_eq!(value(&rows[0], "phone"), Some("+250788000001"));
    let warned = super::reasons(&rows[0]["warnings"]);
    assert_eq!(warned, [pair("nid", "STORED_AS_NUMBER"), pair("phone", "ZEROS_LOST")]);
    assert_eq!(bad(&rows[1]), [pair("nid", "DIGITS_LOST")]);
    assert_eq!(value(&rows[1], "phone"), Some("+250788000002"));
}

#[tokio::test]
async fn another_region_has_other_numbers() {
    let desk = Importer::open().await;
    let csv = "Names,NID,Phone,Gender,Email\nA B,12345678,0712 345 678,M,a@example.com\n";
    let mut request = super::upload("USERS", "ke.csv", csv.as_bytes());
    request["region"] = json!("ke");
    let import = desk.answer("UploadImport", request).await;
    let import = desk.settled(text(&import["id"])).await;
    assert_eq!(
        (text(&import["region"]), number(&import["counts"]["valid"])),
        ("KE", 1.0),
        "{import}"
    );
    let rows = desk.rows(text(&import["id"]), json!({})).await;
    assert_eq!(value(&rows[0], "phone"), Some("+254712345678"));
}

#[tokio::test]
async fn made_up_users_have_just_the_faults_they_say() {
    use tap_analytics::imports::sample;
    let desk = Importer::open().await;
    let file = sample::write_users_xlsx(5_000, 7).unwrap();
    let import = desk.import("USERS", "users.xlsx", &file).await;
    assert_eq!(import["state"], "READY", "{import}");
    let mut found = std::collections::BTreeMap::new();
    for fault in import["faults"].as_array().unwrap() {
        *found.entry(text(&fault["reason"]).to_owned()).or_insert(0.0) += number(&fault["rows"]);
    }
    let expected = sample::expected(5_000, 7);
    let expected =
        expected.into_iter().map(|(reason, rows)| (reason.to_owned(), rows as f64)).collect();
    assert_eq!(found, expected);
    assert_eq!(number(&import["counts"]["total"]), 5_000.0);
}

#[tokio::test]
async fn tags_are_imported_by_the_same_engine() {
    let desk = Importer::open().await;
    let first = desk.import("TAGS", "tags.csv", b"uid\ndoor\ndesk\n").await;
    assert_eq!(number(&first["plan"]["insert"]), 2.0, "{first}");
    desk.commit(text(&first["id"]), "ALL_OR_NOTHING").await;
    let csv = "Tag ID,Name,Type,URL,Floor\ndoor,Front door,QR code,https://example.com/a,1\ndesk,,,,1\nnew-1,New one,nfc,,2\nbad uid,,,,\nnew-2,,,ftp://x,\nnew-1,,,,\n";
    let import = desk.import("TAGS", "tags.csv", csv.as_bytes()).await;
    assert_eq!(import["state"], "READY", "{import}");
    let id = text(&import["id"]);
    let rows = desk.rows(id, json!({})).await;
    let statuses: Vec<&str> = rows.iter().map(|row| text(&row["status"])).collect();
    assert_eq!(statuses, ["VALID", "VALID", "DUPLICATE", "INVALID", "INVALID", "DUPLICATE"]);
    let actions: Vec<&str> = rows.iter().map(|row| text(&row["action"])).collect();
    assert_eq!(actions, ["UPDATE", "UNCHANGED", "", "", "", ""]);
    desk.answer("PatchImportRow", json!({"importId": id, "row": 7, "skipped": true})).await;
    let done = desk.commit(id, "VALID_ONLY").await;
    assert_eq!(number(&done["result"]["insert"]), 1.0, "{done}");
    assert_eq!(number(&done["result"]["update"]), 1.0);
    assert_eq!(number(&done["result"]["unchanged"]), 1.0);
    let tag: i64 = desk.app.scalar("select count(*) from tags where uid = 'door' and label = 'Front door' and kind = 'qr' and destination_url = 'https://example.com/a'").await;
    assert_eq!(tag, 1);
    // The service knows them at once.
    let again = desk.import("TAGS", "tags.csv", csv.as_bytes()).await;
    assert_eq!(number(&again["plan"]["unchanged"]), 2.0, "{again}");
    assert_eq!(desk.count("tags where uid = 'new-1' and label = 'New one'").await, 1);
}
