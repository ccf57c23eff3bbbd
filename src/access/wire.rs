//! Protobuf to domain and back: every field check of keys, and every text of an answer.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    model::{
        KeyAction, KeyEvent, KeyInfo, KeyPatch, KeyState, NAME_CHARS_MAX, OVERLAP, OVERLAP_MAX,
        QUERIES_PER_HOUR_MAX, Scope, names,
    },
    token::{BrowserToken, TAGS_MAX, TTL_MAX, TTL_MIN},
};
use crate::{
    auth::Caller,
    error::{Error, Violation},
    ids::KeyId,
    paging,
    proto::tap_v1::{
        self, CreateApiKeyRequest, CreateApiKeyResponse, GetQuotaResponse, IssueTokenRequest,
        IssueTokenResponse, ListApiKeysRequest, ListKeyEventsRequest, Quota, RotateApiKeyRequest,
        RotateApiKeyResponse, UpdateApiKeyRequest, WhoAmIResponse, api_key_state,
        create_api_key_request::Expiry, key_action,
    },
    quotas::{Class, Standing},
    reasons,
    streams::STREAMS_MAX,
    tags::model::is_tag_uid,
    wire::{excerpt, instant, optional_uuid, required, uuid},
};

/// Fields of a mask, and scopes, that are looked at: an error has to fit into headers.
const FIELDS_MAX: usize = 20;
const PAGE_SIZE: usize = 50;
const PAGE_SIZE_MAX: usize = 1_000;
const SCOPES: &str = "taps:read, taps:write, tags:write or keys:manage";

/// What a new key is asked to be like.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// `None`: the default.
    pub queries_per_hour: Option<u32>,
    pub expires_at: Option<DateTime<Utc>>,
    pub request_id: Option<Uuid>,
}

/// Checks a request for a key.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn new_key(request: &CreateApiKeyRequest, now: DateTime<Utc>) -> Result<NewKey, Error> {
    let mut bad = Vec::new();
    let name = name(&request.name, &mut bad);
    let scopes = scopes(&request.scopes, &mut bad);
    if request.scopes.is_empty() {
        bad.push(required("scopes", &format!("name at least one of {SCOPES}")));
    }
    let queries_per_hour = match request.queries_per_hour {
        0 => None,
        asked => queries_per_hour(asked, &mut bad),
    };
    let expires_at = match &request.expiry {
        None => None,
        Some(Expiry::ExpiresAt(text)) => expires_at(text, now, &mut bad),
        Some(Expiry::Ttl(ttl)) => {
            let range = Duration::from_secs(1)..=Duration::from_hours(36_500 * 24);
            span("ttl", ttl, range, &mut bad).and_then(|ttl| now.checked_add_signed(ttl))
        }
    };
    let request_id = request_id(&request.request_id, &mut bad);
    sound(NewKey { name, scopes, queries_per_hour, expires_at, request_id }, bad)
}

/// Checks a change: which key, and what of it.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn key_patch(
    request: UpdateApiKeyRequest,
    now: DateTime<Utc>,
) -> Result<(KeyId, KeyPatch), Error> {
    let mut bad = Vec::new();
    let id = key_id("id", &request.id, &mut bad);
    let masked = request.update_mask.map(|mask| mask.paths);
    let present = || {
        let fields = [
            ("name", request.name.is_some()),
            ("scopes", !request.scopes.is_empty()),
            ("queries_per_hour", request.queries_per_hour.is_some()),
            ("expires_at", request.expires_at.is_some()),
        ];
        let present = fields.into_iter().filter(|(_, present)| *present);
        present.map(|(field, _)| field.to_owned()).collect()
    };
    let fields: Vec<String> = masked.unwrap_or_else(present);
    if fields.is_empty() {
        let text = "set at least one of name, scopes, queries_per_hour, expires_at";
        bad.push(Violation::new("update_mask", reasons::NOTHING_TO_CHANGE, text));
    }
    let mut patch = KeyPatch::default();
    // Each once, and no more than can be wrong.
    let mut named: Vec<&String> = Vec::new();
    for field in fields.iter().take(FIELDS_MAX) {
        if named.contains(&field) {
            continue;
        }
        named.push(field);
        match field.as_str() {
            "name" => {
                patch.name = Some(name(request.name.as_deref().unwrap_or_default(), &mut bad));
            }
            "scopes" => {
                if request.scopes.is_empty() {
                    bad.push(required("scopes", "a key that may do nothing is better revoked"));
                }
                patch.scopes = Some(scopes(&request.scopes, &mut bad));
            }
            "queries_per_hour" => {
                let asked = request.queries_per_hour.unwrap_or_default();
                patch.queries_per_hour = queries_per_hour(asked, &mut bad);
            }
            "expires_at" => {
                let text = request.expires_at.as_deref().filter(|text| !text.is_empty());
                patch.expires_at = Some(text.and_then(|text| expires_at(text, now, &mut bad)));
            }
            other => bad.push(Violation::new(
                "update_mask",
                reasons::UNKNOWN_FIELD,
                format!(
                    "{} cannot be changed: name, scopes, queries_per_hour and expires_at can",
                    excerpt(other)
                ),
            )),
        }
    }
    sound((id, patch), bad)
}

/// Checks a rotation: which key, for how long the old one works on, and the `request_id`.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn rotation(request: &RotateApiKeyRequest) -> Result<(KeyId, TimeDelta, Option<Uuid>), Error> {
    let mut bad = Vec::new();
    let id = key_id("id", &request.id, &mut bad);
    let overlap = request.overlap.as_ref().and_then(|overlap| {
        let longest = OVERLAP_MAX.to_std().unwrap_or_default();
        span("overlap", overlap, Duration::ZERO..=longest, &mut bad)
    });
    let request_id = request_id(&request.request_id, &mut bad);
    sound((id, overlap.unwrap_or(OVERLAP), request_id), bad)
}

/// The id of a key.
///
/// # Errors
/// [`Error::Invalid`] when it is none.
pub fn id(text: &str) -> Result<KeyId, Error> {
    uuid("id", text).map(KeyId).map_err(|bad| Error::Invalid(vec![bad]))
}

/// How many keys to list.
///
/// # Errors
/// [`Error::Invalid`] when it is negative.
pub fn key_page(request: &ListApiKeysRequest) -> Result<usize, Error> {
    paging::size(request.page_size, PAGE_SIZE, PAGE_SIZE_MAX)
        .map_err(|bad| Error::Invalid(vec![bad]))
}

/// How many events to list, and of which key.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn event_page(request: &ListKeyEventsRequest) -> Result<(usize, Option<KeyId>), Error> {
    let mut bad = Vec::new();
    let size = paging::size(request.page_size, PAGE_SIZE, PAGE_SIZE_MAX);
    let size = size.map_err(|violation| bad.push(violation)).unwrap_or_default();
    let key = optional_uuid("key_id", &request.key_id).map_err(|violation| bad.push(violation));
    sound((size, key.unwrap_or_default().map(KeyId)), bad)
}

/// What a token is asked to be like.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub ttl: TimeDelta,
    /// Empty: all that read.
    pub scopes: Vec<Scope>,
    pub tag_uids: Vec<String>,
}

/// Checks a request for a token.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn new_token(request: IssueTokenRequest) -> Result<NewToken, Error> {
    let mut bad = Vec::new();
    let ttl = request.ttl.as_ref().and_then(|ttl| span("ttl", ttl, TTL_MIN..=TTL_MAX, &mut bad));
    let ttl = ttl.or_else(|| TimeDelta::from_std(TTL_MAX).ok()).unwrap_or_default();
    let scopes = scopes(&request.scopes, &mut bad);
    for (nth, text) in request.scopes.iter().enumerate().take(FIELDS_MAX) {
        let Some(scope) = Scope::parse(text).filter(|scope| !scope.reads()) else { continue };
        bad.push(Violation::new(
            format!("scopes[{nth}]"),
            reasons::NOT_FOR_TOKENS,
            format!("a token only reads: {} is for keys", scope.as_str()),
        ));
    }
    let mut tags: Vec<(String, usize)> = request.tag_uids.into_iter().zip(0..).collect();
    tags.sort_unstable();
    // Of those that are named twice the first is left.
    tags.dedup_by(|(again, _), (uid, _)| again == uid);
    if tags.len() > TAGS_MAX {
        let text = format!("names {} tags: at most {TAGS_MAX} are allowed", tags.len());
        bad.push(Violation::new("tag_uids", reasons::TOO_MANY_TAGS, text));
    } else {
        for (_, nth) in tags.iter().filter(|(uid, _)| !is_tag_uid(uid)) {
            bad.push(Violation::new(
                format!("tag_uids[{nth}]"),
                reasons::MALFORMED_TAG_UID,
                "must be 1 to 64 letters, digits, or . _ : -",
            ));
        }
    }
    let tag_uids = tags.into_iter().map(|(uid, _)| uid).collect();
    sound(NewToken { ttl, scopes, tag_uids }, bad)
}

/// A key, as answers have it.
pub fn api_key(key: &KeyInfo, now: DateTime<Utc>) -> tap_v1::ApiKey {
    let state = match key.state(now) {
        KeyState::Active => api_key_state::Value::Active,
        KeyState::Expired => api_key_state::Value::Expired,
        KeyState::Revoked => api_key_state::Value::Revoked,
    };
    tap_v1::ApiKey {
        id: key.id.to_string(),
        prefix: key.prefix.clone(),
        name: key.name.clone(),
        scopes: key.scopes.clone(),
        queries_per_hour: int32(key.queries_per_hour),
        state: state.into(),
        created_at: instant(key.created_at),
        created_by: key.created_by.map(|by| by.to_string()),
        expires_at: key.expires_at.map(instant),
        revoked_at: key.revoked_at.map(instant),
        last_used_at: key.last_used_at.map(instant),
        replaces: key.replaces.map(|key| key.to_string()),
    }
}

/// As the store has it.
#[derive(serde::Deserialize)]
struct Change {
    field: String,
    before: String,
    after: String,
}

/// A key that was made, without the key itself.
pub fn created(new: &KeyInfo, now: DateTime<Utc>) -> CreateApiKeyResponse {
    CreateApiKeyResponse { api_key: Some(api_key(new, now)), key: String::new() }
}

/// A key that was made in the place of another, without the key itself.
pub fn rotated(new: &KeyInfo, old: &KeyInfo, now: DateTime<Utc>) -> RotateApiKeyResponse {
    RotateApiKeyResponse {
        api_key: Some(api_key(new, now)),
        key: String::new(),
        replaced: Some(api_key(old, now)),
    }
}

/// A token that was signed.
pub fn token(token: &BrowserToken, signed: String, tag_uids: Vec<String>) -> IssueTokenResponse {
    IssueTokenResponse {
        token: signed,
        expires_at: instant(token.expires_at.trunc_subsecs(0)),
        scopes: names(&token.scopes),
        tag_uids,
    }
}

/// Something that was done to a key, as answers have it.
///
/// # Errors
/// [`Error::Internal`] when the store has something else than we put there.
pub fn key_event(event: &KeyEvent) -> Result<tap_v1::KeyEvent, Error> {
    let action = match KeyAction::parse(&event.action) {
        Some(KeyAction::Created) => key_action::Value::Created,
        Some(KeyAction::Updated) => key_action::Value::Updated,
        Some(KeyAction::Rotated) => key_action::Value::Rotated,
        Some(KeyAction::Revoked) => key_action::Value::Revoked,
        None => key_action::Value::Unset,
    };
    let changes: Vec<Change> = serde_json::from_str(&event.changes).map_err(Error::internal)?;
    let changes = changes.into_iter().map(|Change { field, before, after }| tap_v1::KeyChange {
        field,
        before,
        after,
    });
    Ok(tap_v1::KeyEvent {
        id: event.id.to_string(),
        occurred_at: instant(event.occurred_at),
        action: action.into(),
        key_id: event.key.to_string(),
        actor_key_id: event.actor.map(|key| key.to_string()),
        changes: changes.collect(),
    })
}

/// Who calls. `tag_uids` are those that a token is limited to.
pub fn who_am_i(caller: &Caller, tag_uids: Vec<String>) -> WhoAmIResponse {
    let expires_at = caller.token.as_ref().map(|token| token.expires_at);
    WhoAmIResponse {
        team: Some(tap_v1::Team {
            number: caller.team.0,
            slug: caller.team_slug.to_string(),
            name: caller.about.team_name.clone(),
        }),
        key_id: caller.key.to_string(),
        key_name: caller.about.name.clone(),
        key_prefix: caller.about.prefix.clone(),
        scopes: caller.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        expires_at: expires_at.or(caller.about.expires_at).map(instant),
        token: caller.token.as_ref().map(|_| tap_v1::BrowserToken { tag_uids }),
    }
}

/// What is left of every quota.
pub fn quotas(caller: &Caller) -> GetQuotaResponse {
    let quota = |class: Class| {
        let standing = caller.quotas.bucket(class).standing();
        let Standing { limit, remaining, reset, .. } = standing;
        Quota {
            class: class.as_str().to_owned(),
            limit: int32(limit),
            remaining: int32(remaining),
            reset_seconds: seconds(reset),
            next_seconds: seconds(standing.next()),
        }
    };
    GetQuotaResponse {
        quotas: Class::ALL.into_iter().map(quota).collect(),
        open_streams: int32(caller.life.open_streams()),
        open_streams_max: int32(STREAMS_MAX),
    }
}

fn name(text: &str, bad: &mut Vec<Violation>) -> String {
    if text.trim().is_empty() {
        bad.push(required("name", "say what the key is for, such as dashboard"));
    } else if text.chars().count() > NAME_CHARS_MAX {
        let text = format!("is longer than {NAME_CHARS_MAX} characters");
        bad.push(Violation::new("name", reasons::TOO_LONG, text));
    } else if text.chars().any(char::is_control) {
        bad.push(Violation::new(
            "name",
            reasons::MALFORMED_TEXT,
            "has control characters: leave them out",
        ));
    }
    text.to_owned()
}

fn scopes(texts: &[String], bad: &mut Vec<Violation>) -> Vec<Scope> {
    let mut scopes = Vec::new();
    if texts.len() > FIELDS_MAX {
        let text = format!("names {} scopes: there are {}", texts.len(), Scope::ALL.len());
        bad.push(Violation::new("scopes", reasons::OUT_OF_RANGE, text));
    }
    for (nth, text) in texts.iter().enumerate().take(FIELDS_MAX) {
        match Scope::parse(text) {
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => bad.push(Violation::new(
                format!("scopes[{nth}]"),
                reasons::UNKNOWN_SCOPE,
                format!("{} is no scope: use {SCOPES}", excerpt(text)),
            )),
        }
    }
    scopes
}

fn queries_per_hour(asked: i32, bad: &mut Vec<Violation>) -> Option<u32> {
    let number = u32::try_from(asked).ok();
    let number = number.filter(|number| (1..=QUERIES_PER_HOUR_MAX).contains(number));
    if number.is_none() {
        let text = format!("{asked} is not from 1 to {QUERIES_PER_HOUR_MAX}");
        bad.push(Violation::new("queries_per_hour", reasons::OUT_OF_RANGE, text));
    }
    number
}

fn expires_at(text: &str, now: DateTime<Utc>, bad: &mut Vec<Violation>) -> Option<DateTime<Utc>> {
    let Ok(at) = DateTime::parse_from_rfc3339(text) else {
        let text =
            format!("{} is not an RFC 3339 instant such as 2030-01-01T00:00:00Z", excerpt(text));
        bad.push(Violation::new("expires_at", reasons::MALFORMED_DATE, text));
        return None;
    };
    // No finer than the store keeps it.
    let at = DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or_default();
    if at <= now || at > now + TimeDelta::days(36_500) {
        let text = "must be ahead of now, and by 100 years at most; to end a key now, revoke it";
        bad.push(Violation::new("expires_at", reasons::DATE_OUT_OF_RANGE, text));
        return None;
    }
    Some(at)
}

fn span(
    field: &'static str,
    span: &prost_types::Duration,
    allowed: std::ops::RangeInclusive<Duration>,
    bad: &mut Vec<Violation>,
) -> Option<TimeDelta> {
    let duration = Duration::try_from(*span).ok().filter(|duration| allowed.contains(duration));
    if duration.is_none() {
        let (least, most) = (allowed.start().as_secs(), allowed.end().as_secs());
        let text = format!("must be from {least}s to {most}s");
        bad.push(Violation::new(field, reasons::OUT_OF_RANGE, text));
    }
    TimeDelta::from_std(duration?).ok()
}

fn key_id(field: &str, text: &str, bad: &mut Vec<Violation>) -> KeyId {
    KeyId(uuid(field, text).map_err(|violation| bad.push(violation)).unwrap_or_default())
}

fn request_id(text: &str, bad: &mut Vec<Violation>) -> Option<Uuid> {
    let id = optional_uuid("request_id", text).map_err(|violation| bad.push(violation));
    id.unwrap_or_default()
}

fn sound<T>(checked: T, bad: Vec<Violation>) -> Result<T, Error> {
    if bad.is_empty() { Ok(checked) } else { Err(Error::Invalid(bad)) }
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> i32 {
    int32(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

fn int32(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
