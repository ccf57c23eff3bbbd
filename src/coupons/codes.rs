//! Codes that are made by chance.

use super::model::{CODE_CHARS_MAX, code_key};
use crate::error::Error;

/// Letters and digits that people do not take for one another.
pub const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/// What becomes one of them.
pub const PLACEHOLDER: char = '#';
/// Where no pattern is asked for.
pub const PATTERN: &str = "####-####-####";
/// Codes that a pattern makes for each one that is in use, at least: of a thousand guesses one is right.
const CODES_FOR_EACH: f64 = 1_000.0;

/// How codes are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern of a code that can be.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| !c.is_whitespace() && !c.is_control();
        let short = text.chars().nth(CODE_CHARS_MAX).is_none();
        (short && text.contains(PLACEHOLDER) && text.chars().all(plain))
            .then(|| Self(text.to_owned()))
    }

    /// Whether so many codes are a part of all that is small enough.
    #[must_use]
    pub fn has_room_for(&self, codes: usize) -> bool {
        let places = self.0.matches(PLACEHOLDER).count();
        let codes = f64::from(u32::try_from(codes).unwrap_or(u32::MAX));
        let all = f64::from(31).powi(i32::try_from(places).unwrap_or(i32::MAX));
        all >= codes * CODES_FOR_EACH
    }

    /// What codes of it are like in one case, as SQL has it.
    #[must_use]
    pub fn like(&self) -> String {
        let mut like = String::new();
        for c in code_key(&self.0).chars() {
            match c {
                PLACEHOLDER => like.push('_'),
                '_' | '%' | '\\' => like.extend(['\\', c]),
                c => like.push(c),
            }
        }
        like
    }

    /// A code.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system has no random bytes.
    pub fn code(&self) -> Result<String, Error> {
        let one = |c| match c {
            PLACEHOLDER => by_chance(),
            c => Ok(c),
        };
        self.0.chars().map(one).collect()
    }
}

/// One of the alphabet, each as likely as the others.
fn by_chance() -> Result<char, Error> {
    loop {
        let mut byte = [0];
        getrandom::fill(&mut byte).map_err(Error::internal)?;
        // One of 32 is thrown away.
        if let Some(found) = ALPHABET.get(usize::from(byte[0] & 31)) {
            return Ok(char::from(*found));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_of_the_pattern_and_of_the_alphabet() {
        let pattern = Pattern::parse("SUMMER-####-o").unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let code = pattern.code().unwrap();
            let made = code.strip_prefix("SUMMER-").unwrap().strip_suffix("-o").unwrap();
            assert_eq!(made.len(), 4);
            assert!(made.bytes().all(|byte| ALPHABET.contains(&byte)), "{code}");
            assert!(!made.contains(['0', 'O', '1', 'I', 'L']), "{code}");
            seen.extend(made.chars());
        }
        assert_eq!(seen.len(), ALPHABET.len(), "each of them comes up");
    }

    #[test]
    fn a_pattern_has_room_for_a_thousandth_of_its_codes() {
        let room = |pattern: &str, codes| Pattern::parse(pattern).unwrap().has_room_for(codes);
        assert!(!room("#", 1));
        assert!(room("###", 29) && !room("###", 30));
        assert!(room(PATTERN, 1_000));
        assert!(room(&"#".repeat(64), usize::MAX));
    }

    #[test]
    fn what_stands_for_itself_does_so_in_sql() {
        assert_eq!(Pattern::parse(r"A_%\#-##").unwrap().like(), r"a\_\%\\_-__");
    }

    #[test]
    fn what_could_be_no_code_is_no_pattern() {
        for text in ["", "SUMMER", "# #", "#\n", &"#".repeat(65)] {
            assert_eq!(Pattern::parse(text), None, "{text:?}");
        }
    }
}
