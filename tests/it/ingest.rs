//! `IngestTaps`: batches on a stream, answered in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tap_analytics::{
    access,
    auth::{Caller, KeyAbout},
    clock::Clock,
    db::Db,
    feeds::{
        Followed as _,
        live::{Feeds, Reads},
        revisions::Revisions,
        token::{History, Tokens},
    },
    hints::Notices,
    proto::{
        IngestBatch,
        tap_v1::{
            IngestTapsRequest, NewTap, RecordTapsRequest, tap_analytics_client::TapAnalyticsClient,
        },
        tap_v1_server::tap_analytics_server::TapAnalytics,
    },
    quotas::{Class, Quotas},
    streams::Streams,
    tags::directory::TagDirectory,
    taps::{
        answers::Answers, live::LiveTaps, model::Retention, queue::Queue, record::Recorder,
        rpc::Taps, writer::Writer,
    },
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    app::{
        AddKey, App, KeyedClient, Team,
        envoy::Envoy,
        eventually, instant,
        report::{Ingesting, reason, report, reports},
    },
    taps::assert_roll_up_equals_raw,
};

fn noon() -> DateTime<Utc> {
    instant("2023-05-01T12:00:00Z")
}

/// Field and reason of the one violation.
fn violation(status: &Status) -> (String, String) {
    assert_eq!((status.code(), reason(status)), (Code::InvalidArgument, "INVALID_FIELDS".into()));
    let violations = status.get_error_details().bad_request().unwrap().field_violations.clone();
    assert_eq!(violations.len(), 1);
    (violations[0].field.clone(), violations[0].reason.clone())
}

/// A client that takes little from the network before its program has read it.
async fn narrow_client(app: &App, team: &Team) -> KeyedClient {
    let channel = Channel::from_shared(format!("http://{}", app.grpc)).unwrap();
    let channel = channel.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let channel = channel.connect().await.unwrap();
    TapAnalyticsClient::with_interceptor(channel, AddKey(team.key.clone()))
}

/// Holds up whoever writes for the team, until it is dropped.
async fn hold_up(app: &App, team: &Team) -> tokio_postgres::Client {
    let admin = app.sql().await;
    let lock = format!("begin; select from teams where team_id = {} for update", team.id);
    admin.batch_execute(&lock).await.unwrap();
    admin
}

/// Waits until somebody does.
async fn until_held_up(app: &App) {
    eventually("a writer waits for the team", || async {
        app.scalar::<i64>("select count(*) from pg_locks where not granted").await > 0
    })
    .await;
}

#[tokio::test]
async fn batches_are_answered_in_their_order() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = app.client(&team.key);
    let mut ingesting = Ingesting::open(&mut client).await;
    // Any number will do, as long as the next is larger.
    let sequence = |n: i64| if n == 0 { i64::MIN } else { n * n };
    let sizes: Vec<usize> = (0..200).map(|n| [1, 300, 0, 20][n % 4]).collect();
    let first = report("a", noon());
    let batches = ingesting.batches.clone();
    let sending = async {
        for (n, size) in sizes.iter().enumerate() {
            let mut taps = reports("a", noon(), *size);
            taps.push(first.clone());
            taps.push(NewTap { tag_uid: "nobodys".to_owned(), ..first.clone() });
            let sequence = sequence(i64::try_from(n).unwrap());
            batches.send(IngestTapsRequest { sequence, taps }).await.unwrap();
        }
        drop(batches);
    };
    let reading = async {
        for (n, size) in sizes.iter().enumerate() {
            let answer = ingesting.answer().await;
            assert_eq!(answer.sequence, sequence(i64::try_from(n).unwrap()));
            let fresh = usize::from(n == 0);
            assert_eq!(answer.accepted, (size + fresh) as f64, "batch {n}");
            assert_eq!(answer.duplicates, (1 - fresh) as f64, "batch {n}");
            assert_eq!(answer.rejected.len(), 1, "batch {n}");
            assert_eq!(answer.rejected[0].index, i32::try_from(size + 1).unwrap());
            assert_eq!(answer.rejected[0].violations[0].reason, "UNKNOWN_TAG");
            assert!(!answer.resume_token.is_empty());
        }
    };
    tokio::join!(sending, reading);
    let Ingesting { batches, mut answers } = ingesting;
    drop(batches);
    assert_eq!(answers.message().await.unwrap(), None, "a stream that is ended ends well");
    assert_eq!(app.stored_taps().await, 1 + i64::try_from(sizes.iter().sum::<usize>()).unwrap());
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn a_batch_out_of_sequence_ends_the_stream_and_is_not_stored() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = app.client(&team.key);
    for wrong in [7, 6, -1] {
        let before = app.stored_taps().await;
        let mut ingesting = Ingesting::open(&mut client).await;
        for sequence in [5, 7, wrong] {
            ingesting.send(sequence, vec![report("a", noon())]).await;
        }
        for sequence in [5, 7] {
            assert_eq!(ingesting.answer().await.sequence, sequence);
        }
        let end = ingesting.next().await.unwrap_err();
        assert_eq!(violation(&end), ("sequence".to_owned(), "OUT_OF_SEQUENCE".to_owned()));
        assert_eq!(app.stored_taps().await, before + 2);
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_ends_the_stream_after_those_before_it() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let channel = Channel::from_shared(envoy.url("")).unwrap().connect().await.unwrap();
    let through_envoy = TapAnalyticsClient::with_interceptor(channel, AddKey(team.key.clone()));
    for mut client in [app.client(&team.key), through_envoy] {
        let mut ingesting = Ingesting::open(&mut client).await;
        ingesting.send(1, reports("a", noon(), 5_000)).await;
        ingesting.send(2, reports("a", noon(), 5_001)).await;
        assert_eq!(ingesting.answer().await.accepted, 5_000.0);
        let end = ingesting.next().await.unwrap_err();
        assert_eq!(violation(&end), ("taps".to_owned(), "TOO_MANY_TAPS".to_owned()));

        let mut ingesting = Ingesting::open(&mut client).await;
        ingesting.send(1, vec![report("a", noon())]).await;
        let device = "x".repeat(4 * 1024 * 1024);
        ingesting.send(2, vec![NewTap { device, ..report("a", noon()) }]).await;
        assert_eq!(ingesting.answer().await.sequence, 1);
        let end = ingesting.next().await.unwrap_err();
        assert_eq!((end.code(), reason(&end)), (Code::OutOfRange, "REQUEST_TOO_LARGE".into()));
    }
    assert_eq!(app.stored_taps().await, 2 * 5_001);
}

#[tokio::test]
async fn a_client_that_reads_no_answers_cannot_send_without_end() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = narrow_client(&app, &team).await;
    let ingesting = Ingesting::open(&mut client).await;
    // Answers of some 60 KB: each names a hundred bad taps.
    let batch = || {
        let bad = NewTap { tap_id: "x".repeat(36), country: "x".repeat(64), ..report("a", noon()) };
        let mut taps = vec![bad; 200];
        taps.push(report("a", noon()));
        taps
    };
    let sent = Arc::new(AtomicI64::new(0));
    let sending = tokio::spawn({
        let (batches, sent) = (ingesting.batches.clone(), Arc::clone(&sent));
        async move {
            for sequence in 0..2_000 {
                let _gone = batches.send(IngestTapsRequest { sequence, taps: batch() }).await;
                sent.store(sequence + 1, Ordering::SeqCst);
            }
        }
    });
    // It stands still: neither is more taken from the client nor more stored.
    let mut last = (-1, -1);
    loop {
        let now = (sent.load(Ordering::SeqCst), app.stored_taps().await);
        if now == last && now.1 > 0 {
            break;
        }
        last = now;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let (sent_now, stored) = last;
    assert!(!sending.is_finished() && sent_now < 200, "{sent_now} batches were taken");
    // What the windows of both sides hold, and a few under way.
    assert!(stored <= 20, "{stored} batches are stored, and none is acknowledged");

    // And goes on when it reads.
    let Ingesting { batches, mut answers } = ingesting;
    drop(batches);
    for sequence in 0..2_000 {
        let answer = tokio::time::timeout(Duration::from_secs(20), answers.message()).await;
        let answer = answer.unwrap().unwrap().unwrap();
        assert_eq!((answer.sequence, answer.accepted), (sequence, 1.0));
        assert_eq!(answer.rejected.len(), 200);
    }
    assert_eq!(answers.message().await.unwrap(), None);
    assert_eq!(app.stored_taps().await, 2_000);
}

#[tokio::test]
async fn clients_that_read_no_answers_do_not_keep_others_of_their_team_from_writing() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut other = app.client(&team.key);
    let held = hold_up(&app, &team).await;
    // Their first answers are longer than they take, and then there is more than a team may have waiting.
    let mut stuck = Vec::new();
    for _ in 0..8 {
        let mut client = narrow_client(&app, &team).await;
        let ingesting = Ingesting::open(&mut client).await;
        let bad = NewTap { country: "x".repeat(64), ..report("nobodys", noon()) };
        ingesting.send(1, vec![bad; 1_000]).await;
        stuck.push((client, ingesting));
    }
    until_held_up(&app).await;
    for sequence in 2..5 {
        for (_, ingesting) in &stuck {
            ingesting.send(sequence, reports("a", noon(), 5_000)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    held.batch_execute("rollback").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..5 {
        let taps = reports("a", noon(), 5_000);
        let answer = other.record_taps(RecordTapsRequest { taps }).await.unwrap();
        assert_eq!(answer.into_inner().accepted, 5_000.0);
    }
    drop(stuck);
}

#[tokio::test]
async fn what_was_acknowledged_before_a_cut_is_stored_and_sent_again_it_is_there_once() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    for (round, address) in [format!("http://{}", app.grpc), envoy.url("")].into_iter().enumerate()
    {
        let before = app.stored_taps().await;
        let batches: Vec<_> = (0..60).map(|_| reports("a", noon(), 50)).collect();
        let mut acknowledged = 0;
        // Cut again and again, until everything is answered.
        let mut cuts = 0;
        while acknowledged < batches.len() {
            let channel = Channel::from_shared(address.clone()).unwrap().connect().await.unwrap();
            let mut client =
                TapAnalyticsClient::with_interceptor(channel, AddKey(team.key.clone()));
            let mut ingesting = Ingesting::open(&mut client).await;
            let sender = ingesting.batches.clone();
            let rest: Vec<_> = batches.iter().cloned().enumerate().skip(acknowledged).collect();
            let sending = tokio::spawn(async move {
                for (sequence, taps) in rest {
                    let sequence = i64::try_from(sequence).unwrap();
                    if sender.send(IngestTapsRequest { sequence, taps }).await.is_err() {
                        return;
                    }
                }
            });
            for _ in 0..7 {
                if acknowledged == batches.len() {
                    break;
                }
                let answer = ingesting.answer().await;
                assert_eq!(answer.sequence, i64::try_from(acknowledged).unwrap());
                assert_eq!(answer.accepted + answer.duplicates, 50.0);
                acknowledged += 1;
            }
            // No farewell: the connection goes with the client.
            drop(ingesting);
            drop(client);
            sending.abort();
            cuts += 1;
            let stored = app.stored_taps().await - before;
            let acknowledged = i64::try_from(acknowledged).unwrap() * 50;
            assert!(stored >= acknowledged, "{stored} of {acknowledged} that were acknowledged");
        }
        assert!(cuts > 5, "round {round}");
        assert_eq!(app.stored_taps().await - before, 60 * 50, "round {round}");
    }
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_the_stream_within_a_second() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = app.client(&team.key);
    // One that says nothing, and one that is busy.
    let mut silent = Ingesting::open(&mut client).await;
    let mut busy = Ingesting::open(&mut client).await;
    silent.send(1, vec![report("a", noon())]).await;
    silent.answer().await;
    let batches = busy.batches.clone();
    let sending = tokio::spawn(async move {
        for sequence in 0.. {
            let batch = IngestTapsRequest { sequence, taps: vec![report("a", noon())] };
            if batches.send(batch).await.is_err() {
                return;
            }
        }
    });
    busy.answer().await;

    let id = app.key_id(team.id, &team.key).await;
    assert!(access::command::revoke_key(&app.db, &Clock::system(), team.id, id).await.unwrap());
    let revoked = Instant::now();
    let mut acknowledged = 1;
    let busy_end = loop {
        match busy.next().await {
            Ok(answer) => acknowledged += i64::from(answer.is_some()),
            Err(end) => break end,
        }
    };
    let silent_end = silent.next().await.unwrap_err();
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
    for end in [busy_end, silent_end] {
        assert_eq!((end.code(), reason(&end)), (Code::Unauthenticated, "API_KEY_REVOKED".into()));
    }
    sending.abort();
    // What had been taken was answered.
    assert_eq!(app.stored_taps().await, acknowledged + 1);
    let mut refused = app.client(&team.key);
    let refused = refused.ingest_taps(futures_util::stream::empty()).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::Unauthenticated, "API_KEY_INVALID".into())
    );
}

#[tokio::test]
async fn a_service_that_stops_answers_what_is_under_way_and_ends_the_stream() {
    for through_envoy in [false, true] {
        let app = App::start().await;
        let envoy = Envoy::start(&app).await;
        let team = app.reporting_team("acme", &["a"]).await;
        let address = if through_envoy { envoy.url("") } else { format!("http://{}", app.grpc) };
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        let mut client = TapAnalyticsClient::with_interceptor(channel, AddKey(team.key.clone()));
        let mut ingesting = Ingesting::open(&mut client).await;
        let mut idle = Ingesting::open(&mut client).await;
        let held = hold_up(&app, &team).await;
        for sequence in 1..=3 {
            ingesting.send(sequence, reports("a", noon(), 10)).await;
        }
        until_held_up(&app).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        app.stop.cancel();
        let end = idle.next().await.unwrap_err();
        assert_eq!((end.code(), reason(&end)), (Code::Unavailable, "DRAINING".into()));
        held.batch_execute("rollback").await.unwrap();

        for sequence in 1..=3 {
            let answer = ingesting.answer().await;
            assert_eq!((answer.sequence, answer.accepted), (sequence, 10.0));
        }
        let end = ingesting.next().await.unwrap_err();
        assert_eq!((end.code(), reason(&end)), (Code::Unavailable, "DRAINING".into()));
        assert!(end.get_error_details().retry_info().is_some());
        drop((ingesting, idle, client));
        let stored = app.stored_taps().await;
        app.server.await.unwrap().unwrap();
        assert_eq!(stored, 30);
    }
}

#[tokio::test]
async fn a_stream_goes_on_through_envoy_for_longer_than_a_call_may_take() {
    let app = App::start().await;
    let envoy = Envoy::impatient(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let channel = Channel::from_shared(envoy.url("")).unwrap().connect().await.unwrap();
    let mut client = TapAnalyticsClient::with_interceptor(channel, AddKey(team.key.clone()));
    let mut ingesting = Ingesting::open(&mut client).await;
    for sequence in 0..3 {
        ingesting.send(sequence, reports("a", noon(), 5_000)).await;
        assert_eq!(ingesting.answer().await.accepted, 5_000.0);
        tokio::time::sleep(Duration::from_millis(1_700)).await;
    }
}

/// The parts of a service without its doors, for a caller of our making.
async fn service(app: &App) -> Taps {
    let (db, clock) = (Db::new(&app.store).unwrap(), Clock::system());
    let tags = Arc::new(TagDirectory::new(db.clone()));
    tags.refresh().await.unwrap();
    let revisions = Arc::new(Revisions::default());
    let live = LiveTaps { tags: Arc::clone(&tags) };
    let feeds = Feeds::new(db.clone(), live, Arc::clone(&revisions), Reads::default());
    let writer = Arc::new(Writer::new(db.clone(), clock.clone()));
    let revisions_too = Arc::clone(&revisions);
    let queue = Queue::new(
        writer,
        clock.clone(),
        revisions_too,
        feeds.clone(),
        Notices::on(LiveTaps::NAME),
    );
    let history = History::new(0);
    let tokens = Arc::new(Tokens::new([1; 32], history.clone(), clock.clone()));
    let streams = Streams {
        clock: clock.clone(),
        draining: CancellationToken::new(),
        history: history.changes(),
    };
    Taps {
        answers: Answers::new(
            db,
            clock.clone(),
            revisions,
            Arc::clone(&tags),
            0,
            Duration::from_secs(15),
        ),
        recorder: Recorder::new(Arc::clone(&tags), queue),
        feeds,
        tags,
        tokens,
        streams,
        clock,
        retention: Retention(None),
    }
}

#[tokio::test]
async fn each_batch_costs_a_write_and_the_stream_ends_when_there_is_none_left() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let quotas = Arc::new(Quotas::new(1, &Clock::system()));
    let key = app.key_id(team.id, &team.key).await;
    let caller = Caller {
        team_slug: "acme".into(),
        team: team.id,
        key,
        quotas: Arc::clone(&quotas),
        life: Arc::default(),
        share: Arc::default(),
        about: std::sync::Arc::new(KeyAbout {
            name: String::new(),
            prefix: String::new(),
            team_name: String::new(),
            queries_per_hour: 100,
            expires_at: None,
        }),
        scopes: [].into(),
        token: None,
    };

    // Batches as they are on the wire.
    let mut body = bytes::BytesMut::new();
    for sequence in 0..500 {
        let batch = IngestTapsRequest { sequence, taps: vec![report("a", noon())] };
        let batch = prost::Message::encode_to_vec(&batch);
        bytes::BufMut::put_u8(&mut body, 0);
        bytes::BufMut::put_u32(&mut body, u32::try_from(batch.len()).unwrap());
        body.extend(batch);
    }
    let body = tonic::body::Body::new(axum::body::Body::from(body.freeze()));
    let codec = tonic_prost::ProstDecoder::<IngestBatch>::default();
    let batches = tonic::Streaming::new_request(codec, body, None, None);
    let mut request = Request::new(batches);
    request.extensions_mut().insert(caller);

    // As after an hour's worth of batches: a hundred come back each second.
    let mut taken = 0;
    while quotas.bucket(Class::Write).take().is_ok() {
        taken += 1;
    }
    assert!(taken >= 360_000);
    let answers = service(&app).await.ingest_taps(request).await.unwrap().into_inner();
    let answers: Vec<_> = futures_util::StreamExt::collect(answers).await;
    let (end, answered) = answers.split_last().unwrap();
    let end = end.as_ref().unwrap_err();
    assert_eq!((end.code(), reason(end)), (Code::ResourceExhausted, "QUOTA_EXCEEDED".into()));
    let details = end.get_error_details();
    assert_eq!(details.quota_failure().unwrap().violations[0].quota_metric, "tap-analytics/write");
    assert!(details.retry_info().is_some());
    // Those before it were taken and answered.
    assert!(answered.len() < 400, "{}", answered.len());
    assert!(answered.iter().all(Result::is_ok));
    assert_eq!(app.stored_taps().await, i64::try_from(answered.len()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_gone_ends_the_stream_and_what_was_answered_is_there() {
    let postgres = crate::app::OwnPostgres::start().await;
    let app = App::on(crate::app::store(&postgres.url), crate::app::Options::default()).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = app.client(&team.key);
    let mut ingesting = Ingesting::open(&mut client).await;
    ingesting.send(1, reports("a", noon(), 10)).await;
    ingesting.answer().await;
    tokio::task::block_in_place(|| postgres.stop());
    let again = reports("a", noon(), 10);
    ingesting.send(2, again.clone()).await;
    ingesting.send(3, reports("a", noon(), 10)).await;
    let end = ingesting.next().await.unwrap_err();
    assert_eq!((end.code(), reason(&end)), (Code::Unavailable, "STORE_UNAVAILABLE".into()));
    assert!(end.get_error_details().retry_info().is_some());
    tokio::task::block_in_place(|| postgres.start_again());
    let mut ingesting = Ingesting::open(&mut client).await;
    ingesting.send(2, again).await;
    let answer = ingesting.answer().await;
    assert_eq!(answer.accepted + answer.duplicates, 10.0);
    assert!((20..=30).contains(&app.stored_taps().await));
}
