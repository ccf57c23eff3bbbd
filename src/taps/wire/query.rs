//! `QueryTaps`: what is asked, and the answer.

use chrono::{DateTime, Datelike as _, NaiveDate, Utc, Weekday};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::{class_value, classes, excerpt, instant, int32, number, tag_uids, unknown_value};
use crate::{
    error::{Error, Violation},
    proto::tap_v1::{self, QueryTapsRequest, QueryTapsResponse, bucket_state},
    reasons,
    taps::{
        buckets,
        model::{
            self, Compare, Counts, GROUPS_DEFAULT, GROUPS_MAX, Group, GroupBy, Interval, Query,
            Range,
        },
    },
};

/// Civil years in which a range may lie: every offset in them is a multiple of a quarter of an hour.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2199;
/// Checks a request.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn query(request: QueryTapsRequest) -> Result<Query, Error> {
    let mut bad = Vec::new();
    let zone = zone(&request.time_zone, &mut bad);
    // Without a zone the bounds can still be checked for their form.
    let in_zone = zone.unwrap_or(Tz::UTC);
    let start = bound("start_date", &request.start_date, in_zone, &mut bad);
    let end = bound("end_date", &request.end_date, in_zone, &mut bad);
    let range = start.zip(end).map(|(start, end)| Range { start: start.first, end: end.after });
    if let Some(Range { start, end }) = range
        && start >= end
    {
        bad.push(Violation::new(
            "end_date",
            reasons::END_NOT_AFTER_START,
            "must be after start_date: the range is empty",
        ));
    }
    let query = Query {
        range: range.unwrap_or(Range { start: DateTime::UNIX_EPOCH, end: DateTime::UNIX_EPOCH }),
        interval: interval(request.interval, &mut bad),
        zone: in_zone,
        week_start: week_start(request.week_start, &mut bad),
        tag_uids: tag_uids(request.tag_uids, &mut bad),
        group_by: group_by(request.group_by, request.limit, &mut bad),
        compare: compare(request.compare, &mut bad),
        classes: classes(&request.include, &mut bad),
    };
    if bad.is_empty() { Ok(query) } else { Err(Error::Invalid(bad)) }
}

fn zone(name: &str, bad: &mut Vec<Violation>) -> Option<Tz> {
    if name.is_empty() {
        return Some(Tz::UTC);
    }
    let zone = name.parse::<Tz>().ok();
    if zone.is_none() {
        // Such as `berlin` or `europe/berlin`.
        let city = |zone: &Tz| zone.name().rsplit('/').next().unwrap_or_default();
        let near = TZ_VARIANTS.iter().find(|zone| {
            zone.name().eq_ignore_ascii_case(name) || city(zone).eq_ignore_ascii_case(name)
        });
        let hint = near.map_or("Europe/Berlin", |zone| zone.name());
        bad.push(Violation::new(
            "time_zone",
            reasons::UNKNOWN_TIME_ZONE,
            format!("{} is not an IANA time zone: write such as {hint}", excerpt(name)),
        ));
    }
    zone
}

/// What a bound stands for: as a start its first instant, as an end the instant after it.
#[derive(Clone, Copy)]
struct Bound {
    first: DateTime<Utc>,
    after: DateTime<Utc>,
}

fn bound(field: &'static str, text: &str, zone: Tz, bad: &mut Vec<Violation>) -> Option<Bound> {
    let refused = match parse_bound(text, zone) {
        Ok(bound) => return Some(bound),
        Err(BadBound::Missing) => Violation::new(
            field,
            reasons::REQUIRED,
            "is required: a date such as 2023-01-01, or an RFC 3339 instant",
        ),
        Err(BadBound::Malformed) => Violation::new(
            field,
            reasons::MALFORMED_DATE,
            format!(
                "{} is neither a date such as 2023-01-01 nor an RFC 3339 instant such as 2023-01-01T08:00:00Z",
                excerpt(text)
            ),
        ),
        Err(BadBound::OutOfRange) => Violation::new(
            field,
            reasons::DATE_OUT_OF_RANGE,
            format!("must be in the years {} to {}", YEARS.start(), YEARS.end()),
        ),
    };
    bad.push(refused);
    None
}

enum BadBound {
    Missing,
    Malformed,
    OutOfRange,
}

fn parse_bound(text: &str, zone: Tz) -> Result<Bound, BadBound> {
    if text.is_empty() {
        return Err(BadBound::Missing);
    }
    if text.len() == "2023-01-01".len() {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| BadBound::Malformed)?;
        if !YEARS.contains(&day.year()) {
            return Err(BadBound::OutOfRange);
        }
        let next = day.succ_opt().ok_or(BadBound::OutOfRange)?;
        let first = buckets::start_of_day(zone, day);
        return Ok(Bound { first, after: buckets::start_of_day(zone, next) });
    }
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| BadBound::Malformed)?;
    if !YEARS.contains(&at.year()) {
        return Err(BadBound::OutOfRange);
    }
    // Taps are known to the microsecond: of a finer bound the next microsecond tells the same.
    let micros = at.timestamp_micros() + i64::from(at.timestamp_subsec_nanos() % 1000 > 0);
    let at = DateTime::from_timestamp_micros(micros).ok_or(BadBound::OutOfRange)?;
    Ok(Bound { first: at, after: at })
}

fn interval(value: i32, bad: &mut Vec<Violation>) -> Interval {
    use tap_v1::interval::Value;
    match Value::try_from(value) {
        Ok(Value::Total) => Interval::Total,
        Ok(Value::Minute) => Interval::Minute,
        Ok(Value::Hour) => Interval::Hour,
        Ok(Value::Day) => Interval::Day,
        Ok(Value::Week) => Interval::Week,
        Ok(Value::Month) => Interval::Month,
        Ok(Value::Quarter) => Interval::Quarter,
        Ok(Value::Year) => Interval::Year,
        Err(_) => {
            let allowed = "MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER, YEAR or TOTAL";
            bad.push(unknown_value("interval", value, allowed));
            Interval::Total
        }
    }
}

fn week_start(value: i32, bad: &mut Vec<Violation>) -> Weekday {
    u8::try_from(value).ok().and_then(|day| Weekday::try_from(day).ok()).unwrap_or_else(|| {
        bad.push(unknown_value("week_start", value, "MONDAY to SUNDAY"));
        Weekday::Mon
    })
}

fn group_by(value: i32, limit: i32, bad: &mut Vec<Violation>) -> GroupBy {
    use tap_v1::group_by::Value;
    if limit < 0 {
        bad.push(Violation::new(
            "limit",
            reasons::NEGATIVE,
            "must be 0 or more; 0 means the default",
        ));
    }
    let limit = match usize::try_from(limit) {
        Ok(0) | Err(_) => GROUPS_DEFAULT,
        Ok(limit) => limit.min(GROUPS_MAX),
    };
    match Value::try_from(value) {
        Ok(Value::None) => GroupBy::None,
        Ok(Value::Tag) => GroupBy::Tag { limit },
        Ok(Value::Kind) => GroupBy::Kind,
        Ok(Value::HourOfWeek) => GroupBy::HourOfWeek,
        Err(_) => {
            bad.push(unknown_value("group_by", value, "NONE, TAG, KIND or HOUR_OF_WEEK"));
            GroupBy::None
        }
    }
}

fn compare(value: i32, bad: &mut Vec<Violation>) -> Compare {
    use tap_v1::compare::Value;
    match Value::try_from(value) {
        Ok(Value::None) => Compare::None,
        Ok(Value::PreviousPeriod) => Compare::PreviousPeriod,
        Ok(Value::PreviousYear) => Compare::PreviousYear,
        Err(_) => {
            bad.push(unknown_value("compare", value, "NONE, PREVIOUS_PERIOD or PREVIOUS_YEAR"));
            Compare::None
        }
    }
}

/// The answer to a query at an instant, without a resume token.
#[must_use]
pub fn answer(query: &Query, counts: &Counts, now: DateTime<Utc>) -> QueryTapsResponse {
    let text = |at: DateTime<Utc>| instant(query.zone, at);
    let bounds: Vec<String> = counts.bounds.iter().map(|at| text(*at)).collect();
    let buckets = bounds
        .windows(2)
        .zip(counts.bounds.windows(2))
        .zip(&counts.counts)
        .map(|((texts, bounds), count)| tap_v1::Bucket {
            start: texts[0].clone(),
            end: texts[1].clone(),
            count: number(*count),
            state: state(query, bounds[0], bounds[1], now).into(),
        })
        .collect();
    let total: i64 = counts.counts.iter().sum();
    QueryTapsResponse {
        buckets,
        total: number(total),
        groups: counts.groups.iter().map(group).collect(),
        comparison: counts
            .comparison
            .as_ref()
            .map(|earlier| comparison(query.zone, total, earlier)),
        query: Some(resolved(query)),
        resume_token: String::new(),
    }
}

fn state(
    query: &Query,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    now: DateTime<Utc>,
) -> bucket_state::Value {
    if end > now {
        bucket_state::Value::Open
    } else if buckets::is_clipped(query, start, end) {
        bucket_state::Value::Clipped
    } else {
        bucket_state::Value::Final
    }
}

fn group(group: &Group) -> tap_v1::Group {
    tap_v1::Group {
        key: group.key.clone(),
        label: group.label.clone(),
        other: group.other,
        total: number(group.total),
        counts: group.counts.iter().map(|count| number(*count)).collect(),
    }
}

fn comparison(zone: Tz, total: i64, earlier: &model::Comparison) -> tap_v1::Comparison {
    let before: i64 = earlier.counts.iter().sum();
    let bound = |at: Option<&DateTime<Utc>>| at.map(|at| instant(zone, *at)).unwrap_or_default();
    let change = number(total - before);
    tap_v1::Comparison {
        start: bound(earlier.bounds.first()),
        end: bound(earlier.bounds.last()),
        counts: earlier.counts.iter().map(|count| number(*count)).collect(),
        total: number(before),
        change,
        change_ratio: (before != 0).then(|| change / number(before)),
    }
}

fn resolved(query: &Query) -> tap_v1::ResolvedQuery {
    use tap_v1::{compare, group_by, interval, week_start};
    let interval = match query.interval {
        Interval::Total => interval::Value::Total,
        Interval::Minute => interval::Value::Minute,
        Interval::Hour => interval::Value::Hour,
        Interval::Day => interval::Value::Day,
        Interval::Week => interval::Value::Week,
        Interval::Month => interval::Value::Month,
        Interval::Quarter => interval::Value::Quarter,
        Interval::Year => interval::Value::Year,
    };
    let week_start = match query.week_start {
        Weekday::Mon => week_start::Value::Monday,
        Weekday::Tue => week_start::Value::Tuesday,
        Weekday::Wed => week_start::Value::Wednesday,
        Weekday::Thu => week_start::Value::Thursday,
        Weekday::Fri => week_start::Value::Friday,
        Weekday::Sat => week_start::Value::Saturday,
        Weekday::Sun => week_start::Value::Sunday,
    };
    let (group_by, limit) = match query.group_by {
        GroupBy::None => (group_by::Value::None, 0),
        GroupBy::Tag { limit } => (group_by::Value::Tag, limit),
        GroupBy::Kind => (group_by::Value::Kind, 0),
        GroupBy::HourOfWeek => (group_by::Value::HourOfWeek, 0),
    };
    let compare = match query.compare {
        Compare::None => compare::Value::None,
        Compare::PreviousPeriod => compare::Value::PreviousPeriod,
        Compare::PreviousYear => compare::Value::PreviousYear,
    };
    tap_v1::ResolvedQuery {
        start: instant(query.zone, query.range.start),
        end: instant(query.zone, query.range.end),
        time_zone: query.zone.name().to_owned(),
        interval: interval.into(),
        week_start: week_start.into(),
        tag_uids: query.tag_uids.clone(),
        group_by: group_by.into(),
        limit: int32(limit),
        compare: compare.into(),
        include: query.classes.iter().map(|class| class_value(*class).into()).collect(),
    }
}
