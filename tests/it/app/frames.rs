//! The same stream by gRPC, gRPC-web, server-sent events and JSON lines.

use prost::Message;
use prost_reflect::DynamicMessage;
use tap_analytics::proto::tap_v1::{StreamTapsRequest, WatchTapsRequest};
use tonic::Code;

use super::{
    envoy::Envoy,
    rpcs::{Rpc, canonical},
    wires::{Call, Door, Failure, Frames, Wire},
};

/// How a stream is asked for, and how its frames are written.
pub const STREAM_WIRES: [Wire; 4] = [Wire::Grpc, Wire::GrpcWeb, Wire::Events(0), Wire::Json(0)];

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Asked {
    Stream(StreamTapsRequest),
    Watch(WatchTapsRequest),
}

/// An error before the first frame.
pub type Refused = Box<(Code, Failure)>;

impl Asked {
    /// Opens a stream through Envoy.
    pub async fn open(
        &self,
        wire: Wire,
        envoy: &Envoy,
        key: Option<&str>,
    ) -> Result<Frames, Refused> {
        let (name, bytes) = match self {
            Self::Stream(asked) => ("TapAnalytics/StreamTaps", asked.encode_to_vec()),
            Self::Watch(asked) => ("TapAnalytics/WatchTaps", asked.encode_to_vec()),
        };
        let rpc = Rpc::of(name);
        let request = canonical(&DynamicMessage::decode(rpc.input(), bytes.as_slice()).unwrap());
        let opened = Call::new(&rpc, &request).key(key).open(&Door::of(envoy), wire).await;
        match opened {
            Ok(answer) => Ok(answer.frames),
            Err(refused) => Err(Box::new((refused.code, refused.failure()))),
        }
    }
}
