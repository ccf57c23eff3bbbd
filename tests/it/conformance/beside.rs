//! What every wire has to say the same of, and does not fit into the list: it needs more than a team and some
//! keys, or is made of bytes or JSON that are no request.

use chrono::TimeDelta;
use futures_util::{StreamExt as _, future::join_all, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tap_analytics::{
    access::model::Scope,
    proto::tap_v1::{IssueTokenRequest, api_keys_client::ApiKeysClient},
    quotas::Class,
};
use tonic::{Code, transport::Channel};

use super::{described, one_instant, sample};
use crate::app::{
    AddKey, App, Options, OwnPostgres, Team,
    envoy::Envoy,
    report::{record, report},
    rpcs::{Rpc, canonical, is_value, rpcs},
    store,
    wires::{Call, Door, Frames, Outcome, Wire, http_outcome},
};

/// Asks the same by every wire of an RPC, and returns what all of them say.
async fn unanimous(rpc: &Rpc, door: &Door, call: &Call<'_>) -> Outcome {
    let expected = call.outcome(door, Wire::Grpc, 1).await;
    for wire in rpc.wires().into_iter().filter(|wire| *wire != Wire::Grpc) {
        assert_eq!(call.outcome(door, wire, 1).await, expected, "{} by {wire:?}", rpc.name());
    }
    expected
}

/// An installation whose time stands still, with a team that has tags and a key for everything.
async fn still() -> (App, Envoy, Team) {
    let clock = one_instant();
    let app = App::start_with(Options { clock, ..Options::default() }).await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a", "b"]).await;
    (app, envoy, team)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_made_all_changes_of_an_hour_is_told_so_by_every_wire() {
    let (app, envoy, team) = still().await;
    let channel = Channel::from_shared(format!("http://{}", app.grpc)).unwrap().connect_lazy();
    let keys = ApiKeysClient::with_interceptor(channel, AddKey(team.key.clone()));
    let used = stream::iter(0..3_600).map(|_| {
        let mut keys = keys.clone();
        async move { keys.issue_token(IssueTokenRequest::default()).await.is_ok() }
    });
    let used: Vec<bool> = used.buffer_unordered(64).collect().await;
    assert!(used.into_iter().all(|ok| ok));

    let mut asked = 0;
    for rpc in rpcs().into_iter().filter(|rpc| rpc.route().class() == Some(Class::Change)) {
        let call = Call::new(&rpc, &sample(&rpc)).key(Some(&team.key));
        let refused = unanimous(&rpc, &Door::of(&envoy), &call).await;
        assert_eq!(refused.refusal(), (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
        assert_eq!((refused.quota(), refused.retry_after()), (Some((3_600, 0)), Some(1)));
        let failure = refused.failure();
        assert_eq!(failure.quota_metric.as_deref(), Some("tap-analytics/change"));
        assert!(failure.retry);
        asked += 1;
    }
    assert!(asked >= 5, "{asked}");
    // And of nothing else.
    let rpc = Rpc::of("ApiKeys/ListKeyEvents");
    let call = Call::new(&rpc, &json!({})).key(Some(&team.key));
    assert_eq!(call.outcome(&Door::of(&envoy), Wire::Grpc, 1).await.code, Code::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_store_every_wire_says_when_to_come_back() {
    let postgres = OwnPostgres::start().await;
    let clock = one_instant();
    let app = App::on(store(&postgres.url), Options { clock, ..Options::default() }).await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    // So that tags are known.
    record(&mut app.client(&team.key), vec![report("a", crate::app::now())]).await;
    // Keys of their own, so that all can be asked at once.
    let mut asked = Vec::new();
    for rpc in rpcs().into_iter().filter(|rpc| !rpc.is_sent_in_frames()) {
        asked.push((rpc, app.key(team.id, None, Scope::ALL, None).await));
    }
    postgres.stop();

    let door = Door::of(&envoy);
    let without = join_all(asked.iter().map(async |(rpc, key)| {
        let request = match rpc.name().as_str() {
            // The rest of it is in memory.
            "ApiKeys/IssueToken" => json!({"tagUids": ["nobodys"]}),
            _ => sample(rpc),
        };
        let call = Call::new(rpc, &request).key(Some(key));
        let outcome = unanimous(rpc, &door, &call).await;
        if !described(rpc).contains("STORE_UNAVAILABLE") {
            assert_eq!(outcome.code, Code::Ok, "{}: {outcome:?}", rpc.name());
            return Some(rpc.name());
        }
        let expected = (Code::Unavailable, "STORE_UNAVAILABLE".to_owned());
        assert_eq!(outcome.refusal(), expected, "{}", rpc.name());
        assert!(outcome.failure().retry, "{}", rpc.name());
        // It costs nothing.
        let (limit, left) = outcome.quota().unwrap();
        assert_eq!(left, limit, "{}", rpc.name());
        None
    }));
    let without: Vec<String> = without.await.into_iter().flatten().collect();
    assert_eq!(without, ["ApiKeys/WhoAmI", "ApiKeys/GetQuota"]);
}

#[tokio::test]
async fn bytes_that_are_no_message_are_malformed_and_cost_nothing() {
    let (_app, envoy, team) = still().await;
    let door = Door::of(&envoy);
    for rpc in rpcs().into_iter().filter(|rpc| !rpc.is_sent_in_frames()) {
        let mut outcomes = Vec::new();
        // A field of no number, one that is cut, a wire type that there is not.
        for bytes in [&[0x00, 0x01][..], &[0x0a, 0x7f, b'x'], &[0x0f]] {
            for wire in [Wire::Grpc, Wire::GrpcWeb] {
                let call = Call::new(&rpc, &sample(&rpc)).bytes(bytes).key(Some(&team.key));
                outcomes.push(call.outcome(&door, wire, 1).await);
            }
        }
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
        let expected = (Code::InvalidArgument, "MALFORMED_REQUEST".to_owned());
        assert_eq!(outcomes[0].refusal(), expected, "{}", rpc.name());
        if let Some((limit, left)) = outcomes[0].quota() {
            assert_eq!(limit, left, "{}", rpc.name());
        }
    }
}

#[tokio::test]
async fn json_that_is_no_request_is_malformed_and_costs_nothing() {
    let (app, envoy, team) = still().await;
    let http = reqwest::Client::new();
    let mut asked = 0;
    for rpc in rpcs() {
        for binding in rpc.bindings() {
            let (path, body) = binding.http(&rpc, &canonical(&rpc.request(&sample(&rpc))));
            let url = envoy.url(&path);
            let more = if path.contains('?') { '&' } else { '?' };
            let good = || body.as_ref().map_or_else(Vec::new, |body| body.to_string().into_bytes());
            let mut bad = vec![(format!("{url}{more}form=x"), good())];
            if let Some(body) = &body {
                let bodies: [&[u8]; 6] =
                    [b"{\"", b"[1]", b"\"x\"", b"nonsense", b"{\"name\": \"\xff\"}", b"{} {}"];
                // What may be any JSON is no request in another way: that is a bad field. And a file is anything.
                let (any, file) = (is_value(&rpc, &binding.body), rpc.takes_a_file());
                let bodies = bodies.into_iter().filter(|body| {
                    !file && (!any || serde_json::from_slice::<Value>(body).is_err())
                });
                bad.extend(bodies.map(|bytes| (url.clone(), bytes.to_vec())));
                // What is in the path cannot be in the body too.
                let path = binding.path.split_once('{').filter(|_| binding.body == "*");
                if let Some((_, rest)) = path {
                    let mut twice = body.clone();
                    twice[rest.split_once('}').unwrap().0] = json!("x");
                    bad.push((url, twice.to_string().into_bytes()));
                }
            }
            for (url, bytes) in bad {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let request = http.request(binding.verb.clone(), &url).body(bytes);
                let answer = request.header("x-api-key", &team.key).send().await.unwrap();
                assert_eq!(answer.status(), 400, "{} {url} {text}", binding.verb);
                let outcome = http_outcome(answer, &rpc.answer()).await;
                let expected = (Code::InvalidArgument, "MALFORMED_REQUEST".to_owned());
                assert_eq!(outcome.refusal(), expected, "{} {url} {text}", binding.verb);
                asked += 1;
            }
        }
    }
    assert!(asked > 50, "{asked}");
    let quota = Rpc::of("ApiKeys/GetQuota");
    let call = Call::new(&quota, &json!({})).key(Some(&team.key));
    let quota = call.outcome(&Door::straight(&app), Wire::Grpc, 1).await;
    for class in quota.answer()["quotas"].as_array().unwrap() {
        assert_eq!(class["limit"], class["remaining"], "{class}");
    }
}

#[tokio::test]
async fn a_path_of_grpc_is_none_of_json() {
    let (_app, envoy, team) = still().await;
    for rpc in rpcs() {
        let url = envoy.url(&rpc.path());
        let request = reqwest::Client::new().request(Method::POST, url).body("{}");
        let answer = request.header("x-api-key", &team.key).send().await.unwrap();
        let outcome = http_outcome(answer, &rpc.answer()).await;
        assert_eq!(
            outcome.refusal(),
            (Code::NotFound, "UNKNOWN_PATH".to_owned()),
            "{}",
            rpc.name()
        );
    }
}

/// Streams of both kinds by every wire, past their first frame.
struct Open(Vec<(String, Frames)>);

impl Open {
    async fn all(door: &Door, key: &str) -> Self {
        let mut open = Vec::new();
        for rpc in
            rpcs().into_iter().filter(|rpc| rpc.answers_in_frames() && !rpc.is_sent_in_frames())
        {
            // An import, or a file of it, is there or not, and ends by itself.
            if rpc.name().starts_with("Imports/") {
                continue;
            }
            let call = Call::new(&rpc, &sample(&rpc)).key(Some(key));
            for wire in rpc.wires() {
                let name = format!("{} by {wire:?}", rpc.name());
                let opened = call.open(door, wire).await;
                let mut frames =
                    opened.unwrap_or_else(|refused| panic!("{name}: {refused:?}")).frames;
                frames.next().await.unwrap();
                open.push((name, frames));
            }
        }
        assert!(open.len() >= 10, "{}", open.len());
        Self(open)
    }

    /// All of them end for the same reason, with the same words, and nothing comes after.
    async fn end(self, reason: &str) {
        let mut ends: Vec<Value> = Vec::new();
        for (name, mut frames) in self.0 {
            let end = loop {
                let frame = frames.next().await.unwrap_or_else(|| panic!("{name} has no end"));
                if let Some(end) = frame.get("end") {
                    break end.clone();
                }
            };
            assert_eq!(end["reason"], reason, "{name}");
            assert!(!end["message"].as_str().unwrap().is_empty(), "{name}");
            assert_eq!(frames.next().await, None, "{name}");
            ends.push(end);
        }
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_for_the_same_reason_by_every_wire() {
    let clock = one_instant();
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let envoy = Envoy::start(&app).await;
    let door = Door::of(&envoy);
    let team = app.reporting_team("acme", &["a"]).await;
    let ask = async |name: &str, request: Value| {
        let rpc = Rpc::of(name);
        let call = Call::new(&rpc, &request).key(Some(&team.key));
        let outcome = call.outcome(&Door::straight(&app), Wire::Grpc, 1).await;
        assert_eq!(outcome.code, Code::Ok, "{outcome:?}");
        outcome.answer().clone()
    };
    let create = async |more: Value| {
        let mut request =
            json!({"name": "a", "scopes": ["taps:read", "events:read", "taps:write"]});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = ask("ApiKeys/CreateApiKey", request).await;
        let text = |place: &str| made.pointer(place).unwrap().as_str().unwrap().to_owned();
        (text("/key"), text("/apiKey/id"))
    };

    let (revoked, id) = create(json!({})).await;
    let open = Open::all(&door, &revoked).await;
    ask("ApiKeys/RevokeApiKey", json!({"id": id})).await;
    open.end("API_KEY_REVOKED").await;

    let (changed, id) = create(json!({})).await;
    let open = Open::all(&door, &changed).await;
    ask("ApiKeys/UpdateApiKey", json!({"id": id, "scopes": ["taps:write"]})).await;
    open.end("API_KEY_CHANGED").await;

    let (short, _) = create(json!({"ttl": "600s"})).await;
    let token = ask("ApiKeys/IssueToken", json!({"ttl": "60s"})).await;
    let (by_key, by_token) =
        (Open::all(&door, &short).await, Open::all(&door, token["token"].as_str().unwrap()).await);
    clock.set(clock.now() + TimeDelta::seconds(60));
    by_token.end("ACCESS_TOKEN_EXPIRED").await;
    clock.set(clock.now() + TimeDelta::seconds(540));
    by_key.end("API_KEY_EXPIRED").await;

    let last = Open::all(&door, &team.key).await;
    app.stop.cancel();
    last.end("DRAINING").await;
}
