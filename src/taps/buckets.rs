//! Civil time: where the buckets of a range begin, in any zone.
//!
//! Rules, each for a reason that a test shows:
//! * a civil day begins at the first instant of its date: at 01:00 where the clock skips midnight,
//!   and at the first of two midnights where it is put back over one;
//! * weeks, months, quarters and years begin with their first civil day;
//! * an hour begins when the clock shows minute 0, and when the clock changes within it, so that an
//!   hour that comes twice is two buckets;
//! * the first and the last bucket are cut at the range.

use chrono::{
    DateTime, Datelike as _, Days, MappedLocalTime, Months, NaiveDate, NaiveDateTime, NaiveTime,
    Offset as _, TimeDelta, TimeZone as _, Timelike as _, Utc, Weekday,
};
use chrono_tz::Tz;

use super::model::{BUCKETS_MAX, Compare, Interval, Query, Range};

/// A quarter of an hour, in seconds: the grain of the roll-up.
pub const QUARTER_SECONDS: i64 = 900;

/// The bounds of the buckets: one more than there are buckets. `None` when there would be more than
/// [`BUCKETS_MAX`].
#[must_use]
pub fn bounds(query: &Query) -> Option<Vec<DateTime<Utc>>> {
    let Range { start, end } = query.range;
    let mut bounds = vec![start];
    let mut at = start;
    loop {
        at = next(query, at);
        if at >= end {
            bounds.push(end);
            return Some(bounds);
        }
        bounds.push(at);
        if bounds.len() > BUCKETS_MAX {
            return None;
        }
    }
}

/// Where the bucket after the one of `at` begins.
fn next(query: &Query, at: DateTime<Utc>) -> DateTime<Utc> {
    match query.interval {
        Interval::Total => query.range.end,
        Interval::Minute => next_minute(at),
        Interval::Hour => next_hour(query.zone, at),
        interval => next_civil(query.zone, at, interval, query.week_start),
    }
}

/// The narrowest interval with which the range has few enough buckets.
#[must_use]
pub fn narrowest_interval(query: &Query) -> Interval {
    let fits =
        |interval: &Interval| bounds(&Query { interval: *interval, ..query.clone() }).is_some();
    Interval::NARROW_TO_WIDE.into_iter().find(fits).unwrap_or(Interval::Total)
}

/// The bounds of the earlier range, one for each of `bounds`: each is moved back by the same civil
/// time, so that midnight stays midnight.
#[must_use]
pub fn earlier_bounds(query: &Query, bounds: &[DateTime<Utc>]) -> Option<Vec<DateTime<Utc>>> {
    let shift = match query.compare {
        Compare::None => return None,
        Compare::PreviousYear if query.interval == Interval::Week => Shift::Days(Days::new(364)),
        Compare::PreviousYear => Shift::Months(Months::new(12)),
        Compare::PreviousPeriod => period_of(query),
    };
    // Where the clock was put back, civil times come again: in the earlier range, where they may come
    // once, the buckets of the second pass are empty.
    let last = bounds.len().saturating_sub(1);
    let earlier = bounds.iter().enumerate().map(|(at, bound)| {
        let earlier = shift.back(query.zone, *bound);
        // A shift by an odd span would cut quarters of an hour, which the roll-up cannot.
        let inner = at > 0 && at < last && query.interval != Interval::Minute;
        if inner {
            floor(earlier, QUARTER_SECONDS).max(shift.back(query.zone, bounds[0]))
        } else {
            earlier
        }
    });
    let in_order = earlier.scan(DateTime::<Utc>::MIN_UTC, |latest, at| {
        *latest = at.max(*latest);
        Some(*latest)
    });
    Some(in_order.collect())
}

/// How far back an earlier range is.
#[derive(Clone, Copy, Debug)]
enum Shift {
    Months(Months),
    Days(Days),
    Exact(TimeDelta),
}

impl Shift {
    fn back(self, zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
        let local = at.with_timezone(&zone).naive_local();
        let earlier = match self {
            Self::Exact(span) => return at - span,
            Self::Days(days) => local.checked_sub_days(days),
            Self::Months(months) => local.checked_sub_months(months).map(|earlier| {
                // 29 February has no counterpart in most years: it becomes an empty day before
                // 1 March, and 28 February keeps its own.
                let day_lost = earlier.day() < local.day();
                if day_lost { earlier + Days::new(1) - time_of_day(local) } else { earlier }
            }),
        };
        earlier.map_or(at, |earlier| first_instant(zone, earlier))
    }
}

fn time_of_day(local: NaiveDateTime) -> TimeDelta {
    local.time() - NaiveTime::MIN
}

/// The length of the range in the largest unit that it is made of.
fn period_of(query: &Query) -> Shift {
    let Range { start, end } = query.range;
    let local = |at: DateTime<Utc>| at.with_timezone(&query.zone).naive_local();
    let (from, to) = (local(start), local(end));
    let whole_days = is_start_of_day(query.zone, start) && is_start_of_day(query.zone, end);
    let calendar = matches!(query.interval, Interval::Month | Interval::Quarter | Interval::Year);
    if whole_days && calendar && from.day() == 1 && to.day() == 1 {
        let year_months = (to.year() - from.year()).unsigned_abs() * 12;
        Shift::Months(Months::new(year_months + to.month() - from.month()))
    } else if whole_days {
        let days = (to.date() - from.date()).num_days();
        Shift::Days(Days::new(days.unsigned_abs()))
    } else {
        Shift::Exact(end - start)
    }
}

fn is_start_of_day(zone: Tz, at: DateTime<Utc>) -> bool {
    start_of_day(zone, at.with_timezone(&zone).date_naive()) == at
}

/// The first instant of a civil day, or of the next one where the zone skipped it.
#[must_use]
pub fn start_of_day(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    first_instant(zone, day.and_time(NaiveTime::MIN))
}

/// The first instant at which the clock shows this time, or, where it skips it, at which it shows a
/// later one.
fn first_instant(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => at.to_utc(),
        MappedLocalTime::Ambiguous(one, other) => one.min(other).to_utc(),
        MappedLocalTime::None => {
            // In a gap: the instant of the change is where the offset before it reads the time as
            // not yet past, and it lies on a quarter of an hour. Look for it.
            let mut at = local.and_utc() - TimeDelta::days(1) - TimeDelta::hours(15);
            at -= TimeDelta::seconds(at.timestamp().rem_euclid(QUARTER_SECONDS));
            while at.with_timezone(&zone).naive_local() < local {
                at += TimeDelta::seconds(QUARTER_SECONDS);
            }
            at
        }
    }
}

fn next_minute(at: DateTime<Utc>) -> DateTime<Utc> {
    floor(at, 60) + TimeDelta::minutes(1)
}

/// The start of the quarter of an hour.
#[must_use]
pub fn quarter_of(at: DateTime<Utc>) -> DateTime<Utc> {
    floor(at, QUARTER_SECONDS)
}

/// `at` rounded down to a multiple of `seconds` since 1970.
fn floor(at: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    let past = TimeDelta::seconds(at.timestamp().rem_euclid(seconds))
        + TimeDelta::nanoseconds(at.timestamp_subsec_nanos().into());
    at - past
}

fn offset_seconds(zone: Tz, at: DateTime<Utc>) -> i64 {
    zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into()
}

/// The next instant after `at` at which the clock shows minute 0 or changes.
fn next_hour(zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
    let offset = offset_seconds(zone, at);
    let past_hour = (floor(at, 1).timestamp() + offset).rem_euclid(3600);
    let hour = floor(at, 1) + TimeDelta::seconds(3600 - past_hour);
    if offset_seconds(zone, hour) == offset {
        return hour;
    }
    // The clock changes before or at that hour. Changes lie on quarters, except for a few at one
    // minute past midnight, which begin no bucket.
    let mut quarter = floor(at, QUARTER_SECONDS);
    loop {
        quarter += TimeDelta::seconds(QUARTER_SECONDS);
        let after = offset_seconds(zone, quarter);
        let on_the_hour = (quarter.timestamp() + after).rem_euclid(3600) == 0;
        let just_changed = after != offset_seconds(zone, quarter - TimeDelta::seconds(1));
        if on_the_hour || just_changed {
            return quarter;
        }
    }
}

/// The start of the next day, week, month, quarter or year after `at`.
fn next_civil(
    zone: Tz,
    at: DateTime<Utc>,
    interval: Interval,
    week_start: Weekday,
) -> DateTime<Utc> {
    let mut unit = first_day(at.with_timezone(&zone).date_naive(), interval, week_start);
    loop {
        let Some(next) = following(unit, interval) else {
            return DateTime::<Utc>::MAX_UTC;
        };
        let start = start_of_day(zone, next);
        // A day that the zone skips has no instant of its own: it is left out. Where the clock goes
        // back over midnight the date of `at` may be the one before the day it belongs to.
        if start > at {
            return start;
        }
        unit = next;
    }
}

/// The first day of the unit that a day belongs to.
fn first_day(day: NaiveDate, interval: Interval, week_start: Weekday) -> NaiveDate {
    let (year, month0) = (day.year(), day.month0());
    let start_of = |month0: u32| NaiveDate::from_ymd_opt(year, month0 + 1, 1).unwrap_or(day);
    match interval {
        Interval::Week => day - Days::new(day.weekday().days_since(week_start).into()),
        Interval::Month => start_of(month0),
        Interval::Quarter => start_of(month0 / 3 * 3),
        Interval::Year => start_of(0),
        Interval::Minute | Interval::Hour | Interval::Day | Interval::Total => day,
    }
}

/// The first day of the next unit.
fn following(first: NaiveDate, interval: Interval) -> Option<NaiveDate> {
    match interval {
        Interval::Week => first.checked_add_days(Days::new(7)),
        Interval::Month => first.checked_add_months(Months::new(1)),
        Interval::Quarter => first.checked_add_months(Months::new(3)),
        Interval::Year => first.checked_add_months(Months::new(12)),
        Interval::Minute | Interval::Hour | Interval::Day | Interval::Total => first.succ_opt(),
    }
}

/// The hour of the week of an instant: 0 is the first hour of `week_start`.
#[must_use]
pub fn hour_of_week(zone: Tz, week_start: Weekday, at: DateTime<Utc>) -> usize {
    let local = at.with_timezone(&zone).naive_local();
    let day = local.weekday().days_since(week_start);
    (day * 24 + local.hour()) as usize
}

/// Whether a bucket was cut short by the start or the end of the range.
#[must_use]
pub fn is_clipped(query: &Query, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
    let Range { start: first, end: last } = query.range;
    let just_before = start - TimeDelta::microseconds(1);
    query.interval != Interval::Total
        && (start == first && next(query, just_before) != start
            || end == last && next(query, start) != end)
}
