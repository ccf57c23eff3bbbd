//! Any call by gRPC, gRPC-web and JSON, and its outcome in one form.

use std::{collections::BTreeMap, fmt::Display, pin::Pin};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::{Stream, StreamExt as _, stream};
use http::HeaderMap;
use hyper_util::{client::legacy, rt::TokioExecutor};
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};
use tap_analytics::{proto::tap_v1::QueryTapsRequest, reasons};
use tokio::time;
use tonic::{
    Code, Request, Status,
    body::Body,
    client::{Grpc, GrpcService},
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};
use tower::ServiceBuilder;

use super::{
    App,
    description::{
        assert_described, assert_described_frame, assert_described_stream, assert_nothing_described,
    },
    envoy::Envoy,
    rpcs::{POOL, Rpc, canonical, message},
};

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Grpc,
    GrpcWeb,
    /// By the nth annotation; a stream as one JSON object a line.
    Json(usize),
    /// By the nth annotation, a stream as server-sent events.
    Events(usize),
}

impl Rpc {
    /// Every wire that it can be called by.
    pub fn wires(&self) -> Vec<Wire> {
        if self.is_sent_in_frames() && !self.takes_a_file() {
            return vec![Wire::Grpc];
        }
        let mut wires = vec![Wire::Grpc, Wire::GrpcWeb];
        for nth in 0..self.bindings().len() {
            wires.push(Wire::Json(nth));
            if self.answers_in_frames() && !self.answers_with_a_file() {
                wires.push(Wire::Events(nth));
            }
        }
        wires
    }
}

/// A wire of each kind.
pub const WIRES: [Wire; 3] = [Wire::Grpc, Wire::GrpcWeb, Wire::Json(0)];

impl Wire {
    /// Calls `QueryTaps` through Envoy.
    pub async fn query_taps(
        self,
        envoy: &Envoy,
        key: Option<&str>,
        query: &QueryTapsRequest,
    ) -> Outcome {
        let rpc = Rpc::of("TapAnalytics/QueryTaps");
        let query = DynamicMessage::decode(rpc.input(), query.encode_to_vec().as_slice()).unwrap();
        let call = Call::new(&rpc, &canonical(&query)).key(key);
        call.outcome(&Door::of(envoy), self, 1).await
    }
}

/// What of an answer's headers all wires should agree on.
const SHOWN: [&str; 7] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit-policy",
    "ratelimit",
    "retry-after",
    "www-authenticate",
];

type Shown = BTreeMap<&'static str, String>;

/// Longer than any frame may take.
const PATIENCE: time::Duration = time::Duration::from_secs(20);

/// What came of a call, as far as the wires should agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub code: Code,
    /// What was answered: one message, or the first frames of a stream.
    pub answers: Vec<Value>,
    /// The `google.rpc.Status` of an error, as JSON.
    pub error: Option<Value>,
    pub headers: Shown,
}

impl Outcome {
    /// The one answer.
    pub fn answer(&self) -> &Value {
        let [answer] = self.answers.as_slice() else { panic!("not one answer: {self:?}") };
        answer
    }

    /// What went wrong.
    pub fn failure(&self) -> Failure {
        let error = self.error.as_ref().unwrap_or_else(|| panic!("no error: {self:?}"));
        json_failure(error).1
    }

    /// Code and reason of an error.
    pub fn refusal(&self) -> (Code, String) {
        (self.code, self.failure().reason)
    }

    /// Limit and remaining calls, from the headers.
    pub fn quota(&self) -> Option<(u32, u32)> {
        self.number("x-ratelimit-limit").zip(self.number("x-ratelimit-remaining"))
    }

    pub fn retry_after(&self) -> Option<u32> {
        self.number("retry-after")
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.headers.get(name)?.parse().ok()
    }
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    pub reason: String,
    pub domain: String,
    /// Field, reason and description of each violation.
    pub violations: Vec<(String, String, String)>,
    pub quota_metric: Option<String>,
    /// Whether it says when to come back.
    pub retry: bool,
}

/// Where calls go.
#[derive(Clone, Debug)]
pub struct Door {
    url: String,
    /// A connection for all calls by gRPC; without it each has one of its own.
    channel: Option<Channel>,
}

impl Door {
    pub fn of(envoy: &Envoy) -> Self {
        Self { url: envoy.url(""), channel: None }
    }

    /// Past Envoy: by gRPC only.
    pub fn straight(app: &App) -> Self {
        Self { url: format!("http://{}", app.grpc), channel: None }
    }

    /// The same by an address.
    pub fn at(grpc: std::net::SocketAddr) -> Self {
        Self { url: format!("http://{grpc}"), channel: None }
    }

    /// By one connection, so that what is measured is the call.
    pub async fn kept(self) -> Self {
        Self { channel: Some(self.channel().await), ..self }
    }

    async fn channel(&self) -> Channel {
        match &self.channel {
            Some(channel) => channel.clone(),
            None => Channel::from_shared(self.url.clone()).unwrap().connect().await.unwrap(),
        }
    }
}

/// A call that is to be made.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    rpc: &'a Rpc,
    request: DynamicMessage,
    /// What is sent by gRPC in place of the request.
    bytes: Option<Bytes>,
    headers: Vec<(&'static str, String)>,
}

impl<'a> Call<'a> {
    pub fn new(rpc: &'a Rpc, request: &Value) -> Self {
        Self { rpc, request: rpc.request(request), bytes: None, headers: Vec::new() }
    }

    /// Sends these bytes by gRPC, whatever they are.
    pub fn bytes(self, bytes: &'static [u8]) -> Self {
        Self { bytes: Some(bytes.into()), ..self }
    }

    pub fn key(self, key: Option<&str>) -> Self {
        match key {
            Some(key) => self.header("x-api-key", key),
            None => self,
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Makes the call, and takes its answer or so many frames of it.
    pub async fn outcome(&self, door: &Door, wire: Wire, frames: usize) -> Outcome {
        let Answer { headers, frames: mut open } = match self.open(door, wire).await {
            Ok(answer) => answer,
            Err(refused) => return *refused,
        };
        let answers = open.take(frames).await;
        if !self.rpc.answers_in_frames() || self.rpc.answers_with_a_file() {
            assert_eq!(open.next().await, None, "more than an answer");
        }
        Outcome { code: Code::Ok, answers, error: None, headers }
    }

    /// Makes the call.
    ///
    /// # Errors
    /// What was refused before the first frame.
    pub async fn open(&self, door: &Door, wire: Wire) -> Result<Answer, Box<Outcome>> {
        match wire {
            Wire::Grpc => self.by_grpc(Grpc::new(door.channel().await)).await,
            Wire::GrpcWeb => {
                let http = legacy::Client::builder(TokioExecutor::new()).build_http();
                let layer = tonic_web::GrpcWebClientLayer::new();
                let service = ServiceBuilder::new().layer(layer).service(http);
                self.by_grpc(Grpc::with_origin(service, door.url.parse().unwrap())).await
            }
            Wire::Json(nth) => self.by_http(door, nth, "application/json").await,
            Wire::Events(nth) => self.by_http(door, nth, "text/event-stream").await,
        }
    }

    async fn by_grpc<S>(&self, mut grpc: Grpc<S>) -> Result<Answer, Box<Outcome>>
    where
        S: GrpcService<Body> + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
        <S::ResponseBody as http_body::Body>::Error:
            Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        if let Err(error) = grpc.ready().await {
            panic!("no connection: {}", error.into());
        }
        let bytes = self.bytes.clone().unwrap_or_else(|| self.request.encode_to_vec().into());
        let mut request = Request::new(bytes);
        for (name, value) in &self.headers {
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        let path = self.rpc.path().parse().unwrap();
        let answer = grpc.server_streaming(request, path, Raw).await;
        let answer = answer.map_err(|status| Box::new(grpc_refusal(&status)))?;
        let headers = shown(&answer.metadata().clone().into_headers());
        let descriptor = self.rpc.answer();
        // The client is held for as long as its stream is.
        let frames = answer.into_inner().map(move |bytes| {
            let _client = &grpc;
            canonical(&DynamicMessage::decode(descriptor.clone(), bytes.unwrap()).unwrap())
        });
        Ok(Answer { headers, frames: Frames(Box::pin(frames)) })
    }

    async fn by_http(
        &self,
        door: &Door,
        nth: usize,
        accept: &'static str,
    ) -> Result<Answer, Box<Outcome>> {
        let binding = self.rpc.bindings().swap_remove(nth);
        let (path, body) = binding.http(self.rpc, &canonical(&self.request));
        let mut request = reqwest::Client::new()
            .request(binding.verb, format!("{}{path}", door.url))
            .header("accept", accept);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = if self.rpc.takes_a_file() {
                let media = body["contentType"].as_str().unwrap_or("application/octet-stream");
                let bytes = BASE64_STANDARD.decode(body["data"].as_str().unwrap_or_default());
                request.header("content-type", media).body(bytes.unwrap())
            } else {
                request.body(body.to_string())
            };
        }
        let response = request.send().await.unwrap();
        let streams = self.rpc.answers_in_frames() && !self.rpc.answers_with_a_file();
        if response.status() != 200 || !streams {
            let outcome = http_outcome(response, &self.rpc.answer()).await;
            let Outcome { code: Code::Ok, answers, headers, .. } = outcome else {
                return Err(Box::new(outcome));
            };
            return Ok(Answer { headers, frames: Frames(Box::pin(stream::iter(answers))) });
        }
        let headers = shown(response.headers());
        Ok(Answer { headers, frames: http_frames(response, accept, self.rpc.answer()) })
    }
}

/// What is answered.
pub struct Answer {
    pub headers: Shown,
    pub frames: Frames,
}

/// The messages of an answer, in their one form as JSON.
pub struct Frames(Pin<Box<dyn Stream<Item = Value> + Send>>);

impl Frames {
    /// The next frame; `None` after the last.
    pub async fn next(&mut self) -> Option<Value> {
        time::timeout(PATIENCE, self.0.next()).await.unwrap()
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

/// Messages as the bytes that they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, bytes: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

fn shown(headers: &HeaderMap) -> Shown {
    let values = SHOWN.map(|name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(values.next(), None, "{name} is there twice");
        (name, value)
    });
    values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn grpc_refusal(status: &Status) -> Outcome {
    let headers = shown(&status.metadata().clone().into_headers());
    let error = Some(error_of(status));
    Outcome { code: status.code(), answers: Vec::new(), error, headers }
}

/// The `google.rpc.Status` of an error by gRPC, as Envoy writes it.
pub fn error_of(status: &Status) -> Value {
    let inner = tonic_types::pb::Status::decode(status.details()).unwrap();
    assert_eq!(
        (inner.code, inner.message.as_str()),
        (i32::from(status.code()), status.message()),
        "the status in the details is another"
    );
    let details = inner.details.iter().map(|detail| {
        let mut json = canonical(
            &DynamicMessage::decode(type_of(&detail.type_url), detail.value.as_slice()).unwrap(),
        );
        json["@type"] = json!(detail.type_url);
        json
    });
    json!({"code": inner.code, "message": inner.message, "details": details.collect::<Value>()})
}

fn type_of(url: &str) -> MessageDescriptor {
    let name = url.strip_prefix("type.googleapis.com/").unwrap();
    POOL.get_message_by_name(name).unwrap_or_else(|| panic!("{name} is not in the descriptor set"))
}

/// The outcome of a request by HTTP; the status must fit the code.
pub async fn http_outcome(response: reqwest::Response, answer: &MessageDescriptor) -> Outcome {
    let status = response.status().as_u16();
    let (path, headers) = (response.url().path().to_owned(), response.headers().clone());
    let media =
        headers.get("content-type").map(|media| media.to_str().unwrap()).unwrap_or_default();
    let bytes = response.bytes().await.unwrap();
    let shown = shown(&headers);
    if status == 204 {
        assert_eq!((media, bytes.len()), ("", 0));
        assert_nothing_described(&path, &headers);
        return Outcome { code: Code::Ok, answers: vec![json!({})], error: None, headers: shown };
    }
    if status == 200 && answer.full_name() == "google.api.HttpBody" {
        let answer = json!({"contentType": media, "data": BASE64_STANDARD.encode(&bytes)});
        return Outcome { code: Code::Ok, answers: vec![answer], error: None, headers: shown };
    }
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(media, "application/json", "{text}");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    if matches!(status, 200 | 201) {
        assert_described(&path, status, &headers, &body);
        let answers = vec![canonical(&message(answer, &body))];
        return Outcome { code: Code::Ok, answers, error: None, headers: shown };
    }
    let (code, Failure { reason, .. }) = json_failure(&body);
    // Of a path that there is not nothing is described.
    if reason != reasons::UNKNOWN_PATH {
        assert_described(&path, status, &headers, &body);
    }
    assert_eq!(status, reasons::http_status(code), "HTTP status of {code:?}: {body}");
    Outcome { code, answers: Vec::new(), error: Some(canonical_error(&body)), headers: shown }
}

/// An error as [`error_of`] has it: what has its default is left out.
fn canonical_error(body: &Value) -> Value {
    let details = body["details"].as_array().unwrap().iter().map(|detail| {
        let mut fields = detail.clone();
        let url = fields.as_object_mut().unwrap().remove("@type").unwrap();
        let mut json = canonical(&message(&type_of(url.as_str().unwrap()), &fields));
        json["@type"] = url;
        json
    });
    json!({"code": body["code"], "message": body["message"], "details": details.collect::<Value>()})
}

/// The frames of a stream by HTTP.
fn http_frames(
    response: reqwest::Response,
    accept: &'static str,
    descriptor: MessageDescriptor,
) -> Frames {
    let headers = response.headers();
    assert_eq!(headers["content-type"], accept);
    // Nobody on the way may keep it, or wait for more of it.
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap());
    assert_eq!((text("cache-control"), text("x-accel-buffering")), (Some("no-store"), Some("no")));
    let path = response.url().path().to_owned();
    assert_described_stream(&path, headers);
    let events = accept == "text/event-stream";
    let frames = stream::unfold((response, String::new()), move |(mut response, mut text)| {
        let (descriptor, path) = (descriptor.clone(), path.clone());
        async move {
            let end = if events { "\n\n" } else { "\n" };
            let frame = loop {
                if let Some((frame, rest)) = text.split_once(end) {
                    let frame = frame.to_owned();
                    text = rest.to_owned();
                    break frame;
                }
                let Some(bytes) = response.chunk().await.unwrap() else {
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
            let json: Value = serde_json::from_str(json).unwrap();
            assert_described_frame(&path, &json);
            // What has its default is written out here: the message is what counts.
            Some((canonical(&message(&descriptor, &json)), (response, text)))
        }
    });
    Frames(Box::pin(frames))
}

/// An error of the one shape: nothing missing, nothing more.
pub fn json_failure(body: &Value) -> (Code, Failure) {
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "details", "message"], "{body}");
    let code = Code::from_i32(body["code"].as_i64().unwrap().try_into().unwrap());
    let detail = |name: &str| {
        let url = format!("type.googleapis.com/google.rpc.{name}");
        body["details"].as_array().unwrap().iter().find(|detail| detail["@type"] == url.as_str())
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let info = detail("ErrorInfo").unwrap_or_else(|| panic!("no ErrorInfo in {body}"));
    let violations = detail("BadRequest").map_or_else(Vec::new, |bad| {
        let violations = bad["fieldViolations"].as_array().unwrap();
        violations
            .iter()
            .map(|v| (text(&v["field"]), text(&v["reason"]), text(&v["description"])))
            .collect()
    });
    let failure = Failure {
        message: text(&body["message"]),
        reason: text(&info["reason"]),
        domain: text(&info["domain"]),
        violations,
        quota_metric: detail("QuotaFailure")
            .map(|quota| text(&quota["violations"][0]["quotaMetric"])),
        retry: detail("RetryInfo").is_some(),
    };
    (code, failure)
}
