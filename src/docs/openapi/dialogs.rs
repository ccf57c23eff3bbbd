//! What each RPC of dialogs can answer beside success, and a request to try it with.

use super::answers::{Rpc, rpc};
use crate::reasons;

const READ: &[&str] = &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE];
const DECIDED: &[&str] = &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE, reasons::TOO_BUSY];

pub(super) const RPCS: &[Rpc] = &[
    rpc(
        "/tap.v1.Dialogs/RecordMessage",
        r#"{
            "customerId": "guest-4711",
            "dialogId": "dialog-1",
            "text": "Which cake is without nuts?",
            "language": "EN"
        }"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::PENDING_LIMIT,
            reasons::REQUEST_ID_USED,
            reasons::STORE_UNAVAILABLE,
            reasons::TOO_BUSY,
        ],
    ),
    rpc("/tap.v1.Dialogs/SetConsent", r#"{"dialogId": "dialog-1", "body": true}"#, DECIDED),
    rpc("/tap.v1.Dialogs/WithdrawConsent", r#"{"dialogId": "dialog-2"}"#, DECIDED),
    rpc("/tap.v1.Dialogs/ListMessages", r#"{"language": "en", "after": "2026-01-01"}"#, READ),
    rpc("/tap.v1.Dialogs/ListConsents", r#"{"dialogId": "dialog-1"}"#, READ),
    rpc(
        "/tap.v1.Dialogs/EraseCustomer",
        r#"{"customerId": "guest-4712", "validateOnly": true}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::REQUEST_ID_USED,
            reasons::STORE_UNAVAILABLE,
            reasons::TOO_BUSY,
        ],
    ),
    rpc("/tap.v1.Dialogs/ExportCustomer", r#"{"customerId": "guest-4711"}"#, READ),
    rpc("/tap.v1.Dialogs/ListErasures", "{}", READ),
    rpc("/tap.v1.Dialogs/GetDialogSettings", "{}", &[reasons::STORE_UNAVAILABLE]),
    rpc(
        "/tap.v1.Dialogs/UpdateDialogSettings",
        r#"{
            "purpose": "To answer better",
            "policyVersion": "2026-11",
            "redactAfterDays": 30,
            "deleteAfterDays": 365
        }"#,
        READ,
    ),
];
