//! Events: taking, listing, counting and changing them.

use chrono::{DateTime, Utc};
use prost::Message as _;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{id, instant_of};
use crate::{
    error::{Error, Violation},
    etag::{Expected, expected, expected_or_missing},
    events::{
        edits::Edit,
        model::{
            BATCH_EVENTS_MAX, CATEGORY_CHARS_MAX, Event, EventFilter, EventPlace, Fate,
            NAME_CHARS_MAX, Order, PAGE, PAGE_MAX, Readable,
        },
    },
    ids::TeamId,
    json,
    paging::{self, Listed, Listing, Paged, Pages},
    proto::{
        EventBatch,
        tap_v1::{
            self, DeleteEventRequest, GetReceiptResponse, ListEventsRequest, QueryEventsRequest,
            QueryEventsResponse, QueryTapsRequest, ReplaceEventRequest, UpdateEventRequest,
            event_order, group_by, receipt_state,
        },
        value,
    },
    reasons,
    taps::{
        self,
        model::{Counts, Interval, Query},
    },
    wire::{instant, own_id, unknown_value, wanted},
};

/// What can be changed, as a mask names it.
const FIELDS: [&str; 5] = ["session_id", "category", "name", "data", "occurred_at"];

/// Reads the events of a batch, one after another: as what they take to be read is much more than what they
/// are kept in.
///
/// # Errors
/// [`Error::Invalid`] when there are none, too many, or one that cannot be read at all.
pub fn readable(batch: &EventBatch) -> Result<Readable, Error> {
    let events = batch.events.len();
    if events == 0 {
        let text = "is required: at least one event, as {\"events\": [{\"category\": \"...\"}]}";
        return Err(Error::invalid("events", reasons::REQUIRED, text));
    }
    if events > BATCH_EVENTS_MAX {
        let text = format!("has more than {BATCH_EVENTS_MAX} events: send fewer at a time");
        return Err(Error::invalid("events", reasons::TOO_MANY_EVENTS, text));
    }
    let mut payload = String::from("[");
    for (at, event) in batch.events.iter().enumerate() {
        let value = value::Value::decode(event.as_ref()).ok().map(|value| json::json_of(&value));
        // Deeper ones could not be shown.
        let value = value.filter(|value| !json::is_deep(value, json::LEVELS_MAX));
        let value = value.ok_or_else(|| {
            let text = format!("is no value, or has more than {} levels", json::LEVELS_MAX);
            Violation::new(format!("events[{at}]"), reasons::MALFORMED_VALUE, text)
        })?;
        if at > 0 {
            payload.push(',');
        }
        payload.push_str(&value.to_string());
    }
    payload.push(']');
    Ok(Readable { events, payload })
}

/// What became of an event.
#[must_use]
pub fn receipt(id: Uuid, fate: Fate) -> GetReceiptResponse {
    use receipt_state::Value;
    let answer = GetReceiptResponse { id: id.to_string(), ..GetReceiptResponse::default() };
    match fate {
        Fate::Pending => GetReceiptResponse { state: Value::Pending.into(), ..answer },
        Fate::Stored { event, duplicate } => GetReceiptResponse {
            state: Value::Stored.into(),
            event_id: Some(event.to_string()),
            duplicate,
            ..answer
        },
        Fate::Rejected => GetReceiptResponse {
            state: Value::Rejected.into(),
            error_id: Some(id.to_string()),
            ..answer
        },
    }
}

/// An event as answers have it.
#[must_use]
pub fn event(event: &Event) -> tap_v1::Event {
    let content = &event.content;
    // An object, as the store has checked.
    let data: Map<String, Value> = serde_json::from_str(&content.data).unwrap_or_default();
    tap_v1::Event {
        event_id: event.id.to_string(),
        session_id: content.session_id.to_string(),
        category: content.category.clone(),
        name: content.name.clone(),
        data: Some(json::struct_of(&data)),
        occurred_at: instant(content.occurred_at),
        received_at: instant(event.received_at),
        stored_at: instant(event.stored_at),
        updated_at: event.updated_at.map(instant),
        application: event.application.name.clone(),
        key_id: event.application.key.to_string(),
        receipt_id: event.receipt.to_string(),
        etag: event.version.to_string(),
    }
}

/// Which events, and in which order.
#[derive(Clone, Debug)]
pub struct Events {
    pub filter: EventFilter,
    pub order: Order,
}

/// Checks what events to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_request(
    request: ListEventsRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<Events, EventPlace>, Error> {
    let mut bad = Vec::new();
    let page_token = request.page_token.clone();
    let size = request.page_size;
    // As it was asked: what a token is bound to is the same text whatever else is wrong.
    let bound = ListEventsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let asked = format!("ListEvents {bound:?}");
    let filter = EventFilter {
        session_id: own_id("session_id", &request.session_id, &mut bad),
        category: wanted("category", request.category, CATEGORY_CHARS_MAX, &mut bad),
        name: wanted("name", request.name, NAME_CHARS_MAX, &mut bad),
        occurred_after: instant_of("occurred_after", &request.occurred_after, &mut bad),
        occurred_before: instant_of("occurred_before", &request.occurred_before, &mut bad),
    };
    let order = match event_order::Value::try_from(request.order) {
        Ok(event_order::Value::NewestFirst) => Order::NewestFirst,
        Ok(event_order::Value::Session) => Order::Session,
        Err(_) => {
            bad.push(unknown_value("order", request.order, "NEWEST_FIRST or SESSION"));
            Order::NewestFirst
        }
    };
    let token = page_token.as_str();
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(parse_place, &mut bad);
    let filter = Events { filter, order };
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

fn place(event: &Event) -> String {
    format!("{} {}", event.content.occurred_at.timestamp_micros(), event.revision)
}

fn parse_place(text: &str) -> Option<EventPlace> {
    let (at, revision) = text.split_once(' ')?;
    Some(EventPlace { occurred_at: paging::micros(at)?, revision: revision.parse().ok()? })
}

/// A page of events.
#[must_use]
pub fn list_response(
    listing: &Listing<Events, EventPlace>,
    listed: &Listed<Event>,
    team: TeamId,
    pages: &Pages,
) -> tap_v1::ListEventsResponse {
    tap_v1::ListEventsResponse {
        events: listed.entries.iter().map(event).collect(),
        next_page_token: listing.next(pages, team, listed, place),
    }
}

/// Checks what to count.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn query(request: QueryEventsRequest) -> Result<Query, Error> {
    // Ranges, buckets and how many groups are named are those of taps.
    let query = taps::wire::query(QueryTapsRequest {
        start_date: request.start_date,
        end_date: request.end_date,
        interval: request.interval,
        time_zone: request.time_zone,
        week_start: request.week_start,
        group_by: group_by::Value::Tag.into(),
        limit: request.limit,
        ..QueryTapsRequest::default()
    })?;
    if query.interval == Interval::Minute {
        let text = "must be HOUR or wider: events are counted by the quarter of an hour";
        return Err(Error::invalid("interval", reasons::TOO_NARROW, text));
    }
    Ok(query)
}

/// What was counted, without a resume token.
#[must_use]
pub fn query_response(query: &Query, counts: &Counts, now: DateTime<Utc>) -> QueryEventsResponse {
    let answer = taps::wire::answer(query, counts, now);
    QueryEventsResponse {
        buckets: answer.buckets,
        total: answer.total,
        groups: answer.groups,
        resume_token: String::new(),
    }
}

/// A change of an event.
#[derive(Clone, Debug)]
pub struct Change {
    pub id: Uuid,
    pub expected: Expected,
    pub edit: Edit,
}

/// Checks which fields of an event to change; what they are changed to is checked with the rest of it.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn update_request(request: UpdateEventRequest) -> Result<Change, Error> {
    let mut bad = Vec::new();
    let id = id("event_id", &request.event_id);
    let expected = expected_or_missing(&request.etag, &mut bad);
    let mut set = Map::new();
    for (name, text) in [
        ("session_id", request.session_id),
        ("category", request.category),
        ("name", request.name),
        ("occurred_at", request.occurred_at),
    ] {
        set.extend(text.map(|text| (name.to_owned(), Value::String(text))));
    }
    let data = request.data.map(|data| Value::Object(json::object_of(&data)));
    set.extend(data.map(|data| ("data".to_owned(), data)));
    // One that names nothing is none.
    if let Some(mask) = request.update_mask.filter(|mask| !mask.paths.is_empty()) {
        let mut named = Map::new();
        for path in mask.paths {
            if path == "event_id" {
                let text = "an id cannot be changed: delete the event, and send another";
                bad.push(Violation::new("update_mask", reasons::IMMUTABLE_FIELD, text));
            } else if FIELDS.contains(&path.as_str()) {
                let value = set.remove(&path).or_else(|| named.remove(&path));
                named.insert(path, value.unwrap_or_default());
            } else {
                let text = format!("may name {} only", FIELDS.join(", "));
                bad.push(Violation::new("update_mask", reasons::UNKNOWN_FIELD, text));
            }
        }
        set = named;
    }
    if bad.is_empty() && set.is_empty() {
        let text =
            format!("nothing is to be changed: name some of {}, or set them", FIELDS.join(", "));
        bad.push(Violation::new("update_mask", reasons::NOTHING_TO_CHANGE, text));
    }
    finish(id, bad, |id| Change { id, expected, edit: Edit::Some(set) })
}

/// Checks which event to replace; what by is checked with the rest of it.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn replace_request(request: ReplaceEventRequest) -> Result<Change, Error> {
    let mut bad = Vec::new();
    let id = id("event_id", &request.event_id);
    let expected = expected_or_missing(&request.etag, &mut bad);
    let mut set = Map::new();
    for (name, text) in [
        ("session_id", request.session_id),
        ("category", request.category),
        ("name", request.name),
        ("occurred_at", request.occurred_at),
    ] {
        if !text.is_empty() {
            set.insert(name.to_owned(), Value::String(text));
        }
    }
    let data = request.data.map(|data| Value::Object(json::object_of(&data)));
    set.extend(data.map(|data| ("data".to_owned(), data)));
    finish(id, bad, |id| Change { id, expected, edit: Edit::Whole(set) })
}

/// Checks which event to delete.
///
/// # Errors
/// [`Error::Invalid`] when its id is none.
pub fn delete_request(request: &DeleteEventRequest) -> Result<(Uuid, Expected), Error> {
    Ok((id("event_id", &request.event_id)?, expected(&request.etag)))
}

fn finish<T>(
    id: Result<Uuid, Error>,
    mut bad: Vec<Violation>,
    make: impl FnOnce(Uuid) -> T,
) -> Result<T, Error> {
    match id {
        Ok(id) if bad.is_empty() => Ok(make(id)),
        Ok(_) => Err(Error::Invalid(bad)),
        Err(Error::Invalid(first)) => {
            bad.splice(0..0, first);
            Err(Error::Invalid(bad))
        }
        Err(error) => Err(error),
    }
}
