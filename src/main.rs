//! The command line.

use std::{io::Write as _, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tap_analytics::{
    access::command::{self, Keys, Teams, Tokens},
    clock::Clock,
    config::{Logs, Serve, Store},
    coupons::import,
    db::Db,
    docs,
    error::Error,
    imports::command as imports,
    memory, migrate,
    proto::DESCRIPTORS,
    server::{self, Parts},
    simulate,
    taps::seed,
    telemetry,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Counts the taps of NFC and QR tags, for many teams: gRPC here, JSON and gRPC-web through Envoy.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    logs: Logs,
    #[command(subcommand)]
    command: Command,
}

/// How long a statement of `seed` may run at least, in milliseconds.
const SEED_STATEMENT_MS: u32 = 600_000;

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Serve {
        #[command(flatten)]
        store: Store,
        #[command(flatten)]
        serve: Serve,
    },
    /// Bring the database to the newest schema. Safe to run at any time, also several at once.
    Migrate {
        #[command(flatten)]
        store: Store,
    },
    /// Load tags and taps from CSV files, and coupons from a JSON file. Safe to run again: what is there already is
    /// passed over.
    Seed {
        #[command(flatten)]
        store: Store,
        #[command(flatten)]
        files: seed::Files,
        #[command(flatten)]
        coupons: import::File,
    },
    /// Check a file of users or tags, and store it: at once, as the service does after a look at it.
    ///
    /// It prints how many rows have which fault. Nothing is stored without --commit.
    Import {
        #[command(flatten)]
        store: Store,
        #[command(flatten)]
        options: imports::Options,
    },
    /// Write a workbook of made-up users, with every fault there is: for trying imports out.
    SampleUsers {
        #[command(flatten)]
        sample: imports::Sample,
    },
    /// Record made-up taps, and send the events of made-up visits, as clients would, until stopped: for
    /// trying things out.
    ///
    /// About one tap in a hundred is sent twice and one in two hundred is wrong, and so is one event in
    /// fifty, on purpose: so that duplicates, rejected taps and event errors are seen too.
    Simulate {
        #[command(flatten)]
        options: simulate::Options,
    },
    /// Add and show teams.
    Teams {
        #[command(flatten)]
        store: Store,
        #[command(subcommand)]
        command: Teams,
    },
    /// Make, show, rotate and revoke API keys.
    Keys {
        #[command(flatten)]
        store: Store,
        #[command(subcommand)]
        command: Keys,
    },
    /// Replace what the tokens of browsers are signed with.
    Tokens {
        #[command(flatten)]
        store: Store,
        #[command(subcommand)]
        command: Tokens,
    },
    /// Write the protobuf descriptor set, which Envoy needs, to standard output.
    Descriptors,
    /// Write documentation to standard output.
    Docs {
        #[command(subcommand)]
        page: Docs,
    },
    /// Succeed if the service on this machine is ready: for the health checks of containers.
    Ready {
        /// Its private port.
        #[arg(long, env = "TAP_ADMIN_PORT", default_value_t = 9464)]
        admin_port: u16,
    },
}

#[derive(Debug, Subcommand)]
enum Docs {
    /// The page of errors, docs/errors.md.
    Errors,
    /// The description of the API, as it is served at /openapi.json.
    Openapi,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tap-analytics: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(cli));
    // A listener that waits for a dead database must not keep us.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Here the reader is the operator, who may know the cause.
            let text = match error.downcast_ref::<Error>() {
                Some(Error::StoreUnavailable(cause)) => format!(
                    "cannot reach the database: is PostgreSQL running, and is DATABASE_URL right? {cause:#}"
                ),
                Some(error) => error.log_text(),
                None => format!("{error:#}"),
            };
            eprintln!("tap-analytics: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    telemetry::start_logs(&cli.logs)?;
    let clock = Clock::system();
    match cli.command {
        Command::Serve { store, serve } => serve_until_signal(store, serve, clock).await,
        Command::Migrate { store } => {
            let applied = migrate::run(&store).await?;
            if applied.is_empty() {
                eprintln!("the schema is up to date");
            } else {
                eprintln!("applied {}", applied.join(", "));
            }
            Ok(())
        }
        Command::Seed { mut store, files, coupons } => {
            // Loading may take its time, and so may waiting for another run.
            store.db_statement_timeout_ms = store.db_statement_timeout_ms.max(SEED_STATEMENT_MS);
            let db = Db::new(&store)?;
            // Whoever names files of one kind wants no sample of the other.
            if files.tags.is_some() || !coupons.is_named() {
                seed::run(&db, &clock, &files).await?;
            }
            if files.tags.is_none() || coupons.is_named() {
                import::run(&db, &clock, &coupons).await?;
            }
            Ok(())
        }
        Command::Import { mut store, options } => {
            forbid_dumps()?;
            store.db_statement_timeout_ms = store.db_statement_timeout_ms.max(SEED_STATEMENT_MS);
            imports::run(Db::new(&store)?, &clock, options).await
        }
        Command::SampleUsers { sample } => imports::sample(&sample),
        Command::Simulate { options } => {
            let stop = CancellationToken::new();
            tokio::spawn(stop_on_signal(stop.clone()));
            simulate::run(&clock, &options, stop).await
        }
        Command::Teams { store, command } => command::teams(&Db::new(&store)?, command).await,
        Command::Keys { store, command } => command::keys(&Db::new(&store)?, &clock, command).await,
        Command::Tokens { store, command } => {
            command::tokens(&Db::new(&store)?, &clock, command).await
        }
        Command::Descriptors => Ok(std::io::stdout().write_all(DESCRIPTORS)?),
        Command::Docs { page } => {
            let text = match page {
                Docs::Errors => docs::errors(),
                Docs::Openapi => format!("{}\n", docs::openapi()?.json),
            };
            Ok(std::io::stdout().write_all(text.as_bytes())?)
        }
        Command::Ready { admin_port } => ready(admin_port).await,
    }
}

/// What customers said, and who is to be imported, waits in our memory: it must not get onto a disk when we crash.
fn forbid_dumps() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("cannot forbid crash dumps")?;
    // Also those that are handed to a program.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("cannot forbid crash dumps")?;
    Ok(())
}

async fn serve_until_signal(store: Store, serve: Serve, clock: Clock) -> anyhow::Result<()> {
    forbid_dumps()?;
    memory::keep_little();
    let bind = |addr, name| async move {
        TcpListener::bind(addr)
            .await
            .with_context(|| format!("cannot listen on {addr}: choose another port with {name}"))
    };
    let grpc = bind(serve.grpc_addr(), "TAP_GRPC_PORT").await?;
    let admin = bind(serve.admin_addr(), "TAP_ADMIN_PORT").await?;
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let metrics = Some(telemetry::start_metrics()?);
    server::serve(Parts { store, serve, clock, grpc, admin, metrics, stop }).await
}

async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    if let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    } else {
        tracing::error!("cannot listen for signals");
    }
    stop.cancel();
}

/// Asks the private port. By hand, as an HTTP client would be the largest part of the program.
async fn ready(admin_port: u16) -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", admin_port)).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer =
        tokio::time::timeout(Duration::from_secs(5), ask).await.context("no answer in 5 s")?;
    let answer = answer.with_context(|| {
        format!(
            "nothing answers on 127.0.0.1:{admin_port}: is it TAP_ADMIN_PORT, and is serve running?"
        )
    })?;
    anyhow::ensure!(
        answer.starts_with("HTTP/1.1 200"),
        "not ready: {}",
        answer.lines().last().unwrap_or_default()
    );
    Ok(())
}
