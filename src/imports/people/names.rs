//! What people are called.

use crate::{
    imports::{
        cells::Cell,
        forms::{self, is_unseen},
        kind::{Findings, Rules},
    },
    reasons,
};

pub(super) const FIELD: &str = "names";
/// Characters at most.
const CHARS_MAX: usize = 200;

/// The names, with one space between them.
pub(super) fn check(cell: Cell<'_>, _rules: &Rules, findings: &mut Findings) -> Option<String> {
    let text = forms::required(cell, FIELD, findings)?;
    if text.chars().any(is_unseen) {
        let text = "has line breaks, tabs, or characters that cannot be seen: leave them out";
        findings.bad(FIELD, reasons::MALFORMED_TEXT, text);
        return None;
    }
    if is_formula(text) {
        let text = "begins with = @ + or -, as formulas do: names begin with a letter";
        findings.bad(FIELD, reasons::LOOKS_LIKE_FORMULA, text);
        return None;
    }
    if !text.chars().any(char::is_alphabetic) {
        findings.bad(FIELD, reasons::NO_LETTERS, "has no letter in it: put the names there");
        return None;
    }
    let names = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let chars = names.chars().count();
    if chars > CHARS_MAX {
        let text = format!("has {chars} characters: at most {CHARS_MAX} are possible");
        findings.bad(FIELD, reasons::TOO_LONG, text);
        return None;
    }
    Some(names)
}

/// Whether a spreadsheet might calculate it. A sign alone is none.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '@']) || (text.starts_with(['+', '-']) && text.len() > 1)
}
