//! The whole surface on one page: layers in order, services, health, and how it stops.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, task::JoinSet, time};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::InterceptorLayer,
    transport::{
        Server,
        server::{Router, TcpIncoming},
    },
};
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::layer::util::{Identity, Stack};

use crate::{
    admin::{self, Admin},
    auth::{Authenticate, Directory},
    clock::Clock,
    config,
    db::{self, Db},
    hints::Hints,
    limits::LimitLayer,
    proto::{DESCRIPTORS, tap_v1::tap_analytics_server::TapAnalyticsServer},
    taps::{answers::Answers, revisions::Revisions, rpc::Taps, writer::Writer},
    telemetry::ObserveLayer,
};

/// The largest request. Envoy refuses a larger one before.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// The largest request for health and reflection.
const SMALL_BYTES_MAX: usize = 4096;
const START_RETRY: Duration = Duration::from_secs(1);
const PARTITIONS_INTERVAL: Duration = Duration::from_hours(6);

/// What a server is given by whoever starts it: a test chooses ports, time and end.
#[derive(Debug)]
pub struct Parts {
    pub store: config::Store,
    pub serve: config::Serve,
    pub clock: Clock,
    pub grpc: TcpListener,
    pub admin: TcpListener,
    pub metrics: Option<PrometheusHandle>,
    /// Ends the server when it is cancelled.
    pub stop: CancellationToken,
}

/// Serves until told to stop, and then until the calls in flight have ended.
///
/// # Errors
/// When the settings make no sense, or calls in flight did not end in time.
pub async fn serve(parts: Parts) -> anyhow::Result<()> {
    let db = Db::new(&parts.store)?;
    let directory = Arc::new(Directory::new(parts.clock.clone()));
    let revisions = Arc::new(Revisions::default());
    let serving = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();

    let private = admin::router(Admin {
        db: db.clone(),
        metrics: parts.metrics.clone(),
        serving: Arc::clone(&serving),
    });
    tasks.spawn(async move {
        if let Err(error) = axum::serve(parts.admin, private).await {
            tracing::error!(%error, "the private port failed");
        }
    });
    if !load_keys(&directory, &db, &parts.stop).await {
        return Ok(());
    }
    tasks.spawn(
        Hints {
            db: db.clone(),
            listen: db::system_role(&parts.store)?,
            directory: Arc::clone(&directory),
            revisions: Arc::clone(&revisions),
        }
        .run(),
    );
    tasks.spawn(make_partitions(Writer::new(db.clone(), parts.clock.clone())));
    if let Some(metrics) = parts.metrics {
        tasks.spawn(keep_up(metrics));
    }

    let (cache, timeout) = (parts.serve.cache_bytes(), parts.serve.query_timeout());
    let taps = Taps { answers: Answers::new(db, parts.clock, revisions, cache, timeout) };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<TapAnalyticsServer<Taps>>().await;
    let router = router(directory, health_service, taps, parts.serve.reflection)?;
    serving.store(true, Ordering::Release);
    tracing::info!(grpc = %parts.grpc.local_addr()?, "serving");

    let drained = CancellationToken::new();
    let server = router.serve_with_incoming_shutdown(
        TcpIncoming::from(parts.grpc).with_nodelay(Some(true)),
        drained.clone().cancelled_owned(),
    );
    let stop_ms = parts.serve.stop_ms;
    let deadline = async {
        parts.stop.cancelled().await;
        tracing::info!("stopping");
        // First whoever balances load has to see it, then calls are no longer taken.
        serving.store(false, Ordering::Release);
        health.set_not_serving::<TapAnalyticsServer<Taps>>().await;
        time::sleep(Duration::from_millis(parts.serve.drain_ms.into())).await;
        drained.cancel();
        time::sleep(Duration::from_millis(stop_ms.into())).await;
    };
    tokio::select! {
        ended = server => ended.context("the server failed")?,
        ended = tasks.join_next() => anyhow::bail!("a part of the service ended: {ended:?}"),
        () = deadline => anyhow::bail!("calls in flight did not end in {stop_ms} ms and were cut off"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// The layers around every call; the last one is the outermost.
type Layers =
    Stack<LimitLayer, Stack<InterceptorLayer<Authenticate>, Stack<ObserveLayer, Identity>>>;

/// Layers and services: all that a call can meet.
fn router(
    directory: Arc<Directory>,
    health: HealthServer<impl Health>,
    taps: Taps,
    reflection: bool,
) -> anyhow::Result<Router<Layers>> {
    // Two versions of the protocol are in use: older clients know v1alpha only.
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
    };
    let reflection_v1 = reflection.then(|| builder().build_v1()).transpose()?;
    let reflection_v1 =
        reflection_v1.map(|service| service.max_decoding_message_size(SMALL_BYTES_MAX));
    let reflection_v1alpha = reflection.then(|| builder().build_v1alpha()).transpose()?;
    let reflection_v1alpha =
        reflection_v1alpha.map(|service| service.max_decoding_message_size(SMALL_BYTES_MAX));

    Ok(Server::builder()
        // Calls of one proxy share few connections: see that a dead one is noticed.
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .max_concurrent_streams(Some(4096))
        // As large as Envoy lets through.
        .http2_max_header_list_size(Some(64 * 1024))
        // The first layer is the outermost.
        // Route, span, panics, metrics, one line of log.
        .layer(ObserveLayer)
        // Who calls, and may they? Refuses without asking the store.
        .layer(InterceptorLayer::new(Authenticate { directory }))
        // May they still? Writes the quota headers.
        .layer(LimitLayer)
        .add_service(health.max_decoding_message_size(SMALL_BYTES_MAX))
        .add_service(TapAnalyticsServer::new(taps).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_optional_service(reflection_v1)
        .add_optional_service(reflection_v1alpha))
}

/// Loads the keys, without which every caller would be refused: waits for the store. `false` when
/// told to stop meanwhile.
async fn load_keys(directory: &Directory, db: &Db, stop: &CancellationToken) -> bool {
    while let Err(error) = directory.refresh(db).await {
        tracing::warn!(
            cause = error.log_text(),
            "cannot load the keys yet: is PostgreSQL up and migrated? (tap-analytics migrate)"
        );
        tokio::select! {
            () = time::sleep(START_RETRY) => {}
            () = stop.cancelled() => return false,
        }
    }
    true
}

/// Sees that there is always a partition for the taps of tomorrow.
async fn make_partitions(writer: Writer) {
    loop {
        let wait = match writer.make_partitions_ahead().await {
            Ok(()) => PARTITIONS_INTERVAL,
            Err(error) => {
                tracing::warn!(
                    cause = error.log_text(),
                    "cannot make partitions ahead; trying again"
                );
                Duration::from_mins(1)
            }
        };
        time::sleep(wait).await;
    }
}

/// Lets the histograms forget what was read.
async fn keep_up(metrics: PrometheusHandle) {
    loop {
        time::sleep(Duration::from_secs(5)).await;
        metrics.run_upkeep();
    }
}
