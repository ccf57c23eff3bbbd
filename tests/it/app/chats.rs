//! A team that has something of everything that there is of dialogs.

use serde_json::{Value, json};
use tonic::Code;

use super::{
    App,
    rpcs::Rpc,
    wires::{Call, Door, Wire},
};

/// What a team has of dialogs: a customer with one that is kept, with two messages, one that was withdrawn, and one that
/// waits for consent; a customer who was erased, twice; and settings.
#[derive(Clone, Debug)]
pub struct Chats {
    pub customer: String,
    /// The one that is kept.
    pub dialog: String,
    /// The one that waits.
    pub pending: String,
    pub erased: String,
    pub message: String,
    pub waiting: String,
    pub consent: String,
    pub receipt: String,
}

impl Chats {
    /// Makes all of that, by a key that may do everything. With another number customers and dialogs have other ids.
    pub async fn of(app: &App, key: &str, number: u64) -> Self {
        let ask = async |name: &str, request: Value, place: &str| {
            let rpc = Rpc::of(&format!("Dialogs/{name}"));
            let call = Call::new(&rpc, &request).key(Some(key));
            let outcome = call.outcome(&Door::straight(app), Wire::Grpc, 1).await;
            assert_eq!(outcome.code, Code::Ok, "{name}: {outcome:?}");
            let text = outcome.answer().pointer(place).unwrap_or_else(|| panic!("{outcome:?}"));
            text.as_str().unwrap().to_owned()
        };
        let id = |of: &str| format!("their-{of}-{number}");
        let (customer, dialog, pending) = (id("customer"), id("dialog"), id("pending"));
        let (erased, withdrawn, gone) = (id("erased"), id("withdrawn"), id("gone"));
        let say = async |customer: &str, dialog: &str| {
            let request = json!({
                "customerId": customer, "dialogId": dialog, "text": "their text", "language": "sv",
            });
            ask("RecordMessage", request, "/id").await
        };
        let agree = async |dialog: &str| {
            ask("SetConsent", json!({"dialogId": dialog, "granted": true}), "/consent/id").await
        };
        let settings = json!({
            "purpose": "their purpose", "policyVersion": "their policy",
            "redactAfterDays": 30, "deleteAfterDays": 60,
        });
        ask("UpdateDialogSettings", settings, "/settings/purpose").await;

        say(&erased, &gone).await;
        agree(&gone).await;
        let erase = json!({ "customerId": erased });
        ask("EraseCustomer", erase.clone(), "/receipt/id").await;
        let receipt = ask("EraseCustomer", erase, "/receipt/id").await;

        say(&customer, &withdrawn).await;
        agree(&withdrawn).await;
        ask("WithdrawConsent", json!({ "dialogId": withdrawn }), "/consent/id").await;
        let consent = agree(&dialog).await;
        say(&customer, &dialog).await;
        let message = say(&customer, &dialog).await;
        let waiting = say(&customer, &pending).await;
        Self { customer, dialog, pending, erased, message, waiting, consent, receipt }
    }
}
