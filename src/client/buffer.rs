//! Events that wait to be sent or answered, within bounds, and how many went which way.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError, watch},
    time::{self, Instant},
};
use uuid::Uuid;

use super::{Ended, Options, Why, event::Ready};
use crate::json::Value;

/// How many events went which way, since the client was made: `sent` is the sum of `accepted`, `dropped` and
/// `waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events that were taken to be sent.
    pub sent: u64,
    /// Events that the service has answered for with a receipt: they are durable.
    pub accepted: u64,
    /// Events that the service refused, and that were given up.
    pub dropped: u64,
    /// Events that have no answer yet.
    pub waiting: u64,
    /// Calls that were made again.
    pub retried: u64,
}

/// Events that wait. Many put them in, one takes them out.
#[derive(Debug)]
pub(super) struct Buffer {
    batch_events: usize,
    batch_bytes: usize,
    linger: Duration,
    /// Room for events, and for their bytes.
    events: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    state: Mutex<State>,
    /// There may be something to take.
    news: Notify,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    stats: Stats,
    /// So many of all events that were sent do not wait for others.
    hurry: u64,
    closed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Events that are answered or given up. They are so in the order in which they were sent.
    settled: u64,
    /// Nobody takes events out any more.
    ended: bool,
}

/// An event that waits. Its room is free again when it goes.
#[derive(Debug)]
pub(super) struct Waiting {
    pub id: Uuid,
    pub value: Value,
    bytes: usize,
    since: Instant,
    _room: [OwnedSemaphorePermit; 2],
}

impl Buffer {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            batch_events: options.batch_events,
            batch_bytes: options.batch_bytes,
            linger: options.linger,
            events: Arc::new(Semaphore::new(options.buffer_events)),
            bytes: Arc::new(Semaphore::new(options.buffer_bytes)),
            state: Mutex::default(),
            news: Notify::new(),
            progress: watch::Sender::default(),
        }
    }

    /// Puts an event in, once there is room for it: whoever waited longest is first.
    pub(super) async fn put(&self, event: Ready) -> Result<(), Why> {
        let bytes = permits(event.bytes);
        let room = async {
            let one = Arc::clone(&self.events).acquire_owned().await?;
            Ok([one, Arc::clone(&self.bytes).acquire_many_owned(bytes).await?])
        };
        let room: Result<_, tokio::sync::AcquireError> = room.await;
        self.put_into(room.map_err(|_| Why::Closed)?, event)
    }

    /// Puts an event in, if there is room for it.
    pub(super) fn try_put(&self, event: Ready) -> Result<(), Why> {
        let bytes = permits(event.bytes);
        let room = Arc::clone(&self.events)
            .try_acquire_owned()
            .and_then(|one| Ok([one, Arc::clone(&self.bytes).try_acquire_many_owned(bytes)?]));
        let room = room.map_err(|refused| match refused {
            TryAcquireError::Closed => Why::Closed,
            TryAcquireError::NoPermits => Why::Full,
        })?;
        self.put_into(room, event)
    }

    fn put_into(&self, room: [OwnedSemaphorePermit; 2], event: Ready) -> Result<(), Why> {
        let Ready { id, value, bytes } = event;
        let mut state = self.state();
        if state.closed {
            return Err(Why::Closed);
        }
        state.waiting.push_back(Waiting { id, value, bytes, since: Instant::now(), _room: room });
        state.waiting_bytes += bytes;
        state.stats.sent += 1;
        // Between the first one and a full batch there is nothing new.
        if state.waiting.len() == 1 || self.is_full(&state) {
            self.news.notify_one();
        }
        Ok(())
    }

    fn is_full(&self, state: &State) -> bool {
        state.waiting.len() >= self.batch_events || state.waiting_bytes >= self.batch_bytes
    }

    /// There will be no more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        // Whoever waits for room need not any more.
        self.events.close();
        self.bytes.close();
        self.news.notify_one();
    }

    /// Nobody takes events out any more.
    pub(super) fn end(&self) {
        self.close();
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// The events of the next call, in their order; `None` once there will be no more.
    pub(super) async fn take(&self) -> Option<Vec<Waiting>> {
        loop {
            let due = {
                let mut state = self.state();
                match state.waiting.front() {
                    None if state.closed => return None,
                    None => None,
                    Some(first) => {
                        let due = first.since + self.linger;
                        let taken = state.stats.sent - state.waiting.len() as u64;
                        let at_once = state.closed || taken < state.hurry || self.is_full(&state);
                        if at_once || due <= Instant::now() {
                            return Some(self.drain(&mut state));
                        }
                        Some(due)
                    }
                }
            };
            let news = self.news.notified();
            match due {
                Some(due) => drop(time::timeout_at(due, news).await),
                None => news.await,
            }
        }
    }

    /// As many as a call may have, and one at least.
    fn drain(&self, state: &mut State) -> Vec<Waiting> {
        let (mut len, mut bytes) = (0, 0);
        for event in state.waiting.iter().take(self.batch_events) {
            if len > 0 && bytes + event.bytes > self.batch_bytes {
                break;
            }
            (len, bytes) = (len + 1, bytes + event.bytes);
        }
        state.waiting_bytes -= bytes;
        state.waiting.drain(..len).collect()
    }

    /// Notes that a call was made again.
    pub(super) fn note_retry(&self) {
        self.state().stats.retried += 1;
    }

    /// Notes that these are answered.
    pub(super) fn accepted(&self, events: Vec<Waiting>) {
        let count = events.len() as u64;
        self.state().stats.accepted += count;
        self.settle(count, events);
    }

    /// Notes that these are given up.
    pub(super) fn dropped(&self, events: Vec<Waiting>) {
        let count = events.len() as u64;
        self.state().stats.dropped += count;
        self.settle(count, events);
    }

    fn settle(&self, count: u64, events: Vec<Waiting>) {
        drop(events);
        self.progress.send_modify(|progress| progress.settled += count);
    }

    /// Waits until all that was put in before is settled.
    pub(super) async fn flush(&self) -> Result<(), Ended> {
        let sent = {
            let mut state = self.state();
            state.hurry = state.stats.sent;
            state.hurry
        };
        self.news.notify_one();
        let mut progress = self.progress.subscribe();
        let settled =
            progress.wait_for(|progress| progress.settled >= sent || progress.ended).await;
        if settled.is_ok_and(|progress| progress.settled >= sent) { Ok(()) } else { Err(Ended) }
    }

    pub(super) fn stats(&self) -> Stats {
        let stats = self.state().stats;
        Stats { waiting: stats.sent - stats.accepted - stats.dropped, ..stats }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No event is larger than the buffer, whose bounds fit.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::task::yield_now;

    use super::*;

    fn ready(id: u128, bytes: usize) -> Ready {
        Ready { id: Uuid::from_u128(id), value: Value { kind: None }, bytes }
    }

    fn buffer(change: impl FnOnce(&mut Options)) -> Arc<Buffer> {
        let mut options = Options { batch_events: 3, batch_bytes: 100, ..Options::default() };
        change(&mut options);
        Arc::new(Buffer::new(&options))
    }

    fn ids(events: &[Waiting]) -> Vec<u128> {
        events.iter().map(|event| event.id.as_u128()).collect()
    }

    #[tokio::test]
    async fn a_full_batch_goes_at_once_and_the_rest_after_a_while() {
        let buffer = buffer(|options| options.linger = Duration::from_hours(1));
        for id in 0..4 {
            buffer.try_put(ready(id, 10)).unwrap();
        }
        assert_eq!(ids(&buffer.take().await.unwrap()), [0, 1, 2]);
        assert!(buffer.take().now_or_never().is_none(), "others may come");
        buffer.try_put(ready(4, 89)).unwrap();
        assert!(buffer.take().now_or_never().is_none(), "the batch is not full");
        // Full of bytes; one that is too large for that goes alone.
        buffer.try_put(ready(5, 2)).unwrap();
        buffer.try_put(ready(6, 500)).unwrap();
        buffer.try_put(ready(7, 100)).unwrap();
        assert_eq!(ids(&buffer.take().await.unwrap()), [3, 4]);
        for id in 5..8 {
            assert_eq!(ids(&buffer.take().await.unwrap()), [id]);
        }
        assert_eq!(buffer.state().waiting_bytes, 0);
        assert!(buffer.take().now_or_never().is_none(), "there is nothing");
    }

    #[tokio::test]
    async fn one_that_is_alone_goes_when_its_time_is_over() {
        let buffer = buffer(|options| options.linger = Duration::from_millis(20));
        let began = Instant::now();
        let taken = {
            let buffer = Arc::clone(&buffer);
            tokio::spawn(async move { ids(&buffer.take().await.unwrap()) })
        };
        buffer.try_put(ready(1, 10)).unwrap();
        buffer.try_put(ready(2, 10)).unwrap();
        assert_eq!(taken.await.unwrap(), [1, 2]);
        assert!(began.elapsed() >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn a_flush_waits_for_what_was_before_and_makes_it_hurry() {
        let buffer = buffer(|options| options.linger = Duration::from_hours(1));
        let flush = |buffer: &Arc<Buffer>| {
            let buffer = Arc::clone(buffer);
            tokio::spawn(async move { buffer.flush().await })
        };
        flush(&buffer).await.unwrap().unwrap();
        buffer.try_put(ready(1, 10)).unwrap();
        buffer.try_put(ready(2, 10)).unwrap();
        assert!(buffer.take().now_or_never().is_none());
        let flushed = flush(&buffer);
        let batch = buffer.take().await.unwrap();
        assert_eq!(ids(&batch), [1, 2]);
        buffer.try_put(ready(3, 10)).unwrap();
        yield_now().await;
        assert!(!flushed.is_finished());
        buffer.accepted(batch);
        flushed.await.unwrap().unwrap();
        assert_eq!(buffer.stats(), Stats { sent: 3, accepted: 2, waiting: 1, ..Stats::default() });
        assert!(buffer.take().now_or_never().is_none(), "what came after it takes its time");

        let flushed = flush(&buffer);
        buffer.dropped(buffer.take().await.unwrap());
        flushed.await.unwrap().unwrap();
        assert_eq!(buffer.stats().dropped, 1);

        buffer.try_put(ready(4, 10)).unwrap();
        let flushed = flush(&buffer);
        let _under_way = buffer.take().await.unwrap();
        buffer.end();
        assert_eq!(flushed.await.unwrap(), Err(Ended));
    }

    #[tokio::test]
    async fn when_it_is_full_the_caller_waits_or_is_told() {
        let bounds = |options: &mut Options| {
            (options.buffer_events, options.buffer_bytes) = (2, 50);
            options.linger = Duration::ZERO;
        };
        for (first, second) in [(10, 10), (45, 5)] {
            let buffer = buffer(bounds);
            buffer.try_put(ready(1, first)).unwrap();
            buffer.try_put(ready(2, second)).unwrap();
            assert_eq!(buffer.try_put(ready(3, 10)), Err(Why::Full));
            let waits = {
                let buffer = Arc::clone(&buffer);
                tokio::spawn(async move { buffer.put(ready(4, 10)).await })
            };
            let batch = buffer.take().await.unwrap();
            yield_now().await;
            assert!(!waits.is_finished(), "those of a call that is under way take room");
            buffer.accepted(batch);
            waits.await.unwrap().unwrap();
            assert_eq!(ids(&buffer.take().await.unwrap()), [4]);
        }
        let buffer = buffer(bounds);
        buffer.try_put(ready(1, 50)).unwrap();
        assert_eq!(buffer.try_put(ready(2, 1)), Err(Why::Full), "no room for its bytes");
    }

    #[tokio::test]
    async fn once_it_is_closed_what_is_left_goes_at_once() {
        let buffer = buffer(|options| {
            options.buffer_events = 1;
            options.linger = Duration::from_hours(1);
        });
        buffer.try_put(ready(1, 10)).unwrap();
        let waits = {
            let buffer = Arc::clone(&buffer);
            tokio::spawn(async move { buffer.put(ready(2, 10)).await })
        };
        yield_now().await;
        buffer.close();
        assert_eq!(waits.await.unwrap(), Err(Why::Closed));
        assert_eq!(buffer.try_put(ready(3, 10)), Err(Why::Closed));
        assert_eq!(ids(&buffer.take().await.unwrap()), [1]);
        assert!(buffer.take().await.is_none());
    }
}
