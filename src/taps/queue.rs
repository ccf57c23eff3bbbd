//! What waits to be written: callers hand over batches and wait until they are durable.
//!
//! Batches of a team that come together are committed together ([`crate::group_commit`]). What may wait is
//! bounded, for all and for each team: beyond that, callers wait outside, and then are told to come back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    live::LiveTaps,
    model::{BATCH_TAPS_MAX, NewTap, Outcome, StoredTap},
    writer::{Writer, Written},
};
use crate::{
    clock::Clock,
    error::Error,
    feeds::{
        live::{Committed, Feeds},
        revisions::{Revisions, TEAMS_MAX},
    },
    group_commit::{Commits, Lines},
    hints::Notices,
    ids::TeamId,
};

/// Taps of one commit, unless a single batch has more.
const COMMIT_TAPS: usize = BATCH_TAPS_MAX;
/// Taps that may wait, of all teams and of one. One with many attributes counts as several.
const WAITING_TAPS_MAX: usize = 100_000;
const TEAM_WAITING_TAPS_MAX: usize = 25_000;
/// Commits that are under way at a time.
const COMMITS_MAX: usize = 6;
/// How long a caller may wait for room.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of attributes that count as another tap.
const ATTRIBUTES_OF_A_TAP: usize = 256;
/// How long after a batch came a failed commit of it is still tried again, while the store is down or
/// locked. Harmless, as taps have their ids by then.
const RETRY_FOR: Duration = Duration::from_secs(5);
/// How long a batch may take in all, once there is room for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// The lines of all teams.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Lines<Inner>>);

#[derive(Debug)]
struct Inner {
    writer: Arc<Writer>,
    clock: Clock,
    revisions: Arc<Revisions<LiveTaps>>,
    feeds: Feeds<LiveTaps>,
    notices: Notices,
    room: Arc<Semaphore>,
    rooms: moka::sync::Cache<TeamId, Arc<Semaphore>>,
    turns: Arc<Semaphore>,
}

/// A batch and who waits for it.
#[derive(Debug)]
struct Waiting {
    taps: Vec<NewTap>,
    since: Instant,
    done: oneshot::Sender<Result<Recorded, Error>>,
    room: [OwnedSemaphorePermit; 2],
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// One for each tap.
    pub outcomes: Vec<Outcome>,
    /// The team's revision after it.
    pub revision: i64,
}

impl Queue {
    /// Empty lines before this writer.
    #[must_use]
    pub fn new(
        writer: Arc<Writer>,
        clock: Clock,
        revisions: Arc<Revisions<LiveTaps>>,
        feeds: Feeds<LiveTaps>,
        notices: Notices,
    ) -> Self {
        let turns = Arc::new(Semaphore::new(COMMITS_MAX));
        let inner = Inner {
            writer,
            clock,
            revisions,
            feeds,
            notices,
            room: Arc::new(Semaphore::new(WAITING_TAPS_MAX)),
            rooms: moka::sync::Cache::new(TEAMS_MAX),
            turns: Arc::clone(&turns),
        };
        Self(Lines::new(inner, turns))
    }

    /// Writes a batch of at most [`BATCH_TAPS_MAX`] taps. On return it is durable, counted, and whoever
    /// asks this replica knows of it. Goes on when the caller goes away.
    ///
    /// # Errors
    /// [`Error::Busy`] when too much waits, or as [`Writer::write`].
    pub async fn write(&self, team: TeamId, taps: Vec<NewTap>) -> Result<Recorded, Error> {
        self.enter(team, taps).await?.wait().await
    }

    /// Brings a batch into the line of its team: what is brought after it is written after it.
    ///
    /// # Errors
    /// [`Error::Busy`] when too much waits.
    pub async fn enter(&self, team: TeamId, taps: Vec<NewTap>) -> Result<Entered, Error> {
        let entering = self.0.committer().room_for(team, weight(&taps));
        let room =
            tokio::time::timeout(ROOM_TIMEOUT, entering).await.map_err(|_| Error::Busy)??;
        let (done, answer) = oneshot::channel();
        self.0.join(team, Waiting { taps, since: Instant::now(), done, room });
        Ok(Entered(answer))
    }
}

/// A batch that is in the line of its team.
#[derive(Debug)]
pub struct Entered(oneshot::Receiver<Result<Recorded, Error>>);

impl Entered {
    /// Waits until it is durable.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub async fn wait(self) -> Result<Recorded, Error> {
        let answer = tokio::time::timeout(WRITE_TIMEOUT, self.0).await;
        answer.map_err(Error::store_unavailable)?.map_err(Error::internal)?
    }
}

impl Inner {
    async fn room_for(
        &self,
        team: TeamId,
        weight: usize,
    ) -> Result<[OwnedSemaphorePermit; 2], Error> {
        let permits = u32::try_from(weight.min(TEAM_WAITING_TAPS_MAX)).map_err(Error::internal)?;
        let own = self.rooms.get_with(team, || Arc::new(Semaphore::new(TEAM_WAITING_TAPS_MAX)));
        // The team's own first: who waits for that must not hold room of others.
        let own = own.acquire_many_owned(permits).await.map_err(Error::internal)?;
        let all = Arc::clone(&self.room).acquire_many_owned(permits).await;
        Ok([own, all.map_err(Error::internal)?])
    }

    /// Writes taps, again and again while the store is down for a moment, and tells who listens.
    async fn write_patiently(
        &self,
        team: TeamId,
        taps: &[NewTap],
        since: Instant,
        mut turn: Option<OwnedSemaphorePermit>,
    ) -> Result<Recorded, Error> {
        let (start, received_at) = (Instant::now(), self.clock.now());
        let written = loop {
            let turn = if let Some(turn) = turn.take() {
                turn
            } else {
                Arc::clone(&self.turns).acquire_owned().await.map_err(Error::internal)?
            };
            let written = self.writer.write(team, taps, received_at).await;
            // Others have theirs while we wait.
            drop(turn);
            match written {
                Err(Error::StoreUnavailable(_) | Error::TooSlow) if since.elapsed() < RETRY_FOR => {
                    tokio::time::sleep(RETRY_WAIT).await;
                }
                // Not the caller's query: somebody holds the team's row.
                Err(Error::TooSlow) => return Err(Error::Busy),
                done => break done?,
            }
        };
        metrics::histogram!("tap_commit_seconds").record(start.elapsed().as_secs_f64());
        let stored = u64::try_from(written.stored()).unwrap_or(u64::MAX);
        metrics::counter!("tap_written_total").increment(stored);

        // Before the answer: whoever asks this replica after it must find the taps counted.
        self.revisions.raise(team, written.revision);
        self.feeds.publish(team, || committed(taps, &written, received_at));
        self.notices.tell(team, written.revision);
        Ok(Recorded { outcomes: written.outcomes, revision: written.revision })
    }
}

impl Commits for Inner {
    type Waiting = Waiting;
    const WEIGHT_MAX: usize = COMMIT_TAPS;

    fn weight(waiting: &Waiting) -> usize {
        waiting.taps.len()
    }

    /// Taps are recorded also when their caller has gone.
    fn is_given_up(_: &Waiting) -> bool {
        false
    }

    async fn commit(&self, team: TeamId, group: Vec<Waiting>, turn: OwnedSemaphorePermit) {
        let since = group.iter().map(|one| one.since).min().unwrap_or_else(Instant::now);
        let mut taps = Vec::new();
        let mut callers = Vec::new();
        for one in group {
            let from = taps.len();
            taps.extend(one.taps);
            callers.push((from..taps.len(), one.done, one.room));
        }

        match self.write_patiently(team, &taps, since, Some(turn)).await {
            // One of them may be what the store cannot take: the others must not suffer for it.
            Err(Error::Internal(_)) if callers.len() > 1 => {
                for (range, done, _room) in callers {
                    let _caller_gone =
                        done.send(self.write_patiently(team, &taps[range], since, None).await);
                }
            }
            Err(error) => {
                for (_, done, _room) in callers {
                    let _caller_gone = done.send(Err(error.clone()));
                }
            }
            Ok(Recorded { outcomes, revision }) => {
                for (range, done, _room) in callers {
                    let outcomes = outcomes[range].to_vec();
                    let _caller_gone = done.send(Ok(Recorded { outcomes, revision }));
                }
            }
        }
    }
}

/// How much of the room a batch takes.
fn weight(taps: &[NewTap]) -> usize {
    let attributes = |tap: &NewTap| -> usize {
        tap.attributes.iter().map(|(key, value)| key.len() + value.len()).sum()
    };
    taps.iter().map(|tap| 1 + attributes(tap) / ATTRIBUTES_OF_A_TAP).sum()
}

/// What a commit added.
fn committed(
    taps: &[NewTap],
    written: &Written,
    received_at: DateTime<Utc>,
) -> Committed<LiveTaps> {
    let stored = taps.iter().zip(&written.outcomes).filter_map(|(tap, outcome)| match outcome {
        // What an attempt before stored is not of this commit.
        Outcome::Stored(revision) if *revision > written.base => {
            Some(StoredTap { revision: *revision, received_at, tap: tap.clone() })
        }
        _ => None,
    });
    Committed { after: written.base, last: written.revision, items: stored.collect() }
}
