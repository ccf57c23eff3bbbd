//! A whole installation for one test: a database of its own, a server on free ports, clients.

pub mod books;
pub mod chats;
pub mod description;
pub mod desk;
pub mod envoy;
pub mod files;
pub mod frames;
pub mod offers;
pub mod people;
pub mod report;
pub mod rpcs;
pub mod scenes;
pub mod visits;
pub mod wires;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tap_analytics::{
    access::{
        self,
        model::{Grant, QUERIES_PER_HOUR, Scope},
    },
    clock::Clock,
    config,
    db::Db,
    feeds::Followed as _,
    ids::{KeyId, TagId, TeamId},
    migrate,
    proto::tap_v1::{
        QueryTapsRequest, tags_client::TagsClient, tap_analytics_client::TapAnalyticsClient,
    },
    server::{self, Parts},
    tags::{address::Origin, model::Kind},
    taps::{
        live::LiveTaps,
        model::NewTap,
        writer::{Writer, Written},
    },
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, service::interceptor::InterceptedService, transport::Channel};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A running installation. Ends with the test's process.
pub struct App {
    pub store: config::Store,
    pub db: Db,
    pub writer: Writer,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
    pub stop: CancellationToken,
    pub server: JoinHandle<anyhow::Result<()>>,
}

/// A team with a key.
#[derive(Clone, Debug)]
pub struct Team {
    pub id: TeamId,
    pub slug: String,
    pub key: String,
}

/// How an installation differs from the usual one.
pub struct Options {
    pub clock: Clock,
    pub cache_mib: u32,
    pub query_timeout_ms: u32,
    pub drain_ms: u32,
    pub retention_days: u32,
    pub country_header: Option<&'static str>,
    pub public_url: Option<&'static str>,
    pub team_tags_max: u32,
    pub event_backlog_max: u32,
    pub team_coupons_max: u32,
    pub pending_mib: u32,
    pub team_pending_mib: u32,
    pub pending_idle_s: u32,
    pub imports_mib: u32,
    pub import_mib: u32,
    pub import_idle_s: u32,
    pub team_users_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            cache_mib: 64,
            query_timeout_ms: 15_000,
            drain_ms: 0,
            retention_days: 0,
            country_header: None,
            public_url: None,
            team_tags_max: 100_000,
            event_backlog_max: 1_000_000,
            team_coupons_max: 100_000,
            pending_mib: 256,
            team_pending_mib: 64,
            pending_idle_s: 1_800,
            imports_mib: 512,
            import_mib: 128,
            import_idle_s: 3_600,
            team_users_max: 1_000_000,
        }
    }
}

impl App {
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> Self {
        Self::on(store(&new_database().await), options).await
    }

    /// On a database that is migrated already.
    pub async fn on(
        store: config::Store,
        Options {
            clock,
            cache_mib,
            query_timeout_ms,
            drain_ms,
            retention_days,
            country_header,
            public_url,
            team_tags_max,
            event_backlog_max,
            team_coupons_max,
            pending_mib,
            team_pending_mib,
            pending_idle_s,
            imports_mib,
            import_mib,
            import_idle_s,
            team_users_max,
        }: Options,
    ) -> Self {
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (grpc_addr, admin_addr) = (grpc.local_addr().unwrap(), admin.local_addr().unwrap());
        let stop = CancellationToken::new();
        let serve = config::Serve {
            host: grpc_addr.ip(),
            grpc_port: grpc_addr.port(),
            admin_port: admin_addr.port(),
            cache_mib,
            query_timeout_ms,
            drain_ms,
            stop_ms: 5_000,
            retention_days,
            country_header: country_header.map(http::HeaderName::from_static),
            public_url: public_url.map(|url| Origin::parse(url).unwrap()),
            team_tags_max,
            event_backlog_max,
            team_coupons_max,
            pending_mib,
            team_pending_mib,
            pending_idle_s,
            imports_mib,
            import_mib,
            import_idle_s,
            team_users_max,
            proxies: 0,
            reflection: true,
        };
        let parts = Parts {
            store: store.clone(),
            serve,
            clock: clock.clone(),
            grpc,
            admin,
            metrics: None,
            stop: stop.clone(),
        };
        let server = tokio::spawn(server::serve(parts));
        let db = Db::new(&store).unwrap();
        let writer = Writer::new(db.clone(), clock.clone());
        let app = Self { store, db, writer, grpc: grpc_addr, admin: admin_addr, stop, server };
        app.wait_until_ready().await;
        app
    }

    async fn wait_until_ready(&self) {
        let url = format!("http://{}/readyz", self.admin);
        eventually("the server is ready", || async {
            reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    /// A new team with a reader's key.
    pub async fn team(&self, slug: &str) -> Team {
        let id = access::command::create_team(&self.db, slug, slug).await.unwrap().unwrap();
        let key = self.key(id, Some(QUERIES_PER_HOUR), &[Scope::TapsRead], None).await;
        Team { id, slug: slug.to_owned(), key }
    }

    /// A new key, which the server knows already.
    pub async fn key(
        &self,
        team: TeamId,
        queries_per_hour: Option<u32>,
        scopes: &[Scope],
        expires_at: Option<DateTime<Utc>>,
    ) -> String {
        let queries_per_hour = queries_per_hour.unwrap_or(1_000_000);
        let grant = Grant { name: "test", scopes, queries_per_hour, expires_at };
        let key =
            access::command::create_key(&self.db, &Clock::system(), team, grant).await.unwrap();
        let key = key.reveal().to_owned();
        self.until_known(&key).await;
        key
    }

    /// Waits until the server knows a key.
    pub async fn until_known(&self, key: &str) {
        // From an address of its own: a key that is not known yet is a wrong one, and those are counted by
        // the address.
        let hash = blake3::hash(key.as_bytes());
        let [a, b, c, ..] = *hash.as_bytes();
        let from = format!("10.{a}.{b}.{c}");
        eventually("the server knows the key", || async {
            let mut request = Request::new(QueryTapsRequest::default());
            request.metadata_mut().insert("x-forwarded-for", from.parse().unwrap());
            // An empty request is refused, and costs nothing, once the key is let in.
            let refused = self.client(key).query_taps(request).await.unwrap_err();
            match refused.get_error_details().error_info().map(|info| info.reason.as_str()) {
                Some("INVALID_FIELDS" | "SCOPE_MISSING" | "API_KEY_EXPIRED") => true,
                Some("API_KEY_INVALID") => false,
                _ => panic!("{refused:?}"),
            }
        })
        .await;
    }

    /// A key with a quota that no test reaches.
    pub async fn busy_key(&self, team: TeamId) -> String {
        self.key(team, None, &[Scope::TapsRead], None).await
    }

    /// The id of a key by its text.
    pub async fn key_id(&self, team: TeamId, key: &str) -> KeyId {
        let keys = access::command::list_keys(&self.db, team).await.unwrap();
        keys.iter().find(|info| key.starts_with(&info.prefix)).unwrap().id
    }

    /// A gRPC client that goes straight to the server.
    pub fn client(&self, key: &str) -> KeyedClient {
        keyed_client(self.grpc, key)
    }

    /// The same for the tags.
    pub fn tags_client(&self, key: &str) -> TagsClient<InterceptedService<Channel, AddKey>> {
        let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect_lazy();
        TagsClient::with_interceptor(channel, AddKey(key.to_owned()))
    }

    /// Adds tags of kind NFC, and returns their ids in order.
    pub async fn tags(&self, team: TeamId, uids: &[&str]) -> Vec<TagId> {
        let kinds: Vec<_> = uids.iter().map(|uid| (*uid, Kind::Nfc)).collect();
        self.tags_of_kind(team, &kinds).await
    }

    pub async fn tags_of_kind(&self, team: TeamId, tags: &[(&str, Kind)]) -> Vec<TagId> {
        let admin = self.sql().await;
        let mut ids = Vec::new();
        for (uid, kind) in tags {
            let row = admin
                .query_one(
                    "insert into tags (team_id, tag_id, uid, label, kind)
                     select $1, coalesce(max(tag_id), 0) + 1, $2, 'Label of ' || $2, $3
                     from tags where team_id = $1
                     returning tag_id",
                    &[&team.0, uid, &kind.as_str()],
                )
                .await
                .unwrap();
            ids.push(TagId(row.get(0)));
        }
        ids
    }

    /// Writes taps, as an ingesting call would: other processes are told by NOTIFY.
    pub async fn write(&self, team: TeamId, taps: &[NewTap]) -> Written {
        let written = self.writer.write(team, taps, now()).await.unwrap();
        tap_analytics::hints::announce(&self.db, LiveTaps::NAME, team, written.revision)
            .await
            .unwrap();
        written
    }

    /// A connection as administrator, whom no row-level security binds.
    pub async fn sql(&self) -> Client {
        connect(&self.store.database_url).await
    }

    pub async fn scalar<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.sql().await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

pub type KeyedClient = TapAnalyticsClient<InterceptedService<Channel, AddKey>>;

/// Adds the key to each call.
#[derive(Clone)]
pub struct AddKey(pub String);

impl tonic::service::Interceptor for AddKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("x-api-key", self.0.parse().unwrap());
        Ok(request)
    }
}

pub fn keyed_client(address: SocketAddr, key: &str) -> KeyedClient {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    TapAnalyticsClient::with_interceptor(channel, AddKey(key.to_owned()))
        .max_decoding_message_size(64 * 1024 * 1024)
}

/// A tap of one at an instant, with an id of its own.
pub fn tap(tag: TagId, at: &str) -> NewTap {
    let tapped_at = instant(at);
    NewTap::new(Uuid::now_v7(), tag, tapped_at, Kind::Nfc)
}

/// The present, to the microsecond, as the service has it.
pub fn now() -> DateTime<Utc> {
    Clock::system().now()
}

pub fn instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap_or_else(|_| panic!("not an instant: {text}")).to_utc()
}

/// A query by dates, such as `query("2023-01-01", "2023-12-22", "WEEK")`.
pub fn query(start: &str, end: &str, interval: &str) -> QueryTapsRequest {
    use tap_analytics::proto::tap_v1::interval::Value;
    QueryTapsRequest {
        start_date: start.to_owned(),
        end_date: end.to_owned(),
        interval: Value::from_str_name(interval).unwrap().into(),
        ..QueryTapsRequest::default()
    }
}

/// Ends all connections to a database but this one.
pub async fn cut_connections(sql: &Client) {
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    sql.batch_execute(cut).await.unwrap();
}

/// Waits until something holds, and fails after 20 seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("after 20 seconds it is still not so that {what}");
}

#[expect(clippy::disallowed_methods, reason = "how make test tells where PostgreSQL and Envoy are")]
pub fn environment(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the tests with make test"))
}

/// The settings of a store at this address.
pub fn store(url: &str) -> config::Store {
    config::Store {
        database_url: url.to_owned(),
        db_app_password: None,
        db_system_password: None,
        db_pool_size: 8,
        db_statement_timeout_ms: 10_000,
    }
}

pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A database with the newest schema, copied from one that is migrated once for all tests.
pub async fn new_database() -> String {
    let server = environment("TAP_TEST_DATABASE_URL");
    let admin = connect(&server).await;
    // Tests run in processes of their own, and a template must not be in use when it is copied.
    admin.batch_execute("select pg_advisory_lock(4711)").await.unwrap();
    let template = template_name();
    let exists =
        admin.query("select from pg_database where datname = $1", &[&template]).await.unwrap();
    if exists.is_empty() {
        admin
            .batch_execute(&format!("drop database if exists {template}_new with (force)"))
            .await
            .unwrap();
        admin.batch_execute(&format!("create database {template}_new")).await.unwrap();
        migrate::run(&store(&on_database(&server, &format!("{template}_new")))).await.unwrap();
        admin
            .batch_execute(&format!("alter database {template}_new rename to {template}"))
            .await
            .unwrap();
    }
    let name = format!("t_{}", Uuid::now_v7().simple());
    admin.batch_execute(&format!("create database {name} template {template}")).await.unwrap();
    admin.batch_execute("select pg_advisory_unlock(4711)").await.unwrap();
    on_database(&server, &name)
}

/// Another schema has another name.
fn template_name() -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, sql) in migrate::MIGRATIONS {
        hasher.update(name.as_bytes()).update(sql.as_bytes());
    }
    format!("template_{}", &hasher.finalize().to_hex()[..16])
}

/// An empty database without the schema.
pub async fn empty_database() -> String {
    let server = environment("TAP_TEST_DATABASE_URL");
    let name = format!("e_{}", Uuid::now_v7().simple());
    connect(&server).await.batch_execute(&format!("create database {name}")).await.unwrap();
    on_database(&server, &name)
}

/// The same server, another database.
fn on_database(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// The program, for this database.
pub fn program(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tap-analytics"));
    command.env("DATABASE_URL", url).current_dir(root());
    command
}

/// Runs the program to its end.
pub fn run(url: &str, arguments: &[&str]) -> Output {
    program(url).args(arguments).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A PostgreSQL that a test may kill, with durable settings, unlike the one that all tests share.
pub struct OwnPostgres {
    directory: PathBuf,
    pub url: String,
    _keep: tempfile::TempDir,
}

impl OwnPostgres {
    pub async fn start() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let directory = keep.path().join("pg");
        let url = tokio::task::spawn_blocking({
            let directory = directory.clone();
            move || Self::script("start", &directory)
        })
        .await
        .unwrap();
        let own = Self { directory, url: url.trim().to_owned(), _keep: keep };
        migrate::run(&store(&own.url)).await.unwrap();
        own
    }

    /// Where its data and its log are.
    pub fn files(&self) -> PathBuf {
        self.directory.clone()
    }

    pub fn restart(&self) {
        Self::script("restart", &self.directory);
    }

    pub fn stop(&self) {
        Self::script("stop", &self.directory);
    }

    pub fn start_again(&self) {
        Self::script("start", &self.directory);
    }

    pub fn kill(&self) {
        Self::script("kill", &self.directory);
    }

    fn script(verb: &str, directory: &Path) -> String {
        let output = Command::new(root().join("scripts/postgres.sh"))
            .arg(verb)
            .arg(directory)
            .env_remove("TAP_PG_TEST")
            .output()
            .unwrap();
        assert!(output.status.success(), "postgres.sh {verb}: {}", stderr(&output));
        stdout(&output)
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        let _stopped = Command::new(root().join("scripts/postgres.sh"))
            .arg("remove")
            .arg(&self.directory)
            .output();
    }
}
