//! A team that has something of everything that there is of coupons.

use serde_json::{Value, json};
use tonic::Code;

use super::{
    App,
    rpcs::Rpc,
    wires::{Call, Door, Wire},
};

/// What a team has of coupons: two of them, and two redemptions of the first, one of which was given back.
#[derive(Clone, Debug)]
pub struct Offers {
    pub coupon: String,
    pub code: String,
    pub redemption: String,
}

impl Offers {
    /// Makes all of that, by a key that may do everything. With another number there are other codes.
    pub async fn of(app: &App, key: &str, number: u64) -> Self {
        let ask = async |name: &str, request: Value| {
            let rpc = Rpc::of(&format!("Coupons/{name}"));
            let call = Call::new(&rpc, &request).key(Some(key));
            let outcome = call.outcome(&Door::straight(app), Wire::Grpc, 1).await;
            assert_eq!(outcome.code, Code::Ok, "{name}: {outcome:?}");
            outcome.answer()["id"].as_str().unwrap().to_owned()
        };
        let code = format!("THEIR-CODE-{number}");
        let new = |code: &str| json!({"coupon": {"couponcode": code, "title": "their title"}});
        let coupon = ask("CreateCoupon", new(&code)).await;
        ask("CreateCoupon", new(&format!("{code}-TOO"))).await;
        let redeem = json!({"id": coupon, "subject": "their subject"});
        let released = ask("RedeemCoupon", redeem.clone()).await;
        ask("ReleaseRedemption", json!({"id": released})).await;
        let redemption = ask("RedeemCoupon", redeem).await;
        Self { coupon, code, redemption }
    }
}
