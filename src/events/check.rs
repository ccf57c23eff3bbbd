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
    reasons,
    wire::{check_text, excerpt, required, uuid},
};

/// Violations that are kept of an event, before one that says that there are more.
pub const VIOLATIONS_MAX: usize = 50;
/// How often lists and objects of an event may be in each other.
const DEPTH_MAX: usize = 100;
/// The field that violations of an event as a whole name.
const WHOLE: &str = "event";

/// The two spellings of fields that have two, and what else they are called.
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
        if data::is_deeper(payload, DEPTH_MAX) {
            let text = format!("nests lists and objects more than {DEPTH_MAX} levels deep");
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
