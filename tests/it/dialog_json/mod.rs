//! `tap.v1.Dialogs` by JSON, through the real Envoy: paths, bodies that are bare, and errors of one shape.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tap_analytics::reasons::http_status;

use crate::{
    app::{App, Options, envoy::Envoy, wires::json_failure},
    dialogs::Chat,
};

/// Envoy in front of a team's service.
struct Door {
    chat: Chat,
    envoy: Envoy,
}

impl Door {
    async fn open() -> Self {
        let chat = Chat::at(App::start_with(Options::default()).await).await;
        let envoy = Envoy::start(&chat.app).await;
        Self { chat, envoy }
    }

    /// Sends a body as it stands; status and JSON of the answer.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &str,
        content_type: &str,
    ) -> (u16, Value) {
        let mut request = Client::new()
            .request(method, self.envoy.url(path))
            .header("x-api-key", &self.chat.key)
            .body(body.to_owned());
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path} {status} {text}")))
    }

    async fn post(&self, path: &str, body: &str) -> Value {
        let (status, answer) = self.send(Method::POST, path, body, "application/json").await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.send(Method::GET, path, "", "").await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Status, reason and fields of a refusal.
    async fn refused(&self, method: Method, path: &str, body: &str) -> (u16, String, Vec<String>) {
        let (status, answer) = self.send(method, path, body, "application/json").await;
        let (code, failure) = json_failure(&answer);
        assert!(status == http_status(code) || status == 405, "{answer}");
        let fields = failure.violations.into_iter().map(|(field, ..)| field).collect();
        (status, failure.reason, fields)
    }
}

#[tokio::test]
async fn every_row_of_the_table() {
    let door = Door::open().await;
    let said = r#"{"text": "Hello", "language": "EN"}"#;
    let first = door.post("/v1/data/c-1/d-1", said).await;
    assert_eq!(first["state"], "PENDING");
    assert_eq!(door.get("/v1/data").await, json!({"messages": [], "nextPageToken": ""}));

    let decided = door.post("/v1/consents/d-1", "true").await;
    assert_eq!(decided["consent"]["decision"], "GRANTED");
    assert_eq!(decided["storedMessages"], 1.0);
    let second = door.post("/v1/data/c-1/d-1", said).await;
    assert_eq!(second["state"], "STORED");
    let stored =
        door.get("/v1/data?language=En&customer_id=c-1&dialogId=d-1&after=2020-01-01").await;
    let stored = stored["messages"].as_array().unwrap().clone();
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[1]["id"], first["id"]);
    assert_eq!((&stored[0]["text"], &stored[0]["language"]), (&json!("Hello"), &json!("en")));
    assert_eq!(door.get("/v1/data?before=2020-01-01").await["messages"], json!([]));

    let by_object = r#"{"granted": true, "purpose": "p", "policyVersion": "2", "policy_hash": "00112233445566778899AABBCCDDEEFF"}"#;
    let decided = door.post("/v1/consents/d-2", by_object).await;
    let consent = &decided["consent"];
    assert_eq!(consent["purpose"], "p");
    assert_eq!(consent["policyHash"], "00112233445566778899aabbccddeeff");
    let consents = door.get("/v1/consents").await;
    assert_eq!(consents["consents"][0], *consent);
    assert_eq!(consents["consents"].as_array().unwrap().len(), 2);

    let (mut held, mut token) = ([0; 3], String::new());
    loop {
        let page = door.get(&format!("/v1/customers/c-1/export?pageToken={token}")).await;
        for (held, of) in held.iter_mut().zip(["pendingMessages", "messages", "consents"]) {
            *held += page[of].as_array().unwrap().len();
        }
        token = page["nextPageToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(held, [0, 2, 1]);
    let withdrawn = door.post("/v1/consents/d-1:withdraw", "{}").await;
    assert_eq!(withdrawn["deletedMessages"], 2.0);
    assert_eq!(door.post("/v1/consents/d-2", "false").await["consent"]["decision"], "WITHDRAWN");
    let (status, erased) =
        door.send(Method::DELETE, "/v1/customers/c-1?validateOnly=true", "", "").await;
    assert_eq!((status, &erased["receipt"]), (200, &json!(null)));
    let (status, erased) = door.send(Method::DELETE, "/v1/customers/c-1", "", "").await;
    assert_eq!((status, &erased["receipt"]["number"]), (200, &json!(1)));
    assert_eq!(door.get("/v1/erasures").await["erasures"][0], erased["receipt"]);
    let settings = door.get("/v1/dialogSettings").await;
    assert_eq!(settings["settings"]["deleteAfterDays"], 0);
    let (status, settings) =
        door.send(Method::PATCH, "/v1/dialogSettings", r#"{"deleteAfterDays": 30}"#, "").await;
    assert_eq!((status, &settings["settings"]["deleteAfterDays"]), (200, &json!(30)));
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_one_shape() {
    let door = Door::open().await;
    let post = Method::POST;
    let refused = async |path: &str, body: &str| door.refused(post.clone(), path, body).await;
    let invalid = |field: &str| (400, "INVALID_FIELDS".to_owned(), vec![field.to_owned()]);
    let malformed = (400, "MALFORMED_REQUEST".to_owned(), vec![]);
    assert_eq!(refused("/v1/consents/d", "\"yes\"").await, invalid("body"));
    assert_eq!(refused("/v1/consents/d", "[true]").await, invalid("body"));
    assert_eq!(refused("/v1/consents/d", "null").await, invalid("granted"));
    assert_eq!(refused("/v1/consents/d", "").await, invalid("granted"));
    assert_eq!(refused("/v1/consents/d", "tru").await, malformed);
    assert_eq!(refused("/v1/consents/d?granted=false", "true").await, invalid("body"));
    assert_eq!(refused("/v1/consents/d?yes=1", "true").await, malformed);
    assert_eq!(refused("/v1/data/c/d", "{\"text\": \"x\"}").await, invalid("language"));
    assert_eq!(refused("/v1/data/c/d", "{\"text\": [1]}").await, malformed);
    assert_eq!(
        refused("/v1/data/c%40example.com/d", r#"{"text": "x", "language": "en"}"#).await,
        invalid("customer_id")
    );
    let get = |path: &'static str| door.refused(Method::GET, path, "");
    assert_eq!(get("/v1/data?limit=-1").await, malformed);
    assert_eq!(get("/v1/data?pageSize=-1").await, invalid("page_size"));
    assert_eq!(get("/v1/data?language=e").await, invalid("language"));
    for (method, path) in [
        (Method::GET, "/v1/data/c/d"),
        (Method::POST, "/v1/data"),
        (Method::GET, "/v1/consents/d"),
        (Method::GET, "/v1/consents/d:withdraw"),
        (Method::GET, "/v1/customers/c"),
        (Method::POST, "/v1/customers/c/export"),
        (Method::POST, "/v1/erasures"),
        (Method::POST, "/v1/dialogSettings"),
    ] {
        let (status, reason, _) = door.refused(method.clone(), path, "").await;
        assert_eq!((status, reason.as_str()), (405, "WRONG_METHOD"), "{method} {path}");
    }
    for path in ["/v1/data/c", "/v1/data/c/d/e", "/v1/customers", "/v1/data/"] {
        let (status, reason, _) = door.refused(Method::POST, path, "{}").await;
        assert_eq!((status, reason.as_str()), (404, "UNKNOWN_PATH"), "{path}");
    }
}

#[tokio::test]
async fn a_body_is_taken_for_json_whatever_it_is_sent_as() {
    let door = Door::open().await;
    for content_type in [
        "",
        "application/json",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
    ] {
        let (status, answer) =
            door.send(Method::POST, "/v1/consents/d", "true", content_type).await;
        assert_eq!(
            (status, &answer["consent"]["decision"]),
            (200, &json!("GRANTED")),
            "{content_type}"
        );
        let body = r#"{"text": "x", "language": "en"}"#;
        let (status, answer) = door.send(Method::POST, "/v1/data/c/d", body, content_type).await;
        assert_eq!((status, &answer["state"]), (200, &json!("STORED")), "{content_type}");
    }
    let by_query =
        door.send(Method::POST, "/v1/consents/e?granted=true&terms.purpose=p", "", "").await;
    assert_eq!((by_query.0, &by_query.1["consent"]["purpose"]), (200, &json!("p")), "{by_query:?}");
    let log = door.envoy.log();
    assert!(!log.contains("/v1/data/c"), "paths that name people are not logged: {log}");
}
