//! How many coupons a team may have, codes that are made by chance, tags of others, and coupons of others.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tonic::Code;

use super::{Desk, ask_at, id_of, with};
use crate::app::{Options, instant, tap};

fn coupon(code: &str) -> Value {
    json!({"couponcode": code, "title": "x"})
}

#[tokio::test]
async fn a_team_has_no_more_coupons_than_it_may_however_they_are_made() {
    let options = || Options { team_coupons_max: 4, ..Options::default() };
    let desk = Desk::open_with(options()).await;
    let (_other, door) = desk.replica(options()).await;
    let full = (Code::ResourceExhausted, "COUPON_LIMIT".to_owned());
    let many: Vec<Value> = (0..5).map(|nth| coupon(&format!("c{nth}"))).collect();
    assert_eq!(desk.refusal("BatchCreateCoupons", json!({"coupons": many})).await, full);
    let generate = json!({"coupon": {"title": "x"}, "count": 5});
    assert_eq!(desk.refusal("GenerateCoupons", generate).await, full);
    assert_eq!(desk.app.scalar::<i64>("select count(*) from coupons").await, 0);

    let callers = (0..10).map(|nth| {
        let door = if nth % 2 == 0 { &desk.door } else { &door };
        ask_at(door, &desk.key, "CreateCoupon", json!({"coupon": coupon(&format!("x{nth}"))}))
    });
    let (made, refused): (Vec<_>, Vec<_>) =
        join_all(callers).await.into_iter().partition(|outcome| outcome.code == Code::Ok);
    assert_eq!(made.len(), 4);
    assert!(refused.iter().all(|outcome| outcome.refusal() == full), "{refused:?}");

    // One that is archived counts, one that is deleted does not.
    let [archived, deleted] = [0, 1].map(|nth: usize| id_of(made[nth].answer()));
    desk.redeem(&archived, "").await;
    desk.answer("DeleteCoupon", json!({"id": archived})).await;
    assert_eq!(desk.refusal("CreateCoupon", json!({"coupon": coupon("more")})).await, full);
    desk.answer("DeleteCoupon", json!({"id": deleted})).await;
    desk.coupon("more", json!({})).await;
    assert_eq!(desk.refusal("CreateCoupon", json!({"coupon": coupon("yet")})).await, full);
    // Another team has its own.
    let stranger = desk.stranger().await;
    let made = desk.ask_by(&stranger, "CreateCoupon", json!({"coupon": coupon("more")})).await;
    assert_eq!(made.code, Code::Ok);
}

#[tokio::test]
async fn codes_are_made_of_what_people_do_not_take_for_one_another() {
    let desk = Desk::open().await;
    let like = json!({
        "title": "One coffee", "maxRedemptions": 1, "store": {"city": "Solna"},
        "metadata": {"campaign": "spring"},
    });
    let generate = json!({"coupon": like, "count": 1_000});
    let made = desk.answer("GenerateCoupons", generate).await["coupons"].clone();
    let made = made.as_array().unwrap();
    let mut codes = BTreeSet::new();
    for coupon in made {
        let code = coupon["couponcode"].as_str().unwrap();
        let (groups, letters) = (code.split('-').collect::<Vec<_>>(), code.replace('-', ""));
        assert!(groups.iter().all(|group| group.len() == 4) && groups.len() == 3, "{code}");
        assert!(letters.chars().all(|c| "23456789ABCDEFGHJKMNPQRSTUVWXYZ".contains(c)), "{code}");
        assert!(codes.insert(code), "{code} comes twice");
        assert_eq!((&coupon["title"], &coupon["store"]), (&like["title"], &like["store"]));
        assert_eq!(coupon["metadata"], like["metadata"]);
    }
    assert_eq!(codes.len(), 1_000);
    let one = desk.get(&id_of(&made[500])).await;
    assert_eq!(one, made[500]);

    let pattern = json!({"coupon": {"title": "x"}, "count": 3, "pattern": "summer-\u{e4}-#####"});
    let made = desk.answer("GenerateCoupons", pattern).await["coupons"].clone();
    for coupon in made.as_array().unwrap() {
        let code = coupon["couponcode"].as_str().unwrap();
        assert!(code.starts_with("summer-\u{e4}-") && code.chars().count() == 14, "{code}");
    }

    for (wrong, field, reason) in [
        (json!({"coupon": coupon("chosen")}), "coupon.couponcode", "CONFLICTING_FIELDS"),
        (json!({"coupon": {}}), "coupon.title", "REQUIRED"),
        (json!({"count": 0}), "count", "OUT_OF_RANGE"),
        (json!({"count": 1_001}), "count", "OUT_OF_RANGE"),
        (json!({"count": -1}), "count", "OUT_OF_RANGE"),
        (json!({"pattern": "plain"}), "pattern", "MALFORMED_PATTERN"),
        (json!({"pattern": "#### ####"}), "pattern", "MALFORMED_PATTERN"),
        (json!({"pattern": "#".repeat(65)}), "pattern", "MALFORMED_PATTERN"),
        (json!({"pattern": "##"}), "pattern", "TOO_FEW_CODES"),
        (json!({"pattern": "###", "count": 30}), "pattern", "TOO_FEW_CODES"),
        (json!({"requestId": "1"}), "request_id", "MALFORMED_UUID"),
    ] {
        let request = with(json!({"coupon": {"title": "x"}, "count": 1}), wrong.clone());
        let bad = desk.violations("GenerateCoupons", request).await;
        assert_eq!(bad, [(field.to_owned(), reason.to_owned())], "{wrong}");
    }
    let few = json!({"coupon": {"title": "x"}, "count": 29, "pattern": "###"});
    assert_eq!(desk.answer("GenerateCoupons", few).await["coupons"].as_array().unwrap().len(), 29);
}

#[tokio::test]
async fn a_tag_that_is_not_the_teams_is_not_found() {
    let desk = Desk::open().await;
    desk.app.tags(desk.team.id, &["ours"]).await;
    let other = desk.app.team("other").await;
    desk.app.tags(other.id, &["theirs"]).await;
    let id = desk.coupon_id("x", json!({"tagUids": ["ours"]})).await;
    let day = json!({"startDate": "2020-01-01", "endDate": "2020-01-01"});
    for uid in ["theirs", "nobodys"] {
        let new = with(coupon("y"), json!({"tagUids": ["ours", uid]}));
        for (rpc, request) in [
            ("CreateCoupon", json!({"coupon": new})),
            ("GenerateCoupons", json!({"coupon": {"title": "x", "tagUids": [uid]}, "count": 1})),
            ("UpdateCoupon", json!({"id": id, "coupon": {"tagUids": [uid]}})),
            ("ListCoupons", json!({"tagUid": uid})),
            ("RedeemCoupon", json!({"id": id, "tagUid": uid})),
            ("QueryRedemptions", with(day.clone(), json!({"tagUids": [uid]}))),
            ("QueryFunnel", with(day.clone(), json!({"tagUid": uid}))),
        ] {
            let refused = desk.refusal(rpc, request).await;
            assert_eq!(refused, (Code::NotFound, "TAG_NOT_FOUND".to_owned()), "{rpc} {uid}");
        }
    }
    assert_eq!(desk.get(&id).await["tagUids"], json!(["ours"]));
    // A tag that was made in this moment is known.
    desk.app.tags(desk.team.id, &["fresh"]).await;
    assert_eq!(desk.change(&id, json!({"tagUids": ["fresh"]})).await["tagUids"], json!(["fresh"]));
}

#[tokio::test]
async fn another_team_sees_nothing_of_a_coupon_and_can_do_nothing_to_it() {
    let desk = Desk::open().await;
    let tags = desk.app.tags(desk.team.id, &["a"]).await;
    let tapped = tap(tags[0], "2020-01-01T00:00:00Z");
    desk.app.write(desk.team.id, &[tapped]).await;
    let id = desk.coupon_id("x", json!({})).await;
    let redemption = desk.redeem(&id, "zoe").await;
    let before = desk.get(&id).await;
    let stranger = desk.stranger().await;
    let range = json!({"startDate": "2020-01-01", "endDate": "2199-01-01"});
    let of_coupon = with(range.clone(), json!({"couponId": id}));
    let named = with(range.clone(), json!({"couponIds": [id]}));
    for (rpc, request) in [
        ("GetCoupon", json!({"id": id})),
        ("UpdateCoupon", json!({"id": id, "coupon": {"title": "mine"}})),
        ("DeleteCoupon", json!({"id": id})),
        ("CheckCoupon", json!({"id": id, "subject": "zoe"})),
        ("RedeemCoupon", json!({"id": id})),
        ("QueryRedemptions", named),
        ("QueryFunnel", of_coupon),
    ] {
        let refused = desk.ask_by(&stranger, rpc, request).await;
        assert_eq!(refused.refusal(), (Code::NotFound, "COUPON_NOT_FOUND".to_owned()), "{rpc}");
        assert!(!refused.failure().message.contains("zoe"));
    }
    for rpc in ["GetRedemption", "ReleaseRedemption"] {
        let refused = desk.ask_by(&stranger, rpc, json!({"id": redemption["id"]})).await;
        assert_eq!(refused.refusal(), (Code::NotFound, "REDEMPTION_NOT_FOUND".to_owned()), "{rpc}");
    }
    for (rpc, request) in [
        ("ListCoupons", json!({})),
        ("ListCoupons", json!({"couponcode": "x", "includeArchived": true})),
        ("ListRedemptions", json!({})),
        ("ListRedemptions", json!({"couponId": id})),
    ] {
        let listed = desk.ask_by(&stranger, rpc, request).await;
        assert_eq!(listed.answer(), &json!({}), "{rpc}");
    }
    for group in ["NONE", "COUPON", "TAG"] {
        let asked = with(range.clone(), json!({"groupBy": group}));
        let counted = desk.ask_by(&stranger, "QueryRedemptions", asked).await;
        assert_eq!(counted.answer().get("total"), None, "{group}");
        assert_eq!(counted.answer().get("groups"), None, "{group}");
    }
    let funnel = desk.ask_by(&stranger, "QueryFunnel", range.clone()).await;
    assert_eq!(funnel.answer()["total"], json!({}));
    // They are there, for the team itself.
    assert_eq!(desk.get(&id).await, before);
    assert_eq!(desk.answer("QueryRedemptions", range.clone()).await["total"], 1.0);
    let funnel = desk.answer("QueryFunnel", range).await;
    assert_eq!(funnel["total"], json!({"taps": 1.0, "redemptions": 1.0}));
    assert!(instant(redemption["redeemedAt"].as_str().unwrap()) > instant("2020-01-01T00:00:00Z"));
}

#[tokio::test]
async fn what_is_no_id_is_refused_by_every_call() {
    let desk = Desk::open().await;
    for rpc in [
        "GetCoupon",
        "UpdateCoupon",
        "DeleteCoupon",
        "CheckCoupon",
        "RedeemCoupon",
        "GetRedemption",
        "ReleaseRedemption",
    ] {
        for (id, reason) in
            [("", "REQUIRED"), ("7", "MALFORMED_UUID"), ("x\u{0}", "MALFORMED_UUID")]
        {
            let mut request = json!({"id": id});
            if rpc == "UpdateCoupon" {
                request["coupon"] = json!({"title": "x"});
            }
            let bad = desk.violations(rpc, request).await;
            assert_eq!(bad, [("id".to_owned(), reason.to_owned())], "{rpc} {id:?}");
        }
    }
}
