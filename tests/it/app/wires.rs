//! The same call by gRPC, gRPC-web and JSON, and its outcome in one form.

use hyper_util::{client::legacy, rt::TokioExecutor};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::de::DeserializeSeed as _;
use serde_json::Value;
use tap_analytics::proto::{
    DESCRIPTORS,
    tap_v1::{QueryTapsRequest, QueryTapsResponse, tap_analytics_client::TapAnalyticsClient},
};
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use tower::ServiceBuilder;

use super::envoy::Envoy;

/// How a call goes to Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Grpc,
    GrpcWeb,
    Json,
}

pub const WIRES: [Wire; 3] = [Wire::Grpc, Wire::GrpcWeb, Wire::Json];

/// What came of a call, as far as the wires should agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub code: Code,
    pub answer: Option<QueryTapsResponse>,
    pub failure: Option<Failure>,
    /// Limit and remaining calls, from the headers.
    pub quota: Option<(u32, u32)>,
    pub retry_after: Option<u32>,
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

impl Wire {
    /// Calls `QueryTaps` through Envoy.
    pub async fn query_taps(
        self,
        envoy: &Envoy,
        key: Option<&str>,
        query: QueryTapsRequest,
    ) -> Outcome {
        match self {
            Self::Grpc => {
                let channel = Channel::from_shared(envoy.url("")).unwrap().connect().await.unwrap();
                let mut client = TapAnalyticsClient::new(channel);
                grpc_outcome(client.query_taps(with_key(query, key)).await)
            }
            Self::GrpcWeb => {
                let http = legacy::Client::builder(TokioExecutor::new()).build_http();
                let service =
                    ServiceBuilder::new().layer(tonic_web::GrpcWebClientLayer::new()).service(http);
                let mut client =
                    TapAnalyticsClient::with_origin(service, envoy.url("").parse().unwrap());
                grpc_outcome(client.query_taps(with_key(query, key)).await)
            }
            Self::Json => {
                let mut request = reqwest::Client::new()
                    .post(envoy.url("/v1/taps:query"))
                    .body(to_json(&query).to_string());
                if let Some(key) = key {
                    request = request.header("x-api-key", key);
                }
                json_outcome(request.send().await.unwrap()).await
            }
        }
    }
}

pub fn with_key<T>(message: T, key: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(key) = key {
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    }
    request
}

fn grpc_outcome(result: Result<Response<QueryTapsResponse>, Status>) -> Outcome {
    match result {
        Ok(response) => {
            let header = |name: &str| {
                response.metadata().get(name).and_then(|v| v.to_str().ok()?.parse().ok())
            };
            Outcome {
                code: Code::Ok,
                quota: header("x-ratelimit-limit").zip(header("x-ratelimit-remaining")),
                retry_after: header("retry-after"),
                failure: None,
                answer: Some(response.into_inner()),
            }
        }
        Err(status) => {
            let header = |name: &str| {
                status.metadata().get(name).and_then(|v| v.to_str().ok()?.parse().ok())
            };
            let (code, failure) = grpc_failure(&status);
            Outcome {
                code,
                answer: None,
                quota: header("x-ratelimit-limit").zip(header("x-ratelimit-remaining")),
                retry_after: header("retry-after"),
                failure: Some(failure),
            }
        }
    }
}

/// An error of the one shape.
pub fn grpc_failure(status: &Status) -> (Code, Failure) {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    let violations =
        details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    let failure = Failure {
        message: status.message().to_owned(),
        reason: info.reason.clone(),
        domain: info.domain.clone(),
        violations: violations
            .into_iter()
            .map(|violation| (violation.field, violation.reason, violation.description))
            .collect(),
        quota_metric: details.quota_failure().map(|quota| quota.violations[0].quota_metric.clone()),
        retry: details.retry_info().is_some(),
    };
    (status.code(), failure)
}

/// The outcome of a request by JSON; the HTTP status must fit the code.
pub async fn json_outcome(response: reqwest::Response) -> Outcome {
    let header =
        |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()?.parse().ok());
    let quota = header("x-ratelimit-limit").zip(header("x-ratelimit-remaining"));
    let retry_after = header("retry-after");
    let content_type = response.headers().get("content-type").unwrap().clone();
    let http = response.status().as_u16();
    let text = response.text().await.unwrap();
    assert_eq!(content_type, "application/json", "{text}");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    if http == 200 {
        let answer = Some(from_json(&body));
        return Outcome { code: Code::Ok, answer, failure: None, quota, retry_after };
    }
    let (code, failure) = json_failure(&body);
    assert_eq!(http, http_status(code), "HTTP status of {code:?}: {body}");
    Outcome { code, answer: None, failure: Some(failure), quota, retry_after }
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

pub fn http_status(code: Code) -> u16 {
    match code {
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists => 409,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        _ => 500,
    }
}

pub fn pool() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTORS).unwrap()
}

/// The request as the JSON mapping of protobuf has it.
pub fn to_json(query: &QueryTapsRequest) -> Value {
    let descriptor = pool().get_message_by_name("tap.v1.QueryTapsRequest").unwrap();
    let message = DynamicMessage::decode(descriptor, query.encode_to_vec().as_slice()).unwrap();
    serde_json::to_value(message).unwrap()
}

fn from_json(body: &Value) -> QueryTapsResponse {
    let descriptor = pool().get_message_by_name("tap.v1.QueryTapsResponse").unwrap();
    let message = descriptor.deserialize(body).unwrap();
    QueryTapsResponse::decode(message.encode_to_vec().as_slice()).unwrap()
}
