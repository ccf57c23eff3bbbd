//! Rows as a file again, with what is wrong with them: to be mended, and uploaded again.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use rust_xlsxwriter::{Format, Workbook};

use super::{
    budget::Reserved,
    cells::{Cell, FORMULA, Form},
    kind::Findings,
    model::{CELL_CHARS_MAX, Row, Status},
    review::{Shown, head_of, show},
    sheet::{Titled, header::folded},
    shelf::Import,
};
use crate::{
    error::{Error, Violation},
    reasons,
};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const CSV: &str = "text/csv; charset=utf-8";
/// What a cell takes beside its text, and what is said of a row, usually.
const CELL_BYTES: usize = 160;
const SAID_BYTES: usize = 256;
/// The title of the column of what is wrong.
const ERROR: &str = "error";
/// Rows of a sheet that has a row of titles.
const SHEET_ROWS_MAX: usize = 1_048_575;
/// With this Excel takes a CSV file for UTF-8.
const BOM: &str = "\u{feff}";

/// As which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    Xlsx,
    Csv,
}

/// A report, of what type it is, and the memory that it takes.
pub struct Report {
    pub content_type: &'static str,
    pub bytes: Bytes,
    pub reserved: Reserved,
}
says_nothing!(Report);

/// Writes the rows that are not valid, or all of them. Takes a core for a second.
///
/// # Errors
/// [`Error::FailedPrecondition`] while there are no rows, [`Error::LimitReached`] when there is no memory.
pub fn write(
    import: &Import,
    format: As,
    all: bool,
    mut reserved: Reserved,
) -> Result<Report, Error> {
    let (columns, rows) = {
        let held = import.held();
        (head_of(&held)?.columns.clone(), Arc::clone(&held.rows))
    };
    let wanted = || {
        let places = (0..).zip(rows.iter());
        places.filter(|(_, row)| all || row.status() != Status::Valid).take(SHEET_ROWS_MAX)
    };
    reserved.grow(wanted().map(|(_, row)| bytes_of(row, columns.len(), format)).sum())?;
    let lines = wanted().filter_map(|(place, row)| {
        let held = import.held();
        let head = held.head.as_ref()?;
        let shown = show(import, &held, head, (place, row));
        let cells = row.cells.iter().zip(&columns).filter(|(_, titled)| is_kept(titled));
        let mut line: Vec<String> =
            cells.map(|(cell, titled)| written(import, &shown, titled, cell)).collect();
        line.push(said(&shown.findings, row.skipped));
        Some(line)
    });
    let kept = columns.iter().filter(|titled| is_kept(titled));
    let titles: Vec<String> =
        kept.map(|titled| titled.title.clone()).chain([ERROR.to_owned()]).collect();
    let (content_type, bytes) = match format {
        As::Xlsx => (XLSX, xlsx(&titles, lines).map_err(Error::internal)?),
        As::Csv => (CSV, csv(titles, lines).map_err(Error::internal)?),
    };
    reserved.shrink_to(bytes.len());
    Ok(Report { content_type, bytes: bytes.into(), reserved })
}

/// What a row takes at most while a report is written.
fn bytes_of(row: &Row, columns: usize, format: As) -> usize {
    match format {
        // Its line in a text, which grows by doubling.
        As::Csv => 2 * (row.bytes() + SAID_BYTES),
        // Its cells, and the texts that are in them, each once more in what is packed.
        As::Xlsx => 2 * (row.bytes() + SAID_BYTES) + columns * CELL_BYTES,
    }
}

/// Whether a column is to be in a report. What an earlier report has said is not: it is said anew.
fn is_kept(titled: &Titled) -> bool {
    titled.known.is_some() || folded(&titled.title) != ERROR
}

/// A cell as text. A number that has lost digits is written as one that has, or it would be whole when it comes back.
fn written(import: &Import, shown: &Shown, titled: &Titled, cell: Cell<'_>) -> String {
    let column = titled.known.and_then(|known| import.new.kind.columns().get(known));
    let is_lost = |bad: &Violation| {
        bad.reason == reasons::DIGITS_LOST && column.is_some_and(|column| column.field == bad.field)
    };
    let lost = cell.form == Form::Number && shown.findings.violations.iter().any(is_lost);
    match cell.text.parse::<f64>() {
        Ok(number) if lost => format!("{number:E}"),
        _ => cell.text.to_owned(),
    }
}

/// All that is wrong, in a line.
fn said(findings: &Findings, skipped: bool) -> String {
    let bad = |bad: &Violation| format!("{} {} ({})", bad.field, bad.description, bad.reason);
    let warning = |warning: &Violation| format!("look at: {}", bad(warning));
    let skipped = skipped.then(|| "left out".to_owned());
    let all = findings.violations.iter().map(bad).chain(findings.warnings.iter().map(warning));
    skipped.into_iter().chain(all).collect::<Vec<_>>().join("; ")
}

fn xlsx(titles: &[String], lines: impl Iterator<Item = Vec<String>>) -> anyhow::Result<Vec<u8>> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let bold = Format::new().set_bold();
    for (column, title) in (0..).zip(titles) {
        sheet.write_string_with_format(0, column, short(title), &bold)?;
    }
    for (row, line) in (1..).zip(lines) {
        for (column, text) in (0..).zip(&line) {
            // As text, whatever it looks like: numbers keep their zeros, and formulas are none.
            if !text.is_empty() {
                sheet.write_string(row, column, short(text))?;
            }
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    workbook.save_to_buffer().context("cannot write a workbook")
}

fn short(text: &str) -> String {
    text.chars().take(CELL_CHARS_MAX).collect()
}

fn csv(titles: Vec<String>, lines: impl Iterator<Item = Vec<String>>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(BOM.as_bytes().to_vec());
    for line in std::iter::once(titles).chain(lines) {
        writer.write_record(line.iter().map(|text| harmless(text)))?;
    }
    writer.into_inner().context("cannot write CSV")
}

/// A text that no program takes for a formula. What is read from a CSV file loses the mark again.
fn harmless(text: &str) -> String {
    let mark = if text.starts_with(FORMULA) { "'" } else { "" };
    format!("{mark}{text}")
}
