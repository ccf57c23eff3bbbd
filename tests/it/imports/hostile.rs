//! Files by which somebody means harm: each is refused or marked, soon and in little memory, also eight at once, and the
//! service goes on.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tap_analytics::proto::{
    HttpBody,
    tap_v1::{
        GetImportRequest, Import, UploadImportRequest, import_kind, import_state,
        imports_client::ImportsClient,
    },
};
use tonic::{Code, Request, metadata::MetadataMap, transport::Channel};

use super::{Importer, pair, people, text};
use crate::{
    app::{App, Options, books, new_database, store},
    live::Service,
};

/// How each of them is refused: the name that it is sent by, and the reason.
fn refused() -> Vec<(&'static str, &'static str, Vec<u8>, &'static str)> {
    let titles: &[&str] = &["Names", "NID", "Phone", "Gender", "Email"];
    let zip = books::workbook(&[("S", &[titles, &["a", "b", "c", "d", "e"]])]);
    vec![
        ("a bomb", "a.xlsx", books::bomb_honest(), "FILE_EXPANDS"),
        ("a bomb in a sheet", "a.xlsx", books::bomb("xl/worksheets/sheet1.xml"), "FILE_EXPANDS"),
        ("a bomb in styles", "a.xlsx", books::bomb("xl/styles.xml"), "FILE_EXPANDS"),
        ("a bomb that lies", "a.xlsx", books::bomb_lying("xl/sharedStrings.xml"), "FILE_EXPANDS"),
        ("millions of strings", "a.xlsx", books::many_strings(5_000_000), "FILE_EXPANDS"),
        ("a billion laughs", "a.xlsx", books::billion_laughs("xl/sharedStrings.xml"), "HAS_DTD"),
        (
            "laughs in a sheet",
            "a.xlsx",
            books::billion_laughs("xl/worksheets/sheet1.xml"),
            "HAS_DTD",
        ),
        ("a password", "a.xlsx", books::encrypted(), "PASSWORD_PROTECTED"),
        ("an old format", "a.xls", books::old_format(), "OLD_FORMAT"),
        ("a wrong extension", "a.csv", zip, "WRONG_EXTENSION"),
        ("another one", "a.xlsx", people(0..2).into_bytes(), "WRONG_EXTENSION"),
        ("a picture", "a.png", b"\x89PNG\r\n\x1a\n\0\0\0".to_vec(), "UNKNOWN_FORMAT"),
        ("no header", "a.csv", b"1,2,3\n4,5,6\n".to_vec(), "NO_HEADER"),
        ("cut off", "a.xlsx", books::truncated(25), "BROKEN_FILE"),
        ("too few columns, and a far cell", "a.xlsx", books::far_cell(), "MISSING_COLUMN"),
        ("no text", "a.csv", b"Names,NID\n\xff\xfe\xfd,1\n".to_vec(), "NOT_UTF8"),
        ("no rows", "a.csv", format!("{}\n", super::TITLES).into_bytes(), "NO_ROWS"),
    ]
}

#[tokio::test]
async fn each_is_refused_with_its_reason() {
    let desk = Importer::open().await;
    for (what, name, file, reason) in refused() {
        let errors = desk.errors(name, &file).await;
        assert!(errors.iter().any(|error| error.1 == reason), "{what}: {errors:?}");
    }
    // And it goes on.
    desk.ready(&people(0..2)).await;
}

#[tokio::test]
async fn a_cell_in_the_last_corner_costs_nothing() {
    let desk = Importer::open().await;
    let parts = books::parts(&format!(
        "{}{}<row r=\"1048576\"><c r=\"XFD1048576\"><v>1</v></c></row>",
        books::row(1, &super::TITLES.split(',').collect::<Vec<_>>()),
        books::row(2, &super::person(1).split(',').collect::<Vec<_>>()),
    ));
    let import = desk.import("USERS", "a.xlsx", &books::zipped(&parts)).await;
    assert_eq!(import["state"], "READY", "{import}");
    assert_eq!(super::number(&import["counts"]["valid"]), 1.0, "{import}");
    assert_eq!(super::number(&import["counts"]["total"]), 1.0);
}

#[tokio::test]
async fn titles_in_merged_cells_and_formulas_are_read() {
    let desk = Importer::open().await;
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    let bold = rust_xlsxwriter::Format::new();
    sheet.merge_range(0, 0, 0, 4, "Everybody", &bold).unwrap();
    for (place, title) in (0..).zip(["Names", "NID"]) {
        sheet.merge_range(1, place, 2, place, title, &bold).unwrap();
    }
    sheet.merge_range(1, 2, 1, 4, "Contact", &bold).unwrap();
    for (place, title) in (2..).zip(["Phone", "Gender", "Email"]) {
        sheet.write_string(2, place, title).unwrap();
    }
    for (place, cell) in (0..).zip(super::person(1).split(',')) {
        sheet.write_string(3, place, cell).unwrap();
    }
    let formula = rust_xlsxwriter::Formula::new("A4").set_result("Somebody Else");
    sheet.write_formula(4, 0, formula).unwrap();
    for (place, cell) in (0..).zip(super::person(2).split(',')).skip(1) {
        sheet.write_string(4, place, cell).unwrap();
    }
    let import = desk.import("USERS", "a.xlsx", &book.save_to_buffer().unwrap()).await;
    assert_eq!(import["state"], "READY", "{import}");
    assert_eq!(super::number(&import["headerRow"]), 3.0);
    let rows = desk.rows(text(&import["id"]), json!({})).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["cells"][0]["value"], "Somebody Else", "as it was last calculated");
    assert_eq!(rows[1]["status"], "VALID");
    // One that was never calculated.
    let cells = super::person(3);
    let cells: Vec<&str> = cells.split(',').collect();
    let row =
        books::row(2, &cells).replacen("<c ", "<c r=\"A2\"><f>A1</f></c><c r=\"Z2\" data-", 1);
    let parts = books::parts(&format!(
        "{}{row}",
        books::row(1, &super::TITLES.split(',').collect::<Vec<_>>())
    ));
    let import = desk.import("USERS", "a.xlsx", &books::zipped(&parts)).await;
    let rows = desk.rows(text(&import["id"]), json!({})).await;
    assert!(super::bad(&rows[0]).contains(&pair("names", "FORMULA_WITHOUT_VALUE")), "{}", rows[0]);
}

/// Megabytes that a process has in memory, and has had at most.
fn memory(pid: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (of("RssAnon:"), of("VmHWM:"))
}

async fn give(
    mut client: ImportsClient<Channel>,
    key: &str,
    name: &str,
    file: &[u8],
) -> Result<Import, tonic::Status> {
    let mut pieces: Vec<UploadImportRequest> = file
        .chunks(1 << 20)
        .map(|data| UploadImportRequest {
            file: Some(HttpBody { content_type: String::new(), data: data.to_vec().into() }),
            ..UploadImportRequest::default()
        })
        .collect();
    pieces[0].kind = import_kind::Value::Users.into();
    name.clone_into(&mut pieces[0].filename);
    let keyed = |mut metadata: MetadataMap| {
        metadata.insert("x-api-key", key.parse().unwrap());
        metadata
    };
    let mut request = Request::new(futures_util::stream::iter(pieces));
    *request.metadata_mut() = keyed(MetadataMap::default());
    let import = client.upload_import(request).await?.into_inner();
    loop {
        let mut request = Request::new(GetImportRequest { import_id: import.id.clone() });
        *request.metadata_mut() = keyed(MetadataMap::default());
        let import = client.get_import(request).await?.into_inner();
        if ![import_state::Value::Checking.into()].contains(&import.state) {
            return Ok(import);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_at_once_stay_within_the_budget_and_the_service_goes_on() {
    let url = new_database().await;
    let desk = Importer::at(App::on(store(&url), Options::default()).await).await;
    let budget = 160.0;
    let settings = vec![("TAP_IMPORTS_MIB", "160".to_owned()), ("TAP_IMPORT_MIB", "64".to_owned())];
    let service = Service::start_with(&url, settings).await;
    let address = format!("http://{}", service.grpc);
    let client = ImportsClient::connect(address).await.unwrap();
    // First something small, so that all that is made once is there.
    give(client.clone(), &desk.key, "a.csv", people(0..50).as_bytes()).await.unwrap();
    let (idle, _) = memory(service.pid());
    let mut files: Vec<(String, Vec<u8>)> =
        refused().into_iter().map(|(_, name, file, _)| (name.to_owned(), file)).collect();
    // As large as they may be, of texts, and of rows that are no good at all.
    files.push((
        "large.csv".to_owned(),
        (super::TITLES.to_owned() + "\n" + &",,,,x\n".repeat(3_000_000)).into_bytes(),
    ));
    files.push((
        "wide.csv".to_owned(),
        format!("{}\n{}", super::TITLES, ",".repeat(18 << 20)).into_bytes(),
    ));
    files.push((
        "quote.csv".to_owned(),
        format!("{}\n\"{}", super::TITLES, "x,\n".repeat(6 << 20)).into_bytes(),
    ));
    let mut read = 0;
    for (name, file) in &files {
        for import in join_all((0..8).map(|_| give(client.clone(), &desk.key, name, file))).await {
            match import {
                Ok(import) => {
                    read += i32::from(import.state != i32::from(import_state::Value::Ready));
                }
                // There is no room for eight of the largest.
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{name}: {status:?}");
                }
            }
        }
    }
    assert!(read > 100, "they came: {read}");
    let (_, most) = memory(service.pid());
    // What the program is, what it has for all, and what two that are read at a time may have beside it.
    let bound = idle + budget + 128.0;
    assert!(most < bound, "{most:.0} MiB, of {bound:.0}");
    // Once the others are given up nothing is held, and it goes on as before.
    let door = crate::app::wires::Door::at(service.grpc).kept().await;
    let ask = async |rpc: &str, request: serde_json::Value| {
        super::desk::answer_at::<super::OfImports>(&door, &desk.key, rpc, request).await
    };
    for import in super::all(&ask("ListImports", json!({"pageSize": 1000})).await, "imports") {
        ask("CancelImport", json!({"importId": import["id"]})).await;
    }
    let held = async || {
        let metrics = format!("http://{}/metrics", service.admin);
        let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
        let line = metrics.lines().find(|line| line.starts_with("tap_import_bytes ")).unwrap();
        line.split_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    crate::app::eventually("it is given back", || async { held().await == 0.0 }).await;
    let import = give(client, &desk.key, "a.csv", people(0..50).as_bytes()).await;
    assert_eq!(import.unwrap().state, i32::from(import_state::Value::Ready), "it goes on");
}
