//! Making, showing, listing, changing and deleting coupons.

use serde_json::{Value, json};
use tonic::Code;

use super::Desk;

#[tokio::test]
async fn a_coupon_is_made_shown_listed_changed_and_deleted() {
    let desk = Desk::open().await;
    desk.app.tags(desk.team.id, &["a", "b"]).await;
    let made = desk
        .coupon(
            "Coffee-1",
            json!({
                "category": "food",
                "description": "One\nfilter coffee",
                "merchant": "Harbour",
                "store": {"lat": 59.3251, "long": 18.0711, "city": "Stockholm"},
                "publishedAt": "2016-03-05T08:40:51.62Z",
                "expireAt": "2036-03-05T09:40:51+01:00",
                "tagUids": ["b", "a", "b"],
                "maxRedemptions": 10,
                "maxPerSubject": 2,
                "metadata": {"campaign": "spring"},
            }),
        )
        .await;
    assert_eq!(made["publishedAt"], "2016-03-05T08:40:51.620Z");
    assert_eq!(made["expireAt"], "2036-03-05T08:40:51.000Z");
    assert_eq!(made["tagUids"], json!(["a", "b"]));
    assert_eq!(made["state"], "ACTIVE");
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["selfLink"], format!("/v1/coupons/{id}"));
    assert_eq!(desk.answer("GetCoupon", json!({"id": id})).await, made);
    let listed = desk.answer("ListCoupons", json!({})).await;
    assert_eq!(listed["coupons"], json!([made]));

    let edit =
        json!({"id": id, "coupon": {"id": id, "etag": made["etag"], "store": {"city": "Solna"}}});
    let changed = desk.answer("UpdateCoupon", edit.clone()).await;
    assert_eq!(changed["store"], json!({"lat": 59.3251, "long": 18.0711, "city": "Solna"}));
    assert_eq!(changed["title"], made["title"]);
    assert_eq!(
        desk.refusal("UpdateCoupon", edit).await,
        (Code::Aborted, "ETAG_MISMATCH".to_owned())
    );
    assert_eq!(
        desk.answer("DeleteCoupon", json!({"id": id})).await,
        Value::Object(Default::default())
    );
    assert_eq!(
        desk.refusal("GetCoupon", json!({"id": id})).await,
        (Code::NotFound, "COUPON_NOT_FOUND".to_owned())
    );
}

#[tokio::test]
async fn redeem() {
    let desk = Desk::open().await;
    let id = desk.coupon_id("X", json!({"maxRedemptions": 1})).await;
    let one = desk.answer("RedeemCoupon", json!({"id": id, "subject": "s"})).await;
    assert_eq!(
        desk.refusal("RedeemCoupon", json!({"id": id, "subject": "s"})).await,
        (Code::FailedPrecondition, "COUPON_EXHAUSTED".to_owned())
    );
    let check = desk.answer("CheckCoupon", json!({"id": id})).await;
    assert_eq!(check["reasons"][0]["reason"], "COUPON_EXHAUSTED");
    let released = desk.answer("ReleaseRedemption", json!({"id": one["id"]})).await;
    assert!(released["releasedAt"].is_string());
    let got = desk.answer("GetRedemption", json!({"id": one["id"]})).await;
    assert_eq!(got, released);
    desk.answer("RedeemCoupon", json!({"id": id, "subject": "s"})).await;
    let day = json!({"startDate": "2020-01-01", "endDate": "2100-01-01", "groupBy": "COUPON"});
    let counts = desk.answer("QueryRedemptions", day).await;
    assert_eq!(counts["total"], 1.0);
    assert_eq!(counts["groups"][0]["key"], json!(id));
    let day = json!({"startDate": "2020-01-01", "endDate": "2100-01-01", "couponId": id});
    let funnel = desk.answer("QueryFunnel", day).await;
    assert_eq!(funnel["total"]["redemptions"], 1.0);
    for order in ["EXPIRING_FIRST", "PUBLISHED_FIRST", "TITLE", "NEWEST_FIRST"] {
        let listed =
            desk.answer("ListCoupons", json!({"order": order, "state": "EXHAUSTED"})).await;
        assert_eq!(listed["coupons"][0]["id"], json!(id), "{order}");
    }
    let near = json!({"nearLat": 1.0, "nearLong": 2.0, "order": "NEAREST_FIRST"});
    assert_eq!(desk.answer("ListCoupons", near).await.get("coupons"), None);
}
