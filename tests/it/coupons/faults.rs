//! What breaks while coupons are redeemed: each request is done once, and the ledger adds up.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::json;
use tap_analytics::proto::tap_v1::{RedeemCouponRequest, coupons_client::CouponsClient};
use tokio::time;
use tonic::{Code, transport::Channel};

use super::{Desk, new_id};
use crate::{
    app::{
        AddKey, App, Options, OwnPostgres, cut_connections, new_database, report::reason, store,
    },
    live::Service,
};

/// Callers, and how often each of them redeems each of two coupons.
const CALLERS: usize = 8;
const TIMES: usize = 40;
/// How often one of the two may be redeemed.
const MAX: usize = 100;

/// Redeems both coupons in turn, each time until it is answered, and every third time once more. Gives the ids of
/// what was redeemed of the one without a limit and of the other.
async fn redeem_patiently(
    address: SocketAddr,
    key: &str,
    coupons: &[String; 2],
    answered: &AtomicUsize,
) -> [Vec<String>; 2] {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let mut client = CouponsClient::with_interceptor(channel, AddKey(key.to_owned()));
    let mut redeemed = [Vec::new(), Vec::new()];
    for nth in 0..TIMES {
        for (coupon, redeemed) in coupons.iter().zip(&mut redeemed) {
            let request = RedeemCouponRequest {
                id: coupon.clone(),
                request_id: new_id(),
                ..RedeemCouponRequest::default()
            };
            let mut answers = HashSet::new();
            let mut left = 1 + usize::from(nth % 3 == 0);
            while left > 0 {
                match client.redeem_coupon(request.clone()).await {
                    Ok(answer) => {
                        answers.insert(answer.into_inner().id);
                        left -= 1;
                    }
                    Err(status) if status.code() == Code::FailedPrecondition => {
                        assert_eq!(reason(&status), "COUPON_EXHAUSTED");
                        assert!(answers.is_empty(), "it was redeemed before");
                        left -= 1;
                    }
                    Err(status) => {
                        use Code::{Cancelled, Internal, Unavailable, Unknown};
                        let away = [Cancelled, Internal, Unavailable, Unknown];
                        assert!(away.contains(&status.code()), "{status:?}");
                        time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            assert!(answers.len() <= 1, "one request is one redemption: {answers:?}");
            redeemed.extend(answers);
            answered.fetch_add(1, Ordering::SeqCst);
        }
    }
    redeemed
}

/// Redeems coupons at these addresses while something breaks, whenever so many were answered, and looks that each
/// request was done once.
async fn redeem_while(
    desk: &Desk,
    addresses: &[SocketAddr],
    breaks: impl AsyncFnOnce(&AtomicUsize),
) {
    let free = desk.coupon_id("free", json!({})).await;
    let few = desk.coupon_id("few", json!({"maxRedemptions": MAX})).await;
    let (coupons, answered) = ([free, few], AtomicUsize::new(0));
    let callers = (0..CALLERS).map(|nth| {
        redeem_patiently(addresses[nth % addresses.len()], &desk.key, &coupons, &answered)
    });
    let (all, ()) = tokio::join!(futures_util::future::join_all(callers), breaks(&answered));
    let [free, few] = [0, 1].map(|nth: usize| {
        all.iter().flat_map(|redeemed| redeemed[nth].clone()).collect::<HashSet<String>>()
    });
    assert_eq!((free.len(), few.len()), (CALLERS * TIMES, MAX));
    let sql = desk.app.sql().await;
    super::assert_adds_up(&sql).await;
    let rows = sql.query("select redemption_id::text from redemptions", &[]).await.unwrap();
    let stored: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(stored, free.union(&few).cloned().collect::<HashSet<String>>());
}

/// Waits until so many of all were answered.
async fn until(answered: &AtomicUsize, share: usize) {
    let all = CALLERS * TIMES * 2;
    while answered.load(Ordering::SeqCst) < all * share / 100 {
        time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_redeemed_survives_kill_9_and_is_redeemed_once() {
    let url = new_database().await;
    let desk = Desk::at(App::on(store(&url), Options::default()).await).await;
    let mut service = Service::start(&url).await;
    let addresses = [service.grpc];
    redeem_while(&desk, &addresses, async |answered| {
        for share in [10, 35, 60, 85] {
            until(answered, share).await;
            service.kill_and_start().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_cost_no_redemption_and_double_none() {
    let url = new_database().await;
    let desk = Desk::at(App::on(store(&url), Options::default()).await).await;
    let (other, _) = desk.replica(Options::default()).await;
    let addresses = [desk.app.grpc, other.grpc];
    let sql = desk.app.sql().await;
    redeem_while(&desk, &addresses, async |answered| {
        for share in (5..95).step_by(10) {
            until(answered, share).await;
            cut_connections(&sql).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgresql_costs_no_redemption_and_doubles_none() {
    let postgres = OwnPostgres::start().await;
    let desk = Desk::at(App::on(store(&postgres.url), Options::default()).await).await;
    let addresses = [desk.app.grpc];
    redeem_while(&desk, &addresses, async |answered| {
        until(answered, 20).await;
        tokio::task::block_in_place(|| {
            postgres.kill();
            postgres.start_again();
        });
        until(answered, 60).await;
        tokio::task::block_in_place(|| postgres.restart());
    })
    .await;
}
