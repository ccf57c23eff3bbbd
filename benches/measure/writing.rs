//! The writer, beside COPY into the same table without any of its promises, and beside a writer that
//! brings its batch by COPY into a temporary table.
//!
//! Each variant has a database of its own with the same schema, and gets the same batches of 5,000,
//! one after the other, in turn with the others. Every batch is a commit.

use std::{
    fmt,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use chrono::{NaiveTime, TimeDelta};
use tap_analytics::{
    clock::Clock,
    config,
    db::{self, Db},
    ids::TagId,
    sql,
    taps::{
        model::{Kind, NewTap},
        writer::Writer,
    },
};
use tokio_postgres::{
    Client, Statement,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    TEAM, load, per_second,
    postgres::{Postgres, connect, connect_as},
    progress,
    report::{Report, Row},
};

const BATCH: u32 = 5000;
const TAGS: i32 = 200;
const HALF_YEAR_DAYS: f64 = 180.0;
/// Batches before those that count: they make partitions, plans and caches.
const WARM_UP: u32 = 4;

const COPY_TAPS: &str = "copy taps (team_id, revision, tap_id, tag_id, tapped_at, received_at, count, kind) from stdin (format binary)";
const COPY_OFFERED: &str =
    "copy offered (tap_id, tag_id, tapped_at, count, kind, nth) from stdin (format binary)";
const MAKE_OFFERED: &str = "create temporary table offered (tap_id uuid, tag_id integer, tapped_at timestamptz, \
     count integer, kind text, nth bigint) on commit delete rows";

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

/// Adds a row for each order: the writer beside COPY, and beside itself with COPY.
pub(crate) async fn measure(
    postgres: &Postgres,
    batches: u32,
    report: &mut Report,
) -> anyhow::Result<()> {
    for order in [Order::Time, Order::Live, Order::Random] {
        progress(format!("writing {} taps, {order}", batches * BATCH));
        let [writer, staged, copy] = measure_order(postgres, batches, order).await?;
        report.add(Row {
            work: format!("writing taps in batches of {BATCH}, {order}"),
            measured: format!("{writer:.0} rows/s"),
            baseline: format!("COPY into the same table {copy:.0} rows/s"),
            ratio: format!("{:.0} %", 100.0 * writer / copy),
            target: "at least 50 %",
        });
        report.add(Row {
            work: format!("the same, batches brought by COPY into a temporary table, {order}"),
            measured: format!("{staged:.0} rows/s"),
            baseline: format!("the writer {writer:.0} rows/s"),
            ratio: format!("{:.0} %", 100.0 * staged / writer),
            target: "",
        });
    }
    Ok(())
}

/// Rows a second of the writer, the writer by COPY, and COPY.
async fn measure_order(
    postgres: &Postgres,
    batches: u32,
    order: Order,
) -> anyhow::Result<[f64; 3]> {
    let stores = [
        database(postgres, "writer").await?,
        database(postgres, "staged").await?,
        database(postgres, "copy").await?,
    ];
    let [writer, staged, copy] = &stores;
    let writer = Writer::new(Db::new(writer)?, Clock::system());
    let mut staged = Staged::new(staged).await?;
    let mut copy = Copy::new(copy).await?;

    let mut times = [Duration::ZERO; 3];
    for nth in 0..WARM_UP + batches {
        let taps = batch(nth, WARM_UP + batches, order)?;
        let start_at = Clock::system().now();
        let start = Instant::now();
        writer.write(TEAM, &taps, start_at).await?;
        let by_writer = start.elapsed();
        let start = Instant::now();
        staged.write(&taps).await?;
        let by_staged = start.elapsed();
        let start = Instant::now();
        copy.write(&taps).await?;
        let by_copy = start.elapsed();
        if nth >= WARM_UP {
            times[0] += by_writer;
            times[1] += by_staged;
            times[2] += by_copy;
        }
    }

    drop((writer, staged, copy));
    let [written, by_copy, plain] = &stores;
    load::check(written).await?;
    load::check(by_copy).await?;
    same_rows(&[written, by_copy, plain]).await?;
    for store in &stores {
        postgres.drop_database(store).await?;
    }
    Ok(times.map(|time| per_second(u64::from(batches) * u64::from(BATCH), time)))
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

/// What the writer would be with COPY in place of arrays.
#[derive(Debug)]
struct Staged {
    client: Client,
    lock: Statement,
    copy: Statement,
    /// The writer's own, but for where the taps come from.
    write: Statement,
}

impl Staged {
    async fn new(store: &config::Store) -> anyhow::Result<Self> {
        let client = connect_as(&db::system_role(store)?).await?;
        client.batch_execute(MAKE_OFFERED).await?;
        let text = sql!("taps/write_taps").text;
        let begin = text.find("offered as (").context("nothing is offered")?;
        let end = text.find("fresh as (").context("nothing is fresh")?;
        let write = format!("{}{}", &text[..begin], &text[end..]);
        Ok(Self {
            lock: client.prepare(sql!("taps/lock_team").text).await?,
            copy: client.prepare(COPY_OFFERED).await?,
            write: client.prepare(&write).await?,
            client,
        })
    }

    async fn write(&mut self, taps: &[NewTap]) -> anyhow::Result<()> {
        let received_at = Clock::system().now();
        let transaction = self.client.transaction().await?;
        transaction.query(&self.lock, &[&TEAM.0]).await?;
        let types = [Type::UUID, Type::INT4, Type::TIMESTAMPTZ, Type::INT4, Type::TEXT, Type::INT8];
        let sink = transaction.copy_in(&self.copy).await?;
        let mut rows = pin!(BinaryCopyInWriter::new(sink, &types));
        for (tap, nth) in taps.iter().zip(1_i64..) {
            let kind = tap.kind.as_str();
            let row: [&(dyn ToSql + Sync); 6] =
                [&tap.tap_id, &tap.tag.0, &tap.tapped_at, &tap.count, &kind, &nth];
            rows.as_mut().write(&row).await?;
        }
        rows.finish().await?;
        transaction.query(&self.write, &[&TEAM.0, &received_at]).await?;
        Ok(transaction.commit().await?)
    }
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
