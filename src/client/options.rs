//! How a client works, and what it tells of.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value as Json;
use tonic::Code;

use super::SetupError;
use crate::events::model::BATCH_EVENTS_MAX;

/// Bytes of a call at most: the service takes four times that.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// What waits at most: what a semaphore can count, and far more than anybody means.
const BUFFER_MAX: usize = 1 << 30;

/// How a client works. Take the default and change what is to differ:
///
/// ```
/// # use tap_analytics::client::Options;
/// let options = Options { buffer_events: 100_000, receipts: 1_000, ..Options::default() };
/// ```
#[derive(Clone)]
pub struct Options {
    /// Events of a call at most: 1 to 1,000.
    pub batch_events: usize,
    /// Bytes of a call at most, up to 1 MiB. A single event may be larger.
    pub batch_bytes: usize,
    /// How long an event waits for others to go with it.
    pub linger: Duration,
    /// Events that wait for an answer at most.
    pub buffer_events: usize,
    /// Bytes that these may have, at least 1 MiB. In memory they take some times as much.
    pub buffer_bytes: usize,
    /// How long to wait before a call is made again: this at first, doubled each time up to `retry_max`, and
    /// each time a random part of up to half less.
    pub retry_min: Duration,
    pub retry_max: Duration,
    /// How long a call may take, to connect included.
    pub deadline: Duration,
    /// Of how many events, the latest, the receipts are remembered. 0: of none.
    pub receipts: usize,
    /// Is told of each call that was refused and of each event that was dropped, in the background of the
    /// client, which waits for it meanwhile. `None`: the log is told, by `tracing`.
    pub on_problem: Option<OnProblem>,
}

/// See [`Options::on_problem`].
pub type OnProblem = Arc<dyn Fn(&Problem) + Send + Sync>;

/// A call that was refused or has failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The code of gRPC.
    pub code: Code,
    /// The reason that the service gives, as in docs/errors.md. `None`: it is not the service that speaks.
    pub reason: Option<String>,
    /// For people.
    pub message: String,
    /// What the client does about it.
    pub then: Then,
}

/// What a client does about a call that was refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// Makes it again after this time. It will pass.
    Again { after: Duration },
    /// Makes it again after this time, and for as long as nobody does something about it, in vain.
    Held { after: Duration },
    /// Gives up this event, which the service cannot take.
    Dropped { event: Box<Json> },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_events: BATCH_EVENTS_MAX,
            batch_bytes: BATCH_BYTES_MAX,
            linger: Duration::from_millis(200),
            buffer_events: 10_000,
            buffer_bytes: 16 * 1024 * 1024,
            retry_min: Duration::from_millis(200),
            retry_max: Duration::from_secs(10),
            deadline: Duration::from_secs(10),
            receipts: 0,
            on_problem: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("batch_events", &self.batch_events)
            .field("batch_bytes", &self.batch_bytes)
            .field("linger", &self.linger)
            .field("buffer_events", &self.buffer_events)
            .field("buffer_bytes", &self.buffer_bytes)
            .field("retry_min", &self.retry_min)
            .field("retry_max", &self.retry_max)
            .field("deadline", &self.deadline)
            .field("receipts", &self.receipts)
            .finish_non_exhaustive()
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), SetupError> {
        let hour = Duration::from_hours(1);
        let checks = [
            ("batch_events", (1..=BATCH_EVENTS_MAX).contains(&self.batch_events), "1 to 1000"),
            ("batch_bytes", (1..=BATCH_BYTES_MAX).contains(&self.batch_bytes), "1 byte to 1 MiB"),
            ("linger", self.linger <= hour, "an hour at most"),
            ("buffer_events", (1..=BUFFER_MAX).contains(&self.buffer_events), "1 to 2^30"),
            (
                "buffer_bytes",
                (BATCH_BYTES_MAX..=BUFFER_MAX).contains(&self.buffer_bytes),
                "1 MiB to 1 GiB",
            ),
            ("retry_min", (1..).contains(&self.retry_min.as_millis()), "a millisecond at least"),
            (
                "retry_max",
                (self.retry_min..=hour).contains(&self.retry_max),
                "retry_min at least and an hour at most",
            ),
            (
                "deadline",
                (1..).contains(&self.deadline.as_millis()) && self.deadline <= hour,
                "a millisecond to an hour",
            ),
        ];
        let wrong = checks.into_iter().find(|(_, good, _)| !good);
        wrong.map_or(Ok(()), |(option, _, range)| Err(SetupError::Option { option, range }))
    }

    /// Tells whoever wants to know.
    pub(super) fn tell(&self, problem: &Problem) {
        if let Some(on_problem) = &self.on_problem {
            return on_problem(problem);
        }
        let (code, reason) = (problem.code, problem.reason.as_deref().unwrap_or_default());
        match &problem.then {
            Then::Again { after } => {
                tracing::info!(?code, reason, ?after, "events are not taken now: sent again");
            }
            Then::Held { after } => {
                tracing::warn!(?code, reason, ?after, "events are refused: held, and sent again");
            }
            Then::Dropped { event } => {
                let event_id = event["event_id"].as_str().unwrap_or_default();
                tracing::error!(?code, reason, event_id, "an event was refused: dropped");
            }
        }
    }
}
