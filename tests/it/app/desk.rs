//! A team at an installation, whose key may do everything, and which calls one service by gRPC.

use std::marker::PhantomData;

use serde_json::Value;
use tap_analytics::{access::model::Scope, clock::Clock};
use tonic::Code;

use super::{
    App, Options, Team, instant,
    rpcs::Rpc,
    store,
    wires::{Call, Door, Outcome, Wire},
};

/// Which service it calls.
pub trait Service {
    /// Such as `Coupons`.
    const NAME: &'static str;
}

pub struct Desk<S> {
    pub app: App,
    pub team: Team,
    pub key: String,
    pub door: Door,
    service: PhantomData<S>,
}

impl<S: Service> Desk<S> {
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
        Self { app, team, key, door, service: PhantomData }
    }

    /// The door of another replica on the same store.
    pub async fn replica(&self, options: Options) -> (App, Door) {
        let app = App::on(store(&self.app.store.database_url), options).await;
        app.until_known(&self.key).await;
        let door = Door::straight(&app).kept().await;
        (app, door)
    }

    /// The key of another team, which may do everything.
    pub async fn stranger(&self) -> String {
        let team = self.app.team("other").await;
        self.app.key(team.id, None, Scope::ALL, None).await
    }

    /// Calls an RPC of the service.
    pub async fn ask(&self, rpc: &str, request: Value) -> Outcome {
        self.ask_by(&self.key, rpc, request).await
    }

    pub async fn ask_by(&self, key: &str, rpc: &str, request: Value) -> Outcome {
        ask_at::<S>(&self.door, key, rpc, request).await
    }

    /// The answer of a call that must succeed.
    pub async fn answer(&self, rpc: &str, request: Value) -> Value {
        answer_at::<S>(&self.door, &self.key, rpc, request).await
    }

    /// The code and the reason with which a call must fail.
    pub async fn refusal(&self, rpc: &str, request: Value) -> (Code, String) {
        self.ask(rpc, request).await.refusal()
    }

    /// The reason with which a call must fail.
    pub async fn reason(&self, rpc: &str, request: Value) -> String {
        self.refusal(rpc, request).await.1
    }

    /// The fields and reasons with which a call must fail.
    pub async fn violations(&self, rpc: &str, request: Value) -> Vec<(String, String)> {
        let outcome = self.ask(rpc, request).await;
        assert_eq!(outcome.code, Code::InvalidArgument, "{outcome:?}");
        outcome.failure().violations.into_iter().map(|v| (v.0, v.1)).collect()
    }
}

/// Calls an RPC of a service by this door.
pub async fn ask_at<S: Service>(door: &Door, key: &str, rpc: &str, request: Value) -> Outcome {
    let rpc = Rpc::of(&format!("{}/{rpc}", S::NAME));
    let call = Call::new(&rpc, &request).key(Some(key));
    call.outcome(door, Wire::Grpc, 1).await
}

/// The answer of such a call, which must succeed.
pub async fn answer_at<S: Service>(door: &Door, key: &str, rpc: &str, request: Value) -> Value {
    let outcome = ask_at::<S>(door, key, rpc, request).await;
    assert_eq!(outcome.code, Code::Ok, "{rpc}: {outcome:?}");
    outcome.answer().clone()
}
