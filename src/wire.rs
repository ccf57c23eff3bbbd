//! What the `wire` of every area needs: texts of callers, instants, ids, kinds.

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::{
    error::Violation,
    proto::tap_v1::kind,
    reasons,
    tags::model::{Kind, is_tag_uid},
};

/// How much of a caller's text an error repeats.
const EXCERPT_CHARS_MAX: usize = 64;
/// A key has more than this after its first four characters.
const KEY_REST_MIN: usize = 32;

/// A number that is none of an enum.
pub fn unknown_value(field: impl Into<String>, value: i32, allowed: &str) -> Violation {
    Violation::new(
        field,
        reasons::UNKNOWN_VALUE,
        format!("{value} is not known here: use {allowed}"),
    )
}

/// A field that is missing.
pub fn required(field: impl Into<String>, what: &str) -> Violation {
    Violation::new(field, reasons::REQUIRED, format!("is missing: {what}"))
}

/// A caller's own text, short enough for an error, without what could break a log or a terminal, and
/// without a key that was put into the wrong place.
#[must_use]
pub fn excerpt(text: &str) -> String {
    if holds_key(text) {
        return "this text, which looks like an API key,".to_owned();
    }
    let mut short: String = text.chars().take(EXCERPT_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// Whether there is what looks like an API key in a text.
#[must_use]
pub fn holds_key(text: &str) -> bool {
    text.match_indices("tap_").any(|(at, prefix)| {
        let rest = text.get(at + prefix.len()..).unwrap_or_default();
        rest.starts_with(|first: char| first.is_ascii_digit()) && rest.len() > KEY_REST_MIN
    })
}

/// An instant as answers have it: RFC 3339 in UTC.
#[must_use]
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A UUID.
///
/// # Errors
/// The violation, when it is none.
pub fn uuid(field: &str, text: &str) -> Result<Uuid, Violation> {
    if text.is_empty() {
        return Err(required(field, "name it by its UUID"));
    }
    Uuid::parse_str(text).map_err(|_| {
        Violation::new(
            field,
            reasons::MALFORMED_UUID,
            format!("{} is not a UUID such as 01a20530-7f5e-7cc1-a3c3-6d2f3b1c9d01", excerpt(text)),
        )
    })
}

/// The UUID of a field that may be empty.
///
/// # Errors
/// The violation, when it is something else.
pub fn optional_uuid(field: &str, text: &str) -> Result<Option<Uuid>, Violation> {
    if text.is_empty() { Ok(None) } else { uuid(field, text).map(Some) }
}

/// Checks the uid of a tag.
pub fn check_tag_uid(field: impl Into<String>, uid: &str, bad: &mut Vec<Violation>) {
    if uid.is_empty() {
        bad.push(Violation::new(field, reasons::REQUIRED, "is required: the uid of a tag"));
    } else if !is_tag_uid(uid) {
        bad.push(malformed_tag_uid(field));
    }
}

/// A text that cannot be the uid of a tag.
pub fn malformed_tag_uid(field: impl Into<String>) -> Violation {
    Violation::new(field, reasons::MALFORMED_TAG_UID, "must be 1 to 64 letters, digits, or . _ : -")
}

/// Checks a text for people.
pub fn check_text(
    field: impl Into<String>,
    text: &str,
    chars_max: usize,
    bad: &mut Vec<Violation>,
) {
    if text.chars().nth(chars_max).is_some() {
        let text = format!("{} is longer than {chars_max} characters", excerpt(text));
        bad.push(Violation::new(field, reasons::TOO_LONG, text));
    } else if text.chars().any(char::is_control) {
        let text = format!("{} has control characters: leave them out", excerpt(text));
        bad.push(Violation::new(field, reasons::MALFORMED_TEXT, text));
    }
}

/// A kind; `None` when it is not set.
///
/// # Errors
/// The violation, when there is no such kind.
pub fn kind(field: impl Into<String>, value: i32) -> Result<Option<Kind>, Violation> {
    use kind::Value;
    match Value::try_from(value) {
        Ok(Value::Unset) => Ok(None),
        Ok(Value::Nfc) => Ok(Some(Kind::Nfc)),
        Ok(Value::Qr) => Ok(Some(Kind::Qr)),
        Ok(Value::Link) => Ok(Some(Kind::Link)),
        Err(_) => Err(unknown_value(field, value, "NFC, QR or LINK")),
    }
}

/// A kind as answers have it.
#[must_use]
pub fn kind_value(kind: Kind) -> i32 {
    let value = match kind {
        Kind::Nfc => kind::Value::Nfc,
        Kind::Qr => kind::Value::Qr,
        Kind::Link => kind::Value::Link,
    };
    value.into()
}

/// An id that is chosen by the caller; `None` when it is not set.
pub fn own_id(field: &str, text: &str, bad: &mut Vec<Violation>) -> Option<Uuid> {
    let id = or_none(optional_uuid(field, text), bad);
    if id.is_some_and(|id| id.is_nil()) {
        let text = "is all zeros, which stands for nothing: take a random one";
        bad.push(Violation::new(field, reasons::MALFORMED_UUID, text));
    }
    id
}

/// What was checked; `None`, and what is wrong with it is noted, when it was refused.
pub fn or_none<T>(checked: Result<Option<T>, Violation>, bad: &mut Vec<Violation>) -> Option<T> {
    checked.unwrap_or_else(|violation| {
        bad.push(violation);
        None
    })
}

/// A text that is looked for; `None` when it is not set.
pub fn wanted(
    field: &str,
    text: String,
    chars_max: usize,
    bad: &mut Vec<Violation>,
) -> Option<String> {
    check_text(field, &text, chars_max, bad);
    Some(text).filter(|text| !text.is_empty())
}

/// Counts, as all of the API has them.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
#[must_use]
pub fn number(count: i64) -> f64 {
    count as f64
}
