//! A team that has something of everything that there is of imports.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tonic::Code;

use super::{
    App, eventually,
    rpcs::Rpc,
    wires::{Call, Door, Wire},
};

/// A file of this many users, of whom each has a number of its own, and names that end so.
pub fn users(numbers: std::ops::Range<u32>, name: &str) -> String {
    let mut csv = "Names,NID,Phone number,Gender,Email\n".to_owned();
    for n in numbers {
        writeln!(csv, "Uwase {name},119908{n:07}012,078{n:07},M,person{n}@mail.example.com")
            .unwrap();
    }
    csv
}

/// A request to import a file of this type.
pub fn upload(kind: &str, media: &str, file: &[u8]) -> Value {
    let data = BASE64_STANDARD.encode(file);
    json!({"kind": kind, "file": {"contentType": media, "data": data}})
}

/// Waits until an import is checked, and returns it.
pub async fn until_checked(door: &Door, key: &str, import: &str) -> Value {
    let rpc = Rpc::of("Imports/GetImport");
    let call = Call::new(&rpc, &json!({ "importId": import })).key(Some(key));
    let shown = async || call.outcome(door, Wire::Grpc, 1).await.answer().clone();
    eventually("the import is checked", || async {
        !matches!(shown().await["state"].as_str(), None | Some("CHECKING"))
    })
    .await;
    shown().await
}

/// What a team has of imports: two that are ready, one that was committed, and its two users.
#[derive(Clone, Debug)]
pub struct People {
    /// It has two rows, and is still to be committed.
    pub import: String,
    /// Another one, of one row.
    pub next: String,
    pub committed: String,
    pub user: String,
}

impl People {
    /// Makes all of that, by a key that may do everything.
    pub async fn of(app: &App, key: &str) -> Self {
        let door = Door::straight(app);
        let ask = async |name: &str, request: Value, place: &str| {
            let rpc = Rpc::of(&format!("Imports/{name}"));
            let call = Call::new(&rpc, &request).key(Some(key));
            let outcome = call.outcome(&door, Wire::Grpc, 1).await;
            assert_eq!(outcome.code, Code::Ok, "{name}: {outcome:?}");
            let text = outcome.answer().pointer(place).unwrap_or_else(|| panic!("{outcome:?}"));
            text.as_str().unwrap().to_owned()
        };
        let ready = async |csv: String| {
            let id = ask("UploadImport", upload("USERS", "text/csv", csv.as_bytes()), "/id").await;
            let import = until_checked(&door, key, &id).await;
            assert_eq!(import["state"], "READY", "{import}");
            assert_eq!(import["counts"]["total"], import["counts"]["valid"], "{import}");
            id
        };
        let committed = ready(users(1..3, "Theirs")).await;
        ask("CommitImport", json!({ "importId": committed }), "/import/state").await;
        let user = ask("ListUsers", json!({}), "/users/0/id").await;
        let import = ready(users(3..5, "Theirs")).await;
        let next = ready(users(5..6, "Theirs")).await;
        Self { import, next, committed, user }
    }
}
