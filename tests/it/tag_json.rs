//! `tap.v1.Tags` by JSON, through the real Envoy: paths with uids in them, masks, errors.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tap_analytics::reasons::http_status;
use tonic::Code;

use crate::app::{
    App, Options,
    envoy::Envoy,
    rpcs::Rpc,
    wires::{self, Call, Failure, Outcome, WIRES, Wire, json_failure},
};

/// Envoy in front of a team's service.
struct Door {
    envoy: Envoy,
    key: String,
    _app: App,
}

impl Door {
    async fn open(options: Options) -> Self {
        let app = App::start_with(options).await;
        let envoy = Envoy::start(&app).await;
        let key = app.reporting_team("cafe", &[]).await.key;
        Self { envoy, key, _app: app }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, (u16, Failure)> {
        let request =
            Client::new().request(method, self.envoy.url(path)).header("x-api-key", &self.key);
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["content-type"], "application/json", "{path}");
        let body: Value = answer.json().await.unwrap();
        if status == 200 {
            return Ok(body);
        }
        let (code, failure) = json_failure(&body);
        // Envoy's own errors have statuses that no code has.
        assert!(status == 405 || status == http_status(code), "{status} {body}");
        Err((status, failure))
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, (u16, Failure)> {
        self.call(Method::POST, path, &body).await
    }

    async fn get(&self, path: &str) -> Result<Value, (u16, Failure)> {
        self.call(Method::GET, path, &Value::Null).await
    }

    async fn patch(&self, path: &str, body: Value) -> Result<Value, (u16, Failure)> {
        self.call(Method::PATCH, path, &body).await
    }

    /// Calls a method by gRPC, gRPC-web and JSON, which must come to the same.
    async fn by_every_wire(&self, method: &str, request: Value) -> Outcome {
        let rpc = Rpc::of(&format!("Tags/{method}"));
        let call = Call::new(&rpc, &request).key(Some(&self.key));
        let by_grpc = call.outcome(&wires::Door::of(&self.envoy), Wire::Grpc, 1).await;
        for wire in WIRES {
            let outcome = call.outcome(&wires::Door::of(&self.envoy), wire, 1).await;
            assert_eq!((outcome.code, &outcome.answers), (by_grpc.code, &by_grpc.answers));
            assert_eq!(outcome.error, by_grpc.error, "{wire:?}");
        }
        by_grpc
    }

    /// Makes a tag.
    async fn make(&self, uid: &str) -> Value {
        self.post("/v1/tags", json!({"tag": {"uid": uid}})).await.unwrap()["tag"].clone()
    }
}

/// Field and reason of each violation.
fn violations(refused: &Result<Value, (u16, Failure)>) -> Vec<(&str, &str)> {
    let (status, failure) = refused.as_ref().unwrap_err();
    assert_eq!((*status, failure.reason.as_str()), (400, "INVALID_FIELDS"), "{failure:?}");
    failure.violations.iter().map(|(field, reason, _)| (field.as_str(), reason.as_str())).collect()
}

#[tokio::test]
async fn a_tag_is_made_shown_changed_and_archived_by_json() {
    let door = Door::open(Options::default()).await;
    let asked = json!({
        "tag": {
            "uid": "04:A2:3F",
            "label": "Table 1",
            "kind": "qr",
            "destinationUrl": "https://cafe.example/menu",
        },
        "requestId": "01a20530-7f5e-7cc1-a3c3-6d2f3b1c9d01",
    });
    let made = door.post("/v1/tags", asked.clone()).await.unwrap();
    let created_at = made["tag"]["createdAt"].clone();
    let tag = json!({
        "uid": "04:A2:3F",
        "label": "Table 1",
        "kind": "QR",
        "destinationUrl": "https://cafe.example/menu",
        "tapUrl": "/t/cafe/04:A2:3F",
        "createdAt": created_at,
    });
    assert_eq!(made, json!({"tag": tag}));
    assert_eq!(door.post("/v1/tags", asked).await.unwrap(), made, "again");
    assert_eq!(door.get("/v1/tags/04:A2:3F").await.unwrap(), made);
    let listed = door.get("/v1/tags").await.unwrap();
    assert_eq!(listed, json!({"tags": [tag], "nextPageToken": ""}));

    let changed =
        door.patch("/v1/tags/04:A2:3F", json!({"label": "Door", "kind": "LINK"})).await.unwrap();
    assert_eq!(changed["tag"]["label"], "Door");
    assert_eq!(changed["tag"]["kind"], "LINK");
    assert_eq!(changed["tag"]["destinationUrl"], "https://cafe.example/menu");

    let archived = door.post("/v1/tags/04:A2:3F:archive", Value::Null).await.unwrap();
    assert!(archived["tag"]["archivedAt"].is_string());
    assert_eq!(door.post("/v1/tags/04:A2:3F:archive", json!({})).await.unwrap(), archived);
    assert_eq!(door.get("/v1/tags").await.unwrap()["tags"], json!([]));
    let listed = door.get("/v1/tags?state=archived&kind=link&text=DOOR&pageSize=1").await.unwrap();
    assert_eq!(listed["tags"], json!([archived["tag"]]));
    let back = door.patch("/v1/tags/04:A2:3F", json!({"archived": false})).await.unwrap();
    assert!(back["tag"].get("archivedAt").is_none());

    let batch =
        json!({"tags": [{"uid": "b"}, {"uid": "04:A2:3F"}, {"uid": "a"}], "skipExisting": true});
    let made = door.post("/v1/tags:batchCreate", batch).await.unwrap();
    assert_eq!(made["existingUids"], json!(["04:A2:3F"]));
    assert_eq!((&made["tags"][0]["uid"], &made["tags"][1]["uid"]), (&json!("b"), &json!("a")));
}

#[tokio::test]
async fn any_uid_can_be_written_into_a_path() {
    let door = Door::open(Options::default()).await;
    for uid in [
        "a",
        "04:A2:3F",
        "04:A2:3F:11:22:33:80",
        "a.b-c_d",
        "...",
        "qr.svg",
        "archive",
        ":",
        "a:",
        ":a",
        "a::b",
        "a:drop",
        "a:get",
        &"x".repeat(64),
        // What ends like the method of another path: with the last colon as %3A.
        "a:archive",
        "a:archive:archive",
        "a:rotate",
        "a:query",
        "a:stream",
        "a:watch",
        "a:batchCreate",
        "a:group",
        "a:replay",
    ] {
        let made = door.make(uid).await;
        let methods =
            ["archive", "rotate", "query", "stream", "watch", "batchCreate", "group", "replay"];
        let method = methods.iter().any(|method| uid.ends_with(&format!(":{method}")));
        let last = uid.rfind(':').map(|at| format!("{}%3A{}", &uid[..at], &uid[at + 1..]));
        let mut written = vec![uid.replace(':', "%3A"), uid.replace(':', "%3a")];
        written.extend(last);
        if !method {
            written.push(uid.to_owned());
        }
        for path in written {
            let path = format!("/v1/tags/{path}");
            assert_eq!(door.get(&path).await.unwrap()["tag"], made, "GET {path}");
            let label = json!({"label": path});
            let changed = door.patch(&path, label).await.unwrap();
            assert_eq!(changed["tag"]["uid"], json!(uid), "PATCH {path}");
            assert_eq!(changed["tag"]["label"], json!(path));
            let archive = format!("{path}:archive");
            let archived = door.post(&archive, json!({})).await.unwrap();
            assert_eq!(archived["tag"]["uid"], json!(uid), "POST {archive}");
            let svg = Client::new()
                .get(door.envoy.url(&format!("{path}/qr.svg")))
                .header("x-api-key", &door.key)
                .send()
                .await
                .unwrap();
            assert_eq!(svg.status(), 200, "GET {path}/qr.svg");
            let title = format!("/t/cafe/{uid}</title>");
            assert!(svg.text().await.unwrap().contains(&title), "GET {path}/qr.svg");
            door.patch(&path, json!({"label": "", "archived": false})).await.unwrap();
        }
    }
    // What a path cannot hold is no tag, and leads nowhere else.
    for (path, status) in [
        ("/v1/tags/a%2Fb", 400),
        ("/v1/tags/a%00", 400),
        ("/v1/tags/%", 400),
        ("/v1/tags/a%20", 400),
        ("/v1/tags/%C3%A4", 400),
        ("/v1/tags/a/b", 404),
        ("/v1/tags/a:archive", 405),
        ("/v1/tags/nobodys", 404),
    ] {
        assert_eq!(door.get(path).await.unwrap_err().0, status, "{path}");
    }
}

#[tokio::test]
async fn a_mask_can_be_written_as_people_write_it() {
    let door = Door::open(Options::default()).await;
    let tag = json!({
        "uid": "a", "label": "old", "kind": "QR", "destinationUrl": "https://old.example/",
    });
    door.post("/v1/tags", json!({"tag": tag})).await.unwrap();
    let old = json!({
        "label": "old", "kind": "QR", "destinationUrl": "https://old.example/", "archived": false,
    });
    // What is sent, and how; then label, kind and destination.
    let cases = [
        ("", json!({"label": "new"}), "new", "QR", json!("https://old.example/")),
        ("", json!({"label": "new", "kind": null}), "new", "QR", json!("https://old.example/")),
        ("", json!({"destinationUrl": ""}), "old", "QR", Value::Null),
        (
            "",
            json!({"destination_url": "https://new.example"}),
            "old",
            "QR",
            json!("https://new.example/"),
        ),
        ("", json!({"updateMask": "destinationUrl"}), "old", "QR", Value::Null),
        ("", json!({"updateMask": "destination_url"}), "old", "QR", Value::Null),
        (
            "",
            json!({"updateMask": "label,kind", "label": "new"}),
            "new",
            "NFC",
            json!("https://old.example/"),
        ),
        (
            "",
            json!({"updateMask": "label", "label": "new", "kind": "link"}),
            "new",
            "QR",
            json!("https://old.example/"),
        ),
        (
            "?updateMask=label",
            json!({"label": "new", "kind": "link"}),
            "new",
            "QR",
            json!("https://old.example/"),
        ),
        ("?update_mask=label,destinationUrl", json!({}), "", "QR", Value::Null),
    ];
    for (query, body, label, kind, destination) in cases {
        door.patch("/v1/tags/a", old.clone()).await.unwrap();
        let path = format!("/v1/tags/a{query}");
        let now = door.patch(&path, body.clone()).await.unwrap()["tag"].clone();
        assert_eq!((&now["label"], &now["kind"]), (&json!(label), &json!(kind)), "{query} {body}");
        let leads = now.get("destinationUrl").cloned().unwrap_or_default();
        assert_eq!(leads, destination, "{query} {body}");
    }
    // A name that is not known is passed over in a body: so there is nothing to change.
    for body in [json!({"lable": "new"}), json!({}), Value::Null, json!({"label": null})] {
        let refused = door.patch("/v1/tags/a", body.clone()).await;
        assert_eq!(violations(&refused), [("update_mask", "NOTHING_TO_CHANGE")], "{body}");
    }
    for mask in ["lable", "label,archivedAt", "tag.label"] {
        let refused = door.patch("/v1/tags/a", json!({"label": "new", "updateMask": mask})).await;
        assert_eq!(violations(&refused), [("update_mask", "UNKNOWN_FIELD")], "{mask}");
    }
    let refused = door.patch("/v1/tags/a", json!({"updateMask": "uid"})).await;
    assert_eq!(violations(&refused), [("update_mask", "IMMUTABLE_FIELD")]);
    // The uid of the path is the one that counts.
    let refused = door.patch("/v1/tags/a", json!({"uid": "b", "label": "new"})).await.unwrap_err();
    assert_eq!((refused.0, refused.1.reason.as_str()), (400, "MALFORMED_REQUEST"));
}

#[tokio::test]
async fn refusals_have_the_same_shape_by_every_wire() {
    let door = Door::open(Options { team_tags_max: 2, ..Options::default() }).await;
    door.make("a").await;
    let refused = door.post("/v1/tags", json!({"tag": {"uid": "a"}})).await.unwrap_err();
    assert_eq!((refused.0, refused.1.reason.as_str()), (409, "TAG_EXISTS"));
    door.make("b").await;
    let refused = door.post("/v1/tags", json!({"tag": {"uid": "c"}})).await.unwrap_err();
    assert_eq!((refused.0, refused.1.reason.as_str()), (429, "TAG_LIMIT"));
    let refused = door.post("/v1/tags", json!({"tag": {"uid": "c", "kind": "bluetooth"}})).await;
    assert_eq!(refused.unwrap_err().1.reason, "MALFORMED_REQUEST");
    let refused = door.post("/v1/tags", json!({"uid": "c"})).await;
    assert_eq!(violations(&refused), [("tag", "REQUIRED")], "what is known is in `tag`");
    let refused = door.get("/v1/tags?pageSize=-1&pageToken=x").await;
    let expected = [("page_token", "MALFORMED_PAGE_TOKEN"), ("page_size", "NEGATIVE")];
    assert_eq!(violations(&refused), expected);
    let refused = door.get("/v1/tags?page=2").await.unwrap_err();
    assert_eq!((refused.0, refused.1.reason.as_str()), (400, "MALFORMED_REQUEST"));

    let found = door.by_every_wire("GetTag", json!({"uid": "a"})).await;
    assert_eq!(found.answer()["tag"]["uid"], "a");
    let bad = json!({"tag": {
        "uid": "\u{e4} b",
        "label": "\u{7}\u{1f9e1}",
        "destinationUrl": "https://ann:secret@b\u{fc}cher.example",
    }});
    let refused = door.by_every_wire("CreateTag", bad).await;
    assert_eq!((refused.code, refused.failure().violations.len()), (Code::InvalidArgument, 3));
    let refused = door.by_every_wire("GetTag", json!({"uid": "nobodys"})).await;
    assert_eq!(refused.refusal(), (Code::NotFound, "TAG_NOT_FOUND".to_owned()));

    // As wrong as a batch can be, the error comes through all of them.
    let wide = json!({"uid": "\u{1f9e1}".repeat(60), "label": "\u{1f9e1}".repeat(300), "kind": 99});
    let many = json!({"tags": vec![wide; 300]});
    let (status, failure) = door.post("/v1/tags:batchCreate", many).await.unwrap_err();
    assert_eq!((status, failure.violations.len()), (400, 21));
}
