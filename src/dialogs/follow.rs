//! Follows what other replicas note: a decision, or an erasure, also holds for what waits here. And forgets what has
//! waited for too long.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time;
use uuid::Uuid;

use super::{record::Recorder, store::customers as store};
use crate::{db::Db, error::Error, ids::TeamId, memory};

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(2);
/// Statements that a transaction has at most after that which is looked for. Each is ended when it takes too long.
const STATEMENTS_MAX: i32 = 12;
/// When PostgreSQL ends a transaction that does nothing.
const IDLE: TimeDelta = TimeDelta::seconds(30);

/// Bytes that are worth giving back.
const MUCH: usize = 4 * 1024 * 1024;

/// Follows.
#[derive(Clone, Debug)]
pub struct Follower {
    pub db: Db,
    pub recorder: Recorder,
    pub replica: Uuid,
    /// How long a statement may take.
    pub statement_timeout: TimeDelta,
}

impl Follower {
    /// For as long as the service runs.
    pub async fn run(self) {
        let mut since = None;
        loop {
            time::sleep(INTERVAL).await;
            match self.look(since).await {
                Ok(asked_at) => since = asked_at.or(since),
                Err(error) => tracing::warn!(
                    cause = error.log_text(),
                    "cannot look for decisions of other replicas; trying again"
                ),
            }
        }
    }

    async fn look(&self, since: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, Error> {
        let Recorder { pending, hashes, .. } = &self.recorder;
        // Of a commit of which nobody knew whether it was one.
        for (team, dialog) in pending.unsure() {
            self.settle(team, dialog).await?;
        }
        // A transaction that began before we looked, and ended after, began no longer ago than this.
        let longest = self.statement_timeout * STATEMENTS_MAX + IDLE;
        let since = since.map(|at| at - longest);
        let changed = store::find_changed(&self.db, since, self.replica).await?;
        for (team, dialog) in changed.dialogs {
            if pending.holds(team, &dialog) {
                self.settle(team, dialog.into()).await?;
            }
        }
        for (team, customer) in changed.customers {
            let theirs = pending.dialogs_of(team, |id| hashes.of(team, id) == customer);
            for dialog in theirs {
                self.settle(team, dialog).await?;
            }
        }
        Ok(Some(changed.asked_at))
    }

    async fn settle(&self, team: TeamId, dialog: Box<str>) -> Result<(), Error> {
        let _turn = self.recorder.order.dialogs.take((team, dialog.clone())).await?;
        match self.recorder.pending.take(team, &dialog) {
            Some(taken) => self.recorder.settle(team, dialog, taken).await,
            None => Ok(()),
        }
    }
}

/// Wipes what has waited for too long, for as long as the service runs.
pub async fn expire(recorder: Recorder, idle: Duration) {
    let interval = (idle / 60).clamp(Duration::from_millis(250), Duration::from_secs(30));
    let mut gone = 0;
    loop {
        time::sleep(interval).await;
        gone += recorder.pending.expire(recorder.clock.now());
        if gone > MUCH {
            gone = 0;
            // Off the threads that answer calls. If it cannot be done now it is done later.
            let _given_back = tokio::task::spawn_blocking(memory::give_back).await;
        }
    }
}
