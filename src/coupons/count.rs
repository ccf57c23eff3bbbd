//! Counts redemptions, by bucket and by coupon or tag, in one snapshot of the store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    model::Split,
    registry::no_such_coupon,
    store::{
        counts::{self as store, Wanted},
        coupons,
    },
};
use crate::{
    db::{Db, TeamRead},
    error::Error,
    ids::{TagId, TeamId},
    tags::directory::TagDirectory,
    taps::{
        buckets::{self, QUARTER_SECONDS},
        count::bounds,
        model::{Comparison, Counts, Group, GroupBy, Query},
    },
};

/// Counts redemptions.
#[derive(Clone, Debug)]
pub struct Counter {
    pub db: Db,
    pub tags: Arc<TagDirectory>,
    /// Counts that are under way at a time: queries are let in as they come.
    pub turns: Arc<Semaphore>,
}

/// What to count: ranges, buckets and tags are those of a query of taps.
#[derive(Clone, Debug)]
pub struct Question {
    pub query: Query,
    /// None: of all.
    pub coupons: Vec<Uuid>,
    pub split: Split,
}

impl Counter {
    /// Counts redemptions that were not given back.
    ///
    /// # Errors
    /// [`Error::NotFound`] for coupons and tags that are not the team's; [`Error::Invalid`] for too many buckets or
    /// counts; as [`crate::db::query`].
    pub async fn count(&self, team: TeamId, asked: &Question) -> Result<Counts, Error> {
        let bounds = bounds(&asked.query)?;
        let tags = self.tags.resolve(team, &asked.query.tag_uids).await?;
        let _turn = self.turns.acquire().await.map_err(Error::internal)?;
        let read = self.db.team(team).await?;
        let counted = self.count_in(&read, team, asked, bounds, tags).await;
        // Also after a refusal: the connection is sound and goes back to the pool.
        let ended = read.end().await;
        let counts = counted?;
        ended.map(|()| counts)
    }

    async fn count_in(
        &self,
        read: &TeamRead,
        team: TeamId,
        asked: &Question,
        bounds: Vec<DateTime<Utc>>,
        tags: Option<Vec<TagId>>,
    ) -> Result<Counts, Error> {
        let Question { query, coupons: named, split } = asked;
        if coupons::find_coupons(read, team, named).await?.len() < named.len() {
            return Err(no_such_coupon());
        }
        let groups = match query.group_by {
            GroupBy::Tag { limit } if *split != Split::None => limit,
            _ => 0,
        };
        let wanted = Wanted {
            coupons: Some(named.clone()).filter(|named| !named.is_empty()),
            tags,
            split: *split,
            groups,
        };
        let width = bounds.len().saturating_sub(1);
        let mut counts = vec![0; width];
        // The rest last.
        let mut parts: BTreeMap<(bool, Option<i64>), Part> = BTreeMap::new();
        for cell in count_between(read, team, &bounds, &wanted).await? {
            let new = || Part { coupon: cell.coupon, tag: cell.tag, counts: vec![0; width] };
            let part = parts.entry((cell.rank.is_none(), cell.rank)).or_insert_with(new);
            for counts in [&mut counts, &mut part.counts] {
                if let Some(count) = counts.get_mut(cell.bucket) {
                    *count += cell.redemptions;
                }
            }
        }
        let groups = match *split {
            Split::None => Vec::new(),
            split => self.groups(read, team, parts.into_values().collect(), split).await?,
        };
        let comparison = match buckets::earlier_bounds(query, &bounds) {
            Some(bounds) => {
                let mut counts = vec![0; bounds.len().saturating_sub(1)];
                let wanted = Wanted { split: Split::None, ..wanted };
                for cell in count_between(read, team, &bounds, &wanted).await? {
                    if let Some(count) = counts.get_mut(cell.bucket) {
                        *count += cell.redemptions;
                    }
                }
                Some(Comparison { bounds, counts })
            }
            None => None,
        };
        Ok(Counts { bounds, counts, groups, comparison, revision: 0 })
    }

    /// The groups with their names, and the rest.
    async fn groups(
        &self,
        read: &TeamRead,
        team: TeamId,
        parts: Vec<Part>,
        split: Split,
    ) -> Result<Vec<Group>, Error> {
        let ids: Vec<Uuid> = match split {
            Split::Coupon => parts.iter().filter_map(|part| part.coupon).collect(),
            _ => Vec::new(),
        };
        let titles: HashMap<Uuid, String> = coupons::find_coupons(read, team, &ids)
            .await?
            .into_iter()
            .map(|named| (named.id, named.title))
            .collect();
        let group = |Part { coupon, tag, counts }: Part| {
            let (key, label) = match (split, coupon) {
                (Split::Coupon, Some(coupon)) => {
                    (coupon.to_string(), titles.get(&coupon).cloned().unwrap_or_default())
                }
                _ => self.name(team, tag),
            };
            let (other, total) = (coupon.is_none(), counts.iter().sum());
            Group { key, label, other, total, counts }
        };
        Ok(parts.into_iter().map(group).collect())
    }

    /// Uid and label of a tag; empty for none that is known.
    fn name(&self, team: TeamId, tag: Option<TagId>) -> (String, String) {
        let tag = tag.and_then(|tag| self.tags.find_by_id(team, tag));
        tag.map(|tag| (tag.uid.to_string(), tag.label.to_string())).unwrap_or_default()
    }
}

/// A group, or the rest, which has neither coupon nor tag.
#[derive(Debug)]
struct Part {
    coupon: Option<Uuid>,
    tag: Option<TagId>,
    counts: Vec<i64>,
}

/// Counts redemptions between bounds: by the quarter of an hour where that tells them apart.
///
/// # Errors
/// As [`crate::db::query`].
pub async fn count_between(
    read: &TeamRead,
    team: TeamId,
    bounds: &[DateTime<Utc>],
    wanted: &Wanted,
) -> Result<Vec<store::Counted>, Error> {
    let whole = |at: &DateTime<Utc>| {
        at.timestamp().rem_euclid(QUARTER_SECONDS) == 0 && at.timestamp_subsec_nanos() == 0
    };
    // Of some coupons the ledger has an index, and the roll-up none.
    if bounds.iter().all(whole) && wanted.coupons.is_none() {
        store::count_rolled_up(read, team, bounds, wanted).await
    } else {
        store::count_ledger(read, team, bounds, wanted).await
    }
}
