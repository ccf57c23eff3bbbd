//! The program itself: how soon it is ready, and what it holds when nobody calls.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tap_analytics::config;
use tokio::{net::TcpListener, time};

use super::{
    median, millis,
    postgres::Postgres,
    progress,
    report::{Report, Row},
    serve,
};

/// How long to let it settle before its memory is read.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);

/// Ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        if let Err(error) = ended {
            progress(format!("cannot end tap-analytics: {error}"));
        }
    }
}

/// Adds the rows.
pub(crate) async fn measure(
    postgres: &Postgres,
    starts: u32,
    report: &mut Report,
) -> anyhow::Result<()> {
    progress("start and idle memory");
    let store = postgres.create_database("process").await?;
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..starts {
        let (program, elapsed, _) = start(&store).await?;
        ready.push(millis(elapsed));
        time::sleep(SETTLE).await;
        resident.push(resident_mib(&program)?);
    }
    report.add(Row {
        work: "start to ready, on a migrated database".to_owned(),
        measured: format!("{:.0} ms", median(ready)),
        target: "at most 500 ms",
        ..Row::default()
    });
    report.add(Row {
        work: "idle memory".to_owned(),
        measured: format!("{:.1} MiB resident", median(resident)),
        target: "at most 40 MiB",
        ..Row::default()
    });
    postgres.drop_database(&store).await
}

/// Starts the program; says how long it took to be ready, and where it listens.
pub(crate) async fn start(store: &config::Store) -> anyhow::Result<(Program, Duration, String)> {
    let (grpc, admin) = (free_port().await?, free_port().await?);
    let start = Instant::now();
    let program = Command::new(env!("CARGO_BIN_EXE_tap-analytics"))
        .arg("serve")
        .env_clear()
        .env("DATABASE_URL", &store.database_url)
        .env("TAP_GRPC_PORT", grpc.to_string())
        .env("TAP_ADMIN_PORT", admin.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start tap-analytics")?;
    let program = Program(program);
    serve::until_ready(&format!("http://127.0.0.1:{admin}/readyz")).await?;
    Ok((program, start.elapsed(), format!("http://127.0.0.1:{grpc}")))
}

/// A port that was free a moment ago.
async fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.port())
}

pub(crate) fn resident_mib(program: &Program) -> anyhow::Result<f64> {
    mib(program, "VmRSS:")
}

/// The most that was resident since [`forget_peak`].
pub(crate) fn peak_mib(program: &Program) -> anyhow::Result<f64> {
    mib(program, "VmHWM:")
}

/// From now on the peak is what is resident now, or more.
pub(crate) fn forget_peak(program: &Program) -> anyhow::Result<()> {
    std::fs::write(format!("/proc/{}/clear_refs", program.0.id()), "5")
        .context("Linux does not forget the most that was resident")
}

fn mib(program: &Program, name: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.0.id()))?;
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .context("Linux does not tell the resident memory")?
        .parse()?;
    Ok(kib / 1024.0)
}
