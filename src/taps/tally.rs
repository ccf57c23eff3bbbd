//! What to read for a query, and adding up what was read. No SQL and no waiting here.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{
    buckets::{self, QUARTER_SECONDS},
    model::{GroupBy, Interval, Query},
};
use crate::{ids::TagId, tags::model::Kind};

const DAY_SECONDS: i64 = 24 * 3600;
const HOURS_OF_WEEK: usize = 7 * 24;

/// What to read to count between some bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reads {
    /// Taps one by one: for minutes, and for the ends of a range that cut a quarter of an hour.
    pub raw: Vec<Vec<DateTime<Utc>>>,
    /// The roll-up, for the rest.
    pub days: Option<Days>,
}

/// Part of the roll-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    /// From this quarter of an hour,
    pub from: DateTime<Utc>,
    /// to before this one.
    pub to: DateTime<Utc>,
    /// Where days are cut: the day, and the quarter of it, 1 to 95, in order. `None`: everywhere.
    pub cuts: Option<Vec<(NaiveDate, i32)>>,
}

impl Days {
    /// The first UTC day.
    #[must_use]
    pub fn first(&self) -> NaiveDate {
        self.from.date_naive()
    }

    /// The last UTC day.
    #[must_use]
    pub fn last(&self) -> NaiveDate {
        (self.to - TimeDelta::seconds(1)).date_naive()
    }

    /// Where `from` is in its day: 0 to 95.
    #[must_use]
    pub fn first_quarter(&self) -> i32 {
        quarter_of_day(self.from)
    }

    /// Where the last quarter before `to` is in its day: 0 to 95.
    #[must_use]
    pub fn last_quarter(&self) -> i32 {
        quarter_of_day(self.to - TimeDelta::seconds(1))
    }
}

fn quarter_delta(quarters: i32) -> TimeDelta {
    TimeDelta::seconds(i64::from(quarters) * QUARTER_SECONDS)
}

fn quarter_of_day(at: DateTime<Utc>) -> i32 {
    let quarter = at.timestamp().rem_euclid(DAY_SECONDS) / QUARTER_SECONDS;
    i32::try_from(quarter).unwrap_or(0)
}

impl Reads {
    /// Plans the reads for these bounds.
    #[must_use]
    pub fn plan(query: &Query, bounds: &[DateTime<Utc>]) -> Self {
        let (Some(&start), Some(&end)) = (bounds.first(), bounds.last()) else {
            return Self { raw: Vec::new(), days: None };
        };
        let from = quarter_at_or_after(start);
        let to = quarter_at_or_before(end);
        if query.interval == Interval::Minute || from > to {
            return Self { raw: vec![bounds.to_vec()], days: None };
        }

        let mut raw = Vec::new();
        if start < from {
            raw.push(vec![start, from]);
        }
        if to < end {
            raw.push(vec![to, end]);
        }
        let by_quarter = query.interval == Interval::Hour || query.group_by == GroupBy::HourOfWeek;
        let cuts = (!by_quarter).then(|| {
            let cuts = bounds.iter().map(|bound| (*bound).clamp(from, to));
            let cuts = cuts.map(|cut| (cut.date_naive(), quarter_of_day(cut)));
            let cuts: BTreeSet<_> = cuts.filter(|(_, quarter)| *quarter > 0).collect();
            cuts.into_iter().collect()
        });
        Self { raw, days: (from < to).then_some(Days { from, to, cuts }) }
    }
}

fn quarter_at_or_before(at: DateTime<Utc>) -> DateTime<Utc> {
    let whole = at.timestamp() - at.timestamp().rem_euclid(QUARTER_SECONDS);
    DateTime::from_timestamp(whole, 0).unwrap_or(at)
}

fn quarter_at_or_after(at: DateTime<Utc>) -> DateTime<Utc> {
    let before = quarter_at_or_before(at);
    if before == at { at } else { before + TimeDelta::seconds(QUARTER_SECONDS) }
}

/// Some taps of one tag and kind that fall into one bucket: a quarter of an hour, a whole day, or
/// what was read raw.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Where it begins.
    pub at: DateTime<Utc>,
    /// [`TagId::WHOLE_TEAM`] when tags were not told apart.
    pub tag: TagId,
    pub kind: Kind,
    pub count: i64,
}

/// The sums of cells, by bucket and by group.
#[derive(Debug)]
pub struct Tally<'a> {
    query: &'a Query,
    bounds: &'a [DateTime<Utc>],
    /// One for each bucket.
    pub counts: Vec<i64>,
    /// By tag: one for each bucket, for the tags that were asked for.
    pub by_tag: HashMap<TagId, Vec<i64>>,
    /// By kind, in the order of [`Kind::ALL`].
    pub by_kind: [Vec<i64>; 3],
    /// By hour of the week.
    pub by_hour: Vec<i64>,
    /// Rows of single tags are a part of the row of the whole team, which is read as well.
    pub tags_are_parts: bool,
    last_bucket: usize,
}

impl<'a> Tally<'a> {
    /// All zeros.
    #[must_use]
    pub fn new(query: &'a Query, bounds: &'a [DateTime<Utc>]) -> Self {
        let len = bounds.len().saturating_sub(1);
        let kinds = if query.group_by == GroupBy::Kind { len } else { 0 };
        let hours = if query.group_by == GroupBy::HourOfWeek { HOURS_OF_WEEK } else { 0 };
        Self {
            query,
            bounds,
            counts: vec![0; len],
            by_tag: HashMap::new(),
            by_kind: std::array::from_fn(|_| vec![0; kinds]),
            by_hour: vec![0; hours],
            tags_are_parts: false,
            last_bucket: 0,
        }
    }

    /// Keeps the counts of these tags apart.
    pub fn watch(&mut self, tags: &[TagId]) {
        let len = self.counts.len();
        self.by_tag = tags.iter().map(|tag| (*tag, vec![0; len])).collect();
    }

    /// Adds a day of the roll-up quarter by quarter: each with the taps of the day up to its end.
    pub fn add_quarters(&mut self, days: &Days, day: Cell, quarters: &[i32], running: &[i64]) {
        let mut before = 0;
        for (quarter, running) in quarters.iter().zip(running) {
            let at = day.at + quarter_delta(*quarter);
            if at >= days.from && at < days.to {
                self.add(Cell { at, count: running - before, ..day });
            }
            before = *running;
        }
    }

    /// Adds a day of the roll-up as a whole, or, as it comes once for each of its cuts, one of these
    /// with the taps of the day before it.
    pub fn add_day(&mut self, days: &Days, day: Cell, cut: Option<(i32, i64)>) {
        let Some((cut, before)) = cut else {
            return self.add(day);
        };
        let date = day.at.date_naive();
        let cuts = days.cuts.as_deref().unwrap_or_default();
        let first = cuts.partition_point(|(cut_day, _)| *cut_day < date);
        if cuts.get(first) == Some(&(date, cut)) && day.at >= days.from {
            self.add(day);
        }
        // What comes after the cut goes from the bucket that ends there to the one that begins there.
        let (at, rest) = (day.at + quarter_delta(cut), day.count - before);
        let last_before = at - quarter_delta(1);
        if last_before >= days.from {
            self.add(Cell { at: last_before, count: -rest, ..day });
        }
        if at < days.to {
            self.add(Cell { at, count: rest, ..day });
        }
    }

    /// Adds a cell.
    pub fn add(&mut self, cell: Cell) {
        let bucket = self.bucket_of(cell.at);
        if !self.tags_are_parts || cell.tag == TagId::WHOLE_TEAM {
            self.counts[bucket] += cell.count;
        }
        match self.query.group_by {
            GroupBy::None => {}
            GroupBy::Tag { .. } => {
                if let Some(counts) = self.by_tag.get_mut(&cell.tag) {
                    counts[bucket] += cell.count;
                }
            }
            GroupBy::Kind => self.by_kind[cell.kind as usize][bucket] += cell.count,
            GroupBy::HourOfWeek => {
                let Query { zone, week_start, .. } = self.query;
                self.by_hour[buckets::hour_of_week(*zone, *week_start, cell.at)] += cell.count;
            }
        }
    }

    /// The bucket that an instant of the range falls into. Cells mostly come in order.
    fn bucket_of(&mut self, at: DateTime<Utc>) -> usize {
        let bounds = self.bounds;
        let near = self.last_bucket;
        if bounds[near] <= at && at < bounds[near + 1] {
            return near;
        }
        let last = self.counts.len() - 1;
        self.last_bucket = bounds.partition_point(|bound| *bound <= at).saturating_sub(1).min(last);
        self.last_bucket
    }
}
