//! What every open stream has in common: who may hold it open, for how long, and why it ends.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch},
    time,
};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{Caller, TokenLimits},
    clock::Clock,
    error::Error,
};

/// Something is sent at least this often.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// Streams that a key may have open.
pub const STREAMS_MAX: usize = 100;

/// How often to look whether what a stream was opened by has expired.
pub const EXPIRY_INTERVAL: Duration = Duration::from_millis(500);
/// Batches of taps that a key may have under way; further ones wait for their turn.
const WRITES_MAX: usize = 16;
/// The same of all keys of a team: less than of all teams together, so that none can hold up the others.
const TEAM_WRITES_MAX: usize = 24;
/// Redemptions, messages and decisions that a key, and a team, may have under way: each is small, and many are committed
/// together.
const SMALL_WRITES_MAX: usize = 64;
const TEAM_SMALL_WRITES_MAX: usize = 256;
/// Looks at keys and tags, and changes of them, that a team may have under way, likewise.
const TEAM_CALLS_MAX: usize = 4;
/// Counts of events and redemptions, redemptions that are given back, and decisions about dialogs, that a team may have
/// under way, likewise.
const TEAM_COUNTS_MAX: usize = 2;
const TEAM_RELEASES_MAX: usize = 1;
const TEAM_DECISIONS_MAX: usize = 2;
/// Files that come, commits of imports and users that are deleted, rows that are changed, reports, and searches.
const TEAM_UPLOADS_MAX: usize = 8;
const TEAM_COMMITS_MAX: usize = 1;
const TEAM_PATCHES_MAX: usize = 2;
const TEAM_REPORTS_MAX: usize = 1;
const TEAM_SEARCHES_MAX: usize = 1;
/// How long a caller may wait for a turn.
pub const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The service stops.
    Draining,
    KeyRevoked,
    KeyExpired,
    /// What the key may do has changed.
    KeyChanged,
    /// It was opened by a token, which has expired, or was ended with all others.
    AccessTokenExpired,
    /// What the reader has yet to get is gone.
    TokenExpired,
    /// A fault of ours.
    Failed,
    /// Nothing more will happen.
    Done,
}

/// What open streams need to know of the service.
#[derive(Clone, Debug)]
pub struct Streams {
    pub clock: Clock,
    /// Cancelled when the service stops.
    pub draining: CancellationToken,
    /// Changes when the store has another history.
    pub history: watch::Receiver<u32>,
}

/// How long a key lives, and what it has under way. Shared by all that it opens.
#[derive(Debug)]
pub struct KeyLife {
    /// Cancelled when the key is revoked, has expired, or may do less.
    pub ended: CancellationToken,
    why: OnceLock<EndReason>,
    open: Arc<Semaphore>,
    /// Held by each batch that is read and worked on.
    pub writes: Arc<Semaphore>,
    /// Held by each redemption, message or decision.
    pub small_writes: Arc<Semaphore>,
}

impl Default for KeyLife {
    fn default() -> Self {
        Self {
            ended: CancellationToken::new(),
            why: OnceLock::new(),
            open: Arc::new(Semaphore::new(STREAMS_MAX)),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
            small_writes: Arc::new(Semaphore::new(SMALL_WRITES_MAX)),
        }
    }
}

/// What the keys of a team have under way together. Kept as long as the team has a key.
#[derive(Debug)]
pub struct TeamShare {
    /// Held by each batch that is read and worked on.
    pub writes: Arc<Semaphore>,
    /// Held by each redemption, message or decision.
    pub small_writes: Arc<Semaphore>,
    /// Held by each look at keys and tags, and each change of them.
    pub calls: Arc<Semaphore>,
    /// Held by each count of events or redemptions.
    pub counts: Arc<Semaphore>,
    /// Held by each redemption that is given back.
    pub releases: Arc<Semaphore>,
    /// Held by each decision about a dialog that is noted, and each erasure.
    pub decisions: Arc<Semaphore>,
    /// Held by each commit of an import, and each user that is deleted.
    pub commits: Arc<Semaphore>,
    /// Held by each row of an import that is changed.
    pub patches: Arc<Semaphore>,
    /// Held by each file that comes.
    pub uploads: Arc<Semaphore>,
    /// Held by each report of an import, until it is read.
    pub reports: Arc<Semaphore>,
    /// Held by each look at users.
    pub searches: Arc<Semaphore>,
}

impl Default for TeamShare {
    fn default() -> Self {
        Self {
            writes: Arc::new(Semaphore::new(TEAM_WRITES_MAX)),
            small_writes: Arc::new(Semaphore::new(TEAM_SMALL_WRITES_MAX)),
            calls: Arc::new(Semaphore::new(TEAM_CALLS_MAX)),
            counts: Arc::new(Semaphore::new(TEAM_COUNTS_MAX)),
            releases: Arc::new(Semaphore::new(TEAM_RELEASES_MAX)),
            decisions: Arc::new(Semaphore::new(TEAM_DECISIONS_MAX)),
            commits: Arc::new(Semaphore::new(TEAM_COMMITS_MAX)),
            patches: Arc::new(Semaphore::new(TEAM_PATCHES_MAX)),
            uploads: Arc::new(Semaphore::new(TEAM_UPLOADS_MAX)),
            reports: Arc::new(Semaphore::new(TEAM_REPORTS_MAX)),
            searches: Arc::new(Semaphore::new(TEAM_SEARCHES_MAX)),
        }
    }
}

/// The turn of a team, of those that it has at a time. It goes with the work, also when the caller goes away.
///
/// # Errors
/// [`Error::Busy`] when its other work takes too long.
pub async fn turn_of_team(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    let turn = time::timeout(TURN_TIMEOUT, Arc::clone(turns).acquire_owned()).await;
    turn.map_err(|_| Error::Busy)?.map_err(Error::internal)
}

/// A turn of those that all teams have. Each has few that wait.
///
/// # Errors
/// [`Error::Busy`] when the work of others takes too long.
pub async fn turn_of_all(turns: &Semaphore) -> Result<SemaphorePermit<'_>, Error> {
    let turn = time::timeout(TURN_TIMEOUT, turns.acquire()).await;
    turn.map_err(|_| Error::Busy)?.map_err(Error::internal)
}

impl KeyLife {
    /// Ends all that the key has open.
    pub fn end(&self, why: EndReason) {
        // The first reason stands.
        let _ = self.why.set(why);
        self.ended.cancel();
    }

    /// Streams that the key has open.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        STREAMS_MAX - self.open.available_permits().min(STREAMS_MAX)
    }
}

impl Streams {
    /// Opens a stream.
    ///
    /// # Errors
    /// [`Error::TooManyStreams`] when the key has as many as it may.
    pub fn open(&self, caller: &Caller, kind: &'static str) -> Result<Lifeline, Error> {
        let permit = Arc::clone(&caller.life.open).try_acquire_owned();
        let permit = permit.map_err(|_| Error::TooManyStreams { max: STREAMS_MAX })?;
        metrics::gauge!("tap_streams", "kind" => kind).increment(1.0);
        Ok(Lifeline {
            streams: self.clone(),
            caller: caller.clone(),
            history: *self.history.borrow(),
            kind,
            _permit: permit,
        })
    }
}

/// Holds a stream open.
#[derive(Debug)]
pub struct Lifeline {
    streams: Streams,
    caller: Caller,
    history: u32,
    kind: &'static str,
    _permit: OwnedSemaphorePermit,
}

impl Lifeline {
    /// Waits until the stream has to end.
    pub async fn ended(&mut self) -> EndReason {
        let history = self.history;
        let token_expired = expired(self.caller.token.clone(), &self.streams.clock);
        tokio::select! {
            biased;
            () = self.caller.life.ended.cancelled() => {}
            () = self.streams.draining.cancelled() => return EndReason::Draining,
            () = token_expired => return EndReason::AccessTokenExpired,
            changed = self.streams.history.wait_for(|now| *now != history) => {
                return if changed.is_ok() { EndReason::TokenExpired } else { EndReason::Draining };
            }
        }
        self.key_end()
    }

    /// Whether the stream has to end, without waiting: for who has something to send all the time.
    pub fn has_ended(&self) -> Option<EndReason> {
        if self.caller.life.ended.is_cancelled() {
            Some(self.key_end())
        } else if self.token_has_expired() {
            Some(EndReason::AccessTokenExpired)
        } else if self.streams.draining.is_cancelled() {
            Some(EndReason::Draining)
        } else if *self.streams.history.borrow() != self.history {
            Some(EndReason::TokenExpired)
        } else {
            None
        }
    }

    fn key_end(&self) -> EndReason {
        self.caller.life.why.get().copied().unwrap_or(EndReason::KeyRevoked)
    }

    fn token_has_expired(&self) -> bool {
        let token = self.caller.token.as_ref();
        token.is_some_and(|token| token.has_ended(&self.streams.clock))
    }
}

impl TokenLimits {
    fn has_ended(&self, clock: &Clock) -> bool {
        self.dropped.is_cancelled() || self.expires_at <= clock.now()
    }
}

/// Waits until a token has ended: for ever, where there is none.
fn expired(token: Option<Arc<TokenLimits>>, clock: &Clock) -> impl Future<Output = ()> + use<> {
    let clock = clock.clone();
    async move {
        let Some(token) = token else { return std::future::pending().await };
        while !token.has_ended(&clock) {
            let _ = time::timeout(EXPIRY_INTERVAL, token.dropped.cancelled()).await;
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        metrics::gauge!("tap_streams", "kind" => self.kind).decrement(1.0);
    }
}
