//! Files on their way: in pieces, in forms, too large, empty, and watched.

use serde_json::json;
use tap_analytics::proto::{
    HttpBody,
    tap_v1::{
        UploadImportRequest, WatchImportRequest, end_reason, import_kind, import_state,
        imports_client::ImportsClient, watch_import_response::Frame,
    },
};
use tonic::{Code, Request};

use super::{Importer, number, people, text, upload};
use crate::app::books;

async fn client(desk: &Importer) -> ImportsClient<tonic::transport::Channel> {
    let address = format!("http://{}", desk.app.grpc);
    ImportsClient::connect(address).await.unwrap()
}

fn keyed<T>(desk: &Importer, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-api-key", desk.key.parse().unwrap());
    request
}

/// A file in pieces.
fn pieces(content_type: &str, file: &[u8], size: usize) -> Vec<UploadImportRequest> {
    let piece = |data: &[u8]| UploadImportRequest {
        file: Some(HttpBody { data: data.to_vec().into(), content_type: content_type.to_owned() }),
        ..UploadImportRequest::default()
    };
    let mut pieces: Vec<_> = file.chunks(size).map(piece).collect();
    pieces[0].kind = import_kind::Value::Users.into();
    "users.csv".clone_into(&mut pieces[0].filename);
    pieces
}

#[tokio::test]
async fn a_file_in_pieces_is_the_same_file() {
    let desk = Importer::open().await;
    let csv = people(0..500);
    let stream = futures_util::stream::iter(pieces("", csv.as_bytes(), 777));
    let import =
        client(&desk).await.upload_import(keyed(&desk, stream)).await.unwrap().into_inner();
    assert_eq!(import.file_bytes, csv.len() as f64);
    let import = desk.settled(&import.id).await;
    assert_eq!(import["state"], "READY");
    assert_eq!(number(&import["counts"]["valid"]), 500.0);
    assert_eq!(import["filename"], "users.csv");
}

#[tokio::test]
async fn a_form_has_one_file_whatever_it_is_called() {
    let desk = Importer::open().await;
    let csv = people(0..3);
    let form = format!(
        "--xx\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--xx\r\ncontent-disposition: form-data; name=\"usersfile\"; filename=\"staff.csv\"\r\ncontent-type: text/csv\r\n\r\n{csv}\r\n--xx--\r\n"
    );
    let send = async |form: &str, name: &str| {
        let mut pieces = pieces("multipart/form-data; boundary=xx", form.as_bytes(), 50);
        pieces[0].filename = name.to_owned();
        let stream = futures_util::stream::iter(pieces);
        client(&desk).await.upload_import(keyed(&desk, stream)).await
    };
    let import = send(&form, "").await.unwrap().into_inner();
    let import = desk.settled(&import.id).await;
    assert_eq!((text(&import["state"]), text(&import["filename"])), ("READY", "staff.csv"));
    assert_eq!(number(&import["counts"]["valid"]), 3.0);
    let import = send(&form, "named.csv").await.unwrap().into_inner();
    assert_eq!(import.filename, "named.csv");

    let reason = |status: tonic::Status| {
        use tonic_types::StatusExt as _;
        assert_eq!(status.code(), Code::InvalidArgument);
        status.get_error_details().bad_request().unwrap().field_violations[0].reason.clone()
    };
    let two = form.replace(
        "--xx--",
        "--xx\r\ncontent-disposition: form-data; name=\"b\"; filename=\"b.csv\"\r\n\r\nx\r\n--xx--",
    );
    assert_eq!(reason(send(&two, "").await.unwrap_err()), "SEVERAL_FILES");
    let none = "--xx\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nx\r\n--xx--\r\n";
    assert_eq!(reason(send(none, "").await.unwrap_err()), "REQUIRED");
    // What is before the first part may not be large, and is looked through once.
    let junk = format!("{}{form}", "x\r\n".repeat(20_000));
    assert!(send(&junk, "").await.is_ok());
    let cut = &form[..form.len() - 20];
    assert_eq!(reason(send(cut, "").await.unwrap_err()), "MALFORMED_FORM");
    // Nothing is left of those.
    let listed = desk.answer("ListImports", json!({})).await;
    assert_eq!(listed["imports"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_file_that_is_too_large_or_empty_is_refused_and_nothing_is_held() {
    let desk = Importer::open().await;
    let large = vec![b'a'; 20 * 1024 * 1024 + 1];
    let send = async |bytes: &[u8]| {
        let stream = futures_util::stream::iter(pieces("", bytes, 1024 * 1024));
        client(&desk).await.upload_import(keyed(&desk, stream)).await
    };
    assert_eq!(send(&large).await.unwrap_err().code(), Code::InvalidArgument);
    // To the byte.
    let import = send(&large[1..]).await.unwrap().into_inner();
    assert_eq!(desk.settled(&import.id).await["state"], "FAILED");
    assert_eq!(desk.errors("users.csv", b"").await, [("file".to_owned(), "FILE_EMPTY".to_owned())]);
    let listed = desk.answer("ListImports", json!({})).await;
    assert_eq!(listed["imports"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn everything_that_is_wrong_with_an_upload_is_named() {
    let desk = Importer::open().await;
    let mut request = upload("UNSET", &"x".repeat(300), b"x");
    request["region"] = json!("ZZ");
    request["sheet"] = json!("s".repeat(200));
    request["file"]["contentType"] = json!("multipart/form-data");
    let bad = desk.violations("UploadImport", request).await;
    let expected = [
        ("kind", "REQUIRED"),
        ("filename", "TOO_LONG"),
        ("sheet", "TOO_LONG"),
        ("region", "UNKNOWN_REGION"),
        ("file", "MALFORMED_FORM"),
    ];
    assert_eq!(bad, expected.map(|(field, reason)| super::pair(field, reason)));
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_nothing() {
    let desk = Importer::open().await;
    let first = pieces("", people(0..9).as_bytes(), 100).remove(0);
    let endless = futures_util::StreamExt::chain(
        futures_util::stream::iter([first]),
        futures_util::stream::pending(),
    );
    let request = keyed(&desk, endless);
    // With a runtime of its own, which takes the connection with it when it ends.
    let caller = tokio::runtime::Runtime::new().unwrap();
    let address = format!("http://{}", desk.app.grpc);
    caller.spawn(async move {
        ImportsClient::connect(address).await.unwrap().upload_import(request).await
    });
    let imports = async || super::all(&desk.answer("ListImports", json!({})).await, "imports");
    let mut watched = None;
    // It is UPLOADING: the first of an enum is left out.
    crate::app::eventually("it is on its way", || async {
        imports().await.first().is_some_and(|import| import["state"].is_null())
    })
    .await;
    let id = text(&imports().await[0]["id"]).to_owned();
    let mut watcher = client(&desk).await;
    let request = keyed(&desk, WatchImportRequest { import_id: id });
    let mut frames = watcher.watch_import(request).await.unwrap().into_inner();
    caller.shutdown_background();
    while let Some(frame) = frames.message().await.unwrap() {
        if let Some(Frame::Import(import)) = frame.frame {
            watched = Some(import.state);
        }
    }
    assert_eq!(watched, Some(import_state::Value::Failed.into()), "who watches is told");
    crate::app::eventually("nothing is left", || async { imports().await.is_empty() }).await;
}

#[tokio::test]
async fn whoever_watches_sees_it_until_it_is_ready() {
    let desk = Importer::open().await;
    let file = books::many_people(2_000);
    let import = desk.upload("USERS", "users.xlsx", &file).await;
    let request = WatchImportRequest { import_id: text(&import["id"]).to_owned() };
    let mut client = client(&desk).await;
    let mut frames = client.watch_import(keyed(&desk, request.clone())).await.unwrap().into_inner();
    let (mut states, mut last, mut progress) = (Vec::new(), None, 0.0);
    while let Some(frame) = frames.message().await.unwrap() {
        match frame.frame.unwrap() {
            Frame::Import(import) => {
                assert!(import.progress >= progress, "it goes forward");
                progress = import.progress;
                states.push(import.state);
            }
            Frame::Heartbeat(_) => {}
            Frame::End(end) => last = Some(end.reason),
        }
    }
    assert_eq!(last, Some(end_reason::Value::Done.into()));
    assert_eq!(states.last(), Some(&import_state::Value::Ready.into()));
    assert!(states.len() > 2, "it was seen at work: {states:?}");
    // One that rests already is shown once.
    let mut frames = client.watch_import(keyed(&desk, request)).await.unwrap().into_inner();
    assert!(matches!(frames.message().await.unwrap().unwrap().frame, Some(Frame::Import(_))));
    assert!(matches!(frames.message().await.unwrap().unwrap().frame, Some(Frame::End(_))));
    assert!(frames.message().await.unwrap().is_none());
}
