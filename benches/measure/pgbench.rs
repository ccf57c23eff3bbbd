//! pgbench, with which PostgreSQL measures itself.

use std::{io::Write as _, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use tap_analytics::config;
use tempfile::NamedTempFile;
use tokio::task;

use super::postgres::connect;

/// How many clients to try: which number is best depends on the machine.
const CLIENTS: [u32; 3] = [8, 32, 64];
const THREADS: u32 = 2;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script<'a> {
    pub(crate) text: &'a str,
    /// Whether the statements of a transaction are sent at once, and not one after the answer to the other.
    pub(crate) pipelined: bool,
    /// A variable, and what it is.
    pub(crate) variable: (&'a str, u32),
    pub(crate) seconds: u64,
}

/// What was the best.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Best {
    pub(crate) clients: u32,
    /// Transactions.
    pub(crate) per_second: f64,
    /// Of all numbers of clients.
    pub(crate) transactions: i64,
}

/// Runs it with prepared statements, as the owner of the tables, whom row-level security does not hold.
pub(crate) async fn run(store: &config::Store, script: Script<'_>) -> anyhow::Result<Best> {
    let program = program(store).await?;
    let mut file = NamedTempFile::new()?;
    file.write_all(text(script).as_bytes())?;
    let (name, value) = script.variable;
    let mut best = Best::default();
    for clients in CLIENTS {
        let mut command = Command::new(&program);
        command
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={THREADS}"))
            .arg(format!("--time={}", script.seconds))
            .arg(format!("--define={name}={value}"))
            .arg("--file")
            .arg(file.path())
            .arg(&store.database_url);
        let out = task::spawn_blocking(move || command.output()).await?;
        let out = out.with_context(|| format!("cannot run {program}: install PostgreSQL's own"))?;
        let (said, errors) =
            (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        ensure!(out.status.success(), "pgbench failed: {errors}");
        let per_second: f64 = number(&said, "tps = ")?.parse()?;
        best.transactions +=
            number(&said, "number of transactions actually processed: ")?.parse::<i64>()?;
        if per_second > best.per_second {
            (best.per_second, best.clients) = (per_second, clients);
        }
    }
    Ok(best)
}

fn text(script: Script<'_>) -> String {
    if !script.pipelined {
        return script.text.to_owned();
    }
    let begun = script.text.replace("begin;", "\\startpipeline\nbegin;");
    begun.replace("commit;", "commit;\n\\endpipeline")
}

/// Where it is: beside the server, if that is on this machine.
async fn program(store: &config::Store) -> anyhow::Result<String> {
    let admin = connect(store).await?;
    let dir = "select setting from pg_config where name = 'BINDIR'";
    let beside = format!("{}/pgbench", admin.query_one(dir, &[]).await?.get::<_, &str>(0));
    Ok(if Path::new(&beside).exists() { beside } else { "pgbench".to_owned() })
}

/// The first word after a text.
fn number<'a>(said: &'a str, before: &str) -> anyhow::Result<&'a str> {
    let (_, rest) = said.split_once(before).context("pgbench says something else")?;
    rest.split_whitespace().next().context("pgbench says nothing")
}
