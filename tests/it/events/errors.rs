//! Events that were refused: looking at them, counting them, sending them again.

use serde_json::{Value, json};
use tap_analytics::{
    access::{
        command::create_key,
        model::{Grant, Scope},
    },
    clock::Clock,
};
use tonic::Code;

use super::{Desk, as_sent, event, new_id, with, without};

async fn groups(desk: &Desk, filter: Value) -> Vec<(f64, String)> {
    let answer = desk.answer("GroupEventErrors", json!({ "filter": filter })).await;
    let groups = answer.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
    let groups: Vec<(f64, String)> = groups
        .iter()
        .map(|group| {
            (group["count"].as_f64().unwrap(), group["reason"].as_str().unwrap().to_owned())
        })
        .collect();
    let total: f64 = groups.iter().map(|(count, _)| count).sum();
    assert_eq!(answer.get("total").map_or(0.0, |total| total.as_f64().unwrap()), total);
    groups
}

async fn ids(desk: &Desk, filter: Value) -> Vec<String> {
    let mut request = json!({"filter": filter, "pageSize": 2});
    let mut ids = Vec::new();
    loop {
        let answer = desk.answer("ListEventErrors", request.clone()).await;
        let errors = answer.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
        ids.extend(errors.iter().map(|error| error["id"].as_str().unwrap().to_owned()));
        match answer.get("nextPageToken") {
            Some(token) => request["pageToken"] = token.clone(),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn errors_are_found_by_every_condition_and_counted_by_what_is_wrong() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let grant = Grant { name: "shop", scopes: Scope::ALL, queries_per_hour: 100, expires_at: None };
    let made = create_key(&desk.app.db, &Clock::system(), desk.team.id, grant).await.unwrap();
    let other_key = made.reveal().to_owned();
    desk.app.until_known(&other_key).await;

    let good = event(&session, "page", "view");
    let unknown = || with(good.clone(), json!({"session_id": new_id()}));
    let nameless = without(good.clone(), "name");
    desk.settle(&[unknown(), unknown(), nameless.clone(), unknown()]).await;
    let both = without(with(unknown(), json!({"data": {}})), "name");
    let sent = desk.ask_by(&other_key, "RecordEvents", json!({"events": [unknown(), both]})).await;
    for receipt in sent.answer()["receipts"].as_array().unwrap() {
        desk.fate(receipt.as_str().unwrap()).await;
    }

    let all = ids(&desk, json!({})).await;
    assert_eq!(all.len(), 6);
    let mut sorted = all.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(all, sorted, "the newest first");
    for (filter, count) in [
        (json!({"reason": "UNKNOWN_SESSION"}), 5),
        (json!({"field": "name"}), 2),
        (json!({"application": "shop"}), 2),
        (json!({"application": "test", "reason": "UNKNOWN_SESSION"}), 3),
        (json!({"reason": "UNKNOWN_SESSION", "field": "name"}), 1),
        (json!({"receivedAfter": "2999-01-01T00:00:00Z"}), 0),
        (json!({"receivedBefore": "2999-01-01T00:00:00Z"}), 6),
        (json!({"state": "REPLAYED"}), 0),
        (json!({"state": "OPEN"}), 6),
    ] {
        assert_eq!(ids(&desk, filter.clone()).await.len(), count, "{filter}");
        let sum: f64 = groups(&desk, filter.clone()).await.iter().map(|(count, _)| count).sum();
        assert_eq!(sum, count as f64, "{filter}");
    }
    let counted = groups(&desk, json!({})).await;
    assert_eq!(counted[0], (3.0, "UNKNOWN_SESSION".to_owned()));
    assert_eq!(counted.len(), 4);
    let answer = desk.answer("GroupEventErrors", json!({"limit": 1})).await;
    let largest = &answer["groups"][0];
    assert_eq!((answer["groups"].as_array().unwrap().len(), &answer["total"]), (1, &json!(6.0)));
    assert_eq!(largest["application"], "test");
    assert_eq!(
        largest["newestErrorId"],
        ids(&desk, json!({"fingerprint": largest["fingerprint"]})).await[0]
    );
    assert!(largest["firstSeen"].as_str().unwrap() <= largest["lastSeen"].as_str().unwrap());
    let plus = format!("+{}", "0".repeat(31));
    for fingerprint in ["x", "00", &plus] {
        let asked = json!({"filter": {"fingerprint": fingerprint}, "limit": -1});
        assert_eq!(desk.violations("GroupEventErrors", asked).await.len(), 2, "{fingerprint}");
    }
}

#[tokio::test]
async fn a_check_tells_of_as_many_as_can_be_told_of() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let mut wrong = event(&session, "page", "view");
    for field in 0..50 {
        wrong[format!("{field}{}", "x".repeat(100))] = json!(1);
    }
    let many = vec![wrong; 400];
    desk.settle(&many).await;
    let answer = desk.answer("ReplayEventErrors", json!({"validate_only": true})).await;
    let told = answer["results"].as_array().unwrap();
    let bytes = answer.to_string().len();
    assert!((1..400).contains(&told.len()) && bytes < 4 * 1024 * 1024, "{} {bytes}", told.len());
    assert_eq!(answer["remaining"], json!((400 - told.len()) as f64));
    assert_eq!(told[0]["violations"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn a_patch_turns_errors_into_events_once() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let ghost = new_id();
    let bad: Vec<Value> = (0..5)
        .map(|n| {
            with(event(&ghost, "page", "view"), json!({"data": {"n": n}, "event_id": new_id()}))
        })
        .collect();
    desk.settle(&bad).await;
    let nameless = desk.refuse(without(event(&session, "page", "x"), "name")).await;
    let filter = json!({"reason": "UNKNOWN_SESSION"});
    let mut patch = json!({"sessions": {}});
    patch["sessions"][&ghost] = json!(session);
    let replay = json!({"filter": filter, "patch": patch});

    // First only looked at: without the patch, and with it.
    let checked =
        desk.answer("ReplayEventErrors", json!({"filter": filter, "validate_only": true})).await;
    assert_eq!(checked["results"][0]["outcome"], "WOULD_BE_REJECTED");
    assert_eq!(checked["results"][0]["violations"][0]["reason"], "UNKNOWN_SESSION");
    let checked = with(replay.clone(), json!({"validate_only": true}));
    let checked = desk.answer("ReplayEventErrors", checked).await;
    let outcomes = |answer: &Value| -> Vec<String> {
        let results = answer.get("results").and_then(Value::as_array).cloned().unwrap_or_default();
        let outcome = |result: &Value| {
            result.get("outcome").map_or("SENT", |o| o.as_str().unwrap()).to_owned()
        };
        results.iter().map(outcome).collect()
    };
    assert_eq!(outcomes(&checked), ["WOULD_BE_STORED"; 5]);
    assert_eq!(ids(&desk, json!({"state": "OPEN"})).await.len(), 6);

    // From many at once: each error is sent again once.
    let replays =
        (0..6).map(|_| desk.answer("ReplayEventErrors", with(replay.clone(), json!({"limit": 3}))));
    let answers = futures_util::future::join_all(replays).await;
    let sent: Vec<&Value> =
        answers.iter().filter_map(|answer| answer.get("results")?.as_array()).flatten().collect();
    assert_eq!(sent.len(), 5);
    for result in &sent {
        let receipt = result["receipt"].as_str().unwrap();
        let fate = desk.fate(receipt).await;
        assert_eq!(fate["state"], "STORED");
        let error =
            desk.answer("GetEventError", json!({"id": result["errorId"]})).await["error"].clone();
        assert_eq!(error["replayedAs"], receipt);
        assert_eq!(error["becameEventId"], fate["eventId"]);
        assert_eq!(error["payload"]["session_id"], ghost.as_str(), "the error is as it was");
        let stored =
            desk.answer("GetEvent", json!({"event_id": fate["eventId"]})).await["event"].clone();
        assert_eq!(stored["sessionId"], session.as_str());
        assert_eq!(stored["application"], "test");
    }
    assert_eq!(desk.answer("ReplayEventErrors", replay).await, json!({}));
    assert_eq!(ids(&desk, json!({"state": "OPEN"})).await, [nameless["id"].as_str().unwrap()]);
    assert_eq!(desk.balance().await, [11, 5, 0, 6, 0]);

    // One that fails again is an error again, and says of which.
    let again = json!({"error_ids": [nameless["id"]], "patch": {"set": {"data.plan": "pro", "category": ""}}});
    let again = desk.answer("ReplayEventErrors", again).await;
    let fate = desk.fate(again["results"][0]["receipt"].as_str().unwrap()).await;
    let error = desk.answer("GetEventError", json!({"id": fate["errorId"]})).await["error"].clone();
    assert_eq!(error["replayOf"], nameless["id"]);
    assert_eq!(error["payload"]["data"], json!({"page": "/menu", "plan": "pro"}));
    let before = desk.answer("GetEventError", json!({"id": nameless["id"]})).await["error"].clone();
    assert_eq!(before["becameErrorId"], error["id"]);
    let mended = json!({"error_ids": [error["id"]], "patch": {"set": {"name": "x", "category": "page"}, "remove": ["data.plan"]}});
    let mended = desk.answer("ReplayEventErrors", mended).await;
    let fate = desk.fate(mended["results"][0]["receipt"].as_str().unwrap()).await;
    let stored =
        desk.answer("GetEvent", json!({"event_id": fate["eventId"]})).await["event"].clone();
    assert_eq!(stored["data"], as_sent(&json!({"page": "/menu"})));
    desk.balance().await;
}

#[tokio::test]
async fn a_replay_can_be_repeated_by_its_id_and_others_errors_cannot_be_sent() {
    let desk = Desk::open().await;
    let error = desk.refuse(json!({})).await;
    let request = json!({"error_ids": [error["id"]], "request_id": new_id()});
    let first = desk.answer("ReplayEventErrors", request.clone()).await;
    assert_eq!(desk.answer("ReplayEventErrors", request.clone()).await, first);
    let other = desk.refusal("ReplayEventErrors", with(request, json!({"limit": 1}))).await;
    assert_eq!(other, (Code::AlreadyExists, "REQUEST_ID_USED".to_owned()));

    let team = desk.app.team("other").await;
    let key = desk.app.key(team.id, None, Scope::ALL, None).await;
    let open = desk.refuse(json!({})).await;
    let foreign = json!({"error_ids": [open["id"]]});
    let answer = desk.ask_by(&key, "ReplayEventErrors", foreign).await;
    assert_eq!(*answer.answer(), json!({}), "as if there were none");
    for (patch, field) in [
        (json!({"set": {"": 1}}), "patch.set"),
        (json!({"set": {"data.large": "x".repeat(70_000)}}), "patch.set"),
        (json!({"remove": ["a..b"]}), "patch.remove"),
        (json!({"sessions": {"x": "y"}}), "patch.sessions"),
    ] {
        let refused = desk.violations("ReplayEventErrors", json!({"patch": patch})).await;
        assert!(refused.iter().all(|(bad, _)| bad == field) && !refused.is_empty(), "{refused:?}");
    }
    let malformed = desk.violations("ReplayEventErrors", json!({"error_ids": ["x"]})).await;
    assert_eq!(malformed, [("error_ids[0]".to_owned(), "MALFORMED_UUID".to_owned())]);
}
