//! The tap URL: requests a second, and how long a person waits.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tap_analytics::config;
use tokio::task::JoinSet;
use tonic::{body::Body, transport::Channel};
use tower::{Service as _, ServiceExt as _};

use super::{
    Times, millis, per_second,
    postgres::{Postgres, connect},
    process, progress,
    report::{Report, Row},
};

/// Requests that are under way at any time.
const IN_FLIGHT: usize = 32;
const AGENT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";

/// Adds the row.
pub(crate) async fn measure(
    postgres: &Postgres,
    length: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    progress("the tap URL");
    let store = postgres.create_database("link").await?;
    let admin = connect(&store).await?;
    admin.batch_execute(include_str!("../sql/load_teams.sql")).await?;
    admin.batch_execute("update tags set destination_url = 'https://example.com/menu'").await?;
    let (program, _, grpc) = process::start(&store).await?;
    let (times, elapsed) = visit(&grpc, length).await?;
    let requests = u64::try_from(times.len())?;
    let times = Times::new(times);
    let stored = until_stored(&store, i64::try_from(requests)?).await?;
    report.add(Row {
        work: format!(
            "the tap URL, {IN_FLIGHT} at a time, without Envoy; all {stored} taps are stored"
        ),
        measured: format!(
            "{:.0} requests/s, p50 {:.2} ms, p99 {:.2} ms",
            per_second(requests, elapsed),
            millis(times.percentile(50)),
            millis(times.percentile(99))
        ),
        ..Row::default()
    });
    drop(program);
    postgres.drop_database(&store).await
}

async fn visit(grpc: &str, length: Duration) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let channel = Channel::from_shared(grpc.to_owned())?.connect().await?;
    let start = Instant::now();
    let mut visitors = JoinSet::new();
    for nth in 0..IN_FLIGHT {
        let mut channel = channel.clone();
        visitors.spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < length {
                let request = http::Request::get(format!("/t/team-1/tag-{}", 1 + nth * 3))
                    .header("user-agent", AGENT)
                    .body(Body::empty())?;
                let asked = Instant::now();
                let answer = channel.ready().await?.call(request).await?;
                times.push(asked.elapsed());
                ensure!(answer.status() == 302, "not redirected: {}", answer.status());
            }
            Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = visitors.join_next().await {
        times.extend(done??);
    }
    Ok((times, start.elapsed()))
}

/// Waits until all taps are there: none may be lost.
async fn until_stored(store: &config::Store, expected: i64) -> anyhow::Result<i64> {
    let admin = connect(store).await?;
    for _ in 0..600 {
        let stored: i64 = admin.query_one("select count(*) from taps", &[]).await?.get(0);
        if stored == expected {
            return Ok(stored);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("not all of {expected} taps are stored")
}
