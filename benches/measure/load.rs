//! Databases with many taps, made inside PostgreSQL: two years, four teams, 200 tags each.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Days, Months, NaiveDate, NaiveTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tap_analytics::{config, sql};

use super::{
    postgres::{Postgres, connect},
    progress,
};

const MONTHS: u32 = 24;
/// Months that are loaded at the same time.
const MONTHS_AT_A_TIME: usize = 2;

/// Some taps, all of one month.
#[derive(Clone, Copy, Debug)]
struct Month {
    first: DateTime<Utc>,
    after: DateTime<Utc>,
    /// Number of its first tap.
    n: i64,
    taps: i64,
}

/// The first day that has taps; the last is two years later.
pub(crate) fn first_day() -> anyhow::Result<NaiveDate> {
    NaiveDate::from_ymd_opt(2024, 1, 1).context("no such day")
}

/// Makes a database of so many million taps, and checks it.
pub(crate) async fn database(postgres: &Postgres, millions: u32) -> anyhow::Result<config::Store> {
    let start = Instant::now();
    progress(format!("loading {millions} M taps"));
    let store = postgres.create_database(&format!("{millions}m")).await?;
    let admin = connect(&store).await?;
    admin.batch_execute(include_str!("../sql/load_teams.sql")).await?;

    load_months(&store, i64::from(millions) * 1_000_000).await?;
    progress("vacuum analyze");
    admin
        .batch_execute("update teams set revision = (select max(revision) from taps where taps.team_id = teams.team_id)")
        .await?;
    admin.batch_execute("vacuum analyze").await?;
    // What was loaded is written out now, and not while others are measured.
    admin.batch_execute("checkpoint").await?;
    check(&store).await?;
    progress(format!(
        "{millions} M taps are loaded and agree with their roll-up, {} s",
        start.elapsed().as_secs()
    ));
    Ok(store)
}

/// Fails unless roll-up and taps agree.
pub(crate) async fn check(store: &config::Store) -> anyhow::Result<()> {
    let row = connect(store).await?.query_one(include_str!("../sql/check.sql"), &[]).await?;
    let [raw, teams, tags]: [i64; 3] = [row.get("raw"), row.get("teams"), row.get("tags")];
    ensure!(
        raw > 0 && raw == teams && raw == tags,
        "the roll-up is wrong: {raw} taps, {teams} by team, {tags} by tag"
    );
    Ok(())
}

async fn load_months(store: &config::Store, all: i64) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut done = 0;
    let mut loaded = stream::iter(months(all)?)
        .map(|month| load(store, month))
        .buffer_unordered(MONTHS_AT_A_TIME);
    while let Some(taps) = loaded.try_next().await? {
        done += taps;
        let seconds = start.elapsed().as_secs();
        progress(format!("{done} of {all} taps, {seconds} s"));
    }
    Ok(())
}

fn months(all: i64) -> anyhow::Result<Vec<Month>> {
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let first = first_day()?;
    (0..MONTHS)
        .map(|nth| {
            let day = first.checked_add_months(Months::new(nth));
            let next = first.checked_add_months(Months::new(nth + 1));
            let share = |nth: u32| all * i64::from(nth) / i64::from(MONTHS);
            Ok(Month {
                first: midnight(day.context("no such month")?),
                after: midnight(next.context("no such month")?),
                n: share(nth) + 1,
                taps: share(nth + 1) - share(nth),
            })
        })
        .collect()
}

async fn load(store: &config::Store, month: Month) -> anyhow::Result<i64> {
    let Month { first, after, n, taps } = month;
    let client = connect(store).await?;
    client
        .batch_execute("set synchronous_commit = off; set jit = off; set work_mem = '512MB'")
        .await?;
    client.query(sql!("taps/make_partition").text, &[&first.date_naive()]).await?;
    #[expect(clippy::cast_precision_loss, reason = "a month has few seconds")]
    let seconds = (after - first).num_seconds() as f64;
    client
        .execute(include_str!("../sql/load_taps.sql"), &[&n, &taps, &first, &seconds])
        .await
        .context("cannot load taps")?;
    client
        .execute(include_str!("../sql/load_days.sql"), &[&first, &after])
        .await
        .context("cannot load the roll-up")?;
    Ok(taps)
}

/// The day so many days after the first.
pub(crate) fn day(nth: u64) -> anyhow::Result<NaiveDate> {
    first_day()?.checked_add_days(Days::new(nth)).context("no such day")
}
