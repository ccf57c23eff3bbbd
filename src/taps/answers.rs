//! Answers to queries: counted from the roll-up, and kept while they are true.
//!
//! An answer is true for the revision of the team that it counted. So the revision is part of what it
//! is kept under, and the only question is how we know the newest revision without asking the store
//! for each call: a hint of the writer raises it at once, and what was not checked for a second is
//! checked again. Equal queries that come together are counted once.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use prost::Message as _;

use super::{
    buckets,
    model::{BUCKETS_MAX, Comparison, Counts, GROUP_COUNTS_MAX, Group, GroupBy, Kind, Query},
    store,
    tally::{Reads, Tally},
    wire,
};
use crate::{
    clock::Clock,
    db::{Db, TeamRead},
    error::Error,
    ids::{TagId, TeamId},
    proto::tap_v1::QueryTapsResponse,
};

/// How old our knowledge of a revision may be.
const REVISION_AGE_MAX: Duration = Duration::from_secs(1);
/// Teams whose revision we remember.
const TEAMS_MAX: u64 = 100_000;

/// Counts taps, or remembers having done so.
#[derive(Clone, Debug)]
pub struct Answers {
    db: Db,
    clock: Clock,
    revisions: Arc<Revisions>,
    cache: Cache<CacheKey, Arc<Answer>>,
    timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CacheKey {
    team: TeamId,
    query: Query,
    revision: i64,
    epoch: u64,
}

#[derive(Debug)]
struct Answer {
    response: QueryTapsResponse,
    /// When a bucket that was open will be past. The counts stay true, the states do not.
    states_until: Option<DateTime<Utc>>,
}

impl Answers {
    /// Keeps answers in at most `bytes` of memory.
    #[must_use]
    pub fn new(
        db: Db,
        clock: Clock,
        revisions: Arc<Revisions>,
        bytes: u64,
        timeout: Duration,
    ) -> Self {
        let weigh = |_: &CacheKey, answer: &Arc<Answer>| {
            // In memory a message is about three times its size on the wire.
            u32::try_from(answer.response.encoded_len() * 3 + 1024).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(weigh)
            .time_to_idle(Duration::from_mins(15))
            .build();
        Self { db, clock, revisions, cache, timeout }
    }

    /// The answer to a query.
    ///
    /// # Errors
    /// [`Error::Invalid`] for too many buckets, [`Error::NotFound`] for tags that are not the team's,
    /// [`Error::TooSlow`], [`Error::StoreUnavailable`].
    pub async fn query_taps(&self, team: TeamId, query: Query) -> Result<QueryTapsResponse, Error> {
        let work = self.remembered(team, query);
        tokio::time::timeout(self.timeout, work).await.unwrap_or(Err(Error::TooSlow))
    }

    async fn remembered(&self, team: TeamId, query: Query) -> Result<QueryTapsResponse, Error> {
        let epoch = self.revisions.epoch();
        let revision = self.revisions.current(&self.db, team).await?;
        let key = CacheKey { team, query, revision, epoch };

        if let Some(answer) = self.cache.get(&key).await {
            if answer.states_until.is_none_or(|until| self.clock.now() < until) {
                metrics::counter!("tap_answers_total", "from" => "cache").increment(1);
                return Ok(answer.response.clone());
            }
            self.cache.invalidate(&key).await;
        }
        let counted = self.cache.try_get_with(key.clone(), self.count(team, &key.query)).await;
        match counted {
            Ok(answer) => Ok(answer.response.clone()),
            Err(shared) => Err(Error::clone(&shared)),
        }
    }

    async fn count(&self, team: TeamId, query: &Query) -> Result<Arc<Answer>, Error> {
        metrics::counter!("tap_answers_total", "from" => "store").increment(1);
        let counts = count(&self.db, team, query).await?;
        self.revisions.raise(team, counts.revision);

        let now = self.clock.now();
        let states_until = counts.bounds.iter().skip(1).find(|end| **end > now).copied();
        let response = wire::answer(team, query, &counts, now);
        Ok(Arc::new(Answer { response, states_until }))
    }
}

/// Counts what a query asks for, in one snapshot.
///
/// # Errors
/// As [`Answers::query_taps`].
pub async fn count(db: &Db, team: TeamId, query: &Query) -> Result<Counts, Error> {
    let bounds = buckets::bounds(query).ok_or_else(|| too_many_buckets(query))?;
    let read = db.team(team).await?;
    let counted = count_in(&read, team, query, bounds).await;
    // Also after a refusal: the connection is sound and goes back to the pool.
    let ended = read.end().await;
    let counts = counted?;
    ended?;
    Ok(counts)
}

async fn count_in(
    read: &TeamRead,
    team: TeamId,
    query: &Query,
    bounds: Vec<DateTime<Utc>>,
) -> Result<Counts, Error> {
    let revision = store::revision(read, team).await?;
    let tags = find_tags(read, team, query).await?;
    let reader = Reader { read, team, query, tags };

    let (counts, groups) = reader.buckets_and_groups(&bounds).await?;
    let comparison = match buckets::earlier_bounds(query, &bounds) {
        Some(bounds) => {
            let counts = reader.earlier(&bounds).await?;
            Some(Comparison { bounds, counts })
        }
        None => None,
    };
    Ok(Counts { bounds, counts, groups, comparison, revision })
}

/// The tags to count; `None` means all of the team.
async fn find_tags(
    read: &TeamRead,
    team: TeamId,
    query: &Query,
) -> Result<Option<Vec<TagId>>, Error> {
    if query.tag_uids.is_empty() {
        return Ok(None);
    }
    let found: HashMap<String, TagId> = store::find_tags(read, team, &query.tag_uids)
        .await?
        .into_iter()
        .map(|(id, uid)| (uid, id))
        .collect();
    let missing: Vec<&str> =
        query.tag_uids.iter().filter(|uid| !found.contains_key(*uid)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(Some(found.into_values().collect()));
    }
    Err(Error::NotFound { reason: "TAG_NOT_FOUND", message: wire::tags_not_found(&missing) })
}

fn too_many_buckets(query: &Query) -> Error {
    let narrowest = wire::interval_name(buckets::narrowest_interval(query));
    Error::invalid(
        "interval",
        "TOO_MANY_BUCKETS",
        format!(
            "this range has more than {BUCKETS_MAX} buckets by {}: use {narrowest} or wider, or a shorter range",
            wire::interval_name(query.interval)
        ),
    )
}

/// Reads the counts of one query from one snapshot.
struct Reader<'a> {
    read: &'a TeamRead,
    team: TeamId,
    query: &'a Query,
    /// `None`: all of the team.
    tags: Option<Vec<TagId>>,
}

impl Reader<'_> {
    async fn buckets_and_groups(
        &self,
        bounds: &[DateTime<Utc>],
    ) -> Result<(Vec<i64>, Vec<Group>), Error> {
        let mut tally = Tally::new(self.query, bounds);
        let tags = match self.query.group_by {
            GroupBy::Tag { limit } => self.add_busiest(limit, bounds, &mut tally).await?,
            GroupBy::None | GroupBy::Kind | GroupBy::HourOfWeek => {
                self.add_all(self.query.group_by, bounds, &mut tally).await?;
                Vec::new()
            }
        };

        let groups = match self.query.group_by {
            GroupBy::None => Vec::new(),
            GroupBy::Tag { .. } => self.tag_groups(&tags, &mut tally).await?,
            GroupBy::Kind => kind_groups(&tally),
            GroupBy::HourOfWeek => wire::hour_groups(self.query.week_start, &tally.by_hour),
        };
        Ok((tally.counts, groups))
    }

    /// The counts of an earlier range, without groups.
    async fn earlier(&self, bounds: &[DateTime<Utc>]) -> Result<Vec<i64>, Error> {
        let query = Query { group_by: GroupBy::None, ..self.query.clone() };
        let mut tally = Tally::new(&query, bounds);
        self.add_all(GroupBy::None, bounds, &mut tally).await?;
        Ok(tally.counts)
    }

    async fn add_all(
        &self,
        group_by: GroupBy,
        bounds: &[DateTime<Utc>],
        tally: &mut Tally<'_>,
    ) -> Result<(), Error> {
        let Reads { raw, days } = Reads::plan(self.query, bounds);
        for bounds in &raw {
            let tags = self.tags.as_deref();
            for cell in store::count_raw(self.read, self.team, bounds, tags, group_by).await? {
                tally.add(cell);
            }
        }
        if let Some(days) = &days {
            let tags = self.tags.as_deref().unwrap_or(&[TagId::WHOLE_TEAM]);
            store::count_days(self.read, self.team, days, tags, tally).await?;
        }
        Ok(())
    }

    /// Adds all taps to the tally, and those of the busiest tags apart; returns these, the busiest
    /// first.
    async fn add_busiest(
        &self,
        limit: usize,
        bounds: &[DateTime<Utc>],
        tally: &mut Tally<'_>,
    ) -> Result<Vec<TagId>, Error> {
        let (read, team, tags) = (self.read, self.team, self.tags.as_deref());
        let Reads { raw, days } = Reads::plan(self.query, bounds);
        let mut cells = Vec::new();
        for bounds in &raw {
            cells.extend(store::count_raw(read, team, bounds, tags, self.query.group_by).await?);
        }

        let mut totals: HashMap<TagId, i64> = HashMap::new();
        for cell in &cells {
            *totals.entry(cell.tag).or_default() += cell.count;
        }
        if let Some(days) = &days {
            for (tag, count) in store::rank_tags(read, team, days, tags).await? {
                *totals.entry(tag).or_default() += count;
            }
        }
        let mut ranked: Vec<(TagId, i64)> =
            totals.into_iter().filter(|(_, count)| *count > 0).collect();
        ranked.sort_by_key(|(tag, count)| (std::cmp::Reverse(*count), *tag));
        let busiest: Vec<TagId> = ranked.iter().take(limit).map(|(tag, _)| *tag).collect();
        let groups = busiest.len() + 1;
        if groups * tally.counts.len() > GROUP_COUNTS_MAX {
            return Err(Error::invalid(
                "limit",
                "TOO_MANY_COUNTS",
                format!(
                    "{groups} groups of {} buckets are more than {GROUP_COUNTS_MAX} counts: use a lower limit or a wider interval",
                    tally.counts.len()
                ),
            ));
        }

        tally.watch(&busiest);
        for cell in cells {
            tally.add(cell);
        }
        if let Some(days) = &days {
            // All tags were asked for: the row of the whole team has the rest, too.
            let all: Vec<TagId> = match tags {
                Some(tags) => tags.to_vec(),
                None => busiest.iter().copied().chain([TagId::WHOLE_TEAM]).collect(),
            };
            tally.tags_are_parts = tags.is_none();
            store::count_days(read, team, days, &all, tally).await?;
        }
        Ok(busiest)
    }

    async fn tag_groups(
        &self,
        busiest: &[TagId],
        tally: &mut Tally<'_>,
    ) -> Result<Vec<Group>, Error> {
        let mut names: HashMap<TagId, (String, String)> = HashMap::new();
        for (tag, uid, label) in store::name_tags(self.read, self.team, busiest).await? {
            names.insert(tag, (uid, label));
        }

        let mut rest = tally.counts.clone();
        let mut groups = Vec::with_capacity(busiest.len() + 1);
        for tag in busiest {
            let counts = tally.by_tag.remove(tag).unwrap_or_default();
            for (rest, count) in rest.iter_mut().zip(&counts) {
                *rest -= count;
            }
            let (key, label) = names.remove(tag).unwrap_or_default();
            groups.push(Group { key, label, other: false, total: counts.iter().sum(), counts });
        }
        if rest.iter().any(|count| *count != 0) {
            let total = rest.iter().sum();
            groups.push(Group {
                key: String::new(),
                label: String::new(),
                other: true,
                total,
                counts: rest,
            });
        }
        Ok(groups)
    }
}

fn kind_groups(tally: &Tally<'_>) -> Vec<Group> {
    let group = |(kind, counts): (Kind, &Vec<i64>)| Group {
        key: kind.as_str().to_owned(),
        label: wire::kind_label(kind).to_owned(),
        other: false,
        total: counts.iter().sum(),
        counts: counts.clone(),
    };
    Kind::ALL.into_iter().zip(&tally.by_kind).map(group).collect()
}

/// The newest revision of each team, as far as we know.
#[derive(Debug)]
pub struct Revisions {
    teams: moka::sync::Cache<TeamId, Arc<Known>>,
    /// Raised whenever what we know may be from another history, such as before a restore.
    epoch: AtomicU64,
    start: Instant,
}

#[derive(Debug, Default)]
struct Known {
    revision: AtomicI64,
    /// Milliseconds since `start`, plus one; 0: never.
    checked: AtomicU64,
    checking: tokio::sync::Mutex<()>,
}

impl Default for Revisions {
    fn default() -> Self {
        Self {
            teams: moka::sync::Cache::new(TEAMS_MAX),
            epoch: AtomicU64::new(0),
            start: Instant::now(),
        }
    }
}

impl Revisions {
    /// A team has at least this revision.
    pub fn raise(&self, team: TeamId, revision: i64) {
        let known = self.teams.get_with(team, Arc::default);
        known.revision.fetch_max(revision, Ordering::AcqRel);
    }

    /// Nothing we know can be relied on any longer.
    pub fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.teams.invalidate_all();
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The revision of a team, at most [`REVISION_AGE_MAX`] old.
    async fn current(&self, db: &Db, team: TeamId) -> Result<i64, Error> {
        let known = self.teams.get_with(team, Arc::default);
        if !self.is_recent(&known) {
            let _one_at_a_time = known.checking.lock().await;
            if !self.is_recent(&known) {
                let asked = self.elapsed();
                let read = db.team(team).await?;
                let revision = store::revision(&read, team).await?;
                read.end().await?;
                known.revision.fetch_max(revision, Ordering::AcqRel);
                known.checked.store(asked, Ordering::Release);
            }
        }
        Ok(known.revision.load(Ordering::Acquire))
    }

    fn is_recent(&self, known: &Known) -> bool {
        let checked = known.checked.load(Ordering::Acquire);
        let age_max = u64::try_from(REVISION_AGE_MAX.as_millis()).unwrap_or(u64::MAX);
        checked > 0 && self.elapsed().saturating_sub(checked) < age_max
    }

    /// Milliseconds since we began, plus one.
    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
}
