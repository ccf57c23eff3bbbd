//! Commits that are cut off: by a killed service, a restarted store, a caller who goes away.

use std::time::Duration;

use serde_json::json;
use tap_analytics::proto::tap_v1::{CommitImportRequest, imports_client::ImportsClient};
use tonic::Code;

use super::{Importer, OfImports, desk, number, people, text, upload};
use crate::{
    app::{
        App, Options, OwnPostgres, connect, cut_connections, eventually, new_database, store,
        wires::Door,
    },
    live::Service,
};

const ROWS: u32 = 4_000;

/// Uploads by a door, and waits until it is checked.
async fn ready_at(door: &Door, key: &str, csv: &str) -> String {
    let request = upload("USERS", "users.csv", csv.as_bytes());
    let import = desk::answer_at::<OfImports>(door, key, "UploadImport", request).await;
    let id = text(&import["id"]).to_owned();
    eventually("it is checked", || async {
        let import =
            desk::answer_at::<OfImports>(door, key, "GetImport", json!({ "importId": id })).await;
        import["state"] == "READY"
    })
    .await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_killed_stores_all_rows_or_none() {
    let url = new_database().await;
    let importer = Importer::at(App::on(store(&url), Options::default()).await).await;
    let mut service = Service::start(&url).await;
    let (mut all, mut none) = (0, 0);
    // Sometimes it is killed before it is committed, and sometimes after.
    let mut wait = Duration::ZERO;
    for round in 0..24 {
        if round >= 6 && all > 0 && none > 0 {
            break;
        }
        let door = Door::at(service.grpc).kept().await;
        let csv = people(round * ROWS..(round + 1) * ROWS);
        let id = ready_at(&door, &importer.key, &csv).await;
        let before = importer.count("users").await;
        let address = format!("http://{}", service.grpc);
        let mut client = ImportsClient::connect(address).await.unwrap();
        let mut commit = tonic::Request::new(CommitImportRequest {
            import_id: id.clone(),
            ..Default::default()
        });
        commit.metadata_mut().insert("x-api-key", importer.key.parse().unwrap());
        let commit = client.commit_import(commit);
        let kill = async {
            tokio::time::sleep(wait).await;
            service.kill();
        };
        let (_cut_off, ()) = tokio::join!(commit, kill);
        // The store notices within a moment.
        eventually("nobody is at it", || async {
            importer.app.scalar::<i64>("select count(*) from pg_stat_activity where datname = current_database() and usename = 'tap_app' and state <> 'idle' and query ilike '%users%'").await == 0
        })
        .await;
        let stored = importer.count("users").await - before;
        assert!(stored == 0 || stored == i64::from(ROWS), "{stored} rows");
        let noted = importer.count(&format!("imports where import_id = '{id}'")).await;
        assert_eq!(noted == 1, stored > 0);
        assert_eq!(
            importer
                .app
                .scalar::<i64>("select coalesce(sum(users), 0)::bigint from user_books")
                .await,
            importer.count("users").await
        );
        service.start_again().await;
        // What is asked again is told what came of it.
        let door = Door::at(service.grpc).kept().await;
        let again = json!({ "importId": id });
        let again = desk::ask_at::<OfImports>(&door, &importer.key, "CommitImport", again).await;
        if stored > 0 {
            assert_eq!(number(&again.answer()["result"]["insert"]), f64::from(ROWS));
            all += 1;
            wait /= 3;
        } else {
            assert_eq!(again.refusal(), (Code::NotFound, "IMPORT_NOT_FOUND".to_owned()));
            none += 1;
            wait = (wait * 2).max(Duration::from_millis(20));
        }
    }
    assert!(all > 0 && none > 0, "it was killed before and after: {all} {none}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_loses_its_connection_can_be_repeated() {
    let importer = Importer::open().await;
    let mut cut_off = 0;
    for round in 0..6 {
        let import = importer.ready(&people(round * ROWS..(round + 1) * ROWS)).await;
        let id = text(&import["id"]).to_owned();
        let before = importer.count("users").await;
        let commit = importer.ask("CommitImport", json!({ "importId": id }));
        let cut = async {
            tokio::time::sleep(Duration::from_millis(u64::from(round) * 30)).await;
            cut_connections(&importer.app.sql().await).await;
        };
        let (first, ()) = tokio::join!(commit, cut);
        cut_off += i32::from(first.code != Code::Ok);
        // Whatever came of the first, there is one way on.
        let mut tries = 0;
        let done = loop {
            let outcome = importer.ask("CommitImport", json!({ "importId": id })).await;
            if outcome.code == Code::Ok {
                break outcome.answer().clone();
            }
            assert_eq!(outcome.code, Code::Unavailable, "{outcome:?}");
            tries += 1;
            assert!(tries < 50);
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert_eq!(number(&done["result"]["insert"]), f64::from(ROWS));
        assert_eq!(importer.count("users").await - before, i64::from(ROWS));
    }
    assert!(cut_off > 0, "some of them were cut off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_may_be_away_while_a_file_is_checked_and_committed() {
    let postgres = OwnPostgres::start().await;
    let importer = Importer::at(App::on(store(&postgres.url), Options::default()).await).await;
    let import = importer.ready(&people(0..50)).await;
    let id = text(&import["id"]).to_owned();
    postgres.stop();
    let outcome = importer.ask("CommitImport", json!({ "importId": id })).await;
    assert_eq!(outcome.code, Code::Unavailable, "{outcome:?}");
    let held = importer.get(&id).await;
    assert_eq!(held["state"], "READY", "nothing of it is lost");
    // A file that cannot be checked says so.
    let other = importer.import("USERS", "a.csv", people(50..60).as_bytes()).await;
    assert_eq!(other["state"], "FAILED");
    assert_eq!(super::reasons(&other["errors"]), [super::pair("file", "IMPORT_INTERRUPTED")]);
    postgres.start_again();
    let sql = connect(&postgres.url).await;
    eventually("it is committed", || async {
        importer.ask("CommitImport", json!({ "importId": id })).await.code == Code::Ok
    })
    .await;
    let stored: i64 = sql.query_one("select count(*) from users", &[]).await.unwrap().get(0);
    assert_eq!(stored, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_goes_on_when_its_caller_goes_away() {
    let importer = Importer::open().await;
    let import = importer.ready(&people(0..ROWS)).await;
    let id = text(&import["id"]).to_owned();
    let commit = importer.ask("CommitImport", json!({ "importId": id }));
    let gone = tokio::time::timeout(Duration::from_millis(20), commit).await;
    assert!(gone.is_err(), "it takes longer");
    assert_eq!(importer.settled(&id).await["state"], "COMMITTED");
    assert_eq!(importer.count("users").await, i64::from(ROWS));
}
