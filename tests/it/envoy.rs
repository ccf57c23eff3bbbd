//! Through the real Envoy: three wires with one truth, and errors in one shape.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::json;
use tap_analytics::{access::model::Scope, clock::Clock, proto::tap_v1::QueryTapsRequest};
use tokio::sync::mpsc::Receiver;
use tonic::{Code, transport::Channel};

use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::app::{
    AddKey, App, Options, Team, environment,
    envoy::{Envoy, free_port, render},
    eventually, query,
    rpcs::{Rpc, rpcs},
    stderr,
    wires::{Wire, http_outcome, json_failure},
};

#[test]
fn envoy_accepts_its_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let config = render(&directory, free_port(), free_port(), free_port());
    let output = std::process::Command::new(environment("TAP_TEST_ENVOY"))
        .args(["--mode", "validate", "-c", &config])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

/// A key whose next call has the same quota headers as that of any other fresh key.
async fn fresh_key(app: &App, team: &Team) -> String {
    app.key(team.id, Some(10), &[Scope::TapsRead], None).await
}

/// Where time stands still: it is in resume tokens.
async fn at_one_instant() -> App {
    let clock = Clock::fixed(Clock::system().now());
    App::start_with(Options { clock, ..Options::default() }).await
}

#[tokio::test]
async fn every_json_path_of_query_taps_gives_the_same_answer() {
    let app = at_one_instant().await;
    let envoy = Envoy::start(&app).await;
    let team = app.team("acme").await;
    let http = Client::new();
    let body = r#"{ "startDate": "2023-01-01", "endDate": "2023-12-22", "interval": "week", "tagUids": [] }"#;
    let snake = r#"{ "start_date": "2023-01-01", "end_date": "2023-12-22", "interval": "WEEK" }"#;
    let rpc = Rpc::of("TapAnalytics/QueryTaps");
    let mut answers = Vec::new();
    for request in [
        http.post(envoy.url("/v1/api/tap/analytics")).body(body),
        http.post(envoy.url("/v1/taps:query"))
            .header("content-type", "application/json")
            .body(body),
        http.post(envoy.url("/v1/taps:query")).body(snake),
        http.get(envoy.url("/v1/taps:query?startDate=2023-01-01&endDate=2023-12-22&interval=week")),
        http.get(envoy.url(
            "/v1/taps:query?start_date=2023-01-01&end_date=2023-12-22&interval=WEEK&timeZone=UTC",
        )),
    ] {
        let answer = request.header("x-api-key", &team.key).send().await.unwrap();
        answers.push(http_outcome(answer, &rpc.answer()).await.answer().clone());
    }
    assert_eq!(answers[0]["buckets"].as_array().unwrap().len(), 52);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test]
async fn counts_are_plain_numbers_and_zeros_are_there() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.team("acme").await;
    let url =
        envoy.url("/v1/taps:query?startDate=2023-01-01&endDate=2023-01-01&compare=previous_year");
    let answer = Client::new().get(url).header("x-api-key", &team.key).send().await.unwrap();
    assert!(answer.headers().contains_key("x-request-id"));
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(
        body["buckets"],
        json!([{"start": "2023-01-01T00:00:00Z", "end": "2023-01-02T00:00:00Z", "count": 0, "state": "FINAL"}])
    );
    assert_eq!(body["total"], json!(0));
    assert_eq!(body["groups"], json!([]));
    assert_eq!(body["comparison"]["total"], json!(0));
    assert!(body["comparison"].get("changeRatio").is_none(), "there is no ratio to nothing");
}

#[tokio::test]
async fn errors_of_envoy_itself_have_the_same_shape() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.team("acme").await;
    let http = Client::new();
    let large = json!({"startDate": "x".repeat(4_200_000)}).to_string();
    let larger = json!({"tagIds": vec!["a-tag"; 132_000]}).to_string();
    assert!((1_048_577..1_100_000).contains(&larger.len()));
    let post = |body: &str| http.post(envoy.url("/v1/taps:query")).body(body.to_owned());
    let get = |path: &str| http.get(envoy.url(path));
    let chunked =
        reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(
            large.clone(),
        )]));
    let cases = [
        ("malformed JSON", post("{\"startDate\""), 400, 3, "MALFORMED_REQUEST"),
        ("not JSON", post("startDate=2023-01-01"), 400, 3, "MALFORMED_REQUEST"),
        ("unknown interval", post(r#"{"interval": "fortnight"}"#), 400, 3, "MALFORMED_REQUEST"),
        ("wrong type", post(r#"{"startDate": ["2023-01-01"]}"#), 400, 3, "MALFORMED_REQUEST"),
        (
            "unknown parameter",
            get("/v1/taps:query?startDate=2023-01-01&form=x"),
            400,
            3,
            "MALFORMED_REQUEST",
        ),
        (
            "unknown parameter of a post",
            http.post(envoy.url("/v1/taps:query?form=x")).body("{}"),
            400,
            3,
            "MALFORMED_REQUEST",
        ),
        ("unknown path", get("/v1/nothing"), 404, 5, "UNKNOWN_PATH"),
        (
            "headers that fit",
            get("/v1/nothing").header("x-long", "x".repeat(30_000)),
            404,
            5,
            "UNKNOWN_PATH",
        ),
        ("unknown verb", get("/v1/taps:drop"), 404, 5, "UNKNOWN_PATH"),
        ("a gRPC path by JSON", get("/tap.v1.TapAnalytics/QueryTaps"), 404, 5, "UNKNOWN_PATH"),
        ("method of a path", http.delete(envoy.url("/v1/taps:query")), 405, 12, "WRONG_METHOD"),
        ("too large", post(&large), 413, 11, "REQUEST_TOO_LARGE"),
        ("too large for no batch", post(&larger), 413, 11, "REQUEST_TOO_LARGE"),
        (
            "long headers",
            get("/v1/taps:query").header("x-long", "x".repeat(70_000)),
            431,
            11,
            "HEADERS_TOO_LARGE",
        ),
        (
            "too large, unannounced",
            http.post(envoy.url("/v1/taps:query")).body(chunked),
            400,
            11,
            "REQUEST_TOO_LARGE",
        ),
    ];
    for (name, request, status, code, reason) in cases {
        let answer = request.header("x-api-key", &team.key).send().await.unwrap();
        // Unannounced, it is Envoy's buffer or the service's count that is full first.
        let either = name.ends_with("unannounced") && answer.status() == 413;
        assert!(either || answer.status() == status, "{name}: {}", answer.status());
        let id = answer.headers().get("x-request-id").is_some();
        assert_eq!(answer.headers()["content-type"], "application/json", "{name}");
        let body: serde_json::Value = answer.json().await.unwrap();
        let (got, failure) = json_failure(&body);
        assert_eq!(
            (got, failure.reason.as_str(), failure.domain.as_str()),
            (Code::from(code), reason, "tap-analytics"),
            "{name}"
        );
        assert!(!failure.message.is_empty(), "{name}");
        assert!(id || status == 431, "{name} has no request id");
    }
    let long = http
        .get(envoy.url("/v1/taps:query?startDate=2023-01-01&endDate=2023-01-01"))
        .header("x-long", "x".repeat(30_000));
    assert_eq!(
        long.header("x-api-key", app.busy_key(team.id).await).send().await.unwrap().status(),
        200
    );
    // None of it cost a query.
    let last = Wire::Json(0)
        .query_taps(&envoy, Some(&team.key), &query("2023-01-01", "2023-01-01", "DAY"))
        .await;
    assert_eq!(last.quota(), Some((100, 99)));
}

#[tokio::test]
async fn every_path_in_the_proto_names_its_methods_when_it_gets_another() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let http = Client::new();
    let mut paths = std::collections::BTreeMap::<String, Vec<String>>::new();
    for (method, path) in http_rules() {
        // Uids and names with what is in the way of a careless pattern, as they may be written.
        for uid in ["a", "04:A2:3F", "04%3AA2%3A3F", "archive", "a.svg", "qr.svg", "a%3Aarchive"] {
            let path = path.replace("{id}", "x").replace("{event_id}", "x");
            let path = path.replace("{kind}", "users").replace("{row}", "7");
            let path = path.replace("{import_id}", "x").replace("{user_id}", "x");
            let path = path.replace("{file}", "report.csv");
            let written = path
                .replace("{uid}", uid)
                .replace("{category}", uid)
                .replace("{customer_id}", uid)
                .replace("{dialog_id}", uid)
                .replace("{name}", &format!("{uid}%20%C3%A4"));
            let only = written == path;
            paths.entry(written).or_default().push(method.clone());
            if only {
                break;
            }
        }
    }
    assert_eq!(paths.len(), 5 + 2 + 3 * 7 + 7 + 14 + 13 + 7 + 5 * 7 + 4 + 11);
    for path in [
        "/",
        "/imports",
        "/assets/page.js",
        "/docs",
        "/docs/",
        "/docs/errors",
        "/openapi.json",
        "/t/acme/a",
    ] {
        paths.insert(path.to_owned(), vec!["GET".to_owned(), "HEAD".to_owned()]);
    }
    for (path, mut methods) in paths {
        methods.sort();
        for other in [Method::DELETE, Method::PUT, Method::PATCH, Method::GET, Method::POST] {
            if methods.contains(&other.to_string()) {
                continue;
            }
            let answer = http.request(other.clone(), envoy.url(&path)).send().await.unwrap();
            assert_eq!(answer.status(), 405, "{other} {path}");
            assert_eq!(answer.headers()["allow"].to_str().unwrap(), methods.join(", "), "{path}");
        }
    }
}

/// Method and path of each HTTP rule.
pub fn http_rules() -> Vec<(String, String)> {
    let bindings = rpcs().into_iter().flat_map(|rpc| rpc.bindings());
    bindings.map(|binding| (binding.verb.to_string(), binding.path)).collect()
}

#[tokio::test]
async fn a_service_that_is_down_is_unavailable_in_the_same_shape() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.team("acme").await;
    app.stop.cancel();
    app.server.await.unwrap().unwrap();
    let answer = Client::new()
        .get(envoy.url("/v1/taps:query"))
        .header("x-api-key", &team.key)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (code, failure) = json_failure(&answer.json().await.unwrap());
    assert_eq!((code, failure.reason.as_str()), (Code::Unavailable, "SERVICE_UNAVAILABLE"));

    for path in ["application/grpc", "application/grpc-web+proto"] {
        let answer = Client::new()
            .post(envoy.url("/tap.v1.TapAnalytics/QueryTaps"))
            .header("content-type", path)
            .body("")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["grpc-status"], "14");
        let message = answer.headers()["grpc-message"].to_str().unwrap();
        assert!(message.starts_with("no answer from the service"), "{message}");
    }
}

#[tokio::test]
async fn browsers_of_any_origin_may_call_and_read_the_headers() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.team("acme").await;
    for path in ["/v1/taps:query", "/v1/api/tap/analytics", "/tap.v1.TapAnalytics/QueryTaps"] {
        let preflight = Client::new()
            .request(Method::OPTIONS, envoy.url(path))
            .header("origin", "https://dashboard.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "x-api-key,content-type,x-grpc-web")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 200, "{path}");
        assert_eq!(preflight.headers()["access-control-allow-origin"], "https://dashboard.example");
        let allowed =
            preflight.headers()["access-control-allow-headers"].to_str().unwrap().to_owned();
        for header in ["x-api-key", "authorization", "content-type", "x-grpc-web"] {
            assert!(allowed.split(',').any(|name| name == header), "{header} in {allowed}");
        }
        assert!(!preflight.headers().contains_key("access-control-allow-credentials"));
    }
    // Also on an error, and also on one of Envoy's own.
    for (path, key) in
        [("/v1/taps:query", team.key.as_str()), ("/v1/taps:query", "wrong"), ("/v1/nothing", "")]
    {
        let answer = Client::new()
            .get(envoy.url(path))
            .header("origin", "https://dashboard.example")
            .header("x-api-key", key)
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.headers()["access-control-allow-origin"],
            "https://dashboard.example",
            "{path}"
        );
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
        for header in [
            "grpc-status",
            "grpc-status-details-bin",
            "x-request-id",
            "retry-after",
            "x-ratelimit-remaining",
        ] {
            assert!(exposed.split(',').any(|name| name == header), "{header} in {exposed}");
        }
    }
}

#[tokio::test]
async fn no_log_has_a_key_or_a_query_string() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.team("acme").await;
    let http = Client::new();
    let in_the_wrong_place = format!("/v1/taps:query?apiKey={}", team.key);
    let bearer = format!("Bearer {}", team.key);
    let in_a_path = format!("/v1/{}", team.key);
    http.get(envoy.url(&in_a_path))
        .header("x-envoy-original-method", "forged")
        .send()
        .await
        .unwrap();
    http.get(envoy.url(&in_the_wrong_place)).send().await.unwrap();
    http.get(envoy.url("/v1/taps:query?startDate=2023-01-01"))
        .header("authorization", &bearer)
        .send()
        .await
        .unwrap();
    http.get(envoy.url("/v1/taps:query")).header("x-api-key", &team.key).send().await.unwrap();
    eventually("all requests are logged", || async {
        envoy.log().matches("/v1/taps:query").count() >= 3
    })
    .await;

    let log = envoy.log();
    assert!(!log.contains(&team.key), "{log}");
    assert!(!log.contains("2023-01-01"), "{log}");
    assert!(!log.contains("forged"), "{log}");
    let last = log.lines().last().unwrap();
    let entry: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((&entry["path"], &entry["status"]), (&json!("/v1/taps:query"), &json!(400)));
    assert!(entry["request_id"].as_str().unwrap().len() > 30);
}

#[tokio::test]
async fn a_key_that_was_pasted_into_a_path_is_not_logged_and_what_was_called_is() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.team("acme").await;
    let key = app.key(team.id, None, Scope::ALL, None).await;
    let http = Client::new();
    // Method, path, body; what the log has as its path, and the status.
    let get_tag = Some("/tap.v1.Tags/GetTag");
    let event = |name: &str| Some(format!("/tap.v1.Events/{name}").leak() as &str);
    let import = |name: &str| Some(format!("/tap.v1.Imports/{name}").leak() as &str);
    let dialog = |name: &str| Some(format!("/tap.v1.Dialogs/{name}").leak() as &str);
    let broken = format!("{{\"events\": [{{\"data\": {{\"key\": {key}}}}}]}}").leak() as &str;
    let cases = [
        (Method::GET, format!("/v1/tags/{key}"), "", get_tag, 404),
        (Method::GET, format!("/v1//tags//{key}"), "", get_tag, 404),
        (Method::GET, format!("/v1/x/../tags/{key}"), "", get_tag, 404),
        (Method::GET, format!("/v1/tags/{}", key.replace('_', "%5F")), "", get_tag, 404),
        (Method::GET, format!("/v1/tags/{key}%20"), "", get_tag, 400),
        (Method::GET, format!("/v1/tags/{key}?{key}={key}"), "", None, 400),
        (Method::GET, format!("/v1/tags/{key}/{key}"), "", None, 404),
        (Method::GET, format!("/v1/tags:{key}"), "", None, 404),
        (Method::GET, format!("/v1/tags{key}"), "", None, 404),
        (Method::GET, format!("/v1/tags?pageToken={key}"), "", Some("/v1/tags"), 400),
        (Method::GET, format!("/v1/tags?{key}=1"), "", Some("/v1/tags"), 400),
        (Method::GET, format!("/v1/tags/{key}/qr.svg"), "", Some("/tap.v1.Tags/GetTagQrCode"), 404),
        (Method::PATCH, format!("/v1/tags/{key}"), "{}", Some("/tap.v1.Tags/UpdateTag"), 400),
        (Method::PATCH, format!("/v1/tags/{key}"), "{", Some("/tap.v1.Tags/UpdateTag"), 400),
        (Method::POST, format!("/v1/tags/{key}:archive"), "", Some("/tap.v1.Tags/ArchiveTag"), 404),
        (Method::POST, format!("/v1/tags/{key}:{key}"), "", None, 405),
        (Method::DELETE, format!("/v1/tags/{key}"), "", None, 405),
        (Method::GET, format!("/v1/apiKeys/{key}?x=1"), "", None, 400),
        (Method::PUT, format!("/v1/apiKeys/{key}"), "", None, 405),
        (Method::GET, format!("/v1/apiKeys/{key}:rotate"), "", None, 405),
        (Method::GET, format!("/v1/apiKeys/{key}"), "", Some("/tap.v1.ApiKeys/GetApiKey"), 400),
        (Method::GET, format!("/v1/apiKeys/{key}/{key}"), "", None, 404),
        (Method::GET, format!("/v1/apiKeys{key}"), "", None, 404),
        (Method::GET, format!("/v1/sessions/{key}"), "", event("GetSession"), 400),
        (Method::GET, format!("/v1/sessions/{key}/{key}"), "", None, 404),
        (Method::DELETE, format!("/v1/sessions/{key}"), "", None, 405),
        (Method::GET, format!("/v1/sessions?tapId={key}"), "", Some("/v1/sessions"), 400),
        (Method::GET, format!("/v1/events/{key}"), "", event("GetEvent"), 400),
        (Method::PATCH, format!("/v1/events/{key}"), "{}", event("UpdateEvent"), 400),
        (Method::PUT, format!("/v1/events/{key}"), "{\"x\"", event("ReplaceEvent"), 400),
        (Method::DELETE, format!("/v1/events/{key}?etag={key}"), "", event("DeleteEvent"), 400),
        (Method::POST, format!("/v1/events/{key}"), "", None, 405),
        (Method::GET, format!("/v1/events{key}"), "", None, 404),
        (Method::GET, format!("/v1/events?category={key}&order=9"), "", Some("/v1/events"), 400),
        (Method::POST, "/v1/events".to_owned(), broken, Some("/v1/events"), 400),
        (Method::GET, format!("/v1/eventReceipts/{key}"), "", event("GetReceipt"), 400),
        (Method::GET, format!("/v1/eventErrors/{key}"), "", event("GetEventError"), 400),
        (Method::GET, format!("/v1/eventErrors:{key}"), "", None, 404),
        (Method::GET, format!("/v1/eventErrors?filter.{key}=1"), "", Some("/v1/eventErrors"), 400),
        (Method::GET, format!("/v1/eventTypes/{key}/{key}"), "", event("GetEventType"), 404),
        (Method::DELETE, format!("/v1/eventTypes/a/{key}"), "", event("DeleteEventType"), 404),
        (Method::PUT, format!("/v1/eventTypes/{key}/a"), "{}", event("PutEventType"), 400),
        (Method::GET, format!("/v1/eventTypes/{key}"), "", None, 404),
        (Method::GET, format!("/v1/eventTypes/{key}/a/b"), "", None, 404),
        (Method::POST, format!("/v1/data/{key}/{key}"), "{}", dialog("RecordMessage"), 400),
        (Method::POST, format!("/v1/data/{key}/a"), "{", dialog("RecordMessage"), 400),
        (Method::GET, format!("/v1/data/{key}/a"), "", None, 405),
        (Method::GET, format!("/v1/data/{key}"), "", None, 404),
        (Method::GET, format!("/v1/data?after={key}"), "", Some("/v1/data"), 400),
        (Method::POST, format!("/v1/consents/{key}"), "1", dialog("SetConsent"), 400),
        (
            Method::POST,
            format!("/v1/consents/{key}%20:withdraw"),
            "",
            dialog("WithdrawConsent"),
            400,
        ),
        (Method::GET, format!("/v1/consents/{key}"), "", None, 405),
        (Method::GET, format!("/v1/consents{key}"), "", None, 404),
        (Method::GET, format!("/v1/customers/{key}%20/export"), "", dialog("ExportCustomer"), 400),
        (Method::DELETE, format!("/v1/customers/{key}%20"), "", dialog("EraseCustomer"), 400),
        (Method::DELETE, format!("/v1/customers/{key}?x=1"), "", None, 400),
        (Method::GET, format!("/v1/customers/{key}"), "", None, 405),
        (Method::GET, format!("/v1/customers/{key}/{key}"), "", None, 404),
        (Method::GET, format!("/v1/erasures/{key}"), "", None, 404),
        (Method::POST, format!("/v1/imports/{key}:upload"), "", None, 400),
        (
            Method::POST,
            format!("/v1/imports/users:upload?filename={key}"),
            "",
            import("UploadImport"),
            400,
        ),
        (Method::POST, format!("/v1/imports/users:upload?{key}=x"), "", None, 400),
        (Method::GET, format!("/v1/imports/{key}:upload"), "", None, 405),
        (Method::POST, format!("/v1/imports/{key}:{key}"), "", None, 404),
        (Method::POST, format!("/v1/imports/{key}:commit"), "{}", import("CommitImport"), 400),
        (Method::GET, format!("/v1/imports/{key}"), "", import("GetImport"), 400),
        (Method::GET, format!("/v1/imports/{key}:watch"), "", import("WatchImport"), 400),
        (Method::DELETE, format!("/v1/imports/{key}"), "", import("CancelImport"), 400),
        (Method::GET, format!("/v1/imports/{key}/rows"), "", import("ListImportRows"), 400),
        (Method::PATCH, format!("/v1/imports/{key}/rows/1"), "{}", import("PatchImportRow"), 400),
        (Method::GET, format!("/v1/imports/{key}/{key}"), "", import("GetImportReport"), 400),
        (Method::GET, format!("/v1/imports/{key}/a/{key}"), "", None, 404),
        (Method::GET, format!("/v1/imports?pageToken={key}"), "", Some("/v1/imports"), 400),
        (Method::GET, format!("/v1/imports{key}"), "", None, 404),
        (Method::GET, format!("/v1/users/{key}"), "", import("GetUser"), 400),
        (Method::DELETE, format!("/v1/users/{key}"), "", import("DeleteUser"), 400),
        (Method::GET, format!("/v1/users?importId={key}"), "", Some("/v1/users"), 400),
        (Method::POST, "/v1/users:search".to_owned(), "[1]", Some("/v1/users:search"), 400),
        (Method::GET, format!("/v1/users:{key}"), "", None, 404),
        (Method::GET, format!("/v1/users/{key}/{key}"), "", None, 404),
        (Method::GET, format!("/V1/tags/{key}"), "", None, 404),
        (Method::GET, format!("/t/acme/{key}"), "", None, 404),
    ];
    let mut expected = Vec::new();
    for (method, path, body, logged, status) in cases {
        let answer = http
            .request(method.clone(), envoy.url(&path))
            .header("x-api-key", &key)
            .header("x-envoy-original-path", "/v1/tags/forged")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        // Nor is it in the error, unless Envoy says which parameter is not known, or which kind.
        let text = answer.text().await.unwrap();
        let quoted = path.contains('?') || path.ends_with(":upload");
        assert!(quoted || !text.contains(&key), "{path}: {text}");
        let method = logged.map(|_| method.to_string());
        expected.push((id, method, logged.map(str::to_owned), status));
    }
    http.get(envoy.url(&format!("/v1/apiKeys/{key}"))).send().await.unwrap();
    // A page asks before it calls.
    let preflight = http
        .request(Method::OPTIONS, envoy.url(&format!("/v1/tags/{key}")))
        .header("origin", "https://dashboard.example")
        .header("access-control-request-method", "PATCH");
    assert_eq!(preflight.send().await.unwrap().status(), 200);

    let entries = || -> Vec<serde_json::Value> {
        let log = envoy.log();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    for (id, method, path, status) in expected {
        eventually("the request is logged", || async {
            entries().iter().any(|entry| entry["request_id"] == id.as_str())
        })
        .await;
        let all = entries();
        let own: Vec<_> = all.iter().filter(|entry| entry["request_id"] == id.as_str()).collect();
        assert_eq!(own.len(), 1, "once: {own:?}");
        assert_eq!(own[0].get("path"), path.map(|path| json!(path)).as_ref(), "{own:?}");
        assert_eq!(own[0].get("method"), method.map(|method| json!(method)).as_ref(), "{own:?}");
        assert_eq!(own[0]["status"], json!(status), "{own:?}");
    }
    assert!(entries().iter().any(|entry| entry["path"] == "/tap.v1.ApiKeys/GetApiKey"));
    let log = envoy.log();
    let secret = key.split('_').nth(2).unwrap();
    assert!(!log.contains(secret), "{log}");
    assert!(!log.contains("forged"), "{log}");
}

#[tokio::test]
async fn reflection_works_through_envoy_with_a_key_and_health_does_not() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let channel = Channel::from_shared(envoy.url("")).unwrap().connect().await.unwrap();
    let service = "tap.v1.TapAnalytics".to_owned();
    let request = tonic_health::pb::HealthCheckRequest { service };
    let check = async |channel| {
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
        health.check(request.clone()).await
    };
    assert!(check(channel.clone()).await.is_err(), "health is not for the public");
    let straight = Channel::from_shared(format!("http://{}", app.grpc)).unwrap();
    let answer = check(straight.connect().await.unwrap()).await.unwrap();
    assert_eq!(answer.into_inner().status, 1);

    let request = list_services();
    let mut anybody = ServerReflectionClient::new(channel.clone());
    let refused =
        anybody.server_reflection_info(futures_util::stream::iter([request.clone()])).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    let team = app.team("acme").await;
    let mut reflection = ServerReflectionClient::with_interceptor(channel, AddKey(team.key));
    let answers =
        reflection.server_reflection_info(futures_util::stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|service| service.name == "tap.v1.TapAnalytics"), "{list:?}");
}

#[tokio::test]
async fn all_keys_of_a_team_go_to_one_replica() {
    let one = App::start().await;
    let other = App::on(one.store.clone(), Options::default()).await;
    let envoy = Envoy::in_front_of_both(&one, &other).await;
    let rpc = Rpc::of("TapAnalytics/QueryTaps");
    let mut replicas = std::collections::BTreeSet::new();
    for n in 0..40 {
        let team = one.team(&format!("team-{n}")).await;
        let (first, second) = (fresh_key(&one, &team).await, fresh_key(&one, &team).await);
        eventually("both replicas know the keys", || async {
            let mut client = other.client(&second);
            let answer = client.query_taps(QueryTapsRequest::default()).await;
            answer.is_err_and(|status| status.code() == Code::InvalidArgument)
        })
        .await;
        // Ten calls by two keys and both headers: one replica counts them all.
        for left in (0..10).rev() {
            let header = if left % 2 == 0 {
                ("x-api-key", first.clone())
            } else {
                ("authorization", format!("Bearer {first}"))
            };
            let url = envoy.url("/v1/taps:query?startDate=2023-01-01&endDate=2023-01-01");
            let answer = Client::new().get(url).header(header.0, header.1).send().await.unwrap();
            let answer = http_outcome(answer, &rpc.answer()).await;
            assert_eq!(answer.quota(), Some((10, left)), "team {n}");
        }
        Wire::Grpc
            .query_taps(&envoy, Some(&second), &query("2023-01-01", "2023-01-01", "DAY"))
            .await;
        let used =
            one.client(&second).query_taps(query("2023-01-01", "2023-01-01", "DAY")).await.unwrap();
        let here = used.metadata().get("x-ratelimit-remaining").unwrap() == "8";
        let first_here =
            one.client(&first).query_taps(query("2023-01-01", "2023-01-01", "DAY")).await.is_err();
        assert_eq!(here, first_here, "both keys of team {n} went to the same replica");
        replicas.insert(here);
        if n >= 7 && replicas.len() == 2 {
            break;
        }
    }
    assert_eq!(replicas.len(), 2, "teams are spread over the replicas");
}

/// A request for the list of services, on a stream of reflection.
fn list_services() -> ServerReflectionRequest {
    ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cut_and_a_stream_is_not() {
    let app = App::start_with(Options { cache_mib: 0, ..Options::default() }).await;
    let envoy = Envoy::impatient(&app).await;
    let team = app.team("acme").await;

    // A stream that lasts longer than any call may.
    let channel = Channel::from_shared(envoy.url("")).unwrap().connect().await.unwrap();
    let mut reflection =
        ServerReflectionClient::with_interceptor(channel, AddKey(team.key.clone()));
    let (ask, asked) = tokio::sync::mpsc::channel(1);
    let asked = futures_util::stream::unfold(asked, async |mut asked: Receiver<_>| {
        Some((asked.recv().await?, asked))
    });
    ask.send(list_services()).await.unwrap();
    let mut answers = reflection.server_reflection_info(asked).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());

    // The store holds the call up: Envoy gives up first.
    let admin = app.sql().await;
    admin.batch_execute("begin; lock table tap_days in access exclusive mode").await.unwrap();
    let url = envoy.url("/v1/taps:query?startDate=2023-01-01&endDate=2023-01-02");
    let late = Client::new().get(url).header("x-api-key", &team.key).send().await.unwrap();
    assert_eq!(late.status(), 504);
    let (code, failure) = json_failure(&late.json().await.unwrap());
    assert_eq!((code, failure.reason.as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    // Or earlier, when its caller asks for that.
    let url = envoy.url("/v1/taps:query?startDate=2023-01-01&endDate=2023-01-03");
    let began = std::time::Instant::now();
    let hasty =
        Client::new().get(url).header("x-api-key", &team.key).header("grpc-timeout", "500m");
    assert_eq!(hasty.send().await.unwrap().status(), 504);
    assert!(began.elapsed() < Duration::from_millis(1_900), "{:?}", began.elapsed());
    admin.batch_execute("rollback").await.unwrap();

    // A body that does not arrive.
    let stuck =
        reqwest::Body::wrap_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
    let url = envoy.url("/v1/taps:query");
    let stuck =
        Client::new().post(url).header("x-api-key", &team.key).body(stuck).send().await.unwrap();
    assert_eq!(stuck.status(), 408);
    let (code, failure) = json_failure(&stuck.json().await.unwrap());
    assert_eq!((code, failure.reason.as_str()), (Code::DeadlineExceeded, "REQUEST_TOO_SLOW"));

    ask.send(list_services()).await.unwrap();
    assert!(answers.message().await.unwrap().is_some(), "five seconds later the stream goes on");
}
