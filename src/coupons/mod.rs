//! Coupons: what a tap can hand out. Making and changing them, redeeming them, and counting what came of them.
//!
//! Tables: `coupons`, `redemptions`, `redemption_quarters`. RPCs: all of `Coupons`.
//!
//! ```text
//! RedeemCoupon -> redeem (a line for each team) -> redemptions, coupons.redeemed, redemption_quarters
//! ```
//!
//! Invariants:
//! * a coupon is redeemed no more often than it allows, in all and by one subject: whoever redeems, releases or
//!   changes it holds its row;
//! * `coupons.redeemed` is the number of its rows in `redemptions` that were not given back, `coupons.released` that
//!   of those that were, and the sum of `redemption_quarters` is the former, at any committed moment;
//! * a request of the same id redeems once, for good;
//! * a coupon that was redeemed is never deleted, and keeps its terms;
//! * no two coupons of a team that are not archived have the same code, whatever the case.

pub mod codes;
pub mod count;
pub mod edit;
pub mod funnel;
pub mod import;
pub mod ledger;
pub mod model;
pub mod redeem;
pub mod registry;
pub mod rpc;
pub mod store;
pub mod wire;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    db::Db,
    paging::Pages,
    tags::{address::Addresses, directory::TagDirectory},
};

/// Counts of redemptions that are under way at a time.
const COUNTS: usize = 3;
/// Redemptions that are given back at a time.
pub const RELEASES: usize = 2;
/// Codes that are looked up at a time.
const LOOKUPS: usize = 3;

/// What the service is made of.
#[derive(Debug)]
pub struct Parts {
    pub db: Db,
    /// Redeeming, and giving back, does not wait for a connection behind those who look.
    pub commits: Db,
    pub clock: Clock,
    pub tags: Arc<TagDirectory>,
    pub addresses: Addresses,
    pub pages: Pages,
    /// Coupons that a team may have.
    pub coupons_max: i64,
}

impl Parts {
    /// What answers calls.
    #[must_use]
    pub fn service(self) -> rpc::Coupons {
        let Self { db, commits, clock, tags, addresses, pages, coupons_max } = self;
        rpc::Coupons {
            registry: registry::Registry {
                db: db.clone(),
                clock: clock.clone(),
                tags: Arc::clone(&tags),
                coupons_max,
            },
            redeemer: redeem::Redeemer::new(commits.clone(), clock.clone()),
            counter: count::Counter {
                db: db.clone(),
                tags,
                turns: Arc::new(Semaphore::new(COUNTS)),
            },
            ledger: ledger::Ledger {
                db,
                commits,
                releases: Arc::new(Semaphore::new(RELEASES)),
                lookups: Arc::new(Semaphore::new(LOOKUPS)),
                clock: clock.clone(),
            },
            addresses,
            pages,
            clock,
        }
    }
}
