//! What to do about a call that has failed, and when.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::Options;

/// The longest that the service can make a client wait.
const TOLD_MAX: Duration = Duration::from_hours(1);

/// What to do about a call that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Make it again: it will pass.
    Again(Duration),
    /// Make it again: somebody may have done something about it.
    Held(Duration),
    /// The service will never take it as it is.
    Never,
}

/// What to do after so many failures before this one.
pub(super) fn next(refusal: &Status, failures: u32, options: &Options) -> Next {
    let own = back_off(failures, options);
    match refusal.code() {
        Code::InvalidArgument | Code::OutOfRange => Next::Never,
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Unimplemented => Next::Held(own),
        Code::ResourceExhausted => Next::Again(told(refusal).unwrap_or(own)),
        _ => Next::Again(told(refusal).map_or(own, |told| told.max(own))),
    }
}

/// What the service asks for, and a little more: not all who were told the same at the same moment.
fn told(refusal: &Status) -> Option<Duration> {
    let info = refusal.get_error_details().retry_info()?.retry_delay?;
    (!info.is_zero()).then(|| info.min(TOLD_MAX).mul_f64(1.0 + fastrand::f64() / 10.0))
}

/// Doubled each time, and a random part of it.
fn back_off(failures: u32, options: &Options) -> Duration {
    let doubled = options.retry_min.saturating_mul(2_u32.saturating_pow(failures));
    doubled.min(options.retry_max).mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    const CODES: [Code; 16] = [
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
        Code::Unauthenticated,
    ];

    fn told(code: Code, seconds: u64) -> Status {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds)));
        Status::with_error_details(code, "", details)
    }

    fn wait(status: &Status, failures: u32) -> Duration {
        match next(status, failures, &Options::default()) {
            Next::Again(wait) | Next::Held(wait) => wait,
            Next::Never => Duration::MAX,
        }
    }

    #[test]
    fn only_what_is_wrong_in_itself_is_given_up() {
        for code in CODES {
            let next = next(&Status::new(code, ""), 0, &Options::default());
            let expected = match code {
                Code::InvalidArgument | Code::OutOfRange => "Never",
                Code::Unauthenticated
                | Code::PermissionDenied
                | Code::NotFound
                | Code::AlreadyExists
                | Code::FailedPrecondition
                | Code::Unimplemented => "Held",
                _ => "Again",
            };
            assert!(format!("{next:?}").starts_with(expected), "{code:?}: {next:?}");
        }
    }

    #[test]
    fn the_wait_doubles_within_bounds_and_not_for_all_alike() {
        let away = Status::unavailable("");
        let Options { retry_min, retry_max, .. } = Options::default();
        for failures in 0..40 {
            let wait = wait(&away, failures);
            assert!(wait >= retry_min / 2 && wait <= retry_max, "{failures}: {wait:?}");
        }
        assert!(wait(&away, 0) <= retry_min);
        assert!(wait(&away, 9) >= retry_max / 2);
        assert_ne!(wait(&away, 9), wait(&away, 9));
    }

    #[test]
    fn what_the_service_asks_for_is_kept_to() {
        let second = Duration::from_secs(1);
        // Over quota the service knows best, also after many failures.
        assert!((second..second * 2).contains(&wait(&told(Code::ResourceExhausted, 1), 9)));
        assert!(wait(&told(Code::ResourceExhausted, 99), 0) >= 99 * second);
        assert!(wait(&told(Code::Unavailable, 99), 0) >= 99 * second);
        assert!(wait(&told(Code::Unavailable, 1), 9) > 4 * second);
        assert!(wait(&told(Code::ResourceExhausted, u64::from(u32::MAX)), 0) < TOLD_MAX * 2);
        // No time at all is none.
        assert!(wait(&told(Code::ResourceExhausted, 0), 9) > 4 * second);
    }
}
