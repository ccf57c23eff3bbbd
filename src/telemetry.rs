//! Logs, metrics, and the layer that makes both for every call.
//!
//! Never in a log or a metric: keys, headers, messages, query strings. Labels have few values: paths
//! that are not ours are all `other`.

use std::{
    io::IsTerminal as _,
    panic::AssertUnwindSafe,
    task::{Context, Poll},
    time::Instant,
};

use anyhow::Context as _;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderValue, Request, Response, header::CACHE_CONTROL};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument as _, field::Empty};
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use crate::{
    auth::Route,
    config::{LogFormat, Logs},
    error::{self, Error},
    quotas::Class,
};

/// Seconds: from a cached answer to a query that is cut off.
const LATENCY_BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    15.0,
];

/// Starts the log, on standard error.
///
/// # Errors
/// When the filter cannot be read.
pub fn start_logs(logs: &Logs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&logs.log)
        .with_context(|| format!("TAP_LOG: cannot read {:?}: use such as info", logs.log))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match logs.log_format {
        LogFormat::Json => subscriber
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .init(),
        LogFormat::Text => subscriber.with_target(false).init(),
    }
    // A panic is an error like others: a line of the log, in its format.
    // What was put together for it is left out: it may be about people.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let said = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(left out)");
        tracing::error!(location, said, "a bug: this code panicked");
    }));
    Ok(())
}

/// Starts the metrics.
///
/// # Errors
/// When they were started before.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), LATENCY_BUCKETS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_histogram!("tap_call_seconds", "time to the head of an answer, by method and code");
    describe_counter!("tap_quota_refusals_total", "calls refused for the quota, by class");
    describe_counter!(
        "tap_answers_total",
        "answers to queries, by where they came from: cache or store"
    );
    describe_gauge!("tap_keys", "valid keys that are known");
    describe_counter!("tap_written_total", "taps that were stored");
    describe_histogram!("tap_commit_seconds", "time of a commit of taps");
    describe_gauge!("tap_streams", "open streams, by kind: taps, watch, ingest, events, import");
    describe_gauge!("tap_feeds", "teams that are followed, by kind: taps, events");
    describe_counter!("tap_events_received_total", "events that were taken");
    describe_counter!("tap_events_total", "events that were settled, by outcome");
    describe_histogram!("tap_event_accept_seconds", "time of a commit that takes events");
    describe_histogram!("tap_event_delay_seconds", "time from taking an event to storing it");
    describe_gauge!("tap_event_backlog", "events that wait to be stored");
    describe_gauge!("tap_event_backlog_bytes", "bytes of events that wait to be stored");
    describe_gauge!("tap_event_backlog_age_seconds", "how long the oldest of them has waited");
    describe_counter!("tap_messages_total", "messages that were taken, by what became of them");
    describe_histogram!("tap_message_commit_seconds", "time of a commit that stores messages");
    describe_gauge!("tap_pending_dialogs", "dialogs that wait for consent");
    describe_gauge!("tap_pending_bytes", "memory for messages that wait for consent");
    describe_counter!("tap_pending_expired_total", "dialogs that waited for consent too long");
    describe_counter!("tap_messages_redacted_total", "messages that were redacted");
    describe_counter!("tap_messages_deleted_total", "messages that were kept no longer");
    describe_counter!("tap_imports_total", "files that were checked, by state");
    describe_counter!("tap_import_rows_total", "rows that were checked or stored, by status");
    describe_gauge!("tap_import_bytes", "memory for imports");
    describe_gauge!("tap_tags", "tags that are known");
    describe_counter!("tap_url_total", "requests to the tap URL, by outcome and class");
    describe_gauge!("tap_url_waiting", "taps of the tap URL that wait to be written");
    describe_counter!("tap_url_lost_total", "taps of the tap URL that are lost, by cause");
    describe_gauge!("tap_listening", "1 while the connection that hears of changes is up");
}

/// The outermost layer: looks up the route, opens the span, catches panics, counts and logs.
#[derive(Clone, Copy, Debug)]
pub struct ObserveLayer;

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner }
    }
}

/// See [`ObserveLayer`].
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (route, method) = Route::of(request.uri().path());
        let sent_id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
        let sent_id = sent_id.filter(|id| is_request_id(id)).map(str::to_owned);
        let own_id = sent_id.is_none().then(|| Uuid::now_v7().to_string());
        let request_id = sent_id.or_else(|| own_id.clone()).unwrap_or_default();
        let span = tracing::info_span!("call", method, request_id, team = Empty, key = Empty);
        request.extensions_mut().insert(route);
        // By which name we were called: a gRPC request does not keep it.
        if let Some(authority) = request.uri().authority().cloned() {
            request.extensions_mut().insert(authority);
        }

        let seen =
            Seen { method, quiet: route == Route::Public, start: Instant::now(), code: None };
        let answer = span.in_scope(|| AssertUnwindSafe(self.inner.call(request)).catch_unwind());
        let observed = async move {
            // Whole, so that it is dropped when this future is: also when the caller goes away.
            let mut seen = seen;
            let mut response = match answer.await {
                Ok(answer) => completed(answer?.map(Body::new)),
                Err(_) => Status::from(Error::internal(anyhow::anyhow!("panicked"))).into_http(),
            };
            // What a key asks for is for its holder. Envoy says so of streams.
            if route != Route::Public && route.class() != Some(Class::Stream) {
                let headers = response.headers_mut();
                headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
            }
            // Envoy makes ids and returns them; without it we do.
            if let Some(id) = own_id.and_then(|id| HeaderValue::try_from(id).ok()) {
                response.headers_mut().insert("x-request-id", id);
            }
            seen.code = Some(code_of(&response));
            Ok(response)
        };
        Box::pin(observed.instrument(span))
    }
}

/// What is told of a call when it has ended, also when its caller went away before.
struct Seen {
    method: &'static str,
    quiet: bool,
    start: Instant,
    /// None while it is under way.
    code: Option<Code>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        let elapsed = self.start.elapsed();
        if !self.quiet {
            let duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
            tracing::info!(?code, duration_us, "answered");
        }
        metrics::histogram!("tap_call_seconds", "method" => self.method, "code" => code_name(code))
            .record(elapsed.as_secs_f64());
    }
}

/// An answer whose error, if it is one, has details.
fn completed(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    let bare = !headers.contains_key(Status::GRPC_STATUS_DETAILS);
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok && bare => {
            let status = error::complete(&status);
            if status.add_header(response.headers_mut()).is_err() {
                tracing::warn!("an error could not be given details");
            }
            response
        }
        _ => response,
    }
}

/// A code as a label.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "Ok",
        Code::Cancelled => "Cancelled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// Callers may choose the request id: it is logged only when it looks like one.
fn is_request_id(id: &str) -> bool {
    id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The code of an answer; one without a `grpc-status` in its head is under way, and well so far.
fn code_of<B>(response: &Response<B>) -> Code {
    response.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
