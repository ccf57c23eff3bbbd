//! What breaks while events are taken and settled: nothing is lost, nothing is doubled, the ledger adds up.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tap_analytics::{
    access::model::Scope,
    json::value_of,
    proto::tap_v1::{RecordEventsRequest, events_client::EventsClient},
};
use tokio::time;
use tonic::transport::Channel;
use uuid::Uuid;

use super::{Desk, balance, event, new_id, with};
use crate::{
    app::{
        AddKey, App, Options, OwnPostgres, eventually, new_database,
        rpcs::Rpc,
        store,
        wires::{Call, Door, Wire},
    },
    live::Service,
};

/// Sends so many events in batches, each again until it was answered; every 100th of them is wrong. Gives the
/// ids of the good ones, and the receipts.
async fn send_patiently(
    address: SocketAddr,
    key: &str,
    session: &str,
    batches: usize,
    sent: &AtomicUsize,
) -> (Vec<Uuid>, Vec<Uuid>) {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let mut client = EventsClient::with_interceptor(channel, AddKey(key.to_owned()));
    let (mut ids, mut receipts) = (Vec::new(), Vec::new());
    for _ in 0..batches {
        let events: Vec<Value> = (0..500)
            .map(|nth| {
                let good = with(event(session, "page", "view"), json!({"event_id": new_id()}));
                if nth % 100 == 0 { with(good, json!({"data": {}})) } else { good }
            })
            .collect();
        let good = events.iter().filter(|event| event["data"] != json!({}));
        ids.extend(good.map(|event| event["event_id"].as_str().unwrap().parse::<Uuid>().unwrap()));
        let request = RecordEventsRequest { events: events.iter().map(value_of).collect() };
        loop {
            match client.record_events(request.clone()).await {
                Ok(answer) => {
                    let answered = answer.into_inner().receipts;
                    receipts
                        .extend(answered.iter().map(|receipt| receipt.parse::<Uuid>().unwrap()));
                    break;
                }
                Err(_) => time::sleep(Duration::from_millis(50)).await,
            }
        }
        sent.fetch_add(500, Ordering::SeqCst);
    }
    (ids, receipts)
}

/// Once nothing waits: every good event is stored once, and every receipt is of something.
async fn assert_conserved(app: &App, team: i32, ids: Vec<Uuid>, receipts: Vec<Uuid>) {
    time::timeout(Duration::from_mins(2), async {
        while balance(app, team).await[4] > 0 {
            time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    let sql = app.sql().await;
    let rows = sql.query("select event_id from events where team_id = $1", &[&team]).await.unwrap();
    let stored: BTreeSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(rows.len(), stored.len());
    assert_eq!(stored, ids.into_iter().collect::<BTreeSet<Uuid>>());
    let known = "select receipt_id from events union all select receipt_id from event_duplicates
        union all select error_id from event_errors";
    let rows = sql.query(known, &[]).await.unwrap();
    let known: BTreeSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(rows.len(), known.len(), "a receipt is of one thing");
    for receipt in receipts {
        assert!(known.contains(&receipt), "{receipt} was answered and is of nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_events_survive_kill_9_in_their_middle() {
    let url = new_database().await;
    let app = App::on(store(&url), Options::default()).await;
    let team = app.team("acme").await;
    let key = app.key(team.id, None, Scope::ALL, None).await;
    let desk_session = {
        let rpc = Rpc::of("Events/CreateSession");
        let call = Call::new(&rpc, &json!({})).key(Some(&key));
        let made = call.outcome(&Door::straight(&app), Wire::Grpc, 1).await;
        made.answer()["session"]["id"].as_str().unwrap().to_owned()
    };
    // This one only looks: what is killed does the work.
    app.stop.cancel();
    let mut service = Service::start(&url).await;
    let grpc = service.grpc;
    let sent = AtomicUsize::new(0);
    let senders = (0..4).map(|_| send_patiently(grpc, &key, &desk_session, 50, &sent));
    let sending = futures_util::future::join_all(senders);
    let killing = async {
        for third in [20_000, 45_000, 70_000] {
            while sent.load(Ordering::SeqCst) < third {
                time::sleep(Duration::from_millis(5)).await;
            }
            service.kill_and_start().await;
        }
    };
    let (all, ()) = tokio::join!(sending, killing);
    let (ids, receipts): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    let receipts: Vec<Uuid> = receipts.concat();
    assert_eq!(receipts.len(), 100_000);
    assert_conserved(&app, team.id.0, ids.concat(), receipts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgresql_delays_events_and_loses_none() {
    let postgres = OwnPostgres::start().await;
    let desk = Desk::at(App::on(store(&postgres.url), Options::default()).await).await;
    let session = desk.session().await;
    let sent = AtomicUsize::new(0);
    let senders = (0..2).map(|_| send_patiently(desk.app.grpc, &desk.key, &session, 20, &sent));
    let sending = futures_util::future::join_all(senders);
    let faults = async {
        while sent.load(Ordering::SeqCst) < 4_000 {
            time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::block_in_place(|| {
            postgres.kill();
            postgres.start_again();
        });
        while sent.load(Ordering::SeqCst) < 10_000 {
            time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::block_in_place(|| postgres.restart());
    };
    let (all, ()) = tokio::join!(sending, faults);
    let (ids, receipts): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    assert_conserved(&desk.app, desk.team.id.0, ids.concat(), receipts.concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_settle_the_events_of_one_team_together() {
    let url = new_database().await;
    let desk = Desk::at(App::on(store(&url), Options::default()).await).await;
    let other = App::on(store(&url), Options::default()).await;
    other.until_known(&desk.key).await;
    let session = desk.session().await;
    let sent = AtomicUsize::new(0);
    let doors = [desk.app.grpc, other.grpc];
    let senders = (0..4).map(|n| send_patiently(doors[n % 2], &desk.key, &session, 10, &sent));
    let done = AtomicBool::new(false);
    let balances = Mutex::new(0);
    let looking = async {
        // At any moment.
        while !done.load(Ordering::SeqCst) {
            balance(&desk.app, desk.team.id.0).await;
            *balances.lock().unwrap() += 1;
        }
    };
    let sending = async {
        let all = futures_util::future::join_all(senders).await;
        done.store(true, Ordering::SeqCst);
        all
    };
    let (all, ()) = tokio::join!(sending, looking);
    assert!(*balances.lock().unwrap() > 0);
    let (ids, receipts): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    assert_conserved(&desk.app, desk.team.id.0, ids.concat(), receipts.concat()).await;
}

#[tokio::test]
async fn what_the_store_cannot_take_becomes_an_error_and_keeps_nothing_else_out() {
    let desk = Desk::open().await;
    let session = desk.session().await;
    // A fault that no check of ours foresees.
    let fault = "alter table events add constraint fault check (name <> 'poison')";
    desk.app.sql().await.batch_execute(fault).await.unwrap();
    let fates = desk
        .settle(&[
            event(&session, "page", "a"),
            event(&session, "page", "poison"),
            event(&session, "page", "b"),
        ])
        .await;
    let states: Vec<&str> = fates.iter().map(|fate| fate["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["STORED", "REJECTED", "STORED"]);
    let error =
        desk.answer("GetEventError", json!({"id": fates[1]["errorId"]})).await["error"].clone();
    assert_eq!(error["reason"], "PROCESSING_FAILED");
    assert_eq!(error["payload"]["name"], "poison");
    // Mended, it can be sent again.
    let mend = "alter table events drop constraint fault";
    desk.app.sql().await.batch_execute(mend).await.unwrap();
    let sent = desk.answer("ReplayEventErrors", json!({"error_ids": [error["id"]]})).await;
    let fate = desk.fate(sent["results"][0]["receipt"].as_str().unwrap()).await;
    assert_eq!(fate["state"], "STORED");
    assert_eq!(desk.balance().await, [4, 3, 0, 1, 0]);
}

#[tokio::test]
async fn while_one_team_cannot_be_served_others_are() {
    let desk = Desk::open().await;
    let other = desk.app.team("other").await;
    let key = desk.app.key(other.id, None, Scope::ALL, None).await;
    let sql = desk.app.sql().await;
    let hold = format!(
        "insert into event_heads values ({0}) on conflict do nothing; begin;
         select from event_heads where team_id = {0} for update",
        desk.team.id
    );
    sql.batch_execute(&hold).await.unwrap();
    let held = desk.send(&[json!({})]).await.remove(0);
    let sent = desk.ask_by(&key, "RecordEvents", json!({"events": [{}]})).await;
    let receipt = json!({"id": sent.answer()["receipts"][0]});
    eventually("the other team is served", || async {
        let answer = desk.ask_by(&key, "GetReceipt", receipt.clone()).await;
        answer.answer().get("state").is_some()
    })
    .await;
    assert_eq!(desk.answer("GetReceipt", json!({"id": held})).await.get("state"), None);
    sql.batch_execute("commit").await.unwrap();
    desk.fate(&held).await;
}
