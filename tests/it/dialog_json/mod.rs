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

    let export = door.get("/v1/customers/c-1/export").await;
    assert_eq!(export["consents"].as_array().unwrap().len(), 1);
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
