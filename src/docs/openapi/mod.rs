//! The description of the API in JSON: OpenAPI 3.1, made of the descriptor set, its comments, the access table
//! and the table of reasons.
//!
//! Nothing is written twice, so nothing can be forgotten: what cannot be described is a gap, and a test fails
//! on any gap.

mod answers;
mod coupons;
mod dialogs;
mod events;
mod example;
mod files;
mod imports;
mod operation;
mod parameters;
mod plain;
mod schema;
mod source;

use std::collections::BTreeSet;

use prost_reflect::DescriptorError;
use serde_json::{Value, json};

use self::{
    answers::rpcs,
    operation::{Operation, operations},
    schema::{Schemas, Side},
    source::Source,
};
use super::json::{Json, Object};
use crate::{error::DOMAIN, proto::DESCRIPTORS};

/// The ways of sending a key.
const SCHEMES: &[&str] = &["apiKey", "bearer"];
/// A further one, for streams.
const TOKEN_SCHEME: &str = "accessToken";
/// The headers that say what is left of a quota. Every answer has them that is no error.
const QUOTA_HEADERS: &[(&str, &str)] = &[
    ("x-ratelimit-limit", "Calls an hour of the quota that was charged."),
    ("x-ratelimit-remaining", "Calls that are left now."),
    ("x-ratelimit-reset", "Seconds until the quota is whole again."),
    ("ratelimit-policy", "The quota, as draft-ietf-httpapi-ratelimit-headers has it."),
    ("ratelimit", "What is left, as draft-ietf-httpapi-ratelimit-headers has it."),
];
/// Where what was made is shown.
const LOCATION: &str = "location";
/// Before the name of a header that is always there.
const ALWAYS: &str = "always.";
/// What the details of an error can be.
const DETAILS: &[&str] = &["ErrorInfo", "BadRequest", "QuotaFailure", "RetryInfo"];

/// The description, and what it lacks.
#[derive(Debug)]
pub struct Document {
    pub json: Json,
    /// Elements without a comment, RPCs without a row, and the like. Empty in a release.
    pub gaps: Vec<String>,
}

/// Describes the API.
///
/// # Errors
/// When the descriptor set cannot be read.
pub fn document() -> Result<Document, DescriptorError> {
    let source = Source::read(DESCRIPTORS)?;
    let mut schemas = Schemas::new(&source);
    let mut gaps = BTreeSet::new();
    let mut tags = Vec::new();
    let mut all = Vec::new();
    for service in source.services() {
        let about = schemas.describe(&service.parent_file(), service.path(), service.full_name());
        tags.push(
            Object::new().with("name", service.name()).with_some("description", about).into(),
        );
        for method in service.methods() {
            match operations(&source, &method, &mut schemas) {
                Ok(more) => all.extend(more),
                Err(gap) => {
                    gaps.insert(gap);
                }
            }
        }
    }
    let paths_of_rpcs = source.methods();
    let stale = rpcs().filter(|rpc| !paths_of_rpcs.contains(rpc.path));
    gaps.extend(stale.map(|rpc| format!("{}: there is no such RPC any more", rpc.path)));
    tags.push(json!({"name": plain::TAG, "description": "What is no RPC."}).into());
    all.extend(plain::operations());

    let status = status(&source, &mut schemas);
    gaps.append(&mut schemas.gaps);
    let mut components = schemas.into_components();
    components.put("Status", status);
    let components = Object::new()
        .with("schemas", components)
        .with("headers", headers())
        .with("securitySchemes", security_schemes());
    let json = Object::new()
        .with("openapi", "3.1.0")
        .with("info", info())
        .with(
            "externalDocs",
            json!({"description": "Every reason of an error", "url": "/docs/errors"}),
        )
        .with("servers", json!([{"url": "/"}]))
        .with("tags", tags)
        .with("paths", paths(all))
        .with("components", components);
    Ok(Document { json: json.into(), gaps: gaps.into_iter().collect() })
}

fn info() -> Object {
    Object::new()
        .with("title", "tap-analytics")
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("description", include_str!("intro.md"))
        .with("license", json!({"name": "Apache-2.0", "identifier": "Apache-2.0"}))
}

/// The operations by path, in their order.
fn paths(operations: Vec<Operation>) -> Object {
    let mut paths = Object::new();
    for Operation { path, verb, json } in operations {
        let mut item = match paths.get(&path) {
            Some(Json::Object(item)) => item.clone(),
            _ => Object::new(),
        };
        item.put(verb, json);
        paths.put(path, item);
    }
    paths
}

/// What every error is: `google.rpc.Status` as Envoy prints it.
fn status(source: &Source, schemas: &mut Schemas<'_>) -> Object {
    let mut details = Vec::new();
    for name in DETAILS {
        let full_name = format!("google.rpc.{name}");
        let Some(message) = source.message(&full_name) else { continue };
        let kind = Object::new()
            .with("type", "object")
            .with(
                "properties",
                json!({"@type": {"const": format!("type.googleapis.com/{full_name}")}}),
            )
            .with("required", json!(["@type"]));
        details.push(
            Object::new()
                .with("allOf", vec![kind.into(), schemas.message(&message, Side::Answer).into()])
                .into(),
        );
    }
    let details = Object::new()
        .with("type", "array")
        .with("description", format!("An `ErrorInfo` with the domain `{DOMAIN}` always, a `BadRequest` with every bad field, a `QuotaFailure` and a `RetryInfo` for quotas."))
        .with("items", Object::new().with("oneOf", details));
    let properties = Object::new()
        .with("code", json!({"type": "integer", "format": "int32", "description": "The gRPC code."}))
        .with("message", json!({"type": "string", "description": "For people: what is wrong, and what to do. It may change."}))
        .with("details", details);
    Object::new()
        .with("type", "object")
        .with("description", "An error: `google.rpc.Status`.")
        .with("properties", properties)
        .with("required", json!(["code", "message", "details"]))
}

fn headers() -> Object {
    let text = |about: &str| json!({"description": about, "schema": {"type": "string"}});
    let number =
        |about: &str| json!({"description": about, "schema": {"type": "integer", "minimum": 0}});
    let always = |mut header: Value| {
        header["required"] = true.into();
        header
    };
    let mut headers = Object::new()
        .with("x-request-id", text("By which both logs know the call."))
        .with("retry-after", number("Seconds to wait, when a quota is used up."))
        .with("www-authenticate", always(text("How to authenticate.")))
        .with(LOCATION, always(text("Where what was made is shown.")));
    for (name, about) in QUOTA_HEADERS {
        let header = if name.starts_with('x') { number(about) } else { text(about) };
        headers.put(*name, header.clone());
        headers.put(format!("{ALWAYS}{name}"), always(header));
    }
    headers
}

fn security_schemes() -> Object {
    let api_key = json!({"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key, `tap_…`."});
    let bearer = json!({"type": "http", "scheme": "bearer", "description": "The same key as `authorization: Bearer`."});
    let access_token = json!({"type": "apiKey", "in": "query", "name": "access_token", "description": "A browser token, where no header can be sent. Streams only."});
    Object::new().with("apiKey", api_key).with("bearer", bearer).with(TOKEN_SCHEME, access_token)
}
