//! Behaviour, tested through the wire against the real parts: PostgreSQL, Envoy, the program itself.
//!
//! `make test` starts a PostgreSQL for all tests; each test gets a database of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(
    clippy::too_many_lines,
    reason = "a table of cases reads best in one piece"
)]
#![allow(unreachable_pub, reason = "there is no outside here")]

mod app;

mod access;
mod buckets;
mod command;
mod envoy;
mod faults;
mod limits;
mod schema;
mod seed;
mod sql;
mod taps;
mod tidy;
