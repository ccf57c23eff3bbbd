//! Redeeming coupons and giving that back: how often, by whom, and by which tag.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tonic::Code;

use super::{Desk, ask_at, id_of, new_id, refused, with};
use crate::app::{Options, instant, tap, wires::Outcome};

/// Those that were redeemed, and the reasons of the others by how often they were given.
fn sorted(outcomes: &[Outcome]) -> (Vec<&Value>, BTreeMap<String, usize>) {
    let (mut redeemed, mut reasons) = (Vec::new(), BTreeMap::new());
    for outcome in outcomes {
        if outcome.code == Code::Ok {
            redeemed.push(outcome.answer());
        } else {
            *reasons.entry(outcome.refusal().1).or_default() += 1;
        }
    }
    (redeemed, reasons)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixty_four_who_come_at_once_to_two_replicas_ten_redeem_what_ten_may() {
    let desk = Desk::open().await;
    let (_other, door) = desk.replica(Options::default()).await;
    let id = desk.coupon_id("x", json!({"maxRedemptions": 10})).await;
    let come = async |callers: usize| {
        let callers = (0..callers).map(|nth| {
            let door = if nth % 2 == 0 { &desk.door } else { &door };
            ask_at(door, &desk.key, "RedeemCoupon", json!({"id": id, "subject": format!("s{nth}")}))
        });
        join_all(callers).await
    };
    let all = come(64).await;
    let (redeemed, reasons) = sorted(&all);
    assert_eq!(
        (redeemed.len(), reasons),
        (10, BTreeMap::from([("COUPON_EXHAUSTED".to_owned(), 54)]))
    );
    let listed = desk.answer("ListRedemptions", json!({"couponId": id})).await;
    let mut listed: Vec<String> =
        listed["redemptions"].as_array().unwrap().iter().map(id_of).collect();
    let mut answered: Vec<String> = redeemed.into_iter().map(id_of).collect();
    listed.sort_unstable();
    answered.sort_unstable();
    assert_eq!(listed, answered);
    let now = desk.get(&id).await;
    assert_eq!((&now["redeemed"], &now["state"]), (&json!(10.0), &json!("EXHAUSTED")));
    desk.assert_adds_up().await;

    // Each one that is given back is a place for one more.
    for released in &answered[..3] {
        desk.answer("ReleaseRedemption", json!({"id": released})).await;
    }
    let again = come(16).await;
    assert_eq!(sorted(&again).0.len(), 3);
    desk.assert_adds_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_subject_redeems_more_than_one_may_however_many_come_at_once() {
    let desk = Desk::open().await;
    let (_other, door) = desk.replica(Options::default()).await;
    for (max, expected) in [(0, 16), (10, 10)] {
        let limits = json!({"maxPerSubject": 2});
        let limits = if max == 0 { limits } else { with(limits, json!({"maxRedemptions": max})) };
        let id = desk.coupon_id(&format!("x{max}"), limits).await;
        let callers = (0..64).map(|nth| {
            let door = if nth / 8 % 2 == 0 { &desk.door } else { &door };
            let subject = format!("s{}", nth % 8);
            ask_at(door, &desk.key, "RedeemCoupon", json!({"id": id, "subject": subject}))
        });
        let all = join_all(callers).await;
        let (redeemed, reasons) = sorted(&all);
        assert_eq!(redeemed.len(), expected, "{reasons:?}");
        let mut by_subject = BTreeMap::new();
        for one in redeemed {
            *by_subject.entry(one["subject"].as_str().unwrap()).or_insert(0) += 1;
        }
        if max == 0 {
            assert!(by_subject.len() == 8 && by_subject.values().all(|times| *times == 2));
            assert_eq!(reasons, BTreeMap::from([("SUBJECT_EXHAUSTED".to_owned(), 48)]));
        } else {
            assert!(by_subject.values().all(|times| *times <= 2), "{by_subject:?}");
            let gravest = reasons.keys().map(String::as_str).collect::<Vec<_>>();
            assert!(gravest.contains(&"COUPON_EXHAUSTED"), "{reasons:?}");
        }
    }
    desk.assert_adds_up().await;
}

#[tokio::test]
async fn a_redemption_is_given_back_once_and_all_counts_follow() {
    let (desk, clock) = Desk::open_at("2026-06-01T12:14:59.999999Z").await;
    desk.app.tags(desk.team.id, &["a"]).await;
    let id = desk.coupon_id("x", json!({"maxRedemptions": 1, "maxPerSubject": 1})).await;
    let request = json!({"id": id, "subject": "zoe", "tagUid": "a"});
    let redeemed = desk.answer("RedeemCoupon", request.clone()).await;
    let expected = json!({
        "id": redeemed["id"], "couponId": id, "couponcode": "x", "subject": "zoe", "tagUid": "a",
        "keyId": desk.app.key_id(desk.team.id, &desk.key).await.to_string(),
        "redeemedAt": "2026-06-01T12:14:59.999Z",
    });
    assert_eq!(redeemed, expected);
    // At noon, and in all.
    let counted = async || {
        let day = json!({"startDate": "2026-06-01", "endDate": "2026-06-01", "interval": "HOUR"});
        let counted = desk.answer("QueryRedemptions", day).await;
        let count = |count: Option<&Value>| count.map_or(0.0, |count| count.as_f64().unwrap());
        [count(counted["buckets"][12].get("count")), count(counted.get("total"))]
    };
    assert_eq!(counted().await, [1.0, 1.0]);

    // In another quarter of an hour: it is taken off where it was counted.
    clock.set(instant("2026-06-01T13:30:00Z"));
    let released = desk.answer("ReleaseRedemption", json!({"id": redeemed["id"]})).await;
    let expected = with(expected, json!({"releasedAt": "2026-06-01T13:30:00.000Z"}));
    assert_eq!(released, expected);
    assert_eq!(counted().await, [0.0, 0.0]);
    desk.assert_adds_up().await;
    clock.set(instant("2026-06-01T13:31:00Z"));
    for _ in 0..2 {
        let again = desk.answer("ReleaseRedemption", json!({"id": redeemed["id"]})).await;
        assert_eq!(again, released, "it stays given back since then");
    }
    assert_eq!(desk.answer("GetRedemption", json!({"id": redeemed["id"]})).await, released);
    let check = desk.answer("CheckCoupon", json!({"id": id, "subject": "zoe"})).await;
    assert_eq!((&check["remaining"], &check["remainingForSubject"]), (&json!(1.0), &json!(1.0)));
    desk.answer("RedeemCoupon", request).await;
    assert_eq!(counted().await, [0.0, 1.0], "it was redeemed an hour later");
    desk.assert_adds_up().await;

    // At once, it is given back once.
    let other = desk.coupon_id("y", json!({})).await;
    let redeemed = desk.redeem(&other, "").await;
    let callers = (0..8).map(|_| desk.ask("ReleaseRedemption", json!({"id": redeemed["id"]})));
    let all = join_all(callers).await;
    assert!(all.iter().all(|outcome| outcome.answer() == all[0].answer()), "{all:?}");
    assert_eq!(desk.app.scalar::<i64>("select max(released) from coupons").await, 1);
    desk.assert_adds_up().await;
    let unknown = desk.refusal("ReleaseRedemption", json!({"id": new_id()})).await;
    assert_eq!(unknown, (Code::NotFound, "REDEMPTION_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn the_tag_of_a_redemption_is_the_one_that_is_named_or_that_of_its_tap() {
    let (desk, _) = Desk::open_at("2026-06-01T12:00:00Z").await;
    let tags = desk.app.tags(desk.team.id, &["a", "b"]).await;
    let other = desk.app.team("another").await;
    let theirs = desk.app.tags(other.id, &["a"]).await;
    let now = instant("2026-06-01T12:00:00Z");
    let at = |before: TimeDelta| (now - before).to_rfc3339();
    let month = TimeDelta::days(30);
    let [fresh, ahead, oldest, too_old] =
        [TimeDelta::minutes(1), -TimeDelta::minutes(30), month, month + TimeDelta::microseconds(1)]
            .map(|before| tap(tags[0], &at(before)));
    desk.app
        .write(desk.team.id, &[fresh.clone(), ahead.clone(), oldest.clone(), too_old.clone()])
        .await;
    let strange = tap(theirs[0], &at(TimeDelta::minutes(1)));
    desk.app.write(other.id, std::slice::from_ref(&strange)).await;

    let id = desk.coupon_id("x", json!({"tagUids": ["b"]})).await;
    let text = |tap: &tap_analytics::taps::model::NewTap| tap.tap_id.to_string();
    for (tap_id, tag_uid, expected) in [
        (text(&fresh), "", json!("a")),
        (text(&ahead), "", json!("a")),
        (text(&oldest), "", json!("a")),
        (text(&too_old), "", Value::Null),
        (text(&strange), "", Value::Null),
        (new_id(), "", Value::Null),
        (String::new(), "", Value::Null),
        (text(&fresh), "b", json!("b")),
        (new_id(), "b", json!("b")),
        (String::new(), "a", json!("a")),
    ] {
        let request = json!({"id": id, "tapId": tap_id, "tagUid": tag_uid});
        let redeemed = desk.answer("RedeemCoupon", request.clone()).await;
        assert_eq!(redeemed.get("tagUid").cloned().unwrap_or_default(), expected, "{request}");
        assert_eq!(redeemed["tapId"].as_str().unwrap_or_default(), tap_id);
        let got = desk.answer("GetRedemption", json!({"id": redeemed["id"]})).await;
        assert_eq!(got, redeemed);
    }
    desk.assert_adds_up().await;
    let before: i64 = desk.app.scalar("select count(*) from redemptions").await;
    let unknown = json!({"id": id, "tapId": text(&fresh), "tagUid": "nobodys"});
    let not_found = (Code::NotFound, "TAG_NOT_FOUND".to_owned());
    assert_eq!(desk.refusal("RedeemCoupon", unknown).await, not_found);
    for (wrong, field, reason) in [
        (json!({"tapId": "7"}), "tap_id", "MALFORMED_UUID"),
        (json!({"tapId": uuid::Uuid::nil().to_string()}), "tap_id", "MALFORMED_UUID"),
        (json!({"tagUid": "a b"}), "tag_uid", "MALFORMED_TAG_UID"),
        (json!({"requestId": "7"}), "request_id", "MALFORMED_UUID"),
    ] {
        let bad = desk.violations("RedeemCoupon", with(json!({"id": id}), wrong)).await;
        assert_eq!(bad, [(field.to_owned(), reason.to_owned())]);
    }
    assert_eq!(desk.app.scalar::<i64>("select count(*) from redemptions").await, before);
}

#[tokio::test]
async fn who_redeems_is_named_where_that_is_limited_and_in_no_error() {
    let desk = Desk::open().await;
    let free = desk.coupon_id("free", json!({})).await;
    let limited = desk.coupon_id("limited", json!({"maxPerSubject": 1})).await;
    let required = [("subject".to_owned(), "REQUIRED".to_owned())];
    assert_eq!(desk.violations("RedeemCoupon", json!({"id": limited})).await, required);
    let (secret, long) = ("Ann Secret".to_owned(), "Secret".repeat(34));
    for (subject, reason) in [(format!("{secret}\n"), "MALFORMED_TEXT"), (long, "TOO_LONG")] {
        for rpc in ["RedeemCoupon", "CheckCoupon"] {
            let outcome = desk.ask(rpc, json!({"id": limited, "subject": subject})).await;
            assert_eq!(outcome.failure().violations[0].0, "subject");
            assert_eq!(outcome.failure().violations[0].1, reason);
            assert!(!format!("{outcome:?}").contains("Secret"), "{outcome:?}");
        }
    }
    let longest = "\u{1f9e1}".repeat(200);
    assert_eq!(desk.redeem(&limited, &longest).await["subject"], json!(longest));
    desk.redeem(&limited, &secret).await;
    let outcome = desk.ask("RedeemCoupon", json!({"id": limited, "subject": secret})).await;
    assert_eq!(outcome.refusal(), refused("SUBJECT_EXHAUSTED"));
    assert!(!format!("{outcome:?}").contains("Secret"), "{outcome:?}");
    // Nobody is somebody else each time, and people are told apart by case.
    for subject in ["", "", "x", "x"] {
        desk.redeem(&free, subject).await;
    }
    desk.redeem(&limited, &secret.to_lowercase()).await;
    // What stands against it anyway is said first.
    desk.change(&limited, json!({"disabled": true})).await;
    assert_eq!(
        desk.refusal("RedeemCoupon", json!({"id": limited})).await,
        refused("COUPON_DISABLED")
    );
}

#[tokio::test]
async fn a_coupon_is_checked_and_redeemed_by_its_code_whatever_the_case() {
    let desk = Desk::open().await;
    let id = desk.coupon_id("Lemon-Ü", json!({"maxRedemptions": 1})).await;
    let by_code = json!({"couponcode": "lEMON-ü", "subject": "s"});
    let check = desk.answer("CheckCoupon", by_code.clone()).await;
    assert_eq!(check["redeemable"], true);
    let redeemed = desk.answer("RedeemCoupon", by_code.clone()).await;
    assert_eq!((&redeemed["couponId"], &redeemed["couponcode"]), (&json!(id), &json!("Lemon-Ü")));
    assert_eq!(
        desk.refusal("RedeemCoupon", by_code.clone()).await,
        (Code::FailedPrecondition, "COUPON_EXHAUSTED".to_owned())
    );
    // Not by that of an archived one, nor of another team's.
    desk.answer("DeleteCoupon", json!({"id": id})).await;
    for rpc in ["CheckCoupon", "RedeemCoupon"] {
        assert_eq!(
            desk.refusal(rpc, by_code.clone()).await,
            (Code::NotFound, "COUPON_NOT_FOUND".to_owned())
        );
        let both = json!({"id": id, "couponcode": "Lemon-Ü", "subject": "s"});
        let conflict = ("couponcode".to_owned(), "CONFLICTING_FIELDS".to_owned());
        assert_eq!(desk.violations(rpc, both).await, [conflict]);
        let neither = ("id".to_owned(), "REQUIRED".to_owned());
        assert_eq!(desk.violations(rpc, json!({"subject": "s"})).await, [neither]);
    }
}
