//! Dialogs: how many messages are taken before there is consent, beside a handler that does nothing, and while there
//! is, beside bare statements in the same PostgreSQL. None of the former may be in the store afterwards, and all of the
//! latter must be.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use metrics_exporter_prometheus::PrometheusHandle;
use tap_analytics::{
    access::model::Preset,
    config,
    proto::tap_v1::{
        RecordMessageRequest, RecordMessageResponse, SetConsentRequest,
        dialogs_client::DialogsClient, message_state,
    },
};
use tokio::task::JoinSet;
use tonic::{
    Request, Response, Status,
    body::Body,
    metadata::{Ascii, MetadataValue},
    server::{Grpc, NamedService},
    service::Routes,
    transport::Channel,
};
use tonic_prost::ProstCodec;
use tower::{Service as Handle, service_fn};
use uuid::Uuid;

use super::{
    Times, median, messages, millis, per_second,
    pgbench::{self, Best, Script},
    postgres::{Postgres, connect},
    process, progress,
    report::{Report, Row},
    serve::{self, Service},
};

/// Calls that are under way at any time. A key may have 64, so there are several.
const IN_FLIGHT: usize = 128;
const CONNECTIONS: usize = 4;
const KEYS: usize = 8;
/// Messages of each dialog without consent. Together they fit into what a team may have waiting.
const MESSAGES: u32 = 6;
/// Dialogs, and customers, with consent.
const CONSENTED: u32 = 1_000;
/// Decisions that a team may have under way.
const DECISIONS: usize = 2;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Dialogs without consent.
    pub(crate) dialogs: u32,
    /// How long to take messages with consent, and to run each number of clients of pgbench.
    pub(crate) fast: Duration,
    pub(crate) lists: messages::Size,
}

/// Adds the rows.
pub(crate) async fn measure(
    postgres: &Postgres,
    size: Size,
    metrics: &PrometheusHandle,
    report: &mut Report,
) -> anyhow::Result<()> {
    pending(postgres, size.dialogs, metrics, report).await?;
    consented(postgres, size.fast, report).await?;
    messages::measure(postgres, size.lists, report).await
}

pub(crate) fn shown(times: &Times) -> String {
    let at = |percent| millis(times.percentile(percent));
    format!("p50 {:.2} ms, p99 {:.2} ms", at(50), at(99))
}

/// A database with teams.
pub(crate) async fn database(postgres: &Postgres) -> anyhow::Result<config::Store> {
    let store = postgres.create_database("dialogs").await?;
    connect(&store).await?.batch_execute(include_str!("../sql/load_teams.sql")).await?;
    Ok(store)
}

/// Loads so many dialogs that have consent; `customer` says in SQL whose the `n`th is.
pub(crate) async fn load(
    store: &config::Store,
    customers: u32,
    dialogs: u32,
    customer: &str,
) -> anyhow::Result<()> {
    let sql = include_str!("../sql/load_dialogs.sql")
        .replace("{customers}", &customers.to_string())
        .replace("{dialogs}", &dialogs.to_string())
        .replace("{customer}", customer);
    connect(store).await?.batch_execute(&sql).await.context("cannot load dialogs")
}

/// How many messages are in the store.
async fn stored(store: &config::Store) -> anyhow::Result<i64> {
    let count = "select count(*) from messages";
    Ok(connect(store).await?.query_one(count, &[]).await?.get(0))
}

/// Before there is consent: all dialogs in turn, again and again. Service and handler take turns, too.
async fn pending(
    postgres: &Postgres,
    dialogs: u32,
    metrics: &PrometheusHandle,
    report: &mut Report,
) -> anyhow::Result<()> {
    progress("messages before there is consent");
    let store = database(postgres).await?;
    let keys = keys(&store).await?;
    let service = Service::start(&store, 0, metrics).await?;
    let (address, empty) = serve::start_bare(Routes::new(Empty)).await?;
    let [of_service, of_empty] =
        [connect_all(service.address(), &keys).await?, connect_all(&address, &keys).await?];
    let wave = Wave {
        calls: dialogs,
        length: Duration::MAX,
        pick: |nth| nth,
        becomes: message_state::Value::Pending,
    };
    // To warm up.
    wave.run(&of_empty).await?;

    let (mut first, mut firsts, mut others, mut times, mut empties) =
        (0.0, None, Vec::new(), Vec::new(), Vec::new());
    for nth in 0..MESSAGES {
        let took = wave.run(&of_service).await?;
        if nth == 0 {
            first = took.per_second();
            firsts = Some(Times::new(took.times));
        } else {
            others.push(took.per_second());
            times.extend(took.times);
        }
        empties.push(wave.run(&of_empty).await?.per_second());
    }
    ensure!(stored(&store).await? == 0, "messages without consent are in the store");
    drop((of_service, of_empty, empty));
    service.stop().await?;
    postgres.drop_database(&store).await?;

    let empty = median(empties);
    let firsts = firsts.context("nothing was measured")?;
    let work = format!("RecordMessage by gRPC before consent, {dialogs} dialogs");
    for (which, rate, times) in [
        ("the first message of each".to_owned(), first, firsts),
        (format!("{} more of each", MESSAGES - 1), median(others), Times::new(times)),
    ] {
        report.add(Row {
            work: format!("{work}, {which}, {IN_FLIGHT} at a time"),
            measured: format!("{rate:.0} messages/s, {}", shown(&times)),
            baseline: format!("empty tonic handler {empty:.0} calls/s"),
            ratio: format!("{:.0} %", 100.0 * rate / empty),
            ..Row::default()
        });
    }
    Ok(())
}

/// While there is consent: dialogs at random.
async fn consented(
    postgres: &Postgres,
    length: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    progress("messages with consent by bare SQL");
    let plain = bare(postgres, false, length).await?;
    let pipelined = bare(postgres, true, length).await?;
    progress("messages with consent by RecordMessage");
    let store = database(postgres).await?;
    let keys = keys(&store).await?;
    let (program, _, grpc) = process::start(&store).await?;
    let clients = connect_all(&grpc, &keys).await?;
    let client = clients.first().context("no client")?;
    stream::iter(1..=CONSENTED)
        .map(|nth| client.clone().consent(format!("dialog-{nth}")))
        .buffer_unordered(DECISIONS)
        .try_collect::<()>()
        .await?;
    // The first message of a dialog says whose it is: that is not measured.
    let becomes = message_state::Value::Stored;
    let firsts = Wave { calls: CONSENTED, length: Duration::MAX, pick: |nth| nth, becomes };
    let before = firsts.run(&clients).await?.times.len();
    connect(&store).await?.batch_execute("checkpoint").await?;

    let pick = |_| fastrand::u32(..CONSENTED);
    let took = Wave { calls: u32::MAX, length, pick, becomes }.run(&clients).await?;
    let all = i64::try_from(before + took.times.len())?;
    let found = stored(&store).await?;
    ensure!(found == all, "{all} messages were taken, {found} are in the store");
    drop((program, clients));
    postgres.drop_database(&store).await?;

    let (rate, times) = (took.per_second(), Times::new(took.times));
    for (best, how) in [(plain, ""), (pipelined, ", each transaction in one round trip")] {
        report.add(Row {
            work: format!(
                "RecordMessage by gRPC with consent, {CONSENTED} dialogs, {IN_FLIGHT} at a time"
            ),
            measured: format!("{rate:.0} messages/s, {}", shown(&times)),
            baseline: format!(
                "bare SQL by pgbench{how}, {} clients {:.0} messages/s",
                best.clients, best.per_second
            ),
            ratio: format!("{:.0} %", 100.0 * rate / best.per_second),
            ..Row::default()
        });
    }
    Ok(())
}

/// What bare statements can do, with the best number of clients.
async fn bare(postgres: &Postgres, pipelined: bool, length: Duration) -> anyhow::Result<Best> {
    let store = database(postgres).await?;
    load(&store, CONSENTED, CONSENTED, "n").await?;
    connect(&store).await?.batch_execute("checkpoint").await?;
    let text = include_str!("../sql/say.sql");
    let (variable, seconds) = (("dialogs", CONSENTED), length.as_secs().max(1));
    let best = pgbench::run(&store, Script { text, pipelined, variable, seconds }).await?;
    let found = stored(&store).await?;
    ensure!(
        best.transactions > 0 && found == best.transactions,
        "{} messages were inserted, {found} are there",
        best.transactions
    );
    postgres.drop_database(&store).await?;
    Ok(best)
}

/// Keys that may do everything with dialogs.
async fn keys(store: &config::Store) -> anyhow::Result<Vec<MetadataValue<Ascii>>> {
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        keys.push(serve::key_of(store, Preset::Admin).await?);
    }
    Ok(keys)
}

/// A client for each key; they share some connections.
async fn connect_all(address: &str, keys: &[MetadataValue<Ascii>]) -> anyhow::Result<Vec<Client>> {
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        let channel = Channel::from_shared(address.to_owned())?.tcp_nodelay(true);
        channels.push(channel.connect().await?);
    }
    let clients = channels.iter().cycle().zip(keys);
    Ok(clients.map(|(channel, key)| Client::new(channel.clone(), key.clone())).collect())
}

/// A connection and a key.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) service: DialogsClient<Channel>,
    key: MetadataValue<Ascii>,
}

impl Client {
    pub(crate) fn new(channel: Channel, key: MetadataValue<Ascii>) -> Self {
        Self { service: DialogsClient::new(channel), key }
    }

    pub(crate) fn request<Message>(&self, message: Message) -> Request<Message> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-api-key", self.key.clone());
        request
    }

    /// Gives consent.
    pub(crate) async fn consent(mut self, dialog_id: String) -> anyhow::Result<()> {
        let granted = Some(true);
        let request =
            self.request(SetConsentRequest { dialog_id, granted, ..SetConsentRequest::default() });
        self.service.set_consent(request).await.context("consent is not taken")?;
        Ok(())
    }

    /// How long it takes to say something. Fails when something else becomes of it.
    pub(crate) async fn say(
        &mut self,
        message: RecordMessageRequest,
        becomes: message_state::Value,
    ) -> anyhow::Result<Duration> {
        let request = self.request(message);
        let start = Instant::now();
        let answer = self.service.record_message(request).await.context("it is not taken")?;
        let elapsed = start.elapsed();
        let state = answer.into_inner().state();
        ensure!(state == becomes, "it is {}, not {}", state.as_str_name(), becomes.as_str_name());
        Ok(elapsed)
    }
}

/// What the customer of a dialog says.
pub(crate) fn said(customer: u32, dialog_id: String) -> RecordMessageRequest {
    let number = fastrand::u32(..1_000_000);
    RecordMessageRequest {
        customer_id: format!("customer-{customer}"),
        dialog_id,
        text: format!(
            "I ordered number {number} last week and it has not come yet: where is it now, please?"
        ),
        language: "en".to_owned(),
        request_id: Uuid::now_v7().to_string(),
    }
}

/// Many messages.
#[derive(Clone, Copy, Debug)]
struct Wave {
    /// How many at most, and how long.
    calls: u32,
    length: Duration,
    /// In which dialog the nth of them is, counted from 0.
    pick: fn(u32) -> u32,
    /// What becomes of each.
    becomes: message_state::Value,
}

/// How long they took.
#[derive(Debug)]
struct Took {
    times: Vec<Duration>,
    elapsed: Duration,
}

impl Took {
    fn per_second(&self) -> f64 {
        per_second(self.times.len().try_into().unwrap_or(u64::MAX), self.elapsed)
    }
}

impl Wave {
    /// Sends them, as fast as it goes.
    async fn run(self, clients: &[Client]) -> anyhow::Result<Took> {
        let Self { calls, length, pick, becomes } = self;
        let (start, next) = (Instant::now(), Arc::new(AtomicU32::new(0)));
        let mut callers = JoinSet::new();
        for client in clients.iter().cycle().take(IN_FLIGHT) {
            let (mut client, next) = (client.clone(), Arc::clone(&next));
            callers.spawn(async move {
                let mut times = Vec::new();
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= calls || start.elapsed() >= length {
                        return anyhow::Ok(times);
                    }
                    let dialog = pick(nth) + 1;
                    let message = said(dialog, format!("dialog-{dialog}"));
                    times.push(client.say(message, becomes).await?);
                }
            });
        }
        let mut times = Vec::new();
        while let Some(done) = callers.join_next().await {
            times.extend(done??);
        }
        Ok(Took { times, elapsed: start.elapsed() })
    }
}

/// Takes every message and does nothing with it.
#[derive(Clone, Debug)]
struct Empty;

impl NamedService for Empty {
    const NAME: &'static str = "tap.v1.Dialogs";
}

impl Handle<http::Request<Body>> for Empty {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// As generated code does it.
    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let take = service_fn(|_: Request<RecordMessageRequest>| async {
            Ok::<_, Status>(Response::new(RecordMessageResponse {
                state: message_state::Value::Pending.into(),
                id: Uuid::nil().to_string(),
            }))
        });
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(take, request).await) })
    }
}
