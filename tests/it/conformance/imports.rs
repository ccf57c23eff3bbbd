//! The calls of the service of imports that every wire has to give the same outcome for.

use serde_json::{Value, json};
use tonic::Code;

use super::{
    Case, Otherwise, case,
    cases::{EMPTY, NOBODY, REQUEST},
};
use crate::app::{
    people::{upload, users},
    scenes::Step::{self, Call, Checked, Open},
};

/// What Envoy makes of a number in a path that is none of an enum is no message.
const NO_KIND: Otherwise = Otherwise { in_queries_only: false, reason: "MALFORMED_REQUEST" };
/// In a body Envoy lets it through, in a query it does not.
const IN_QUERY: Otherwise = Otherwise { in_queries_only: true, reason: "MALFORMED_REQUEST" };

/// A row that is good, one with a bad phone number, and two with one national id.
const MIXED: &str = "\
Names,National ID,Phone,Sex,E-mail,Notes
Keza Ünique,1199070000001012,0780000001,F,Keza@Mail.example.com,first
Mugabo,1199080000002012,12,M,mugabo@mail.example.com,
Uwase,1199070000003012,0780000003,F,uwase@mail.example.com,
Uwase Two,1199070000003012,0780000004,F,uwase2@mail.example.com,last
";

/// A request that is in order, as far as a call can be refused before it is looked at.
pub fn sample(name: &str) -> Option<Value> {
    Some(match name {
        "UploadImport" => upload("USERS", "text/csv", b"Names"),
        "ListImports" | "ListUsers" => json!({}),
        "GetImport" | "WatchImport" | "ListImportRows" | "CommitImport" | "CancelImport" => {
            json!({"importId": NOBODY})
        }
        "PatchImportRow" => json!({"importId": NOBODY, "row": 2, "skipped": true}),
        "GetImportReport" => json!({"importId": NOBODY, "file": "report.csv"}),
        "GetUser" | "DeleteUser" => json!({"userId": NOBODY}),
        _ => return None,
    })
}

fn with(value: Value, more: Value) -> Value {
    let (Value::Object(mut members), Value::Object(more)) = (value, more) else { panic!() };
    members.extend(more);
    Value::Object(members)
}

/// An import of this file that is ready, and is known by the name `import`.
fn of(kind: &str, csv: &str) -> Vec<Step> {
    let request = upload(kind, "text/csv", csv.as_bytes());
    vec![Call("able", "Imports/UploadImport", request, &[("import", "/id")]), Checked("import")]
}

fn good() -> Vec<Step> {
    of("USERS", &users(1..3, "Good"))
}

fn mixed() -> Vec<Step> {
    of("USERS", MIXED)
}

fn cancelled() -> Vec<Step> {
    let cancel = Call("able", "Imports/CancelImport", json!({"importId": "<import>"}), &[]);
    [good(), vec![cancel]].concat()
}

/// Two users, who are known by the names `user` and `other`.
fn committed() -> Vec<Step> {
    let commit = Call("able", "Imports/CommitImport", json!({"importId": "<import>"}), &[]);
    let list = Call(
        "able",
        "Imports/ListUsers",
        json!({}),
        &[("user", "/users/0/id"), ("other", "/users/1/id")],
    );
    [good(), vec![commit, list]].concat()
}

pub fn imports() -> Vec<Case> {
    [uploads(), bad_uploads(), patches(), commits(), refused_commits(), cancels(), deletions()]
        .concat()
}

pub fn looks_at_imports() -> Vec<Case> {
    [shown(), lists(), watches(), rows(), reports(), lists_of_users(), looks_at_users()].concat()
}

fn not_found(case: Case) -> Case {
    case.error(Code::NotFound, "IMPORT_NOT_FOUND")
}

fn not_so(case: Case) -> Case {
    case.error(Code::FailedPrecondition, "IMPORT_STATE")
}

/// The refusals of an import that is not there, or has no id, whatever is asked of it.
fn nowhere(rpc: &str, more: Value) -> Vec<Case> {
    let case =
        |name: &str, id: &str| case(name, rpc, with(json!({ "importId": id }), more.clone()));
    vec![
        not_found(case("nobody's", NOBODY)),
        case("no id", "a/b c%25").fields(&[("import_id", "MALFORMED_UUID")]),
    ]
}

fn uploads() -> Vec<Case> {
    let new =
        |name: &str, request: Value| case(name, "Imports/UploadImport", request).by_chance(&["id"]);
    let csv = users(1..3, "Good");
    let form = format!(
        "--b\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nx\r\n--b\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"users.csv\"\r\n\
         content-type: text/csv\r\n\r\n{csv}\r\n--b--\r\n"
    );
    let form = upload("USERS", "multipart/form-data; boundary=b", form.as_bytes());
    let all = json!({"filename": "C:\\d\\ü s.csv", "sheet": "Sheet 1", "region": "ke"});
    vec![
        new("a file", upload("USERS", "text/csv", csv.as_bytes())).has(&[
            ("/state", json!("CHECKING")),
            ("/kind", json!("USERS")),
            ("/region", json!("RW")),
            ("/fileBytes", json!(csv.len() as f64)),
        ]),
        new("with all that can be said", with(upload("TAGS", "", b"uid"), all))
            .has(&[("/filename", json!("ü s.csv")), ("/region", json!("KE"))]),
        new("a form", form)
            .has(&[("/filename", json!("users.csv")), ("/fileBytes", json!(csv.len() as f64))]),
        new("what is no file of that type", upload("USERS", "image/png", b"\x89PNG"))
            .has(&[("/state", json!("CHECKING"))]),
    ]
}

fn bad_uploads() -> Vec<Case> {
    let new = |name: &str, request: Value| case(name, "Imports/UploadImport", request);
    let form = |parts: &str| {
        upload("USERS", "multipart/form-data; boundary=b", parts.replace('\n', "\r\n").as_bytes())
    };
    let field = "--b\ncontent-disposition: form-data; name=\"note\"\n\nx\n";
    let file = "--b\ncontent-disposition: form-data; name=\"f\"; filename=\"f\"\n\nx\n";
    let of_file =
        |name: &str, request: Value, reason| new(name, request).fields(&[("file", reason)]);
    let bad = json!({"filename": "x".repeat(256), "sheet": "\u{7}", "region": "XX"});
    vec![
        new("nothing", json!({})).fields(&[("kind", "REQUIRED")]).otherwise_by(EMPTY),
        new("a kind that there is not", with(upload("USERS", "", b"x"), json!({"kind": 9})))
            .fields(&[("kind", "UNKNOWN_VALUE")])
            .otherwise_by(NO_KIND),
        new("bad fields", with(upload("USERS", "text/csv", b"x"), bad)).fields(&[
            ("filename", "TOO_LONG"),
            ("sheet", "MALFORMED_TEXT"),
            ("region", "UNKNOWN_REGION"),
        ]),
        of_file("no file", json!({"kind": "USERS"}), "FILE_EMPTY"),
        of_file("an empty file", upload("USERS", "text/csv", b""), "FILE_EMPTY"),
        of_file(
            "a form of unknown parts",
            upload("USERS", "multipart/form-data", file.as_bytes()),
            "MALFORMED_FORM",
        ),
        of_file("no form", form("nothing\n"), "MALFORMED_FORM"),
        of_file("a form that is cut off", form(file), "MALFORMED_FORM"),
        of_file("a form without a file", form(&format!("{field}--b--\n")), "REQUIRED"),
        of_file("a form with two files", form(&format!("{file}{file}--b--\n")), "SEVERAL_FILES"),
    ]
}

fn shown() -> Vec<Case> {
    let get = |name: &str| case(name, "Imports/GetImport", json!({"importId": "<import>"}));
    let mut all = nowhere("Imports/GetImport", json!({}));
    all.extend([
        get("one that is ready").after(&mixed()).has(&[
            ("/state", json!("READY")),
            ("/progress", json!(1.0)),
            ("/counts", json!({"total": 4.0, "valid": 1.0, "invalid": 1.0, "duplicate": 2.0})),
            ("/columns/1", json!({"letter": "B", "title": "National ID", "field": "nid"})),
            ("/columns/5", json!({"letter": "F", "title": "Notes"})),
            ("/faults/0", json!({"field": "nid", "reason": "DUPLICATE_IN_FILE", "rows": 2.0})),
            ("/plan", json!({"insert": 1.0})),
            ("/etag", json!("1")),
        ]),
        get("one that is committed").after(&committed()).has(&[
            ("/state", json!("COMMITTED")),
            ("/counts/committed", json!(2.0)),
            ("/result", json!({"insert": 2.0})),
        ]),
        get("one that was given up").after(&cancelled()).has(&[("/state", json!("CANCELLED"))]),
        get("one that cannot be read")
            .after(&of("USERS", "one\ntwo\n"))
            .has(&[("/state", json!("FAILED"))]),
        case("nothing", "Imports/GetImport", json!({}))
            .fields(&[("import_id", "REQUIRED")])
            .otherwise_by(EMPTY),
    ]);
    all
}

fn lists() -> Vec<Case> {
    let list = |name: &str, request: Value| case(name, "Imports/ListImports", request);
    let two = || {
        let request = upload("TAGS", "text/csv", b"uid\nnew\n");
        let second = Call("able", "Imports/UploadImport", request, &[("second", "/id")]);
        [committed(), vec![second, Checked("second")]].concat()
    };
    let first =
        Call("able", "Imports/ListImports", json!({"pageSize": 1}), &[("page", "/nextPageToken")]);
    vec![
        list("none", json!({})),
        list("all", json!({}))
            .after(&two())
            .has(&[("/imports/0/id", json!("<second>")), ("/imports/1/state", json!("COMMITTED"))]),
        list("the next page", json!({"pageSize": 1, "pageToken": "<page>"}))
            .after(&[two(), vec![first]].concat())
            .has(&[("/imports/0/id", json!("<import>"))]),
        list("bad fields", json!({"pageSize": -1, "pageToken": "x"}))
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN"), ("page_size", "NEGATIVE")]),
    ]
}

fn watches() -> Vec<Case> {
    let watch = |name: &str| case(name, "Imports/WatchImport", json!({"importId": "<import>"}));
    let mut all = nowhere("Imports/WatchImport", json!({}));
    all.extend([
        watch("one that is ready").after(&mixed()).has(&[("/import/state", json!("READY"))]),
        watch("its end").after(&mixed()).frames(2).has(&[("/end/reason", json!("DONE"))]),
        watch("one that is committed")
            .after(&committed())
            .has(&[("/import/result/insert", json!(2.0))]),
        watch("one too many")
            .after(&[good(), vec![Open("able", 100)]].concat())
            .error(Code::ResourceExhausted, "TOO_MANY_STREAMS"),
    ]);
    all
}

fn rows() -> Vec<Case> {
    let list = |name: &str, more: Value| {
        case(name, "Imports/ListImportRows", with(json!({"importId": "<import>"}), more))
            .after(&mixed())
    };
    let first = Call(
        "able",
        "Imports/ListImportRows",
        json!({"importId": "<import>", "pageSize": 1}),
        &[("page", "/nextPageToken")],
    );
    let paged = || [mixed(), vec![first.clone()]].concat();
    let mut all = nowhere("Imports/ListImportRows", json!({}));
    all.extend([
        list("all", json!({})).has(&[
            ("/rows/0/status", json!("VALID")),
            ("/rows/0/action", json!("INSERT")),
            (
                "/rows/0/cells/0",
                json!({
                    "field": "names", "raw": "Keza Ünique", "value": "Keza Ünique",
                }),
            ),
            ("/rows/0/cells/4/value", json!("keza@mail.example.com")),
            ("/rows/0/cells/5", json!({"raw": "first"})),
            ("/rows/1/row", json!(3)),
            ("/rows/3/violations/0/reason", json!("DUPLICATE_IN_FILE")),
        ]),
        list("those that are bad", json!({"status": "INVALID"}))
            .has(&[("/rows/0/row", json!(3)), ("/rows/0/violations/0/field", json!("phone"))]),
        list("by what is wrong", json!({"reason": "DUPLICATE_IN_FILE", "pageSize": 2}))
            .has(&[("/rows/0/row", json!(4)), ("/rows/1/row", json!(5))]),
        list("what none is", json!({"status": "SKIPPED", "reason": "TAKEN"}))
            .has(&[("", json!({}))]),
        list("a page", json!({"pageSize": 2})).has(&[("/nextPageToken", json!("after 3"))]),
        list("the next page", json!({"pageSize": 1, "pageToken": "<page>"}))
            .after(&paged())
            .has(&[("/rows/0/row", json!(3))]),
        list("the token of another question", json!({"status": "VALID", "pageToken": "<page>"}))
            .after(&paged())
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list("bad fields", json!({"pageSize": -1, "reason": "x".repeat(65)}))
            .fields(&[("page_size", "NEGATIVE"), ("reason", "TOO_LONG")]),
        list("an unknown number", json!({"status": 9}))
            .fields(&[("status", "UNKNOWN_VALUE")])
            .otherwise_by(IN_QUERY),
        not_so(list("of what was given up", json!({})).after(&cancelled())),
    ]);
    all
}

fn patches() -> Vec<Case> {
    let patch = |name: &str, more: Value| {
        case(name, "Imports/PatchImportRow", with(json!({"importId": "<import>"}), more))
            .after(&mixed())
    };
    let phone = json!({"phone": "+250 780 000 009"});
    let mut all = nowhere("Imports/PatchImportRow", json!({"row": 3, "cells": phone}));
    all.extend([
        patch("a cell", json!({"row": 3, "cells": phone})).has(&[
            ("/status", json!("VALID")),
            ("/action", json!("INSERT")),
            ("/changed", json!(true)),
            (
                "/cells/2",
                json!({
                    "field": "phone", "raw": "+250 780 000 009", "value": "+250780000009",
                }),
            ),
        ]),
        patch("a twin", json!({"row": 5, "cells": {"nid": "1199070000005012"}, "etag": "1"}))
            .has(&[("/status", json!("VALID"))]),
        patch("to what is bad, too", json!({"row": 2, "cells": {"email": "x"}}))
            .has(&[("/violations/0/field", json!("email"))]),
        patch("one that is left out", json!({"row": 3, "skipped": true}))
            .has(&[("/status", json!("SKIPPED"))]),
        patch(
            "of an import that somebody else changed",
            json!({
                "row": 3, "skipped": true, "etag": "7",
            }),
        )
        .error(Code::Aborted, "ETAG_MISMATCH"),
        patch("a row that there is not", json!({"row": 99, "skipped": true}))
            .error(Code::NotFound, "ROW_NOT_FOUND"),
        patch("nothing", json!({"row": 3})).fields(&[("cells", "NOTHING_TO_CHANGE")]),
        patch("bad fields", json!({"row": -1, "cells": {"shoe": "43"}}))
            .fields(&[("row", "OUT_OF_RANGE"), ("cells.\"shoe\"", "UNKNOWN_FIELD")]),
        not_so(
            patch("of what is committed", json!({"row": 2, "skipped": true})).after(&committed()),
        ),
    ]);
    all
}

fn reports() -> Vec<Case> {
    let report = |name: &str, more: Value| {
        let csv = json!({"importId": "<import>", "file": "report.csv"});
        case(name, "Imports/GetImportReport", with(csv, more))
    };
    let csv = |name: &str, more: Value| {
        report(name, more)
            .after(&mixed())
            .has(&[("/contentType", json!("text/csv; charset=utf-8"))])
    };
    let mut all = nowhere("Imports/GetImportReport", json!({"file": "report.csv"}));
    all.extend([
        csv("those that are bad", json!({})),
        csv("all", json!({"all": true})),
        report("of none", json!({})).after(&good()),
        report("another file", json!({"file": "report.pdf"}))
            .after(&mixed())
            .error(Code::NotFound, "REPORT_NOT_FOUND"),
        not_so(report("of what was given up", json!({})).after(&cancelled())),
    ]);
    all
}

fn commits() -> Vec<Case> {
    let commit = |name: &str, more: Value| {
        case(name, "Imports/CommitImport", with(json!({"importId": "<import>"}), more))
    };
    let tags = "uid,label\na,Changed\nnew,New\n9007199254740993,\n";
    vec![
        commit("all", json!({"requestId": REQUEST, "etag": "1"}))
            .after(&good())
            .has(&[("/import/state", json!("COMMITTED")), ("/result", json!({"insert": 2.0}))]),
        commit("only counted", json!({"validateOnly": true}))
            .after(&good())
            .has(&[("/import/state", json!("READY")), ("/result", json!({"insert": 2.0}))]),
        commit("those that are valid", json!({"mode": "VALID_ONLY"}))
            .after(&mixed())
            .has(&[("/result", json!({"insert": 1.0})), ("/leftOut", json!(3.0))]),
        commit("again", json!({})).after(&committed()).has(&[("/result", json!({"insert": 2.0}))]),
        commit("tags", json!({}))
            .after(&of("TAGS", tags))
            .has(&[("/result", json!({"insert": 1.0, "update": 1.0, "unchanged": 1.0}))]),
    ]
}

fn refused_commits() -> Vec<Case> {
    let commit = |name: &str, more: Value| {
        case(name, "Imports/CommitImport", with(json!({"importId": "<import>"}), more))
    };
    let full = |case: Case, reason| case.error(Code::ResourceExhausted, reason);
    let many = "uid\nn1\nn2\nn3\nn4\n";
    let used = json!({"tag": {"uid": "new"}, "requestId": REQUEST});
    let used = Call("able", "Tags/CreateTag", used, &[]);
    let mut all = nowhere("Imports/CommitImport", json!({}));
    all.extend([
        commit("with bad rows", json!({}))
            .after(&mixed())
            .error(Code::FailedPrecondition, "IMPORT_BAD_ROWS"),
        commit("with bad rows, only counted", json!({"validateOnly": true}))
            .after(&mixed())
            .error(Code::FailedPrecondition, "IMPORT_BAD_ROWS"),
        commit("one that somebody else changed", json!({"etag": "7"}))
            .after(&good())
            .error(Code::Aborted, "ETAG_MISMATCH"),
        not_so(commit("one that was given up", json!({})).after(&cancelled())),
        commit("by an id of another request", json!({"requestId": REQUEST}))
            .after(&[good(), vec![used]].concat())
            .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        full(
            commit("too many users", json!({})).after(&of("USERS", &users(1..8, "Many"))),
            "USER_LIMIT",
        ),
        full(commit("too many tags", json!({})).after(&of("TAGS", many)), "TAG_LIMIT"),
        commit("bad fields", json!({"mode": 9, "requestId": "x"}))
            .after(&good())
            .fields(&[("mode", "UNKNOWN_VALUE"), ("request_id", "MALFORMED_UUID")]),
    ]);
    all
}

fn cancels() -> Vec<Case> {
    let cancel = |name: &str| case(name, "Imports/CancelImport", json!({"importId": "<import>"}));
    let mut all = nowhere("Imports/CancelImport", json!({}));
    all.extend([
        cancel("one that is ready").after(&good()).has(&[("/state", json!("CANCELLED"))]),
        cancel("again").after(&cancelled()).has(&[("/state", json!("CANCELLED"))]),
        cancel("one that is committed").after(&committed()).has(&[("/state", json!("COMMITTED"))]),
    ]);
    all
}

fn lists_of_users() -> Vec<Case> {
    let list =
        |name: &str, request: Value| case(name, "Imports/ListUsers", request).after(&committed());
    let first =
        Call("able", "Imports/ListUsers", json!({"pageSize": 1}), &[("page", "/nextPageToken")]);
    vec![
        list("all", json!({})).has(&[
            ("/users/0/names", json!("Uwase Good")),
            ("/users/1/phone", json!("+250780000002")),
            ("/users/1/importId", json!("<import>")),
        ]),
        list("by a text", json!({"text": "PERSON2@"}))
            .has(&[("/users/0/nid", json!("1199080000002012"))]),
        list("of an import", json!({"importId": "<import>", "pageSize": 1}))
            .has(&[("/users/0/id", json!("<user>")), ("/nextPageToken", json!("after <user>"))]),
        list("of nobody's import", json!({"importId": NOBODY})).has(&[("", json!({}))]),
        list("the next page", json!({"pageToken": "<page>"}))
            .after(&[committed(), vec![first]].concat())
            .has(&[("/users/0/email", json!("person2@mail.example.com"))]),
        list(
            "bad fields",
            json!({
                "text": "x".repeat(201), "importId": "x", "pageSize": -1, "pageToken": "x",
            }),
        )
        .fields(&[
            ("page_token", "MALFORMED_PAGE_TOKEN"),
            ("page_size", "NEGATIVE"),
            ("text", "TOO_LONG"),
            ("import_id", "MALFORMED_UUID"),
        ]),
    ]
}

/// Of a user who is not there, or has no id.
fn nobody(rpc: &str) -> Vec<Case> {
    vec![
        case("nobody", rpc, json!({"userId": NOBODY})).error(Code::NotFound, "USER_NOT_FOUND"),
        case("no id", rpc, json!({"userId": "a/b c%25"})).fields(&[("user_id", "MALFORMED_UUID")]),
        case("nothing", rpc, json!({})).fields(&[("user_id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

fn looks_at_users() -> Vec<Case> {
    let get = case("one", "Imports/GetUser", json!({"userId": "<user>"}));
    let get = get.after(&committed()).has(&[("/gender", json!("M"))]);
    [nobody("Imports/GetUser"), vec![get]].concat()
}

fn deletions() -> Vec<Case> {
    let delete = case("one", "Imports/DeleteUser", json!({"userId": "<user>"}));
    let again = Call("able", "Imports/DeleteUser", json!({"userId": "<user>"}), &[]);
    let delete = delete.after(&committed()).has(&[("", json!({}))]);
    let again = case("again", "Imports/DeleteUser", json!({"userId": "<user>"}))
        .after(&[committed(), vec![again]].concat())
        .error(Code::NotFound, "USER_NOT_FOUND");
    [nobody("Imports/DeleteUser"), vec![delete, again]].concat()
}
