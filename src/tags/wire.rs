//! Protobuf to domain and back: every field check, and every text of an answer.

use std::collections::{HashMap, hash_map::Entry};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::{
        BATCH_TAGS_MAX, Change, Destination, Filter, Kind, LABEL_CHARS_MAX, NO_ADDRESSES, NewTag,
        PAGE_TAGS, PAGE_TAGS_MAX, Tag, destination_url, has_addresses,
    },
    registry::{Existing, Page},
};
use crate::{
    error::{Error, Violation},
    ids::TeamId,
    paging::{self, Pages},
    proto::tap_v1::{
        self, BatchCreateTagsRequest, CreateTagRequest, ListTagsRequest, UpdateTagRequest,
        tag_state,
    },
    reasons,
    wire::{check_tag_uid, check_text, instant, kind, kind_value, optional_uuid, unknown_value},
};

/// What can be changed, as a mask names it.
const MASK: &str = "label, kind, destination_url and archived";

/// Tags that are to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTags {
    pub tags: Vec<NewTag>,
    pub existing: Existing,
    /// What the caller calls the request.
    pub request_id: Option<Uuid>,
}

/// Checks a tag that is to be made.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn create_request(request: &CreateTagRequest, now: DateTime<Utc>) -> Result<NewTags, Error> {
    let mut bad = Vec::new();
    let tags: Vec<_> = request.tag.iter().map(|tag| new_tag("tag", tag, now, &mut bad)).collect();
    if tags.is_empty() {
        let text = "is required: {\"tag\": {\"uid\": \"...\"}}";
        bad.push(Violation::new("tag", reasons::REQUIRED, text));
    }
    let request_id = request_id(&request.request_id, &mut bad);
    if bad.is_empty() {
        Ok(NewTags { tags, existing: Existing::Refuse, request_id })
    } else {
        Err(Error::Invalid(bad))
    }
}

/// Checks tags that are to be made together.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong, as far as an error can hold it.
pub fn batch_request(
    request: &BatchCreateTagsRequest,
    now: DateTime<Utc>,
) -> Result<NewTags, Error> {
    let mut bad = Vec::new();
    let request_id = request_id(&request.request_id, &mut bad);
    if request.tags.is_empty() {
        let text = "is required: at least one tag, as {\"tags\": [{\"uid\": \"...\"}]}";
        bad.push(Violation::new("tags", reasons::REQUIRED, text));
    }
    if request.tags.len() > BATCH_TAGS_MAX {
        let text = format!("has more than {BATCH_TAGS_MAX} tags: send fewer at a time");
        bad.push(Violation::new("tags", reasons::TOO_MANY_TAGS, text));
        return Err(Error::Invalid(bad));
    }
    let mut first = HashMap::new();
    let mut tags = Vec::with_capacity(request.tags.len());
    for (at, tag) in request.tags.iter().enumerate() {
        tags.push(new_tag(&format!("tags[{at}]"), tag, now, &mut bad));
        match first.entry(tag.uid.as_str()) {
            Entry::Vacant(entry) => {
                entry.insert(at);
            }
            // That it is missing is said already.
            Entry::Occupied(_) if tag.uid.is_empty() => {}
            Entry::Occupied(entry) => {
                let text = format!("is that of tags[{}] too: send it once", entry.get());
                bad.push(Violation::new(format!("tags[{at}].uid"), reasons::DUPLICATE_TAG, text));
            }
        }
    }
    if !bad.is_empty() {
        return Err(Error::Invalid(bad));
    }
    let existing = if request.skip_existing { Existing::Skip } else { Existing::Refuse };
    Ok(NewTags { tags, existing, request_id })
}

fn request_id(text: &str, bad: &mut Vec<Violation>) -> Option<Uuid> {
    optional_uuid("request_id", text).unwrap_or_else(|violation| {
        bad.push(violation);
        None
    })
}

/// A tag as it is to be made, of use only when nothing is wrong with it.
fn new_tag(
    field: &str,
    tag: &tap_v1::NewTag,
    now: DateTime<Utc>,
    bad: &mut Vec<Violation>,
) -> NewTag {
    let uid = format!("{field}.uid");
    if has_addresses(&tag.uid) {
        check_tag_uid(uid, &tag.uid, bad);
    } else {
        bad.push(Violation::new(uid, reasons::MALFORMED_TAG_UID, NO_ADDRESSES));
    }
    check_text(format!("{field}.label"), &tag.label, LABEL_CHARS_MAX, bad);
    NewTag {
        uid: tag.uid.clone(),
        label: tag.label.clone(),
        kind: kind_or_nfc(format!("{field}.kind"), tag.kind, bad),
        destination_url: destination(format!("{field}.destination_url"), &tag.destination_url, bad),
        created_at: now,
    }
}

fn kind_or_nfc(field: impl Into<String>, value: i32, bad: &mut Vec<Violation>) -> Kind {
    let kind = kind(field, value).unwrap_or_else(|violation| {
        bad.push(violation);
        None
    });
    kind.unwrap_or(Kind::Nfc)
}

/// Where a tag leads to; none for an empty text.
fn destination(field: impl Into<String>, text: &str, bad: &mut Vec<Violation>) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    match destination_url(text) {
        Ok(url) => Some(url),
        Err(why) => {
            bad.push(Violation::new(field, why.reason(), why.description()));
            None
        }
    }
}

/// Checks the uid of a tag that is asked for.
///
/// # Errors
/// [`Error::Invalid`] when no tag can have it.
pub fn uid(uid: &str) -> Result<(), Error> {
    let mut bad = Vec::new();
    check_tag_uid("uid", uid, &mut bad);
    if bad.is_empty() { Ok(()) } else { Err(Error::Invalid(bad)) }
}

/// A page of tags that is asked for.
#[derive(Clone, Debug)]
pub struct Listing {
    pub filter: Filter,
    pub page: Page,
    /// What its page tokens are bound to.
    pub asked: String,
}

/// Checks what tags to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_request(
    request: ListTagsRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing, Error> {
    use tag_state::Value;
    let mut bad = Vec::new();
    check_text("text", &request.text, LABEL_CHARS_MAX, &mut bad);
    let kind = kind("kind", request.kind).unwrap_or_else(|violation| {
        bad.push(violation);
        None
    });
    let archived = match Value::try_from(request.state) {
        Ok(Value::InUse) => Some(false),
        Ok(Value::Archived) => Some(true),
        Ok(Value::Any) => None,
        Err(_) => {
            bad.push(unknown_value("state", request.state, "IN_USE, ARCHIVED or ANY"));
            None
        }
    };
    // As it was asked: what a token is bound to is the same text whatever else is wrong.
    let asked = format!("ListTags {:?} {} {}", request.text, request.kind, request.state);
    let after = pages.read(team, &asked, &request.page_token).unwrap_or_else(|violation| {
        bad.push(violation);
        None
    });
    let size = paging::size(request.page_size, PAGE_TAGS, PAGE_TAGS_MAX);
    let size = size.unwrap_or_else(|violation| {
        bad.push(violation);
        PAGE_TAGS
    });
    if !bad.is_empty() {
        return Err(Error::Invalid(bad));
    }
    let filter = Filter { text: request.text, kind, archived };
    Ok(Listing { filter, page: Page { after: after.unwrap_or_default(), size }, asked })
}

/// Checks a change of a tag: with a mask exactly what it names, where what is not set is cleared; without
/// one, whatever is set.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn update_request(request: UpdateTagRequest) -> Result<(String, Change), Error> {
    let mut bad = Vec::new();
    check_tag_uid("uid", &request.uid, &mut bad);
    let named = Named::of(&request, &mut bad);
    let label = named.label.then(|| request.label.unwrap_or_default());
    if let Some(label) = &label {
        check_text("label", label, LABEL_CHARS_MAX, &mut bad);
    }
    let kind = request.kind.unwrap_or_default();
    let kind = named.kind.then(|| kind_or_nfc("kind", kind, &mut bad));
    let url = request.destination_url.unwrap_or_default();
    let destination =
        named.destination.then(|| Destination(destination("destination_url", &url, &mut bad)));
    let archived = named.archived.then(|| request.archived.unwrap_or_default());
    let change = Change { label, kind, destination, archived };
    if bad.is_empty() && change.is_empty() {
        let text = format!("nothing is to be changed: name some of {MASK}, or set them");
        bad.push(Violation::new("update_mask", reasons::NOTHING_TO_CHANGE, text));
    }
    if bad.is_empty() { Ok((request.uid, change)) } else { Err(Error::Invalid(bad)) }
}

/// What a change names.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each field")]
struct Named {
    label: bool,
    kind: bool,
    destination: bool,
    archived: bool,
}

impl Named {
    fn of(request: &UpdateTagRequest, bad: &mut Vec<Violation>) -> Self {
        let Some(mask) = &request.update_mask else {
            return Self {
                label: request.label.is_some(),
                kind: request.kind.is_some(),
                destination: request.destination_url.is_some(),
                archived: request.archived.is_some(),
            };
        };
        let mut named = Self::default();
        let (mut uid_named, mut unknown_named) = (false, false);
        for path in &mask.paths {
            match path.as_str() {
                "label" => named.label = true,
                "kind" => named.kind = true,
                "destination_url" => named.destination = true,
                "archived" => named.archived = true,
                "uid" => uid_named = true,
                _ => unknown_named = true,
            }
        }
        if uid_named {
            let text = "a uid cannot be changed: make another tag, and archive this one";
            bad.push(Violation::new("update_mask", reasons::IMMUTABLE_FIELD, text));
        }
        if unknown_named {
            let text = format!("may name {MASK} only");
            bad.push(Violation::new("update_mask", reasons::UNKNOWN_FIELD, text));
        }
        named
    }
}

/// A tag as answers have it.
#[must_use]
pub fn tag(tag: &Tag, tap_url: String) -> tap_v1::Tag {
    tap_v1::Tag {
        uid: tag.uid.to_string(),
        label: tag.label.to_string(),
        kind: kind_value(tag.kind),
        destination_url: tag.destination_url.as_deref().map(str::to_owned),
        tap_url,
        created_at: instant(tag.created_at),
        archived_at: tag.archived_at.map(instant),
    }
}
