//! Identifiers, each its own type, so that one cannot stand in for another.

use std::fmt;

use uuid::Uuid;

/// A UUID made of a text: the same of the same one.
#[must_use]
pub fn uuid_of(text: &str) -> Uuid {
    let mut bytes = [0; 16];
    blake3::Hasher::new().update(text.as_bytes()).finalize_xof().fill(&mut bytes);
    Uuid::new_v8(bytes)
}

/// The UUID that a text is, or one made of it: for ids of files, which may be anything.
#[must_use]
pub fn uuid_from(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or_else(|_| uuid_of(text))
}

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
