//! What is asked and what is answered.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;
use uuid::Uuid;

use crate::{ids::TagId, tags::model::Kind};

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
    /// Sorted, each once, at least one.
    pub classes: Vec<TapClass>,
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

/// Who is behind a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TapClass {
    /// A person, as far as can be told.
    Human,
    /// A program that shows a preview of the link or loads it ahead.
    Preview,
    /// A crawler or another program.
    Bot,
}

impl TapClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Human, Self::Preview, Self::Bot];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Preview => "preview",
            Self::Bot => "bot",
        }
    }

    /// The class of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
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

/// A batch has at most this many taps.
pub const BATCH_TAPS_MAX: usize = 5_000;
/// A tap stands for at most this many.
pub const COUNT_MAX: i32 = 1_000_000;
/// How far ahead of us a reporter's clock may be.
pub const FUTURE_MAX: TimeDelta = TimeDelta::hours(1);
/// Nothing was tapped before: NFC tags of today did not exist.
pub const EARLIEST: DateTime<Utc> = match chrono::NaiveDate::from_ymd_opt(2010, 1, 1) {
    Some(day) => day.and_time(chrono::NaiveTime::MIN).and_utc(),
    None => DateTime::UNIX_EPOCH,
};

/// For how long taps are kept; `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention(pub Option<TimeDelta>);

impl Retention {
    /// The oldest instant whose taps are kept.
    #[must_use]
    pub fn earliest(self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.0.map_or(EARLIEST, |kept| EARLIEST.max(now - kept))
    }
}

/// A tap to be written: its tag is known and its values are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTap {
    pub tap_id: Uuid,
    pub tag: TagId,
    /// Whole microseconds, as they are stored.
    pub tapped_at: DateTime<Utc>,
    pub count: i32,
    pub kind: Kind,
    pub class: TapClass,
    /// Two capital letters.
    pub country: Option<String>,
    pub device: Option<String>,
    pub attributes: BTreeMap<String, String>,
}

impl NewTap {
    /// A tap of one, by a person.
    #[must_use]
    pub fn new(tap_id: Uuid, tag: TagId, tapped_at: DateTime<Utc>, kind: Kind) -> Self {
        Self {
            tap_id,
            tag,
            tapped_at,
            count: 1,
            kind,
            class: TapClass::Human,
            country: None,
            device: None,
            attributes: BTreeMap::new(),
        }
    }
}

/// A tap that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTap {
    /// The team's revision that it made.
    pub revision: i64,
    pub received_at: DateTime<Utc>,
    pub tap: NewTap,
}

/// A tap with what its tag is called.
#[derive(Clone, Debug)]
pub struct NamedTap {
    pub stored: StoredTap,
    pub tag_uid: Arc<str>,
    pub tag_label: Arc<str>,
}

/// What became of a tap that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored, and made this revision.
    Stored(i64),
    /// It was there already.
    Duplicate,
    /// Another one was there under its name.
    Conflict,
}

/// An instant as PostgreSQL keeps it: whole microseconds, and a leap second, such as `23:59:60`, is the
/// second after it.
#[must_use]
pub fn whole_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// Which taps a reader wants.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Sorted. `None`: all.
    pub tags: Option<Vec<TagId>>,
    /// `None`: all.
    pub classes: Option<Vec<TapClass>>,
}

impl Filter {
    /// Whether a tap is wanted.
    #[must_use]
    pub fn wants(&self, tap: &NewTap) -> bool {
        self.tags.as_ref().is_none_or(|tags| tags.binary_search(&tap.tag).is_ok())
            && self.classes.as_ref().is_none_or(|classes| classes.contains(&tap.class))
    }
}
