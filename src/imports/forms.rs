//! What every rule asks first: whether there is something in a cell, and whether it can be read as text.

use super::{
    cells::{Cell, Form},
    kind::Findings,
};
use crate::reasons;

/// Digits that Excel keeps of a number. Those behind them become 0.
pub(super) const DIGITS_KEPT: usize = 15;

/// What is in a cell that must not be empty.
pub(super) fn required<'a>(
    cell: Cell<'a>,
    field: &str,
    findings: &mut Findings,
) -> Option<&'a str> {
    if is_blank(cell) {
        findings.bad(field, reasons::EMPTY, "is empty: it has to be there");
        return None;
    }
    optional(cell, field, findings)
}

/// What is in a cell that may be empty.
pub(super) fn optional<'a>(
    cell: Cell<'a>,
    field: &str,
    findings: &mut Findings,
) -> Option<&'a str> {
    let (reason, description) = match cell.form {
        _ if is_blank(cell) => return None,
        Form::Text if is_error(cell.text.trim()) => (reasons::CELL_ERROR, CELL_ERROR),
        Form::Text | Form::Number => return Some(cell.text.trim()),
        Form::Error => (reasons::CELL_ERROR, CELL_ERROR),
        Form::Formula => (
            reasons::FORMULA_WITHOUT_VALUE,
            "has a formula that was never calculated: open the file, save it again, or put the value there",
        ),
        Form::Bool => {
            (reasons::WRONG_CELL_TYPE, "is stored as true or false: store the column as Text")
        }
        Form::Date => {
            (reasons::WRONG_CELL_TYPE, "is stored as a date or a time: store the column as Text")
        }
    };
    findings.bad(field, reason, description);
    None
}

/// What is said of an error of the spreadsheet.
const CELL_ERROR: &str =
    "has an error of the spreadsheet in it, such as #REF!: put the value there";

/// Whether a text is an error of a spreadsheet: in CSV, and in reports, they are text.
fn is_error(text: &str) -> bool {
    const ERRORS: [&str; 10] = [
        "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!",
        "#ERROR!",
    ];
    text.starts_with('#') && ERRORS.iter().any(|error| text.eq_ignore_ascii_case(error))
}

/// Whether there is nothing in a cell. An error or a formula is something, whatever its text.
fn is_blank(cell: Cell<'_>) -> bool {
    !matches!(cell.form, Form::Error | Form::Formula) && cell.text.trim().is_empty()
}

/// A text without the apostrophe that keeps a spreadsheet from reading it as a number.
pub(super) fn without_apostrophe(text: &str) -> &str {
    text.strip_prefix(['\'', '\u{2019}']).unwrap_or(text).trim_start()
}

/// Whether a text is a number in scientific notation, as spreadsheets write long ones: `1.2E+15`.
pub(super) fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // Some countries write a comma there.
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    whole.len() == 1
        && digits(whole)
        && digits(fraction)
        && !exponent.is_empty()
        && digits(exponent)
}

/// Whether a number has lost digits: it has a fraction, or is written with an exponent.
pub(super) fn is_no_whole_number(text: &str, form: Form) -> bool {
    is_scientific(text) || (form == Form::Number && text.contains(['.', ',', 'e', 'E']))
}

/// What is said of digits that are lost.
pub(super) const DIGITS_LOST: &str = "is stored as a number that has lost digits: spreadsheets keep 15 of them. Store the column as Text, and put all digits there";

/// Whether a character is one that nobody sees, and that only confuses: controls, marks of direction, spaces without
/// width.
pub(super) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scientific_notation_is_told_from_other_text() {
        for text in ["1.19908E+15", "2.5E11", "1e9", "2,50786E+11", "4.E+3"] {
            assert!(is_scientific(text), "{text}");
        }
        for text in ["", "e", "E5", "1e", "12e5", "1.2.3e4", "1e5x", "04E10000", "x1e5"] {
            assert!(!is_scientific(text), "{text}");
        }
    }

    #[test]
    fn every_form_that_is_not_text_has_its_reason() {
        for (text, form, reason) in [
            ("", Form::Text, reasons::EMPTY),
            (" \u{a0}", Form::Text, reasons::EMPTY),
            ("", Form::Number, reasons::EMPTY),
            ("", Form::Error, reasons::CELL_ERROR),
            ("#REF!", Form::Error, reasons::CELL_ERROR),
            (" #n/a", Form::Text, reasons::CELL_ERROR),
            ("", Form::Formula, reasons::FORMULA_WITHOUT_VALUE),
            ("true", Form::Bool, reasons::WRONG_CELL_TYPE),
            ("2026-01-01", Form::Date, reasons::WRONG_CELL_TYPE),
        ] {
            let mut findings = Findings::default();
            assert_eq!(required(Cell { text, form }, "x", &mut findings), None);
            let found: Vec<_> = findings.violations.iter().map(|bad| bad.reason).collect();
            assert_eq!(found, [reason], "{text} {form:?}");
        }
        let mut findings = Findings::default();
        assert_eq!(optional(Cell::EMPTY, "x", &mut findings), None);
        assert_eq!(required(Cell::text(" a "), "x", &mut findings), Some("a"));
        assert_eq!(required(Cell::text("#REF! a"), "x", &mut findings), Some("#REF! a"));
        assert!(findings.violations.is_empty());
    }
}
