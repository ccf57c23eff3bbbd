//! Calls that come by JSON: Envoy makes gRPC of them, and their status is up to us.

use tonic::metadata::{MetadataMap, MetadataValue};

/// Whether a call came by JSON: Envoy says by which path.
#[must_use]
pub fn is_http(metadata: &MetadataMap) -> bool {
    metadata.contains_key("x-envoy-original-path")
}

/// The status that Envoy gives the answer by HTTP.
pub fn say_http(metadata: &mut MetadataMap, status: &'static str) {
    metadata.insert("x-http-status", MetadataValue::from_static(status));
}
