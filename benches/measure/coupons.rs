//! Coupons: how many are redeemed, and how long that takes, beside bare statements in the same PostgreSQL. After each
//! measurement the ledger, the counts of coupons and those of quarters of an hour must agree.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tap_analytics::{
    access::model::Preset,
    config,
    proto::tap_v1::{CheckCouponRequest, RedeemCouponRequest, coupons_client::CouponsClient},
};
use tokio::{task::JoinSet, time};
use tonic::{
    Code, Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use uuid::Uuid;

use super::{
    Times, millis, per_second,
    pgbench::{self, Best, Script},
    postgres::{Postgres, connect},
    process, progress,
    report::{Report, Row},
    serve,
};

const COUPONS: u32 = 1_000;
/// Calls that are under way at any time. A key may have 16, so there are several.
const IN_FLIGHT: usize = 128;
const CONNECTIONS: usize = 4;
const KEYS: usize = 8;
const SLOW_RATE: u32 = 200;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Of the service, and of each number of clients of pgbench.
    pub(crate) fast: Duration,
    pub(crate) slow: Duration,
}

/// Adds the rows.
pub(crate) async fn measure(
    postgres: &Postgres,
    size: Size,
    report: &mut Report,
) -> anyhow::Result<()> {
    for coupons in [1, COUPONS] {
        let of = if coupons == 1 { "one coupon".to_owned() } else { format!("{coupons} coupons") };
        progress(format!("redemptions of {of} by bare SQL"));
        let plain = bare(postgres, coupons, false, size.fast).await?;
        let pipelined = bare(postgres, coupons, true, size.fast).await?;
        progress(format!("redemptions of {of} by RedeemCoupon"));
        let (times, elapsed) = flood(postgres, coupons, size.fast).await?;
        let rate = per_second(times.len(), elapsed);
        for (best, how) in [(plain, ""), (pipelined, ", each transaction in one round trip")] {
            report.add(Row {
                work: format!("RedeemCoupon by gRPC, {of}, {IN_FLIGHT} at a time"),
                measured: format!("{rate:.0} redemptions/s, {}", shown(&times)),
                baseline: format!(
                    "bare SQL by pgbench{how}, {} clients {:.0} redemptions/s",
                    best.clients, best.per_second
                ),
                ratio: format!("{:.0} %", 100.0 * rate / best.per_second),
                ..Row::default()
            });
        }
    }
    progress(format!("{SLOW_RATE} redemptions a second"));
    let times = trickle(postgres, size.slow).await?;
    report.add(Row {
        work: format!("RedeemCoupon by gRPC, {COUPONS} coupons, {SLOW_RATE} calls/s"),
        measured: shown(&times),
        ..Row::default()
    });
    Ok(())
}

fn shown(times: &Times) -> String {
    let at = |percent| millis(times.percentile(percent));
    format!("p50 {:.2} ms, p99 {:.2} ms", at(50), at(99))
}

/// A database with a team and its coupons.
async fn database(postgres: &Postgres) -> anyhow::Result<config::Store> {
    let store = postgres.create_database("coupons").await?;
    let admin = connect(&store).await?;
    admin.batch_execute(include_str!("../sql/load_teams.sql")).await?;
    admin.batch_execute(include_str!("../sql/load_coupons.sql")).await?;
    admin.batch_execute("checkpoint").await?;
    Ok(store)
}

/// Fails unless so many redemptions are there, by all counts; drops the database.
async fn finish(postgres: &Postgres, store: &config::Store, redeemed: i64) -> anyhow::Result<()> {
    let admin = connect(store).await?;
    let row = admin.query_one(include_str!("../sql/check_coupons.sql"), &[]).await?;
    let [ledger, quarters, counted, wrong]: [i64; 4] =
        ["ledger", "quarters", "counted", "wrong"].map(|name| row.get(name));
    ensure!(
        redeemed > 0 && [ledger, quarters, counted] == [redeemed; 3] && wrong == 0,
        "{redeemed} were redeemed: {ledger} are in the ledger, {quarters} in quarters, {counted} are counted; \
         {wrong} coupons are wrong"
    );
    drop(admin);
    postgres.drop_database(store).await
}

/// What bare statements can do, with the best number of clients.
async fn bare(
    postgres: &Postgres,
    coupons: u32,
    pipelined: bool,
    length: Duration,
) -> anyhow::Result<Best> {
    let store = database(postgres).await?;
    let text = include_str!("../sql/redeem.sql");
    let (variable, seconds) = (("coupons", coupons), length.as_secs().max(1));
    let best = pgbench::run(&store, Script { text, pipelined, variable, seconds }).await?;
    finish(postgres, &store, best.transactions).await?;
    Ok(best)
}

/// The program, with clients that take turns: each a connection and a key.
struct Service {
    store: config::Store,
    program: process::Program,
    clients: Vec<Client>,
}

#[derive(Clone, Debug)]
struct Client {
    service: CouponsClient<Channel>,
    key: MetadataValue<Ascii>,
}

impl Service {
    async fn start(postgres: &Postgres) -> anyhow::Result<Self> {
        let store = database(postgres).await?;
        let (program, _, grpc) = process::start(&store).await?;
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = Channel::from_shared(grpc.clone())?.tcp_nodelay(true);
            channels.push(channel.connect().await?);
        }
        let mut clients = Vec::new();
        for channel in channels.iter().cycle().take(KEYS) {
            let key = serve::key_of(&store, Preset::Writer).await?;
            let client = Client { service: CouponsClient::new(channel.clone()), key };
            client.until_known().await?;
            clients.push(client);
        }
        Ok(Self { store, program, clients })
    }

    async fn finish(self, postgres: &Postgres, redeemed: u64) -> anyhow::Result<()> {
        drop((self.program, self.clients));
        finish(postgres, &self.store, i64::try_from(redeemed)?).await
    }
}

impl Client {
    /// Waits until its key is known: the service hears of it some milliseconds after it was made.
    async fn until_known(&self) -> anyhow::Result<()> {
        for _ in 0..500 {
            let message = CheckCouponRequest { id: coupon(1), ..CheckCouponRequest::default() };
            match self.service.clone().check_coupon(self.request(message)).await {
                Ok(_) => return Ok(()),
                Err(unknown) if unknown.code() == Code::Unauthenticated => {
                    time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        bail!("the service does not get to know a key")
    }

    /// How long it takes to redeem one of so many coupons, for somebody.
    async fn redeem(&mut self, coupons: u32) -> anyhow::Result<Duration> {
        let request = self.request(RedeemCouponRequest {
            id: coupon(fastrand::u32(1..=coupons)),
            subject: format!("{:032x}", fastrand::u32(..1_000_000)),
            request_id: Uuid::now_v7().to_string(),
            ..RedeemCouponRequest::default()
        });
        let start = Instant::now();
        self.service.redeem_coupon(request).await.context("a coupon is not redeemed")?;
        Ok(start.elapsed())
    }

    fn request<Message>(&self, message: Message) -> Request<Message> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-api-key", self.key.clone());
        request
    }
}

/// The id of a coupon by its number.
fn coupon(number: u32) -> String {
    Uuid::from_u128(number.into()).to_string()
}

/// Redeems as fast as it goes, for some time.
async fn flood(
    postgres: &Postgres,
    coupons: u32,
    length: Duration,
) -> anyhow::Result<(Times, Duration)> {
    let service = Service::start(postgres).await?;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for client in service.clients.iter().cycle().take(IN_FLIGHT) {
        let mut client = client.clone();
        callers.spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < length {
                times.push(client.redeem(coupons).await?);
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = callers.join_next().await {
        times.extend(done??);
    }
    let (times, elapsed) = (Times::new(times), start.elapsed());
    service.finish(postgres, times.len()).await?;
    Ok((times, elapsed))
}

/// Redeems one every so often, whether the ones before are answered or not.
async fn trickle(postgres: &Postgres, length: Duration) -> anyhow::Result<Times> {
    let service = Service::start(postgres).await?;
    let calls = usize::try_from(length.as_millis())? * usize::try_from(SLOW_RATE)? / 1000;
    let mut ticks = time::interval(Duration::from_secs(1) / SLOW_RATE);
    let mut callers = JoinSet::new();
    for client in service.clients.iter().cycle().take(calls) {
        ticks.tick().await;
        let mut client = client.clone();
        callers.spawn(async move { client.redeem(COUPONS).await });
    }
    let mut times = Vec::new();
    while let Some(done) = callers.join_next().await {
        times.push(done??);
    }
    let times = Times::new(times);
    service.finish(postgres, times.len()).await?;
    Ok(times)
}
