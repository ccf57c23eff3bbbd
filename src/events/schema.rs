//! What the data of events must be like: a JSON Schema, compiled, which is safe against whoever wrote it.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use jsonschema::{
    Draft, PatternOptions, ValidationError, Validator, error::ValidationErrorKind as Kind,
};
use serde_json::{Map, Value};

use super::{bounds, check::VIOLATIONS_MAX, data};
use crate::{error::Violation, reasons, wire::excerpt, wire::holds_key};

/// Bytes of a schema, as JSON.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a pattern once it is compiled, and of what it keeps while it runs.
const PATTERN_BYTES_MAX: usize = 512 * 1024;
const PATTERN_CACHE_BYTES_MAX: usize = 256 * 1024;
/// Up to here, subschemas times values, it is worked out what is wrong with data: that takes copies of them.
const EXPLAINED_MAX: u64 = 250_000;
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
    /// How many of its subschemas may apply to one value.
    width: u64,
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
        let mut violations = Vec::new();
        if self.width.saturating_mul(data::count(&data)) <= EXPLAINED_MAX {
            let errors = self.validator.iter_errors(&data).take(VIOLATIONS_MAX + 1);
            violations.extend(
                errors.map(|error| violation(error.instance_path().as_str(), describe(&error))),
            );
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
