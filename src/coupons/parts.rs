//! What the service of coupons is put together of.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    count::Counter,
    ledger::Ledger,
    redeem::{self, Redeemer},
    registry::Registry,
    rpc::Coupons,
};
use crate::{
    clock::Clock,
    db::Db,
    paging::Pages,
    tags::{address::Addresses, directory::TagDirectory},
};

/// Counts of redemptions that are under way at a time.
const COUNTS: usize = 3;
/// Redemptions that are given back at a time.
const RELEASES: usize = 2;
/// Connections by which coupons are redeemed and redemptions given back: one for each transaction that is under way.
pub const CONNECTIONS: usize = redeem::COMMITS_MAX + RELEASES;
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
    pub fn service(self) -> Coupons {
        let Self { db, commits, clock, tags, addresses, pages, coupons_max } = self;
        Coupons {
            registry: Registry {
                db: db.clone(),
                clock: clock.clone(),
                tags: Arc::clone(&tags),
                coupons_max,
            },
            redeemer: Redeemer::new(commits.clone(), clock.clone()),
            counter: Counter { db: db.clone(), tags, turns: Arc::new(Semaphore::new(COUNTS)) },
            ledger: Ledger {
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
