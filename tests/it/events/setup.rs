//! Sessions, event types, settings, the ledger.

use serde_json::{Value, json};
use tap_analytics::clock::Clock;
use tonic::Code;

use super::{Desk, event, new_id, with};
use crate::app::{Options, instant};

#[tokio::test]
async fn a_session_keeps_the_id_that_it_was_given() {
    let desk = Desk::open().await;
    let (id, tap) = (new_id(), new_id());
    let request = json!({"id": id, "tap_id": tap});
    let made = desk.answer("CreateSession", request.clone()).await;
    assert_eq!((&made["session"]["id"], &made["session"]["tapId"]), (&json!(id), &json!(tap)));
    assert_eq!(made["session"]["application"], "test");
    assert_eq!(desk.answer("CreateSession", request).await, made, "made twice it is one");
    assert_eq!(desk.answer("CreateSession", json!({"id": id})).await, made);
    assert_eq!(desk.answer("GetSession", json!({"id": id})).await, made);
    let moved = desk.refusal("CreateSession", json!({"id": id, "tap_id": new_id()})).await;
    assert_eq!(moved, (Code::AlreadyExists, "SESSION_EXISTS".to_owned()));
    let other = desk.session().await;
    let listed = desk.answer("ListSessions", json!({})).await;
    let ids: Vec<&str> =
        listed["sessions"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [other.as_str(), id.as_str()], "the newest first");
    let of_tap = desk.answer("ListSessions", json!({"tap_id": tap})).await;
    assert_eq!(of_tap["sessions"].as_array().unwrap().len(), 1);
    let page = desk.answer("ListSessions", json!({"page_size": 1})).await;
    let next = json!({"page_size": 1, "page_token": page["nextPageToken"]});
    let next = desk.answer("ListSessions", next).await;
    assert_eq!((&next["sessions"][0]["id"], next.get("nextPageToken")), (&json!(id), None));
    let unknown = desk.refusal("GetSession", json!({"id": new_id()})).await;
    assert_eq!(unknown, (Code::NotFound, "SESSION_NOT_FOUND".to_owned()));
    let zeros = "00000000-0000-0000-0000-000000000000";
    let bad = desk.violations("CreateSession", json!({"id": zeros, "tap_id": "x"})).await;
    assert_eq!(bad.len(), 2);
}

#[tokio::test]
async fn an_unknown_session_is_made_with_its_own_id_where_the_team_wants_that() {
    let desk = Desk::open().await;
    let ghost = new_id();
    desk.refuse(event(&ghost, "page", "view")).await;
    let settings = desk.answer("UpdateEventSettings", json!({"unknown_sessions": "CREATE"})).await;
    assert_eq!(settings, json!({"settings": {"unknownSessions": "CREATE"}}));
    let other = new_id();
    let events =
        [event(&ghost, "page", "view"), event(&ghost, "page", "leave"), event(&other, "a", "b")];
    let ids = desk.store(&events).await;
    let stored = desk.answer("GetEvent", json!({"event_id": ids[0]})).await;
    assert_eq!(stored["event"]["sessionId"], ghost.as_str());
    let listed = desk.answer("ListSessions", json!({})).await;
    let mut made: Vec<&str> =
        listed["sessions"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    made.sort_unstable();
    let mut expected = [ghost.as_str(), other.as_str()];
    expected.sort_unstable();
    assert_eq!(made, expected, "one session for each id, with that id");
    let third = new_id();
    let moved = json!({"event_id": ids[0], "etag": "*", "session_id": third});
    desk.answer("UpdateEvent", moved).await;
    // Whoever knows the tap that it came from may say so later, once.
    let made = desk.answer("GetSession", json!({"id": third})).await;
    assert_eq!(made["session"].get("tapId"), None);
    let tap = json!({"id": third, "tap_id": new_id()});
    let known = desk.answer("CreateSession", tap.clone()).await;
    assert_eq!(known["session"]["tapId"], tap["tap_id"]);
    let other = desk.refusal("CreateSession", json!({"id": third, "tap_id": new_id()})).await;
    assert_eq!(other, (Code::AlreadyExists, "SESSION_EXISTS".to_owned()));
    desk.balance().await;
}

#[tokio::test]
async fn data_is_held_to_the_schema_of_its_type_as_it_is_now() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let event = event(&session, "shop", "buy item");
    let named = json!({"category": "shop", "name": "buy item"});
    let sent = |price: Value| with(event.clone(), json!({"data": {"price": price}}));
    desk.store(&[sent(json!("free"))]).await;
    let schema = json!({"type": "object", "properties": {"price": {"type": "number"}}});
    let put = with(named.clone(), json!({"schema": schema}));
    let first = desk.answer("PutEventType", put.clone()).await["type"].clone();
    assert_eq!(first["schema"], schema);
    let error = desk.refuse(sent(json!("free"))).await;
    assert_eq!(error["violations"][0]["field"], "data.price");
    desk.store(&[sent(json!(3))]).await;
    // Another schema holds from then on, wherever the old one was compiled.
    let looser = with(put, json!({"schema": {"type": "object"}, "etag": first["etag"]}));
    let second = desk.answer("PutEventType", looser.clone()).await["type"].clone();
    assert_eq!(second["createdAt"], first["createdAt"]);
    let late = desk.refusal("PutEventType", looser).await;
    assert_eq!(late, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    desk.store(&[sent(json!("free"))]).await;
    assert_eq!(desk.answer("GetEventType", named.clone()).await["type"], second);

    desk.answer("UpdateEventSettings", json!({"unknown_types": "REFUSE"})).await;
    desk.store(&[sent(json!(1))]).await;
    desk.answer("DeleteEventType", named.clone()).await;
    let error = desk.refuse(sent(json!(1))).await;
    assert_eq!(error["reason"], "UNKNOWN_EVENT_TYPE");
    let gone = (Code::NotFound, "EVENT_TYPE_NOT_FOUND".to_owned());
    assert_eq!(desk.refusal("DeleteEventType", named.clone()).await, gone);
    assert_eq!(desk.refusal("GetEventType", named).await, gone);
    let settings = desk.answer("UpdateEventSettings", json!({"unknown_types": "ACCEPT"})).await;
    assert_eq!(settings, json!({"settings": {}}));
    assert_eq!(desk.answer("GetEventSettings", json!({})).await, settings);
    desk.store(&[sent(json!(1))]).await;
    desk.balance().await;
}

#[tokio::test]
async fn schemas_that_could_harm_or_cannot_be_are_refused_with_the_reason() {
    let desk = Desk::open().await;
    let mut bomb = json!({"$defs": {"d0": {"type": "string"}}, "$ref": "#/$defs/d24"});
    for nth in 1..25 {
        let below = json!({"$ref": format!("#/$defs/d{}", nth - 1)});
        bomb["$defs"][format!("d{nth}")] = json!({"allOf": [below, below]});
    }
    for (schema, reason) in [
        (json!({"$ref": "#"}), "SCHEMA_REF"),
        (json!({"$ref": "http://127.0.0.1/schema.json"}), "SCHEMA_REF"),
        (json!({"$ref": "file:///etc/passwd"}), "SCHEMA_REF"),
        (bomb, "SCHEMA_TOO_COMPLEX"),
        (json!({"type": "moon"}), "MALFORMED_SCHEMA"),
        (json!({"pattern": "("}), "MALFORMED_SCHEMA"),
    ] {
        let put = json!({"category": "a", "name": "b", "schema": schema});
        let refused = desk.violations("PutEventType", put).await;
        assert_eq!(refused, [("schema".to_owned(), reason.to_owned())], "{schema}");
    }
    for (category, name) in
        [("", "x"), ("a/b", "x"), ("..", "x"), ("a", "?"), ("a", "%2F"), ("a", "\n")]
    {
        let put = json!({"category": category, "name": name, "schema": {}});
        let refused = desk.violations("PutEventType", put).await;
        assert_eq!(refused.len(), 1, "{category:?} {name:?}: {refused:?}");
    }
}

#[tokio::test]
async fn event_types_are_listed_by_name_and_are_not_without_end() {
    let desk = Desk::open().await;
    for (category, name) in [("b", "a"), ("a", "b"), ("B", "x"), ("a", "a")] {
        let put = json!({"category": category, "name": name, "schema": {"type": "object"}});
        desk.answer("PutEventType", put).await;
    }
    let mut found = Vec::new();
    let mut request = json!({"page_size": 3});
    loop {
        let page = desk.answer("ListEventTypes", request.clone()).await;
        for kind in page["types"].as_array().unwrap() {
            found.push(format!(
                "{} {}",
                kind["category"].as_str().unwrap(),
                kind["name"].as_str().unwrap()
            ));
        }
        let Some(token) = page.get("nextPageToken") else { break };
        request["page_token"] = token.clone();
    }
    assert_eq!(found, ["B x", "a a", "a b", "b a"]);
    let of_one = desk.answer("ListEventTypes", json!({"category": "a"})).await;
    assert_eq!(of_one["types"].as_array().unwrap().len(), 2);
    let many = format!(
        "insert into event_types select {}, 'many', n::text, now(), now(), '{{}}', gen_random_uuid()
         from generate_series(1, 996) n", desk.team.id
    );
    desk.app.sql().await.batch_execute(&many).await.unwrap();
    let full = json!({"category": "one", "name": "more", "schema": {}});
    let full = desk.refusal("PutEventType", full).await;
    assert_eq!(full, (Code::ResourceExhausted, "EVENT_TYPE_LIMIT".to_owned()));
    let there = json!({"category": "a", "name": "a", "schema": {}});
    desk.answer("PutEventType", there).await;
}

#[tokio::test]
async fn the_ledger_accounts_for_each_minute_and_for_all() {
    let clock = Clock::fixed(instant("2026-11-28T12:00:30Z"));
    let desk = Desk::open_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let session = desk.session().await;
    let good = with(event(&session, "a", "b"), json!({"event_id": new_id()}));
    desk.settle(&[good.clone(), good.clone(), json!({})]).await;
    clock.set(instant("2026-11-28T12:02:59Z"));
    desk.settle(&[good]).await;
    clock.set(instant("2026-11-28T12:03:10Z"));
    let ledger = desk.answer("GetIngestLedger", json!({})).await;
    let minutes = json!([
        {"minute": "2026-11-28T12:02:00Z", "received": 1.0, "duplicate": 1.0},
        {"minute": "2026-11-28T12:00:00Z", "received": 3.0, "stored": 1.0, "duplicate": 1.0, "rejected": 1.0},
    ]);
    assert_eq!(ledger["minutes"], minutes);
    let total = json!({"minute": "2026-11-28T11:03:00Z", "received": 4.0, "stored": 1.0, "duplicate": 2.0, "rejected": 1.0});
    assert_eq!(ledger["total"], total);
    // A part of a minute is the minute: or it would not add up.
    let part = json!({"start": "2026-11-28T12:02:10Z", "end": "2026-11-28T12:02:20Z"});
    let part = desk.answer("GetIngestLedger", part).await;
    assert_eq!(part["total"]["received"], json!(1.0));
    let first = desk.answer("GetIngestLedger", json!({"page_size": 1})).await;
    let second = json!({"page_size": 1, "page_token": first["nextPageToken"]});
    let second = desk.answer("GetIngestLedger", second).await;
    assert_eq!((&second["minutes"][0], second.get("nextPageToken")), (&minutes[1], None));
    assert_eq!((&first["total"], &second["total"]), (&total, &total));
    let empty = json!({"start": "2026-11-28T12:00:00Z", "end": "2026-11-28T11:00:00Z"});
    let empty = desk.violations("GetIngestLedger", empty).await;
    assert_eq!(empty, [("end".to_owned(), "END_NOT_AFTER_START".to_owned())]);

    // What waits is pending, from the moment at which it is answered for.
    let hold =
        format!("begin; select from event_heads where team_id = {} for update", desk.team.id);
    let sql = desk.app.sql().await;
    sql.batch_execute(&hold).await.unwrap();
    let receipts = desk.send(&[json!({}), json!({})]).await;
    let ledger = desk.answer("GetIngestLedger", json!({})).await;
    assert_eq!(
        (&ledger["minutes"][0]["received"], &ledger["minutes"][0]["pending"]),
        (&json!(2.0), &json!(2.0))
    );
    sql.batch_execute("commit").await.unwrap();
    for receipt in receipts {
        desk.fate(&receipt).await;
    }
    assert_eq!(desk.balance().await, [6, 1, 2, 3, 0]);
}
