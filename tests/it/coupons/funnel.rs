//! `QueryFunnel`: taps, sessions, views and redemptions, each counted as raw rows have it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use tap_analytics::{
    access::model::Scope,
    proto::tap_v1::{FunnelCounts, QueryFunnelRequest},
    taps::model::{NewTap, TapClass},
};
use tokio_postgres::SimpleQueryMessage;
use tonic::Code;
use uuid::Uuid;

use super::{
    Desk,
    counted::{Dice, ZONES, any_range, client},
    new_id,
};
use crate::{
    app::{App, connect, instant, root, tap},
    schema::as_role,
};

/// From when on anything happened; queries begin five weeks later.
const FIRST: &str = "2023-02-01T00:00:00Z";

/// What happened.
#[derive(Debug, Default)]
struct Raw {
    taps: Vec<NewTap>,
    /// Its id, when, and the tap that it says it came from.
    sessions: Vec<(Uuid, DateTime<Utc>, Option<Uuid>)>,
    /// When, in which session, and of which coupon.
    views: Vec<(DateTime<Utc>, Uuid, Option<String>)>,
    /// When, of which coupon, and by which tag: 0 where it is not known.
    redemptions: Vec<(DateTime<Utc>, String, i32)>,
}

fn any_time(dice: &mut Dice) -> DateTime<Utc> {
    let micros = i64::try_from(dice.roll(80 * 24 * 3_600)).unwrap() * 1_000_000;
    // Some at full quarters of an hour, and some around a change of the clock.
    let micros = match dice.roll(4) {
        0 => micros / 900_000_000 * 900_000_000,
        1 => (53 * 24 - 3) * 3_600_000_000 + micros / 1_000,
        _ => micros,
    };
    instant(FIRST) + TimeDelta::microseconds(micros)
}

impl Raw {
    /// Makes it up, of tags 1 to 3 and of these coupons.
    fn make_up(tags: &[tap_analytics::ids::TagId], coupons: &[String]) -> Self {
        let (mut dice, mut raw) = (Dice(815), Self::default());
        for _ in 0..400 {
            let class = *dice.pick(&[TapClass::Human, TapClass::Human, TapClass::Bot]);
            let at = any_time(&mut dice).to_rfc3339();
            raw.taps.push(NewTap { class, ..tap(*dice.pick(tags), &at) });
        }
        for _ in 0..300 {
            let tap = dice.pick(&raw.taps).clone();
            let edges = [
                TimeDelta::minutes(-60),
                TimeDelta::minutes(-60) - TimeDelta::microseconds(1),
                TimeDelta::days(30),
                TimeDelta::days(30) + TimeDelta::microseconds(1),
                TimeDelta::seconds(30),
                TimeDelta::days(11),
                TimeDelta::days(40),
            ];
            let (tap_id, at) = match dice.roll(5) {
                0 => (None, any_time(&mut dice)),
                1 => (Some(Uuid::now_v7()), any_time(&mut dice)),
                _ => (Some(tap.tap_id), tap.tapped_at + *dice.pick(&edges)),
            };
            raw.sessions.push((Uuid::now_v7(), at, tap_id));
        }
        for _ in 0..400 {
            let session = match dice.roll(6) {
                0 => Uuid::now_v7(),
                _ => dice.pick(&raw.sessions).0,
            };
            let of = (dice.roll(4) > 0).then(|| dice.pick(coupons).clone());
            raw.views.push((any_time(&mut dice), session, of));
        }
        for _ in 0..300 {
            let tag = i32::try_from(dice.roll(4)).unwrap();
            raw.redemptions.push((any_time(&mut dice), dice.pick(coupons).clone(), tag));
        }
        raw
    }

    /// Writes it as the service does, and with it what must not be counted.
    async fn write(&self, app: &App, team: i32, dice: &mut Dice) {
        app.write(tap_analytics::ids::TeamId(team), &self.taps).await;
        let sql = app.sql().await;
        for (id, at, tap) in &self.sessions {
            let insert = "insert into sessions values ($1, $2, $3, $4, gen_random_uuid(), 'test')";
            sql.execute(insert, &[&team, id, at, tap]).await.unwrap();
        }
        let mut revision = 0_i64;
        let mut event = async |at: &DateTime<Utc>,
                               session: &Uuid,
                               category: &str,
                               name: &str,
                               data: &str,
                               deleted: bool| {
            revision += 1;
            let insert = "insert into events (team_id, event_id, revision, received_at, stored_at, receipt_id, key_id,
                    application, content_hash, session_id, category, name, bytes, data, occurred_at, deleted_at)
                values ($1, gen_random_uuid(), $2, $3::timestamptz, $3, gen_random_uuid(), gen_random_uuid(), 'test',
                    decode(md5(''), 'hex'), $4, $5, $6, 2, $7::text::json, $3, case when $8 then $3 end)";
            sql.execute(
                insert,
                &[&team, &revision, at, session, &category, &name, &data, &deleted],
            )
            .await
            .unwrap();
        };
        for (at, session, coupon) in &self.views {
            let data = match coupon {
                None => json!({"page": "/menu"}),
                Some(id) if dice.roll(2) == 0 => json!({"coupon_id": id, "page": 7}),
                Some(id) => json!({"couponId": id}),
            };
            let data = data.to_string();
            event(at, session, "coupon", "viewed", &data, false).await;
            if dice.roll(3) == 0 {
                let (category, name, deleted) = *dice.pick(&[
                    ("coupon", "viewed", true),
                    ("coupon", "opened", false),
                    ("page", "viewed", false),
                    ("Coupon", "viewed", false),
                ]);
                event(at, session, category, name, &data, deleted).await;
            }
        }
        for (at, coupon, tag) in &self.redemptions {
            // And one that was given back.
            let insert = format!(
                "insert into redemptions (team_id, redemption_id, coupon_id, redeemed_at, released_at, key_id, tag_id, subject)
                 select {team}, gen_random_uuid(), '{coupon}', '{at}', released, gen_random_uuid(), {tag}, ''
                 from unnest(array[null, now()]) as released;
                 update coupons set redeemed = redeemed + 1, released = released + 1 where coupon_id = '{coupon}';
                 insert into redemption_quarters as q
                 values ({team}, date_bin('15 minutes', '{at}'::timestamptz, 'epoch'), '{coupon}', {tag}, 1)
                 on conflict (team_id, quarter, coupon_id, tag_id) do update set redemptions = q.redemptions + 1"
            );
            sql.batch_execute(&insert).await.unwrap();
        }
        super::assert_adds_up(&sql).await;
    }

    /// Whether a session came from a tap of one of these tags; no tags: any does.
    fn is_of(&self, session: (DateTime<Utc>, Option<Uuid>), tags: &[i32]) -> bool {
        let (at, from) = session;
        tags.is_empty()
            || self.taps.iter().any(|tap| {
                Some(tap.tap_id) == from
                    && tags.contains(&tap.tag.0)
                    && tap.tapped_at >= at - TimeDelta::days(30)
                    && tap.tapped_at <= at + TimeDelta::hours(1)
            })
    }

    /// When each of it happened: of these tags, no tags being all, or of a coupon that they hand out.
    fn of(&self, tags: &[i32], coupon: Option<&str>) -> Stages {
        let of_tag = |tag: i32| tags.is_empty() || tags.contains(&tag);
        let taps = self.taps.iter().filter(|tap| of_tag(tap.tag.0) && tap.class == TapClass::Human);
        let sessions: Vec<_> =
            self.sessions.iter().filter(|(_, at, from)| self.is_of((*at, *from), tags)).collect();
        let of_tags: BTreeMap<Uuid, DateTime<Utc>> =
            sessions.iter().map(|(id, at, _)| (*id, *at)).collect();
        let soon = |at: &DateTime<Utc>, made: &DateTime<Utc>| {
            *made >= *at - TimeDelta::days(30) && *made <= *at + TimeDelta::hours(1)
        };
        let views = self.views.iter().filter(|(at, session, of)| match coupon {
            Some(coupon) => of.as_deref() == Some(coupon),
            None => tags.is_empty() || of_tags.get(session).is_some_and(|made| soon(at, made)),
        });
        let redemptions = self.redemptions.iter().filter(|(_, of, tag)| match coupon {
            Some(coupon) => of == coupon,
            None => of_tag(*tag),
        });
        Stages([
            taps.map(|tap| tap.tapped_at).collect(),
            sessions.iter().map(|(_, at, _)| *at).collect(),
            views.map(|(at, ..)| *at).collect(),
            redemptions.map(|(at, ..)| *at).collect(),
        ])
    }
}

/// When taps, sessions, views and redemptions happened.
struct Stages([Vec<DateTime<Utc>>; 4]);

impl Stages {
    /// Counts them from an instant to before another.
    fn count(&self, start: &str, end: &str) -> FunnelCounts {
        let range = instant(start)..instant(end);
        let count = |nth: usize| self.0[nth].iter().filter(|at| range.contains(at)).count() as f64;
        FunnelCounts {
            taps: count(0),
            sessions: count(1),
            coupon_views: count(2),
            redemptions: count(3),
        }
    }
}

#[test]
fn query_funnel_equals_the_raw_rows_for_any_query() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (desk, coupons, raw) = runtime.block_on(async {
        let desk = Desk::open().await;
        let tags = desk.app.tags(desk.team.id, &["a", "b", "c"]).await;
        let mut coupons = Vec::new();
        for (code, uids) in
            [("of-a", json!(["a"])), ("of-two", json!(["a", "c"])), ("of-any", json!([]))]
        {
            coupons.push(desk.coupon_id(code, json!({"tagUids": uids})).await);
        }
        let raw = Raw::make_up(&tags, &coupons);
        raw.write(&desk.app, desk.team.id.0, &mut Dice(99)).await;
        // Another team has the same of everything.
        let other = desk.app.team("other").await;
        desk.app.tags(other.id, &["a", "b", "c"]).await;
        let mut theirs = Raw::make_up(&tags, &[new_id()]);
        theirs.redemptions.clear();
        theirs.write(&desk.app, other.id.0, &mut Dice(99)).await;
        (desk, coupons, raw)
    });
    let client = runtime.block_on(async { client(&desk.app, &desk.key) });
    let (answered, seen) = (std::cell::Cell::new(0), std::cell::Cell::new([0.0; 4]));
    let ask = (any_range(), 0_i32..8, prop::sample::select(ZONES.to_vec()), 0_i32..7, 0_usize..7);
    let mut runner =
        TestRunner::new(Config { cases: 120, max_shrink_iters: 0, ..Config::default() });
    runner
        .run(&ask, |((start_date, end_date), interval, zone, week_start, whose)| {
            let mut request = QueryFunnelRequest {
                start_date,
                end_date,
                interval,
                time_zone: zone.to_owned(),
                week_start,
                ..QueryFunnelRequest::default()
            };
            let (tags, coupon): (&[i32], _) = match whose {
                0..3 => {
                    ["a", "b", "c"][whose].clone_into(&mut request.tag_uid);
                    ([&[1], &[2], &[3]][whose], None)
                }
                3..6 => {
                    let nth = whose - 3;
                    request.coupon_id.clone_from(&coupons[nth]);
                    let tags: [&[i32]; 3] = [&[1], &[1, 3], &[]];
                    (tags[nth], Some(coupons[nth].as_str()))
                }
                _ => (&[], None),
            };
            let outcome = runtime.block_on(client.clone().query_funnel(request.clone()));
            let answer = match outcome {
                Ok(answer) => answer.into_inner(),
                // Too many buckets.
                Err(status) => {
                    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
                    return Ok(());
                }
            };
            answered.set(answered.get() + 1);
            let stages = raw.of(tags, coupon);
            let stride = answer.buckets.len().div_ceil(300).max(1);
            for bucket in answer.buckets.iter().step_by(stride) {
                let expected = stages.count(&bucket.start, &bucket.end);
                assert_eq!(bucket.counts, Some(expected), "{bucket:?} of {request:?}");
            }
            let (Some(first), Some(last)) = (answer.buckets.first(), answer.buckets.last()) else {
                return Ok(());
            };
            let total = stages.count(&first.start, &last.end);
            assert_eq!(answer.total, Some(total), "{request:?}");
            let mut sums = seen.get();
            for (sum, count) in sums.iter_mut().zip([
                total.taps,
                total.sessions,
                total.coupon_views,
                total.redemptions,
            ]) {
                *sum += count;
            }
            seen.set(sums);
            Ok(())
        })
        .unwrap();
    assert!(answered.get() > 80, "only {} were answered", answered.get());
    assert!(seen.get().iter().all(|sum| *sum > 500.0), "{:?}", seen.get());
}

#[tokio::test]
async fn a_key_that_may_not_see_taps_or_events_sees_no_funnel() {
    let desk = Desk::open().await;
    let day = json!({"startDate": "2020-01-01", "endDate": "2020-01-01"});
    for (scopes, missing) in [
        (vec![Scope::CouponsRead], "taps:read"),
        (vec![Scope::CouponsRead, Scope::EventsRead], "taps:read"),
        (vec![Scope::CouponsRead, Scope::TapsRead], "events:read"),
        (vec![Scope::TapsRead, Scope::EventsRead], "coupons:read"),
    ] {
        let key = desk.app.key(desk.team.id, None, &scopes, None).await;
        let outcome = desk.ask_by(&key, "QueryFunnel", day.clone()).await;
        assert_eq!(outcome.refusal(), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
        let error = outcome.error.as_ref().unwrap();
        assert_eq!(error["details"][0]["metadata"]["scope"], missing, "{error}");
    }
    let scopes = [Scope::CouponsRead, Scope::TapsRead, Scope::EventsRead];
    let key = desk.app.key(desk.team.id, None, &scopes, None).await;
    assert_eq!(desk.ask_by(&key, "QueryFunnel", day.clone()).await.code, Code::Ok);

    for (more, field, reason) in [
        (json!({"tagUid": "a", "couponId": new_id()}), "tag_uid", "CONFLICTING_FIELDS"),
        (json!({"tagUid": "a b"}), "tag_uid", "MALFORMED_TAG_UID"),
        (json!({"couponId": "7"}), "coupon_id", "MALFORMED_UUID"),
        (json!({"endDate": ""}), "end_date", "REQUIRED"),
    ] {
        let bad = desk.violations("QueryFunnel", super::with(day.clone(), more)).await;
        assert_eq!(bad, [(field.to_owned(), reason.to_owned())]);
    }
    let unknown = super::with(day, json!({"couponId": new_id()}));
    assert_eq!(desk.reason("QueryFunnel", unknown).await, "COUPON_NOT_FOUND");
}

#[tokio::test]
async fn taps_of_sessions_are_looked_up_by_their_ids_also_in_tables_that_are_new() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    app.write(team.id, &[tap(tag, "2023-05-01T12:00:00Z")]).await;
    let role = connect(&as_role(&app.store.database_url, "tap_app")).await;
    role.batch_execute(&format!("set app.team_id = '{}'", team.id)).await.unwrap();
    for (name, types, more) in
        [("count_sessions", "int[]", "'{1}'"), ("count_views", "text, int[]", "null, '{1}'")]
    {
        let path = root().join(format!("sql/coupons/{name}.sql"));
        let sql = std::fs::read_to_string(path).unwrap();
        let prepare = format!(
            "prepare {name} (int, timestamptz[], timestamptz, timestamptz, {types}) as {sql}"
        );
        role.batch_execute(&prepare).await.unwrap();
        let explain = format!(
            "explain execute {name} (1, '{{2023-05-01}}', '2023-05-01', '2023-06-01', {more})"
        );
        let rows = role.simple_query(&explain).await.unwrap();
        let plan: Vec<String> = rows
            .iter()
            .filter_map(|row| match row {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .collect();
        let of_taps: Vec<_> =
            plan.iter().filter(|line| line.contains("Scan") && line.contains("on taps_")).collect();
        assert!(!of_taps.is_empty(), "{plan:#?}");
        assert!(of_taps.iter().all(|line| line.contains("tap_id_tapped_at_idx")), "{of_taps:#?}");
    }
}
