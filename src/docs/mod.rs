//! The documentation that the program makes of itself: the description of the API, the page that shows it, and
//! the page of errors.

mod errors;
mod json;
mod openapi;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{Redirect, Response},
    routing::get,
};
use http::HeaderMap;
use prost_reflect::DescriptorError;

pub use self::{
    errors::markdown as errors,
    openapi::{Document, document as openapi},
};
use crate::page::{self, Content, POLICY};

/// What stands for the tables in the page of errors.
const TABLES: &str = "<!-- The service puts its tables of reasons here. -->";
const EMPTY_PAGE: &str = "<!doctype html><html lang=\"en\"><title>Errors of tap-analytics</title>";

/// The pages of documentation. They are public, as the proto files are.
///
/// # Errors
/// When the descriptor set cannot be read.
pub fn router() -> Result<Router, DescriptorError> {
    let description = Content::new("application/json", openapi()?.json.to_string());
    let page = page::text("docs/errors.html").unwrap_or_else(|| format!("{EMPTY_PAGE}{TABLES}"));
    let errors = Content::new("text/html; charset=utf-8", page.replace(TABLES, &errors::html()));
    Ok(Router::new()
        .route("/openapi.json", get(kept).with_state(Arc::new(description)))
        .route("/docs/errors", get(kept).with_state(Arc::new(errors)))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(api)))
}

/// What was made when the service started.
async fn kept(State(content): State<Arc<Content>>, headers: HeaderMap) -> Response {
    Content::clone(&content).answer(&headers, POLICY, "no-cache")
}

async fn api(headers: HeaderMap) -> Response {
    page::serve("docs/index.html", &headers, POLICY, "no-cache")
}
