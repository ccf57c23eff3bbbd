//! Files of every kind, as the tests make them.

#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

#[expect(unreachable_pub, reason = "it is a module of other tests, too")]
#[path = "../../../../tests/it/app/books.rs"]
mod books;
mod csv;
mod heads;
mod hostile;
mod random;
mod values;

use super::*;
use crate::{
    imports::{
        cells::Form,
        kind::{Findings, Rules},
    },
    reasons,
};

#[expect(clippy::unnecessary_wraps, reason = "it is a rule as others are")]
fn kept(cell: Cell<'_>, _: &Rules, _: &mut Findings) -> Option<String> {
    Some(cell.text.to_owned())
}

const fn column(field: &'static str, aliases: &'static [&'static str], required: bool) -> Column {
    Column { field, aliases, required, unique: false, check: kept }
}

/// As those of users.
const COLUMNS: &[Column] = &[
    column("names", &["Name", "Full name", "Prénom"], true),
    column("nid", &["National ID"], true),
    column("phone", &["PhoneNumber"], true),
    column("gender", &["Sex"], false),
    column("email", &[], false),
];

/// Keeps what it gets.
#[derive(Default)]
struct Kept {
    head: Option<Head>,
    rows: Vec<(u32, Vec<(String, Form)>)>,
    needed: usize,
    /// `None`: as much as is asked for.
    budget: Option<usize>,
    done: Vec<f64>,
    asked: usize,
    /// It gives up when it is asked for the so manieth time.
    patience: Option<usize>,
}

impl Sink for Kept {
    fn need(&mut self, bytes: usize) -> Result<(), Error> {
        self.needed += bytes;
        self.asked += 1;
        if self.budget.is_some_and(|budget| self.needed > budget)
            || self.patience == Some(self.asked)
        {
            return Err(Error::Invalid(Vec::new()));
        }
        Ok(())
    }

    fn head(&mut self, head: Head) -> Result<(), Error> {
        assert!(self.head.replace(head).is_none());
        Ok(())
    }

    fn row(&mut self, number: u32, cells: &[Cell<'_>]) -> Result<(), Error> {
        let head = self.head.as_ref().unwrap();
        assert_eq!(cells.len(), head.columns.len());
        assert!(number > self.rows.last().map_or(head.row, |row| row.0));
        assert!(cells.iter().any(|cell| !cell.is_empty()));
        let cells = cells.iter().map(|cell| (cell.text.to_owned(), cell.form));
        self.rows.push((number, cells.collect()));
        Ok(())
    }

    fn progress(&mut self, done: f64) {
        assert!((0.0..=1.0).contains(&done));
        self.done.push(done);
    }
}

impl Kept {
    fn texts(&self) -> Vec<(u32, Vec<&str>)> {
        self.rows
            .iter()
            .map(|(number, cells)| (*number, cells.iter().map(|(text, _)| text.as_str()).collect()))
            .collect()
    }
}

/// Reads a file that has a name, or a sheet to be read.
fn read_as(bytes: &[u8], filename: &str, sheet: Option<&str>) -> Result<Kept, Vec<Violation>> {
    let mut kept = Kept::default();
    match read(Source { bytes, filename, sheet }, COLUMNS, &mut kept) {
        Ok(()) => Ok(kept),
        Err(Unread::File(violations)) => {
            assert!(!violations.is_empty() && kept.done.last() != Some(&1.0));
            Err(violations)
        }
        Err(Unread::Stopped(error)) => panic!("{error}"),
    }
}

fn read_file(bytes: &[u8]) -> Kept {
    read_as(bytes, "", None).unwrap_or_else(|violations| panic!("{violations:?}"))
}

/// Why a file is not read: the only reason.
fn reason(bytes: &[u8]) -> &'static str {
    reason_as(bytes, "", None).reason
}

fn reason_as(bytes: &[u8], filename: &str, sheet: Option<&str>) -> Violation {
    match read_as(bytes, filename, sheet) {
        Ok(kept) => panic!("it was read: {:?}", kept.texts().iter().take(5).collect::<Vec<_>>()),
        Err(violations) => {
            assert_eq!(violations.len(), 1, "{violations:?}");
            violations.into_iter().next().unwrap()
        }
    }
}
