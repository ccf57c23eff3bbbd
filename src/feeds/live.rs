//! Things as they are stored, for whoever follows a team.
//!
//! Each team that is followed has one reader. It is handed what this replica commits, and reads from the
//! store what others did: a hint says that there is something, and a look every second is the net under
//! it. What it has goes to all followers at once; one that is too slow to take it reads the store from its
//! own place ([`super::follow`]). So nothing is lost and nothing comes twice, whatever happens to hints.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Semaphore, broadcast, mpsc, watch},
    time,
};

use super::{
    Followed, StreamState,
    revisions::{Revisions, TEAMS_MAX},
};
use crate::{db::Db, error::Error, hints::Hears, ids::TeamId};

/// How often to look without being told.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Batches that a follower may be behind before it reads the store.
const BATCHES_KEPT: usize = 32;
/// Commits that a reader may be behind before it reads the store.
const COMMITS_KEPT: usize = 64;
/// Each follower that is woken costs some time: with many of them items are gathered for a moment before
/// they are sent, so that one waking brings several. For one follower, and at most.
const GATHER_FOR_ONE: Duration = Duration::from_micros(20);
const GATHER_MAX: Duration = Duration::from_millis(20);
/// Pages that are read at a time, of all kinds: for all followers, for those of one team, and for feeds.
const READS_MAX: usize = 6;
const TEAM_READS_MAX: usize = 2;
const FEED_READS_MAX: usize = 4;
/// Revisions that a page is looked for in; four times as many as long as there is nothing in them.
const WINDOW: i64 = 4_000;
const WINDOW_MAX: i64 = 1_000_000;
/// How long a page may be looked for: then the reader has come further, if to no item.
const LOOK_FOR: Duration = Duration::from_secs(2);

/// What one commit of this replica added.
#[derive(Debug)]
pub struct Committed<K: Followed> {
    /// The team's revision before it.
    pub after: i64,
    /// The team's revision after it.
    pub last: i64,
    pub items: Vec<K::Stored>,
}

/// All items from after a revision up to another.
#[derive(Debug)]
pub struct Batch<K: Followed> {
    pub after: i64,
    pub last: i64,
    pub items: Vec<Live<K>>,
    /// The store has less than it had, as after a backup was restored: what followers have is not there.
    pub lost: bool,
}

/// An item that is given to all followers.
#[derive(Debug)]
pub struct Live<K: Followed> {
    pub item: K::Item,
    /// As readers are sent it: the same for all of them.
    pub encoded: OnceLock<Bytes>,
}

/// The feeds of all teams that are followed, of one kind.
#[derive(Clone, Debug)]
pub struct Feeds<K: Followed>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K: Followed> {
    db: Db,
    kind: K,
    revisions: Arc<Revisions<K>>,
    feeds: Mutex<HashMap<TeamId, Weak<Feed<K>>>>,
    reads: Reads,
}

/// What may be read of the store at a time, for feeds and followers of all kinds together: so that there are
/// connections left for others.
#[derive(Clone, Debug)]
pub struct Reads(Arc<Shares>);

#[derive(Debug)]
struct Shares {
    followers: Semaphore,
    teams: moka::sync::Cache<TeamId, Arc<Semaphore>>,
    feeds: Semaphore,
}

impl Default for Reads {
    fn default() -> Self {
        Self(Arc::new(Shares {
            followers: Semaphore::new(READS_MAX),
            teams: moka::sync::Cache::new(TEAMS_MAX),
            feeds: Semaphore::new(FEED_READS_MAX),
        }))
    }
}

/// Items after a revision.
#[derive(Debug)]
pub struct Page<K: Followed> {
    pub items: Vec<K::Item>,
    /// All up to here that were asked for are among them.
    pub upto: i64,
    /// How far the team's items go.
    pub state: StreamState,
}

/// The items of one team. Its reader ends when nobody holds it any longer.
#[derive(Debug)]
pub struct Feed<K: Followed> {
    team: TeamId,
    batches: broadcast::Sender<Arc<Batch<K>>>,
    commits: mpsc::Sender<Committed<K>>,
    /// The newest revision that was heard of.
    heard: watch::Sender<i64>,
    /// How far the feed has come; -1 until it has begun.
    position: watch::Sender<i64>,
}

impl<K: Followed> Feed<K> {
    /// What comes from now on.
    pub fn batches(&self) -> broadcast::Receiver<Arc<Batch<K>>> {
        self.batches.subscribe()
    }

    /// How far the feed has come.
    pub fn position(&self) -> watch::Receiver<i64> {
        self.position.subscribe()
    }
}

impl<K: Followed> Feeds<K> {
    /// No feed yet.
    #[must_use]
    pub fn new(db: Db, kind: K, revisions: Arc<Revisions<K>>, reads: Reads) -> Self {
        Self(Arc::new(Inner { db, kind, revisions, feeds: Mutex::default(), reads }))
    }

    /// The feed of a team. It runs for as long as somebody holds it.
    pub fn follow(&self, team: TeamId) -> Arc<Feed<K>> {
        let mut feeds = self.0.feeds();
        if let Some(feed) = feeds.get(&team).and_then(Weak::upgrade) {
            return feed;
        }
        let (commits, committed) = mpsc::channel(COMMITS_KEPT);
        let feed = Arc::new(Feed {
            team,
            batches: broadcast::channel(BATCHES_KEPT).0,
            commits,
            heard: watch::channel(0).0,
            position: watch::channel(-1).0,
        });
        feeds.retain(|_, feed| feed.strong_count() > 0);
        feeds.insert(team, Arc::downgrade(&feed));
        let followed = u32::try_from(feeds.len()).unwrap_or(u32::MAX);
        metrics::gauge!("tap_feeds", "kind" => K::NAME).set(followed);
        let heard = feed.heard.subscribe();
        tokio::spawn(run(team, Arc::downgrade(&feed), self.clone(), committed, heard));
        feed
    }

    /// This replica has committed something.
    pub fn publish(&self, team: TeamId, committed: impl FnOnce() -> Committed<K>) {
        if let Some(feed) = self.feed(team) {
            let committed = committed();
            let last = committed.last;
            if feed.commits.try_send(committed).is_err() {
                // The reader is behind: it will read that from the store.
                feed.hear(last);
            }
        }
    }

    fn feed(&self, team: TeamId) -> Option<Arc<Feed<K>>> {
        self.0.feeds().get(&team).and_then(Weak::upgrade)
    }

    /// Reads items of a team after a revision, for a follower.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn read(
        &self,
        team: TeamId,
        after: i64,
        filter: &K::Filter,
    ) -> Result<Page<K>, Error> {
        // First the team's own: who waits for that must not hold what others need.
        let Shares { followers, teams, .. } = &*self.0.reads.0;
        let share = teams.get_with(team, || Arc::new(Semaphore::new(TEAM_READS_MAX)));
        let _of_team = share.acquire().await.map_err(Error::internal)?;
        let _permit = followers.acquire().await.map_err(Error::internal)?;
        self.read_page(team, after, filter).await
    }

    async fn read_page(
        &self,
        team: TeamId,
        after: i64,
        filter: &K::Filter,
    ) -> Result<Page<K>, Error> {
        let start = time::Instant::now();
        let read = self.0.db.team(team).await?;
        let state = K::state(&read, team).await?;
        let limit = i64::try_from(K::PAGE).map_err(Error::internal)?;
        let (mut upto, mut window, mut items) = (after, WINDOW, Vec::new());
        // Bounded pieces: with a filter that lets little through, all items after the token would be read.
        while items.is_empty() && upto < state.revision && start.elapsed() < LOOK_FOR {
            let from = upto;
            upto = state.revision.min(from.saturating_add(window));
            items = K::read(&read, team, from..upto, limit, filter).await?;
            window = WINDOW_MAX.min(window * 4);
        }
        read.end().await?;
        if items.len() >= K::PAGE {
            upto = items.last().map_or(upto, K::revision);
        }
        Ok(Page { items, upto: upto.max(after), state })
    }

    /// How far a team's items go, by the store.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn state(&self, team: TeamId) -> Result<StreamState, Error> {
        let read = self.0.db.team(team).await?;
        let state = K::state(&read, team).await?;
        read.end().await?;
        Ok(state)
    }
}

impl<K: Followed> Hears for Feeds<K> {
    fn channel(&self) -> &'static str {
        K::NAME
    }

    fn hear(&self, team: TeamId, revision: i64) {
        self.0.revisions.raise(team, revision);
        if let Some(feed) = self.feed(team) {
            feed.hear(revision);
        }
    }

    fn forget(&self) {
        self.0.revisions.forget();
    }
}

impl<K: Followed> Inner<K> {
    fn feeds(&self) -> MutexGuard<'_, HashMap<TeamId, Weak<Feed<K>>>> {
        // Nothing can be half done under the lock.
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Followed> Feed<K> {
    fn hear(&self, revision: i64) {
        self.heard.send_if_modified(|heard| {
            let newer = revision > *heard;
            *heard = revision.max(*heard);
            newer
        });
    }

    /// Passes a batch on.
    fn send(&self, feeds: &Feeds<K>, mut after: i64, last: i64, items: Vec<K::Item>) {
        // Who is told of a position must find it.
        feeds.0.revisions.raise(self.team, last);
        let mut items = items.into_iter().map(|item| Live { item, encoded: OnceLock::new() });
        // What is kept for a slow follower is counted by batches: they are small.
        loop {
            let some: Vec<Live<K>> = items.by_ref().take(K::PAGE).collect();
            let rest = items.len() > 0;
            let upto = some.last().filter(|_| rest).map_or(last, |live| K::revision(&live.item));
            // Nobody may be listening at this moment.
            let batch = Batch { after, last: upto, items: some, lost: false };
            let _listeners = self.batches.send(Arc::new(batch));
            after = upto;
            if !rest {
                break;
            }
        }
        self.position.send_replace(last);
    }
}

/// Reads a team's items for as long as somebody holds its feed.
async fn run<K: Followed>(
    team: TeamId,
    feed: Weak<Feed<K>>,
    feeds: Feeds<K>,
    mut commits: mpsc::Receiver<Committed<K>>,
    mut heard: watch::Receiver<i64>,
) {
    let mut look = time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut failing = false;
    let mut gathered = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = commits.recv_many(&mut gathered, COMMITS_KEPT) => if count == 0 {
                return;
            },
            changed = heard.changed() => if changed.is_err() {
                return;
            },
            _ = look.tick() => {}
        }
        let Some(feed) = feed.upgrade() else { return };
        let result = if gathered.is_empty() {
            let heard = *heard.borrow_and_update();
            feed.catch_up(&feeds, heard).await
        } else {
            feed.take(&feeds, gathered.drain(..)).await
        };
        let followers = u32::try_from(feed.batches.receiver_count()).unwrap_or(u32::MAX);
        drop(feed);
        match result {
            Ok(()) => failing = false,
            Err(error) => {
                if !failing {
                    let cause = error.log_text();
                    let name = K::NAME;
                    tracing::warn!(team = team.0, cause, "cannot read new {name}; trying again");
                }
                failing = true;
            }
        }
        time::sleep(GATHER_FOR_ONE.saturating_mul(followers).min(GATHER_MAX)).await;
    }
}

impl<K: Followed> Feed<K> {
    /// Passes on what this replica has committed, if that is what comes next.
    async fn take(
        &self,
        feeds: &Feeds<K>,
        commits: impl Iterator<Item = Committed<K>>,
    ) -> Result<(), Error> {
        let after = *self.position.borrow();
        if after < 0 {
            return self.catch_up(feeds, 0).await;
        }
        let (mut last, mut items) = (after, Vec::new());
        // The newest of those that do not follow.
        let mut missed = None;
        for commit in commits.filter(|commit| commit.last > after) {
            let named = commit.items.into_iter().map(|stored| feeds.0.kind.name(self.team, stored));
            match named.collect::<Option<Vec<_>>>() {
                Some(named) if commit.after == last && missed.is_none() => {
                    items.extend(named);
                    last = commit.last;
                }
                _ => missed = Some(commit.last),
            }
        }
        if last > after {
            self.send(feeds, after, last, items);
        }
        match missed {
            Some(revision) => self.catch_up(feeds, revision).await,
            None => Ok(()),
        }
    }

    /// Reads from the store what is new, if there is anything.
    async fn catch_up(&self, feeds: &Feeds<K>, heard: i64) -> Result<(), Error> {
        let mut position = *self.position.borrow();
        if position < 0 {
            position = feeds.state(self.team).await?.revision;
            self.send(feeds, position, position, Vec::new());
            return Ok(());
        }
        if heard <= position {
            // Nothing was heard of, which may mean that hints do not come.
            let current = feeds.0.revisions.current(&feeds.0.db, self.team).await?;
            if current < position {
                let batch = Batch { after: current, last: current, items: Vec::new(), lost: true };
                let _listeners = self.batches.send(Arc::new(batch));
                self.position.send_replace(current);
            }
            if current <= position {
                return Ok(());
            }
        }
        let _permit = feeds.0.reads.0.feeds.acquire().await.map_err(Error::internal)?;
        loop {
            let Page { items, upto, state } =
                feeds.read_page(self.team, position, &K::Filter::default()).await?;
            if upto <= position {
                return Ok(());
            }
            self.send(feeds, position, upto, items);
            position = upto;
            if upto >= state.revision {
                return Ok(());
            }
        }
    }
}
