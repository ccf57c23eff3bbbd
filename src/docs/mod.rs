//! The documentation that the program makes of itself: the description of the API, the page that shows it, and
//! the page of errors.

mod errors;
mod json;
mod openapi;

use std::sync::Arc;

use axum::{Router, extract::State, response::Response, routing::get};
use http::HeaderMap;
use prost_reflect::DescriptorError;

pub use self::{
    errors::markdown as errors,
    openapi::{Document, document as openapi},
};
use crate::page::{Content, POLICY};

/// The description of the API, which is public, as the proto files are.
///
/// # Errors
/// When the descriptor set cannot be read.
pub fn router() -> Result<Router, DescriptorError> {
    let description = Content::new("application/json", openapi()?.json.to_string());
    Ok(Router::new().route("/openapi.json", get(kept)).with_state(Arc::new(description)))
}

/// What was made when the service started.
async fn kept(State(content): State<Arc<Content>>, headers: HeaderMap) -> Response {
    Content::clone(&content).answer(&headers, POLICY, "no-cache")
}
