//! The ledger of redemptions: shows and lists them, gives them back, and tells what stands against another one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    model::{Coupon, Obstacle, Redemption, Subject, code_key},
    registry::no_such_coupon,
    store::{
        coupons,
        redemptions::{self as store, Change},
    },
};
use crate::{
    clock::Clock,
    db::Db,
    error::Error,
    ids::TeamId,
    paging::{Listed, Page, TimePlace},
    reasons,
    taps::buckets::quarter_of,
};

/// Shows, lists and gives back redemptions.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub db: Db,
    /// By which redemptions are given back, so many at a time: writes are let in by the dozen, and each would hold a
    /// connection of those who look.
    pub commits: Db,
    pub releases: Arc<Semaphore>,
    /// Codes that are looked up at a time, likewise.
    pub lookups: Arc<Semaphore>,
    pub clock: Clock,
}

/// Whether a coupon can be redeemed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What stands against it.
    pub obstacles: Vec<Obstacle>,
    /// `None`: never.
    pub next_valid_at: Option<DateTime<Utc>>,
    /// `None`: without limit.
    pub remaining: Option<i64>,
    /// The same of the subject; also `None` when none was named.
    pub remaining_for_subject: Option<i64>,
}

impl Ledger {
    /// The coupon that has this code, in one case, and is not archived; before it that which a request redeemed by
    /// this code.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn find(
        &self,
        team: TeamId,
        key: &str,
        request_id: Option<Uuid>,
    ) -> Result<Uuid, Error> {
        let _turn = self.lookups.acquire().await.map_err(Error::internal)?;
        let read = self.db.team(team).await?;
        let before = match request_id {
            Some(id) => store::find_requests(&read, team, &[id]).await?,
            None => Vec::new(),
        };
        let found = coupons::find_codes(&read, team, &[key.to_owned()]).await?;
        read.end().await?;
        let before = before.iter().find(|before| code_key(&before.couponcode) == key);
        let found = before.map(|before| before.coupon).or_else(|| found.get(key).copied());
        found.ok_or_else(no_such_coupon)
    }

    /// Whether a coupon can be redeemed, by a subject if one is named.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn check(&self, team: TeamId, id: Uuid, subject: &str) -> Result<Check, Error> {
        let read = self.db.team(team).await?;
        let found = coupons::get_coupon(&read, team, id).await?;
        let limited = found.as_ref().is_some_and(|found| found.content.max_per_subject.is_some());
        let times = if limited && !subject.is_empty() {
            store::count_subjects(&read, team, &[(id, subject)]).await?
        } else {
            HashMap::new()
        };
        read.end().await?;
        let terms = found.as_ref().map(Coupon::terms).ok_or_else(no_such_coupon)?;
        let times = times.into_values().next().unwrap_or_default();
        let (now, named) = (self.clock.now(), !subject.is_empty());
        let subject = if named { Subject::Redeemed(times) } else { Subject::Unknown };
        let for_subject = |max| (i64::from(max) - times).max(0);
        Ok(Check {
            obstacles: terms.obstacles(now, subject),
            next_valid_at: terms.next_valid_at(now, subject),
            remaining: terms.remaining(),
            remaining_for_subject: terms.max_per_subject.filter(|_| named).map(for_subject),
        })
    }

    /// A redemption.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn get(&self, team: TeamId, id: Uuid) -> Result<Redemption, Error> {
        let read = self.db.team(team).await?;
        let found = store::get_redemption(&read, team, id).await?;
        read.end().await?;
        found.ok_or_else(no_such_redemption)
    }

    /// A page of redemptions, the newest first.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn list(
        &self,
        team: TeamId,
        coupon: Option<Uuid>,
        released: Option<bool>,
        page: &Page<TimePlace>,
    ) -> Result<Listed<Redemption>, Error> {
        let read = self.db.team(team).await?;
        let (after, limit) = (page.after, page.limit());
        let found = store::list_redemptions(&read, team, coupon, released, after, limit).await?;
        read.end().await?;
        Ok(page.cut(found))
    }

    /// Gives a redemption back. One that was given back already stays so since then.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn release(&self, team: TeamId, id: Uuid) -> Result<Redemption, Error> {
        let _turn = self.releases.acquire().await.map_err(Error::internal)?;
        let write = self.commits.team_write(team).await?;
        let work = async {
            let found = store::get_redemption(&write, team, id).await?;
            let redemption = found.ok_or_else(no_such_redemption)?;
            // As whoever redeems does: one after another.
            store::lock_terms(&write, team, &[redemption.coupon]).await?;
            let now = self.clock.now();
            if !store::release_redemption(&write, team, id, now).await? {
                let found = store::get_redemption(&write, team, id).await?;
                return found.ok_or_else(no_such_redemption);
            }
            let change = Change { redeemed: -1, released: 1 };
            store::count_redeemed(&write, team, &BTreeMap::from([(redemption.coupon, change)]))
                .await?;
            let at = quarter_of(redemption.redeemed_at);
            let quarter = (at, redemption.coupon, redemption.tag);
            store::uncount_quarter(&write, team, quarter).await?;
            Ok(Redemption { released_at: Some(now), ..redemption })
        };
        let done = work.await;
        write.end(done).await
    }
}

/// The team has no such redemption, or another team has it: callers cannot tell.
fn no_such_redemption() -> Error {
    Error::not_found(reasons::REDEMPTION_NOT_FOUND, "redemption")
}
