//! The lines of a CSV file: read one by one, with progress, and reported by number when they are bad.

use std::{
    collections::HashMap,
    fs::File,
    io::IsTerminal as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use csv::{ErrorKind, StringRecord};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{error::Violation, reasons};

/// How often a line of progress is written where there is no terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// A CSV file with a header.
#[derive(Debug)]
pub struct Lines {
    name: String,
    reader: csv::Reader<File>,
    columns: Arc<HashMap<String, usize>>,
    bytes: u64,
    bar: ProgressBar,
    told: Instant,
    /// Lines that were reported.
    pub bad: u64,
}

/// A line that could be read.
#[derive(Debug)]
pub struct Line {
    number: u64,
    record: StringRecord,
    columns: Arc<HashMap<String, usize>>,
}

impl Lines {
    /// Opens a file and finds its columns, in any order; columns that are not asked for are allowed.
    ///
    /// # Errors
    /// When the file cannot be read, or lacks one of the columns.
    pub fn open(path: &Path, required: &[&str]) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        let bytes = file.metadata()?.len();
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            // So that lines are counted right; a carriage return before it is trimmed.
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(file);
        let header =
            reader.headers().with_context(|| format!("cannot read the header of {name}"))?;
        let columns: HashMap<String, usize> =
            header.iter().enumerate().map(|(at, column)| (column.to_owned(), at)).collect();
        let missing: Vec<&str> =
            required.iter().copied().filter(|column| !columns.contains_key(*column)).collect();
        if !missing.is_empty() {
            bail!(
                "{name} lacks the columns {}: its first line must name them, separated by commas",
                missing.join(", ")
            );
        }

        // Draws nothing where there is no terminal.
        let bar = ProgressBar::new(bytes).with_message(name.clone());
        bar.set_style(ProgressStyle::with_template(
            "{msg} [{bar:30}] {percent}% {bytes_per_sec}, {eta} left",
        )?);
        Ok(Self {
            name,
            reader,
            columns: Arc::new(columns),
            bytes,
            bar,
            told: Instant::now(),
            bad: 0,
        })
    }

    /// The next line that is text. Lines that are not are reported and passed over.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            let mut record = StringRecord::new();
            match self.reader.read_record(&mut record) {
                Ok(false) => return Ok(None),
                Ok(true) => {
                    let number = record.position().map_or(0, csv::Position::line);
                    self.tell_progress();
                    return Ok(Some(Line { number, record, columns: Arc::clone(&self.columns) }));
                }
                Err(error) if matches!(error.kind(), ErrorKind::Utf8 { .. }) => {
                    let number = error.position().map_or(0, csv::Position::line);
                    self.report_text(number, "is not UTF-8 text");
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", self.name));
                }
            }
        }
    }

    /// Tells what is wrong with a line.
    pub fn report(&mut self, line: &Line, violations: &[Violation]) {
        let texts: Vec<String> = violations
            .iter()
            .map(|v| format!("{} {} ({})", v.field, v.description, v.reason))
            .collect();
        self.report_text(line.number, &texts.join("; "));
    }

    fn report_text(&mut self, number: u64, text: &str) {
        self.bad += 1;
        self.bar.suspend(|| eprintln!("{} line {number}: {text}", self.name));
    }

    /// Ends the progress and says what was done.
    pub fn finish(&self, done: &str) {
        self.bar.finish_and_clear();
        let lines = if self.bad == 1 { "line" } else { "lines" };
        eprintln!("{}: {done}, {} {lines} left out", self.name, self.bad);
    }

    fn tell_progress(&mut self) {
        let at = self.reader.position().byte();
        self.bar.set_position(at);
        if self.told.elapsed() >= PROGRESS_INTERVAL && !std::io::stderr().is_terminal() {
            self.told = Instant::now();
            eprintln!("{}: {} %", self.name, at * 100 / self.bytes.max(1));
        }
    }
}

impl Line {
    /// The field of a column; empty where the file has no such column.
    #[must_use]
    pub fn field(&self, column: &str) -> &str {
        self.columns.get(column).and_then(|at| self.record.get(*at)).unwrap_or_default()
    }

    /// What is wrong with the line as a whole.
    #[must_use]
    pub fn shape_violations(&self) -> Vec<Violation> {
        let (fields, columns) = (self.record.len(), self.columns.len());
        if fields == columns {
            return Vec::new();
        }
        let text = format!("has {fields} fields where the header has {columns}");
        vec![Violation::new("line", reasons::FIELD_COUNT, text)]
    }
}
