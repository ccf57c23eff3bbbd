//! Genders, as people spell them.

use strsim::osa_distance;

use crate::{
    imports::{
        cells::{Cell, Form},
        forms,
        kind::{Findings, Rules},
    },
    reasons,
};

pub(super) const FIELD: &str = "gender";
pub(super) const MALE: &str = "M";
pub(super) const FEMALE: &str = "F";
const OTHER: &str = "O";

/// Words for each, in English, French and Kinyarwanda, without accents.
const WORDS: &[(&str, &[&str])] = &[
    (
        MALE,
        &[
            "m",
            "male",
            "man",
            "boy",
            "masculine",
            "h",
            "homme",
            "masculin",
            "garcon",
            "gabo",
            "umugabo",
            "umuhungu",
        ],
    ),
    (
        FEMALE,
        &[
            "f", "female", "w", "woman", "girl", "feminine", "femme", "feminin", "femelle",
            "fille", "gore", "umugore", "umukobwa",
        ],
    ),
    (OTHER, &["o", "other", "x", "nonbinary", "autre", "ikindi"]),
];
/// Letters of a word that may be misspelled.
const LETTERS_MIN: usize = 4;
/// And of one that may be so twice.
const LETTERS_TWICE: usize = 6;
/// No word that is longer is like one of them.
const LETTERS_MAX: usize = 14;

/// The gender: `M`, `F` or `O`.
pub(super) fn check(cell: Cell<'_>, _rules: &Rules, findings: &mut Findings) -> Option<String> {
    let text = forms::required(cell, FIELD, findings)?;
    let word = if cell.form == Form::Number { None } else { word(text) };
    if let Some(gender) = word.as_deref().and_then(known) {
        return Some(gender.to_owned());
    }
    if let Some(gender) = word.as_deref().and_then(guessed) {
        let text = format!("is misspelled, and was taken for {gender}: put M, F or O there");
        findings.warn(FIELD, reasons::GENDER_GUESSED, text);
        return Some(gender.to_owned());
    }
    findings.bad(FIELD, reasons::UNKNOWN_GENDER, "must be M (male), F (female) or O (other)");
    None
}

/// A text as words are compared; `None` when it is too long for one.
fn word(text: &str) -> Option<String> {
    let word: String = text
        .trim_end_matches('.')
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .flat_map(char::to_lowercase)
        .map(|c| match c {
            '\u{e2}' => 'a',
            '\u{e7}' => 'c',
            '\u{e8}'..='\u{ea}' => 'e',
            c => c,
        })
        .take(LETTERS_MAX + 1)
        .collect();
    (word.chars().count() <= LETTERS_MAX).then_some(word)
}

/// The gender that a word is for.
fn known(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(_, words)| words.contains(&word)).map(|(gender, _)| *gender)
}

/// The gender that a misspelled word is for, where it is near to words of no other. With another first letter it is
/// rather another word.
fn guessed(word: &str) -> Option<&'static str> {
    let mut near = WORDS.iter().filter_map(|(gender, words)| {
        let mut words = words.iter().filter(|known| is_near(word, known)).peekable();
        words.peek()?;
        Some((*gender, words.any(|known| begins_alike(word, known))))
    });
    let (gender, alike) = near.next()?;
    (alike && near.next().is_none()).then_some(gender)
}

/// Whether a word differs in few places from one that is long enough to be misspelled.
fn is_near(word: &str, known: &str) -> bool {
    let most = match known.len() {
        LETTERS_TWICE.. => 2,
        LETTERS_MIN.. => 1,
        _ => return false,
    };
    osa_distance(word, known) <= most
}

/// Whether words begin with the same letter, or the first two of one are swapped.
fn begins_alike(word: &str, known: &str) -> bool {
    let first_two = |text: &str| {
        let mut chars = text.chars();
        (chars.next(), chars.next())
    };
    let (word, known) = (first_two(word), first_two(known));
    word.0 == known.0 || word == (known.1, known.0)
}

/// Whether two genders are male and female.
pub(super) fn differ(one: &str, other: &str) -> bool {
    matches!((one, other), (MALE, FEMALE) | (FEMALE, MALE))
}

/// Notes that the national id says another gender.
pub(super) fn warn_of_nid(findings: &mut Findings) {
    let text =
        "is not the gender that the sixth digit of the national id says: 8 for men, 7 for women";
    findings.warn(FIELD, reasons::GENDER_DIFFERS, text);
}
