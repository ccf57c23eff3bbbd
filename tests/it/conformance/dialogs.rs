//! The calls of the service of dialogs that every wire has to give the same outcome for.

use serde_json::{Value, json};
use tonic::Code;

use super::{
    Case, Otherwise, case,
    cases::{EMPTY, NOBODY, REQUEST},
};
use crate::app::scenes::{
    By,
    Step::{self, Call, Refused},
};

/// What Envoy makes of a number that is the whole body is no message.
const NUMBER: Otherwise = Otherwise { in_queries_only: false, reason: "MALFORMED_REQUEST" };

/// A request that is in order, as far as a call can be refused before it is looked at.
pub fn sample(name: &str) -> Option<Value> {
    Some(match name {
        "RecordMessage" => says("c", "d", json!({})),
        "SetConsent" => json!({"dialogId": "d", "body": true}),
        "WithdrawConsent" => json!({"dialogId": "d"}),
        "ListMessages" | "ListConsents" | "ListErasures" | "GetDialogSettings" => json!({}),
        "EraseCustomer" | "ExportCustomer" => json!({"customerId": "c"}),
        "UpdateDialogSettings" => json!({"purpose": "To answer better"}),
        _ => return None,
    })
}

fn with(value: Value, more: Value) -> Value {
    let (Value::Object(mut members), Value::Object(more)) = (value, more) else { panic!() };
    members.extend(more);
    Value::Object(members)
}

/// What a customer says in a dialog.
fn says(customer: &str, dialog: &str, more: Value) -> Value {
    let said = json!({
        "customerId": customer, "dialogId": dialog, "text": "What is in the ☕?", "language": "pt-br",
    });
    with(said, more)
}

type Learned = &'static [(&'static str, &'static str)];

fn said(customer: &str, dialog: &str, learned: Learned) -> Step {
    Call("able", "Dialogs/RecordMessage", says(customer, dialog, json!({})), learned)
}

fn decided(dialog: &str, granted: bool, learned: Learned) -> Step {
    let request = json!({"dialogId": dialog, "granted": granted});
    Call("able", "Dialogs/SetConsent", request, learned)
}

fn erased(customer: &str, learned: Learned) -> Step {
    Call("able", "Dialogs/EraseCustomer", json!({ "customerId": customer }), learned)
}

/// A key that takes messages and does not look at them.
fn taker() -> Step {
    let create = json!({"name": "taker", "scopes": ["dialogs:write"]});
    Call("able", "ApiKeys/CreateApiKey", create, &[("taker", "/key")])
}

/// A dialog that is kept, with two messages.
fn kept() -> Vec<Step> {
    vec![
        said("c", "d", &[("one", "/id")]),
        decided("d", true, &[("consent", "/consent/id")]),
        said("c", "d", &[("two", "/id")]),
    ]
}

pub fn dialogs() -> Vec<Case> {
    [records(), decisions(), withdrawals(), erasures()].concat()
}

pub fn looks_at_dialogs() -> Vec<Case> {
    [messages(), consents(), exports(), receipts(), settings(), changes_of_settings()].concat()
}

fn records() -> Vec<Case> {
    let record = |name: &str, request: Value| case(name, "Dialogs/RecordMessage", request);
    let once = says("c", "d", json!({"requestId": REQUEST}));
    let before = || Call("able", "Dialogs/RecordMessage", once.clone(), &[("first", "/id")]);
    let another = || says("c", "d", json!({"requestId": REQUEST, "text": "b"}));
    let used = |case: Case| case.error(Code::AlreadyExists, "REQUEST_ID_USED");
    let stored = || vec![decided("d", true, &[]), before()];
    // As long as may be, and four bytes each: 26 of them fill a dialog.
    let long = says("c", "d", json!({"text": "🍰".repeat(10_000)}));
    let full = Refused("able", "Dialogs/RecordMessage", long.clone(), "of this dialog");
    let others = |case: Case| case.fields(&[("customer_id", "OTHER_CUSTOMER")]);
    vec![
        record("the first", says("c", "d", json!({}))).by_chance(&["id"]),
        record(
            "ids with all that they may have",
            says("A.z_0~-", "..d", json!({"language": "und"})),
        )
        .by_chance(&["id"]),
        record("as long as may be", long.clone()).by_chance(&["id"]),
        record("with consent", says("c", "d", json!({})))
            .after(&kept())
            .by_chance(&["id"])
            .has(&[("/state", json!("STORED"))]),
        record("without", says("c", "d", json!({})))
            .after(&[decided("d", false, &[])])
            .has(&[("", json!({"state": "REFUSED"}))]),
        record("of who was erased", says("c", "d", json!({})))
            .after(&[erased("c", &[])])
            .has(&[("", json!({"state": "ERASED"}))]),
        record("again", once.clone()).after(&[before()]).has(&[("/id", json!("<first>"))]),
        record("again, stored", once.clone())
            .after(&stored())
            .has(&[("/id", json!("<first>")), ("/state", json!("STORED"))]),
        used(record("another one by the same id", another()).after(&[before()])),
        used(record("another one by the same id, stored", another()).after(&stored())),
        record("more than may wait", long)
            .after(&[full])
            .error(Code::ResourceExhausted, "PENDING_LIMIT"),
        others(record("another customer's", says("e", "d", json!({}))).after(&[said(
            "c",
            "d",
            &[],
        )])),
        others(record("another customer's, stored", says("e", "d", json!({}))).after(&kept())),
        record("nothing", json!({}))
            .fields(&[
                ("customer_id", "REQUIRED"),
                ("dialog_id", "REQUIRED"),
                ("text", "REQUIRED"),
                ("language", "REQUIRED"),
            ])
            .otherwise_by(EMPTY),
        record("a dot for an id", says("c", ".", json!({})))
            .fields(&[("dialog_id", "MALFORMED_ID")])
            .otherwise_by(EMPTY),
        record("nothing said", json!({"customerId": "c", "dialogId": "d"}))
            .fields(&[("text", "REQUIRED"), ("language", "REQUIRED")]),
        record(
            "bad fields",
            says("a/b c%25", "ü", json!({"text": "a\0", "language": "en_US", "requestId": "x"})),
        )
        .fields(&[
            ("customer_id", "MALFORMED_ID"),
            ("dialog_id", "MALFORMED_ID"),
            ("text", "MALFORMED_TEXT"),
            ("language", "MALFORMED_LANGUAGE"),
            ("request_id", "MALFORMED_UUID"),
        ]),
        record("too long", says(&"c".repeat(65), "d:e", json!({"text": "x".repeat(10_001)})))
            .fields(&[
                ("customer_id", "MALFORMED_ID"),
                ("dialog_id", "MALFORMED_ID"),
                ("text", "TOO_LONG"),
            ]),
    ]
}

fn decisions() -> Vec<Case> {
    let decide = |name: &str, more: Value| {
        case(name, "Dialogs/SetConsent", with(json!({"dialogId": "d"}), more))
    };
    let new: &[&str] = &["consent.id"];
    let hash = "0123456789abcdef".repeat(8);
    let terms = json!({
        "purpose": "To answer better", "policyVersion": "2026-11 é", "policyHash": hash.to_uppercase(),
    });
    let update = with(terms.clone(), json!({"redactAfterDays": 1}));
    let by_fields = json!({"granted": true, "terms": terms});
    let settled = Call("able", "Dialogs/UpdateDialogSettings", update, &[]);
    let noted: Vec<(&'static str, Value)> = vec![
        ("/consent/decision", json!("GRANTED")),
        ("/consent/purpose", json!("To answer better")),
        ("/consent/policyVersion", json!("2026-11 é")),
        ("/consent/policyHash", json!(hash)),
        ("/consent/keyId", json!("<able.id>")),
    ];
    let wrong = |name: &str, body: Value| {
        decide(name, json!({ "body": body })).fields(&[("body", "WRONG_TYPE")])
    };
    let required = |case: Case| case.fields(&[("granted", "REQUIRED")]);
    vec![
        decide("yes", json!({"body": true})).after(&[said("c", "d", &[])]).by_chance(new).has(&[
            ("/consent/decision", json!("GRANTED")),
            ("/consent/customerId", json!("c")),
            ("/storedMessages", json!(1.0)),
        ]),
        decide("no", json!({"body": false}))
            .after(&[said("c", "d", &[])])
            .by_chance(new)
            .has(&[("/deletedMessages", json!(1.0)), ("/consent/dialogId", json!("d"))]),
        decide("no after yes", json!({"body": false}))
            .after(&kept())
            .by_chance(new)
            .has(&[("/consent/decision", json!("WITHDRAWN")), ("/deletedMessages", json!(2.0))]),
        decide("yes again", json!({"body": true}))
            .after(&kept())
            .has(&[("/consent/id", json!("<consent>"))]),
        decide("before anything was said", json!({"body": {"granted": true}})).by_chance(new),
        decide("with terms", json!({"body": with(terms.clone(), json!({"granted": true}))}))
            .by_chance(new)
            .has(&noted),
        decide("by fields", json!({"granted": true}))
            .after(&kept())
            .has(&[("/consent/id", json!("<consent>"))]),
        decide("no by fields", json!({"granted": false}))
            .after(&[decided("d", false, &[("no", "/consent/id")])])
            .has(&[("/consent/id", json!("<no>"))]),
        decide("with terms by fields", by_fields.clone())
            .after(&[Call(
                "able",
                "Dialogs/SetConsent",
                with(json!({"dialogId": "d"}), by_fields),
                &[("consent", "/consent/id")],
            )])
            .has(&noted),
        decide("with the terms of the settings", json!({"body": true}))
            .after(&[settled])
            .by_chance(new)
            .has(&noted),
        required(decide("nothing", json!({}))),
        required(decide("null", json!({"body": null}))),
        required(decide("an empty object", json!({"body": {}}))),
        required(decide("terms alone", json!({"terms": {"purpose": "a"}}))),
        wrong("a text", json!("yes")),
        wrong("a number", json!(1)).otherwise_by(NUMBER),
        wrong("a list", json!([true])),
        decide(
            "members of other types",
            json!({"body": {"granted": "yes", "policyHash": null, "purpose": 1, "x": true}}),
        )
        .fields(&[
            ("granted", "WRONG_TYPE"),
            ("policy_hash", "WRONG_TYPE"),
            ("purpose", "WRONG_TYPE"),
            ("body", "UNKNOWN_FIELD"),
        ]),
        decide("both ways", json!({"body": true, "granted": true}))
            .fields(&[("body", "CONFLICTING_FIELDS")]),
        decide(
            "bad terms",
            json!({"body": {
                "granted": true, "purpose": "x".repeat(201), "policyVersion": "\u{7}", "policyHash": "0xab",
            }}),
        )
        .fields(&[
            ("purpose", "TOO_LONG"),
            ("policy_version", "MALFORMED_TEXT"),
            ("policy_hash", "MALFORMED_HASH"),
        ]),
        decide(
            "bad terms by fields",
            json!({"granted": true, "terms": {"policyVersion": "x".repeat(101), "policyHash": "0".repeat(31)}}),
        )
        .fields(&[("policy_version", "TOO_LONG"), ("policy_hash", "MALFORMED_HASH")]),
        decide("no id", json!({"dialogId": "a/b:c d%25", "body": true}))
            .fields(&[("dialog_id", "MALFORMED_ID")]),
        decide("no id at all", json!({"dialogId": "", "body": true}))
            .fields(&[("dialog_id", "REQUIRED")])
            .otherwise_by(EMPTY),
    ]
}

fn withdrawals() -> Vec<Case> {
    let withdraw = |name: &str, request: Value| case(name, "Dialogs/WithdrawConsent", request);
    let again =
        Call("able", "Dialogs/WithdrawConsent", json!({"dialogId": "d"}), &[("no", "/consent/id")]);
    vec![
        withdraw("one", json!({"dialogId": "d"}))
            .after(&kept())
            .by_chance(&["consent.id"])
            .has(&[("/consent/decision", json!("WITHDRAWN")), ("/deletedMessages", json!(2.0))]),
        withdraw("one that waits", json!({"dialogId": "d"}))
            .after(&[said("c", "d", &[])])
            .by_chance(&["consent.id"])
            .has(&[("/deletedMessages", json!(1.0))]),
        withdraw("again", json!({"dialogId": "d"}))
            .after(&[kept(), vec![again]].concat())
            .has(&[("/consent/id", json!("<no>"))]),
        withdraw("nobody's", json!({"dialogId": "d"})).by_chance(&["consent.id"]),
        withdraw("no id", json!({"dialogId": "a/b:c d%25"}))
            .fields(&[("dialog_id", "MALFORMED_ID")]),
    ]
}

fn erasures() -> Vec<Case> {
    let erase = |name: &str, more: Value| {
        case(name, "Dialogs/EraseCustomer", with(json!({"customerId": "c"}), more))
    };
    let everything = || [kept(), vec![said("c", "waits", &[])]].concat();
    let counts = json!({"messages": 2.0, "pendingMessages": 1.0, "dialogs": 1.0, "consents": 1.0});
    let new: &[&str] = &["receipt.id", "receipt.hash"];
    let once = json!({"customerId": "c", "requestId": REQUEST});
    let learned = &[("receipt", "/receipt/id"), ("sum", "/receipt/hash")];
    let before = || Call("able", "Dialogs/EraseCustomer", once.clone(), learned);
    vec![
        erase("with everything", json!({})).after(&everything()).by_chance(new).has(&[
            ("/counts", counts.clone()),
            ("/receipt/counts", counts.clone()),
            ("/receipt/number", json!(1.0)),
            ("/receipt/keyId", json!("<able.id>")),
            ("/receipt/previousHash", json!("0".repeat(64))),
        ]),
        erase("only counted", json!({"validateOnly": true}))
            .after(&everything())
            .has(&[("", json!({ "counts": counts }))]),
        erase("of whom there is nothing", json!({})).by_chance(new),
        erase("after another", json!({}))
            .after(&[erased("e", learned)])
            .by_chance(new)
            .has(&[("/receipt/number", json!(2.0)), ("/receipt/previousHash", json!("<sum>"))]),
        erase("again", json!({"requestId": REQUEST}))
            .after(&[everything(), vec![before()]].concat())
            .has(&[("/receipt/id", json!("<receipt>")), ("/counts/messages", json!(2.0))]),
        erase("another by the same id", json!({"customerId": "e", "requestId": REQUEST}))
            .after(&[before()])
            .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        erase("by who may not look", json!({}))
            .after(&[taker()])
            .by(By::Key("taker"))
            .error(Code::PermissionDenied, "SCOPE_MISSING"),
        erase("bad fields", json!({"customerId": "a/b c%25", "requestId": "x"}))
            .fields(&[("customer_id", "MALFORMED_ID"), ("request_id", "MALFORMED_UUID")]),
        erase("nobody", json!({"customerId": ""}))
            .fields(&[("customer_id", "REQUIRED")])
            .otherwise_by(EMPTY),
    ]
}

fn messages() -> Vec<Case> {
    let more = || {
        let odd = says("e", "f", json!({"language": "SV", "text": "\u{7}\n\"ü\u{2028}"}));
        let odd = Call("able", "Dialogs/RecordMessage", odd, &[("three", "/id")]);
        [kept(), vec![decided("f", true, &[]), odd, said("c", "waits", &[])]].concat()
    };
    let list =
        |name: &str, request: Value| case(name, "Dialogs/ListMessages", request).after(&more());
    let next = |name: &str, request: Value| {
        let first = json!({"pageSize": 1, "customerId": "c"});
        let first = Call("able", "Dialogs/ListMessages", first, &[("page", "/nextPageToken")]);
        case(name, "Dialogs/ListMessages", with(json!({"pageToken": "<page>"}), request))
            .after(&[more(), vec![first]].concat())
    };
    let first = |id: &str| [("/messages/0/id", json!(id))];
    vec![
        list("all", json!({})).has(&[
            ("/messages/0/id", json!("<three>")),
            ("/messages/0/text", json!("\u{7}\n\"ü\u{2028}")),
            ("/messages/0/language", json!("sv")),
            ("/messages/2/id", json!("<one>")),
            ("/messages/2/language", json!("pt-BR")),
        ]),
        case("none", "Dialogs/ListMessages", json!({})).has(&[("", json!({}))]),
        list("of a language", json!({"language": "PT-br"})).has(&first("<two>")),
        list("of another language", json!({"language": "pt"})).has(&[("", json!({}))]),
        list("of a customer", json!({"customerId": "e"})).has(&first("<three>")),
        list("of a dialog", json!({"dialogId": "d"})).has(&first("<two>")),
        list("of a time", json!({"after": "2026-01-01", "before": "2199-01-01T00:00:00+01:00"}))
            .has(&first("<three>")),
        list("of another time", json!({"before": "2026-01-01"})).has(&[("", json!({}))]),
        list("of all at once", json!({"customerId": "c", "dialogId": "d", "language": "pt-BR"}))
            .has(&first("<two>")),
        list("a page", json!({"pageSize": 2})).has(&first("<three>")),
        next("the next page", json!({"customerId": "c", "pageSize": 5})).has(&first("<one>")),
        next("the token of another question", json!({"customerId": "e"}))
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list(
            "bad fields",
            json!({
                "pageToken": "x", "pageSize": -1, "language": "e", "customerId": "a b", "dialogId": "..",
                "after": "today", "before": "2026-02-30",
            }),
        )
        .fields(&[
            ("page_token", "MALFORMED_PAGE_TOKEN"),
            ("page_size", "NEGATIVE"),
            ("language", "MALFORMED_LANGUAGE"),
            ("customer_id", "MALFORMED_ID"),
            ("dialog_id", "MALFORMED_ID"),
            ("after", "MALFORMED_DATE"),
            ("before", "MALFORMED_DATE"),
        ]),
    ]
}

fn consents() -> Vec<Case> {
    let more = || {
        [
            kept(),
            vec![
                decided("f", true, &[("other", "/consent/id")]),
                decided("f", false, &[("taken back", "/consent/id")]),
                said("gone", "g", &[]),
                decided("g", true, &[("cut", "/consent/id")]),
                erased("gone", &[]),
            ],
        ]
        .concat()
    };
    let list =
        |name: &str, request: Value| case(name, "Dialogs/ListConsents", request).after(&more());
    let next = |name: &str, request: Value| {
        let first = Call(
            "able",
            "Dialogs/ListConsents",
            json!({"pageSize": 2}),
            &[("page", "/nextPageToken")],
        );
        case(name, "Dialogs/ListConsents", with(json!({"pageToken": "<page>"}), request))
            .after(&[more(), vec![first]].concat())
    };
    let first = |id: &str| [("/consents/0/id", json!(id))];
    vec![
        list("all", json!({})).has(&[
            ("/consents/0/id", json!("<cut>")),
            ("/consents/1/id", json!("<taken back>")),
            ("/consents/1/decision", json!("WITHDRAWN")),
            ("/consents/3/id", json!("<consent>")),
            ("/consents/3/customerId", json!("c")),
        ]),
        case("none", "Dialogs/ListConsents", json!({})).has(&[("", json!({}))]),
        list("of a dialog", json!({"dialogId": "f"})).has(&first("<taken back>")),
        list("of a customer", json!({"customerId": "c"})).has(&first("<consent>")),
        list("of who was erased", json!({"customerId": "gone"})).has(&first("<cut>")),
        list("of a dialog of who was erased", json!({"dialogId": "g"})).has(&[("", json!({}))]),
        list("of both", json!({"customerId": "c", "dialogId": "f"})).has(&[("", json!({}))]),
        next("the next page", json!({})).has(&first("<other>")),
        next("the token of another question", json!({"dialogId": "f"}))
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list(
            "bad fields",
            json!({"pageToken": "x", "pageSize": -1, "customerId": "a b", "dialogId": "/"}),
        )
        .fields(&[
            ("page_token", "MALFORMED_PAGE_TOKEN"),
            ("page_size", "NEGATIVE"),
            ("dialog_id", "MALFORMED_ID"),
            ("customer_id", "MALFORMED_ID"),
        ]),
    ]
}

fn exports() -> Vec<Case> {
    let more = || {
        [kept(), vec![said("c", "waits", &[("three", "/id")]), said("e", "others", &[])]].concat()
    };
    let turn = |request: Value, learned| {
        let request = with(json!({"customerId": "c"}), request);
        Call("able", "Dialogs/ExportCustomer", request, learned)
    };
    let to_messages = || turn(json!({}), &[("messages", "/nextPageToken")]);
    let export = |name: &str, request: Value, before: Vec<Step>| {
        let request = with(json!({"customerId": "c"}), request);
        case(name, "Dialogs/ExportCustomer", request).after(&[more(), before].concat())
    };
    vec![
        export("what waits", json!({}), vec![]).has(&[("/pendingMessages/0/id", json!("<three>"))]),
        export(
            "what is stored",
            json!({"pageToken": "<messages>", "pageSize": 1}),
            vec![to_messages()],
        )
        .has(&[("/messages/0/id", json!("<two>"))]),
        export(
            "the rest of it",
            json!({"pageToken": "<rest>"}),
            vec![
                to_messages(),
                turn(
                    json!({"pageToken": "<messages>", "pageSize": 1}),
                    &[("rest", "/nextPageToken")],
                ),
            ],
        )
        .has(&[("/messages/0/id", json!("<one>"))]),
        export(
            "what was decided",
            json!({"pageToken": "<decided>"}),
            vec![
                to_messages(),
                turn(json!({"pageToken": "<messages>"}), &[("decided", "/nextPageToken")]),
            ],
        )
        .has(&[("/consents/0/id", json!("<consent>"))]),
        export(
            "of who was erased",
            json!({"pageToken": "<decided>"}),
            vec![
                erased("c", &[]),
                to_messages(),
                turn(json!({"pageToken": "<messages>"}), &[("decided", "/nextPageToken")]),
            ],
        )
        .has(&[("/consents/0/id", json!("<consent>"))]),
        case("of nobody", "Dialogs/ExportCustomer", json!({"customerId": "nobody"})),
        export(
            "the token of another",
            json!({"customerId": "e", "pageToken": "<messages>"}),
            vec![to_messages()],
        )
        .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        export(
            "bad fields",
            json!({"customerId": "a/b c%25", "pageToken": "x", "pageSize": -1}),
            vec![],
        )
        .fields(&[
            ("customer_id", "MALFORMED_ID"),
            ("page_token", "MALFORMED_PAGE_TOKEN"),
            ("page_size", "NEGATIVE"),
        ]),
    ]
}

fn receipts() -> Vec<Case> {
    let two = || {
        vec![
            said("c", "d", &[]),
            decided("d", true, &[]),
            erased("c", &[("one", "/receipt/id"), ("first", "/receipt/hash")]),
            erased("e", &[("two", "/receipt/id"), ("second", "/receipt/hash")]),
        ]
    };
    let list =
        |name: &str, request: Value| case(name, "Dialogs/ListErasures", request).after(&two());
    let next = |name: &str, request: Value| {
        let first = Call(
            "able",
            "Dialogs/ListErasures",
            json!({"pageSize": 1}),
            &[("page", "/nextPageToken")],
        );
        case(name, "Dialogs/ListErasures", with(json!({"pageToken": "<page>"}), request))
            .after(&[two(), vec![first]].concat())
    };
    vec![
        list("all", json!({})).has(&[
            ("/erasures/0/id", json!("<two>")),
            ("/erasures/0/previousHash", json!("<first>")),
            ("/erasures/1/hash", json!("<first>")),
            ("/erasures/1/counts/messages", json!(1.0)),
        ]),
        case("none", "Dialogs/ListErasures", json!({})).has(&[("", json!({}))]),
        list("of a customer", json!({"customerId": "c"}))
            .has(&[("/erasures/0/id", json!("<one>"))]),
        next("the next page", json!({})).has(&[("/erasures/0/id", json!("<one>"))]),
        next("the token of another question", json!({"customerId": "c"}))
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list("bad fields", json!({"pageToken": NOBODY, "pageSize": -1, "customerId": "a b"}))
            .fields(&[
                ("page_token", "MALFORMED_PAGE_TOKEN"),
                ("page_size", "NEGATIVE"),
                ("customer_id", "MALFORMED_ID"),
            ]),
    ]
}

fn settings() -> Vec<Case> {
    let changed = json!({"purpose": "To answer better", "deleteAfterDays": 30});
    let changed = Call("able", "Dialogs/UpdateDialogSettings", changed, &[]);
    let get = |name: &str| case(name, "Dialogs/GetDialogSettings", json!({}));
    vec![
        get("as they come").has(&[("", json!({"settings": {}}))]),
        get("changed").after(&[changed]).has(&[(
            "",
            json!({"settings": {"purpose": "To answer better", "deleteAfterDays": 30}}),
        )]),
    ]
}

fn changes_of_settings() -> Vec<Case> {
    let whole = || {
        json!({
            "purpose": "To answer better", "policyVersion": "2", "policyHash": "AB".repeat(16),
            "redactAfterDays": 30, "deleteAfterDays": 36_500,
        })
    };
    let update = |name: &str, request: Value| case(name, "Dialogs/UpdateDialogSettings", request);
    let before = || Call("able", "Dialogs/UpdateDialogSettings", whole(), &[]);
    vec![
        update("everything", whole()).has(&[
            ("/settings/policyHash", json!("ab".repeat(16))),
            ("/settings/redactAfterDays", json!(30)),
        ]),
        update("some of it", json!({"purpose": "", "policyHash": "", "redactAfterDays": 0}))
            .after(&[before()])
            .has(&[("/settings", json!({"policyVersion": "2", "deleteAfterDays": 36_500}))]),
        update("nothing", json!({})).fields(&[("purpose", "NOTHING_TO_CHANGE")]),
        update("gone before it is redacted", json!({"deleteAfterDays": 29}))
            .after(&[before()])
            .fields(&[("delete_after_days", "OUT_OF_RANGE")]),
        update(
            "bad fields",
            json!({
                "purpose": "x".repeat(201), "policyVersion": "\u{7}", "policyHash": "xyz",
                "redactAfterDays": -1, "deleteAfterDays": 36_501,
            }),
        )
        .fields(&[
            ("redact_after_days", "OUT_OF_RANGE"),
            ("delete_after_days", "OUT_OF_RANGE"),
            ("purpose", "TOO_LONG"),
            ("policy_version", "MALFORMED_TEXT"),
            ("policy_hash", "MALFORMED_HASH"),
        ]),
        update("by who may not look", whole())
            .after(&[taker()])
            .by(By::Key("taker"))
            .error(Code::PermissionDenied, "SCOPE_MISSING"),
    ]
}
