//! The documentation that the program makes of itself: nothing is left out, and it is served.

use std::collections::BTreeSet;

use reqwest::{Client, StatusCode};
use tap_analytics::{docs, reasons::ROWS};

use crate::{
    app::{App, description::DESCRIPTION, envoy::Envoy},
    envoy::http_rules,
};

#[test]
fn everything_is_described() {
    let gaps = docs::openapi().unwrap().gaps;
    assert!(gaps.is_empty(), "the description of the API lacks:\n{}", gaps.join("\n"));
}

#[test]
fn every_http_rule_of_the_proto_files_is_an_operation() {
    let rules: BTreeSet<_> = http_rules()
        .into_iter()
        // Names in braces are those of JSON in the description.
        .map(|(verb, path)| (verb.to_lowercase(), without_names(&path)))
        .collect();
    let mut operations = BTreeSet::new();
    for (path, item) in DESCRIPTION["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            if operation["tags"][0] != "Plain HTTP" {
                operations.insert((verb.clone(), without_names(path)));
            }
        }
    }
    assert_eq!(rules, operations);
}

/// A path with nothing in its braces.
fn without_names(path: &str) -> String {
    let parts = path.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after));
    parts.collect::<Vec<_>>().join("{}")
}

#[test]
fn operations_have_names_of_their_own_and_words() {
    let mut names = BTreeSet::new();
    for item in DESCRIPTION["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name} comes twice");
            let summary = operation["summary"].as_str().unwrap();
            assert!(!summary.is_empty() && !summary.contains('\n'), "{name}: {summary:?}");
            assert!(operation["description"].as_str().unwrap().contains("curl "), "{name}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(members) => {
                if let Some(to) = members.get("$ref").and_then(|to| to.as_str()) {
                    found.push(to.to_owned());
                }
                members.values().for_each(|member| walk(member, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let mut references = Vec::new();
    walk(&DESCRIPTION, &mut references);
    assert!(references.len() > 100);
    for to in references {
        let place = to.strip_prefix('#').unwrap();
        assert!(DESCRIPTION.pointer(place).is_some(), "{to} leads nowhere");
    }
}

#[tokio::test]
async fn the_description_is_public_and_is_sent_once() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let get = || {
        let url = envoy.url("/openapi.json");
        Client::new().get(url).header("origin", "https://tools.example")
    };
    let answer = get().send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://tools.example");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    let tag = answer.headers()["etag"].clone();
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body, *DESCRIPTION);
    let again = get().header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.text().await.unwrap(), "");
}

#[tokio::test]
async fn the_pages_beside_the_first_are_public_and_ask_nothing_of_others() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let moved = http.get(envoy.url("/docs")).send().await.unwrap();
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (308, &"/docs/".parse().unwrap())
    );

    for path in ["/imports", "/docs/", "/docs/errors"] {
        let answer = http.get(envoy.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8", "{path}");
        assert!(answer.headers().contains_key("etag"), "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        let head = http.head(envoy.url(path)).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK, "{path}");
    }
    let errors = http.get(envoy.url("/docs/errors")).send().await.unwrap().text().await.unwrap();
    for row in ROWS {
        assert!(errors.contains(&format!("id=\"{}\"", row.reason)), "{}", row.reason);
    }
    for path in ["/imports/", "/docs/nothing", "/docs/errors/", "/docsx", "/openapi.yaml"] {
        let answer = http.get(envoy.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
