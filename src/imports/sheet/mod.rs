//! Reads rows out of workbooks and CSV files that nobody vouches for: with bounded memory, in bounded time.
//!
//! ```text
//! format (what is it?) -> archive (may it be opened?) -> workbook \
//!                                                                 header -> rows -> Sink
//!                     \-> separated (CSV) ------------------------/
//! ```
//!
//! Invariants:
//! * memory is the file, what was asked for by [`Sink::need`], and a few MiB;
//! * a part of a workbook is inflated to its end, through limits, before anything else reads it;
//! * whatever the bytes are, there are rows, or it is said what is wrong: nothing panics.

mod archive;
mod format;
mod guard;
pub mod header;
mod markup;
mod number;
mod rows;
mod separated;
#[cfg(test)]
mod tests;
mod text;
mod workbook;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::{format::Format, header::Titles};
use super::{cells::Cell, kind::Column};
use crate::error::{Error, Violation};

/// A file.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub bytes: &'a [u8],
    /// What it is called. May be empty.
    pub filename: &'a str,
    /// The sheet to read; `None`: the first one that has the columns.
    pub sheet: Option<&'a str>,
}

impl std::fmt::Debug for Source<'_> {
    /// Without what is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({} bytes)", self.bytes.len())
    }
}

/// Which rows there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The name of the sheet. Empty for CSV.
    pub sheet: String,
    /// The row of the titles, counted from 1.
    pub row: u32,
    /// Every column that has a title, from the left.
    pub columns: Vec<Titled>,
}

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Titled {
    /// Counted from 0.
    pub place: u32,
    pub title: String,
    /// Which column of the kind it is, by its place there; `None`: it is ignored.
    pub known: Option<usize>,
}

/// Takes what is read. Whatever it refuses ends the reading.
pub trait Sink {
    /// So much memory will be needed besides, until the end of reading. Every so often none is asked for, so that an
    /// import that was given up ends.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when there is none to be had; when the import was given up.
    fn need(&mut self, bytes: usize) -> Result<(), Error>;

    /// The head, once it is found.
    ///
    /// # Errors
    /// As its rows.
    fn head(&mut self, head: Head) -> Result<(), Error>;

    /// A row that is not empty, by its number counted from 1; a cell for each column of the head.
    ///
    /// # Errors
    /// [`Error::LimitReached`]; when the import was given up.
    fn row(&mut self, number: u32, cells: &[Cell<'_>]) -> Result<(), Error>;

    /// How much of the file is read, from 0 to 1.
    fn progress(&mut self, done: f64);
}

/// Why there are no rows.
#[derive(Debug)]
pub enum Unread {
    /// Something is wrong with the file: everything that is.
    File(Vec<Violation>),
    /// The sink did not go on.
    Stopped(Error),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Stopped(error)
    }
}

/// Reads a file: its head, and then all of its rows.
///
/// # Errors
/// [`Unread`].
pub fn read(source: Source<'_>, columns: &[Column], sink: &mut dyn Sink) -> Result<(), Unread> {
    let titles = Titles::new(columns);
    match format::of(source.bytes, source.filename)? {
        Format::Workbook => workbook::read(source, &titles, sink),
        Format::Text => separated::read(source, &titles, sink),
    }
}

/// Something is wrong with the file as a whole.
fn refused(reason: &'static str, description: impl Into<String>) -> Unread {
    Unread::File(vec![Violation::new("file", reason, description)])
}

/// Calls a crate that reads what nobody vouches for. calamine computes the places of cells without a look at how large
/// they are, and panics where that is checked, as in tests; what else may be in it, or in the crates below it, is not
/// known: a file that makes one of them panic is a broken one. Nothing of theirs is used after that.
fn caught<T, E: Into<Unread>>(call: impl FnOnce() -> Result<T, E>) -> Result<T, Unread> {
    catch_unwind(AssertUnwindSafe(call))
        .map_or_else(|_| Err(archive::broken()), |r| r.map_err(Into::into))
}

/// A text without what cannot be seen at its ends, in one form of Unicode, as texts of files are.
#[must_use]
pub fn clean(text: &str) -> String {
    text::clean(text.into()).into_owned()
}
