//! What is asked and what is answered.

use chrono::{DateTime, Utc, Weekday};
use chrono_tz::Tz;

use crate::ids::{TagId, TeamId};

/// A range has at most this many buckets.
pub const BUCKETS_MAX: usize = 10_000;
/// An answer has at most this many counts in its groups: groups times buckets.
pub const GROUP_COUNTS_MAX: usize = 100_000;
/// A query names at most this many tags.
pub const QUERY_TAGS_MAX: usize = 1_000;
/// Groups by tag when nothing is asked for, and at most.
pub const GROUPS_DEFAULT: usize = 10;
pub const GROUPS_MAX: usize = 100;

/// A query with nothing left open. Two equal ones have the same answer at the same revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    pub range: Range,
    pub interval: Interval,
    pub zone: Tz,
    pub week_start: Weekday,
    /// Sorted, each once. Empty: all tags of the team.
    pub tag_uids: Vec<String>,
    pub group_by: GroupBy,
    pub compare: Compare,
}

/// From `start` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

/// The width of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Interval {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    /// One bucket over the whole range.
    Total,
}

impl Interval {
    /// Those that have a length, from the narrowest to the widest.
    pub const NARROW_TO_WIDE: [Self; 7] =
        [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// As the proto file names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Total => "TOTAL",
            Self::Minute => "MINUTE",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
            Self::Quarter => "QUARTER",
            Self::Year => "YEAR",
        }
    }
}

/// What the counts are split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupBy {
    None,
    /// The busiest tags, this many, and the rest in one group.
    Tag {
        limit: usize,
    },
    Kind,
    HourOfWeek,
}

/// The earlier range that is counted as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    None,
    PreviousPeriod,
    PreviousYear,
}

/// How a tag is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Nfc,
    Qr,
    Link,
}

impl Kind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Nfc, Self::Qr, Self::Link];

    /// As stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nfc => "nfc",
            Self::Qr => "qr",
            Self::Link => "link",
        }
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Nfc => "NFC",
            Self::Qr => "QR code",
            Self::Link => "Link",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The counts of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// One more than there are buckets: bucket `i` is from bound `i` to before bound `i + 1`.
    pub bounds: Vec<DateTime<Utc>>,
    /// One for each bucket.
    pub counts: Vec<i64>,
    pub groups: Vec<Group>,
    pub comparison: Option<Comparison>,
    /// The team's revision that was counted.
    pub revision: i64,
}

/// The part of the counts that belongs to one tag, kind or hour of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub key: String,
    pub label: String,
    /// Holds all tags beyond the limit.
    pub other: bool,
    pub total: i64,
    /// One for each bucket; none for an hour of the week.
    pub counts: Vec<i64>,
}

/// An earlier range, aligned with the buckets by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub bounds: Vec<DateTime<Utc>>,
    pub counts: Vec<i64>,
}

/// Whether a text can be the uid of a tag, as the schema has it.
#[must_use]
pub fn is_tag_uid(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// A tap to be written: its tag is known and its values are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTap {
    pub tap_id: uuid::Uuid,
    pub tag: TagId,
    pub tapped_at: DateTime<Utc>,
    pub count: i32,
    pub kind: Kind,
}

/// A team's revision as callers hold it: opaque, and of use to that team only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeToken {
    pub team: TeamId,
    pub revision: i64,
}

impl ResumeToken {
    const VERSION: u8 = 1;

    /// Base64url of version, team, revision and a checksum.
    #[must_use]
    pub fn encode(self) -> String {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        let mut bytes = vec![Self::VERSION];
        bytes.extend(self.team.0.to_be_bytes());
        bytes.extend(self.revision.to_be_bytes());
        let checksum = crc32fast::hash(&bytes).to_be_bytes();
        bytes.extend(checksum);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }
}
