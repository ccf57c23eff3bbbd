//! What is to be different about a coupon.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::model::{Content, Store};

/// What is to be different. `None`: as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    pub couponcode: Option<String>,
    pub category: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub merchant: Option<String>,
    pub store: StoreEdit,
    pub published_at: Option<Option<DateTime<Utc>>>,
    pub expire_at: Option<Option<DateTime<Utc>>>,
    pub tag_uids: Option<Vec<String>>,
    pub max_redemptions: Option<Option<i32>>,
    pub max_per_subject: Option<Option<i32>>,
    pub disabled: Option<bool>,
    pub metadata: Option<BTreeMap<String, String>>,
}

/// The same of where it can be redeemed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreEdit {
    pub lat: Option<Option<f64>>,
    pub long: Option<Option<f64>>,
    pub city: Option<String>,
    pub phone: Option<String>,
    pub state: Option<String>,
    pub street: Option<String>,
    pub zip: Option<String>,
}

impl Edit {
    /// Whether nothing is to be different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What it is after this.
    #[must_use]
    pub fn apply(&self, before: &Content) -> Content {
        let text =
            |edit: &Option<String>, before: &str| edit.as_deref().unwrap_or(before).to_owned();
        Content {
            couponcode: text(&self.couponcode, &before.couponcode),
            category: text(&self.category, &before.category),
            title: text(&self.title, &before.title),
            description: text(&self.description, &before.description),
            merchant: text(&self.merchant, &before.merchant),
            store: Store {
                lat: self.store.lat.unwrap_or(before.store.lat),
                long: self.store.long.unwrap_or(before.store.long),
                city: text(&self.store.city, &before.store.city),
                phone: text(&self.store.phone, &before.store.phone),
                state: text(&self.store.state, &before.store.state),
                street: text(&self.store.street, &before.store.street),
                zip: text(&self.store.zip, &before.store.zip),
            },
            published_at: self.published_at.unwrap_or(before.published_at),
            expire_at: self.expire_at.unwrap_or(before.expire_at),
            tag_uids: self.tag_uids.clone().unwrap_or_else(|| before.tag_uids.clone()),
            max_redemptions: self.max_redemptions.unwrap_or(before.max_redemptions),
            max_per_subject: self.max_per_subject.unwrap_or(before.max_per_subject),
            disabled: self.disabled.unwrap_or(before.disabled),
            metadata: self.metadata.clone().unwrap_or_else(|| before.metadata.clone()),
        }
    }
}
