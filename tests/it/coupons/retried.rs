//! Calls that come again with their `request_id`: they are answered as the first time.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tap_analytics::{
    access::model::Scope,
    clock::Clock,
    coupons::{model::Asked, redeem::Redeemer},
    db::Db,
};
use tonic::Code;
use uuid::Uuid;

use super::{Desk, ask_at, id_of, new_id, with};
use crate::app::{Options, eventually, now, tap};

fn used() -> (Code, String) {
    (Code::AlreadyExists, "REQUEST_ID_USED".to_owned())
}

#[tokio::test]
async fn a_coupon_is_made_once_however_often_that_is_asked() {
    let desk = Desk::open().await;
    let (_other, door) = desk.replica(Options::default()).await;
    let new = json!({"couponcode": "x", "title": "x", "metadata": {"b": "1", "a": "2"}});
    let batch = json!([{"couponcode": "y", "title": "y"}, {"couponcode": "z", "title": "z"}]);
    for (rpc, request, other) in [
        (
            "CreateCoupon",
            json!({"coupon": new}),
            json!({"coupon": with(new.clone(), json!({"title": "y"}))}),
        ),
        ("BatchCreateCoupons", json!({"coupons": batch}), json!({"coupons": [batch[0]]})),
        (
            "GenerateCoupons",
            json!({"coupon": {"title": "x"}, "count": 3}),
            json!({"coupon": {"title": "x"}, "count": 2}),
        ),
    ] {
        let id = json!({"requestId": new_id()});
        let (request, other) = (with(request, id.clone()), with(other, id));
        // At once, of both replicas.
        let callers = (0..8).map(|nth| {
            let door = if nth % 2 == 0 { &desk.door } else { &door };
            ask_at(door, &desk.key, rpc, request.clone())
        });
        let all = join_all(callers).await;
        let first = all[0].answer();
        assert!(all.iter().all(|outcome| outcome.answer() == first), "{rpc}: {all:?}");
        // Whatever became of it since.
        let made = first["coupons"].as_array().map_or(first, |coupons| &coupons[0]);
        desk.change(&id_of(made), json!({"title": "changed since"})).await;
        assert_eq!(&desk.answer(rpc, request.clone()).await, first, "{rpc}");
        desk.answer("DeleteCoupon", json!({"id": made["id"]})).await;
        assert_eq!(&desk.answer(rpc, request.clone()).await, first, "{rpc}");
        assert_eq!(desk.refusal(rpc, other).await, used(), "{rpc}");
        let another = desk.app.key(desk.team.id, None, Scope::ALL, None).await;
        assert_eq!(desk.ask_by(&another, rpc, request).await.refusal(), used(), "{rpc}");
    }
    assert_eq!(desk.app.scalar::<i64>("select count(*) from coupons").await, 3);
    // What was refused is no request that was done.
    let request = json!({"coupon": {"couponcode": "z", "title": "z"}, "requestId": new_id()});
    assert_eq!(desk.reason("CreateCoupon", request.clone()).await, "COUPONCODE_TAKEN");
    desk.app.sql().await.batch_execute("delete from coupons where couponcode = 'z'").await.unwrap();
    desk.answer("CreateCoupon", request).await;
}

#[tokio::test]
async fn a_coupon_is_redeemed_once_however_often_that_is_asked() {
    let desk = Desk::open().await;
    let (_other, door) = desk.replica(Options::default()).await;
    let id = desk.coupon_id("x", json!({"maxPerSubject": 5})).await;
    let request = json!({"id": id, "subject": "zoe", "requestId": new_id()});
    let callers = (0..16).map(|nth| {
        let door = if nth % 2 == 0 { &desk.door } else { &door };
        ask_at(door, &desk.key, "RedeemCoupon", request.clone())
    });
    let all = join_all(callers).await;
    let first = all[0].answer().clone();
    assert!(all.iter().all(|outcome| *outcome.answer() == first), "{all:?}");
    assert_eq!(desk.get(&id).await["redeemed"], 1.0);

    // Whatever became of it since: exhausted, given back, disabled, archived.
    let again = async |why: &str| {
        assert_eq!(desk.answer("RedeemCoupon", request.clone()).await, first, "{why}");
    };
    desk.answer("ReleaseRedemption", json!({"id": first["id"]})).await;
    again("given back").await;
    desk.change(&id, json!({"disabled": true})).await;
    again("disabled").await;
    desk.answer("DeleteCoupon", json!({"id": id})).await;
    again("archived").await;
    assert_eq!(desk.get(&id).await.get("redeemed"), None);
    desk.assert_adds_up().await;
}

#[tokio::test]
async fn the_id_of_a_request_is_good_for_that_request_only() {
    let desk = Desk::open().await;
    let (_other, door) = desk.replica(Options::default()).await;
    desk.app.tags(desk.team.id, &["a", "b"]).await;
    let [one, other] = [desk.coupon_id("x", json!({})).await, desk.coupon_id("y", json!({})).await];
    let first = json!({
        "id": one, "subject": "zoe", "tapId": new_id(), "tagUid": "a", "requestId": new_id(),
    });
    let answered = desk.answer("RedeemCoupon", first.clone()).await;
    for more in [
        json!({"id": other}),
        json!({"subject": "bob"}),
        json!({"subject": ""}),
        json!({"tapId": new_id()}),
        json!({"tapId": ""}),
        json!({"tagUid": "b"}),
    ] {
        let refused = desk.ask("RedeemCoupon", with(first.clone(), more.clone())).await;
        assert_eq!(refused.refusal(), used(), "{more}");
        assert!(!format!("{refused:?}").contains("zoe"), "{refused:?}");
    }
    let another = desk.app.key(desk.team.id, None, Scope::ALL, None).await;
    assert_eq!(desk.ask_by(&another, "RedeemCoupon", first.clone()).await.refusal(), used());
    assert_eq!(desk.answer("RedeemCoupon", first).await, answered);
    // Another team knows nothing of it.
    let stranger = desk.stranger().await;
    let theirs = json!({"coupon": {"couponcode": "x", "title": "x"}});
    let theirs = id_of(desk.ask_by(&stranger, "CreateCoupon", theirs).await.answer());
    let same = json!({"id": theirs, "requestId": answered["id"]});
    assert_eq!(desk.ask_by(&stranger, "RedeemCoupon", same).await.code, Code::Ok);

    // In the same moment, for two coupons and two subjects, on two replicas.
    for _ in 0..20 {
        let request = new_id();
        let asked = [
            (&one, "zoe", &desk.door),
            (&other, "bob", &door),
            (&one, "bob", &door),
            (&other, "zoe", &desk.door),
        ];
        let callers = asked.map(|(id, subject, door)| {
            let request = json!({"id": id, "subject": subject, "requestId": request});
            ask_at(door, &desk.key, "RedeemCoupon", request)
        });
        let (done, refused): (Vec<_>, Vec<_>) =
            join_all(callers).await.into_iter().partition(|outcome| outcome.code == Code::Ok);
        assert_eq!(done.len(), 1, "{refused:?}");
        assert!(refused.iter().all(|outcome| outcome.refusal() == used()), "{refused:?}");
    }
    desk.assert_adds_up().await;
    assert_eq!(desk.app.scalar::<i64>("select count(*) from redemptions").await, 22);
}

#[tokio::test]
async fn many_requests_in_any_order_on_two_replicas_are_each_done_once() {
    let desk = Desk::open().await;
    let (_other, door) = desk.replica(Options::default()).await;
    let mut coupons = Vec::new();
    for nth in 0..4 {
        coupons.push(desk.coupon_id(&format!("c{nth}"), json!({})).await);
    }
    let requests: Vec<Value> = (0..40)
        .map(|nth: usize| json!({"id": coupons[nth % 4], "requestId": Uuid::now_v7().to_string()}))
        .collect();
    let one_way = requests
        .iter()
        .map(|request| ask_at(&desk.door, &desk.key, "RedeemCoupon", request.clone()));
    let other_way = requests
        .iter()
        .rev()
        .map(|request| ask_at(&door, &desk.key, "RedeemCoupon", request.clone()));
    let (one, mut other) = tokio::join!(join_all(one_way), join_all(other_way));
    other.reverse();
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one.answer(), other.answer());
    }
    assert_eq!(desk.app.scalar::<i64>("select count(*) from redemptions").await, 40);
    desk.assert_adds_up().await;
}

#[tokio::test]
async fn ids_that_are_used_for_two_coupons_at_once_are_each_good_for_one() {
    let desk = Desk::open().await;
    let team = desk.team.id;
    let mut coupons = Vec::new();
    for code in ["x", "y", "z"] {
        coupons.push(desk.coupon_id(code, json!({})).await.parse::<Uuid>().unwrap());
    }
    let requests: Vec<Uuid> = (0..100).map(|_| Uuid::new_v4()).collect();
    // Somebody holds one of them until two replicas have come to it, each from its end.
    let holder = desk.app.sql().await;
    let hold = format!(
        "begin; insert into redemptions
             (team_id, redemption_id, coupon_id, redeemed_at, key_id, tag_id, request_id, subject)
         values ({team}, gen_random_uuid(), '{}', now(), gen_random_uuid(), 0, '{}', '')",
        coupons[2], requests[50]
    );
    holder.batch_execute(&hold).await.unwrap();
    // All stand in line before the first is let in, and are redeemed together.
    let replicas =
        [0, 1].map(|_| Redeemer::new(Db::new(&desk.app.store).unwrap(), Clock::system()));
    let key = desk.app.key_id(team, &desk.key).await;
    let redeem = |replica: usize, request: &Uuid| {
        let asked = Asked {
            coupon: coupons[replica],
            key,
            subject: String::new(),
            tap_id: None,
            tag: None,
            tag_named: false,
            request_id: Some(*request),
        };
        let redeemer = replicas[replica].clone();
        async move { redeemer.redeem(team, asked).await }
    };
    let one_way = requests.iter().map(|request| redeem(0, request));
    let other_way = requests.iter().rev().map(|request| redeem(1, request));
    let waiting = "select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()";
    let letting_go = async {
        eventually("both wait", || async { desk.app.scalar::<i64>(waiting).await == 2 }).await;
        holder.batch_execute("rollback").await.unwrap();
    };
    let (here, mut there, ()) = tokio::join!(join_all(one_way), join_all(other_way), letting_go);
    there.reverse();
    for pair in here.iter().zip(&there) {
        let ((Ok(_), Err(refused)) | (Err(refused), Ok(_))) = pair else { panic!("{pair:?}") };
        assert_eq!(refused.code(), (Code::AlreadyExists, "REQUEST_ID_USED"), "{pair:?}");
    }
    desk.assert_adds_up().await;
    assert_eq!(desk.app.scalar::<i64>("select count(*) from redemptions").await, 100);
}

#[tokio::test]
async fn a_retry_is_the_same_request_also_once_its_tap_is_known() {
    let desk = Desk::open().await;
    let tags = desk.app.tags(desk.team.id, &["a"]).await;
    let id = desk.coupon_id("x", json!({})).await;
    let tapped = tap(tags[0], &now().to_rfc3339());
    let request = json!({"id": id, "tapId": tapped.tap_id.to_string(), "requestId": new_id()});
    let first = desk.answer("RedeemCoupon", request.clone()).await;
    assert_eq!(first.get("tagUid"), None, "the tap is not recorded yet");
    desk.app.write(desk.team.id, &[tapped]).await;
    assert_eq!(desk.answer("RedeemCoupon", request).await, first);
    assert_eq!(desk.get(&id).await["redeemed"], 1.0);
}

#[tokio::test]
async fn a_redemption_by_a_code_is_found_again_also_when_another_coupon_has_the_code() {
    let desk = Desk::open().await;
    let id = desk.coupon_id("MOVED", json!({})).await;
    let request = json!({"couponcode": "moved", "subject": "s", "requestId": new_id()});
    let first = desk.answer("RedeemCoupon", request.clone()).await;
    assert_eq!(first["couponId"], json!(id));
    desk.answer("DeleteCoupon", json!({"id": id})).await;
    assert_eq!(desk.answer("RedeemCoupon", request.clone()).await, first);
    let other = desk.coupon_id("Moved", json!({})).await;
    assert_eq!(desk.answer("RedeemCoupon", request).await, first);
    let redeemed = desk.answer("GetCoupon", json!({"id": other})).await;
    assert_eq!(redeemed.get("redeemed"), None, "0");
}
