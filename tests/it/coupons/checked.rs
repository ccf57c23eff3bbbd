//! When a coupon can be redeemed, and what a check tells of it.

use serde_json::json;
use tonic::Code;

use super::{Desk, new_id, refused, with};
use crate::app::instant;

#[tokio::test]
async fn a_coupon_can_be_redeemed_from_its_first_instant_to_before_its_last() {
    let (desk, clock) = Desk::open_at("2026-06-01T12:00:00Z").await;
    let window = json!({
        "publishedAt": "2026-06-01T12:00:00.001Z", "expireAt": "2026-06-01T12:00:00.003Z",
    });
    let id = desk.coupon_id("x", window).await;
    for (at, reason) in [
        ("2026-06-01T12:00:00Z", "COUPON_SCHEDULED"),
        ("2026-06-01T12:00:00.000999Z", "COUPON_SCHEDULED"),
        ("2026-06-01T12:00:00.001Z", ""),
        ("2026-06-01T12:00:00.002999Z", ""),
        ("2026-06-01T12:00:00.003Z", "COUPON_EXPIRED"),
        ("2099-01-01T00:00:00Z", "COUPON_EXPIRED"),
    ] {
        clock.set(instant(at));
        let outcome = desk.ask("RedeemCoupon", json!({"id": id})).await;
        let check = desk.answer("CheckCoupon", json!({"id": id})).await;
        if reason.is_empty() {
            assert_eq!(outcome.code, Code::Ok, "{at}");
            assert_eq!(check["redeemable"], true, "{at}");
        } else {
            assert_eq!(outcome.refusal(), refused(reason), "{at}");
            assert_eq!(check["reasons"][0]["reason"], reason, "{at}");
        }
    }
    let id = desk.coupon_id("off", json!({"disabled": true})).await;
    assert_eq!(desk.refusal("RedeemCoupon", json!({"id": id})).await, refused("COUPON_DISABLED"));
    desk.change(&id, json!({"disabled": false})).await;
    desk.redeem(&id, "").await;
    desk.answer("DeleteCoupon", json!({"id": id})).await;
    assert_eq!(desk.refusal("RedeemCoupon", json!({"id": id})).await, refused("COUPON_ARCHIVED"));
    assert_eq!(desk.reason("RedeemCoupon", json!({"id": new_id()})).await, "COUPON_NOT_FOUND");
}

#[tokio::test]
async fn a_check_tells_everything_at_once_and_when_it_can_be_redeemed() {
    let (desk, clock) = Desk::open_at("2026-06-01T12:00:00Z").await;
    let told = async |id: &str, subject: &str| {
        let check = desk.answer("CheckCoupon", json!({"id": id, "subject": subject})).await;
        let reasons: Vec<(String, String)> = check["reasons"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| {
                let text = |name: &str| one[name].as_str().unwrap().to_owned();
                assert!(!text("description").contains("zoe"));
                (text("field"), text("reason"))
            })
            .collect();
        assert_eq!(check["redeemable"] == true, reasons.is_empty(), "{check}");
        (reasons, check["nextValidAt"].as_str().unwrap_or("never").to_owned(), check)
    };
    let pair = |field: &str, reason: &str| (field.to_owned(), reason.to_owned());
    let now = "2026-06-01T12:00:00.000Z";

    let plain = desk.coupon_id("plain", json!({})).await;
    let (reasons, next, check) = told(&plain, "zoe").await;
    assert_eq!((reasons.len(), next.as_str()), (0, now));
    assert_eq!((check.get("remaining"), check.get("remainingForSubject")), (None, None));

    let later = "2026-07-01T00:00:00.000Z";
    let limits = json!({"maxRedemptions": 3, "maxPerSubject": 2});
    let id = desk.coupon_id("later", with(limits.clone(), json!({"publishedAt": later}))).await;
    let (reasons, next, check) = told(&id, "").await;
    assert_eq!((reasons, next.as_str()), (vec![pair("published_at", "COUPON_SCHEDULED")], later));
    assert_eq!((&check["remaining"], check.get("remainingForSubject")), (&json!(3.0), None));
    let never = json!({"publishedAt": later, "expireAt": later});
    let id = desk.coupon_id("never", never).await;
    let (reasons, next, _) = told(&id, "").await;
    assert_eq!((reasons, next.as_str()), (vec![pair("published_at", "COUPON_SCHEDULED")], "never"));

    // Everything, one after the other.
    let ends = json!({"expireAt": "2026-06-02T00:00:00Z", "publishedAt": "2026-06-01T00:00:00Z"});
    let id =
        desk.coupon_id("all", with(json!({"maxRedemptions": 2, "maxPerSubject": 2}), ends)).await;
    for left in [1.0, 0.0] {
        desk.redeem(&id, "zoe").await;
        let (_, _, check) = told(&id, "zoe").await;
        assert_eq!(
            (&check["remaining"], &check["remainingForSubject"]),
            (&json!(left), &json!(left))
        );
    }
    let of_subject = pair("max_per_subject", "SUBJECT_EXHAUSTED");
    let used_up = pair("max_redemptions", "COUPON_EXHAUSTED");
    let (reasons, next, _) = told(&id, "zoe").await;
    assert_eq!((reasons, next.as_str()), (vec![used_up.clone(), of_subject.clone()], "never"));
    assert_eq!(told(&id, "bob").await.0, std::slice::from_ref(&used_up));
    clock.set(instant("2026-05-31T00:00:00Z"));
    let scheduled = pair("published_at", "COUPON_SCHEDULED");
    assert_eq!(told(&id, "zoe").await.0, [used_up.clone(), scheduled, of_subject.clone()]);
    clock.set(instant("2026-06-02T00:00:00Z"));
    let expired = pair("expire_at", "COUPON_EXPIRED");
    assert_eq!(told(&id, "zoe").await.0, [expired.clone(), used_up.clone(), of_subject.clone()]);
    desk.change(&id, json!({"disabled": true})).await;
    desk.answer("DeleteCoupon", json!({"id": id})).await;
    let (reasons, next, _) = told(&id, "zoe").await;
    let [archived, disabled] =
        [pair("archived_at", "COUPON_ARCHIVED"), pair("disabled", "COUPON_DISABLED")];
    assert_eq!(reasons, [archived, disabled, expired, used_up, of_subject]);
    assert_eq!(next, "never");
    // Who redeems is told all of it, too, and the gravest as the reason.
    let outcome = desk.ask("RedeemCoupon", json!({"id": id, "subject": "zoe"})).await;
    assert_eq!(outcome.refusal(), refused("COUPON_ARCHIVED"));
    let message = outcome.failure().message;
    for text in ["archived", "disabled", "expired", "2 times", "the subject"] {
        assert!(message.contains(text), "{message}");
    }
    assert!(!message.contains("zoe"), "{message}");
}
