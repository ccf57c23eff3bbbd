//! National ids. In Rwanda: 16 digits, `TYYYYGNNNNNNNCII`, of which T is what the card is for (1 citizens, 2 refugees, 3
//! foreigners), YYYY the year of birth, and G the gender.

use chrono::Datelike;

use super::{Region, gender};
use crate::{
    imports::{
        cells::{Cell, Form},
        forms::{self, DIGITS_KEPT},
        kind::{Findings, Rules},
    },
    reasons,
};

pub(super) const FIELD: &str = "nid";
/// In Rwanda.
const DIGITS: usize = 16;
/// Nobody who is alive was born before.
const BIRTH_YEAR_MIN: i32 = 1900;
/// Characters elsewhere.
const CHARS_MIN: usize = 4;
const CHARS_MAX: usize = 32;

/// A bad id: the reason, and what would be right.
type Bad = (&'static str, String);

/// The id: in Rwanda its digits, elsewhere in capitals without spaces.
pub(super) fn check(cell: Cell<'_>, rules: &Rules, findings: &mut Findings) -> Option<String> {
    let text = forms::without_apostrophe(forms::required(cell, FIELD, findings)?);
    let checked = if rules.region == Region::DEFAULT {
        rwandan(text, cell.form, rules.now.year())
    } else {
        other(text, cell.form)
    };
    match checked {
        Ok(nid) => {
            if cell.form == Form::Number {
                let text = "is stored as a number, by which digits may be lost: look whether they are all there, and store the column as Text";
                findings.warn(FIELD, reasons::STORED_AS_NUMBER, text);
            }
            Some(nid)
        }
        Err((reason, description)) => {
            findings.bad(FIELD, reason, description);
            None
        }
    }
}

/// An id of Rwanda.
fn rwandan(text: &str, form: Form, this_year: i32) -> Result<String, Bad> {
    if forms::is_no_whole_number(text, form) {
        return Err((reasons::DIGITS_LOST, forms::DIGITS_LOST.to_owned()));
    }
    let Some(digits) = digits(text) else {
        let text = format!("must be {DIGITS} digits: there is something else in it");
        return Err((reasons::NOT_DIGITS, text));
    };
    if digits.len() != DIGITS {
        let text = format!("must be {DIGITS} digits: there are {}", digits.len());
        return Err((reasons::NID_LENGTH, text));
    }
    if form == Form::Number && digits.ends_with('0') {
        return Err((reasons::DIGITS_LOST, forms::DIGITS_LOST.to_owned()));
    }
    if !digits.starts_with(['1', '2', '3']) {
        let text = "must begin with 1 (citizens), 2 (refugees) or 3 (foreigners)".to_owned();
        return Err((reasons::NID_PREFIX, text));
    }
    let year: Option<i32> = digits.get(1..5).and_then(|year| year.parse().ok());
    if !year.is_some_and(|year| (BIRTH_YEAR_MIN..=this_year).contains(&year)) {
        let text = format!(
            "must have the year of birth, from {BIRTH_YEAR_MIN} to {this_year}, as its second to fifth digit"
        );
        return Err((reasons::NID_BIRTH_YEAR, text));
    }
    Ok(digits)
}

/// The digits of a text that is digits, and between them what people write there.
fn digits(text: &str) -> Option<String> {
    let is_digit = |c: char| c.is_ascii_digit();
    let between = |c: char| c.is_whitespace() || matches!(c, '-' | '.' | '\u{2010}'..='\u{2015}');
    let ends = text.starts_with(is_digit) && text.ends_with(is_digit);
    let all = text.chars().all(|c| is_digit(c) || between(c));
    (ends && all).then(|| text.chars().filter(char::is_ascii_digit).collect())
}

/// An id of another region.
fn other(text: &str, form: Form) -> Result<String, Bad> {
    let all_kept = form == Form::Text || text.len() <= DIGITS_KEPT || !text.ends_with('0');
    if forms::is_no_whole_number(text, form) || !all_kept {
        return Err((reasons::DIGITS_LOST, forms::DIGITS_LOST.to_owned()));
    }
    let nid: String = text.split_whitespace().collect::<String>().to_ascii_uppercase();
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '/');
    let first = nid.starts_with(|c: char| c.is_ascii_alphanumeric());
    if first && nid.chars().all(known) && (CHARS_MIN..=CHARS_MAX).contains(&nid.len()) {
        return Ok(nid);
    }
    let text = format!("must be {CHARS_MIN} to {CHARS_MAX} letters from A to Z, digits, - or /");
    Err((reasons::MALFORMED_NID, text))
}

/// The gender that an id of Rwanda says.
pub(super) fn gender(nid: &str) -> Option<&'static str> {
    match nid.as_bytes().get(5) {
        Some(b'8') => Some(gender::MALE),
        Some(b'7') => Some(gender::FEMALE),
        _ => None,
    }
}
