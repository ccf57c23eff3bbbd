//! What the data of events must be like: a JSON Schema, compiled, which is safe against whoever wrote it.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use jsonschema::{
    Draft, PatternOptions, ValidationError, Validator, error::ValidationErrorKind as Kind,
};
use serde_json::{Map, Value};

use super::{
    bounds::{self, Width},
    check::VIOLATIONS_MAX,
    data,
};
use crate::{error::Violation, reasons, wire::excerpt, wire::holds_key};

/// Bytes of a schema, as JSON.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a pattern once it is compiled, and of what it keeps while it runs.
const PATTERN_BYTES_MAX: usize = 512 * 1024;
const PATTERN_CACHE_BYTES_MAX: usize = 256 * 1024;
/// Up to here, subschemas times values, it is worked out all that is wrong with data, which takes microseconds
/// each, and copies of data.
const EXPLAINED_MAX: u64 = 30_000;
/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 200;
/// What a schema may say of itself, where it is the whole. It has no meaning here, and some of it leads out.
const ABOUT_ITSELF: [&str; 7] =
    ["$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary"];

/// Why a schema is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSchema {
    pub reason: &'static str,
    pub description: String,
}

impl From<BadSchema> for Violation {
    fn from(bad: BadSchema) -> Self {
        Self::new("schema", bad.reason, bad.description)
    }
}

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    width: Width,
    /// For draft 4 a number with a fraction of zero is no whole number.
    only_whole: bool,
}

impl Schema {
    /// Compiles a schema from its text.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn parse(text: &str) -> Result<Self, BadSchema> {
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(too_long(text.len()));
        }
        let schema = serde_json::from_str(text).map_err(|error| BadSchema {
            reason: reasons::MALFORMED_SCHEMA,
            description: data::cut(&format!("is not JSON: {error}"), DESCRIPTION_CHARS_MAX),
        })?;
        Self::compile(&schema)
    }

    /// Compiles a schema.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn compile(schema: &Value) -> Result<Self, BadSchema> {
        let malformed = |description: String| BadSchema {
            reason: reasons::MALFORMED_SCHEMA,
            description: data::cut(&description, DESCRIPTION_CHARS_MAX),
        };
        let Value::Object(map) = schema else {
            return Err(malformed("must be an object".to_owned()));
        };
        bounds::check_depth(schema)?;
        let bytes = data::json_len(schema);
        if bytes > SCHEMA_BYTES_MAX {
            return Err(too_long(bytes));
        }
        let draft = draft_of(map).ok_or_else(|| {
            malformed("$schema must name draft-04, -06, -07, 2019-09 or 2020-12".to_owned())
        })?;
        let mut map = map.clone();
        for name in ABOUT_ITSELF {
            // Before draft 6, `$id` was `id`; from then on that is nothing.
            map.remove(name);
        }
        let mut schema = Value::Object(map);
        data::make_whole(&mut schema);
        let width = bounds::check(&schema, draft == Draft::Draft4)?;
        let patterns = PatternOptions::regex()
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_CACHE_BYTES_MAX);
        let options = jsonschema::options()
            .with_draft(draft)
            .with_pattern_options(patterns)
            .should_validate_formats(false)
            .offline();
        // Whoever writes schemas must not be able to stop a worker by a fault of the library.
        let built = catch_unwind(AssertUnwindSafe(|| options.build(&schema)));
        let Ok(built) = built else {
            return Err(malformed("cannot be compiled".to_owned()));
        };
        let validator = built.map_err(|error| {
            let place = error.instance_path();
            malformed(format!("#{place}: {}", what_is_wrong_with_schema(&error)))
        })?;
        Ok(Self { validator, width, only_whole: draft == Draft::Draft4 })
    }

    /// What is wrong with the data of an event: at most one more than is kept of it.
    #[must_use]
    pub fn check(&self, data: &Value) -> Vec<Violation> {
        let wrong = |text: &str| vec![Violation::new("data", reasons::SCHEMA_VIOLATION, text)];
        let found = catch_unwind(AssertUnwindSafe(|| self.violations(data)));
        found.unwrap_or_else(|_| wrong("the schema of its event type cannot be applied to it"))
    }

    fn violations(&self, data: &Value) -> Vec<Violation> {
        let mut data = Cow::Borrowed(data);
        if self.only_whole {
            data::make_whole(data.to_mut());
        }
        if self.validator.is_valid(&data) {
            return Vec::new();
        }
        let violation = |place: &str, text: String| {
            let field = data::place("data", &data::steps(&data, place));
            Violation::new(field, reasons::SCHEMA_VIOLATION, text)
        };
        let violation_of = |error: &ValidationError<'_>| {
            violation(error.instance_path().as_str(), describe(error))
        };
        let mut violations = Vec::new();
        let Width { fits, explained } = self.width;
        if explained.saturating_mul(data::count(&data)) <= EXPLAINED_MAX {
            let errors = self.validator.iter_errors(&data).take(VIOLATIONS_MAX + 1);
            violations.extend(errors.map(|error| violation_of(&error)));
        } else if fits == explained
            && let Err(first) = self.validator.validate(&data)
        {
            // Without a choice, that which is found first is found without the others.
            violations.push(violation_of(&first));
        }
        if violations.is_empty() {
            let text = "does not fit the schema of its event type, and is too large to say why";
            violations.push(violation("", text.to_owned()));
        }
        violations
    }
}

fn too_long(bytes: usize) -> BadSchema {
    let description = format!("has {bytes} bytes as JSON, and may have {SCHEMA_BYTES_MAX}");
    BadSchema { reason: reasons::SCHEMA_TOO_COMPLEX, description }
}

/// The draft that a schema is written in.
fn draft_of(schema: &Map<String, Value>) -> Option<Draft> {
    let Some(named) = schema.get("$schema") else { return Some(Draft::Draft202012) };
    let named = named.as_str()?;
    let named = named.strip_suffix('#').unwrap_or(named);
    let named = named.strip_prefix("https://").or_else(|| named.strip_prefix("http://"))?;
    match named {
        "json-schema.org/draft-04/schema" => Some(Draft::Draft4),
        "json-schema.org/draft-06/schema" => Some(Draft::Draft6),
        "json-schema.org/draft-07/schema" => Some(Draft::Draft7),
        "json-schema.org/draft/2019-09/schema" => Some(Draft::Draft201909),
        "json-schema.org/draft/2020-12/schema" => Some(Draft::Draft202012),
        _ => None,
    }
}

fn what_is_wrong_with_schema(error: &ValidationError<'_>) -> String {
    match error.kind() {
        Kind::Format { format } if format == "regex" => {
            "is not a pattern that is taken: it is malformed, too large, or looks around or back"
                .to_owned()
        }
        _ => error.masked_with("this").to_string(),
    }
}

/// What is wrong at a place, without repeating more of the caller's data than any error does.
fn describe(error: &ValidationError<'_>) -> String {
    let text = match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let first = unexpected.first().map(|name| excerpt(name)).unwrap_or_default();
            return match unexpected.len() {
                0 | 1 => format!("has the field {first}, which the schema does not have"),
                n => format!("has {n} fields that the schema does not have, such as {first}"),
            };
        }
        Kind::PropertyNames { error } => {
            format!("a name of a field in it: {}", error.masked_with("this name"))
        }
        _ => error.masked_with("this value").to_string(),
    };
    if holds_key(&text) {
        return format!("does not fit the schema: {}", data::cut(error.kind().keyword(), 30));
    }
    data::cut(&text, DESCRIPTION_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::data::tests::any_json, *};

    fn compiled(schema: &Value) -> Schema {
        Schema::compile(schema).unwrap()
    }

    /// Why a schema is not taken, and what is said of it.
    fn refused(schema: &Value) -> (&'static str, String) {
        let BadSchema { reason, description } = Schema::compile(schema).unwrap_err();
        (reason, description)
    }

    /// The places and the words of what is wrong.
    fn wrong(schema: &Value, data: &Value) -> Vec<(String, String)> {
        let bad = compiled(schema).check(data);
        assert!(bad.iter().all(|bad| bad.reason == reasons::SCHEMA_VIOLATION));
        bad.into_iter().map(|bad| (bad.field, bad.description)).collect()
    }

    #[test]
    fn a_schema_is_shared_between_threads() {
        fn shared<T: Send + Sync + std::fmt::Debug>() {}
        shared::<Schema>();
    }

    #[test]
    fn data_fits_or_is_told_where_it_does_not() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://shop.example/buy",
            "type": "object",
            "properties": {
                "items": {"type": "array", "maxItems": 4, "items": {"$ref": "#/$defs/item"}},
                "plan": {"enum": ["free", "paid"]},
                "mail": {"format": "email"},
            },
            "required": ["items"],
            "additionalProperties": false,
            "$defs": {"item": {
                "type": "object",
                "properties": {"price": {"type": "integer", "minimum": 0}, "a.b/c~d": {"const": 1}},
            }},
        });
        let good = json!({"items": [{"price": 3.0}], "plan": "free", "mail": "no mail"});
        assert_eq!(wrong(&schema, &good), []);
        for (data, field, text) in [
            (
                json!({"items": [{"price": 1}, {"price": "x"}]}),
                "data.items[1].price",
                r#"this value is not of type "integer""#,
            ),
            (
                json!({"items": [{"price": -1}]}),
                "data.items[0].price",
                "this value is less than the minimum of 0",
            ),
            (json!({"items": [{"a.b/c~d": 2}]}), "data.items[0].a.b/c~d", "1 was expected"),
            (json!({"items": {"3": 1}}), "data.items", r#"this value is not of type "array""#),
            (
                json!({"items": [{}, {}, {}, {}, {}]}),
                "data.items",
                "this value has more than 4 items",
            ),
            (json!({}), "data", r#""items" is a required property"#),
            (
                json!({"items": [], "plan": "none"}),
                "data.plan",
                r#"this value is not one of "free" or "paid""#,
            ),
            (
                json!({"items": [], "x": 1}),
                "data",
                r#"has the field "x", which the schema does not have"#,
            ),
            (
                json!({"items": [], "x": 1, "y": 1}),
                "data",
                r#"has 2 fields that the schema does not have, such as "x""#,
            ),
        ] {
            assert_eq!(wrong(&schema, &data), [(field.to_owned(), text.to_owned())], "{data}");
        }
    }

    #[test]
    fn a_schema_may_be_of_any_draft() {
        for (draft, schema, good, bad) in [
            (
                "http://json-schema.org/draft-04/schema#",
                json!({"id": "x", "properties": {"a": {"minimum": 3, "exclusiveMinimum": true, "type": "integer"},
                    "id": {"type": "string"}}}),
                json!({"a": 4.0, "id": "x"}),
                json!({"a": 3}),
            ),
            (
                "http://json-schema.org/draft-06/schema",
                json!({"propertyNames": {"maxLength": 1}}),
                json!({"a": 1}),
                json!({"ab": 1}),
            ),
            (
                "https://json-schema.org/draft-07/schema#",
                json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}}),
                json!({"c": 1}),
                json!({"a": 1}),
            ),
            (
                "https://json-schema.org/draft/2019-09/schema",
                json!({"$anchor": "x", "dependentRequired": {"a": ["b"]}}),
                json!({"a": 1, "b": 1}),
                json!({"a": 1}),
            ),
            (
                "https://json-schema.org/draft/2020-12/schema",
                json!({"properties": {"a": {"prefixItems": [{"type": "string"}], "unevaluatedItems": false}}}),
                json!({"a": ["x"]}),
                json!({"a": ["x", 1]}),
            ),
        ] {
            let mut schema = schema;
            schema["$schema"] = json!(draft);
            let schema = compiled(&schema);
            assert_eq!(schema.check(&good), [], "{draft}");
            assert_eq!(schema.check(&bad).len(), 1, "{draft}");
        }
        for draft in
            [json!("http://json-schema.org/draft-03/schema"), json!("x"), json!(7), json!(null)]
        {
            let (reason, text) = refused(&json!({"$schema": draft}));
            assert_eq!(reason, reasons::MALFORMED_SCHEMA);
            assert!(text.starts_with("$schema must name"), "{text}");
        }
    }

    #[test]
    fn numbers_of_a_schema_may_be_written_with_a_fraction() {
        // As they come when they have been 64-bit floating point in between.
        for draft in [
            "http://json-schema.org/draft-04/schema",
            "https://json-schema.org/draft/2020-12/schema",
        ] {
            let text = format!(r#"{{"$schema": "{draft}", "maxProperties": 1.0}}"#);
            let schema = Schema::parse(&text).unwrap();
            assert_eq!(schema.check(&json!({"a": 1})), []);
            assert_eq!(schema.check(&json!({"a": 1, "b": 1})).len(), 1);
        }
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for schema in [
            json!(true),
            json!([]),
            json!("{}"),
            json!({"type": "text"}),
            json!({"type": 5}),
            json!({"properties": []}),
            json!({"properties": {"a": 5}}),
            json!({"allOf": []}),
            json!({"multipleOf": 0}),
            json!({"multipleOf": -1}),
            json!({"maxItems": -1}),
            json!({"minLength": 1.5}),
            json!({"required": "a"}),
            json!({"enum": 3}),
            json!({"pattern": "("}),
            json!({"pattern": "(?=a)b"}),
            json!({"pattern": "(a)\\1"}),
            json!({"patternProperties": {"[": {}}}),
            json!({"$defs": {"a": {"type": 5}}}),
        ] {
            let (reason, text) = refused(&schema);
            assert_eq!(reason, reasons::MALFORMED_SCHEMA, "{schema}: {text}");
        }
        let bad = Schema::parse("{\"a\": ").unwrap_err();
        assert_eq!(bad.reason, reasons::MALFORMED_SCHEMA);
        let violation = Violation::from(bad);
        assert_eq!(violation.field, "schema");
        let (_, text) = refused(&json!({"properties": {"a": {"items": {"type": 5}}}}));
        assert!(text.starts_with("#/properties/a/items/type: "), "{text}");
    }

    #[test]
    fn very_large_values_do_no_harm() {
        for schema in [
            json!({"maxItems": 1e308, "maxLength": 1e308, "maxProperties": u64::MAX}),
            json!({"minimum": -1e308, "maximum": 1e308, "multipleOf": 1e-308}),
            json!({"multipleOf": 1e308}),
            json!({"minContains": 1e308, "contains": true, "maxContains": 1e308}),
            json!({"minItems": 9_007_199_254_740_993_u64}),
            json!({"pattern": "^.{0,2147483647}$"}),
            json!({"pattern": "^a{0,999}$"}),
        ] {
            if let Ok(schema) = Schema::compile(&schema) {
                for data in
                    [json!({"a": [1, 1e308, -0.0, 5e-324]}), json!({}), json!([1e308]), json!("aa")]
                {
                    let _ = schema.check(&data);
                }
            }
        }
    }

    #[test]
    fn a_large_and_honest_schema_is_taken() {
        let address = json!({"type": "object", "required": ["street", "city"], "properties": {
            "street": {"type": "string", "maxLength": 200}, "city": {"type": "string"},
            "country": {"type": "string", "pattern": "^[A-Z]{2}$"}, "post_code": {"type": "string"},
        }});
        let fields = |n: usize| -> Map<String, Value> {
            (0..n)
                .map(|at| {
                    (format!("field_{at}"), json!({"type": ["string", "null"], "maxLength": 100}))
                })
                .collect()
        };
        let variant = |at: usize| {
            json!({
                "properties": {
                    "kind": {"const": format!("kind_{at}")},
                    "id": {"pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
                    "from": {"$ref": "#/$defs/address"}, "to": {"$ref": "#/$defs/address"},
                    "lines": {"type": "array", "maxItems": 500, "items": {"$ref": "#/$defs/line"}},
                },
                "required": ["kind", "id"],
            })
        };
        let schema = json!({
            "type": "object",
            "properties": fields(400),
            "oneOf": (0..20).map(variant).collect::<Vec<_>>(),
            "$defs": {
                "address": address,
                "line": {"type": "object", "properties": {"sku": {"type": "string"}, "n": {"minimum": 1}},
                         "required": ["sku"]},
            },
        });
        let schema = compiled(&schema);
        let mut data = json!({
            "kind": "kind_7", "id": "01a20530-7f5e-7cc1-a3c3-6d2f3b1c9d01", "field_3": null,
            "from": {"street": "A", "city": "B", "country": "CH"}, "lines": [{"sku": "x", "n": 3}],
        });
        assert_eq!(schema.check(&data), []);
        data["from"]["country"] = json!("Switzerland");
        assert_eq!(schema.check(&data).len(), 1);
    }

    #[test]
    fn what_is_as_deep_as_it_may_be_is_compiled_and_checked() {
        let mut data = json!({"a": 1});
        for keyword in ["properties", "allOf", "anyOf", "not", "$ref"] {
            let mut schema = json!({"properties": {"a": {"type": "string"}}});
            let mut defs = Map::new();
            // As JSON each is two levels more, of which 32 are taken; references go on beside each other.
            let steps = if keyword == "$ref" { 24 } else { 14 };
            for at in 0..steps {
                schema = match keyword {
                    "properties" => json!({"properties": {"a": schema}}),
                    "allOf" | "anyOf" => json!({keyword: [schema]}),
                    "not" => json!({"not": {"not": schema}}),
                    _ => {
                        defs.insert(format!("d{at}"), schema);
                        json!({"allOf": [{"$ref": format!("#/$defs/d{at}")}]})
                    }
                };
                if keyword == "properties" {
                    data = json!({"a": data});
                }
            }
            if !defs.is_empty() {
                // Halved, as each of these is two levels.
                schema = json!({"$ref": "#/$defs/d20", "$defs": defs});
            }
            assert!(!compiled(&schema).check(&data).is_empty(), "{keyword}");
            data = json!({"a": 1});
        }
    }

    #[test]
    fn only_so_many_violations_are_found() {
        let schema = compiled(&json!({"additionalProperties": {"type": "integer"}}));
        let data = |n: usize| -> Value {
            Value::Object((0..n).map(|at| (format!("a{at}"), json!("x"))).collect())
        };
        assert_eq!(schema.check(&data(50)).len(), 50);
        assert_eq!(schema.check(&data(5_000)).len(), 51);
        // The first of them, when it would take too long to find all.
        assert_eq!(schema.check(&data(20_000)).len(), 1);
        assert!(schema.check(&data(20_000))[0].field.starts_with("data.a"));
    }

    #[test]
    fn what_is_too_large_to_explain_is_refused_all_the_same() {
        let branches: Vec<Value> =
            (0..100).map(|at| json!({"required": [format!("a{at}")]})).collect();
        let schema = compiled(&json!({"anyOf": branches}));
        let small = schema.check(&json!({"b": 1}));
        assert!(small[0].description.contains("anyOf"), "{small:?}");
        let large = schema.check(&json!({"b": vec![1; 5_000]}));
        assert_eq!(large.len(), 1);
        assert!(large[0].description.contains("too large"), "{large:?}");
        assert_eq!(schema.check(&json!({"a7": vec![1; 5_000]})), []);
    }

    #[test]
    fn no_data_is_repeated_beyond_an_excerpt() {
        let secret = "s3cret".repeat(40);
        let key = format!("tap_1{}", "a".repeat(40));
        for schema in [
            json!({"properties": {"a": {"type": "integer"}}}),
            json!({"properties": {"a": {"pattern": "^x$"}}}),
            json!({"properties": {"a": {"enum": [1]}}}),
            json!({"properties": {"a": {"const": 1}}}),
            json!({"properties": {"a": {"not": {}}}}),
            json!({"properties": {"a": false}}),
            json!({"properties": {"a": {"anyOf": [{"type": "null"}, {"minLength": 9000}]}}}),
            json!({"properties": {"a": {"oneOf": [true, true]}}}),
            json!({"properties": {"b": {"prefixItems": [true], "items": false}}}),
            json!({"properties": {"b": {"prefixItems": [true], "unevaluatedItems": false}}}),
            json!({"properties": {"b": {"contains": {"const": 2}}}}),
            json!({"properties": {"b": {"uniqueItems": true}}}),
            json!({"additionalProperties": false}),
            json!({"unevaluatedProperties": false}),
            json!({"propertyNames": {"maxLength": 3}}),
            json!({"propertyNames": {"pattern": "^.$"}}),
            json!({"patternProperties": {"^(s|t)": {"type": "integer"}}}),
        ] {
            let data = json!({"a": &secret, "b": [&secret, &secret], &secret: "", &key: &key});
            let bad = wrong(&schema, &data);
            assert!(!bad.is_empty(), "{schema}");
            for (field, text) in bad {
                assert!(!field.contains(&key) && !text.contains(&key), "{field}: {text}");
                assert!(
                    !field.contains(&secret[..70]) && !text.contains(&secret[..70]),
                    "{field}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_schema_has_a_size() {
        let enough = |bytes: usize| json!({"description": "x".repeat(bytes - r#"{"description":""}"#.len())});
        assert!(Schema::compile(&enough(SCHEMA_BYTES_MAX)).is_ok());
        assert_eq!(refused(&enough(SCHEMA_BYTES_MAX + 1)).0, reasons::SCHEMA_TOO_COMPLEX);
        let text = format!("{{{}}}", " ".repeat(SCHEMA_BYTES_MAX));
        assert_eq!(Schema::parse(&text).unwrap_err().reason, reasons::SCHEMA_TOO_COMPLEX);
    }

    const LISTS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems", "items"];
    const MAPS: &[&str] = &[
        "properties",
        "patternProperties",
        "$defs",
        "definitions",
        "dependentSchemas",
        "dependencies",
    ];
    const SINGLES: &[&str] = &[
        "not",
        "if",
        "then",
        "else",
        "items",
        "additionalItems",
        "contains",
        "propertyNames",
        "additionalProperties",
        "unevaluatedProperties",
        "unevaluatedItems",
        "contentSchema",
    ];
    const TARGETS: &[&str] = &[
        "#/$defs/a",
        "#/$defs/b",
        "#",
        "#/definitions/a",
        "#/properties/a",
        "#/allOf/0",
        "#/%24defs/a",
        "#/const",
        "x",
        "https://json-schema.org/draft/2020-12/schema",
        "#a",
    ];

    /// Schemas, mostly, and what looks like them.
    fn any_schema() -> BoxedStrategy<Value> {
        let name = || prop::sample::select(&["a", "b", "^a", "[b-z]", "", "$ref", "x.y"][..]);
        let plain = prop_oneof![
            Just(json!({})),
            any::<bool>().prop_map(Value::from),
            prop::sample::select(&["integer", "string", "object", "array", "number", "null"][..])
                .prop_map(|kind| json!({"type": kind})),
            (0..4_u8).prop_map(|n| json!({"maxLength": n, "maxItems": n, "minProperties": n})),
            prop::collection::vec(name(), 0..3).prop_map(|names| json!({"required": names})),
            any_json(&["a"]).prop_map(|value| json!({"const": value})),
            prop::collection::vec(any_json(&["a"]), 1..4)
                .prop_map(|values| json!({"enum": values})),
            name().prop_map(|pattern| json!({"pattern": pattern})),
            (1..9_u8).prop_map(|n| json!({"multipleOf": n, "minimum": n})),
            Just(json!({"uniqueItems": true, "format": "email"})),
        ];
        let reference = prop_oneof![
            6 => prop::sample::select(&TARGETS[..2]),
            1 => prop::sample::select(TARGETS),
        ];
        let leaf = prop_oneof![
            20 => plain,
            4 => reference.prop_map(|to| json!({"$ref": to})),
            1 => any_json(&["$ref", "#", "$id", "type", "items", "properties", "allOf"]),
        ];
        leaf.prop_recursive(5, 40, 4, move |inner| {
            let list = (prop::sample::select(LISTS), prop::collection::vec(inner.clone(), 1..4))
                .prop_map(|(keyword, parts)| json!({keyword: parts}));
            let map =
                (prop::sample::select(MAPS), prop::collection::vec((name(), inner.clone()), 0..4))
                    .prop_map(|(keyword, parts)| {
                        let parts: Map<String, Value> =
                            parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect();
                        json!({keyword: parts})
                    });
            let single = (prop::sample::select(SINGLES), inner.clone())
                .prop_map(|(keyword, part)| json!({keyword: part}));
            let both = (inner.clone(), inner).prop_map(|(mut one, other)| {
                if let (Some(one), Some(other)) = (one.as_object_mut(), other.as_object()) {
                    one.extend(other.clone());
                }
                one
            });
            prop_oneof![2 => list, 2 => map, 2 => single, 3 => both]
        })
        .boxed()
    }

    const DRAFTS: &[&str] = &[
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-06/schema#",
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn whatever_a_schema_is_it_is_compiled_or_refused(
            schema in any_schema(),
            defs in prop::collection::vec(any_schema(), 2),
            draft in prop::sample::select(DRAFTS),
            data in prop::collection::vec(any_json(&["a", "b"]), 1..4),
        ) {
            let mut schema = schema;
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("$schema".to_owned(), json!(draft));
                schema.insert("$defs".to_owned(), json!({"a": &defs[0], "b": &defs[1]}));
            }
            // Without what would catch a panic of the library.
            match Schema::compile(&schema) {
                Ok(schema) => {
                    for data in &data {
                        let bad = schema.violations(data);
                        prop_assert_eq!(bad.is_empty(), schema.validator.is_valid(data) || schema.only_whole && bad.is_empty());
                        prop_assert!(bad.len() <= VIOLATIONS_MAX + 1);
                    }
                }
                Err(bad) => {
                    prop_assert!(bad.description != "cannot be compiled", "{}", schema);
                    prop_assert!(bad.description.chars().count() <= 400, "{}", bad.description);
                }
            }
        }
    }
}
