//! What the client does about a service that fails in ways that the real one cannot be brought to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tap_analytics::client::{Ended, Event, Options, Problem, Stats, Then, Why};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

use super::{
    client,
    fake::{Fake, Reply},
    options,
};
use crate::app::eventually;

const KEY: &str = "tap_1_hunter2";

/// An event with a number.
fn event(number: usize) -> Event {
    Event::new(Uuid::from_u128(1), "test", "made").data(json!({ "number": number }))
}

/// The numbers of events.
fn numbers(events: &[serde_json::Value]) -> Vec<u64> {
    events.iter().map(|event| event["data"]["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn who_is_told_to_wait_waits() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(600)));
    let told = Status::with_error_details(Code::ResourceExhausted, "too much", details);
    let (fake, address) =
        Fake::start(
            move |call, _| {
                if call == 0 { Reply::Refuse(told.clone()) } else { Reply::Take }
            },
        )
        .await;
    let (options, problems) = options();
    let events = client(address, KEY, options);
    let began = Instant::now();
    events.send(event(0)).await.unwrap();
    events.close().await.unwrap();
    // Far longer than it would wait by itself.
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert_eq!(fake.sizes(), [1, 1]);
    assert_eq!(numbers(&fake.stored()), [0]);
    assert_eq!(events.stats(), Stats { sent: 1, accepted: 1, retried: 1, ..Stats::default() });
    let problems = problems.lock().unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].code, &*problems[0].message), (Code::ResourceExhausted, "too much"));
    assert!(matches!(problems[0].then, Then::Again { .. }), "{problems:?}");
}

#[tokio::test]
async fn what_is_sent_again_is_what_was_sent() {
    // Every answer is lost once, in each of the ways that calls fail.
    let codes = [Code::Unavailable, Code::DeadlineExceeded, Code::Aborted, Code::Internal];
    let (fake, address) = Fake::start(move |call, _| match call {
        _ if call % 2 == 1 => Reply::Take,
        _ if call < 8 => Reply::TakeAndFail(Status::new(codes[call / 2], "")),
        _ => Reply::Silence,
    })
    .await;
    let (options, problems) = options();
    let options = Options { deadline: Duration::from_secs(2), batch_events: 10, ..options };
    let events = client(address, KEY, options);
    let mut ids = Vec::new();
    for number in 0..50 {
        ids.push(events.send(event(number)).await.unwrap().to_string());
    }
    events.close().await.unwrap();
    assert_eq!(fake.sizes(), [10; 10]);
    let stored = fake.stored();
    assert_eq!(numbers(&stored), (0..50).collect::<Vec<_>>(), "once, and in order");
    assert!(stored.iter().map(|event| event["event_id"].as_str().unwrap()).eq(&ids));
    assert_eq!(events.stats(), Stats { sent: 50, accepted: 50, retried: 5, ..Stats::default() });
    // By whichever clock it was that the call was over.
    let last = problems.lock().unwrap().last().unwrap().code;
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&last), "{last:?}");
}

#[tokio::test]
async fn one_event_that_is_refused_does_not_keep_the_others_out() {
    let bad = |events: &[serde_json::Value]| {
        numbers(events).iter().any(|number| [0, 41, 42].contains(number))
    };
    let (fake, address) = Fake::start(move |_, events| {
        if bad(events) { Reply::Refuse(Status::invalid_argument("no")) } else { Reply::Take }
    })
    .await;
    let (options, problems) = options();
    let events = client(address, KEY, options);
    for number in 0..100 {
        events.send(event(number)).await.unwrap();
    }
    events.close().await.unwrap();
    let good: Vec<u64> = (0..100).filter(|number| ![0, 41, 42].contains(number)).collect();
    assert_eq!(numbers(&fake.stored()), good);
    assert_eq!(events.stats(), Stats { sent: 100, accepted: 97, dropped: 3, ..Stats::default() });
    let dropped: Vec<_> = problems
        .lock()
        .unwrap()
        .iter()
        .map(|problem| match &problem.then {
            Then::Dropped { event } => event["data"]["number"].as_u64().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(dropped, [0, 41, 42]);
}

#[tokio::test]
async fn while_the_service_is_away_the_buffer_is_bounded_and_nothing_is_lost() {
    let (away, said) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let is_away = Arc::clone(&away);
    let (fake, address) = Fake::start(move |_, _| {
        if is_away.load(Ordering::SeqCst) {
            Reply::Refuse(Status::unavailable("away"))
        } else {
            Reply::Take
        }
    })
    .await;
    let (options, _) = options();
    let events = client(address, KEY, Options { buffer_events: 10, ..options });
    for number in 0..10 {
        events.try_send(event(number)).unwrap();
    }
    let full = events.try_send(event(10)).unwrap_err();
    assert_eq!((full.why, *full.event), (Why::Full, event(10)));
    let waits = tokio::spawn({
        let (events, said) = (events.clone(), Arc::clone(&said));
        async move {
            let id = events.send(event(10)).await;
            said.store(true, Ordering::SeqCst);
            id
        }
    });
    eventually("it is tried again and again", || async { events.stats().retried >= 5 }).await;
    assert!(!said.load(Ordering::SeqCst), "there was no room");
    let flush = tokio::time::timeout(Duration::from_millis(200), events.flush()).await;
    assert!(flush.is_err(), "there was no answer");
    let Stats { sent, accepted, dropped, waiting, .. } = events.stats();
    assert_eq!((sent, accepted, dropped, waiting), (10, 0, 0, 10));

    away.store(false, Ordering::SeqCst);
    waits.await.unwrap().unwrap();
    events.flush().await.unwrap();
    assert_eq!(numbers(&fake.stored()), (0..11).collect::<Vec<_>>());
    assert_eq!(events.stats().accepted, 11);
}

#[tokio::test]
async fn a_key_that_is_no_good_holds_the_events_until_there_is_a_better_one() {
    // As when it does not know the key, when the key lacks a scope, and where there is no such service.
    let refusals = [Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented];
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let (fake, address) = Fake::start(move |call, _| {
        if is_mended.load(Ordering::SeqCst) {
            Reply::Take
        } else {
            Reply::Refuse(Status::new(refusals[call % 3], "no"))
        }
    })
    .await;
    let (options, problems) = options();
    let hour = Duration::from_hours(1);
    // So long that only a new key ends the second wait.
    for (retry, key) in [(Duration::from_millis(20), KEY), (hour, "tap_1_better")] {
        mended.store(false, Ordering::SeqCst);
        let options = Options { retry_min: retry, retry_max: retry, ..options.clone() };
        let events = client(address, KEY, options);
        let tries = fake.sizes().len() + if key == KEY { 4 } else { 1 };
        events.send(event(0)).await.unwrap();
        eventually("it was refused", || async { fake.sizes().len() >= tries }).await;
        mended.store(true, Ordering::SeqCst);
        if key != KEY {
            events.set_key(key).unwrap();
        }
        events.close().await.unwrap();
        assert_eq!(events.stats().accepted, 1);
        assert_eq!(fake.keys().last().unwrap(), key);
    }
    let problems = problems.lock().unwrap();
    assert!(problems.len() >= 5);
    assert!(problems.iter().all(|problem| matches!(problem.then, Then::Held { .. })));
    assert!(!format!("{problems:?}").contains("hunter2"));
}

#[tokio::test]
async fn what_was_sent_is_delivered_when_nobody_holds_the_client_any_more() {
    let (fake, address) = Fake::start(|call, _| {
        if call < 3 { Reply::Refuse(Status::unavailable("away")) } else { Reply::Take }
    })
    .await;
    let (options, _) = options();
    let events = client(address, KEY, Options { linger: Duration::from_hours(1), ..options });
    let clone = events.clone();
    events.try_send(event(0)).unwrap();
    drop(events);
    clone.try_send(event(1)).unwrap();
    drop(clone);
    eventually("they are stored", || async { numbers(&fake.stored()) == [0, 1] }).await;
}

#[tokio::test]
async fn nobody_waits_for_a_background_that_has_ended() {
    let (_fake, address) = Fake::start(|_, _| Reply::Refuse(Status::unavailable("away"))).await;
    let (options, _) = options();
    let on_problem = Arc::new(|problem: &Problem| panic!("as told: {problem:?}"));
    let options = Options { on_problem: Some(on_problem), buffer_events: 1, ..options };
    let events = client(address, KEY, options);
    events.send(event(0)).await.unwrap();
    // Neither for room nor for an answer.
    let (sent, flushed) = tokio::join!(events.send(event(1)), events.flush());
    assert_eq!(sent.unwrap_err().why, Why::Closed);
    assert_eq!(flushed, Err(Ended));
    assert_eq!(events.close().await, Err(Ended));
}
