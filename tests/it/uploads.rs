//! Files of imports through the real Envoy: there in any form, of any size that may be, and back.

use std::{net::SocketAddr, time::Duration};

use futures_util::stream;
use reqwest::{Body, Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tap_analytics::{access::model::Scope, proto::tap_v1::import_kind};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use tonic::Code;

use crate::app::{
    App, Options,
    envoy::Envoy,
    eventually,
    people::{until_checked, users},
    rpcs::Rpc,
    wires::{Door, Outcome, http_outcome, json_failure},
};

/// The largest file.
const LARGEST: usize = 20 * 1024 * 1024;

/// An installation behind Envoy, and a key that may do everything.
struct Place {
    app: App,
    envoy: Envoy,
    key: String,
}

impl Place {
    async fn new() -> Self {
        let app = App::start().await;
        let envoy = Envoy::start(&app).await;
        let team = app.team("acme").await;
        let key = app.key(team.id, None, Scope::ALL, None).await;
        Self { app, envoy, key }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        Client::new().post(self.envoy.url(path)).header("x-api-key", &self.key)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        Client::new().get(self.envoy.url(path)).header("x-api-key", &self.key)
    }

    /// What came of an upload, and where it is said to be.
    async fn outcome(&self, request: RequestBuilder) -> Outcome {
        let answer = request.send().await.unwrap();
        let (status, location) = (answer.status(), location(&answer));
        let outcome = http_outcome(answer, &Rpc::of("Imports/UploadImport").answer()).await;
        if outcome.code == Code::Ok {
            let id = outcome.answer()["id"].as_str().unwrap();
            assert_eq!((status.as_u16(), location), (201, Some(format!("/v1/imports/{id}"))));
        } else {
            assert_eq!(location, None);
        }
        outcome
    }

    /// An upload that is taken.
    async fn taken(&self, request: RequestBuilder) -> Value {
        let outcome = self.outcome(request).await;
        assert_eq!(outcome.code, Code::Ok, "{outcome:?}");
        outcome.answer().clone()
    }

    /// Code and reason of an upload that is not; of bad fields the reason of the first one.
    async fn refused(&self, request: RequestBuilder) -> (Code, String) {
        let outcome = self.outcome(request).await;
        let failure = outcome.failure();
        let of_field = failure.violations.first().map(|(_, reason, _)| reason.clone());
        (outcome.code, of_field.unwrap_or(failure.reason))
    }

    async fn checked(&self, import: &Value) -> Value {
        let id = import["id"].as_str().unwrap();
        until_checked(&Door::straight(&self.app), &self.key, id).await
    }
}

fn location(answer: &Response) -> Option<String> {
    answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned())
}

/// A file of so many bytes that is seen at once to be nothing that can be read.
fn file(bytes: usize) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    file.resize(bytes, 0);
    file
}

/// The same bytes, of which nobody says beforehand how many there are.
fn in_pieces(bytes: Vec<u8>) -> Body {
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        bytes.chunks(100_000).map(|piece| Ok(piece.to_vec())).collect();
    Body::wrap_stream(stream::iter(pieces))
}

/// A form with this file, and more.
fn form(file: &[u8]) -> Vec<u8> {
    let head = "--xyz\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--xyz\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"people.csv\"\r\n\
         content-type: text/csv\r\n\r\n";
    [head.as_bytes(), file, b"\r\n--xyz--\r\n"].concat()
}

const FORM: &str = "multipart/form-data; boundary=xyz";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_20_mib_is_taken_and_one_byte_more_is_not() {
    let place = Place::new().await;
    let path = "/v1/imports/users:upload?filename=people.csv";
    let too_large = (Code::InvalidArgument, "FILE_TOO_LARGE".to_owned());
    let largest = file(LARGEST);
    let larger = file(LARGEST + 1);

    for body in [Body::from(largest.clone()), in_pieces(largest.clone())] {
        let import = place.taken(place.post(path).body(body)).await;
        assert_eq!(import["fileBytes"], json!(LARGEST as f64));
        assert_eq!(place.checked(&import).await["state"], "FAILED");
    }
    for body in [Body::from(larger.clone()), in_pieces(larger.clone())] {
        assert_eq!(place.refused(place.post(path).body(body)).await, too_large);
    }
    // In a form as well.
    let in_form = |bytes: Vec<u8>| place.post(path).header("content-type", FORM).body(bytes);
    let import = place.taken(in_form(form(&largest))).await;
    assert_eq!(import["fileBytes"], json!(LARGEST as f64));
    assert_eq!(place.refused(in_form(form(&larger))).await, too_large);
    let pieces = place.post(path).header("content-type", FORM).body(in_pieces(form(&larger)));
    assert_eq!(place.refused(pieces).await, too_large);

    // What says of itself that it is far too large is not even begun.
    let huge = place.post(path).body(file(LARGEST + 1024 * 1024 + 1));
    let answer = huge.send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(json_failure(&body).1.reason, "REQUEST_TOO_LARGE");
    // And of what does not say so no more is taken than has to be.
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 65_536]));
    let endless = place.post(path).body(Body::wrap_stream(endless));
    let answer = time::timeout(Duration::from_secs(20), endless.send()).await.unwrap();
    // A client that still sends may see the connection end before it sees the answer.
    if let Ok(answer) = answer {
        let outcome = http_outcome(answer, &Rpc::of("Imports/UploadImport").answer()).await;
        assert_eq!(outcome.failure().violations[0].1, "FILE_TOO_LARGE");
    }
    // Nothing is left of any of them but of those that were taken.
    let listed: Value = place.get("/v1/imports").send().await.unwrap().json().await.unwrap();
    let states: Vec<&Value> =
        listed["imports"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states.len(), 3, "{states:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_taken_however_clients_send_it() {
    let place = Place::new().await;
    let csv = users(1..4, "Keza");
    let post = |path: &str, media: Option<&str>| {
        let request = place.post(path);
        let request = match media {
            Some(media) => request.header("content-type", media),
            None => request,
        };
        request.body(csv.clone())
    };
    for (path, media) in [
        ("/v1/imports/users:upload", None),
        // As curl --data-binary says it, unless told otherwise.
        ("/v1/imports/users:upload", Some("application/x-www-form-urlencoded")),
        ("/v1/imports/USERS:upload", Some("text/csv")),
        ("/v1/imports/Users:upload?region=ke", Some("text/csv; charset=utf-8")),
        ("/v1/imports/1:upload?sheet=a&filename=b.csv", Some("application/octet-stream")),
        ("/v1/imports/users:upload", Some("application/json")),
        ("/v1/imports/users:upload", Some("application/vnd.ms-excel")),
        ("/v1/imports/tags:upload?filename=C%3A%5Cdesk%5C%C3%BC+s.csv", Some("text/csv")),
    ] {
        let import = place.taken(post(path, media)).await;
        assert_eq!(import["state"], "CHECKING", "{path}");
        assert_eq!(import["fileBytes"], json!(csv.len() as f64), "{path} {media:?}");
        if path.contains("desk") {
            assert_eq!((&import["filename"], &import["kind"]), (&json!("ü s.csv"), &json!("TAGS")));
        }
    }
    let in_form = place.post("/v1/imports/users:upload").header("content-type", FORM);
    let import = place.taken(in_form.body(form(csv.as_bytes()))).await;
    assert_eq!(import["filename"], "people.csv");
    assert_eq!(import["fileBytes"], json!(csv.len() as f64));

    let malformed = (Code::InvalidArgument, "MALFORMED_REQUEST".to_owned());
    for path in
        ["/v1/imports/goats:upload", "/v1/imports/9:upload", "/v1/imports/users:upload?form=x"]
    {
        assert_eq!(place.refused(post(path, None)).await, malformed, "{path}");
    }
    for path in ["/v1/imports/users:uplaod", "/v1/imports/users/x:upload", "/v1/imports/:upload"] {
        let answer = post(path, None).send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 404 | 405), "{path}: {}", answer.status());
        let body: Value = answer.json().await.unwrap();
        assert!(["UNKNOWN_PATH", "WRONG_METHOD"].contains(&json_failure(&body).1.reason.as_str()));
    }
    let wrong_key = Client::new().post(place.envoy.url("/v1/imports/users:upload"));
    let wrong_key = wrong_key.header("x-api-key", "tap_1_x").body(csv.clone());
    let expected = (Code::Unauthenticated, "API_KEY_INVALID".to_owned());
    assert_eq!(place.refused(wrong_key).await, expected);
}

/// Sends the head of an upload, and returns the connection.
async fn begin(envoy: SocketAddr, key: &str, headers: &str) -> TcpStream {
    let mut connection = TcpStream::connect(envoy).await.unwrap();
    let head = format!(
        "POST /v1/imports/users:upload HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n{headers}\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

/// What comes next, until this does.
async fn read_until(connection: &mut TcpStream, mark: &str) -> String {
    let mut text = String::new();
    while !text.contains(mark) {
        let mut bytes = [0; 4_096];
        let read = time::timeout(Duration::from_secs(20), connection.read(&mut bytes));
        let count = read.await.unwrap().unwrap();
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_first_is_told_to_go_on_and_who_is_cut_off_leaves_nothing() {
    let place = Place::new().await;
    let csv = users(1..4, "Keza");
    let headers = format!("content-length: {}\r\nexpect: 100-continue\r\n", csv.len());
    let mut connection = begin(place.envoy.http, &place.key, &headers).await;
    read_until(&mut connection, "HTTP/1.1 100 Continue").await;
    connection.write_all(csv.as_bytes()).await.unwrap();
    let answer = read_until(&mut connection, "\"CHECKING\"").await;
    assert!(answer.contains("HTTP/1.1 201 Created"), "{answer}");
    assert!(answer.contains("location: /v1/imports/"), "{answer}");

    let imports = async || -> Vec<Value> {
        let listed: Value = place.get("/v1/imports").send().await.unwrap().json().await.unwrap();
        listed["imports"].as_array().unwrap().clone()
    };
    assert_eq!(imports().await.len(), 1);
    // It is to be seen while it comes, and gone when its sender is.
    let headers = "content-length: 1000000\r\n";
    let mut connection = begin(place.envoy.http, &place.key, headers).await;
    connection.write_all(&vec![b'x'; 100_000]).await.unwrap();
    eventually("it is to be seen", || async {
        imports()
            .await
            .iter()
            .any(|one| (&one["state"], &one["fileBytes"]) == (&json!("UPLOADING"), &json!(100_000)))
    })
    .await;
    drop(connection);
    eventually("it is gone", || async { imports().await.len() == 1 }).await;

    // One that is given up while it comes is told so.
    let mut connection = begin(place.envoy.http, &place.key, headers).await;
    connection.write_all(&[b'x'; 1_000]).await.unwrap();
    eventually("it is to be seen", || async { imports().await.len() == 2 }).await;
    let id = imports().await[0]["id"].as_str().unwrap().to_owned();
    let cancel = Client::new().delete(place.envoy.url(&format!("/v1/imports/{id}")));
    let cancelled = cancel.header("x-api-key", &place.key).send().await.unwrap();
    assert_eq!(cancelled.json::<Value>().await.unwrap()["state"], "CANCELLED");
    connection.write_all(&vec![b'x'; 200_000]).await.unwrap();
    let answer = read_until(&mut connection, "IMPORT_STATE").await;
    assert!(answer.contains("HTTP/1.1 400 Bad Request"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_memory_an_upload_is_told_when_to_come_back() {
    let options = Options { imports_mib: 4, import_mib: 2, ..Options::default() };
    let app = App::start_with(options).await;
    let envoy = Envoy::start(&app).await;
    let team = app.team("acme").await;
    let key = app.key(team.id, None, Scope::ALL, None).await;
    let place = Place { app, envoy, key };
    let path = "/v1/imports/users:upload";
    let refused = place.refused(place.post(path).body(file(3 * 1024 * 1024))).await;
    assert_eq!(refused, (Code::ResourceExhausted, "IMPORT_TOO_LARGE".to_owned()));
    // What is on its way has a part of what the team may have.
    let mut connection = begin(place.envoy.http, &place.key, "content-length: 2000000\r\n").await;
    connection.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
    let first = async || -> Value {
        let listed: Value = place.get("/v1/imports").send().await.unwrap().json().await.unwrap();
        listed["imports"][0]["fileBytes"].clone()
    };
    eventually("it is there", || async { first().await == json!(1_000_000) }).await;
    let answer = place.post(path).body(file(1_500_000)).send().await.unwrap();
    assert_eq!(answer.status(), 429);
    let body: Value = answer.json().await.unwrap();
    let (code, failure) = json_failure(&body);
    assert_eq!((code, failure.reason.as_str()), (Code::ResourceExhausted, "IMPORT_MEMORY"));
    assert!(failure.retry);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_saved_as_a_file_and_can_be_uploaded_again() {
    let place = Place::new().await;
    // So many that a report has several pieces.
    let csv = users(1..5_001, "Keza").replace(",M,", ",nobody knows,");
    let import = place.taken(place.post("/v1/imports/users:upload").body(csv)).await;
    let import = place.checked(&import).await;
    assert_eq!(import["counts"]["invalid"], json!(5_000.0), "{import}");
    let id = import["id"].as_str().unwrap();

    let xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    for (name, media) in [("report.xlsx", xlsx), ("report.csv", "text/csv; charset=utf-8")] {
        let answer =
            place.get(&format!("/v1/imports/{id}/{name}")).header("origin", "https://a.example");
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), media);
        assert_eq!(header("content-disposition"), format!("attachment; filename=\"{name}\""));
        assert_eq!(header("cache-control"), "no-store");
        assert!(header("access-control-expose-headers").contains("content-disposition"));
        let report = answer.bytes().await.unwrap();
        let pieces = if media == xlsx { 0 } else { 2 };
        assert!(report.len() > pieces * 256 * 1024, "{}", report.len());
        let path = format!("/v1/imports/users:upload?filename={name}");
        let again = place.taken(place.post(&path).body(report)).await;
        let again = place.checked(&again).await;
        assert_eq!(again["counts"], import["counts"], "{again}");
    }
    for (path, reason) in [
        (format!("/v1/imports/{id}/report.pdf"), "REPORT_NOT_FOUND"),
        (format!("/v1/imports/{}/report.csv", uuid::Uuid::from_u128(9)), "IMPORT_NOT_FOUND"),
    ] {
        let answer = place.get(&path).send().await.unwrap();
        assert_eq!(answer.status(), 404);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(json_failure(&body).1.reason, reason);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_until_an_import_rests_and_a_user_that_is_deleted_is_nothing() {
    let place = Place::new().await;
    let csv = users(1..3_001, "Keza");
    let import = place.taken(place.post("/v1/imports/users:upload").body(csv)).await;
    let id = import["id"].as_str().unwrap();
    for (accept, media) in
        [("text/event-stream", "text/event-stream"), ("application/json", "application/json")]
    {
        let watch = place.get(&format!("/v1/imports/{id}:watch")).header("accept", accept);
        let answer = watch.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], media);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        let text = time::timeout(Duration::from_secs(20), answer.text()).await.unwrap().unwrap();
        let frames: Vec<Value> = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| {
                let line = if media == accept && accept == "text/event-stream" {
                    line.strip_prefix("data: ").unwrap()
                } else {
                    line
                };
                serde_json::from_str(line).unwrap()
            })
            .collect();
        let [.., last, end] = frames.as_slice() else { panic!("{text}") };
        assert_eq!(last["import"]["state"], "READY", "{text}");
        assert_eq!(end["end"]["reason"], "DONE", "{text}");
    }
    // No browser's token has what it takes: it is no parameter here.
    let by_address =
        Client::new().get(place.envoy.url(&format!("/v1/imports/{id}:watch?access_token=a.b")));
    assert_eq!(by_address.send().await.unwrap().status(), 400);

    let commit = place.post(&format!("/v1/imports/{id}:commit")).body("{}").send().await.unwrap();
    let committed: Value = commit.json().await.unwrap();
    assert_eq!(committed["result"]["insert"], json!(3_000), "{committed}");
    assert_eq!(committed["import"]["kind"], import_kind::Value::Users.as_str_name());
    let search = place.post("/v1/users:search").body(r#"{"text": "person77@"}"#);
    let found: Value = search.send().await.unwrap().json().await.unwrap();
    let user = found["users"][0]["id"].as_str().unwrap();
    for status in [204, 404] {
        let delete = Client::new().delete(place.envoy.url(&format!("/v1/users/{user}")));
        let answer = delete.header("x-api-key", &place.key).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.text().await.unwrap().is_empty(), status == 204);
    }
}
