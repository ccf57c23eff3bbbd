//! The description of the API, as tests look things up in it.

use std::sync::LazyLock;

use serde_json::Value;
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

/// An answer that was seen is one that the description has, with its reason.
pub fn assert_described(path: &str, status: u16, reason: Option<&str>) {
    let operations = operations(path);
    assert!(!operations.is_empty(), "{path} is not in the description of the API");
    let described = operations.iter().any(|operation| {
        let response = &operation["responses"][status.to_string()];
        let words = response["description"].as_str();
        words
            .is_some_and(|words| reason.is_none_or(|reason| words.contains(&format!("`{reason}`"))))
    });
    assert!(
        described,
        "{path} answers {status} {reason:?}, which the description of the API does not say: add it to the row in src/docs/openapi/answers.rs"
    );
}

#[test]
fn paths_are_found_by_their_templates() {
    assert!(matches("/v1/tags", "/v1/tags"));
    assert!(matches("/v1/tags/{uid}:archive", "/v1/tags/a:b:archive"));
    assert!(matches("/v1/tags/{uid}/qr.svg", "/v1/tags/ä/qr.svg"));
    assert!(!matches("/v1/tags/{uid}", "/v1/tags/"));
    assert!(!matches("/v1/tags/{uid}", "/v1/tags/a/b"));
}
