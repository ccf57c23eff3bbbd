//! Events: taking, settling, looking, changing, refusing, sending again.

mod errors;
mod faults;
mod settling;
mod setup;
mod stored;
mod stream;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time;
use uuid::Uuid;

use crate::app::{App, desk};

/// How long a receipt may be pending.
const PATIENCE: Duration = Duration::from_secs(30);

/// A team that calls Events.
pub type Desk = desk::Desk<OfEvents>;

pub struct OfEvents;

impl desk::Service for OfEvents {
    const NAME: &'static str = "Events";
}

impl Desk {
    /// A new session.
    pub async fn session(&self) -> String {
        let made = self.answer("CreateSession", json!({})).await;
        made["session"]["id"].as_str().unwrap().to_owned()
    }

    /// Sends events, and gives their receipts.
    pub async fn send(&self, events: &[Value]) -> Vec<String> {
        let answer = self.answer("RecordEvents", json!({ "events": events })).await;
        let receipts: Vec<String> = serde_json::from_value(answer["receipts"].clone()).unwrap();
        assert_eq!(receipts.len(), events.len());
        receipts
    }

    /// What became of an event, once it is something.
    pub async fn fate(&self, receipt: &str) -> Value {
        let settled = async {
            loop {
                let answer = self.answer("GetReceipt", json!({ "id": receipt })).await;
                if answer.get("state").is_some() {
                    return answer;
                }
                time::sleep(Duration::from_millis(5)).await;
            }
        };
        let settled = time::timeout(PATIENCE, settled).await;
        settled.unwrap_or_else(|_| panic!("{receipt} is still pending"))
    }

    /// Sends events, and waits for what becomes of each.
    pub async fn settle(&self, events: &[Value]) -> Vec<Value> {
        let mut fates = Vec::new();
        for receipt in self.send(events).await {
            fates.push(self.fate(&receipt).await);
        }
        fates
    }

    /// Sends events that must be stored, and gives their ids.
    pub async fn store(&self, events: &[Value]) -> Vec<String> {
        let fates = self.settle(events).await;
        let ids = fates.iter().map(|fate| {
            assert_eq!(fate["state"], "STORED", "{fate}");
            fate["eventId"].as_str().unwrap().to_owned()
        });
        ids.collect()
    }

    /// Sends one event that must be refused, and gives the error.
    pub async fn refuse(&self, event: Value) -> Value {
        let [fate] = &self.settle(&[event]).await[..] else { panic!("not one") };
        assert_eq!(fate["state"], "REJECTED", "{fate}");
        assert_eq!(fate["errorId"], fate["id"]);
        self.answer("GetEventError", json!({"id": fate["errorId"]})).await["error"].clone()
    }

    /// The whole ledger, by the tables; it must add up, also with what is stored.
    pub async fn balance(&self) -> [i64; 5] {
        balance(&self.app, self.team.id.0).await
    }
}

/// What a team's ledger says of all minutes: received, stored, duplicate, rejected, pending. It must add up
/// by the minute, and with the rows of events.
pub async fn balance(app: &App, team: i32) -> [i64; 5] {
    let sql = app.sql().await;
    sql.batch_execute("begin isolation level repeatable read").await.unwrap();
    let minutes = "select r.minute, r.events, coalesce(o.stored, 0), coalesce(o.duplicate, 0),
            coalesce(o.rejected, 0), coalesce((
                select sum(events) from event_inbox i
                where i.team_id = r.team_id and date_trunc('minute', i.received_at) = r.minute
            ), 0)::bigint
        from event_received r left join event_outcomes o using (team_id, minute)
        where team_id = $1";
    let mut sums = [0; 5];
    for row in sql.query(minutes, &[&team]).await.unwrap() {
        let counts: [i64; 5] = std::array::from_fn(|at| row.get(at + 1));
        assert_eq!(counts[0], counts[1..].iter().sum::<i64>(), "{row:?}");
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let rows = "select
            (select count(*) from event_outcomes o where team_id = $1 and not exists (
                select from event_received r where r.team_id = o.team_id and r.minute = o.minute)),
            (select count(*) from events where team_id = $1),
            (select count(*) from event_duplicates where team_id = $1),
            (select count(*) from event_errors where team_id = $1),
            (select coalesce(sum(events), 0)::bigint from event_quarters where team_id = $1),
            (select count(*) from events where team_id = $1 and deleted_at is null),
            (select coalesce(max(revision), 0) from events where team_id = $1),
            coalesce((select revision from event_heads where team_id = $1), 0)";
    let row = sql.query_one(rows, &[&team]).await.unwrap();
    let counts: [i64; 8] = std::array::from_fn(|at| row.get(at));
    sql.batch_execute("commit").await.unwrap();
    let [strays, events, duplicates, errors, counted, shown, newest, head] = counts;
    assert_eq!(strays, 0, "outcomes of minutes in which nothing was received");
    assert_eq!((sums[1], sums[2], sums[3]), (events, duplicates, errors), "rows and ledger");
    assert_eq!(counted, shown, "quarters and events");
    assert_eq!((newest, head), (events, events), "revisions have no gaps");
    sums
}

/// A good event in a session.
pub fn event(session: &str, category: &str, name: &str) -> Value {
    json!({
        "session_id": session,
        "category": category,
        "name": name,
        "data": {"page": "/menu"},
        "occurred_at": "2021-01-01T09:15:27.243860Z",
    })
}

/// The same with other fields.
pub fn with(mut event: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// The same without a field.
pub fn without(mut event: Value, field: &str) -> Value {
    event.as_object_mut().unwrap().remove(field).unwrap();
    event
}

pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// With all numbers as the wire has them.
pub fn as_sent(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(items) => items.iter().map(as_sent).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), as_sent(value))).collect()
        }
        other => other.clone(),
    }
}
