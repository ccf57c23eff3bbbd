//! What a schema may cost: how deep and how large it is once every reference is followed, and how many of its
//! parts may apply to one value. What could go on for ever, or lead out of it, is refused.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{
    data::{self, Step},
    pattern::places,
    schema::BadSchema,
};
use crate::{
    json::{self, LEVELS_MAX},
    reasons,
    wire::excerpt,
};

/// Levels of subschemas, once every reference is followed.
const DEPTH_MAX: u64 = 50;
/// Subschemas, once every reference is followed.
const SUBSCHEMAS_MAX: u64 = 2_000;
/// Subschemas that may apply to one value: a check takes as long as these times the values, and some ten
/// nanoseconds each.
const WIDTH_MAX: u64 = 300;
/// Places of a pattern in which it can be at once, and of all of them.
const PATTERN_PLACES_MAX: u64 = 1_000;
const PATTERNS_PLACES_MAX: u64 = 2_000;

/// Keywords that lead elsewhere by other means than a JSON pointer.
const REFERENCES: [&str; 2] = ["$dynamicRef", "$recursiveRef"];
/// Keywords by which a part of a schema would become a schema of its own.
const NAMES: [&str; 6] =
    ["$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$schema", "$vocabulary"];

/// Why a schema is not taken, and the part of it for which.
type Refused<'a> = (&'a Value, &'static str, String);

/// Checks that a schema is not nested deeper than it may be, without going any deeper.
///
/// # Errors
/// When it is.
pub fn check_depth(schema: &Value) -> Result<(), BadSchema> {
    // Deeper ones could not be shown.
    if json::is_deep(schema, LEVELS_MAX) {
        let description = format!("has more than {LEVELS_MAX} levels");
        return Err(BadSchema { reason: reasons::SCHEMA_TOO_COMPLEX, description });
    }
    Ok(())
}

/// How many subschemas of a schema may be applied to one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Width {
    /// To see whether it fits.
    pub fits: u64,
    /// To say what does not fit: more than to see it where there is a choice, all of which is gone through.
    pub explained: u64,
}

/// Checks all of a schema that is not too deep.
///
/// # Errors
/// Why it is not taken.
pub fn check(schema: &Value, is_draft_4: bool) -> Result<Width, BadSchema> {
    let mut walk = Walk {
        root: schema,
        is_draft_4,
        parts: Vec::new(),
        known: HashSet::new(),
        costs: HashMap::new(),
        patterns: HashSet::new(),
        pattern_places: 0,
    };
    walk.all().map_err(|(part, reason, description)| {
        let mut steps = Vec::new();
        find(schema, part, &mut steps);
        let at = pointer(&steps);
        BadSchema { reason, description: format!("{at}: {description}") }
    })
}

/// The way to a part of a value.
fn find<'a>(value: &'a Value, part: &Value, steps: &mut Vec<Step<'a>>) -> bool {
    if std::ptr::eq(value, part) {
        return true;
    }
    let mut within = |step, child| {
        steps.push(step);
        let found = find(child, part, steps);
        if !found {
            steps.pop();
        }
        found
    };
    match value {
        Value::Array(items) => {
            items.iter().enumerate().any(|(at, item)| within(Step::Place(at), item))
        }
        Value::Object(map) => map.iter().any(|(name, value)| within(Step::Name(name), value)),
        _ => false,
    }
}

/// A way as a reference would have it.
fn pointer(steps: &[Step<'_>]) -> String {
    let steps = steps.iter().map(|step| match step {
        Step::Name(name) => format!("/{}", data::shown(name)),
        Step::Place(at) => format!("/{at}"),
    });
    data::cut(&format!("#{}", steps.collect::<String>()), 100)
}

/// To which values a subschema applies, of those that the schema around it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// The same value.
    Same,
    /// The same value, and when it does not fit, it is looked at again to say why.
    Choice,
    /// One field, or the item at one place.
    Field,
    Place,
    /// Any field, any item.
    Fields,
    Items,
    /// Names of fields.
    Names,
    /// None: it is there to be referred to.
    Nothing,
}

fn one(about: About, value: &Value) -> Vec<(About, &Value)> {
    vec![(about, value)]
}

fn each(about: About, value: &Value) -> Vec<(About, &Value)> {
    match value {
        Value::Array(items) => items.iter().map(|item| (about, item)).collect(),
        Value::Object(map) => map.values().map(|value| (about, value)).collect(),
        _ => Vec::new(),
    }
}

/// The parts of a schema that are schemas. Those of all drafts: what a draft does not know is harmless.
fn parts(schema: &Map<String, Value>) -> impl Iterator<Item = (About, &Value)> {
    let parts = schema.iter().flat_map(|(keyword, value)| match keyword.as_str() {
        "allOf" | "dependentSchemas" | "dependencies" => each(About::Same, value),
        "then" | "else" => one(About::Same, value),
        "anyOf" | "oneOf" => each(About::Choice, value),
        "not" | "if" => one(About::Choice, value),
        "properties" => each(About::Field, value),
        "patternProperties" => each(About::Fields, value),
        "additionalProperties" | "unevaluatedProperties" => one(About::Fields, value),
        "propertyNames" => one(About::Names, value),
        "prefixItems" => each(About::Place, value),
        "items" if value.is_array() => each(About::Place, value),
        "items" | "additionalItems" | "unevaluatedItems" | "contains" => one(About::Items, value),
        "$defs" | "definitions" => each(About::Nothing, value),
        "contentSchema" => one(About::Nothing, value),
        _ => Vec::new(),
    });
    // Such as the names in `dependencies`.
    parts.filter(|(_, part)| part.is_object() || part.is_boolean())
}

/// What a schema costs.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// Subschemas in it, itself included, and the levels of these.
    size: u64,
    depth: u64,
    /// How many may be applied to one value, and how many are to see which of its fields are evaluated.
    width: Width,
    evaluated: u64,
}

/// A schema while it is walked through.
struct Walk<'a> {
    root: &'a Value,
    is_draft_4: bool,
    /// Everything in it that is a schema, outer ones first.
    parts: Vec<&'a Value>,
    /// Their addresses.
    known: HashSet<usize>,
    /// What each of them costs, by its address. `None`: that is being worked out.
    costs: HashMap<usize, Option<Cost>>,
    patterns: HashSet<&'a str>,
    pattern_places: u64,
}

fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

impl<'a> Walk<'a> {
    fn all(&mut self) -> Result<Width, Refused<'a>> {
        self.collect(self.root)?;
        self.known = self.parts.iter().map(|part| address(part)).collect();
        // Also those that are there to be referred to only: what is wrong with them is told at once.
        for at in 0..self.parts.len() {
            self.cost(self.parts[at], 1)?;
        }
        Ok(self.cost(self.root, 1)?.width)
    }

    /// Notes everything in a schema that is a schema.
    fn collect(&mut self, part: &'a Value) -> Result<(), Refused<'a>> {
        self.parts.push(part);
        let Value::Object(schema) = part else { return Ok(()) };
        if let Some(name) = REFERENCES.iter().find(|name| schema.contains_key(**name)) {
            let text = format!("{name} is not taken: refer by $ref with a JSON pointer");
            return Err((part, reasons::SCHEMA_REF, text));
        }
        let id = self.is_draft_4.then_some("id");
        let mut names = NAMES.into_iter().chain(id);
        if let Some(name) = names.find(|name| schema.contains_key(*name)) {
            let text = format!("{name} is taken at the root only");
            return Err((part, reasons::SCHEMA_REF, text));
        }
        for pattern in patterns(schema) {
            // Each is compiled once.
            let places = if self.patterns.insert(pattern) { places(pattern) } else { 0 };
            self.pattern_places = self.pattern_places.saturating_add(places);
            if places > PATTERN_PLACES_MAX || self.pattern_places > PATTERNS_PLACES_MAX {
                let text = format!("the pattern {} is too large", excerpt(pattern));
                return Err((part, reasons::SCHEMA_TOO_COMPLEX, text));
            }
        }
        parts(schema).try_for_each(|(_, child)| self.collect(child))
    }

    /// What a schema costs at this level.
    fn cost(&mut self, part: &'a Value, level: u64) -> Result<Cost, Refused<'a>> {
        let cost = match self.costs.get(&address(part)) {
            Some(Some(cost)) => *cost,
            Some(None) => {
                let text = "leads back to itself".to_owned();
                return Err((part, reasons::SCHEMA_REF, text));
            }
            None if level > DEPTH_MAX => Cost { depth: 1, ..Cost::default() },
            None => {
                self.costs.insert(address(part), None);
                let cost = self.work_out(part, level)?;
                self.costs.insert(address(part), Some(cost));
                cost
            }
        };
        let too = if level + cost.depth - 1 > DEPTH_MAX {
            format!("nests more than {DEPTH_MAX} subschemas")
        } else if cost.size > SUBSCHEMAS_MAX {
            format!("has more than {SUBSCHEMAS_MAX} subschemas, once every $ref is followed")
        } else if cost.width.fits > WIDTH_MAX {
            format!("applies more than {WIDTH_MAX} subschemas to one value")
        } else {
            return Ok(cost);
        };
        Err((part, reasons::SCHEMA_TOO_COMPLEX, too))
    }

    fn work_out(&mut self, part: &'a Value, level: u64) -> Result<Cost, Refused<'a>> {
        let Value::Object(schema) = part else {
            return Ok(Cost {
                size: 1,
                depth: 1,
                width: Width { fits: 1, explained: 1 },
                evaluated: 0,
            });
        };
        let mut sum = Sum::default();
        if let Some(reference) = schema.get("$ref") {
            let target = self.target(reference).map_err(|text| {
                let text = format!("{} {text}", excerpt(reference.as_str().unwrap_or_default()));
                (part, reasons::SCHEMA_REF, text)
            })?;
            sum.add(About::Same, self.cost(target, level + 1)?);
        }
        for (about, child) in parts(schema).filter(|(about, _)| *about != About::Nothing) {
            sum.add(about, self.cost(child, level + 1)?);
        }
        let evaluates = ["unevaluatedProperties", "unevaluatedItems"]
            .iter()
            .any(|keyword| schema.contains_key(*keyword));
        Ok(sum.cost(own(schema), evaluates))
    }

    /// What a reference refers to.
    fn target(&self, reference: &Value) -> Result<&'a Value, &'static str> {
        let reference = reference.as_str().ok_or("is not a text")?;
        if reference == "#" {
            return Ok(self.root);
        }
        let pointer = reference
            .strip_prefix("#/")
            .ok_or("is not a JSON pointer into this schema, such as #/$defs/price")?;
        let pointer = decoded(pointer).ok_or("is not well percent-encoded")?;
        let mut here = self.root;
        for token in pointer.split('/') {
            let next = match here {
                Value::Array(items) => Some(token)
                    .filter(|token| token.bytes().all(|byte| byte.is_ascii_digit()))
                    .filter(|token| *token == "0" || !token.starts_with('0'))
                    .and_then(|token| items.get(token.parse::<usize>().ok()?)),
                Value::Object(map) => map.get(&token.replace("~1", "/").replace("~0", "~")),
                _ => None,
            };
            here = next.ok_or("leads nowhere")?;
        }
        if self.known.contains(&address(here)) {
            Ok(here)
        } else {
            Err("leads to what is not a schema: put it into $defs")
        }
    }
}

/// A text without its percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// What the parts of a schema cost together.
#[derive(Default)]
struct Sum {
    size: u64,
    depth: u64,
    same: Width,
    field: Width,
    place: Width,
    fields: Width,
    items: Width,
    names: Width,
    evaluated: u64,
}

impl Width {
    fn plus(self, other: Self) -> Self {
        Self {
            fits: self.fits.saturating_add(other.fits),
            explained: self.explained.saturating_add(other.explained),
        }
    }

    fn max(self, other: Self) -> Self {
        Self { fits: self.fits.max(other.fits), explained: self.explained.max(other.explained) }
    }
}

impl Sum {
    fn add(&mut self, about: About, cost: Cost) {
        self.size = self.size.saturating_add(cost.size);
        self.depth = self.depth.max(cost.depth);
        let mut side = cost.width;
        if about == About::Choice {
            side.explained = side.explained.saturating_add(side.fits);
        }
        match about {
            About::Same | About::Choice => {
                self.same = self.same.plus(side);
                let evaluated = cost.width.fits.saturating_add(cost.evaluated);
                self.evaluated = self.evaluated.saturating_add(evaluated);
            }
            // No value is at two of these.
            About::Field => self.field = self.field.max(side),
            About::Place => self.place = self.place.max(side),
            About::Fields => self.fields = self.fields.plus(side),
            About::Items => self.items = self.items.plus(side),
            About::Names => self.names = self.names.plus(side),
            About::Nothing => {}
        }
    }

    /// What the schema costs that has these parts.
    fn cost(self, own: u64, evaluates: bool) -> Cost {
        // No value is in an object and in a list, nor a name.
        let within = self.field.plus(self.fields).max(self.place.plus(self.items)).max(self.names);
        // What is not evaluated is found by looking at everything once more, also from further out.
        let left = if evaluates { self.fields.plus(self.items).fits } else { 0 };
        let evaluated = self.evaluated.saturating_add(left).saturating_add(1);
        let again = if evaluates { evaluated } else { 0 };
        let all = |side: fn(Width) -> u64| {
            own.saturating_add(side(self.same)).saturating_add(side(within)).saturating_add(again)
        };
        Cost {
            size: self.size.saturating_add(1),
            depth: self.depth.saturating_add(1),
            width: Width { fits: all(|side| side.fits), explained: all(|side| side.explained) },
            evaluated,
        }
    }
}

/// What the keywords of a schema cost that have no schemas in them, in subschemas.
fn own(schema: &Map<String, Value>) -> u64 {
    // Texts are looked up, anything else is compared one by one.
    let compared = match schema.get("enum") {
        Some(Value::Array(items))
            if !items.iter().all(|item| item.is_string() || item.is_null()) =>
        {
            items.len()
        }
        _ => 0,
    };
    let len = |keyword: &str| schema.get(keyword).and_then(Value::as_object).map_or(0, Map::len);
    let looked_up = len("dependentRequired") + len("dependencies");
    let matched = patterns(schema).fold(0, |sum: u64, text| sum.saturating_add(places(text)));
    1 + (compared + looked_up / 8) as u64 + matched / 16
}

/// The patterns of a schema, without those of its parts.
fn patterns(schema: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let of_names = schema.get("patternProperties").and_then(Value::as_object);
    let of_names = of_names.into_iter().flat_map(|map| map.keys().map(String::as_str));
    schema.get("pattern").and_then(Value::as_str).into_iter().chain(of_names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn width(schema: &Value) -> u64 {
        check(schema, false).unwrap().fits
    }

    fn refused(schema: &Value) -> (&'static str, String) {
        let bad = check(schema, false).unwrap_err();
        (bad.reason, bad.description)
    }

    /// A chain of definitions, each of which has the next, as often as this, in this keyword.
    fn chain(keyword: &str, length: usize, times: usize) -> Value {
        let mut defs = Map::new();
        for at in 0..length {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            defs.insert(format!("d{at}"), json!({keyword: vec![next; times]}));
        }
        defs.insert(format!("d{length}"), json!({"type": "object"}));
        json!({"$ref": "#/$defs/d0", "$defs": defs})
    }

    #[test]
    fn what_leads_back_to_itself_is_refused() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"properties": {"child": {"$ref": "#"}}}),
            json!({"items": {"$ref": "#/items"}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
            json!({"$ref": "#/$defs/a", "$defs": {
                "a": {"properties": {"b": {"$ref": "#/$defs/b"}}},
                "b": {"items": {"anyOf": [{"$ref": "#/$defs/c"}, {}]}},
                "c": {"patternProperties": {"x": {"$ref": "#/%24defs/a"}}},
            }}),
            // Not used, and still there.
            json!({"$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}),
            json!({"allOf": [{"allOf": [{"$ref": "#/allOf/0"}]}]}),
        ] {
            let (reason, text) = refused(&schema);
            assert_eq!(reason, reasons::SCHEMA_REF, "{schema}");
            assert!(text.ends_with("leads back to itself"), "{text}");
        }
    }

    #[test]
    fn references_stay_within_the_schema() {
        for reference in [
            json!("other.json"),
            json!("https://json-schema.org/draft/2020-12/schema"),
            json!("file:///etc/passwd"),
            json!("#anchor"),
            json!("#/$defs/none"),
            json!("#/$defs/a/type"),
            json!("#/$defs"),
            json!("#/enum/0"),
            json!("#/x/a"),
            json!("#/allOf/01"),
            json!("#/allOf/+1"),
            json!("#/allOf/-"),
            json!("#/%2"),
            json!("#/%FF"),
            json!("#/%+4defs/a"),
            json!(""),
            json!(7),
        ] {
            let schema = json!({
                "properties": {"a": {"$ref": reference}},
                "$defs": {"a": {"type": "string"}}, "enum": [{}], "x": {"a": {}}, "allOf": [{}, {}],
            });
            let (reason, text) = refused(&schema);
            assert_eq!(reason, reasons::SCHEMA_REF, "{reference}");
            assert!(text.starts_with("#/properties/a: "), "{text}");
        }
        for reference in [
            "#/$defs/a",
            "#/%24defs/a",
            "#/$defs/~1~0~01",
            "#/allOf/1",
            "#/$defs/%C3%A4",
            "#/$defs/",
        ] {
            let schema = json!({
                "properties": {"a": {"$ref": reference}}, "allOf": [{}, {"type": "object"}],
                "$defs": {"a": {}, "/~~1": {}, "ä": {}, "": {}},
            });
            assert!(check(&schema, false).is_ok(), "{reference}");
        }
    }

    #[test]
    fn schemas_within_have_no_names_and_refer_by_pointers() {
        for keyword in NAMES.iter().chain(&REFERENCES) {
            let (reason, text) = refused(&json!({"$defs": {"a": {*keyword: "x"}}}));
            assert_eq!(reason, reasons::SCHEMA_REF);
            assert!(text.starts_with("#/$defs/a: ") && text.contains(keyword), "{text}");
        }
        let id = json!({"properties": {"a": {"id": "x"}}});
        assert_eq!(check(&id, true).unwrap_err().reason, reasons::SCHEMA_REF);
        assert!(check(&id, false).is_ok());
        // Where no schema is they are nothing.
        for schema in [
            json!({"properties": {"$ref": {"type": "string"}, "$id": {}, "$dynamicRef": {}}}),
            json!({"const": {"$ref": "#", "$id": "x"}, "enum": [{"$ref": "#"}], "default": {"$ref": "#"}}),
            json!({"examples": [{"$dynamicRef": "#"}], "x": {"$ref": "http://x"}, "required": ["$ref"]}),
            json!({"dependencies": {"a": ["$ref"], "b": {}}}),
        ] {
            assert!(check(&schema, false).is_ok(), "{schema}");
        }
    }

    #[test]
    fn what_multiplies_is_refused() {
        for keyword in ["allOf", "anyOf", "oneOf", "prefixItems"] {
            let (reason, _) = refused(&chain(keyword, 40, 2));
            assert_eq!(reason, reasons::SCHEMA_TOO_COMPLEX);
            let (reason, _) = refused(&chain(keyword, 12, 100));
            assert_eq!(reason, reasons::SCHEMA_TOO_COMPLEX);
            assert!(check(&chain(keyword, 2, 3), false).is_ok());
        }
        let wide: Map<String, Value> = (0..1_999).map(|at| (format!("a{at}"), json!({}))).collect();
        assert!(check(&json!({"properties": wide.clone()}), false).is_ok());
        let wider = json!({"properties": wide, "items": {}});
        let (reason, text) = refused(&wider);
        assert_eq!(reason, reasons::SCHEMA_TOO_COMPLEX);
        assert!(text.contains("2000 subschemas"), "{text}");
        let same = json!({"allOf": vec![json!({"type": "object"}); 300]});
        let (reason, text) = refused(&same);
        assert_eq!(reason, reasons::SCHEMA_TOO_COMPLEX);
        assert!(text.contains("to one value"), "{text}");
    }

    #[test]
    fn what_is_deep_is_refused() {
        let nested =
            |levels: usize| (1..levels).fold(json!({}), |schema, _| json!({"items": schema}));
        assert!(check(&nested(50), false).is_ok());
        assert_eq!(refused(&nested(51)).0, reasons::SCHEMA_TOO_COMPLEX);
        // A long way of references is as deep.
        assert!(check(&chain("prefixItems", 24, 1), false).is_ok());
        assert_eq!(refused(&chain("prefixItems", 25, 1)).0, reasons::SCHEMA_TOO_COMPLEX);
        assert_eq!(refused(&chain("allOf", 1_000, 1)).0, reasons::SCHEMA_TOO_COMPLEX);
        let json = |levels: usize| (0..levels).fold(json!(1), |value, _| Value::Array(vec![value]));
        assert!(check_depth(&json(LEVELS_MAX - 1)).is_ok());
        assert_eq!(check_depth(&json(LEVELS_MAX)).unwrap_err().reason, reasons::SCHEMA_TOO_COMPLEX);
    }

    #[test]
    fn what_applies_to_one_value_counts_and_not_what_is_side_by_side() {
        let field = json!({"type": "string"});
        let object = |n: usize| -> Value {
            let fields = (0..n).map(|at| (format!("a{at}"), field.clone()));
            json!({"properties": fields.collect::<Map<_, _>>()})
        };
        assert_eq!(width(&json!({})), 1);
        assert_eq!(width(&object(1)), 2);
        assert_eq!(width(&object(500)), 2);
        assert_eq!(width(&json!({"allOf": [{}, {}, {}]})), 1 + 3);
        // First whether it fits, then why not.
        let choice = check(&json!({"anyOf": [{}, {}, {}]}), false).unwrap();
        assert_eq!(choice, Width { fits: 1 + 3, explained: 1 + 2 * 3 });
        // Looked up, or compared.
        let texts: Vec<String> = (0..500).map(|at| format!("a{at}")).collect();
        assert_eq!(width(&json!({"enum": texts})), 1);
        assert_eq!(width(&json!({"enum": (0..200).collect::<Vec<_>>()})), 201);
        let (reason, _) = refused(&json!({"enum": (0..500).collect::<Vec<_>>()}));
        assert_eq!(reason, reasons::SCHEMA_TOO_COMPLEX);
        assert_eq!(width(&json!({"items": {"items": {"items": {}}}})), 4);
        assert_eq!(width(&json!({"prefixItems": [{}, {}, {}], "items": {}})), 1 + 1 + 1);
        assert_eq!(
            width(&json!({"patternProperties": {"a": {}, "b": {}}, "properties": {"a": {}}})),
            4
        );
    }

    #[test]
    fn looking_for_what_is_left_counts_again_at_every_level() {
        let nested = |levels: usize| {
            (0..levels).fold(
                json!({"properties": {"a": {}}}),
                |schema, _| json!({"allOf": [schema], "unevaluatedProperties": false}),
            )
        };
        assert!(check(&nested(3), false).is_ok());
        assert_eq!(refused(&nested(12)).0, reasons::SCHEMA_TOO_COMPLEX);
    }

    #[test]
    fn large_patterns_are_refused() {
        for schema in [
            json!({"pattern": "a{1001}"}),
            json!({"pattern": "((a{99}){99}){99}"}),
            json!({"pattern": "(x{99999999999999999999}){99999999999999999999}"}),
            json!({"pattern": "\\p{L}{30}"}),
            json!({"patternProperties": {"a{1001}": {}}}),
            json!({"pattern": "a".repeat(1_001)}),
        ] {
            let (reason, text) = refused(&schema);
            assert_eq!(reason, reasons::SCHEMA_TOO_COMPLEX, "{schema}");
            assert!(text.contains("pattern"), "{text}");
        }
        let many: Vec<Value> =
            (0..20).map(|at| json!({"items": {"pattern": format!("{at}a{{600}}")}})).collect();
        assert_eq!(refused(&json!({"prefixItems": many})).0, reasons::SCHEMA_TOO_COMPLEX);
        // Alone each would do.
        let at_once: Vec<Value> =
            (0..8).map(|at| json!({"pattern": format!("{at}a{{700}}")})).collect();
        assert_eq!(refused(&json!({"allOf": at_once})).0, reasons::SCHEMA_TOO_COMPLEX);
    }

    proptest! {
        #[test]
        fn percent_encoding_is_undone(text in "\\PC*") {
            let encoded: Vec<String> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let encoded = encoded.concat();
            prop_assert_eq!(decoded(&encoded), Some(text.clone()));
            if !text.contains('%') {
                prop_assert_eq!(decoded(&text), Some(text));
            }
        }
    }
}
