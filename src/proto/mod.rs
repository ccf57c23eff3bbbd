//! The generated protobuf code, messages that are encoded already, and messages that are read with a bound.

pub mod value;

use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, WireType},
};

use crate::{
    coupons::model::BATCH_COUPONS_MAX, events::model::BATCH_EVENTS_MAX,
    tags::model::BATCH_TAGS_MAX, taps::model::BATCH_TAPS_MAX,
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

/// Without what was said.
impl fmt::Debug for tap_v1::RecordMessageRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordMessageRequest")
    }
}

/// Without what was said.
impl fmt::Debug for tap_v1::DialogMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialogMessage").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Messages that are shown without what is in them: it is about people.
macro_rules! shown_without {
    ($($message:ident),+) => {
        $(
            impl fmt::Debug for tap_v1::$message {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(stringify!($message))
                }
            }
        )+
    };
}

shown_without!(UploadImportRequest, ImportCell, PatchImportRowRequest, ListUsersRequest, User);

/// A batch of taps as the server reads it: no more of them than it takes, as a message of 4 MiB could hold
/// two million empty ones. Its taps are field `TAPS`; field 1, where that is another, is its sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch<const TAPS: u32> {
    pub sequence: i64,
    /// At most one more than a batch may have: enough to see that it has too many.
    pub taps: Vec<tap_v1::NewTap>,
}

/// A `RecordTapsRequest`.
pub type RecordBatch = Batch<1>;
/// An `IngestTapsRequest`.
pub type IngestBatch = Batch<2>;

impl<const TAPS: u32> Message for Batch<TAPS> {
    fn encode_raw(&self, _: &mut impl BufMut) {
        // Only ever read.
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag == TAPS && self.taps.len() <= BATCH_TAPS_MAX {
            encoding::message::merge_repeated(wire_type, &mut self.taps, buf, ctx)
        } else if tag == 1 && TAPS != 1 {
            encoding::int64::merge(wire_type, &mut self.sequence, buf, ctx)
        } else {
            encoding::skip_field(wire_type, tag, buf, ctx)
        }
    }

    fn encoded_len(&self) -> usize {
        0
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A request for many things as the server reads it: with at most one more of them than it takes. They are field 1.
macro_rules! bounded {
    ($bounded:ident, $request:ident, $things:ident, $max:expr) => {
        #[doc = concat!("A `", stringify!($request), "` as the server reads it: with at most one more than it takes.")]
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $bounded(pub tap_v1::$request);

        impl Message for $bounded {
            fn encode_raw(&self, buf: &mut impl BufMut) {
                self.0.encode_raw(buf);
            }

            fn merge_field(
                &mut self,
                tag: u32,
                wire_type: WireType,
                buf: &mut impl Buf,
                ctx: DecodeContext,
            ) -> Result<(), DecodeError> {
                if tag == 1 && self.0.$things.len() > $max {
                    encoding::skip_field(wire_type, tag, buf, ctx)
                } else {
                    self.0.merge_field(tag, wire_type, buf, ctx)
                }
            }

            fn encoded_len(&self) -> usize {
                self.0.encoded_len()
            }

            fn clear(&mut self) {
                self.0.clear();
            }
        }
    };
}

bounded!(TagBatch, BatchCreateTagsRequest, tags, BATCH_TAGS_MAX);
bounded!(CouponBatch, BatchCreateCouponsRequest, coupons, BATCH_COUPONS_MAX);

/// A `RecordEventsRequest` as the server reads it: with at most one event more than a batch may have, each as the
/// bytes of a `google.protobuf.Value`. Read all at once, four megabytes of these may take a hundred.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventBatch {
    pub events: Vec<Bytes>,
}

impl Message for EventBatch {
    fn encode_raw(&self, _: &mut impl BufMut) {
        // Only ever read.
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag == 1 && self.events.len() <= BATCH_EVENTS_MAX {
            encoding::bytes::merge_repeated(wire_type, &mut self.events, buf, ctx)
        } else {
            encoding::skip_field(wire_type, tag, buf, ctx)
        }
    }

    fn encoded_len(&self) -> usize {
        0
    }

    fn clear(&mut self) {
        self.events.clear();
    }
}

/// `google.api.HttpBody`: an answer that is no JSON, as HTTP gives it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HttpBody {
    #[prost(string, tag = "1")]
    pub content_type: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
}

/// The encoded descriptor set of every proto file, HTTP annotations and comments included. Envoy,
/// reflection and the tests all read these bytes.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tap.binpb"));

/// A response of a stream that is encoded already, such as a `StreamTapsResponse`: what goes to many readers is
/// encoded once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded(Bytes);

impl Encoded {
    /// A message, encoded.
    #[must_use]
    pub fn new(message: &impl Message) -> Self {
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
        encoding::skip_field(wire_type, tag, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
