//! The tap URL, `GET /t/{team}/{tag_uid}`: what a chip or a code holds.
//!
//! No key. The tag is looked up in memory, the tap goes into the buffer, and the person to where the tag
//! leads: only ever to the stored address.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use uuid::Uuid;

use super::{
    buffer::Buffer,
    model::{NewTap, TapClass},
    visitor,
};
use crate::{clock::Clock, tags::directory::TagDirectory};

/// What the tap URL works with.
#[derive(Clone, Debug)]
pub struct Link {
    pub tags: Arc<TagDirectory>,
    pub buffer: Buffer,
    pub clock: Clock,
    /// The header in which a proxy that is trusted says the country.
    pub country_header: Option<HeaderName>,
}

/// The tap URL.
pub fn router(link: Link) -> Router {
    // Whatever else begins so is no tag either: to gRPC it must not come, whose answers are no pages.
    let tags = Router::new().route("/{team}/{tag_uid}", get(tap)).fallback(unknown);
    Router::new().nest("/t", tags.with_state(Arc::new(link))).route("/t/", any(unknown))
}

async fn tap(
    State(link): State<Arc<Link>>,
    Path((slug, uid)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let found = link.tags.find_by_slug(&slug, &uid).filter(|(_, tag)| tag.archived_at.is_none());
    let Some((team, tag)) = found else {
        return unknown().await;
    };

    let class = visitor::class(&method, &headers);
    let tap = NewTap {
        class,
        country: link.country_header.as_ref().and_then(|name| country(headers.get(name)?)),
        device: Some(visitor::device(&headers).to_owned()),
        ..NewTap::new(Uuid::now_v7(), tag.id, link.clock.now(), tag.kind)
    };
    link.buffer.put(team, tap);
    count("taken", Some(class));

    let location = tag.destination_url.as_deref().and_then(|url| HeaderValue::try_from(url).ok());
    match location {
        Some(location) => {
            private((StatusCode::FOUND, [(header::LOCATION, location)]).into_response())
        }
        None => page(StatusCode::OK, include_str!("link/thanks.html")),
    }
}

async fn unknown() -> Response {
    count("unknown", None);
    page(StatusCode::NOT_FOUND, include_str!("link/unknown.html"))
}

fn count(outcome: &'static str, class: Option<TapClass>) {
    let class = class.map_or("none", TapClass::as_str);
    metrics::counter!("tap_url_total", "outcome" => outcome, "class" => class).increment(1);
}

/// A country code, unless it stands for none, such as `XX`.
fn country(value: &HeaderValue) -> Option<String> {
    let code = value.to_str().ok()?;
    let capitals = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    (capitals && code != "XX").then(|| code.to_owned())
}

fn page(status: StatusCode, text: &'static str) -> Response {
    let mut response = (status, Html(text)).into_response();
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    );
    private(response)
}

/// An answer that nobody keeps: each tap has to come to us.
fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex, nofollow"),
    );
    response
}
