//! Behaviour, tested through the wire against the real parts: PostgreSQL, Envoy, the program itself.
//!
//! `make test` starts a PostgreSQL for all tests; each test gets a database of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::too_many_lines, reason = "a table of cases reads best in one piece")]
#![expect(
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "counts are whole numbers, and small"
)]
#![expect(clippy::needless_pass_by_value, reason = "a request is written where it is sent")]
#![expect(unreachable_pub, reason = "there is no outside here")]

mod app;

mod access;
mod access_token;
mod buckets;
mod client;
mod command;
mod conformance;
mod coupon_import;
mod coupon_json;
mod coupons;
mod dialog_json;
mod dialogs;
mod docs;
mod envoy;
mod event_json;
mod events;
mod faults;
mod guessing;
mod imports;
mod ingest;
mod keys;
mod limits;
mod link;
mod live;
mod qr;
mod record;
mod resume;
mod row_security;
mod schema;
mod seed;
mod simulate;
mod sql;
mod streams;
mod tag_json;
mod tags;
mod taps;
mod tidy;
mod uploads;
