//! Messages as schemas, in the form in which Envoy reads and prints them.
//!
//! Some words of a comment are more than words: `Required.`, `UUID`, `RFC 3339`.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, OneofDescriptor,
    ServiceDescriptor,
};
use serde_json::json;

use super::source::{Source, first_sentence};
use crate::docs::json::{Json, Object};

/// Fields of requests that name tags, and what they can hold.
const TAG_UIDS: &[&str] = &["uid", "tag_uid", "tag_uids"];
const TAG_UID: &str = "^[A-Za-z0-9._:-]{1,64}$";

/// Where a message is used. What is always there in an answer may be left out of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Answer,
}

/// The schemas that were asked for so far, and what they could not be made from.
#[derive(Debug)]
pub(super) struct Schemas<'a> {
    source: &'a Source,
    /// Messages that are in answers: in a request they have another name.
    answered: BTreeSet<String>,
    made: BTreeMap<String, Json>,
    /// What lacks a comment or has no form in JSON.
    pub gaps: BTreeSet<String>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        let mut answered = BTreeSet::new();
        for method in source.services().iter().flat_map(ServiceDescriptor::methods) {
            reach(&method.output(), &mut answered);
        }
        Self { source, answered, made: BTreeMap::new(), gaps: BTreeSet::new() }
    }

    /// All schemas, by name.
    pub(super) fn into_components(self) -> Object {
        let mut components = Object::new();
        for (name, schema) in self.made {
            components.put(name, schema);
        }
        components
    }

    /// A reference to the schema of a message.
    pub(super) fn message(&mut self, message: &MessageDescriptor, side: Side) -> Object {
        if let Some(schema) = well_known(message.full_name()) {
            return schema;
        }
        let name = self.name(message, side);
        if !self.made.contains_key(&name) {
            // First, so that a message may hold itself.
            self.made.insert(name.clone(), Object::new().into());
            let schema = self.object(message, side, &[]);
            self.made.insert(name.clone(), schema.into());
        }
        reference(&name)
    }

    /// The schema of a message itself, without these fields.
    pub(super) fn object(
        &mut self,
        message: &MessageDescriptor,
        side: Side,
        without: &[&str],
    ) -> Object {
        let mut schema = Object::new().with("type", "object").with_some(
            "description",
            self.describe(&message.parent_file(), message.path(), message.full_name()),
        );
        let (mut properties, mut required) = (Object::new(), Vec::new());
        for field in message.fields().filter(|field| !without.contains(&field.name())) {
            let comment = self.describe(
                &field.parent_message().parent_file(),
                field.path(),
                field.full_name(),
            );
            properties
                .put(field.json_name(), self.field(&field, side).with_some("description", comment));
            let always = match side {
                // Envoy prints what has no presence also when it is empty.
                Side::Answer => !field.supports_presence(),
                Side::Request => self.is_required(&field),
            };
            if always {
                required.push(Json::from(field.json_name()));
            }
        }
        schema.put("properties", properties);
        if !required.is_empty() {
            schema.put("required", required);
        }
        let choices: Vec<Json> = message.oneofs().filter_map(|oneof| at_most_one(&oneof)).collect();
        if !choices.is_empty() {
            schema.put("allOf", choices);
        }
        schema
    }

    /// The schema of a field, without what is said of it.
    pub(super) fn field(&mut self, field: &FieldDescriptor, side: Side) -> Object {
        let kind = field.kind();
        if let (true, Some(entry)) = (field.is_map(), kind.as_message()) {
            let value = self.kind(&entry.map_entry_value_field().kind(), side);
            return Object::new().with("type", "object").with("additionalProperties", value);
        }
        let one = match kind {
            Kind::String if side == Side::Request && TAG_UIDS.contains(&field.name()) => {
                members(json!({"type": "string", "pattern": TAG_UID}))
            }
            Kind::String => text(self.comment(field)),
            kind => self.kind(&kind, side),
        };
        if field.is_list() { Object::new().with("type", "array").with("items", one) } else { one }
    }

    fn kind(&mut self, kind: &Kind, side: Side) -> Object {
        let schema = match kind {
            Kind::Double => json!({"type": "number", "format": "double"}),
            Kind::Float => json!({"type": "number", "format": "float"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({"type": "integer", "format": "int32"})
            }
            Kind::Uint32 | Kind::Fixed32 => {
                json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
            }
            // More than a double holds: text.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"})
            }
            Kind::Uint64 | Kind::Fixed64 => {
                json!({"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"})
            }
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Enum(values) => return self.values(values),
            Kind::Message(message) => return self.message(message, side),
        };
        members(schema)
    }

    /// A reference to the schema of an enum: its values by name.
    fn values(&mut self, values: &EnumDescriptor) -> Object {
        // The message that is the namespace of the values says what they are of.
        let name = short(values.full_name()).trim_end_matches(".Value").to_owned();
        if !self.made.contains_key(&name) {
            let file = values.parent_file();
            let about = self.describe(&file, values.path(), values.full_name());
            let mut lines = vec![about.unwrap_or_default(), String::new()];
            let mut names = Vec::new();
            for value in values.values() {
                let about = self.describe(&file, value.path(), value.full_name());
                lines.push(format!("- `{}`: {}", value.name(), about.unwrap_or_default()));
                names.push(Json::from(value.name()));
            }
            let schema = Object::new()
                .with("type", "string")
                .with("enum", names)
                .with("description", lines.join("\n"));
            self.made.insert(name.clone(), schema.into());
        }
        reference(&name)
    }

    /// The name of the schema of a message.
    fn name(&self, message: &MessageDescriptor, side: Side) -> String {
        let name = short(message.full_name());
        let two = side == Side::Request && self.answered.contains(message.full_name());
        if two { format!("{name}Input") } else { name.to_owned() }
    }

    /// Whether the comment on a field of a request has the sentence `Required.`
    pub(super) fn is_required(&self, field: &FieldDescriptor) -> bool {
        let comment = self.comment(field);
        comment == "Required." || comment.contains(" Required.")
    }

    fn comment(&self, field: &FieldDescriptor) -> &'a str {
        let file = field.parent_message().parent_file();
        self.source.comment(&file, field.path()).unwrap_or_default()
    }

    /// What the comment on an element says. What is not ours is told shortly.
    pub(super) fn describe(
        &mut self,
        file: &FileDescriptor,
        path: &[i32],
        name: &str,
    ) -> Option<String> {
        let Some(comment) = self.source.comment(file, path) else {
            self.gaps.insert(format!("{name} has no comment in {}", file.name()));
            return None;
        };
        let ours = name.starts_with("tap.");
        Some(if ours { comment.to_owned() } else { format!("{}.", first_sentence(comment)) })
    }
}

/// Adds the messages that a message holds, itself too.
fn reach(message: &MessageDescriptor, found: &mut BTreeSet<String>) {
    if found.insert(message.full_name().to_owned()) {
        for field in message.fields() {
            if let Kind::Message(inner) = field.kind() {
                reach(&inner, found);
            }
        }
    }
}

/// Of the fields of a `oneof` there is one at most.
fn at_most_one(oneof: &OneofDescriptor) -> Option<Json> {
    let names: Vec<String> = oneof.fields().map(|field| field.json_name().to_owned()).collect();
    let mut pairs = Vec::new();
    for (at, one) in names.iter().enumerate() {
        pairs.extend(names[at + 1..].iter().map(|other| json!({"required": [one, other]})));
    }
    // An `optional` field is a `oneof` of one.
    (!pairs.is_empty()).then(|| json!({"not": {"anyOf": pairs}}).into())
}

/// A text, of the form that its comment names.
fn text(comment: &str) -> Object {
    let form = |form: &str| json!({"type": "string", "format": form});
    if comment.contains("a date (`") && comment.contains("RFC 3339") {
        return Object::new().with("anyOf", json!([form("date"), form("date-time")]));
    }
    members(if comment.contains("RFC 3339") {
        form("date-time")
    } else if comment.contains(" UUID") {
        form("uuid")
    } else {
        json!({"type": "string"})
    })
}

/// What protobuf itself writes otherwise than as an object.
pub(super) fn well_known(name: &str) -> Option<Object> {
    let schema = match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({"type": "string", "format": "date-time"}),
        "Duration" => json!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"}),
        "FieldMask" => json!({"type": "string"}),
        "Struct" => json!({"type": "object"}),
        "Value" | "Any" => json!({}),
        _ => return None,
    };
    Some(members(schema))
}

/// A reference to a schema.
pub(super) fn reference(name: &str) -> Object {
    Object::new().with("$ref", format!("#/components/schemas/{name}"))
}

/// A name without our package.
fn short(name: &str) -> &str {
    name.strip_prefix("tap.v1.").unwrap_or(name)
}

/// The members of a small object.
fn members(value: serde_json::Value) -> Object {
    let mut object = Object::new();
    if let serde_json::Value::Object(members) = value {
        for (name, value) in members {
            object.put(name, value);
        }
    }
    object
}
