//! Imports: files that are uploaded, looked at, mended and committed, by gRPC.

mod committed;
mod faults;
mod hostile;
mod kept;
mod listed;
mod modelled;
mod others;
mod reviewed;
mod traces;
mod uploaded;

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tonic::Code;

use crate::app::desk;

/// A team that calls Imports.
pub type Importer = desk::Desk<OfImports>;

pub struct OfImports;

impl desk::Service for OfImports {
    const NAME: &'static str = "Imports";
}

/// The titles of users.
pub const TITLES: &str = "Names,NID,Phone,Gender,Email";

/// People as rows of CSV: the number of each is in all that is theirs.
pub fn people(numbers: std::ops::Range<u32>) -> String {
    let rows: Vec<String> = numbers.map(person).collect();
    format!("{TITLES}\n{}\n", rows.join("\n"))
}

pub fn person(number: u32) -> String {
    format!("Person {number},{},{},F,p{number}@example.com", nid(number), phone(number))
}

pub fn nid(number: u32) -> String {
    format!("119907{number:010}")
}

pub fn phone(number: u32) -> String {
    format!("0788{number:06}")
}

impl Importer {
    /// Uploads a file; the import as it is answered.
    pub async fn upload(&self, kind: &str, filename: &str, file: &[u8]) -> Value {
        self.answer("UploadImport", upload(kind, filename, file)).await
    }

    /// Uploads a file, and waits until it is checked.
    pub async fn import(&self, kind: &str, filename: &str, file: &[u8]) -> Value {
        let import = self.upload(kind, filename, file).await;
        self.settled(text(&import["id"])).await
    }

    /// The same, of users that can be read.
    pub async fn ready(&self, csv: &str) -> Value {
        let import = self.import("USERS", "users.csv", csv.as_bytes()).await;
        assert_eq!(import["state"], "READY", "{import}");
        import
    }

    pub async fn get(&self, id: &str) -> Value {
        self.answer("GetImport", json!({ "importId": id })).await
    }

    /// An import once nothing more happens to it by itself.
    pub async fn settled(&self, id: &str) -> Value {
        for _ in 0..1_200 {
            let import = self.get(id).await;
            // The first of an enum is left out.
            if !["", "CHECKING", "COMMITTING"].contains(&text(&import["state"])) {
                return import;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("it is not checked in half a minute");
    }

    pub async fn rows(&self, id: &str, filter: Value) -> Vec<Value> {
        let request = with(json!({ "importId": id, "pageSize": 1000 }), filter);
        all(&self.answer("ListImportRows", request).await, "rows")
    }

    pub async fn patch(&self, id: &str, row: u32, cells: Value) -> Value {
        self.answer("PatchImportRow", json!({ "importId": id, "row": row, "cells": cells })).await
    }

    pub async fn commit(&self, id: &str, mode: &str) -> Value {
        self.answer("CommitImport", json!({ "importId": id, "mode": mode })).await
    }

    /// Uploads and commits what must all be good.
    pub async fn store(&self, csv: &str) -> Value {
        let import = self.ready(csv).await;
        self.commit(text(&import["id"]), "ALL_OR_NOTHING").await
    }

    pub async fn users(&self) -> Vec<Value> {
        all(&self.answer("ListUsers", json!({ "pageSize": 1000 })).await, "users")
    }

    /// Rows of a table.
    pub async fn count(&self, table: &str) -> i64 {
        self.app.scalar(&format!("select count(*) from {table}")).await
    }

    /// How a file is refused.
    pub async fn errors(&self, filename: &str, file: &[u8]) -> Vec<(String, String)> {
        let outcome = self.ask("UploadImport", upload("USERS", filename, file)).await;
        if outcome.code != Code::Ok {
            return outcome.failure().violations.into_iter().map(|v| (v.0, v.1)).collect();
        }
        let import = self.settled(text(&outcome.answer()["id"])).await;
        assert_eq!(import["state"], "FAILED", "{import}");
        reasons(&import["errors"])
    }
}

/// A file as one message.
pub fn upload(kind: &str, filename: &str, file: &[u8]) -> Value {
    json!({
        "kind": kind, "filename": filename,
        "file": { "contentType": "", "data": BASE64_STANDARD.encode(file) },
    })
}

/// What is in a list, which is left out where it is empty.
pub fn all(answer: &Value, field: &str) -> Vec<Value> {
    answer[field].as_array().cloned().unwrap_or_default()
}

/// The fields and reasons of violations.
pub fn reasons(violations: &Value) -> Vec<(String, String)> {
    let violations = violations.as_array().into_iter().flatten();
    let pair = |bad: &Value| (text(&bad["field"]).to_owned(), text(&bad["reason"]).to_owned());
    violations.map(pair).collect()
}

/// The fields and reasons with which a row is bad.
pub fn bad(row: &Value) -> Vec<(String, String)> {
    reasons(&row["violations"])
}

pub fn pair(field: &str, reason: &str) -> (String, String) {
    (field.to_owned(), reason.to_owned())
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// The same with other fields.
pub fn with(mut value: Value, more: Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}
