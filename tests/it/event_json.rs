//! Events by JSON: what has to pass through Envoy as it is, and what a path or a query can hold.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tap_analytics::access::model::Scope;

use crate::{
    app::{
        App, Options,
        envoy::Envoy,
        eventually,
        rpcs::Rpc,
        rpcs::escaped,
        wires::{Call, Door, WIRES, Wire, json_failure},
    },
    events::{as_sent, new_id},
};

/// An installation behind Envoy, with a team whose key may do everything.
struct Counter {
    _app: App,
    envoy: Envoy,
    key: String,
}

impl Counter {
    async fn open() -> Self {
        let app = App::start_with(Options::default()).await;
        let envoy = Envoy::start(&app).await;
        let team = app.team("cafe").await;
        let key = app.key(team.id, None, Scope::ALL, None).await;
        Self { _app: app, envoy, key }
    }

    /// The status and the body of a call.
    async fn ask(&self, method: Method, path: &str, body: impl Into<String>) -> (u16, Value) {
        let request = Client::new().request(method, self.envoy.url(path)).body(body.into());
        let answer = request.header("x-api-key", &self.key).send().await;
        let answer = answer.unwrap_or_else(|e| panic!("{e} {}", self.envoy.log()));
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: no JSON: {text}")))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, "").await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Sends events as they stand, and gives what became of each.
    async fn settle(&self, events: &str) -> Vec<Value> {
        let body = format!("{{\"events\": {events}}}");
        let (status, sent) = self.ask(Method::POST, "/v1/events", body).await;
        assert_eq!(status, 200, "{sent}");
        let mut fates = Vec::new();
        for receipt in sent["receipts"].as_array().unwrap() {
            let path = format!("/v1/eventReceipts/{}", receipt.as_str().unwrap());
            eventually("the event is settled", || async {
                self.get(&path).await["state"] != "PENDING"
            })
            .await;
            fates.push(self.get(&path).await);
        }
        fates
    }

    async fn session(&self) -> String {
        let id = new_id();
        let body = json!({ "id": id }).to_string();
        assert_eq!(self.ask(Method::POST, "/v1/sessions", body).await.0, 200);
        id
    }
}

/// What `data` can be, as text: numbers are 64-bit floating point.
const DATA: &str = r#"{
    "null": null, "true": true, "whole": 3, "half": 0.5, "large": 1e300, "small": -2.5e-300, "zero": 0,
    "most": 9007199254740991, "text": "ä ☕ 🦀 \" \\ / \u2028 \u0007", "empty": "", "list": [[], {}, null, [1, "x"]],
    "": "no name", "a.b": {"c/d": {"@type": "x"}}, "ä ☕": [{"deep": [{"deeper": {"n": null}}]}]
}"#;

#[tokio::test]
async fn any_data_comes_back_as_it_was_sent() {
    let counter = Counter::open().await;
    let session = counter.session().await;
    let event = format!(
        r#"{{"sessionId": "{session}", "category": "ä ☕", "name": "🦀", "occurredAt": "2023-01-01T00:00:00Z", "data": {DATA}}}"#
    );
    let sent: Value = serde_json::from_str(DATA).unwrap();
    let fate = counter.settle(&format!("[{event}]")).await.remove(0);
    assert_eq!(fate["state"], "STORED", "{fate}");
    let path = format!("/v1/events/{}", fate["eventId"].as_str().unwrap());
    let stored = counter.get(&path).await["event"].clone();
    assert_eq!(as_sent(&stored["data"]), as_sent(&sent));
    assert_eq!((&stored["category"], &stored["name"]), (&json!("ä ☕"), &json!("🦀")));
    let found = format!("/v1/events?category={}&name={}", escaped("ä ☕"), escaped("🦀"));
    assert_eq!(counter.get(&found).await["events"], json!([stored]));

    // What is no event is kept, whatever it is, and a null is not lost on the way.
    let events = json!([null, 7, "x", true, [], {}, {"data": sent, "x": null}, null]);
    let fates = counter.settle(&events.to_string()).await;
    assert_eq!(fates.len(), 8);
    for (fate, event) in fates.iter().zip(events.as_array().unwrap()) {
        let path = format!("/v1/eventErrors/{}", fate["errorId"].as_str().unwrap());
        let error = counter.get(&path).await["error"].clone();
        let payload = error.as_object().unwrap().get("payload").unwrap();
        assert_eq!(as_sent(payload), as_sent(event), "{error}");
    }
    let listed = counter.get("/v1/eventErrors").await;
    assert_eq!(listed["errors"].as_array().unwrap().len(), 8);
}

/// A value within so many others.
fn nested(levels: usize, inner: &str, list: bool) -> String {
    let (open, close) = if list { ("[", "]") } else { ("{\"a\":", "}") };
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}

#[tokio::test]
async fn whatever_is_taken_can_be_read_however_deep_it_is() {
    let counter = Counter::open().await;
    let (mut taken, mut refused) = (0, 0);
    for list in [false, true] {
        for levels in (25..=62).chain([70, 100, 120]) {
            // Around a value that is an event error, as it lacks everything.
            let body = format!("{{\"events\": [{}]}}", nested(levels, "1", list));
            let (status, answer) = counter.ask(Method::POST, "/v1/events", body).await;
            if status == 400 {
                let (_, failure) = json_failure(&answer);
                let reasons = ["INVALID_FIELDS", "MALFORMED_REQUEST"];
                assert!(reasons.contains(&failure.reason.as_str()), "{levels} {answer}");
                refused += 1;
                continue;
            }
            assert_eq!(status, 200, "{levels} {answer}");
            taken += 1;
            let receipt = answer["receipts"][0].as_str().unwrap();
            let path = format!("/v1/eventErrors/{receipt}");
            eventually("the event is refused", || async {
                counter.ask(Method::GET, &path, "").await.0 != 404
            })
            .await;
            let (status, answer) = counter.ask(Method::GET, &path, "").await;
            assert_eq!(status, 200, "{levels} levels, list: {list}: {answer}");
        }
    }
    assert!(taken >= 10 && refused >= 10, "{taken} {refused}");
    let (status, answer) = counter.ask(Method::GET, "/v1/eventErrors?pageSize=1000", "").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["errors"].as_array().unwrap().len(), taken);
}

#[tokio::test]
async fn whatever_is_stored_can_be_read_however_deep_it_is() {
    let counter = Counter::open().await;
    let session = counter.session().await;
    let rpc = Rpc::of("Events/StreamEvents");
    let door = Door::of(&counter.envoy);
    let stream = |request: Value| Call::new(&rpc, &request).key(Some(&counter.key));
    let hello = stream(json!({})).outcome(&door, Wire::Json(0), 1).await;
    let token = hello.answer()["hello"]["resumeToken"].clone();
    let (mut stored, mut refused) = (Vec::new(), 0);
    for levels in 25..=40 {
        let data = nested(levels, "1", false);
        let event = format!(
            r#"{{"events": [{{"session_id": "{session}", "category": "a", "name": "b", "occurred_at": "2023-01-01T00:00:00Z", "data": {data}}}]}}"#
        );
        let (status, answer) = counter.ask(Method::POST, "/v1/events", event).await;
        if status == 200 {
            let path = format!("/v1/events/{}", answer["receipts"][0].as_str().unwrap());
            eventually("the event is stored", || async {
                counter.ask(Method::GET, &path, "").await.0 == 200
            })
            .await;
            stored.push(path);
        } else {
            assert_eq!(status, 400, "{levels}: {answer}");
            refused += 1;
        }
        // Nor is one made deeper than can be shown, or a type.
        let change = format!(r#"{{"etag": "*", "data": {data}}}"#);
        let (status, answer) = counter.ask(Method::PATCH, &stored[0], change).await;
        assert!([200, 400].contains(&status), "{levels}: {answer}");
        let kind = format!(r#"{{"schema": {{"default": {data}}}}}"#);
        let path = format!("/v1/eventTypes/deep/{levels}");
        let (status, answer) = counter.ask(Method::PUT, &path, kind).await;
        assert!([200, 400].contains(&status), "{levels}: {answer}");
    }
    assert!(stored.len() >= 3 && refused >= 3, "{stored:?} {refused}");
    let listed = counter.get("/v1/events").await;
    assert_eq!(listed["events"].as_array().unwrap().len(), stored.len());
    counter.get("/v1/eventTypes?pageSize=100").await;
    for wire in [Wire::Json(0), Wire::Events(0)] {
        let resumed = stream(json!({"resumeToken": token}));
        let frames = resumed.outcome(&door, wire, stored.len() + 1).await.answers;
        assert!(frames.iter().skip(1).all(|frame| frame["event"].is_object()), "{frames:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_nothing_of_it_is_taken() {
    let counter = Counter::open().await;
    for events in [
        "[1e400]",
        "[NaN]",
        "[{\"a\": 1, \"a\": 2}]",
        "[\"\\ud800\"]",
        "[{}, {]",
        "[{}] []",
        "[01]",
    ] {
        let body = format!("{{\"events\": {events}}}");
        let (status, answer) = counter.ask(Method::POST, "/v1/events", body).await;
        let (_, failure) = json_failure(&answer);
        assert_eq!((status, failure.reason.as_str()), (400, "MALFORMED_REQUEST"), "{events}");
    }
    let ledger = counter.get("/v1/eventLedger?end=2199-01-01T00:00:00Z").await;
    assert_eq!(ledger["total"]["received"], 0);
}

#[tokio::test]
async fn batches_of_events_may_have_4_mib_and_what_is_no_batch_one() {
    let counter = Counter::open().await;
    let event = json!({"x": "x".repeat(60_000)}).to_string();
    let many = |events: usize| format!("[{}]", vec![event.as_str(); events].join(","));
    assert_eq!(counter.settle(&many(65)).await.len(), 65);
    let too_many = format!("{{\"events\": {}}}", many(75));
    let (status, answer) = counter.ask(Method::POST, "/v1/events", too_many).await;
    assert_eq!((status, json_failure(&answer).1.reason.as_str()), (413, "REQUEST_TOO_LARGE"));
    // What is no batch may have 1 MiB.
    let ids = json!({"errorIds": vec![new_id(); 30_000]}).to_string();
    let (status, answer) = counter.ask(Method::POST, "/v1/eventErrors:replay", ids).await;
    assert_eq!((status, json_failure(&answer).1.reason.as_str()), (413, "REQUEST_TOO_LARGE"));
    // A single event of more than 64 KiB is taken, and refused by itself.
    let fates = counter.settle(&json!([{"data": "x".repeat(1_100_000)}]).to_string()).await;
    assert_eq!(fates[0]["state"], "REJECTED");
}

#[tokio::test]
async fn any_name_of_a_type_can_be_written_into_a_path() {
    let counter = Counter::open().await;
    let mut made = Vec::new();
    let (long, longer) = ("c".repeat(50), "ä".repeat(150));
    for (category, name) in [
        ("sign up", "plan chosen"),
        ("ä", "你好"),
        ("a:b", "c:d"),
        ("a:query", "x:query"),
        ("a", "replay:group"),
        ("x", ":"),
        ("x", "stream"),
        ("x", "..."),
        ("~", "-_.~"),
        (" a ", "b "),
        (&long, &longer),
    ] {
        let mut paths = vec![format!("/v1/eventTypes/{}/{}", escaped(category), escaped(name))];
        // A colon may stand for itself, unless it makes the end look like that of another path.
        let plain = |text: &str| escaped(text).replace("%3A", ":");
        if !name.ends_with(":query") && !name.ends_with(":group") {
            paths.push(format!("/v1/eventTypes/{}/{}", plain(category), plain(name)));
        }
        let schema = json!({"description": format!("{category} {name}"), "enum": [{}, null]});
        for path in &paths {
            let body = json!({"schema": schema}).to_string();
            let (status, put) = counter.ask(Method::PUT, path, body).await;
            assert_eq!(status, 200, "{path}: {put}");
            let kind = &put["type"];
            assert_eq!((&kind["category"], &kind["name"]), (&json!(category), &json!(name)));
            assert_eq!(kind["schema"], schema, "{path}");
            assert_eq!(counter.get(path).await["type"], *kind, "{path}");
        }
        made.push((category, name));
        let of_category = format!("/v1/eventTypes?category={}", escaped(category));
        let listed = counter.get(&of_category).await;
        let listed = listed["types"].as_array().unwrap();
        assert!(listed.iter().any(|kind| kind["name"] == name), "{category} {name}");
    }
    let listed = counter.get("/v1/eventTypes?pageSize=100").await;
    let listed = listed["types"].as_array().unwrap();
    let listed: Vec<(&str, &str)> = listed
        .iter()
        .map(|kind| (kind["category"].as_str().unwrap(), kind["name"].as_str().unwrap()))
        .collect();
    made.sort_unstable();
    assert_eq!(listed, made);
    for (path, status) in [
        ("/v1/eventTypes/a%2Fb/c", 400),
        ("/v1/eventTypes/a/b%00", 400),
        ("/v1/eventTypes/a/%25", 400),
        ("/v1/eventTypes/a/%FF", 400),
        ("/v1/eventTypes/%20/a", 400),
        ("/v1/eventTypes/a+b/c", 400),
        ("/v1/eventTypes/a/b/c", 404),
        ("/v1/eventTypes/a/x:query", 404),
        ("/v1/eventTypes/a/..", 404),
        ("/v1/eventTypes/a", 404),
        ("/v1/eventTypes/a/", 404),
        ("/v1/eventTypes//a", 404),
        ("/v1/eventTypes/nobodys/type", 404),
    ] {
        let (answered, body) = counter.ask(Method::GET, path, "").await;
        assert_eq!(answered, status, "{path}: {body}");
        json_failure(&body);
    }
    let (status, gone) =
        counter.ask(Method::DELETE, "/v1/eventTypes/sign%20up/plan%20chosen", "").await;
    assert_eq!((status, gone), (200, json!({})));
}

#[tokio::test]
async fn a_filter_can_be_written_into_a_query() {
    let counter = Counter::open().await;
    let session = counter.session().await;
    let event = |more: Value| {
        let mut event = json!({
            "session_id": session, "category": "a", "name": "b", "data": {"plan": "x"},
            "occurred_at": "2023-01-01T00:00:00Z",
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let events = json!([event(json!({"data": {}})), event(json!({"category": 7}))]);
    let fates = counter.settle(&events.to_string()).await;
    let ids = |listed: &Value| -> Vec<Value> {
        listed["errors"].as_array().unwrap().iter().map(|error| error["id"].clone()).collect()
    };
    let [no_data, no_category] = [0, 1].map(|nth: usize| fates[nth]["errorId"].clone());
    for (query, expected) in [
        ("filter.reason=REQUIRED", vec![&no_data]),
        ("filter.field=category&filter.state=open", vec![&no_category]),
        ("filter.receivedAfter=2020-01-01T00:00:00%2B02:00&pageSize=1", vec![&no_category]),
        ("filter.received_before=2020-01-01+00:00:00", vec![]),
        ("filter.reason=REQUIRED&filter.field=category", vec![]),
        ("filter.application=test&filter.reason=WRONG_TYPE", vec![&no_category]),
    ] {
        let listed = counter.get(&format!("/v1/eventErrors?{query}")).await;
        assert_eq!(ids(&listed).iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let groups = counter.get("/v1/eventErrors:group?filter.reason=REQUIRED&limit=1").await;
    assert_eq!((&groups["total"], &groups["groups"][0]["newestErrorId"]), (&json!(1), &no_data));
    for query in ["filter=x", "filter.form=x", "filter.state=9", "filter.state=gone", "reason=x"] {
        let (status, body) =
            counter.ask(Method::GET, &format!("/v1/eventErrors?{query}"), "").await;
        let reason = json_failure(&body).1.reason;
        assert_eq!((status, reason.as_str()), (400, "MALFORMED_REQUEST"), "{query}");
    }
}

#[tokio::test]
async fn the_application_of_an_event_is_its_key_by_every_wire() {
    let counter = Counter::open().await;
    let session = counter.session().await;
    let rpc = Rpc::of("Events/RecordEvents");
    let door = Door::of(&counter.envoy);
    for wire in WIRES {
        let event = json!({
            "session": {"id": session}, "category": "a", "name": format!("{wire:?}"), "data": {"n": 1},
            "timestamp": "2023-01-01 00:00:00",
        });
        let call = Call::new(&rpc, &json!({"events": [event]})).key(Some(&counter.key));
        let receipt = call.outcome(&door, wire, 1).await.answer()["receipts"][0].clone();
        let path = format!("/v1/events/{}", receipt.as_str().unwrap());
        eventually("the event is stored", || async {
            counter.ask(Method::GET, &path, "").await.0 == 200
        })
        .await;
        assert_eq!(counter.get(&path).await["event"]["application"], "test");
    }
    let listed = counter.get(&format!("/v1/events?sessionId={session}&order=session")).await;
    let names: Vec<_> =
        listed["events"].as_array().unwrap().iter().map(|event| event["name"].clone()).collect();
    assert_eq!(names, WIRES.map(|wire: Wire| json!(format!("{wire:?}"))));
}
