//! Anything that can be done to a few coupons, in any order and by several at once: a small model knows what comes
//! of it, and the ledger always adds up.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use tokio::runtime::Runtime;
use tonic::Code;

use super::{Desk, ask_at, assert_adds_up, id_of, new_id};
use crate::app::{Options, wires::Door};

const SUBJECTS: [&str; 4] = ["", "ann", "bob", "cid"];
const PAST: &str = "2020-01-01T00:00:00Z";

/// Something that is done to the coupon of this number.
#[derive(Clone, Copy, Debug)]
enum Act {
    Redeem(usize, usize),
    /// Of all redemptions so far, this one.
    Release(usize),
    Disable(usize, bool),
    Max(usize, i32),
    MaxPerSubject(usize, i32),
    Expire(usize, bool),
}

fn any_act() -> impl Strategy<Value = Act> {
    let coupon = || 0_usize..3;
    prop_oneof![
        12 => (coupon(), 0..SUBJECTS.len()).prop_map(|(coupon, subject)| Act::Redeem(coupon, subject)),
        4 => (0_usize..1_000).prop_map(Act::Release),
        1 => (coupon(), any::<bool>()).prop_map(|(coupon, off)| Act::Disable(coupon, off)),
        1 => (coupon(), 0_i32..6).prop_map(|(coupon, max)| Act::Max(coupon, max)),
        1 => (coupon(), 0_i32..3).prop_map(|(coupon, max)| Act::MaxPerSubject(coupon, max)),
        1 => (coupon(), any::<bool>()).prop_map(|(coupon, past)| Act::Expire(coupon, past)),
    ]
}

/// What should be known of a coupon.
#[derive(Debug, Default)]
struct Model {
    max: i32,
    max_per_subject: i32,
    disabled: bool,
    expired: bool,
    /// Subjects of what is held, and whether it ever was redeemed.
    held: Vec<usize>,
    fixed: bool,
}

impl Model {
    /// Redeems it, or tells the reason why not.
    fn redeem(&mut self, subject: usize) -> &'static str {
        let full = |max: i32, times: usize| max > 0 && times >= usize::try_from(max).unwrap();
        let times = self.held.iter().filter(|held| **held == subject).count();
        if self.disabled {
            "COUPON_DISABLED"
        } else if self.expired {
            "COUPON_EXPIRED"
        } else if full(self.max, self.held.len()) {
            "COUPON_EXHAUSTED"
        } else if self.max_per_subject > 0 && subject == 0 {
            "INVALID_FIELDS"
        } else if full(self.max_per_subject, times) {
            "SUBJECT_EXHAUSTED"
        } else {
            self.held.push(subject);
            self.fixed = true;
            ""
        }
    }

    /// Changes a limit, unless it is fixed.
    fn limit(&mut self, of: impl Fn(&mut Self) -> &mut i32, max: i32) -> &'static str {
        if self.fixed && *of(self) != max {
            return "COUPON_TERMS_FIXED";
        }
        *of(self) = max;
        ""
    }
}

/// Coupons that things are done to, and what was redeemed of them: by which coupon, which subject, and whether it
/// was given back.
struct Stage<'a> {
    desk: &'a Desk,
    coupons: Vec<String>,
    redeemed: Mutex<Vec<(String, usize, usize, bool)>>,
}

impl<'a> Stage<'a> {
    async fn set(desk: &'a Desk) -> Self {
        let mut coupons = Vec::new();
        for _ in 0..3 {
            coupons.push(desk.coupon_id(&new_id(), json!({})).await);
        }
        Self { desk, coupons, redeemed: Mutex::default() }
    }

    /// Does it, and gives the reason why not, or nothing, and the coupon whose redemption was given back.
    async fn act(&self, door: &Door, act: Act) -> (String, Option<(usize, usize)>) {
        let edit = |coupon: usize, fields| {
            ("UpdateCoupon", json!({"id": self.coupons[coupon], "coupon": fields}))
        };
        let mut released = None;
        let (rpc, request) = match act {
            Act::Redeem(coupon, subject) => {
                ("RedeemCoupon", json!({"id": self.coupons[coupon], "subject": SUBJECTS[subject]}))
            }
            Act::Release(nth) => {
                let mut redeemed = self.redeemed.lock().unwrap();
                let count = redeemed.len();
                if count == 0 {
                    return (String::new(), None);
                }
                let (id, coupon, subject, back) = &mut redeemed[nth % count];
                if !*back {
                    *back = true;
                    released = Some((*coupon, *subject));
                }
                ("ReleaseRedemption", json!({"id": id}))
            }
            Act::Disable(coupon, off) => edit(coupon, json!({"disabled": off})),
            Act::Max(coupon, max) => edit(coupon, json!({"maxRedemptions": max})),
            Act::MaxPerSubject(coupon, max) => edit(coupon, json!({"maxPerSubject": max})),
            Act::Expire(coupon, past) => {
                edit(coupon, json!({"expireAt": if past { PAST } else { "" }}))
            }
        };
        let outcome = ask_at(door, &self.desk.key, rpc, request).await;
        if outcome.code != Code::Ok {
            return (outcome.refusal().1, released);
        }
        if let Act::Redeem(coupon, subject) = act {
            let one = (id_of(outcome.answer()), coupon, subject, false);
            self.redeemed.lock().unwrap().push(one);
        }
        (String::new(), released)
    }

    /// What is counted of each coupon is what was answered.
    async fn assert_counted(&self, sql: &tokio_postgres::Client) {
        assert_adds_up(sql).await;
        let redeemed = self.redeemed.lock().unwrap().clone();
        for (nth, id) in self.coupons.iter().enumerate() {
            let of = redeemed.iter().filter(|(_, coupon, ..)| *coupon == nth);
            let held = of.filter(|(.., back)| !back).count();
            let shown = self.desk.get(id).await["redeemed"].as_f64().unwrap_or_default();
            assert_eq!(shown, held as f64, "coupon {nth}");
        }
    }
}

fn two_replicas() -> (Runtime, Desk, crate::app::App, Door) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let desk = runtime.block_on(Desk::open());
    let (app, door) = runtime.block_on(desk.replica(Options::default()));
    (runtime, desk, app, door)
}

#[test]
fn one_after_another_comes_to_what_the_model_says() {
    let (runtime, desk, _app, door) = two_replicas();
    let mut runner =
        TestRunner::new(Config { cases: 25, max_shrink_iters: 50, ..Config::default() });
    runner
        .run(&prop::collection::vec(any_act(), 1..60), |acts| {
            runtime.block_on(async {
                let stage = Stage::set(&desk).await;
                let mut models = [Model::default(), Model::default(), Model::default()];
                for (nth, act) in acts.iter().enumerate() {
                    let door = if nth % 2 == 0 { &desk.door } else { &door };
                    let (reason, released) = stage.act(door, *act).await;
                    let expected = match *act {
                        Act::Redeem(coupon, subject) => models[coupon].redeem(subject),
                        Act::Release(_) => {
                            if let Some((coupon, subject)) = released {
                                let held = &mut models[coupon].held;
                                held.remove(held.iter().position(|held| *held == subject).unwrap());
                            }
                            ""
                        }
                        Act::Disable(coupon, off) => {
                            models[coupon].disabled = off;
                            ""
                        }
                        Act::Expire(coupon, past) => {
                            models[coupon].expired = past;
                            ""
                        }
                        Act::Max(coupon, max) => models[coupon].limit(|model| &mut model.max, max),
                        Act::MaxPerSubject(coupon, max) => {
                            models[coupon].limit(|model| &mut model.max_per_subject, max)
                        }
                    };
                    prop_assert_eq!(reason, expected, "{:?} after {:?}", act, &acts[..nth]);
                }
                stage.assert_counted(&desk.app.sql().await).await;
                Ok(())
            })
        })
        .unwrap();
}

#[test]
fn whatever_several_do_at_once_the_ledger_adds_up_at_any_moment() {
    let (runtime, desk, _app, door) = two_replicas();
    let (sql, watcher) = runtime.block_on(async { (desk.app.sql().await, desk.app.sql().await) });
    let mut runner =
        TestRunner::new(Config { cases: 10, max_shrink_iters: 0, ..Config::default() });
    let acts = prop::collection::vec(prop::collection::vec(any_act(), 10..30), 8);
    runner
        .run(&acts, |acts| {
            runtime.block_on(async {
                let stage = Stage::set(&desk).await;
                let done = AtomicBool::new(false);
                let doing = async {
                    let callers = acts.iter().enumerate().map(|(nth, acts)| {
                        let door = if nth % 2 == 0 { &desk.door } else { &door };
                        let stage = &stage;
                        async move {
                            for act in acts {
                                let (reason, _) = stage.act(door, *act).await;
                                let known = [
                                    "",
                                    "COUPON_DISABLED",
                                    "COUPON_EXPIRED",
                                    "COUPON_EXHAUSTED",
                                    "SUBJECT_EXHAUSTED",
                                    "INVALID_FIELDS",
                                    "COUPON_TERMS_FIXED",
                                ];
                                assert!(known.contains(&reason.as_str()), "{reason}");
                            }
                        }
                    });
                    join_all(callers).await;
                    done.store(true, Ordering::SeqCst);
                };
                let watching = async {
                    while !done.load(Ordering::SeqCst) {
                        assert_adds_up(&watcher).await;
                    }
                };
                tokio::join!(doing, watching);
                stage.assert_counted(&sql).await;
            });
            Ok(())
        })
        .unwrap();
    let redeemed: i64 = runtime.block_on(desk.app.scalar("select count(*) from redemptions"));
    assert!(redeemed > 100, "hardly anything was redeemed: {redeemed}");
}
