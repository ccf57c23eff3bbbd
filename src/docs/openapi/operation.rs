//! One way to call one RPC: its words, what it takes, and every answer that it can give.

use std::collections::BTreeSet;

use prost_reflect::MethodDescriptor;
use serde_json::{Value, json};
use tonic::Code;

use super::{
    answers::{self, Rpc, Shape, rpcs},
    example::curl,
    files::{self, is_file},
    parameters::{Content, Input, Parameter},
    schema::{Schemas, Side, reference},
    source::{Rule, Source, first_sentence, path},
};
use crate::{
    access::model::Scope,
    auth::Route,
    docs::json::{Json, Object},
    error::DOMAIN,
    reasons::{Entry, Row, code_name},
};

/// An operation, and where it is.
#[derive(Debug)]
pub(super) struct Operation {
    pub path: String,
    pub verb: &'static str,
    pub json: Object,
}

/// What all operations of a method have in common.
struct Method<'a> {
    descriptor: &'a MethodDescriptor,
    comment: &'a str,
    route: Route,
    example: Value,
    rpc: &'static Rpc,
}

/// Every operation of a method.
///
/// # Errors
/// What is missing: a comment, a row of one of the tables, what a row names.
pub(super) fn operations(
    source: &Source,
    method: &MethodDescriptor,
    schemas: &mut Schemas<'_>,
) -> Result<Vec<Operation>, String> {
    let service = method.parent_service();
    let path = path(method);
    let comment = source
        .comment(&service.parent_file(), method.path())
        .ok_or_else(|| format!("{path} has no comment in {}", service.parent_file().name()))?;
    let (route, _) = Route::of(&path);
    if route == Route::Unknown {
        return Err(format!("{path} has no row in the access table, src/auth.rs"));
    }
    let rpc = rpcs().find(|rpc| rpc.path == path);
    let rpc = rpc.ok_or_else(|| format!("{path} has no row in src/docs/openapi/answers.rs"))?;
    let example = serde_json::from_str(rpc.example)
        .map_err(|error| format!("the example of {path} is no JSON: {error}"))?;

    let method = Method { descriptor: method, comment, route, example, rpc };
    let mut names = BTreeSet::new();
    let rules = source.rules(method.descriptor);
    rules.iter().map(|rule| method.operation(rule, &mut names, schemas)).collect()
}

impl Method<'_> {
    fn operation(
        &self,
        rule: &Rule,
        names: &mut BTreeSet<String>,
        schemas: &mut Schemas<'_>,
    ) -> Result<Operation, String> {
        let input = Input::of(rule, &self.descriptor.input(), &self.example, schemas)?;
        // A file comes in pieces, and ends.
        let streams = self.descriptor.is_server_streaming() && !is_file(&self.descriptor.output());
        let shape = Shape {
            route: self.route,
            has_path_parameters: input.parameters.iter().any(|one| one.place == "path"),
            has_body: input.body.is_some(),
            json_only: self.descriptor.parent_service().name() == "Coupons",
            streams,
        };
        let errors = answers::errors(shape, self.rpc.reasons).map_err(|reason| {
            format!(
                "{reason}, which {} gives, has no such row in src/reasons/table.rs",
                self.name()
            )
        })?;

        let mut responses = Object::new();
        for status in self.rpc.statuses {
            let answer = match status {
                204 => nothing(self.route),
                status => self.success(*status, streams, schemas)?,
            };
            responses.put(status.to_string(), answer);
        }
        for (status, rows) in &errors {
            responses.put(status.to_string(), error(*status, rows, self.route));
        }
        let mut json = Object::new()
            .with("tags", vec![self.descriptor.parent_service().name().into()])
            .with("operationId", self.operation_id(rule, names))
            .with("summary", first_sentence(self.comment).replace('`', ""))
            .with("description", self.description(&curl(rule, &input, streams)))
            .with("security", security(self.route, streams));
        if !input.parameters.is_empty() {
            let parameters: Vec<Json> = input.parameters.iter().map(Parameter::to_json).collect();
            json.put("parameters", parameters);
        }
        if let Some(body) = input.body {
            let content = match body.content {
                Content::Json { schema, example } => {
                    let media = Object::new().with("schema", schema).with("example", example);
                    Object::new().with("application/json", media)
                }
                Content::File => files::content(),
            };
            json.put(
                "requestBody",
                Object::new().with("required", body.required).with("content", content),
            );
        }
        json.put("responses", responses);
        Ok(Operation { path: input.path, verb: rule.verb, json })
    }

    fn name(&self) -> &str {
        self.descriptor.name()
    }

    /// The name of the RPC; of its further operations also their verb.
    fn operation_id(&self, rule: &Rule, names: &mut BTreeSet<String>) -> String {
        let mut id = self.name().to_owned();
        if names.contains(&id) {
            id = format!("{id}_{}", rule.verb);
        }
        while !names.insert(id.clone()) {
            id.push_str("_too");
        }
        id
    }

    fn description(&self, curl: &str) -> String {
        let comment = self.comment;
        let scope = self.route.scope().map(|scope| format!("Scope `{}`.", scope.as_str()));
        let quota = self.route.class().map(|class| format!("Quota `{}`.", class.as_str()));
        let needs = [scope, quota].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let grpc = path(self.descriptor);
        let grpc = grpc.trim_start_matches('/');
        format!("{comment}\n\n{needs} By gRPC: `{grpc}`.\n\n```bash\n{curl}\n```")
    }

    fn success(
        &self,
        status: u16,
        streams: bool,
        schemas: &mut Schemas<'_>,
    ) -> Result<Object, String> {
        let output = self.descriptor.output();
        let answer = |about: String, content: Object| {
            let headers = headers(status, self.route);
            let answer = Object::new().with("description", about).with("headers", headers);
            Ok(answer.with("content", content))
        };
        let text = || Object::new().with("schema", json!({"type": "string"}));
        if is_file(&output) {
            let media = self.rpc.media;
            if media.is_empty() {
                return Err(format!("the row of {} names no media", self.name()));
            }
            let content = media.iter().fold(Object::new(), |all, media| all.with(*media, text()));
            return answer(format!("As `{}`.", media.join("` or `")), content);
        }
        let file = output.parent_file();
        let about = schemas.describe(&file, output.path(), output.full_name()).unwrap_or_default();
        let schema = Object::new().with("schema", schemas.message(&output, Side::Answer));
        let content = Object::new().with("application/json", schema);
        if !streams {
            return answer(about, content);
        }
        let about = format!(
            "{about}\n\nThe answer does not end by itself. With `Accept: text/event-stream` each frame is an event, `data: ` and one JSON object; otherwise each is one JSON object on a line of its own. The schema is that of a frame."
        );
        answer(about, content.with("text/event-stream", text()))
    }
}

/// An answer of nothing.
fn nothing(route: Route) -> Object {
    Object::new().with("description", "It is done.").with("headers", headers(204, route))
}

/// An error, with every reason that it can have.
pub(super) fn error(status: u16, rows: &[&Row], route: Route) -> Object {
    let mut lines = vec![
        "| Reason | Code | When | What to do |".to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ];
    for row in rows {
        let (code, when, todo) = match row.entry {
            Entry::Service { code, when, todo, .. } => (code, when, todo),
            Entry::Envoy { code, when, todo, .. } => (Some(code), when, todo),
            Entry::Field { .. }
            | Entry::Tap { .. }
            | Entry::Event { .. }
            | Entry::Line { .. }
            | Entry::File { .. }
            | Entry::Cell { .. } => continue,
        };
        let (reason, code) = (row.reason, code.map_or("any", code_name));
        lines.push(format!("| [`{reason}`](/docs/errors#{reason}) | {code} | {when} | {todo} |"));
    }
    let media = Object::new()
        .with("schema", reference("Status"))
        .with_some("example", rows.first().map(|row| example_of(row)));
    Object::new()
        .with("description", lines.join("\n"))
        .with("headers", headers(status, route))
        .with("content", Object::new().with("application/json", media))
}

/// What an error with this reason looks like.
fn example_of(row: &Row) -> Object {
    let (code, when) = match row.entry {
        Entry::Service { code, when, .. } => (code.unwrap_or(Code::Unknown), when),
        Entry::Envoy { code, when, .. } => (code, when),
        Entry::Field { when, .. }
        | Entry::Tap { when, .. }
        | Entry::Event { when, .. }
        | Entry::Line { when, .. }
        | Entry::File { when }
        | Entry::Cell { when, .. } => (Code::InvalidArgument, when),
    };
    let info = Object::new()
        .with("@type", "type.googleapis.com/google.rpc.ErrorInfo")
        .with("reason", row.reason)
        .with("domain", DOMAIN)
        .with("metadata", Object::new());
    Object::new()
        .with("code", json!(i32::from(code)))
        .with("message", when.replace('`', ""))
        .with("details", vec![info.into()])
}

/// The headers of an answer.
fn headers(status: u16, route: Route) -> Object {
    let mut names = Vec::new();
    // Envoy answers these before it has made an id.
    if status != 431 {
        names.push(("x-request-id", ""));
    }
    let success = (200..300).contains(&status);
    if route.class().is_some() && (success || status == 429) {
        // There are other refusals than those of a quota.
        let always = if success { super::ALWAYS } else { "" };
        names.extend(super::QUOTA_HEADERS.iter().map(|(name, _)| (*name, always)));
    }
    match status {
        201 => names.push((super::LOCATION, "")),
        401 => names.push(("www-authenticate", "")),
        429 => names.push(("retry-after", "")),
        _ => {}
    }
    let mut headers = Object::new();
    for (name, always) in names {
        let place = format!("#/components/headers/{always}{name}");
        headers.put(name, Object::new().with("$ref", place));
    }
    headers
}

/// Every way of sending a key; the roles are the scopes.
fn security(route: Route, streams: bool) -> Vec<Json> {
    if route == Route::Public {
        return Vec::new();
    }
    let roles: Vec<Json> = route.scope().iter().map(|scope| scope.as_str().into()).collect();
    // No token has what is not for browsers.
    let by_token = streams && route.scope().is_some_and(Scope::reads);
    let schemes = super::SCHEMES.iter().chain(by_token.then_some(&super::TOKEN_SCHEME));
    schemes.map(|scheme| Object::new().with(*scheme, roles.clone()).into()).collect()
}

/// The errors that a path can give to which there is no RPC: those of Envoy.
pub(super) fn of_envoy() -> Vec<(u16, Object)> {
    let shape = Shape {
        route: Route::Public,
        has_path_parameters: false,
        has_body: false,
        json_only: false,
        streams: false,
    };
    let errors = answers::errors(shape, &[]).unwrap_or_default();
    let envoy = |rows: &Vec<&'static Row>| -> Vec<&'static Row> {
        rows.iter().copied().filter(|row| matches!(row.entry, Entry::Envoy { .. })).collect()
    };
    let errors = errors.iter().map(|(status, rows)| (*status, envoy(rows)));
    errors
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(status, rows)| (status, error(status, &rows, Route::Public)))
        .collect()
}
