//! Changing coupons.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tonic::Code;

use super::{Desk, ask_at, id_of, refused, with};
use crate::app::Options;

/// A coupon that has something in every field.
async fn full(desk: &Desk) -> Value {
    desk.app.tags(desk.team.id, &["a", "b"]).await;
    let more = json!({
        "category": "food", "description": "One", "merchant": "Harbour",
        "store": {
            "lat": 59.5, "long": 18.5, "city": "Stockholm", "phone": "1", "state": "2",
            "street": "3", "zip": "4",
        },
        "publishedAt": "2016-03-05T08:40:51.620Z", "expireAt": "2036-03-05T08:40:51.000Z",
        "tagUids": ["a"], "maxRedemptions": 10, "maxPerSubject": 2, "metadata": {"k": "v"},
    });
    desk.coupon("full", more).await
}

/// Without what every change changes.
fn content(coupon: &Value) -> Value {
    let mut coupon = coupon.clone();
    for name in ["etag", "updatedAt", "state", "redeemed"] {
        coupon.as_object_mut().unwrap().remove(name);
    }
    coupon
}

/// The same without a field, of `store` too.
fn without(mut coupon: Value, path: &str) -> Value {
    match path.split_once('.') {
        None => coupon.as_object_mut().unwrap().remove(path),
        Some((outer, inner)) => coupon[outer].as_object_mut().unwrap().remove(inner),
    };
    coupon
}

#[tokio::test]
async fn what_is_not_sent_stays_in_the_store_too() {
    let desk = Desk::open().await;
    let made = full(&desk).await;
    let id = id_of(&made);
    let mut expected = content(&made);
    for (sent, place, now) in [
        (json!({"couponcode": "FULL"}), "/couponcode", json!("FULL")),
        (json!({"category": "drinks"}), "/category", json!("drinks")),
        (json!({"title": "Another"}), "/title", json!("Another")),
        (json!({"description": "a\nb"}), "/description", json!("a\nb")),
        (json!({"merchant": "Pier"}), "/merchant", json!("Pier")),
        (json!({"store": {"city": "Solna"}}), "/store/city", json!("Solna")),
        (json!({"store": {"lat": -0.5}}), "/store/lat", json!(-0.5)),
        (json!({"store": {"zip": "111 30", "phone": ""}}), "/store/zip", json!("111 30")),
        (
            json!({"publishedAt": "2016-01-01T00:00:00Z"}),
            "/publishedAt",
            json!("2016-01-01T00:00:00.000Z"),
        ),
        (
            json!({"expireAt": "2030-01-01T00:00:00Z"}),
            "/expireAt",
            json!("2030-01-01T00:00:00.000Z"),
        ),
        (json!({"tagUids": ["b", "a"]}), "/tagUids", json!(["a", "b"])),
        (json!({"maxRedemptions": 3}), "/maxRedemptions", json!(3)),
        (json!({"maxPerSubject": 1}), "/maxPerSubject", json!(1)),
        (json!({"metadata": {"n": "w"}}), "/metadata", json!({"n": "w"})),
    ] {
        let before = desk.get(&id).await;
        let changed = desk.change(&id, sent.clone()).await;
        if sent["store"]["phone"] == "" {
            expected = without(expected, "store.phone");
        }
        *expected.pointer_mut(place).unwrap() = now;
        assert_eq!(content(&changed), expected, "{sent}");
        assert_ne!(changed["etag"], before["etag"], "{sent}");
        assert_eq!(desk.get(&id).await, changed);
        // Once more: nothing is different, and nothing is changed.
        assert_eq!(desk.change(&id, sent).await, changed);
    }
    assert_eq!(desk.change(&id, json!({"disabled": true})).await["state"], "DISABLED");
    assert_eq!(desk.change(&id, json!({"disabled": false})).await["state"], "ACTIVE");
    // What is empty clears, where that can be empty; 0 is no limit.
    for (sent, path) in [
        (json!({"category": ""}), "category"),
        (json!({"description": ""}), "description"),
        (json!({"merchant": ""}), "merchant"),
        (json!({"publishedAt": ""}), "publishedAt"),
        (json!({"expireAt": ""}), "expireAt"),
        (json!({"maxRedemptions": 0}), "maxRedemptions"),
        (json!({"maxPerSubject": 0}), "maxPerSubject"),
        (json!({"store": {"city": ""}}), "store.city"),
    ] {
        expected = without(expected, path);
        assert_eq!(content(&desk.change(&id, sent.clone()).await), expected, "{sent}");
    }
}

#[tokio::test]
async fn a_mask_names_what_is_changed_and_clears_what_is_not_sent() {
    let desk = Desk::open().await;
    let made = full(&desk).await;
    let id = id_of(&made);
    let back = content(&made);
    let restore = json!({
        "category": "food", "description": "One", "merchant": "Harbour", "store": made["store"],
        "publishedAt": made["publishedAt"], "expireAt": made["expireAt"], "tagUids": ["a"],
        "maxRedemptions": 10, "maxPerSubject": 2, "metadata": {"k": "v"},
    });
    let elsewhere = json!({"title": "no", "category": "no", "store": {"city": "no", "zip": "no"}});
    for path in [
        "category",
        "description",
        "merchant",
        "store",
        "store.city",
        "store.phone",
        "store.state",
        "store.street",
        "store.zip",
        "publishedAt",
        "expireAt",
        "tagUids",
        "maxRedemptions",
        "maxPerSubject",
        "metadata",
    ] {
        let sent = without(elsewhere.clone(), path);
        let sent = if path == "store" { json!({"title": "no"}) } else { sent };
        let edit = json!({"id": id, "coupon": sent, "updateMask": path});
        let cleared = desk.answer("UpdateCoupon", edit).await;
        assert_eq!(content(&cleared), without(back.clone(), path), "{path}");
        assert_eq!(content(&desk.change(&id, restore.clone()).await), back, "{path}");
    }
    let edit = json!({"id": id, "coupon": elsewhere, "updateMask": "store.city,title"});
    let changed = desk.answer("UpdateCoupon", edit).await;
    let store = with(made["store"].clone(), json!({"city": "no"}));
    assert_eq!(content(&changed), with(back.clone(), json!({"title": "no", "store": store})));
    // The whole store is that which is sent.
    let edit = json!({"id": id, "coupon": {"store": {"city": "Solna"}}, "updateMask": "store"});
    assert_eq!(desk.answer("UpdateCoupon", edit).await["store"], json!({"city": "Solna"}));
    let edit = json!({"id": id, "coupon": {"disabled": true}, "updateMask": "disabled"});
    assert_eq!(desk.answer("UpdateCoupon", edit).await["disabled"], true);
    let edit = json!({"id": id, "coupon": {}, "updateMask": "disabled"});
    assert_eq!(desk.answer("UpdateCoupon", edit).await.get("disabled"), None);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_and_named() {
    let desk = Desk::open().await;
    let made = full(&desk).await;
    let id = id_of(&made);
    let another = desk.coupon_id("another", json!({})).await;
    for (coupon, mask, field, reason) in [
        (json!({}), "", "update_mask", "NOTHING_TO_CHANGE"),
        (json!({"id": id, "etag": "1"}), "", "update_mask", "NOTHING_TO_CHANGE"),
        (json!({"tagUids": [], "metadata": {}}), "", "update_mask", "NOTHING_TO_CHANGE"),
        (json!({"store": {}}), "", "update_mask", "NOTHING_TO_CHANGE"),
        (json!({"title": "x"}), "state", "update_mask", "UNKNOWN_FIELD"),
        (json!({"title": "x"}), "title,store.planet", "update_mask", "UNKNOWN_FIELD"),
        (json!({"title": "x"}), "coupon.title", "update_mask", "UNKNOWN_FIELD"),
        (json!({"title": "x"}), "etag", "update_mask", "UNKNOWN_FIELD"),
        (json!({"title": "x"}), "title,id", "update_mask", "IMMUTABLE_FIELD"),
        (json!({"id": another, "title": "x"}), "", "coupon.id", "IMMUTABLE_FIELD"),
        (json!({"id": "", "title": "x"}), "", "coupon.id", "IMMUTABLE_FIELD"),
        (json!({}), "title", "coupon.title", "REQUIRED"),
        (json!({}), "couponcode", "coupon.couponcode", "REQUIRED"),
        (json!({}), "store.lat", "coupon.store.lat", "REQUIRED"),
        (
            json!({"expireAt": "2016-03-05T08:40:51.619Z"}),
            "",
            "coupon.expire_at",
            "EXPIRES_BEFORE_PUBLISHED",
        ),
        (
            json!({"publishedAt": "2036-03-05T08:40:51.001Z"}),
            "",
            "coupon.expire_at",
            "EXPIRES_BEFORE_PUBLISHED",
        ),
    ] {
        let edit = json!({"id": id, "coupon": coupon, "updateMask": mask});
        let bad = desk.violations("UpdateCoupon", edit).await;
        assert_eq!(bad, [(field.to_owned(), reason.to_owned())], "{coupon} {mask}");
    }
    let code = json!({"id": id, "coupon": {"couponcode": "ANOTHER"}});
    let taken = (Code::AlreadyExists, "COUPONCODE_TAKEN".to_owned());
    assert_eq!(desk.refusal("UpdateCoupon", code).await, taken);
    assert_eq!(desk.get(&id).await, made);
    let same = json!({"id": id.to_uppercase(), "title": "x"});
    assert_eq!(desk.change(&id, same).await["title"], "x");
}

#[tokio::test]
async fn a_change_that_names_an_etag_is_made_only_if_nobody_was_faster() {
    let desk = Desk::open().await;
    let (_other, door) = desk.replica(Options::default()).await;
    let made = desk.coupon("x", json!({})).await;
    let id = id_of(&made);
    let mismatch = (Code::Aborted, "ETAG_MISMATCH".to_owned());
    let (mut etag, rounds) = (made["etag"].clone(), 5);
    for round in 0..rounds {
        let callers = (0..8).map(|nth| {
            let coupon = json!({"title": format!("{round} {nth}"), "etag": etag});
            let door = if nth % 2 == 0 { &desk.door } else { &door };
            ask_at(door, &desk.key, "UpdateCoupon", json!({"id": id, "coupon": coupon}))
        });
        let (changed, refused): (Vec<_>, Vec<_>) =
            join_all(callers).await.into_iter().partition(|outcome| outcome.code == Code::Ok);
        assert_eq!(changed.len(), 1);
        assert!(refused.iter().all(|outcome| outcome.refusal() == mismatch), "{refused:?}");
        assert_eq!(&desk.get(&id).await, changed[0].answer());
        etag = changed[0].answer()["etag"].clone();
    }
    // A redemption is no change, and keeps the etag.
    desk.redeem(&id, "").await;
    assert_eq!(desk.get(&id).await["etag"], etag);
    for wrong in ["1", "no such thing", "-1", " "] {
        let edit = json!({"id": id, "coupon": {"description": "x", "etag": wrong}});
        assert_eq!(desk.refusal("UpdateCoupon", edit).await, mismatch, "{wrong:?}");
        let delete = json!({"id": id, "etag": wrong});
        assert_eq!(desk.refusal("DeleteCoupon", delete).await, mismatch, "{wrong:?}");
    }
    for any in ["*", ""] {
        desk.change(&id, json!({"description": format!("{any}!"), "etag": any})).await;
    }
    let now = desk.get(&id).await["etag"].clone();
    let deleted = desk.answer("DeleteCoupon", json!({"id": id, "etag": now})).await;
    assert!(deleted["archived"]["archivedAt"].is_string());
}

#[tokio::test]
async fn once_it_was_redeemed_its_terms_are_fixed() {
    let desk = Desk::open().await;
    let id = id_of(&full(&desk).await);
    desk.change(&id, json!({"maxRedemptions": 9})).await;
    let redemption = desk.redeem(&id, "ann").await;
    let fixed = refused("COUPON_TERMS_FIXED");
    let terms = [
        (json!({"couponcode": "FULL"}), "couponcode"),
        (json!({"category": "drinks"}), "category"),
        (json!({"title": "Another"}), "title"),
        (json!({"merchant": "Pier"}), "merchant"),
        (json!({"store": {"city": "Solna"}}), "store"),
        (json!({"store": {"lat": 1.5}}), "store"),
        (json!({"publishedAt": ""}), "published_at"),
        (json!({"maxRedemptions": 10}), "max_redemptions"),
        (json!({"maxRedemptions": 1}), "max_redemptions"),
        (json!({"maxRedemptions": 0}), "max_redemptions"),
        (json!({"maxPerSubject": 3}), "max_per_subject"),
    ];
    let before = desk.get(&id).await;
    for given_back in [false, true] {
        if given_back {
            desk.answer("ReleaseRedemption", json!({"id": redemption["id"]})).await;
        }
        for (sent, term) in &terms {
            let sent = with(sent.clone(), json!({"description": "not this either"}));
            let refused = desk.ask("UpdateCoupon", json!({"id": id, "coupon": sent})).await;
            assert_eq!(refused.refusal(), fixed, "{sent}");
            let text = format!("fixed: {term} cannot");
            assert!(refused.failure().message.contains(&text), "{refused:?}");
        }
    }
    let mut now = desk.get(&id).await;
    assert_eq!(content(&now), content(&before), "it was given back, and is as it was");
    // What it is already may be said again.
    let same = json!({"title": "A coupon", "maxRedemptions": 9, "store": {"city": "Stockholm"}});
    assert_eq!(desk.change(&id, same).await, now);
    for (sent, state) in [
        (json!({"description": "Another"}), "ACTIVE"),
        (json!({"expireAt": "2020-01-01T00:00:00Z"}), "EXPIRED"),
        (json!({"expireAt": ""}), "ACTIVE"),
        (json!({"disabled": true}), "DISABLED"),
        (json!({"disabled": false}), "ACTIVE"),
        (json!({"tagUids": ["b"]}), "ACTIVE"),
        (json!({"metadata": {"n": "w"}}), "ACTIVE"),
    ] {
        let changed = desk.change(&id, sent.clone()).await;
        assert_eq!(changed["state"], state, "{sent}");
        assert_ne!(changed["etag"], now["etag"], "{sent}");
        now = changed;
    }
    let early = json!({"id": id, "coupon": {"expireAt": "2016-01-01T00:00:00Z"}});
    let bad = desk.violations("UpdateCoupon", early).await;
    assert_eq!(bad, [("coupon.expire_at".to_owned(), "EXPIRES_BEFORE_PUBLISHED".to_owned())]);
}
