//! The table.

use std::{fmt, num::NonZero};

use tap_analytics::clock::Clock;

/// Collects the rows, and prints them as Markdown.
#[derive(Debug)]
pub(crate) struct Report {
    postgres: String,
    rows: Vec<Row>,
}

/// A row of the table.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) measured: String,
    /// What was measured beside it.
    pub(crate) baseline: String,
    pub(crate) ratio: String,
    pub(crate) target: &'static str,
}

impl Report {
    pub(crate) fn new(postgres: String) -> Self {
        Self { postgres, rows: Vec::new() }
    }

    /// Adds a row, and tells it at once.
    pub(crate) fn add(&mut self, row: Row) {
        super::progress(&row);
        self.rows.push(row);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let day = Clock::system().now().date_naive();
        writeln!(
            f,
            "Measured on {day}: {cores} cores ({}), PostgreSQL {}; client, service and database on the same machine.\n",
            processor().as_deref().unwrap_or("unknown"),
            self.postgres
        )?;
        writeln!(f, "| work | measured | beside it | ratio | target |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { work, measured, baseline, ratio, target } = self;
        write!(f, "| {work} | {measured} | {baseline} | {ratio} | {target} |")
    }
}

/// What Linux calls the processor.
fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(": ")?.1.trim().to_owned())
}
