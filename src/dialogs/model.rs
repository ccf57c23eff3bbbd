//! What dialogs are made of, and the rules: no protobuf, no SQL, no async.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::ids::{KeyId, TeamId};

/// Characters of the id of a customer or a dialog.
pub const ID_CHARS_MAX: usize = 64;
/// Characters of a message.
pub const TEXT_CHARS_MAX: usize = 10_000;
/// Bytes of a language: longer tags are allowed, and used by nobody.
pub const LANGUAGE_BYTES_MAX: usize = 64;
/// Characters of the terms of consent.
pub const PURPOSE_CHARS_MAX: usize = 200;
pub const POLICY_VERSION_CHARS_MAX: usize = 100;
/// Digits of the hash of a policy.
pub const POLICY_HASH_DIGITS_MIN: usize = 32;
pub const POLICY_HASH_DIGITS_MAX: usize = 128;
/// Days of retention.
pub const DAYS_MAX: i32 = 36_500;
/// Entries of a page when nothing is asked for, and at most.
pub const PAGE: usize = 100;
pub const PAGE_MAX: usize = 1_000;
/// Bytes of the messages of a page, about: in an answer one may become six.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// What an entry of a page takes beside its text.
pub const ENTRY_BYTES: usize = 300;

/// What a customer said. Not shown by `{:?}`, and wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Zeroizing<String>);

impl Text {
    /// Takes a text over: what it was in is what is wiped.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// Stands for a customer wherever the id is not needed: BLAKE3 of it, with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomerHash(pub [u8; 32]);

/// Makes the hashes of customers.
#[derive(Clone)]
pub struct Hashes(pub [u8; 32]);

impl fmt::Debug for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashes")
    }
}

impl Hashes {
    /// The hash of a customer.
    #[must_use]
    pub fn of(&self, team: TeamId, customer: &str) -> CustomerHash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&team.0.to_be_bytes());
        hasher.update(customer.as_bytes());
        CustomerHash(*hasher.finalize().as_bytes())
    }
}

/// Something that a customer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: Uuid,
    /// Chosen by the caller: the same again is the same message.
    pub request_id: Option<Uuid>,
    pub language: Box<str>,
    pub text: Text,
    pub received_at: DateTime<Utc>,
}

impl Message {
    /// Whether this is that message, sent again.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        self.language == other.language && self.text == other.text
    }
}

/// A message as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub message: Message,
    pub customer: String,
    pub dialog: String,
    pub redacted_at: Option<DateTime<Utc>>,
}

/// Which messages to list: those that meet all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub language: Option<String>,
    pub customer: Option<CustomerHash>,
    pub dialog: Option<String>,
    pub after: Option<DateTime<Utc>>,
    pub before: Option<DateTime<Utc>>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending(Uuid),
    Stored(Uuid),
    Refused,
    Erased,
}

impl State {
    /// As metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending(_) => "PENDING",
            Self::Stored(_) => "STORED",
            Self::Refused => "REFUSED",
            Self::Erased => "ERASED",
        }
    }
}

/// What a customer decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Granted,
    Denied,
    Withdrawn,
}

impl Decision {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "GRANTED",
            Self::Denied => "DENIED",
            Self::Withdrawn => "WITHDRAWN",
        }
    }

    /// The decision of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Granted, Self::Denied, Self::Withdrawn];
        all.into_iter().find(|decision| decision.as_str() == text)
    }

    /// What a customer decides who says yes or no, in the light of what held before.
    #[must_use]
    pub fn of(granted: bool, before: Option<bool>) -> Self {
        match (granted, before) {
            (true, _) => Self::Granted,
            (false, Some(true)) => Self::Withdrawn,
            (false, _) => Self::Denied,
        }
    }
}

/// What a customer agrees to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub purpose: String,
    pub policy_version: String,
    pub policy_hash: String,
}

/// The same as a caller has it: what is not said is as the settings have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SomeTerms {
    pub purpose: Option<String>,
    pub policy_version: Option<String>,
    pub policy_hash: Option<String>,
}

impl SomeTerms {
    /// With what is not said.
    #[must_use]
    pub fn or(self, default: Terms) -> Terms {
        Terms {
            purpose: self.purpose.unwrap_or(default.purpose),
            policy_version: self.policy_version.unwrap_or(default.policy_version),
            policy_hash: self.policy_hash.unwrap_or(default.policy_hash),
        }
    }
}

/// A decision, as it was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    pub id: Uuid,
    pub dialog: Option<String>,
    pub customer: Option<String>,
    pub decision: Decision,
    pub terms: Terms,
    pub decided_at: DateTime<Utc>,
    pub key: KeyId,
}

/// What holds after a decision, and what came of it.
#[derive(Clone, Debug)]
pub struct Decided {
    pub consent: Consent,
    pub stored: i64,
    pub deleted: i64,
}

/// What a team wants of dialogs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub terms: Terms,
    /// Days; 0: never.
    pub redact_after: i32,
    pub delete_after: i32,
}

/// What to change of it; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    pub terms: SomeTerms,
    pub redact_after: Option<i32>,
    pub delete_after: Option<i32>,
}

impl Settings {
    /// With a change.
    #[must_use]
    pub fn changed(self, change: SettingsChange) -> Self {
        Self {
            terms: change.terms.or(self.terms),
            redact_after: change.redact_after.unwrap_or(self.redact_after),
            delete_after: change.delete_after.unwrap_or(self.delete_after),
        }
    }

    /// Whether messages would be deleted before they are redacted.
    #[must_use]
    pub fn deletes_first(&self) -> bool {
        self.redact_after > 0 && self.delete_after > 0 && self.delete_after < self.redact_after
    }
}

/// What is older than that many days, at an instant; `None`: nothing is too old.
#[must_use]
pub fn too_old(days: i32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if days <= 0 {
        return None;
    }
    now.checked_sub_signed(TimeDelta::days(days.into()))
}

/// How much of a customer there is, or was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub messages: i64,
    pub pending_messages: i64,
    pub dialogs: i64,
    pub consents: i64,
}

/// The receipt of an erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    pub number: i64,
    pub id: Uuid,
    pub customer: CustomerHash,
    pub erased_at: DateTime<Utc>,
    pub key: KeyId,
    pub counts: Counts,
    pub previous_hash: [u8; 32],
    pub hash: [u8; 32],
}

impl Erasure {
    /// The receipt after another one, or after none.
    #[must_use]
    pub fn after(
        last: Option<(i64, [u8; 32])>,
        customer: CustomerHash,
        counts: Counts,
        key: KeyId,
        erased_at: DateTime<Utc>,
    ) -> Self {
        let (number, previous_hash) = last.unwrap_or((0, [0; 32]));
        let new = Self {
            number: number + 1,
            id: Uuid::now_v7(),
            customer,
            erased_at,
            key,
            counts,
            previous_hash,
            hash: [0; 32],
        };
        Self { hash: new.sum(), ..new }
    }

    /// The hash of all of it, as dialogs.proto has it.
    #[must_use]
    pub fn sum(&self) -> [u8; 32] {
        let Counts { messages, pending_messages, dialogs, consents } = self.counts;
        let lines = [
            hex(&self.previous_hash),
            self.number.to_string(),
            self.id.to_string(),
            crate::wire::instant(self.erased_at),
            self.key.to_string(),
            hex(&self.customer.0),
            messages.to_string(),
            pending_messages.to_string(),
            dialogs.to_string(),
            consents.to_string(),
        ];
        let mut hasher = blake3::Hasher::new();
        for line in lines {
            hasher.update(line.as_bytes());
            hasher.update(b"\n");
        }
        *hasher.finalize().as_bytes()
    }
}

/// A hash as people see it.
#[must_use]
pub fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}
