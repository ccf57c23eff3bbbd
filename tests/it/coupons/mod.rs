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
use tap_analytics::{access::model::Scope, clock::Clock};
use tonic::Code;
use uuid::Uuid;

use crate::app::{
    App, Options, Team,
    rpcs::Rpc,
    store,
    wires::{Call, Door, Outcome, Wire},
};

/// A team whose key may do everything, at an installation.
pub struct Desk {
    pub app: App,
    pub team: Team,
    pub key: String,
    pub door: Door,
}

impl Desk {
    pub async fn open() -> Self {
        Self::open_with(Options::default()).await
    }

    pub async fn open_with(options: Options) -> Self {
        Self::at(App::start_with(options).await).await
    }

    /// At an instant that stands still until the clock is set.
    pub async fn open_at(at: &str) -> (Self, Clock) {
        let clock = Clock::fixed(crate::app::instant(at));
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

    /// The key of another team, which may do everything.
    pub async fn stranger(&self) -> String {
        let team = self.app.team("other").await;
        self.app.key(team.id, None, Scope::ALL, None).await
    }

    /// Calls an RPC of Coupons by gRPC.
    pub async fn ask(&self, rpc: &str, request: Value) -> Outcome {
        self.ask_by(&self.key, rpc, request).await
    }

    pub async fn ask_by(&self, key: &str, rpc: &str, request: Value) -> Outcome {
        ask_at(&self.door, key, rpc, request).await
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
    let rpc = Rpc::of(&format!("Coupons/{rpc}"));
    let call = Call::new(&rpc, &request).key(Some(key));
    call.outcome(door, Wire::Grpc, 1).await
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
