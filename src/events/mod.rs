//! Events: what happens in the visit after a tap.

pub mod bounds;
pub mod check;
pub mod data;
pub mod model;
pub mod patch;
pub mod pattern;
pub mod schema;
