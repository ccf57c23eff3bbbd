//! Tags in rows: what they are to be made of, and what they change.

use chrono::{DateTime, Utc};

use super::{
    model::Row,
    tag_rules::{DESTINATION_URL, KIND, LABEL, UID},
};
use crate::tags::{
    model::{Change, Destination, Kind, NewTag, Tag},
    registry::Merge,
};

/// The tag of a row. What is empty, or has no column, stays as it is where there is a tag.
#[must_use]
pub fn merge(row: &Row, now: DateTime<Utc>) -> Merge {
    let some = |column| Some(row.value(column).to_owned()).filter(|value| !value.is_empty());
    let (label, kind, destination) = (some(LABEL), some(KIND), some(DESTINATION_URL));
    let kind = kind.and_then(|kind| Kind::parse(&kind));
    let new = NewTag {
        uid: row.value(UID).to_owned(),
        label: label.clone().unwrap_or_default(),
        kind: kind.unwrap_or(Kind::Nfc),
        destination_url: destination.clone(),
        created_at: now,
    };
    let destination = destination.map(|url| Destination(Some(url)));
    Merge { new, change: Change { label, kind, destination, archived: None } }
}

/// Whether a row would change a tag that is there.
#[must_use]
pub fn changes(row: &Row, tag: &Tag) -> bool {
    merge(row, tag.created_at).change.apply(tag, tag.created_at) != *tag
}
