//! Making and showing coupons: what they may hold, whose codes are whose, and who sees them.

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tonic::Code;

use super::{Desk, ask_at, id_of, ids, with};
use crate::app::{Options, wires::Outcome};

/// So many characters, of four bytes each.
fn long(chars: usize) -> String {
    "\u{1f9e1}".repeat(chars)
}

/// So many pairs, whose keys and values have so many characters.
fn pairs(pairs: usize, key: usize, value: usize) -> Value {
    let pair = |nth: usize| (format!("{nth:02}{}", long(key - 2)), json!(long(value)));
    Value::Object((0..pairs).map(pair).collect())
}

#[tokio::test]
async fn a_coupon_is_made_shown_listed_and_deleted() {
    let desk = Desk::open().await;
    desk.app.tags(desk.team.id, &["a", "b"]).await;
    let sent = json!({
        "category": "food",
        "description": "One\nfilter coffee",
        "merchant": "Harbour",
        "store": {
            "lat": 59.3251, "long": 18.0711, "city": "Stockholm", "phone": "+46 8 555 0101",
            "state": "Stockholm", "street": "Skeppsbron 12", "zip": "111 30",
        },
        "publishedAt": "2016-03-05T08:40:51.620Z",
        "expireAt": "2036-03-05T08:40:51.000Z",
        "tagUids": ["a", "b"],
        "maxRedemptions": 10,
        "maxPerSubject": 2,
        "metadata": {"campaign": "spring"},
    });
    let made =
        desk.coupon("Coffee-1", with(sent.clone(), json!({"tagUids": ["b", "a", "b"]}))).await;
    let id = id_of(&made);
    let expected = with(
        sent,
        json!({
            "id": id, "couponcode": "Coffee-1", "title": "A coupon", "state": "ACTIVE",
            "selfLink": format!("/v1/coupons/{id}"), "etag": "1",
            "createdAt": made["createdAt"], "updatedAt": made["createdAt"],
        }),
    );
    assert_eq!(made, expected);
    assert_eq!(desk.get(&id).await, made);
    assert_eq!(desk.answer("ListCoupons", json!({})).await["coupons"], json!([made]));

    let bare = desk.coupon("bare", json!({})).await;
    let names: Vec<&String> = bare.as_object().unwrap().keys().collect();
    let expected =
        ["couponcode", "createdAt", "etag", "id", "selfLink", "state", "title", "updatedAt"];
    assert_eq!(names, expected, "nothing that was not said");

    assert_eq!(desk.answer("DeleteCoupon", json!({"id": id})).await, json!({}));
    for rpc in ["GetCoupon", "DeleteCoupon", "CheckCoupon", "RedeemCoupon"] {
        let refused = desk.refusal(rpc, json!({"id": id})).await;
        assert_eq!(refused, (Code::NotFound, "COUPON_NOT_FOUND".to_owned()), "{rpc}");
    }
    assert_eq!(desk.coupon("COFFEE-1", json!({})).await["etag"], "1", "the code is free");
}

#[tokio::test]
async fn every_bad_field_is_named_whether_it_is_made_or_changed() {
    let desk = Desk::open().await;
    let there = desk.coupon_id("there", json!({})).await;
    let many: Vec<String> = (0..101).map(|nth| format!("tag-{nth}")).collect();
    for (wrong, field, reason) in [
        (json!({"couponcode": ""}), "couponcode", "REQUIRED"),
        (json!({"couponcode": "a b"}), "couponcode", "MALFORMED_TEXT"),
        (json!({"couponcode": " a"}), "couponcode", "MALFORMED_TEXT"),
        (json!({"couponcode": "a\u{2003}b"}), "couponcode", "MALFORMED_TEXT"),
        (json!({"couponcode": "a\u{7f}"}), "couponcode", "MALFORMED_TEXT"),
        (json!({"couponcode": long(65)}), "couponcode", "TOO_LONG"),
        (json!({"title": ""}), "title", "REQUIRED"),
        (json!({"title": " \u{a0} "}), "title", "REQUIRED"),
        (json!({"title": "a\nb"}), "title", "MALFORMED_TEXT"),
        (json!({"title": long(201)}), "title", "TOO_LONG"),
        (json!({"category": long(101)}), "category", "TOO_LONG"),
        (json!({"category": "a\u{7}"}), "category", "MALFORMED_TEXT"),
        (json!({"merchant": long(201)}), "merchant", "TOO_LONG"),
        (json!({"merchant": "a\u{0}"}), "merchant", "MALFORMED_TEXT"),
        (json!({"description": long(2_001)}), "description", "TOO_LONG"),
        (json!({"description": "a\n\u{1b}[2J"}), "description", "MALFORMED_TEXT"),
        (json!({"store": {"city": long(101)}}), "store.city", "TOO_LONG"),
        (json!({"store": {"phone": "a\tb"}}), "store.phone", "MALFORMED_TEXT"),
        (json!({"store": {"state": long(101)}}), "store.state", "TOO_LONG"),
        (json!({"store": {"street": long(101)}}), "store.street", "TOO_LONG"),
        (json!({"store": {"zip": long(101)}}), "store.zip", "TOO_LONG"),
        (json!({"store": {"lat": 90.000_001, "long": 0}}), "store.lat", "OUT_OF_RANGE"),
        (json!({"store": {"lat": -91, "long": 0}}), "store.lat", "OUT_OF_RANGE"),
        (json!({"store": {"lat": 0, "long": 180.000_001}}), "store.long", "OUT_OF_RANGE"),
        (json!({"store": {"lat": 0, "long": -1e300}}), "store.long", "OUT_OF_RANGE"),
        (json!({"store": {"lat": "NaN", "long": 0}}), "store.lat", "OUT_OF_RANGE"),
        (json!({"store": {"lat": 0, "long": "Infinity"}}), "store.long", "OUT_OF_RANGE"),
        (json!({"store": {"lat": 0}}), "store.long", "REQUIRED"),
        (json!({"store": {"long": 0}}), "store.lat", "REQUIRED"),
        (json!({"publishedAt": "tomorrow"}), "published_at", "MALFORMED_DATE"),
        (json!({"expireAt": "2016-03-05T08:40:51"}), "expire_at", "MALFORMED_DATE"),
        (json!({"expireAt": "0000-12-31T23:59:59Z"}), "expire_at", "DATE_OUT_OF_RANGE"),
        (
            json!({"publishedAt": "2020-01-01T00:00:00.001Z", "expireAt": "2020-01-01T00:00:00Z"}),
            "expire_at",
            "EXPIRES_BEFORE_PUBLISHED",
        ),
        (json!({"tagUids": many}), "tag_uids", "TOO_MANY_TAGS"),
        (json!({"tagUids": ["a", "b c"]}), "tag_uids[1]", "MALFORMED_TAG_UID"),
        (json!({"tagUids": [""]}), "tag_uids[0]", "REQUIRED"),
        (json!({"maxRedemptions": -1}), "max_redemptions", "OUT_OF_RANGE"),
        (json!({"maxPerSubject": -1}), "max_per_subject", "OUT_OF_RANGE"),
        (json!({"metadata": pairs(33, 2, 1)}), "metadata", "TOO_MANY_ATTRIBUTES"),
        (json!({"metadata": pairs(1, 65, 1)}), "metadata", "TOO_LONG"),
        (json!({"metadata": pairs(1, 2, 501)}), "metadata", "TOO_LONG"),
        (json!({"metadata": {"": "x"}}), "metadata", "REQUIRED"),
        (json!({"metadata": {"a\nb": "x"}}), "metadata", "MALFORMED_TEXT"),
    ] {
        let good = json!({"couponcode": "new", "title": "A coupon"});
        let coupon = with(good.clone(), wrong.clone());
        let named = |prefix: &str| vec![(format!("{prefix}{field}"), reason.to_owned())];
        let one = desk.violations("CreateCoupon", json!({"coupon": coupon})).await;
        assert_eq!(one, named("coupon."), "{wrong}");
        let batch = json!({"coupons": [with(good, json!({"couponcode": "x"})), coupon]});
        let of_batch = desk.violations("BatchCreateCoupons", batch).await;
        assert_eq!(of_batch, named("coupons[1]."), "{wrong}");
        let edit = json!({"id": there, "coupon": wrong});
        assert_eq!(desk.violations("UpdateCoupon", edit).await, named("coupon."), "{wrong}");
    }
    for field in ["max_redemptions", "max_per_subject"] {
        let coupon = json!({"couponcode": "new", "title": "x", field: 0});
        let bad = desk.violations("CreateCoupon", json!({"coupon": coupon})).await;
        assert_eq!(bad, [(format!("coupon.{field}"), "OUT_OF_RANGE".to_owned())]);
    }
    let all = json!({"coupon": {"store": {"lat": 91}, "expireAt": "x"}, "requestId": "y"});
    let bad = desk.violations("CreateCoupon", all).await;
    let fields: Vec<&str> = bad.iter().map(|(field, _)| field.as_str()).collect();
    let expected =
        ["request_id", "coupon.couponcode", "coupon.title", "coupon.store.lat", "coupon.expire_at"];
    assert_eq!(fields, expected);
    assert_eq!(ids(&desk.answer("ListCoupons", json!({})).await), [there]);
}

#[tokio::test]
async fn what_is_as_long_as_it_may_be_is_kept_as_it_was_sent() {
    let desk = Desk::open().await;
    let uids: Vec<String> =
        (0..100).map(|nth| format!("tag-{nth:02}-{}", "x".repeat(50))).collect();
    desk.app.tags(desk.team.id, &uids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let store = json!({
        "lat": -90, "long": 180, "city": long(100), "phone": long(100), "state": long(100),
        "street": long(100), "zip": long(100),
    });
    let sent = json!({
        "couponcode": long(64), "title": long(200), "category": long(100), "merchant": long(200),
        "description": format!("{}\r\n\t{}", long(1_000), long(997)), "store": store,
        "publishedAt": "0001-01-01T00:00:00.000Z", "expireAt": "9999-12-31T23:59:59.999Z",
        "tagUids": uids, "maxRedemptions": i32::MAX, "maxPerSubject": i32::MAX,
        "metadata": with(pairs(31, 64, 500), json!({"lines": "a\nb\r\n\tc"})),
    });
    let made = desk.answer("CreateCoupon", json!({"coupon": sent})).await;
    let found = desk.get(&id_of(&made)).await;
    assert_eq!(found, made);
    let number = json!({"lat": -90.0, "long": 180.0});
    let expected = with(sent.clone(), json!({"store": with(sent["store"].clone(), number)}));
    let kept: Map<String, Value> = expected
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (name.clone(), found[name].clone()))
        .collect();
    assert_eq!(Value::Object(kept), expected);
}

#[tokio::test]
async fn a_date_may_have_any_fraction_and_any_offset_and_is_shown_in_one_form() {
    let desk = Desk::open().await;
    let id = desk.coupon_id("x", json!({})).await;
    for (sent, shown) in [
        ("2016-03-05T08:40:51Z", "2016-03-05T08:40:51.000Z"),
        ("2016-03-05T08:40:51.6Z", "2016-03-05T08:40:51.600Z"),
        ("2016-03-05T08:40:51.62Z", "2016-03-05T08:40:51.620Z"),
        ("2016-03-05T08:40:51.620Z", "2016-03-05T08:40:51.620Z"),
        ("2016-03-05T08:40:51.620999999Z", "2016-03-05T08:40:51.620Z"),
        ("2016-03-05T09:40:51.620+01:00", "2016-03-05T08:40:51.620Z"),
        ("2016-03-05T00:10:51-08:30", "2016-03-05T08:40:51.000Z"),
        ("2016-03-05T08:40:51-00:00", "2016-03-05T08:40:51.000Z"),
        ("2016-02-29T24:00:00Z", ""),
        ("1969-12-31T23:59:59.9995Z", "1969-12-31T23:59:59.999Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999Z"),
        ("2016-03-05", ""),
        ("2016-02-30T00:00:00Z", ""),
        ("2016-03-05T08:40:51", ""),
        ("05.03.2016", ""),
        ("1457167251", ""),
        ("10000-01-01T00:00:00Z", ""),
        ("0000-12-31T23:59:59.999Z", "year"),
        ("0001-01-01T00:00:00+00:01", "year"),
        ("9999-12-31T23:59:59-00:01", "year"),
    ] {
        for field in ["publishedAt", "expireAt"] {
            let edit =
                json!({"id": id, "coupon": {field: sent}, "updateMask": "publishedAt,expireAt"});
            match shown {
                "" | "year" => {
                    let reason =
                        if shown.is_empty() { "MALFORMED_DATE" } else { "DATE_OUT_OF_RANGE" };
                    let bad = desk.violations("UpdateCoupon", edit).await;
                    assert_eq!((bad.len(), bad[0].1.as_str()), (1, reason), "{sent}");
                }
                shown => {
                    assert_eq!(desk.answer("UpdateCoupon", edit).await[field], shown, "{sent}");
                    assert_eq!(desk.get(&id).await[field], shown, "{sent}");
                }
            }
        }
    }
    // It may end in the moment in which it begins.
    let at = "2020-01-01T00:00:00Z";
    desk.coupon("never", json!({"publishedAt": at, "expireAt": at})).await;
}

#[tokio::test]
async fn a_code_is_that_of_one_coupon_whatever_the_case() {
    let desk = Desk::open().await;
    let (_other, door) = desk.replica(Options::default()).await;
    let taken = (Code::AlreadyExists, "COUPONCODE_TAKEN".to_owned());
    for (first, second) in [
        ("Coffee", "cOFFEE"),
        ("\u{c4}PFEL", "\u{e4}pfel"),
        ("STRASSE", "stra\u{df}e"),
        ("\u{17f}", "S"),
    ] {
        desk.coupon(first, json!({})).await;
        let again = json!({"coupon": {"couponcode": second, "title": "x"}});
        assert_eq!(desk.refusal("CreateCoupon", again).await, taken, "{first} {second}");
    }
    // At once, of both replicas.
    let callers = (0..8).map(|nth| {
        let code: String = "together"
            .chars()
            .enumerate()
            .map(|(at, c)| if at == nth { c.to_ascii_uppercase() } else { c })
            .collect();
        let door = if nth % 2 == 0 { &desk.door } else { &door };
        ask_at(
            door,
            &desk.key,
            "CreateCoupon",
            json!({"coupon": {"couponcode": code, "title": "x"}}),
        )
    });
    let (made, refused): (Vec<_>, Vec<_>) =
        join_all(callers).await.into_iter().partition(|outcome| outcome.code == Code::Ok);
    assert_eq!(made.len(), 1);
    assert!(refused.iter().all(|outcome| outcome.refusal() == taken), "{refused:?}");
    let found = desk.answer("ListCoupons", json!({"couponcode": "TOGETHER"})).await;
    assert_eq!(ids(&found), [id_of(made[0].answer())]);
    // The same of changes, and of what is made as others are changed.
    let mut others = Vec::new();
    for nth in 0..4 {
        others.push(desk.coupon_id(&format!("other-{nth}"), json!({})).await);
    }
    let changes = others.iter().enumerate().map(|(nth, id)| {
        let door = if nth % 2 == 0 { &desk.door } else { &door };
        let edit = json!({"id": id, "coupon": {"couponcode": format!("again-{}", "X".repeat(9))}});
        ask_at(door, &desk.key, "UpdateCoupon", edit)
    });
    let new = json!({"coupon": {"couponcode": "AGAIN-xxxxxxxxx", "title": "x"}});
    let (mut all, new) = tokio::join!(join_all(changes), desk.ask("CreateCoupon", new));
    all.push(new);
    assert_eq!(all.iter().filter(|outcome| outcome.code == Code::Ok).count(), 1, "{all:?}");
    let others = all.iter().filter(|outcome| outcome.code != Code::Ok);
    assert!(others.map(Outcome::refusal).all(|refusal| refusal == taken));
    // Another team may have it.
    let stranger = desk.stranger().await;
    let same = json!({"coupon": {"couponcode": "Coffee", "title": "x"}});
    assert_eq!(desk.ask_by(&stranger, "CreateCoupon", same).await.code, Code::Ok);
}

#[tokio::test]
async fn a_batch_is_made_whole_or_not_at_all() {
    let desk = Desk::open().await;
    desk.coupon("There", json!({})).await;
    let coupon = |code: &str| json!({"couponcode": code, "title": "x"});
    let batch = |codes: &[&str]| json!({"coupons": codes.iter().map(|code| coupon(code)).collect::<Vec<_>>()});
    let bad = desk.violations("BatchCreateCoupons", batch(&["a", "b", "A", "", "", "B"])).await;
    let expected = [
        ("coupons[2].couponcode", "DUPLICATE_COUPONCODE"),
        ("coupons[3].couponcode", "REQUIRED"),
        ("coupons[4].couponcode", "REQUIRED"),
        ("coupons[5].couponcode", "DUPLICATE_COUPONCODE"),
    ];
    let bad: Vec<_> = bad.iter().map(|(field, reason)| (field.as_str(), reason.as_str())).collect();
    assert_eq!(bad, expected);
    let refused = desk.ask("BatchCreateCoupons", batch(&["a", "THERE", "b"])).await;
    assert_eq!(refused.refusal(), (Code::AlreadyExists, "COUPONCODE_TAKEN".to_owned()));
    assert!(refused.failure().message.contains("THERE"), "{refused:?}");
    let unknown = json!({"coupons": [coupon("a"), with(coupon("b"), json!({"tagUids": ["no"]}))]});
    assert_eq!(desk.reason("BatchCreateCoupons", unknown).await, "TAG_NOT_FOUND");
    let none = desk.violations("BatchCreateCoupons", json!({})).await;
    assert_eq!(none, [("coupons".to_owned(), "REQUIRED".to_owned())]);
    let many: Vec<Value> = (0..1_001).map(|nth| coupon(&format!("c{nth}"))).collect();
    let bad = desk.violations("BatchCreateCoupons", json!({"coupons": many})).await;
    assert_eq!(bad, [("coupons".to_owned(), "TOO_MANY_COUPONS".to_owned())]);
    let heavy =
        |nth: usize| with(coupon(&format!("c{nth}")), json!({"metadata": pairs(32, 64, 500)}));
    let many: Vec<Value> = (0..40).map(heavy).collect();
    let bad = desk.violations("BatchCreateCoupons", json!({"coupons": many})).await;
    assert_eq!(bad, [("coupons".to_owned(), "TOO_LARGE".to_owned())]);
    assert_eq!(desk.app.scalar::<i64>("select count(*) from coupons").await, 1);

    let many: Vec<Value> = (0..1_000).map(|nth| coupon(&format!("c{nth}"))).collect();
    let made = desk.answer("BatchCreateCoupons", json!({"coupons": many})).await;
    let made = made["coupons"].as_array().unwrap();
    assert!(made.iter().zip(0..).all(|(made, nth)| made["couponcode"] == format!("c{nth}")));
    assert_eq!(desk.app.scalar::<i64>("select count(*) from coupons").await, 1_001);
}
