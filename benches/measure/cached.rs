//! `QueryTaps` from the cache, beside a handler that returns the same message and does nothing else.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::stream;
use metrics_exporter_prometheus::PrometheusHandle;
use tap_analytics::{
    config,
    proto::{
        Encoded, IngestBatch, RecordBatch,
        tap_v1::{
            IngestTapsResponse, QueryTapsRequest, QueryTapsResponse, RecordTapsResponse,
            StreamTapsRequest, WatchTapsRequest, WatchTapsResponse, interval,
            tap_analytics_client::TapAnalyticsClient,
        },
        tap_v1_server::tap_analytics_server::{TapAnalytics, TapAnalyticsServer},
    },
};
use tokio::task::JoinSet;
use tonic::{
    Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::Routes,
    transport::Channel,
};

use super::{
    median, per_second, progress, query,
    report::{Report, Row},
    serve::{self, Service},
};

/// Calls that are under way at any time, on one connection.
const IN_FLIGHT: usize = 32;
/// Keys that take turns: one alone would run out of quota.
const KEYS: usize = 8;
const CACHE_MIB: u32 = 64;

/// How often and how long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) count: u32,
    pub(crate) length: Duration,
}

/// Returns the same answer to every call.
#[derive(Debug)]
struct Empty(QueryTapsResponse);

#[tonic::async_trait]
impl TapAnalytics for Empty {
    async fn query_taps(
        &self,
        _: Request<QueryTapsRequest>,
    ) -> Result<Response<QueryTapsResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    async fn record_taps(
        &self,
        _: Request<RecordBatch>,
    ) -> Result<Response<RecordTapsResponse>, Status> {
        Err(Status::unimplemented("not measured here"))
    }

    type IngestTapsStream = stream::Pending<Result<IngestTapsResponse, Status>>;

    async fn ingest_taps(
        &self,
        _: Request<Streaming<IngestBatch>>,
    ) -> Result<Response<Self::IngestTapsStream>, Status> {
        Err(Status::unimplemented("not measured here"))
    }

    type StreamTapsStream = stream::Pending<Result<Encoded, Status>>;

    async fn stream_taps(
        &self,
        _: Request<StreamTapsRequest>,
    ) -> Result<Response<Self::StreamTapsStream>, Status> {
        Err(Status::unimplemented("not measured here"))
    }

    type WatchTapsStream = stream::Pending<Result<WatchTapsResponse, Status>>;

    async fn watch_taps(
        &self,
        _: Request<WatchTapsRequest>,
    ) -> Result<Response<Self::WatchTapsStream>, Status> {
        Err(Status::unimplemented("not measured here"))
    }
}

/// Adds a row for a large answer and one for a small one.
pub(crate) async fn measure(
    store: &config::Store,
    rounds: Rounds,
    metrics: &PrometheusHandle,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        keys.push(serve::key(store).await?);
    }
    let service = Service::start(store, CACHE_MIB, metrics).await?;
    let by_day = query::year_by_day()?;
    let total = QueryTapsRequest { interval: interval::Value::Total.into(), ..by_day.clone() };
    for (name, target, query) in
        [("one year by day", "at least 70 %", by_day), ("one year in one bucket", "", total)]
    {
        progress(format!("QueryTaps from the cache, {name}"));
        let (cached, empty) = alternate(&service, &keys, &query, rounds).await?;
        report.add(Row {
            work: format!("QueryTaps, cached, {name}, {IN_FLIGHT} in flight"),
            measured: format!("{cached:.0} calls/s"),
            baseline: format!("empty tonic handler {empty:.0} calls/s"),
            ratio: format!("{:.0} %", 100.0 * cached / empty),
            target,
        });
    }
    service.stop().await
}

/// Calls a second of the service and of the empty handler: medians of rounds in turn.
async fn alternate(
    service: &Service,
    keys: &[MetadataValue<Ascii>],
    query: &QueryTapsRequest,
    rounds: Rounds,
) -> anyhow::Result<(f64, f64)> {
    let mut client = service.client().await?;
    let answer = match keys.first() {
        Some(key) => serve::ask(&mut client, key, query.clone()).await?,
        None => anyhow::bail!("no keys"),
    };
    let routes = Routes::new(TapAnalyticsServer::new(Empty(answer)));
    let (address, empty_server) = serve::start_bare(routes).await?;
    let empty_client = serve::connect(&address).await?;

    let (mut cached, mut empty) = (Vec::new(), Vec::new());
    // The first round of both is to warm up.
    for nth in 0..=rounds.count {
        let with = call_for(rounds.length, &client, keys, query).await?;
        let without = call_for(rounds.length, &empty_client, keys, query).await?;
        if nth > 0 {
            cached.push(with);
            empty.push(without);
        }
    }
    drop(empty_server);
    Ok((median(cached), median(empty)))
}

/// Calls a second over some time.
async fn call_for(
    length: Duration,
    client: &TapAnalyticsClient<Channel>,
    keys: &[MetadataValue<Ascii>],
    query: &QueryTapsRequest,
) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for key in keys.iter().cycle().take(IN_FLIGHT) {
        let (mut client, key, query) = (client.clone(), key.clone(), query.clone());
        callers.spawn(async move {
            let mut calls = 0;
            while start.elapsed() < length {
                let answer = serve::ask(&mut client, &key, query.clone()).await?;
                ensure!(!answer.buckets.is_empty(), "an answer without buckets");
                calls += 1;
            }
            Ok(calls)
        });
    }
    let mut calls: u64 = 0;
    while let Some(done) = callers.join_next().await {
        calls += done??;
    }
    Ok(per_second(calls, start.elapsed()))
}
