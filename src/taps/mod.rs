//! Taps: recording them and counting them.
//!
//! Tables: `tags`, `taps` (partitioned by month), `tap_days` (the roll-up). RPC: `QueryTaps`.
//!
//! Invariants:
//! * `tap_days` is written in the transaction that writes `taps`, by [`writer`] alone;
//! * a query reads one snapshot, and its answer says which revision that was;
//! * buckets follow each other without gap or overlap, and their sum is the total, in every zone.

pub mod answers;
pub mod buckets;
pub mod count;
pub mod lines;
pub mod model;
pub mod revisions;
pub mod rpc;
pub mod seed;
pub mod store;
pub mod tally;
pub mod wire;
pub mod writer;
