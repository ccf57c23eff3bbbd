//! Answers to queries: counted from the roll-up, and kept while they are true.
//!
//! An answer is true for the revision of the team that it counted. So the revision is part of what it
//! is kept under, and the only question is how we know the newest revision without asking the store
//! for each call: a hint of the writer raises it at once, and what was not checked for a second is
//! checked again. Where tags are named, so is the state of the team's tags, as labels change without a tap.
//! Equal queries that come together are counted once.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use prost::Message as _;
use tokio::sync::Semaphore;

use super::{
    count::count,
    live::LiveTaps,
    model::{GroupBy, Query},
    wire,
};
use crate::{
    clock::Clock,
    db::Db,
    error::Error,
    feeds::revisions::{Revisions, TEAMS_MAX},
    ids::TeamId,
    proto::tap_v1::QueryTapsResponse,
    tags::directory::TagDirectory,
};

/// Queries of one team that are counted at a time; further ones wait.
const TEAM_QUERIES_MAX: usize = 4;

/// Counts taps, or remembers having done so.
#[derive(Clone, Debug)]
pub struct Answers {
    db: Db,
    clock: Clock,
    revisions: Arc<Revisions<LiveTaps>>,
    tags: Arc<TagDirectory>,
    cache: Cache<CacheKey, Arc<Answer>>,
    /// What each team may ask of the store at a time.
    shares: moka::sync::Cache<TeamId, Arc<Semaphore>>,
    timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CacheKey {
    team: TeamId,
    query: Query,
    revision: i64,
    /// State of the team's tags that was known; `None` where no tag is named.
    tags_revision: Option<i64>,
    epoch: u64,
}

/// An answer, without a resume token: that is made when it is given. Shared by all that ask the same.
#[derive(Clone, Debug)]
pub struct Answered(Arc<Answer>);

impl Answered {
    /// The answer.
    #[must_use]
    pub fn response(&self) -> &QueryTapsResponse {
        &self.0.response
    }

    /// The team's revision that was counted.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.0.revision
    }
}

#[derive(Debug)]
struct Answer {
    response: QueryTapsResponse,
    revision: i64,
    /// When a bucket that was open will be past. The counts stay true, the states do not.
    states_until: Option<DateTime<Utc>>,
}

impl Answers {
    /// Keeps answers in at most `bytes` of memory.
    #[must_use]
    pub fn new(
        db: Db,
        clock: Clock,
        revisions: Arc<Revisions<LiveTaps>>,
        tags: Arc<TagDirectory>,
        bytes: u64,
        timeout: Duration,
    ) -> Self {
        let weigh = |_: &CacheKey, answer: &Arc<Answer>| {
            // Strings and lists have headers in memory that they have not on the wire: an estimate, on
            // the high side.
            u32::try_from(answer.response.encoded_len() * 3 + 1024).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(weigh)
            .time_to_idle(Duration::from_mins(15))
            .build();
        let shares = moka::sync::Cache::new(TEAMS_MAX);
        Self { db, clock, revisions, tags, cache, shares, timeout }
    }

    /// The answer to a query.
    ///
    /// # Errors
    /// [`Error::Invalid`] for too many buckets, [`Error::NotFound`] for tags that are not the team's,
    /// [`Error::TooSlow`], [`Error::StoreUnavailable`].
    pub async fn query_taps(&self, team: TeamId, query: Query) -> Result<Answered, Error> {
        let work = self.remembered(team, query);
        tokio::time::timeout(self.timeout, work).await.unwrap_or(Err(Error::TooSlow))
    }

    /// When the state of a bucket of this answer will be another one, without a tap.
    #[must_use]
    pub fn stale_at(&self, answered: &Answered) -> Option<tokio::time::Instant> {
        let left = answered.0.states_until? - self.clock.now();
        // A clock that was set must not make us ask without end.
        let left = left.to_std().unwrap_or_default().max(Duration::from_millis(250));
        tokio::time::Instant::now().checked_add(left)
    }

    async fn remembered(&self, team: TeamId, query: Query) -> Result<Answered, Error> {
        let epoch = self.revisions.epoch();
        let revision = self.revisions.current(&self.db, team).await?;
        // Known before it is counted: what is counted then is of this state or a later one.
        let named = matches!(query.group_by, GroupBy::Tag { .. });
        let tags_revision = named.then(|| self.tags.revision(team)).flatten();
        let key = CacheKey { team, query, revision, tags_revision, epoch };

        if let Some(answer) = self.cache.get(&key).await {
            if answer.states_until.is_none_or(|until| self.clock.now() < until) {
                metrics::counter!("tap_answers_total", "from" => "cache").increment(1);
                return Ok(Answered(answer));
            }
            self.cache.invalidate(&key).await;
        }
        let counted = self.cache.try_get_with(key.clone(), self.count(team, &key.query)).await;
        match counted {
            Ok(answer) => Ok(Answered(answer)),
            Err(shared) => Err(Error::clone(&shared)),
        }
    }

    async fn count(&self, team: TeamId, query: &Query) -> Result<Arc<Answer>, Error> {
        metrics::counter!("tap_answers_total", "from" => "store").increment(1);
        // A team that asks much waits for itself, so that there is a connection left for others.
        let share = self.shares.get_with(team, || Arc::new(Semaphore::new(TEAM_QUERIES_MAX)));
        let _counting = share.acquire().await.map_err(Error::internal)?;
        let counts = count(&self.db, team, query).await?;
        self.revisions.raise(team, counts.revision);

        let now = self.clock.now();
        let states_until = counts.bounds.iter().skip(1).find(|end| **end > now).copied();
        let response = wire::answer(query, &counts, now);
        Ok(Arc::new(Answer { response, revision: counts.revision, states_until }))
    }
}
