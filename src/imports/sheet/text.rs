//! Texts of cells, as they are compared and stored.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// The most characters of a cell, as Excel has it.
const CELL_CHARS_MAX: usize = 32_767;

/// A text without what cannot be seen at its ends, with plain spaces, in one form of Unicode, and no longer than a cell
/// may be.
pub(super) fn clean(text: Cow<'_, str>) -> Cow<'_, str> {
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(cut(text.trim_matches(unseen))),
        Cow::Owned(text) => {
            let kept = cut(text.trim_matches(unseen));
            if kept.len() == text.len() { Cow::Owned(text) } else { Cow::Owned(kept.to_owned()) }
        }
    };
    if text.is_ascii() {
        return text;
    }
    let text = if text.contains('\u{a0}') { Cow::Owned(plain_spaces(&text)) } else { text };
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text,
        _ => Cow::Owned(cut(&text.nfc().collect::<String>()).to_owned()),
    }
}

/// White space, and what has no width.
fn unseen(char: char) -> bool {
    char.is_whitespace()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

fn cut(text: &str) -> &str {
    // Most are shorter, whatever characters they are of.
    if text.len() <= CELL_CHARS_MAX {
        return text;
    }
    let end = text.char_indices().nth(CELL_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

/// A space for every run of spaces that do not break.
fn plain_spaces(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut run = false;
    for char in text.chars() {
        let hard = char == '\u{a0}';
        if !hard {
            plain.push(char);
        } else if !run {
            plain.push(' ');
        }
        run = hard;
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_gone() {
        for (text, expected) in [
            (" a b\t\r\n", "a b"),
            ("\u{feff}\u{a0}a\u{a0}\u{a0}b\u{200b}", "a b"),
            ("a  b", "a  b"),
            ("Rene\u{301}", "Ren\u{e9}"),
            ("\u{2060}\u{a0} ", ""),
            ("", ""),
        ] {
            assert_eq!(clean(Cow::Borrowed(text)), expected);
            assert_eq!(clean(Cow::Owned(text.to_owned())), expected);
        }
    }

    #[test]
    fn a_text_is_cut_where_excel_would() {
        for (text, length) in [("x".repeat(32_768), 32_767), ("\u{e9}".repeat(40_000), 65_534)] {
            assert_eq!(clean(Cow::Borrowed(&text)).len(), length);
        }
        assert_eq!(clean(Cow::Owned("\u{e9}".repeat(32_767))).len(), 65_534);
    }

    proptest! {
        #[test]
        fn what_is_clean_stays_as_it_is(text in "[ a\u{301}\u{a0}\u{feff}e\u{304}x]{0,12}|.{0,20}") {
            let once = clean(Cow::Borrowed(&text)).into_owned();
            prop_assert_eq!(clean(Cow::Borrowed(&once)), once.as_str());
        }
    }
}
