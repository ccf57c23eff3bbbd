//! A client for applications that send events: it buffers, batches, retries, and outlives restarts of the service.
//!
//! [`Events`] takes events one by one and never makes whoever sends them wait for the service. A task in the
//! background sends them by `RecordEvents`, many at a time, one call after the other, in their order.
//!
//! ```no_run
//! use serde_json::json;
//! use tap_analytics::client::{Event, Events};
//! use uuid::Uuid;
//!
//! # async fn shop(key: &str) -> anyhow::Result<()> {
//! // Where the service or Envoy takes gRPC, and a key with the scope events:write. Nothing is called yet:
//! // the service may well be away.
//! let events = Events::new("http://localhost:50051", key)?;
//!
//! let session = Uuid::now_v7();
//! let order = Event::new(session, "shop", "order_placed").data(json!({ "total": 12.5, "items": 3 }));
//! let event_id = events.send(order).await?;
//! println!("{event_id} is on its way");
//!
//! // Before the application ends. It waits for the service, so bound it.
//! let end = tokio::time::timeout(std::time::Duration::from_secs(10), events.close()).await;
//! if end.is_err() {
//!     eprintln!("not answered yet: {} events", events.stats().waiting);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it sees to
//!
//! * **Nothing is doubled.** Each event has an id before it is sent first, a UUID that the client makes where
//!   the caller gave none. By it the service stores the event once, however often it comes.
//! * **Nothing is lost while the application lives.** A batch is sent again until it is answered: while the
//!   service restarts, while it is over its quota, when an answer did not arrive. Calls that failed are made
//!   again after a while that doubles, up to [`Options::retry_max`], or after the time that the service names.
//! * **Memory is bounded.** At most [`Options::buffer_events`] and [`Options::buffer_bytes`] wait. When there
//!   is no room, [`Events::send`] waits for some, and [`Events::try_send`] gives the event back.
//! * **One bad event harms no other.** The service takes events as they are and checks them afterwards; what
//!   is wrong with them is in its list of event errors, where they can be mended and sent again.
//!
//! What waits is in memory only: it is lost when the application itself dies. When the last [`Events`] of a
//! client is dropped, what waits is still sent, for as long as the Tokio runtime runs.
//!
//! # When a call is refused
//!
//! | Code | What happens |
//! | --- | --- |
//! | `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`, `ABORTED`, `INTERNAL`, broken connections | sent again, for ever ([`Then::Again`]) |
//! | `UNAUTHENTICATED`, `PERMISSION_DENIED`, `UNIMPLEMENTED` and the like | the same, as a key can be mended and the wrong address be put right ([`Then::Held`]); [`Events::set_key`] tries another key at once |
//! | `INVALID_ARGUMENT`, `OUT_OF_RANGE` | the batch is sent in halves; an event that is refused alone is dropped ([`Then::Dropped`]) |
//!
//! Each refusal is told to [`Options::on_problem`], and without that to the log.
//!
//! # What became of an event
//!
//! With [`Options::receipts`] the client remembers the receipts of the latest events, and [`Events::outcome`]
//! asks the service what became of one.

mod buffer;
mod event;
mod options;
mod receipts;
mod retry;
mod rpc;
mod sender;

use std::{fmt, sync::Arc, time::Duration};

use http::Uri;
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use self::sender::Shared;
pub use self::{
    buffer::Stats,
    event::Event,
    options::{OnProblem, Options, Problem, Then},
    receipts::Outcome,
};
use crate::clock::Clock;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection on which a call is under way and that is silent for so long is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Sends events. Clones are the same client.
#[derive(Clone)]
pub struct Events {
    handle: Arc<Handle>,
}

/// Goes when the last clone does.
struct Handle {
    shared: Arc<Shared>,
    clock: Clock,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address.
    #[error(
        "the address must be like http://localhost:50051; for TLS make a channel and use Events::over"
    )]
    Address,
    /// The key, which is not repeated here.
    #[error("this is not an API key: it must be all that was printed when the key was made")]
    Key,
    /// An option.
    #[error("{option} must be {range}")]
    Option { option: &'static str, range: &'static str },
    /// The client works in the background of a Tokio runtime.
    #[error("there is no Tokio runtime here: make the client within one")]
    NoRuntime,
}

/// An event that was not taken, and why.
#[derive(Debug, thiserror::Error)]
#[error("the event was not taken: {why}")]
pub struct NotTaken {
    /// The event, given back.
    pub event: Box<Event>,
    pub why: Why,
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// There is no room for it now.
    #[error("the buffer is full")]
    Full,
    /// It is larger than the service takes.
    #[error("as JSON it has {bytes} bytes, and 65536 is the most")]
    TooLarge { bytes: usize },
    /// Its `data` has objects and lists in one another, more than can be sent.
    #[error("its data has more levels than can be sent")]
    TooDeep,
    /// [`Events::close`] was called, or the client has [`Ended`].
    #[error("the client is closed")]
    Closed,
}

/// The background of the client has ended: its runtime did, or [`Options::on_problem`] has panicked.
/// What was not answered is not going to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has ended before all events were answered")]
pub struct Ended;

impl Events {
    /// A client with the usual options. Connects when there is something to send.
    ///
    /// # Errors
    /// When it cannot be an address or a key, or when there is no Tokio runtime.
    pub fn new(address: &str, key: &str) -> Result<Self, SetupError> {
        Self::with(address, key, Options::default())
    }

    /// A client with these options.
    ///
    /// # Errors
    /// As [`Events::new`], and when an option is out of its range.
    pub fn with(address: &str, key: &str, options: Options) -> Result<Self, SetupError> {
        let address: Uri = address.parse().map_err(|_| SetupError::Address)?;
        if address.scheme_str() != Some("http") {
            return Err(SetupError::Address);
        }
        runtime()?;
        let endpoint = Endpoint::from(address)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(CONNECT_TIMEOUT);
        Self::over(endpoint.connect_lazy(), key, options)
    }

    /// A client over a channel of the caller's, such as one with TLS.
    ///
    /// # Errors
    /// As [`Events::with`].
    pub fn over(channel: Channel, key: &str, options: Options) -> Result<Self, SetupError> {
        runtime()?;
        options.check()?;
        let shared = Arc::new(Shared::new(channel, header(key)?, options));
        tokio::spawn(sender::run(Arc::clone(&shared)));
        Ok(Self { handle: Arc::new(Handle { shared, clock: Clock::system() }) })
    }

    /// Takes an event, when there is room for it, and gives its id. It is of the moment of this call, unless it
    /// says when it happened.
    ///
    /// # Errors
    /// When the event can never be sent, or the client is closed. Never [`Why::Full`].
    pub async fn send(&self, event: Event) -> Result<Uuid, NotTaken> {
        let taken = async {
            let ready = event.ready(&self.handle.clock)?;
            let id = ready.id;
            self.buffer().put(ready).await.map(|()| id)
        };
        taken.await.map_err(|why| NotTaken { event: Box::new(event), why })
    }

    /// Takes an event if there is room for it at this moment, and gives its id. Needs no `await`, so it is the
    /// one for code that is not asynchronous.
    ///
    /// # Errors
    /// As [`Events::send`], and [`Why::Full`].
    pub fn try_send(&self, event: Event) -> Result<Uuid, NotTaken> {
        let taken = event.ready(&self.handle.clock).and_then(|ready| {
            let id = ready.id;
            self.buffer().try_put(ready).map(|()| id)
        });
        taken.map_err(|why| NotTaken { event: Box::new(event), why })
    }

    /// Waits until every event that was sent before is answered: for as long as the service is away, so bound
    /// it by a timeout. A flush that was cut short harms nothing.
    ///
    /// # Errors
    /// When the background has ended before.
    pub async fn flush(&self) -> Result<(), Ended> {
        self.buffer().flush().await
    }

    /// Takes no more events, and waits as [`Events::flush`] until all are answered. Cut short, they go on
    /// being sent in the background.
    ///
    /// # Errors
    /// As [`Events::flush`].
    pub async fn close(&self) -> Result<(), Ended> {
        self.buffer().close();
        self.flush().await
    }

    /// How many events went which way so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.buffer().stats()
    }

    /// Goes on with another key, at once: what waits for a good one is sent with this one.
    ///
    /// # Errors
    /// When it cannot be a key.
    pub fn set_key(&self, key: &str) -> Result<(), SetupError> {
        self.handle.shared.set_key(header(key)?);
        Ok(())
    }

    /// Asks the service what became of an event, if its receipt is remembered: see [`Options::receipts`].
    ///
    /// # Errors
    /// Whatever the service refuses with.
    pub async fn outcome(&self, event_id: Uuid) -> Result<Outcome, Status> {
        self.handle.shared.outcome(event_id).await
    }

    fn buffer(&self) -> &buffer::Buffer {
        &self.handle.shared.buffer
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.buffer.close();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

fn runtime() -> Result<(), SetupError> {
    tokio::runtime::Handle::try_current().map(drop).map_err(|_| SetupError::NoRuntime)
}

/// A key as it is sent.
fn header(key: &str) -> Result<MetadataValue<Ascii>, SetupError> {
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SetupError::Key);
    }
    let mut value: MetadataValue<Ascii> = key.parse().map_err(|_| SetupError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "tap_1_hunter2_abc";

    #[tokio::test]
    async fn what_cannot_work_is_said_at_once() {
        for address in ["localhost:50051", "https://tap.example.com", "what?", ""] {
            let refused = Events::new(address, KEY).unwrap_err().to_string();
            assert!(refused.contains("http://localhost:50051"), "{address}: {refused}");
        }
        for key in ["", "two words", "a\nb", "ключ"] {
            assert!(matches!(Events::new("http://[::1]:1", key), Err(SetupError::Key)), "{key}");
        }
        let options = Options { batch_events: 1001, ..Options::default() };
        let refused = Events::with("http://[::1]:1", KEY, options).unwrap_err();
        assert_eq!(refused.to_string(), "batch_events must be 1 to 1000");
    }

    #[test]
    fn without_a_runtime_it_says_so() {
        assert!(matches!(Events::new("http://[::1]:1", KEY), Err(SetupError::NoRuntime)));
    }

    #[tokio::test]
    async fn the_key_is_not_shown() {
        let events = Events::new("http://[::1]:1", KEY).unwrap();
        let shown = format!("{events:?} {:?} {:?}", events.handle.shared, Options::default());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[tokio::test]
    async fn what_can_never_be_sent_is_given_back() {
        let events = Events::new("http://[::1]:1", KEY).unwrap();
        let event = |data| Event::new(Uuid::nil(), "a", "b").data(data);
        let large = event(serde_json::json!({ "text": "x".repeat(65_536) }));
        let refused = events.send(large.clone()).await.unwrap_err();
        assert!(matches!(refused.why, Why::TooLarge { bytes } if bytes > 65_536), "{refused}");
        assert_eq!(*refused.event, large);
        let deep = (0..40).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
        assert_eq!(events.try_send(event(deep)).unwrap_err().why, Why::TooDeep);
        assert_eq!(events.stats(), Stats::default());
    }
}
