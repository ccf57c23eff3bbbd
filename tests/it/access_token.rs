//! `?access_token=`: what an `EventSource` can send in place of a header, where it counts, and where it must not
//! be seen.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Child,
    time::Duration,
};

use chrono::TimeDelta;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tap_analytics::{access::model::Scope, clock::Clock};
use tonic::Code;

use crate::{
    app::{
        App, Options, Team,
        envoy::{Envoy, free_port},
        eventually, new_database, program,
        report::{record, report},
        rpcs::{Rpc, canonical, rpcs},
        wires::{Call, Door, Outcome, Wire, http_outcome},
    },
    conformance::sample,
};

const STREAM: &str = "/v1/taps:stream";
const EVENTS: &str = "/v1/events:stream";
const WATCH: &str = "/v1/taps:watch?query.startDate=2023-01-01&query.endDate=2023-01-01";

/// A call of an RPC straight to the service.
async fn ask(app: &App, key: &str, rpc: &str, request: Value) -> Outcome {
    let rpc = Rpc::of(rpc);
    Call::new(&rpc, &request).key(Some(key)).outcome(&Door::straight(app), Wire::Grpc, 1).await
}

async fn issue(app: &App, key: &str, request: Value) -> String {
    let issued = ask(app, key, "ApiKeys/IssueToken", request).await;
    issued.answer()["token"].as_str().unwrap().to_owned()
}

/// A path with a token in its query.
fn with(path: &str, token: &str) -> String {
    let more = if path.contains('?') { '&' } else { '?' };
    format!("{path}{more}access_token={token}")
}

/// The first frame of a stream, or why there is none.
async fn opened(request: RequestBuilder) -> Result<Value, (Code, String)> {
    let mut answer = request.send().await.unwrap();
    if answer.status() != 200 {
        let rpc = Rpc::of("TapAnalytics/StreamTaps");
        return Err(http_outcome(answer, &rpc.answer()).await.refusal());
    }
    let frame = answer.chunk().await.unwrap().unwrap();
    let text = str::from_utf8(&frame).unwrap();
    Ok(serde_json::from_str(text.strip_prefix("data: ").unwrap_or(text)).unwrap())
}

fn missing() -> Result<Value, (Code, String)> {
    Err((Code::Unauthenticated, "API_KEY_MISSING".to_owned()))
}

fn invalid() -> Result<Value, (Code, String)> {
    Err((Code::Unauthenticated, "API_KEY_INVALID".to_owned()))
}

/// Envoy in front of an installation with a team.
struct Installation {
    app: App,
    envoy: Envoy,
    team: Team,
    clock: Clock,
}

impl Installation {
    async fn start() -> Self {
        let clock = Clock::fixed(Clock::system().now());
        let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
        let envoy = Envoy::start(&app).await;
        let team = app.reporting_team("acme", &["a", "b"]).await;
        Self { app, envoy, team, clock }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        Client::new().get(self.envoy.url(path))
    }
}

#[tokio::test]
async fn an_event_source_opens_the_streams_with_a_token_in_its_query() {
    let here = Installation::start().await;
    let token = issue(&here.app, &here.team.key, json!({})).await;
    for accept in ["text/event-stream", "application/json", "*/*"] {
        let get = |path: &str| here.get(path).header("accept", accept);
        assert!(opened(get(&with(STREAM, &token))).await.unwrap().get("hello").is_some());
        assert!(opened(get(&with(WATCH, &token))).await.unwrap().get("answer").is_some());
        assert!(opened(get(&with(EVENTS, &token))).await.unwrap().get("hello").is_some());
        // Wherever in the query it is.
        let first = format!("{STREAM}?access_token={token}&tagUids=a&include=0");
        assert!(opened(get(&first)).await.unwrap().get("hello").is_some());
    }
    let body = here.app.client(&token).query_taps(crate::app::query("x", "y", "DAY")).await;
    assert_eq!(body.unwrap_err().code(), Code::InvalidArgument, "it is a token as any other");

    // One that is limited to a tag is no more than that here.
    let limited = issue(&here.app, &here.team.key, json!({"tagUids": ["a"]})).await;
    let mut frames = here.get(&with(STREAM, &limited)).send().await.unwrap();
    frames.chunk().await.unwrap().unwrap();
    let taps = ["b", "a"].map(|uid| report(uid, here.clock.now()));
    record(&mut here.app.client(&here.team.key), taps.to_vec()).await;
    let frame: Value = serde_json::from_slice(&frames.chunk().await.unwrap().unwrap()).unwrap();
    assert_eq!(frame["tap"]["tagUid"], "a");
    let theirs = opened(here.get(&with(&format!("{STREAM}?tagUids=b"), &limited))).await;
    assert_eq!(theirs, Err((Code::NotFound, "TAG_NOT_FOUND".to_owned())));

    // It ends as others do.
    here.clock.set(here.clock.now() + TimeDelta::hours(1));
    let late = opened(here.get(&with(STREAM, &token))).await;
    assert_eq!(late, Err((Code::Unauthenticated, "TOKEN_EXPIRED".to_owned())));
}

#[tokio::test]
async fn nothing_but_the_streams_takes_a_token_in_its_query() {
    let here = Installation::start().await;
    let token = issue(&here.app, &here.team.key, json!({})).await;
    let mut taken = BTreeSet::new();
    for rpc in rpcs() {
        for binding in rpc.bindings() {
            let (path, body) = binding.http(&rpc, &canonical(&rpc.request(&sample(&rpc))));
            let ask = |key: Option<&str>| {
                let request = Client::new()
                    .request(binding.verb.clone(), here.envoy.url(&with(&path, &token)))
                    .body(body.as_ref().map(Value::to_string).unwrap_or_default());
                match key {
                    Some(key) => request.header("x-api-key", key),
                    None => request,
                }
            };
            let name = format!("{} {}", binding.verb, binding.path);
            let answer = ask(None).send().await.unwrap();
            if answer.status() == 200 {
                taken.insert(name);
                continue;
            }
            let refused = http_outcome(answer, &rpc.answer()).await.refusal();
            assert_eq!(refused.0, Code::InvalidArgument, "{name}");
            // Nor is it passed over where there is a key.
            let answer = ask(Some(&here.team.key)).send().await.unwrap();
            let refused = http_outcome(answer, &rpc.answer()).await.refusal();
            assert_eq!(refused, (Code::InvalidArgument, "MALFORMED_REQUEST".to_owned()), "{name}");
        }
        // By gRPC there is no query.
        let path = with(&rpc.path(), &token);
        let answer = Client::new()
            .post(here.envoy.url(&path))
            .header("content-type", "application/grpc-web+proto")
            .body(vec![0; 5]);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "16", "{path}");
    }
    let streams = [
        "GET /v1/events:stream",
        "GET /v1/taps:stream",
        "GET /v1/taps:watch",
        "POST /v1/taps:watch",
    ];
    assert_eq!(taken.iter().collect::<Vec<_>>(), streams);
    for path in ["/docs/", "/openapi.json", "/"] {
        let open = here.get(&with(path, "x.y")).send().await.unwrap();
        assert_ne!(open.status(), 401, "{path}");
    }
}

#[tokio::test]
async fn a_key_in_a_query_is_refused_and_so_is_what_can_be_read_in_two_ways() {
    let here = Installation::start().await;
    let key = here.team.key.as_str();
    let token = issue(&here.app, key, json!({})).await;
    for path in [STREAM, WATCH] {
        // A key, the start of one, nothing, or more than one.
        let none = [
            with(path, key),
            with(path, ""),
            with(path, "tap_1_x"),
            with(&with(path, &token), &token),
            with(&with(path, &token), key),
            with(&with(path, key), &token),
            with(path, &token.replace('.', "%2E")),
        ];
        for path in &none {
            assert_eq!(opened(here.get(path)).await, invalid(), "{path}");
        }
        assert_eq!(opened(here.get(path)).await, missing());
        // What looks like a token and is none.
        let wrong = [
            with(path, &token[..token.len() - 2]),
            with(path, &format!("{token}%20")),
            with(path, &format!("+{token}")),
            with(path, &token.replace("tap_", "tap%5F")),
            with(path, &token.replace("tap_1_", "tap_2_")),
            with(path, "x.y.z"),
        ];
        for path in &wrong {
            assert_eq!(opened(here.get(path)).await, invalid(), "{path}");
        }
        // Another name, as of others' services, is an unknown parameter.
        for name in [
            "access%5Ftoken",
            "Access_Token",
            "accessToken",
            "token",
            "api_key",
            "x-api-key",
            "key",
        ] {
            let path = with(path, &token).replace("access_token", name);
            let unknown = Err((Code::InvalidArgument, "MALFORMED_REQUEST".to_owned()));
            assert_eq!(opened(here.get(&path)).await, unknown, "{path}");
        }
    }
}

#[tokio::test]
async fn a_header_wins_over_the_query_also_one_that_lets_nobody_in() {
    let here = Installation::start().await;
    let key = here.team.key.as_str();
    let token = issue(&here.app, key, json!({})).await;
    let writer = here.app.key(here.team.id, None, &[Scope::TapsWrite], None).await;
    let bearer = format!("Bearer {key}");
    let by = |name: &'static str, value: &str, token: &str| {
        here.get(&with(STREAM, token)).header(name, value)
    };
    for junk in ["", "x.y.z", "junk", token.as_str()] {
        assert!(opened(by("x-api-key", key, junk)).await.is_ok(), "{junk}");
        assert!(opened(by("authorization", &bearer, junk)).await.is_ok(), "{junk}");
    }
    assert_eq!(opened(by("x-api-key", "wrong", &token)).await, invalid());
    assert_eq!(opened(by("x-api-key", "", &token)).await, invalid());
    assert_eq!(opened(by("authorization", "Bearer wrong", &token)).await, invalid());
    // Envoy would choose the replica by these: nobody can have one of their choice by them.
    for value in ["Basic eDp5", "", "x", &format!("BEARER {token}"), &format!("Bearer  {token}")] {
        let refused = opened(by("authorization", value, &token)).await;
        assert!(refused == missing() || refused == invalid(), "{value:?}: {refused:?}");
    }
    let twice = by("authorization", &bearer, &token).header("authorization", "Basic eDp5");
    // Envoy makes one of the two.
    assert_eq!(opened(twice).await, invalid());
    let scope = Err((Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    assert_eq!(opened(by("x-api-key", &writer, &token)).await, scope);
    // Nor does anybody say to the service what was called.
    let forged = here.get(STREAM).header("x-envoy-original-path", with(STREAM, &token));
    assert_eq!(opened(forged).await, missing());
}

/// The program. Ends with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Sends bytes as they are, and reads what comes of it.
fn raw(to: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).unwrap_or_default();
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

/// Where somebody could put a token into an address.
fn paths_with(token: &str) -> Vec<String> {
    vec![
        with(STREAM, token),
        with(WATCH, token),
        with(EVENTS, token),
        with(&with(STREAM, token), token),
        with("/v1/taps:stream?tagUids=nobodys", token),
        with("/v1/events:stream?resumeToken=x", token),
        with("/v1/taps:stream?resumeToken=x", token),
        with("/v1/taps:stream?form=x", token),
        with("/v1/taps:query", token),
        with("/v1/nothing", token),
        with("/nothing", token),
        with("/docs/", token),
        with("/openapi.json", token),
        with("/t/acme/a", token),
        with("/v1//taps:stream", token),
        with("/v1/./taps:stream", token),
        with("/v1/taps%3Astream", token),
        format!("/v1/taps:stream;access_token={token}"),
        format!("/v1/taps:stream/{token}"),
        format!("/v1/{token}"),
        format!("/{token}"),
        format!("/v1/taps:stream?{token}"),
        format!("/v1/tags/{token}"),
        format!("/v1/apiKeys/{token}"),
        format!("/v1/events:stream/{token}"),
        format!("/v1/events/{token}"),
        format!("/v1/sessions/{token}"),
        format!("/v1/eventReceipts/{token}"),
        format!("/v1/eventErrors/{token}"),
        format!("/v1/eventTypes/{token}/{token}"),
        format!("/v1/eventErrors?filter.reason={token}"),
        format!("/v1/tags?pageToken={token}"),
    ]
}

/// And into headers.
fn headers_with(token: &str) -> Vec<(&'static str, String)> {
    vec![
        ("x-api-key", token.to_owned()),
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("Bearer {token} {token}")),
        ("x-request-id", token.to_owned()),
        ("x-envoy-original-path", with(STREAM, token)),
        ("user-agent", token.to_owned()),
        ("referer", format!("https://page.example/?access_token={token}")),
    ]
}

/// And into what is no HTTP, or hardly.
fn strange_with(token: &str) -> [String; 9] {
    let path = with(STREAM, token);
    [
        format!("GET {path} HTTP/9.9\r\nhost: x\r\n\r\n"),
        format!("GET {path}\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nbad header {token}\r\n\r\n"),
        format!("GET {path} {token} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("GET http://x{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
        format!("{token} {path} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("CONNECT {path} HTTP/1.1\r\nhost: {token}\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(70_000)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_ever_has_a_token() {
    let url = new_database().await;
    let (grpc, admin) = (free_port(), free_port());
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut serve = program(&url);
    serve
        .arg("serve")
        .env("TAP_GRPC_PORT", grpc.to_string())
        .env("TAP_ADMIN_PORT", admin.to_string())
        // All that it could say.
        .env("TAP_LOG", "info,tap_analytics=trace")
        .stderr(log.reopen().unwrap());
    let _serve = Service(serve.spawn().unwrap());
    // The teams are made as ever, by an installation of the same database.
    let app = App::on(crate::app::store(&url), Options::default()).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let envoy = Envoy::before(grpc).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(issue(&app, &team.key, json!({})).await);
    }
    let [good, dead, other] = tokens.as_slice() else { panic!() };
    let dead = format!("{}AAAA", &dead[..dead.len() - 4]);
    let http = Client::new();
    let get = async |path: &str| {
        http.get(envoy.url(path)).send().await.map_or(0, |answer| answer.status().as_u16())
    };
    eventually("the service knows the key", || async { get(&with(STREAM, good)).await == 200 })
        .await;

    let mut statuses = BTreeSet::new();
    for token in [good, &dead, other] {
        for path in paths_with(token) {
            statuses.insert(get(&path).await);
            let delete = http.request(Method::DELETE, envoy.url(&path)).send().await;
            statuses.extend(delete.map(|answer| answer.status().as_u16()));
        }
        for (name, value) in headers_with(token) {
            let request = http.get(envoy.url("/v1/whoami")).header(name, value);
            statuses.extend(request.send().await.map(|answer| answer.status().as_u16()));
        }
        let (to, strange) = (envoy.http, strange_with(token));
        let strange = move || strange.map(|bytes| raw(to, &bytes));
        for answer in tokio::task::spawn_blocking(strange).await.unwrap() {
            assert!(!answer.contains("access_token="), "{answer}");
        }
    }
    // It was all tried: well, refused, malformed, and not there.
    for status in [200, 400, 401, 404, 405] {
        assert!(statuses.contains(&status), "{statuses:?}");
    }
    let last =
        http.get(envoy.url("/v1/quota")).header("x-api-key", &team.key).send().await.unwrap();
    let id = last.headers()["x-request-id"].to_str().unwrap().to_owned();
    let service = || std::fs::read_to_string(log.path()).unwrap();
    eventually("all is logged", || async { envoy.log().contains(&id) && service().contains(&id) })
        .await;
    for (name, log, word) in
        [("Envoy", envoy.log(), "/v1/taps:stream"), ("the service", service(), "StreamTaps")]
    {
        assert!(log.contains(word), "{name} logs nothing of it: {log}");
        for token in [good, &dead, other] {
            let [_, claims, signature] = *token.split('.').collect::<Vec<_>>() else { panic!() };
            for part in [claims, signature] {
                assert!(!log.contains(part), "{name} logged a part of {token}:\n{log}");
            }
        }
        assert!(!log.contains("access_token"), "{name}: {log}");
    }
}

#[tokio::test]
async fn a_team_has_one_home_by_key_by_token_and_by_a_token_in_a_query() {
    // Time stands still: nothing comes back of a quota.
    let clock = Clock::fixed(Clock::system().now());
    let options = || Options { clock: clock.clone(), ..Options::default() };
    let one = App::start_with(options()).await;
    let other = App::on(one.store.clone(), options()).await;
    let envoy = Envoy::in_front_of_both(&one, &other).await;
    let http = Client::new();
    let mut homes = BTreeSet::new();
    for nth in 0..40 {
        let team = one.reporting_team(&format!("team-{nth}"), &["a"]).await;
        other.until_known(&team.key).await;
        // By one of them, with the quota of the key there.
        let token = issue(&one, &team.key, json!({})).await;
        let (day, bearer) = ("?startDate=2023-01-01&endDate=2023-01-01", "authorization");
        let query = || http.get(envoy.url(&format!("/v1/taps:query{day}")));
        let calls = [
            query().header("x-api-key", &team.key),
            query().header(bearer, format!("Bearer {}", team.key)),
            query().header("x-api-key", &token),
            query().header(bearer, format!("bearer {token}")),
            http.get(envoy.url(&with(STREAM, &token))),
            http.get(envoy.url(&with(STREAM, &token))).header("accept", "text/event-stream"),
            http.get(envoy.url(&with(WATCH, &token))),
            http.get(envoy.url(&format!("{STREAM}?access_token={token}&tagUids=a"))),
        ];
        for call in calls {
            let mut answer = call.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.chunk().await.unwrap();
        }
        let mut used = Vec::new();
        for replica in [&one, &other] {
            let quota = ask(replica, &team.key, "ApiKeys/GetQuota", json!({})).await;
            let class = &quota.answer()["quotas"][0];
            assert_eq!(class["class"], "query");
            used.push(class["limit"].as_u64().unwrap() - class["remaining"].as_u64().unwrap());
        }
        let all_at_one = used == [8, 0] || used == [0, 8];
        assert!(all_at_one, "team {nth} spent {used:?} at the two");
        homes.insert(used[0]);
        if nth >= 7 && homes.len() == 2 {
            break;
        }
    }
    assert_eq!(homes.len(), 2, "teams are spread over the replicas");
}
