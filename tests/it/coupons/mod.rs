//! Coupons: making, listing, changing, redeeming and counting them, by gRPC.

mod bounds;
mod changed;
mod checked;
mod counted;
mod deleted;
mod faults;
mod funnel;
mod kept;
mod listed;
mod modelled;
mod paged;
mod redeemed;
mod retried;

use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::app::{
    desk,
    wires::{Door, Outcome},
};

/// A team that calls Coupons.
pub type Desk = desk::Desk<OfCoupons>;

pub struct OfCoupons;

impl desk::Service for OfCoupons {
    const NAME: &'static str = "Coupons";
}

impl Desk {
    /// A new coupon with this code, and more of it.
    pub async fn coupon(&self, code: &str, more: Value) -> Value {
        let coupon = with(json!({"couponcode": code, "title": "A coupon"}), more);
        self.answer("CreateCoupon", json!({ "coupon": coupon })).await
    }

    /// The id of one.
    pub async fn coupon_id(&self, code: &str, more: Value) -> String {
        id_of(&self.coupon(code, more).await)
    }

    /// Changes a coupon.
    pub async fn change(&self, id: &str, coupon: Value) -> Value {
        self.answer("UpdateCoupon", json!({"id": id, "coupon": coupon})).await
    }

    /// Redeems a coupon.
    pub async fn redeem(&self, id: &str, subject: &str) -> Value {
        self.answer("RedeemCoupon", json!({"id": id, "subject": subject})).await
    }

    /// A coupon as it is now.
    pub async fn get(&self, id: &str) -> Value {
        self.answer("GetCoupon", json!({ "id": id })).await
    }

    /// The sums of the ledger are right.
    pub async fn assert_adds_up(&self) {
        assert_adds_up(&self.app.sql().await).await;
    }
}

/// Calls an RPC of Coupons by gRPC.
pub async fn ask_at(door: &Door, key: &str, rpc: &str, request: Value) -> Outcome {
    desk::ask_at::<OfCoupons>(door, key, rpc, request).await
}

/// What is counted of the ledger is what is in it, at one moment, and no coupon was redeemed too often.
pub async fn assert_adds_up(sql: &tokio_postgres::Client) {
    let wrong = "
        with ledger as (
            select team_id, coupon_id, tag_id, subject, released_at is null as held,
                date_bin('15 minutes', redeemed_at, 'epoch') as quarter
            from redemptions
        ), quarters as (
            select team_id, quarter, coupon_id, tag_id, count(*) as redemptions
            from ledger where held group by 1, 2, 3, 4
        )
        select 'coupon ' || coupon_id from coupons c
        where redeemed <> (select count(*) from ledger l
                where held and l.team_id = c.team_id and l.coupon_id = c.coupon_id)
            or released <> (select count(*) from ledger l
                where not held and l.team_id = c.team_id and l.coupon_id = c.coupon_id)
            or redeemed > max_redemptions
        union all
        select 'quarter ' || coalesce(l.quarter, q.quarter)
        from quarters l full join redemption_quarters q using (team_id, quarter, coupon_id, tag_id)
        where coalesce(l.redemptions, 0) <> coalesce(q.redemptions, 0)
        union all
        select 'subject of ' || coupon_id
        from ledger join coupons using (team_id, coupon_id)
        where held and subject <> ''
        group by team_id, coupon_id, subject, max_per_subject having count(*) > max_per_subject";
    let rows = sql.query(wrong, &[]).await.unwrap();
    let wrong: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(wrong.is_empty(), "what does not add up: {wrong:?}");
}

/// What stands against redeeming or changing a coupon.
pub fn refused(reason: &str) -> (Code, String) {
    (Code::FailedPrecondition, reason.to_owned())
}

/// The same with other fields.
pub fn with(mut value: Value, more: Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// The id of what was answered.
pub fn id_of(answer: &Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}

/// The ids of the coupons of an answer.
pub fn ids(answer: &Value) -> Vec<String> {
    answer["coupons"]
        .as_array()
        .map(|coupons| coupons.iter().map(id_of).collect())
        .unwrap_or_default()
}
