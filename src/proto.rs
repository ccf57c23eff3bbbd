//! The generated protobuf code, and nothing else.

/// Package `tap.v1`.
#[expect(
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod tap_v1 {
    tonic::include_proto!("tap.v1");
}

/// The encoded descriptor set of every proto file, HTTP annotations and comments included. Envoy,
/// reflection and the tests all read these bytes.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tap.binpb"));
