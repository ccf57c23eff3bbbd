//! `QueryTaps` without the cache, beside plain SQL over the raw taps.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use tap_analytics::{
    config,
    proto::tap_v1::{
        QueryTapsRequest, QueryTapsResponse, group_by, interval,
        tap_analytics_client::TapAnalyticsClient,
    },
};
use tokio_postgres::Client;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    TEAM, Times, load, millis,
    postgres::connect,
    progress,
    report::{Report, Row},
    serve::{self, Service},
};

/// Calls that are measured, and before them calls that are not.
const CALLS: u64 = 300;
const WARM_UP: u64 = 30;
const SQL_CALLS: usize = 5;
const YEAR_DAYS: u64 = 365;

/// A kind of question.
#[derive(Clone, Copy, Debug)]
struct Shape {
    name: &'static str,
    zone: &'static str,
    interval: interval::Value,
    group_by: group_by::Value,
    /// What tells rows apart in the plain SQL; `$4` is the zone.
    columns: &'static str,
    target: &'static str,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "by day, UTC",
        zone: "UTC",
        interval: interval::Value::Day,
        group_by: group_by::Value::None,
        columns: "date_trunc('day', tapped_at, $4)",
        target: "p50 at most 5 ms; at least 50 times faster",
    },
    Shape {
        name: "by day, Asia/Kathmandu",
        zone: "Asia/Kathmandu",
        interval: interval::Value::Day,
        group_by: group_by::Value::None,
        columns: "date_trunc('day', tapped_at, $4)",
        target: "p50 at most 5 ms; at least 50 times faster",
    },
    Shape {
        name: "by week, the 10 busiest tags",
        zone: "UTC",
        interval: interval::Value::Week,
        group_by: group_by::Value::Tag,
        columns: "date_trunc('week', tapped_at, $4), tag_id",
        target: "",
    },
    Shape {
        name: "by hour of the week",
        zone: "Europe/Berlin",
        interval: interval::Value::Total,
        group_by: group_by::Value::HourOfWeek,
        columns: "date_trunc('hour', tapped_at at time zone $4) - date_trunc('week', tapped_at at time zone $4)",
        target: "",
    },
];

impl Shape {
    /// The question about the year that begins so many days after the first tap.
    fn query(&self, nth: u64) -> anyhow::Result<QueryTapsRequest> {
        Ok(QueryTapsRequest {
            start_date: load::day(nth)?.to_string(),
            end_date: load::day(nth + YEAR_DAYS - 1)?.to_string(),
            interval: self.interval.into(),
            time_zone: self.zone.to_owned(),
            group_by: self.group_by.into(),
            ..QueryTapsRequest::default()
        })
    }

    fn sql(&self) -> String {
        let columns = self.columns;
        let places = if columns.contains("tag_id") { "1, 2" } else { "1" };
        // Always names the zone, so that every statement has the same parameters.
        format!(
            "select {columns}, sum(count)::bigint as taps, $4::text as zone from taps \
             where team_id = $1 and tapped_at >= $2 and tapped_at < $3 group by {places}"
        )
    }
}

/// A year by day, as the cache is asked for it.
pub(crate) fn year_by_day() -> anyhow::Result<QueryTapsRequest> {
    SHAPES.first().context("no shapes")?.query(0)
}

/// Adds a row for each shape.
pub(crate) async fn measure(
    store: &config::Store,
    millions: u32,
    metrics: &PrometheusHandle,
    report: &mut Report,
) -> anyhow::Result<()> {
    let key = serve::key(store).await?;
    let service = Service::start(store, 0, metrics).await?;
    let mut client = service.client().await?;
    let admin = connect(store).await?;
    for shape in SHAPES {
        progress(format!("QueryTaps over {millions} M taps {}", shape.name));
        let times = ask_often(&mut client, &key, shape).await?;
        let query = shape.query(YEAR_DAYS / 2)?;
        let answer = serve::ask(&mut client, &key, query).await?;
        let plain = ask_sql(&admin, shape, &answer).await?;
        report.add(row(shape, millions, &times, &plain));
    }
    drop(client);
    service.stop().await?;
    Ok(())
}

fn row(shape: &Shape, millions: u32, times: &Times, plain: &Times) -> Row {
    let (p50, p99) = (times.percentile(50), times.percentile(99));
    let sql = plain.percentile(50);
    let ratio = sql.as_secs_f64() / p50.as_secs_f64();
    Row {
        work: format!("QueryTaps, one year {}, not cached, {millions} M raw taps", shape.name),
        measured: format!("p50 {:.2} ms, p99 {:.2} ms", millis(p50), millis(p99)),
        baseline: format!("plain SQL over raw taps {:.0} ms", millis(sql)),
        ratio: format!("{ratio:.0} times faster"),
        target: shape.target,
    }
}

/// Asks about another year each time, so that no answer is there already.
async fn ask_often(
    client: &mut TapAnalyticsClient<Channel>,
    key: &MetadataValue<Ascii>,
    shape: &Shape,
) -> anyhow::Result<Times> {
    let mut times = Vec::new();
    for nth in 0..WARM_UP + CALLS {
        let query = shape.query(nth)?;
        let start = Instant::now();
        let answer = serve::ask(client, key, query).await?;
        let elapsed = start.elapsed();
        ensure!(answer.total > 0.0, "an answer without taps");
        if nth >= WARM_UP {
            times.push(elapsed);
        }
    }
    Ok(Times::new(times))
}

/// Asks the same of the raw taps. Fails unless the answers are equal.
async fn ask_sql(
    admin: &Client,
    shape: &Shape,
    answer: &QueryTapsResponse,
) -> anyhow::Result<Times> {
    let resolved = answer.query.as_ref().context("an answer without a query")?;
    let (from, to) = (instant(&resolved.start)?, instant(&resolved.end)?);
    let statement = admin.prepare(&shape.sql()).await?;
    let mut times = Vec::new();
    // The first call reads what is not in memory: it does not count.
    for nth in 0..=SQL_CALLS {
        let start = Instant::now();
        let rows = admin.query(&statement, &[&TEAM.0, &from, &to, &shape.zone]).await?;
        let elapsed = start.elapsed();
        if nth > 0 {
            times.push(elapsed);
            continue;
        }
        let total: i64 = rows.iter().map(|row| row.get::<_, i64>("taps")).sum();
        agree(total, answer.total)?;
        if shape.interval == interval::Value::Day {
            let plain = rows.iter().map(|row| (row.get(0), row.get("taps")));
            compare_buckets(plain.collect(), answer)?;
        }
    }
    Ok(Times::new(times))
}

fn compare_buckets(
    mut plain: BTreeMap<DateTime<Utc>, i64>,
    answer: &QueryTapsResponse,
) -> anyhow::Result<()> {
    for bucket in &answer.buckets {
        let taps = plain.remove(&instant(&bucket.start)?).unwrap_or(0);
        agree(taps, bucket.count).with_context(|| format!("the day {}", bucket.start))?;
    }
    ensure!(plain.is_empty(), "days without a bucket: {plain:?}");
    Ok(())
}

#[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "both are whole numbers")]
fn agree(plain: i64, answered: f64) -> anyhow::Result<()> {
    ensure!(plain as f64 == answered, "QueryTaps answers {answered}, the raw taps are {plain}");
    Ok(())
}

fn instant(text: &str) -> anyhow::Result<DateTime<Utc>> {
    Ok(DateTime::parse_from_rfc3339(text)?.to_utc())
}
