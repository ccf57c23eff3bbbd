//! Follows what other replicas note: a decision, or an erasure, also holds for what waits here. And forgets what has
//! waited for too long.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use tokio::time;

use super::{model::CustomerHash, record::Recorder, replica::Replica, store::customers as store};
use crate::{db::Db, error::Error, ids::TeamId, memory};

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(2);
/// How far back to look each time: most transactions are seen by then.
const BACK: TimeDelta = TimeDelta::seconds(10);
/// How often to look back as far as the longest transaction may have begun.
const FAR_EVERY: u32 = 15;
/// Statements that a transaction has at most after that which is looked for, but for what may take long.
const STATEMENTS_MAX: i32 = 6;
/// When PostgreSQL ends a transaction that does nothing.
const IDLE: TimeDelta = TimeDelta::seconds(30);
/// Dialogs that are settled at a time.
const SETTLED_AT_A_TIME: usize = 8;
/// Bytes that are worth giving back.
const MUCH: usize = 4 * 1024 * 1024;

/// Follows.
#[derive(Clone, Debug)]
pub struct Follower {
    pub db: Db,
    pub recorder: Recorder,
    /// How long a statement may take.
    pub statement_timeout: TimeDelta,
}

impl Follower {
    /// For as long as the service runs.
    pub async fn run(self) {
        let (mut since, mut looks) = (None, 0_u32);
        loop {
            time::sleep(INTERVAL).await;
            if self.recorder.replica.pending.is_empty() {
                // Whatever is decided meanwhile is found by the first message of a dialog.
                (since, looks) = (None, 0);
                continue;
            }
            let far = looks % FAR_EVERY == 0;
            looks = looks.wrapping_add(1);
            match self.look(since, far).await {
                Ok(asked_at) => since = Some(asked_at),
                Err(error) => {
                    looks = 0;
                    tracing::warn!(
                        cause = error.log_text(),
                        "cannot look for decisions of other replicas; trying again"
                    );
                }
            }
        }
    }

    async fn look(&self, since: Option<DateTime<Utc>>, far: bool) -> Result<DateTime<Utc>, Error> {
        let replica = &self.recorder.replica;
        let pending = &replica.pending;
        // Of commits of which nobody knew whether they were ones.
        self.settle(pending.take_unsure()).await;
        let since = match since {
            Some(since) => since,
            // Nothing has waited for longer than since the look before.
            None => store::find_changed(&self.db, None, replica.id).await?.asked_at - BACK,
        };
        // A transaction that began before we looked, and ended after, began no longer ago than this.
        let longest = self.statement_timeout * STATEMENTS_MAX + IDLE;
        let since = since - if far { longest } else { BACK };
        let changed = store::find_changed(&self.db, Some(since), replica.id).await?;
        let mut theirs: Vec<(TeamId, Box<str>)> = changed
            .dialogs
            .into_iter()
            .filter(|(team, dialog)| pending.holds(*team, dialog))
            .map(|(team, dialog)| (team, dialog.into()))
            .collect();
        let mut erased: HashMap<TeamId, HashSet<CustomerHash>> = HashMap::new();
        for (team, customer) in changed.customers {
            erased.entry(team).or_default().insert(customer);
        }
        for (team, customers) in erased {
            let dialogs =
                pending.dialogs_of(team, |id| customers.contains(&replica.hash(team, id)));
            theirs.extend(dialogs.into_iter().map(|dialog| (team, dialog)));
        }
        self.settle(theirs).await;
        Ok(changed.asked_at)
    }

    /// Some at a time. One that fails keeps no other from it, and is there again the next time.
    async fn settle(&self, dialogs: Vec<(TeamId, Box<str>)>) {
        let settling =
            stream::iter(dialogs).for_each_concurrent(SETTLED_AT_A_TIME, |(team, dialog)| {
                let Replica { pending, order, .. } = &self.recorder.replica;
                async move {
                    let work = async {
                        let turn = order.dialogs.take((team, dialog.clone())).await?;
                        if let Some(taken) = pending.take(team, &dialog) {
                            self.recorder.settle(team, dialog.clone(), taken, turn).await?;
                        }
                        Ok::<_, Error>(())
                    };
                    if let Err(error) = work.await {
                        pending.doubt(team, &dialog);
                        tracing::warn!(
                            team = team.0,
                            cause = error.log_text(),
                            "cannot do yet what was decided of a dialog that waits; trying again"
                        );
                    }
                }
            });
        settling.await;
    }
}

/// Wipes what has waited for too long, for as long as the service runs.
pub async fn expire(replica: Replica, idle: Duration) {
    let interval = (idle / 60).clamp(Duration::from_millis(250), Duration::from_secs(30));
    let mut gone = 0;
    loop {
        time::sleep(interval).await;
        gone += replica.pending.expire(replica.now());
        if gone > MUCH {
            gone = 0;
            // Off the threads that answer calls. If it cannot be done now it is done later.
            let _given_back = tokio::task::spawn_blocking(memory::give_back).await;
        }
    }
}
