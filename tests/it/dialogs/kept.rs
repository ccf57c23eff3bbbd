//! How long things are kept: what waits, what is stored, and what is under way when the service stops.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;
use tap_analytics::{
    access::model::Scope,
    dialogs::{
        model::{Message, Text},
        pending::{Limits, Pending},
    },
    ids::TeamId,
    memory,
    proto::tap_v1::{SetConsentRequest, dialogs_client::DialogsClient},
    reasons,
};
use tonic::{Code, transport::Channel};
use uuid::Uuid;

use super::{Chat, answer_at, ask_at, number, said, state};
use crate::{
    app::{
        AddKey, App, Options, OwnPostgres, cut_connections, eventually, instant, new_database,
        store, wires::Door,
    },
    live::Service,
};

#[tokio::test]
async fn what_waits_is_wiped_once_the_dialog_is_idle_for_too_long() {
    let clock = tap_analytics::clock::Clock::fixed(instant("2026-03-01T10:00:00Z"));
    let options = Options { clock: clock.clone(), pending_idle_s: 60, ..Options::default() };
    let chat = Chat::open_with(options).await;
    chat.say("c", "idle", "one").await;
    chat.say("c", "busy", "one").await;
    clock.set(instant("2026-03-01T10:00:50Z"));
    chat.say("c", "busy", "two").await;
    clock.set(instant("2026-03-01T10:01:10Z"));
    let waiting = async || {
        let export =
            chat.answer("EraseCustomer", json!({"customerId": "c", "validateOnly": true})).await;
        number(&export["counts"]["pendingMessages"])
    };
    eventually("the idle dialog is gone", || async { waiting().await == 2.0 }).await;
    assert_eq!(number(&chat.decide("idle", true).await["storedMessages"]), 0.0);
    assert_eq!(number(&chat.decide("busy", true).await["storedMessages"]), 2.0);
    clock.set(instant("2026-03-01T11:00:00Z"));
    assert_eq!(chat.texts(json!({})).await, ["two", "one"]);
}

#[tokio::test]
async fn first_it_is_redacted_and_later_deleted() {
    let (chat, clock) = Chat::open_at("2026-03-01T10:00:00Z").await;
    let settings = json!({"redactAfterDays": 10, "deleteAfterDays": 20});
    chat.answer("UpdateDialogSettings", settings).await;
    chat.decide("d", true).await;
    chat.say("c", "d", "call +250 788 123 456, or write to jo@example.com").await;
    chat.say("c", "d", "thank you").await;
    let other = chat.app.team("other").await;
    let key = chat.app.key(other.id, None, Scope::ALL, None).await;
    let door = Door::straight(&chat.app);
    answer_at(&door, &key, "SetConsent", json!({"dialogId": "d", "body": true})).await;
    answer_at(&door, &key, "RecordMessage", said("c", "d", "write to jo@example.com")).await;

    // As a service does that starts then, and others within a minute.
    let later = async |days: i64| {
        clock.set(instant("2026-03-01T10:00:00Z") + TimeDelta::days(days) + TimeDelta::seconds(1));
        chat.replica(Options { clock: clock.clone(), ..Options::default() }).await.0
    };
    let _at = later(9).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(chat.texts(json!({})).await[1], "call +250 788 123 456, or write to jo@example.com");
    let _at = later(10).await;
    eventually("it is redacted", || async {
        chat.texts(json!({})).await
            == ["thank you", "call <PHONE_NUMBER>, or write to <EMAIL_ADDRESS>"]
    })
    .await;
    let listed = chat.answer("ListMessages", json!({})).await;
    assert!(listed["messages"][0]["redactedAt"].is_string());
    let _at = later(20).await;
    eventually("it is deleted", || async { chat.texts(json!({})).await.is_empty() }).await;
    // The other team never asked for that.
    let theirs = answer_at(&door, &key, "ListMessages", json!({})).await;
    assert_eq!(super::texts(&theirs), ["write to jo@example.com"]);
    assert_eq!(chat.say("c", "d", "there is consent still").await, "STORED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_loses_what_waits_and_nothing_that_was_decided() {
    let url = new_database().await;
    let chat = Chat::at(App::on(store(&url), Options::default()).await).await;
    let mut service = Service::start(&url).await;
    let door = Door::at(service.grpc);
    let say = async |dialog: &str| {
        state(&answer_at(&door, &chat.key, "RecordMessage", said("c", dialog, dialog)).await)
    };
    for dialog in ["yes", "no", "open"] {
        assert_eq!(say(dialog).await, "PENDING");
    }
    for (dialog, granted) in [("yes", true), ("no", false)] {
        answer_at(&door, &chat.key, "SetConsent", json!({"dialogId": dialog, "body": granted}))
            .await;
    }
    service.kill_and_start().await;
    assert_eq!(say("yes").await, "STORED");
    assert_eq!(say("no").await, "REFUSED");
    let granted =
        answer_at(&door, &chat.key, "SetConsent", json!({"dialogId": "open", "body": true})).await;
    assert_eq!(number(&granted["storedMessages"]), 0.0);
    assert_eq!(chat.texts(json!({})).await, ["yes", "yes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_is_under_way_is_waited_for_when_the_service_stops() {
    let url = new_database().await;
    let chat = Chat::at(App::on(store(&url), Options::default()).await).await;
    let mut service = Service::start(&url).await;
    let door = Door::at(service.grpc).kept().await;
    answer_at(&door, &chat.key, "RecordMessage", said("c", "d", "one")).await;
    // The store answers a little later.
    let sql = chat.app.sql().await;
    sql.batch_execute("begin; lock table consents in exclusive mode").await.unwrap();
    let consent = answer_at(&door, &chat.key, "SetConsent", json!({"dialogId": "d", "body": true}));
    let stops = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let stopped = tokio::task::spawn_blocking(move || service.stop());
        tokio::time::sleep(Duration::from_millis(500)).await;
        sql.batch_execute("commit").await.unwrap();
        stopped.await.unwrap()
    };
    let (consent, well) = tokio::join!(consent, stops);
    assert_eq!(number(&consent["storedMessages"]), 1.0);
    assert!(well, "it ended well");
    assert_eq!(chat.texts(json!({})).await, ["one"]);
}

/// Callers, and dialogs of each.
const CALLERS: usize = 6;
const DIALOGS: usize = 30;
/// Messages before consent, and after it.
const BEFORE: usize = 3;
const AFTER: usize = 3;

/// Goes through dialogs, with each call until it is answered. Every third customer does not agree.
async fn chat_patiently(door: &Door, key: &str, caller: usize, answered: &AtomicUsize) {
    let patiently = async |rpc: &str, request: serde_json::Value| loop {
        let outcome = ask_at(door, key, rpc, request.clone()).await;
        if outcome.code == Code::Ok {
            answered.fetch_add(1, Ordering::SeqCst);
            return outcome.answer().clone();
        }
        let away = [Code::Cancelled, Code::Internal, Code::Unavailable, Code::Unknown];
        assert!(away.contains(&outcome.code), "{outcome:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for nth in 0..DIALOGS {
        let dialog = format!("d-{caller}-{nth}");
        let agrees = nth % 3 != 0;
        for number in 0..BEFORE + AFTER {
            if number == BEFORE {
                patiently("SetConsent", json!({"dialogId": dialog, "body": agrees})).await;
            }
            let text = format!("{dialog} {number}");
            let request = super::with(
                said(&format!("c-{caller}"), &dialog, &text),
                json!({"requestId": super::new_id()}),
            );
            let answer = patiently("RecordMessage", request).await;
            let expected = match (number < BEFORE, agrees) {
                (true, _) => "PENDING",
                (false, true) => "STORED",
                (false, false) => "REFUSED",
            };
            assert_eq!(state(&answer), expected, "{text}");
        }
    }
}

/// Looks that each message of who agreed is stored once, and nothing else is.
async fn assert_each_once(chat: &Chat) {
    let sql = chat.app.sql().await;
    let rows =
        sql.query("select text from messages order by text collate \"C\"", &[]).await.unwrap();
    let stored: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut expected: Vec<String> = (0..CALLERS)
        .flat_map(|caller| (0..DIALOGS).filter(|nth| nth % 3 != 0).map(move |nth| (caller, nth)))
        .flat_map(|(caller, nth)| {
            (0..BEFORE + AFTER).map(move |number| format!("d-{caller}-{nth} {number}"))
        })
        .collect();
    expected.sort();
    assert_eq!(stored, expected);
}

/// While everybody chats something breaks, whenever so many calls were answered.
async fn chat_while(chat: &Chat, doors: &[Door], breaks: impl AsyncFnOnce(&AtomicUsize)) {
    let answered = AtomicUsize::new(0);
    let callers = (0..CALLERS)
        .map(|caller| chat_patiently(&doors[caller % doors.len()], &chat.key, caller, &answered));
    tokio::join!(join_all(callers), breaks(&answered));
    assert_each_once(chat).await;
}

async fn until(answered: &AtomicUsize, share: usize) {
    let all = CALLERS * DIALOGS * (BEFORE + AFTER + 1);
    while answered.load(Ordering::SeqCst) < all * share / 100 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_lose_no_message_and_double_none() {
    let chat = Chat::open().await;
    let sql = chat.app.sql().await;
    let doors = [Door::straight(&chat.app)];
    chat_while(&chat, &doors, async |answered| {
        for share in (5..95).step_by(6) {
            until(answered, share).await;
            cut_connections(&sql).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgresql_loses_no_message_and_doubles_none() {
    let postgres = OwnPostgres::start().await;
    let chat = Chat::at(App::on(store(&postgres.url), Options::default()).await).await;
    let doors = [Door::straight(&chat.app)];
    chat_while(&chat, &doors, async |answered| {
        until(answered, 20).await;
        tokio::task::block_in_place(|| {
            postgres.kill();
            postgres.start_again();
        });
        until(answered, 60).await;
        tokio::task::block_in_place(|| postgres.restart());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_wipes_what_waits_also_while_postgresql_is_down() {
    let postgres = OwnPostgres::start().await;
    let chat = Chat::at(App::on(store(&postgres.url), Options::default()).await).await;
    assert_eq!(chat.say("c", "d", "one").await, "PENDING");
    assert_eq!(chat.say("c", "kept", "two").await, "PENDING");
    tokio::task::block_in_place(|| postgres.stop());
    let decide = async |dialog: &str, granted: bool| {
        let request = json!({"dialogId": dialog, "body": granted});
        chat.refusal("SetConsent", request).await
    };
    let down = (Code::Unavailable, "STORE_UNAVAILABLE".to_owned());
    assert_eq!(decide("d", false).await, down);
    assert_eq!(decide("kept", true).await, down);
    tokio::task::block_in_place(|| postgres.start_again());
    eventually("the store is there", || async {
        chat.ask("GetDialogSettings", json!({})).await.code == Code::Ok
    })
    .await;
    assert_eq!(number(&chat.decide("d", true).await["storedMessages"]), 0.0);
    assert_eq!(number(&chat.decide("kept", true).await["storedMessages"]), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_whose_callers_come_and_go_does_not_hold_up_another_one() {
    let chat = Chat::open().await;
    let other = chat.app.team("other").await;
    let theirs = chat.app.key(other.id, None, Scope::ALL, None).await;
    let dialogs: Vec<String> = (0..40).map(|nth| format!("d{nth}")).collect();
    for dialog in &dialogs {
        chat.decide(dialog, true).await;
    }
    // Somebody is at all of them, so that to decide takes until the lock is given up.
    let sql = chat.app.sql().await;
    sql.batch_execute("begin; select from dialogs for update").await.unwrap();
    let gone = join_all(dialogs.iter().map(|dialog| {
        let call = chat.ask("WithdrawConsent", json!({ "dialogId": dialog }));
        tokio::time::timeout(Duration::from_millis(300), call)
    }));
    assert!(gone.await.iter().all(Result::is_err), "all have gone away");
    let begun = std::time::Instant::now();
    let request = json!({"dialogId": "theirs", "body": true});
    answer_at(&chat.door, &theirs, "SetConsent", request).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    sql.batch_execute("rollback").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_a_consent_stores_all_or_nothing() {
    let url = new_database().await;
    let chat = Chat::at(App::on(store(&url), Options::default()).await).await;
    let mut service = Service::start(&url).await;
    let mut outcomes = [0, 0];
    // How long a consent takes is not known: sooner after one that was stored, later after one that was not.
    let mut wait = Duration::from_millis(20);
    for round in 0..40 {
        if outcomes.iter().all(|times| *times > 2) {
            break;
        }
        let door = Door::at(service.grpc).kept().await;
        let dialog = format!("d{round}");
        for _ in 0..200 {
            answer_at(&door, &chat.key, "RecordMessage", said("c", &dialog, "x")).await;
        }
        let channel = format!("http://{}", service.grpc);
        let channel = Channel::from_shared(channel).unwrap().connect().await.unwrap();
        let mut client = DialogsClient::with_interceptor(channel, AddKey(chat.key.clone()));
        let (dialog_id, granted) = (dialog.clone(), Some(true));
        let request = SetConsentRequest { dialog_id, granted, ..SetConsentRequest::default() };
        let consent = client.set_consent(request);
        let killed = async {
            tokio::time::sleep(wait).await;
            service.kill();
        };
        let _answer = tokio::join!(consent, killed);
        // Until PostgreSQL has noticed.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let count = |of: &str| format!("select count(*) from {of} where dialog_id = '{dialog}'");
        let stored: i64 = chat.app.scalar(&count("messages")).await;
        let decided: i64 = chat.app.scalar(&count("dialogs")).await;
        assert!([(0, 0), (200, 1)].contains(&(stored, decided)), "{stored} {decided}");
        outcomes[usize::from(stored > 0)] += 1;
        wait = if stored > 0 { wait * 2 / 3 } else { wait * 2 };
        service.start_again().await;
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "both happened: {outcomes:?}");
}

/// Dialogs that wait, of one message each, and the budget of a team.
const OPEN: usize = 100_000;
const TEAM_MIB: usize = 64;

/// Memory of this process that is resident and is of no file, in bytes. Each test has a process of its own.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_hundred_thousand_dialogs_wait_within_the_budget_and_leave_nothing() {
    let limits =
        Limits { team_bytes: TEAM_MIB << 20, bytes: 256 << 20, idle: TimeDelta::minutes(30) };
    let (pending, team, at) = (Pending::new(limits), TeamId(1), instant("2026-03-01T10:00:00Z"));
    let open = |nth: usize| {
        let message = Message {
            id: Uuid::now_v7(),
            request_id: None,
            language: "en".into(),
            text: Text::new("x".repeat(60)),
            received_at: at,
        };
        pending.open(team, &format!("dialog-{nth}"), &format!("customer-{nth}"), message)
    };
    // As the service does when it starts.
    memory::keep_little();
    let idle = resident();
    for nth in 0..OPEN {
        open(nth).unwrap();
    }
    let full = resident() - idle;
    assert!(full > OPEN * 200, "they are in memory: {full}");
    assert!(full < TEAM_MIB << 20, "{full} bytes for {OPEN} dialogs");
    // Some more fit, and then no more: and that is within the budget, too.
    let more = (OPEN..2 * OPEN).take_while(|nth| open(*nth).is_ok()).count();
    assert!((1..OPEN).contains(&more), "{more}");
    let refused = open(2 * OPEN).unwrap_err();
    assert_eq!(refused.code(), (Code::ResourceExhausted, reasons::PENDING_LIMIT));
    let full = resident() - idle;
    assert!(full < TEAM_MIB << 20, "{full} bytes for {} dialogs", OPEN + more);

    let expire = || {
        assert!(pending.expire(at + TimeDelta::minutes(30)) > OPEN * 200);
        assert!(pending.is_empty());
        // As the service does where that was much.
        memory::give_back();
        resident().saturating_sub(idle)
    };
    // What the allocator keeps for a thread, and no more.
    let left = expire();
    assert!(left < 6 << 20, "{left} bytes are left of {full}");
    // And it is used again.
    for nth in 0..OPEN {
        open(nth).unwrap();
    }
    let again = expire();
    assert!(again < 6 << 20, "{again} bytes are left of {full}, and were {left} the first time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_budget_is_refused_and_there_is_room_again_after_a_while() {
    let url = new_database().await;
    let chat = Chat::at(App::on(store(&url), Options::default()).await).await;
    let settings = [("TAP_LOG", "error"), ("TAP_PENDING_MIB", "1"), ("TAP_PENDING_IDLE_S", "3")];
    let settings = settings.map(|(name, value)| (name, value.to_owned())).to_vec();
    let service = Service::start_with(&url, settings).await;
    let door = Door::at(service.grpc).kept().await;
    let text = "x".repeat(9_000);
    let mut held = 0;
    let refused = loop {
        let request = said("c", &format!("d{held}"), &text);
        let outcome = ask_at(&door, &chat.key, "RecordMessage", request).await;
        if outcome.code != Code::Ok {
            break outcome;
        }
        held += 1;
        assert!(held < 1_000, "there is a bound");
    };
    assert!(held > 90, "{held}");
    assert_eq!(refused.refusal(), (Code::ResourceExhausted, "PENDING_LIMIT".to_owned()));
    // What is decided needs no memory.
    answer_at(&door, &chat.key, "SetConsent", json!({"dialogId": "d0", "body": true})).await;
    let stored = answer_at(&door, &chat.key, "RecordMessage", said("c", "d0", &text)).await;
    assert_eq!(state(&stored), "STORED");

    let metrics = format!("http://{}/metrics", service.admin);
    eventually("nothing waits any more", || async {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        text.contains("\ntap_pending_dialogs 0\n") && text.contains("\ntap_pending_bytes 0\n")
    })
    .await;
    let again = answer_at(&door, &chat.key, "RecordMessage", said("c", "again", &text)).await;
    assert_eq!(state(&again), "PENDING");
}
