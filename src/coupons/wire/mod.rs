//! Protobuf to domain and back: every field check, and every text of an answer.

pub mod coupons;
pub mod edits;
pub mod fields;
pub mod queries;
pub mod redemptions;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::{error::Error, wire::uuid};

/// The id of something that is asked for.
///
/// # Errors
/// [`Error::Invalid`] when it is none.
pub fn id(text: &str) -> Result<Uuid, Error> {
    Ok(uuid("id", text)?)
}

/// A date as answers about coupons have it: with milliseconds, in UTC.
#[must_use]
pub fn date(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
