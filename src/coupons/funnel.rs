//! What became of taps: sessions, views of coupons, redemptions, by bucket.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    count::{Counter, count_between},
    registry::no_such_coupon,
    store::{
        counts::{self as store, Wanted},
        coupons,
    },
};
use crate::{
    db::TeamRead,
    error::Error,
    ids::{TagId, TeamId},
    taps::{self, count::bounds, model::Query},
};

/// Whose funnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The whole team, or the tag that the query names.
    Tags,
    Coupon(Uuid),
}

/// The stages of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    pub taps: i64,
    pub sessions: i64,
    pub views: i64,
    pub redemptions: i64,
}

/// A funnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funnel {
    /// One more than there are buckets.
    pub bounds: Vec<DateTime<Utc>>,
    pub stages: Vec<Stages>,
}

impl Counter {
    /// Counts each stage when it happened.
    ///
    /// # Errors
    /// As [`Counter::count`].
    pub async fn funnel(&self, team: TeamId, query: &Query, of: Of) -> Result<Funnel, Error> {
        let bounds = bounds(query)?;
        let _turn = self.turns.acquire().await.map_err(Error::internal)?;
        let mut query = query.clone();
        let read = self.db.team(team).await?;
        let counted = async {
            if let Of::Coupon(id) = of {
                let coupon = coupons::get_coupon(&read, team, id).await?;
                // None: any hands it out.
                query.tag_uids = coupon.ok_or_else(no_such_coupon)?.content.tag_uids;
            }
            let tags = self.tags.resolve(team, &query.tag_uids).await?;
            count_later(&read, team, &bounds, tags, of).await
        };
        let counted = counted.await;
        let ended = read.end().await;
        let mut stages = counted?;
        ended?;

        let counts = taps::count::count(&self.db, team, &query).await?.counts;
        for (stages, taps) in stages.iter_mut().zip(counts) {
            stages.taps = taps;
        }
        Ok(Funnel { bounds, stages })
    }
}

/// All but the taps.
async fn count_later(
    read: &TeamRead,
    team: TeamId,
    bounds: &[DateTime<Utc>],
    tags: Option<Vec<TagId>>,
    of: Of,
) -> Result<Vec<Stages>, Error> {
    let mut stages = vec![Stages::default(); bounds.len().saturating_sub(1)];
    let mut add = |bucket: usize, add: &dyn Fn(&mut Stages)| {
        if let Some(stages) = stages.get_mut(bucket) {
            add(stages);
        }
    };
    for (bucket, count) in store::count_sessions(read, team, bounds, tags.as_deref()).await? {
        add(bucket, &|stages| stages.sessions += count);
    }
    let (coupon, of_tags) = match of {
        Of::Coupon(id) => (Some(id), None),
        Of::Tags => (None, tags),
    };
    for (bucket, count) in
        store::count_views(read, team, bounds, coupon, of_tags.as_deref()).await?
    {
        add(bucket, &|stages| stages.views += count);
    }
    let coupons = coupon.map(|id| vec![id]);
    let wanted = Wanted { coupons, tags: of_tags, ..Wanted::default() };
    for cell in count_between(read, team, bounds, &wanted).await? {
        add(cell.bucket, &|stages| stages.redemptions += cell.redemptions);
    }
    Ok(stages)
}
