//! Deleting coupons: those that were redeemed are archived.

use serde_json::json;
use tonic::Code;

use super::{Desk, ask_at, id_of, ids, refused};
use crate::app::Options;

#[tokio::test]
async fn one_that_was_redeemed_is_archived_and_its_code_is_free() {
    let desk = Desk::open().await;
    let made = desk.coupon("Code", json!({})).await;
    let id = id_of(&made);
    let redemption = desk.redeem(&id, "").await;
    let archived = desk.answer("DeleteCoupon", json!({"id": id})).await["archived"].clone();
    assert!(archived["archivedAt"].is_string());
    assert_eq!((&archived["state"], &archived["redeemed"]), (&json!("DISABLED"), &json!(1.0)));
    assert_ne!(archived["etag"], made["etag"]);
    assert_eq!(desk.get(&id).await, archived);
    // Again: it is archived, since then.
    assert_eq!(desk.answer("DeleteCoupon", json!({"id": id})).await["archived"], archived);

    let gone = refused("COUPON_ARCHIVED");
    for sent in
        [json!({"description": "x"}), json!({"disabled": false}), json!({"title": "A coupon"})]
    {
        assert_eq!(desk.refusal("UpdateCoupon", json!({"id": id, "coupon": sent})).await, gone);
    }
    assert_eq!(desk.refusal("RedeemCoupon", json!({"id": id})).await, gone);
    assert_eq!(ids(&desk.answer("ListCoupons", json!({})).await), Vec::<String>::new());
    let all = desk.answer("ListCoupons", json!({"includeArchived": true})).await;
    assert_eq!(all["coupons"], json!([archived]));

    let second = desk.coupon_id("CODE", json!({})).await;
    let found =
        desk.answer("ListCoupons", json!({"couponcode": "code", "includeArchived": true})).await;
    assert_eq!(ids(&found), [second.clone(), id.clone()]);
    // What was redeemed stays, and can still be given back.
    let got = desk.answer("GetRedemption", json!({"id": redemption["id"]})).await;
    assert_eq!(got, redemption);
    desk.answer("ReleaseRedemption", json!({"id": redemption["id"]})).await;
    assert_eq!(desk.refusal("RedeemCoupon", json!({"id": id})).await, gone);
    assert_eq!(desk.answer("DeleteCoupon", json!({"id": second})).await, json!({}));
    desk.assert_adds_up().await;
}

#[tokio::test]
async fn one_that_is_redeemed_as_it_is_deleted_is_archived_or_was_never_there() {
    let desk = Desk::open().await;
    let (_other, door) = desk.replica(Options::default()).await;
    for round in 0..10 {
        let id = desk.coupon_id(&format!("c{round}"), json!({})).await;
        let request = json!({"id": id});
        let (redeemed, deleted) = tokio::join!(
            desk.ask("RedeemCoupon", request.clone()),
            ask_at(&door, &desk.key, "DeleteCoupon", request.clone()),
        );
        assert_eq!(deleted.code, Code::Ok, "{deleted:?}");
        if redeemed.code == Code::Ok {
            assert_eq!(deleted.answer()["archived"]["redeemed"], 1.0);
        } else {
            assert_eq!(redeemed.refusal(), (Code::NotFound, "COUPON_NOT_FOUND".to_owned()));
            assert_eq!(deleted.answer(), &json!({}));
        }
    }
    desk.assert_adds_up().await;
}
