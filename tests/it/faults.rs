//! What happens when parts break.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tap_analytics::{
    clock::Clock,
    feeds::revisions::Revisions,
    proto::tap_v1::{QueryTapsRequest, RecordTapsRequest},
    taps::live::LiveTaps,
};
use tonic::Code;

use crate::{
    app::{App, Options, OwnPostgres, eventually, query, report::report, store, tap},
    taps::assert_roll_up_equals_raw,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgresql_costs_answers_only_while_it_is_gone() {
    let postgres = OwnPostgres::start().await;
    let app = App::on(store(&postgres.url), Options::default()).await;
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    let client = app.client(&app.busy_key(team.id).await);
    let (stop, answered, acknowledged) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));

    let readers = (0..4_u32).map(|reader| {
        let (mut client, stop, answered) = (client.clone(), &stop, &answered);
        async move {
            while !stop.load(Ordering::SeqCst) {
                let n = answered.load(Ordering::SeqCst);
                let day = format!("2023-01-{:02}", n % 28 + 1);
                let asked = QueryTapsRequest {
                    week_start: i32::try_from(reader).unwrap(),
                    ..query(&day, "2023-12-31", "DAY")
                };
                match client.query_taps(asked).await {
                    Ok(_) => {
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(status) => {
                        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    });
    let writer = async {
        while !stop.load(Ordering::SeqCst) {
            let written = app
                .writer
                .write(team.id, &[tap(tag, "2023-05-01T12:00:00Z")], crate::app::now())
                .await;
            if let Ok(written) = written {
                let stored = written.stored();
                acknowledged.fetch_add(stored, Ordering::SeqCst);
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let faults = async {
        for fault in ["restart", "kill"] {
            tokio::time::sleep(Duration::from_millis(500)).await;
            tokio::task::block_in_place(|| {
                if fault == "restart" {
                    postgres.restart();
                } else {
                    postgres.kill();
                    std::thread::sleep(Duration::from_millis(300));
                    postgres.start_again();
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        eventually("queries are answered again", || {
            let mut client = client.clone();
            async move { client.query_taps(query("2023-05-01", "2023-05-01", "DAY")).await.is_ok() }
        })
        .await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(futures_util::future::join_all(readers), writer, faults);

    assert!(answered.into_inner() > 50, "hardly anything was answered");
    assert_roll_up_equals_raw(&app).await;
    let acknowledged = i64::try_from(acknowledged.into_inner()).unwrap();
    let stored: i64 = app.scalar("select count(*) from taps").await;
    // A commit whose answer was cut off may be there, too; at most one for each fault.
    assert!(
        acknowledged > 0 && (acknowledged..=acknowledged + 2).contains(&stored),
        "{acknowledged} {stored}"
    );
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let answer = client
        .clone()
        .query_taps(query("2023-05-01", "2023-05-01", "DAY"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.total as i64, stored);
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_ended_in_time_and_says_so() {
    let app = App::start_with(Options { cache_mib: 0, ..Options::default() }).await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap();
    // The store answers nobody: a change of the schema holds the table.
    let admin = app.sql().await;
    admin.batch_execute("begin; lock table tap_days in access exclusive mode").await.unwrap();
    let status = client.query_taps(query("2023-01-01", "2023-01-03", "DAY")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    admin.batch_execute("rollback").await.unwrap();
    client.query_taps(query("2023-01-01", "2023-01-04", "DAY")).await.unwrap();
}

#[tokio::test]
async fn a_stopping_server_answers_what_it_has_begun() {
    let app = App::start_with(Options { cache_mib: 0, ..Options::default() }).await;
    let team = app.team("acme").await;
    let admin = app.sql().await;
    admin.batch_execute("begin; lock table tap_days in access exclusive mode").await.unwrap();
    let mut client = app.client(&team.key);
    let slow =
        tokio::spawn(
            async move { client.query_taps(query("2023-01-01", "2023-01-03", "DAY")).await },
        );
    eventually("the query waits in the store", || async {
        app.scalar::<i64>("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()").await > 0
    })
    .await;
    app.stop.cancel();
    tokio::time::sleep(Duration::from_millis(200)).await;
    admin.batch_execute("rollback").await.unwrap();
    slow.await.unwrap().unwrap();
    app.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn equal_queries_that_come_together_are_counted_once() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let client = app.client(&team.key);
    // The store holds them up, so that they do come together.
    let admin = app.sql().await;
    admin.batch_execute("begin; lock table tap_days in access exclusive mode").await.unwrap();
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move {
                client.query_taps(query("2023-01-01", "2023-12-31", "DAY")).await
            })
        })
        .collect();
    let waiting = async || -> i64 {
        app.scalar(
            "select count(*) from pg_stat_activity
             where wait_event_type = 'Lock' and datname = current_database()",
        )
        .await
    };
    eventually("a query waits in the store", || async { waiting().await > 0 }).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(waiting().await, 1, "one counts, the others wait for it");
    admin.batch_execute("rollback").await.unwrap();
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap().into_inner().buckets.len(), 365);
    }
}

const LISTENERS: &str = "from pg_stat_activity
    where query like '%listen%taps%' and datname = current_database() and pid <> pg_backend_pid()";

#[tokio::test]
async fn a_listener_that_is_cut_off_is_replaced_and_revocation_still_takes_a_second() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let client = app.client(&team.key);
    let cut: i64 =
        app.scalar(&format!("select count(pg_terminate_backend(pid)) {LISTENERS}")).await;
    assert_eq!(cut, 1);
    eventually("there is a listener again", || async {
        app.scalar::<i64>(&format!("select count(*) {LISTENERS}")).await == 1
    })
    .await;

    let id = app.key_id(team.id, &team.key).await;
    tap_analytics::access::command::revoke_key(&app.db, &Clock::system(), team.id, id)
        .await
        .unwrap();
    let revoked = std::time::Instant::now();
    while client.clone().query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_ok() {
        assert!(revoked.elapsed() < Duration::from_secs(1), "a second later the key still works");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_key_is_known_without_a_hint_after_a_while() {
    let app = App::start().await;
    let team = app.team("acme").await;
    // As when the notification is lost: the row alone.
    let key = tap_analytics::access::key::ApiKey::generate(team.id).unwrap();
    app.sql()
        .await
        .execute(
            "insert into api_keys (team_id, key_id, key_hash, prefix, name, scopes, queries_per_hour)
             values ($1, gen_random_uuid(), $2, 'tap', 'silent', '{taps:read}', 100)",
            &[&team.id.0, &key.hash().as_slice()],
        )
        .await
        .unwrap();
    let client = app.client(key.reveal());
    eventually("the keys are loaded again", || {
        let mut client = client.clone();
        async move { client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_ok() }
    })
    .await;
}

#[tokio::test]
async fn a_kept_answer_is_given_without_counting_again() {
    // The time is in resume tokens.
    let clock = Clock::fixed(Clock::system().now());
    let app = App::start_with(Options { clock, ..Options::default() }).await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    let first =
        client.query_taps(query("2023-01-01", "2023-12-31", "DAY")).await.unwrap().into_inner();
    // Nobody can count now, but the revision can be read.
    let admin = app.sql().await;
    admin.batch_execute("begin; lock table tap_days in access exclusive mode").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let again =
        client.query_taps(query("2023-01-01", "2023-12-31", "DAY")).await.unwrap().into_inner();
    assert_eq!(again, first);
}

#[tokio::test]
async fn a_store_that_is_silent_is_unavailable_for_all_who_wait() {
    // Takes connections and never says a word, as a host that hangs.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let db = tap_analytics::db::Db::new(&store(&format!("postgres://x@{address}/tap"))).unwrap();
    let revisions = Revisions::<LiveTaps>::default();
    let began = std::time::Instant::now();
    let team = tap_analytics::ids::TeamId(1);
    let asked = (0..20).map(|_| revisions.current(&db, team));
    for answer in futures_util::future::join_all(asked).await {
        assert!(
            matches!(answer, Err(tap_analytics::error::Error::StoreUnavailable(_))),
            "{answer:?}"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(8), "they waited one after another");
}

#[tokio::test]
async fn a_query_has_its_own_deadline() {
    let app =
        App::start_with(Options { cache_mib: 0, query_timeout_ms: 300, ..Options::default() })
            .await;
    let team = app.team("acme").await;
    let admin = app.sql().await;
    admin.batch_execute("begin; lock table tap_days in access exclusive mode").await.unwrap();
    let began = std::time::Instant::now();
    let status = app
        .client(&team.key)
        .query_taps(query("2023-01-01", "2023-01-03", "DAY"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_stopping_server_goes_on_for_as_long_as_it_was_told() {
    let app = App::start_with(Options { drain_ms: 1_500, ..Options::default() }).await;
    let team = app.team("acme").await;
    let ready = format!("http://{}/readyz", app.admin);
    app.stop.cancel();
    eventually("it is no longer ready", || async {
        reqwest::get(&ready).await.is_ok_and(|answer| answer.status() == 503)
    })
    .await;
    app.client(&team.key).query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap();
    app.server.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_down_nobody_waits_for_others_to_give_up() {
    let postgres = OwnPostgres::start().await;
    let app = App::on(store(&postgres.url), Options::default()).await;
    let mut teams = Vec::new();
    for n in 0..14 {
        teams.push(app.reporting_team(&format!("team-{n}"), &["a"]).await);
    }
    tokio::task::block_in_place(|| postgres.stop());
    let start = Instant::now();
    let calls = teams.iter().map(|team| {
        let mut client = app.client(&team.key);
        async move {
            let taps = vec![report("a", crate::app::now())];
            client.record_taps(RecordTapsRequest { taps }).await.unwrap_err().code()
        }
    });
    let codes = futures_util::future::join_all(calls).await;
    assert!(codes.iter().all(|code| *code == Code::Unavailable), "{codes:?}");
    // One after the other in groups of six they would take three times as long.
    assert!(start.elapsed() < Duration::from_secs(13), "{:?}", start.elapsed());
    postgres.start_again();
}
