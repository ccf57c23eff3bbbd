//! The layer that takes calls out of the caller's quota and says on every answer what is left.
//!
//! What we did not work for costs nothing: refusals, bad requests and calls that the store could
//! not be reached for are given back. A query that took too long has cost us, and so it costs.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tonic::{Code, Status, body::Body, metadata::MetadataMap};
use tonic_types::{QuotaViolation, StatusExt};
use tower::{Layer, Service};

use crate::{
    auth::{Caller, Route},
    error::{self, Error},
    quotas::{Class, Standing},
    reasons,
};

/// Batches of taps that are read and worked on at a time, of all keys: each may take some megabytes. Further
/// ones are not read from the connection until it is their turn.
const WRITES_AT_A_TIME: usize = 64;
/// Redemptions, messages and decisions, likewise: each is small.
const SMALL_WRITES_AT_A_TIME: usize = 1_024;
/// Looks at keys and tags, and changes of them, that are worked on at a time: fewer than there are connections
/// to the store, as they may wait for one another there, and queries must not wait with them.
const CALLS_AT_A_TIME: usize = 10;
/// The largest query: a thousand tags of 64 characters, and room for the rest.
const SMALL_BODY_BYTES: usize = 256 * 1024;
/// The largest row of an import.
const ROW_BODY_BYTES: usize = 1024 * 1024;
/// How long a call may wait for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes calls out of the caller's bucket and writes the headers. Sits inside the interceptor that
/// finds out who calls.
#[derive(Clone, Debug)]
pub struct LimitLayer {
    writes: Arc<Semaphore>,
    small_writes: Arc<Semaphore>,
    calls: Arc<Semaphore>,
}

impl Default for LimitLayer {
    fn default() -> Self {
        Self {
            writes: Arc::new(Semaphore::new(WRITES_AT_A_TIME)),
            small_writes: Arc::new(Semaphore::new(SMALL_WRITES_AT_A_TIME)),
            calls: Arc::new(Semaphore::new(CALLS_AT_A_TIME)),
        }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        let Self { writes, small_writes, calls } = self.clone();
        Limit { inner, writes, small_writes, calls }
    }
}

/// See [`LimitLayer`].
#[derive(Clone, Debug)]
pub struct Limit<S> {
    inner: S,
    writes: Arc<Semaphore>,
    small_writes: Arc<Semaphore>,
    calls: Arc<Semaphore>,
}

impl<S> Service<Request<Body>> for Limit<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let route = request.extensions().get::<Route>().copied();
        let class = route.as_ref().and_then(Route::class);
        let caller = request.extensions().get::<Caller>();
        let (Some(class), Some(caller)) = (class, caller) else {
            return Box::pin(self.inner.call(request));
        };
        let quotas = Arc::clone(&caller.quotas);
        // First the key's own turn: who waits for that must not hold what others need.
        let turns = match class {
            _ if matches!(route, Some(Route::InTurn(..))) => vec![],
            Class::Write if route.is_some_and(Route::writes_little) => {
                vec![&caller.life.small_writes, &caller.share.small_writes, &self.small_writes]
            }
            Class::Write => vec![&caller.life.writes, &caller.share.writes, &self.writes],
            Class::Read | Class::Change => vec![&caller.share.calls, &self.calls],
            Class::Query | Class::Stream => vec![],
        };
        let turns: Vec<_> = turns.into_iter().map(Arc::clone).collect();
        let bytes_max = route.and_then(body_bytes_max);

        if let Err(standing) = quotas.bucket(class).take() {
            metrics::counter!("tap_quota_refusals_total", "class" => class.as_str()).increment(1);
            let mut response = refusal(class, standing).into_http();
            write_headers(response.headers_mut(), class, standing);
            return Box::pin(async move { Ok(response) });
        }
        let request = match bytes_max {
            Some(left) => request.map(|body| Body::new(Bounded { body, left })),
            None => request,
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = async {
                let _turns = take_turns(turns).await?;
                Ok::<_, Error>(answer.await)
            };
            let mut response = match answer.await {
                Ok(answer) => answer?,
                Err(busy) => Status::from(busy).into_http(),
            };
            let bucket = quotas.bucket(class);
            if unanswered(response.headers()) {
                bucket.give_back();
            }
            // A call that was charged for more says so itself.
            if !response.headers().contains_key("x-ratelimit-limit") {
                write_headers(response.headers_mut(), class, bucket.standing());
            }
            Ok(response)
        })
    }
}

async fn take_turns(turns: Vec<Arc<Semaphore>>) -> Result<Vec<OwnedSemaphorePermit>, Error> {
    let taken = async {
        let mut taken = Vec::with_capacity(turns.len());
        for turn in turns {
            taken.push(turn.acquire_owned().await.map_err(Error::internal)?);
        }
        Ok(taken)
    };
    time::timeout(TURN_TIMEOUT, taken).await.map_err(|_| Error::Busy)?
}

/// How large the body of a call may be that waits for no turn: all that come at a time are in memory.
fn body_bytes_max(route: Route) -> Option<usize> {
    match route {
        Route::ByTag(..) | Route::Key(_, Class::Read | Class::Query) => Some(SMALL_BODY_BYTES),
        Route::InTurn(_, Class::Read | Class::Change) => Some(ROW_BODY_BYTES),
        route if route.writes_little() => Some(SMALL_BODY_BYTES),
        _ => None,
    }
}

/// A body that ends with an error when it is larger than it may.
struct Bounded {
    body: Body,
    left: usize,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            match self.left.checked_sub(data.len()) {
                Some(left) => self.left = left,
                // As tonic says it of what it does not read.
                None => return Poll::Ready(Some(Err(Status::out_of_range("too large")))),
            }
        }
        Poll::Ready(frame)
    }
}

/// Takes a call of another class out of the caller's quota: for what a path alone does not tell.
///
/// # Errors
/// The refusal, with its headers.
pub fn charge(caller: &Caller, class: Class) -> Result<Standing, Status> {
    caller.quotas.bucket(class).take().map_err(|standing| {
        metrics::counter!("tap_quota_refusals_total", "class" => class.as_str()).increment(1);
        let mut status = refusal(class, standing);
        show(status.metadata_mut(), class, standing);
        status
    })
}

/// Says on an answer what is left of a quota.
pub fn show(metadata: &mut MetadataMap, class: Class, standing: Standing) {
    let mut headers = std::mem::take(metadata).into_headers();
    write_headers(&mut headers, class, standing);
    *metadata = MetadataMap::from_headers(headers);
}

/// Says what is left of a quota, without taking anything; where no class is asked for, of the queries.
pub fn show_any(metadata: &mut MetadataMap, caller: &Caller, class: Option<Class>) {
    let class = class.unwrap_or(Class::Query);
    show(metadata, class, caller.quotas.bucket(class).standing());
}

/// What opening a stream costs: a query, or nothing when it goes on where it was just cut.
#[derive(Debug)]
pub struct Charged<'a>(Option<&'a Caller>);

impl<'a> Charged<'a> {
    /// Takes a query out of the caller's quota unless the stream was resumed.
    ///
    /// # Errors
    /// The refusal, with its headers.
    pub fn unless(resumed: bool, caller: &'a Caller) -> Result<Self, Status> {
        if resumed {
            return Ok(Self(None));
        }
        charge(caller, Class::Query)?;
        Ok(Self(Some(caller)))
    }

    /// Gives the query back when there was no work for it, as for other calls.
    ///
    /// # Errors
    /// That of the work.
    pub async fn for_work<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = work.await;
        let no_work = matches!(
            done,
            Err(Error::Invalid(_) | Error::NotFound { .. } | Error::StoreUnavailable(_))
        );
        if let (Some(caller), true) = (self.0, no_work) {
            caller.quotas.bucket(Class::Query).give_back();
        }
        done
    }

    /// The answer, which says what is left.
    pub fn show<T>(&self, frames: T) -> tonic::Response<T> {
        let mut response = tonic::Response::new(frames);
        if let Some(caller) = self.0 {
            let standing = caller.quotas.bucket(Class::Query).standing();
            show(response.metadata_mut(), Class::Query, standing);
        }
        response
    }
}

/// Whether a call ended before there was work: such calls are given back.
fn unanswered(headers: &HeaderMap) -> bool {
    let Some(code) = headers.get("grpc-status") else { return false };
    match Code::from_bytes(code.as_bytes()) {
        Code::Ok => false,
        Code::InvalidArgument | Code::Unavailable => true,
        // What tonic refused, as it could not be read, has no details; our own errors all have.
        _ => !headers.contains_key(Status::GRPC_STATUS_DETAILS),
    }
}

fn refusal(class: Class, standing: Standing) -> Status {
    let class = class.as_str();
    let description = format!(
        "{} {class} calls an hour: one comes back every {} seconds",
        standing.limit,
        3600_u32.div_ceil(standing.limit)
    );
    let message = format!(
        "over the quota of {description}; try again in {} seconds",
        seconds(standing.retry_after)
    );
    let mut details = error::details(reasons::QUOTA_EXCEEDED);
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
    // Until there is more: for who has none, that is the next call.
    let more = if retry_after.is_zero() { reset } else { seconds(retry_after) };
    let mut set = |name: &'static str, value: HeaderValue| {
        headers.insert(HeaderName::from_static(name), value);
    };
    set("x-ratelimit-limit", limit.into());
    set("x-ratelimit-remaining", remaining.into());
    set("x-ratelimit-reset", reset.into());
    // draft-ietf-httpapi-ratelimit-headers.
    let texts = [
        ("ratelimit-policy", format!("\"{class}\";q={limit};w=3600")),
        ("ratelimit", format!("\"{class}\";r={remaining};t={more}")),
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
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::{
        access::model::Scope,
        auth::KeyAbout,
        clock::Clock,
        ids::{KeyId, TeamId},
        quotas::Quotas,
    };

    /// A caller with a query an hour, for whom time stands still.
    fn caller() -> Caller {
        let about = KeyAbout {
            name: String::new(),
            prefix: String::new(),
            team_name: String::new(),
            queries_per_hour: 1,
            expires_at: None,
        };
        Caller {
            team: TeamId(1),
            team_slug: "acme".into(),
            key: KeyId(Uuid::nil()),
            about: Arc::new(about),
            scopes: [].into(),
            token: None,
            quotas: Arc::new(Quotas::new(1, &Clock::fixed(DateTime::UNIX_EPOCH))),
            life: Arc::default(),
            share: Arc::default(),
        }
    }

    /// What comes of a call of a class.
    async fn called(caller: &Caller, class: Class) -> Response<Body> {
        let inner = tower::service_fn(async |_: Request<Body>| {
            Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
        });
        let mut request = Request::new(Body::default());
        request.extensions_mut().insert(Route::Key(Scope::TapsRead, class));
        request.extensions_mut().insert(caller.clone());
        LimitLayer::default().layer(inner).call(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_quota_of_each_class_is_told_in_its_own_words_and_is_no_other() {
        let caller = caller();
        for class in Class::ALL {
            let name = class.as_str();
            let bucket = caller.quotas.bucket(class);
            let Standing { limit, .. } = bucket.standing();
            for _ in 1..limit {
                bucket.take().unwrap();
            }
            let last = called(&caller, class).await;
            assert_eq!(last.headers()["x-ratelimit-remaining"], "0", "{name}");
            assert!(!last.headers().contains_key("grpc-status"), "{name}");

            let refused = called(&caller, class).await;
            let status = Status::from_header_map(refused.headers()).unwrap();
            let details = status.get_error_details();
            assert_eq!(status.code(), Code::ResourceExhausted, "{name}");
            assert_eq!(details.error_info().unwrap().reason, reasons::QUOTA_EXCEEDED, "{name}");
            let quota = &details.quota_failure().unwrap().violations[0];
            assert_eq!(quota.quota_metric, format!("tap-analytics/{name}"));
            assert_eq!(quota.quota_value, i64::from(limit), "{name}");
            let wait = details.retry_info().unwrap().retry_delay.unwrap();
            assert_eq!(wait, Duration::from_hours(1) / limit, "{name}");
            let header = |name: &str| refused.headers()[name].to_str().unwrap();
            assert_eq!(header("retry-after"), seconds(wait).to_string(), "{name}");
            assert_eq!(header("ratelimit-policy"), format!("\"{name}\";q={limit};w=3600"));
            assert_eq!(header("ratelimit"), format!("\"{name}\";r=0;t={}", seconds(wait)));
        }
    }
}
