//! What each RPC can answer beside success, and a request to try it with.

use std::collections::BTreeMap;

use super::{coupons, dialogs, events, imports};
use crate::{
    auth::Route,
    reasons::{self, Entry, ROWS, Row},
};

/// What is known of an RPC beside the proto file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rpc {
    /// As in the access table.
    pub path: &'static str,
    /// The fields of a request that works, with the names of JSON.
    pub example: &'static str,
    /// The reasons that it can give itself, before its first frame if it streams; not those that come of the
    /// layers around it or of Envoy.
    pub reasons: &'static [&'static str],
    /// What it answers where that is a `google.api.HttpBody`, such as `image/svg+xml`.
    pub media: &'static [&'static str],
    /// The HTTP statuses of success.
    pub statuses: &'static [u16],
}

/// An RPC that answers with a message.
pub(super) const fn rpc(
    path: &'static str,
    example: &'static str,
    reasons: &'static [&'static str],
) -> Rpc {
    Rpc { path, example, reasons, media: &[], statuses: &[200] }
}

const RANGE: &str = r#"{"startDate": "2023-01-01", "endDate": "2023-12-22", "interval": "WEEK"}"#;

const TAG: &str = r#"{"uid": "newsletter-1"}"#;
const TAG_READ: &[&str] =
    &[reasons::INVALID_FIELDS, reasons::TAG_NOT_FOUND, reasons::STORE_UNAVAILABLE];
const KEY: &str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057"}"#;

/// Every RPC. A test walks the descriptor set and fails on one without a row.
pub(super) fn rpcs() -> impl Iterator<Item = &'static Rpc> {
    RPCS.iter().chain(events::RPCS).chain(coupons::RPCS).chain(dialogs::RPCS).chain(imports::RPCS)
}

const RPCS: &[Rpc] = &[
    rpc(
        "/tap.v1.TapAnalytics/QueryTaps",
        RANGE,
        &[
            reasons::INVALID_FIELDS,
            reasons::TAG_NOT_FOUND,
            reasons::STORE_UNAVAILABLE,
            reasons::QUERY_TOO_SLOW,
        ],
    ),
    rpc(
        "/tap.v1.TapAnalytics/RecordTaps",
        r#"{"taps": [{"tagUid": "newsletter-1", "country": "DE"}]}"#,
        &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE, reasons::TOO_BUSY],
    ),
    // By gRPC only.
    rpc("/tap.v1.TapAnalytics/IngestTaps", "{}", &[]),
    rpc(
        "/tap.v1.TapAnalytics/StreamTaps",
        r#"{"tagUids": ["newsletter-1"]}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::RESUME_TOKEN_EXPIRED,
            reasons::TAG_NOT_FOUND,
            reasons::TOO_MANY_STREAMS,
            reasons::STORE_UNAVAILABLE,
            reasons::QUERY_TOO_SLOW,
        ],
    ),
    rpc(
        "/tap.v1.TapAnalytics/WatchTaps",
        r#"{"query": {"startDate": "2023-01-01", "endDate": "2023-12-22", "interval": "WEEK"}}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::TAG_NOT_FOUND,
            reasons::TOO_MANY_STREAMS,
            reasons::STORE_UNAVAILABLE,
            reasons::QUERY_TOO_SLOW,
        ],
    ),
    rpc(
        "/tap.v1.Tags/CreateTag",
        r#"{"tag": {"uid": "door-7", "label": "Front door", "destinationUrl": "https://example.com/"}}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::TAG_EXISTS,
            reasons::REQUEST_ID_USED,
            reasons::TAG_LIMIT,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc(
        "/tap.v1.Tags/BatchCreateTags",
        r#"{"tags": [{"uid": "table-1", "kind": "QR"}, {"uid": "table-2", "kind": "QR"}], "skipExisting": true}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::TAG_EXISTS,
            reasons::REQUEST_ID_USED,
            reasons::TAG_LIMIT,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc("/tap.v1.Tags/GetTag", TAG, TAG_READ),
    rpc(
        "/tap.v1.Tags/ListTags",
        r#"{"text": "newsletter", "pageSize": 10}"#,
        &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE],
    ),
    rpc("/tap.v1.Tags/UpdateTag", r#"{"uid": "newsletter-1", "label": "Newsletter"}"#, TAG_READ),
    rpc("/tap.v1.Tags/ArchiveTag", TAG, TAG_READ),
    Rpc {
        media: &["image/svg+xml"],
        ..rpc(
            "/tap.v1.Tags/GetTagQrCode",
            TAG,
            &[
                reasons::INVALID_FIELDS,
                reasons::TAG_NOT_FOUND,
                reasons::PUBLIC_URL_UNKNOWN,
                reasons::STORE_UNAVAILABLE,
            ],
        )
    },
    rpc(
        "/tap.v1.ApiKeys/CreateApiKey",
        r#"{"name": "dashboard", "scopes": ["taps:read"]}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::MORE_THAN_CALLER,
            reasons::REQUEST_ID_USED,
            reasons::KEY_LIMIT,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc(
        "/tap.v1.ApiKeys/ListApiKeys",
        r#"{"includeEnded": true}"#,
        &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.ApiKeys/GetApiKey",
        KEY,
        &[reasons::INVALID_FIELDS, reasons::KEY_NOT_FOUND, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.ApiKeys/UpdateApiKey",
        r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "name": "dashboard of the shop"}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::KEY_NOT_FOUND,
            reasons::KEY_ENDED,
            reasons::MORE_THAN_CALLER,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc(
        "/tap.v1.ApiKeys/RotateApiKey",
        r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "overlap": "3600s"}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::KEY_NOT_FOUND,
            reasons::KEY_ENDED,
            reasons::MORE_THAN_CALLER,
            reasons::REQUEST_ID_USED,
            reasons::KEY_LIMIT,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc(
        "/tap.v1.ApiKeys/RevokeApiKey",
        KEY,
        &[reasons::INVALID_FIELDS, reasons::KEY_NOT_FOUND, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.ApiKeys/ListKeyEvents",
        "{}",
        &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.ApiKeys/IssueToken",
        r#"{"ttl": "600s"}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::SCOPE_MISSING,
            reasons::TAG_NOT_FOUND,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc("/tap.v1.ApiKeys/WhoAmI", "{}", &[]),
    rpc("/tap.v1.ApiKeys/GetQuota", "{}", &[]),
];

/// What a call looks like, as far as it decides which errors can come.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one for each question")]
pub(super) struct Shape {
    pub route: Route,
    pub has_path_parameters: bool,
    pub has_body: bool,
    /// Whether a body of another type is refused.
    pub json_only: bool,
    pub streams: bool,
}

/// The errors of a call, by HTTP status.
pub(super) type Errors = BTreeMap<u16, Vec<&'static Row>>;

/// Every error that a call can give: of the layers, of the RPC itself, of Envoy.
///
/// # Errors
/// The reason that is not in the table, or not as an error that JSON has.
pub(super) fn errors(shape: Shape, own: &[&'static str]) -> Result<Errors, &'static str> {
    let mut service = Vec::new();
    if shape.route != Route::Public {
        service.extend([
            reasons::API_KEY_MISSING,
            reasons::API_KEY_INVALID,
            reasons::API_KEY_EXPIRED,
            reasons::TOKEN_EXPIRED,
            reasons::TOO_MANY_WRONG_KEYS,
        ]);
    }
    if shape.route.scope().is_some() {
        service.push(reasons::SCOPE_MISSING);
    }
    if shape.route.class().is_some() {
        service.push(reasons::QUOTA_EXCEEDED);
    }
    // What a token lacks the scope for, as it only reads, it is refused for that.
    let beyond_tokens = match shape.route {
        Route::Own(_) => true,
        Route::Key(scope, _) => scope.reads(),
        _ => false,
    };
    if beyond_tokens {
        service.push(reasons::TOKEN_NOT_ENOUGH);
    }
    service.extend(own);
    if shape.has_body {
        service.push(reasons::REQUEST_TOO_LARGE);
    }
    service.push(reasons::INTERNAL);

    let mut envoy = vec![
        reasons::MALFORMED_REQUEST,
        reasons::REQUEST_TOO_SLOW,
        reasons::HEADERS_TOO_LARGE,
        reasons::SERVICE_UNAVAILABLE,
    ];
    if shape.has_path_parameters {
        // Such as for one that is empty.
        envoy.push(reasons::UNKNOWN_PATH);
    }
    if shape.has_body {
        envoy.push(reasons::REQUEST_TOO_LARGE);
    }
    if shape.has_body && shape.json_only {
        envoy.push(reasons::WRONG_CONTENT_TYPE);
    }
    if !shape.streams {
        envoy.push(reasons::DEADLINE_EXCEEDED);
    }

    let mut errors = Errors::new();
    for reason in service {
        let row = ROWS.iter().find_map(|row| match row.entry {
            Entry::Service { http: Some(http), .. } if row.reason == reason => Some((http, row)),
            _ => None,
        });
        let (http, row) = row.ok_or(reason)?;
        errors.entry(http).or_default().push(row);
    }
    for reason in envoy {
        let row = ROWS.iter().find_map(|row| match row.entry {
            Entry::Envoy { http, .. } if row.reason == reason => Some((http, row)),
            _ => None,
        });
        let (http, row) = row.ok_or(reason)?;
        errors.entry(http).or_default().push(row);
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use prost_reflect::{DescriptorPool, DynamicMessage};

    use super::*;
    use crate::proto::DESCRIPTORS;

    #[test]
    fn an_example_is_a_message_of_its_method() {
        let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
        for rpc in rpcs() {
            let (service, method) = rpc.path[1..].split_once('/').unwrap();
            let service = pool.get_service_by_name(service).unwrap();
            let method = service.methods().find(|known| known.name() == method).unwrap();
            let mut json = serde_json::Deserializer::from_str(rpc.example);
            // Names that are not known are refused.
            let read = DynamicMessage::deserialize(method.input(), &mut json);
            assert!(read.is_ok(), "the example of {}: {read:?}", rpc.path);
        }
    }
}
