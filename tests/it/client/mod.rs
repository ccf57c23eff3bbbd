//! The clients for applications that send events: what they send is stored once, whatever happens on the way.

mod fake;
mod python;
mod real;
mod scripted;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tap_analytics::{
    access::model::Preset,
    client::{Events, Options, Problem},
    proto::tap_v1::{CreateSessionRequest, events_client::EventsClient},
};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::app::{AddKey, App, Team, eventually};

/// Options for tests, and the problems that come up.
fn options() -> (Options, Arc<Mutex<Vec<Problem>>>) {
    let problems: Arc<Mutex<Vec<Problem>>> = Arc::default();
    let noted = Arc::clone(&problems);
    let options = Options {
        linger: Duration::from_millis(20),
        retry_min: Duration::from_millis(20),
        retry_max: Duration::from_millis(100),
        on_problem: Some(Arc::new(move |problem| noted.lock().unwrap().push(problem.clone()))),
        ..Options::default()
    };
    (options, problems)
}

fn client(address: SocketAddr, key: &str, options: Options) -> Events {
    Events::with(&format!("http://{address}"), key, options).unwrap()
}

/// A team with a key that sends events, and a session.
async fn sending_team(app: &App) -> (Team, Uuid) {
    let team = app.team("acme").await;
    let key = app.key(team.id, None, Preset::Writer.scopes(), None).await;
    let channel = Channel::from_shared(format!("http://{}", app.grpc)).unwrap().connect_lazy();
    let mut events = EventsClient::with_interceptor(channel, AddKey(key.clone()));
    let made = events.create_session(CreateSessionRequest::default()).await.unwrap().into_inner();
    (Team { key, ..team }, made.session.unwrap().id.parse().unwrap())
}

/// Events that were taken so far.
async fn received(app: &App) -> i64 {
    app.scalar("select coalesce(sum(events), 0)::bigint from event_received").await
}

/// Waits until all that was taken is settled: these events are there, each once, and nothing else, and the ledger
/// adds up. Returns how many came more than once.
async fn assert_stored_once(app: &App, ids: &[Uuid]) -> i64 {
    let sql = app.sql().await;
    eventually("all is settled", || async {
        let waiting = sql.query_one("select count(*) from event_inbox", &[]).await.unwrap();
        waiting.get::<_, i64>(0) == 0
    })
    .await;
    let stored = sql.query("select event_id from events", &[]).await.unwrap();
    let (count, distinct) = (stored.len(), ids.iter().copied().collect::<BTreeSet<Uuid>>());
    assert_eq!(distinct.len(), ids.len(), "an id was given twice");
    assert!(
        stored.iter().map(|row| row.get(0)).collect::<BTreeSet<Uuid>>() == distinct,
        "{count} are stored of {}",
        ids.len()
    );
    assert_eq!(count, ids.len());
    let ledger = sql
        .query_one(
            "select sum(stored)::bigint, sum(duplicate)::bigint, sum(rejected)::bigint from event_outcomes",
            &[],
        )
        .await
        .unwrap();
    let [outcomes, duplicates, rejected]: [i64; 3] = [0, 1, 2].map(|at| ledger.get(at));
    assert_eq!(received(app).await, outcomes + duplicates + rejected, "the ledger");
    assert_eq!((outcomes, rejected), (count as i64, 0));
    let rows: i64 = app.scalar("select count(*) from event_duplicates").await;
    assert_eq!(rows, duplicates);
    duplicates
}
