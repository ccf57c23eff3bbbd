//! Checks one event, in two steps: what can be seen of it alone, and what the store knows of it. In between
//! the store is asked for many events at once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    data::{self, Step},
    model::{
        CATEGORY_CHARS_MAX, Content, EVENT_BYTES_MAX, FUTURE_MAX, NAME_CHARS_MAX, NewEvent,
        Settings,
    },
    schema::Schema,
};
use crate::{
    error::Violation,
    json::{LEVELS_MAX, is_deep},
    reasons,
    wire::{check_text, excerpt, required, uuid},
};

/// Violations that are kept of an event, before one that says that there are more.
pub const VIOLATIONS_MAX: usize = 50;
/// The field that violations of an event as a whole name.
const WHOLE: &str = "event";

/// The names of fields that have more than one; the first is that of the proto file.
pub const OCCURRED_AT: [&str; 3] = ["occurred_at", "occurredAt", "timestamp"];
pub const SESSION_ID: [&str; 3] = ["session_id", "sessionId", "session"];
pub const EVENT_ID: [&str; 2] = ["event_id", "eventId"];

/// What the store knows that events are checked by.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub settings: Settings,
    /// Those of the sessions that the events name that there are.
    pub sessions: &'a HashSet<Uuid>,
    /// The schemas of event types, by category and name.
    pub schemas: &'a HashMap<(String, String), Arc<Schema>>,
}

impl Known<'_> {
    #[must_use]
    pub fn has_session(&self, id: Uuid) -> bool {
        self.sessions.contains(&id)
    }

    #[must_use]
    pub fn schema(&self, category: &str, name: &str) -> Option<Arc<Schema>> {
        if self.schemas.is_empty() {
            return None;
        }
        self.schemas.get(&(category.to_owned(), name.to_owned())).cloned()
    }
}

/// An event of which all is seen that can be seen without the store.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// What is wrong with it as a whole.
    whole: Vec<Violation>,
    /// `None` when there is nothing to read.
    fields: Option<Fields<'a>>,
}

/// The fields of an event, or what is wrong with each.
#[derive(Clone, Debug)]
struct Fields<'a> {
    category: Result<&'a str, Violation>,
    name: Result<&'a str, Violation>,
    /// An object.
    data: Result<&'a Value, Vec<Violation>>,
    occurred_at: Result<DateTime<Utc>, Violation>,
    session_id: Result<Uuid, Violation>,
    event_id: Result<Option<Uuid>, Violation>,
    unknown: Vec<Violation>,
}

impl<'a> Draft<'a> {
    /// Reads an event that came at this time.
    #[must_use]
    pub fn read(payload: &'a Value, received_at: DateTime<Utc>) -> Self {
        let refused = |violation| Self { whole: vec![violation], fields: None };
        let Value::Object(map) = payload else {
            let text = format!("is {}, and must be an object", kind_of(payload));
            return refused(Violation::new(WHOLE, reasons::NOT_AN_OBJECT, text));
        };
        if is_deep(payload, LEVELS_MAX) {
            let text = format!("has more than {LEVELS_MAX} levels");
            return refused(Violation::new(WHOLE, reasons::TOO_LARGE, text));
        }
        let mut whole = Vec::new();
        let bytes = data::json_len(payload);
        if bytes > EVENT_BYTES_MAX {
            let text = format!("has {bytes} bytes as JSON, and may have {EVENT_BYTES_MAX}");
            whole.push(Violation::new(WHOLE, reasons::TOO_LARGE, text));
        }
        Self { whole, fields: Some(Fields::read(map, received_at)) }
    }

    /// The session that it names.
    #[must_use]
    pub fn session_id(&self) -> Option<Uuid> {
        self.fields.as_ref()?.session_id.as_ref().ok().copied()
    }

    /// Its category and name.
    #[must_use]
    pub fn kind(&self) -> Option<(&'a str, &'a str)> {
        let fields = self.fields.as_ref()?;
        Some((*fields.category.as_ref().ok()?, *fields.name.as_ref().ok()?))
    }

    /// What the caller calls it.
    #[must_use]
    pub fn event_id(&self) -> Option<Uuid> {
        *self.fields.as_ref()?.event_id.as_ref().ok()?
    }

    /// The event, now that the store has said what it knows of it.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of: the whole, `category`, `name`, `data`, `occurred_at`,
    /// `session_id`, `event_id`, fields that are none of an event. At most [`VIOLATIONS_MAX`], and one that
    /// says that there are more.
    pub fn settle(self, known: &Known<'_>) -> Result<NewEvent, Vec<Violation>> {
        let kind = self.kind();
        let mut bad = self.whole;
        let Some(fields) = self.fields else { return Err(bad) };
        // What is too large is not looked at any longer than it has to be.
        let is_small = bad.is_empty();
        let schema = kind.and_then(|(category, name)| known.schema(category, name));
        let category = kept(fields.category, &mut bad);
        let name = kept(fields.name, &mut bad);
        if let Some((category, name)) = kind
            && schema.is_none()
            && known.settings.refuse_unknown_types
        {
            let (category, name) = (excerpt(category), excerpt(name));
            let text = format!("there is no event type of category {category} and name {name}");
            bad.push(Violation::new("name", reasons::UNKNOWN_EVENT_TYPE, text));
        }
        let data = match fields.data {
            Ok(data) => {
                if let Some(schema) = schema.filter(|_| is_small) {
                    bad.extend(schema.check(data));
                }
                Some(data)
            }
            Err(violations) => {
                bad.extend(violations);
                None
            }
        };
        let occurred_at = kept(fields.occurred_at, &mut bad);
        let session_id = kept(fields.session_id, &mut bad);
        if let Some(id) = session_id
            && !known.settings.create_unknown_sessions
            && !known.has_session(id)
        {
            let text = format!("there is no session {id}: create it first");
            bad.push(Violation::new("session_id", reasons::UNKNOWN_SESSION, text));
        }
        let event_id = kept(fields.event_id, &mut bad);
        bad.extend(fields.unknown);
        if let (Some(category), Some(name), Some(data), Some(occurred_at)) =
            (category, name, data, occurred_at)
            && let (Some(session_id), Some(event_id)) = (session_id, event_id)
            && bad.is_empty()
        {
            let (category, name) = (category.to_owned(), name.to_owned());
            let data = data::canonical(data);
            let content = Content { session_id, category, name, data, occurred_at };
            return Ok(NewEvent { event_id, content });
        }
        Err(shortened(bad))
    }
}

/// What was read, or nothing and one violation more.
fn kept<T>(field: Result<T, Violation>, bad: &mut Vec<Violation>) -> Option<T> {
    field.map_err(|violation| bad.push(violation)).ok()
}

/// As many violations as are kept.
fn shortened(mut bad: Vec<Violation>) -> Vec<Violation> {
    if bad.len() > VIOLATIONS_MAX {
        bad.truncate(VIOLATIONS_MAX);
        let field = bad.last().map(|last| last.field.as_str()).unwrap_or_default();
        // Of a field within others: those.
        let field = field.split(['[', '.']).next().unwrap_or_default().to_owned();
        let text = "more things are wrong after these";
        bad.push(Violation::new(field, reasons::MORE_VIOLATIONS, text));
    }
    bad
}

impl<'a> Fields<'a> {
    fn read(map: &'a Map<String, Value>, received_at: DateTime<Utc>) -> Self {
        let mut unknown = Vec::new();
        for name in map.keys() {
            let name = name.as_str();
            let known = matches!(name, "category" | "name" | "data")
                || OCCURRED_AT.contains(&name)
                || SESSION_ID.contains(&name)
                || EVENT_ID.contains(&name);
            if !known {
                note_unknown(&mut unknown, &[Step::Name(name)]);
            }
        }
        if let Some(Value::Object(session)) = map.get("session") {
            for name in session.keys().filter(|name| *name != "id") {
                note_unknown(&mut unknown, &[Step::Name("session"), Step::Name(name)]);
            }
        }
        Self {
            category: text("category", given(map, "category"), CATEGORY_CHARS_MAX),
            name: text("name", given(map, "name"), NAME_CHARS_MAX),
            data: read_data(given(map, "data")),
            occurred_at: read_occurred_at(map, received_at),
            session_id: read_session_id(map),
            event_id: one_of(
                "event_id",
                EVENT_ID.into_iter().filter_map(|name| given(map, name)).map(read_event_id),
            ),
            unknown,
        }
    }
}

fn note_unknown(unknown: &mut Vec<Violation>, steps: &[Step<'_>]) {
    // One more than is kept, to see that there are more.
    if unknown.len() <= VIOLATIONS_MAX {
        let field = data::place("", steps).split_off(1);
        let text = "is not a field of an event: put it into data";
        unknown.push(Violation::new(field, reasons::UNKNOWN_FIELD, text));
    }
}

/// A field that is there and not null.
fn given<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).filter(|value| !value.is_null())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn wrong_type(field: &str, value: &Value, right: &str) -> Violation {
    let text = format!("is {}, and must be {right}", kind_of(value));
    Violation::new(field, reasons::WRONG_TYPE, text)
}

fn text<'a>(field: &str, value: Option<&'a Value>, chars_max: usize) -> Result<&'a str, Violation> {
    let text = match value {
        None => return Err(required(field, "every event has one")),
        Some(Value::String(text)) => text,
        Some(other) => return Err(wrong_type(field, other, "a text")),
    };
    if text.trim().is_empty() {
        return Err(required(field, "it is blank"));
    }
    let mut bad = Vec::new();
    check_text(field, text, chars_max, &mut bad);
    bad.pop().map_or(Ok(text), Err)
}

fn read_data(value: Option<&Value>) -> Result<&Value, Vec<Violation>> {
    let value = value.ok_or_else(|| vec![required("data", "every event has some")])?;
    let Value::Object(map) = value else {
        return Err(vec![wrong_type("data", value, "an object")]);
    };
    if map.is_empty() {
        return Err(vec![required("data", "the object is empty")]);
    }
    let mut bad = Vec::new();
    data::each_text(value, &mut Vec::new(), &mut |text, steps| {
        if text.contains('\0') && bad.len() <= VIOLATIONS_MAX {
            let text = "has a NUL character in it, which cannot be stored: leave it out";
            bad.push(Violation::new(data::place("data", steps), reasons::MALFORMED_TEXT, text));
        }
    });
    if bad.is_empty() { Ok(value) } else { Err(bad) }
}

/// What all spellings of a field that are given say.
fn one_of<T: PartialEq>(
    field: &str,
    spellings: impl Iterator<Item = Result<T, Violation>>,
) -> Result<Option<T>, Violation> {
    let mut said = None;
    for value in spellings {
        let value = value?;
        if said.as_ref().is_some_and(|said| *said != value) {
            let text = "is given in two ways, and they differ: send one of them";
            return Err(Violation::new(field, reasons::CONFLICTING_FIELDS, text));
        }
        said = Some(value);
    }
    Ok(said)
}

fn read_occurred_at(
    map: &Map<String, Value>,
    received_at: DateTime<Utc>,
) -> Result<DateTime<Utc>, Violation> {
    let field = "occurred_at";
    let spellings = OCCURRED_AT.into_iter().filter_map(|name| given(map, name));
    let said = one_of(
        field,
        spellings.map(|value| match value {
            Value::String(text) => instant(field, text),
            other => Err(wrong_type(field, other, "a text")),
        }),
    )?;
    let at = said.ok_or_else(|| required(field, "say when it happened"))?;
    if at - received_at > FUTURE_MAX {
        let seconds = FUTURE_MAX.num_seconds();
        let text = format!("is more than {seconds} seconds ahead of our clock: check yours");
        return Err(Violation::new(field, reasons::TIMESTAMP_IN_FUTURE, text));
    }
    Ok(at)
}

/// An instant in RFC 3339, with a space for the `T` if so wished; without a zone it is in UTC.
///
/// # Errors
/// The violation, when it is something else.
pub fn instant(field: &str, text: &str) -> Result<DateTime<Utc>, Violation> {
    if text.is_empty() {
        return Err(required(field, "say when it happened"));
    }
    // What follows the date and the seconds: a fraction, and a zone or none.
    let no_zone = text.get(19..).is_some_and(|rest| !rest.contains(['Z', 'z', '+', '-', '−']));
    let read = if no_zone {
        DateTime::parse_from_rfc3339(&format!("{text}Z"))
    } else {
        DateTime::parse_from_rfc3339(text)
    };
    // To microseconds, as the store keeps them.
    let at = read.ok().and_then(|at| DateTime::from_timestamp_micros(at.timestamp_micros()));
    at.ok_or_else(|| {
        let text = format!(
            "{} is not an instant such as 2023-01-01T08:00:00Z or 2023-01-01 08:00:00.25",
            excerpt(text)
        );
        Violation::new(field, reasons::MALFORMED_DATE, text)
    })
}

fn read_session_id(map: &Map<String, Value>) -> Result<Uuid, Violation> {
    let field = "session_id";
    let spellings = SESSION_ID.into_iter().filter_map(|name| {
        let value = given(map, name)?;
        if name != "session" {
            return Some(read_uuid(field, value));
        }
        match value {
            Value::Object(session) => Some(read_uuid(field, given(session, "id")?)),
            other => Some(Err(wrong_type(field, other, "an object with an id, as `session`"))),
        }
    });
    let what = "name the session that it happened in";
    one_of(field, spellings)?.ok_or_else(|| required(field, what))
}

fn read_event_id(value: &Value) -> Result<Uuid, Violation> {
    if value.as_str().is_some_and(str::is_empty) {
        let text = "is empty: give each event a UUID of its own, or none";
        return Err(Violation::new("event_id", reasons::MALFORMED_UUID, text));
    }
    read_uuid("event_id", value)
}

fn read_uuid(field: &str, value: &Value) -> Result<Uuid, Violation> {
    let Value::String(text) = value else { return Err(wrong_type(field, value, "a text")) };
    let id = uuid(field, text)?;
    if id.is_nil() {
        let text = "is the UUID of zeros, which stands for none";
        return Err(Violation::new(field, reasons::MALFORMED_UUID, text));
    }
    Ok(id)
}

/// An event that was read, as it could have been sent: changes of it are checked as if it was.
#[must_use]
pub fn payload_of(event_id: Option<Uuid>, content: &Content) -> Value {
    let Content { session_id, category, name, data, occurred_at } = content;
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    let occurred_at = occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut payload = json!({
        "session_id": session_id.to_string(),
        "category": category,
        "name": name,
        "data": data,
        "occurred_at": occurred_at,
    });
    if let (Some(event_id), Some(payload)) = (event_id, payload.as_object_mut()) {
        payload.insert("event_id".to_owned(), event_id.to_string().into());
    }
    payload
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::data::tests::any_json, *};

    const SESSION: &str = "01a20530-7f5e-7cc1-a3c3-6d2f3b1c9d01";
    const EVENT: &str = "01a20530-7f5e-7cc1-a3c3-6d2f3b1c9d02";
    const NIL: &str = "00000000-0000-0000-0000-000000000000";

    fn now() -> DateTime<Utc> {
        "2023-06-01T12:00:00Z".parse().unwrap()
    }

    fn good() -> Value {
        json!({
            "event_id": EVENT,
            "session_id": SESSION,
            "category": "shop",
            "name": "buy",
            "data": {"plan": "free", "price": 3},
            "occurred_at": "2023-06-01T11:59:00Z",
        })
    }

    /// The good event with these fields instead; null takes one out.
    fn with(fields: &Value) -> Value {
        let mut event = good();
        let map = event.as_object_mut().unwrap();
        for (name, value) in fields.as_object().unwrap() {
            map.insert(name.clone(), value.clone());
            if value.is_null() {
                map.remove(name);
            }
        }
        event
    }

    /// What the store knows: the session, and schemas.
    struct Store {
        settings: Settings,
        sessions: HashSet<Uuid>,
        schemas: HashMap<(String, String), Arc<Schema>>,
    }

    impl Store {
        fn new() -> Self {
            Self {
                settings: Settings { refuse_unknown_types: false, create_unknown_sessions: false },
                sessions: HashSet::from([SESSION.parse().unwrap()]),
                schemas: HashMap::new(),
            }
        }

        fn schema(mut self, schema: &Value) -> Self {
            let schema = Arc::new(Schema::compile(schema).unwrap());
            self.schemas.insert(("shop".to_owned(), "buy".to_owned()), schema);
            self
        }

        fn settle(&self, event: &Value) -> Result<NewEvent, Vec<Violation>> {
            let Self { settings, sessions, schemas } = self;
            Draft::read(event, now()).settle(&Known { settings: *settings, sessions, schemas })
        }
    }

    fn settle(event: &Value) -> Result<NewEvent, Vec<Violation>> {
        Store::new().settle(event)
    }

    /// What is wrong with an event, without words.
    fn wrong(event: &Value) -> Vec<String> {
        said(settle(event))
    }

    fn said(settled: Result<NewEvent, Vec<Violation>>) -> Vec<String> {
        let bad = settled.err().unwrap_or_default();
        bad.into_iter().map(|bad| format!("{} {}", bad.field, bad.reason)).collect()
    }

    #[test]
    fn a_good_event_is_kept_as_it_is() {
        let content = Content {
            session_id: SESSION.parse().unwrap(),
            category: "shop".to_owned(),
            name: "buy".to_owned(),
            data: r#"{"plan":"free","price":3}"#.to_owned(),
            occurred_at: "2023-06-01T11:59:00Z".parse().unwrap(),
        };
        let event = NewEvent { event_id: Some(EVENT.parse().unwrap()), content };
        assert_eq!(settle(&good()), Ok(event));
        let event = good();
        let draft = Draft::read(&event, now());
        assert_eq!(draft.session_id(), Some(SESSION.parse().unwrap()));
        assert_eq!(draft.event_id(), Some(EVENT.parse().unwrap()));
        assert_eq!(draft.kind(), Some(("shop", "buy")));
        assert_eq!(settle(&with(&json!({"event_id": null}))).unwrap().event_id, None);
    }

    #[test]
    fn an_event_that_is_written_in_another_way_is_the_same() {
        let event = settle(&good()).unwrap();
        let upper = SESSION.to_uppercase();
        for other in [
            r#"{"sessionId": "S", "eventId": "E", "occurredAt": "2023-06-01 11:59:00"}"#,
            r#"{"session": {"id": "S"}, "event_id": "E", "timestamp": "2023-06-01T13:59:00.000+02:00"}"#,
            r#"{"session": {"id": "S"}, "session_id": "S", "sessionId": null, "eventId": "E", "event_id": "E",
                "timestamp": "2023-06-01t11:59:00z", "occurred_at": "2023-06-01T11:59:00.0000000000001Z"}"#,
        ] {
            let text = other
                .replace("\"S\"", &format!("\"{upper}\""))
                .replace("\"E\"", &format!("\"{EVENT}\""));
            let mut other: Value = serde_json::from_str(&text).unwrap();
            other["category"] = json!("shop");
            other["name"] = json!("buy");
            other["data"] = serde_json::from_str(r#"{"price": 3.0, "plan": "fr\u0065e"}"#).unwrap();
            let other = settle(&other).unwrap();
            assert_eq!(other, event);
            assert_eq!(other.content.hash(), event.content.hash());
        }
    }

    #[test]
    fn instants_are_read_in_every_usual_form() {
        for (text, at) in [
            ("2021-01-01 09:15:27.243860", "2021-01-01T09:15:27.243860Z"),
            ("2021-01-01T09:15:27", "2021-01-01T09:15:27Z"),
            ("2021-01-01T09:15:27Z", "2021-01-01T09:15:27Z"),
            ("2021-01-01 09:15:27z", "2021-01-01T09:15:27Z"),
            ("2021-01-01t09:15:27+05:30", "2021-01-01T03:45:27Z"),
            ("2021-01-01 09:15:27.5-00:30", "2021-01-01T09:45:27.5Z"),
            ("2021-01-01T09:15:27.1234567890123456789Z", "2021-01-01T09:15:27.123456Z"),
            ("2021-01-01T09:15:27.1234567890123456789", "2021-01-01T09:15:27.123456Z"),
            ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(instant("occurred_at", text), Ok(at.parse().unwrap()), "{text}");
        }
        for text in [
            "2021-01-01",
            "2021-01-01T09:15",
            "2021-01-01T09:15:27.",
            "2021-01-01T09:15:27 ",
            " 2021-01-01T09:15:27",
            "2021-01-01T09:15:27 UTC",
            "2021-01-01T09:15:27+",
            "2021-01-01T09:15:27ZZ",
            "2021-01-01T24:00:00Z",
            "2021-02-29T00:00:00Z",
            "2021-1-1T00:00:00Z",
            "+2021-01-01T00:00:00",
            "12021-01-01T00:00:00",
            "1609492527",
            "20210101T091527Z",
            "2021-01-01T09:15:27é",
            "今2021-01-01T09:15:27",
            "\0",
        ] {
            let bad = instant("occurred_at", text).unwrap_err();
            assert_eq!(bad.reason, reasons::MALFORMED_DATE, "{text}");
        }
        assert_eq!(instant("x", "").unwrap_err().reason, reasons::REQUIRED);
    }

    #[test]
    fn an_event_may_be_five_seconds_ahead() {
        let ahead = |text: &str| wrong(&with(&json!({"occurred_at": text})));
        assert!(ahead("2023-06-01T12:00:05Z").is_empty());
        assert_eq!(ahead("2023-06-01T12:00:05.000001Z"), ["occurred_at TIMESTAMP_IN_FUTURE"]);
        assert_eq!(ahead("9999-12-31T23:59:59Z"), ["occurred_at TIMESTAMP_IN_FUTURE"]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for event in [json!(null), json!(3), json!("text"), json!([good()]), json!(true)] {
            let draft = Draft::read(&event, now());
            assert_eq!((draft.session_id(), draft.kind(), draft.event_id()), (None, None, None));
            assert_eq!(wrong(&event), ["event NOT_AN_OBJECT"]);
        }
    }

    #[test]
    fn every_field_is_checked() {
        let nothing = json!({
            "category": null, "name": null, "data": null, "occurred_at": null, "session_id": null,
        });
        for (fields, bad) in [
            (json!({"category": ""}), vec!["category REQUIRED"]),
            (json!({"category": " \t\u{3000}"}), vec!["category REQUIRED"]),
            (json!({"category": 3}), vec!["category WRONG_TYPE"]),
            (json!({"category": "x".repeat(51)}), vec!["category TOO_LONG"]),
            (json!({"category": "ä".repeat(50)}), vec![]),
            (json!({"category": "a\nb"}), vec!["category MALFORMED_TEXT"]),
            (json!({"name": "x".repeat(151)}), vec!["name TOO_LONG"]),
            (json!({"name": "ä".repeat(150)}), vec![]),
            (json!({"name": ["buy"]}), vec!["name WRONG_TYPE"]),
            (json!({"data": {}}), vec!["data REQUIRED"]),
            (json!({"data": []}), vec!["data WRONG_TYPE"]),
            (json!({"data": "{}"}), vec!["data WRONG_TYPE"]),
            (json!({"data": {"a": null}}), vec![]),
            (
                json!({"data": {"a": ["x", {"b\0": "\0"}]}}),
                vec!["data.a[1].b\u{fffd} MALFORMED_TEXT", "data.a[1].b\u{fffd} MALFORMED_TEXT"],
            ),
            (json!({"occurred_at": "yesterday"}), vec!["occurred_at MALFORMED_DATE"]),
            (json!({"occurred_at": 1_685_620_800}), vec!["occurred_at WRONG_TYPE"]),
            (json!({"occurred_at": ""}), vec!["occurred_at REQUIRED"]),
            (json!({"session_id": ""}), vec!["session_id REQUIRED"]),
            (json!({"session_id": "x"}), vec!["session_id MALFORMED_UUID"]),
            (json!({"session_id": NIL}), vec!["session_id MALFORMED_UUID"]),
            (json!({"session_id": 7}), vec!["session_id WRONG_TYPE"]),
            (json!({"session_id": null, "session": {}}), vec!["session_id REQUIRED"]),
            (json!({"session_id": null, "session": SESSION}), vec!["session_id WRONG_TYPE"]),
            (json!({"session_id": null, "session": {"id": 1}}), vec!["session_id WRONG_TYPE"]),
            (json!({"session": {"id": SESSION, "os": 1}}), vec!["session.os UNKNOWN_FIELD"]),
            (json!({"session_id": EVENT}), vec!["session_id UNKNOWN_SESSION"]),
            (json!({"event_id": ""}), vec!["event_id MALFORMED_UUID"]),
            (json!({"event_id": NIL}), vec!["event_id MALFORMED_UUID"]),
            (json!({"event_id": {}}), vec!["event_id WRONG_TYPE"]),
            (json!({"sessionId": EVENT}), vec!["session_id CONFLICTING_FIELDS"]),
            (json!({"session": {"id": EVENT}}), vec!["session_id CONFLICTING_FIELDS"]),
            (json!({"eventId": SESSION}), vec!["event_id CONFLICTING_FIELDS"]),
            (json!({"timestamp": "2023-06-01T11:00:00Z"}), vec!["occurred_at CONFLICTING_FIELDS"]),
            (json!({"timestamp": "2023-06-01T11:59:00Z", "sessionId": SESSION}), vec![]),
            (json!({"timestamp": "x"}), vec!["occurred_at MALFORMED_DATE"]),
            (json!({"user": 1, "os\0": 2}), vec!["os\u{fffd} UNKNOWN_FIELD", "user UNKNOWN_FIELD"]),
            (
                nothing,
                vec![
                    "category REQUIRED",
                    "name REQUIRED",
                    "data REQUIRED",
                    "occurred_at REQUIRED",
                    "session_id REQUIRED",
                ],
            ),
        ] {
            assert_eq!(wrong(&with(&fields)), bad, "{fields}");
        }
        let unset = json!({"session": null, "session_id": SESSION, "sessionId": null, "event_id": null,
            "eventId": null, "timestamp": null});
        let mut event = good();
        event.as_object_mut().unwrap().extend(unset.as_object().unwrap().clone());
        assert_eq!(wrong(&event), [""; 0]);
    }

    #[test]
    fn everything_wrong_is_said_in_the_order_of_the_fields() {
        let event = json!({
            "zzz": 1, "aaa": 1, "event_id": 1, "session_id": 1, "occurred_at": 1, "data": 1, "name": 1,
            "category": 1, "session": {"x": 1},
        });
        let order = [
            "category WRONG_TYPE",
            "name WRONG_TYPE",
            "data WRONG_TYPE",
            "occurred_at WRONG_TYPE",
            "session_id WRONG_TYPE",
            "event_id WRONG_TYPE",
            "aaa UNKNOWN_FIELD",
            "zzz UNKNOWN_FIELD",
            "session.x UNKNOWN_FIELD",
        ];
        assert_eq!(wrong(&event), order);
    }

    #[test]
    fn what_the_store_knows_is_said_where_the_field_is() {
        let mut store = Store::new().schema(&json!({
            "properties": {"price": {"type": "string"}},
            "required": ["currency"],
        }));
        let event = with(&json!({"session_id": EVENT, "occurred_at": "x", "more": 1}));
        let bad = [
            "data.price SCHEMA_VIOLATION",
            "data SCHEMA_VIOLATION",
            "occurred_at MALFORMED_DATE",
            "session_id UNKNOWN_SESSION",
            "more UNKNOWN_FIELD",
        ];
        let mut said_so = said(store.settle(&event));
        // The two of the schema come in the order of its keywords.
        said_so[..2].sort_by(|one, other| other.cmp(one));
        assert_eq!(said_so, bad);
        store.settings = Settings { refuse_unknown_types: true, create_unknown_sessions: true };
        let event = with(&json!({"session_id": EVENT, "name": "sell", "data": {"price": "3"}}));
        assert_eq!(said(store.settle(&event)), ["name UNKNOWN_EVENT_TYPE"]);
        let event = with(&json!({"session_id": EVENT, "data": {"price": "3", "currency": "EUR"}}));
        assert_eq!(store.settle(&event).unwrap().content.session_id.to_string(), EVENT);
    }

    #[test]
    fn an_event_has_a_size() {
        let rest = good().to_string().len() - r#"{"plan":"free","price":3}"#.len();
        let fits = EVENT_BYTES_MAX - rest - r#"{"a":""}"#.len();
        assert_eq!(wrong(&with(&json!({"data": {"a": "x".repeat(fits)}}))), [""; 0]);
        let store = Store::new().schema(&json!({"required": ["b"]}));
        let large = with(&json!({"data": {"a": "x".repeat(fits + 1)}, "more": 1}));
        assert_eq!(said(store.settle(&large)), ["event TOO_LARGE", "more UNKNOWN_FIELD"]);
        let mut deep = json!(1);
        for _ in 0..LEVELS_MAX {
            deep = json!([deep]);
        }
        assert_eq!(wrong(&with(&json!({"data": {"a": deep}}))), ["event TOO_LARGE"]);
    }

    #[test]
    fn only_so_many_violations_are_kept() {
        let fields = |n: usize| -> Value {
            let names = (0..n).map(|at| (format!("x{at:03}.y"), json!(1)));
            with(&Value::Object(names.collect()))
        };
        assert_eq!(wrong(&fields(50)).len(), 50);
        for n in [51, 2_000] {
            let bad = wrong(&fields(n));
            assert_eq!(bad.len(), 51);
            assert_eq!(bad[50], "x049 MORE_VIOLATIONS");
        }
        let texts: Vec<&str> = vec!["\0"; 100];
        assert_eq!(wrong(&with(&json!({"data": {"a": texts}}))).len(), 51);
    }

    #[test]
    fn an_event_can_be_sent_again_as_it_was_kept() {
        let event = settle(&with(&json!({"occurred_at": "2021-01-01 09:15:27.243860"}))).unwrap();
        let payload = payload_of(event.event_id, &event.content);
        assert_eq!(payload["occurred_at"], "2021-01-01T09:15:27.243860Z");
        assert_eq!(settle(&payload), Ok(event.clone()));
        let payload = payload_of(None, &event.content);
        assert_eq!(settle(&payload), Ok(NewEvent { event_id: None, ..event }));
    }

    #[test]
    fn no_key_is_repeated() {
        let key = format!("tap_1{}", "a".repeat(40));
        let event = with(&json!({&key: 1, "name": 1, "session_id": &key, "occurred_at": &key,
            "category": format!("{key}{key}"), "data": {&key: "\0"}}));
        let bad = settle(&event).unwrap_err();
        assert_eq!(bad.len(), 6);
        assert!(!format!("{bad:?}").contains(&key), "{bad:?}");
    }

    const NAMES: &[&str] = &[
        "category",
        "name",
        "data",
        "occurred_at",
        "occurredAt",
        "timestamp",
        "session_id",
        "sessionId",
        "session",
        "id",
        "event_id",
        "eventId",
        SESSION,
        EVENT,
        NIL,
        "2023-06-01 11:00:00",
        "shop",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_an_event_is_it_is_an_event_or_refused(
            payload in any_json(NAMES),
            create in any::<bool>(),
            refuse in any::<bool>(),
        ) {
            check_whatever(&payload, create, refuse)?;
        }

        #[test]
        fn whatever_a_good_event_is_changed_to_it_is_an_event_or_refused(
            changes in prop::collection::vec((prop::sample::select(NAMES), any_json(NAMES)), 0..3),
            create in any::<bool>(),
            refuse in any::<bool>(),
        ) {
            let mut payload = good();
            for (name, value) in changes {
                payload[name] = value;
            }
            check_whatever(&payload, create, refuse)?;
        }

        #[test]
        fn every_instant_is_read_as_it_is_written(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            let at = DateTime::from_timestamp_micros(micros).unwrap();
            for text in [
                at.to_rfc3339(),
                at.to_rfc3339_opts(SecondsFormat::Nanos, true),
                at.format("%Y-%m-%d %H:%M:%S%.f").to_string(),
                at.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
            ] {
                prop_assert_eq!(instant("x", &text), Ok(at), "{}", text);
            }
        }

        #[test]
        fn no_text_breaks_the_reading_of_an_instant(text in "[0-9]{0,4}[-0-9TtZz:+. ä−]{0,30}|\\PC*") {
            let _ = instant("x", &text);
        }
    }

    fn check_whatever(payload: &Value, create: bool, refuse: bool) -> Result<(), TestCaseError> {
        let mut store = Store::new().schema(&json!({"maxProperties": 2}));
        store.settings = Settings { refuse_unknown_types: refuse, create_unknown_sessions: create };
        match store.settle(payload) {
            Ok(event) => {
                // What is kept could be sent, and would be kept as the same.
                let again = payload_of(event.event_id, &event.content);
                prop_assert_eq!(store.settle(&again), Ok(event));
            }
            Err(bad) => {
                prop_assert!(!bad.is_empty() && bad.len() <= VIOLATIONS_MAX + 1);
                for Violation { field, reason, description } in bad {
                    prop_assert!(reasons::ROWS.iter().any(|row| row.reason == reason));
                    prop_assert!(!field.is_empty() || payload.get("").is_some());
                    prop_assert!(field.chars().count() <= 210, "{}", field);
                    prop_assert!(!field.contains(char::is_control), "{:?}", field);
                    prop_assert!(description.chars().count() <= 300, "{}", description);
                    prop_assert!(!description.contains(char::is_control), "{:?}", description);
                }
            }
        }
        Ok(())
    }
}
