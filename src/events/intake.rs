//! Takes batches of events into the inbox: on return they are durable, and answered for.
//!
//! Batches of a team that come together are committed together ([`crate::group_commit`]). How much may come at a
//! time is bounded by [`crate::limits`], and how much may wait to be stored is bounded here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
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
    group_commit::{Commits, Lines},
    ids::TeamId,
    reasons,
};

/// Bytes of one commit, unless a single batch has more.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;
/// Commits that are under way at a time.
pub const COMMITS_MAX: usize = 4;
/// Bytes of a team that may wait to be stored, as they were last counted.
const BACKLOG_BYTES_MAX: i64 = 4 * 1024 * 1024 * 1024;
/// How long a batch is tried to be taken while the store is down for a moment.
const RETRY_FOR: Duration = Duration::from_secs(5);
const RETRY_WAIT: Duration = Duration::from_millis(100);
/// How long a caller may wait.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(20);

/// Takes events.
#[derive(Clone, Debug)]
pub struct Intake(Arc<Lines<Inner>>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    worker: Worker,
    /// Events of a team that may wait to be stored.
    backlog_max: i64,
    turns: Arc<Semaphore>,
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
        let turns = Arc::new(Semaphore::new(COMMITS_MAX));
        let inner = Inner { db, clock, worker, backlog_max, turns: Arc::clone(&turns) };
        Self(Lines::new(inner, turns))
    }

    /// Takes events, and gives a receipt for each. What waits for its first turn is dropped when the caller goes away.
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
        let Waits { events: waiting, bytes } = self.0.committer().worker.backlog(team);
        if waiting >= self.0.committer().backlog_max || bytes >= BACKLOG_BYTES_MAX {
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
        self.0.join(team, Waiting { batch, done });
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
        inbox::accept_events(write, team, self.0.committer().clock.now(), batches).await
    }

    /// Events of a team were taken.
    pub fn taken(&self, team: TeamId, events: usize) {
        self.0.committer().worker.wake(team, events);
    }
}

impl Inner {
    /// Takes batches, again and again while the store is down for a moment. Once a commit was sent, whether it
    /// arrived is not known, and it is not tried again: the events would be taken twice.
    async fn take(
        &self,
        team: TeamId,
        batches: &[NewBatch],
        turn: OwnedSemaphorePermit,
    ) -> Result<(), Error> {
        let (until, mut turn) = (time::Instant::now() + RETRY_FOR, Some(turn));
        loop {
            let turn = if let Some(turn) = turn.take() {
                turn
            } else {
                // No later: callers that have gone by then may have sent it again.
                let turn = time::timeout_at(until, Arc::clone(&self.turns).acquire_owned()).await;
                turn.map_err(Error::store_unavailable)?.map_err(Error::internal)?
            };
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
                Err(Error::StoreUnavailable(_)) if time::Instant::now() < until => {
                    // Others have theirs while we wait.
                    drop(turn);
                    time::sleep(RETRY_WAIT).await;
                }
                // Not the caller's query.
                Err(Error::TooSlow) => return Err(Error::Busy),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Commits for Inner {
    type Waiting = Waiting;
    const WEIGHT_MAX: usize = COMMIT_BYTES;

    fn weight(waiting: &Waiting) -> usize {
        waiting.batch.payload.len()
    }

    /// Whoever has gone was told that it failed: what is in the line is not sent yet.
    fn is_given_up(waiting: &Waiting) -> bool {
        waiting.done.is_closed()
    }

    async fn commit(&self, team: TeamId, group: Vec<Waiting>, turn: OwnedSemaphorePermit) {
        let start = Instant::now();
        let (batches, callers): (Vec<NewBatch>, Vec<_>) =
            group.into_iter().map(|waiting| (waiting.batch, waiting.done)).unzip();
        let taken = self.take(team, &batches, turn).await;
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
}
