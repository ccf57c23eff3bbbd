//! The Rust client and the real service.

use serde_json::json;
use tap_analytics::{
    access::{key::ApiKey, model::Scope},
    client::{Event, Options, Outcome, Then},
};
use tonic::Code;
use uuid::Uuid;

use super::{assert_stored_once, client, options, sending_team};
use crate::{
    app::{App, Options as AppOptions, eventually, new_database, store},
    live::Service,
    simulate::Road,
};

/// Events of each of those who send at a time.
const EACH: usize = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    let url = new_database().await;
    let app = App::on(store(&url), AppOptions::default()).await;
    let (team, session) = sending_team(&app).await;
    // From here on the one that is killed is alone.
    app.stop.cancel();
    let mut service = Service::start(&url).await;
    let (options, _) = options();
    let options = Options { batch_events: 50, buffer_events: 300, ..options };
    let events = client(service.grpc, &team.key, options);
    let senders: Vec<_> = (0..4_usize)
        .map(|sender| {
            let events = events.clone();
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for number in 0..EACH {
                    let data = json!({ "sender": sender, "number": number });
                    let event = Event::new(session, "test", "made").data(data);
                    ids.push(events.send(event).await.unwrap());
                }
                ids
            })
        })
        .collect();
    for accepted in [500, 2_000, 3_500] {
        eventually("it is busy", || async { events.stats().accepted >= accepted }).await;
        let retried = events.stats().retried;
        service.kill();
        eventually("it is missed", || async { events.stats().retried > retried }).await;
        service.start_again().await;
    }
    let mut ids = Vec::new();
    for sender in senders {
        ids.extend(sender.await.unwrap());
    }
    events.close().await.unwrap();
    let stats = events.stats();
    assert_eq!((stats.accepted, stats.dropped, stats.waiting), (4 * EACH as u64, 0, 0));
    assert_stored_once(&app, &ids).await;
    let contents: i64 = app.scalar("select count(distinct data::text) from events").await;
    assert_eq!(contents, 4 * EACH as i64);
}

#[tokio::test]
async fn when_only_the_answer_is_lost_the_events_are_not_stored_again() {
    let app = App::start().await;
    let (team, session) = sending_team(&app).await;
    let mut road = Road::new(app.grpc);
    let (options, problems) = options();
    let events = client(road.address, &team.key, Options { batch_events: 10, ..options });
    let mut ids = Vec::new();
    // Nobody is there at first. Then calls come through and are cut off, and of some only the answer is lost.
    for cut in 0..10_u64 {
        for number in 0..100 {
            let data = json!({ "cut": cut, "number": number });
            let event = Event::new(session, "test", "made").data(data);
            ids.push(events.send(event).await.unwrap());
        }
        let before = (events.stats().accepted, super::received(&app).await);
        let answers = cut % 3 != 1;
        road.open(answers).await;
        eventually("some of them come through", || async {
            if answers {
                events.stats().accepted > before.0
            } else {
                super::received(&app).await > before.1
            }
        })
        .await;
        road.close().await;
    }
    road.open(true).await;
    events.close().await.unwrap();
    let duplicates = assert_stored_once(&app, &ids).await;
    assert!(duplicates >= 3 * 10, "no answer was lost: {duplicates}");
    let problems = problems.lock().unwrap();
    assert!(problems.iter().all(|problem| matches!(problem.then, Then::Again { .. })));
}

#[tokio::test]
async fn the_receipt_of_an_event_tells_what_became_of_it() {
    let app = App::start().await;
    let (team, session) = sending_team(&app).await;
    let (options, _) = options();
    let events = client(app.grpc, &team.key, Options { receipts: 3, ..options });
    let good = |id| Event::new(session, "shop", "order").data(json!({ "total": 12.5 })).id(id);
    let at = crate::app::now();
    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    for event in [good(one), good(two).occurred_at(at), good(two).occurred_at(at)] {
        events.send(event).await.unwrap();
    }
    let bad = events.send(Event::new(session, "shop", "order")).await.unwrap();
    assert_eq!(events.outcome(bad).await.unwrap(), Outcome::NoReceipt, "not sent yet");
    events.flush().await.unwrap();
    let stored = |id: Uuid, duplicate| Outcome::Stored { event_id: id.to_string(), duplicate };
    for (id, expected) in [(one, stored(one, false)), (two, stored(two, true))] {
        eventually("it is settled", || async {
            let outcome = events.outcome(id).await.unwrap();
            outcome == expected || panic_unless_pending(&outcome)
        })
        .await;
    }
    eventually("the bad one is settled", || async {
        matches!(events.outcome(bad).await.unwrap(), Outcome::Rejected { error_id } if !error_id.is_empty())
    })
    .await;
    // The oldest is forgotten.
    let last = events.send(good(Uuid::now_v7())).await.unwrap();
    events.flush().await.unwrap();
    assert_eq!(events.outcome(one).await.unwrap(), Outcome::NoReceipt);
    assert_ne!(events.outcome(last).await.unwrap(), Outcome::NoReceipt);
}

fn panic_unless_pending(outcome: &Outcome) -> bool {
    assert_eq!(*outcome, Outcome::Pending);
    false
}

#[tokio::test]
async fn events_of_a_key_that_is_refused_go_with_a_better_one() {
    let app = App::start().await;
    let (team, session) = sending_team(&app).await;
    let unknown = ApiKey::generate(team.id).unwrap().reveal().to_owned();
    let reader = app.key(team.id, None, &[Scope::EventsRead], None).await;
    let mut ids = Vec::new();
    for (key, code, reason) in [
        (unknown, Code::Unauthenticated, "API_KEY_INVALID"),
        (reader, Code::PermissionDenied, "SCOPE_MISSING"),
    ] {
        let (options, problems) = options();
        let events = client(app.grpc, &key, options);
        let event = Event::new(session, "test", "made").data(json!({ "a": 1 }));
        ids.push(events.send(event).await.unwrap());
        eventually("it is refused", || async { events.stats().retried >= 2 }).await;
        let first = problems.lock().unwrap()[0].clone();
        assert_eq!((first.code, first.reason.as_deref()), (code, Some(reason)));
        assert!(matches!(first.then, Then::Held { .. }), "{first:?}");
        events.set_key(&team.key).unwrap();
        events.close().await.unwrap();
        assert_eq!(events.stats().accepted, 1);
    }
    assert_stored_once(&app, &ids).await;
}
