//! The real service in this process, and real clients of it.

use std::{fs::File, sync::Mutex, time::Duration};

use anyhow::{Context as _, bail};
use clap::Parser;
use metrics_exporter_prometheus::PrometheusHandle;
use tap_analytics::{
    access::{
        command,
        model::{Grant, Preset},
    },
    clock::Clock,
    config,
    db::Db,
    ids::TeamId,
    proto::tap_v1::{
        QueryTapsRequest, QueryTapsResponse, tap_analytics_client::TapAnalyticsClient,
    },
    server::{self, Parts},
    telemetry,
};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Routes,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

use super::{TEAM, progress};

/// The settings of the service, with their defaults.
#[derive(Parser)]
struct ServeArgs {
    #[command(flatten)]
    serve: config::Serve,
}

/// Logs and counts as the program does, but to nowhere.
pub(crate) fn start_telemetry() -> anyhow::Result<PrometheusHandle> {
    let null = File::options().write(true).open("/dev/null")?;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new("info")?)
        .with_writer(Mutex::new(null))
        .with_ansi(false)
        .with_target(false)
        .init();
    telemetry::start_metrics()
}

/// A service that runs until it is stopped.
#[derive(Debug)]
pub(crate) struct Service {
    address: String,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Service {
    /// Starts it with so much memory for answers.
    pub(crate) async fn start(
        store: &config::Store,
        cache_mib: u32,
        metrics: &PrometheusHandle,
    ) -> anyhow::Result<Self> {
        let args = ["bench", "--cache-mib", &cache_mib.to_string()];
        let ServeArgs { serve } = ServeArgs::try_parse_from(args)?;
        let grpc = TcpListener::bind("127.0.0.1:0").await?;
        let admin = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", grpc.local_addr()?);
        let ready = format!("http://{}/readyz", admin.local_addr()?);
        let stop = CancellationToken::new();
        let task = tokio::spawn(server::serve(Parts {
            store: store.clone(),
            serve,
            clock: Clock::system(),
            grpc,
            admin,
            metrics: Some(metrics.clone()),
            stop: stop.clone(),
        }));
        until_ready(&ready).await?;
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A client with one connection.
    pub(crate) async fn client(&self) -> anyhow::Result<TapAnalyticsClient<Channel>> {
        connect(&self.address).await
    }

    /// Stops it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?
    }
}

/// A server without layers, and its address; dropped, it ends.
pub(crate) async fn start_bare(routes: Routes) -> anyhow::Result<(String, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let mut server = JoinSet::new();
    server.spawn(async move {
        let served = Server::builder()
            .max_concurrent_streams(Some(4096))
            .add_routes(routes)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
            .await;
        if let Err(error) = served {
            progress(format!("the empty server failed: {error}"));
        }
    });
    Ok((address, server))
}

/// A client with one connection.
pub(crate) async fn connect(address: &str) -> anyhow::Result<TapAnalyticsClient<Channel>> {
    let channel = Endpoint::from_shared(address.to_owned())?.tcp_nodelay(true).connect().await?;
    Ok(TapAnalyticsClient::new(channel))
}

/// Waits until a service says that it is ready.
pub(crate) async fn until_ready(url: &str) -> anyhow::Result<()> {
    let http = reqwest::Client::new();
    for _ in 0..10_000 {
        match http.get(url).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            _ => time::sleep(Duration::from_millis(1)).await,
        }
    }
    bail!("the service does not get ready: {url}")
}

/// A reader's key with the largest quota there is.
pub(crate) async fn key(store: &config::Store) -> anyhow::Result<MetadataValue<Ascii>> {
    key_of(store, Preset::Reader).await
}

/// A key with the largest quota there is.
pub(crate) async fn key_of(
    store: &config::Store,
    preset: Preset,
) -> anyhow::Result<MetadataValue<Ascii>> {
    key_of_team(store, TEAM, preset).await
}

/// The same, of any team.
pub(crate) async fn key_of_team(
    store: &config::Store,
    team: TeamId,
    preset: Preset,
) -> anyhow::Result<MetadataValue<Ascii>> {
    let grant = Grant {
        name: "bench",
        scopes: preset.scopes(),
        queries_per_hour: 1_000_000,
        expires_at: None,
    };
    let key = command::create_key(&Db::new(store)?, &Clock::system(), team, grant).await?;
    key.reveal().parse().context("a key is not a header value")
}

/// Asks once.
pub(crate) async fn ask(
    client: &mut TapAnalyticsClient<Channel>,
    key: &MetadataValue<Ascii>,
    query: QueryTapsRequest,
) -> Result<QueryTapsResponse, Status> {
    let mut request = Request::new(query);
    request.metadata_mut().insert("x-api-key", key.clone());
    Ok(client.query_taps(request).await?.into_inner())
}
