//! Buckets in civil time: golden cases, every zone against PostgreSQL and against a walk through the
//! quarters of an hour, and properties of any range.

use std::collections::BTreeSet;

use chrono::{
    DateTime, Datelike as _, Days, NaiveDate, Offset as _, TimeDelta, TimeZone as _, Timelike as _,
    Utc, Weekday,
};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;
use tap_analytics::taps::{
    buckets,
    model::{BUCKETS_MAX, Compare, GroupBy, Interval, Query, Range, TapClass},
};

use crate::app::{self, instant};

/// All that begin with the clock of a zone.
const INTERVALS: &[Interval] = Interval::NARROW_TO_WIDE.split_at(1).1;

fn query(zone: Tz, start: DateTime<Utc>, end: DateTime<Utc>, interval: Interval) -> Query {
    Query {
        range: Range { start, end },
        interval,
        zone,
        week_start: Weekday::Mon,
        tag_uids: Vec::new(),
        group_by: GroupBy::None,
        compare: Compare::None,
        classes: vec![TapClass::Human],
    }
}

/// Bounds by dates, as text in the zone.
fn bounds(zone: &str, from: &str, to: &str, interval: Interval) -> Vec<String> {
    bounds_of(&civil(zone, from, to, interval))
}

fn civil(zone: &str, from: &str, to: &str, interval: Interval) -> Query {
    let zone: Tz = zone.parse().unwrap();
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let start = buckets::start_of_day(zone, day(from));
    let end = buckets::start_of_day(zone, day(to) + Days::new(1));
    query(zone, start, end, interval)
}

fn bounds_of(query: &Query) -> Vec<String> {
    let bounds = buckets::bounds(query).unwrap();
    bounds.iter().map(|at| at.with_timezone(&query.zone).to_rfc3339()).collect()
}

#[test]
fn a_day_is_23_or_25_hours_long_where_the_clock_changes() {
    for (day, hours) in [("2023-03-26", 23), ("2023-10-29", 25), ("2023-10-30", 24)] {
        assert_eq!(bounds("Europe/Berlin", day, day, Interval::Hour).len() - 1, hours, "{day}");
        let [start, end] = &bounds("Europe/Berlin", day, day, Interval::Day)[..] else { panic!() };
        let length = instant(end) - instant(start);
        assert_eq!(length, TimeDelta::hours(hours.try_into().unwrap()), "{day}");
    }
}

#[test]
fn an_hour_that_comes_twice_is_two_buckets() {
    assert_eq!(
        bounds("Europe/Berlin", "2023-10-29", "2023-10-29", Interval::Hour)[1..5],
        [
            "2023-10-29T01:00:00+02:00",
            "2023-10-29T02:00:00+02:00",
            "2023-10-29T02:00:00+01:00",
            "2023-10-29T03:00:00+01:00"
        ]
    );
}

#[test]
fn quarter_and_half_hour_offsets() {
    assert_eq!(
        bounds("Asia/Kathmandu", "2023-05-01", "2023-05-01", Interval::Day),
        ["2023-05-01T00:00:00+05:45", "2023-05-02T00:00:00+05:45"]
    );
    assert_eq!(
        bounds("Pacific/Chatham", "2023-05-01", "2023-05-01", Interval::Day),
        ["2023-05-01T00:00:00+12:45", "2023-05-02T00:00:00+12:45"]
    );
}

#[test]
fn lord_howe_moves_its_clocks_by_half_an_hour() {
    let back = bounds("Australia/Lord_Howe", "2023-04-02", "2023-04-02", Interval::Hour);
    assert_eq!(
        back[1..4],
        ["2023-04-02T01:00:00+11:00", "2023-04-02T01:30:00+10:30", "2023-04-02T02:00:00+10:30"]
    );
    let forward = bounds("Australia/Lord_Howe", "2023-10-01", "2023-10-01", Interval::Hour);
    assert_eq!(
        forward[1..4],
        ["2023-10-01T01:00:00+10:30", "2023-10-01T02:30:00+11:00", "2023-10-01T03:00:00+11:00"]
    );
    let day = bounds("Australia/Lord_Howe", "2023-04-02", "2023-04-02", Interval::Day);
    assert_eq!(instant(&day[1]) - instant(&day[0]), TimeDelta::minutes(24 * 60 + 30));
}

#[test]
fn samoa_skipped_a_day() {
    assert_eq!(
        bounds("Pacific/Apia", "2011-12-29", "2011-12-31", Interval::Day),
        ["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"]
    );
    let skipped = civil("Pacific/Apia", "2011-12-30", "2011-12-30", Interval::Day).range;
    assert_eq!(skipped.start, skipped.end);
}

#[test]
fn a_day_begins_after_a_midnight_that_is_skipped() {
    assert_eq!(
        bounds("Africa/Cairo", "2023-04-28", "2023-04-28", Interval::Day),
        ["2023-04-28T01:00:00+03:00", "2023-04-29T00:00:00+03:00"]
    );
}

#[test]
fn a_day_begins_at_the_first_of_two_midnights() {
    assert_eq!(
        bounds("America/Havana", "2023-11-05", "2023-11-05", Interval::Day),
        ["2023-11-05T00:00:00-04:00", "2023-11-06T00:00:00-05:00"]
    );
    // Here the day had begun when the clock went back to the day before.
    assert_eq!(
        bounds("America/St_Johns", "2010-11-07", "2010-11-07", Interval::Day),
        ["2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30"]
    );
}

#[test]
fn weeks_at_the_turn_of_a_year() {
    assert_eq!(
        bounds("UTC", "2020-12-28", "2021-01-10", Interval::Week),
        ["2020-12-28T00:00:00+00:00", "2021-01-04T00:00:00+00:00", "2021-01-11T00:00:00+00:00"]
    );
    let sunday = Query {
        week_start: Weekday::Sun,
        ..civil("UTC", "2022-12-25", "2023-01-07", Interval::Week)
    };
    assert_eq!(
        bounds_of(&sunday),
        ["2022-12-25T00:00:00+00:00", "2023-01-01T00:00:00+00:00", "2023-01-08T00:00:00+00:00"]
    );
}

#[test]
fn the_first_and_the_last_bucket_are_cut_at_the_range() {
    let weeks = civil("UTC", "2023-01-01", "2023-12-22", Interval::Week);
    let bounds = buckets::bounds(&weeks).unwrap();
    assert_eq!(bounds.len() - 1, 52);
    assert_eq!(bounds[1] - bounds[0], TimeDelta::days(1));
    assert_eq!(bounds[52] - bounds[51], TimeDelta::days(5));
    let clipped: Vec<usize> =
        (0..52).filter(|i| buckets::is_clipped(&weeks, bounds[*i], bounds[i + 1])).collect();
    assert_eq!(clipped, [0, 51]);
}

#[test]
fn leap_years_and_quarters() {
    assert_eq!(bounds("UTC", "2024-02-01", "2024-02-29", Interval::Day).len() - 1, 29);
    assert_eq!(
        bounds("UTC", "2024-02-15", "2024-12-31", Interval::Quarter)[1..],
        [
            "2024-04-01T00:00:00+00:00",
            "2024-07-01T00:00:00+00:00",
            "2024-10-01T00:00:00+00:00",
            "2025-01-01T00:00:00+00:00"
        ]
    );
}

#[test]
fn too_many_buckets_are_refused_and_the_narrowest_that_fits_is_known() {
    let minutes = civil("UTC", "2023-01-01", "2023-01-07", Interval::Minute);
    assert_eq!(buckets::bounds(&minutes), None, "10,080 minutes");
    assert_eq!(buckets::narrowest_interval(&minutes), Interval::Hour);
    let six_days = civil("UTC", "2023-01-01", "2023-01-06", Interval::Minute);
    assert_eq!(buckets::bounds(&six_days).unwrap().len() - 1, 8640);
    let exactly = Range {
        end: six_days.range.start + TimeDelta::minutes(BUCKETS_MAX.try_into().unwrap()),
        ..six_days.range
    };
    let exactly = Query { range: exactly, ..six_days };
    assert_eq!(buckets::bounds(&exactly).unwrap().len() - 1, BUCKETS_MAX);
    let two_centuries = civil("UTC", "2000-01-01", "2199-12-31", Interval::Day);
    assert_eq!(buckets::narrowest_interval(&two_centuries), Interval::Month);
}

#[test]
fn earlier_ranges_keep_their_civil_times() {
    let earlier = |query: Query, compare| {
        let query = Query { compare, ..query };
        let bounds = buckets::bounds(&query).unwrap();
        let earlier = buckets::earlier_bounds(&query, &bounds).unwrap();
        assert_eq!(earlier.len(), bounds.len());
        assert!(earlier.is_sorted(), "{earlier:?}");
        earlier.iter().map(|at| at.with_timezone(&query.zone).to_rfc3339()).collect::<Vec<_>>()
    };
    // Three months become the three months before, though they are longer by days.
    let months = civil("Europe/Berlin", "2023-01-01", "2023-03-31", Interval::Month);
    assert_eq!(
        earlier(months, Compare::PreviousPeriod),
        [
            "2022-10-01T00:00:00+02:00",
            "2022-11-01T00:00:00+01:00",
            "2022-12-01T00:00:00+01:00",
            "2023-01-01T00:00:00+01:00"
        ]
    );
    // Days become as many days, and midnight stays midnight over a change of the clock.
    let days = civil("Europe/Berlin", "2023-03-27", "2023-03-28", Interval::Day);
    assert_eq!(
        earlier(days, Compare::PreviousPeriod),
        ["2023-03-25T00:00:00+01:00", "2023-03-26T00:00:00+01:00", "2023-03-27T00:00:00+02:00"]
    );
    // 29 February has no counterpart: its bucket is empty, and 28 February keeps its own.
    let leap = civil("UTC", "2024-02-28", "2024-03-01", Interval::Day);
    assert_eq!(
        earlier(leap, Compare::PreviousYear),
        [
            "2023-02-28T00:00:00+00:00",
            "2023-03-01T00:00:00+00:00",
            "2023-03-01T00:00:00+00:00",
            "2023-03-02T00:00:00+00:00"
        ]
    );
    // Weeks stay whole.
    let weeks = civil("UTC", "2023-01-02", "2023-01-08", Interval::Week);
    assert_eq!(
        earlier(weeks, Compare::PreviousYear),
        ["2022-01-03T00:00:00+00:00", "2022-01-10T00:00:00+00:00"]
    );
    let (start, end) = (instant("2023-05-01T10:07:00Z"), instant("2023-05-01T11:37:00Z"));
    assert_eq!(
        earlier(query(Tz::UTC, start, end, Interval::Total), Compare::PreviousPeriod),
        ["2023-05-01T08:37:00+00:00", "2023-05-01T10:07:00+00:00"]
    );
}

/// Every quarter of an hour around each change of the clock of a zone, in runs.
fn around_changes(zone: Tz, years: std::ops::Range<i32>) -> Vec<Vec<DateTime<Utc>>> {
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let mut day = Utc.with_ymd_and_hms(years.start, 1, 1, 0, 0, 0).unwrap();
    let end = Utc.with_ymd_and_hms(years.end, 1, 1, 0, 0, 0).unwrap();
    let mut runs = Vec::new();
    while day < end {
        let next = day + TimeDelta::days(1);
        if offset(day) != offset(next) {
            let quarters = (-2 * 96..3 * 96).map(|n| day + TimeDelta::minutes(15 * n));
            runs.push(quarters.collect());
        }
        day = next;
    }
    // Nothing changes: the turn of a year will do.
    if runs.is_empty() {
        let day = Utc.with_ymd_and_hms(years.start + 1, 1, 1, 0, 0, 0).unwrap();
        runs.push((-96..2 * 96).map(|n| day + TimeDelta::minutes(15 * n)).collect());
    }
    runs
}

/// Our bounds over a run, without its ends.
fn inner_bounds(zone: Tz, run: &[DateTime<Utc>], interval: Interval) -> BTreeSet<DateTime<Utc>> {
    let query = query(zone, run[0], *run.last().unwrap(), interval);
    let bounds = buckets::bounds(&query).unwrap();
    bounds[1..bounds.len() - 1].iter().copied().collect()
}

/// A few changes of the clock come at one minute past midnight: no quarter, hence no bucket, begins
/// there, and the hour goes on to the next full one.
fn changed_within_the_quarter_before(zone: Tz, at: DateTime<Utc>) -> bool {
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let just_before = at - TimeDelta::seconds(1);
    offset(at - TimeDelta::minutes(15)) != offset(just_before)
        && offset(just_before) == offset(at)
        && at.with_timezone(&zone).minute() != 0
}

/// Where the unit changes when one walks through a run and looks at the clock on the wall.
fn walked_bounds(zone: Tz, run: &[DateTime<Utc>], interval: Interval) -> BTreeSet<DateTime<Utc>> {
    let mut latest = NaiveDate::MIN;
    let mut unit_at = |at: &DateTime<Utc>| {
        let local = at.with_timezone(&zone);
        latest = latest.max(local.date_naive());
        let (year, month) = (latest.year(), i64::from(latest.month0()));
        let days = i64::from(latest.num_days_from_ce());
        match interval {
            Interval::Hour => {
                let hour = i64::from(local.num_days_from_ce()) * 24 + i64::from(local.hour());
                (hour, i64::from(local.offset().fix().local_minus_utc()))
            }
            Interval::Day => (days, 0),
            // The first day of the common era was a Monday.
            Interval::Week => ((days - 1).div_euclid(7), 0),
            Interval::Month => (i64::from(year), month),
            Interval::Quarter => (i64::from(year), month / 3),
            _ => (i64::from(year), 0),
        }
    };
    let units: Vec<_> = run.iter().map(&mut unit_at).collect();
    let changes = (1..run.len() - 1).filter(|at| units[*at] != units[at - 1]).map(|at| run[at]);
    changes
        .filter(|at| interval != Interval::Hour || !changed_within_the_quarter_before(zone, *at))
        .collect()
}

#[test]
fn every_zone_agrees_with_a_walk_over_each_change_of_its_clock() {
    let mut changes = 0;
    for zone in TZ_VARIANTS {
        for run in around_changes(zone, 2000..2030) {
            changes += 1;
            for interval in INTERVALS.iter().copied() {
                let (ours, walked) =
                    (inner_bounds(zone, &run, interval), walked_bounds(zone, &run, interval));
                assert_eq!(ours, walked, "{zone} {interval:?} from {}", run[0]);
            }
        }
    }
    assert!(changes > 5_000, "only {changes} changes were looked at");
}

#[test]
fn every_offset_since_2000_is_a_multiple_of_a_quarter_of_an_hour() {
    for zone in TZ_VARIANTS {
        for month in 0..2400 {
            let at = Utc.with_ymd_and_hms(
                2000 + month / 12,
                u32::try_from(month % 12 + 1).unwrap(),
                1,
                0,
                0,
                0,
            );
            let offset = zone.offset_from_utc_datetime(&at.unwrap().naive_utc()).fix();
            assert_eq!(offset.local_minus_utc() % 900, 0, "{zone} {at:?}");
        }
    }
}

#[tokio::test]
async fn every_zone_agrees_with_postgresql_over_each_change_of_its_clock() {
    let sql = app::connect(&app::empty_database().await).await;
    let names = sql.query("select name from pg_timezone_names", &[]).await.unwrap();
    let known: BTreeSet<String> = names.iter().map(|row| row.get(0)).collect();
    let statement = sql
        .prepare(
            "select at from (
                 select at, unit, lag(unit) over (order by at) as before
                 from (
                     select at, date_trunc($3, at, $2) as unit from unnest($1::timestamptz[]) as at
                 ) as units
             ) as changes
             where unit <> before",
        )
        .await
        .unwrap();
    let mut zones = 0;
    // Names without a slash, such as CET, are fixed offsets to PostgreSQL.
    let shared = |zone: &Tz| known.contains(zone.name()) && zone.name().contains('/');
    for zone in TZ_VARIANTS.into_iter().filter(shared) {
        zones += 1;
        // Years of which the rules have long been settled, whatever release of them is installed.
        for run in around_changes(zone, 2014..2022) {
            for (interval, unit) in [
                (Interval::Hour, "hour"),
                (Interval::Day, "day"),
                (Interval::Week, "week"),
                (Interval::Month, "month"),
            ] {
                let rows = sql.query(&statement, &[&run, &zone.name(), &unit]).await.unwrap();
                let mut theirs: BTreeSet<DateTime<Utc>> =
                    rows.iter().map(|row| row.get(0)).collect();
                theirs.remove(run.last().unwrap());
                let mut ours = inner_bounds(zone, &run, interval);
                if interval == Interval::Hour {
                    // Where the clock changes within an hour PostgreSQL names the parts by hours that
                    // overlap; the walk above covers these.
                    let on_the_hour = |at: &DateTime<Utc>| at.with_timezone(&zone).minute() == 0;
                    ours.retain(on_the_hour);
                    theirs.retain(on_the_hour);
                }
                assert_eq!(ours, theirs, "{zone} {unit} from {}", run[0]);
            }
        }
    }
    assert!(zones > 400, "PostgreSQL knows only {zones} of our zones");
}

fn any_query() -> impl Strategy<Value = Query> {
    let start = 946_684_800_000_000_i64..4_102_444_800_000_000;
    let length = prop_oneof![1_i64..7_200_000_000, 1_i64..40_000_000_000_000];
    let interval =
        prop::sample::select([&Interval::NARROW_TO_WIDE[..], &[Interval::Total]].concat());
    let compare = prop::sample::select(vec![Compare::PreviousPeriod, Compare::PreviousYear]);
    let zone = 0..TZ_VARIANTS.len();
    (start, length, interval, zone, 0_u8..7, compare).prop_map(
        |(start, length, interval, zone, week_start, compare)| {
            let at = |micros| DateTime::from_timestamp_micros(micros).unwrap();
            Query {
                week_start: Weekday::try_from(week_start).unwrap(),
                compare,
                ..query(TZ_VARIANTS[zone], at(start), at(start + length), interval)
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn buckets_follow_each_other_and_cover_the_range(query in any_query()) {
        let Some(bounds) = buckets::bounds(&query) else {
            prop_assert!(matches!(query.interval, Interval::Minute | Interval::Hour));
            return Ok(());
        };
        prop_assert_eq!(bounds[0], query.range.start);
        prop_assert_eq!(*bounds.last().unwrap(), query.range.end);
        prop_assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", bounds);
        prop_assert!(bounds.len() - 1 <= BUCKETS_MAX);
        if query.interval != Interval::Minute {
            // Only the ends of a range may cut a quarter of an hour.
            let inner = &bounds[1..bounds.len() - 1];
            prop_assert!(inner.iter().all(|at| at.timestamp_micros() % 900_000_000 == 0));
        }
        // A part of the range has the same inner bounds.
        if let [_, .., middle, _] = bounds[..] {
            let part = Range { start: query.range.start, end: middle };
            let part = buckets::bounds(&Query { range: part, ..query.clone() }).unwrap();
            prop_assert_eq!(&part[..], &bounds[..bounds.len() - 1]);
        }
    }

    #[test]
    fn an_earlier_range_has_as_many_buckets_in_order(query in any_query()) {
        if let Some(bounds) = buckets::bounds(&query) {
            let earlier = buckets::earlier_bounds(&query, &bounds).unwrap();
            prop_assert_eq!(earlier.len(), bounds.len());
            prop_assert!(earlier.is_sorted(), "{:?} of {:?}", earlier, bounds);
            prop_assert!(earlier.last() <= bounds.last());
        }
    }
}
