//! Taps of the tap URL on their way to the writer: a person is redirected at once, whatever the store
//! does, and the tap waits here while it is down.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::mpsc, time};

use super::{
    model::{BATCH_TAPS_MAX, NewTap},
    queue::Queue,
};
use crate::{error::Error, ids::TeamId};

/// Taps that wait at most: some hours of a busy team, some megabytes.
const WAITING_MAX: usize = 100_000;
/// How long to wait when the store is down.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// Where taps wait.
#[derive(Clone, Debug)]
pub struct Buffer(mpsc::Sender<(TeamId, NewTap)>);

/// Takes them to the writer.
#[derive(Debug)]
pub struct Drain {
    queue: Queue,
    waiting: mpsc::Receiver<(TeamId, NewTap)>,
}

/// An empty buffer, and what empties it.
#[must_use]
pub fn buffer(queue: Queue) -> (Buffer, Drain) {
    let (sender, waiting) = mpsc::channel(WAITING_MAX);
    (Buffer(sender), Drain { queue, waiting })
}

impl Buffer {
    /// Leaves a tap to be written. One for which there is no room is lost, and counted as such.
    pub fn put(&self, team: TeamId, tap: NewTap) {
        if self.0.try_send((team, tap)).is_err() {
            metrics::counter!("tap_url_lost_total", "cause" => "full").increment(1);
        }
        let waiting = self.0.max_capacity() - self.0.capacity();
        metrics::gauge!("tap_url_waiting").set(u32::try_from(waiting).unwrap_or(u32::MAX));
    }
}

impl Drain {
    /// Writes what comes until there is no buffer left.
    pub async fn run(mut self) {
        let mut taken = Vec::new();
        while self.waiting.recv_many(&mut taken, BATCH_TAPS_MAX).await > 0 {
            let mut teams: HashMap<TeamId, Vec<NewTap>> = HashMap::new();
            for (team, tap) in taken.drain(..) {
                teams.entry(team).or_default().push(tap);
            }
            let writes: FuturesUnordered<_> =
                teams.into_iter().map(|(team, taps)| self.write(team, taps)).collect();
            writes.collect::<()>().await;
            let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
            metrics::gauge!("tap_url_waiting").set(waiting);
        }
    }

    /// Writes the taps of a team, however long the store is down.
    async fn write(&self, team: TeamId, taps: Vec<NewTap>) {
        loop {
            // The same ids each time: what an attempt stored is not stored again.
            match self.queue.write(team, taps.clone()).await {
                Ok(_) => return,
                Err(Error::StoreUnavailable(_) | Error::Busy | Error::TooSlow) => {
                    time::sleep(RETRY_WAIT).await;
                }
                Err(error) => {
                    tracing::error!(team = team.0, cause = error.log_text(), "taps are lost");
                    let lost = u64::try_from(taps.len()).unwrap_or(u64::MAX);
                    metrics::counter!("tap_url_lost_total", "cause" => "refused").increment(lost);
                    return;
                }
            }
        }
    }
}
