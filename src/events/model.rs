//! Sessions, events, event errors and event types: what they hold, and their limits.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{error::Violation, ids::KeyId};

/// Events of a batch.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Bytes of an event, as JSON.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Characters of a category and of a name.
pub const CATEGORY_CHARS_MAX: usize = 50;
pub const NAME_CHARS_MAX: usize = 150;
/// How far ahead an event may be, by the clock of who sends it.
pub const FUTURE_MAX: TimeDelta = TimeDelta::seconds(5);
/// Entries of a page when nothing is asked for, and at most.
pub const PAGE: usize = 100;
pub const PAGE_MAX: usize = 1_000;
/// The same of event types, each of which may be large.
pub const PAGE_TYPES: usize = 20;
pub const PAGE_TYPES_MAX: usize = 100;
/// Event types of a team.
pub const TYPES_MAX: i64 = 1_000;
/// Groups of event errors when nothing is asked for, and at most.
pub const GROUPS: usize = 20;
pub const GROUPS_MAX: usize = 100;
/// Event errors that are sent again at a time.
pub const REPLAY_MAX: usize = 1_000;
/// How often storing an event is tried before it becomes an event error.
pub const ATTEMPTS_MAX: i32 = 5;

/// Bits of a receipt that tell which event of its batch it is of.
const PLACE_BITS: u32 = 10;

/// A batch of events that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(pub Uuid);

impl BatchId {
    /// A new one, later than those before.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Uuid::now_v7())
    }

    /// The batch that a receipt is of.
    #[must_use]
    pub fn of(receipt: Uuid) -> Self {
        Self(Uuid::from_u128(receipt.as_u128() >> PLACE_BITS << PLACE_BITS))
    }

    /// The receipt of the event at this place of the batch.
    #[must_use]
    pub fn receipt(self, place: usize) -> Uuid {
        Uuid::from_u128(self.0.as_u128() | place as u128)
    }

    /// The place of a receipt in its batch.
    #[must_use]
    pub fn place(receipt: Uuid) -> usize {
        usize::try_from(receipt.as_u128() & ((1 << PLACE_BITS) - 1)).unwrap_or_default()
    }
}

impl Default for BatchId {
    fn default() -> Self {
        Self::new()
    }
}

/// Who sends events: a key, by the name that it has then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    pub key: KeyId,
    pub name: String,
}

/// Events that can be read: how many, and a JSON array of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    pub events: usize,
    pub payload: String,
}

/// A visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: Uuid,
    pub tap_id: Option<Uuid>,
    pub application: String,
    pub created_at: DateTime<Utc>,
}

/// What is in an event that nothing is wrong with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub session_id: Uuid,
    pub category: String,
    pub name: String,
    /// A JSON object that is not empty, as text.
    pub data: String,
    pub occurred_at: DateTime<Utc>,
}

impl Content {
    /// The same for an event that is sent again as it was. Whoever writes the fields of `data` in another
    /// order, or the session in another form, has sent the same.
    #[must_use]
    pub fn hash(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.session_id.as_bytes());
        for text in [&self.category, &self.name, &self.data] {
            // Its length first, so that none of it can pass for a part of what follows.
            hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(&self.occurred_at.timestamp_micros().to_be_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        half
    }
}

/// An event that was sent and that nothing is wrong with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What the caller calls it.
    pub event_id: Option<Uuid>,
    pub content: Content,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: Uuid,
    /// Of the team's events, when it was stored.
    pub revision: i64,
    pub receipt: Uuid,
    pub application: Application,
    pub content: Content,
    pub received_at: DateTime<Utc>,
    pub stored_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
    pub version: i32,
}

/// In which order events are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    /// As the session went.
    Session,
}

/// Which events to list, all conditions met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub session_id: Option<Uuid>,
    pub category: Option<String>,
    pub name: Option<String>,
    pub occurred_after: Option<DateTime<Utc>>,
    pub occurred_before: Option<DateTime<Utc>>,
}

/// Where a page of events begins: after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPlace {
    pub occurred_at: DateTime<Utc>,
    pub revision: i64,
}

/// What became of an event that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pending,
    Stored {
        event: Uuid,
        duplicate: bool,
    },
    /// Its error has the id of the receipt.
    Rejected,
}

/// An event that was refused.
#[derive(Clone, Debug)]
pub struct EventError {
    pub id: Uuid,
    pub application: Application,
    pub received_at: DateTime<Utc>,
    pub rejected_at: DateTime<Utc>,
    pub fingerprint: [u8; 16],
    /// At least one.
    pub violations: Vec<StoredViolation>,
    /// The event as it was sent, as JSON.
    pub payload: String,
    pub replay_of: Option<Uuid>,
    pub replayed_as: Option<Uuid>,
    pub became_event: Option<Uuid>,
    pub became_error: Option<Uuid>,
}

/// A violation as it is kept: a later release may not know its reason.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredViolation {
    pub field: String,
    pub reason: String,
    pub description: String,
}

impl From<Violation> for StoredViolation {
    fn from(violation: Violation) -> Self {
        let Violation { field, reason, description } = violation;
        Self { field, reason: reason.to_owned(), description }
    }
}

/// The same for errors of one application with which the same is wrong, wherever in a list that is.
#[must_use]
pub fn fingerprint(application: &str, violations: &[StoredViolation]) -> [u8; 16] {
    let mut wrong: Vec<(String, &str)> = violations
        .iter()
        .map(|violation| (without_numbers(&violation.field), violation.reason.as_str()))
        .collect();
    wrong.sort_unstable();
    wrong.dedup();
    let mut hasher = blake3::Hasher::new();
    hasher.update(application.as_bytes());
    for (field, reason) in wrong {
        hasher.update(&[0]);
        hasher.update(field.as_bytes());
        hasher.update(&[0]);
        hasher.update(reason.as_bytes());
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    half
}

/// `data.items[3].price` as `data.items[].price`.
fn without_numbers(field: &str) -> String {
    let mut inside = false;
    field
        .chars()
        .filter(|char| {
            let kept = !(inside && char.is_ascii_digit());
            inside = (inside && *char != ']') || *char == '[';
            kept
        })
        .collect()
}

/// What was done about event errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorState {
    Any,
    Open,
    Replayed,
}

/// Which event errors, all conditions met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFilter {
    pub reason: Option<String>,
    pub field: Option<String>,
    pub application: Option<String>,
    pub fingerprint: Option<[u8; 16]>,
    pub received_after: Option<DateTime<Utc>>,
    pub received_before: Option<DateTime<Utc>>,
    pub state: ErrorState,
}

/// Event errors with which the same is wrong.
#[derive(Clone, Debug)]
pub struct ErrorGroup {
    pub fingerprint: [u8; 16],
    pub count: i64,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    /// The newest of them.
    pub newest: Uuid,
    /// What is wrong with that.
    pub violations: Vec<StoredViolation>,
    pub application: String,
}

/// What the data of events must be like.
#[derive(Clone, Debug)]
pub struct EventType {
    pub category: String,
    pub name: String,
    /// As it was sent, as JSON.
    pub schema: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub version: Uuid,
}

/// What a team takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub refuse_unknown_types: bool,
    pub create_unknown_sessions: bool,
}

/// What became of the events of a minute. What was received is the sum of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerMinute {
    pub minute: DateTime<Utc>,
    pub received: i64,
    pub stored: i64,
    pub duplicate: i64,
    pub rejected: i64,
    pub pending: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_tells_its_batch_and_its_place() {
        let batch = BatchId::new();
        for place in [0, 1, 511, BATCH_EVENTS_MAX - 1] {
            let receipt = batch.receipt(place);
            assert_eq!((BatchId::of(receipt), BatchId::place(receipt)), (batch, place));
            assert_eq!(receipt.get_version_num(), 7);
        }
    }

    #[test]
    fn fingerprints_are_of_fields_and_reasons_and_who_sent_them() {
        let wrong = |field: &str, reason: &str| StoredViolation {
            field: field.to_owned(),
            reason: reason.to_owned(),
            description: format!("{field} {reason}"),
        };
        let one = fingerprint("shop", &[wrong("data.items[3].price", "A"), wrong("name", "B")]);
        let other = [
            wrong("name", "B"),
            wrong("data.items[12].price", "A"),
            wrong("data.items[0].price", "A"),
        ];
        assert_eq!(one, fingerprint("shop", &other));
        assert_ne!(one, fingerprint("page", &other));
        assert_ne!(one, fingerprint("shop", &other[..1]));
        assert_ne!(
            fingerprint("shop", &[wrong("data.a1", "A")]),
            fingerprint("shop", &[wrong("data.a2", "A")])
        );
    }
}
