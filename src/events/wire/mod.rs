//! Protobuf to domain and back: every field check, and every text of an answer.

pub mod errors;
pub mod events;
pub mod frames;
pub mod setup;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    archive::{Listed, Page},
    check,
    model::{Application, Expected, TimePlace},
};
use crate::{
    auth::Caller,
    error::{Error, Violation},
    ids::TeamId,
    paging::{self, Pages},
    reasons,
    wire::{check_text, optional_uuid, required, uuid},
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

/// An id that is chosen by the caller; `None` when it is not set.
fn own_id(field: &str, text: &str, bad: &mut Vec<Violation>) -> Option<Uuid> {
    let id = or_none(optional_uuid(field, text), bad);
    if id.is_some_and(|id| id.is_nil()) {
        let text = "is all zeros, which stands for nothing: take a random one";
        bad.push(Violation::new(field, reasons::MALFORMED_UUID, text));
    }
    id
}

fn or_none<T>(checked: Result<Option<T>, Violation>, bad: &mut Vec<Violation>) -> Option<T> {
    checked.unwrap_or_else(|violation| {
        bad.push(violation);
        None
    })
}

/// A text that is looked for; `None` when it is not set.
fn wanted(field: &str, text: String, chars_max: usize, bad: &mut Vec<Violation>) -> Option<String> {
    check_text(field, &text, chars_max, bad);
    Some(text).filter(|text| !text.is_empty())
}

/// An instant; `None` when it is not set.
fn instant_of(field: &str, text: &str, bad: &mut Vec<Violation>) -> Option<DateTime<Utc>> {
    if text.is_empty() {
        return None;
    }
    or_none(check::instant(field, text).map(Some), bad)
}

/// Which state something must be in to be changed. Empty: any.
fn expected(etag: &str) -> Expected {
    match etag {
        "" | "*" => Expected::Any,
        etag => etag.parse().map_or(Expected::None, Expected::Version),
    }
}

/// The same, where it has to be said.
fn expected_or_missing(etag: &str, bad: &mut Vec<Violation>) -> Expected {
    if etag.is_empty() {
        let what = "send that of the answer that was changed, or * to change it whatever it is now";
        bad.push(required("etag", what));
    }
    expected(etag)
}

/// What a list is asked for.
struct Paged<'a> {
    team: TeamId,
    pages: &'a Pages,
    /// What its page tokens are bound to.
    asked: &'a str,
    token: &'a str,
    size: i32,
    default: usize,
    max: usize,
}

impl Paged<'_> {
    fn page<P>(&self, parse: impl Fn(&str) -> Option<P>, bad: &mut Vec<Violation>) -> Page<P> {
        let after = or_none(self.pages.read(self.team, self.asked, self.token), bad);
        let size = paging::size(self.size, self.default, self.max).unwrap_or_else(|violation| {
            bad.push(violation);
            self.default
        });
        Page { after: after.as_deref().and_then(parse), size }
    }
}

/// A page that is asked for, and what its page tokens are bound to.
#[derive(Clone, Debug)]
pub struct Listing<F, P> {
    pub filter: F,
    pub page: Page<P>,
    pub asked: String,
}

impl<F, P> Listing<F, P> {
    /// The token of the page after this; empty when there is none.
    pub fn next<T>(
        &self,
        pages: &Pages,
        team: TeamId,
        listed: &Listed<T>,
        place: impl Fn(&T) -> String,
    ) -> String {
        let last = listed.entries.last().filter(|_| listed.more);
        last.map(|last| pages.next(team, &self.asked, &place(last))).unwrap_or_default()
    }
}

/// A place as a page token has it.
#[must_use]
pub fn time_place(at: DateTime<Utc>, id: Uuid) -> String {
    format!("{} {id}", at.timestamp_micros())
}

fn parse_time_place(text: &str) -> Option<TimePlace> {
    let (at, id) = text.split_once(' ')?;
    Some(TimePlace { at: micros(at)?, id: id.parse().ok()? })
}

fn micros(text: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(text.parse().ok()?)
}

/// Counts, as all of the API has them.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn number(count: i64) -> f64 {
    count as f64
}
