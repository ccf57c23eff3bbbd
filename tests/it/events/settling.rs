//! What becomes of events that are sent.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tonic::Code;

use super::{Desk, as_sent, event, new_id, with, without};
use crate::app::{Options, eventually, instant};

/// Fields and reasons of an event error.
fn wrong(error: &Value) -> Vec<(&str, &str)> {
    let violations = error["violations"].as_array().unwrap().iter();
    violations.map(|v| (v["field"].as_str().unwrap(), v["reason"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn both_forms_of_an_event_are_stored_whole() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let flat = json!({
        "session_id": session,
        "category": "page",
        "name": "view",
        "data": {"host": "cafe.example", "path": "/menu", "n": 3, "deep": {"list": [1, 2.5, null, true]}},
        "timestamp": "2021-01-01 09:15:27.243860",
    });
    let mut nested = without(flat.clone(), "session_id");
    nested["session"] = json!({"id": session});
    for sent in [flat.clone(), nested] {
        let id = desk.store(&[sent]).await.remove(0);
        let stored = desk.answer("GetEvent", json!({"event_id": id})).await["event"].clone();
        assert_eq!(stored["sessionId"], session.as_str());
        assert_eq!((&stored["category"], &stored["name"]), (&json!("page"), &json!("view")));
        assert_eq!(stored["data"], as_sent(&flat["data"]));
        assert_eq!(stored["occurredAt"], "2021-01-01T09:15:27.243860Z");
        assert_eq!(stored["application"], "test");
        assert_eq!(stored["etag"], "1");
    }
    assert_eq!(desk.balance().await, [2, 2, 0, 0, 0]);
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_kept_with_its_reason_and_keeps_nothing_else_out() {
    let now = instant("2026-11-28T12:00:00Z");
    let desk = Desk::open_with(Options {
        clock: tap_analytics::clock::Clock::fixed(now),
        ..Options::default()
    })
    .await;
    let session = desk.session().await;
    let schema = json!({"type": "object", "required": ["price"],
        "properties": {"price": {"type": "number", "minimum": 0}}});
    let kind = json!({"category": "shop", "name": "buy", "schema": schema});
    desk.answer("PutEventType", kind).await;
    let good = event(&session, "page", "view");
    let long = "x".repeat(66_000);
    let unknown = new_id();
    let cases: Vec<(Value, Vec<(&str, &str)>)> = vec![
        (
            with(good.clone(), json!({"occurred_at": "2026-11-28T12:00:05.000001Z"})),
            vec![("occurred_at", "TIMESTAMP_IN_FUTURE")],
        ),
        (
            with(good.clone(), json!({"occurred_at": "yesterday"})),
            vec![("occurred_at", "MALFORMED_DATE")],
        ),
        (without(good.clone(), "occurred_at"), vec![("occurred_at", "REQUIRED")]),
        (with(good.clone(), json!({"data": {}})), vec![("data", "REQUIRED")]),
        (with(good.clone(), json!({"data": [1]})), vec![("data", "WRONG_TYPE")]),
        (with(good.clone(), json!({"data": "text"})), vec![("data", "WRONG_TYPE")]),
        (without(good.clone(), "data"), vec![("data", "REQUIRED")]),
        (without(good.clone(), "category"), vec![("category", "REQUIRED")]),
        (without(good.clone(), "name"), vec![("name", "REQUIRED")]),
        (with(good.clone(), json!({"category": "x".repeat(51)})), vec![("category", "TOO_LONG")]),
        (with(good.clone(), json!({"name": "x".repeat(151)})), vec![("name", "TOO_LONG")]),
        (with(good.clone(), json!({"category": 5})), vec![("category", "WRONG_TYPE")]),
        (
            with(good.clone(), json!({"session_id": unknown})),
            vec![("session_id", "UNKNOWN_SESSION")],
        ),
        (without(good.clone(), "session_id"), vec![("session_id", "REQUIRED")]),
        (with(good.clone(), json!({"session_id": "me"})), vec![("session_id", "MALFORMED_UUID")]),
        (
            with(good.clone(), json!({"session": {"id": unknown}})),
            vec![("session_id", "CONFLICTING_FIELDS")],
        ),
        (with(good.clone(), json!({"event_id": 7})), vec![("event_id", "WRONG_TYPE")]),
        (with(good.clone(), json!({"catagory": "page"})), vec![("catagory", "UNKNOWN_FIELD")]),
        (with(good.clone(), json!({"data": {"long": long}})), vec![("event", "TOO_LARGE")]),
        (
            with(good.clone(), json!({"data": {"nul": "a\u{0}b"}})),
            vec![("data.nul", "MALFORMED_TEXT")],
        ),
        (
            with(event(&session, "shop", "buy"), json!({"data": {"price": "3"}})),
            vec![("data.price", "SCHEMA_VIOLATION")],
        ),
        (
            with(event(&session, "shop", "buy"), json!({"data": {"cost": 3}})),
            vec![("data", "SCHEMA_VIOLATION")],
        ),
        (json!("garbage"), vec![("event", "NOT_AN_OBJECT")]),
        (json!(null), vec![("event", "NOT_AN_OBJECT")]),
        (
            json!({}),
            vec![
                ("category", "REQUIRED"),
                ("name", "REQUIRED"),
                ("data", "REQUIRED"),
                ("occurred_at", "REQUIRED"),
                ("session_id", "REQUIRED"),
            ],
        ),
    ];
    // In one batch, each bad one between two good ones.
    let mut batch = vec![good.clone()];
    for (bad, _) in &cases {
        batch.extend([bad.clone(), good.clone()]);
    }
    let fates = desk.settle(&batch).await;
    for (at, fate) in fates.iter().enumerate() {
        if at % 2 == 0 {
            assert_eq!(fate["state"], "STORED", "{at}: {fate}");
            continue;
        }
        let (sent, expected) = &cases[at / 2];
        assert_eq!(fate["state"], "REJECTED", "{sent}");
        let error =
            desk.answer("GetEventError", json!({"id": fate["errorId"]})).await["error"].clone();
        assert_eq!(wrong(&error), *expected, "{sent}");
        assert_eq!(error["reason"], expected[0].1);
        assert_eq!(*error.get("payload").unwrap_or(&Value::Null), as_sent(sent), "the whole event");
        assert_eq!(error["application"], "test");
        assert_eq!(error["receivedAt"], "2026-11-28T12:00:00Z");
    }
    let (good, bad) = (cases.len() as i64 + 1, cases.len() as i64);
    assert_eq!(desk.balance().await, [good + bad, good, 0, bad, 0]);
    // At the edge of what a clock may be ahead.
    let edge =
        with(event(&session, "page", "view"), json!({"occurred_at": "2026-11-28T12:00:05Z"}));
    desk.store(&[edge]).await;
}

#[tokio::test]
async fn what_cannot_be_read_at_all_is_refused_at_the_door() {
    let desk = Desk::open().await;
    let none = desk.violations("RecordEvents", json!({"events": []})).await;
    assert_eq!(none, [("events".to_owned(), "REQUIRED".to_owned())]);
    let many = vec![json!({}); 1_001];
    let many = desk.violations("RecordEvents", json!({"events": many})).await;
    assert_eq!(many, [("events".to_owned(), "TOO_MANY_EVENTS".to_owned())]);
    assert_eq!(desk.balance().await, [0; 5]);
    let most = vec![json!({}); 1_000];
    desk.send(&most).await;
    eventually("all are settled", || async { desk.balance().await == [1_000, 0, 0, 1_000, 0] })
        .await;
}

#[tokio::test]
async fn an_event_that_is_sent_again_is_stored_once() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let id = new_id();
    let first = with(event(&session, "page", "view"), json!({"event_id": id}));
    // In one batch, written in another way, and in another one.
    let mut other = without(first.clone(), "session_id");
    other["session"] = json!({"id": session.to_uppercase()});
    other["occurred_at"] = json!("2021-01-01 10:15:27.243860+01:00");
    let fates = desk.settle(&[first.clone(), other.clone()]).await;
    assert_eq!(fates[0].get("duplicate"), None);
    assert_eq!(fates[1]["duplicate"], true);
    let again = &desk.settle(std::slice::from_ref(&other)).await[0];
    for fate in [&fates[0], &fates[1], again] {
        assert_eq!((&fate["state"], &fate["eventId"]), (&json!("STORED"), &json!(id)));
    }
    // The same id for something else is an error, and changes nothing.
    let error = desk.refuse(with(first.clone(), json!({"name": "leave"}))).await;
    assert_eq!(wrong(&error), [("event_id", "DUPLICATE_CONFLICT")]);
    let stored = desk.answer("GetEvent", json!({"event_id": id})).await;
    assert_eq!(stored["event"]["name"], "view");
    // Without an id it is stored each time.
    let unnamed = event(&session, "page", "view");
    desk.store(&[unnamed.clone(), unnamed]).await;
    assert_eq!(desk.balance().await, [6, 3, 2, 1, 0]);
}

#[tokio::test]
async fn many_that_send_the_same_at_once_store_it_once() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let events: Vec<Value> = (0..40)
        .map(|_| with(event(&session, "page", "view"), json!({"event_id": new_id()})))
        .collect();
    let sends = (0..8).map(|_| desk.settle(&events));
    let fates = futures_util::future::join_all(sends).await;
    let stored = fates.iter().flatten().filter(|fate| fate.get("duplicate").is_none()).count();
    assert_eq!(stored, 40);
    assert_eq!(desk.balance().await, [320, 40, 280, 0, 0]);
}

#[tokio::test]
async fn a_receipt_is_of_its_team_and_of_its_place() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let receipt = desk.send(&[event(&session, "page", "view")]).await.remove(0);
    desk.fate(&receipt).await;
    let other = desk.app.team("other").await;
    let other = desk.app.key(other.id, None, tap_analytics::access::model::Scope::ALL, None).await;
    let foreign = desk.ask_by(&other, "GetReceipt", json!({"id": receipt})).await;
    assert_eq!(foreign.refusal(), (Code::NotFound, "RECEIPT_NOT_FOUND".to_owned()));
    // The next place of the same batch, of which there is none.
    let next = uuid::Uuid::from_u128(receipt.parse::<uuid::Uuid>().unwrap().as_u128() + 1);
    let next = desk.refusal("GetReceipt", json!({"id": next.to_string()})).await;
    assert_eq!(next, (Code::NotFound, "RECEIPT_NOT_FOUND".to_owned()));
    let malformed = desk.violations("GetReceipt", json!({"id": "mine"})).await;
    assert_eq!(malformed, [("id".to_owned(), "MALFORMED_UUID".to_owned())]);
}

#[tokio::test]
async fn an_event_may_be_as_far_ahead_of_when_it_came_and_no_further_however_long_it_waits() {
    let start = crate::app::now();
    let clock = tap_analytics::clock::Clock::fixed(start);
    let desk = Desk::open_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let session = desk.session().await;
    // Nothing can be settled while somebody holds the head of the team.
    let sql = desk.app.sql().await;
    let hold = format!(
        "insert into event_heads values ({}) on conflict do nothing; begin;
        select from event_heads where team_id = {0} for update",
        desk.team.id.0
    );
    sql.batch_execute(&hold).await.unwrap();
    let ahead = (start + TimeDelta::seconds(6)).to_rfc3339();
    let receipt = desk
        .send(&[with(event(&session, "a", "b"), json!({"occurred_at": ahead}))])
        .await
        .remove(0);
    assert_eq!(desk.answer("GetReceipt", json!({"id": receipt})).await.get("state"), None);
    clock.set(start + TimeDelta::seconds(10));
    sql.batch_execute("commit").await.unwrap();
    assert_eq!(desk.fate(&receipt).await["state"], "REJECTED");
}

#[tokio::test]
async fn with_too_many_waiting_no_more_are_taken() {
    let desk = Desk::open_with(Options { event_backlog_max: 10, ..Options::default() }).await;
    let sql = desk.app.sql().await;
    let hold = format!(
        "insert into event_heads values ({}) on conflict do nothing; begin;
        select from event_heads where team_id = {0} for update",
        desk.team.id.0
    );
    sql.batch_execute(&hold).await.unwrap();
    let receipts = desk.send(&vec![json!({}); 10]).await;
    let refused = desk.refusal("RecordEvents", json!({"events": [{}]})).await;
    assert_eq!(refused, (Code::ResourceExhausted, "EVENT_BACKLOG".to_owned()));
    sql.batch_execute("commit").await.unwrap();
    for receipt in receipts {
        desk.fate(&receipt).await;
    }
    eventually("more are taken", || async {
        desk.ask("RecordEvents", json!({"events": [{}]})).await.code == Code::Ok
    })
    .await;
}
