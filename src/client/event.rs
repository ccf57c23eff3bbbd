//! An event as an application makes it, and as it goes over the wire.

use chrono::{DateTime, SecondsFormat, Utc};
use prost::Message as _;
use prost_types::Value;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::Why;
use crate::{
    clock::Clock,
    events::{data::json_len, model::EVENT_BYTES_MAX},
    json,
};

/// An event: something that happened in a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    id: Option<Uuid>,
    session: Uuid,
    category: String,
    name: String,
    data: Json,
    occurred_at: Option<DateTime<Utc>>,
}

impl Event {
    /// Something of this category (1 to 50 characters) and name (1 to 150) happened in a session.
    pub fn new(session: Uuid, category: impl Into<String>, name: impl Into<String>) -> Self {
        let (category, name) = (category.into(), name.into());
        Self { id: None, session, category, name, data: json!({}), occurred_at: None }
    }

    /// The particulars: an object that is not empty, as the service wants it of every event.
    #[must_use]
    pub fn data(mut self, data: Json) -> Self {
        self.data = data;
        self
    }

    /// When it happened. Otherwise it is of the moment at which it is sent.
    #[must_use]
    pub fn occurred_at(mut self, at: impl Into<DateTime<Utc>>) -> Self {
        self.occurred_at = Some(at.into());
        self
    }

    /// An id by which it is stored once, for what has one already: sent again under it, also by another run of
    /// the application and exactly as it was, it is not stored again. Otherwise it gets a new one.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// The event as it is sent, each time.
    pub(super) fn ready(&self, clock: &Clock) -> Result<Ready, Why> {
        // Itself an object: one level.
        if json::is_deep(&self.data, json::LEVELS_MAX - 1) {
            return Err(Why::TooDeep);
        }
        let id = self.id.unwrap_or_else(Uuid::now_v7);
        let occurred_at = self.occurred_at.unwrap_or_else(|| clock.now());
        let event = json!({
            "event_id": id.to_string(),
            "session_id": self.session.to_string(),
            "category": self.category,
            "name": self.name,
            "occurred_at": occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "data": self.data,
        });
        let text = json_len(&event);
        if text > EVENT_BYTES_MAX {
            return Err(Why::TooLarge { bytes: text });
        }
        let value = json::value_of(&event);
        // Either may be the longer one.
        let bytes = text.max(value.encoded_len());
        Ok(Ready { id, value, bytes })
    }
}

/// An event as it is sent.
#[derive(Debug)]
pub(super) struct Ready {
    pub id: Uuid,
    pub value: Value,
    /// Of its JSON or of the message, whichever is longer.
    pub bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_is_made_up_once() {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let session = Uuid::now_v7();
        let event = Event::new(session, "shop", "order").data(json!({ "items": 3 }));
        let ready = event.ready(&Clock::fixed(at)).unwrap();
        assert_eq!(ready.id.get_version_num(), 7);
        let expected = json!({
            "event_id": ready.id.to_string(),
            "session_id": session.to_string(),
            "category": "shop",
            "name": "order",
            "occurred_at": "2023-11-14T22:13:20.123456Z",
            "data": { "items": 3 },
        });
        assert_eq!(json::json_of(&ready.value), expected);
        assert!(ready.bytes >= expected.to_string().len());

        let id = Uuid::from_u128(7);
        let earlier = DateTime::from_timestamp_micros(1_600_000_000_000_000).unwrap();
        let ready = event.id(id).occurred_at(earlier).ready(&Clock::fixed(at)).unwrap();
        let sent = json::json_of(&ready.value);
        assert_eq!((ready.id, &sent["event_id"]), (id, &json!(id.to_string())));
        assert_eq!(sent["occurred_at"], "2020-09-13T12:26:40.000000Z");
    }

    #[test]
    fn the_largest_and_the_deepest_event_are_taken() {
        let clock = Clock::system();
        let event = |text: usize| {
            Event::new(Uuid::nil(), "a", "b").data(json!({ "text": "x".repeat(text) }))
        };
        let rest =
            event(0).ready(&clock).map(|ready| json::json_of(&ready.value).to_string().len());
        let room = EVENT_BYTES_MAX - rest.unwrap();
        assert!(event(room).ready(&clock).is_ok());
        let why = event(room + 1).ready(&clock).unwrap_err();
        assert_eq!(why, Why::TooLarge { bytes: EVENT_BYTES_MAX + 1 });

        let nested = |levels| (1..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        let event = |levels| Event::new(Uuid::nil(), "a", "b").data(nested(levels));
        assert!(event(json::LEVELS_MAX - 1).ready(&clock).is_ok());
        assert_eq!(event(json::LEVELS_MAX).ready(&clock).unwrap_err(), Why::TooDeep);
    }
}
