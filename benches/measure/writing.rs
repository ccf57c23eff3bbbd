//! The writer, and `RecordTaps` by gRPC, beside COPY into the same table without any of their promises.
//!
//! Each has a database of its own with the same schema, and gets the same batches of 5,000, in turn with
//! the other. Every batch is a commit.

use std::{
    fmt,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::ensure;
use chrono::{NaiveTime, TimeDelta};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use metrics_exporter_prometheus::PrometheusHandle;
use tap_analytics::{
    access::model::Preset,
    clock::Clock,
    config,
    db::Db,
    ids::TagId,
    proto::tap_v1::{self, RecordTapsRequest},
    sql,
    tags::model::Kind,
    taps::{model::NewTap, writer::Writer},
};
use tokio_postgres::{
    Client, Statement,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
};
use uuid::Uuid;

use super::{
    TEAM, load, per_second,
    postgres::{Postgres, connect},
    progress,
    report::{Report, Row},
    serve::{self, Service},
};

const BATCH: u32 = 5000;
const TAGS: i32 = 200;
const HALF_YEAR_DAYS: f64 = 180.0;
/// Batches before those that count: they make partitions, plans and caches.
const WARM_UP: u32 = 4;

const COPY_TAPS: &str = "copy taps (team_id, revision, tap_id, tag_id, tapped_at, received_at, count, kind) from stdin (format binary)";
/// Calls of `RecordTaps` that are under way, as of a service that has more than one thing to tell.
const CALLS: usize = 3;
/// Batches that are sent between two rounds of COPY.
const ROUND: u32 = 10;

/// How the taps of consecutive batches lie in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Half a year from begin to end, as a file of old taps has them.
    Time,
    /// All in one day, as they come in.
    Live,
    /// All over half a year: nearly each tap touches a row of the roll-up of its own.
    Random,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "half a year in order of time",
            Self::Live => "all of one day",
            Self::Random => "half a year in random order",
        })
    }
}

/// Adds a row for each order, and one for `RecordTaps`.
pub(crate) async fn measure(
    postgres: &Postgres,
    batches: u32,
    metrics: &PrometheusHandle,
    report: &mut Report,
) -> anyhow::Result<()> {
    for order in [Order::Time, Order::Live, Order::Random] {
        progress(format!("writing {} taps, {order}", batches * BATCH));
        let [writer, copy] = measure_order(postgres, batches, order).await?;
        let work = format!("the writer, batches of {BATCH}, {order}");
        report.add(row(work, writer, copy));
    }
    progress(format!("RecordTaps of {} taps", batches * BATCH));
    let [calls, copy] = measure_calls(postgres, batches, metrics).await?;
    let work =
        format!("RecordTaps by gRPC, batches of {BATCH}, {CALLS} calls at a time, {}", Order::Live);
    report.add(row(work, calls, copy));
    Ok(())
}

fn row(work: String, measured: f64, copy: f64) -> Row {
    Row {
        work,
        measured: format!("{measured:.0} rows/s"),
        baseline: format!("COPY into the same table {copy:.0} rows/s"),
        ratio: format!("{:.0} %", 100.0 * measured / copy),
        target: "at least 50 %",
    }
}

/// Rows a second of the writer and of COPY.
async fn measure_order(
    postgres: &Postgres,
    batches: u32,
    order: Order,
) -> anyhow::Result<[f64; 2]> {
    let stores = [database(postgres, "writer").await?, database(postgres, "copy").await?];
    let [written, copied] = &stores;
    let writer = Writer::new(Db::new(written)?, Clock::system());
    let mut copy = Copy::new(copied).await?;

    let mut times = [Duration::ZERO; 2];
    for nth in 0..WARM_UP + batches {
        let taps = batch(nth, WARM_UP + batches, order)?;
        let start = Instant::now();
        writer.write(TEAM, &taps, Clock::system().now()).await?;
        let by_writer = start.elapsed();
        let start = Instant::now();
        copy.write(&taps).await?;
        let by_copy = start.elapsed();
        if nth >= WARM_UP {
            times[0] += by_writer;
            times[1] += by_copy;
        }
    }
    drop((writer, copy));
    finish(postgres, &stores).await?;
    Ok(times.map(|time| per_second(u64::from(batches) * u64::from(BATCH), time)))
}

/// Rows a second of `RecordTaps` and of COPY.
async fn measure_calls(
    postgres: &Postgres,
    batches: u32,
    metrics: &PrometheusHandle,
) -> anyhow::Result<[f64; 2]> {
    let stores = [database(postgres, "calls").await?, database(postgres, "copy").await?];
    let [recorded, copied] = &stores;
    let key = serve::key_of(recorded, Preset::Writer).await?;
    let service = Service::start(recorded, 1, metrics).await?;
    let client = service.client().await?;
    let mut copy = Copy::new(copied).await?;

    let all = WARM_UP + batches;
    let mut times = [Duration::ZERO; 2];
    for first in (0..all).step_by(usize::try_from(ROUND)?) {
        let numbers = first..(first + ROUND).min(all);
        let taps = numbers.map(|nth| batch(nth, all, Order::Live));
        let taps = taps.collect::<anyhow::Result<Vec<_>>>()?;
        let requests: Vec<_> = taps.iter().map(|taps| request(taps, &key)).collect();

        let start = Instant::now();
        let mut answers = stream::iter(requests)
            .map(|request| {
                let mut client = client.clone();
                async move { client.record_taps(request).await }
            })
            .buffer_unordered(CALLS);
        while let Some(answer) = answers.try_next().await? {
            let accepted = answer.into_inner().accepted;
            ensure!((accepted - f64::from(BATCH)).abs() < 0.5, "only {accepted} were accepted");
        }
        let by_calls = start.elapsed();
        let start = Instant::now();
        for taps in &taps {
            copy.write(taps).await?;
        }
        // The first round is to warm up.
        if first > 0 {
            times[0] += by_calls;
            times[1] += start.elapsed();
        }
    }
    service.stop().await?;
    drop(copy);
    finish(postgres, &stores).await?;
    Ok(times.map(|time| per_second(u64::from(all - ROUND) * u64::from(BATCH), time)))
}

/// A batch as a caller sends it.
fn request(taps: &[NewTap], key: &MetadataValue<Ascii>) -> Request<RecordTapsRequest> {
    let one = |tap: &NewTap| tap_v1::NewTap {
        tag_uid: format!("tag-{}", tap.tag.0),
        tap_id: tap.tap_id.to_string(),
        tapped_at: tap.tapped_at.to_rfc3339(),
        ..tap_v1::NewTap::default()
    };
    let mut request = Request::new(RecordTapsRequest { taps: taps.iter().map(one).collect() });
    request.metadata_mut().insert("x-api-key", key.clone());
    request
}

/// Checks what was written against what was copied, and drops both.
async fn finish(postgres: &Postgres, stores: &[config::Store; 2]) -> anyhow::Result<()> {
    let [written, copied] = stores;
    load::check(written).await?;
    same_rows(&[written, copied]).await?;
    for store in stores {
        postgres.drop_database(store).await?;
    }
    Ok(())
}

/// A database with teams, tags and partitions.
async fn database(postgres: &Postgres, name: &str) -> anyhow::Result<config::Store> {
    let store = postgres.create_database(name).await?;
    let admin = connect(&store).await?;
    admin.batch_execute(include_str!("../sql/load_teams.sql")).await?;
    for month in 0..7 {
        let day = load::day(month * 31)?;
        admin.query(sql!("taps/make_partition").text, &[&day]).await?;
    }
    Ok(store)
}

/// Fails unless all have stored the same number of taps.
async fn same_rows(stores: &[&config::Store]) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for store in stores {
        let admin = connect(store).await?;
        let row = admin.query_one("select count(*) from taps", &[]).await?;
        rows.push(row.get::<_, i64>(0));
    }
    ensure!(
        rows.windows(2).all(|pair| pair[0] == pair[1]),
        "not the same taps everywhere: {rows:?}"
    );
    Ok(())
}

/// The taps of a batch, the same in each run.
fn batch(nth: u32, batches: u32, order: Order) -> anyhow::Result<Vec<NewTap>> {
    let first = load::first_day()?.and_time(NaiveTime::MIN).and_utc();
    let numbers = nth * BATCH..(nth + 1) * BATCH;
    numbers
        .map(|n| {
            let hash = blake3::hash(&n.to_le_bytes());
            let mut id = [0; 16];
            id.copy_from_slice(&hash.as_bytes()[..16]);
            let in_turn = (f64::from(n) + fraction(&hash, 16)) / f64::from(batches * BATCH);
            let days = match order {
                Order::Time => HALF_YEAR_DAYS * in_turn,
                Order::Live => in_turn,
                Order::Random => HALF_YEAR_DAYS * fraction(&hash, 20),
            };
            let tag = popular_tag(fraction(&hash, 24));
            let kind = Kind::ALL[usize::try_from(tag)? % Kind::ALL.len()];
            Ok(NewTap::new(Uuid::new_v8(id), TagId(tag), first + micros(days), kind))
        })
        .collect()
}

/// A number from 0 to before 1, out of some bytes of a hash.
fn fraction(hash: &blake3::Hash, at: usize) -> f64 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&hash.as_bytes()[at..at + 4]);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// A tag from 1 to 200. The busiest has a sixth of all taps, as in the large databases.
#[expect(clippy::cast_possible_truncation, reason = "it is less than 200")]
fn popular_tag(fraction: f64) -> i32 {
    1 + (f64::from(TAGS) * fraction.powi(3)) as i32
}

#[expect(clippy::cast_possible_truncation, reason = "half a year fits")]
fn micros(days: f64) -> TimeDelta {
    TimeDelta::microseconds((days * 86_400e6) as i64)
}

/// The rows as they are, in a transaction of their own: no duplicates, no roll-up, no revision.
#[derive(Debug)]
struct Copy {
    client: Client,
    statement: Statement,
    revision: i64,
}

impl Copy {
    async fn new(store: &config::Store) -> anyhow::Result<Self> {
        // Row-level security forbids COPY to all others.
        let client = connect(store).await?;
        Ok(Self { statement: client.prepare(COPY_TAPS).await?, client, revision: 0 })
    }

    async fn write(&mut self, taps: &[NewTap]) -> anyhow::Result<()> {
        let received_at = Clock::system().now();
        let types = [
            Type::INT4,
            Type::INT8,
            Type::UUID,
            Type::INT4,
            Type::TIMESTAMPTZ,
            Type::TIMESTAMPTZ,
            Type::INT4,
            Type::TEXT,
        ];
        let sink = self.client.copy_in(&self.statement).await?;
        let mut rows = pin!(BinaryCopyInWriter::new(sink, &types));
        for tap in taps {
            self.revision += 1;
            let kind = tap.kind.as_str();
            let row: [&(dyn ToSql + Sync); 8] = [
                &TEAM.0,
                &self.revision,
                &tap.tap_id,
                &tap.tag.0,
                &tap.tapped_at,
                &received_at,
                &tap.count,
                &kind,
            ];
            rows.as_mut().write(&row).await?;
        }
        rows.finish().await?;
        Ok(())
    }
}
