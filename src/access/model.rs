//! What a team is and what a key may do.

use chrono::{DateTime, Utc};

use crate::ids::{KeyId, TeamId};

/// Queries an hour for a key that says nothing else.
pub const QUERIES_PER_HOUR: u32 = 100;

/// A team.
#[derive(Clone, Debug)]
pub struct Team {
    pub id: TeamId,
    /// Its name in commands and addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

/// Something a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Count and stream taps.
    TapsRead,
    /// Record taps.
    TapsWrite,
    /// Make, change and archive tags.
    TagsWrite,
    /// Make, change and end keys.
    KeysManage,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: &[Self] = &[Self::TapsRead, Self::TapsWrite, Self::TagsWrite, Self::KeysManage];

    /// As stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TapsRead => "taps:read",
            Self::TapsWrite => "taps:write",
            Self::TagsWrite => "tags:write",
            Self::KeysManage => "keys:manage",
        }
    }

    /// Whether it only lets look: what a token of a browser may have.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Self::TapsRead)
    }

    /// The scope of this name. A newer release may have stored scopes that this one does not know:
    /// they allow nothing here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == text)
    }
}

/// A usual set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// Counts and streams taps: for people and pages.
    Reader,
    /// Records taps, and nothing else: for services and devices.
    Writer,
    /// Everything: for who runs a team.
    Admin,
}

impl Preset {
    /// The scopes it stands for.
    #[must_use]
    pub fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Reader => &[Scope::TapsRead],
            Self::Writer => &[Scope::TapsWrite],
            Self::Admin => Scope::ALL,
        }
    }
}

/// What a new key allows.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// What the key is for.
    pub name: &'a str,
    pub scopes: &'a [Scope],
    pub queries_per_hour: u32,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key as its owner may see it.
#[derive(Clone, Debug)]
pub struct KeyInfo {
    pub id: KeyId,
    pub prefix: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub queries_per_hour: u32,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}
