//! JSON as it goes over the wire, and back: `google.protobuf.Value` and `serde_json::Value`.
//!
//! Numbers of the wire are 64-bit floating point. In JSON, whole ones below 2^53 are integers, so that 3 stays
//! 3 and does not become 3.0; larger integers lose their last digits on the way. What JSON has no number for is
//! a string, as in the JSON form of protobuf: `"NaN"`, `"Infinity"`, `"-Infinity"`.
//!
//! Both ways go down one call for each level. What was read from the wire or from text is not deep: prost and
//! `serde_json` see to that. Whoever is handed a value as such asks [`is_deep`] first.

use serde_json::{Map, Number, Value as Json};

pub use crate::proto::value::Value;
use crate::proto::value::{Kind, ListValue, Struct};

/// Levels of an event, itself the first. With some more of them a list that it is in cannot be read.
pub const LEVELS_MAX: usize = 32;

/// The first whole number whose neighbour is no double any more.
const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0;

/// The JSON as a value of the wire.
#[must_use]
pub fn value_of(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(bool) => Kind::BoolValue(*bool),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(value_of).collect() })
        }
        Json::Object(members) => Kind::StructValue(struct_of(members)),
    };
    Value { kind: Some(kind) }
}

/// A JSON object as a value of the wire.
#[must_use]
pub fn struct_of(members: &Map<String, Json>) -> Struct {
    Struct { fields: members.iter().map(|(name, json)| (name.clone(), value_of(json))).collect() }
}

/// A value of the wire as JSON. One that has no kind is null.
#[must_use]
pub fn json_of(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(bool)) => Json::Bool(*bool),
        Some(Kind::NumberValue(number)) => number_of(*number),
        Some(Kind::StringValue(text)) => Json::String(text.clone()),
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(json_of).collect()),
        Some(Kind::StructValue(members)) => Json::Object(object_of(members)),
    }
}

/// An object of the wire as a JSON object.
#[must_use]
pub fn object_of(members: &Struct) -> Map<String, Json> {
    members.fields.iter().map(|(name, value)| (name.clone(), json_of(value))).collect()
}

fn number_of(number: f64) -> Json {
    // Minus zero is whole, and is no integer.
    let integer = number.fract() == 0.0
        && number.abs() < WHOLE_BELOW
        && number.to_bits() != (-0.0f64).to_bits();
    if integer {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and below 2^53")]
        return Json::from(number as i64);
    }
    Number::from_f64(number).map_or_else(|| Json::from(name_of(number)), Json::Number)
}

/// What a number that JSON has not is called.
fn name_of(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Whether a value has more levels than that, itself the first: `{"a": [1]}` has three. Looks no deeper.
#[must_use]
pub fn is_deep(json: &Json, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match json {
        Json::Array(items) => items.iter().any(|item| is_deep(item, below)),
        Json::Object(members) => members.values().any(|member| is_deep(member, below)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;
    use serde_json::json;

    use super::*;

    /// A name or a text, also with what is not in ASCII, and what needs escapes.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z]{0,4}", any::<String>()]
    }

    /// A value of the wire, without numbers that JSON has not.
    fn values() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<f64>(),
            any::<i32>().prop_map(f64::from),
            Just(-0.0),
            Just(WHOLE_BELOW),
            Just(WHOLE_BELOW - 1.0),
            Just(-WHOLE_BELOW),
        ]
        .prop_filter("JSON has it", |number| number.is_finite());
        let leaf = prop_oneof![
            Just(Kind::NullValue(0)),
            any::<bool>().prop_map(Kind::BoolValue),
            number.prop_map(Kind::NumberValue),
            text().prop_map(Kind::StringValue),
        ];
        let leaf = leaf.prop_map(|kind| Value { kind: Some(kind) });
        leaf.prop_recursive(5, 64, 6, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|values| Kind::ListValue(ListValue { values }));
            let members = prop::collection::btree_map(text(), inner, 0..6)
                .prop_map(|fields| Kind::StructValue(Struct { fields }));
            prop_oneof![list, members].prop_map(|kind| Value { kind: Some(kind) })
        })
    }

    /// Bit by bit: minus zero is not zero.
    fn same(one: &Value, other: &Value) -> bool {
        one.encode_to_vec() == other.encode_to_vec()
    }

    proptest! {
        #[test]
        fn there_and_back_it_is_the_same(value in values()) {
            let json = json_of(&value);
            prop_assert!(same(&value_of(&json), &value), "{json}");
            prop_assert_eq!(json_of(&value_of(&json)), json);
        }

        #[test]
        fn through_the_text_of_it_too(value in values()) {
            let text = json_of(&value).to_string();
            let read: Json = serde_json::from_str(&text).unwrap();
            prop_assert!(same(&value_of(&read), &value), "{text}");
        }

        #[test]
        fn whole_numbers_are_integers(number in -(1_i64 << 53) + 1..1 << 53) {
            let json = Json::from(number);
            prop_assert_eq!(json_of(&value_of(&json)), json);
        }
    }

    fn number_value(number: f64) -> Value {
        Value { kind: Some(Kind::NumberValue(number)) }
    }

    #[test]
    fn what_json_has_no_number_for_is_a_string() {
        for (number, text) in
            [(f64::NAN, "NaN"), (f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity")]
        {
            assert_eq!(json_of(&number_value(number)), json!(text));
        }
        assert_eq!(json_of(&Value { kind: None }), Json::Null);
        assert_eq!(json_of(&number_value(3.0)).to_string(), "3");
        assert_eq!(json_of(&number_value(-0.0)).to_string(), "-0.0");
        assert_eq!(json_of(&number_value(WHOLE_BELOW)).to_string(), "9007199254740992.0");
    }

    /// An object in an object, or a list in a list, with this many levels.
    fn nested(levels: usize, wrap: impl Fn(Json) -> Json) -> Json {
        (1..levels).fold(json!(1), |inner, _| wrap(inner))
    }

    #[test]
    fn what_is_not_deep_can_be_read_from_a_list_of_events() {
        let wraps: [fn(Json) -> Json; 2] = [|inner| json!({ "a": inner }), |inner| json!([inner])];
        for wrap in wraps {
            let deepest = nested(LEVELS_MAX, wrap);
            assert!(!is_deep(&deepest, LEVELS_MAX));
            assert!(is_deep(&wrap(deepest.clone()), LEVELS_MAX));
            let list = ListValue { values: vec![value_of(&deepest)] };
            assert_eq!(ListValue::decode(list.encode_to_vec().as_slice()), Ok(list));
        }
        // With a few levels more prost gives up, on the whole list.
        let deep = nested(LEVELS_MAX + 3, |inner| json!({ "a": inner }));
        let list = ListValue { values: vec![value_of(&deep)] };
        assert!(ListValue::decode(list.encode_to_vec().as_slice()).is_err());
    }
}
