//! The calls that every wire has to give the same outcome for.

use serde_json::{Value, json};
use tap_analytics::access::model::Scope;
use tonic::Code;

use super::{Case, Otherwise, case};
use crate::app::{
    rpcs::Rpc,
    scenes::{
        By,
        Step::{self, Call, Open, Signed, Sql},
    },
};

pub(super) const NOBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
pub(super) const REQUEST: &str = "5d1d2e4c-5f0a-4f6e-9d0b-6a1f0c9a7b11";

/// What is empty cannot be in a path.
pub(super) const EMPTY: Otherwise = Otherwise { in_queries_only: false, reason: "UNKNOWN_PATH" };
/// In a body Envoy lets through a number that is none of an enum, in a query it does not.
pub(super) const IN_QUERY: Otherwise =
    Otherwise { in_queries_only: true, reason: "MALFORMED_REQUEST" };

/// Errors that are not made here, and where they are.
pub const ELSEWHERE: &[(&str, &str)] = &[
    ("STORE_UNAVAILABLE", "below: it needs a store that is down"),
    ("QUOTA_EXCEEDED", "here for queries, below for changes, and in src/limits.rs for each class"),
    ("MALFORMED_REQUEST", "below: Envoy makes it of JSON, the service of bytes"),
    ("UNKNOWN_PATH", "here, where a path is empty by JSON, and in envoy.rs: Envoy makes it"),
    ("TOO_MANY_WRONG_KEYS", "guessing.rs: it is not of a call, but of an address"),
    ("REQUEST_TOO_LARGE", "envoy.rs, record.rs"),
    ("HEADERS_TOO_LARGE", "envoy.rs: Envoy makes it"),
    ("REQUEST_TOO_SLOW", "envoy.rs: Envoy makes it"),
    ("DEADLINE_EXCEEDED", "envoy.rs: Envoy makes it"),
    ("SERVICE_UNAVAILABLE", "envoy.rs: Envoy makes it"),
    ("QUERY_TOO_SLOW", "faults.rs: it needs a store that is slow"),
    ("TOO_BUSY", "record.rs: it needs a store that is slow"),
    ("PUBLIC_URL_UNKNOWN", "qr.rs: it needs an address that makes no sense"),
    ("CODES_USED_UP", "coupons/: it needs many codes"),
    ("IMPORT_MEMORY", "imports/: it needs large files"),
    ("IMPORT_TOO_LARGE", "imports/: it needs a large file"),
    ("IMPORT_LIMIT", "imports/: it needs many files"),
    (
        "IMPORT_STATE",
        "here; and of an import that is being committed in imports/, as it is no longer soon",
    ),
    ("WRONG_CONTENT_TYPE", "coupon_json.rs: Envoy makes it"),
    ("INTERNAL", "it needs a bug"),
];

/// A request that is in order, as far as a call can be refused before it is looked at.
pub fn sample(rpc: &Rpc) -> Value {
    let day = || json!({"startDate": "2023-03-26", "endDate": "2023-03-26", "interval": "DAY"});
    match rpc.name().as_str() {
        "TapAnalytics/QueryTaps" => day(),
        "TapAnalytics/WatchTaps" => json!({"query": day()}),
        "TapAnalytics/RecordTaps" => json!({"taps": [{"tagUid": "a"}]}),
        "TapAnalytics/IngestTaps" => json!({"sequence": 5, "taps": [{"tagUid": "a"}]}),
        "TapAnalytics/StreamTaps"
        | "ApiKeys/ListApiKeys"
        | "ApiKeys/ListKeyEvents"
        | "ApiKeys/IssueToken"
        | "ApiKeys/WhoAmI"
        | "ApiKeys/GetQuota"
        | "Tags/ListTags" => json!({}),
        "ApiKeys/CreateApiKey" => json!({"name": "a", "scopes": ["taps:read"]}),
        "ApiKeys/UpdateApiKey" => json!({"id": NOBODY, "name": "b"}),
        "ApiKeys/GetApiKey" | "ApiKeys/RotateApiKey" | "ApiKeys/RevokeApiKey" => {
            json!({"id": NOBODY})
        }
        "Tags/CreateTag" => json!({"tag": {"uid": "new"}}),
        "Tags/BatchCreateTags" => json!({"tags": [{"uid": "new"}]}),
        "Tags/UpdateTag" => json!({"uid": "nobodys", "label": "b"}),
        "Tags/GetTag" | "Tags/ArchiveTag" | "Tags/GetTagQrCode" => json!({"uid": "nobodys"}),
        name => {
            let of_events = name.strip_prefix("Events/").and_then(super::events::sample);
            let of_coupons = name.strip_prefix("Coupons/").and_then(super::coupons::sample);
            let of_dialogs = name.strip_prefix("Dialogs/").and_then(super::dialogs::sample);
            let of_imports = name.strip_prefix("Imports/").and_then(super::imports::sample);
            let sample = of_events.or(of_coupons).or(of_dialogs).or(of_imports);
            sample.unwrap_or_else(|| panic!("there is no sample of {name}"))
        }
    }
}

/// A query of one day.
fn day(more: Value) -> Value {
    query("2023-03-26", "2023-03-26", "DAY", more)
}

fn query(start: &str, end: &str, interval: &str, more: Value) -> Value {
    let mut query = json!({"startDate": start, "endDate": end, "interval": interval});
    let Value::Object(more) = more else { panic!("{more}") };
    query.as_object_mut().unwrap().extend(more);
    query
}

/// Makes a key of this name with these scopes and more; it and its id are known then.
fn create(more: Value, learned: &'static [(&str, &str)]) -> Step {
    let mut request = json!({"name": "made", "scopes": ["taps:read"]});
    let Value::Object(more) = more else { panic!("{more}") };
    request.as_object_mut().unwrap().extend(more);
    Call("able", "ApiKeys/CreateApiKey", request, learned)
}

/// A key that has used its one query.
fn poor() -> Vec<Step> {
    vec![
        create(json!({"queriesPerHour": 1}), &[("poor", "/key")]),
        Call("poor", "TapAnalytics/QueryTaps", day(json!({})), &[]),
    ]
}

/// A token that is limited to the tag `a`.
fn limited() -> Step {
    Call("able", "ApiKeys/IssueToken", json!({"tagUids": ["a"]}), &[("of a", "/token")])
}

/// Takes `key` out, which has ended then.
fn revoke(key: &str) -> Step {
    Call("able", "ApiKeys/RevokeApiKey", json!({"id": key}), &[])
}

pub fn taps() -> Vec<Case> {
    [good_queries(), bad_queries(), recordings(), streams(), watches()].concat()
}

fn good_queries() -> Vec<Case> {
    let good = |name: &str, request: Value| case(name, "TapAnalytics/QueryTaps", request);
    let hours = |by| query("2023-03-25", "2023-03-27", "HOUR", json!({"groupBy": by}));
    let zone = json!({"timeZone": "Australia/Lord_Howe", "weekStart": "SUNDAY"});
    vec![
        good("a week", query("2023-01-01", "2023-12-22", "WEEK", json!({})))
            .has(&[("/total", json!(6.0))]),
        good(
            "minutes",
            query("2023-03-26T00:59:30Z", "2023-03-26T02:00:30+01:00", "MINUTE", json!({})),
        )
        .has(&[("/total", json!(4.0))]),
        good("a zone", query("2023-04-01", "2023-04-03", "HOUR", zone)),
        good("tags", day(json!({"tagUids": ["a", "9007199254740993"]})))
            .has(&[("/total", json!(4.0))]),
        good("by tag", hours("TAG")).has(&[("/groups/1/key", json!("9007199254740993"))]),
        good("by kind", hours("KIND")).has(&[("/groups/0/key", json!("nfc"))]),
        good("by hour of the week", hours("HOUR_OF_WEEK")),
        good("compared", day(json!({"compare": "PREVIOUS_PERIOD"})))
            .has(&[("/comparison/total", json!(2.0))]),
        good("compared with nothing", day(json!({"compare": "PREVIOUS_YEAR"}))),
        good("as a bearer", day(json!({}))).by(By::Bearer("able")),
        good("by a token", day(json!({})))
            .after(&[limited()])
            .by(By::Bearer("of a"))
            .has(&[("/total", json!(2.0)), ("/query/tagUids", json!(["a"]))]),
        good("the last one of a quota", day(json!({})))
            .after(&[create(json!({"queriesPerHour": 1}), &[("poor", "/key")])])
            .by(By::Key("poor")),
    ]
}

fn bad_queries() -> Vec<Case> {
    let bad = |name: &str, request: Value| case(name, "TapAnalytics/QueryTaps", request);
    let zone = json!({"timeZone": "Mars/Olympus\n\""});
    let numbers = json!({
        "interval": 77, "groupBy": 78, "compare": 79, "weekStart": 80, "limit": -1, "include": [81],
    });
    vec![
        bad("empty", json!({})).fields(&[("start_date", "REQUIRED"), ("end_date", "REQUIRED")]),
        bad("bad date", query("2023-02-30", "yesterday", "DAY", json!({})))
            .fields(&[("start_date", "MALFORMED_DATE"), ("end_date", "MALFORMED_DATE")]),
        bad("bad zone", day(zone)).fields(&[("time_zone", "UNKNOWN_TIME_ZONE")]),
        bad("backwards", query("2023-02-01", "2023-01-01", "DAY", json!({})))
            .fields(&[("end_date", "END_NOT_AFTER_START")]),
        bad("too many buckets", query("2000-01-01", "2023-01-01", "MINUTE", json!({})))
            .fields(&[("interval", "TOO_MANY_BUCKETS")]),
        bad("unknown numbers", day(numbers))
            .fields(&[
                ("interval", "UNKNOWN_VALUE"),
                ("week_start", "UNKNOWN_VALUE"),
                ("limit", "NEGATIVE"),
                ("group_by", "UNKNOWN_VALUE"),
                ("compare", "UNKNOWN_VALUE"),
                ("include[0]", "UNKNOWN_VALUE"),
            ])
            .otherwise_by(IN_QUERY),
        bad("unknown tag", day(json!({"tagUids": ["unknown"]})))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        bad("a tag that a token does not have", day(json!({"tagUids": ["9007199254740993"]})))
            .after(&[limited()])
            .by(By::Key("of a"))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        bad("bad tag", day(json!({"tagUids": ["ün\u{0}known"]})))
            .fields(&[("tag_uids[0]", "MALFORMED_TAG_UID")]),
        bad("over quota", day(json!({})))
            .after(&poor())
            .by(By::Key("poor"))
            .error(Code::ResourceExhausted, "QUOTA_EXCEEDED"),
    ]
}

fn recordings() -> Vec<Case> {
    let record = |name: &str, request: Value| case(name, "TapAnalytics/RecordTaps", request);
    let known = json!({"tagUid": "a", "tapId": REQUEST, "tappedAt": "2023-04-01T12:00:00.5+02:00"});
    let full = json!({
        "tagUid": "9007199254740993", "tapId": NOBODY, "tappedAt": "2023-04-01T12:00:00Z",
        "count": 3, "kind": "QR", "country": "DE", "device": "\"ios\"\\ \u{2028} 🦀",
        "attributes": {"data: x": "table 7"},
    });
    let bad = json!({
        "tapId": "x", "tappedAt": "now", "count": 0, "kind": 9, "country": "de",
        "device": "x".repeat(65), "attributes": {"": "\u{7}"},
    });
    let all = json!([known, full, known, bad, {"tagUid": "archived"}, {"tagUid": "nobodys"}]);
    let many: Vec<Value> = (0..5_001).map(|_| json!({})).collect();
    vec![
        record("good ones and bad ones", json!({"taps": all}))
            .after(&[
                Call("able", "TapAnalytics/RecordTaps", json!({"taps": [known]}), &[]),
                // What is received at the very same time is taken for a part of the same call.
                Sql(
                    "update taps set received_at = received_at - interval '1 s' where team_id = $1",
                ),
            ])
            .has(&[
                ("/accepted", json!(1.0)),
                ("/duplicates", json!(2.0)),
                ("/rejected/0/violations/7/reason", json!("REQUIRED")),
                ("/rejected/2/violations/0/reason", json!("UNKNOWN_TAG")),
            ]),
        record("nothing", json!({})).fields(&[("taps", "REQUIRED")]),
        record("too many", json!({"taps": many})).fields(&[("taps", "TOO_MANY_TAPS")]),
        // By gRPC only: there is nothing to compare it with.
        case("a batch", "TapAnalytics/IngestTaps", json!({"sequence": 5, "taps": [known]}))
            .has(&[("/sequence", json!("5")), ("/accepted", json!(1.0))]),
    ]
}

fn streams() -> Vec<Case> {
    let stream = |name: &str, request: Value| case(name, "TapAnalytics/StreamTaps", request);
    let known = json!({"tagUid": "a", "tapId": REQUEST, "tappedAt": "2023-04-01T12:00:00Z"});
    let record =
        |learned| Call("able", "TapAnalytics/RecordTaps", json!({"taps": [known]}), learned);
    let other =
        json!({"tagUid": "9007199254740993", "tapId": NOBODY, "tappedAt": "2023-04-01T12:00:00Z"});
    let other = Call("able", "TapAnalytics/RecordTaps", json!({"taps": [other]}), &[]);
    let answer =
        Call("able", "TapAnalytics/QueryTaps", day(json!({})), &[("before", "/resumeToken")]);
    let resumed = json!({"resumeToken": "<before>", "tagUids": ["a"]});
    let gone = Sql("update teams set replay_after = revision where team_id = $1");
    vec![
        stream("from now on", json!({})).has(&[("/hello/heartbeatSeconds", json!(15))]),
        stream("by a limited token", json!({})).after(&[limited()]).by(By::Bearer("of a")),
        stream("from a token on", resumed.clone())
            .after(&[answer.clone(), other.clone(), record(&[])])
            .frames(2)
            .has(&[("/tap/tapId", json!(REQUEST)), ("/tap/tagLabel", json!("Label of a"))]),
        stream("resumed with nothing left of the quota", resumed.clone())
            .after(&[poor(), vec![answer.clone()]].concat())
            .by(By::Key("poor")),
        stream("bad fields", json!({"resumeToken": "x"}))
            .fields(&[("resume_token", "MALFORMED_RESUME_TOKEN")]),
        stream("more bad fields", json!({"tagUids": ["a", "b d", ""], "resumeToken": "x"}))
            .fields(&[("tag_uids[1]", "MALFORMED_TAG_UID"), ("tag_uids[2]", "MALFORMED_TAG_UID")]),
        stream("an unknown number", json!({"include": [0, 9]}))
            .fields(&[("include[1]", "UNKNOWN_VALUE")])
            .otherwise_by(IN_QUERY),
        stream("unknown tag", json!({"tagUids": ["a", "nobodys"]}))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        stream("what is gone", resumed)
            .after(&[answer, record(&[]), gone])
            .error(Code::OutOfRange, "RESUME_TOKEN_EXPIRED"),
        stream("over quota", json!({}))
            .after(&poor())
            .by(By::Key("poor"))
            .error(Code::ResourceExhausted, "QUOTA_EXCEEDED"),
        stream("one too many", json!({}))
            .after(&[Open("able", 100)])
            .error(Code::ResourceExhausted, "TOO_MANY_STREAMS"),
    ]
}

fn watches() -> Vec<Case> {
    let watch = |name: &str, request: Value| case(name, "TapAnalytics/WatchTaps", request);
    let all = json!({"groupBy": "TAG", "limit": 1, "compare": "PREVIOUS_PERIOD"});
    vec![
        watch("an answer", json!({"query": day(all)}))
            .has(&[("/answer/total", json!(4.0)), ("/answer/groups/1/other", json!(true))]),
        watch("by a limited token", json!({"query": day(json!({}))}))
            .after(&[limited()])
            .by(By::Key("of a"))
            .has(&[("/answer/total", json!(2.0))]),
        watch("nothing", json!({}))
            .fields(&[("start_date", "REQUIRED"), ("end_date", "REQUIRED")]),
        watch("bad fields", json!({"query": query("x", "2023-01-01", "DAY", json!({"limit": -1, "groupBy": "TAG"}))}))
            .fields(&[("start_date", "MALFORMED_DATE"), ("limit", "NEGATIVE")]),
        watch("bad token", json!({"query": day(json!({})), "resumeToken": "x"}))
            .fields(&[("resume_token", "MALFORMED_RESUME_TOKEN")]),
        watch("unknown tag", json!({"query": day(json!({"tagUids": ["nobodys"]}))}))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        watch("over quota", json!({"query": day(json!({}))}))
            .after(&poor())
            .by(By::Key("poor"))
            .error(Code::ResourceExhausted, "QUOTA_EXCEEDED"),
        watch("one too many", json!({"query": day(json!({}))}))
            .after(&[Open("able", 100)])
            .error(Code::ResourceExhausted, "TOO_MANY_STREAMS"),
    ]
}

pub fn tags() -> Vec<Case> {
    [new_tags(), batches_of_tags(), looks_at_tags(), changes_of_tags()].concat()
}

fn new_tags() -> Vec<Case> {
    let new = |name: &str, request: Value| case(name, "Tags/CreateTag", request);
    let full = json!({
        "tag": {
            "uid": "04:A2:3F", "label": "Ümläut ☕", "kind": "QR",
            "destinationUrl": "https://shop.example/?a=b&c=%20d#e",
        },
        "requestId": REQUEST,
    });
    let bad = json!({
        "tag": {
            "uid": "a b", "label": "x\u{7}", "kind": 9, "destinationUrl": "https://a:b@shop.example/",
        },
        "requestId": "x",
    });
    vec![
        new("with nothing else said", json!({"tag": {"uid": "new"}})).has(&[
            ("/tag/kind", json!("NFC")),
            ("/tag/tapUrl", json!("https://taps.example/t/<team>/new")),
        ]),
        new("with everything", full.clone())
            .has(&[("/tag/destinationUrl", json!("https://shop.example/?a=b&c=%20d#e"))]),
        new("again", full.clone())
            .after(&[Call("able", "Tags/CreateTag", full.clone(), &[])])
            .has(&[("/tag/uid", json!("04:A2:3F"))]),
        new("another request of that id", json!({"tag": {"uid": "b"}, "requestId": REQUEST}))
            .after(&[Call("able", "Tags/CreateTag", full, &[])])
            .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        new("one that there is", json!({"tag": {"uid": "a"}}))
            .error(Code::AlreadyExists, "TAG_EXISTS"),
        new("nothing", json!({})).fields(&[("tag", "REQUIRED")]),
        new("bad fields", bad).fields(&[
            ("tag.uid", "MALFORMED_TAG_UID"),
            ("tag.label", "MALFORMED_TEXT"),
            ("tag.kind", "UNKNOWN_VALUE"),
            ("tag.destination_url", "CREDENTIALS_IN_URL"),
            ("request_id", "MALFORMED_UUID"),
        ]),
        new("one too many", json!({"tag": {"uid": "new"}}))
            .after(&[Call(
                "able",
                "Tags/BatchCreateTags",
                json!({"tags": [{"uid": "1"}, {"uid": "2"}, {"uid": "3"}]}),
                &[],
            )])
            .error(Code::ResourceExhausted, "TAG_LIMIT"),
    ]
}

fn batches_of_tags() -> Vec<Case> {
    let batch = |name: &str, request: Value| case(name, "Tags/BatchCreateTags", request);
    let good = json!({"tags": [{"uid": "new", "kind": "LINK"}, {"uid": "a"}], "skipExisting": true, "requestId": REQUEST});
    let bad: Vec<Value> = (0..40).map(|_| json!({})).collect();
    let named = (0..20).map(|nth| (format!("tags[{nth}].uid").leak() as &str, "REQUIRED"));
    let named: Vec<_> = named.chain([("tags", "MORE_VIOLATIONS")]).collect();
    let many: Vec<Value> = (0..1_001).map(|nth| json!({"uid": nth.to_string()})).collect();
    vec![
        batch("new ones and old ones", good.clone())
            .has(&[("/tags/0/uid", json!("new")), ("/existingUids", json!(["a"]))]),
        batch("again", good.clone())
            .after(&[Call("able", "Tags/BatchCreateTags", good.clone(), &[])])
            .has(&[("/tags/0/uid", json!("new"))]),
        batch("another request of that id", json!({"tags": [{"uid": "b"}], "requestId": REQUEST}))
            .after(&[Call("able", "Tags/BatchCreateTags", good, &[])])
            .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        batch("one that there is", json!({"tags": [{"uid": "new"}, {"uid": "a"}]}))
            .error(Code::AlreadyExists, "TAG_EXISTS"),
        batch("nothing", json!({})).fields(&[("tags", "REQUIRED")]),
        batch(
            "bad fields",
            json!({"tags": [{"uid": "x"}, {"uid": "x"}, {"uid": ".."}], "requestId": "x"}),
        )
        .fields(&[
            ("request_id", "MALFORMED_UUID"),
            ("tags[1].uid", "DUPLICATE_TAG"),
            ("tags[2].uid", "MALFORMED_TAG_UID"),
        ]),
        batch("more bad fields than are named", json!({"tags": bad})).fields(&named),
        batch("too many", json!({"tags": many})).fields(&[("tags", "TOO_MANY_TAGS")]),
        batch(
            "more than the team may have",
            json!({"tags": [{"uid": "1"}, {"uid": "2"}, {"uid": "3"}, {"uid": "4"}]}),
        )
        .error(Code::ResourceExhausted, "TAG_LIMIT"),
    ]
}

/// A tag whose uid has to be escaped in a path.
fn colons() -> Step {
    Call("able", "Tags/CreateTag", json!({"tag": {"uid": "04:A2:3F", "label": "Tür"}}), &[])
}

fn looks_at_tags() -> Vec<Case> {
    let get = |name: &str, request: Value| case(name, "Tags/GetTag", request);
    let list = |name: &str, request: Value| case(name, "Tags/ListTags", request);
    let code = |name: &str, request: Value| case(name, "Tags/GetTagQrCode", request);
    let first =
        Call("able", "Tags/ListTags", json!({"pageSize": 1}), &[("page", "/nextPageToken")]);
    vec![
        get("one", json!({"uid": "a"})).has(&[("/tag/createdAt", json!("2023-01-01T00:00:00Z"))]),
        get("one with colons", json!({"uid": "04:A2:3F"}))
            .after(&[colons()])
            .has(&[("/tag/label", json!("Tür"))]),
        get("an archived one", json!({"uid": "archived"}))
            .has(&[("/tag/archivedAt", json!("2023-06-01T00:00:00Z"))]),
        get("nobody's", json!({"uid": "nobodys"})).error(Code::NotFound, "TAG_NOT_FOUND"),
        get("no uid", json!({"uid": "a b/c%25"})).fields(&[("uid", "MALFORMED_TAG_UID")]),
        get("nothing", json!({})).fields(&[("uid", "REQUIRED")]).otherwise_by(EMPTY),
        list("those in use", json!({}))
            .has(&[("/tags/0/uid", json!("9007199254740993")), ("/tags/1/uid", json!("a"))]),
        list("some", json!({"text": "label OF a", "kind": "NFC", "state": "ANY"}))
            .has(&[("/tags/0/uid", json!("a")), ("/tags/1/uid", json!("archived"))]),
        list("archived ones", json!({"state": "ARCHIVED"}))
            .has(&[("/tags/0/uid", json!("archived"))]),
        list("a page", json!({"pageSize": 1}))
            .has(&[("/nextPageToken", json!("after 9007199254740993"))]),
        list("the next page", json!({"pageSize": 1, "pageToken": "<page>"}))
            .after(std::slice::from_ref(&first))
            .has(&[("/tags/0/uid", json!("a"))]),
        list(
            "the token of another question",
            json!({"pageToken": "<page>", "text": "a", "pageSize": -1}),
        )
        .after(&[first])
        .fields(&[("page_token", "MALFORMED_PAGE_TOKEN"), ("page_size", "NEGATIVE")]),
        list("unknown numbers", json!({"kind": 9, "state": 9}))
            .fields(&[("kind", "UNKNOWN_VALUE"), ("state", "UNKNOWN_VALUE")])
            .otherwise_by(IN_QUERY),
        code("of a tag", json!({"uid": "a"})).has(&[("/contentType", json!("image/svg+xml"))]),
        code("of one with colons", json!({"uid": "04:A2:3F"})).after(&[colons()]),
        code("of nobody's", json!({"uid": "nobodys"})).error(Code::NotFound, "TAG_NOT_FOUND"),
        code("of no uid", json!({"uid": "a b"})).fields(&[("uid", "MALFORMED_TAG_UID")]),
    ]
}

fn changes_of_tags() -> Vec<Case> {
    let change = |name: &str, request: Value| case(name, "Tags/UpdateTag", request);
    let archive = |name: &str, request: Value| case(name, "Tags/ArchiveTag", request);
    let bad = json!({
        "uid": "a b", "label": "x".repeat(201), "kind": 9, "destinationUrl": "javascript:alert(1)",
        "updateMask": "label,kind,destinationUrl,uid,tapUrl",
    });
    vec![
        change("whatever is set", json!({"uid": "a", "label": "", "kind": "QR", "archived": true}))
            .has(&[("/tag/kind", json!("QR"))]),
        change(
            "what the mask names",
            json!({"uid": "a", "label": "b", "updateMask": "destinationUrl,archived"}),
        )
        .has(&[("/tag/label", json!("Label of a"))]),
        change(
            "one with colons",
            json!({"uid": "04:A2:3F", "destinationUrl": "https://shop.example"}),
        )
        .after(&[colons()])
        .has(&[("/tag/destinationUrl", json!("https://shop.example/"))]),
        change("nothing", json!({"uid": "a"})).fields(&[("update_mask", "NOTHING_TO_CHANGE")]),
        change("bad fields", bad).fields(&[
            ("uid", "MALFORMED_TAG_UID"),
            ("update_mask", "IMMUTABLE_FIELD"),
            ("update_mask", "UNKNOWN_FIELD"),
            ("label", "TOO_LONG"),
            ("kind", "UNKNOWN_VALUE"),
            ("destination_url", "MALFORMED_URL"),
        ]),
        change("nobody's", json!({"uid": "nobodys", "label": "b"}))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        archive("one", json!({"uid": "a"})).has(&[("/tag/label", json!("Label of a"))]),
        archive("one with colons", json!({"uid": "04:A2:3F"})).after(&[colons()]),
        archive("an archived one", json!({"uid": "archived"}))
            .has(&[("/tag/archivedAt", json!("2023-06-01T00:00:00Z"))]),
        archive("nobody's", json!({"uid": "nobodys"})).error(Code::NotFound, "TAG_NOT_FOUND"),
        archive("no uid", json!({"uid": "a b"})).fields(&[("uid", "MALFORMED_TAG_UID")]),
    ]
}

pub fn api_keys() -> Vec<Case> {
    let all = [
        creations(),
        bad_creations(),
        lists(),
        changes(),
        rotations(),
        ends(),
        events(),
        tokens(),
        own(),
        full(),
    ];
    all.concat()
}

/// Makes a key `weak` that may make keys, with little to give.
fn weak() -> Step {
    create(
        json!({"scopes": ["taps:read", "keys:manage"], "queriesPerHour": 5, "ttl": "3600s"}),
        &[("weak", "/key"), ("weak.id", "/apiKey/id")],
    )
}

fn creations() -> Vec<Case> {
    let new = |name: &str, request: Value| case(name, "ApiKeys/CreateApiKey", request);
    let made = |name: &str, request: Value| {
        new(name, request).by_chance(&["key", "apiKey.id", "apiKey.prefix"])
    };
    let full = json!({
        "name": "Ümläut ☕", "scopes": ["taps:read", "keys:manage"], "queriesPerHour": 7,
        "expiresAt": "2099-01-01T01:00:00.123456789+01:00", "requestId": REQUEST,
    });
    vec![
        made("with nothing else said", json!({"name": "a", "scopes": ["taps:write"]})).has(&[
            ("/apiKey/queriesPerHour", json!(100)),
            ("/apiKey/createdBy", json!("<able.id>")),
        ]),
        made("with everything", full.clone())
            .has(&[("/apiKey/expiresAt", json!("2099-01-01T00:00:00.123456Z"))]),
        made("for a time", json!({"name": "a", "scopes": ["taps:read"], "ttl": "1.5s"})),
        made("by a key that has less", json!({"name": "a", "scopes": ["taps:read"]}))
            .after(&[weak()])
            .by(By::Key("weak"))
            .has(&[("/apiKey/queriesPerHour", json!(5))]),
        new("again", full.clone())
            .after(&[Call(
                "able",
                "ApiKeys/CreateApiKey",
                full.clone(),
                &[
                    ("first", "/key"),
                    ("first.id", "/apiKey/id"),
                    ("first.prefix", "/apiKey/prefix"),
                ],
            )])
            .has(&[("/key", json!("<first>")), ("/apiKey/id", json!("<first.id>"))]),
        new(
            "another request of that id",
            json!({"name": "b", "scopes": ["taps:read"], "requestId": REQUEST}),
        )
        .after(&[Call("able", "ApiKeys/CreateApiKey", full, &[])])
        .error(Code::AlreadyExists, "REQUEST_ID_USED"),
    ]
}

fn bad_creations() -> Vec<Case> {
    let new = |name: &str, request: Value| case(name, "ApiKeys/CreateApiKey", request);
    let bad = json!({
        "name": "x\u{7}", "scopes": ["taps:read", "moon:write"], "queriesPerHour": -1,
        "ttl": "0s", "requestId": "x",
    });
    let more = |name: &str, request: Value| {
        new(name, request)
            .after(&[weak()])
            .by(By::Key("weak"))
            .error(Code::PermissionDenied, "MORE_THAN_CALLER")
    };
    vec![
        new("nothing", json!({})).fields(&[("name", "REQUIRED"), ("scopes", "REQUIRED")]),
        new("bad fields", bad).fields(&[
            ("name", "MALFORMED_TEXT"),
            ("scopes[1]", "UNKNOWN_SCOPE"),
            ("queries_per_hour", "OUT_OF_RANGE"),
            ("ttl", "OUT_OF_RANGE"),
            ("request_id", "MALFORMED_UUID"),
        ]),
        new(
            "a bad end",
            json!({"name": "x".repeat(201), "scopes": ["x"], "expiresAt": "tomorrow"}),
        )
        .fields(&[
            ("name", "TOO_LONG"),
            ("scopes[0]", "UNKNOWN_SCOPE"),
            ("expires_at", "MALFORMED_DATE"),
        ]),
        more("a scope that the caller lacks", json!({"name": "a", "scopes": ["taps:write"]})),
        more("a larger quota", json!({"name": "a", "scopes": ["taps:read"], "queriesPerHour": 6})),
        more("a later end", json!({"name": "a", "scopes": ["taps:read"], "ttl": "3601s"})),
        new("too large", json!({"name": "x".repeat(70_000), "scopes": ["taps:read"]}))
            .error(Code::OutOfRange, "REQUEST_TOO_LARGE"),
    ]
}

/// Two keys beside the one that may do everything: one works, one has ended.
fn three_keys() -> Vec<Step> {
    vec![
        create(
            json!({"name": "works"}),
            &[("works.id", "/apiKey/id"), ("works.prefix", "/apiKey/prefix")],
        ),
        create(
            json!({"name": "ended"}),
            &[("ended.id", "/apiKey/id"), ("ended.prefix", "/apiKey/prefix")],
        ),
        revoke("<ended.id>"),
    ]
}

fn lists() -> Vec<Case> {
    let list = |name: &str, request: Value| {
        case(name, "ApiKeys/ListApiKeys", request).after(&three_keys())
    };
    let first =
        |request| Call("able", "ApiKeys/ListApiKeys", request, &[("page", "/nextPageToken")]);
    let get =
        |name: &str, request: Value| case(name, "ApiKeys/GetApiKey", request).after(&three_keys());
    vec![
        list("those that work", json!({}))
            .has(&[("/apiKeys/0/id", json!("<works.id>")), ("/apiKeys/1/id", json!("<able.id>"))]),
        list("all", json!({"includeEnded": true}))
            .has(&[("/apiKeys/0/state", json!("REVOKED")), ("/apiKeys/2/id", json!("<able.id>"))]),
        list("a page", json!({"pageSize": 2, "includeEnded": true}))
            .has(&[("/nextPageToken", json!("after <works.id>"))]),
        list("the next page", json!({"pageSize": 1, "pageToken": "<page>"}))
            .after(&[three_keys(), vec![first(json!({"pageSize": 1}))]].concat())
            .has(&[("/apiKeys/0/id", json!("<able.id>"))]),
        list("a negative size", json!({"pageSize": -1})).fields(&[("page_size", "NEGATIVE")]),
        list("the token of another question", json!({"pageToken": "<page>", "includeEnded": true}))
            .after(&[three_keys(), vec![first(json!({"pageSize": 1}))]].concat())
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        get("one", json!({"id": "<works.id>"})).has(&[("/apiKey/name", json!("works"))]),
        get("one that has ended", json!({"id": "<ended.id>"}))
            .has(&[("/apiKey/state", json!("REVOKED"))]),
        get("nobody's", json!({"id": NOBODY})).error(Code::NotFound, "KEY_NOT_FOUND"),
        get("no id", json!({"id": "a:b/c d%25"})).fields(&[("id", "MALFORMED_UUID")]),
        get("nothing", json!({})).fields(&[("id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

fn changes() -> Vec<Case> {
    let change = |name: &str, request: Value| {
        case(name, "ApiKeys/UpdateApiKey", request).after(&three_keys())
    };
    let bad = json!({
        "id": "x", "name": "", "scopes": ["moon:write"], "expiresAt": "2001-01-01T00:00:00Z",
        "updateMask": "name,scopes,queriesPerHour,expiresAt,keyHash",
    });
    vec![
        change("whatever is set", json!({"id": "<works.id>", "name": "b", "queriesPerHour": 9}))
            .has(&[("/apiKey/name", json!("b")), ("/apiKey/queriesPerHour", json!(9))]),
        change("what the mask names", json!({
            "id": "<works.id>", "name": "b", "scopes": ["tags:write"], "updateMask": "scopes,expiresAt",
        }))
        .has(&[("/apiKey/name", json!("works")), ("/apiKey/scopes", json!(["tags:write"]))]),
        change("nothing", json!({"id": "<works.id>"})).fields(&[("update_mask", "NOTHING_TO_CHANGE")]),
        change("bad fields", bad).fields(&[
            ("id", "MALFORMED_UUID"),
            ("name", "REQUIRED"),
            ("scopes[0]", "UNKNOWN_SCOPE"),
            ("queries_per_hour", "OUT_OF_RANGE"),
            ("expires_at", "DATE_OUT_OF_RANGE"),
            ("update_mask", "UNKNOWN_FIELD"),
        ]),
        change("nobody's", json!({"id": NOBODY, "name": "b"})).error(Code::NotFound, "KEY_NOT_FOUND"),
        change("one that has ended", json!({"id": "<ended.id>", "name": "b"}))
            .error(Code::FailedPrecondition, "KEY_ENDED"),
        change("one that has more", json!({"id": "<able.id>", "name": "b"}))
            .after(&[create(json!({"scopes": ["keys:manage"]}), &[("weak", "/key")])])
            .by(By::Key("weak"))
            .error(Code::PermissionDenied, "MORE_THAN_CALLER"),
        change("no id", json!({"name": "b"}))
            .fields(&[("id", "REQUIRED")])
            .otherwise_by(EMPTY),
    ]
}

fn rotations() -> Vec<Case> {
    let rotate = |name: &str, request: Value| {
        case(name, "ApiKeys/RotateApiKey", request).after(&three_keys())
    };
    let request = json!({"id": "<works.id>", "overlap": "60s", "requestId": REQUEST});
    let first = Call(
        "able",
        "ApiKeys/RotateApiKey",
        request.clone(),
        &[("first", "/key"), ("first.id", "/apiKey/id"), ("first.prefix", "/apiKey/prefix")],
    );
    vec![
        rotate("a key", json!({"id": "<works.id>"}))
            .by_chance(&["key", "apiKey.id", "apiKey.prefix"])
            .has(&[
                ("/replaced/id", json!("<works.id>")),
                ("/apiKey/replaces", json!("<works.id>")),
            ]),
        rotate("again", request.clone())
            .after(&[three_keys(), vec![first.clone()]].concat())
            .has(&[("/key", json!("<first>"))]),
        rotate("another request of that id", json!({"id": "<able.id>", "requestId": REQUEST}))
            .after(&[three_keys(), vec![first]].concat())
            .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        rotate("bad fields", json!({"id": "x", "overlap": "2592001s", "requestId": "x"})).fields(
            &[
                ("id", "MALFORMED_UUID"),
                ("overlap", "OUT_OF_RANGE"),
                ("request_id", "MALFORMED_UUID"),
            ],
        ),
        rotate("nobody's", json!({"id": NOBODY})).error(Code::NotFound, "KEY_NOT_FOUND"),
        rotate("one that has ended", json!({"id": "<ended.id>"}))
            .error(Code::FailedPrecondition, "KEY_ENDED"),
        rotate("one that has expired", json!({"id": "<expired.id>"}))
            .after(&[Step::Expired("expired")])
            .error(Code::FailedPrecondition, "KEY_ENDED"),
        rotate("one that has more", json!({"id": "<able.id>"}))
            .after(&[create(json!({"scopes": ["keys:manage"]}), &[("weak", "/key")])])
            .by(By::Key("weak"))
            .error(Code::PermissionDenied, "MORE_THAN_CALLER"),
        rotate("no id", json!({})).fields(&[("id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

fn ends() -> Vec<Case> {
    let end = |name: &str, request: Value| {
        case(name, "ApiKeys/RevokeApiKey", request).after(&three_keys())
    };
    vec![
        end("a key", json!({"id": "<works.id>"})).has(&[("/apiKey/state", json!("REVOKED"))]),
        end("one that has ended", json!({"id": "<ended.id>"}))
            .has(&[("/apiKey/name", json!("ended"))]),
        end("itself", json!({"id": "<able.id>"})).has(&[("/apiKey/name", json!("able"))]),
        end("nobody's", json!({"id": NOBODY})).error(Code::NotFound, "KEY_NOT_FOUND"),
        end("no id", json!({"id": "x"})).fields(&[("id", "MALFORMED_UUID")]),
        end("nothing", json!({})).fields(&[("id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

fn events() -> Vec<Case> {
    let list = |name: &str, request: Value| {
        case(name, "ApiKeys/ListKeyEvents", request).after(&three_keys())
    };
    let first = Call(
        "able",
        "ApiKeys/ListKeyEvents",
        json!({"pageSize": 2, "keyId": "<ended.id>"}),
        &[("first.id", "/events/0/id"), ("second.id", "/events/1/id")],
    );
    vec![
        list("all", json!({})).by_chance(&["events[].id"]).has(&[
            ("/events/0/action", json!("REVOKED")),
            ("/events/3/keyId", json!("<able.id>")),
        ]),
        list("of one key", json!({"keyId": "<ended.id>"}))
            .after(&[three_keys(), vec![first.clone()]].concat())
            .has(&[
                ("/events/1/id", json!("<second.id>")),
                ("/events/0/actorKeyId", json!("<able.id>")),
            ]),
        list("a page", json!({"pageSize": 1, "keyId": "<ended.id>"}))
            .after(&[three_keys(), vec![first]].concat())
            .has(&[("/nextPageToken", json!("after <first.id>"))]),
        list("of a key that there is not", json!({"keyId": NOBODY})),
        list("bad fields", json!({"pageSize": -1, "keyId": "x"}))
            .fields(&[("page_size", "NEGATIVE"), ("key_id", "MALFORMED_UUID")]),
        list("no token", json!({"pageToken": "x"}))
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
    ]
}

fn tokens() -> Vec<Case> {
    let issue = |name: &str, request: Value| case(name, "ApiKeys/IssueToken", request);
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    vec![
        issue("for everything", json!({}))
            .by_chance(&["token"])
            .has(&[("/scopes", json!(["taps:read", "events:read", "coupons:read"]))]),
        issue("for a tag", json!({"ttl": "60s", "scopes": ["taps:read"], "tagUids": ["a"]}))
            .by_chance(&["token"])
            .has(&[("/tagUids", json!(["a"]))]),
        issue(
            "bad fields",
            json!({"ttl": "59s", "scopes": ["taps:write", "x"], "tagUids": ["a", "b c"]}),
        )
        .fields(&[
            ("ttl", "OUT_OF_RANGE"),
            ("scopes[1]", "UNKNOWN_SCOPE"),
            ("scopes[0]", "NOT_FOR_TOKENS"),
            ("tag_uids[1]", "MALFORMED_TAG_UID"),
        ]),
        issue("too many tags", json!({"tagUids": many})).fields(&[("tag_uids", "TOO_MANY_TAGS")]),
        issue("unknown tag", json!({"tagUids": ["a", "nobodys"]}))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        issue("of a key that does not read", json!({}))
            .after(&[create(json!({"scopes": ["taps:write"]}), &[("writer", "/key")])])
            .by(By::Key("writer"))
            .error(Code::PermissionDenied, "SCOPE_MISSING"),
    ]
}

fn own() -> Vec<Case> {
    let who = |name: &str| case(name, "ApiKeys/WhoAmI", json!({}));
    let quota = |name: &str| case(name, "ApiKeys/GetQuota", json!({}));
    let used = [
        Call("able", "TapAnalytics/QueryTaps", day(json!({})), &[]),
        Call("able", "ApiKeys/ListApiKeys", json!({}), &[]),
        Call("able", "ApiKeys/IssueToken", json!({}), &[("token", "/token")]),
        Open("able", 2),
    ];
    vec![
        who("a key").has(&[
            ("/team/slug", json!("<team>")),
            ("/keyId", json!("<able.id>")),
            ("/keyPrefix", json!("<able.prefix>")),
        ]),
        who("a token").after(&used).by(By::Bearer("token")).has(&[("/token", json!({}))]),
        who("a limited token")
            .after(&[limited()])
            .by(By::Bearer("of a"))
            .has(&[("/token/tagUids", json!(["a"]))]),
        who("a token that says more than there is")
            .after(&[Signed("forged", "able", 60, Scope::ALL)])
            .by(By::Bearer("forged"))
            .has(&[("/scopes", json!(["taps:read", "events:read", "coupons:read"]))]),
        quota("fresh")
            .has(&[("/quotas/0/remaining", json!(1_000_000)), ("/openStreamsMax", json!(100))]),
        quota("used").after(&used).has(&[
            ("/quotas/0/remaining", json!(999_997)),
            ("/quotas/1/remaining", json!(3_598)),
            ("/quotas/3/remaining", json!(35_999)),
            ("/quotas/4/remaining", json!(3_599)),
            ("/openStreams", json!(2)),
        ]),
        quota("of a token's key")
            .after(&used)
            .by(By::Bearer("token"))
            .has(&[("/quotas/0/remaining", json!(999_997))]),
        quota("used up").after(&poor()).by(By::Key("poor")).has(&[
            ("/quotas/0/resetSeconds", json!(3_600)),
            ("/quotas/0/nextSeconds", json!(3_600)),
        ]),
    ]
}

/// Last, as so many keys slow the others down.
fn full() -> Vec<Case> {
    let fill = Sql(
        "insert into api_keys (team_id, key_id, key_hash, prefix, name, scopes, queries_per_hour)
         select $1, gen_random_uuid(), sha256(n::text::bytea), 'tap', 'many', '{}', 1
         from generate_series(1, 998) as n",
    );
    let works = create(json!({"name": "works"}), &[("works.id", "/apiKey/id")]);
    let full = |name: &str, rpc: &str, request: Value| {
        let before = [works.clone(), fill.clone()];
        case(name, rpc, request).after(&before).error(Code::ResourceExhausted, "KEY_LIMIT")
    };
    vec![
        full("one too many", "ApiKeys/CreateApiKey", json!({"name": "a", "scopes": ["taps:read"]})),
        full("one too many", "ApiKeys/RotateApiKey", json!({"id": "<works.id>"})),
    ]
}
