//! What is left of an import that was not committed: nothing, on no disk.

use std::{collections::BTreeSet, time::Duration};

use regex::bytes::Regex;
use reqwest::Client;
use serde_json::{Value, json};

use super::{Importer, OfImports, desk, text, upload};
use crate::{
    app::{
        App, Options, OwnPostgres, books, connect, envoy::Envoy, files::found_in, store,
        wires::Door,
    },
    live::Service,
};

/// What is looked for: with a kind behind it. Letters alone, so that it may be a name.
const MARK: &str = "Zqxvk ";

/// The kinds of which something is there, and the numbers of whose national ids are.
fn kinds(bytes: &[u8]) -> BTreeSet<String> {
    // Addresses have it in lower case.
    let mark = Regex::new("(?i)zqxvk[ .+]([a-z]+)|119907([0-9]{10})").unwrap();
    let kind = |found: regex::bytes::Captures<'_>| {
        let found = found.get(1).or(found.get(2)).unwrap();
        String::from_utf8(found.as_bytes().to_ascii_lowercase()).unwrap()
    };
    mark.captures_iter(bytes).map(kind).collect()
}

/// A person who is marked in each cell that may hold it.
fn marked(kind: &str, number: u32) -> [String; 5] {
    [
        format!("{MARK}{kind}"),
        super::nid(number),
        super::phone(number),
        "F".to_owned(),
        format!("zqxvk.{kind}@example.com"),
    ]
}

fn csv(rows: &[[String; 5]]) -> Vec<u8> {
    let rows: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
    format!("{}\n{}\n", super::TITLES, rows.join("\n")).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_on_a_disk_before_it_is_committed() {
    let postgres = OwnPostgres::start().await;
    let sql = connect(&postgres.url).await;
    sql.batch_execute("alter system set log_statement = 'all'").await.unwrap();
    sql.batch_execute("select pg_reload_conf()").await.unwrap();
    let importer = Importer::at(App::on(store(&postgres.url), Options::default()).await).await;
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::start_with(
        &postgres.url,
        vec![
            ("TAP_LOG", "trace".to_owned()),
            ("TMPDIR", folder.path().display().to_string()),
            ("log", folder.path().join("log").display().to_string()),
            ("TAP_IMPORT_IDLE_S", "3".to_owned()),
        ],
    )
    .await;
    let envoy = Envoy::before(service.grpc.port()).await;
    let door = Door::at(service.grpc).kept().await;
    let ask = async |rpc: &str, request: Value| {
        desk::ask_at::<OfImports>(&door, &importer.key, rpc, request).await
    };
    let until = async |id: &str, state: &str| {
        for _ in 0..400 {
            let import = ask("GetImport", json!({ "importId": id })).await.answer().clone();
            if import["state"] == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("it is not {state}");
    };
    let mut number = 0;
    let mut person = |kind: &str| {
        number += 1;
        marked(kind, number)
    };
    let give = async |name: &str, file: &[u8], state: &str| {
        let outcome = ask("UploadImport", upload("USERS", name, file)).await;
        let id = text(&outcome.answer()["id"]).to_owned();
        until(&id, state).await;
        id
    };

    // Stored: this is found, so that the others could be.
    let id = give("a.csv", &csv(&[person("stored")]), "READY").await;
    let bad = person("leftout").map(|cell| cell.replace(&super::nid(2), "1"));
    let other = give("a.csv", &csv(&[person("storedtoo"), bad]), "READY").await;
    for id in [&id, &other] {
        let request = json!({"importId": id, "mode": "VALID_ONLY"});
        assert_eq!(ask("CommitImport", request).await.code, tonic::Code::Ok);
    }
    // By Envoy, with all that is asked of it, and given up.
    let url = |path: &str| envoy.url(path);
    let http = Client::new();
    let by_json = async |method: reqwest::Method, path: &str, body: Vec<u8>| {
        let request = http.request(method, url(path)).header("x-api-key", &importer.key);
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status();
        let body = answer.bytes().await.unwrap().to_vec();
        assert!(status.is_success(), "{path} {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap_or_default()
    };
    let bad = person("invalid").map(|cell| cell.replace("0788", "1"));
    let rows = [person("json"), bad, person("twin"), person("twin")];
    let import =
        by_json(reqwest::Method::POST, "/v1/imports/users:upload?filename=a.csv", csv(&rows)).await;
    let id = text(&import["id"]).to_owned();
    until(&id, "READY").await;
    by_json(reqwest::Method::GET, &format!("/v1/imports/{id}/rows"), vec![]).await;
    by_json(reqwest::Method::GET, &format!("/v1/imports/{id}/report.xlsx?all=true"), vec![]).await;
    by_json(reqwest::Method::GET, &format!("/v1/imports/{id}/report.csv"), vec![]).await;
    let patch = json!({"cells": {"names": format!("{MARK}patched")}}).to_string().into_bytes();
    by_json(reqwest::Method::PATCH, &format!("/v1/imports/{id}/rows/2"), patch).await;
    let search = json!({"text": format!("{MARK}searched")}).to_string().into_bytes();
    by_json(reqwest::Method::POST, "/v1/users:search", search).await;
    let dry = json!({"mode": "VALID_ONLY", "validateOnly": true}).to_string().into_bytes();
    by_json(reqwest::Method::POST, &format!("/v1/imports/{id}:commit"), dry).await;
    by_json(reqwest::Method::DELETE, &format!("/v1/imports/{id}"), vec![]).await;
    // Workbooks, forms, what fails, what is refused.
    let cells = person("workbook");
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    let titles: Vec<&str> = super::TITLES.split(',').collect();
    let book = books::workbook(&[("S", &[&titles, &cells])]);
    give("a.xlsx", &book, "READY").await;
    give("a.csv", format!("Names,{MARK}title\n{MARK}failed,1\n").as_bytes(), "FAILED").await;
    give("a.csv", &[csv(&[person("notext")]), vec![0xff, 0xfe, 0xff]].concat(), "FAILED").await;
    let named = upload("USERS", &format!("{MARK}filename.pdf"), &csv(&[person("pdf")]));
    ask("UploadImport", named).await;
    let refused = upload("UNSET", "a.csv", &csv(&[person("refused")]));
    assert_ne!(ask("UploadImport", refused).await.code, tonic::Code::Ok);
    // All or nothing, refused.
    let bad = person("strict").map(|cell| cell.replace("0788", "1"));
    let id = give("a.csv", &csv(&[bad, person("strictgood")]), "READY").await;
    assert_ne!(ask("CommitImport", json!({ "importId": id })).await.code, tonic::Code::Ok);
    // Nobody came for it; and what is held when the service is killed.
    let id = give("a.csv", &csv(&[person("expired")]), "READY").await;
    // A list does not count as coming for it.
    let expired = async || {
        let listed = ask("ListImports", json!({})).await;
        let imports = super::all(listed.answer(), "imports");
        imports.iter().any(|import| import["id"] == id.as_str() && import["state"] == "EXPIRED")
    };
    crate::app::eventually("nobody came for it", || async { expired().await }).await;
    give("a.csv", &csv(&[person("killed")]), "READY").await;

    let metrics = format!("http://{}/metrics", service.admin);
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("tap_import_bytes"), "{metrics}");
    assert_eq!(kinds(metrics.as_bytes()), BTreeSet::new());
    assert_eq!(kinds(envoy.stats().await.as_bytes()), BTreeSet::new());
    service.kill();

    importer.app.sql().await.batch_execute("checkpoint; select pg_switch_wal()").await.unwrap();
    let (found, bytes) = found_in(&postgres.files(), kinds);
    // Whom somebody looks for is sent to the store: as they are there, or nowhere.
    let stored = ["stored", "storedtoo", "searched", "0000000001", "0000000003"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(stored), "in the folder of PostgreSQL");
    assert!(bytes > 16 * 1024 * 1024, "its data and its WAL were looked at: {bytes}");
    let (found, bytes) = found_in(folder.path(), kinds);
    assert_eq!(found, BTreeSet::new(), "in the log and the temporary files of the service");
    assert!(bytes > 1_000, "it has logged something: {bytes}");
    let (found, bytes) = found_in(envoy.files(), kinds);
    assert_eq!(found, BTreeSet::new(), "in the log of Envoy");
    assert!(bytes > 1_000, "it has logged something: {bytes}");
}
