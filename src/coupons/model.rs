//! What a coupon is, what it may hold, how it may change, and what stands against redeeming it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    error::Violation,
    ids::{KeyId, TagId},
    reasons,
};

/// A batch makes at most this many coupons.
pub const BATCH_COUPONS_MAX: usize = 1_000;
/// Bytes of what people say of coupons that are made, or listed, at a time: an answer has to hold them, in which one may
/// become six.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Entries of a page when nothing is asked for, and at most.
pub const PAGE: usize = 100;
pub const PAGE_MAX: usize = 1_000;
/// Characters at most.
pub const CODE_CHARS_MAX: usize = 64;
pub const CATEGORY_CHARS_MAX: usize = 100;
pub const TITLE_CHARS_MAX: usize = 200;
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;
pub const MERCHANT_CHARS_MAX: usize = 200;
pub const STORE_CHARS_MAX: usize = 100;
pub const SUBJECT_CHARS_MAX: usize = 200;
/// Tags that hand out a coupon.
pub const TAGS_MAX: usize = 100;
/// Of metadata.
pub const METADATA_MAX: usize = 32;
pub const METADATA_KEY_CHARS_MAX: usize = 64;
pub const METADATA_VALUE_CHARS_MAX: usize = 500;
/// Kilometres around a point when nothing is asked for, and at most: no two places are further apart.
pub const RADIUS_KM: f64 = 10.0;
pub const RADIUS_KM_MAX: f64 = 20_100.0;
/// Coupons that a query names.
pub const QUERY_COUPONS_MAX: usize = 100;
/// How long ago the tap may be that a redemption or a session came from.
pub const TAP_AGE_MAX: TimeDelta = TimeDelta::days(30);

/// A code in one case: what makes two the same.
#[must_use]
pub fn code_key(code: &str) -> String {
    // By way of capitals, as some small letters, such as `ſ`, are the same only there.
    code.to_uppercase().to_lowercase()
}

/// Where a coupon can be redeemed. Empty texts: not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    /// Degrees.
    pub lat: Option<f64>,
    pub long: Option<f64>,
    pub city: String,
    pub phone: String,
    pub state: String,
    pub street: String,
    pub zip: String,
}

/// What people say of a coupon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    pub couponcode: String,
    pub category: String,
    pub title: String,
    pub description: String,
    pub merchant: String,
    pub store: Store,
    /// `None`: since ever.
    pub published_at: Option<DateTime<Utc>>,
    /// `None`: never.
    pub expire_at: Option<DateTime<Utc>>,
    /// Of tags of the team, sorted, each once. None: any.
    pub tag_uids: Vec<String>,
    /// `None`: without limit.
    pub max_redemptions: Option<i32>,
    pub max_per_subject: Option<i32>,
    pub disabled: bool,
    pub metadata: BTreeMap<String, String>,
}

impl Content {
    /// How much it takes in an answer, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let Store { lat: _, long: _, city, phone, state, street, zip } = &self.store;
        let texts = [
            &self.couponcode,
            &self.category,
            &self.title,
            &self.description,
            &self.merchant,
            city,
            phone,
            state,
            street,
            zip,
        ];
        // Names, ids, dates and numbers.
        let rest = 600;
        let of = |text: &String| text.len();
        rest + texts.into_iter().map(of).sum::<usize>()
            + self.tag_uids.iter().map(of).sum::<usize>()
            + self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
    }

    /// What is wrong with it as a whole. The fields by themselves are in order.
    #[must_use]
    pub fn violations(&self, prefix: &str) -> Vec<Violation> {
        let mut bad = Vec::new();
        if let (Some(published), Some(expire)) = (self.published_at, self.expire_at)
            && expire < published
        {
            let text = "must not be before published_at: nobody could ever redeem it";
            let field = format!("{prefix}expire_at");
            bad.push(Violation::new(field, reasons::EXPIRES_BEFORE_PUBLISHED, text));
        }
        if self.store.lat.is_some() != self.store.long.is_some() {
            let missing = if self.store.lat.is_some() { "long" } else { "lat" };
            let text = "is missing: a point has both lat and long";
            bad.push(Violation::new(format!("{prefix}store.{missing}"), reasons::REQUIRED, text));
        }
        bad
    }

    /// In which terms another content differs from this one: what cannot be changed once somebody relied on it.
    #[must_use]
    pub fn changed_terms(&self, other: &Self) -> Vec<&'static str> {
        [
            ("couponcode", self.couponcode == other.couponcode),
            ("category", self.category == other.category),
            ("title", self.title == other.title),
            ("merchant", self.merchant == other.merchant),
            ("store", self.store == other.store),
            ("published_at", self.published_at == other.published_at),
            ("max_redemptions", self.max_redemptions == other.max_redemptions),
            ("max_per_subject", self.max_per_subject == other.max_per_subject),
        ]
        .into_iter()
        .filter_map(|(name, same)| (!same).then_some(name))
        .collect()
    }
}

/// A coupon.
#[derive(Clone, Debug, PartialEq)]
pub struct Coupon {
    pub id: Uuid,
    pub content: Content,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub archived_at: Option<DateTime<Utc>>,
    /// Another one after each change by people.
    pub version: i32,
    /// How often it was redeemed, without what was given back.
    pub redeemed: i64,
    /// How often it was given back.
    pub released: i64,
    /// From a point that was asked for.
    pub distance_km: Option<f64>,
}

impl Coupon {
    /// What redeeming it is held to.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            disabled: self.content.disabled,
            archived: self.archived_at.is_some(),
            published_at: self.content.published_at,
            expire_at: self.content.expire_at,
            max_redemptions: self.content.max_redemptions,
            max_per_subject: self.content.max_per_subject,
            redeemed: self.redeemed,
        }
    }

    /// Whether it was ever redeemed, if only to be given back.
    #[must_use]
    pub fn has_history(&self) -> bool {
        self.redeemed + self.released > 0
    }
}

/// What can be done with a coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Scheduled,
    Active,
    Expired,
    Exhausted,
    Disabled,
}

impl State {
    /// As the store has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Active => "ACTIVE",
            Self::Expired => "EXPIRED",
            Self::Exhausted => "EXHAUSTED",
            Self::Disabled => "DISABLED",
        }
    }
}

/// What redeeming a coupon is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub disabled: bool,
    pub archived: bool,
    pub published_at: Option<DateTime<Utc>>,
    pub expire_at: Option<DateTime<Utc>>,
    pub max_redemptions: Option<i32>,
    pub max_per_subject: Option<i32>,
    pub redeemed: i64,
}

/// Something that stands against redeeming a coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    Archived,
    Disabled,
    Expired,
    Scheduled(DateTime<Utc>),
    Exhausted(i32),
    /// The subject has redeemed it as often as one may.
    SubjectExhausted(i32),
    /// Nobody is named, and what one may redeem is limited.
    NoSubject,
}

impl Obstacle {
    /// For programs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Archived => reasons::COUPON_ARCHIVED,
            Self::Disabled => reasons::COUPON_DISABLED,
            Self::Expired => reasons::COUPON_EXPIRED,
            Self::Scheduled(_) => reasons::COUPON_SCHEDULED,
            Self::Exhausted(_) => reasons::COUPON_EXHAUSTED,
            Self::SubjectExhausted(_) => reasons::SUBJECT_EXHAUSTED,
            Self::NoSubject => reasons::REQUIRED,
        }
    }

    /// The field that says so.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Archived => "archived_at",
            Self::Disabled => "disabled",
            Self::Expired => "expire_at",
            Self::Scheduled(_) => "published_at",
            Self::Exhausted(_) => "max_redemptions",
            Self::SubjectExhausted(_) => "max_per_subject",
            Self::NoSubject => "subject",
        }
    }

    /// For people.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Archived => "this coupon is archived".to_owned(),
            Self::Disabled => "this coupon is disabled".to_owned(),
            Self::Expired => "this coupon has expired".to_owned(),
            Self::Scheduled(_) => "this coupon cannot be redeemed yet".to_owned(),
            Self::Exhausted(max) => format!("this coupon was redeemed {max} times, which is all"),
            Self::SubjectExhausted(max) => {
                format!("the subject has redeemed this coupon {max} times, which is all")
            }
            Self::NoSubject => {
                "is required: what one may redeem of this coupon is limited".to_owned()
            }
        }
    }
}

impl Terms {
    /// What can be done with it at an instant.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> State {
        let first = self.obstacles(now, Subject::Unknown).first().copied();
        match first {
            Some(Obstacle::Archived | Obstacle::Disabled) => State::Disabled,
            Some(Obstacle::Expired) => State::Expired,
            Some(Obstacle::Exhausted(_)) => State::Exhausted,
            Some(Obstacle::Scheduled(_)) => State::Scheduled,
            _ => State::Active,
        }
    }

    /// Everything that stands against redeeming it at an instant, the gravest first.
    #[must_use]
    pub fn obstacles(&self, now: DateTime<Utc>, subject: Subject) -> Vec<Obstacle> {
        let by_subject = match (self.max_per_subject, subject) {
            (Some(max), Subject::Redeemed(times)) if times >= i64::from(max) => {
                Some(Obstacle::SubjectExhausted(max))
            }
            (Some(_), Subject::Nobody) => Some(Obstacle::NoSubject),
            _ => None,
        };
        let exhausted = self.max_redemptions.filter(|max| self.redeemed >= i64::from(*max));
        [
            self.archived.then_some(Obstacle::Archived),
            self.disabled.then_some(Obstacle::Disabled),
            self.expire_at.is_some_and(|at| at <= now).then_some(Obstacle::Expired),
            exhausted.map(Obstacle::Exhausted),
            self.published_at.filter(|at| *at > now).map(Obstacle::Scheduled),
            by_subject,
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// When it can be redeemed next if nothing changes; `None`: never.
    #[must_use]
    pub fn next_valid_at(&self, now: DateTime<Utc>, subject: Subject) -> Option<DateTime<Utc>> {
        match self.obstacles(now, subject).as_slice() {
            [] | [Obstacle::NoSubject] => Some(now),
            [Obstacle::Scheduled(at)] | [Obstacle::Scheduled(at), Obstacle::NoSubject] => {
                // One that is taken back in the moment in which it is given never holds.
                Some(*at).filter(|at| self.expire_at.is_none_or(|end| end > *at))
            }
            _ => None,
        }
    }

    /// How often it can still be redeemed; `None`: without limit.
    #[must_use]
    pub fn remaining(&self) -> Option<i64> {
        self.max_redemptions.map(|max| (i64::from(max) - self.redeemed).max(0))
    }
}

/// Who would redeem a coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Who it is does not matter yet.
    Unknown,
    /// Nobody is named.
    Nobody,
    /// Who has redeemed it this often.
    Redeemed(i64),
}

/// What is to be redeemed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub coupon: Uuid,
    pub key: KeyId,
    /// May be empty.
    pub subject: String,
    pub tap_id: Option<Uuid>,
    /// `None`: it is not known.
    pub tag: Option<TagId>,
    /// Whether the caller names it; otherwise it is that of the tap, which may become known later.
    pub tag_named: bool,
    pub request_id: Option<Uuid>,
}

/// A coupon that was redeemed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption {
    pub id: Uuid,
    pub coupon: Uuid,
    pub couponcode: String,
    pub key: KeyId,
    pub subject: String,
    pub tap_id: Option<Uuid>,
    pub tag: Option<TagId>,
    pub tag_uid: Option<String>,
    pub request_id: Option<Uuid>,
    pub redeemed_at: DateTime<Utc>,
    pub released_at: Option<DateTime<Utc>>,
}

/// Which coupons to list, all conditions met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub state: StateFilter,
    pub category: Option<String>,
    pub merchant: Option<String>,
    pub code_key: Option<String>,
    pub tag_uid: Option<String>,
    pub near: Option<Near>,
    pub archived: bool,
}

/// Which coupons to list, by their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateFilter {
    #[default]
    Any,
    /// Not expired.
    Valid,
    /// Expired.
    Invalid,
    Is(State),
}

/// Around a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    pub lat: f64,
    pub long: f64,
    pub radius_km: f64,
}

/// In which order coupons are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    ExpiringFirst,
    PublishedFirst,
    Title,
    NearestFirst,
}

/// Where a page of coupons begins: after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In microseconds, or a millionth of a kilometre.
    pub number: i64,
    pub text: String,
    pub id: Uuid,
}

/// What counts of redemptions are split by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    #[default]
    None,
    Coupon,
    Tag,
}
