//! `QueryTaps`: what it counts.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tap_analytics::{
    clock::Clock,
    ids::TagId,
    proto::tap_v1::{
        self, QueryTapsRequest, QueryTapsResponse, bucket_state, compare, group_by, interval,
        week_start,
    },
    tags::model::Kind,
    taps::{
        buckets,
        model::{NewTap, TapClass},
        wire,
    },
};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use bucket_state::Value::{Clipped, Final, Open};

use crate::app::{App, KeyedClient, Options, Team, eventually, instant, query, tap};

async fn ask(client: &mut KeyedClient, query: QueryTapsRequest) -> QueryTapsResponse {
    client.query_taps(query).await.unwrap().into_inner()
}

fn counts(answer: &QueryTapsResponse) -> Vec<f64> {
    answer.buckets.iter().map(|bucket| bucket.count).collect()
}

/// The violations of a refused query: field and reason.
async fn refused(client: &mut KeyedClient, query: QueryTapsRequest) -> Vec<(String, String)> {
    let status = client.query_taps(query).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let bad = details.bad_request().unwrap();
    bad.field_violations.iter().map(|v| (v.field.clone(), v.reason.clone())).collect()
}

#[tokio::test]
async fn query_taps_counts_the_last_day_of_the_range_and_not_the_next() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    app.write(
        team.id,
        &[
            tap(tag, "2023-12-21T23:59:59.999999Z"),
            tap(tag, "2023-12-22T00:00:00Z"),
            tap(tag, "2023-12-22T23:59:59.999999Z"),
            tap(tag, "2023-12-23T00:00:00Z"),
        ],
    )
    .await;

    let mut client = app.client(&team.key);
    let answer = ask(&mut client, query("2023-12-21", "2023-12-22", "DAY")).await;
    assert_eq!(counts(&answer), [1.0, 2.0]);
    assert_eq!(answer.total, 3.0);
    assert_eq!(answer.buckets[1].start, "2023-12-22T00:00:00Z");
    assert_eq!(answer.buckets[1].end, "2023-12-23T00:00:00Z");

    // Instants are taken as they are, the end excluded.
    let answer =
        ask(&mut client, query("2023-12-22T00:00:00Z", "2023-12-22T23:59:59.999999Z", "TOTAL"))
            .await;
    assert_eq!(answer.total, 1.0);
    let answer = ask(
        &mut client,
        query("2023-12-22T01:00:00+01:00", "2023-12-22T23:59:59.9999991Z", "TOTAL"),
    )
    .await;
    assert_eq!(answer.total, 2.0);
}

#[tokio::test]
async fn query_taps_answers_with_empty_buckets_where_there_are_no_taps() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    let answer = ask(&mut client, query("2023-01-01", "2023-12-22", "WEEK")).await;
    assert_eq!(answer.buckets.len(), 52);
    assert_eq!(answer.total, 0.0);
    assert_eq!(answer.comparison, None);
    assert!(answer.groups.is_empty());

    let whole = ask(&mut client, query("2023-01-01", "2023-12-22", "TOTAL")).await;
    assert_eq!(whole.buckets.len(), 1);
    assert_eq!(whole.buckets[0].state(), Final);
}

#[tokio::test]
async fn query_taps_keeps_tag_uids_beyond_the_precision_of_a_number() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let tags = app.tags(team.id, &["9007199254740993", "9007199254740992", "04A1B2C3D4E5F6"]).await;
    app.write(team.id, &[tap(tags[0], "2023-05-01T12:00:00Z")]).await;
    app.write(
        team.id,
        &[tap(tags[1], "2023-05-01T12:00:00Z"), tap(tags[1], "2023-05-01T12:00:00Z")],
    )
    .await;

    let mut client = app.client(&team.key);
    for (uid, taps) in
        [("9007199254740993", 1.0), ("9007199254740992", 2.0), ("04A1B2C3D4E5F6", 0.0)]
    {
        let only = QueryTapsRequest {
            tag_uids: vec![uid.to_owned()],
            ..query("2023-05-01", "2023-05-01", "DAY")
        };
        let answer = ask(&mut client, only).await;
        assert_eq!(answer.total, taps, "{uid}");
        assert_eq!(answer.query.unwrap().tag_uids, [uid]);
    }
}

#[tokio::test]
async fn query_taps_sees_a_late_tap_at_once() {
    // The time is in resume tokens.
    let clock = Clock::fixed(Clock::system().now());
    let app = App::start_with(Options { clock, ..Options::default() }).await;
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    let mut client = app.client(&app.busy_key(team.id).await);
    let year = || query("2023-01-01", "2023-12-31", "MONTH");
    let before = ask(&mut client, year()).await;
    assert_eq!(ask(&mut client, year()).await, before, "the same while nothing happens");

    let tapped = app.write(team.id, &[tap(tag, "2023-02-03T04:05:06Z")]).await;
    assert_eq!(tapped.stored(), 1);
    eventually("the late tap is counted", || {
        let mut client = client.clone();
        async move { ask(&mut client, year()).await.total == 1.0 }
    })
    .await;
    let after = ask(&mut client, year()).await;
    assert_ne!(after.resume_token, before.resume_token);
    assert_eq!(counts(&after)[1], 1.0);
}

#[tokio::test]
async fn query_taps_is_at_most_a_second_behind_when_no_hint_comes() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    let mut client = app.client(&app.busy_key(team.id).await);
    let day = || query("2023-02-03", "2023-02-03", "DAY");
    assert_eq!(ask(&mut client, day()).await.total, 0.0);

    // As when the notification is lost: only the transaction, by another process.
    app.writer
        .write(team.id, &[tap(tag, "2023-02-03T04:05:06Z")], crate::app::now())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask(&mut client, day()).await.total, 1.0);
}

#[tokio::test]
async fn query_taps_tells_how_final_a_bucket_is() {
    let clock = Clock::fixed(instant("2023-05-10T12:00:00Z"));
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let team = app.team("acme").await;
    let mut client = app.client(&app.busy_key(team.id).await);
    let states = |answer: &QueryTapsResponse| {
        answer.buckets.iter().map(tap_v1::Bucket::state).collect::<Vec<_>>()
    };
    let weeks = || query("2023-04-26", "2023-05-17", "WEEK");
    assert_eq!(states(&ask(&mut client, weeks()).await), [Clipped, Final, Open, Open]);

    // A kept answer does not keep its states.
    clock.set(instant("2023-05-14T23:59:59.999999Z"));
    assert_eq!(states(&ask(&mut client, weeks()).await), [Clipped, Final, Open, Open]);
    clock.set(instant("2023-05-15T00:00:00Z"));
    assert_eq!(states(&ask(&mut client, weeks()).await), [Clipped, Final, Final, Open]);
    clock.set(instant("2023-06-01T00:00:00Z"));
    assert_eq!(states(&ask(&mut client, weeks()).await), [Clipped, Final, Final, Clipped]);
}

#[tokio::test]
async fn query_taps_repeats_the_query_with_nothing_left_open() {
    let app = App::start().await;
    let team = app.team("acme").await;
    app.tags(team.id, &["b", "a"]).await;
    let mut client = app.client(&team.key);
    let asked = QueryTapsRequest {
        time_zone: "Europe/Berlin".to_owned(),
        tag_uids: ["b", "a", "b"].map(str::to_owned).to_vec(),
        group_by: group_by::Value::Tag.into(),
        limit: 5_000,
        compare: compare::Value::PreviousYear.into(),
        week_start: week_start::Value::Sunday.into(),
        ..query("2023-03-26", "2023-03-26", "HOUR")
    };
    let resolved = ask(&mut client, asked).await.query.unwrap();
    assert_eq!(resolved.start, "2023-03-26T00:00:00+01:00");
    assert_eq!(resolved.end, "2023-03-27T00:00:00+02:00");
    assert_eq!(resolved.time_zone, "Europe/Berlin");
    assert_eq!(resolved.interval(), interval::Value::Hour);
    assert_eq!(resolved.week_start(), week_start::Value::Sunday);
    assert_eq!(resolved.tag_uids, ["a", "b"]);
    assert_eq!((resolved.group_by(), resolved.limit), (group_by::Value::Tag, 100));
    assert_eq!(resolved.compare(), compare::Value::PreviousYear);
}

#[tokio::test]
async fn query_taps_names_everything_that_is_wrong() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    let bad = QueryTapsRequest {
        start_date: "2023-02-30".to_owned(),
        end_date: String::new(),
        interval: 99,
        time_zone: "Mars/Olympus".to_owned(),
        week_start: 7,
        tag_uids: vec!["a".to_owned(), String::new()],
        group_by: -1,
        limit: -1,
        compare: 3,
        include: vec![0, 3],
    };
    let pair = |field: &str, reason: &str| (field.to_owned(), reason.to_owned());
    assert_eq!(
        refused(&mut client, bad).await,
        [
            pair("time_zone", "UNKNOWN_TIME_ZONE"),
            pair("start_date", "MALFORMED_DATE"),
            pair("end_date", "REQUIRED"),
            pair("interval", "UNKNOWN_VALUE"),
            pair("week_start", "UNKNOWN_VALUE"),
            pair("tag_uids[1]", "MALFORMED_TAG_UID"),
            pair("limit", "NEGATIVE"),
            pair("group_by", "UNKNOWN_VALUE"),
            pair("compare", "UNKNOWN_VALUE"),
            pair("include[1]", "UNKNOWN_VALUE"),
        ]
    );

    for (start, end, field, reason) in [
        ("2023-01-02", "2023-01-01", "end_date", "END_NOT_AFTER_START"),
        ("2023-01-01T00:00:00Z", "2023-01-01T00:00:00Z", "end_date", "END_NOT_AFTER_START"),
        ("1999-12-31", "2023-01-01", "start_date", "DATE_OUT_OF_RANGE"),
        ("2023-01-01", "2200-01-01", "end_date", "DATE_OUT_OF_RANGE"),
        ("2023-1-1", "2023-01-01", "start_date", "MALFORMED_DATE"),
        ("2023-01-01", "2023-01-01T25:00:00Z", "end_date", "MALFORMED_DATE"),
        ("2023-01-01", "2023-01-01T10:00:00", "end_date", "MALFORMED_DATE"),
        ("１234-01-01", "2023-01-01", "start_date", "MALFORMED_DATE"),
    ] {
        assert_eq!(
            refused(&mut client, query(start, end, "DAY")).await,
            [pair(field, reason)],
            "{start} {end}"
        );
    }

    let many = QueryTapsRequest {
        tag_uids: vec!["a".to_owned(); 1001],
        ..query("2023-01-01", "2023-01-01", "DAY")
    };
    assert_eq!(refused(&mut client, many).await, [pair("tag_uids", "TOO_MANY_TAGS")]);
    let skipped = QueryTapsRequest {
        time_zone: "Pacific/Apia".to_owned(),
        ..query("2011-12-30", "2011-12-30", "DAY")
    };
    assert_eq!(refused(&mut client, skipped).await, [pair("end_date", "END_NOT_AFTER_START")]);
}

#[tokio::test]
async fn query_taps_refuses_too_many_buckets_and_names_the_smallest_interval() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    let status = client.query_taps(query("2023-01-01", "2023-12-31", "MINUTE")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("use HOUR or wider"), "{}", status.message());
    let status = client.query_taps(query("2000-01-01", "2199-12-31", "DAY")).await.unwrap_err();
    assert!(status.message().contains("use MONTH or wider"), "{}", status.message());
}

#[tokio::test]
async fn query_taps_refuses_too_many_counts_in_groups() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let uids: Vec<String> = (0..30).map(|n| format!("tag-{n}")).collect();
    let tags = app.tags(team.id, &uids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let taps: Vec<_> = tags.iter().map(|tag| tap(*tag, "2023-01-01T00:00:00Z")).collect();
    app.write(team.id, &taps).await;
    let mut client = app.client(&team.key);
    let by_tag = |limit| QueryTapsRequest {
        group_by: group_by::Value::Tag.into(),
        limit,
        ..query("2023-01-01", "2023-12-31", "HOUR")
    };
    assert_eq!(
        refused(&mut client, by_tag(20)).await,
        [("limit".to_owned(), "TOO_MANY_COUNTS".to_owned())]
    );
    assert_eq!(ask(&mut client, by_tag(5)).await.groups.len(), 6);
}

#[tokio::test]
async fn query_taps_does_not_tell_another_teams_tag_from_none() {
    let app = App::start().await;
    let (acme, other) = (app.team("acme").await, app.team("other").await);
    app.tags(acme.id, &["ours"]).await;
    app.tags(other.id, &["theirs"]).await;
    let mut client = app.client(&acme.key);
    for uid in ["theirs", "nobodys"] {
        let only = QueryTapsRequest {
            tag_uids: vec!["ours".to_owned(), uid.to_owned()],
            ..query("2023-01-01", "2023-01-01", "DAY")
        };
        let status = client.query_taps(only).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), format!("no such tag: {uid:?}"));
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "TAG_NOT_FOUND");
    }
    for uid in ["'; drop table taps; --", "a\0b", "ü", &"x".repeat(65)] {
        let only = QueryTapsRequest {
            tag_uids: vec![uid.to_owned()],
            ..query("2023-01-01", "2023-01-01", "DAY")
        };
        let malformed = [("tag_uids[0]".to_owned(), "MALFORMED_TAG_UID".to_owned())];
        assert_eq!(refused(&mut client, only).await, malformed);
    }
    // A message names a few of many, so that it fits into a header.
    let many = QueryTapsRequest {
        tag_uids: (0..1000).map(|n| format!("{n:0>64}")).collect(),
        ..query("2023-01-01", "2023-01-01", "DAY")
    };
    let status = client.query_taps(many).await.unwrap_err();
    assert!(status.message().ends_with("and 990 more"), "{}", status.message());
}

#[tokio::test]
async fn query_taps_groups_by_tag_and_folds_the_rest() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let tags = app.tags(team.id, &["busy", "calm", "rare", "idle"]).await;
    let mut taps = vec![tap(tags[2], "2023-05-02T10:00:00Z")];
    taps.extend((0..3).map(|_| tap(tags[1], "2023-05-01T10:00:00Z")));
    taps.extend((0..5).map(|_| tap(tags[0], "2023-05-02T10:00:00Z")));
    app.write(team.id, &taps).await;

    let mut client = app.client(&team.key);
    let by_tag = QueryTapsRequest {
        group_by: group_by::Value::Tag.into(),
        limit: 2,
        ..query("2023-05-01", "2023-05-02", "DAY")
    };
    let groups = ask(&mut client, by_tag.clone()).await.groups;
    let seen: Vec<_> = groups
        .iter()
        .map(|g| (g.key.as_str(), g.label.as_str(), g.other, g.counts.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            ("busy", "Label of busy", false, vec![0.0, 5.0]),
            ("calm", "Label of calm", false, vec![3.0, 0.0]),
            ("", "", true, vec![0.0, 1.0]),
        ]
    );
    // Nothing is left over: no such group, and none for a tag without taps.
    let all = ask(&mut client, QueryTapsRequest { limit: 10, ..by_tag }).await.groups;
    assert_eq!(all.iter().map(|g| g.key.as_str()).collect::<Vec<_>>(), ["busy", "calm", "rare"]);
}

/// Kinds, classes, tags and instants of random taps, around a change of the clock in several zones.
fn any_taps() -> impl Strategy<Value = Vec<(usize, i64, i32, Kind, TapClass)>> {
    let kind = prop::sample::select(Kind::ALL.to_vec());
    // From 2023-03-10 for 40 days, to the microsecond.
    let class = prop::sample::select(TapClass::ALL.to_vec());
    prop::collection::vec((0_usize..4, 0_i64..3_456_000_000_000, 1_i32..50, kind, class), 0..300)
}

fn any_request() -> impl Strategy<Value = QueryTapsRequest> {
    let zone = prop::sample::select(vec![
        "",
        "Europe/Berlin",
        "Asia/Kathmandu",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
        "Africa/Cairo",
    ]);
    let bound = prop_oneof![
        (0_i64..45).prop_map(|day| (instant("2023-03-08T00:00:00Z") + TimeDelta::days(day))
            .date_naive()
            .to_string()),
        (0_i64..4_000_000_000_000).prop_map(|micros| {
            let at: DateTime<Utc> =
                instant("2023-03-08T00:00:00Z") + TimeDelta::microseconds(micros);
            at.to_rfc3339()
        }),
    ];
    let tags = prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4);
    let pair = prop_oneof![
        3 => (bound.clone(), bound),
        // Short ones, around full quarters of an hour.
        1 => (0_i64..4_000_000_000, 1_i64..2_000_000_000).prop_map(|(start, length)| {
            let start = instant("2023-03-25T23:30:00Z") + TimeDelta::microseconds(start);
            (start.to_rfc3339(), (start + TimeDelta::microseconds(length)).to_rfc3339())
        }),
    ];
    let include = prop::sample::subsequence(vec![0, 1, 2], 0..=3);
    (pair, 0_i32..8, zone, 0_i32..7, tags, 0_i32..4, 1_i32..4, 0_i32..3, include).prop_map(
        |((one, other), interval, zone, week_start, tags, group_by, limit, compare, include)| {
            QueryTapsRequest {
                start_date: one.clone().min(other.clone()),
                end_date: one.max(other),
                interval,
                time_zone: zone.to_owned(),
                week_start,
                tag_uids: tags.into_iter().map(str::to_owned).collect(),
                group_by,
                limit,
                compare,
                include,
            }
        },
    )
}

/// Counts raw taps in SQL: the other way to the same numbers.
async fn raw_count(
    sql: &tokio_postgres::Client,
    team: &Team,
    start: &str,
    end: &str,
    extra: &str,
) -> f64 {
    let statement = format!(
        "select coalesce(sum(t.count), 0)::float8 from taps t join tags g using (team_id, tag_id)
         where team_id = {} and tapped_at >= '{start}' and tapped_at < '{end}' {extra}",
        team.id
    );
    sql.query_one(&statement, &[]).await.unwrap().get(0)
}

#[test]
fn query_taps_equals_the_raw_taps_for_any_query() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (app, team, client, sql) = runtime.block_on(async {
        let app = App::start_with(Options { cache_mib: 0, ..Options::default() }).await;
        let team = app.team("acme").await;
        let key = app.busy_key(team.id).await;
        let (client, sql) = (app.client(&key), app.sql().await);
        (app, team, client, sql)
    });
    let tags = runtime.block_on(app.tags(team.id, &["a", "b", "c", "d"]));
    // Another team's taps, which must never be in a count.
    runtime.block_on(async {
        let other = app.team("other").await;
        let tag = app.tags(other.id, &["a"]).await[0];
        app.write(other.id, &[tap(tag, "2023-03-20T12:00:00Z"), tap(tag, "2023-04-01T12:00:00Z")])
            .await;
    });
    let (written, answered) = (std::cell::Cell::new(0), std::cell::Cell::new(0));

    let mut runner =
        TestRunner::new(Config { cases: 150, max_shrink_iters: 0, ..Config::default() });
    runner
        .run(&(any_taps(), any_request()), |(taps, request)| {
            runtime.block_on(async {
                let origin = instant("2023-03-10T00:00:00Z");
                let taps: Vec<NewTap> = taps
                    .into_iter()
                    .map(|(tag, micros, count, kind, class)| {
                        let tapped_at = origin + TimeDelta::microseconds(micros);
                        let new = NewTap::new(Uuid::now_v7(), tags[tag], tapped_at, kind);
                        NewTap { count, class, ..new }
                    })
                    .collect();
                written.set(written.get() + taps.len());
                app.write(team.id, &taps).await;
                if check(&client, &sql, &team, request).await {
                    answered.set(answered.get() + 1);
                }
            });
            Ok(())
        })
        .unwrap();
    assert!(written.get() > 5_000);
    assert!(answered.get() > 100, "only {} queries were answered", answered.get());
}

/// As SQL has them, by their numbers.
const CLASSES: [&str; 3] = ["'human'", "'preview'", "'bot'"];

/// Asks, and counts everything again.
async fn check(
    client: &KeyedClient,
    sql: &tokio_postgres::Client,
    team: &Team,
    request: QueryTapsRequest,
) -> bool {
    let answer = match client.clone().query_taps(request.clone()).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            assert_eq!(status.code(), Code::InvalidArgument, "{request:?} {status:?}");
            return false;
        }
    };
    let resolved = answer.query.as_ref().unwrap();
    let tags = resolved.tag_uids.iter().map(|uid| format!("'{uid}'")).collect::<Vec<_>>().join(",");
    let filter = if tags.is_empty() { String::new() } else { format!("and uid in ({tags})") };
    let humans = request.include.is_empty();
    assert_eq!(resolved.include, if humans { vec![0] } else { request.include.clone() });
    let classes: Vec<_> =
        resolved.include.iter().map(|class| CLASSES[usize::try_from(*class).unwrap()]).collect();
    let filter = format!("{filter} and class in ({})", classes.join(","));
    // Many buckets take long to count one by one: a sample of them, and the sum of all.
    let stride = answer.buckets.len().div_ceil(15);
    for bucket in answer.buckets.iter().step_by(stride) {
        let expected = raw_count(sql, team, &bucket.start, &bucket.end, &filter).await;
        assert_eq!(bucket.count, expected, "{bucket:?} of {request:?}");
    }
    let total = raw_count(sql, team, &resolved.start, &resolved.end, &filter).await;
    assert_eq!(answer.total, total, "{request:?}");
    assert_eq!(counts(&answer).iter().sum::<f64>(), total, "{request:?}");

    check_groups(sql, team, &answer, &filter).await;
    if let Some(earlier) = &answer.comparison {
        let before = raw_count(sql, team, &earlier.start, &earlier.end, &filter).await;
        assert_eq!(earlier.total, before, "{request:?}");
        assert_eq!(earlier.counts.iter().sum::<f64>(), before);
        assert_eq!(earlier.counts.len(), answer.buckets.len());
        assert_eq!(earlier.change, total - before);
        assert_eq!(earlier.change_ratio, (before != 0.0).then(|| (total - before) / before));
        let query = wire::query(request.clone()).unwrap();
        let bounds = buckets::bounds(&query).unwrap();
        let bounds = buckets::earlier_bounds(&query, &bounds).unwrap();
        for at in (0..earlier.counts.len()).step_by(stride) {
            let (start, end) = (bounds[at].to_rfc3339(), bounds[at + 1].to_rfc3339());
            let expected = raw_count(sql, team, &start, &end, &filter).await;
            assert_eq!(earlier.counts[at], expected, "{start} of {request:?}");
        }
    }
    true
}

async fn check_groups(
    sql: &tokio_postgres::Client,
    team: &Team,
    answer: &QueryTapsResponse,
    filter: &str,
) {
    let resolved = answer.query.as_ref().unwrap();
    let by = resolved.group_by();
    if by == group_by::Value::None {
        return assert!(answer.groups.is_empty());
    }
    let stride = answer.buckets.len().div_ceil(6);
    let sum: f64 = answer.groups.iter().map(|group| group.total).sum();
    assert_eq!(sum, answer.total, "{resolved:?}");
    // Of the hours of a week a few, as each is a query of its own.
    let step = if by == group_by::Value::HourOfWeek { 9 } else { 1 };
    let groups = answer.groups.iter().enumerate().step_by(step);
    for (at, group) in groups.filter(|(_, group)| !group.other) {
        let zone = &resolved.time_zone;
        let first = resolved.week_start;
        let which = match by {
            group_by::Value::Tag => format!("and uid = '{}'", group.key),
            group_by::Value::Kind => format!("and t.kind = '{}'", group.key),
            // isodow counts from 1 for Monday.
            _ => format!(
                "and ((extract(isodow from tapped_at at time zone '{zone}') - 1 - {first} + 7)::int % 7) * 24
                     + extract(hour from tapped_at at time zone '{zone}') = {at}"
            ),
        };
        let expected =
            raw_count(sql, team, &resolved.start, &resolved.end, &format!("{filter} {which}"))
                .await;
        assert_eq!(group.total, expected, "{group:?} of {resolved:?}");
        if by != group_by::Value::HourOfWeek {
            assert_eq!(group.counts.iter().sum::<f64>(), group.total);
            assert_eq!(group.counts.len(), answer.buckets.len());
            for (bucket, count) in answer.buckets.iter().zip(&group.counts).step_by(stride) {
                let extra = format!("{filter} {which}");
                let expected = raw_count(sql, team, &bucket.start, &bucket.end, &extra).await;
                assert_eq!(*count, expected, "{bucket:?} of {group:?}");
            }
        }
    }
    match by {
        group_by::Value::Kind => assert_eq!(answer.groups.len(), 3),
        group_by::Value::HourOfWeek => assert_eq!(answer.groups.len(), 168),
        _ => assert!(answer.groups.is_sorted_by(|a, b| b.other || a.total >= b.total)),
    }
}

#[tokio::test]
async fn writing_twice_changes_nothing() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    let batch: Vec<NewTap> =
        (0..100).map(|n| NewTap { count: n + 1, ..tap(tag, "2023-05-01T12:00:00Z") }).collect();
    let first = app.write(team.id, &batch).await;
    assert_eq!(first.stored(), 100);
    let again = app.write(team.id, &batch).await;
    assert_eq!((again.stored(), again.revision), (0, first.revision));
    // The same tap twice in one batch is one tap.
    let double = tap(tag, "2023-05-01T13:00:00Z");
    assert_eq!(app.write(team.id, &[double.clone(), double]).await.stored(), 1);
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn a_name_that_comes_twice_is_judged_by_what_is_stored() {
    use tap_analytics::taps::model::Outcome::{Conflict, Duplicate};
    let app = App::start().await;
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    let stored = tap(tag, "2023-05-01T12:00:00Z");
    let other = NewTap { count: 2, ..stored.clone() };
    app.write(team.id, std::slice::from_ref(&stored)).await;
    let written = app.write(team.id, &[other.clone(), stored, other]).await;
    assert_eq!(written.outcomes, [Conflict, Duplicate, Conflict]);
}

#[tokio::test]
async fn many_writers_at_once_keep_roll_up_and_order() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let tags = app.tags(team.id, &["a", "b", "c"]).await;
    let base = instant("2023-05-31T23:00:00Z");
    let batch = |writer: i64, n: i64, tags: &[TagId]| -> Vec<NewTap> {
        let one = |i: i64| {
            let tag = tags[usize::try_from(i).unwrap() % tags.len()];
            // Over the turn of a month, so that partitions are made on the way.
            let tapped_at = base + TimeDelta::seconds(i * 131 + writer * 17 + n);
            let count = 1 + i32::try_from(i % 3).unwrap();
            NewTap { count, ..NewTap::new(Uuid::now_v7(), tag, tapped_at, Kind::Nfc) }
        };
        (0..60).map(one).collect()
    };
    let writers = (0..8).map(|writer| {
        let (app, tags) = (&app, &tags);
        async move {
            let mut last = 0;
            for n in 0..10 {
                let taps = batch(writer, n, tags);
                let written = app.write(team.id, &taps).await;
                assert!(written.revision > last);
                last = written.revision;
                // A retry among the others.
                assert_eq!(app.write(team.id, &taps).await.stored(), 0);
            }
        }
    });
    futures_util::future::join_all(writers).await;
    assert_roll_up_equals_raw(&app).await;
    let revision: i64 =
        app.scalar(&format!("select revision from teams where team_id = {}", team.id)).await;
    let largest: i64 = app.scalar("select max(revision) from taps").await;
    let distinct: i64 = app.scalar("select count(distinct revision) from taps").await;
    assert_eq!((largest, distinct), (revision, 8 * 10 * 60));
}

/// The invariant of the roll-up: for each team, tag, kind and quarter of an hour.
pub async fn assert_roll_up_equals_raw(app: &App) {
    let different: i64 = app
        .scalar(
            "with raw as (
                 select team_id, coalesce(tag_id, 0) as tag_id, kind, class, quarter, sum(count) as count
                 from (select *, floor(date_part('epoch', tapped_at) / 900)::bigint as quarter from taps) as taps
                 group by grouping sets ((team_id, tag_id, kind, class, quarter), (team_id, kind, class, quarter))
             ), rolled as (
                 select
                     team_id, tag_id, kind, class, (day - date '1970-01-01') * 96 + at as quarter,
                     q.running - lag(q.running, 1, 0::bigint) over (partition by team_id, tag_id, kind, class, day order by at) as count
                 from tap_days, unnest(quarters, running) as q (at, running)
             )
             select count(*) from raw full join rolled using (team_id, tag_id, kind, class, quarter)
             where raw.count is distinct from rolled.count",
        )
        .await;
    assert_eq!(different, 0, "quarters that differ between taps and tap_days");
    let wrong: i64 = app
        .scalar(
            "select count(*) from tap_days where total <> running[cardinality(running)] or quarters <> (select array_agg(distinct at order by at) from unnest(quarters) as at)",
        )
        .await;
    assert_eq!(wrong, 0, "days of which the total is not the sum of the quarters");
}

#[tokio::test]
async fn query_taps_helps_with_a_zone_and_does_not_repeat_a_key() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    for (zone, hint) in [("europe/berlin", "Europe/Berlin"), ("new_york", "America/New_York")] {
        let asked = QueryTapsRequest {
            time_zone: zone.to_owned(),
            ..query("2023-01-01", "2023-01-01", "DAY")
        };
        let message = client.query_taps(asked).await.unwrap_err().message().to_owned();
        assert!(message.ends_with(&format!("write such as {hint}")), "{message}");
    }
    let key = team.key.clone();
    let misplaced = QueryTapsRequest {
        start_date: key.clone(),
        end_date: format!("Bearer {key}"),
        time_zone: key.clone(),
        ..QueryTapsRequest::default()
    };
    let status = client.query_taps(misplaced).await.unwrap_err();
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(!status.message().contains(&key[..12]), "{}", status.message());
    assert!(!details.contains(&key[..12]), "{details}");
}
