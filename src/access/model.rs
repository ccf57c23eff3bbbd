//! What a team is and what a key may do.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::ids::{KeyId, TeamId};

/// Queries an hour for a key that says nothing else.
pub const QUERIES_PER_HOUR: u32 = 100;
/// Queries an hour that a key may have.
pub const QUERIES_PER_HOUR_MAX: u32 = 1_000_000;
/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 200;
/// Keys of a team: all of them are in memory.
pub const KEYS_MAX: i64 = 1_000;
/// How long an old key goes on working when nothing else is said.
pub const OVERLAP: TimeDelta = TimeDelta::days(1);
/// The longest that one may go on working.
pub const OVERLAP_MAX: TimeDelta = TimeDelta::days(30);
/// How long is known what was done to a key.
pub const EVENTS_KEPT: TimeDelta = TimeDelta::days(400);

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
    /// Count and stream taps, and look at tags.
    TapsRead,
    /// Record taps.
    TapsWrite,
    /// Make, change and archive tags.
    TagsWrite,
    /// Look at sessions, events and event errors, and stream events.
    EventsRead,
    /// Send events and change them; set event types and settings; send refused events again.
    EventsWrite,
    /// Look at coupons, and count redemptions.
    CouponsRead,
    /// Make, change and delete coupons, and look at redemptions: they say who redeemed.
    CouponsWrite,
    /// Redeem coupons, and give redemptions back.
    CouponsRedeem,
    /// Look at messages, consents and receipts of erasures.
    DialogsRead,
    /// Take messages, and note consent; together with `DialogsRead` also erase customers, and change settings.
    DialogsWrite,
    /// Look at imports, their rows, and users.
    ImportsRead,
    /// Upload files, mend and commit imports, and delete users.
    ImportsWrite,
    /// Make, change and end keys.
    KeysManage,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: &[Self] = &[
        Self::TapsRead,
        Self::TapsWrite,
        Self::TagsWrite,
        Self::EventsRead,
        Self::EventsWrite,
        Self::CouponsRead,
        Self::CouponsWrite,
        Self::CouponsRedeem,
        Self::DialogsRead,
        Self::DialogsWrite,
        Self::ImportsRead,
        Self::ImportsWrite,
        Self::KeysManage,
    ];

    /// As stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TapsRead => "taps:read",
            Self::TapsWrite => "taps:write",
            Self::TagsWrite => "tags:write",
            Self::EventsRead => "events:read",
            Self::EventsWrite => "events:write",
            Self::CouponsRead => "coupons:read",
            Self::CouponsWrite => "coupons:write",
            Self::CouponsRedeem => "coupons:redeem",
            Self::DialogsRead => "dialogs:read",
            Self::DialogsWrite => "dialogs:write",
            Self::ImportsRead => "imports:read",
            Self::ImportsWrite => "imports:write",
            Self::KeysManage => "keys:manage",
        }
    }

    /// Whether it only lets look, and not at what customers said, or who users are: what a token of a browser may have.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Self::TapsRead | Self::EventsRead | Self::CouponsRead)
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
    /// Counts and streams taps and events, and looks at coupons: for people and pages.
    Reader,
    /// Records taps and events, redeems coupons, takes messages and consent, and nothing else: for services and devices.
    Writer,
    /// Everything, keys too: for who runs a team.
    Admin,
}

impl Preset {
    /// The scopes it stands for.
    #[must_use]
    pub fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Reader => &[Scope::TapsRead, Scope::EventsRead, Scope::CouponsRead],
            Self::Writer => {
                &[Scope::TapsWrite, Scope::EventsWrite, Scope::CouponsRedeem, Scope::DialogsWrite]
            }
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

/// What to change of a key; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPatch {
    pub name: Option<String>,
    pub scopes: Option<Vec<Scope>>,
    pub queries_per_hour: Option<u32>,
    /// `Some(None)`: it never ends.
    pub expires_at: Option<Option<DateTime<Utc>>>,
}

/// Who changes keys.
#[derive(Clone, Copy, Debug)]
pub enum Actor {
    /// Whoever can run the program against the store can do everything.
    CommandLine,
    /// Gives what it has.
    Key(KeyId),
}

impl Actor {
    /// The key by which it is done.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Self::CommandLine => None,
            Self::Key(key) => Some(*key),
        }
    }
}

/// How much a key can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Power {
    /// As stored: also those that this release does not know.
    pub scopes: Vec<String>,
    pub queries_per_hour: u32,
    pub expires_at: Option<DateTime<Utc>>,
}

impl Power {
    /// What of the other this one does not have: nobody can give that. `None` when it has all of it.
    #[must_use]
    pub fn lacks(&self, other: &Self) -> Option<String> {
        if let Some(scope) = other.scopes.iter().find(|scope| !self.scopes.contains(scope)) {
            return Some(format!("the scope {scope}"));
        }
        if other.queries_per_hour > self.queries_per_hour {
            return Some(format!("{} queries an hour", other.queries_per_hour));
        }
        let end = self.expires_at?;
        other.expires_at.is_none_or(|at| at > end).then(|| "so late an end".to_owned())
    }
}

/// A key as its owner may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    pub id: KeyId,
    pub prefix: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub queries_per_hour: u32,
    pub created_at: DateTime<Utc>,
    /// `None`: the command line.
    pub created_by: Option<KeyId>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// The key in whose place it was made.
    pub replaces: Option<KeyId>,
    /// When another was made in its place, and when it would have ended without that.
    pub rotated: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
}

/// Whether a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Active,
    Expired,
    Revoked,
}

impl KeyInfo {
    /// When a key ends that is made in its place: as this one, before it was rotated.
    #[must_use]
    pub fn successor_expires_at(&self) -> Option<DateTime<Utc>> {
        self.rotated.map_or(self.expires_at, |(_, before)| before)
    }

    /// How much it can do.
    #[must_use]
    pub fn power(&self) -> Power {
        Power {
            scopes: self.scopes.clone(),
            queries_per_hour: self.queries_per_hour,
            expires_at: self.expires_at,
        }
    }

    /// Whether it works at an instant.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> KeyState {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => KeyState::Revoked,
            (None, Some(at)) if at <= now => KeyState::Expired,
            (None, _) => KeyState::Active,
        }
    }

    /// With a change.
    #[must_use]
    pub fn patched(&self, patch: KeyPatch) -> Self {
        let scopes = patch.scopes.map(|scopes| names(&scopes));
        Self {
            name: patch.name.unwrap_or_else(|| self.name.clone()),
            scopes: scopes.unwrap_or_else(|| self.scopes.clone()),
            queries_per_hour: patch.queries_per_hour.unwrap_or(self.queries_per_hour),
            expires_at: patch.expires_at.unwrap_or(self.expires_at),
            // Who says when it ends means it.
            rotated: self.rotated.filter(|_| patch.expires_at.is_none()),
            ..self.clone()
        }
    }

    /// What is different from before, as it is kept. Of a new key all of it is.
    #[must_use]
    pub fn changes_since(&self, before: Option<&Self>) -> Vec<KeyChange> {
        let was = before.map(Self::fields);
        let differences = self.fields().into_iter().enumerate().map(|(nth, (field, after))| {
            let before = was.as_ref().and_then(|was| was.get(nth));
            KeyChange {
                field,
                before: before.map(|(_, text)| text.clone()).unwrap_or_default(),
                after,
            }
        });
        differences.filter(|change| change.before != change.after).collect()
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let instant = |at: Option<DateTime<Utc>>| at.map(crate::wire::instant).unwrap_or_default();
        vec![
            ("name", self.name.clone()),
            ("scopes", self.scopes.join(" ")),
            ("queries_per_hour", self.queries_per_hour.to_string()),
            ("expires_at", instant(self.expires_at)),
            ("revoked_at", instant(self.revoked_at)),
            ("replaces", self.replaces.map(|key| key.to_string()).unwrap_or_default()),
        ]
    }
}

/// The names of scopes, as stored.
#[must_use]
pub fn names(scopes: &[Scope]) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

/// What is different in a key since a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    pub field: &'static str,
    pub before: String,
    pub after: String,
}

/// What was done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    Created,
    Updated,
    Rotated,
    Revoked,
}

impl KeyAction {
    const ALL: [Self; 4] = [Self::Created, Self::Updated, Self::Rotated, Self::Revoked];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Rotated => "rotated",
            Self::Revoked => "revoked",
        }
    }

    /// The action of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// Something that was done to a key.
#[derive(Clone, Debug)]
pub struct KeyEvent {
    pub id: Uuid,
    pub occurred_at: DateTime<Utc>,
    pub key: KeyId,
    /// `None`: the command line.
    pub actor: Option<KeyId>,
    pub action: String,
    /// A JSON array of `{field, before, after}`.
    pub changes: String,
}

/// Which keys to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFilter {
    /// Only those that are valid then.
    pub valid_at: Option<DateTime<Utc>>,
    /// Only older ones.
    pub before: Option<KeyId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_to_give_than_they_have() {
        let at = |days| DateTime::UNIX_EPOCH + TimeDelta::days(days);
        let power = |scopes: &[Scope], queries_per_hour, expires_at| Power {
            scopes: names(scopes),
            queries_per_hour,
            expires_at,
        };
        let mine = power(&[Scope::TapsRead, Scope::KeysManage], 100, Some(at(10)));
        assert_eq!(mine.lacks(&mine), None);
        assert_eq!(mine.lacks(&power(&[Scope::TapsRead], 1, Some(at(9)))), None);
        let scope = mine.lacks(&power(&[Scope::TapsWrite], 1, Some(at(9))));
        assert_eq!(scope.as_deref(), Some("the scope taps:write"));
        let quota = mine.lacks(&power(&[], 101, Some(at(9))));
        assert_eq!(quota.as_deref(), Some("101 queries an hour"));
        for later in [None, Some(at(11))] {
            assert_eq!(mine.lacks(&power(&[], 1, later)).as_deref(), Some("so late an end"));
        }
        let for_ever = power(Scope::ALL, 100, None);
        assert_eq!(for_ever.lacks(&mine), None);
        let unknown = Power { scopes: vec!["moon:write".to_owned()], ..mine.clone() };
        assert!(for_ever.lacks(&unknown).is_some());
    }
}
