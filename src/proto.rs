//! The generated protobuf code, and messages that are encoded already.

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType},
};

/// Package `tap.v1`: the messages and the client.
#[expect(
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod tap_v1 {
    tonic::include_proto!("tap.v1");
}

/// Package `tap.v1`: the server.
#[expect(
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod tap_v1_server {
    tonic::include_proto!("server/tap.v1");
}

/// The encoded descriptor set of every proto file, HTTP annotations and comments included. Envoy,
/// reflection and the tests all read these bytes.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tap.binpb"));

/// A `StreamTapsResponse` that is encoded already: a tap goes to many readers, and is encoded once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded(Bytes);

impl Encoded {
    /// A message, encoded.
    #[must_use]
    pub fn new(message: &tap_v1::StreamTapsResponse) -> Self {
        Self(message.encode_to_vec().into())
    }
}

impl From<Bytes> for Encoded {
    /// The bytes of such a message.
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Encoded> for Bytes {
    fn from(encoded: Encoded) -> Self {
        encoded.0
    }
}

impl Message for Encoded {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        // Only ever sent.
        prost::encoding::skip_field(wire_type, tag, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
