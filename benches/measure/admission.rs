//! What a call pays before it does anything: route, key, scope and quota.

use std::{hint::black_box, time::Instant};

use anyhow::Context as _;
use tap_analytics::{
    access::{key::ApiKey, model::Preset},
    auth::Route,
    clock::Clock,
    config,
    db::Db,
    directory::Directory,
};
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use super::{
    TEAM,
    postgres::{Postgres, connect},
    progress,
    report::{Report, Row},
};

const KEYS: usize = 10_000;
const PATH: &str = "/tap.v1.TapAnalytics/QueryTaps";
const ROUNDS: usize = 50;
const QUOTA: i32 = 1_000_000;

/// Adds the row.
pub(crate) async fn measure(postgres: &Postgres, report: &mut Report) -> anyhow::Result<()> {
    progress("key, quota and access check");
    let store = postgres.create_database("admission").await?;
    let callers = create_keys(&store).await?;
    let directory = Directory::new(Clock::system());
    directory.refresh(&Db::new(&store)?).await?;

    let mut rounds = Vec::new();
    for nth in 0..=ROUNDS {
        let start = Instant::now();
        for metadata in &callers {
            admit(&directory, metadata)?;
        }
        if nth > 0 {
            let nanos = start.elapsed().as_secs_f64() * 1e9;
            rounds.push(nanos / f64::from(u32::try_from(KEYS)?));
        }
    }
    report.add(Row {
        work: format!("key, quota and access check, {KEYS} keys"),
        measured: format!("{:.0} ns a call", super::median(rounds)),
        target: "at most 2 µs",
        ..Row::default()
    });
    postgres.drop_database(&store).await
}

/// As the layers do it, once for each call.
fn admit(directory: &Directory, metadata: &MetadataMap) -> anyhow::Result<()> {
    let (route, _) = Route::of(black_box(PATH));
    let caller =
        directory.admit(black_box(metadata), None, route).map_err(|refused| refused.error)?;
    let class = route.class().context("the route has no quota")?;
    let bucket = caller.quotas.bucket(class);
    bucket.take().map_err(|standing| anyhow::anyhow!("out of quota: {standing:?}"))?;
    black_box(bucket.standing());
    Ok(())
}

/// Makes many keys in one statement; returns what their callers send.
async fn create_keys(store: &config::Store) -> anyhow::Result<Vec<MetadataMap>> {
    let keys = (0..KEYS).map(|_| ApiKey::generate(TEAM)).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<Uuid> = keys.iter().map(|_| Uuid::now_v7()).collect();
    let hashes: Vec<Vec<u8>> = keys.iter().map(|key| key.hash().to_vec()).collect();
    let scopes: Vec<&str> = Preset::Reader.scopes().iter().map(|scope| scope.as_str()).collect();

    let admin = connect(store).await?;
    admin.batch_execute(include_str!("../sql/load_teams.sql")).await?;
    admin
        .execute(
            "insert into api_keys (team_id, key_id, key_hash, prefix, name, scopes, queries_per_hour)
             select $1, key_id, key_hash, '', 'bench', $4, $5 from unnest($2::uuid[], $3::bytea[]) as t (key_id, key_hash)",
            &[&TEAM.0, &ids, &hashes, &scopes, &QUOTA],
        )
        .await?;
    keys.iter()
        .map(|key| {
            let mut metadata = MetadataMap::new();
            metadata.insert("x-api-key", key.reveal().parse()?);
            Ok(metadata)
        })
        .collect()
}
