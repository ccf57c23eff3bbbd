//! `RecordTaps` and `IngestTaps`: what is reported, and what became of it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{excerpt, instant, int32, number};
use crate::{
    error::{Error, Violation},
    proto::tap_v1::{self, IngestTapsResponse, RecordTapsResponse, RejectedTap},
    reasons,
    tags::model::is_tag_uid,
    taps::{
        model::{BATCH_TAPS_MAX, COUNT_MAX, FUTURE_MAX, Retention, whole_micros},
        record::{Checked, Recording, Rejected, Reported},
    },
    wire::{check_tag_uid, check_text, kind},
};

const DEVICE_CHARS_MAX: usize = 64;
const ATTRIBUTES_MAX: usize = 16;
const ATTRIBUTE_KEY_CHARS_MAX: usize = 64;
const ATTRIBUTE_VALUE_CHARS_MAX: usize = 256;

/// Checks a batch. A tap that is bad is rejected with everything that is wrong with it.
///
/// # Errors
/// [`Error::Invalid`] for a batch that is too large.
pub fn taps(
    taps: Vec<tap_v1::NewTap>,
    now: DateTime<Utc>,
    retention: Retention,
) -> Result<Checked, Error> {
    let earliest = retention.earliest(now);
    if taps.is_empty() {
        let text = "is required: at least one tap, as {\"taps\": [{\"tagUid\": \"...\"}]}";
        return Err(Error::invalid("taps", reasons::REQUIRED, text));
    }
    if taps.len() > BATCH_TAPS_MAX {
        let text = format!("has {} taps: send at most {BATCH_TAPS_MAX} at a time", taps.len());
        return Err(Error::invalid("taps", reasons::TOO_MANY_TAPS, text));
    }
    let mut checked = Checked::default();
    for (index, tap) in taps.into_iter().enumerate() {
        // To name it by, when it is rejected; not more than could be an id.
        let sent: String = tap.tap_id.chars().take(36).collect();
        let tag_uid = Some(tap.tag_uid.clone()).filter(|uid| is_tag_uid(uid));
        match one(index, tap, now, earliest) {
            Ok(tap) => checked.taps.push(tap),
            Err(violations) => {
                checked.rejected.push(Rejected { index, tap_id: sent, tag_uid, violations });
            }
        }
    }
    Ok(checked)
}

fn one(
    index: usize,
    tap: tap_v1::NewTap,
    now: DateTime<Utc>,
    earliest: DateTime<Utc>,
) -> Result<Reported, Vec<Violation>> {
    let mut bad = Vec::new();
    check_tag_uid("tag_uid", &tap.tag_uid, &mut bad);
    let tap_id = tap_id(&tap.tap_id, &mut bad);
    let tapped_at = tapped_at(&tap, now, earliest, &mut bad);
    let count = tap.count.unwrap_or(1);
    if !(1..=COUNT_MAX).contains(&count) {
        let text = format!("must be a whole number from 1 to {COUNT_MAX}");
        bad.push(Violation::new("count", reasons::COUNT_OUT_OF_RANGE, text));
    }
    let kind = kind("kind", tap.kind).unwrap_or_else(|violation| {
        bad.push(violation);
        None
    });
    let country = country(tap.country, &mut bad);
    check_text("device", &tap.device, DEVICE_CHARS_MAX, &mut bad);
    let attributes = attributes(tap.attributes, &mut bad);
    if !bad.is_empty() {
        return Err(bad);
    }
    let device = Some(tap.device).filter(|device| !device.is_empty());
    let tag_uid = tap.tag_uid;
    Ok(Reported { index, tag_uid, tap_id, tapped_at, count, kind, country, device, attributes })
}

fn tap_id(text: &str, bad: &mut Vec<Violation>) -> Option<Uuid> {
    if text.is_empty() {
        return None;
    }
    let id = Uuid::try_parse(text).ok();
    if id.is_none() {
        let text = format!("{} is not a UUID", excerpt(text));
        bad.push(Violation::new("tap_id", reasons::MALFORMED_TAP_ID, text));
    }
    id
}

fn tapped_at(
    tap: &tap_v1::NewTap,
    now: DateTime<Utc>,
    earliest: DateTime<Utc>,
    bad: &mut Vec<Violation>,
) -> DateTime<Utc> {
    if tap.tapped_at.is_empty() {
        if !tap.tap_id.is_empty() {
            bad.push(Violation::new(
                "tapped_at",
                reasons::REQUIRED,
                "is required with tap_id: sent again it must be the same",
            ));
        }
        return now;
    }
    let Ok(at) = DateTime::parse_from_rfc3339(&tap.tapped_at) else {
        let text = format!(
            "{} is not an RFC 3339 instant such as 2023-01-01T08:00:00Z",
            excerpt(&tap.tapped_at)
        );
        bad.push(Violation::new("tapped_at", reasons::MALFORMED_DATE, text));
        return now;
    };
    let at = whole_micros(at.to_utc());
    if at > now + FUTURE_MAX {
        let text = "is more than an hour ahead of our clock: check yours";
        bad.push(Violation::new("tapped_at", reasons::TIMESTAMP_IN_FUTURE, text));
    } else if at < earliest {
        let text =
            format!("lies before {}, from which on taps are kept", instant(Tz::UTC, earliest));
        bad.push(Violation::new("tapped_at", reasons::TIMESTAMP_TOO_OLD, text));
    }
    at
}

fn country(text: String, bad: &mut Vec<Violation>) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let text = format!("{} is not a code of two capital letters such as DE", excerpt(&text));
        bad.push(Violation::new("country", reasons::MALFORMED_COUNTRY, text));
    }
    Some(text)
}

fn attributes(
    attributes: HashMap<String, String>,
    bad: &mut Vec<Violation>,
) -> BTreeMap<String, String> {
    if attributes.len() > ATTRIBUTES_MAX {
        let text = format!("has {} pairs: at most {ATTRIBUTES_MAX} are kept", attributes.len());
        bad.push(Violation::new("attributes", reasons::TOO_MANY_ATTRIBUTES, text));
        return BTreeMap::new();
    }
    // In one order, so that violations are.
    let attributes: BTreeMap<String, String> = attributes.into_iter().collect();
    for (key, value) in &attributes {
        if key.is_empty() {
            bad.push(Violation::new("attributes", reasons::REQUIRED, "has an empty key"));
        }
        check_text("attributes", key, ATTRIBUTE_KEY_CHARS_MAX, bad);
        check_text("attributes", value, ATTRIBUTE_VALUE_CHARS_MAX, bad);
    }
    attributes
}

/// What became of a batch.
#[must_use]
pub fn record_response(recording: Recording, resume_token: String) -> RecordTapsResponse {
    RecordTapsResponse {
        accepted: amount(recording.accepted),
        duplicates: amount(recording.duplicates),
        rejected: rejected(recording.rejected),
        resume_token,
    }
}

/// What became of a batch of a stream.
#[must_use]
pub fn ingest_response(
    sequence: i64,
    recording: Recording,
    resume_token: String,
) -> IngestTapsResponse {
    IngestTapsResponse {
        sequence,
        accepted: amount(recording.accepted),
        duplicates: amount(recording.duplicates),
        rejected: rejected(recording.rejected),
        resume_token,
    }
}

fn amount(taps: usize) -> f64 {
    number(i64::try_from(taps).unwrap_or(i64::MAX))
}

fn rejected(rejected: Vec<Rejected>) -> Vec<RejectedTap> {
    let violation = |violation: Violation| tap_v1::Violation {
        field: violation.field,
        reason: violation.reason.to_owned(),
        description: violation.description,
    };
    let one = |tap: Rejected| RejectedTap {
        index: int32(tap.index),
        tap_id: tap.tap_id,
        violations: tap.violations.into_iter().map(violation).collect(),
    };
    rejected.into_iter().map(one).collect()
}
