//! What can be wrong with a user, each made once in turn.

use fastrand::Rng;

use super::{Made as Cell, Person};
use crate::{
    imports::{
        cells::Form,
        people::{EMAIL, GENDER, NAMES, NID, PHONE},
    },
    reasons,
};

/// A fault of one cell.
#[derive(Debug)]
pub(super) struct Made {
    /// Of the column.
    pub(super) place: usize,
    pub(super) reason: &'static str,
    pub(super) warning: bool,
    /// The cell of this user with the fault.
    pub(super) make: fn(&Person, &mut Rng) -> Cell,
}

/// A fault by which a row is bad.
const fn bad(place: usize, reason: &'static str, make: fn(&Person, &mut Rng) -> Cell) -> Made {
    Made { place, reason, warning: false, make }
}

/// One by which it is doubtful.
const fn doubtful(place: usize, reason: &'static str, make: fn(&Person, &mut Rng) -> Cell) -> Made {
    Made { place, reason, warning: true, make }
}

/// Columns of which two rows have the same.
pub(super) const DUPLICATED: &[usize] = &[NID, PHONE, EMAIL];

/// Every fault by which a row is bad. None has a formula without a value: those that write workbooks calculate.
pub(super) const MADE: &[Made] = &[
    bad(NAMES, reasons::EMPTY, |_, _| Cell::text("")),
    bad(NID, reasons::NID_LENGTH, |it, rng| Cell::text(head(&it.nid, rng.usize(9..16)))),
    bad(PHONE, reasons::PHONE_LENGTH, |it, _| Cell::text(format!("0{}", head(&it.phone, 8)))),
    bad(GENDER, reasons::UNKNOWN_GENDER, |_, _| Cell::text("unknown")),
    bad(EMAIL, reasons::MALFORMED_EMAIL, |it, _| Cell::text(it.email.replace('@', " at "))),
    bad(NAMES, reasons::TOO_LONG, |it, _| Cell::text(format!("{} {}", it.first, "Ka".repeat(100)))),
    bad(NID, reasons::EMPTY, |_, _| Cell::text("")),
    bad(PHONE, reasons::EMPTY, |_, _| Cell::text("")),
    bad(GENDER, reasons::EMPTY, |_, _| Cell::text("")),
    bad(EMAIL, reasons::EMPTY, |_, _| Cell::text("")),
    bad(NAMES, reasons::MALFORMED_TEXT, |it, _| Cell::text(format!("{}\n{}", it.first, it.last))),
    bad(NID, reasons::NOT_DIGITS, |it, _| Cell::text(format!("{}X", head(&it.nid, 15)))),
    bad(PHONE, reasons::NOT_DIGITS, |_, _| Cell::text("none")),
    bad(NAMES, reasons::NO_LETTERS, |_, rng| Cell::number(rng.u32(1..100_000).to_string())),
    bad(NID, reasons::NID_PREFIX, |it, _| Cell::text(format!("7{}", tail(&it.nid, 1)))),
    bad(PHONE, reasons::UNKNOWN_PHONE, |it, _| Cell::text(format!("011{}", tail(&it.phone, 2)))),
    bad(EMAIL, reasons::TOO_LONG, |it, _| {
        Cell::text(format!("{}.{}example.com", it.email, "mail.".repeat(50)))
    }),
    bad(NAMES, reasons::LOOKS_LIKE_FORMULA, |it, _| Cell::text(format!("@{}", it.first))),
    bad(NID, reasons::NID_BIRTH_YEAR, |it, _| Cell::text(format!("11850{}", tail(&it.nid, 5)))),
    bad(PHONE, reasons::SEVERAL_PHONES, |it, _| Cell::text(format!("0{}/0780000000", it.phone))),
    bad(NID, reasons::DIGITS_LOST, |it, _| Cell::number(format!("{}0", head(&it.nid, 15)))),
    bad(PHONE, reasons::DIGITS_LOST, |it, _| Cell::text(format!("2.50{}E+11", head(&it.phone, 3)))),
    bad(GENDER, reasons::CELL_ERROR, |_, _| Cell { text: "#N/A".to_owned(), form: Form::Error }),
    bad(NID, reasons::WRONG_CELL_TYPE, |_, rng| Cell {
        text: format!("{}-0{}-1{}", rng.u32(1950..2008), rng.u32(1..10), rng.u32(..10)),
        form: Form::Date,
    }),
];

/// Every fault by which a row is doubtful.
pub(super) const WARNED: &[Made] = &[
    doubtful(PHONE, reasons::ZEROS_LOST, |it, _| Cell::number(it.phone.as_str())),
    doubtful(NID, reasons::STORED_AS_NUMBER, |it, _| Cell::number(it.nid.as_str())),
    doubtful(GENDER, reasons::GENDER_GUESSED, |it, _| {
        Cell::text(if it.man { "Maale" } else { "Femal" })
    }),
    doubtful(GENDER, reasons::GENDER_DIFFERS, |it, _| Cell::text(if it.man { "F" } else { "M" })),
];

/// The first characters.
fn head(digits: &str, count: usize) -> &str {
    digits.get(..count).unwrap_or(digits)
}

/// What is behind them.
fn tail(digits: &str, count: usize) -> &str {
    digits.get(count..).unwrap_or_default()
}
