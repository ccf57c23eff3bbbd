//! The whole surface on one page: layers in order, services, health, and how it stops.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use chrono::TimeDelta;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, task::JoinSet, time};
use tokio_util::sync::CancellationToken;
use tonic::{
    server::NamedService,
    service::{InterceptorLayer, Routes},
    transport::{
        Server,
        server::{Router, TcpIncoming},
    },
};
use tonic_health::{
    ServingStatus as Answer,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};
use tower::layer::util::{Identity, Stack};

use crate::{
    access::{key::MadeByRequest, keys::Keys, rpc::ApiKeys},
    admin::{self, Admin},
    auth::Authenticate,
    chores,
    clock::Clock,
    config,
    coupons::{self, rpc::Coupons},
    db::{self, Db},
    dialogs::{self, rpc::Dialogs},
    directory::Directory,
    docs,
    error::Error,
    events::{self, rpc::Events},
    feeds::{
        live::Reads,
        token::{History, Tokens},
    },
    hints::Hints,
    imports::{self, rpc::Imports},
    limits::LimitLayer,
    page,
    paging::Pages,
    proto::{
        DESCRIPTORS,
        tap_v1_server::{
            api_keys_server::ApiKeysServer, coupons_server::CouponsServer,
            dialogs_server::DialogsServer, events_server::EventsServer,
            imports_server::ImportsServer, tags_server::TagsServer,
            tap_analytics_server::TapAnalyticsServer,
        },
    },
    secrets::Secrets,
    streams::Streams,
    tags::{self, address::Addresses, directory::TagDirectory, rpc::Tags},
    taps::{
        self,
        buffer::Drain,
        link::{self, Link},
        rpc::Taps,
    },
    telemetry::ObserveLayer,
};

/// The largest request. Envoy refuses a larger one before.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest request about keys, and with what a customer said.
const SETTINGS_BYTES_MAX: usize = 64 * 1024;
/// The largest request for health and reflection.
const SMALL_BYTES_MAX: usize = 4096;
/// Connections for what is committed in groups.
const COMMIT_CONNECTIONS: usize = events::parts::CONNECTIONS
    + coupons::parts::CONNECTIONS
    + dialogs::parts::CONNECTIONS
    + imports::parts::CONNECTIONS;
const START_RETRY: Duration = Duration::from_secs(1);
/// How long the last taps of the tap URL may take to be written when the service stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);

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
    let directory = Arc::new(Directory::new(parts.clock.clone()).behind(parts.serve.proxies));
    let serving = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();

    tasks.spawn(serve_privately(parts.admin, db.clone(), parts.metrics.clone(), &serving));
    if let Some(metrics) = parts.metrics {
        tasks.spawn(chores::keep_up(metrics));
    }
    let tags = Arc::new(TagDirectory::new(db.clone()));
    let Some(loaded) = load(&directory, &tags, &db, &parts.stop).await else {
        return Ok(());
    };
    let drained = CancellationToken::new();
    let note_uses = chores::NoteUses { directory: Arc::clone(&directory), db: db.clone() };
    let start = Start {
        db,
        store: &parts.store,
        serve: &parts.serve,
        clock: parts.clock,
        directory: Arc::clone(&directory),
        tags,
        loaded,
        draining: drained.clone(),
    };
    let (services, drain) = start.start(&mut tasks)?;
    let mut drain = tokio::spawn(drain.run());
    let (health, health_service) = tonic_health::server::health_reporter();
    tell_health(&health, true).await;
    tasks.spawn(note_uses.clone().run());
    let router = router(directory, health_service, services, parts.serve.reflection)?;
    serving.store(true, Ordering::Release);
    tracing::info!(grpc = %parts.grpc.local_addr()?, "serving");

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
        tell_health(&health, false).await;
        time::sleep(Duration::from_millis(parts.serve.drain_ms.into())).await;
        drained.cancel();
        time::sleep(Duration::from_millis(stop_ms.into())).await;
    };
    let in_time = tokio::select! {
        ended = server => {
            ended.context("the server failed")?;
            true
        }
        ended = tasks.join_next() => anyhow::bail!("a part of the service ended: {ended:?}"),
        ended = &mut drain => anyhow::bail!("a part of the service ended: {ended:?}"),
        () = deadline => false,
    };
    note_uses.last().await;
    // The last taps of the tap URL, now that nobody brings more.
    let written = time::timeout(DRAIN_TIMEOUT, drain).await;
    written.context("taps that waited for the store could not be written in time")??;
    anyhow::ensure!(in_time, "calls in flight did not end in {stop_ms} ms and were cut off");
    tracing::info!("stopped");
    Ok(())
}

/// Serves the private port.
fn serve_privately(
    listener: TcpListener,
    db: Db,
    metrics: Option<PrometheusHandle>,
    serving: &Arc<AtomicBool>,
) -> impl Future<Output = ()> + use<> {
    let private = admin::router(Admin { db, metrics, serving: Arc::clone(serving) });
    async move {
        if let Err(error) = axum::serve(listener, private).await {
            tracing::error!(%error, "the private port failed");
        }
    }
}

/// Tells who asks by gRPC of each service whether it is served.
async fn tell_health(health: &HealthReporter, serving: bool) {
    let answer = if serving { Answer::Serving } else { Answer::NotServing };
    for service in [
        TapAnalyticsServer::<Taps>::NAME,
        TagsServer::<Tags>::NAME,
        ApiKeysServer::<ApiKeys>::NAME,
        EventsServer::<Events>::NAME,
        CouponsServer::<Coupons>::NAME,
        DialogsServer::<Dialogs>::NAME,
        ImportsServer::<Imports>::NAME,
    ] {
        health.set_service_status(service, answer).await;
    }
}

/// What the work of the service is started from.
struct Start<'a> {
    db: Db,
    store: &'a config::Store,
    serve: &'a config::Serve,
    clock: Clock,
    directory: Arc<Directory>,
    tags: Arc<TagDirectory>,
    loaded: Loaded,
    draining: CancellationToken,
}

/// What answers calls, and the tap URL.
struct Services {
    taps: Taps,
    tags: Tags,
    keys: ApiKeys,
    events: Events,
    coupons: Coupons,
    dialogs: Dialogs,
    imports: Imports,
    link: Link,
}

impl Start<'_> {
    /// Starts what goes on in the background; returns what answers calls, and what writes the taps of the
    /// tap URL.
    fn start(self, tasks: &mut JoinSet<()>) -> anyhow::Result<(Services, Drain)> {
        let Self { db, store, serve, clock, directory, tags, loaded, draining } = self;
        let Loaded { secrets, history } = loaded;
        let history = History::new(history);
        let tokens = Arc::new(Tokens::new(secrets.root(), history.clone(), clock.clone()));
        let reads = Reads::default();
        let pages = Pages::new(&secrets);
        let streams = Streams { clock: clock.clone(), draining, history: history.changes() };
        let commits = commits(store)?;
        let addresses = Addresses { public: serve.public_url.clone() };
        let taps = taps::parts::Parts {
            db: db.clone(),
            clock: clock.clone(),
            tags: Arc::clone(&tags),
            streams: streams.clone(),
            reads: reads.clone(),
            tokens,
            serve,
        };
        let (taps, link, drain) = taps.start(tasks);
        let events = events::parts::Parts {
            db: db.clone(),
            commits: commits.clone(),
            clock: clock.clone(),
            pages: pages.clone(),
            streams: streams.clone(),
            reads,
            tokens: events::parts::tokens(&secrets, &history, &clock),
            backlog_max: serve.event_backlog_max.into(),
        };
        let events = events.start(tasks);
        let coupons = coupons::parts::Parts {
            db: db.clone(),
            commits: commits.clone(),
            clock: clock.clone(),
            tags: Arc::clone(&tags),
            addresses: addresses.clone(),
            pages: pages.clone(),
            coupons_max: serve.team_coupons_max.into(),
        };
        let coupons = coupons.service();
        let hints = Hints {
            db: db.clone(),
            listen: db::system_role(store)?,
            directory: Arc::clone(&directory),
            tags: Arc::clone(&tags),
            feeds: vec![Arc::new(taps.feeds.clone()), Arc::new(events.feeds.clone())],
            history,
        };
        keep_up(tasks, hints, &clock);
        let tag_service =
            tags::parts::service(&db, &tags, &clock, serve.tags_max(), addresses, &pages);
        let of = (&db, &commits, &clock);
        let holding = Holding { of, pages: &pages, secrets: &secrets, store, serve };
        let dialogs = holding.dialogs(tasks);
        let imports = holding.imports(tag_service.registry.clone(), streams, tasks);
        let keys = ApiKeys {
            keys: Keys { db, directory: Arc::clone(&directory) },
            directory,
            tags,
            pages,
            made_by_request: MadeByRequest::new(&secrets),
            clock,
        };
        let tags = tag_service;
        Ok((Services { taps, tags, keys, events, coupons, dialogs, imports, link }, drain))
    }
}

/// What starts the services that hold things in memory until they may be stored.
struct Holding<'a> {
    /// The store, as one looks and as one commits in groups; and the time.
    of: (&'a Db, &'a Db, &'a Clock),
    pages: &'a Pages,
    secrets: &'a Secrets,
    store: &'a config::Store,
    serve: &'a config::Serve,
}

impl Holding<'_> {
    fn dialogs(&self, tasks: &mut JoinSet<()>) -> Dialogs {
        let (db, commits, clock) = self.of;
        let statement_timeout = self.store.db_statement_timeout_ms.into();
        let parts = dialogs::parts::Parts {
            db: db.clone(),
            commits: commits.clone(),
            clock: clock.clone(),
            pages: self.pages.clone(),
            secrets: self.secrets,
            limits: self.serve.pending(),
            statement_timeout: TimeDelta::milliseconds(statement_timeout),
        };
        parts.start(tasks)
    }

    fn imports(
        &self,
        tags: tags::registry::Registry,
        streams: Streams,
        tasks: &mut JoinSet<()>,
    ) -> Imports {
        let (db, commits, clock) = self.of;
        let desk = imports::parts::Desk {
            db: db.clone(),
            commits: commits.clone(),
            clock: clock.clone(),
            secrets: self.secrets,
            tags,
            settings: self.serve.imports(),
        };
        imports::parts::Parts { desk, pages: self.pages.clone(), streams }.start(tasks)
    }
}

/// Connections of their own, for what is committed in groups.
fn commits(store: &config::Store) -> anyhow::Result<Db> {
    let db_pool_size = u16::try_from(COMMIT_CONNECTIONS)?;
    Db::new(&config::Store { db_pool_size, ..store.clone() })
}

/// Keeps what is in memory as it is in the store, and forgets what is kept for a time only.
fn keep_up(tasks: &mut JoinSet<()>, hints: Hints, clock: &Clock) {
    let Hints { db, directory, tags, .. } = hints.clone();
    tasks.spawn(hints.run());
    tasks.spawn(tags.run());
    tasks.spawn(Arc::clone(&directory).run(db.clone()));
    tasks.spawn(chores::end_expired(directory));
    tasks.spawn(chores::forget(db, clock.clone()));
}

/// The layers around every call; the last one is the outermost.
type Layers =
    Stack<LimitLayer, Stack<InterceptorLayer<Authenticate>, Stack<ObserveLayer, Identity>>>;

/// Layers and services: all that a call can meet.
fn router(
    directory: Arc<Directory>,
    health: HealthServer<impl Health>,
    services: Services,
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

    let mut routes = Routes::builder();
    routes
        .add_service(health.max_decoding_message_size(SMALL_BYTES_MAX))
        .add_service(
            TapAnalyticsServer::new(services.taps).max_decoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(TagsServer::new(services.tags).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(
            EventsServer::new(services.events).max_decoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(
            CouponsServer::new(services.coupons).max_decoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(
            DialogsServer::new(services.dialogs).max_decoding_message_size(SETTINGS_BYTES_MAX),
        )
        .add_service(
            ImportsServer::new(services.imports).max_decoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(
            ApiKeysServer::new(services.keys).max_decoding_message_size(SETTINGS_BYTES_MAX),
        );
    if let Some(service) = reflection_v1 {
        routes.add_service(service);
    }
    if let Some(service) = reflection_v1alpha {
        routes.add_service(service);
    }
    let routes = routes.routes().into_axum_router();
    let routes =
        routes.merge(link::router(services.link)).merge(page::router()).merge(docs::router()?);

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
        .layer(LimitLayer::default())
        .add_routes(routes.into()))
}

/// What the store tells once.
struct Loaded {
    secrets: Secrets,
    history: u32,
}

/// Loads what is kept in memory, without which every caller would be refused: waits for the store. `None`
/// when told to stop meanwhile.
async fn load(
    directory: &Directory,
    tags: &TagDirectory,
    db: &Db,
    stop: &CancellationToken,
) -> Option<Loaded> {
    let load = || async {
        directory.refresh(db).await?;
        tags.refresh().await?;
        Ok::<_, Error>(Loaded {
            secrets: Secrets::load(db).await?,
            history: db::history(db).await?,
        })
    };
    loop {
        match load().await {
            Ok(loaded) => return Some(loaded),
            Err(error) => tracing::warn!(
                cause = error.log_text(),
                "cannot load keys and tags yet: is PostgreSQL up and migrated? (tap-analytics migrate)"
            ),
        }
        tokio::select! {
            () = time::sleep(START_RETRY) => {}
            () = stop.cancelled() => return None,
        }
    }
}
