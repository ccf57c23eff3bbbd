//! `tap-analytics import`: checks a file on this machine, by the same rules as the service, and stores it when told to.
//!
//! What a script would read goes to standard output; progress and what a person is told go to standard error.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    budget::{Limits, Reserved},
    commit::{Committer, Wanted},
    kind::Kind,
    model::{Committed, FILE_BYTES_MAX, Mode, Plan, State},
    parts::{Desk, Settings},
    people::Region,
    report::{self, As},
    sample,
    shelf::{Import, New},
    upload::Uploader,
};
use crate::{
    access,
    clock::Clock,
    db::Db,
    etag::Expected,
    ids::TeamId,
    secrets::Secrets,
    tags::{directory::TagDirectory, registry::Registry},
};

/// Memory that a file may take here: it has the program to itself.
const BYTES_MAX: usize = 2 << 30;

/// What to import.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// The file: .xlsx or .csv, at most 20 MiB.
    pub file: PathBuf,
    /// What is in it.
    #[arg(long, value_enum)]
    pub kind: Kind,
    /// Slug of the team.
    #[arg(long)]
    pub team: String,
    /// The sheet to read. Default: the first one that has the columns.
    #[arg(long)]
    pub sheet: Option<String>,
    /// The region that phone numbers without a country code and national ids are of: two letters of ISO 3166.
    #[arg(long, default_value = "RW", value_parser = parse_region)]
    pub region: Region,
    /// Write the rows that are not valid, with what is wrong with them, to this file: .xlsx or .csv.
    #[arg(long, value_name = "FILE", value_parser = parse_report)]
    pub report: Option<PathBuf>,
    /// Store the rows. Without it they are only checked.
    #[arg(long)]
    pub commit: bool,
    /// Store the rows that are valid, and leave out the others. Without it nothing is stored if a row is bad.
    #[arg(long, requires = "commit")]
    pub valid_only: bool,
}

/// What to make up.
#[derive(clap::Args, Debug)]
pub struct Sample {
    /// Where to write it: an .xlsx file.
    pub file: PathBuf,
    /// How many rows.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rows: u32,
    /// The same seed makes the same rows.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

fn parse_region(text: &str) -> Result<Region, String> {
    Region::parse(text).ok_or_else(|| "write two letters such as RW or KE".to_owned())
}

fn parse_report(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    report_as(&path).map(|_| path).ok_or_else(|| "its name must end in .xlsx or .csv".to_owned())
}

fn report_as(path: &Path) -> Option<As> {
    let ending = path.extension()?.to_str()?;
    match ending.to_ascii_lowercase().as_str() {
        "xlsx" => Some(As::Xlsx),
        "csv" => Some(As::Csv),
        _ => None,
    }
}

/// Writes made-up users, with every fault there is.
///
/// # Errors
/// When the file cannot be written.
pub fn sample(sample: &Sample) -> anyhow::Result<()> {
    let rows = usize::try_from(sample.rows)?;
    let bytes = sample::write_users_xlsx(rows, sample.seed)?;
    let name = sample.file.display();
    std::fs::write(&sample.file, &bytes).with_context(|| format!("cannot write {name}"))?;
    eprintln!("{name}: {rows} rows, {} KiB, seed {}", bytes.len() / 1024, sample.seed);
    Ok(())
}

/// Checks a file, and stores it when told to.
///
/// # Errors
/// When the file or the store cannot be read, or when it could not be stored.
pub async fn run(db: Db, clock: &Clock, options: Options) -> anyhow::Result<()> {
    let team = access::command::find_team(&db, &options.team).await?.id;
    let name = options.file.display().to_string();
    let file = std::fs::read(&options.file).with_context(|| format!("cannot read {name}"))?;
    if file.len() > FILE_BYTES_MAX {
        bail!("{name} has more than {} MiB: split it", FILE_BYTES_MAX >> 20);
    }
    let (uploader, committer) = desk(db, clock, team).await?;
    let import = check(&uploader, team, &options, file).await?;
    say_counts(&name, &import);
    if let Some(path) = &options.report {
        write_report(&import, path, uploader.shelf.budget.open_report(team))?;
    }
    if options.commit {
        return commit(&committer, &import, &options).await;
    }
    let (bad, plan) = {
        let held = import.held();
        (held.counts.bad(), held.counts.plan)
    };
    eprintln!("nothing is stored yet: {}", would(plan));
    let valid_only =
        if bad > 0 { " --valid-only, or mend the bad rows and use --commit" } else { "" };
    eprintln!("store it by the same command with --commit{valid_only}");
    Ok(())
}

/// What works on imports, without a service.
async fn desk(db: Db, clock: &Clock, team: TeamId) -> anyhow::Result<(Uploader, Committer)> {
    let secrets = Secrets::load(&db).await?;
    let tags = Arc::new(TagDirectory::new(db.clone()));
    tags.refresh_team(team).await?;
    let registry =
        Registry { db: db.clone(), directory: tags, clock: clock.clone(), tags_max: usize::MAX };
    let (commits, clock) = (db.clone(), clock.clone());
    let settings = Settings {
        limits: Limits { import_bytes: BYTES_MAX, bytes: BYTES_MAX },
        idle: TimeDelta::days(1),
        users_max: i64::MAX,
    };
    Ok(Desk { db, commits, clock, secrets: &secrets, tags: registry, settings }.open())
}

/// Checks the file, and shows how far that is.
async fn check(
    uploader: &Uploader,
    team: TeamId,
    options: &Options,
    file: Vec<u8>,
) -> anyhow::Result<Arc<Import>> {
    let Options { kind, region, sheet, .. } = options;
    let new = New { kind: *kind, sheet: sheet.clone(), region: *region };
    let filename = options.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let import = uploader.check(team, new, filename, file)?;
    follow(&import, "checking").await?;
    let held = import.held();
    if held.state != State::Ready {
        let errors: Vec<String> = held
            .errors
            .iter()
            .map(|bad| format!("{} {} ({})", bad.field, bad.description, bad.reason))
            .collect();
        bail!("{} cannot be imported:\n  {}", options.file.display(), errors.join("\n  "));
    }
    drop(held);
    Ok(import)
}

/// Shows a bar until nothing more happens by itself.
async fn follow(import: &Import, what: &'static str) -> anyhow::Result<()> {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(1_000)
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(ProgressStyle::with_template("{prefix} [{bar:40}] {percent:>3} % {msg}")?);
    bar.set_prefix(what);
    let mut changes = import.changes.subscribe();
    loop {
        changes.mark_unchanged();
        let (rests, progress, rows) = {
            let held = import.held();
            (held.state.rests(), held.progress, held.counts.total)
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        bar.set_position((progress * 1_000.0) as u64);
        bar.set_message(format!("{rows} rows"));
        if rests {
            bar.finish_and_clear();
            return Ok(());
        }
        changes.changed().await.context("the import was lost")?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A summary for people.
fn say_counts(name: &str, import: &Import) {
    let held = import.held();
    let counts = &held.counts;
    let sheet = held.head.as_ref().map(|head| head.sheet.as_str()).unwrap_or_default();
    let sheet = if sheet.is_empty() { String::new() } else { format!(", sheet {sheet}") };
    eprintln!(
        "{name}{sheet}: {} rows, {} valid, {} invalid, {} duplicate; {} of the valid ones to look at",
        counts.total, counts.valid, counts.invalid, counts.duplicate, counts.warned
    );
    let ignored = held.head.iter().flat_map(|head| &head.columns);
    let ignored: Vec<&str> = ignored
        .filter(|titled| titled.known.is_none())
        .map(|titled| titled.title.as_str())
        .collect();
    if !ignored.is_empty() {
        eprintln!("columns that are ignored: {}", ignored.join(", "));
    }
    let mut faults: Vec<_> = counts.faults.iter().collect();
    faults.sort_by_key(|(fault, rows)| (std::cmp::Reverse(**rows), **fault));
    let mut out = std::io::stdout().lock();
    for (fault, rows) in faults {
        let warning = if fault.warning { " (to look at)" } else { "" };
        // Whoever reads it may have seen enough.
        if writeln!(out, "{rows:>8} {:<12} {}{warning}", fault.field, fault.reason).is_err() {
            break;
        }
    }
}

fn write_report(import: &Import, path: &Path, reserved: Reserved) -> anyhow::Result<()> {
    let format = report_as(path).context("the name of a report must end in .xlsx or .csv")?;
    let report = report::write(import, format, false, reserved)?;
    let name = path.display();
    std::fs::write(path, &report.bytes).with_context(|| format!("cannot write {name}"))?;
    eprintln!("{name}: the rows that are not valid, with what is wrong with them");
    Ok(())
}

async fn commit(committer: &Committer, import: &Import, options: &Options) -> anyhow::Result<()> {
    let mode = if options.valid_only { Mode::ValidOnly } else { Mode::AllOrNothing };
    let bad = import.held().counts.bad();
    if mode == Mode::AllOrNothing && bad > 0 {
        bail!(
            "{bad} rows are bad, and nothing is stored: mend them, or leave them out by --valid-only"
        );
    }
    let wanted = Wanted {
        team: import.team,
        import: import.id,
        mode,
        expected: Expected::Any,
        key: None,
        once: None,
    };
    let stored = async {
        let stored = committer.commit(wanted, ()).await.map_err(anyhow::Error::from)?;
        Ok::<_, anyhow::Error>(stored.committed)
    };
    let Committed { result, left_out, .. } = stored.await?;
    eprintln!("stored: {}; {left_out} rows left out", did(result));
    Ok(())
}

fn would(plan: Plan) -> String {
    let Plan { insert, update, unchanged, .. } = plan;
    format!("{insert} rows would be new, {update} changed, {unchanged} are there as they are")
}

fn did(plan: Plan) -> String {
    let Plan { insert, update, unchanged, .. } = plan;
    format!("{insert} rows are new, {update} changed, {unchanged} were there as they are")
}
