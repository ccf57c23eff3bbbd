//! What becomes of messages, by what customers decide, in every order.

use serde_json::json;
use tap_analytics::access::model::Scope;

use super::{Chat, decision, number, state};

#[tokio::test]
async fn what_was_said_is_kept_once_the_customer_agrees() {
    let chat = Chat::open().await;
    assert_eq!(chat.say("c", "d", "one").await, "PENDING");
    assert_eq!(chat.say("c", "d", "two").await, "PENDING");
    assert_eq!(chat.texts(json!({})).await, [""; 0]);
    for table in ["messages", "dialogs", "consents", "customers"] {
        assert_eq!(chat.rows(table).await, 0, "{table}");
    }

    let decided = chat.decide("d", true).await;
    assert_eq!(
        (decision(&decided), number(&decided["storedMessages"])),
        ("GRANTED".to_owned(), 2.0)
    );
    assert_eq!(decided["consent"]["customerId"], "c");
    assert_eq!(chat.say("c", "d", "three").await, "STORED");
    assert_eq!(chat.texts(json!({})).await, ["three", "two", "one"]);
}

#[tokio::test]
async fn what_was_said_is_wiped_when_the_customer_does_not_agree() {
    let chat = Chat::open().await;
    chat.say("c", "d", "one").await;
    let decided = chat.decide("d", false).await;
    assert_eq!(
        (decision(&decided), number(&decided["deletedMessages"])),
        ("DENIED".to_owned(), 1.0)
    );
    assert_eq!(decided["consent"]["customerId"], json!(null));
    assert_eq!(chat.say("c", "d", "two").await, "REFUSED");
    // What comes after another decision is kept, and nothing that came before it.
    assert_eq!(number(&chat.decide("d", true).await["storedMessages"]), 0.0);
    assert_eq!(chat.say("c", "d", "three").await, "STORED");
    assert_eq!(chat.texts(json!({})).await, ["three"]);
}

#[tokio::test]
async fn no_after_yes_deletes_what_was_stored() {
    let chat = Chat::open().await;
    for dialog in ["by false", "by withdrawal", "stays"].map(|name| name.replace(' ', "-")) {
        chat.say("c", &dialog, &dialog).await;
        chat.decide(&dialog, true).await;
        assert_eq!(chat.say("c", &dialog, &dialog).await, "STORED");
    }
    let by_false = chat.decide("by-false", false).await;
    let by_withdrawal = chat.withdraw("by-withdrawal").await;
    for decided in [by_false, by_withdrawal] {
        assert_eq!(decision(&decided), "WITHDRAWN");
        assert_eq!(number(&decided["deletedMessages"]), 2.0);
    }
    assert_eq!(chat.texts(json!({})).await, ["stays"; 2]);
    assert_eq!(chat.rows("messages").await, 2);
    assert_eq!(chat.say("c", "by-false", "more").await, "REFUSED");
    assert_eq!(chat.say("c", "by-withdrawal", "more").await, "REFUSED");
}

#[tokio::test]
async fn consent_may_come_before_the_first_message() {
    let chat = Chat::open().await;
    chat.decide("d", true).await;
    assert_eq!(chat.say("c", "d", "one").await, "STORED");
    assert_eq!(chat.say("c", "d", "two").await, "STORED");
    chat.decide("e", false).await;
    assert_eq!(chat.say("c", "e", "three").await, "REFUSED");
    chat.withdraw("f").await;
    assert_eq!(chat.say("c", "f", "four").await, "REFUSED");
    assert_eq!(chat.texts(json!({})).await, ["two", "one"]);
}

#[tokio::test]
async fn the_same_decision_again_changes_nothing_unless_the_terms_do() {
    let chat = Chat::open().await;
    let first = chat.decide("d", true).await;
    let again = chat.decide("d", true).await;
    assert_eq!(first["consent"], again["consent"]);
    let terms = json!({"dialogId": "d", "granted": true, "terms": {"policyVersion": "2"}});
    let other = chat.answer("SetConsent", terms.clone()).await;
    assert_ne!(first["consent"]["id"], other["consent"]["id"]);
    assert_eq!(chat.answer("SetConsent", terms).await["consent"], other["consent"]);
    let denied = chat.withdraw("d").await;
    assert_eq!(chat.decide("d", false).await["consent"], denied["consent"]);
    assert_eq!(decision(&denied), "WITHDRAWN");
    assert_eq!(chat.rows("consents").await, 3);
}

#[tokio::test]
async fn a_dialog_is_with_one_customer() {
    let chat = Chat::open().await;
    let theirs = super::said("other", "d", "theirs");
    let refused = [("customer_id".to_owned(), "OTHER_CUSTOMER".to_owned())];
    chat.say("c", "d", "one").await;
    assert_eq!(chat.violations("RecordMessage", theirs.clone()).await, refused);
    chat.decide("d", true).await;
    assert_eq!(chat.violations("RecordMessage", theirs.clone()).await, refused);
    chat.withdraw("d").await;
    assert_eq!(chat.violations("RecordMessage", theirs).await, refused);
    assert_eq!(chat.rows("messages").await, 0);
}

#[tokio::test]
async fn who_was_erased_is_gone_and_does_not_come_back() {
    let chat = Chat::open().await;
    for dialog in ["d", "e"] {
        chat.say("c", dialog, "stored").await;
        chat.decide(dialog, true).await;
    }
    chat.say("c", "f", "waits").await;
    chat.say("other", "g", "theirs").await;
    chat.decide("g", true).await;

    let would =
        chat.answer("EraseCustomer", json!({"customerId": "c", "validateOnly": true})).await;
    let counts = json!({"messages": 2.0, "pendingMessages": 1.0, "dialogs": 2.0, "consents": 2.0});
    assert_eq!(would, json!({"counts": counts}));
    assert_eq!(chat.rows("messages").await, 3);

    let erased = chat.erase("c").await;
    assert_eq!(erased["counts"], counts);
    assert_eq!(chat.texts(json!({})).await, ["theirs"]);
    for dialog in ["d", "e", "f", "new"] {
        assert_eq!(chat.say("c", dialog, "again").await, "ERASED");
        chat.decide(dialog, true).await;
        assert_eq!(chat.say("c", dialog, "again").await, "ERASED");
    }
    assert_eq!(chat.texts(json!({})).await, ["theirs"]);
    let left: i64 = chat.app.scalar("select count(*) from customers where customer_id = 'c'").await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn the_same_request_again_is_the_same_message() {
    let chat = Chat::open().await;
    let request = super::with(super::said("c", "d", "one"), json!({"requestId": super::new_id()}));
    let first = chat.answer("RecordMessage", request.clone()).await;
    assert_eq!(chat.answer("RecordMessage", request.clone()).await, first);
    let other = super::with(request.clone(), json!({"text": "two"}));
    let used = (tonic::Code::AlreadyExists, "REQUEST_ID_USED".to_owned());
    assert_eq!(chat.refusal("RecordMessage", other.clone()).await, used);
    chat.decide("d", true).await;
    let stored = chat.answer("RecordMessage", request.clone()).await;
    assert_eq!((state(&stored).as_str(), &stored["id"]), ("STORED", &first["id"]));
    assert_eq!(chat.refusal("RecordMessage", other).await, used);
    assert_eq!(chat.texts(json!({})).await, ["one"]);
}

#[tokio::test]
async fn who_only_writes_is_not_told_whose_a_dialog_is() {
    let chat = Chat::open().await;
    chat.say("c", "d", "one").await;
    assert_eq!(chat.decide("d", true).await["consent"]["customerId"], "c");
    let writer = chat.app.key(chat.team.id, None, &[Scope::DialogsWrite], None).await;
    let again = json!({"dialogId": "d", "body": true});
    for (rpc, request) in [("SetConsent", again), ("WithdrawConsent", json!({"dialogId": "d"}))] {
        let told = super::answer_at(&chat.door, &writer, rpc, request).await;
        assert!(!told.to_string().contains("\"c\""), "{told}");
    }
}
