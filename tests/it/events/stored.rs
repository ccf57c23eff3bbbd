//! Looking at events, changing and deleting them, counting them.

use serde_json::{Value, json};
use tonic::Code;

use super::{Desk, as_sent, event, new_id, with};
use crate::app::{Options, instant};

fn at(event: Value, time: &str) -> Value {
    with(event, json!({"occurred_at": time}))
}

/// The names of the events of all pages, and how many pages there were.
async fn all(desk: &Desk, mut request: Value) -> (Vec<String>, usize) {
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let answer = desk.answer("ListEvents", request.clone()).await;
        pages += 1;
        let events = answer.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
        names.extend(events.iter().map(|event| event["name"].as_str().unwrap().to_owned()));
        match answer.get("nextPageToken") {
            Some(token) => request["pageToken"] = token.clone(),
            None => return (names, pages),
        }
    }
}

#[tokio::test]
async fn events_are_listed_by_every_condition_in_both_orders_page_by_page() {
    let desk = Desk::open().await;
    let (one, other) = (desk.session().await, desk.session().await);
    let ids = desk
        .store(&[
            at(event(&one, "page", "a"), "2024-05-01T10:00:00Z"),
            at(event(&one, "shop", "b"), "2024-05-01T12:00:00Z"),
            // Of the same instant: in the order in which they were sent.
            at(event(&one, "page", "c"), "2024-05-01T11:00:00Z"),
            at(event(&one, "page", "d"), "2024-05-01T11:00:00Z"),
            at(event(&other, "page", "e"), "2024-05-01T11:30:00Z"),
        ])
        .await;
    for (request, expected) in [
        (json!({}), "becda".replace("cd", "dc")),
        (json!({"order": "SESSION"}), "acdeb".to_owned()),
        (json!({"order": "SESSION", "sessionId": one}), "acdb".to_owned()),
        (json!({"sessionId": other}), "e".to_owned()),
        (json!({"category": "page"}), "edca".to_owned()),
        (json!({"category": "page", "name": "c"}), "c".to_owned()),
        (json!({"name": "b"}), "b".to_owned()),
        (json!({"occurredAfter": "2024-05-01T11:00:00Z"}), "bedc".to_owned()),
        (json!({"occurredBefore": "2024-05-01 11:00:00"}), "a".to_owned()),
        (
            json!({"occurredAfter": "2024-05-01T11:00:00Z", "occurredBefore": "2024-05-01T12:00:00Z",
                "category": "page", "sessionId": one, "order": "SESSION"}),
            "cd".to_owned(),
        ),
        (json!({"category": "none"}), String::new()),
        (json!({"sessionId": new_id()}), String::new()),
    ] {
        assert_eq!(all(&desk, request.clone()).await.0.concat(), expected, "{request}");
        for size in [1, 2] {
            let paged = with(request.clone(), json!({"pageSize": size}));
            let (names, pages) = all(&desk, paged).await;
            assert_eq!(names.concat(), expected, "{request}");
            assert_eq!(pages, expected.len().div_ceil(size).max(1), "no empty page at the end");
        }
    }
    // A token is of its question and its team.
    let page = desk.answer("ListEvents", json!({"pageSize": 1})).await;
    let foreign = json!({"pageToken": page["nextPageToken"], "category": "page"});
    let refused = desk.violations("ListEvents", foreign).await;
    assert_eq!(refused, [("page_token".to_owned(), "MALFORMED_PAGE_TOKEN".to_owned())]);

    // What comes while somebody pages neither doubles nor hides anything.
    let first = desk.answer("ListEvents", json!({"pageSize": 2})).await;
    desk.store(&[at(event(&one, "page", "new"), "2024-05-01T13:00:00Z")]).await;
    let rest = json!({"pageSize": 2, "pageToken": first["nextPageToken"]});
    let rest = desk.answer("ListEvents", rest).await;
    let names: Vec<&str> =
        rest["events"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["d", "c"]);
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn a_page_is_cut_where_it_would_be_too_large() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let large = "x".repeat(60_000);
    for batch in 0..3 {
        let events: Vec<Value> = (0..40)
            .map(|nth| {
                let event = event(&session, "page", &format!("{batch}.{nth}"));
                with(event, json!({"data": {"large": large}}))
            })
            .collect();
        desk.store(&events).await;
    }
    let (names, pages) = all(&desk, json!({"pageSize": 1000})).await;
    assert_eq!(names.len(), 120);
    assert!(pages > 1);
    let bad: Vec<Value> = (0..40).map(|_| json!({"data": {"large": large}})).collect();
    desk.settle(&bad).await;
    desk.settle(&bad).await;
    let mut request = json!({"pageSize": 1000});
    let (mut errors, mut pages) = (0, 0);
    loop {
        let page = desk.answer("ListEventErrors", request.clone()).await;
        errors += page["errors"].as_array().unwrap().len();
        pages += 1;
        let Some(token) = page.get("nextPageToken") else { break };
        request["pageToken"] = token.clone();
    }
    assert_eq!(errors, 80);
    assert!(pages > 1);
}

#[tokio::test]
async fn an_event_is_changed_by_whoever_has_seen_it_last() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let id = desk.store(&[event(&session, "page", "view")]).await.remove(0);
    let changed = json!({"event_id": id, "etag": "1", "name": "leave"});
    let changed = desk.answer("UpdateEvent", changed).await["event"].clone();
    assert_eq!((&changed["name"], &changed["category"]), (&json!("leave"), &json!("page")));
    assert_eq!(changed["etag"], "2");
    assert!(changed.get("updatedAt").is_some());
    // The state before, and one that never was.
    for etag in ["1", "7", "x"] {
        let late = json!({"event_id": id, "etag": etag, "name": "lost"});
        let refused = desk.refusal("UpdateEvent", late).await;
        assert_eq!(refused, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    }
    // What changes nothing is no change.
    let same = json!({"event_id": id, "etag": "2", "name": "leave"});
    assert_eq!(desk.answer("UpdateEvent", same).await["event"]["etag"], "2");
    let whatever = json!({"event_id": id, "etag": "*", "data": {"n": 1}});
    let whatever = desk.answer("UpdateEvent", whatever).await["event"].clone();
    assert_eq!(whatever["data"], as_sent(&json!({"n": 1})));
    assert_eq!(desk.answer("GetEvent", json!({"event_id": id})).await["event"], whatever);

    // Many at once, each of what it has seen: one of them.
    let etag = &whatever["etag"];
    let changes = (0..8).map(|nth| {
        desk.ask("UpdateEvent", json!({"event_id": id, "etag": etag, "name": format!("{nth}")}))
    });
    let outcomes = futures_util::future::join_all(changes).await;
    let won: Vec<_> = outcomes.iter().filter(|outcome| outcome.code == Code::Ok).collect();
    assert_eq!(won.len(), 1, "{outcomes:?}");
    let now = desk.answer("GetEvent", json!({"event_id": id})).await["event"].clone();
    assert_eq!(now, won[0].answer()["event"]);

    // An event that is sent again is what it was when it was sent, whatever was made of it.
    let sent = with(event(&session, "page", "view"), json!({"event_id": new_id()}));
    let id = desk.store(std::slice::from_ref(&sent)).await.remove(0);
    let other = json!({"event_id": id, "etag": "*", "name": "other"});
    desk.answer("UpdateEvent", other).await;
    let again = desk.settle(&[sent]).await.remove(0);
    assert_eq!((&again["state"], &again["duplicate"]), (&json!("STORED"), &json!(true)));
    let now = desk.answer("GetEvent", json!({"event_id": id})).await["event"].clone();
    assert_eq!(now["name"], "other", "and nothing is taken back");
    assert_eq!(desk.balance().await, [3, 2, 1, 0, 0]);
}

#[tokio::test]
async fn a_changed_event_is_held_to_the_same_rules_and_a_failed_change_leaves_nothing() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let id = desk.store(&[event(&session, "page", "view")]).await.remove(0);
    for (change, field, reason) in [
        (json!({"data": {}}), "data", "REQUIRED"),
        (json!({"name": "x".repeat(151)}), "name", "TOO_LONG"),
        (json!({"category": ""}), "category", "REQUIRED"),
        (json!({"occurred_at": "2999-01-01T00:00:00Z"}), "occurred_at", "TIMESTAMP_IN_FUTURE"),
        (json!({"session_id": new_id()}), "session_id", "UNKNOWN_SESSION"),
        (json!({"update_mask": "data"}), "data", "REQUIRED"),
        (json!({"update_mask": "eventId"}), "update_mask", "IMMUTABLE_FIELD"),
        (json!({"update_mask": "etag"}), "update_mask", "UNKNOWN_FIELD"),
        (json!({}), "update_mask", "NOTHING_TO_CHANGE"),
    ] {
        let change = with(change, json!({"event_id": id, "etag": "1"}));
        let refused = desk.violations("UpdateEvent", change.clone()).await;
        assert_eq!(refused, [(field.to_owned(), reason.to_owned())], "{change}");
    }
    let refused = desk.violations("UpdateEvent", json!({"event_id": id, "name": "x"})).await;
    assert_eq!(refused, [("etag".to_owned(), "REQUIRED".to_owned())]);
    let replaced = json!({"event_id": id, "etag": "1", "name": "x"});
    let missing = desk.violations("ReplaceEvent", replaced).await;
    let fields: Vec<&str> = missing.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["category", "data", "occurred_at", "session_id"]);
    let stored = desk.answer("GetEvent", json!({"event_id": id})).await;
    assert_eq!(stored["event"]["etag"], "1");
    assert_eq!(desk.balance().await, [1, 1, 0, 0, 0], "no error row");
}

#[tokio::test]
async fn a_mask_names_what_is_changed_and_replacing_changes_all() {
    let desk = Desk::open().await;
    let (session, other) = (desk.session().await, desk.session().await);
    let id = desk.store(&[event(&session, "page", "view")]).await.remove(0);
    let masked =
        json!({"event_id": id, "etag": "1", "name": "a", "category": "b", "update_mask": "name"});
    let masked = desk.answer("UpdateEvent", masked).await["event"].clone();
    assert_eq!((&masked["name"], &masked["category"]), (&json!("a"), &json!("page")));
    let whole = json!({"event_id": id, "etag": "2", "session_id": other, "category": "c", "name": "d",
        "data": {"e": "f"}, "occurred_at": "2022-02-02 02:02:02"});
    let whole = desk.answer("ReplaceEvent", whole).await["event"].clone();
    assert_eq!(whole["sessionId"], other.as_str());
    assert_eq!((&whole["name"], &whole["category"]), (&json!("d"), &json!("c")));
    assert_eq!(whole["data"], json!({"e": "f"}));
    assert_eq!(whole["occurredAt"], "2022-02-02T02:02:02Z");
    desk.balance().await;
}

#[tokio::test]
async fn a_deleted_event_is_gone_and_its_id_stays_taken() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    let sent = with(event(&session, "page", "view"), json!({"event_id": new_id()}));
    let receipt = desk.send(std::slice::from_ref(&sent)).await.remove(0);
    let id = desk.fate(&receipt).await["eventId"].clone();
    let late = desk.refusal("DeleteEvent", json!({"event_id": id, "etag": "9"})).await;
    assert_eq!(late, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    desk.answer("DeleteEvent", json!({"event_id": id})).await;
    let gone = (Code::NotFound, "EVENT_NOT_FOUND".to_owned());
    for (rpc, request) in [
        ("GetEvent", json!({"event_id": id})),
        ("DeleteEvent", json!({"event_id": id})),
        ("UpdateEvent", json!({"event_id": id, "etag": "*", "name": "x"})),
    ] {
        assert_eq!(desk.refusal(rpc, request).await, gone, "{rpc}");
    }
    assert_eq!(all(&desk, json!({})).await.0, [""; 0]);
    // What was answered with a receipt became an event, and its data is nowhere.
    assert_eq!(desk.fate(&receipt).await["eventId"], id);
    let left = "select count(*) from events where data::text like '%menu%'";
    assert_eq!(desk.app.scalar::<i64>(left).await, 0);
    // Sent again, as it was or as something else, it stays deleted.
    for again in [sent.clone(), with(sent, json!({"name": "other"}))] {
        let fate = desk.settle(&[again]).await.remove(0);
        assert_eq!((&fate["state"], &fate["duplicate"]), (&json!("STORED"), &json!(true)));
    }
    assert_eq!(desk.refusal("GetEvent", json!({"event_id": id})).await, gone);
    assert_eq!(desk.balance().await, [3, 1, 2, 0, 0]);
}

#[tokio::test]
async fn events_are_counted_by_interval_and_category_as_the_rows_say() {
    let now = instant("2024-06-01T00:00:00Z");
    let clock = tap_analytics::clock::Clock::fixed(now);
    let desk = Desk::open_with(Options { clock, ..Options::default() }).await;
    let session = desk.session().await;
    let events: Vec<Value> = (0..200)
        .map(|nth: usize| {
            let category = ["page", "shop", "form", "chat"][nth * nth % 4];
            let minutes = i64::try_from(nth * nth * 37 % (30 * 24 * 60)).unwrap();
            let time = instant("2024-05-01T00:00:00Z") + chrono::TimeDelta::minutes(minutes);
            at(event(&session, category, "x"), &time.to_rfc3339())
        })
        .collect();
    let ids = desk.store(&events).await;
    desk.answer("DeleteEvent", json!({"event_id": ids[3]})).await;
    let moved = json!({"event_id": ids[4], "etag": "*", "category": "moved", "occurred_at": "2024-05-07T07:07:07Z"});
    desk.answer("UpdateEvent", moved).await;
    desk.balance().await;

    for (interval, zone) in
        [("HOUR", "Asia/Kathmandu"), ("DAY", "America/New_York"), ("WEEK", "UTC"), ("TOTAL", "UTC")]
    {
        let query = json!({"start_date": "2024-05-03", "end_date": "2024-05-20", "interval": interval,
            "time_zone": zone, "limit": 1});
        let answer = desk.answer("QueryEvents", query).await;
        let mut total = 0.0;
        for bucket in answer["buckets"].as_array().unwrap() {
            let rows = format!(
                "select count(*) from events where deleted_at is null
                 and occurred_at >= '{}' and occurred_at < '{}'",
                bucket["start"].as_str().unwrap(),
                bucket["end"].as_str().unwrap()
            );
            let count = bucket.get("count").map_or(0.0, |count| count.as_f64().unwrap());
            assert_eq!(count, desk.app.scalar::<i64>(&rows).await as f64, "{bucket}");
            total += count;
        }
        assert!(total > 50.0);
        assert_eq!(answer["total"], json!(total));
        let groups = answer["groups"].as_array().unwrap();
        assert_eq!(groups.len(), 2, "the busiest, and the rest");
        assert_eq!(groups[1]["other"], true);
        let sum: f64 = groups.iter().map(|group| group["total"].as_f64().unwrap()).sum();
        assert_eq!(sum, total);
    }
    for (query, field, reason) in [
        (
            json!({"start_date": "2024-05-03", "end_date": "2024-05-04", "interval": "MINUTE"}),
            "interval",
            "TOO_NARROW",
        ),
        (json!({"start_date": "2024-05-03"}), "end_date", "REQUIRED"),
        (
            json!({"start_date": "2004-05-03", "end_date": "2024-05-04", "interval": "HOUR"}),
            "interval",
            "TOO_MANY_BUCKETS",
        ),
        (
            json!({"start_date": "2024-05-03", "end_date": "2024-05-04", "limit": -1}),
            "limit",
            "NEGATIVE",
        ),
    ] {
        let refused = desk.violations("QueryEvents", query.clone()).await;
        assert_eq!(refused, [(field.to_owned(), reason.to_owned())], "{query}");
    }
}
