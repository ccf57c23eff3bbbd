//! Pages of coupons and of redemptions: whatever their size, they are the whole list, each once.

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use super::{Desk, id_of, ids, with};

const ORDERS: [&str; 5] =
    ["NEWEST_FIRST", "EXPIRING_FIRST", "PUBLISHED_FIRST", "TITLE", "NEAREST_FIRST"];
const TITLES: [&str; 7] = ["a", "A", "\u{c4}", "\u{e4}", "a b", "B", "\u{17f} \u{1f9e1}"];

const LONGS: [f64; 4] = [18.0, 18.0, 18.1, -170.0];

/// What lists are sorted by, a few of each, and none.
#[derive(Clone, Debug)]
struct Keys {
    title: usize,
    created: i64,
    expire: Option<i64>,
    published: Option<i64>,
    point: Option<usize>,
}

fn any_keys() -> impl Strategy<Value = Keys> {
    let date = || prop::option::of(0_i64..4);
    (0..TITLES.len(), 0_i64..3, date(), date(), prop::option::of(0_usize..4)).prop_map(
        |(title, created, expire, published, point)| Keys {
            title,
            created,
            expire,
            published,
            point,
        },
    )
}

impl Desk {
    /// All pages of this size, one after another.
    async fn pages(&self, asked: &Value, size: usize) -> Vec<Value> {
        let mut all = Vec::new();
        let mut token = json!("");
        loop {
            let page = json!({"pageSize": size, "pageToken": token});
            let answer = self.answer("ListCoupons", with(asked.clone(), page)).await;
            let found = answer["coupons"].as_array().cloned().unwrap_or_default();
            assert!(found.len() <= size);
            let more = answer.get("nextPageToken").cloned();
            assert!(more.is_none() || !found.is_empty(), "a page that leads on has something");
            all.extend(found);
            assert!(all.len() <= 1_000, "the pages never end");
            match more {
                None => return all,
                Some(next) => token = next,
            }
        }
    }

    /// These coupons and no others.
    async fn keep_only(&self, sql: &tokio_postgres::Client, keys: &[Keys]) {
        sql.batch_execute("delete from coupons").await.unwrap();
        let coupons: Vec<Value> = keys
            .iter()
            .enumerate()
            .map(|(nth, keys)| {
                let date = |year: i64, second: i64| json!(format!("{year}-01-01T00:00:0{second}Z"));
                let mut coupon =
                    json!({"couponcode": format!("c{nth}"), "title": TITLES[keys.title]});
                if let Some(second) = keys.expire {
                    coupon["expireAt"] = date(2099, second);
                }
                if let Some(second) = keys.published {
                    coupon["publishedAt"] = date(2001, second);
                }
                if let Some(point) = keys.point {
                    coupon["store"] = json!({"lat": 60.0, "long": LONGS[point]});
                }
                coupon
            })
            .collect();
        if !coupons.is_empty() {
            self.answer("BatchCreateCoupons", json!({"coupons": coupons})).await;
        }
        let codes: Vec<String> = (0..keys.len()).map(|nth| format!("c{nth}")).collect();
        let created: Vec<i64> = keys.iter().map(|keys| keys.created).collect();
        sql.execute(
            "update coupons set created_at = '2024-01-01Z'::timestamptz + second * interval '1 second'
             from unnest($1::text[], $2::bigint[]) as made (code, second) where code = couponcode",
            &[&codes, &created],
        )
        .await
        .unwrap();
    }
}

/// What a list of this order is sorted by; what comes last has nothing.
fn key(order: &str, coupon: &Value) -> (bool, String) {
    // Later is earlier: texts of one length, with each character turned over.
    let turned =
        |text: &str| -> String { text.bytes().map(|byte| char::from(255 - byte)).collect() };
    let of = |name: &str| coupon[name].as_str();
    match order {
        "NEWEST_FIRST" => (false, turned(of("createdAt").unwrap())),
        "EXPIRING_FIRST" => {
            (of("expireAt").is_none(), of("expireAt").unwrap_or_default().to_owned())
        }
        "PUBLISHED_FIRST" => {
            (of("publishedAt").is_none(), turned(of("publishedAt").unwrap_or_default()))
        }
        "TITLE" => (false, of("title").unwrap().to_lowercase()),
        _ => (false, format!("{:015.6}", coupon["distanceKm"].as_f64().unwrap())),
    }
}

#[test]
fn pages_of_any_size_are_the_sorted_whole_in_every_order() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (desk, sql) = runtime.block_on(async {
        let desk = Desk::open().await;
        let sql = desk.app.sql().await;
        (desk, sql)
    });
    let mut runner =
        TestRunner::new(Config { cases: 25, max_shrink_iters: 0, ..Config::default() });
    let near = json!({"nearLat": 60, "nearLong": 18, "radiusKm": 20_100});
    runner
        .run(&(prop::collection::vec(any_keys(), 0..25), 1_usize..9), |(keys, size)| {
            runtime.block_on(async {
                desk.keep_only(&sql, &keys).await;
                for order in ORDERS {
                    for asked in [json!({}), near.clone()] {
                        if order == "NEAREST_FIRST" && asked == json!({}) {
                            continue;
                        }
                        let asked = with(asked, json!({"order": order}));
                        let whole = desk.pages(&asked, 1_000).await;
                        let expected = keys
                            .iter()
                            .filter(|keys| keys.point.is_some() || asked.get("nearLat").is_none());
                        assert_eq!(whole.len(), expected.count(), "{asked}");
                        assert!(whole.is_sorted_by_key(|coupon| key(order, coupon)), "{whole:?}");
                        let each: BTreeSet<String> = whole.iter().map(id_of).collect();
                        assert_eq!(each.len(), whole.len());
                        assert_eq!(desk.pages(&asked, size).await, whole, "{asked} {size}");
                    }
                }
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_page_token_is_good_for_the_same_question_only() {
    let desk = Desk::open().await;
    desk.app.tags(desk.team.id, &["a"]).await;
    for code in ["a", "b", "c"] {
        desk.coupon(
            code,
            json!({"store": {"lat": 1, "long": 1}, "tagUids": ["a"], "category": "x"}),
        )
        .await;
    }
    let stranger = desk.stranger().await;
    let asked = json!({
        "state": "VALID", "category": "x", "order": "TITLE", "nearLat": 1, "nearLong": 1,
        "radiusKm": 5, "tagUid": "a", "includeArchived": true,
    });
    let first = desk.answer("ListCoupons", with(asked.clone(), json!({"pageSize": 1}))).await;
    let token = json!({"pageToken": first["nextPageToken"]});
    let rest = desk.answer("ListCoupons", with(asked.clone(), token.clone())).await;
    assert_eq!(ids(&rest).len(), 2, "the size may be another");
    let malformed = [("page_token".to_owned(), "MALFORMED_PAGE_TOKEN".to_owned())];
    for other in [
        json!({"state": "ANY"}),
        json!({"category": "X"}),
        json!({"merchant": "y"}),
        json!({"couponcode": "a"}),
        json!({"order": "NEWEST_FIRST"}),
        json!({"nearLat": 1.000_001}),
        json!({"radiusKm": 6}),
        json!({"tagUid": ""}),
        json!({"includeArchived": false}),
    ] {
        let asked = with(with(asked.clone(), token.clone()), other.clone());
        assert_eq!(desk.violations("ListCoupons", asked).await, malformed, "{other}");
    }
    let theirs = desk.ask_by(&stranger, "ListCoupons", with(json!({}), token.clone())).await;
    assert_eq!(theirs.failure().violations[0].1, "MALFORMED_PAGE_TOKEN");
    assert_eq!(desk.violations("ListRedemptions", token).await, malformed);
}

#[tokio::test]
async fn a_page_ends_where_an_answer_is_full_and_the_next_goes_on() {
    let desk = Desk::open().await;
    let wide = "\u{1f9e1}".repeat(500);
    let metadata: Value = (0..32)
        .map(|nth| (format!("{nth}"), json!(wide)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for batch in 0..5 {
        let coupon = |nth: usize| json!({"couponcode": format!("c{batch}-{nth}"), "title": "x", "metadata": metadata});
        let coupons: Vec<Value> = (0..10).map(coupon).collect();
        desk.answer("BatchCreateCoupons", json!({"coupons": coupons})).await;
    }
    for order in ["NEWEST_FIRST", "TITLE"] {
        let asked = json!({"order": order});
        let first =
            desk.answer("ListCoupons", with(asked.clone(), json!({"pageSize": 1_000}))).await;
        let on_it = ids(&first).len();
        assert!((10..50).contains(&on_it), "{on_it}");
        let all = desk.pages(&asked, 1_000).await;
        let each: BTreeSet<String> = all.iter().map(id_of).collect();
        assert_eq!((all.len(), each.len()), (50, 50), "{order}");
        assert_eq!(all, desk.pages(&asked, 7).await, "{order}");
    }
}

#[tokio::test]
async fn redemptions_are_listed_the_newest_first_whether_they_are_held_or_not() {
    let desk = Desk::open().await;
    let [one, other] = [desk.coupon_id("x", json!({})).await, desk.coupon_id("y", json!({})).await];
    let mut made = Vec::new();
    for nth in 0..12 {
        let id = if nth % 3 == 0 { &other } else { &one };
        let redemption = desk.redeem(id, &format!("s{nth}")).await;
        made.push(if nth % 4 == 0 {
            desk.answer("ReleaseRedemption", json!({"id": redemption["id"]})).await
        } else {
            redemption
        });
    }
    made.reverse();
    for (coupon, state) in [
        ("", "ANY"),
        ("", "HELD"),
        ("", "RELEASED"),
        (one.as_str(), "ANY"),
        (one.as_str(), "HELD"),
        (other.as_str(), "RELEASED"),
    ] {
        let expected: Vec<&Value> = made
            .iter()
            .filter(|redemption| coupon.is_empty() || redemption["couponId"] == coupon)
            .filter(|redemption| {
                let released = redemption.get("releasedAt").is_some();
                state == "ANY" || released == (state == "RELEASED")
            })
            .collect();
        for size in [1, 2, 5, 100] {
            let (mut listed, mut token) = (Vec::new(), json!(""));
            loop {
                let asked = json!({
                    "couponId": coupon, "state": state, "pageSize": size, "pageToken": token,
                });
                let answer = desk.answer("ListRedemptions", asked).await;
                listed.extend(answer["redemptions"].as_array().cloned().unwrap_or_default());
                match answer.get("nextPageToken") {
                    None => break,
                    Some(next) => token = next.clone(),
                }
            }
            assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{coupon} {state} {size}");
        }
    }
    for (asked, field, reason) in [
        (json!({"couponId": "7"}), "coupon_id", "MALFORMED_UUID"),
        (json!({"state": 3}), "state", "UNKNOWN_VALUE"),
        (json!({"pageSize": -1}), "page_size", "NEGATIVE"),
    ] {
        let bad = desk.violations("ListRedemptions", asked).await;
        assert_eq!(bad, [(field.to_owned(), reason.to_owned())]);
    }
}
