//! A team that has something of everything that there is of events.

use serde_json::{Value, json};
use tap_analytics::ids::TeamId;
use tonic::Code;
use uuid::Uuid;

use super::{
    App, eventually,
    rpcs::Rpc,
    wires::{Call, Door, Wire},
};

/// What a team has of events: two sessions, events, event errors and event types, a duplicate, a batch that
/// waits until the end of time, and settings. These are the ids of the first of each.
#[derive(Clone, Debug)]
pub struct Visits {
    pub tap: String,
    pub session: String,
    pub event: String,
    pub receipt: String,
    pub error: String,
    pub fingerprint: String,
    /// The etag of a type.
    pub etag: String,
}

impl Visits {
    /// Makes all of that, by a key that may do everything. With another number there are other ids.
    pub async fn of(app: &App, team: TeamId, key: &str, number: u64) -> Self {
        let id =
            |nth: u64| Uuid::from_u64_pair(0x5d1d_2e4c_5f0a_4f6e, number << 8 | nth).to_string();
        let ask = async |name: &str, request: Value| {
            let rpc = Rpc::of(&format!("Events/{name}"));
            let call = Call::new(&rpc, &request).key(Some(key));
            let outcome = call.outcome(&Door::straight(app), Wire::Grpc, 1).await;
            assert_eq!(outcome.code, Code::Ok, "{name}: {outcome:?}");
            outcome.answer().clone()
        };
        let text = |answer: &Value, place: &str| {
            let text = answer.pointer(place).unwrap_or_else(|| panic!("no {place} in {answer}"));
            text.as_str().unwrap().to_owned()
        };
        let (session, tap, event) = (id(1), id(2), id(3));
        ask("CreateSession", json!({"id": session, "tapId": tap})).await;
        ask("CreateSession", json!({"id": id(4), "tapId": tap})).await;
        let kind = |name: &str| json!({"category": "their category", "name": name, "schema": {}});
        let etag = text(&ask("PutEventType", kind("theirs")).await, "/type/etag");
        ask("PutEventType", kind("theirs too")).await;
        ask("UpdateEventSettings", json!({"unknownTypes": "ACCEPT"})).await;
        let good = |event: &str| {
            json!({
                "event_id": event, "session_id": session, "category": "their category", "name": "theirs",
                "occurred_at": "2023-01-01T00:00:00Z", "data": {"theirs": true},
            })
        };
        let bad = json!({"session_id": session, "category": "their category"});
        let events = json!([good(&event), good(&id(5)), good(&event), bad, bad]);
        let sent = ask("RecordEvents", json!({"events": events})).await;
        let (receipt, error) = (text(&sent, "/receipts/0"), text(&sent, "/receipts/3"));
        eventually("the events are settled", || async {
            ask("GetReceipt", json!({"id": error})).await.get("state").is_some()
        })
        .await;
        let refused = ask("GetEventError", json!({"id": error})).await;
        let fingerprint = text(&refused, "/error/fingerprint");
        // What waits, and a minute before.
        let waits = format!(
            "insert into event_inbox
             values ({team}, gen_random_uuid(), now(), gen_random_uuid(), 'x', 1, 4, '[{{}}]', null, 0, '2199-01-01');
             insert into event_received values ({team}, '2023-01-01T00:00:00Z', 1);
             insert into event_outcomes values ({team}, '2023-01-01T00:00:00Z', 1, 0, 0)"
        );
        app.sql().await.batch_execute(&waits).await.unwrap();
        Self { tap, session, event, receipt, error, fingerprint, etag }
    }
}
