//! Events: what happens in the visit after a tap. Taking them, settling them, and what is refused.
//!
//! Tables: `sessions`, `events`, `event_*`. RPCs: all of `Events`.
//!
//! ```text
//! RecordEvents -> intake -> event_inbox -> worker -> settle -> events | event_duplicates | event_errors
//! ```
//!
//! Invariants:
//! * what was answered with a receipt is in one of these four tables, and in one only, at any moment;
//! * the ledger adds up: `event_received` = `event_outcomes` + what is in `event_inbox`, by the minute;
//! * the sum of `event_quarters` is the number of `events` that are not deleted;
//! * revisions of a team's events grow in commit order, without gaps;
//! * an event error is sent again once.

pub mod archive;
pub mod bounds;
pub mod check;
pub mod data;
pub mod edits;
pub mod intake;
pub mod live;
pub mod model;
pub mod parts;
pub mod patch;
pub mod pattern;
pub mod replay;
pub mod rpc;
pub mod schema;
pub mod settle;
pub mod setup;
pub mod store;
pub mod types;
pub mod wire;
pub mod worker;
