//! The web pages, built into the program: `/`, `/imports`, and what they are made of under `/assets/`.

use std::borrow::Cow;

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::Embed;

/// What `web/` was built into.
#[derive(Embed)]
#[folder = "$OUT_DIR/page"]
struct Files;

/// Nothing but what is served here, and nobody may put the page into theirs.
pub(crate) const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The pages.
pub fn router() -> Router {
    Router::new()
        .route("/", get(index))
        .route("/imports", get(imports))
        .route("/assets/", get(async || StatusCode::NOT_FOUND))
        .route("/assets/{*path}", get(asset))
}

async fn index(headers: HeaderMap) -> Response {
    serve("index.html", &headers, POLICY, "no-cache")
}

async fn imports(headers: HeaderMap) -> Response {
    serve("imports/index.html", &headers, POLICY, "no-cache")
}

/// Their names change with their content.
async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    serve(&format!("assets/{path}"), &headers, POLICY, "public, max-age=31536000, immutable")
}

/// A file that was built in.
pub(crate) fn serve(
    path: &str,
    headers: &HeaderMap,
    policy: HeaderValue,
    keep: &'static str,
) -> Response {
    let Some(file) = Files::get(path) else { return StatusCode::NOT_FOUND.into_response() };
    let data = match file.data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => data.into(),
    };
    let tag = entity_tag(file.metadata.sha256_hash());
    Content { kind: content_type(path), tag, data }.answer(headers, policy, keep)
}

/// The text of a file that was built in.
pub(crate) fn text(path: &str) -> Option<String> {
    String::from_utf8(Files::get(path)?.data.into_owned()).ok()
}

/// Something that is served again and again.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    kind: &'static str,
    tag: String,
    data: Bytes,
}

impl Content {
    pub(crate) fn new(kind: &'static str, text: String) -> Self {
        Self { kind, tag: entity_tag(blake3::hash(text.as_bytes()).into()), data: text.into() }
    }

    /// The content, or that it is still the same.
    pub(crate) fn answer(
        self,
        headers: &HeaderMap,
        policy: HeaderValue,
        keep: &'static str,
    ) -> Response {
        let Self { kind, tag, data } = self;
        let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str());
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], data).into_response()
        };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

fn entity_tag(hash: [u8; 32]) -> String {
    format!("\"{}\"", &blake3::Hash::from_bytes(hash).to_hex()[..32])
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("map" | "json") => "application/json",
        _ => "application/octet-stream",
    }
}
