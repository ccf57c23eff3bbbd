//! Hints between replicas: "the keys have changed", "the tags of this team have", "this team has a new
//! revision".
//!
//! PostgreSQL's LISTEN on a connection of its own. A hint only makes us look sooner: keys and tags are
//! loaded every 15 seconds anyway, and every second while there is no connection to listen on; revisions
//! are checked by whoever needs one ([`crate::feeds::revisions`]).

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::{Notify, mpsc},
    time,
};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::{
    db::{self, Db},
    directory::Directory,
    error::Error,
    feeds::token::History,
    ids::TeamId,
    sql,
    tags::directory::TagDirectory,
};

const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long connecting and subscribing may take: a store that is silent is a store that is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a silent connection may take to answer before it counts as dead.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Hints that are acted on together.
const NOTICES_AT_A_TIME: usize = 1024;
const PING_INTERVAL: Duration = Duration::from_secs(3);
/// At most one notice of a kind in this time: a notice takes a lock of the whole cluster.
const NOTICE_INTERVAL: Duration = Duration::from_millis(20);
/// PostgreSQL takes less than 8,000 bytes.
const NOTICE_BYTES_MAX: usize = 7_900;

/// Who is told.
#[derive(Clone, Debug)]
pub struct Hints {
    pub db: Db,
    /// How to connect for listening.
    pub listen: tokio_postgres::Config,
    pub directory: Arc<Directory>,
    pub tags: Arc<TagDirectory>,
    /// Of new revisions, each of those of its kind.
    pub feeds: Vec<Arc<dyn Hears>>,
    pub history: History,
}

/// Whoever is told of new revisions of one kind of things.
pub trait Hears: fmt::Debug + Send + Sync {
    /// The channel on which they are told of.
    fn channel(&self) -> &'static str;

    /// A team has at least this revision.
    fn hear(&self, team: TeamId, revision: i64);

    /// Something was not heard: nothing that is known can be relied on any longer.
    fn forget(&self);
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
            self.look().await;
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
        self.look().await;
        metrics::gauge!("tap_listening").set(1.0);

        let mut ping = time::interval_at(time::Instant::now() + PING_INTERVAL, PING_INTERVAL);
        let mut heard_now = Vec::new();
        loop {
            tokio::select! {
                heard = listener.notices.recv_many(&mut heard_now, NOTICES_AT_A_TIME) => {
                    if heard == 0 {
                        break; // the connection is gone
                    }
                    self.act(heard_now.drain(..));
                }
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
    fn act(&self, notices: impl Iterator<Item = (String, String)>) {
        let mut keys_changed = false;
        let mut tags_changed = Vec::new();
        for (channel, payload) in notices {
            match channel.as_str() {
                "api_keys" => keys_changed = true,
                "tags" => tags_changed.extend(parse_tags(&payload)),
                channel => {
                    let feeds = self.feeds.iter().filter(|feeds| feeds.channel() == channel);
                    feeds.for_each(|feeds| hear(&**feeds, &payload));
                }
            }
        }
        if keys_changed {
            self.directory.hear();
        }
        for (team, revision) in tags_changed {
            self.tags.hear(team, revision);
        }
    }

    /// Looks at everything: whatever was told meanwhile was not heard.
    async fn look(&self) {
        self.feeds.iter().for_each(|feeds| feeds.forget());
        self.directory.hear();
        self.tags.hear_all();
        let history = time::timeout(CONNECT_TIMEOUT, db::history(&self.db)).await;
        match history.unwrap_or_else(|silent| Err(Error::store_unavailable(silent))) {
            Ok(history) => self.history.set(history),
            Err(error) => {
                tracing::warn!(cause = error.log_text(), "cannot ask the store who it is");
            }
        }
    }
}

/// Teams have new revisions.
fn hear(feeds: &dyn Hears, payload: &str) {
    for news in payload.split(',') {
        let Some((team, revision)) = parse_revision(news) else {
            feeds.forget();
            return;
        };
        feeds.hear(team, revision);
    }
}

/// Reads what [`announce`] tells.
fn parse_revision(payload: &str) -> Option<(TeamId, i64)> {
    let (team, revision) = payload.split_once(':')?;
    Some((TeamId(team.parse().ok()?), revision.parse().ok()?))
}

/// Reads which team's tags have changed, and into which state if that is said.
fn parse_tags(payload: &str) -> Option<(TeamId, Option<i64>)> {
    match parse_revision(payload) {
        Some((team, revision)) => Some((team, Some(revision))),
        None => Some((TeamId(payload.parse().ok()?), None)),
    }
}

/// Tells every replica that a team has a new revision, of the kind of this channel.
///
/// # Errors
/// As [`db::query`].
pub async fn announce(db: &Db, channel: &str, team: TeamId, revision: i64) -> Result<(), Error> {
    notify(db, channel, &format!("{team}:{revision}")).await
}

/// Tells every replica that the tags of a team have changed.
///
/// # Errors
/// As [`db::query`].
pub async fn announce_tags(db: &Db, team: TeamId) -> Result<(), Error> {
    db::query(&db.system().await?, sql!("tags/notify_tags"), &[&team.to_string()]).await?;
    Ok(())
}

/// What other replicas are to be told of one kind, gathered for a moment.
#[derive(Clone, Debug)]
pub struct Notices(Arc<Pending>);

#[derive(Debug)]
struct Pending {
    channel: &'static str,
    teams: Mutex<HashMap<TeamId, i64>>,
    some: Notify,
}

impl Notices {
    /// Nothing to tell yet, on this channel.
    #[must_use]
    pub fn on(channel: &'static str) -> Self {
        Self(Arc::new(Pending { channel, teams: Mutex::default(), some: Notify::new() }))
    }

    /// A team has a new revision.
    pub fn tell(&self, team: TeamId, revision: i64) {
        let mut teams = self.0.teams.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = teams.entry(team).or_default();
        *newest = revision.max(*newest);
        drop(teams);
        self.0.some.notify_one();
    }

    /// Tells them, for ever.
    pub async fn run(self, db: Db) {
        loop {
            self.0.some.notified().await;
            let teams =
                std::mem::take(&mut *self.0.teams.lock().unwrap_or_else(PoisonError::into_inner));
            for payload in payloads(&teams) {
                // A hint: whoever does not hear of it looks within a second.
                if let Err(error) = notify(&db, self.0.channel, &payload).await {
                    let (channel, cause) = (self.0.channel, error.log_text());
                    tracing::debug!(channel, cause, "cannot tell others of what is new");
                    break;
                }
            }
            time::sleep(NOTICE_INTERVAL).await;
        }
    }
}

async fn notify(db: &Db, channel: &str, payload: &str) -> Result<(), Error> {
    db::query(&db.system().await?, sql!("db/notify"), &[&channel, &payload]).await?;
    Ok(())
}

/// Teams and revisions as texts that PostgreSQL takes.
fn payloads(teams: &HashMap<TeamId, i64>) -> Vec<String> {
    let mut payloads = vec![String::new()];
    for (team, revision) in teams {
        let news = format!("{team}:{revision}");
        match payloads.last_mut() {
            Some(last) if last.is_empty() => *last = news,
            Some(last) if last.len() + 1 + news.len() <= NOTICE_BYTES_MAX => {
                last.push(',');
                last.push_str(&news);
            }
            _ => payloads.push(news),
        }
    }
    payloads
}
