//! Teams and their keys.
//!
//! Tables: `teams`, `api_keys`. The command line makes teams and keys; requests only ever see the
//! directory of [`crate::auth`], which loads the keys from here.
//!
//! Invariant: a key is shown once, when it is made, and only its hash is kept.

pub mod command;
pub mod key;
pub mod model;
pub mod store;
