//! Identifiers, each its own type, so that one cannot stand in for another.

use std::fmt;

use uuid::Uuid;

/// A team: a positive number, which is also readable in each of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TeamId(pub i32);

/// A tag within its team: a positive number. Callers know tags by their uid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagId(pub i32);

impl TagId {
    /// Stands for all tags of a team in the roll-up.
    pub const WHOLE_TEAM: Self = Self(0);
}

/// A key, as people may see it: says nothing about the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub Uuid);

impl fmt::Display for TeamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
