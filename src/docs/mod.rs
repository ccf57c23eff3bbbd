//! The documentation that the program makes of itself: the page of errors, from the table of reasons.

mod errors;

pub use self::errors::markdown as errors;
