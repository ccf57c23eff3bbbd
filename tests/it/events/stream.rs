//! `StreamEvents`: each event once, in order, whatever happens.

use serde_json::{Value, json};
use tonic::Code;

use super::{Desk, event, with};
use crate::app::{
    rpcs::Rpc,
    wires::{Answer, Call, Door, Wire},
};

async fn open(desk: &Desk, request: Value) -> Answer {
    let rpc = Rpc::of("Events/StreamEvents");
    let call = Call::new(&rpc, &request).key(Some(&desk.key));
    let opened = call.open(&Door::straight(&desk.app), Wire::Grpc).await;
    opened.unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// The names of the next events, and the token of the last.
async fn names(stream: &mut Answer, count: usize) -> (Vec<String>, String) {
    let (mut names, mut token) = (Vec::new(), String::new());
    while names.len() < count {
        let frame = stream.frames.next().await.unwrap();
        if let Some(event) = frame.get("event") {
            names.push(event["event"]["name"].as_str().unwrap().to_owned());
            event["resumeToken"].as_str().unwrap().clone_into(&mut token);
        }
    }
    (names, token)
}

#[tokio::test]
async fn events_come_as_they_are_stored_and_after_a_token_each_once() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let named = |names: &str| -> Vec<Value> {
        names.chars().map(|name| event(&session, "page", &name.to_string())).collect()
    };
    let mut stream = open(&desk, json!({})).await;
    let hello = stream.frames.next().await.unwrap();
    assert_eq!(hello["hello"]["heartbeatSeconds"], 15);
    let mut batch = named("abc");
    batch.insert(1, json!({}));
    let fates = desk.settle(&batch).await;
    let first = stream.frames.next().await.unwrap();
    let stored = desk.answer("GetEvent", json!({"event_id": fates[0]["eventId"]})).await;
    assert_eq!(first["event"]["event"], stored["event"], "the event as GetEvent has it");
    let token = first["event"]["resumeToken"].clone();
    assert_eq!(names(&mut stream, 2).await.0, ["b", "c"]);
    drop(stream);

    desk.store(&named("de")).await;
    let mut resumed = open(&desk, json!({"resume_token": token})).await;
    assert_eq!(names(&mut resumed, 4).await.0, ["b", "c", "d", "e"]);
    desk.store(&named("f")).await;
    assert_eq!(names(&mut resumed, 1).await.0, ["f"]);
    // More than a page, from the first event that there was.
    let many = "x".repeat(250);
    desk.store(&named(&many)).await;
    let mut all = open(&desk, json!({"resume_token": hello["hello"]["resumeToken"]})).await;
    assert_eq!(names(&mut all, 256).await.0.concat(), format!("abcdef{many}"));
}

#[tokio::test]
async fn a_stream_takes_up_where_a_count_ends() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    desk.store(&vec![event(&session, "page", "before"); 3]).await;
    let query = json!({"start_date": "2021-01-01", "end_date": "2021-01-01"});
    let answer = desk.answer("QueryEvents", query.clone()).await;
    desk.store(&vec![event(&session, "page", "after"); 2]).await;
    let mut stream = open(&desk, json!({"resume_token": answer["resumeToken"]})).await;
    assert_eq!(names(&mut stream, 2).await.0, ["after", "after"]);
    assert_eq!(
        (&answer["total"], &desk.answer("QueryEvents", query).await["total"]),
        (&json!(3.0), &json!(5.0))
    );
}

#[tokio::test]
async fn a_stream_gives_what_was_asked_for_and_no_other_teams() {
    let desk = Desk::open().await;
    let (session, other) = (desk.session().await, desk.session().await);
    let foreign = desk.app.team("other").await;
    let key = desk.app.key(foreign.id, None, tap_analytics::access::model::Scope::ALL, None).await;
    let mut streams = Vec::new();
    for request in [
        json!({"category": "shop"}),
        json!({"name": "x"}),
        json!({"session_id": other}),
        json!({"session_id": session, "category": "page", "name": "y"}),
    ] {
        streams.push(open(&desk, request).await);
    }
    for stream in &mut streams {
        stream.frames.next().await.unwrap();
    }
    let made = desk.ask_by(&key, "CreateSession", json!({"id": session})).await;
    assert_eq!(made.code, Code::Ok, "another team's id is free");
    desk.ask_by(&key, "RecordEvents", json!({"events": [event(&session, "shop", "x")]})).await;
    desk.store(&[
        event(&session, "page", "x"),
        event(&session, "page", "y"),
        event(&other, "shop", "z"),
        event(&session, "page", "end"),
        with(event(&other, "shop", "x"), json!({"data": {"last": true}})),
        event(&session, "page", "y"),
    ])
    .await;
    for (stream, expected) in streams.iter_mut().zip(["zx", "xx", "zx", "yy"]) {
        assert_eq!(names(stream, 2).await.0.concat(), expected);
    }
}

#[tokio::test]
async fn places_in_streams_of_taps_are_no_places_in_streams_of_events() {
    let desk = Desk::open().await;
    let rpc = Rpc::of("TapAnalytics/QueryTaps");
    let query = json!({"start_date": "2024-01-01", "end_date": "2024-01-02"});
    let call = Call::new(&rpc, &query).key(Some(&desk.key));
    let counted = call.outcome(&Door::straight(&desk.app), Wire::Grpc, 1).await;
    let token = counted.answer()["resumeToken"].clone();
    let refused = desk.violations("StreamEvents", json!({"resume_token": token})).await;
    assert_eq!(refused, [("resume_token".to_owned(), "MALFORMED_RESUME_TOKEN".to_owned())]);
}
