//! Dialogs: what customers say and decide, by gRPC.

mod consented;
mod decided;
mod kept;
mod listed;
mod modelled;
mod replicas;
mod traces;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{
    desk,
    wires::{Door, Outcome},
};

/// A team that calls Dialogs.
pub type Chat = desk::Desk<OfDialogs>;

pub struct OfDialogs;

impl desk::Service for OfDialogs {
    const NAME: &'static str = "Dialogs";
}

impl Chat {
    /// A customer says something in a dialog; what becomes of it.
    pub async fn say(&self, customer: &str, dialog: &str, text: &str) -> String {
        state(&self.answer("RecordMessage", said(customer, dialog, text)).await)
    }

    /// A customer decides; the whole answer.
    pub async fn decide(&self, dialog: &str, granted: bool) -> Value {
        self.answer("SetConsent", json!({"dialogId": dialog, "body": granted})).await
    }

    pub async fn withdraw(&self, dialog: &str) -> Value {
        self.answer("WithdrawConsent", json!({ "dialogId": dialog })).await
    }

    /// Erases a customer; the whole answer.
    pub async fn erase(&self, customer: &str) -> Value {
        self.answer("EraseCustomer", json!({ "customerId": customer })).await
    }

    /// The texts that are stored, the newest first.
    pub async fn texts(&self, filter: Value) -> Vec<String> {
        texts(&self.answer("ListMessages", filter).await)
    }

    /// Rows of a table.
    pub async fn rows(&self, table: &str) -> i64 {
        self.app.scalar(&format!("select count(*) from {table}")).await
    }
}

/// Calls an RPC of Dialogs by gRPC.
pub async fn ask_at(door: &Door, key: &str, rpc: &str, request: Value) -> Outcome {
    desk::ask_at::<OfDialogs>(door, key, rpc, request).await
}

/// The answer of a call that must succeed.
pub async fn answer_at(door: &Door, key: &str, rpc: &str, request: Value) -> Value {
    desk::answer_at::<OfDialogs>(door, key, rpc, request).await
}

/// What a customer says, in English.
pub fn said(customer: &str, dialog: &str, text: &str) -> Value {
    json!({"customerId": customer, "dialogId": dialog, "text": text, "language": "en"})
}

/// The same with other fields.
pub fn with(mut value: Value, more: Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// What became of a message. By gRPC what is the default is left out.
pub fn state(answer: &Value) -> String {
    answer["state"].as_str().unwrap_or("PENDING").to_owned()
}

/// What was decided, likewise.
pub fn decision(answer: &Value) -> String {
    answer["consent"]["decision"].as_str().unwrap_or("DENIED").to_owned()
}

/// A number, likewise.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// The texts of messages.
pub fn texts(answer: &Value) -> Vec<String> {
    let messages = answer["messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}
