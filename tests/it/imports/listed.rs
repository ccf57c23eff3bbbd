//! Lists of rows, imports and users: page by page, each once, and only the team's own.

use std::collections::HashSet;

use serde_json::{Value, json};
use tonic::Code;

use super::{Importer, number, people, phone, text, upload, with};

/// All pages of a list.
async fn pages(desk: &Importer, rpc: &str, request: Value, field: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let page = desk.answer(rpc, with(request.clone(), json!({ "pageToken": token }))).await;
        pages.push(super::all(&page, field));
        text(&page["nextPageToken"]).clone_into(&mut token);
        if token.is_empty() {
            return pages;
        }
    }
}

#[tokio::test]
async fn rows_are_listed_page_by_page_by_what_they_are() {
    let desk = Importer::open().await;
    let mut csv = people(0..60);
    for n in 0..25 {
        csv = csv.replace(&format!(",{},", phone(n)), if n % 2 == 0 { ",1," } else { ",," });
    }
    let import = desk.ready(&csv).await;
    let id = text(&import["id"]);
    let rows = async |filter: Value| {
        let request = with(json!({"importId": id, "pageSize": 7}), filter);
        pages(&desk, "ListImportRows", request, "rows").await
    };
    let all = rows(json!({})).await;
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [7, 7, 7, 7, 7, 7, 7, 7, 4]);
    let numbers: Vec<f64> = all.iter().flatten().map(|row| number(&row["row"])).collect();
    assert_eq!(numbers, (2..62).map(f64::from).collect::<Vec<_>>());
    let of = |pages: Vec<Vec<Value>>| pages.into_iter().flatten().count();
    assert_eq!(of(rows(json!({"status": "INVALID"})).await), 25);
    assert_eq!(of(rows(json!({"status": "VALID"})).await), 35);
    assert_eq!(of(rows(json!({"reason": "EMPTY"})).await), 12);
    assert_eq!(of(rows(json!({"reason": "EMPTY", "status": "VALID"})).await), 0);
    assert_eq!(of(rows(json!({"status": "SKIPPED"})).await), 0);
    // A token is good for its own question only.
    let first = desk.answer("ListImportRows", json!({"importId": id, "pageSize": 7})).await;
    let other = json!({"importId": id, "status": "VALID", "pageToken": first["nextPageToken"]});
    assert_eq!(desk.violations("ListImportRows", other).await[0].1, "MALFORMED_PAGE_TOKEN");
    let negative = json!({"importId": "?", "pageSize": -1, "status": 99});
    let bad = desk.ask("ListImportRows", negative).await;
    assert_eq!(bad.code, Code::InvalidArgument);
}

#[tokio::test]
async fn a_page_of_large_rows_has_fewer_and_goes_on_while_rows_are_stored() {
    let desk = Importer::open().await;
    let large = "x".repeat(16_000);
    let rows: Vec<String> = (0..150).map(|n| format!("{},{large}", super::person(n))).collect();
    let csv = format!("{},Note\n{}\n", super::TITLES, rows.join("\n")).replace(&phone(149), "1");
    let import = desk.ready(&csv).await;
    let id = text(&import["id"]);
    let request = json!({"importId": id, "pageSize": 1000});
    let first = desk.answer("ListImportRows", request.clone()).await;
    let rows = super::all(&first, "rows");
    assert!((50..90).contains(&rows.len()), "{}", rows.len());
    let listed = pages(&desk, "ListImportRows", request.clone(), "rows").await;
    assert_eq!(listed.iter().map(Vec::len).sum::<usize>(), 150);
    // What is left after it is stored comes after what was seen.
    desk.commit(id, "VALID_ONLY").await;
    let next = with(request, json!({"pageToken": first["nextPageToken"]}));
    let rest = super::all(&desk.answer("ListImportRows", next).await, "rows");
    assert_eq!(rest.iter().map(|row| number(&row["row"])).collect::<Vec<_>>(), [151.0]);
}

#[tokio::test]
async fn imports_that_are_held_and_stored_are_one_list() {
    let desk = Importer::open().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let csv = people(n..n + 1);
        let import = if n % 2 == 0 {
            desk.store(&csv).await["import"].clone()
        } else {
            desk.ready(&csv).await
        };
        ids.insert(0, text(&import["id"]).to_owned());
    }
    // Another replica knows of those that were committed.
    let (_app, door) = desk.replica(crate::app::Options::default()).await;
    let there =
        super::desk::answer_at::<super::OfImports>(&door, &desk.key, "ListImports", json!({}))
            .await;
    let theirs: Vec<&str> =
        there["imports"].as_array().unwrap().iter().map(|one| text(&one["id"])).collect();
    assert_eq!(theirs, [&*ids[0], &*ids[2], &*ids[4]]);
    let listed = pages(&desk, "ListImports", json!({"pageSize": 2}), "imports").await;
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let found: Vec<&str> = listed.iter().flatten().map(|one| text(&one["id"])).collect();
    assert_eq!(found, ids);
}

#[tokio::test]
async fn users_are_listed_searched_shown_and_deleted() {
    let desk = Importer::open().await;
    let first = desk.store(&people(0..25)).await;
    desk.store(&people(25..30).replace("Person 27", "Ünal % 27")).await;
    let listed = pages(&desk, "ListUsers", json!({"pageSize": 10}), "users").await;
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10]);
    let ids: HashSet<&str> = listed.iter().flatten().map(|user| text(&user["id"])).collect();
    assert_eq!(ids.len(), 30);
    let found = async |text: &str| {
        super::all(&desk.answer("ListUsers", json!({ "text": text })).await, "users")
    };
    assert_eq!(found("person 1").await.len(), 11);
    assert_eq!(found("+250788000003").await.len(), 1);
    assert_eq!(found("P7@EXAMPLE").await.len(), 1);
    assert_eq!(found(&super::nid(9)).await.len(), 1);
    assert_eq!(found("%").await.len(), 1, "it is no pattern");
    let by = json!({"importId": first["import"]["id"], "pageSize": 100});
    assert_eq!(desk.answer("ListUsers", by).await["users"].as_array().unwrap().len(), 25);

    let id = found("ünal").await[0]["id"].clone();
    let user = desk.answer("GetUser", json!({ "userId": id })).await;
    assert_eq!(text(&user["phone"]), "+250788000027");
    desk.answer("DeleteUser", json!({ "userId": id })).await;
    let gone = (Code::NotFound, "USER_NOT_FOUND".to_owned());
    assert_eq!(desk.refusal("GetUser", json!({ "userId": id })).await, gone);
    assert_eq!(desk.refusal("DeleteUser", json!({ "userId": id })).await, gone);
    assert_eq!(desk.app.scalar::<i64>("select users from user_books").await, 29);
    // Who was deleted can be stored again.
    let again = desk.store(&people(27..28)).await;
    assert_eq!(number(&again["result"]["insert"]), 1.0);
}

#[tokio::test]
async fn nothing_of_another_team_is_there() {
    let desk = Importer::open().await;
    let stored = desk.store(&people(0..3)).await;
    let held = desk.ready(&people(3..6)).await;
    let user = desk.users().await[0]["id"].clone();
    let stranger = desk.stranger().await;
    let ask = async |rpc: &str, request: Value| desk.ask_by(&stranger, rpc, request).await;
    for id in [&held["id"], &stored["import"]["id"]] {
        for (rpc, more) in [
            ("GetImport", json!({})),
            ("WatchImport", json!({})),
            ("ListImportRows", json!({})),
            ("PatchImportRow", json!({"row": 2, "skipped": true})),
            ("GetImportReport", json!({})),
            ("CommitImport", json!({"mode": "VALID_ONLY"})),
            ("CommitImport", json!({"validateOnly": true})),
            ("CancelImport", json!({})),
        ] {
            let refused = ask(rpc, with(json!({ "importId": id }), more)).await.refusal();
            assert_eq!(refused, (Code::NotFound, "IMPORT_NOT_FOUND".to_owned()), "{rpc}");
        }
    }
    for rpc in ["GetUser", "DeleteUser"] {
        let refused = ask(rpc, json!({ "userId": user })).await.refusal();
        assert_eq!(refused, (Code::NotFound, "USER_NOT_FOUND".to_owned()));
    }
    for (rpc, field) in [("ListImports", "imports"), ("ListUsers", "users")] {
        assert!(super::all(ask(rpc, json!({})).await.answer(), field).is_empty());
    }
    // The same people are theirs as well as ours: nobody learns of the others.
    let theirs = ask("UploadImport", upload("USERS", "a.csv", people(0..3).as_bytes())).await;
    let id = theirs.answer()["id"].clone();
    crate::app::eventually("it is checked", || async {
        ask("GetImport", json!({ "importId": id })).await.answer()["state"] == "READY"
    })
    .await;
    let import = ask("GetImport", json!({ "importId": id })).await;
    assert_eq!(number(&import.answer()["plan"]["insert"]), 3.0);
}
