//! Etags: a change that names the state it was made for is made only if nobody was faster.

use crate::{
    error::{Error, Violation},
    reasons,
    wire::required,
};

/// Which state something must be in to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Any,
    /// This version of it.
    Version(i32),
    /// An etag that no state of it has.
    None,
}

impl Expected {
    /// Whether it may be changed in this version.
    #[must_use]
    pub fn allows(self, version: i32) -> bool {
        match self {
            Self::Any => true,
            Self::Version(expected) => expected == version,
            Self::None => false,
        }
    }
}

/// What an etag says. Empty: any.
#[must_use]
pub fn expected(etag: &str) -> Expected {
    match etag {
        "" | "*" => Expected::Any,
        etag => etag.parse().map_or(Expected::None, Expected::Version),
    }
}

/// The same, where it has to be said.
pub fn expected_or_missing(etag: &str, bad: &mut Vec<Violation>) -> Expected {
    if etag.is_empty() {
        let what = "send that of the answer that was changed, or * to change it whatever it is now";
        bad.push(required("etag", what));
    }
    expected(etag)
}

/// Somebody was faster.
#[must_use]
pub fn etag_mismatch(what: &str) -> Error {
    Error::Aborted {
        reason: reasons::ETAG_MISMATCH,
        message: format!(
            "this {what} was changed since its etag was read: read it again, and change that"
        ),
    }
}
