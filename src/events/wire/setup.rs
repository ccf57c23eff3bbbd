//! Sessions, event types, settings and the ledger.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::instant_of;
use crate::{
    error::{Error, Violation},
    events::{
        model::{
            CATEGORY_CHARS_MAX, EventType, LedgerMinute, NAME_CHARS_MAX, PAGE, PAGE_MAX,
            PAGE_TYPES, PAGE_TYPES_MAX, Session, Settings,
        },
        schema::Schema,
        settle::minute_of,
        setup::NewType,
    },
    ids::TeamId,
    json,
    paging::{self, Listed, Listing, Paged, Pages, TimePlace, parse_time_place, time_place},
    proto::tap_v1::{
        self, CreateSessionRequest, EventSettings, GetIngestLedgerRequest, ListEventTypesRequest,
        ListSessionsRequest, PutEventTypeRequest, UpdateEventSettingsRequest, unknown_sessions,
        unknown_types,
    },
    reasons,
    wire::{check_text, instant, number, own_id, required, unknown_value, wanted},
};

/// How far back the ledger goes when nothing is asked for.
const LEDGER_SPAN: TimeDelta = TimeDelta::hours(1);

/// Checks what session to make: its id, a new one if none was chosen, and the tap that it came from.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn create_session_request(
    request: &CreateSessionRequest,
) -> Result<(Uuid, Option<Uuid>), Error> {
    let mut bad = Vec::new();
    let id = own_id("id", &request.id, &mut bad);
    let tap_id = own_id("tap_id", &request.tap_id, &mut bad);
    if bad.is_empty() {
        Ok((id.unwrap_or_else(Uuid::now_v7), tap_id))
    } else {
        Err(Error::Invalid(bad))
    }
}

/// A session as answers have it.
#[must_use]
pub fn session(session: &Session) -> tap_v1::Session {
    tap_v1::Session {
        id: session.id.to_string(),
        tap_id: session.tap_id.map(|id| id.to_string()),
        application: session.application.clone(),
        created_at: instant(session.created_at),
    }
}

/// Checks what sessions to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_sessions_request(
    request: &ListSessionsRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<Option<Uuid>, TimePlace>, Error> {
    let mut bad = Vec::new();
    let asked = format!("ListSessions {:?}", request.tap_id);
    let filter = own_id("tap_id", &request.tap_id, &mut bad);
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(parse_time_place, &mut bad);
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// A page of sessions.
#[must_use]
pub fn list_sessions_response(
    listing: &Listing<Option<Uuid>, TimePlace>,
    listed: &Listed<Session>,
    team: TeamId,
    pages: &Pages,
) -> tap_v1::ListSessionsResponse {
    let place = |session: &Session| time_place(session.created_at, session.id);
    tap_v1::ListSessionsResponse {
        sessions: listed.entries.iter().map(session).collect(),
        next_page_token: listing.next(pages, team, listed, place),
    }
}

/// Checks an event type that is to be set, and compiles its schema.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn put_type_request(request: PutEventTypeRequest) -> Result<NewType, Error> {
    let mut bad = Vec::new();
    let (category, name) = (request.category, request.name);
    check_part("category", &category, CATEGORY_CHARS_MAX, &mut bad);
    check_part("name", &name, NAME_CHARS_MAX, &mut bad);
    let schema = request.schema.map(|schema| json::object_of(&schema));
    if schema.is_none() {
        bad.push(required("schema", "a JSON Schema; {} lets everything through"));
    }
    let schema = Value::Object(schema.unwrap_or_default());
    if let Err(wrong) = Schema::compile(&schema) {
        bad.push(Violation::new("schema", wrong.reason, wrong.description));
    }
    let expected = match request.etag.as_str() {
        "" | "*" => None,
        // One that it never had is no other's.
        etag => Some(etag.parse().unwrap_or(Uuid::nil())),
    };
    if bad.is_empty() {
        Ok(NewType { category, name, schema: schema.to_string(), expected })
    } else {
        Err(Error::Invalid(bad))
    }
}

/// Checks the category and the name of an event type that is asked for.
///
/// # Errors
/// [`Error::Invalid`] when there can be no such type.
pub fn kind(category: &str, name: &str) -> Result<(), Error> {
    let mut bad = Vec::new();
    check_part("category", category, CATEGORY_CHARS_MAX, &mut bad);
    check_part("name", name, NAME_CHARS_MAX, &mut bad);
    if bad.is_empty() { Ok(()) } else { Err(Error::Invalid(bad)) }
}

/// A category or a name of a type is a part of a path.
fn check_part(field: &str, text: &str, chars_max: usize, bad: &mut Vec<Violation>) {
    let allowed = |c: char| c.is_alphanumeric() || " ._:~-".contains(c);
    if text.trim().is_empty() {
        bad.push(required(field, "it says which events are meant"));
    } else if text.chars().nth(chars_max).is_some() {
        check_text(field, text, chars_max, bad);
    } else if !text.chars().all(allowed) || matches!(text, "." | "..") {
        let text =
            "of an event type must be letters, digits, spaces, or . _ : ~ - and neither . nor ..";
        bad.push(Violation::new(field, reasons::MALFORMED_TYPE_NAME, text));
    }
}

/// An event type as answers have it.
#[must_use]
pub fn event_type(kind: &EventType) -> tap_v1::EventType {
    // An object, as it was when it was set.
    let schema: Map<String, Value> = serde_json::from_str(&kind.schema).unwrap_or_default();
    tap_v1::EventType {
        category: kind.category.clone(),
        name: kind.name.clone(),
        schema: Some(json::struct_of(&schema)),
        created_at: instant(kind.created_at),
        updated_at: instant(kind.updated_at),
        etag: kind.version.to_string(),
    }
}

/// Checks what event types to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_types_request(
    request: ListEventTypesRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<Option<String>, (String, String)>, Error> {
    let mut bad = Vec::new();
    let asked = format!("ListEventTypes {:?}", request.category);
    let filter = wanted("category", request.category, CATEGORY_CHARS_MAX, &mut bad);
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let (default, max) = (PAGE_TYPES, PAGE_TYPES_MAX);
    let paged = Paged { team, pages, asked: &asked, token, size, default, max };
    let parse = |text: &str| {
        let (category, name) = text.split_once('\n')?;
        Some((category.to_owned(), name.to_owned()))
    };
    let page = paged.page(parse, &mut bad);
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// A page of event types.
#[must_use]
pub fn list_types_response(
    listing: &Listing<Option<String>, (String, String)>,
    listed: &Listed<EventType>,
    team: TeamId,
    pages: &Pages,
) -> tap_v1::ListEventTypesResponse {
    let place = |kind: &EventType| format!("{}\n{}", kind.category, kind.name);
    tap_v1::ListEventTypesResponse {
        types: listed.entries.iter().map(event_type).collect(),
        next_page_token: listing.next(pages, team, listed, place),
    }
}

/// Settings as answers have them.
#[must_use]
pub fn settings(settings: Settings) -> EventSettings {
    let types = if settings.refuse_unknown_types {
        unknown_types::Value::Refuse
    } else {
        unknown_types::Value::Accept
    };
    let sessions = if settings.create_unknown_sessions {
        unknown_sessions::Value::Create
    } else {
        unknown_sessions::Value::Refuse
    };
    EventSettings { unknown_types: types.into(), unknown_sessions: sessions.into() }
}

/// What to change of the settings; `None` stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct SettingsChange {
    pub refuse_unknown_types: Option<bool>,
    pub create_unknown_sessions: Option<bool>,
}

/// Checks what settings to change.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn settings_request(request: &UpdateEventSettingsRequest) -> Result<SettingsChange, Error> {
    let mut bad = Vec::new();
    let refuse_unknown_types = request.unknown_types.and_then(|value| {
        let known = unknown_types::Value::try_from(value);
        known.map(|value| value == unknown_types::Value::Refuse).ok().or_else(|| {
            bad.push(unknown_value("unknown_types", value, "ACCEPT or REFUSE"));
            None
        })
    });
    let create_unknown_sessions = request.unknown_sessions.and_then(|value| {
        let known = unknown_sessions::Value::try_from(value);
        known.map(|value| value == unknown_sessions::Value::Create).ok().or_else(|| {
            bad.push(unknown_value("unknown_sessions", value, "REFUSE or CREATE"));
            None
        })
    });
    if bad.is_empty() && request.unknown_types.is_none() && request.unknown_sessions.is_none() {
        let text = "nothing is to be changed: set unknown_types or unknown_sessions";
        bad.push(Violation::new("unknown_types", reasons::NOTHING_TO_CHANGE, text));
    }
    if bad.is_empty() {
        Ok(SettingsChange { refuse_unknown_types, create_unknown_sessions })
    } else {
        Err(Error::Invalid(bad))
    }
}

/// Checks which minutes to account for. Whole ones: what was taken in a minute is counted together.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn ledger_request(
    request: &GetIngestLedgerRequest,
    now: DateTime<Utc>,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<Range<DateTime<Utc>>, DateTime<Utc>>, Error> {
    let mut bad = Vec::new();
    let asked = format!("GetIngestLedger {:?} {:?}", request.start, request.end);
    // With the minute that is now, also in its first moment.
    let end = instant_of("end", &request.end, &mut bad);
    let end = end.unwrap_or(now + TimeDelta::microseconds(1));
    let start = instant_of("start", &request.start, &mut bad).unwrap_or(end - LEDGER_SPAN);
    if bad.is_empty() && start >= end {
        let text = "must be after start: the range is empty";
        bad.push(Violation::new("end", reasons::END_NOT_AFTER_START, text));
    }
    let (start, last) = (minute_of(start), minute_of(end));
    let end = if last < end { last + TimeDelta::minutes(1) } else { last };
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(paging::micros, &mut bad);
    let filter = start..end;
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// The account.
#[must_use]
pub fn ledger_response(
    listing: &Listing<Range<DateTime<Utc>>, DateTime<Utc>>,
    total: &LedgerMinute,
    listed: &Listed<LedgerMinute>,
    team: TeamId,
    pages: &Pages,
) -> tap_v1::GetIngestLedgerResponse {
    let place = |minute: &LedgerMinute| minute.minute.timestamp_micros().to_string();
    tap_v1::GetIngestLedgerResponse {
        minutes: listed.entries.iter().map(ledger_minute).collect(),
        total: Some(ledger_minute(total)),
        next_page_token: listing.next(pages, team, listed, place),
    }
}

fn ledger_minute(minute: &LedgerMinute) -> tap_v1::LedgerMinute {
    tap_v1::LedgerMinute {
        minute: instant(minute.minute),
        received: number(minute.received),
        stored: number(minute.stored),
        duplicate: number(minute.duplicate),
        rejected: number(minute.rejected),
        pending: number(minute.pending),
    }
}
