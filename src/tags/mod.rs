//! Tags: making, changing, finding and drawing them.
//!
//! Table: `tags`. RPCs: all of `Tags`.
//!
//! Invariants:
//! * a tag is never deleted, and its uid and id never change: taps and roll-ups point to it for good;
//! * every change locks the team, raises its `tags_revision` and is told to all replicas when it commits;
//! * whoever made a change finds it in the [`directory`] of this replica once it is answered.

pub mod address;
pub mod directory;
pub mod model;
pub mod parts;
pub mod qr;
pub mod registry;
pub mod rpc;
pub mod store;
pub mod wire;
