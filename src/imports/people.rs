//! The rules of users: by default those of Rwanda.

use super::kind::{Checked, Column};

/// The region that phone numbers and national ids are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(pub [u8; 2]);

impl Region {
    pub const DEFAULT: Self = Self(*b"RW");

    /// The region of two letters, in any case; `None` where no phone numbers are known of it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.eq_ignore_ascii_case("RW")).then_some(Self::DEFAULT)
    }

    /// Its two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Places of the columns.
pub const NAMES: usize = 0;
pub const NID: usize = 1;
pub const PHONE: usize = 2;
pub const GENDER: usize = 3;
pub const EMAIL: usize = 4;

/// The columns of users.
pub const COLUMNS: &[Column] = &[];

/// Checks what cells say together.
pub fn check_together(_checked: &mut Checked) {}
