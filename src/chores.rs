//! What goes on in the background, for as long as the service runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time;

use crate::{
    access::{model::EVENTS_KEPT, store},
    clock::Clock,
    db::Db,
    directory::{Directory, Use},
    error::Error,
    ids::TeamId,
    requests,
    streams::EXPIRY_INTERVAL,
    taps::{model::Retention, writer::Writer},
};

const PARTITIONS_INTERVAL: Duration = Duration::from_hours(6);
const FORGET_INTERVAL: Duration = Duration::from_hours(6);
const USES_INTERVAL: Duration = Duration::from_mins(1);
/// How long it may take to note which keys were used.
const USES_TIMEOUT: Duration = Duration::from_secs(30);
/// How long when the service stops.
const LAST_USES_TIMEOUT: Duration = Duration::from_secs(2);
const TEAMS_AT_A_TIME: usize = 4;
const FORGOTTEN_AT_A_TIME: i64 = 5_000;

/// Ends what keys have open that have expired.
pub async fn end_expired(directory: Arc<Directory>) {
    loop {
        time::sleep(EXPIRY_INTERVAL).await;
        directory.end_expired();
    }
}

/// Notes which keys were used, and when, once a minute.
#[derive(Clone, Debug)]
pub struct NoteUses {
    pub directory: Arc<Directory>,
    pub db: Db,
}

impl NoteUses {
    /// What is left when the service stops: not worth waiting for a store that is down.
    pub async fn last(&self) {
        if time::timeout(LAST_USES_TIMEOUT, self.now()).await.is_err() {
            tracing::warn!("the store does not answer: when keys were last used is not noted");
        }
    }

    /// For ever.
    pub async fn run(self) {
        loop {
            time::sleep(USES_INTERVAL).await;
            self.now().await;
        }
    }

    /// What there is to note now.
    pub async fn now(&self) {
        let mut teams: BTreeMap<TeamId, Vec<Use>> = BTreeMap::new();
        for used in self.directory.used() {
            teams.entry(used.team).or_default().push(used);
        }
        let noted = stream::iter(teams)
            .map(|(team, used)| async move {
                let keys: Vec<_> = used.iter().map(|used| (used.key, used.at)).collect();
                store::touch_keys(&self.db, team, &keys).await?;
                used.iter().for_each(Use::noted);
                Ok::<_, Error>(())
            })
            .buffer_unordered(TEAMS_AT_A_TIME)
            .try_collect::<()>();
        let noted = time::timeout(USES_TIMEOUT, noted).await;
        if let Err(error) = noted.unwrap_or_else(|silent| Err(Error::store_unavailable(silent))) {
            // What is not noted comes again the next time.
            tracing::warn!(cause = error.log_text(), "cannot note when keys were used");
        }
    }
}

/// Forgets what is kept for a time only.
pub async fn forget(db: Db, clock: Clock) {
    loop {
        let now = clock.now();
        let ended = now - EVENTS_KEPT;
        // Some at a time, as long as there are any.
        let requests = async {
            while requests::forget(&db, now, FORGOTTEN_AT_A_TIME).await? > 0 {}
            Ok::<_, Error>(())
        };
        let keys = async {
            while store::forget_keys(&db, ended, FORGOTTEN_AT_A_TIME).await? > 0 {}
            Ok(())
        };
        let events = async {
            while store::forget_key_events(&db, ended, FORGOTTEN_AT_A_TIME).await? > 0 {}
            Ok(())
        };
        let (requests, keys, events) = tokio::join!(requests, keys, events);
        if let Err(error) = requests.and(keys).and(events) {
            tracing::warn!(
                cause = error.log_text(),
                "cannot forget what is old; trying again later"
            );
        }
        time::sleep(FORGET_INTERVAL).await;
    }
}

/// Sees that there is always a partition for the taps of tomorrow, and none for longer than taps are kept.
pub async fn keep_partitions(writer: Arc<Writer>, clock: Clock, retention: Retention) {
    let keep = || async {
        writer.make_partitions_ahead().await?;
        if retention.0.is_some() {
            while writer.drop_oldest(retention.earliest(clock.now())).await? {
                tracing::info!("dropped a month of taps that is older than they are kept");
            }
        }
        Ok::<_, Error>(())
    };
    loop {
        let wait = match keep().await {
            Ok(()) => PARTITIONS_INTERVAL,
            Err(error) => {
                tracing::warn!(
                    cause = error.log_text(),
                    "cannot make partitions ahead, or drop old ones; trying again"
                );
                Duration::from_mins(1)
            }
        };
        time::sleep(wait).await;
    }
}

/// Lets the histograms forget what was read.
pub async fn keep_up(metrics: PrometheusHandle) {
    loop {
        time::sleep(Duration::from_secs(5)).await;
        metrics.run_upkeep();
    }
}
