//! What is served and is no RPC: written by hand.

use serde_json::{Value, json};

use super::operation::{Operation, of_envoy};
use crate::docs::json::{Json, Object};

/// The tag of these operations.
pub(super) const TAG: &str = "Plain HTTP";

/// Every such operation.
pub(super) fn operations() -> Vec<Operation> {
    vec![tap_url()]
}

fn tap_url() -> Operation {
    let page = |about: &str| answer(about, &json!({"text/html": {"schema": {"type": "string"}}}));
    let about = "What chips and codes hold. Needs no key. Each request is a tap, and is redirected to where the tag leads: only ever to the `destination_url` that is stored, whatever the query string says. Programs and previews are told from people by their headers.\n\n```bash\ncurl --include \"$TAP_URL/t/team-1/newsletter-1\"\n```";
    let moved = answer("To where the tag leads.", &json!({})).with(
        "headers",
        json!({"location": {
            "description": "The `destination_url` of the tag.",
            "required": true,
            "schema": {"type": "string"},
        }}),
    );
    let responses = Object::new()
        .with("200", page("The tag leads nowhere: a page that says thank you."))
        .with("302", moved)
        .with("404", page("There is no such tag, or it is archived: not a tap."));
    let json = Object::new()
        .with("tags", vec![TAG.into()])
        .with("operationId", "TapUrl")
        .with("summary", "Records a tap and redirects to where the tag leads")
        .with("description", about)
        .with("security", Vec::<Json>::new())
        .with(
            "parameters",
            vec![
                parameter("team", "The slug of the team.", "team-1"),
                parameter("tagUid", "The tag.", "newsletter-1"),
            ],
        )
        .with("responses", with_envoy(responses));
    Operation { path: "/t/{team}/{tagUid}".to_owned(), verb: "get", json }
}

fn parameter(name: &str, about: &str, example: &str) -> Json {
    let schema = json!({"type": "string"});
    Object::new()
        .with("name", name)
        .with("in", "path")
        .with("required", true)
        .with("description", about)
        .with("schema", schema)
        .with("example", example)
        .into()
}

fn answer(about: &str, content: &Value) -> Object {
    let content = Some(content.clone())
        .filter(|content| content.as_object().is_some_and(|kinds| !kinds.is_empty()));
    Object::new().with("description", about).with_some("content", content)
}

/// The responses, and those that Envoy can give at any path.
fn with_envoy(mut responses: Object) -> Object {
    for (status, error) in of_envoy() {
        responses.put(status.to_string(), error);
    }
    responses
}
