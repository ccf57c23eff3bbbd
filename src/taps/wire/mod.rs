//! Protobuf to domain and back: every field check, and every text of an answer.

mod frames;
mod query;
mod taps;

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;

pub use self::{
    frames::{stream_frame, stream_request, watch_frame},
    query::{answer, query},
    taps::{ingest_response, record_response, taps},
};
use super::model::{QUERY_TAGS_MAX, TapClass};
use crate::{
    error::Violation,
    proto::tap_v1::tap_class,
    reasons,
    tags::model::is_tag_uid,
    wire::{excerpt, malformed_tag_uid, unknown_value},
};

/// How many of many bad things are named in an error.
const NAMED_MAX: usize = 10;

fn tag_uids(mut uids: Vec<String>, bad: &mut Vec<Violation>) -> Vec<String> {
    if uids.len() > QUERY_TAGS_MAX {
        bad.push(Violation::new(
            "tag_uids",
            reasons::TOO_MANY_TAGS,
            format!("names {} tags: at most {QUERY_TAGS_MAX} are allowed", uids.len()),
        ));
        return Vec::new();
    }
    let malformed = uids.iter().enumerate().filter(|(_, uid)| !is_tag_uid(uid)).take(NAMED_MAX);
    bad.extend(malformed.map(|(at, _)| malformed_tag_uid(format!("tag_uids[{at}]"))));
    uids.sort_unstable();
    uids.dedup();
    uids
}

/// The classes that are asked for: humans unless something is said.
fn classes(values: &[i32], bad: &mut Vec<Violation>) -> Vec<TapClass> {
    use tap_class::Value;
    let mut classes = Vec::new();
    for (at, value) in values.iter().enumerate() {
        classes.push(match Value::try_from(*value) {
            Ok(Value::Human) => TapClass::Human,
            Ok(Value::Preview) => TapClass::Preview,
            Ok(Value::Bot) => TapClass::Bot,
            Err(_) => {
                if bad.len() < NAMED_MAX {
                    let field = format!("include[{at}]");
                    bad.push(unknown_value(field, *value, "HUMAN, PREVIEW or BOT"));
                }
                continue;
            }
        });
    }
    if values.is_empty() {
        classes.push(TapClass::Human);
    }
    classes.sort_unstable();
    classes.dedup();
    classes
}

fn class_value(class: TapClass) -> tap_class::Value {
    match class {
        TapClass::Human => tap_class::Value::Human,
        TapClass::Preview => tap_class::Value::Preview,
        TapClass::Bot => tap_class::Value::Bot,
    }
}

/// RFC 3339 with the offset of the zone at that instant; `Z` in UTC.
fn instant(zone: Tz, at: DateTime<Utc>) -> String {
    at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[expect(clippy::cast_precision_loss, reason = "counts are exact up to 2^53, as documented")]
fn number(count: i64) -> f64 {
    count as f64
}

fn int32(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
