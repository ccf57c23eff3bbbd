//! Every reason of the product: a constant for the code, and rows that the documentation is made from.
//!
//! `docs/errors.md`, the page of errors and the answers in the description of the API all come from
//! [`ROWS`], so a reason cannot be used without being explained.

mod table;

use tonic::Code;

pub use self::table::*;

/// A reason in one of the places where it comes up.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub reason: &'static str,
    pub entry: Entry,
}

/// Where a reason comes up, and what is said of it there. Texts may hold code between backticks.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// An error of the service.
    Service {
        /// `None`: any other.
        code: Option<Code>,
        /// `None`: it ends a stream that JSON does not have, or it is any other.
        http: Option<u16>,
        when: &'static str,
        todo: &'static str,
    },
    /// An error that Envoy makes itself.
    Envoy {
        code: Code,
        http: u16,
        /// Also of every status of the same hundred that has no reason of its own.
        others: bool,
        when: &'static str,
        todo: &'static str,
    },
    /// A bad field, in a `BadRequest`.
    Field { field: &'static str, when: &'static str },
    /// A tap that was rejected.
    Tap { field: &'static str, when: &'static str },
    /// An event that was refused.
    Event { field: &'static str, when: &'static str },
    /// A line of a file that is not loaded.
    Line { column: &'static str, when: &'static str },
    /// A file that cannot be imported.
    File { when: &'static str },
    /// A cell of a row that is imported.
    Cell { column: &'static str, when: &'static str },
}

/// Makes the constants and [`ROWS`].
macro_rules! reasons {
    ($($reason:ident: $($entry:expr),+;)+) => {
        $(
            #[doc = concat!("The reason `", stringify!($reason), "`.")]
            pub const $reason: &str = stringify!($reason);
        )+

        /// Every reason, in every place where it comes up.
        pub const ROWS: &[Row] = &[$($(Row { reason: $reason, entry: $entry }),+),+];
    };
}
use reasons;

/// An error of the service.
const fn service(code: Code, when: &'static str, todo: &'static str) -> Entry {
    Entry::Service { code: Some(code), http: Some(http_status(code)), when, todo }
}

/// An error that ends a stream of which there is no form in JSON.
const fn end(code: Code, when: &'static str, todo: &'static str) -> Entry {
    Entry::Service { code: Some(code), http: None, when, todo }
}

/// An error with a code that has no reason of its own.
const fn any(when: &'static str, todo: &'static str) -> Entry {
    Entry::Service { code: None, http: None, when, todo }
}

/// An error of Envoy's.
const fn envoy(code: Code, http: u16, when: &'static str, todo: &'static str) -> Entry {
    Entry::Envoy { code, http, others: false, when, todo }
}

/// An error of Envoy's for every status of that hundred that has no reason of its own.
const fn envoy_others(code: Code, http: u16, when: &'static str, todo: &'static str) -> Entry {
    Entry::Envoy { code, http, others: true, when, todo }
}

const fn field(field: &'static str, when: &'static str) -> Entry {
    Entry::Field { field, when }
}

const fn tap(field: &'static str, when: &'static str) -> Entry {
    Entry::Tap { field, when }
}

const fn event(field: &'static str, when: &'static str) -> Entry {
    Entry::Event { field, when }
}

const fn line(column: &'static str, when: &'static str) -> Entry {
    Entry::Line { column, when }
}

const fn file(when: &'static str) -> Entry {
    Entry::File { when }
}

const fn cell(column: &'static str, when: &'static str) -> Entry {
    Entry::Cell { column, when }
}

/// The HTTP status that Envoy gives an error of this code.
#[must_use]
pub const fn http_status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}

/// A code by its name in the documentation of gRPC.
#[must_use]
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
