//! Counts redemptions, by bucket and by coupon or tag, in one snapshot of the store.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
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

/// What the counts are split by: so many groups are named, as the query has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    None,
    Coupon,
    Tag,
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
        let wanted = Wanted {
            coupons: Some(named.clone()).filter(|named| !named.is_empty()),
            tags,
            by_coupon: *split == Split::Coupon,
            by_tag: *split == Split::Tag,
        };
        let width = bounds.len().saturating_sub(1);
        let mut counts = vec![0; width];
        let mut parts: HashMap<Key, Vec<i64>> = HashMap::new();
        for cell in count_between(read, team, &bounds, &wanted).await? {
            let part = parts.entry((cell.coupon, cell.tag)).or_insert_with(|| vec![0; width]);
            for counts in [&mut counts, part] {
                if let Some(count) = counts.get_mut(cell.bucket) {
                    *count += cell.redemptions;
                }
            }
        }
        let groups = match *split {
            Split::None => Vec::new(),
            Split::Coupon | Split::Tag => self.groups(read, team, parts, query).await?,
        };
        let comparison = match buckets::earlier_bounds(query, &bounds) {
            Some(bounds) => {
                let mut counts = vec![0; bounds.len().saturating_sub(1)];
                let wanted = Wanted { by_coupon: false, by_tag: false, ..wanted };
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

    /// The largest groups with their names, and the rest in one.
    async fn groups(
        &self,
        read: &TeamRead,
        team: TeamId,
        parts: HashMap<Key, Vec<i64>>,
        query: &Query,
    ) -> Result<Vec<Group>, Error> {
        let limit = match query.group_by {
            GroupBy::Tag { limit } => limit,
            _ => 0,
        };
        let mut parts: Vec<(Key, i64, Vec<i64>)> = parts
            .into_iter()
            .map(|(key, counts)| (key, counts.iter().sum(), counts))
            .filter(|(_, total, _)| *total != 0)
            .collect();
        parts.sort_by_key(|(key, total, _)| (std::cmp::Reverse(*total), *key));
        let rest = parts.split_off(limit.min(parts.len()));
        let ids: Vec<Uuid> = parts.iter().filter_map(|((coupon, _), ..)| *coupon).collect();
        let titles: HashMap<Uuid, String> = coupons::find_coupons(read, team, &ids)
            .await?
            .into_iter()
            .map(|named| (named.id, named.title))
            .collect();
        let mut groups: Vec<Group> = parts
            .into_iter()
            .map(|((coupon, tag), total, counts)| {
                let (key, label) = match (coupon, tag) {
                    (Some(coupon), _) => {
                        (coupon.to_string(), titles.get(&coupon).cloned().unwrap_or_default())
                    }
                    (None, tag) => self.name(team, tag),
                };
                Group { key, label, other: false, total, counts }
            })
            .collect();
        if let Some(((_, first, counts), more)) = rest.split_first() {
            let mut other = Group {
                key: String::new(),
                label: String::new(),
                other: true,
                total: *first,
                counts: counts.clone(),
            };
            for (_, total, counts) in more {
                other.total += total;
                for (sum, count) in other.counts.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
            groups.push(other);
        }
        Ok(groups)
    }

    /// Uid and label of a tag; empty for none that is known.
    fn name(&self, team: TeamId, tag: Option<TagId>) -> (String, String) {
        let tag = tag.and_then(|tag| self.tags.find_by_id(team, tag));
        tag.map(|tag| (tag.uid.to_string(), tag.label.to_string())).unwrap_or_default()
    }
}

/// A coupon, or a tag, or neither.
type Key = (Option<Uuid>, Option<TagId>);

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
    // Where the earlier range has buckets that are empty, bounds come twice.
    if bounds.iter().all(whole) {
        store::count_rolled_up(read, team, bounds, wanted).await
    } else {
        store::count_ledger(read, team, bounds, wanted).await
    }
}
