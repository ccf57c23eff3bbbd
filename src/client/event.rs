//! An event as an application makes it, and as it goes over the wire.

use chrono::{DateTime, SecondsFormat, Utc};
use prost::Message as _;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::Why;
use crate::{
    clock::Clock,
    events::{
        check::{EVENT_ID, OCCURRED_AT},
        data::json_len,
        model::EVENT_BYTES_MAX,
    },
    json::{self, Value},
};

/// An event: something that happened in a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    id: Option<Uuid>,
    /// As it is sent, but for the id and the time that it gets if it has none.
    json: Json,
}

impl Event {
    /// Something of this category (1 to 50 characters) and name (1 to 150) happened in a session.
    pub fn new(session: Uuid, category: impl Into<String>, name: impl Into<String>) -> Self {
        let (category, name): (String, String) = (category.into(), name.into());
        let session = session.to_string();
        Self::json(json!({ "session_id": session, "category": category, "name": name, "data": {} }))
    }

    /// What is JSON already, in any of the forms that the service reads, such as what is passed on for somebody
    /// else. An object gets an id and a time if it has none. It is not looked at: what is wrong with it the
    /// service finds, and keeps as an event error.
    #[must_use]
    pub fn json(json: Json) -> Self {
        Self { id: None, json }
    }

    /// The particulars: an object that is not empty, as the service wants it of every event.
    #[must_use]
    pub fn data(mut self, data: Json) -> Self {
        self.set(&["data"], data);
        self
    }

    /// When it happened. Otherwise it is of the moment at which it is sent.
    #[must_use]
    pub fn occurred_at(mut self, at: impl Into<DateTime<Utc>>) -> Self {
        self.set(&OCCURRED_AT, instant(at.into()));
        self
    }

    /// An id by which it is stored once, for what has one already: sent again under it, also by another run of
    /// the application and exactly as it was, it is not stored again. Otherwise it gets a new one.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets a field under the first of its names, the one that the client uses, and under no other.
    fn set(&mut self, names: &[&str], value: Json) {
        let Json::Object(fields) = &mut self.json else { return };
        for name in names {
            fields.remove(*name);
        }
        if let Some(name) = names.first() {
            fields.insert((*name).to_owned(), value);
        }
    }

    fn has(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.json.get(name).is_some_and(|value| !value.is_null()))
    }

    /// The id that it is sent with, if it is one.
    fn own_id(&self) -> Option<Uuid> {
        EVENT_ID.iter().find_map(|name| self.json.get(name)?.as_str()?.parse().ok())
    }

    /// The event as it is sent, each time.
    pub(super) fn ready(&self, clock: &Clock) -> Result<Ready, Why> {
        if json::is_deep(&self.json, json::LEVELS_MAX) {
            return Err(Why::TooDeep);
        }
        let mut event = self.clone();
        let id = self.id.or_else(|| self.own_id()).unwrap_or_else(Uuid::now_v7);
        if self.id.is_some() || !self.has(&EVENT_ID) {
            event.set(&EVENT_ID, id.to_string().into());
        }
        if !self.has(&OCCURRED_AT) {
            event.set(&OCCURRED_AT, instant(clock.now()));
        }
        let text = json_len(&event.json);
        if text > EVENT_BYTES_MAX {
            return Err(Why::TooLarge { bytes: text });
        }
        let value = json::value_of(&event.json);
        // Either may be the longer one.
        let bytes = text.max(value.encoded_len());
        Ok(Ready { id, value, bytes })
    }
}

fn instant(at: DateTime<Utc>) -> Json {
    at.to_rfc3339_opts(SecondsFormat::Micros, true).into()
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
    fn what_is_json_already_goes_as_it_is() {
        let at = DateTime::from_timestamp_micros(1_700_000_000_000_000).unwrap();
        let sent = |event: Event| {
            let ready = event.ready(&Clock::fixed(at)).unwrap();
            (ready.id, json::json_of(&ready.value))
        };
        let id = Uuid::from_u128(7);
        let whole = json!({
            "eventId": id.to_string(),
            "session": { "id": "a" },
            "timestamp": "2021-01-01 09:15:27.243860",
            "more": [null, 1],
        });
        assert_eq!(sent(Event::json(whole.clone())), (id, whole.clone()));
        let (other, again) = sent(Event::json(whole).id(Uuid::from_u128(8)));
        assert_eq!(other, Uuid::from_u128(8));
        assert_eq!((&again["event_id"], again.get("eventId")), (&json!(other.to_string()), None));

        let (id, filled) = sent(Event::json(json!({ "occurredAt": null })));
        let expected =
            json!({ "event_id": id.to_string(), "occurred_at": "2023-11-14T22:13:20.000000Z" });
        assert_eq!(filled, expected);
        // An id that is none is the caller's to mend, and what is no object has no room for one.
        assert_eq!(sent(Event::json(json!({ "event_id": "x" }))).1["event_id"], json!("x"));
        assert_eq!(sent(Event::json(json!("text")).id(id)).1, json!("text"));
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
