//! How often a key may call.
//!
//! A quota is a bucket of `n` calls that refills evenly over an hour (GCRA, by governor): a fresh key
//! may spend all `n` at once, and then one every `3600 / n` seconds.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};

use crate::clock;

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// One of the key's queries.
    Query,
    /// One opening of a stream, whether it costs a query as well or not.
    Stream,
    /// One batch of taps or events, one redemption, one message.
    Write,
    /// A look at what a team has set up or stored.
    Read,
    /// A change of what a team has set up.
    Change,
}

/// Openings of streams that a key has an hour. A page that reconnects needs few.
const STREAMS_PER_HOUR: u32 = 3_600;
/// Batches of taps that a key can send an hour: 100 a second for ever, and all at once for a while.
const WRITES_PER_HOUR: u32 = 360_000;
/// Looks at keys and tags that a key has an hour.
const READS_PER_HOUR: u32 = 36_000;
/// Changes of keys and tags that a key has an hour.
const CHANGES_PER_HOUR: u32 = 3_600;

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Query, Self::Stream, Self::Write, Self::Read, Self::Change];

    /// As headers and errors name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Stream => "stream",
            Self::Write => "write",
            Self::Read => "read",
            Self::Change => "change",
        }
    }
}

/// The quotas of one key. Kept as long as the key is, whatever is reloaded around it.
#[derive(Debug)]
pub struct Quotas {
    queries: Bucket,
    others: Arc<Others>,
    ticks: Ticks,
}

/// The quotas that are the same for every key.
#[derive(Debug)]
struct Others {
    streams: Bucket,
    writes: Bucket,
    reads: Bucket,
    changes: Bucket,
}

impl Quotas {
    /// Full buckets.
    #[must_use]
    pub fn new(queries_per_hour: u32, clock: &clock::Clock) -> Self {
        let ticks = Ticks::of(clock);
        let bucket = |per_hour| Bucket::new(per_hour, ticks.clone());
        let others = Others {
            streams: bucket(STREAMS_PER_HOUR),
            writes: bucket(WRITES_PER_HOUR),
            reads: bucket(READS_PER_HOUR),
            changes: bucket(CHANGES_PER_HOUR),
        };
        Self { queries: bucket(queries_per_hour), others: Arc::new(others), ticks }
    }

    /// With another quota of queries, of which as many are used as were of the old one.
    #[must_use]
    pub fn with_queries_per_hour(&self, queries_per_hour: u32) -> Self {
        let queries = Bucket::new(queries_per_hour, self.ticks.clone());
        queries.use_up(self.queries.used());
        Self { queries, others: Arc::clone(&self.others), ticks: self.ticks.clone() }
    }

    /// The bucket that a call is taken from.
    #[must_use]
    pub fn bucket(&self, class: Class) -> &Bucket {
        match class {
            Class::Query => &self.queries,
            Class::Stream => &self.others.streams,
            Class::Write => &self.others.writes,
            Class::Read => &self.others.reads,
            Class::Change => &self.others.changes,
        }
    }
}

/// What quotas refill by: the machine's time that is never put back, or the clock that a test sets.
#[derive(Clone, Debug)]
pub enum Ticks {
    Machine(DefaultClock, <DefaultClock as Clock>::Instant),
    Set(clock::Clock),
}

impl Ticks {
    fn of(clock: &clock::Clock) -> Self {
        if clock.is_set() {
            return Self::Set(clock.clone());
        }
        let machine = DefaultClock::default();
        let start = machine.now();
        Self::Machine(machine, start)
    }
}

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        match self {
            Self::Machine(clock, start) => clock.now().duration_since(*start),
            Self::Set(clock) => {
                let micros = u64::try_from(clock.now().timestamp_micros()).unwrap_or_default();
                Nanos::from(micros * 1_000)
            }
        }
    }
}

/// A bucket of calls.
#[derive(Debug)]
pub struct Bucket<C: Clock = Ticks> {
    per_hour: NonZeroU32,
    start: C::Instant,
    arrival: Arrival,
    limiter: RateLimiter<NotKeyed, Arrival, C, NoOpMiddleware<C::Instant>>,
}

/// What is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Calls an hour.
    pub limit: u32,
    /// Calls that can be made now.
    pub remaining: u32,
    /// Until the bucket is full again.
    pub reset: Duration,
    /// Until the next call can be made; zero when one can be made now.
    pub retry_after: Duration,
}

impl Standing {
    /// Until one more call can be made than now; zero when none is missing.
    #[must_use]
    pub fn next(&self) -> Duration {
        let missing = self.limit - self.remaining;
        let others = Duration::from_hours(1) * missing.saturating_sub(1) / self.limit.max(1);
        self.reset.saturating_sub(others)
    }
}

impl<C: Clock> Bucket<C> {
    /// A full bucket.
    pub fn new(per_hour: u32, clock: C) -> Self {
        let per_hour = NonZeroU32::new(per_hour).unwrap_or(NonZeroU32::MIN);
        let arrival = Arrival::default();
        let start = clock.now();
        let limiter = RateLimiter::new(Quota::per_hour(per_hour), arrival.clone(), clock);
        Self { per_hour, start, arrival, limiter }
    }

    /// Takes a call out, if there is one.
    ///
    /// # Errors
    /// The standing, when the bucket is empty.
    pub fn take(&self) -> Result<Standing, Standing> {
        match self.limiter.check() {
            Ok(()) => Ok(self.standing()),
            Err(not_until) => {
                let retry_after = not_until.wait_time_from(self.limiter.clock().now());
                Err(Standing { remaining: 0, retry_after, ..self.standing() })
            }
        }
    }

    /// Calls that have yet to come back: more than the bucket holds where it held more before.
    fn used(&self) -> u64 {
        self.left_to_refill().div_ceil(self.interval())
    }

    /// Takes this many calls out of a bucket that was full, also more than it holds.
    fn use_up(&self, calls: u64) {
        self.arrival.later(calls.saturating_mul(self.interval()));
    }

    /// Nanoseconds until the bucket is full.
    fn left_to_refill(&self) -> u64 {
        let elapsed = self.limiter.clock().now().duration_since(self.start).as_u64();
        self.arrival.load().saturating_sub(elapsed)
    }

    /// Puts a call back.
    pub fn give_back(&self) {
        self.arrival.earlier(self.interval());
    }

    /// What is left, without taking anything.
    pub fn standing(&self) -> Standing {
        let limit = self.per_hour.get();
        let reset = self.left_to_refill();
        let used = u32::try_from(reset.div_ceil(self.interval())).unwrap_or(limit).min(limit);
        Standing {
            limit,
            remaining: limit - used,
            reset: Duration::from_nanos(reset),
            retry_after: Duration::ZERO,
        }
    }

    /// Nanoseconds in which one call comes back.
    fn interval(&self) -> u64 {
        let nanos = Quota::per_hour(self.per_hour).replenish_interval().as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// governor's state: the theoretical arrival time of GCRA, in nanoseconds since the bucket was made.
/// Our own, because governor's cannot be looked at nor put back.
#[derive(Clone, Debug, Default)]
struct Arrival(Arc<AtomicU64>);

impl Arrival {
    fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn later(&self, nanos: u64) {
        let later = |at: u64| Some(at.saturating_add(nanos));
        let _always_some = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    fn earlier(&self, nanos: u64) {
        let back = |at: u64| Some(at.saturating_sub(nanos));
        let _always_some = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, back);
    }
}

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut seen = self.load();
        loop {
            let (answer, next) = decide((seen > 0).then(|| Nanos::from(seen)))?;
            match self.0.compare_exchange_weak(
                seen,
                next.into(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(answer),
                Err(now) => seen = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_bucket_holds_its_calls_and_refills_evenly() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(100, clock.clone());
        assert_eq!(bucket.standing().remaining, 100);
        for left in (0..100).rev() {
            assert_eq!(bucket.take().unwrap().remaining, left);
        }

        let refused = bucket.take().unwrap_err();
        assert_eq!((refused.limit, refused.remaining), (100, 0));
        assert_eq!(refused.retry_after, Duration::from_secs(36));
        assert_eq!(refused.reset, Duration::from_hours(1));

        clock.advance(Duration::from_secs(35));
        assert_eq!(bucket.take().unwrap_err().retry_after, Duration::from_secs(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(bucket.standing().remaining, 1);
        assert!(bucket.take().is_ok());
        assert!(bucket.take().is_err());
        clock.advance(Duration::from_hours(2));
        assert_eq!(bucket.standing().remaining, 100);
    }

    #[test]
    fn another_limit_does_not_give_back_what_was_used() {
        let quotas = Quotas::new(100, &clock::Clock::system());
        for _ in 0..60 {
            quotas.bucket(Class::Query).take().unwrap();
        }
        quotas.bucket(Class::Read).take().unwrap();
        let larger = quotas.with_queries_per_hour(200);
        assert_eq!(larger.bucket(Class::Query).standing().remaining, 140);
        assert_eq!(larger.bucket(Class::Read).standing().remaining, READS_PER_HOUR - 1);
        let smaller = larger.with_queries_per_hour(50);
        assert_eq!(smaller.bucket(Class::Query).standing().remaining, 0);
        assert_eq!(
            smaller.with_queries_per_hour(100).bucket(Class::Query).standing().remaining,
            40,
            "what does not fit into a smaller one is not forgotten"
        );
    }

    #[test]
    fn the_next_call_comes_before_all_of_them() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(100, clock.clone());
        assert_eq!(bucket.standing().next(), Duration::ZERO);
        for _ in 0..3 {
            bucket.take().unwrap();
        }
        assert_eq!(bucket.standing().next(), Duration::from_secs(36));
        clock.advance(Duration::from_secs(10));
        assert_eq!(bucket.standing().next(), Duration::from_secs(26));
    }

    #[test]
    fn refusals_cost_nothing() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(1, clock.clone());
        bucket.take().unwrap();
        for _ in 0..1000 {
            assert!(bucket.take().is_err());
        }
        clock.advance(Duration::from_hours(1));
        assert!(bucket.take().is_ok());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_but_never_more() {
        let bucket = Bucket::new(3, FakeRelativeClock::default());
        for _ in 0..10 {
            bucket.take().unwrap();
            bucket.give_back();
        }
        bucket.give_back();
        assert_eq!(bucket.standing().remaining, 3);
        for _ in 0..3 {
            bucket.take().unwrap();
        }
        assert!(bucket.take().is_err());
    }

    #[test]
    fn many_at_once_take_exactly_what_there_is() {
        let bucket = Bucket::new(1000, FakeRelativeClock::default());
        let taken: usize = std::thread::scope(|scope| {
            let take = || (0..500).filter(|_| bucket.take().is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }
}
