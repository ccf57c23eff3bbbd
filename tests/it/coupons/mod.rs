//! Coupons: making, listing, changing, redeeming and counting them, by gRPC.

mod kept;

use serde_json::{Value, json};
use tap_analytics::access::model::Scope;
use tonic::Code;

use crate::app::{
    App, Options, Team,
    rpcs::Rpc,
    wires::{Call, Door, Outcome, Wire},
};

/// A team whose key may do everything, at an installation.
pub struct Desk {
    pub app: App,
    pub team: Team,
    pub key: String,
    door: Door,
}

impl Desk {
    pub async fn open() -> Self {
        Self::open_with(Options::default()).await
    }

    pub async fn open_with(options: Options) -> Self {
        let app = App::start_with(options).await;
        let team = app.team("acme").await;
        let key = app.key(team.id, None, Scope::ALL, None).await;
        let door = Door::straight(&app).kept().await;
        Self { app, team, key, door }
    }

    /// Calls an RPC of Coupons by gRPC.
    pub async fn ask(&self, rpc: &str, request: Value) -> Outcome {
        self.ask_by(&self.key, rpc, request).await
    }

    pub async fn ask_by(&self, key: &str, rpc: &str, request: Value) -> Outcome {
        let rpc = Rpc::of(&format!("Coupons/{rpc}"));
        let call = Call::new(&rpc, &request).key(Some(key));
        call.outcome(&self.door, Wire::Grpc, 1).await
    }

    /// The answer of a call that must succeed.
    pub async fn answer(&self, rpc: &str, request: Value) -> Value {
        let outcome = self.ask(rpc, request).await;
        assert_eq!(outcome.code, Code::Ok, "{rpc}: {outcome:?}");
        outcome.answer().clone()
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

    /// A new coupon with this code, and more of it.
    pub async fn coupon(&self, code: &str, more: Value) -> Value {
        let mut coupon = json!({"couponcode": code, "title": "A coupon"});
        coupon.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.answer("CreateCoupon", json!({ "coupon": coupon })).await
    }

    /// The id of one.
    pub async fn coupon_id(&self, code: &str, more: Value) -> String {
        self.coupon(code, more).await["id"].as_str().unwrap().to_owned()
    }
}
