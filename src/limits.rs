//! How often a key may ask.
//!
//! A quota is a bucket of `n` calls that refills evenly over an hour (GCRA, by governor): a fresh key
//! may spend all `n` at once, and then one every `3600 / n` seconds. Every answer to a call that has
//! a quota says what is left. What we did not work for costs nothing: refusals, bad requests and calls
//! that failed on our side are given back. A query that took too long has cost us, and so it costs.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tonic::{Code, Status, body::Body};
use tonic_types::{QuotaViolation, StatusExt};
use tower::{Layer, Service};

use crate::{
    auth::{Caller, Route},
    error,
};

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// One of the key's queries.
    Query,
}

impl Class {
    /// As headers and errors name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
        }
    }
}

/// The quotas of one key. Kept as long as the key is, whatever is reloaded around it.
#[derive(Debug)]
pub struct Limits {
    queries: Bucket,
}

impl Limits {
    /// Full buckets.
    #[must_use]
    pub fn new(queries_per_hour: u32) -> Self {
        Self { queries: Bucket::new(queries_per_hour, DefaultClock::default()) }
    }

    /// The bucket that a call is taken from.
    #[must_use]
    pub fn bucket(&self, class: Class) -> &Bucket {
        match class {
            Class::Query => &self.queries,
        }
    }
}

/// A bucket of calls.
#[derive(Debug)]
pub struct Bucket<C: Clock = DefaultClock> {
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

    /// Puts a call back.
    pub fn give_back(&self) {
        self.arrival.earlier(self.interval());
    }

    /// What is left, without taking anything.
    pub fn standing(&self) -> Standing {
        let limit = self.per_hour.get();
        let elapsed = self.limiter.clock().now().duration_since(self.start).as_u64();
        let reset = self.arrival.load().saturating_sub(elapsed);
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

/// Takes calls out of the caller's bucket and writes the headers. Sits inside the interceptor that
/// finds out who calls.
#[derive(Clone, Copy, Debug)]
pub struct LimitLayer;

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit { inner }
    }
}

/// See [`LimitLayer`].
#[derive(Clone, Debug)]
pub struct Limit<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Limit<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let class = request.extensions().get::<Route>().and_then(Route::class);
        let limits = request.extensions().get::<Caller>().map(|caller| Arc::clone(&caller.limits));
        let (Some(class), Some(limits)) = (class, limits) else {
            return Box::pin(self.inner.call(request));
        };

        if let Err(standing) = limits.bucket(class).take() {
            metrics::counter!("tap_quota_refusals_total", "class" => class.as_str()).increment(1);
            let mut response = refusal(class, standing).into_http();
            write_headers(response.headers_mut(), class, standing);
            return Box::pin(async move { Ok(response) });
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            let bucket = limits.bucket(class);
            if unanswered(response.headers()) {
                bucket.give_back();
            }
            write_headers(response.headers_mut(), class, bucket.standing());
            Ok(response)
        })
    }
}

/// Whether a call was refused or failed on our side: such calls are given back.
fn unanswered(headers: &HeaderMap) -> bool {
    let code = headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
    matches!(
        code,
        Some(
            Code::InvalidArgument
                | Code::OutOfRange
                | Code::Unimplemented
                | Code::Unavailable
                | Code::Internal
                | Code::Unknown
        )
    )
}

fn refusal(class: Class, standing: Standing) -> Status {
    let class = class.as_str();
    let description = format!(
        "{} {class} calls an hour: one comes back every {} seconds",
        standing.limit,
        3600_f64 / f64::from(standing.limit)
    );
    let message = format!(
        "over the quota of {description}; try again in {} seconds",
        seconds(standing.retry_after)
    );
    let mut details = error::details("QUOTA_EXCEEDED");
    details.set_retry_info(Some(standing.retry_after)).set_quota_failure(vec![QuotaViolation {
        quota_metric: format!("tap-analytics/{class}"),
        quota_id: format!("{class}-per-hour-per-key"),
        quota_value: i64::from(standing.limit),
        ..QuotaViolation::new("key", description)
    }]);
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// Whole seconds, rounded up: who waits that long is never early.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn write_headers(headers: &mut HeaderMap, class: Class, standing: Standing) {
    let (class, reset) = (class.as_str(), seconds(standing.reset));
    let Standing { limit, remaining, retry_after, .. } = standing;
    let mut set = |name: &'static str, value: HeaderValue| {
        headers.insert(HeaderName::from_static(name), value);
    };
    set("x-ratelimit-limit", limit.into());
    set("x-ratelimit-remaining", remaining.into());
    set("x-ratelimit-reset", reset.into());
    // draft-ietf-httpapi-ratelimit-headers.
    let texts = [
        ("ratelimit-policy", format!("\"{class}\";q={limit};w=3600")),
        ("ratelimit", format!("\"{class}\";r={remaining};t={reset}")),
    ];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::try_from(text) {
            set(name, value);
        }
    }
    if !retry_after.is_zero() {
        set("retry-after", seconds(retry_after).into());
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
