//! tap-analytics: counts the taps of NFC and QR tags, for many teams.
//!
//! # Data flow
//!
//! ```text
//! Envoy -> server (layers) -> auth -> limits -> <area>/rpc -> wire -> model
//!                                                     \----> store -> sql/ -> PostgreSQL
//! ```
//!
//! # Layout
//!
//! A folder is an area, and a file in it is a role, the same in every area: `rpc` (who, what, do,
//! answer), `wire` (protobuf to domain, all field checks), `model` (rules; no protobuf, no SQL, no
//! async), `store` (one function for each file of `sql/<area>/`), `parts` (what the service is put together
//! of, where that is much), and a noun for what is big. What areas share is at the root; what is followed as it
//! is stored, of whatever kind, is in [`feeds`].
//!
//! # Invariants
//!
//! * A statement names its team, and row-level security names it again ([`db`]).
//! * The sum of `tap_days` is the sum of `taps.count` at any committed moment ([`taps::writer`]).
//! * The revisions of a team grow in commit order; whoever sees one sees all before it.
//! * An answer from the cache equals the one the store would give at that revision ([`taps::answers`]).
//! * A tag that was changed is found changed by whoever changed it ([`tags::registry`]).
//! * A coupon is redeemed exactly as often as it allows, and the ledger adds up ([`coupons::redeem`]).
//! * What a customer said is kept only while they agree ([`dialogs`]).
//! * Nothing of an uploaded file is on a disk before it is committed, and that happens once ([`imports`]).
//! * No key is logged, stored or put into an error; only its hash is kept ([`access::key`]).

pub mod clock;
pub mod config;
pub mod error;
pub mod ids;
pub mod json;
pub mod memory;
pub mod proto;
pub mod reasons;
pub mod secrets;
pub mod telemetry;
pub mod transcoded;
pub mod wire;

pub mod db;
pub mod etag;
pub mod group_commit;
pub mod hints;
pub mod migrate;
pub mod paging;
pub mod requests;

pub mod access;
pub mod auth;
pub mod coupons;
pub mod dialogs;
pub mod directory;
pub mod events;
pub mod feeds;
pub mod guesses;
pub mod imports;
pub mod limits;
pub mod quotas;
pub mod streams;
pub mod tags;
pub mod taps;

pub mod docs;
pub mod page;

pub mod client;
pub mod simulate;

pub mod admin;
pub mod chores;
pub mod server;
