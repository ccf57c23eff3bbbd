//! Listing coupons: by state, by what they say, by where they are, and in every order.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use tap_analytics::coupons::model::Terms;

use super::{Desk, with};
use crate::app::{connect, instant, new_database};

/// Such as `["a", "b"]`.
fn codes(answer: &Value) -> Vec<&str> {
    let coupons = answer["coupons"].as_array().into_iter().flatten();
    coupons.map(|coupon| coupon["couponcode"].as_str().unwrap()).collect()
}

impl Desk {
    /// The codes of what is listed, sorted.
    async fn found(&self, asked: Value) -> Vec<String> {
        let answer = self.answer("ListCoupons", asked).await;
        let mut found: Vec<String> = codes(&answer).into_iter().map(str::to_owned).collect();
        found.sort_unstable();
        found
    }
}

#[tokio::test]
async fn coupons_are_found_by_their_state_at_the_moment() {
    let (desk, clock) = Desk::open_at("2026-06-01T12:00:00Z").await;
    desk.coupon("plain", json!({})).await;
    desk.coupon("ends", json!({"expireAt": "2026-06-01T12:00:00.001Z"})).await;
    desk.coupon("ended", json!({"expireAt": "2026-06-01T12:00:00Z"})).await;
    desk.coupon("begins", json!({"publishedAt": "2026-06-01T12:00:00.001Z"})).await;
    desk.coupon("began", json!({"publishedAt": "2026-06-01T12:00:00Z"})).await;
    desk.coupon("off", json!({"disabled": true})).await;
    let never = json!({"disabled": true, "expireAt": "2020-01-01T00:00:00Z", "publishedAt": "2019-01-01T00:00:00Z"});
    desk.coupon("off-ended", never).await;
    let used = desk.coupon_id("used", json!({"maxRedemptions": 1})).await;
    desk.redeem(&used, "").await;
    let used = desk
        .coupon_id(
            "used-ends",
            json!({"maxRedemptions": 1, "expireAt": "2026-06-01T12:00:00.001Z"}),
        )
        .await;
    desk.redeem(&used, "").await;
    let gone = desk.coupon_id("archived", json!({})).await;
    desk.redeem(&gone, "").await;
    desk.answer("DeleteCoupon", json!({"id": gone})).await;

    let all =
        ["began", "begins", "ended", "ends", "off", "off-ended", "plain", "used", "used-ends"];
    let cases: [(&str, &[&str]); 8] = [
        ("ANY", &all),
        ("VALID", &["began", "begins", "ends", "off", "plain", "used", "used-ends"]),
        ("INVALID", &["ended", "off-ended"]),
        ("SCHEDULED", &["begins"]),
        ("ACTIVE", &["began", "ends", "plain"]),
        ("EXPIRED", &["ended"]),
        ("EXHAUSTED", &["used", "used-ends"]),
        ("DISABLED", &["off", "off-ended"]),
    ];
    for (state, expected) in cases {
        for order in ["NEWEST_FIRST", "TITLE"] {
            let asked = json!({"state": state, "order": order});
            assert_eq!(desk.found(asked).await, *expected, "{state} {order}");
        }
        if !["ANY", "VALID", "INVALID"].contains(&state) {
            let answer = desk.answer("ListCoupons", json!({"state": state})).await;
            for coupon in answer["coupons"].as_array().unwrap() {
                // The first of an enum is left out.
                let shown = coupon["state"].as_str().unwrap_or("SCHEDULED");
                assert_eq!(shown, state, "{coupon}");
            }
        }
    }
    let archived = json!({"state": "DISABLED", "includeArchived": true});
    assert_eq!(desk.found(archived).await, ["archived", "off", "off-ended"]);
    // A millisecond later.
    clock.set(instant("2026-06-01T12:00:00.001Z"));
    assert_eq!(desk.found(json!({"state": "SCHEDULED"})).await, [""; 0]);
    assert_eq!(desk.found(json!({"state": "ACTIVE"})).await, ["began", "begins", "plain"]);
    assert_eq!(desk.found(json!({"state": "EXPIRED"})).await, ["ended", "ends", "used-ends"]);
    assert_eq!(desk.found(json!({"state": "EXHAUSTED"})).await, ["used"]);
}

#[tokio::test]
async fn coupons_are_found_by_what_they_say_whatever_the_case() {
    let desk = Desk::open().await;
    desk.app.tags(desk.team.id, &["a", "b", "c"]).await;
    let one = json!({"category": "Food", "merchant": "\u{c4}pfel & Birnen", "tagUids": ["a", "b"]});
    desk.coupon("One", one).await;
    desk.coupon("two", json!({"category": "fOOD", "merchant": "Pier", "tagUids": ["b"]})).await;
    desk.coupon("three", json!({"category": "food court", "merchant": "Pier"})).await;
    let cases: [(Value, &[&str]); 14] = [
        (json!({"category": "food"}), &["One", "two"]),
        (json!({"category": "FOOD COURT"}), &["three"]),
        (json!({"category": "foo"}), &[]),
        (json!({"category": "food%"}), &[]),
        (json!({"merchant": "\u{e4}pFEL & birnen"}), &["One"]),
        (json!({"merchant": "PIER"}), &["three", "two"]),
        (json!({"merchant": "pier", "category": "food"}), &["two"]),
        (json!({"couponcode": "ONE"}), &["One"]),
        (json!({"couponcode": "TWO", "merchant": "Harbour"}), &[]),
        (json!({"couponcode": "nobodys"}), &[]),
        (json!({"tagUid": "a"}), &["One"]),
        (json!({"tagUid": "b"}), &["One", "two"]),
        (json!({"tagUid": "b", "state": "ACTIVE", "couponcode": "two"}), &["two"]),
        (json!({"tagUid": "c"}), &[]),
    ];
    for (asked, expected) in cases {
        for order in ["NEWEST_FIRST", "EXPIRING_FIRST"] {
            let found = desk.found(with(asked.clone(), json!({"order": order}))).await;
            assert_eq!(found, *expected, "{asked} {order}");
        }
    }
}

#[tokio::test]
async fn coupons_are_found_near_a_point_and_their_distances_are_right() {
    let desk = Desk::open().await;
    for (code, lat, long) in [
        ("stockholm", 59.3293, 18.0686),
        ("munich", 48.1351, 11.5820),
        ("sydney", -33.8688, 151.2093),
        ("fiji-west", -17.0, 179.9),
        ("fiji-east", -17.0, -179.9),
        ("north-pole", 90.0, 0.0),
        ("by-the-pole", 89.9, 180.0),
        ("south-pole", -90.0, 77.0),
        ("null-island", 0.0, 0.0),
    ] {
        desk.coupon(code, json!({"store": {"lat": lat, "long": long}})).await;
    }
    desk.coupon("nowhere", json!({"store": {"city": "Stockholm"}})).await;
    // From where, to which, and how far: along great circles of a sphere.
    for (lat, long, code, km) in [
        (59.3293, 18.0686, "stockholm", 0.0),
        (59.3293, 18.0686, "munich", 1_314.0),
        (59.3293, 18.0686, "sydney", 15_590.0),
        (-17.0, 179.9, "fiji-east", 21.27),
        (-17.0, -180.0, "fiji-west", 10.63),
        (-17.0, 180.0, "fiji-east", 10.63),
        (90.0, 135.0, "north-pole", 0.0),
        (89.9, 0.0, "by-the-pole", 22.24),
        (90.0, -180.0, "south-pole", 20_015.0),
        (0.0, 180.0, "null-island", 20_015.0),
        (0.0, -1.0, "null-island", 111.2),
    ] {
        let near = json!({"nearLat": lat, "nearLong": long, "radiusKm": 20_100});
        let answer = desk.answer("ListCoupons", near).await;
        let coupons = answer["coupons"].as_array().unwrap();
        assert_eq!(coupons.len(), 9, "what says no point is nowhere");
        let found = coupons.iter().find(|coupon| coupon["couponcode"] == code).unwrap();
        let shown = found["distanceKm"].as_f64().unwrap();
        assert!((shown - km).abs() <= km * 0.01 + 1e-6, "{code} {shown} {km}");
    }
    let from = |radius: f64| json!({"nearLat": 59.3, "nearLong": 18.0, "radiusKm": radius, "order": "NEAREST_FIRST"});
    let cases: [(f64, &[&str]); 4] = [
        (1.0, &[]),
        (0.0, &["stockholm"]),
        (1_400.0, &["stockholm", "munich"]),
        (3_500.0, &["stockholm", "munich", "north-pole", "by-the-pole"]),
    ];
    for (radius, expected) in cases {
        let answer = desk.answer("ListCoupons", from(radius)).await;
        assert_eq!(codes(&answer), *expected, "{radius}");
    }
    let across = json!({"nearLat": -17, "nearLong": 179.95, "radiusKm": 20, "order": "TITLE"});
    assert_eq!(desk.found(across).await, ["fiji-east", "fiji-west"]);
    for order in ["NEWEST_FIRST", "TITLE", "EXPIRING_FIRST"] {
        let listed = desk.answer("ListCoupons", json!({"order": order})).await;
        let distances = listed["coupons"].as_array().unwrap().iter();
        let distances = distances.filter_map(|coupon| coupon.get("distanceKm"));
        assert_eq!(distances.count(), 0, "no point, no distance: {order}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_of_a_list_is_named() {
    let desk = Desk::open().await;
    let long = "x".repeat(201);
    for (asked, field, reason) in [
        (json!({"nearLat": 1}), "near_long", "REQUIRED"),
        (json!({"nearLong": 1}), "near_lat", "REQUIRED"),
        (json!({"nearLat": 90.1, "nearLong": 0}), "near_lat", "OUT_OF_RANGE"),
        (json!({"nearLat": 0, "nearLong": "NaN"}), "near_long", "OUT_OF_RANGE"),
        (json!({"nearLat": 0, "nearLong": 0, "radiusKm": -1}), "radius_km", "OUT_OF_RANGE"),
        (json!({"nearLat": 0, "nearLong": 0, "radiusKm": 20_100.1}), "radius_km", "OUT_OF_RANGE"),
        (json!({"nearLat": 0, "nearLong": 0, "radiusKm": "NaN"}), "radius_km", "OUT_OF_RANGE"),
        (json!({"order": "NEAREST_FIRST"}), "near_lat", "REQUIRED"),
        (json!({"order": 9}), "order", "UNKNOWN_VALUE"),
        (json!({"state": 8}), "state", "UNKNOWN_VALUE"),
        (json!({"category": long}), "category", "TOO_LONG"),
        (json!({"merchant": long}), "merchant", "TOO_LONG"),
        (json!({"couponcode": long}), "couponcode", "TOO_LONG"),
        (json!({"tagUid": "a b"}), "tag_uid", "MALFORMED_TAG_UID"),
        (json!({"pageSize": -1}), "page_size", "NEGATIVE"),
        (json!({"pageToken": "x"}), "page_token", "MALFORMED_PAGE_TOKEN"),
    ] {
        let bad = desk.violations("ListCoupons", asked.clone()).await;
        assert_eq!(bad, [(field.to_owned(), reason.to_owned())], "{asked}");
    }
}

/// A few instants, so that many are the same.
fn any_instant() -> impl Strategy<Value = DateTime<Utc>> {
    (0_i64..5).prop_map(|millis| instant("2026-06-01T12:00:00Z") + TimeDelta::milliseconds(millis))
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let instant = || prop::option::of(any_instant());
    let archived = prop::bool::weighted(0.2);
    (
        prop::bool::weighted(0.2),
        archived,
        instant(),
        instant(),
        prop::option::of(1_i32..4),
        0_i64..4,
    )
        .prop_map(
            |(disabled, archived, published_at, expire_at, max_redemptions, redeemed)| Terms {
                disabled,
                archived,
                published_at,
                expire_at,
                max_redemptions,
                max_per_subject: None,
                redeemed,
            },
        )
}

#[test]
fn the_state_of_a_coupon_is_the_same_in_sql_and_in_rust() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sql = runtime.block_on(async { connect(&new_database().await).await });
    let mut runner = TestRunner::new(Config { cases: 50, ..Config::default() });
    let statement = "select coupon_state(disabled, archived_at, published_at, expire_at, max_redemptions, redeemed, $7)
        from unnest($1::boolean[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::integer[], $6::bigint[])
            with ordinality as t (disabled, archived_at, published_at, expire_at, max_redemptions, redeemed, nth)
        order by nth";
    let several = prop::collection::vec(any_terms(), 1..200);
    runner
        .run(&(several, any_instant()), |(terms, at)| {
            let disabled: Vec<bool> = terms.iter().map(|terms| terms.disabled).collect();
            let archived: Vec<_> = terms.iter().map(|terms| terms.archived.then_some(at)).collect();
            let published: Vec<_> = terms.iter().map(|terms| terms.published_at).collect();
            let expire: Vec<_> = terms.iter().map(|terms| terms.expire_at).collect();
            let max: Vec<_> = terms.iter().map(|terms| terms.max_redemptions).collect();
            let redeemed: Vec<_> = terms.iter().map(|terms| terms.redeemed).collect();
            let rows = runtime
                .block_on(sql.query(
                    statement,
                    &[&disabled, &archived, &published, &expire, &max, &redeemed, &at],
                ))
                .unwrap();
            for (row, terms) in rows.iter().zip(&terms) {
                prop_assert_eq!(row.get::<_, &str>(0), terms.state(at).as_str(), "{:?}", terms);
            }
            prop_assert_eq!(rows.len(), terms.len());
            Ok(())
        })
        .unwrap();
}
