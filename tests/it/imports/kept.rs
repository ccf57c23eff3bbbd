//! How long imports are held, and how much of them: within a budget, and nothing after that.

use serde_json::json;
use tap_analytics::clock::Clock;
use tonic::Code;

use super::{Importer, people, text};
use crate::app::{Options, books, eventually, instant};

#[tokio::test]
async fn an_import_for_which_nobody_comes_expires_and_is_forgotten() {
    let clock = Clock::fixed(instant("2026-03-01T10:00:00Z"));
    let options = Options { clock: clock.clone(), import_idle_s: 60, ..Options::default() };
    let desk = Importer::open_with(options).await;
    let idle = text(&desk.ready(&people(0..3)).await["id"]).to_owned();
    let used = desk.ready(&people(3..6)).await;
    assert_eq!(used["expiresAt"], "2026-03-01T10:01:00Z");
    clock.set(instant("2026-03-01T10:00:50Z"));
    let used = text(&used["id"]).to_owned();
    assert_eq!(desk.get(&used).await["expiresAt"], "2026-03-01T10:01:50Z");
    clock.set(instant("2026-03-01T10:01:01Z"));
    // Lists do not count as coming for it.
    let state = async |id: &str| {
        let listed = desk.answer("ListImports", json!({})).await;
        let imports = listed["imports"].as_array().unwrap().clone();
        imports.iter().find(|one| one["id"] == id).map(|one| text(&one["state"]).to_owned())
    };
    eventually("it has expired", || async { state(&idle).await.as_deref() == Some("EXPIRED") })
        .await;
    assert_eq!(state(&used).await.as_deref(), Some("READY"));
    clock.set(instant("2026-03-01T10:03:00Z"));
    eventually("it is forgotten", || async { state(&idle).await.is_none() }).await;
    let refused = desk.refusal("GetImport", json!({ "importId": idle })).await;
    assert_eq!(refused, (Code::NotFound, "IMPORT_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn beyond_the_budget_uploads_are_refused_until_there_is_room() {
    let options = Options { imports_mib: 8, import_mib: 4, ..Options::default() };
    let desk = Importer::open_with(options).await;
    let csv = people(0..6_000);
    let mut held = Vec::new();
    loop {
        let import = desk.import("USERS", "a.csv", csv.as_bytes()).await;
        if import["state"] == "FAILED" {
            // It came, and could not be read: there was no room for its rows.
            assert_eq!(super::reasons(&import["errors"])[0].1, "IMPORT_MEMORY");
            break;
        }
        held.push(text(&import["id"]).to_owned());
        assert!(held.len() < 8, "a team has half of 8 MiB");
    }
    let large = people(0..40_000);
    let refused = desk.ask("UploadImport", super::upload("USERS", "a.csv", large.as_bytes())).await;
    assert_eq!(refused.refusal(), (Code::ResourceExhausted, "IMPORT_MEMORY".to_owned()));
    assert!(refused.failure().retry, "it says when to come back");
    assert!(!held.is_empty());
    // Another team has its own half.
    let stranger = desk.stranger().await;
    let theirs = desk
        .ask_by(&stranger, "UploadImport", super::upload("USERS", "a.csv", csv.as_bytes()))
        .await;
    assert_eq!(theirs.code, Code::Ok, "{theirs:?}");
    for id in &held {
        let cancelled = desk.answer("CancelImport", json!({ "importId": id })).await;
        assert_eq!(cancelled["state"], "CANCELLED");
        // Again is as good.
        desk.answer("CancelImport", json!({ "importId": id })).await;
    }
    desk.ready(&csv).await;
}

#[tokio::test]
async fn a_file_that_takes_more_than_one_import_may_fails_with_its_reason() {
    let options = Options { import_mib: 2, ..Options::default() };
    let desk = Importer::open_with(options).await;
    let csv = people(0..12_000);
    assert_eq!(desk.errors("a.csv", csv.as_bytes()).await[0].1, "IMPORT_TOO_LARGE");
    let large = vec![b'x'; 3 * 1024 * 1024];
    let outcome = desk.ask("UploadImport", super::upload("USERS", "a.csv", &large)).await;
    assert_eq!(outcome.refusal(), (Code::ResourceExhausted, "IMPORT_TOO_LARGE".to_owned()));
    // Nothing of these is left: small ones go on.
    desk.ready(&people(0..10)).await;
}

#[tokio::test]
async fn a_team_has_a_hundred_imports_and_the_oldest_that_are_over_make_room() {
    let desk = Importer::open().await;
    let first = text(&desk.import("USERS", "a.csv", b"nothing\n").await["id"]).to_owned();
    let mut ready = Vec::new();
    for n in 0..99 {
        ready.push(text(&desk.ready(&people(n..n + 1)).await["id"]).to_owned());
    }
    // The first one has failed: it goes.
    desk.ready(&people(500..501)).await;
    assert_eq!(desk.reason("GetImport", json!({ "importId": first })).await, "IMPORT_NOT_FOUND");
    let request = super::upload("USERS", "a.csv", people(600..601).as_bytes());
    let refused = desk.refusal("UploadImport", request.clone()).await;
    assert_eq!(refused, (Code::ResourceExhausted, "IMPORT_LIMIT".to_owned()));
    desk.answer("CancelImport", json!({ "importId": ready[7] })).await;
    desk.answer("UploadImport", request).await;
    assert_eq!(desk.reason("GetImport", json!({ "importId": ready[7] })).await, "IMPORT_NOT_FOUND");
}

#[tokio::test]
async fn an_import_that_is_given_up_while_it_is_checked_ends_at_once() {
    let desk = Importer::open().await;
    let file = books::many_people(20_000);
    let import = desk.upload("USERS", "a.xlsx", &file).await;
    let id = text(&import["id"]).to_owned();
    assert_eq!(desk.get(&id).await["state"], "CHECKING", "it takes a while");
    let cancelled = desk.answer("CancelImport", json!({ "importId": id })).await;
    assert_eq!(cancelled["state"], "CANCELLED");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(desk.get(&id).await["state"], "CANCELLED");
    assert_eq!(desk.reason("CommitImport", json!({ "importId": id })).await, "IMPORT_STATE");
}
