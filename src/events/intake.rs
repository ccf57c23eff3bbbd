//! Takes batches of events into the inbox: on return they are durable, and answered for.
//!
//! Each team has a line of its own and one commit under way at a time; whatever comes meanwhile goes into the
//! next commit together. How much may come at a time is bounded by [`crate::limits`], and how much may wait to
//! be stored is bounded here.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{Semaphore, oneshot},
    time,
};
use uuid::Uuid;

use super::{
    model::{Application, BatchId, Readable},
    store::inbox::{self, NewBatch},
    worker::{Waits, Worker},
};
use crate::{
    clock::Clock,
    db::{Db, Write},
    error::Error,
    ids::TeamId,
    reasons,
};

/// Bytes of one commit, unless a single batch has more.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;
/// Commits that are under way at a time.
const COMMITS_MAX: usize = 4;
/// Bytes of a team that may wait to be stored, as they were last counted.
const BACKLOG_BYTES_MAX: i64 = 4 * 1024 * 1024 * 1024;
/// How long a batch is tried to be taken while the store is down for a moment.
const RETRY_FOR: Duration = Duration::from_secs(5);
const RETRY_WAIT: Duration = Duration::from_millis(100);
/// How long a caller may wait.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(20);

/// Takes events.
#[derive(Clone, Debug)]
pub struct Intake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    worker: Worker,
    /// Events of a team that may wait to be stored.
    backlog_max: i64,
    commits: Arc<Semaphore>,
    /// The lines of the teams that have a commit under way.
    lines: Mutex<HashMap<TeamId, VecDeque<Waiting>>>,
}

/// A batch and who waits for it.
#[derive(Debug)]
struct Waiting {
    batch: NewBatch,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Intake {
    /// Empty lines before this store.
    #[must_use]
    pub fn new(db: Db, clock: Clock, worker: Worker, backlog_max: i64) -> Self {
        let (commits, lines) = (Arc::new(Semaphore::new(COMMITS_MAX)), Mutex::default());
        Self(Arc::new(Inner { db, clock, worker, backlog_max, commits, lines }))
    }

    /// Takes events, and gives a receipt for each. What waits for its turn is dropped when the caller goes away.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when too many wait to be stored; as [`crate::db::query`]: then nobody knows
    /// whether they were taken.
    pub async fn accept(
        &self,
        team: TeamId,
        application: Application,
        events: Readable,
    ) -> Result<Vec<Uuid>, Error> {
        let Waits { events: waiting, bytes } = self.0.worker.backlog(team);
        if waiting >= self.0.backlog_max || bytes >= BACKLOG_BYTES_MAX {
            return Err(Error::LimitReached {
                reason: reasons::EVENT_BACKLOG,
                // Not how many: it may be few that are large.
                message: "too many events of this team wait to be stored: try again later"
                    .to_owned(),
            });
        }
        let Readable { events, payload } = events;
        let id = BatchId::new();
        let batch = NewBatch { id, application, events, payload, replay_of: None };
        let (done, answer) = oneshot::channel();
        self.0.join_line(team, Waiting { batch, done });
        let answer = time::timeout(ACCEPT_TIMEOUT, answer).await;
        answer.map_err(Error::store_unavailable)?.map_err(Error::internal)??;
        Ok((0..events).map(|place| id.receipt(place)).collect())
    }

    /// Takes events in a transaction of somebody else's; once that has committed, call [`Intake::taken`].
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn accept_in(
        &self,
        write: &Write,
        team: TeamId,
        batches: &[NewBatch],
    ) -> Result<(), Error> {
        inbox::accept_events(write, team, self.0.clock.now(), batches).await
    }

    /// Events of a team were taken.
    pub fn taken(&self, team: TeamId, events: usize) {
        self.0.worker.wake(team, events);
    }
}

impl Inner {
    fn join_line(self: &Arc<Self>, team: TeamId, waiting: Waiting) {
        let mut lines = self.lines();
        if let Some(line) = lines.get_mut(&team) {
            line.push_back(waiting);
            return;
        }
        lines.insert(team, VecDeque::from([waiting]));
        drop(lines);
        tokio::spawn(Arc::clone(self).serve_line(team));
    }

    /// Commits until nobody waits.
    async fn serve_line(self: Arc<Self>, team: TeamId) {
        // Should this ever panic, who waits is told, and the next one begins a new line.
        let gone = Gone(&self, team);
        loop {
            // First the turn, then the group: it grows while it waits for its turn.
            let Ok(_turn) = Arc::clone(&self.commits).acquire_owned().await else { break };
            let Some(group) = self.next_group(team) else { break };
            self.commit(team, group).await;
        }
        std::mem::forget(gone);
    }

    /// What is committed together next; `None`, and the line is gone, when nobody waits.
    fn next_group(&self, team: TeamId) -> Option<Vec<Waiting>> {
        let mut lines = self.lines();
        let line = lines.get_mut(&team)?;
        let (mut group, mut bytes) = (Vec::new(), 0);
        // Whoever has gone was told that it failed: what is in the line is not sent yet.
        line.retain(|waiting| !waiting.done.is_closed());
        while let Some(next) = line.front() {
            bytes += next.batch.payload.len();
            if bytes > COMMIT_BYTES && !group.is_empty() {
                break;
            }
            group.extend(line.pop_front());
        }
        if group.is_empty() {
            lines.remove(&team);
            return None;
        }
        Some(group)
    }

    async fn commit(&self, team: TeamId, group: Vec<Waiting>) {
        let start = Instant::now();
        let (batches, callers): (Vec<NewBatch>, Vec<_>) =
            group.into_iter().map(|waiting| (waiting.batch, waiting.done)).unzip();
        let taken = self.take(team, &batches, start).await;
        if taken.is_ok() {
            let events: usize = batches.iter().map(|batch| batch.events).sum();
            let count = u64::try_from(events).unwrap_or(u64::MAX);
            metrics::counter!("tap_events_received_total").increment(count);
            metrics::histogram!("tap_event_accept_seconds").record(start.elapsed().as_secs_f64());
            self.worker.wake(team, events);
        }
        for done in callers {
            let _caller_gone = done.send(taken.clone());
        }
    }

    /// Takes batches, again and again while the store is down for a moment. Once a commit was sent, whether it
    /// arrived is not known, and it is not tried again: the events would be taken twice.
    async fn take(&self, team: TeamId, batches: &[NewBatch], since: Instant) -> Result<(), Error> {
        loop {
            let now: DateTime<Utc> = self.clock.now();
            let prepared = async {
                let write = self.db.team_write(team).await?;
                match inbox::accept_events(&write, team, now, batches).await {
                    Ok(()) => Ok(write),
                    Err(error) => write.end(Err(error)).await,
                }
            };
            match prepared.await {
                Ok(write) => return write.end(Ok(())).await,
                Err(Error::StoreUnavailable(_)) if since.elapsed() < RETRY_FOR => {
                    time::sleep(RETRY_WAIT).await;
                }
                // Not the caller's query.
                Err(Error::TooSlow) => return Err(Error::Busy),
                Err(error) => return Err(error),
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<TeamId, VecDeque<Waiting>>> {
        // Nothing can be half done under the lock.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a line that is no longer served.
struct Gone<'a>(&'a Inner, TeamId);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.lines().remove(&self.1);
    }
}
