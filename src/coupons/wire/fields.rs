//! The fields of a coupon, each by itself: the same whether it is made, changed or read from a file.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Utc};

use crate::{
    coupons::model::{
        CODE_CHARS_MAX, METADATA_KEY_CHARS_MAX, METADATA_MAX, METADATA_VALUE_CHARS_MAX, TAGS_MAX,
    },
    error::Violation,
    reasons,
    wire::{check_tag_uid, check_text, excerpt, required},
};

/// A code.
pub fn check_code(field: impl Into<String>, code: &str, bad: &mut Vec<Violation>) {
    let field = field.into();
    if code.is_empty() {
        bad.push(required(field, "the code that people show or type"));
    } else if code.chars().any(char::is_whitespace) {
        let text = format!("{} has spaces: leave them out", excerpt(code));
        bad.push(Violation::new(field, reasons::MALFORMED_TEXT, text));
    } else {
        check_text(field, code, CODE_CHARS_MAX, bad);
    }
}

/// A text that must be there.
pub fn check_required(
    field: impl Into<String>,
    text: &str,
    chars_max: usize,
    what: &str,
    bad: &mut Vec<Violation>,
) {
    if text.trim().is_empty() {
        bad.push(required(field, what));
    } else {
        check_text(field, text, chars_max, bad);
    }
}

/// A text that may have several lines.
pub fn check_lines(
    field: impl Into<String>,
    text: &str,
    chars_max: usize,
    bad: &mut Vec<Violation>,
) {
    if text.contains(['\n', '\r', '\t']) {
        check_text(field, &text.replace(['\n', '\r', '\t'], " "), chars_max, bad);
    } else {
        check_text(field, text, chars_max, bad);
    }
}

/// A date, to the millisecond; `None` when it is empty.
pub fn date(
    field: impl Into<String>,
    text: &str,
    bad: &mut Vec<Violation>,
) -> Option<DateTime<Utc>> {
    if text.is_empty() {
        return None;
    }
    let Ok(at) = DateTime::parse_from_rfc3339(text) else {
        let text = format!(
            "{} is not an RFC 3339 instant such as 2026-03-05T08:40:51.620Z",
            excerpt(text)
        );
        bad.push(Violation::new(field, reasons::MALFORMED_DATE, text));
        return None;
    };
    let at = at.to_utc();
    // A leap second is the second after it.
    let millis = DateTime::from_timestamp_millis(at.timestamp_millis());
    let kept = millis.filter(|at| (1..=9999).contains(&at.year()));
    if kept.is_none() {
        let text = "must be in the years 1 to 9999";
        bad.push(Violation::new(field, reasons::DATE_OUT_OF_RANGE, text));
    }
    kept
}

/// A latitude or a longitude.
pub fn check_degrees(
    field: impl Into<String>,
    degrees: Option<f64>,
    max: f64,
    bad: &mut Vec<Violation>,
) {
    // What is no number is in no range.
    if degrees.is_some_and(|degrees| !(-max..=max).contains(&degrees)) {
        let text = format!("must be from -{max} to {max} degrees");
        bad.push(Violation::new(field, reasons::OUT_OF_RANGE, text));
    }
}

/// How often: 1 or more.
pub fn check_times(field: impl Into<String>, times: Option<i32>, bad: &mut Vec<Violation>) {
    if times.is_some_and(|times| times < 1) {
        let text = "must be 1 or more; leave it out for no limit";
        bad.push(Violation::new(field, reasons::OUT_OF_RANGE, text));
    }
}

/// The tags that hand it out: sorted, each once.
pub fn tag_uids(field: &str, mut uids: Vec<String>, bad: &mut Vec<Violation>) -> Vec<String> {
    if uids.len() > TAGS_MAX {
        let text = format!("names {} tags: at most {TAGS_MAX} are allowed", uids.len());
        bad.push(Violation::new(field, reasons::TOO_MANY_TAGS, text));
        return Vec::new();
    }
    for (at, uid) in uids.iter().enumerate() {
        check_tag_uid(format!("{field}[{at}]"), uid, bad);
    }
    uids.sort_unstable();
    uids.dedup();
    uids
}

/// What else is kept with it.
pub fn check_metadata(field: &str, metadata: &BTreeMap<String, String>, bad: &mut Vec<Violation>) {
    if metadata.len() > METADATA_MAX {
        let text = format!("has {} pairs: at most {METADATA_MAX} are kept", metadata.len());
        bad.push(Violation::new(field, reasons::TOO_MANY_ATTRIBUTES, text));
        return;
    }
    for (key, value) in metadata {
        if key.is_empty() {
            bad.push(Violation::new(field, reasons::REQUIRED, "has an empty key"));
        }
        // Envoy 1.40 ends, with everything that it does, over an answer that has such a pair.
        if value.is_empty() {
            bad.push(Violation::new(
                field,
                reasons::REQUIRED,
                "has a key without a value: leave it out",
            ));
        }
        check_text(field, key, METADATA_KEY_CHARS_MAX, bad);
        check_lines(field, value, METADATA_VALUE_CHARS_MAX, bad);
    }
}
