//! Coupons: what a tap can hand out. Making and changing them, redeeming them, and counting what came of them.
//!
//! Tables: `coupons`, `redemptions`, `redemption_quarters`. RPCs: all of `Coupons`.
//!
//! ```text
//! RedeemCoupon -> redeem (a line for each team) -> redemptions, coupons.redeemed, redemption_quarters
//! ```
//!
//! Invariants:
//! * a coupon is redeemed no more often than it allows, in all and by one subject: whoever redeems, releases or
//!   changes it holds its row;
//! * `coupons.redeemed` is the number of its rows in `redemptions` that were not given back, `coupons.released` that
//!   of those that were, and the sum of `redemption_quarters` is the former, at any committed moment;
//! * a request of the same id redeems once, for good;
//! * a coupon that was redeemed is never deleted, and keeps its terms;
//! * no two coupons of a team that are not archived have the same code, whatever the case.

pub mod codes;
pub mod count;
pub mod edit;
pub mod funnel;
pub mod import;
pub mod ledger;
pub mod model;
pub mod parts;
pub mod redeem;
pub mod registry;
pub mod rpc;
pub mod store;
pub mod wire;
