//! Phone numbers, by what is known of those of every region.
//!
//! The library writes numbers to the crate `log` at TRACE, to which no log of this program listens.

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumber, PhoneNumberFormat,
    ValidationError, enums,
};

use crate::{
    imports::{
        cells::{Cell, Form},
        forms,
        kind::{Findings, Rules},
    },
    reasons,
};

pub(super) const FIELD: &str = "phone";
/// Digits that are a number by themselves.
const ALONE_MIN: usize = 7;
/// Digits of a number with what stands before it, at most.
const DIGITS_MAX: usize = 20;

/// A bad number: the reason, and what would be right.
type Bad = (&'static str, String);

/// The number as E.164: `+` and digits.
pub(super) fn check(cell: Cell<'_>, rules: &Rules, findings: &mut Findings) -> Option<String> {
    let text = forms::without_apostrophe(forms::required(cell, FIELD, findings)?);
    let checked = dialled(text, cell.form).and_then(|dialled| {
        let number = number(&dialled, rules.region.of_phones())?;
        let written = number.format_as(PhoneNumberFormat::E164).into_owned();
        // Some plans have longer ones, which no other country can call.
        if written.len() > E164_CHARS_MAX {
            let text = "has more than the 15 digits that a phone number may have".to_owned();
            return Err((reasons::PHONE_LENGTH, text));
        }
        Ok((dialled, number, written))
    });
    match checked {
        Ok((dialled, number, written)) => {
            if cell.form == Form::Number && lost_zero(&dialled, &number, rules) {
                let text = "is stored as a number, by which its leading zero was lost, and was taken as if it had it: store the column as Text";
                findings.warn(FIELD, reasons::ZEROS_LOST, text);
            }
            Some(written)
        }
        Err((reason, description)) => {
            findings.bad(FIELD, reason, description);
            None
        }
    }
}

/// The longest E.164: `+` and 15 digits.
const E164_CHARS_MAX: usize = 16;

/// What is dialled of a number as people write it: digits, and a `+` in front where there is one.
fn dialled(text: &str, form: Form) -> Result<String, Bad> {
    if forms::is_no_whole_number(text, form) {
        return Err((reasons::DIGITS_LOST, forms::DIGITS_LOST.to_owned()));
    }
    if are_several(text) {
        let text = "has more than one number in it: leave one".to_owned();
        return Err((reasons::SEVERAL_PHONES, text));
    }
    let not_digits = || {
        let text = "must be the digits of a phone number, with or without + in front: there is something else in it";
        (reasons::NOT_DIGITS, text.to_owned())
    };
    let inside = text.strip_prefix('(').unwrap_or(text);
    let (plus, rest) = match inside.strip_prefix('+') {
        Some(rest) => ("+", rest),
        None => ("", inside),
    };
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let begins = plus == "+" || rest.starts_with(|c: char| c.is_ascii_digit());
    if digits.is_empty() || !begins || !rest.chars().all(|c| c.is_ascii_digit() || is_between(c)) {
        return Err(not_digits());
    }
    if digits.len() > DIGITS_MAX {
        return Err(length(digits.len()));
    }
    Ok(format!("{plus}{digits}"))
}

/// What people write between digits.
fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '.' | '/' | '(' | ')' | '\u{2010}'..='\u{2015}')
}

/// Whether there is more than one number in a text.
fn are_several(text: &str) -> bool {
    let is_long = |part: &&str| part.chars().filter(char::is_ascii_digit).count() >= ALONE_MIN;
    let long = |parts: &mut dyn Iterator<Item = &str>| parts.filter(is_long).nth(1).is_some();
    let letters = |c: char| c.is_alphabetic();
    long(&mut text.split(['/', '\\', ',', ';', '|', '&', '+']))
        || long(&mut text.split(letters))
        || long(&mut text.split_whitespace())
}

/// The number that is dialled from a region.
fn number(dialled: &str, region: Option<enums::Region>) -> Result<PhoneNumber, Bad> {
    let digits = dialled.trim_start_matches('+').len();
    let number = match PHONE_NUMBER_UTIL.parse(dialled, region) {
        Ok(number) => number,
        Err(ParseError::TooShortAfterIdd | ParseError::TooShortNsn | ParseError::TooLongNsn) => {
            return Err(length(digits));
        }
        // A single digit is no number to the library.
        Err(ParseError::NotANumber(_)) => return Err(length(digits)),
        Err(ParseError::InvalidCountryCode) => return Err(unknown()),
    };
    if number.is_valid() {
        return Ok(number);
    }
    match number.is_possible_with_reason() {
        Err(ValidationError::InvalidCountryCode) => Err(unknown()),
        Err(_) | Ok(NumberLengthType::IsPossibleLocalOnly) => Err(length(digits)),
        Ok(NumberLengthType::IsPossible) if is_one_off(dialled, region) => Err(length(digits)),
        Ok(NumberLengthType::IsPossible) => Err(unknown()),
    }
}

/// Whether a number that is not valid would be with a digit more, or one less: others of its region have that length.
fn is_one_off(dialled: &str, region: Option<enums::Region>) -> bool {
    let shorter = dialled.get(..dialled.len() - 1).unwrap_or_default();
    [shorter, &format!("{dialled}0")]
        .into_iter()
        .any(|other| PHONE_NUMBER_UTIL.parse(other, region).is_ok_and(|number| number.is_valid()))
}

fn length(digits: usize) -> Bad {
    let text = format!(
        "must have as many digits as a phone number, with or without that of its country: there are {digits}"
    );
    (reasons::PHONE_LENGTH, text)
}

fn unknown() -> Bad {
    let text = "must be a number that can be given out in the region, or begin with + and the number of another country: there is none like this";
    (reasons::UNKNOWN_PHONE, text.to_owned())
}

/// Whether a number that is stored as a number had a zero in front, which numbers do not have: with it, it is the same.
fn lost_zero(dialled: &str, number: &PhoneNumber, rules: &Rules) -> bool {
    let with_zero = PHONE_NUMBER_UTIL.parse(format!("0{dialled}"), rules.region.of_phones());
    number.get_national_significant_number() == dialled
        && with_zero.is_ok_and(|with_zero| with_zero == *number)
}
