//! What each RPC of imports can answer beside success, and a request to try it with.

use super::{
    answers::{Rpc, rpc},
    files::XLSX,
};
use crate::reasons;

const IMPORT: &str = r#"{"importId": "01890a5d-ac96-774b-bcce-b302099a8057"}"#;
const USER: &str = r#"{"userId": "01890a5d-ac96-774b-bcce-b302099a8057"}"#;
const LISTED: &[&str] = &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE];
const FOUND: &[&str] =
    &[reasons::INVALID_FIELDS, reasons::IMPORT_NOT_FOUND, reasons::STORE_UNAVAILABLE];
const OF_USER: &[&str] =
    &[reasons::INVALID_FIELDS, reasons::USER_NOT_FOUND, reasons::STORE_UNAVAILABLE];

pub(super) const RPCS: &[Rpc] = &[
    Rpc {
        statuses: &[201],
        ..rpc(
            "/tap.v1.Imports/UploadImport",
            r#"{"kind": "USERS", "filename": "users.csv"}"#,
            &[
                reasons::INVALID_FIELDS,
                reasons::IMPORT_LIMIT,
                reasons::IMPORT_MEMORY,
                reasons::IMPORT_TOO_LARGE,
            ],
        )
    },
    rpc("/tap.v1.Imports/GetImport", IMPORT, FOUND),
    rpc("/tap.v1.Imports/ListImports", r#"{"pageSize": 10}"#, LISTED),
    rpc(
        "/tap.v1.Imports/WatchImport",
        IMPORT,
        &[
            reasons::INVALID_FIELDS,
            reasons::IMPORT_NOT_FOUND,
            reasons::TOO_MANY_STREAMS,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc(
        "/tap.v1.Imports/ListImportRows",
        r#"{"importId": "01890a5d-ac96-774b-bcce-b302099a8057", "status": "INVALID", "pageSize": 10}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::IMPORT_NOT_FOUND,
            reasons::IMPORT_STATE,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc(
        "/tap.v1.Imports/PatchImportRow",
        r#"{
            "importId": "01890a5d-ac96-774b-bcce-b302099a8057",
            "row": 2,
            "cells": {"phone": "0785576983"}
        }"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::IMPORT_NOT_FOUND,
            reasons::ROW_NOT_FOUND,
            reasons::IMPORT_STATE,
            reasons::ETAG_MISMATCH,
            reasons::IMPORT_MEMORY,
            reasons::IMPORT_TOO_LARGE,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    Rpc {
        media: &[XLSX, "text/csv; charset=utf-8"],
        ..rpc(
            "/tap.v1.Imports/GetImportReport",
            r#"{"importId": "01890a5d-ac96-774b-bcce-b302099a8057", "file": "report.csv"}"#,
            &[
                reasons::INVALID_FIELDS,
                reasons::IMPORT_NOT_FOUND,
                reasons::REPORT_NOT_FOUND,
                reasons::IMPORT_STATE,
                reasons::STORE_UNAVAILABLE,
            ],
        )
    },
    rpc(
        "/tap.v1.Imports/CommitImport",
        r#"{
            "importId": "01890a5d-ac96-774b-bcce-b302099a8057",
            "validateOnly": true
        }"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::IMPORT_NOT_FOUND,
            reasons::IMPORT_STATE,
            reasons::IMPORT_BAD_ROWS,
            reasons::ETAG_MISMATCH,
            reasons::REQUEST_ID_USED,
            reasons::USER_LIMIT,
            reasons::TAG_LIMIT,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc(
        "/tap.v1.Imports/CancelImport",
        IMPORT,
        &[
            reasons::INVALID_FIELDS,
            reasons::IMPORT_NOT_FOUND,
            reasons::IMPORT_STATE,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc("/tap.v1.Imports/ListUsers", r#"{"text": "Uwase", "pageSize": 10}"#, LISTED),
    rpc("/tap.v1.Imports/GetUser", USER, OF_USER),
    Rpc { statuses: &[204], ..rpc("/tap.v1.Imports/DeleteUser", USER, OF_USER) },
];
