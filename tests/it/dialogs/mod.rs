//! Dialogs: what customers say and decide, by gRPC.

mod consented;
mod decided;
mod kept;
mod listed;
mod modelled;
mod replicas;
mod traces;

use serde_json::{Value, json};
use tap_analytics::{access::model::Scope, clock::Clock};
use tonic::Code;
use uuid::Uuid;

use crate::app::{
    App, Options, Team, instant,
    rpcs::Rpc,
    store,
    wires::{Call, Door, Outcome, Wire},
};

/// A team whose key may do everything, at an installation.
pub struct Chat {
    pub app: App,
    pub team: Team,
    pub key: String,
    pub door: Door,
}

impl Chat {
    pub async fn open() -> Self {
        Self::open_with(Options::default()).await
    }

    pub async fn open_with(options: Options) -> Self {
        Self::at(App::start_with(options).await).await
    }

    /// At an instant that stands still until the clock is set.
    pub async fn open_at(at: &str) -> (Self, Clock) {
        let clock = Clock::fixed(instant(at));
        let options = Options { clock: clock.clone(), ..Options::default() };
        (Self::open_with(options).await, clock)
    }

    pub async fn at(app: App) -> Self {
        let team = app.team("acme").await;
        let key = app.key(team.id, None, Scope::ALL, None).await;
        let door = Door::straight(&app).kept().await;
        Self { app, team, key, door }
    }

    /// The door of another replica on the same store.
    pub async fn replica(&self, options: Options) -> (App, Door) {
        let app = App::on(store(&self.app.store.database_url), options).await;
        app.until_known(&self.key).await;
        let door = Door::straight(&app).kept().await;
        (app, door)
    }

    /// Calls an RPC of Dialogs by gRPC.
    pub async fn ask(&self, rpc: &str, request: Value) -> Outcome {
        ask_at(&self.door, &self.key, rpc, request).await
    }

    /// The answer of a call that must succeed.
    pub async fn answer(&self, rpc: &str, request: Value) -> Value {
        answer_at(&self.door, &self.key, rpc, request).await
    }

    /// The code and the reason with which a call must fail.
    pub async fn refusal(&self, rpc: &str, request: Value) -> (Code, String) {
        self.ask(rpc, request).await.refusal()
    }

    /// The fields and reasons with which a call must fail.
    pub async fn violations(&self, rpc: &str, request: Value) -> Vec<(String, String)> {
        let outcome = self.ask(rpc, request).await;
        assert_eq!(outcome.code, Code::InvalidArgument, "{outcome:?}");
        outcome.failure().violations.into_iter().map(|v| (v.0, v.1)).collect()
    }

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
    let rpc = Rpc::of(&format!("Dialogs/{rpc}"));
    let call = Call::new(&rpc, &request).key(Some(key));
    call.outcome(door, Wire::Grpc, 1).await
}

/// The answer of a call that must succeed.
pub async fn answer_at(door: &Door, key: &str, rpc: &str, request: Value) -> Value {
    let outcome = ask_at(door, key, rpc, request).await;
    assert_eq!(outcome.code, Code::Ok, "{rpc}: {outcome:?}");
    outcome.answer().clone()
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
