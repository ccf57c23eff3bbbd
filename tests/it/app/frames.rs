//! The same stream by gRPC, gRPC-web, server-sent events and JSON lines, and its frames in one form.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use hyper_util::{client::legacy, rt::TokioExecutor};
use prost::Message;
use prost_reflect::DynamicMessage;
use serde_json::Value;
use tap_analytics::proto::tap_v1::{
    QueryTapsRequest, StreamTapsRequest, WatchTapsRequest, tap_analytics_client::TapAnalyticsClient,
};
use tokio::time;
use tonic::{Code, Response, Streaming, body::Body, client::GrpcService, transport::Channel};
use tower::ServiceBuilder;

use super::{
    description::{assert_described, assert_described_frame, assert_described_stream},
    envoy::Envoy,
    wires::{Failure, grpc_failure, http_status, json_failure, pool, to_json, with_key},
};

/// How a stream is asked for, and how its frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamWire {
    Grpc,
    GrpcWeb,
    Events,
    Lines,
}

pub const STREAM_WIRES: [StreamWire; 4] =
    [StreamWire::Grpc, StreamWire::GrpcWeb, StreamWire::Events, StreamWire::Lines];

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Asked {
    Stream(StreamTapsRequest),
    Watch(WatchTapsRequest),
}

/// Longer than any frame may take.
const PATIENCE: time::Duration = time::Duration::from_secs(20);

/// An open stream.
pub struct Frames {
    frames: Pin<Box<dyn Stream<Item = Value> + Send>>,
}

impl Frames {
    /// The next frame, as the JSON mapping of protobuf has it; `None` after the last.
    pub async fn next(&mut self) -> Option<Value> {
        time::timeout(PATIENCE, self.frames.next()).await.unwrap()
    }

    /// As many frames.
    pub async fn take(&mut self, count: usize) -> Vec<Value> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(self.next().await.unwrap());
        }
        taken
    }
}

/// An error before the first frame.
pub type Refused = Box<(Code, Failure)>;

impl StreamWire {
    /// Opens a stream through Envoy.
    pub async fn open(
        self,
        envoy: &Envoy,
        key: Option<&str>,
        asked: &Asked,
    ) -> Result<Frames, Refused> {
        match self {
            Self::Grpc => {
                let channel = Channel::from_shared(envoy.url("")).unwrap().connect().await.unwrap();
                by_grpc(TapAnalyticsClient::new(channel), key, asked).await
            }
            Self::GrpcWeb => {
                let http = legacy::Client::builder(TokioExecutor::new()).build_http();
                let service =
                    ServiceBuilder::new().layer(tonic_web::GrpcWebClientLayer::new()).service(http);
                let client =
                    TapAnalyticsClient::with_origin(service, envoy.url("").parse().unwrap());
                by_grpc(client, key, asked).await
            }
            Self::Events => by_http(envoy, key, asked, true).await,
            Self::Lines => by_http(envoy, key, asked, false).await,
        }
    }
}

async fn by_grpc<S>(
    mut client: TapAnalyticsClient<S>,
    key: Option<&str>,
    asked: &Asked,
) -> Result<Frames, Refused>
where
    S: GrpcService<Body> + Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    match asked.clone() {
        Asked::Stream(asked) => {
            let answer = client.stream_taps(with_key(asked, key)).await;
            grpc_frames("tap.v1.StreamTapsResponse", answer, client)
        }
        Asked::Watch(asked) => {
            let answer = client.watch_taps(with_key(asked, key)).await;
            grpc_frames("tap.v1.WatchTapsResponse", answer, client)
        }
    }
}

fn grpc_frames<T: Message + 'static, C: Send + 'static>(
    name: &'static str,
    answer: Result<Response<Streaming<T>>, tonic::Status>,
    client: C,
) -> Result<Frames, Refused> {
    let messages = answer.map_err(|status| Box::new(grpc_failure(&status)))?.into_inner();
    let descriptor = pool().get_message_by_name(name).unwrap();
    // The client is held for as long as its stream is.
    let frames = messages.map(move |message| {
        let _client = &client;
        let bytes = message.unwrap().encode_to_vec();
        let message = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).unwrap();
        serde_json::to_value(message).unwrap()
    });
    Ok(Frames { frames: Box::pin(frames) })
}

async fn by_http(
    envoy: &Envoy,
    key: Option<&str>,
    asked: &Asked,
    events: bool,
) -> Result<Frames, Refused> {
    let http = reqwest::Client::new();
    let (request, name) = match asked {
        Asked::Stream(StreamTapsRequest { tag_uids, resume_token, include }) => {
            let mut query: Vec<_> = tag_uids.iter().map(|uid| format!("tagUids={uid}")).collect();
            query.extend(include.iter().map(|class| format!("include={class}")));
            if !resume_token.is_empty() {
                query.push(format!("resumeToken={resume_token}"));
            }
            let url = envoy.url(&format!("/v1/taps:stream?{}", query.join("&")));
            (http.get(url), "tap.v1.StreamTapsResponse")
        }
        Asked::Watch(WatchTapsRequest { query, resume_token }) => {
            let token = Some(resume_token).filter(|token| !token.is_empty());
            let token = token.map(|token| format!("?resumeToken={token}")).unwrap_or_default();
            let url = envoy.url(&format!("/v1/taps:watch{token}"));
            let query = to_json(query.as_ref().unwrap_or(&QueryTapsRequest::default()));
            (http.post(url).body(query.to_string()), "tap.v1.WatchTapsResponse")
        }
    };
    let accept = if events { "text/event-stream" } else { "application/json" };
    let mut request = request.header("accept", accept);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    if status != 200 {
        assert_eq!(headers["content-type"], "application/json");
        let path = answer.url().path().to_owned();
        let body = answer.json().await.unwrap();
        assert_described(&path, status, &headers, &body);
        let (code, failure) = json_failure(&body);
        assert_eq!(status, http_status(code), "HTTP status of {code:?}");
        return Err(Box::new((code, failure)));
    }
    assert_eq!(headers["content-type"], accept);
    // Nobody on the way may keep it, or wait for more of it.
    assert_eq!(
        (&headers["cache-control"], &headers["x-accel-buffering"]),
        (&http::HeaderValue::from_static("no-store"), &http::HeaderValue::from_static("no"),)
    );
    let descriptor = pool().get_message_by_name(name).unwrap();
    let path = answer.url().path().to_owned();
    assert_described_stream(&path, &headers);
    let frames = stream::unfold((answer, String::new()), move |(mut answer, mut text)| {
        let (descriptor, path) = (descriptor.clone(), path.clone());
        async move {
            let end = if events { "\n\n" } else { "\n" };
            let frame = loop {
                if let Some((frame, rest)) = text.split_once(end) {
                    let frame = frame.to_owned();
                    text = rest.to_owned();
                    break frame;
                }
                let Some(bytes) = answer.chunk().await.unwrap() else {
                    assert_eq!(text, "", "the stream ends within a frame");
                    return None;
                };
                text.push_str(std::str::from_utf8(&bytes).unwrap());
            };
            let json = if events {
                frame.strip_prefix("data: ").unwrap_or_else(|| panic!("not an event: {frame:?}"))
            } else {
                &frame
            };
            assert_described_frame(&path, &serde_json::from_str(json).unwrap());
            // What has its default is written out here: the message is what counts.
            let mut json = serde_json::Deserializer::from_str(json);
            let message = DynamicMessage::deserialize(descriptor, &mut json).unwrap();
            Some((serde_json::to_value(message).unwrap(), (answer, text)))
        }
    });
    Ok(Frames { frames: Box::pin(frames) })
}
