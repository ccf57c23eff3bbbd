//! The one error of the service, and its one translation to a gRPC status.
//!
//! Nothing below `rpc` names `tonic::Status`. An error is logged once, here, where it leaves: the
//! caller reads what to do, the log what happened.

use std::{sync::Arc, time::Duration};

use tokio_postgres::Error as PgError;
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{reasons, wire::excerpt};

/// Whose `reason`s these are, in every `ErrorInfo`.
pub const DOMAIN: &str = "tap-analytics";

/// How many of the tags or coupons that there are, or are not, are named.
const NAMED_MAX: usize = 10;
/// How much is kept of the message of an error that is not ours.
const MESSAGE_CHARS_MAX: usize = 300;
/// How many violations an error names.
const VIOLATIONS_MAX: usize = 20;
/// How long a caller is asked to wait when the store is down.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// And when imports take all memory that they may.
const IMPORT_RETRY: Duration = Duration::from_secs(30);

/// One thing wrong with one field. The same shape wherever the product reports bad input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field by its name in the proto file, such as `start_date`.
    pub field: String,
    /// For programs: `UPPER_SNAKE_CASE`.
    pub reason: &'static str,
    /// For people: what is wrong and what would be right.
    pub description: String,
}

impl Violation {
    /// A violation of one field.
    pub fn new(
        field: impl Into<String>,
        reason: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), reason, description: description.into() }
    }
}

/// Why a call could not be answered. Few variants, on purpose: one for each thing that a caller
/// would do differently.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No valid key: `UNAUTHENTICATED`.
    #[error("{message}")]
    Unauthenticated { reason: &'static str, message: &'static str },

    /// A valid key that may not do this: `PERMISSION_DENIED`.
    #[error("this key lacks the scope {scope}: use a key that has it")]
    ScopeMissing { scope: &'static str },

    /// An address that sent one wrong key after another: `RESOURCE_EXHAUSTED`.
    #[error("too many wrong keys came from this address: try again in {} seconds", wait.as_secs() + 1)]
    TooManyGuesses { wait: Duration },

    /// Bad fields, all of them: `INVALID_ARGUMENT`.
    #[error("{}", summary(.0))]
    Invalid(Vec<Violation>),

    /// Something named is not the team's, or not there at all; callers cannot tell: `NOT_FOUND`.
    #[error("{message}")]
    NotFound { reason: &'static str, message: String },

    /// Something is there already: `ALREADY_EXISTS`.
    #[error("{message}")]
    AlreadyExists { reason: &'static str, message: String },

    /// Somebody else was faster: `ABORTED`.
    #[error("{message}")]
    Aborted { reason: &'static str, message: String },

    /// Not as things are now: `FAILED_PRECONDITION`.
    #[error("{message}")]
    FailedPrecondition { reason: &'static str, message: String },

    /// A valid key that may not do this for another reason than its scopes: `PERMISSION_DENIED`.
    #[error("{message}")]
    Denied { reason: &'static str, message: String },

    /// The team has as much of something as it may: `RESOURCE_EXHAUSTED`.
    #[error("{message}")]
    LimitReached { reason: &'static str, message: String },

    /// A method that we do not have: UNIMPLEMENTED.
    #[error("there is no such method: see the proto files, or ask by reflection")]
    UnknownMethod,

    /// The store cannot be reached, or is just starting or stopping: UNAVAILABLE.
    #[error("the store cannot be reached: try again in a second")]
    StoreUnavailable(Arc<anyhow::Error>),

    /// Too much is waiting to be written: UNAVAILABLE.
    #[error("more comes in than can be worked on: try again in a second, with larger batches")]
    Busy,

    /// The service stops while a stream is open: UNAVAILABLE.
    #[error("the service stops or moves: open the stream again and send what was not answered")]
    Draining,

    /// A key has as many streams open as it may: `RESOURCE_EXHAUSTED`.
    #[error("this key has {max} streams open, which is the most: close one, or use another key")]
    TooManyStreams { max: usize },

    /// What follows the token is gone: `OUT_OF_RANGE`.
    #[error("{message}")]
    ResumeTokenExpired { message: &'static str },

    /// The work took longer than it may: `DEADLINE_EXCEEDED`.
    #[error("the answer took too long: ask for a shorter range or fewer tags")]
    TooSlow,

    /// Our fault: INTERNAL.
    #[error("internal error: quote the x-request-id of this answer when you report it")]
    Internal(Arc<anyhow::Error>),
}

/// A cause as the log has it: without what PostgreSQL says of the row, which may be about people.
fn told(cause: &anyhow::Error) -> String {
    let mut told = Vec::new();
    for part in cause.chain() {
        let of_store = part.downcast_ref::<PgError>().and_then(PgError::as_db_error);
        if let Some(error) = of_store {
            let (severity, code, message) = (error.severity(), error.code(), error.message());
            told.push(format!("{severity}: {message} ({})", code.code()));
            break;
        }
        told.push(part.to_string());
    }
    told.join(": ")
}

/// The violations as one line of text, for callers that look at the message only.
fn summary(violations: &[Violation]) -> String {
    let lines: Vec<String> = shortened(violations.to_vec())
        .iter()
        .map(|v| format!("{}: {}", v.field, v.description))
        .collect();
    lines.join("; ")
}

/// The first of these, and how many more there are. One that looks like a key is not repeated.
fn some_of(named: &[&str]) -> String {
    let first: Vec<String> = named.iter().take(NAMED_MAX).map(|name| excerpt(name)).collect();
    let more = named.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

/// As many violations as an error has room for, which has to fit into headers: Envoy gives up the connection
/// that all callers share over one that does not.
fn shortened(mut violations: Vec<Violation>) -> Vec<Violation> {
    if violations.len() > VIOLATIONS_MAX {
        let more = violations.len() - VIOLATIONS_MAX;
        violations.truncate(VIOLATIONS_MAX);
        let field = violations.last().map(|last| last.field.clone()).unwrap_or_default();
        // Of a field within others: those.
        let field = field.split(['[', '.']).next().unwrap_or_default().to_owned();
        let text = format!("{more} more things are wrong after these");
        violations.push(Violation::new(field, reasons::MORE_VIOLATIONS, text));
    }
    violations
}

impl Error {
    /// A single bad field.
    pub fn invalid(
        field: impl Into<String>,
        reason: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self::Invalid(vec![Violation::new(field, reason, description)])
    }

    /// The team has no such thing, or another team has it: callers cannot tell.
    #[must_use]
    pub fn not_found(reason: &'static str, what: &str) -> Self {
        Self::NotFound { reason, message: format!("no such {what}") }
    }

    /// Tags that are not the team's, or not there at all.
    #[must_use]
    pub fn tags_not_found(uids: &[&str]) -> Self {
        Self::NotFound {
            reason: reasons::TAG_NOT_FOUND,
            message: format!("no such tag: {}", some_of(uids)),
        }
    }

    /// Tags that were to be made, and that the team has already.
    #[must_use]
    pub fn tags_exist(uids: &[&str]) -> Self {
        Self::AlreadyExists {
            reason: reasons::TAG_EXISTS,
            message: format!("the team has this tag already: {}", some_of(uids)),
        }
    }

    /// Codes that coupons were to have, and that other coupons of the team have.
    #[must_use]
    pub fn couponcodes_taken(codes: &[&str]) -> Self {
        Self::AlreadyExists {
            reason: reasons::COUPONCODE_TAKEN,
            message: format!("a coupon of the team has this code already: {}", some_of(codes)),
        }
    }

    /// An internal error with its cause, which only the log sees.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self::Internal(Arc::new(cause.into()))
    }

    /// The store cannot be reached, with the cause, which only the log sees.
    pub fn store_unavailable(cause: impl Into<anyhow::Error>) -> Self {
        Self::StoreUnavailable(Arc::new(cause.into()))
    }

    /// The message and the cause, for the log.
    #[must_use]
    pub fn log_text(&self) -> String {
        match self.cause() {
            Some(cause) => format!("{self}: {}", told(cause)),
            None => self.to_string(),
        }
    }

    /// The cause, which no caller sees.
    fn cause(&self) -> Option<&anyhow::Error> {
        match self {
            Self::StoreUnavailable(cause) | Self::Internal(cause) => Some(cause.as_ref()),
            _ => None,
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }
}

impl Error {
    /// The code, and the reason of the `ErrorInfo`.
    #[must_use]
    pub fn code(&self) -> (Code, &'static str) {
        match self {
            Self::Unauthenticated { reason, .. } => (Code::Unauthenticated, reason),
            Self::ScopeMissing { .. } => (Code::PermissionDenied, reasons::SCOPE_MISSING),
            Self::TooManyGuesses { .. } => (Code::ResourceExhausted, reasons::TOO_MANY_WRONG_KEYS),
            Self::Invalid(_) => (Code::InvalidArgument, reasons::INVALID_FIELDS),
            Self::NotFound { reason, .. } => (Code::NotFound, reason),
            Self::AlreadyExists { reason, .. } => (Code::AlreadyExists, reason),
            Self::Aborted { reason, .. } => (Code::Aborted, reason),
            Self::FailedPrecondition { reason, .. } => (Code::FailedPrecondition, reason),
            Self::Denied { reason, .. } => (Code::PermissionDenied, reason),
            Self::LimitReached { reason, .. } => (Code::ResourceExhausted, reason),
            Self::UnknownMethod => (Code::Unimplemented, reasons::UNKNOWN_METHOD),
            Self::StoreUnavailable(_) => (Code::Unavailable, reasons::STORE_UNAVAILABLE),
            Self::Busy => (Code::Unavailable, reasons::TOO_BUSY),
            Self::Draining => (Code::Unavailable, reasons::DRAINING),
            Self::TooManyStreams { .. } => (Code::ResourceExhausted, reasons::TOO_MANY_STREAMS),
            Self::ResumeTokenExpired { .. } => (Code::OutOfRange, reasons::RESUME_TOKEN_EXPIRED),
            Self::TooSlow => (Code::DeadlineExceeded, reasons::QUERY_TOO_SLOW),
            Self::Internal(_) => (Code::Internal, reasons::INTERNAL),
        }
    }

    /// How long to wait before the call is made again, where that helps.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyGuesses { wait } => Some(*wait),
            Self::LimitReached { reason, .. } if *reason == reasons::EVENT_BACKLOG => {
                Some(STORE_RETRY)
            }
            Self::LimitReached { reason, .. } if *reason == reasons::IMPORT_MEMORY => {
                Some(IMPORT_RETRY)
            }
            Self::StoreUnavailable(_) | Self::Busy | Self::Draining => Some(STORE_RETRY),
            _ => None,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if let Some(cause) = error.cause() {
            tracing::error!(cause = told(cause), "call failed");
        }
        let (code, reason) = error.code();
        let message = error.to_string();
        let mut details = details(reason);
        if error.retry_after().is_some() {
            details.set_retry_info(error.retry_after());
        }
        let mut headers = MetadataMap::new();
        match error {
            Error::ScopeMissing { scope } => {
                let lacking = [("scope".to_owned(), scope.to_owned())];
                details.set_error_info(reason, DOMAIN, lacking);
            }
            Error::Invalid(violations) => {
                let bad: Vec<_> =
                    shortened(violations).into_iter().map(FieldViolation::from).collect();
                details.set_bad_request(bad);
            }
            Error::Unauthenticated { .. } => {
                // RFC 9110 wants a 401 to say how to authenticate.
                let how = MetadataValue::from_static("Bearer realm=\"tap-analytics\"");
                headers.insert("www-authenticate", how);
            }
            Error::TooManyGuesses { wait } => {
                headers.insert("retry-after", (wait.as_secs() + 1).into());
            }
            _ => {}
        }
        Self::with_error_details_and_metadata(code, message, details, headers)
    }
}

impl From<Violation> for FieldViolation {
    fn from(violation: Violation) -> Self {
        Self {
            field: violation.field,
            description: violation.description,
            reason: violation.reason.to_owned(),
            ..Default::default()
        }
    }
}

/// Details that hold an `ErrorInfo` with this reason.
#[must_use]
pub fn details(reason: &'static str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, std::collections::HashMap::new())
}

/// Gives an error that tonic made, such as of a message that is too large, the details that ours have.
#[must_use]
pub fn complete(status: &Status) -> Status {
    // Such as of reflection, which repeats what it was asked for: a header has to hold it.
    let message: String = status.message().chars().take(MESSAGE_CHARS_MAX).collect();
    let (code, reason, message) = match status.code() {
        Code::OutOfRange => (
            Code::OutOfRange,
            reasons::REQUEST_TOO_LARGE,
            "the request is larger than this method takes: ask for less, or send less, at a time",
        ),
        // What cannot be decoded is the caller's fault, not ours.
        Code::Internal => (
            Code::InvalidArgument,
            reasons::MALFORMED_REQUEST,
            "the request is not a message of this method",
        ),
        Code::Unimplemented if message.is_empty() => {
            return Error::UnknownMethod.into();
        }
        Code::Unimplemented => {
            (Code::Unimplemented, reasons::UNSUPPORTED_ENCODING, message.as_str())
        }
        code => (code, reasons::UNKNOWN, message.as_str()),
    };
    with_reason(code, message.to_owned(), reason)
}

fn with_reason(code: Code, message: String, reason: &'static str) -> Status {
    Status::with_error_details(code, message, details(reason))
}
