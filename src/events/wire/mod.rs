//! Protobuf to domain and back: every field check, and every text of an answer.

pub mod errors;
pub mod events;
pub mod frames;
pub mod setup;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{check, model::Application};
use crate::{
    auth::Caller,
    error::{Error, Violation},
    wire::{or_none, uuid},
};

/// Characters of a text that is looked for where the thing itself has no bound.
const TEXT_CHARS_MAX: usize = 300;

/// Who calls, as events remember it.
#[must_use]
pub fn application(caller: &Caller) -> Application {
    Application { key: caller.key, name: caller.about.name.clone() }
}

/// The id of something that is asked for.
///
/// # Errors
/// [`Error::Invalid`] when it is none.
pub fn id(field: &str, text: &str) -> Result<Uuid, Error> {
    Ok(uuid(field, text)?)
}

/// An instant; `None` when it is not set.
fn instant_of(field: &str, text: &str, bad: &mut Vec<Violation>) -> Option<DateTime<Utc>> {
    if text.is_empty() {
        return None;
    }
    or_none(check::instant(field, text).map(Some), bad)
}
