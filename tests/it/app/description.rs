//! The description of the API, as tests look things up in it.

use std::sync::LazyLock;

use http::HeaderMap;
use serde_json::{Value, json};
use tap_analytics::docs;

/// What is served at /openapi.json.
pub static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let document = docs::openapi().unwrap();
    serde_json::from_str(&document.json.to_string()).unwrap()
});

/// The operations of a path, such as of `/v1/taps:query`.
pub fn operations(path: &str) -> Vec<&'static Value> {
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let found = paths.iter().filter(|(template, _)| matches(template, path));
    found.flat_map(|(_, item)| item.as_object().unwrap().values()).collect()
}

/// Whether a path is one of a template: `/v1/tags/{uid}:archive`.
fn matches(template: &str, path: &str) -> bool {
    match template.split_once('{') {
        None => template == path,
        Some((before, after)) => {
            let (_, after) = after.split_once('}').unwrap();
            let Some(rest) = path.strip_prefix(before) else { return false };
            let end = rest.find('/').unwrap_or(rest.len());
            (1..=end).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(after, &rest[at..]))
        }
    }
}

/// An answer that was seen is one that the description has: its status, its headers, its reason, its body.
pub fn assert_described(path: &str, status: u16, headers: &HeaderMap, body: &Value) {
    let operations = operations(path);
    assert!(!operations.is_empty(), "{path} is not in the description of the API");
    let mut wrong = Vec::new();
    for operation in operations {
        match differs(operation, status, headers, body) {
            None => return,
            Some(text) => wrong.push(format!("{}: {text}", operation["operationId"])),
        }
    }
    panic!(
        "{path} answers otherwise than the description of the API says (see src/docs/openapi/answers.rs):\n{}\n{body}",
        wrong.join("\n")
    );
}

/// An answer of nothing is one that the description has.
pub fn assert_nothing_described(path: &str, headers: &HeaderMap) {
    let mut described = operations(path).into_iter().map(|one| &one["responses"]["204"]);
    let response = described.find(|response| !response.is_null()).unwrap();
    assert!(response.get("content").is_none(), "{path}");
    assert_eq!(lacks(response, headers), None, "{path}");
}

/// In what an answer is not one of this operation.
fn differs(
    operation: &'static Value,
    status: u16,
    headers: &HeaderMap,
    body: &Value,
) -> Option<String> {
    let response = &operation["responses"][status.to_string()];
    if response.is_null() {
        return Some(format!("there is no {status}"));
    }
    let details = body["details"].as_array().into_iter().flatten();
    for reason in details.filter_map(|detail| detail["reason"].as_str()) {
        let words = response["description"].as_str().unwrap();
        if !words.contains(&format!("`{reason}`")) {
            return Some(format!("{status} does not have the reason {reason}"));
        }
    }
    if let Some(text) = misses(response, headers) {
        return Some(format!("{status} {text}"));
    }
    let media = headers["content-type"].to_str().unwrap();
    conforms(&response["content"][media]["schema"], body, "").err()
}

/// What the headers of an answer lack, or say that is not described.
fn misses(response: &'static Value, headers: &HeaderMap) -> Option<String> {
    let media = headers["content-type"].to_str().unwrap();
    let no_media = || response["content"][media].is_null().then(|| format!("has no {media}"));
    lacks(response, headers).or_else(no_media)
}

/// A header that an answer lacks.
fn lacks(response: &'static Value, headers: &HeaderMap) -> Option<String> {
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let header = resolved(header);
        if header["required"] == true && !headers.contains_key(name) {
            return Some(format!("lacks the header {name}"));
        }
    }
    None
}

/// The head of a stream is one that the description has.
pub fn assert_described_stream(path: &str, headers: &HeaderMap) {
    let wrong = |operation: &'static Value| misses(&operation["responses"]["200"], headers);
    let wrong: Vec<_> = operations(path).into_iter().map(wrong).collect();
    assert!(wrong.iter().any(Option::is_none), "{path}: {wrong:?}");
}

/// A frame of a stream is one that the description has.
pub fn assert_described_frame(path: &str, frame: &Value) {
    let mut wrong = Vec::new();
    for operation in operations(path) {
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let is_stream = operation["responses"]["200"]["content"].get("text/event-stream").is_some();
        if is_stream {
            match conforms(schema, frame, "") {
                Ok(()) => return,
                Err(text) => wrong.push(text),
            }
        }
    }
    panic!("{path} has another frame than the description of the API says: {wrong:?}\n{frame}");
}

/// What a reference leads to, or the value itself.
fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(place) => DESCRIPTION.pointer(place.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// Whether a value is one of a schema, and has nothing that the schema does not name.
fn conforms(schema: &'static Value, value: &Value, at: &str) -> Result<(), String> {
    for (word, rule) in schema.as_object().unwrap() {
        let rules = || rule.as_array().unwrap().iter().map(|rule| conforms(rule, value, at));
        let good = match word.as_str() {
            "$ref" => {
                conforms(resolved(schema), value, at)?;
                true
            }
            "type" => is_a(rule.as_str().unwrap(), value),
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    match rule.get(name) {
                        Some(rule) => conforms(rule, inner, &format!("{at}/{name}"))?,
                        // Beside the members of the message in it.
                        None if name == "@type" => {}
                        None if *rule == json!({"@type": rule["@type"]}) => {}
                        None => return Err(format!("{at} has {name}, which is not described")),
                    }
                }
                true
            }
            "required" => {
                let mut names = rule.as_array().unwrap().iter();
                match names.find(|name| value.get(name.as_str().unwrap()).is_none()) {
                    None => true,
                    Some(name) => return Err(format!("{at} lacks {name}")),
                }
            }
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    conforms(rule, item, &format!("{at}/{place}"))?;
                }
                true
            }
            "additionalProperties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    conforms(rule, inner, &format!("{at}/{name}"))?;
                }
                true
            }
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "allOf" => {
                rules().collect::<Result<(), _>>()?;
                true
            }
            "anyOf" => rules().any(|result| result.is_ok()),
            "oneOf" => rules().flatten().count() == 1,
            "not" => conforms(rule, value, at).is_err(),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "maximum" => value.as_f64() <= rule.as_f64(),
            "format" => is_of_form(rule.as_str().unwrap(), value),
            "description" | "pattern" | "contentEncoding" => true,
            _ => panic!("a schema uses {word}, which is not looked at here"),
        };
        if !good {
            return Err(format!("{at} is not {word} {rule}: {value}"));
        }
    }
    Ok(())
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => panic!("a schema has the type {kind}"),
    }
}

fn is_of_form(form: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match form {
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        _ => true,
    }
}

#[test]
fn paths_are_found_by_their_templates() {
    assert!(matches("/v1/tags", "/v1/tags"));
    assert!(matches("/v1/tags/{uid}:archive", "/v1/tags/a:b:archive"));
    assert!(matches("/v1/tags/{uid}/qr.svg", "/v1/tags/ä/qr.svg"));
    assert!(!matches("/v1/tags/{uid}", "/v1/tags/"));
    assert!(!matches("/v1/tags/{uid}", "/v1/tags/a/b"));
}

#[test]
fn what_is_not_described_is_noticed() {
    let answer = &DESCRIPTION["components"]["schemas"]["QueryTapsResponse"];
    let query = json!({
        "start": "", "end": "", "timeZone": "UTC", "interval": "DAY", "weekStart": "MONDAY", "tagUids": [],
        "groupBy": "NONE", "limit": 0, "compare": "NONE", "include": ["HUMAN"],
    });
    let good =
        json!({"buckets": [], "total": 1.5, "groups": [], "query": query, "resumeToken": ""});
    assert_eq!(
        conforms(answer, &with(&good, "/query/start", json!("2023-01-01T00:00:00Z")), ""),
        Ok(())
    );
    for (place, value) in [
        ("/query/start", json!("yesterday")),
        ("/total", json!("1")),
        ("/buckets", json!([{}])),
        ("/query/interval", json!("FORTNIGHT")),
        ("/more", json!(1)),
        ("/groups", Value::Null),
    ] {
        let good = with(&good, "/query/start", json!("2023-01-01T00:00:00Z"));
        assert!(conforms(answer, &with(&good, place, value), "").is_err(), "{place}");
    }
    let error = &DESCRIPTION["components"]["schemas"]["Status"];
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "A", "domain": "b", "metadata": {},
    });
    let good = json!({"code": 3, "message": "", "details": [info]});
    assert_eq!(conforms(error, &good, ""), Ok(()));
    assert!(conforms(error, &with(&good, "/details/0/@type", json!("other")), "").is_err());
    assert!(conforms(error, &with(&good, "/details/0/metadata", Value::Null), "").is_err());
}

/// A value with another one at a place in it.
fn with(value: &Value, place: &str, other: Value) -> Value {
    let mut value = value.clone();
    let (parent, name) = place.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap()[name] = other;
    value
}
