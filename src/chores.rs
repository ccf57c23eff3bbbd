//! What goes on in the background, for as long as the service runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time;

use crate::{
    access::{model::EVENTS_KEPT, store},
    clock::Clock,
    db::Db,
    directory::Directory,
    error::Error,
    ids::{KeyId, TeamId},
    requests,
    streams::EXPIRY_INTERVAL,
    taps::{model::Retention, writer::Writer},
};

const PARTITIONS_INTERVAL: Duration = Duration::from_hours(6);
const FORGET_INTERVAL: Duration = Duration::from_hours(6);
const USES_INTERVAL: Duration = Duration::from_mins(1);
/// How long it may take to note which keys were used: it is not worth waiting for a store that is down.
const USES_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// For ever.
    pub async fn run(self) {
        loop {
            time::sleep(USES_INTERVAL).await;
            self.now().await;
        }
    }

    /// What there is to note now.
    pub async fn now(&self) {
        let mut teams: BTreeMap<TeamId, Vec<(KeyId, DateTime<Utc>)>> = BTreeMap::new();
        for (team, key, at) in self.directory.used() {
            teams.entry(team).or_default().push((key, at));
        }
        let note = async {
            for (team, keys) in &teams {
                store::touch_keys(&self.db, *team, keys).await?;
            }
            Ok::<_, Error>(())
        };
        let noted = time::timeout(USES_TIMEOUT, note).await;
        if let Err(error) = noted.unwrap_or_else(|silent| Err(Error::store_unavailable(silent))) {
            // The next use is noted again.
            tracing::warn!(cause = error.log_text(), "cannot note when keys were used");
        }
    }
}

/// Forgets what is kept for a time only.
pub async fn forget(db: Db, clock: Clock) {
    loop {
        let now = clock.now();
        let forgotten = async {
            requests::forget(&db, now).await?;
            store::forget(&db, now - EVENTS_KEPT).await
        };
        if let Err(error) = forgotten.await {
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
