//! The calls of the service of events that every wire has to give the same outcome for.

use serde_json::{Value, json};
use tonic::Code;

use super::{
    Case, case,
    cases::{EMPTY, IN_QUERY, NOBODY, REQUEST},
};
use crate::app::scenes::{
    By,
    Step::{self, Call, Elsewhere, Open, Refused, Settled, Sql},
};

const SESSION: &str = "5d1d2e4c-5f0a-4f6e-9d0b-6a1f0c9a7b21";
const OTHER_SESSION: &str = "5d1d2e4c-5f0a-4f6e-9d0b-6a1f0c9a7b22";
const EVENT: &str = "5d1d2e4c-5f0a-4f6e-9d0b-6a1f0c9a7b31";
const OTHER_EVENT: &str = "5d1d2e4c-5f0a-4f6e-9d0b-6a1f0c9a7b32";
const TAP: &str = "5d1d2e4c-5f0a-4f6e-9d0b-6a1f0c9a7b41";

/// A request that is in order, as far as a call can be refused before it is looked at.
pub fn sample(name: &str) -> Option<Value> {
    Some(match name {
        "CreateSession" | "ListSessions" | "ListEvents" | "StreamEvents" | "ListEventErrors"
        | "GroupEventErrors" | "ReplayEventErrors" | "ListEventTypes" | "GetIngestLedger"
        | "GetEventSettings" => json!({}),
        "GetSession" | "GetReceipt" | "GetEventError" => json!({"id": NOBODY}),
        "RecordEvents" => json!({"events": [{}]}),
        "GetEvent" | "DeleteEvent" => json!({"eventId": NOBODY}),
        "QueryEvents" => day(json!({})),
        "UpdateEvent" => json!({"eventId": NOBODY, "etag": "*", "name": "b"}),
        "ReplaceEvent" => changed(json!({"eventId": NOBODY, "etag": "*"})),
        "PutEventType" => json!({"category": "a", "name": "b", "schema": {}}),
        "GetEventType" | "DeleteEventType" => json!({"category": "a", "name": "b"}),
        "UpdateEventSettings" => json!({"unknownTypes": "ACCEPT"}),
        _ => return None,
    })
}

/// An object with what is in another one, too.
fn with(value: Value, more: Value) -> Value {
    let (Value::Object(mut members), Value::Object(more)) = (value, more) else { panic!() };
    members.extend(more);
    Value::Object(members)
}

fn day(more: Value) -> Value {
    with(json!({"startDate": "2023-03-26", "endDate": "2023-03-26", "interval": "DAY"}), more)
}

/// An event in one of its forms.
fn event() -> Value {
    json!({
        "event_id": EVENT, "session_id": SESSION, "category": "sign up", "name": "Tür ☕",
        "occurred_at": "2023-03-26T01:00:00.5+02:00",
        "data": {"plan": "team", "seats": 3, "ratio": 0.25, "list": [1, null, {"ü": "&"}], "none": {}},
    })
}

/// Another one in the other form.
fn other_event() -> Value {
    json!({
        "eventId": OTHER_EVENT, "session": {"id": SESSION}, "category": "page", "name": "viewed",
        "timestamp": "2023-03-26 12:00:00.25", "data": {"path": "/"},
    })
}

/// What an event is made into.
fn changed(more: Value) -> Value {
    let fields = json!({
        "sessionId": SESSION, "category": "page", "name": "left", "data": {"after": [1.5, null]},
        "occurredAt": "2023-03-27T00:00:00Z",
    });
    with(fields, more)
}

fn call(rpc: &'static str, request: Value) -> Step {
    Call("able", rpc, request, &[])
}

fn session() -> Step {
    call("Events/CreateSession", json!({"id": SESSION, "tapId": TAP}))
}

/// An event is stored: `receipt`.
fn stored() -> Vec<Step> {
    let request = json!({"events": [event()]});
    let learned = &[("receipt", "/receipts/0")];
    vec![session(), Call("able", "Events/RecordEvents", request, learned), Settled("receipt")]
}

/// And another one.
fn two_stored() -> Vec<Step> {
    let request = json!({"events": [other_event()]});
    let learned = &[("other receipt", "/receipts/0")];
    let other =
        vec![Call("able", "Events/RecordEvents", request, learned), Settled("other receipt")];
    [stored(), other].concat()
}

/// Two events of one call are refused, `error` and `other error`, for the same.
fn refused() -> Vec<Step> {
    let bad = |more| with(event(), with(json!({"data": {}, "session_id": OTHER_SESSION}), more));
    let events = json!([bad(json!({})), bad(json!({"event_id": OTHER_EVENT}))]);
    let learned = &[("error", "/receipts/0"), ("other error", "/receipts/1")];
    vec![
        session(),
        Call("able", "Events/RecordEvents", json!({"events": events}), learned),
        Settled("error"),
    ]
}

/// What makes these events right.
fn patch() -> Value {
    json!({"set": {"data.plan": "team", "data.none": null}, "sessions": {OTHER_SESSION: SESSION}})
}

fn not_found(case: Case, reason: &'static str) -> Case {
    case.error(Code::NotFound, reason)
}

/// What happens, and looking at it.
pub fn events() -> Vec<Case> {
    let all = [
        sessions(),
        lists_of_sessions(),
        recordings(),
        receipts(),
        looks(),
        lists(),
        queries(),
        streams(),
    ];
    all.concat()
}

/// What is changed, refused and set up.
pub fn changes_of_events() -> Vec<Case> {
    let all = [
        updates(),
        replacements(),
        deletions(),
        lists_of_errors(),
        groups(),
        replays(),
        new_types(),
        types(),
        ledgers(),
        settings(),
    ];
    all.concat()
}

fn sessions() -> Vec<Case> {
    let new = |name: &str, request: Value| case(name, "Events/CreateSession", request);
    let get = |name: &str, request: Value| case(name, "Events/GetSession", request);
    vec![
        new("with nothing said", json!({})).by_chance(&["session.id"]),
        new("with everything", json!({"id": SESSION.to_uppercase(), "tapId": TAP})).has(&[
            ("/session/id", json!(SESSION)),
            ("/session/tapId", json!(TAP)),
            ("/session/application", json!("able")),
        ]),
        new("again", json!({"id": SESSION, "tapId": TAP}))
            .after(&[session()])
            .has(&[("/session/tapId", json!(TAP))]),
        new("again without its tap", json!({"id": SESSION}))
            .after(&[session()])
            .has(&[("/session/tapId", json!(TAP))]),
        new("from another tap", json!({"id": SESSION, "tapId": NOBODY}))
            .after(&[session()])
            .error(Code::AlreadyExists, "SESSION_EXISTS"),
        new("bad fields", json!({"id": "x", "tapId": "00000000-0000-0000-0000-000000000000"}))
            .fields(&[("id", "MALFORMED_UUID"), ("tap_id", "MALFORMED_UUID")]),
        get("one", json!({"id": SESSION}))
            .after(&[session()])
            .has(&[("/session/tapId", json!(TAP))]),
        not_found(get("nobody's", json!({"id": NOBODY})), "SESSION_NOT_FOUND"),
        get("no id", json!({"id": "a:b/c d%25"})).fields(&[("id", "MALFORMED_UUID")]),
        get("nothing", json!({})).fields(&[("id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

fn lists_of_sessions() -> Vec<Case> {
    let list = |name: &str, request: Value| {
        case(name, "Events/ListSessions", request)
            .after(&[session(), call("Events/CreateSession", json!({"id": OTHER_SESSION}))])
    };
    let next = |name: &str, request: Value| {
        let first = Call(
            "able",
            "Events/ListSessions",
            json!({"pageSize": 1}),
            &[("page", "/nextPageToken")],
        );
        let sessions = [session(), call("Events/CreateSession", json!({"id": OTHER_SESSION}))];
        case(name, "Events/ListSessions", request).after(&[&sessions[..], &[first]].concat())
    };
    vec![
        list("all", json!({}))
            .has(&[("/sessions/0/id", json!(OTHER_SESSION)), ("/sessions/1/id", json!(SESSION))]),
        list("of a tap", json!({"tapId": TAP})).has(&[("/sessions/0/id", json!(SESSION))]),
        list("of a tap that nobody knows", json!({"tapId": NOBODY})),
        list("a page", json!({"pageSize": 1})).has(&[("/sessions/0/id", json!(OTHER_SESSION))]),
        next("the next page", json!({"pageSize": 5, "pageToken": "<page>"}))
            .has(&[("/sessions/0/id", json!(SESSION))]),
        next("the token of another question", json!({"tapId": TAP, "pageToken": "<page>"}))
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list("bad fields", json!({"tapId": "x", "pageToken": "x", "pageSize": -1})).fields(&[
            ("tap_id", "MALFORMED_UUID"),
            ("page_token", "MALFORMED_PAGE_TOKEN"),
            ("page_size", "NEGATIVE"),
        ]),
    ]
}

fn recordings() -> Vec<Case> {
    let record = |name: &str, request: Value| case(name, "Events/RecordEvents", request);
    let many: Vec<Value> = (0..1_001).map(|_| json!({})).collect();
    // More than may wait, until the end of time: how many of the few more that are sent are settled already does
    // not matter.
    let waiting = Sql(
        "insert into event_inbox
         select $1, gen_random_uuid(), now(), gen_random_uuid(), 'x', 1000, 2, '[]', null, 0, '2199-01-01'
         from generate_series(1, 1001)",
    );
    // By another key: how often it asks is left to chance.
    let sender = json!({"name": "sender", "scopes": ["events:write"]});
    let sender = Call("able", "ApiKeys/CreateApiKey", sender, &[("sender", "/key")]);
    let one = json!({"events": [event()]});
    let full = Refused("sender", "Events/RecordEvents", one.clone(), "wait to be stored");
    vec![
        record("whatever it is", json!({"events": [event(), null, "x", 7, [], {}, event()]}))
            .by_chance(&["receipts[]"])
            .after(&[session()]),
        record("nothing", json!({})).fields(&[("events", "REQUIRED")]),
        record("too many", json!({"events": many})).fields(&[("events", "TOO_MANY_EVENTS")]),
        record("more than may wait", one)
            .after(&[sender, waiting, full])
            .error(Code::ResourceExhausted, "EVENT_BACKLOG"),
    ]
}

fn receipts() -> Vec<Case> {
    let get = |name: &str, request: Value| case(name, "Events/GetReceipt", request);
    // The id of a batch ends with ten bits that are zero.
    let waiting = Sql(
        "insert into event_inbox
         values ($1, '5d1d2e4c-5f0a-7f6e-9d0b-6a1f0c9a7800', now(), gen_random_uuid(), 'x', 2, 2, '[]', null, 0,
                 '2199-01-01')",
    );
    let again = vec![
        Call(
            "able",
            "Events/RecordEvents",
            json!({"events": [event()]}),
            &[("again", "/receipts/0")],
        ),
        Settled("again"),
    ];
    vec![
        get("of what is stored", json!({"id": "<receipt>"}))
            .after(&stored())
            .has(&[("/state", json!("STORED")), ("/eventId", json!(EVENT))]),
        get("of what was stored before", json!({"id": "<again>"}))
            .after(&[stored(), again].concat())
            .has(&[("/eventId", json!(EVENT)), ("/duplicate", json!(true))]),
        get("of what is refused", json!({"id": "<other error>"}))
            .after(&refused())
            .has(&[("/state", json!("REJECTED")), ("/errorId", json!("<other error>"))]),
        get("of what waits", json!({"id": "5d1d2e4c-5f0a-7f6e-9d0b-6a1f0c9a7801"}))
            .after(std::slice::from_ref(&waiting)),
        not_found(
            get("past the end of a batch", json!({"id": "5d1d2e4c-5f0a-7f6e-9d0b-6a1f0c9a7802"}))
                .after(&[waiting]),
            "RECEIPT_NOT_FOUND",
        ),
        not_found(get("nobody's", json!({"id": NOBODY})), "RECEIPT_NOT_FOUND"),
        get("no id", json!({"id": "a:b/c d%25"})).fields(&[("id", "MALFORMED_UUID")]),
        get("nothing", json!({})).fields(&[("id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

fn looks() -> Vec<Case> {
    let get = |name: &str, request: Value| case(name, "Events/GetEvent", request);
    let no_name = json!({"events": [with(event(), json!({"event_id": null}))]});
    let no_name = vec![
        session(),
        Call("able", "Events/RecordEvents", no_name, &[("receipt", "/receipts/0")]),
        Settled("receipt"),
    ];
    let delete = call("Events/DeleteEvent", json!({"eventId": EVENT}));
    vec![
        get("one", json!({"eventId": EVENT})).after(&stored()).has(&[
            ("/event/sessionId", json!(SESSION)),
            ("/event/occurredAt", json!("2023-03-25T23:00:00.500Z")),
            ("/event/data/list", json!([1.0, null, {"ü": "&"}])),
            ("/event/receiptId", json!("<receipt>")),
            ("/event/keyId", json!("<able.id>")),
        ]),
        get("one without a name of its own", json!({"eventId": "<receipt>"}))
            .after(&no_name)
            .has(&[("/event/eventId", json!("<receipt>"))]),
        not_found(get("nobody's", json!({"eventId": NOBODY})), "EVENT_NOT_FOUND"),
        not_found(
            get("a deleted one", json!({"eventId": EVENT}))
                .after(&[stored(), vec![delete]].concat()),
            "EVENT_NOT_FOUND",
        ),
        get("no id", json!({"eventId": "a:b/c d%25"})).fields(&[("event_id", "MALFORMED_UUID")]),
        get("nothing", json!({})).fields(&[("event_id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

fn lists() -> Vec<Case> {
    let list =
        |name: &str, request: Value| case(name, "Events/ListEvents", request).after(&two_stored());
    let next = |name: &str, request: Value| {
        let first = json!({"pageSize": 1, "order": "SESSION"});
        let first = Call("able", "Events/ListEvents", first, &[("page", "/nextPageToken")]);
        case(name, "Events/ListEvents", request).after(&[two_stored(), vec![first]].concat())
    };
    let bad = json!({
        "sessionId": "x", "category": "x".repeat(51), "name": "x\u{7}", "occurredAfter": "yesterday",
        "occurredBefore": "2023-02-30T00:00:00Z", "pageToken": "x", "pageSize": -1,
    });
    vec![
        list("all", json!({})).has(&[
            ("/events/0/eventId", json!(OTHER_EVENT)),
            ("/events/1/receiptId", json!("<receipt>")),
        ]),
        list("as the session went", json!({"sessionId": SESSION, "order": "SESSION"}))
            .has(&[("/events/0/eventId", json!(EVENT))]),
        list("of a session without any", json!({"sessionId": NOBODY})),
        list("of a category and name", json!({"category": "sign up", "name": "Tür ☕"}))
            .has(&[("/events/0/eventId", json!(EVENT))]),
        list(
            "of a time",
            json!({"occurredAfter": "2023-03-25T23:00:00.5Z", "occurredBefore": "2023-03-26 12:00:00.25"}),
        )
        .has(&[("/events/0/eventId", json!(EVENT))]),
        list("a page", json!({"pageSize": 1})).has(&[("/events/0/eventId", json!(OTHER_EVENT))]),
        next("the next page", json!({"order": "SESSION", "pageToken": "<page>"}))
            .has(&[("/events/0/eventId", json!(OTHER_EVENT))]),
        next("the token of another question", json!({"pageToken": "<page>"}))
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list("bad fields", bad).fields(&[
            ("session_id", "MALFORMED_UUID"),
            ("category", "TOO_LONG"),
            ("name", "MALFORMED_TEXT"),
            ("occurred_after", "MALFORMED_DATE"),
            ("occurred_before", "MALFORMED_DATE"),
            ("page_token", "MALFORMED_PAGE_TOKEN"),
            ("page_size", "NEGATIVE"),
        ]),
        list("an unknown number", json!({"order": 9}))
            .fields(&[("order", "UNKNOWN_VALUE")])
            .otherwise_by(IN_QUERY),
    ]
}

fn queries() -> Vec<Case> {
    let query =
        |name: &str, request: Value| case(name, "Events/QueryEvents", request).after(&two_stored());
    let range = |start: &str, end: &str, interval: &str| json!({"startDate": start, "endDate": end, "interval": interval});
    let hours = range("2023-03-25", "2023-03-27", "HOUR");
    let zone = json!({"timeZone": "Australia/Lord_Howe", "weekStart": "SUNDAY"});
    vec![
        query("a day", day(json!({})))
            .has(&[("/total", json!(1.0)), ("/groups/0/key", json!("page"))]),
        query("hours", hours.clone()).has(&[("/total", json!(2.0))]),
        query("one category", with(hours.clone(), json!({"limit": 1})))
            .has(&[("/groups/1/other", json!(true)), ("/groups/1/total", json!(1.0))]),
        query("a zone", with(hours, zone)).has(&[("/total", json!(2.0))]),
        query("nothing", json!({})).fields(&[("start_date", "REQUIRED"), ("end_date", "REQUIRED")]),
        query("bad fields", day(json!({"timeZone": "Mars", "limit": -1})))
            .fields(&[("time_zone", "UNKNOWN_TIME_ZONE"), ("limit", "NEGATIVE")]),
        query("minutes", range("2023-03-26", "2023-03-26", "MINUTE"))
            .fields(&[("interval", "TOO_NARROW")]),
        query("too many buckets", range("2000-01-01", "2023-01-01", "HOUR"))
            .fields(&[("interval", "TOO_MANY_BUCKETS")]),
        query("unknown numbers", day(json!({"interval": 77, "weekStart": 80})))
            .fields(&[("interval", "UNKNOWN_VALUE"), ("week_start", "UNKNOWN_VALUE")])
            .otherwise_by(IN_QUERY),
    ]
}

fn streams() -> Vec<Case> {
    let stream = |name: &str, request: Value| case(name, "Events/StreamEvents", request);
    let before =
        Call("able", "Events/StreamEvents", json!({}), &[("before", "/hello/resumeToken")]);
    let resumed = json!({"resumeToken": "<before>", "category": "page", "sessionId": SESSION});
    let token = Call("able", "ApiKeys/IssueToken", json!({}), &[("token", "/token")]);
    let poor = json!({
        "name": "poor", "scopes": ["taps:read", "events:read"], "queriesPerHour": 1,
    });
    let poor = vec![
        Call("able", "ApiKeys/CreateApiKey", poor, &[("poor", "/key")]),
        Call("poor", "Events/QueryEvents", day(json!({})), &[]),
    ];
    vec![
        stream("from now on", json!({})).has(&[("/hello/heartbeatSeconds", json!(15))]),
        stream("by a token", json!({})).after(&[token]).by(By::Bearer("token")),
        stream("from a token on", resumed.clone())
            .after(&[vec![before.clone()], two_stored()].concat())
            .frames(2)
            .has(&[
                ("/event/event/eventId", json!(OTHER_EVENT)),
                ("/event/event/data", json!({"path": "/"})),
            ]),
        stream("resumed with nothing left of the quota", json!({"resumeToken": "<before>"}))
            .after(&[poor.clone(), vec![before]].concat())
            .by(By::Key("poor")),
        stream("over quota", json!({}))
            .after(&poor)
            .by(By::Key("poor"))
            .error(Code::ResourceExhausted, "QUOTA_EXCEEDED"),
        stream("no token", json!({"resumeToken": "x"}))
            .fields(&[("resume_token", "MALFORMED_RESUME_TOKEN")]),
        stream("a token of a stream of taps", json!({"resumeToken": "<taps>"}))
            .after(&[Call(
                "able",
                "TapAnalytics/StreamTaps",
                json!({}),
                &[("taps", "/hello/resumeToken")],
            )])
            .fields(&[("resume_token", "MALFORMED_RESUME_TOKEN")]),
        stream(
            "bad fields",
            json!({"category": "x".repeat(51), "name": "\u{7}", "sessionId": "x"}),
        )
        .fields(&[
            ("category", "TOO_LONG"),
            ("name", "MALFORMED_TEXT"),
            ("session_id", "MALFORMED_UUID"),
        ]),
        stream("from before the store was restored", json!({"resumeToken": "<gone>"}))
            .after(&[Elsewhere("gone")])
            .error(Code::OutOfRange, "RESUME_TOKEN_EXPIRED"),
        stream("one too many", json!({}))
            .after(&[Open("able", 100)])
            .error(Code::ResourceExhausted, "TOO_MANY_STREAMS"),
    ]
}

fn updates() -> Vec<Case> {
    let change =
        |name: &str, request: Value| case(name, "Events/UpdateEvent", request).after(&stored());
    let of = |more: Value| with(json!({"eventId": EVENT, "etag": "1"}), more);
    let bad = json!({"eventId": "x", "updateMask": "name,eventId,receiptId"});
    let worse = json!({
        "category": "", "name": "x".repeat(151), "data": {}, "occurredAt": "2199-01-01T00:00:00Z",
        "sessionId": OTHER_SESSION,
    });
    vec![
        change("whatever is set", of(json!({"name": "b", "data": {"n": null}}))).has(&[
            ("/event/name", json!("b")),
            ("/event/category", json!("sign up")),
            ("/event/data", json!({"n": null})),
            ("/event/etag", json!("2")),
        ]),
        change(
            "what the mask names",
            of(json!({"name": "b", "category": "c", "updateMask": "category"})),
        )
        .has(&[("/event/name", json!("Tür ☕")), ("/event/category", json!("c"))]),
        change("to what it is", of(json!({"category": "sign up"})))
            .has(&[("/event/etag", json!("1"))]),
        change("nothing", of(json!({}))).fields(&[("update_mask", "NOTHING_TO_CHANGE")]),
        change("bad fields", bad).fields(&[
            ("event_id", "MALFORMED_UUID"),
            ("etag", "REQUIRED"),
            ("update_mask", "IMMUTABLE_FIELD"),
            ("update_mask", "UNKNOWN_FIELD"),
        ]),
        change("to what no event may be", of(worse)).fields(&[
            ("category", "REQUIRED"),
            ("name", "TOO_LONG"),
            ("data", "REQUIRED"),
            ("occurred_at", "TIMESTAMP_IN_FUTURE"),
            ("session_id", "UNKNOWN_SESSION"),
        ]),
        change("what somebody else has changed", of(json!({"etag": "2", "name": "b"})))
            .error(Code::Aborted, "ETAG_MISMATCH"),
        not_found(
            change("nobody's", json!({"eventId": NOBODY, "etag": "*", "name": "b"})),
            "EVENT_NOT_FOUND",
        ),
        change("no id", json!({"etag": "*", "name": "b"}))
            .fields(&[("event_id", "REQUIRED")])
            .otherwise_by(EMPTY),
    ]
}

fn replacements() -> Vec<Case> {
    let replace =
        |name: &str, request: Value| case(name, "Events/ReplaceEvent", request).after(&stored());
    let of = |more: Value| with(json!({"eventId": EVENT, "etag": "*"}), more);
    vec![
        replace("all of it", of(changed(json!({})))).has(&[
            ("/event/name", json!("left")),
            ("/event/data", json!({"after": [1.5, null]})),
            ("/event/receiptId", json!("<receipt>")),
        ]),
        replace("by nothing", of(json!({}))).fields(&[
            ("category", "REQUIRED"),
            ("name", "REQUIRED"),
            ("data", "REQUIRED"),
            ("occurred_at", "REQUIRED"),
            ("session_id", "REQUIRED"),
        ]),
        replace("bad fields", json!({"eventId": "x"}))
            .fields(&[("event_id", "MALFORMED_UUID"), ("etag", "REQUIRED")]),
        replace("what somebody else has changed", of(changed(json!({"etag": "nothing"}))))
            .error(Code::Aborted, "ETAG_MISMATCH"),
        not_found(replace("nobody's", of(changed(json!({"eventId": NOBODY})))), "EVENT_NOT_FOUND"),
        replace("no id", changed(json!({"etag": "*"})))
            .fields(&[("event_id", "REQUIRED")])
            .otherwise_by(EMPTY),
    ]
}

fn deletions() -> Vec<Case> {
    let delete =
        |name: &str, request: Value| case(name, "Events/DeleteEvent", request).after(&stored());
    let gone = call("Events/DeleteEvent", json!({"eventId": EVENT}));
    vec![
        delete("one", json!({"eventId": EVENT})),
        delete("one that nobody has changed", json!({"eventId": EVENT, "etag": "1"})),
        delete("what somebody else has changed", json!({"eventId": EVENT, "etag": "2"}))
            .error(Code::Aborted, "ETAG_MISMATCH"),
        not_found(
            delete("again", json!({"eventId": EVENT})).after(&[stored(), vec![gone]].concat()),
            "EVENT_NOT_FOUND",
        ),
        not_found(delete("nobody's", json!({"eventId": NOBODY})), "EVENT_NOT_FOUND"),
        delete("no id", json!({"eventId": "x"})).fields(&[("event_id", "MALFORMED_UUID")]),
        delete("nothing", json!({})).fields(&[("event_id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

/// A filter that is wrong in every way but one, and what is wrong with it.
fn bad_filter() -> (Value, [(&'static str, &'static str); 6]) {
    let filter = json!({
        "reason": "\u{7}", "field": "x".repeat(301), "application": "x".repeat(201), "fingerprint": "x",
        "receivedAfter": "x", "receivedBefore": "x",
    });
    let fields = [
        ("filter.reason", "MALFORMED_TEXT"),
        ("filter.field", "TOO_LONG"),
        ("filter.application", "TOO_LONG"),
        ("filter.fingerprint", "MALFORMED_FINGERPRINT"),
        ("filter.received_after", "MALFORMED_DATE"),
        ("filter.received_before", "MALFORMED_DATE"),
    ];
    (filter, fields)
}

fn lists_of_errors() -> Vec<Case> {
    let list = |name: &str, request: Value| {
        case(name, "Events/ListEventErrors", request).after(&refused())
    };
    let next = |name: &str, request: Value| {
        let first = json!({"pageSize": 1});
        let first = Call("able", "Events/ListEventErrors", first, &[("page", "/nextPageToken")]);
        case(name, "Events/ListEventErrors", request).after(&[refused(), vec![first]].concat())
    };
    let get =
        |name: &str, request: Value| case(name, "Events/GetEventError", request).after(&refused());
    let all = json!({
        "reason": "UNKNOWN_SESSION", "field": "data", "application": "able", "state": "OPEN",
        "receivedAfter": "2020-01-01 00:00:00", "receivedBefore": "2199-01-01T00:00:00+02:00",
    });
    let (bad, fields) = bad_filter();
    let fields =
        [&fields[..], &[("page_token", "MALFORMED_PAGE_TOKEN"), ("page_size", "NEGATIVE")]];
    vec![
        list("all", json!({})).has(&[
            ("/errors/0/id", json!("<other error>")),
            ("/errors/1/reason", json!("REQUIRED")),
        ]),
        list("by everything", json!({"filter": all}))
            .has(&[("/errors/1/payload/category", json!("sign up"))]),
        list("by what none has", json!({"filter": {"fingerprint": "0".repeat(32)}})),
        list("those that were sent again", json!({"filter": {"state": "REPLAYED"}})),
        list("a page", json!({"pageSize": 1})).has(&[("/errors/0/id", json!("<other error>"))]),
        next("the next page", json!({"pageToken": "<page>"}))
            .has(&[("/errors/0/id", json!("<error>"))]),
        next(
            "the token of another question",
            json!({"pageToken": "<page>", "filter": {"state": "OPEN"}}),
        )
        .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list("bad fields", json!({"filter": bad, "pageToken": "x", "pageSize": -1}))
            .fields(&fields.concat()),
        list("an unknown number", json!({"filter": {"state": 9}}))
            .fields(&[("filter.state", "UNKNOWN_VALUE")])
            .otherwise_by(IN_QUERY),
        get("one", json!({"id": "<error>"})).has(&[
            ("/error/violations/0/field", json!("data")),
            ("/error/violations/1/reason", json!("UNKNOWN_SESSION")),
            ("/error/payload/session_id", json!(OTHER_SESSION)),
            ("/error/application", json!("able")),
        ]),
        not_found(get("nobody's", json!({"id": NOBODY})), "EVENT_ERROR_NOT_FOUND"),
        get("no id", json!({"id": "a:b/c d%25"})).fields(&[("id", "MALFORMED_UUID")]),
        get("nothing", json!({})).fields(&[("id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

fn groups() -> Vec<Case> {
    let group = |name: &str, request: Value| {
        case(name, "Events/GroupEventErrors", request).after(&refused())
    };
    let (bad, fields) = bad_filter();
    let fields = [&[("limit", "NEGATIVE")], &fields[..]];
    vec![
        group("all", json!({})).has(&[
            ("/total", json!(2.0)),
            ("/groups/0/count", json!(2.0)),
            ("/groups/0/newestErrorId", json!("<other error>")),
        ]),
        group("by what none has", json!({"filter": {"application": "nobody"}, "limit": 1})),
        group("bad fields", json!({"filter": bad, "limit": -1})).fields(&fields.concat()),
    ]
}

fn replays() -> Vec<Case> {
    let replay = |name: &str, request: Value| {
        case(name, "Events/ReplayEventErrors", request).after(&refused())
    };
    let after = |name: &str, request: Value, first: Value, learned| {
        let first = Call("able", "Events/ReplayEventErrors", first, learned);
        case(name, "Events/ReplayEventErrors", request).after(&[refused(), vec![first]].concat())
    };
    let good = json!({"patch": patch(), "errorIds": ["<error>"], "requestId": REQUEST});
    let (bad_filter, fields) = bad_filter();
    let bad = json!({
        "requestId": "x", "limit": -1, "filter": bad_filter, "errorIds": [NOBODY, "x"],
        "patch": {"sessions": {"5d1d2e4c-5f0a-4f6e-9d0b-6a1f0c9a7b99": "x"}},
    });
    let fields = [
        &[("request_id", "MALFORMED_UUID"), ("limit", "NEGATIVE")],
        &fields[..],
        &[("error_ids[1]", "MALFORMED_UUID"), ("patch.sessions", "MALFORMED_UUID")],
    ];
    let many: Vec<&str> = vec![NOBODY; 1_001];
    vec![
        replay("what would be", json!({"patch": patch(), "validateOnly": true})).has(&[
            ("/results/0/errorId", json!("<error>")),
            ("/results/1/outcome", json!("WOULD_BE_STORED")),
        ]),
        replay("what would be as it is", json!({"validateOnly": true, "limit": 1})).has(&[
            ("/results/0/violations/0/reason", json!("REQUIRED")),
            ("/remaining", json!(1.0)),
        ]),
        replay("one", good.clone())
            .by_chance(&["results[].receipt"])
            .has(&[("/results/0/errorId", json!("<error>"))]),
        after("again", good.clone(), good.clone(), &[("sent", "/results/0/receipt")])
            .has(&[("/results/0/receipt", json!("<sent>"))]),
        after("what was sent again", json!({"errorIds": ["<error>"]}), good.clone(), &[]),
        after("another request of that id", json!({"requestId": REQUEST}), good, &[])
            .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        replay("what is nobody's", json!({"errorIds": [NOBODY]})),
        replay("bad fields", bad).fields(&fields.concat()),
        replay("too many", json!({"errorIds": many})).fields(&[("error_ids", "TOO_MANY_EVENTS")]),
    ]
}

/// A name that has to be escaped in a path.
fn named(more: Value) -> Value {
    with(json!({"category": "sign up: ä", "name": "plan~chosen.v1:query"}), more)
}

fn put(schema: &Value, learned: &'static [(&str, &str)]) -> Step {
    Call("able", "Events/PutEventType", named(json!({"schema": schema})), learned)
}

fn new_types() -> Vec<Case> {
    let put_type = |name: &str, request: Value| case(name, "Events/PutEventType", request);
    let made = |name: &str, request: Value| put_type(name, request).by_chance(&["type.etag"]);
    let schema = json!({"type": "object", "properties": {"plan": {"enum": ["team", null]}}});
    let first = put(&schema, &[("etag", "/type/etag")]);
    let bad = json!({"category": "a?b", "name": "a/b", "schema": {"type": "nothing"}});
    let full = Sql(
        "insert into event_types
         select $1, 'x', n::text, now(), now(), '{}', gen_random_uuid() from generate_series(1, 1000) as n",
    );
    vec![
        made("one", named(json!({"schema": schema}))).has(&[
            ("/type/category", json!("sign up: ä")),
            ("/type/schema/properties/plan/enum", json!(["team", null])),
        ]),
        made("another in its place", named(json!({"schema": {}, "etag": "<etag>"})))
            .after(std::slice::from_ref(&first))
            .has(&[("/type/schema", json!({}))]),
        made("whatever is there", named(json!({"schema": {}, "etag": "*"})))
            .after(std::slice::from_ref(&first)),
        put_type("what somebody else has changed", named(json!({"schema": {}, "etag": NOBODY})))
            .after(&[first])
            .error(Code::Aborted, "ETAG_MISMATCH"),
        put_type("one too many", named(json!({"schema": {}})))
            .after(&[full])
            .error(Code::ResourceExhausted, "EVENT_TYPE_LIMIT"),
        put_type("bad fields", bad).fields(&[
            ("category", "MALFORMED_TYPE_NAME"),
            ("name", "MALFORMED_TYPE_NAME"),
            ("schema", "MALFORMED_SCHEMA"),
        ]),
        put_type("nothing", json!({}))
            .fields(&[("category", "REQUIRED"), ("name", "REQUIRED"), ("schema", "REQUIRED")])
            .otherwise_by(EMPTY),
        put_type(
            "a schema that leads out of it",
            named(json!({"schema": {"$ref": "https://a.example/"}})),
        )
        .fields(&[("schema", "SCHEMA_REF")]),
        put_type(
            "long names",
            json!({"category": "x".repeat(51), "name": "ü".repeat(151), "schema": {}}),
        )
        .fields(&[("category", "TOO_LONG"), ("name", "TOO_LONG")]),
    ]
}

fn types() -> Vec<Case> {
    let first = put(&json!({"minProperties": 2}), &[("etag", "/type/etag")]);
    let before = std::slice::from_ref(&first);
    let other = json!({"category": "page", "name": "viewed", "schema": {}});
    let other = Call("able", "Events/PutEventType", other, &[("other etag", "/type/etag")]);
    let two = [first.clone(), other];
    let page = Call(
        "able",
        "Events/ListEventTypes",
        json!({"pageSize": 1}),
        &[("page", "/nextPageToken")],
    );
    let next = [&two[..], &[page]].concat();
    let get = |name: &str, request: Value| case(name, "Events/GetEventType", request);
    let list = |name: &str, request: Value| case(name, "Events/ListEventTypes", request);
    let delete = |name: &str, request: Value| case(name, "Events/DeleteEventType", request);
    let bad = json!({"category": "a/b", "name": "a%25?"});
    let fields = [("category", "MALFORMED_TYPE_NAME"), ("name", "MALFORMED_TYPE_NAME")];
    let missing = [("category", "REQUIRED"), ("name", "REQUIRED")];
    vec![
        get("one", named(json!({}))).after(before).has(&[
            ("/type/etag", json!("<etag>")),
            ("/type/schema", json!({"minProperties": 2.0})),
        ]),
        not_found(
            get("one of another name", json!({"category": "sign up: ä", "name": "x"}))
                .after(before),
            "EVENT_TYPE_NOT_FOUND",
        ),
        get("bad fields", bad.clone()).fields(&fields),
        get("nothing", json!({})).fields(&missing).otherwise_by(EMPTY),
        list("all", json!({}))
            .after(&two)
            .has(&[("/types/0/etag", json!("<other etag>")), ("/types/1/etag", json!("<etag>"))]),
        list("of a category", json!({"category": "sign up: ä"}))
            .after(&two)
            .has(&[("/types/0/etag", json!("<etag>"))]),
        list("a page", json!({"pageSize": 1})).after(&two).has(&[
            ("/types/0/category", json!("page")),
            ("/nextPageToken", json!("after page\nviewed")),
        ]),
        list("the next page", json!({"pageToken": "<page>"}))
            .after(&next)
            .has(&[("/types/0/etag", json!("<etag>"))]),
        list("the token of another question", json!({"pageToken": "<page>", "category": "page"}))
            .after(&next)
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list("bad fields", json!({"category": "x".repeat(51), "pageToken": "x", "pageSize": -1}))
            .fields(&[
                ("category", "TOO_LONG"),
                ("page_token", "MALFORMED_PAGE_TOKEN"),
                ("page_size", "NEGATIVE"),
            ]),
        delete("one", named(json!({}))).after(before),
        not_found(
            delete("again", named(json!({})))
                .after(&[first.clone(), call("Events/DeleteEventType", named(json!({})))]),
            "EVENT_TYPE_NOT_FOUND",
        ),
        delete("bad fields", bad).fields(&fields),
        delete("nothing", json!({})).fields(&missing).otherwise_by(EMPTY),
    ]
}

fn ledgers() -> Vec<Case> {
    let ledger = |name: &str, request: Value| {
        case(name, "Events/GetIngestLedger", request).after(&[two_stored(), refused_too()].concat())
    };
    let ever = json!({"start": "2020-01-01 00:00:00", "end": "2199-01-01T00:00:00Z"});
    vec![
        ledger("all", ever.clone()).has(&[
            ("/total/received", json!(4.0)),
            ("/total/stored", json!(2.0)),
            ("/minutes/0/rejected", json!(2.0)),
        ]),
        ledger("a page", with(ever, json!({"pageSize": 1})))
            .has(&[("/minutes/0/received", json!(4.0))]),
        ledger(
            "of a time without any",
            json!({"start": "2023-01-01T00:00:30Z", "end": "2023-01-02T00:00:00Z"}),
        )
        .has(&[("/total/minute", json!("2023-01-01T00:00:00Z"))]),
        ledger(
            "an empty range",
            json!({"start": "2023-01-01T00:00:00Z", "end": "2023-01-01T00:00:00Z"}),
        )
        .fields(&[("end", "END_NOT_AFTER_START")]),
        ledger("bad fields", json!({"start": "x", "end": "y", "pageSize": -1, "pageToken": "x"}))
            .fields(&[
                ("end", "MALFORMED_DATE"),
                ("start", "MALFORMED_DATE"),
                ("page_token", "MALFORMED_PAGE_TOKEN"),
                ("page_size", "NEGATIVE"),
            ]),
    ]
}

/// What is refused beside events whose session is there already.
fn refused_too() -> Vec<Step> {
    refused().split_off(1)
}

fn settings() -> Vec<Case> {
    let get = |name: &str| case(name, "Events/GetEventSettings", json!({}));
    let change = |name: &str, request: Value| case(name, "Events/UpdateEventSettings", request);
    let both = json!({"unknownTypes": "REFUSE", "unknownSessions": "CREATE"});
    let set = call("Events/UpdateEventSettings", both.clone());
    vec![
        get("before any change").has(&[("/settings", json!({}))]),
        get("after a change").after(std::slice::from_ref(&set)).has(&[("/settings", both.clone())]),
        change("both", both).has(&[("/settings/unknownTypes", json!("REFUSE"))]),
        change("one of them", json!({"unknownTypes": "ACCEPT"}))
            .after(&[set])
            .has(&[("/settings", json!({"unknownSessions": "CREATE"}))]),
        change("nothing", json!({})).fields(&[("unknown_types", "NOTHING_TO_CHANGE")]),
        change("unknown numbers", json!({"unknownTypes": 8, "unknownSessions": 9}))
            .fields(&[("unknown_types", "UNKNOWN_VALUE"), ("unknown_sessions", "UNKNOWN_VALUE")]),
    ]
}
