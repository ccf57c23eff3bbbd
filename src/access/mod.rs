//! Teams, their keys, and tokens for browsers.
//!
//! Tables: `teams`, `api_keys`. The command line makes teams and keys; requests only ever see the
//! directory of [`crate::auth`], which loads the keys from here.
//!
//! Invariant: a key is shown once, when it is made, and only its hash is kept.

pub mod command;
pub mod key;
pub mod keys;
pub mod model;
pub mod rpc;
pub mod store;
pub mod token;
pub mod wire;
