//! Settles what was taken, in the background: which teams have something, whose turn it is, and what to do when
//! it fails.
//!
//! Whoever takes events wakes the worker of this replica; a look at the inbox every second finds what nobody
//! woke it for: what a replica left that is gone, and what failed and may be tried again. Several replicas do
//! not stand in each other's way: a batch that one has in hand is passed over by the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use tokio::{sync::Semaphore, time};

use super::{
    live::LiveEvents,
    settle::{Failed, Settled, Settler},
    store::inbox::{self, Backlog},
};
use crate::{
    feeds::{
        live::{Committed, Feeds},
        revisions::Revisions,
    },
    hints::Notices,
    ids::TeamId,
};

/// Teams whose events are settled at a time.
pub const TEAMS_AT_A_TIME: usize = 2;
/// How often to look without being woken.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How much longer than a look to rest after it.
const LOOK_REST: u32 = 5;
/// How long what has failed waits before it is tried again: twice as long each time.
const RETRY_FIRST: TimeDelta = TimeDelta::milliseconds(100);
const RETRY_LAST: TimeDelta = TimeDelta::seconds(60);
/// How long to rest when the store is down.
const REST: Duration = Duration::from_millis(500);

/// The worker of this replica.
#[derive(Clone, Debug)]
pub struct Worker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settler: Settler,
    revisions: Arc<Revisions<LiveEvents>>,
    feeds: Feeds<LiveEvents>,
    notices: Notices,
    turns: Arc<Semaphore>,
    /// Teams that are worked for, or have to be again.
    teams: Mutex<HashMap<TeamId, Work>>,
    /// What waits, by team: as it was counted last, and what was taken and settled here since.
    waiting: Mutex<HashMap<TeamId, Waits>>,
}

/// What waits, of a team.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    pub events: i64,
    /// As they were counted last.
    pub bytes: i64,
}

/// What there is to do for a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    UnderWay,
    /// More came since it was begun.
    AndAgain,
}

impl Worker {
    /// A worker with nothing to do yet.
    #[must_use]
    pub fn new(
        settler: Settler,
        revisions: Arc<Revisions<LiveEvents>>,
        feeds: Feeds<LiveEvents>,
        notices: Notices,
    ) -> Self {
        Self(Arc::new(Inner {
            settler,
            revisions,
            feeds,
            notices,
            turns: Arc::new(Semaphore::new(TEAMS_AT_A_TIME)),
            teams: Mutex::default(),
            waiting: Mutex::default(),
        }))
    }

    /// What waits, of a team, as far as is known here.
    #[must_use]
    pub fn backlog(&self, team: TeamId) -> Waits {
        lock(&self.0.waiting).get(&team).copied().unwrap_or_default()
    }

    /// So many events of a team were taken.
    pub fn wake(&self, team: TeamId, events: usize) {
        self.0.add(team, i64::try_from(events).unwrap_or(i64::MAX));
        self.serve(team);
    }

    fn serve(&self, team: TeamId) {
        let mut teams = lock(&self.0.teams);
        if let Some(work) = teams.get_mut(&team) {
            *work = Work::AndAgain;
            return;
        }
        teams.insert(team, Work::UnderWay);
        drop(teams);
        tokio::spawn(Arc::clone(&self.0).serve(team));
    }

    /// Looks for what nobody woke it for, for ever.
    pub async fn run(self) {
        loop {
            let start = time::Instant::now();
            let backlog = inbox::backlog(&self.0.settler.db, self.0.settler.clock.now()).await;
            match backlog {
                Ok(backlog) => self.look(&backlog),
                Err(error) => {
                    tracing::warn!(cause = error.log_text(), "cannot look for events that wait");
                }
            }
            // A large backlog takes a while to be looked at: no more than a part of the time.
            time::sleep(LOOK_INTERVAL.max(start.elapsed() * LOOK_REST)).await;
        }
    }

    fn look(&self, backlog: &[Backlog]) {
        let now = self.0.settler.clock.now();
        let events: i64 = backlog.iter().map(|team| team.events).sum();
        let bytes: i64 = backlog.iter().map(|team| team.bytes).sum();
        let oldest = backlog.iter().map(|team| now - team.oldest).max().unwrap_or_default();
        metrics::gauge!("tap_event_backlog").set(as_gauge(events));
        metrics::gauge!("tap_event_backlog_bytes").set(as_gauge(bytes));
        metrics::gauge!("tap_event_backlog_age_seconds")
            .set(oldest.to_std().unwrap_or_default().as_secs_f64());
        *lock(&self.0.waiting) = backlog.iter().map(waits).collect();
        for team in backlog.iter().filter(|team| team.due) {
            self.serve(team.team);
        }
    }
}

impl Inner {
    /// Settles until there is nothing left, or it fails: then the next look goes on.
    async fn serve(self: Arc<Self>, team: TeamId) {
        // Should this ever panic, the next one begins anew.
        let gone = Gone(&self, team);
        loop {
            // A turn for each transaction: teams take turns.
            let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return };
            if let Some(work) = lock(&self.teams).get_mut(&team) {
                *work = Work::UnderWay;
            }
            let settled = self.settler.settle(team).await;
            drop(turn);
            match settled {
                Ok(Some(settled)) => self.tell(team, settled),
                Ok(None) => {
                    let mut teams = lock(&self.teams);
                    if teams.get(&team) != Some(&Work::AndAgain) {
                        teams.remove(&team);
                        break;
                    }
                }
                Err(failed) if failed.is_of_the_store() => {
                    let cause = failed.error.log_text();
                    tracing::warn!(team = team.0, cause, "cannot store events now; trying again");
                    time::sleep(REST).await;
                    return;
                }
                Err(failed) => self.postpone(team, failed).await,
            }
        }
        std::mem::forget(gone);
    }

    /// Tells of what was committed, before anybody asks this replica.
    fn tell(&self, team: TeamId, settled: Settled) {
        let Settled { base, last, events, duplicates, rejected } = settled;
        let now = self.settler.clock.now();
        for (outcome, count) in
            [("stored", events.len()), ("duplicate", duplicates), ("rejected", rejected)]
        {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            metrics::counter!("tap_events_total", "outcome" => outcome).increment(count);
        }
        for event in &events {
            let delay = (now - event.received_at).to_std().unwrap_or_default();
            metrics::histogram!("tap_event_delay_seconds").record(delay.as_secs_f64());
        }
        let done = events.len() + duplicates + rejected;
        self.add(team, -i64::try_from(done).unwrap_or(i64::MAX));
        if last > base {
            self.revisions.raise(team, last);
            self.feeds.publish(team, || Committed { after: base, last, items: events });
            self.notices.tell(team, last);
        }
    }

    /// Notes that it has failed, so that it is tried again later, and what follows is tried before.
    async fn postpone(&self, team: TeamId, failed: Failed) {
        let Failed { error, batches, attempts } = failed;
        let cause = error.log_text();
        tracing::warn!(team = team.0, cause, "events cannot be stored; trying again");
        let factor = 1 << attempts.clamp(0, 16);
        let wait = RETRY_LAST.min(RETRY_FIRST * factor);
        let next = self.settler.clock.now() + wait;
        let postponed = async {
            let write = self.settler.db.team_write(team).await?;
            let done = inbox::postpone(&write, team, &batches, next).await;
            write.end(done).await
        };
        if let Err(error) = postponed.await {
            let cause = error.log_text();
            tracing::warn!(team = team.0, cause, "cannot note that events could not be stored");
            time::sleep(REST).await;
        }
    }

    fn add(&self, team: TeamId, events: i64) {
        let mut waiting = lock(&self.waiting);
        let waits = waiting.entry(team).or_default();
        waits.events = waits.events.saturating_add(events).max(0);
        if waits.events == 0 {
            waiting.remove(&team);
        }
    }
}

fn waits(backlog: &Backlog) -> (TeamId, Waits) {
    (backlog.team, Waits { events: backlog.events, bytes: backlog.bytes })
}

/// Forgets a team that is no longer worked for. What comes then begins anew.
struct Gone<'a>(&'a Inner, TeamId);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        lock(&self.0.teams).remove(&self.1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing can be half done under the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_gauge(count: i64) -> f64 {
    count as f64
}
