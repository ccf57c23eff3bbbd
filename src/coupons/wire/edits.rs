//! Changes of coupons: without a mask whatever is set, with one exactly what it names, where what is not set is
//! cleared.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::fields;
use crate::{
    coupons::{
        edit::{Edit, StoreEdit},
        model::{
            CATEGORY_CHARS_MAX, DESCRIPTION_CHARS_MAX, MERCHANT_CHARS_MAX, STORE_CHARS_MAX,
            TITLE_CHARS_MAX,
        },
    },
    error::{Error, Violation},
    etag::{Expected, expected},
    proto::tap_v1::{CouponEdit, Store, UpdateCouponRequest},
    reasons,
    wire::{check_text, or_none, uuid},
};

/// What can be changed, as a mask names it.
const FIELDS: [&str; 13] = [
    "couponcode",
    "category",
    "title",
    "description",
    "merchant",
    "store",
    "published_at",
    "expire_at",
    "tag_uids",
    "max_redemptions",
    "max_per_subject",
    "disabled",
    "metadata",
];
/// The same of `store`.
const STORE_FIELDS: [&str; 7] = ["lat", "long", "city", "phone", "state", "street", "zip"];

/// A change of a coupon.
#[derive(Clone, Debug)]
pub struct Change {
    pub id: Uuid,
    pub expected: Expected,
    pub edit: Edit,
}

/// Checks which coupon to change, and how.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn update_request(request: UpdateCouponRequest) -> Result<Change, Error> {
    let mut bad = Vec::new();
    let id = or_none(uuid("id", &request.id).map(Some), &mut bad);
    let coupon = request.coupon.unwrap_or_default();
    let same = |text: &String| id.is_none_or(|id| Uuid::parse_str(text) == Ok(id));
    if !coupon.id.as_ref().is_none_or(same) {
        let text = "an id cannot be changed: leave it out, or send that of the coupon";
        bad.push(Violation::new("coupon.id", reasons::IMMUTABLE_FIELD, text));
    }
    let expected = expected(coupon.etag.as_deref().unwrap_or_default());
    // One that names nothing is none.
    let mask = request.update_mask.filter(|mask| !mask.paths.is_empty());
    let named = Named(mask.map(|mask| read_mask(mask.paths, &mut bad)));
    let edit = edit(coupon, &named, &mut bad);
    if bad.is_empty() && edit.is_empty() {
        let text =
            format!("nothing is to be changed: name some of {}, or set them", FIELDS.join(", "));
        bad.push(Violation::new("update_mask", reasons::NOTHING_TO_CHANGE, text));
    }
    match id {
        Some(id) if bad.is_empty() => Ok(Change { id, expected, edit }),
        _ => Err(Error::Invalid(bad)),
    }
}

/// What a mask names; `None`: there is none.
struct Named(Option<BTreeSet<String>>);

impl Named {
    /// What to change a field to: what is set, or where it is named and not set, what clears it.
    fn or<T>(&self, name: &str, set: Option<T>, cleared: T) -> Option<T> {
        match &self.0 {
            None => set,
            Some(named) => named.contains(name).then(|| set.unwrap_or(cleared)),
        }
    }

    /// The same of a field that is never set and empty.
    fn or_empty<T: Default + PartialEq>(&self, name: &str, value: T) -> Option<T> {
        self.or(name, Some(value).filter(|value| *value != T::default()), T::default())
    }
}

/// The fields that a mask names; `store` stands for all of its own.
fn read_mask(paths: Vec<String>, bad: &mut Vec<Violation>) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut unknown = false;
    for path in paths {
        let of_store = path.strip_prefix("store.");
        if path == "store" {
            named.extend(STORE_FIELDS.map(|field| format!("store.{field}")));
        } else if of_store.map_or(FIELDS.contains(&path.as_str()), |f| STORE_FIELDS.contains(&f)) {
            named.insert(path);
        } else if path == "id" {
            let text = "an id cannot be changed: make another coupon";
            bad.push(Violation::new("update_mask", reasons::IMMUTABLE_FIELD, text));
        } else {
            unknown = true;
        }
    }
    if unknown {
        let fields = FIELDS.join(", ");
        let text = format!("may name {fields} only, and such as store.city");
        bad.push(Violation::new("update_mask", reasons::UNKNOWN_FIELD, text));
    }
    named
}

fn edit(coupon: CouponEdit, named: &Named, bad: &mut Vec<Violation>) -> Edit {
    let edit = Edit {
        couponcode: named.or("couponcode", coupon.couponcode, String::new()),
        category: named.or("category", coupon.category, String::new()),
        title: named.or("title", coupon.title, String::new()),
        description: named.or("description", coupon.description, String::new()),
        merchant: named.or("merchant", coupon.merchant, String::new()),
        store: store(coupon.store.unwrap_or_default(), named, bad),
        published_at: named
            .or("published_at", coupon.published_at, String::new())
            .map(|text| fields::date("coupon.published_at", &text, bad)),
        expire_at: named
            .or("expire_at", coupon.expire_at, String::new())
            .map(|text| fields::date("coupon.expire_at", &text, bad)),
        tag_uids: named
            .or_empty("tag_uids", coupon.tag_uids)
            .map(|uids| fields::tag_uids("coupon.tag_uids", uids, bad)),
        max_redemptions: named
            .or("max_redemptions", coupon.max_redemptions, 0)
            .map(|times| Some(times).filter(|times| *times != 0)),
        max_per_subject: named
            .or("max_per_subject", coupon.max_per_subject, 0)
            .map(|times| Some(times).filter(|times| *times != 0)),
        disabled: named.or("disabled", coupon.disabled, false),
        metadata: named.or_empty("metadata", coupon.metadata),
    };
    if let Some(code) = &edit.couponcode {
        fields::check_code("coupon.couponcode", code, bad);
    }
    if let Some(title) = &edit.title {
        let field = "coupon.title";
        fields::check_required(field, title, TITLE_CHARS_MAX, "what it is for", bad);
    }
    for (field, text, chars_max) in [
        ("coupon.category", &edit.category, CATEGORY_CHARS_MAX),
        ("coupon.merchant", &edit.merchant, MERCHANT_CHARS_MAX),
    ] {
        if let Some(text) = text {
            check_text(field, text, chars_max, bad);
        }
    }
    if let Some(text) = &edit.description {
        fields::check_lines("coupon.description", text, DESCRIPTION_CHARS_MAX, bad);
    }
    for (field, times) in [
        ("coupon.max_redemptions", edit.max_redemptions),
        ("coupon.max_per_subject", edit.max_per_subject),
    ] {
        fields::check_times(field, times.flatten(), bad);
    }
    if let Some(metadata) = &edit.metadata {
        fields::check_metadata("coupon.metadata", metadata, bad);
    }
    edit
}

fn store(store: Store, named: &Named, bad: &mut Vec<Violation>) -> StoreEdit {
    let degrees = |name, set: Option<f64>| named.or(name, set.map(Some), None);
    let text = |name, set| named.or(name, set, String::new());
    let edit = StoreEdit {
        lat: degrees("store.lat", store.lat),
        long: degrees("store.long", store.long),
        city: text("store.city", store.city),
        phone: text("store.phone", store.phone),
        state: text("store.state", store.state),
        street: text("store.street", store.street),
        zip: text("store.zip", store.zip),
    };
    fields::check_degrees("coupon.store.lat", edit.lat.flatten(), 90.0, bad);
    fields::check_degrees("coupon.store.long", edit.long.flatten(), 180.0, bad);
    let texts = [&edit.city, &edit.phone, &edit.state, &edit.street, &edit.zip];
    for (name, text) in STORE_FIELDS[2..].iter().zip(texts) {
        if let Some(text) = text {
            check_text(format!("coupon.store.{name}"), text, STORE_CHARS_MAX, bad);
        }
    }
    edit
}
