//! What an operation takes: in its path, in its query and in its body, as Envoy's transcoder reads them.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::{
    example::ordered,
    files::is_file,
    schema::{Schemas, Side, well_known},
    source::Rule,
};
use crate::docs::json::{Json, Object};

/// How deep the names of parameters go: `query.startDate` is two.
const DEPTH_MAX: usize = 3;

/// What an operation takes.
#[derive(Debug)]
pub(super) struct Input {
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    /// The path with the names of JSON in braces.
    pub path: String,
}

#[derive(Debug)]
pub(super) struct Parameter {
    /// `path` or `query`.
    pub place: &'static str,
    pub name: String,
    pub required: bool,
    pub repeated: bool,
    pub about: Option<String>,
    pub schema: Object,
    pub example: Option<Value>,
}

#[derive(Debug)]
pub(super) struct Body {
    pub required: bool,
    pub content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Json { schema: Object, example: Json },
    File,
}

impl Input {
    /// What a method takes by one of its rules, with the values of an example.
    ///
    /// # Errors
    /// What the rule names that is not there.
    pub(super) fn of(
        rule: &Rule,
        message: &MessageDescriptor,
        example: &Value,
        schemas: &mut Schemas<'_>,
    ) -> Result<Self, String> {
        let mut input = Self { parameters: Vec::new(), body: None, path: String::new() };
        let mut bound = Vec::new();
        let mut rest = rule.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("{} has no end", rule.path))?;
            let field = message
                .get_field_by_name(name)
                .ok_or_else(|| format!("{} has no field {name}", message.full_name()))?;
            let example = example.get(field.json_name());
            let mut parameter =
                Parameter::new("path", field.json_name().to_owned(), &field, example, schemas);
            parameter.required = true;
            input.path.extend([before, "{", &parameter.name, "}"]);
            input.parameters.push(parameter);
            bound.push(name);
            rest = after;
        }
        input.path.push_str(rest);

        match rule.body.as_str() {
            "*" => {
                input.body = Some(whole_body(message, example, &bound, schemas));
                return Ok(input);
            }
            "" => {}
            name => {
                let field = message
                    .get_field_by_name(name)
                    .ok_or_else(|| format!("{} has no field {name}", message.full_name()))?;
                bound.push(name);
                let required = schemas.is_required(&field);
                let kind = field.kind();
                if kind.as_message().is_some_and(is_file) {
                    input.body = Some(Body { required, content: Content::File });
                    return Ok(input.with_queries(message, &bound, example, schemas));
                }
                let example = match (kind, example.get(field.json_name())) {
                    (Kind::Message(inner), Some(value))
                        if well_known(inner.full_name()).is_none() =>
                    {
                        ordered(value, &inner)
                    }
                    (_, value) => value.cloned().unwrap_or_default().into(),
                };
                let schema = schemas.field(&field, Side::Request);
                input.body = Some(Body { required, content: Content::Json { schema, example } });
            }
        }
        Ok(input.with_queries(message, &bound, example, schemas))
    }

    /// What is neither in the path nor in the body.
    fn with_queries(
        mut self,
        message: &MessageDescriptor,
        bound: &[&str],
        example: &Value,
        schemas: &mut Schemas<'_>,
    ) -> Self {
        for field in message.fields().filter(|field| !bound.contains(&field.name())) {
            self.query(&field, "", true, Some(example), schemas, 1);
        }
        self
    }

    /// Adds the parameters of a field: itself, or the fields of the message that it is.
    fn query(
        &mut self,
        field: &FieldDescriptor,
        prefix: &str,
        needed: bool,
        example: Option<&Value>,
        schemas: &mut Schemas<'_>,
        depth: usize,
    ) {
        let name = format!("{prefix}{}", field.json_name());
        let example = example.and_then(|example| example.get(field.json_name()));
        let needed = needed && schemas.is_required(field);
        match field.kind() {
            Kind::Message(message) if well_known(message.full_name()).is_none() => {
                // Neither maps nor lists of messages can be written as parameters.
                if !field.is_list() && !field.is_map() && depth < DEPTH_MAX {
                    for inner in message.fields() {
                        self.query(
                            &inner,
                            &format!("{name}."),
                            needed,
                            example,
                            schemas,
                            depth + 1,
                        );
                    }
                }
            }
            _ => {
                let mut parameter = Parameter::new("query", name, field, example, schemas);
                parameter.required = needed;
                self.parameters.push(parameter);
            }
        }
    }
}

fn whole_body(
    message: &MessageDescriptor,
    example: &Value,
    in_path: &[&str],
    schemas: &mut Schemas<'_>,
) -> Body {
    let required = message
        .fields()
        .any(|field| !in_path.contains(&field.name()) && schemas.is_required(&field));
    let mut example = example.clone();
    if let Some(members) = example.as_object_mut() {
        for field in message.fields().filter(|field| in_path.contains(&field.name())) {
            members.remove(field.json_name());
        }
    }
    let schema = if in_path.is_empty() {
        schemas.message(message, Side::Request)
    } else {
        schemas.object(message, Side::Request, in_path)
    };
    let example = ordered(&example, message);
    Body { required, content: Content::Json { schema, example } }
}

impl Parameter {
    fn new(
        place: &'static str,
        name: String,
        field: &FieldDescriptor,
        example: Option<&Value>,
        schemas: &mut Schemas<'_>,
    ) -> Self {
        let file = field.parent_message().parent_file();
        Self {
            place,
            name,
            required: false,
            repeated: field.is_list(),
            about: schemas.describe(&file, field.path(), field.full_name()),
            schema: schemas.field(field, Side::Request),
            example: example.cloned(),
        }
    }

    pub(super) fn to_json(&self) -> Json {
        let mut parameter = Object::new()
            .with("name", self.name.as_str())
            .with("in", self.place)
            .with("required", self.required)
            .with_some("description", self.about.as_deref());
        if self.repeated {
            parameter.put("style", "form");
            parameter.put("explode", true);
        }
        parameter
            .with("schema", self.schema.clone())
            .with_some("example", self.example.clone())
            .into()
    }
}
