//! What each RPC of events can answer beside success, and a request to try it with.

use super::answers::{Rpc, rpc};
use crate::reasons;

const SESSION: &str = r#"{"id": "01976c2e-5a3b-7c1d-9e2f-3a4b5c6d7e8f"}"#;
const EVENT: &str = r#"{"eventId": "01976c2f-1f00-7a11-8c22-4d5e6f708192"}"#;
/// That of an event that was taken.
const RECEIPT: &str = r#"{"id": "01976c2f-2b10-7d33-a044-5e6f708192a3"}"#;
const TYPE: &str = r#"{"category": "sign-up", "name": "plan chosen"}"#;

const LISTED: &[&str] = &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE];
const EVENT_CHANGED: &[&str] = &[
    reasons::INVALID_FIELDS,
    reasons::EVENT_NOT_FOUND,
    reasons::ETAG_MISMATCH,
    reasons::STORE_UNAVAILABLE,
];
const TYPE_READ: &[&str] =
    &[reasons::INVALID_FIELDS, reasons::EVENT_TYPE_NOT_FOUND, reasons::STORE_UNAVAILABLE];

pub(super) const RPCS: &[Rpc] = &[
    rpc(
        "/tap.v1.Events/CreateSession",
        SESSION,
        &[reasons::INVALID_FIELDS, reasons::SESSION_EXISTS, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.Events/GetSession",
        SESSION,
        &[reasons::INVALID_FIELDS, reasons::SESSION_NOT_FOUND, reasons::STORE_UNAVAILABLE],
    ),
    rpc("/tap.v1.Events/ListSessions", r#"{"pageSize": 10}"#, LISTED),
    // An event in each of its forms.
    rpc(
        "/tap.v1.Events/RecordEvents",
        r#"{"events": [
            {
                "event_id": "01976c2f-1f00-7a11-8c22-4d5e6f708192",
                "session_id": "01976c2e-5a3b-7c1d-9e2f-3a4b5c6d7e8f",
                "category": "sign-up",
                "name": "plan chosen",
                "occurred_at": "2025-06-14T09:15:27.243Z",
                "data": {"plan": "team", "seats": 5, "coupon": null}
            },
            {
                "session": {"id": "01976c2e-5a3b-7c1d-9e2f-3a4b5c6d7e8f"},
                "category": "page",
                "name": "viewed",
                "timestamp": "2025-06-14 09:15:02.243860",
                "data": {"path": "/pricing", "seconds": 24.5}
            }
        ]}"#,
        &[reasons::INVALID_FIELDS, reasons::EVENT_BACKLOG, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.Events/GetReceipt",
        RECEIPT,
        &[reasons::INVALID_FIELDS, reasons::RECEIPT_NOT_FOUND, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.Events/GetEvent",
        EVENT,
        &[reasons::INVALID_FIELDS, reasons::EVENT_NOT_FOUND, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.Events/ListEvents",
        r#"{"sessionId": "01976c2e-5a3b-7c1d-9e2f-3a4b5c6d7e8f", "order": "SESSION"}"#,
        LISTED,
    ),
    rpc(
        "/tap.v1.Events/QueryEvents",
        r#"{"startDate": "2025-06-01", "endDate": "2025-06-30", "interval": "DAY"}"#,
        &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE, reasons::QUERY_TOO_SLOW],
    ),
    rpc(
        "/tap.v1.Events/StreamEvents",
        r#"{"category": "sign-up"}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::RESUME_TOKEN_EXPIRED,
            reasons::TOO_MANY_STREAMS,
            reasons::STORE_UNAVAILABLE,
            reasons::QUERY_TOO_SLOW,
        ],
    ),
    rpc(
        "/tap.v1.Events/UpdateEvent",
        r#"{
            "eventId": "01976c2f-1f00-7a11-8c22-4d5e6f708192",
            "etag": "*",
            "data": {"plan": "team", "seats": 6},
            "updateMask": "data"
        }"#,
        EVENT_CHANGED,
    ),
    rpc(
        "/tap.v1.Events/ReplaceEvent",
        r#"{
            "eventId": "01976c2f-1f00-7a11-8c22-4d5e6f708192",
            "etag": "*",
            "sessionId": "01976c2e-5a3b-7c1d-9e2f-3a4b5c6d7e8f",
            "category": "sign-up",
            "name": "plan chosen",
            "data": {"plan": "solo", "seats": 1},
            "occurredAt": "2025-06-14T09:15:27.243Z"
        }"#,
        EVENT_CHANGED,
    ),
    rpc("/tap.v1.Events/DeleteEvent", EVENT, EVENT_CHANGED),
    rpc(
        "/tap.v1.Events/ListEventErrors",
        r#"{"filter": {"application": "shop", "state": "OPEN"}, "pageSize": 10}"#,
        LISTED,
    ),
    rpc(
        "/tap.v1.Events/GetEventError",
        RECEIPT,
        &[reasons::INVALID_FIELDS, reasons::EVENT_ERROR_NOT_FOUND, reasons::STORE_UNAVAILABLE],
    ),
    rpc("/tap.v1.Events/GroupEventErrors", r#"{"filter": {"state": "OPEN"}, "limit": 10}"#, LISTED),
    rpc(
        "/tap.v1.Events/ReplayEventErrors",
        r#"{
            "filter": {"field": "data.plan"},
            "patch": {
                "set": {"data.plan": "team", "data.trial": {"days": 14}},
                "remove": ["data.coupon"],
                "sessions": {
                    "01976c2e-0000-7000-8000-000000000000": "01976c2e-5a3b-7c1d-9e2f-3a4b5c6d7e8f"
                }
            },
            "validateOnly": true
        }"#,
        &[reasons::INVALID_FIELDS, reasons::REQUEST_ID_USED, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.Events/PutEventType",
        r#"{
            "category": "sign-up",
            "name": "plan chosen",
            "schema": {
                "type": "object",
                "properties": {
                    "plan": {"enum": ["solo", "team"]},
                    "seats": {"type": "integer", "minimum": 1}
                },
                "required": ["plan"]
            }
        }"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::ETAG_MISMATCH,
            reasons::EVENT_TYPE_LIMIT,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc("/tap.v1.Events/GetEventType", TYPE, TYPE_READ),
    rpc("/tap.v1.Events/ListEventTypes", r#"{"category": "sign-up"}"#, LISTED),
    rpc("/tap.v1.Events/DeleteEventType", TYPE, TYPE_READ),
    rpc("/tap.v1.Events/GetIngestLedger", r#"{"pageSize": 60}"#, LISTED),
    rpc("/tap.v1.Events/GetEventSettings", "{}", &[reasons::STORE_UNAVAILABLE]),
    rpc(
        "/tap.v1.Events/UpdateEventSettings",
        r#"{"unknownTypes": "ACCEPT", "unknownSessions": "CREATE"}"#,
        LISTED,
    ),
];
