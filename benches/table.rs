//! `make bench`: what the performance table in the README is made by.
//!
//! Everything is measured in one run against a baseline of the same run, as a ratio: numbers of
//! different machines cannot be compared, ratios mostly can. The table goes to standard output as
//! Markdown, progress to standard error. Without `TAP_BENCH_DATABASE_URL` it starts a private
//! PostgreSQL with the durability that PostgreSQL has by default, and deletes it at the end.

mod measure;

use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use measure::{
    admission, cached, coupons, dialogs, events, imports, link, live, messages, postgres::Postgres,
    process, query, report::Report, writing,
};

/// Measures tap-analytics beside what it is built on.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Args {
    /// Raw taps to measure queries over, in millions.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10], value_name = "MILLIONS",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    sizes: Vec<u32>,

    /// Also over 100 million taps: takes long, and much disk.
    #[arg(long)]
    taps_100m: bool,

    /// 1 million taps and short rounds: to see that it works, not to publish.
    #[arg(long)]
    quick: bool,

    /// Parts to run, by default all.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,

    /// A PostgreSQL to use, as a superuser reaches it. Databases named `tap_bench_*` are dropped and
    /// made in it.
    #[arg(long, env = "TAP_BENCH_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Start and idle memory of the program.
    Process,
    /// Key, quota and scope.
    Admission,
    /// Writing taps.
    Writing,
    /// Taking and storing events.
    Events,
    /// Redeeming coupons.
    Coupons,
    /// Taking and listing messages of dialogs.
    Dialogs,
    /// Importing users from a workbook.
    Imports,
    /// Streams.
    Live,
    /// The tap URL.
    Link,
    /// Queries that are counted.
    Query,
    /// Queries that are remembered.
    Cached,
}

/// How much to measure.
#[derive(Clone, Debug)]
struct Plan {
    /// Millions of taps, ascending.
    sizes: Vec<u32>,
    only: Vec<Part>,
    rounds: u32,
    round: Duration,
    write_batches: u32,
    events: events::Size,
    coupons: coupons::Size,
    dialogs: dialogs::Size,
    imports: imports::Size,
}

impl Plan {
    fn new(args: &Args) -> Self {
        let mut sizes = if args.quick { vec![1] } else { args.sizes.clone() };
        if args.taps_100m {
            sizes.push(100);
        }
        sizes.sort_unstable();
        sizes.dedup();
        Self {
            sizes,
            only: args.only.clone(),
            rounds: if args.quick { 3 } else { 7 },
            round: Duration::from_millis(if args.quick { 500 } else { 2000 }),
            write_batches: if args.quick { 10 } else { 60 },
            events: if args.quick {
                events::Size { events: 10_000, singles: 2_000, slow: Duration::from_secs(2) }
            } else {
                events::Size { events: 200_000, singles: 40_000, slow: Duration::from_secs(30) }
            },
            coupons: coupons::Size {
                fast: Duration::from_secs(if args.quick { 2 } else { 10 }),
                slow: Duration::from_secs(if args.quick { 2 } else { 30 }),
            },
            dialogs: dialogs::Size {
                dialogs: if args.quick { 2_000 } else { 20_000 },
                fast: Duration::from_secs(if args.quick { 2 } else { 10 }),
                lists: if args.quick {
                    messages::Size { messages: 150_000, calls: 30, sql_calls: 3 }
                } else {
                    messages::Size { messages: 1_000_000, calls: 300, sql_calls: 30 }
                },
            },
            imports: if args.quick {
                imports::Size { rows: 5_000, runs: 1, alone: 500, calls: 30 }
            } else {
                imports::Size { rows: 50_000, runs: 5, alone: 5_000, calls: 300 }
            },
        }
    }

    fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if !args.bench {
        // `cargo test --all-targets` starts benches, too.
        eprintln!("this takes minutes: run it by `make bench`");
        return Ok(());
    }
    let plan = Plan::new(&args);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let postgres = Postgres::start(args.database_url.as_deref())?;
        let ended = tokio::select! {
            ended = run(&postgres, &plan) => ended,
            () = interrupted() => Err(anyhow::anyhow!("interrupted")),
        };
        // Also after an error: nothing is left behind.
        postgres.clean_up().await?;
        ended
    })
}

async fn interrupted() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        },
        _ => std::future::pending().await,
    }
}

async fn run(postgres: &Postgres, plan: &Plan) -> anyhow::Result<()> {
    measure::warn_if_busy();
    let handle = measure::serve::start_telemetry()?;
    let mut report = Report::new(postgres.version().await?);

    if plan.has(Part::Process) {
        process::measure(postgres, plan.rounds, &mut report).await?;
    }
    if plan.has(Part::Admission) {
        admission::measure(postgres, &mut report).await?;
    }
    if plan.has(Part::Writing) {
        writing::measure(postgres, plan.write_batches, &handle, &mut report).await?;
    }
    if plan.has(Part::Events) {
        events::measure(postgres, plan.events, &mut report).await?;
    }
    if plan.has(Part::Coupons) {
        coupons::measure(postgres, plan.coupons, &mut report).await?;
    }
    if plan.has(Part::Dialogs) {
        dialogs::measure(postgres, plan.dialogs, &handle, &mut report).await?;
    }
    if plan.has(Part::Imports) {
        imports::measure(postgres, plan.imports, &mut report).await?;
    }
    if plan.has(Part::Live) {
        live::measure(postgres, plan.round * 5, &mut report).await?;
    }
    if plan.has(Part::Link) {
        link::measure(postgres, plan.round * 2, &mut report).await?;
    }
    if plan.has(Part::Query) || plan.has(Part::Cached) {
        for (nth, millions) in plan.sizes.iter().enumerate() {
            let store = measure::load::database(postgres, *millions).await?;
            if plan.has(Part::Query) {
                query::measure(&store, *millions, &handle, &mut report).await?;
            }
            if nth == 0 && plan.has(Part::Cached) {
                let rounds = cached::Rounds { count: plan.rounds, length: plan.round };
                cached::measure(&store, rounds, &handle, &mut report).await?;
            }
            postgres.drop_database(&store).await?;
        }
    }
    print!("{report}");
    Ok(())
}
