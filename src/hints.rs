//! Hints between replicas: "the keys have changed", "this team has a new revision".
//!
//! PostgreSQL's LISTEN on a connection of its own. A hint only makes us look sooner: keys are loaded
//! every 15 seconds anyway, and every second while there is no connection to listen on; revisions
//! are checked by whoever needs one ([`crate::taps::revisions`]).

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::{sync::mpsc, time};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::{
    auth::Directory,
    db::{self, Db},
    error::Error,
    ids::TeamId,
    sql,
    taps::revisions::Revisions,
};

const REFRESH_INTERVAL: Duration = Duration::from_secs(15);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long connecting and subscribing may take: a store that is silent is a store that is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a silent connection may take to answer before it counts as dead.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Hints that are acted on together.
const NOTICES_AT_A_TIME: usize = 1024;
const PING_INTERVAL: Duration = Duration::from_secs(3);

/// Who is told.
#[derive(Clone, Debug)]
pub struct Hints {
    pub db: Db,
    /// How to connect for listening.
    pub listen: tokio_postgres::Config,
    pub directory: Arc<Directory>,
    pub revisions: Arc<Revisions>,
}

/// A subscribed connection.
struct Listener {
    client: Client,
    notices: mpsc::Receiver<(String, String)>,
}

impl Hints {
    /// Listens for ever, and connects again whenever the connection is lost.
    pub async fn run(self) {
        loop {
            let connected = time::timeout(CONNECT_TIMEOUT, self.connect()).await;
            match connected.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer"))) {
                Ok(listener) => self.follow(listener).await,
                Err(error) => tracing::warn!(
                    cause = format!("{error:#}"),
                    "cannot listen for changes; trying again"
                ),
            }
            // Whatever happened, hints were missed. Read first, wait after.
            self.revisions.forget();
            self.refresh_keys().await;
            time::sleep(RETRY_INTERVAL).await;
        }
    }

    async fn connect(&self) -> anyhow::Result<Listener> {
        let (client, mut connection) = self.listen.connect(NoTls).await?;
        let (sender, notices) = mpsc::channel(1024);
        tokio::spawn(async move {
            let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
            while let Some(message) = messages.next().await {
                match message {
                    Ok(AsyncMessage::Notification(notice)) => {
                        let notice = (notice.channel().to_owned(), notice.payload().to_owned());
                        if sender.send(notice).await.is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "the connection that listens for changes is lost");
                        return;
                    }
                }
            }
        });
        client.batch_execute(sql!("db/listen").text).await?;
        Ok(Listener { client, notices })
    }

    /// Acts on hints until the connection ends.
    async fn follow(&self, mut listener: Listener) {
        // What changed between the last look and LISTEN.
        self.revisions.forget();
        self.refresh_keys().await;
        metrics::gauge!("tap_listening").set(1.0);

        let mut refresh =
            time::interval_at(time::Instant::now() + REFRESH_INTERVAL, REFRESH_INTERVAL);
        let mut ping = time::interval_at(time::Instant::now() + PING_INTERVAL, PING_INTERVAL);
        let mut heard_now = Vec::new();
        loop {
            tokio::select! {
                heard = listener.notices.recv_many(&mut heard_now, NOTICES_AT_A_TIME) => {
                    if heard == 0 {
                        break; // the connection is gone
                    }
                    self.act(heard_now.drain(..)).await;
                }
                _ = refresh.tick() => self.refresh_keys().await,
                _ = ping.tick() => {
                    let pong = time::timeout(PING_TIMEOUT, listener.client.check_connection()).await;
                    if !matches!(pong, Ok(Ok(()))) {
                        tracing::warn!("the connection that listens for changes does not answer");
                        break;
                    }
                }
            }
        }
        metrics::gauge!("tap_listening").set(0.0);
    }

    /// However many changes of keys were heard of together, the keys are loaded once.
    async fn act(&self, notices: impl Iterator<Item = (String, String)>) {
        let mut keys_changed = false;
        for (channel, payload) in notices {
            match (channel.as_str(), parse_revision(&payload)) {
                ("taps", Some((team, revision))) => self.revisions.raise(team, revision),
                ("taps", None) => self.revisions.forget(),
                _ => keys_changed = true,
            }
        }
        if keys_changed {
            self.refresh_keys().await;
        }
    }

    async fn refresh_keys(&self) {
        if let Err(error) = self.directory.refresh(&self.db).await {
            tracing::warn!(
                cause = error.log_text(),
                "cannot load the keys again; those that are known go on working"
            );
        }
    }
}

/// Reads what [`announce`] tells.
fn parse_revision(payload: &str) -> Option<(TeamId, i64)> {
    let (team, revision) = payload.split_once(':')?;
    Some((TeamId(team.parse().ok()?), revision.parse().ok()?))
}

/// Tells every replica that a team has a new revision.
///
/// # Errors
/// As [`db::query`].
pub async fn announce(db: &Db, team: TeamId, revision: i64) -> Result<(), Error> {
    let payload = format!("{team}:{revision}");
    db::query(&db.system().await?, sql!("taps/notify_taps"), &[&payload]).await?;
    Ok(())
}
