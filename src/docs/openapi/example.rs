//! Examples: a request as JSON, and a call as a line to type.

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::Value;

use super::{
    files,
    parameters::{Content, Input},
    schema::well_known,
    source::Rule,
};
use crate::docs::json::{Json, Object};

/// An example of a message with its fields in the order of the proto file.
pub(super) fn ordered(example: &Value, message: &MessageDescriptor) -> Json {
    let mut object = Object::new();
    for field in message.fields() {
        let Some(value) = example.get(field.json_name()) else { continue };
        let value = match (field.kind(), value) {
            (Kind::Message(inner), value)
                if field.is_map() || well_known(inner.full_name()).is_some() =>
            {
                value.clone().into()
            }
            (Kind::Message(inner), Value::Array(items)) => {
                items.iter().map(|item| ordered(item, &inner)).collect::<Vec<_>>().into()
            }
            (Kind::Message(inner), value) if value.is_object() => ordered(value, &inner),
            (_, value) => value.clone().into(),
        };
        object.put(field.json_name(), value);
    }
    object.into()
}

/// The call of an operation with its examples, by curl.
pub(super) fn curl(rule: &Rule, input: &Input, streams: bool) -> String {
    let mut path = input.path.clone();
    let mut query = Vec::new();
    for parameter in &input.parameters {
        let name = &parameter.name;
        for value in values(parameter.example.as_ref()) {
            if parameter.place == "path" {
                path = path.replace(&format!("{{{name}}}"), &escaped(&value));
            } else {
                query.push(format!("{name}={}", escaped(&value)));
            }
        }
    }
    let question = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };

    let mut parts = vec!["curl --header \"x-api-key: $TAP_API_KEY\"".to_owned()];
    if streams {
        parts.push("--no-buffer".to_owned());
    }
    let usual = if input.body.is_some() { "post" } else { "get" };
    if rule.verb != usual {
        parts.push(format!("--request {}", rule.verb.to_uppercase()));
    }
    if let Some(body) = &input.body {
        match &body.content {
            Content::Json { example, .. } => {
                parts.push("--header 'content-type: application/json'".to_owned());
                parts.push(format!("--data '{}'", example.to_string().replace('\'', "'\\''")));
            }
            Content::File => parts.push(files::DATA.to_owned()),
        }
    }
    parts.push(format!("\"$TAP_URL{path}{question}\""));
    parts.join(" \\\n  ")
}

/// The values of a parameter: one, or one each of a list.
fn values(example: Option<&Value>) -> Vec<String> {
    match example {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().flat_map(|item| values(Some(item))).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(other) => vec![other.to_string()],
    }
}

/// As it may stand in an address.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~:,".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _infallible = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
