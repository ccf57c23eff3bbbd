//! Lists of messages, decisions and receipts, what is given out of a customer, and settings.

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use prost::Message as _;
use serde_json::{Value, json};
use tap_analytics::proto::tap_v1::EraseCustomerRequest;
use tokio::runtime::Runtime;
use tonic::Code;

use super::{Chat, new_id, number, said, texts, with};
use crate::app::instant;

/// All pages of this size, one after another.
async fn pages(chat: &Chat, rpc: &str, field: &str, asked: &Value, size: usize) -> Vec<Value> {
    let (mut all, mut token) = (Vec::new(), json!(""));
    loop {
        let page = json!({"pageSize": size, "pageToken": token});
        let answer = chat.answer(rpc, with(asked.clone(), page)).await;
        let found = answer[field].as_array().cloned().unwrap_or_default();
        assert!(found.len() <= size);
        let more = answer.get("nextPageToken").cloned();
        all.extend(found);
        assert!(all.len() <= 10_000, "the pages never end");
        match more {
            None => return all,
            Some(next) => token = next,
        }
    }
}

const LANGUAGES: [&str; 3] = ["en", "pt-BR", "rw"];

/// A message of the customer, the dialog of theirs, the language and the second of these numbers.
type Said = (usize, usize, usize, i64);

fn any_filter() -> impl Strategy<Value = [Option<usize>; 5]> {
    let some = || prop::option::of(0_usize..3);
    let second = || prop::option::of(0_usize..6);
    (some(), some(), some(), second(), second()).prop_map(
        |(language, customer, dialog, after, before)| [language, customer, dialog, after, before],
    )
}

#[test]
fn all_conditions_hold_at_once_and_pages_are_the_whole_list_each_once() {
    let runtime = Runtime::new().unwrap();
    let (chat, clock) = runtime.block_on(Chat::open_at("2026-03-01T10:00:00Z"));
    let messages: Vec<Said> =
        (0..60_usize).map(|n| (n % 3, n / 3 % 3, n / 2 % 3, (n % 5) as i64)).collect();
    runtime.block_on(async {
        for (customer, dialog, ..) in &messages {
            chat.decide(&format!("d{customer}{dialog}"), true).await;
        }
        for (nth, (customer, dialog, language, second)) in messages.iter().enumerate() {
            clock.set(instant(&format!("2026-03-01T10:00:0{second}Z")));
            let request =
                said(&format!("c{customer}"), &format!("d{customer}{dialog}"), &nth.to_string());
            let request = with(request, json!({"language": LANGUAGES[*language].to_uppercase()}));
            chat.answer("RecordMessage", request).await;
        }
    });
    let mut runner =
        TestRunner::new(Config { cases: 80, failure_persistence: None, ..Config::default() });
    runner
        .run(&(any_filter(), 1_usize..30), |([language, customer, dialog, after, before], size)| {
            let mut asked = json!({});
            if let Some(language) = language {
                asked["language"] = json!(LANGUAGES[language].to_lowercase());
            }
            if let Some(customer) = customer {
                asked["customerId"] = json!(format!("c{customer}"));
            }
            if let Some(dialog) = dialog {
                // Of the first customer: with another one there is nothing.
                asked["dialogId"] = json!(format!("d0{dialog}"));
            }
            for (name, second) in [("after", after), ("before", before)] {
                if let Some(second) = second {
                    asked[name] = json!(format!("2026-03-01T12:00:0{second}+02:00"));
                }
            }
            let meets = |(_, said): &(usize, &Said)| {
                let (theirs, in_dialog, in_language, second) = **said;
                let second = usize::try_from(second).unwrap();
                language.is_none_or(|language| language == in_language)
                    && customer.is_none_or(|customer| customer == theirs)
                    && dialog.is_none_or(|dialog| theirs == 0 && dialog == in_dialog)
                    && after.is_none_or(|after| second >= after)
                    && before.is_none_or(|before| second < before)
            };
            let expected: BTreeSet<String> =
                messages.iter().enumerate().filter(meets).map(|(nth, _)| nth.to_string()).collect();
            let found = runtime.block_on(pages(&chat, "ListMessages", "messages", &asked, size));
            let newest_first = found.is_sorted_by(|one, next| {
                let place = |of: &Value| (of["receivedAt"].to_string(), of["id"].to_string());
                place(one) > place(next)
            });
            prop_assert!(newest_first, "{:?}", found);
            let found: Vec<String> =
                found.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect();
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn sizes_of_pages_have_a_default_a_most_and_a_bound_by_length() {
    let chat = Chat::open().await;
    chat.decide("d", true).await;
    let insert = "insert into messages (team_id, message_id, dialog_id, customer_hash, language, text, received_at)
        select $1, gen_random_uuid(), 'd', (select customer_hash from dialogs), 'en', repeat('x', $2), now()
        from generate_series(1, 1200)";
    chat.say("c", "d", "first").await;
    let sql = chat.app.sql().await;
    sql.execute(insert, &[&chat.team.id.0, &1]).await.unwrap();
    for (size, found) in [(0, 100), (7, 7), (1_000, 1_000), (i32::MAX, 1_000)] {
        assert_eq!(chat.texts(json!({"pageSize": size})).await.len(), found, "{size}");
    }
    let negative = chat.violations("ListMessages", json!({"pageSize": -1})).await;
    assert_eq!(negative, [("page_size".to_owned(), "NEGATIVE".to_owned())]);
    sql.execute(insert, &[&chat.team.id.0, &10_000]).await.unwrap();
    let long = chat.answer("ListMessages", json!({"pageSize": 1_000})).await;
    assert_eq!(texts(&long).len(), 102);
    assert!(long["nextPageToken"].is_string());
    let all = pages(&chat, "ListMessages", "messages", &json!({}), 1_000).await;
    assert_eq!(all.len(), 2_401);
    assert_eq!(
        all.iter().map(|message| message["id"].to_string()).collect::<BTreeSet<_>>().len(),
        2_401
    );
}

#[tokio::test]
async fn decisions_are_listed_by_dialog_and_by_customer_who_was_erased_too() {
    let chat = Chat::open().await;
    let settings = json!({"purpose": "to answer better", "policyVersion": "1"});
    chat.answer("UpdateDialogSettings", settings).await;
    for dialog in ["a", "b"] {
        chat.say("c", dialog, "x").await;
        chat.decide(dialog, true).await;
    }
    chat.withdraw("a").await;
    chat.decide("other", false).await;
    let all = pages(&chat, "ListConsents", "consents", &json!({}), 1).await;
    assert_eq!(all.len(), 4);
    let of = async |asked: Value| pages(&chat, "ListConsents", "consents", &asked, 1).await;
    assert_eq!(of(json!({"dialogId": "a"})).await, [all[1].clone(), all[3].clone()]);
    assert_eq!(of(json!({"customerId": "c"})).await, all[1..]);
    assert_eq!(of(json!({"customerId": "c", "dialogId": "b"})).await, [all[2].clone()]);
    assert_eq!(of(json!({"customerId": "nobody"})).await, [json!(null); 0]);
    assert_eq!(
        (&all[1]["decision"], &all[1]["purpose"]),
        (&json!("WITHDRAWN"), &json!("to answer better"))
    );
    assert_eq!((&all[0]["dialogId"], &all[0]["customerId"]), (&json!("other"), &json!(null)));

    chat.erase("c").await;
    let erased = of(json!({"customerId": "c"})).await;
    assert_eq!(erased.len(), 3);
    for (one, before) in erased.iter().zip(&all[1..]) {
        assert_eq!(one["id"], before["id"]);
        assert_eq!((&one["dialogId"], &one["customerId"]), (&json!(null), &json!(null)));
        assert_eq!(one["purpose"], before["purpose"]);
    }
    assert_eq!(of(json!({"dialogId": "a"})).await, [json!(null); 0]);
}

/// The hash of a receipt, as dialogs.proto says it is made.
fn sum(receipt: &Value) -> String {
    let counts = &receipt["counts"];
    let whole = |value: &Value| (number(value) as i64).to_string();
    let text = |name: &str| receipt[name].as_str().unwrap().to_owned();
    let lines = [
        text("previousHash"),
        whole(&receipt["number"]),
        text("id"),
        text("erasedAt"),
        text("keyId"),
        text("customerHash"),
        whole(&counts["messages"]),
        whole(&counts["pendingMessages"]),
        whole(&counts["dialogs"]),
        whole(&counts["consents"]),
    ];
    let text = lines.join("\n") + "\n";
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[tokio::test]
async fn receipts_are_a_chain_and_requests_are_done_once() {
    let chat = Chat::open().await;
    chat.say("c", "d", "x").await;
    chat.decide("d", true).await;
    let request = json!({"customerId": "c", "requestId": new_id()});
    let first = chat.answer("EraseCustomer", request.clone()).await;
    assert_eq!(chat.answer("EraseCustomer", request.clone()).await, first);
    let used = (Code::AlreadyExists, "REQUEST_ID_USED".to_owned());
    let other = with(request.clone(), json!({"customerId": "other"}));
    assert_eq!(chat.refusal("EraseCustomer", other).await, used);
    let erasing = (0..12).map(|nth| {
        let chat = &chat;
        async move { chat.erase(&format!("c{}", nth % 5)).await }
    });
    futures_util::future::join_all(erasing).await;

    let receipts = pages(&chat, "ListErasures", "erasures", &json!({}), 5).await;
    assert_eq!(receipts.len(), 13);
    for (nth, receipt) in receipts.iter().rev().enumerate() {
        assert_eq!(number(&receipt["number"]), nth as f64 + 1.0);
        assert_eq!(receipt["hash"], sum(receipt));
    }
    for pair in receipts.windows(2) {
        assert_eq!(pair[0]["previousHash"], pair[1]["hash"]);
    }
    assert_eq!(receipts[12], first["receipt"]);
    assert_eq!(receipts[12]["previousHash"], "0".repeat(64));
    let of_one = pages(&chat, "ListErasures", "erasures", &json!({"customerId": "c"}), 5).await;
    assert_eq!(of_one, [first["receipt"].clone()]);
    assert!(!receipts[12].to_string().contains("\"c\""));
    // Nor can who the customer was be tried by what is kept to know the request again.
    let key = chat.app.key_id(chat.team.id, &chat.key).await;
    let fingerprint = async |customer: &str| {
        let request_id = request["requestId"].as_str().unwrap().to_owned();
        let request = EraseCustomerRequest {
            customer_id: customer.to_owned(),
            request_id,
            ..EraseCustomerRequest::default()
        };
        let parts = [key.0.as_bytes(), &b"EraseCustomer"[..], &request.encode_to_vec()];
        let hash = blake3::hash(&parts.join(&0)).to_hex();
        let kept = format!("select count(*) from requests where fingerprint = '\\x{hash}'");
        chat.app.scalar::<i64>(&kept).await
    };
    assert_eq!(fingerprint("c").await, 0);
    let hash = first["receipt"]["customerHash"].as_str().unwrap();
    assert_eq!(fingerprint(hash).await, 1, "this is how it is made");
}

#[tokio::test]
async fn all_that_is_held_of_a_customer_is_given_out() {
    let chat = Chat::open().await;
    for dialog in ["a", "b"] {
        chat.say("c", dialog, dialog).await;
        chat.decide(dialog, true).await;
        chat.say("c", dialog, dialog).await;
    }
    for text in ["1", "2", "3"] {
        chat.say("c", "waits", text).await;
    }
    chat.say("other", "theirs", "theirs").await;
    let export = async |customer: &str, erased: bool| {
        let mut held = [const { Vec::new() }; 3];
        let mut token = json!("");
        loop {
            let asked = json!({"customerId": customer, "pageSize": 2, "pageToken": token});
            let page = chat.answer("ExportCustomer", asked).await;
            for (held, of) in held.iter_mut().zip(["consents", "messages", "pendingMessages"]) {
                held.extend(page[of].as_array().cloned().unwrap_or_default());
            }
            assert_eq!(page["erasedAt"].is_string(), erased);
            match page.get("nextPageToken") {
                None => return held,
                Some(next) => token = next.clone(),
            }
        }
    };
    let [consents, messages, waiting] = export("c", false).await;
    let said = |messages: &[Value]| texts(&json!({ "messages": messages }));
    assert_eq!(consents.len(), 2);
    assert_eq!(said(&messages), ["b", "b", "a", "a"]);
    assert_eq!(said(&waiting), ["3", "2", "1"]);

    chat.erase("c").await;
    let held = export("c", true).await.map(|held| held.len());
    assert_eq!(held, [2, 0, 0], "what was decided stays");
    assert_eq!(export("nobody", false).await, [const { Vec::<Value>::new() }; 3]);
}

#[tokio::test]
async fn everything_that_is_wrong_is_named() {
    let chat = Chat::open().await;
    let fields = async |rpc: &str, request: Value| {
        let bad = chat.violations(rpc, request).await;
        bad.into_iter().map(|(field, reason)| format!("{field} {reason}")).collect::<Vec<_>>()
    };
    let bad = json!({"customerId": "Jane Doe", "dialogId": "..", "text": "", "language": "en_US", "requestId": "1"});
    assert_eq!(
        fields("RecordMessage", bad).await,
        [
            "customer_id MALFORMED_ID",
            "dialog_id MALFORMED_ID",
            "text REQUIRED",
            "language MALFORMED_LANGUAGE",
            "request_id MALFORMED_UUID"
        ]
    );
    let nothing = fields("RecordMessage", json!({})).await;
    assert_eq!(
        nothing,
        ["customer_id REQUIRED", "dialog_id REQUIRED", "text REQUIRED", "language REQUIRED"]
    );
    let long = said("c", "d", &"\u{1f9e1}".repeat(10_001));
    assert_eq!(fields("RecordMessage", long).await, ["text TOO_LONG"]);
    let nul = said("c", "d", "a\0b");
    assert_eq!(fields("RecordMessage", nul).await, ["text MALFORMED_TEXT"]);
    chat.answer("RecordMessage", said(&"c".repeat(64), "~d._-", &"\u{1f9e1}".repeat(10_000))).await;
    for (body, expected) in [
        (json!("yes"), "body WRONG_TYPE"),
        (json!(1), "body WRONG_TYPE"),
        (json!([true]), "body WRONG_TYPE"),
        (json!(null), "granted REQUIRED"),
        (json!({}), "granted REQUIRED"),
        (json!({"granted": "true"}), "granted WRONG_TYPE"),
        (json!({"granted": true, "purpos": "x"}), "body UNKNOWN_FIELD"),
        (json!({"granted": true, "purpose": 1}), "purpose WRONG_TYPE"),
        (json!({"granted": true, "policyHash": "xyz"}), "policy_hash MALFORMED_HASH"),
        (json!({"granted": true, "purpose": "x".repeat(201)}), "purpose TOO_LONG"),
    ] {
        assert_eq!(
            fields("SetConsent", json!({"dialogId": "d", "body": body})).await,
            [expected],
            "{body}"
        );
    }
    let both = json!({"dialogId": "d", "body": true, "granted": true});
    assert_eq!(fields("SetConsent", both).await, ["body CONFLICTING_FIELDS"]);
    let bad = json!({"language": "?", "customerId": "?", "dialogId": "?", "after": "?", "before": "2026-13-01", "pageToken": "?"});
    let names: BTreeSet<_> = fields("ListMessages", bad).await.into_iter().collect();
    assert_eq!(names.len(), 6, "{names:?}");
    let settings = json!({"redactAfterDays": -1, "deleteAfterDays": 36_501});
    assert_eq!(
        fields("UpdateDialogSettings", settings).await,
        ["redact_after_days OUT_OF_RANGE", "delete_after_days OUT_OF_RANGE"]
    );
    assert_eq!(fields("UpdateDialogSettings", json!({})).await, ["purpose NOTHING_TO_CHANGE"]);
    chat.answer("UpdateDialogSettings", json!({"redactAfterDays": 30})).await;
    let before = json!({"deleteAfterDays": 29});
    assert_eq!(fields("UpdateDialogSettings", before).await, ["delete_after_days OUT_OF_RANGE"]);
}
