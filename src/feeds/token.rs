//! Resume tokens: a place in what a team has of a kind, as callers hold it.
//!
//! Opaque and signed. Not a credential: a token is of use only with a key of its team. It is signed
//! because a fresh one makes a stream cost nothing, and because a place in another history of the
//! store, such as before a backup was restored, must not be taken for one in this.
//! Each kind has a secret of its own, so that a place in one is not taken for a place in another.

use std::fmt::Debug;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::{clock::Clock, error::Error, ids::TeamId, reasons};

/// A token of at most this age makes a stream cost nothing.
const FRESH: TimeDelta = TimeDelta::minutes(10);
/// The one form there is.
const VERSION: u8 = 1;
const SIGNATURE_BYTES: usize = 8;

/// Which history of the store revisions belong to. One for all who ask.
#[derive(Clone, Debug)]
pub struct History(watch::Sender<u32>);

impl History {
    /// Of this number, until another is told of.
    #[must_use]
    pub fn new(history: u32) -> Self {
        Self(watch::channel(history).0)
    }

    /// Its number.
    #[must_use]
    pub fn now(&self) -> u32 {
        *self.0.borrow()
    }

    /// The store has, or may have, another history now.
    pub fn set(&self, history: u32) {
        self.0.send_if_modified(|now| std::mem::replace(now, history) != history);
    }

    /// Tells whenever the store has another history.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u32> {
        self.0.subscribe()
    }
}

/// Makes tokens of one kind of streams, and reads them again.
#[derive(Debug)]
pub struct Tokens {
    secret: [u8; 32],
    history: History,
    clock: Clock,
}

/// A token that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub revision: i64,
    /// Of another history of the store: what follows it is not there.
    pub other_history: bool,
    /// Made a moment ago.
    pub fresh: bool,
    /// See [`Tokens::fingerprint`]; 0 for a token that is not of a watch.
    pub query: u64,
}

impl Tokens {
    /// Signs with this secret.
    #[must_use]
    pub fn new(secret: [u8; 32], history: History, clock: Clock) -> Self {
        Self { secret, history, clock }
    }

    /// A token for a place in what a team has.
    #[must_use]
    pub fn issue(&self, team: TeamId, revision: i64) -> String {
        self.issue_for(team, revision, 0)
    }

    /// A token of a watch.
    #[must_use]
    pub fn issue_for(&self, team: TeamId, revision: i64, query: u64) -> String {
        let minted = u32::try_from(self.clock.now().timestamp()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(1 + 4 + 4 + 8 + 4 + 8 + SIGNATURE_BYTES);
        bytes.push(VERSION);
        bytes.extend(team.0.to_be_bytes());
        bytes.extend(self.history.now().to_be_bytes());
        bytes.extend(revision.to_be_bytes());
        bytes.extend(minted.to_be_bytes());
        bytes.extend(query.to_be_bytes());
        let signature = self.sign(&bytes);
        bytes.extend(signature);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token that this service made for this team.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn read(&self, team: TeamId, text: &str) -> Result<Token, Error> {
        self.parse(team, text).ok_or_else(|| {
            Error::invalid(
                "resume_token",
                reasons::MALFORMED_RESUME_TOKEN,
                "is not a token of this team: send one as it came, whole, or none to begin from now",
            )
        })
    }

    fn parse(&self, team: TeamId, text: &str) -> Option<Token> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (bytes, signature) =
            bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        // What is behind it is no secret: there is nothing to learn from how long this takes.
        if signature != self.sign(bytes) {
            return None;
        }
        let (version, rest) = bytes.split_first()?;
        let (owner, rest) = rest.split_first_chunk()?;
        let (history, rest) = rest.split_first_chunk()?;
        let (revision, rest) = rest.split_first_chunk()?;
        let (minted, rest) = rest.split_first_chunk()?;
        let (query, rest) = rest.split_first_chunk()?;
        if *version != VERSION || i32::from_be_bytes(*owner) != team.0 || !rest.is_empty() {
            return None;
        }
        let minted = DateTime::<Utc>::from_timestamp(u32::from_be_bytes(*minted).into(), 0)?;
        Some(Token {
            revision: i64::from_be_bytes(*revision),
            other_history: u32::from_be_bytes(*history) != self.history.now(),
            fresh: self.clock.now() - minted <= FRESH,
            query: u64::from_be_bytes(*query),
        })
    }

    /// Tells watches of different queries apart. Never 0. Keyed, so that nobody can look for two that are
    /// taken for one.
    #[must_use]
    pub fn fingerprint(&self, query: &impl Debug) -> u64 {
        // The same on all replicas of one version; after a change of version a watch costs a query once.
        let hash = blake3::keyed_hash(&self.secret, format!("{query:?}").as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from_be_bytes(first).max(1)
    }

    fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let hash = blake3::keyed_hash(&self.secret, bytes);
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(&hash.as_bytes()[..SIGNATURE_BYTES]);
        signature
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEAM: TeamId = TeamId(7);

    fn tokens(clock: &Clock) -> Tokens {
        Tokens::new([1; 32], History::new(99), clock.clone())
    }

    proptest! {
        #[test]
        fn what_was_issued_can_be_read(team in 1_i32.., revision in 0_i64.., query in any::<u64>()) {
            let tokens = tokens(&Clock::system());
            let text = tokens.issue_for(TeamId(team), revision, query);
            let token = tokens.read(TeamId(team), &text).unwrap();
            prop_assert_eq!(token, Token { revision, other_history: false, fresh: true, query });
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        }

        #[test]
        fn whatever_else_is_refused(text in ".{0,60}", at in 0_usize..44, flip in 1_u8..64) {
            let tokens = tokens(&Clock::system());
            prop_assert!(tokens.read(TEAM, &text).is_err());
            let mut changed = tokens.issue(TEAM, 5).into_bytes();
            let at = at.min(changed.len() - 1);
            changed[at] = changed[at].wrapping_add(flip);
            if let Ok(changed) = String::from_utf8(changed) {
                prop_assert!(tokens.read(TEAM, &changed).is_err());
            }
        }
    }

    #[test]
    fn a_token_is_of_one_team_one_secret_and_one_history() {
        let clock = Clock::system();
        let history = History::new(99);
        let tokens = Tokens::new([1; 32], history.clone(), clock.clone());
        let text = tokens.issue(TEAM, 5);
        assert!(!tokens.read(TEAM, &text).unwrap().other_history);
        assert!(tokens.read(TeamId(8), &text).is_err());
        // As of another service, and of another kind of stream.
        assert!(Tokens::new([2; 32], history.clone(), clock).read(TEAM, &text).is_err());
        history.set(100);
        assert!(tokens.read(TEAM, &text).unwrap().other_history);
    }

    #[test]
    fn a_token_is_what_it_was_in_earlier_versions() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let text = "AQAAAAcAAABjAAAAAAAAAAVlU_EAAAAAAAAAAAOIBnaDZsGcYg";
        assert_eq!(tokens(&clock).issue_for(TEAM, 5, 3), text);
    }

    #[test]
    fn a_token_is_fresh_for_ten_minutes() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::fixed(start);
        let tokens = tokens(&clock);
        let text = tokens.issue(TEAM, 5);
        clock.set(start + FRESH);
        assert!(tokens.read(TEAM, &text).unwrap().fresh);
        clock.set(start + FRESH + TimeDelta::seconds(1));
        assert!(!tokens.read(TEAM, &text).unwrap().fresh);
    }
}
