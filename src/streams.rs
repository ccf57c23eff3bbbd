//! What every open stream has in common: who may hold it open, for how long, and why it ends.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::{auth::Caller, clock::Clock, error::Error};

/// Something is sent at least this often.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// Streams that a key may have open.
pub const STREAMS_MAX: usize = 100;

/// Batches of taps that a key may have under way; further ones wait for their turn.
const WRITES_MAX: usize = 16;

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The service stops.
    Draining,
    KeyRevoked,
    KeyExpired,
    /// What the reader has yet to get is gone.
    TokenExpired,
    /// A fault of ours.
    Failed,
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
    /// Cancelled when the key is revoked or has expired.
    pub ended: CancellationToken,
    open: Arc<Semaphore>,
    /// Held by each batch that is read and worked on.
    pub writes: Arc<Semaphore>,
}

impl Default for KeyLife {
    fn default() -> Self {
        Self {
            ended: CancellationToken::new(),
            open: Arc::new(Semaphore::new(STREAMS_MAX)),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
        }
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
        tokio::select! {
            biased;
            () = self.caller.life.ended.cancelled() => {}
            () = self.streams.draining.cancelled() => return EndReason::Draining,
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
        } else if self.streams.draining.is_cancelled() {
            Some(EndReason::Draining)
        } else if *self.streams.history.borrow() != self.history {
            Some(EndReason::TokenExpired)
        } else {
            None
        }
    }

    fn key_end(&self) -> EndReason {
        match self.caller.expires_at {
            Some(at) if at <= self.streams.clock.now() => EndReason::KeyExpired,
            _ => EndReason::KeyRevoked,
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        metrics::gauge!("tap_streams", "kind" => self.kind).decrement(1.0);
    }
}
