//! Taps of the tap URL on their way to the writer: a person is redirected at once, whatever the store
//! does, and the tap waits here while it is down.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::mpsc, time};

use super::{
    model::{BATCH_TAPS_MAX, NewTap},
    queue::Queue,
};
use crate::{error::Error, ids::TeamId};

/// Taps that wait at most, of all teams and of one: the tap URL needs no key, and a flood of one team's
/// tags must leave room for the others.
const WAITING_MAX: usize = 100_000;
const TEAM_WAITING_MAX: usize = 50_000;
/// Taps that are on their way to where they wait.
const ARRIVING_MAX: usize = 10_000;
/// How long to wait when the store is down.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// Where taps wait.
#[derive(Clone, Debug)]
pub struct Buffer(mpsc::Sender<(TeamId, NewTap)>);

/// Takes them to the writer.
#[derive(Debug)]
pub struct Drain {
    queue: Queue,
    arriving: mpsc::Receiver<(TeamId, NewTap)>,
    waiting: HashMap<TeamId, VecDeque<NewTap>>,
    waiting_taps: usize,
}

/// An empty buffer, and what empties it.
#[must_use]
pub fn buffer(queue: Queue) -> (Buffer, Drain) {
    let (sender, arriving) = mpsc::channel(ARRIVING_MAX);
    (Buffer(sender), Drain { queue, arriving, waiting: HashMap::new(), waiting_taps: 0 })
}

fn lost(cause: &'static str, taps: usize) {
    let taps = u64::try_from(taps).unwrap_or(u64::MAX);
    metrics::counter!("tap_url_lost_total", "cause" => cause).increment(taps);
}

impl Buffer {
    /// Leaves a tap to be written. One for which there is no room is lost, and counted as such.
    pub fn put(&self, team: TeamId, tap: NewTap) {
        if self.0.try_send((team, tap)).is_err() {
            lost("full", 1);
        }
    }
}

impl Drain {
    /// Writes what comes until there is no buffer left. Each team has one write under way: one that cannot
    /// be written to holds up nobody else.
    pub async fn run(mut self) {
        let mut writes = FuturesUnordered::new();
        let mut writing = HashSet::new();
        let (mut arrived, mut open) = (Vec::new(), true);
        while open || !writes.is_empty() {
            tokio::select! {
                count = self.arriving.recv_many(&mut arrived, BATCH_TAPS_MAX), if open => {
                    open = count > 0;
                    for (team, tap) in arrived.drain(..) {
                        self.take(team, tap);
                    }
                }
                Some(team) = writes.next() => {
                    writing.remove(&team);
                }
            }
            for (team, taps) in &mut self.waiting {
                if writing.insert(*team) {
                    let some: Vec<NewTap> = taps.drain(..taps.len().min(BATCH_TAPS_MAX)).collect();
                    self.waiting_taps -= some.len();
                    writes.push(write(self.queue.clone(), *team, some));
                }
            }
            self.waiting.retain(|_, taps| !taps.is_empty());
            let waiting = u32::try_from(self.waiting_taps).unwrap_or(u32::MAX);
            metrics::gauge!("tap_url_waiting").set(waiting);
        }
    }

    fn take(&mut self, team: TeamId, tap: NewTap) {
        let taps = self.waiting.entry(team).or_default();
        if taps.len() >= TEAM_WAITING_MAX || self.waiting_taps >= WAITING_MAX {
            lost("full", 1);
            return;
        }
        taps.push_back(tap);
        self.waiting_taps += 1;
    }
}

/// Writes taps of a team, however long the store is down.
async fn write(queue: Queue, team: TeamId, taps: Vec<NewTap>) -> TeamId {
    loop {
        // The same ids each time: what an attempt stored is not stored again.
        match queue.write(team, taps.clone()).await {
            Ok(_) => return team,
            Err(Error::StoreUnavailable(_) | Error::Busy | Error::TooSlow) => {
                time::sleep(RETRY_WAIT).await;
            }
            Err(error) => {
                tracing::error!(team = team.0, cause = error.log_text(), "taps are lost");
                lost("refused", taps.len());
                return team;
            }
        }
    }
}
