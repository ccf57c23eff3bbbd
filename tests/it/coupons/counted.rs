//! `QueryRedemptions`: what it counts is what is in the ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use tap_analytics::{
    proto::tap_v1::{
        QueryRedemptionsRequest, QueryRedemptionsResponse, QueryTapsRequest, compare,
        coupons_client::CouponsClient, redemption_group_by,
    },
    taps::{buckets, wire},
};
use tonic::{Code, service::interceptor::InterceptedService, transport::Channel};

use super::{Desk, new_id};
use crate::app::{AddKey, App, Options, instant};

/// A client of the whole service that is typed.
pub fn client(app: &App, key: &str) -> CouponsClient<InterceptedService<Channel, AddKey>> {
    let channel = Channel::from_shared(format!("http://{}", app.grpc)).unwrap().connect_lazy();
    CouponsClient::with_interceptor(channel, AddKey(key.to_owned()))
        .max_decoding_message_size(64 * 1024 * 1024)
}

/// A row of the ledger that was not given back.
#[derive(Clone, Debug)]
struct Held {
    at: DateTime<Utc>,
    coupon: String,
    tag: String,
}

/// A small generator.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.roll(all.len() as u64)).unwrap()]
    }
}

/// A range by dates or instants, mostly around changes of the clock.
pub fn any_range() -> impl Strategy<Value = (String, String)> {
    let bound = prop_oneof![
        (0_i64..45).prop_map(|day| {
            (instant("2023-03-08T00:00:00Z") + TimeDelta::days(day)).date_naive().to_string()
        }),
        (0_i64..4_000_000_000_000).prop_map(|micros| {
            (instant("2023-03-08T00:00:00Z") + TimeDelta::microseconds(micros)).to_rfc3339()
        }),
    ];
    prop_oneof![
        3 => (bound.clone(), bound).prop_map(|(one, other)| {
            (one.clone().min(other.clone()), one.max(other))
        }),
        // Short ones, that have room for minutes.
        1 => (0_i64..4_000_000_000, 1_i64..200_000_000_000).prop_map(|(start, length)| {
            let start = instant("2023-03-25T23:30:00Z") + TimeDelta::microseconds(start);
            (start.to_rfc3339(), (start + TimeDelta::microseconds(length)).to_rfc3339())
        }),
    ]
}

pub const ZONES: [&str; 7] = [
    "",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Africa/Cairo",
];

fn any_request(coupons: &[String]) -> impl Strategy<Value = QueryRedemptionsRequest> + use<> {
    let coupons = prop::sample::subsequence(coupons.to_vec(), 0..=3);
    let tags = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    let zone = prop::sample::select(ZONES.to_vec());
    (any_range(), 0_i32..8, zone, 0_i32..7, coupons, tags, 0_i32..3, 1_i32..4, 0_i32..3).prop_map(
        |((start, end), interval, zone, week_start, coupon_ids, tags, group_by, limit, compare)| {
            QueryRedemptionsRequest {
                start_date: start,
                end_date: end,
                interval,
                time_zone: zone.to_owned(),
                week_start,
                coupon_ids,
                tag_uids: tags.into_iter().map(str::to_owned).collect(),
                group_by,
                limit,
                compare,
            }
        },
    )
}

impl Desk {
    /// Redeems these coupons some hundred times over six weeks, many at full quarters of an hour, and gives some of
    /// it back; returns what is held.
    async fn redeem_for_weeks(
        &self,
        clock: &tap_analytics::clock::Clock,
        coupons: &[String],
    ) -> Vec<Held> {
        let (mut dice, start) = (Dice(4711), instant("2023-03-08T00:00:00Z"));
        let mut at: Vec<i64> = (0..100)
            .map(|nth| {
                let micros = i64::try_from(dice.roll(3_900_000_000_000)).unwrap();
                if nth % 4 == 0 { micros / 900_000_000 * 900_000_000 } else { micros }
            })
            .chain((0..60).map(|nth| (17 * 24 + 22) * 3_600_000_000 + nth * 179_999_999))
            .collect();
        // A quota fills with the clock, which must not go back.
        at.sort_unstable();
        let mut all = Vec::new();
        for micros in at {
            clock.set(start + TimeDelta::microseconds(micros));
            let requests: Vec<_> = (0..=dice.roll(3))
                .map(|_| {
                    let tag = dice.pick(&["", "a", "b", "c"]);
                    json!({"id": dice.pick(coupons), "tagUid": tag, "requestId": new_id()})
                })
                .collect();
            let redeemed = requests.into_iter().map(|request| self.answer("RedeemCoupon", request));
            all.extend(join_all(redeemed).await);
        }
        for redemption in &all {
            if dice.roll(4) == 0 {
                self.answer("ReleaseRedemption", json!({"id": redemption["id"]})).await;
            }
        }
        self.assert_adds_up().await;
        let rows = "select redeemed_at, coupon_id::text, coalesce(uid, '') from redemptions
            left join tags using (team_id, tag_id) where team_id = $1 and released_at is null";
        let rows = self.app.sql().await.query(rows, &[&self.team.id.0]).await.unwrap();
        rows.iter()
            .map(|row| Held { at: row.get(0), coupon: row.get(1), tag: row.get(2) })
            .collect()
    }
}

#[test]
fn query_redemptions_equals_the_ledger_for_any_query() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (desk, coupons, held) = runtime.block_on(async {
        let (desk, clock) = Desk::open_at("2023-03-08T00:00:00Z").await;
        desk.app.tags(desk.team.id, &["a", "b", "c"]).await;
        let mut coupons = Vec::new();
        for nth in 0..4 {
            coupons.push(desk.coupon_id(&format!("c{nth}"), json!({})).await);
        }
        let held = desk.redeem_for_weeks(&clock, &coupons).await;
        // Another team's redemptions, which must never be in a count.
        let stranger = desk.stranger().await;
        let new = json!({"coupon": {"couponcode": "c0", "title": "x"}});
        let theirs = desk.ask_by(&stranger, "CreateCoupon", new).await;
        let theirs = json!({"id": theirs.answer()["id"]});
        desk.ask_by(&stranger, "RedeemCoupon", theirs).await.answer();
        (desk, coupons, held)
    });
    assert!(held.len() > 200, "{}", held.len());
    let client = runtime.block_on(async { client(&desk.app, &desk.key) });
    let (answered, counted) = (std::cell::Cell::new(0), std::cell::Cell::new(0.0));
    let mut runner =
        TestRunner::new(Config { cases: 150, max_shrink_iters: 0, ..Config::default() });
    runner
        .run(&any_request(&coupons), |request| {
            let outcome = runtime.block_on(client.clone().query_redemptions(request.clone()));
            match outcome {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    check(&request, &answer, &held);
                    answered.set(answered.get() + 1);
                    counted.set(counted.get() + answer.total);
                }
                // Too many buckets.
                Err(status) => assert_eq!(status.code(), Code::InvalidArgument, "{status:?}"),
            }
            Ok(())
        })
        .unwrap();
    assert!(answered.get() > 100, "only {} were answered", answered.get());
    assert!(counted.get() > 1_000.0, "hardly anything was counted");
}

/// How many of these there are from an instant to before another.
fn count<'a>(
    held: impl IntoIterator<Item = &'a Held>,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> f64 {
    held.into_iter().filter(|one| (start..end).contains(&one.at)).count() as f64
}

/// Counts everything again.
fn check(request: &QueryRedemptionsRequest, answer: &QueryRedemptionsResponse, held: &[Held]) {
    let wanted: Vec<Held> = held
        .iter()
        .filter(|one| request.coupon_ids.is_empty() || request.coupon_ids.contains(&one.coupon))
        .filter(|one| request.tag_uids.is_empty() || request.tag_uids.contains(&one.tag))
        .cloned()
        .collect();
    for bucket in &answer.buckets {
        let expected = count(&wanted, instant(&bucket.start), instant(&bucket.end));
        assert_eq!(bucket.count, expected, "{bucket:?} of {request:?}");
    }
    assert!(answer.buckets.windows(2).all(|pair| pair[0].end == pair[1].start), "no gaps");
    let (Some(first), Some(last)) = (answer.buckets.first(), answer.buckets.last()) else {
        return assert_eq!(answer.total, 0.0);
    };
    let (start, end) = (instant(&first.start), instant(&last.end));
    assert_eq!(answer.total, count(&wanted, start, end), "{request:?}");

    let by_tag = request.group_by == i32::from(redemption_group_by::Value::Tag);
    if request.group_by == 0 {
        assert!(answer.groups.is_empty());
    } else {
        let key = |one: &Held| if by_tag { one.tag.clone() } else { one.coupon.clone() };
        let mut totals: BTreeMap<String, f64> = BTreeMap::new();
        for one in wanted.iter().filter(|one| (start..end).contains(&one.at)) {
            *totals.entry(key(one)).or_default() += 1.0;
        }
        let limit = usize::try_from(request.limit).unwrap();
        let (named, other): (Vec<_>, Vec<_>) = answer.groups.iter().partition(|group| !group.other);
        assert_eq!(named.len(), totals.len().min(limit), "{request:?}");
        assert_eq!(other.len(), usize::from(totals.len() > limit));
        assert!(named.is_sorted_by(|one, next| one.total >= next.total));
        let least = named.last().map_or(0.0, |group| group.total);
        for group in &named {
            assert_eq!(totals.remove(&group.key), Some(group.total), "{group:?}");
            let label = match (by_tag, group.key.as_str()) {
                (true, "") => String::new(),
                (true, uid) => format!("Label of {uid}"),
                (false, _) => "A coupon".to_owned(),
            };
            assert_eq!(group.label, label);
            let of = wanted.iter().filter(|one| key(one) == group.key);
            let counts = answer
                .buckets
                .iter()
                .map(|bucket| count(of.clone(), instant(&bucket.start), instant(&bucket.end)));
            assert_eq!(group.counts, counts.collect::<Vec<_>>(), "{group:?} of {request:?}");
        }
        assert!(totals.values().all(|total| *total <= least), "the largest are named");
        let rest: f64 = other.iter().map(|group| group.total).sum();
        assert_eq!(rest, totals.values().sum::<f64>(), "the rest is in one");
        assert!(other.iter().all(|group| group.counts.iter().sum::<f64>() == group.total));
    }

    if request.compare == i32::from(compare::Value::None) {
        return assert_eq!(answer.comparison, None);
    }
    let query = wire::query(QueryTapsRequest {
        start_date: request.start_date.clone(),
        end_date: request.end_date.clone(),
        interval: request.interval,
        time_zone: request.time_zone.clone(),
        week_start: request.week_start,
        compare: request.compare,
        ..QueryTapsRequest::default()
    })
    .unwrap();
    let bounds = buckets::bounds(&query).unwrap();
    let earlier = buckets::earlier_bounds(&query, &bounds).unwrap();
    let expected: Vec<f64> =
        earlier.windows(2).map(|pair| count(&wanted, pair[0], pair[1])).collect();
    let comparison = answer.comparison.as_ref().unwrap();
    assert_eq!(comparison.counts, expected, "{request:?}");
    assert_eq!(comparison.total, expected.iter().sum::<f64>());
    assert_eq!(comparison.change, answer.total - comparison.total);
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_and_named() {
    let desk = Desk::open_with(Options::default()).await;
    let ids: Vec<String> = (0..101).map(|_| new_id()).collect();
    let uids: Vec<String> = (0..1_001).map(|nth| format!("t{nth}")).collect();
    for (more, field, reason) in [
        (json!({"startDate": ""}), "start_date", "REQUIRED"),
        (json!({"endDate": "2019-12-31"}), "end_date", "END_NOT_AFTER_START"),
        (json!({"timeZone": "Mars"}), "time_zone", "UNKNOWN_TIME_ZONE"),
        (json!({"interval": 9}), "interval", "UNKNOWN_VALUE"),
        (json!({"groupBy": 3}), "group_by", "UNKNOWN_VALUE"),
        (json!({"couponIds": ["7"]}), "coupon_ids[0]", "MALFORMED_UUID"),
        (json!({"couponIds": ids}), "coupon_ids", "TOO_MANY_COUPONS"),
        (json!({"tagUids": uids}), "tag_uids", "TOO_MANY_TAGS"),
        (json!({"interval": "MINUTE", "endDate": "2020-12-31"}), "interval", "TOO_MANY_BUCKETS"),
    ] {
        let day = json!({"startDate": "2020-01-01", "endDate": "2020-01-02"});
        let bad = desk.violations("QueryRedemptions", super::with(day, more.clone())).await;
        assert_eq!(bad, [(field.to_owned(), reason.to_owned())], "{more}");
    }
    let unknown =
        json!({"startDate": "2020-01-01", "endDate": "2020-01-02", "couponIds": [new_id()]});
    assert_eq!(desk.reason("QueryRedemptions", unknown).await, "COUPON_NOT_FOUND");
}
