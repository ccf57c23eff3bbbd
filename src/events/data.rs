//! JSON of callers: one text for what is the same, how deep and how long it is, and what a place in it is
//! called.

use std::{fmt::Write as _, io};

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use crate::wire::holds_key;

/// Characters of a name in the place of a violation, and of the whole of it.
const NAME_CHARS_MAX: usize = 64;
const PLACE_CHARS_MAX: usize = 200;
/// Whole numbers up to this are exact in 64-bit floating point, which numbers of callers come as.
const EXACT_MAX: i64 = 1 << 53;

/// The text of a value, the same for what is the same: fields sorted, whole numbers without a fraction.
#[must_use]
pub fn canonical(value: &Value) -> String {
    // Values have no key that is not a text, which is all that could fail.
    serde_json::to_string(&Canonical(value)).unwrap_or_default()
}

struct Canonical<'a>(&'a Value);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => match whole(number) {
                Some(whole) => serializer.serialize_i64(whole),
                None => serializer.serialize_f64(number.as_f64().unwrap_or_default()),
            },
            Value::Array(items) => serializer.collect_seq(items.iter().map(Canonical)),
            // A map is sorted by its names already.
            Value::Object(map) => {
                serializer.collect_map(map.iter().map(|(name, value)| (name, Canonical(value))))
            }
            other => other.serialize(serializer),
        }
    }
}

/// A number as a whole one, where that is exact.
fn whole(number: &Number) -> Option<i64> {
    if let Some(whole) = number.as_i64() {
        return (-EXACT_MAX..=EXACT_MAX).contains(&whole).then_some(whole);
    }
    let number = number.as_f64()?;
    #[expect(clippy::cast_precision_loss, reason = "this one is exact")]
    let exact = number.fract() == 0.0 && number.abs() <= EXACT_MAX as f64;
    #[expect(clippy::cast_possible_truncation, reason = "it was just seen that it fits")]
    exact.then_some(number as i64)
}

/// Writes whole numbers without a fraction, everywhere in a value.
pub fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(map) => map.values_mut().for_each(make_whole),
        _ => {}
    }
}

/// The length of the shortest JSON text of a value.
#[must_use]
pub fn json_len(value: &Value) -> usize {
    let mut count = Count(0);
    // A counter takes everything.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How many values there are in one, itself included.
#[must_use]
pub fn count(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(count).sum::<u64>() + 1,
        Value::Object(map) => map.values().map(count).sum::<u64>() + 1,
        _ => 1,
    }
}

/// A step from a value to one in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    Name(&'a str),
    Place(usize),
}

/// A place as violations name it: `data.items[3].price`.
#[must_use]
pub fn place(root: &str, steps: &[Step<'_>]) -> String {
    let mut place = root.to_owned();
    for step in steps {
        let written = match step {
            Step::Name(name) => write!(place, ".{}", shown(name)),
            Step::Place(at) => write!(place, "[{at}]"),
        };
        if written.is_err() || place.len() > PLACE_CHARS_MAX {
            break;
        }
    }
    cut(&place, PLACE_CHARS_MAX)
}

/// A name of a caller's as part of a place: short, without what the store or a terminal cannot take, and
/// without a key.
#[must_use]
pub fn shown(name: &str) -> String {
    if holds_key(name) {
        return "(looks like an API key)".to_owned();
    }
    cut(name, NAME_CHARS_MAX)
}

/// As much of a text as there is room for.
#[must_use]
pub fn cut(text: &str, chars_max: usize) -> String {
    let plain = |char: char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
    let mut short: String = text.chars().take(chars_max).map(plain).collect();
    if text.chars().nth(chars_max).is_some() {
        short.push('…');
    }
    short
}

/// The steps that a JSON pointer leads along, through this value.
#[must_use]
pub fn steps<'a>(value: &'a Value, pointer: &str) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let mut here = value;
    for token in pointer.split('/').skip(1) {
        let next = match here {
            Value::Array(items) => {
                token.parse().ok().and_then(|at| items.get(at).map(|item| (Step::Place(at), item)))
            }
            Value::Object(map) => map
                .get_key_value(token.replace("~1", "/").replace("~0", "~").as_str())
                .map(|(name, value)| (Step::Name(name), value)),
            _ => None,
        };
        let Some((step, value)) = next else { break };
        steps.push(step);
        here = value;
    }
    steps
}

/// Calls `see` for every text in a value, names included, with where it is.
pub fn each_text<'a>(
    value: &'a Value,
    steps: &mut Vec<Step<'a>>,
    see: &mut impl FnMut(&'a str, &[Step<'a>]),
) {
    match value {
        Value::String(text) => see(text, steps),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                steps.push(Step::Place(at));
                each_text(item, steps, see);
                steps.pop();
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                steps.push(Step::Name(name));
                see(name, steps);
                each_text(value, steps, see);
                steps.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// JSON of any kind, with the names that are given now and then.
    pub(in crate::events) fn any_json(names: &'static [&'static str]) -> BoxedStrategy<Value> {
        let name = move || {
            prop_oneof![
                prop::sample::select(names).prop_map(str::to_owned),
                "[a-c\\[\\].~/%\0\n]{0,4}",
                any::<String>(),
            ]
        };
        let number = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-3_i64..9).prop_map(Value::from),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            number,
            name().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 48, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((name(), inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
        .boxed()
    }

    #[test]
    fn what_is_the_same_has_one_text() {
        let one: Value = serde_json::from_str(
            r#"{"b": {"z": 1.0, "a": [2, 3.50, -0.0]}, "a": 1e2, "big": 12345678901234567000}"#,
        )
        .unwrap();
        let other: Value = serde_json::from_str(
            r#"{"a":100,"big":1.2345678901234567e19,"b":{"a":[2.0,3.5,0],"z":1}}"#,
        )
        .unwrap();
        assert_eq!(canonical(&one), canonical(&other));
        let text = r#"{"a":100,"b":{"a":[2,3.5,0],"z":1},"big":1.2345678901234567e+19}"#;
        assert_eq!(canonical(&one), text);
        assert_ne!(canonical(&json!({"a": 1})), canonical(&json!({"a": "1"})));
        assert_ne!(canonical(&json!([0.1])), canonical(&json!([0.2])));
    }

    #[test]
    fn whole_numbers_are_whole_as_far_as_they_are_exact() {
        for (number, text) in [
            (json!(9_007_199_254_740_992.0), "9007199254740992"),
            (json!(-9_007_199_254_740_992_i64), "-9007199254740992"),
            (json!(9_007_199_254_740_994.0), "9007199254740994.0"),
            (json!(9_007_199_254_740_994_u64), "9007199254740994.0"),
            (json!(1e300), "1e+300"),
            (json!(0.5), "0.5"),
        ] {
            assert_eq!(canonical(&number), text);
        }
    }

    #[test]
    fn maps_are_sorted_by_their_names() {
        // Canonical texts rely on it. It is not so once a dependency turns on `preserve_order`.
        let map = json!({"b": 1, "a": 2, "ä": 3, "B": 4, "": 5});
        let names: Vec<&str> = map.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["", "B", "a", "b", "ä"]);
    }

    #[test]
    fn places_are_short_and_plain() {
        let steps = [Step::Name("items"), Step::Place(3), Step::Name("pr\0ice")];
        assert_eq!(place("data", &steps), "data.items[3].pr\u{fffd}ice");
        let long = "x".repeat(1_000);
        assert_eq!(place("data", &[Step::Name(&long)]), format!("data.{}…", &long[..64]));
        let many = [Step::Name(&long); 9];
        assert_eq!(place("data", &many).chars().count(), PLACE_CHARS_MAX + 1);
        let key = format!("tap_1{}", "a".repeat(40));
        assert_eq!(place("data", &[Step::Name(&key)]), "data.(looks like an API key)");
    }

    proptest! {
        #[test]
        fn a_canonical_text_is_that_of_what_it_says(value in any_json(&["a", "b"])) {
            let text = canonical(&value);
            let again: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical(&again), text);
            let mut whole = value.clone();
            make_whole(&mut whole);
            prop_assert_eq!(canonical(&whole), canonical(&value));
        }

        #[test]
        fn lengths_and_texts_are_those_of_serde(value in any_json(&["a", "b"])) {
            prop_assert_eq!(json_len(&value), value.to_string().len());
            let mut texts = 0;
            each_text(&value, &mut Vec::new(), &mut |_, _| texts += 1);
            let quotes = value.to_string().replace("\\\\", "").replace("\\\"", "");
            prop_assert_eq!(texts * 2, quotes.matches('"').count());
        }
    }
}
