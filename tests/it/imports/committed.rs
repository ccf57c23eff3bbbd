//! Commits: all of what is to be stored or nothing, once, and as the dry run said.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use super::{Importer, nid, number, people, person, phone, text, with};
use crate::app::Options;

fn result(answer: &Value) -> [f64; 4] {
    ["insert", "update", "unchanged", "conflict"].map(|name| number(&answer["result"][name]))
}

#[tokio::test]
async fn what_was_checked_is_stored_and_what_was_bad_can_still_be_seen() {
    let desk = Importer::open().await;
    let csv = people(0..10).replace(&phone(3), "1").replace(&nid(5), &nid(4));
    let import = desk.ready(&csv).await;
    let id = text(&import["id"]);
    let refused = desk.ask("CommitImport", json!({ "importId": id })).await;
    assert_eq!(refused.refusal(), (Code::FailedPrecondition, "IMPORT_BAD_ROWS".to_owned()));
    assert!(refused.failure().message.starts_with("3 rows are bad"), "{refused:?}");
    assert_eq!(desk.count("users").await, 0);
    assert_eq!(desk.get(id).await["state"], "READY");

    let done = desk.commit(id, "VALID_ONLY").await;
    assert_eq!(result(&done), [7.0, 0.0, 0.0, 0.0]);
    assert_eq!(number(&done["leftOut"]), 3.0);
    assert_eq!(done["import"]["state"], "COMMITTED");
    assert_eq!(number(&done["import"]["counts"]["committed"]), 7.0);
    assert_eq!(desk.count("users").await, 7);
    let left: Vec<f64> =
        desk.rows(id, json!({})).await.iter().map(|row| number(&row["row"])).collect();
    assert_eq!(left, [5.0, 6.0, 7.0]);
    let user = &desk.users().await[0];
    assert_eq!(text(&user["names"]), "Person 0");
    assert_eq!((text(&user["phone"]), text(&user["gender"])), ("+250788000000", "F"));
    assert_eq!(text(&user["importId"]), id);
    let cancel = desk.answer("CancelImport", json!({ "importId": id })).await;
    assert_eq!(cancel["state"], "COMMITTED", "what is stored stays so");
}

#[tokio::test]
async fn a_commit_that_is_repeated_changes_nothing_and_answers_as_the_first() {
    let desk = Importer::open().await;
    let import = desk.ready(&people(0..5)).await;
    let id = text(&import["id"]);
    let request = json!({ "importId": id, "requestId": Uuid::new_v4().to_string() });
    let first = desk.answer("CommitImport", request.clone()).await;
    let versions = "select count(distinct xmin::text) from users";
    let before: i64 = desk.app.scalar(versions).await;
    for more in
        [json!({}), json!({"requestId": ""}), json!({"requestId": Uuid::new_v4().to_string()})]
    {
        let again = desk.answer("CommitImport", with(request.clone(), more)).await;
        assert_eq!(result(&again), result(&first));
    }
    // Also where nothing is held of it.
    let (_app, door) = desk.replica(Options::default()).await;
    let there =
        super::desk::answer_at::<super::OfImports>(&door, &desk.key, "CommitImport", request).await;
    assert_eq!(result(&there), result(&first));
    assert_eq!(desk.app.scalar::<i64>(versions).await, before);
    assert_eq!((desk.count("users").await, desk.count("imports").await), (5, 1));
    // The same file again is another import, and changes nothing either.
    let again = desk.store(&people(0..5)).await;
    assert_eq!(result(&again), [0.0, 0.0, 5.0, 0.0]);
    assert_eq!(desk.app.scalar::<i64>(versions).await, before);
}

#[tokio::test]
async fn a_request_id_is_good_for_one_commit() {
    let desk = Importer::open().await;
    let one = desk.ready(&people(0..2)).await;
    let two = desk.ready(&people(2..4)).await;
    let request = Uuid::new_v4().to_string();
    desk.answer("CommitImport", json!({"importId": one["id"], "requestId": request})).await;
    let other = json!({"importId": two["id"], "requestId": request});
    assert_eq!(desk.reason("CommitImport", other).await, "REQUEST_ID_USED");
    assert_eq!(desk.get(text(&two["id"])).await["state"], "READY", "it can be tried again");
    assert_eq!(desk.count("users").await, 2);
    desk.commit(text(&two["id"]), "ALL_OR_NOTHING").await;
    assert_eq!(desk.count("users").await, 4);
}

#[tokio::test]
async fn the_dry_run_says_what_the_commit_does_and_stores_nothing() {
    let desk = Importer::open().await;
    desk.store(&people(0..6)).await;
    let csv = format!(
        "{}{}\n{}\n{}\n",
        people(0..2),
        person(2).replace("Person", "Renamed"),
        person(3).replace(&phone(3), &phone(1_000)),
        person(9).replace("p9@", "p4@"),
    );
    let csv = format!("{csv}{}\n", person(10));
    let import = desk.ready(&csv).await;
    let id = text(&import["id"]);
    let dry = json!({"importId": id, "mode": "VALID_ONLY", "validateOnly": true});
    let said = desk.answer("CommitImport", dry.clone()).await;
    assert_eq!(result(&said), [1.0, 2.0, 2.0, 1.0]);
    assert_eq!(desk.count("users where updated_at > created_at").await, 0);
    // By the same checks it is refused, too.
    let strict = with(dry, json!({"mode": "ALL_OR_NOTHING"}));
    assert_eq!(desk.reason("CommitImport", strict).await, "IMPORT_BAD_ROWS");
    let done = desk.commit(id, "VALID_ONLY").await;
    assert_eq!(result(&done), result(&said));
    assert_eq!(number(&done["leftOut"]), 1.0);
    assert_eq!(desk.count("users where updated_at > created_at").await, 2);
    assert_eq!(desk.count("users where names = 'Renamed 2'").await, 1);
    assert_eq!(desk.count("users where phone = '+250788001000'").await, 1);
    assert_eq!(desk.app.scalar::<i64>("select users from user_books").await, 7);
}

#[tokio::test]
async fn what_changed_in_the_store_since_the_check_is_seen_by_the_commit() {
    let desk = Importer::open().await;
    let one = desk.ready(&people(0..3)).await;
    // Another import takes a phone number, and stores somebody, in between.
    let taken = person(50).replace(&phone(50), &phone(1));
    desk.store(&format!("{}{taken}\n", people(0..1))).await;
    let id = text(&one["id"]);
    let strict = desk.ask("CommitImport", json!({ "importId": id })).await;
    assert_eq!(strict.refusal().1, "IMPORT_BAD_ROWS");
    assert_eq!(desk.get(id).await["state"], "READY");
    assert_eq!(desk.count("users").await, 2, "all or nothing");
    let done = desk.commit(id, "VALID_ONLY").await;
    assert_eq!(result(&done), [1.0, 0.0, 1.0, 1.0]);
    assert_eq!(desk.count("users").await, 3);
    // Which one was left out, and why, is to be seen.
    let left = desk.rows(id, json!({"status": "INVALID"})).await;
    assert_eq!(left.len(), 1);
    assert_eq!(super::bad(&left[0]), [super::pair("phone", "TAKEN")]);
    let counts = &done["import"]["counts"];
    assert_eq!((number(&counts["valid"]), number(&counts["invalid"])), (2.0, 1.0));
}

#[tokio::test]
async fn tags_need_the_scope_of_tags_and_rows_that_of_looking() {
    use tap_analytics::access::model::Scope;
    let desk = Importer::open().await;
    let writes = desk.app.key(desk.team.id, None, &[Scope::ImportsWrite], None).await;
    let missing = (Code::PermissionDenied, "SCOPE_MISSING".to_owned());
    let tags = super::upload("TAGS", "tags.csv", b"uid\ndoor\n");
    assert_eq!(desk.ask_by(&writes, "UploadImport", tags).await.refusal(), missing);
    let ready = desk.import("TAGS", "tags.csv", b"uid\ndoor\n").await;
    let commit = json!({"importId": ready["id"]});
    assert_eq!(desk.ask_by(&writes, "CommitImport", commit).await.refusal(), missing);
    assert_eq!(desk.count("tags").await, 0);
    let users = desk.ready(&people(0..2)).await;
    let patch = json!({"importId": users["id"], "row": 2, "skipped": true});
    assert_eq!(desk.ask_by(&writes, "PatchImportRow", patch).await.refusal(), missing);
    let commit = desk.ask_by(&writes, "CommitImport", json!({"importId": users["id"]})).await;
    assert_eq!(commit.code, Code::Ok);
}

#[tokio::test]
async fn of_many_that_commit_one_import_one_does() {
    let desk = Arc::new(Importer::open().await);
    let import = desk.ready(&people(0..200)).await;
    let id = text(&import["id"]).to_owned();
    let commits = (0..16).map(|_| {
        let (desk, id) = (Arc::clone(&desk), id.clone());
        async move { desk.commit(&id, "ALL_OR_NOTHING").await }
    });
    for answer in join_all(commits).await {
        assert_eq!(result(&answer), [200.0, 0.0, 0.0, 0.0]);
    }
    assert_eq!((desk.count("users").await, desk.count("imports").await), (200, 1));
}

#[tokio::test]
async fn imports_that_overlap_are_committed_one_after_another() {
    let desk = Arc::new(Importer::open().await);
    // Each has its own people, and all have ten in common.
    let ids = join_all((0..6).map(|n| {
        let desk = Arc::clone(&desk);
        async move {
            let csv = format!(
                "{}{}",
                people(0..10),
                &people(100 * (n + 1)..100 * (n + 1) + 20)[super::TITLES.len() + 1..]
            );
            text(&desk.ready(&csv).await["id"]).to_owned()
        }
    }))
    .await;
    let (_app, door) = desk.replica(Options::default()).await;
    let _ = door;
    let done = join_all(ids.iter().map(|id| desk.commit(id, "ALL_OR_NOTHING"))).await;
    let inserted: f64 = done.iter().map(|answer| result(answer)[0]).sum();
    let unchanged: f64 = done.iter().map(|answer| result(answer)[2]).sum();
    assert_eq!((inserted, unchanged), (130.0, 50.0));
    assert_eq!(desk.count("users").await, 130);
}

#[tokio::test]
async fn an_etag_that_is_stale_stores_nothing() {
    let desk = Importer::open().await;
    let import = desk.ready(&people(0..2)).await;
    let id = text(&import["id"]);
    desk.patch(id, 2, json!({"names": "Somebody Else"})).await;
    let request = json!({"importId": id, "etag": import["etag"]});
    assert_eq!(
        desk.refusal("CommitImport", request.clone()).await,
        (Code::Aborted, "ETAG_MISMATCH".to_owned())
    );
    let fresh = with(request, json!({"etag": desk.get(id).await["etag"]}));
    desk.answer("CommitImport", fresh).await;
    assert_eq!(desk.count("users where names = 'Somebody Else'").await, 1);
}

#[tokio::test]
async fn rows_that_were_left_out_by_hand_keep_nobody_from_all_or_nothing() {
    let desk = Importer::open().await;
    let import = desk.ready(&people(0..3).replace(&phone(1), "1")).await;
    let id = text(&import["id"]);
    desk.answer("PatchImportRow", json!({"importId": id, "row": 3, "skipped": true})).await;
    let done = desk.commit(id, "ALL_OR_NOTHING").await;
    assert_eq!((result(&done)[0], number(&done["leftOut"])), (2.0, 1.0));
}

#[tokio::test]
async fn a_team_has_no_more_users_than_it_may() {
    let desk = Importer::open_with(Options { team_users_max: 5, ..Options::default() }).await;
    desk.store(&people(0..4)).await;
    let import = desk.ready(&people(3..6)).await;
    let id = text(&import["id"]);
    let refused = desk.refusal("CommitImport", json!({ "importId": id })).await;
    assert_eq!(refused, (Code::ResourceExhausted, "USER_LIMIT".to_owned()));
    assert_eq!(desk.count("users").await, 4);
    desk.answer("PatchImportRow", json!({"importId": id, "row": 4, "skipped": true})).await;
    assert_eq!(result(&desk.commit(id, "ALL_OR_NOTHING").await), [1.0, 0.0, 1.0, 0.0]);
}

#[tokio::test]
async fn what_is_asked_of_a_commit_is_checked() {
    let desk = Importer::open().await;
    let bad = json!({"importId": "?", "requestId": "?"});
    let bad: Vec<String> =
        desk.violations("CommitImport", bad).await.into_iter().map(|bad| bad.0).collect();
    assert_eq!(bad, ["import_id", "request_id"]);
    let nobody = json!({"importId": Uuid::new_v4().to_string()});
    assert_eq!(desk.reason("CommitImport", nobody).await, "IMPORT_NOT_FOUND");
    let failed = desk.import("USERS", "a.csv", b"nothing\n").await;
    let refused = desk.refusal("CommitImport", json!({"importId": failed["id"]})).await;
    assert_eq!(refused, (Code::FailedPrecondition, "IMPORT_STATE".to_owned()));
}
