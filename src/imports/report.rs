//! Rows as a file again, with what is wrong with them: to be mended, and uploaded again.

use std::sync::Arc;

use anyhow::Context as _;
use rust_xlsxwriter::{Format, Workbook};

use super::{
    cells::FORMULA,
    kind::Findings,
    model::Status,
    review::{head_of, show},
    shelf::Import,
};
use crate::error::{Error, Violation};

/// The title of the column of what is wrong.
const ERROR: &str = "error";
/// Rows of a sheet that has a row of titles.
const SHEET_ROWS_MAX: usize = 1_048_575;
/// Characters of a cell.
const CELL_CHARS_MAX: usize = 32_767;
/// With this Excel takes a CSV file for UTF-8.
const BOM: &str = "\u{feff}";

/// As which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    Xlsx,
    Csv,
}

/// A report, and of what type it is.
#[derive(Debug)]
pub struct Report {
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

/// Writes the rows that are not valid, or all of them. Takes a core for a second.
///
/// # Errors
/// [`Error::FailedPrecondition`] while there are no rows, [`Error::LimitReached`] when there is no memory.
pub fn write(import: &Arc<Import>, format: As, all: bool) -> Result<Report, Error> {
    let (titles, rows) = {
        let held = import.held();
        let head = head_of(&held)?;
        let titles: Vec<String> = head.columns.iter().map(|titled| titled.title.clone()).collect();
        (titles, Arc::clone(&held.rows))
    };
    let places = (0..).zip(rows.iter());
    let wanted =
        places.filter(|(_, row)| all || row.status() != Status::Valid).take(SHEET_ROWS_MAX);
    let lines = wanted.filter_map(|(place, row)| {
        let held = import.held();
        let head = held.head.as_ref()?;
        let shown = show(import, &held, head, (place, row));
        let mut line: Vec<String> = row.cells.iter().map(|cell| cell.text.to_owned()).collect();
        line.push(said(&shown.findings, row.skipped));
        Some(line)
    });
    let titles: Vec<String> = titles.into_iter().chain([ERROR.to_owned()]).collect();
    match format {
        As::Xlsx => xlsx(&titles, lines).map_err(Error::internal),
        As::Csv => csv(titles, lines).map_err(Error::internal),
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

fn xlsx(titles: &[String], lines: impl Iterator<Item = Vec<String>>) -> anyhow::Result<Report> {
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
    let bytes = workbook.save_to_buffer().context("cannot write a workbook")?;
    let content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    Ok(Report { content_type, bytes })
}

fn short(text: &str) -> String {
    text.chars().take(CELL_CHARS_MAX).collect()
}

fn csv(titles: Vec<String>, lines: impl Iterator<Item = Vec<String>>) -> anyhow::Result<Report> {
    let mut writer = csv::Writer::from_writer(BOM.as_bytes().to_vec());
    for line in std::iter::once(titles).chain(lines) {
        writer.write_record(line.iter().map(|text| harmless(text)))?;
    }
    let bytes = writer.into_inner().context("cannot write CSV")?;
    Ok(Report { content_type: "text/csv; charset=utf-8", bytes })
}

/// A text that no program takes for a formula. What is read from a CSV file loses the mark again.
fn harmless(text: &str) -> String {
    let mark = if text.starts_with(FORMULA) { "'" } else { "" };
    format!("{mark}{text}")
}
