//! What a pattern of a schema may cost, seen from its text alone.

/// In how many places a pattern can be at once, at most: its characters and sets of these, as often as they
/// are repeated.
#[must_use]
pub fn places(pattern: &str) -> u64 {
    // What the groups around have so far, with the innermost last.
    let mut groups = vec![0_u64];
    // What a repetition would repeat.
    let mut last = 0_u64;
    let mut rest = pattern.chars();
    while let Some(char) = rest.next() {
        let places = match char {
            '(' => {
                groups.push(0);
                continue;
            }
            '*' | '+' | '?' => continue,
            ')' if groups.len() > 1 => groups.pop().unwrap_or_default().saturating_add(1),
            '\\' => escaped(&mut rest),
            '[' => {
                // One place, however many characters it has, unless these are very many.
                let mut members = 0;
                while let Some(char) = rest.next().filter(|char| *char != ']') {
                    members += if char == '\\' { 8 * escaped(&mut rest) } else { 1 };
                }
                1 + members / 8
            }
            '.' => 4,
            '{' => match repeated(rest.as_str()) {
                Some(times) => {
                    rest.by_ref().find(|char| *char == '}');
                    last.saturating_mul(times)
                }
                None => 1,
            },
            _ => 1,
        };
        last = places;
        if let Some(group) = groups.last_mut() {
            *group = group.saturating_add(places);
        }
    }
    groups.into_iter().fold(1, u64::saturating_add)
}

/// The same of what follows a backslash: sets of characters of all languages are large.
fn escaped(rest: &mut std::str::Chars<'_>) -> u64 {
    let kind = rest.next();
    if matches!(kind, Some('p' | 'P' | 'u' | 'x')) && rest.as_str().starts_with('{') {
        rest.find(|char| *char == '}');
    }
    match kind {
        Some('p' | 'P') => 50,
        Some('s' | 'S' | 'D' | 'W') => 4,
        _ => 1,
    }
}

/// How often what is before `{` is repeated at most: `2,5}`.
fn repeated(text: &str) -> Option<u64> {
    let (times, _) = text.split_once('}')?;
    let mut most = 1;
    for times in times.split(',').map(str::trim).filter(|times| !times.is_empty()) {
        if !times.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        most = most.max(times.parse().unwrap_or(u64::MAX));
    }
    Some(most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_has_as_many_places_as_it_has_characters_when_written_out() {
        for (pattern, expected) in [
            ("", 1),
            ("abc", 4),
            ("^a[b-z0-9]c$", 1 + 5),
            ("[a-zA-Z0-9]{36}", 1 + 2 + 72),
            ("[\\p{L}]", 1 + 51),
            ("a{10}", 1 + 1 + 10),
            ("a{2,10}", 1 + 1 + 10),
            ("a{2,}", 1 + 1 + 2),
            ("a{,2}", 1 + 1 + 2),
            ("(a|b){100}", 1 + 4 + 400),
            ("((a{10}){10}){10}", 1 + 13 + 130 + 1_300),
            ("\\{\\[a", 1 + 3),
            ("[\\]a]b", 1 + 2 + 1),
            ("\\p{L}+\\u{1F600}\\x{41}", 1 + 50 + 1 + 1),
            ("a{x}", 1 + 4),
            (")))(((", 1 + 3),
        ] {
            let found = places(pattern);
            assert!(
                found >= expected && found <= expected + 20,
                "{pattern}: {found}, not {expected}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_pattern_has_places(pattern in "[a(){}\\[\\]\\\\*+?|.,0-9pP^$-]{0,60}|\\PC*") {
            prop_assert!(places(&pattern) >= 1);
        }
    }
}
