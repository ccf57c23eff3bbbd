//! The rules of tags.

use super::kind::Column;

/// Places of the columns.
pub const UID: usize = 0;
pub const LABEL: usize = 1;
pub const KIND: usize = 2;
pub const DESTINATION_URL: usize = 3;

/// The columns of tags.
pub const COLUMNS: &[Column] = &[];
