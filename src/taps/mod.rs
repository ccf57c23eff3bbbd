//! Taps: recording them, counting them and streaming them.
//!
//! Tables: `taps` (partitioned by month), `tap_days` (the roll-up). RPCs: all of `TapAnalytics`.
//!
//! Invariants:
//! * `tap_days` is written in the transaction that writes `taps`, by [`writer`] alone;
//! * a query reads one snapshot, and its answer says which revision that was;
//! * buckets follow each other without gap or overlap, and their sum is the total, in every zone.

pub mod answers;
pub mod buckets;
pub mod buffer;
pub mod count;
pub mod ingest;
pub mod lines;
pub mod link;
pub mod live;
pub mod model;
pub mod parts;
pub mod queue;
pub mod record;
pub mod rpc;
pub mod seed;
pub mod store;
pub mod tally;
pub mod visitor;
pub mod watch;
pub mod wire;
pub mod writer;
