//! Replaces what identifies people in a text by what kind of thing it was: mail addresses, numbers of cards, phone
//! numbers.
//!
//! By their shape alone: what looks like one is replaced, and what people write in words is not. Names are not looked
//! for.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::model::Text;

/// Of digits a card has these many, and they add up (Luhn).
const CARD_DIGITS: Range<usize> = 13..20;
/// A phone number has these many with its country, and without it no fewer than nine.
const PHONE_DIGITS: Range<usize> = 7..16;
const LOCAL_DIGITS_MIN: usize = 9;

#[expect(clippy::expect_used, reason = "these are constant")]
static MAIL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+").expect("a pattern")
});
/// Digits, and between them at most three of what people write there.
#[expect(clippy::expect_used, reason = "these are constant")]
static DIGITS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\+|\(\+?)?\p{Nd}(?:[ .()/\u{a0}\u{2010}-\u{2015}-]{0,3}\p{Nd})+")
        .expect("a pattern")
});
/// A day, with or without a time behind it: no phone number.
#[expect(clippy::expect_used, reason = "these are constant")]
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    let day = r"(?:(?:19|20)\d\d[-./](?:0?[1-9]|1[0-2])[-./](?:0?[1-9]|[12]\d|3[01])|(?:0?[1-9]|[12]\d|3[01])[-./](?:0?[1-9]|1[0-2])[-./](?:19|20)\d\d)";
    Regex::new(&format!(r"^{day}(?: {{1,2}}\d{{1,2}}(?:\.\d\d)?)?$")).expect("a pattern")
});

/// A text without them.
#[must_use]
pub fn redact(text: &Text) -> Text {
    let without_mail = replace(text, &MAIL, |_| Some("<EMAIL_ADDRESS>"));
    replace(&without_mail, &DIGITS, kind)
}

/// Replaces what is found, where it is something.
fn replace(text: &Text, pattern: &Regex, kind: impl Fn(&str) -> Option<&'static str>) -> Text {
    let text = text.as_str();
    // Enough for any number of placeholders: a text that grows leaves parts of itself in memory.
    let mut replaced = String::with_capacity(text.len() * 3);
    let mut end = 0;
    for found in pattern.find_iter(text) {
        replaced.push_str(text.get(end..found.start()).unwrap_or_default());
        replaced.push_str(kind(found.as_str()).unwrap_or(found.as_str()));
        end = found.end();
    }
    replaced.push_str(text.get(end..).unwrap_or_default());
    Text::new(replaced)
}

/// What a row of digits is.
fn kind(found: &str) -> Option<&'static str> {
    let digits = found.chars().filter(|char| char.is_numeric()).count();
    let ascii: Vec<u32> = found.chars().filter_map(|char| char.to_digit(10)).collect();
    if CARD_DIGITS.contains(&digits) && ascii.len() == digits && adds_up(&ascii) {
        return Some("<CREDIT_CARD>");
    }
    if DATE.is_match(found) {
        return None;
    }
    let abroad = found.contains('+') || found.starts_with("00");
    let phone = PHONE_DIGITS.contains(&digits) && (abroad || digits >= LOCAL_DIGITS_MIN);
    // Longer ones may be two numbers in a row, or one with something behind it.
    (phone || digits >= PHONE_DIGITS.end).then_some("<PHONE_NUMBER>")
}

/// Whether the last digit is the one that the others ask for.
fn adds_up(digits: &[u32]) -> bool {
    let value = |(nth, digit): (usize, &u32)| match (nth % 2, digit * 2) {
        (0, _) => *digit,
        (_, twice) => twice / 10 + twice % 10,
    };
    digits.iter().rev().enumerate().map(value).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        redact(&Text::new(text.to_owned())).as_str().to_owned()
    }

    #[test]
    fn what_identifies_people_is_replaced_by_its_kind() {
        for (text, expected) in [
            ("write to jo.doe+tap@example.co.uk, please", "write to <EMAIL_ADDRESS>, please"),
            ("müller@bücher.example!", "<EMAIL_ADDRESS>!"),
            ("call +250 788 123 456 or 0788123456", "call <PHONE_NUMBER> or <PHONE_NUMBER>"),
            ("(+1) 415-555-2671.", "<PHONE_NUMBER>."),
            ("00 44 20 7946 0958", "<PHONE_NUMBER>"),
            ("788123456", "<PHONE_NUMBER>"),
            ("٠٧٨٨١٢٣٤٥٦", "<PHONE_NUMBER>"),
            ("card 4111 1111 1111 1111, exp 12/29", "card <CREDIT_CARD>, exp 12/29"),
            ("5500-0055-5555-5559", "<CREDIT_CARD>"),
            ("378282246310005", "<CREDIT_CARD>"),
            ("a@b.example and a@b.example", "<EMAIL_ADDRESS> and <EMAIL_ADDRESS>"),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "at 10:30 on 2026-11-29",
            "2026-11-29 10",
            "29.11.2026 10.30",
            "11/12/2026",
            "12345 francs, 3 times",
            "order 1234567",
            "3.14159",
            "1,000,000",
            "@home, a@b",
            "",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    proptest! {
        #[test]
        fn no_number_of_a_phone_or_card_is_left_and_nothing_panics(
            before in "[a-z ]{0,20}", digits in "\\+?[0-9]{9,19}", after in "[a-z ]{0,20}", any in any::<String>(),
        ) {
            let text = redacted(&format!("{before}x {digits} {after}"));
            prop_assert!(!text.contains(&digits), "{}", text);
            let _any = redacted(&any);
        }

        #[test]
        fn what_was_redacted_stays_as_it_is(text in "[a-z0-9@. +-]{0,60}") {
            let once = redacted(&text);
            prop_assert_eq!(redacted(&once), once);
        }
    }
}
