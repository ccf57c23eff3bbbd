//! The newest revision of each team, as far as this replica knows.
//!
//! Known from hints, which come within milliseconds, and from asking the store when nothing was heard
//! for a second: so what we know is never older than that.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::Followed;
use crate::{db::Db, error::Error, ids::TeamId};

/// How old our knowledge of a revision may be.
const REVISION_AGE_MAX: Duration = Duration::from_secs(1);
/// Teams that a replica remembers something of.
pub const TEAMS_MAX: u64 = 100_000;

/// The newest revision of each team, of one kind of things, as far as we know.
#[derive(Debug)]
pub struct Revisions<K> {
    teams: moka::sync::Cache<TeamId, Arc<Known>>,
    /// Raised whenever what we know may be from another history, such as before a restore.
    epoch: AtomicU64,
    start: Instant,
    kind: PhantomData<fn() -> K>,
}

#[derive(Debug, Default)]
struct Known {
    revision: AtomicI64,
    /// Milliseconds since `start`, plus one; 0: never.
    checked: AtomicU64,
    /// Held by whoever asks the store; holds the last failure, and when it came.
    checking: tokio::sync::Mutex<Option<(u64, Error)>>,
}

impl<K> Default for Revisions<K> {
    fn default() -> Self {
        Self {
            teams: moka::sync::Cache::new(TEAMS_MAX),
            epoch: AtomicU64::new(0),
            start: Instant::now(),
            kind: PhantomData,
        }
    }
}

impl<K: Followed> Revisions<K> {
    /// A team has at least this revision.
    pub fn raise(&self, team: TeamId, revision: i64) {
        let known = self.teams.get_with(team, Arc::default);
        known.revision.fetch_max(revision, Ordering::AcqRel);
    }

    /// Nothing we know can be relied on any longer.
    pub fn forget(&self) {
        self.teams.invalidate_all();
        // Last: whoever sees the new epoch must not see an old revision.
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Changes whenever everything was forgotten.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The revision of a team, at most a second old.
    ///
    /// # Errors
    /// When the store had to be asked and cannot be reached.
    pub async fn current(&self, db: &Db, team: TeamId) -> Result<i64, Error> {
        let known = self.teams.get_with(team, Arc::default);
        let came = self.elapsed();
        if !self.is_recent(&known) {
            let mut failed = known.checking.lock().await;
            // Whoever waited here shares what the one before found, good or bad: callers must not
            // wait for a dead store one after another.
            match &*failed {
                _ if self.is_recent(&known) => {}
                Some((at, error)) if *at >= came => return Err(error.clone()),
                _ => {
                    let asked = self.elapsed();
                    match read_revision::<K>(db, team).await {
                        Ok(revision) => {
                            known.revision.fetch_max(revision, Ordering::AcqRel);
                            known.checked.store(asked, Ordering::Release);
                            *failed = None;
                        }
                        Err(error) => {
                            *failed = Some((self.elapsed(), error.clone()));
                            return Err(error);
                        }
                    }
                }
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

async fn read_revision<K: Followed>(db: &Db, team: TeamId) -> Result<i64, Error> {
    let read = db.team(team).await?;
    let state = K::state(&read, team).await?;
    read.end().await?;
    Ok(state.revision)
}
