//! Event errors: listing, grouping and sending them again.

use uuid::Uuid;

use super::{TEXT_CHARS_MAX, instant_of};
use crate::{
    access::model::NAME_CHARS_MAX as APPLICATION_CHARS_MAX,
    error::{Error, Violation},
    events::{
        model::{
            ErrorFilter, ErrorGroup, ErrorState, EventError, GROUPS, GROUPS_MAX, PAGE, PAGE_MAX,
            REPLAY_MAX, StoredViolation,
        },
        patch::Patch,
        replay::{Outcome, Replay, Replays},
    },
    ids::TeamId,
    json,
    paging::{Listed, Listing, Paged, Pages, TimePlace, parse_time_place, time_place},
    proto::tap_v1::{
        self, EventErrorFilter, EventPatch, GroupEventErrorsRequest, GroupEventErrorsResponse,
        ListEventErrorsRequest, ReplayEventErrorsRequest, ReplayEventErrorsResponse,
        event_error_state, replay_outcome,
    },
    reasons,
    wire::{excerpt, instant, number, optional_uuid, or_none, unknown_value, uuid, wanted},
};

fn filter(asked: Option<EventErrorFilter>, bad: &mut Vec<Violation>) -> ErrorFilter {
    let asked = asked.unwrap_or_default();
    ErrorFilter {
        reason: wanted("filter.reason", asked.reason, TEXT_CHARS_MAX, bad),
        field: wanted("filter.field", asked.field, TEXT_CHARS_MAX, bad),
        application: wanted("filter.application", asked.application, APPLICATION_CHARS_MAX, bad),
        fingerprint: or_none(fingerprint(&asked.fingerprint), bad),
        received_after: instant_of("filter.received_after", &asked.received_after, bad),
        received_before: instant_of("filter.received_before", &asked.received_before, bad),
        state: match event_error_state::Value::try_from(asked.state) {
            Ok(event_error_state::Value::Any) => ErrorState::Any,
            Ok(event_error_state::Value::Open) => ErrorState::Open,
            Ok(event_error_state::Value::Replayed) => ErrorState::Replayed,
            Err(_) => {
                bad.push(unknown_value("filter.state", asked.state, "ANY, OPEN or REPLAYED"));
                ErrorState::Any
            }
        },
    }
}

fn fingerprint(text: &str) -> Result<Option<[u8; 16]>, Violation> {
    if text.is_empty() {
        return Ok(None);
    }
    // By its digits, as a number may begin with a plus.
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
    number.map(|number| Some(number.to_be_bytes())).ok_or_else(|| {
        let text = format!("{} is not the fingerprint of an event error", excerpt(text));
        Violation::new("filter.fingerprint", reasons::MALFORMED_FINGERPRINT, text)
    })
}

fn fingerprint_text(fingerprint: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(fingerprint))
}

/// Checks what event errors to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_request(
    request: ListEventErrorsRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<ErrorFilter, TimePlace>, Error> {
    let mut bad = Vec::new();
    let asked = format!("ListEventErrors {:?}", request.filter);
    let filter = filter(request.filter, &mut bad);
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(parse_time_place, &mut bad);
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// A page of event errors.
#[must_use]
pub fn list_response(
    listing: &Listing<ErrorFilter, TimePlace>,
    listed: &Listed<EventError>,
    team: TeamId,
    pages: &Pages,
) -> tap_v1::ListEventErrorsResponse {
    let place = |error: &EventError| time_place(error.received_at, error.id);
    tap_v1::ListEventErrorsResponse {
        errors: listed.entries.iter().map(event_error).collect(),
        next_page_token: listing.next(pages, team, listed, place),
    }
}

/// An event error as answers have it.
#[must_use]
pub fn event_error(error: &EventError) -> tap_v1::EventError {
    let text = |id: Uuid| id.to_string();
    let payload: serde_json::Value = serde_json::from_str(&error.payload).unwrap_or_default();
    tap_v1::EventError {
        id: error.id.to_string(),
        reason: first_reason(&error.violations),
        violations: violations(&error.violations),
        payload: Some(json::value_of(&payload)),
        application: error.application.name.clone(),
        key_id: error.application.key.to_string(),
        received_at: instant(error.received_at),
        rejected_at: instant(error.rejected_at),
        fingerprint: fingerprint_text(error.fingerprint),
        replay_of: error.replay_of.map(text),
        replayed_as: error.replayed_as.map(text),
        became_event_id: error.became_event.map(text),
        became_error_id: error.became_error.map(text),
    }
}

fn first_reason(violations: &[StoredViolation]) -> String {
    violations.first().map(|first| first.reason.clone()).unwrap_or_default()
}

fn violations(violations: &[StoredViolation]) -> Vec<tap_v1::Violation> {
    let violation = |violation: &StoredViolation| {
        let StoredViolation { field, reason, description } = violation.clone();
        tap_v1::Violation { field, reason, description }
    };
    violations.iter().map(violation).collect()
}

/// Checks what event errors to count, and how many groups to name.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn group_request(request: GroupEventErrorsRequest) -> Result<(ErrorFilter, usize), Error> {
    let mut bad = Vec::new();
    let limit = limit(request.limit, GROUPS, GROUPS_MAX, &mut bad);
    let filter = filter(request.filter, &mut bad);
    if bad.is_empty() { Ok((filter, limit)) } else { Err(Error::Invalid(bad)) }
}

fn limit(asked: i32, default: usize, max: usize, bad: &mut Vec<Violation>) -> usize {
    match usize::try_from(asked) {
        Ok(0) => default,
        Ok(limit) => limit.min(max),
        Err(_) => {
            let text = "must be 0 or more; 0 means the default";
            bad.push(Violation::new("limit", reasons::NEGATIVE, text));
            default
        }
    }
}

/// Groups of event errors.
#[must_use]
pub fn group_response(groups: &[ErrorGroup], total: i64) -> GroupEventErrorsResponse {
    let group = |group: &ErrorGroup| tap_v1::EventErrorGroup {
        fingerprint: fingerprint_text(group.fingerprint),
        count: number(group.count),
        reason: first_reason(&group.violations),
        violations: violations(&group.violations),
        application: group.application.clone(),
        first_seen: instant(group.first_seen),
        last_seen: instant(group.last_seen),
        newest_error_id: group.newest.to_string(),
    };
    GroupEventErrorsResponse { groups: groups.iter().map(group).collect(), total: number(total) }
}

/// Checks what to send again, and by which id the request can be repeated.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn replay_request(request: ReplayEventErrorsRequest) -> Result<(Replay, Option<Uuid>), Error> {
    let mut bad = Vec::new();
    let request_id = or_none(optional_uuid("request_id", &request.request_id), &mut bad);
    let limit = limit(request.limit, REPLAY_MAX, REPLAY_MAX, &mut bad);
    let filter = ErrorFilter { state: ErrorState::Open, ..filter(request.filter, &mut bad) };
    if request.error_ids.len() > REPLAY_MAX {
        let text = format!("names more than {REPLAY_MAX} errors: send fewer at a time");
        bad.push(Violation::new("error_ids", reasons::TOO_MANY_EVENTS, text));
    }
    let ids = request.error_ids.iter().take(REPLAY_MAX).enumerate();
    let ids: Vec<Uuid> = ids
        .filter_map(|(at, text)| {
            or_none(uuid(&format!("error_ids[{at}]"), text).map(Some), &mut bad)
        })
        .collect();
    let ids = (!request.error_ids.is_empty()).then_some(ids);
    let patch = patch(request.patch.unwrap_or_default(), &mut bad);
    if !bad.is_empty() {
        return Err(Error::Invalid(bad));
    }
    let validate_only = request.validate_only;
    Ok((Replay { filter, ids, patch, validate_only, limit }, request_id))
}

fn patch(patch: EventPatch, bad: &mut Vec<Violation>) -> Patch {
    let set = patch.set.iter().map(|(path, value)| (path.clone(), json::json_of(value))).collect();
    Patch::new(set, patch.remove, patch.sessions).unwrap_or_else(|more| {
        bad.extend(more);
        Patch::default()
    })
}

/// What becomes of refused events.
#[must_use]
pub fn replay_response(replays: Replays) -> ReplayEventErrorsResponse {
    use replay_outcome::Value;
    let result = |(error, outcome): (Uuid, Outcome)| {
        let (outcome, receipt, wrong) = match outcome {
            Outcome::Sent(receipt) => (Value::Sent, Some(receipt.to_string()), Vec::new()),
            Outcome::WouldBe(Ok(())) => (Value::WouldBeStored, None, Vec::new()),
            Outcome::WouldBe(Err(wrong)) => (Value::WouldBeRejected, None, wrong),
        };
        let wrong: Vec<StoredViolation> = wrong.into_iter().map(Into::into).collect();
        tap_v1::Replayed {
            error_id: error.to_string(),
            outcome: outcome.into(),
            receipt,
            violations: violations(&wrong),
        }
    };
    ReplayEventErrorsResponse {
        results: replays.outcomes.into_iter().map(result).collect(),
        remaining: number(replays.remaining),
    }
}
