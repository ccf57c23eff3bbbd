//! Teams, their keys, and tokens for browsers.
//!
//! Tables: `teams`, `api_keys`, `key_events`, and of `secrets` what tokens are signed with. The command line makes
//! teams; it and the service `ApiKeys` make and change keys by the same functions ([`keys`]). Calls are let in by
//! [`crate::directory`], which loads the keys from here.
//!
//! Invariants: a key is shown once, when it is made, and only its hash is kept; a change of a key and the record
//! of it are one transaction; no key gives what it does not have.

pub mod command;
pub mod key;
pub mod keys;
pub mod model;
pub mod rpc;
pub mod store;
pub mod token;
pub mod wire;
