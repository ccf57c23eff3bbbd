//! One function for each statement of `sql/coupons/`.

pub mod counts;
pub mod coupons;
pub mod redemptions;
