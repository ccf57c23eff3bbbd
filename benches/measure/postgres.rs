//! The PostgreSQL to measure on: a private one, or one that was named.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use tap_analytics::{config, db, migrate};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::progress;

/// A server, and the private cluster behind it if there is one. Dropped, it takes the cluster along.
#[derive(Debug)]
pub(crate) struct Postgres {
    url: String,
    cluster: Option<Cluster>,
}

#[derive(Debug)]
struct Cluster(TempDir);

/// The settings of the store, with their defaults.
#[derive(Parser)]
struct StoreArgs {
    #[command(flatten)]
    store: config::Store,
}

impl Postgres {
    /// Uses the server at `url`, or starts one.
    pub(crate) fn start(url: Option<&str>) -> anyhow::Result<Self> {
        if let Some(url) = url {
            return Ok(Self { url: url.to_owned(), cluster: None });
        }
        progress("starting PostgreSQL");
        let dir =
            tempfile::Builder::new().prefix("table-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let cluster = Cluster(dir);
        let url = script("start", cluster.0.path())?;
        Ok(Self { url, cluster: Some(cluster) })
    }

    /// The version of the server.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let admin = connect(&store(&self.url)?).await?;
        let row = admin.query_one("show server_version", &[]).await?;
        let version: &str = row.get(0);
        Ok(version.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// Makes an empty, migrated database.
    pub(crate) async fn create_database(&self, name: &str) -> anyhow::Result<config::Store> {
        let name = format!("tap_bench_{name}");
        let admin = connect(&store(&self.url)?).await?;
        admin.batch_execute(&format!("drop database if exists {name} with (force)")).await?;
        admin.batch_execute(&format!("create database {name}")).await?;
        let store = store(&with_database(&self.url, &name)?)?;
        migrate::run(&store).await?;
        Ok(store)
    }

    /// Drops a database that [`Self::create_database`] made.
    pub(crate) async fn drop_database(&self, made: &config::Store) -> anyhow::Result<()> {
        let pg = db::administrator(made)?;
        let name = pg.get_dbname().context("the database has no name")?;
        let admin = connect(&store(&self.url)?).await?;
        admin.batch_execute(&format!("drop database {name} with (force)")).await?;
        Ok(())
    }

    /// Leaves nothing behind.
    pub(crate) async fn clean_up(self) -> anyhow::Result<()> {
        if self.cluster.is_some() {
            return Ok(());
        }
        let admin = connect(&store(&self.url)?).await?;
        let left = admin
            .query(r"select datname from pg_database where datname like 'tap\_bench\_%'", &[])
            .await?;
        for row in left {
            let name: &str = row.get(0);
            admin.batch_execute(&format!("drop database {name} with (force)")).await?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = script("remove", self.0.path()) {
            progress(format!("PostgreSQL may be left running: {error:#}"));
        }
    }
}

/// Connects as the administrator.
pub(crate) async fn connect(store: &config::Store) -> anyhow::Result<Client> {
    connect_as(&db::administrator(store)?).await
}

/// Connects outside the pools.
pub(crate) async fn connect_as(pg: &tokio_postgres::Config) -> anyhow::Result<Client> {
    let (client, connection) = pg.connect(NoTls).await.context("cannot connect to PostgreSQL")?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            progress(format!("a connection to PostgreSQL broke: {error}"));
        }
    });
    Ok(client)
}

/// Runs `scripts/postgres.sh` and returns what it says.
fn script(command: &str, dir: &Path) -> anyhow::Result<String> {
    let out = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres.sh"))
        .arg(command)
        .arg(dir)
        .env_remove("TAP_PG_TEST")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run scripts/postgres.sh")?;
    ensure!(out.status.success(), "scripts/postgres.sh {command} failed: {}", out.status);
    Ok(String::from_utf8(out.stdout)?.trim().to_owned())
}

fn store(url: &str) -> anyhow::Result<config::Store> {
    let args = StoreArgs::try_parse_from(["bench", "--database-url", url])?;
    Ok(args.store)
}

/// The same address with another database.
fn with_database(url: &str, name: &str) -> anyhow::Result<String> {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = address.rsplit_once('/').context("the address names no database")?;
    let separator = if options.is_empty() { "" } else { "?" };
    Ok(format!("{server}/{name}{separator}{options}"))
}
