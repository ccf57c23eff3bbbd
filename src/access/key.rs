//! The text of a key: `tap_<team>_<secret>_<checksum>`.
//!
//! * the team, so that a proxy can send a team to its home replica without asking anybody;
//! * 32 characters of base62, 190 random bits;
//! * a CRC-32 of all before it in 6 characters of base62, so that a typo is told from a wrong key
//!   without a look-up, and scanners for leaked secrets have few false alarms.

use std::fmt;

use uuid::Uuid;

use crate::{ids::TeamId, secrets::Secrets};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SECRET_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;
const PREFIX_SECRET_LEN: usize = 4;
/// No key is longer: what is, is not looked at.
const KEY_LEN_MAX: usize = "tap_".len() + 10 + 1 + SECRET_LEN + 1 + CHECKSUM_LEN;

/// blake3 of a whole key.
pub type Hash = [u8; 32];

/// A key whose form and checksum are right. Not shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    team: TeamId,
    text: String,
}

impl ApiKey {
    /// A new key for a team.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate(team: TeamId) -> Result<Self, getrandom::Error> {
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::derive(team, blake3::Hasher::new_keyed(&seed).finalize_xof()))
    }

    /// The key that is made of these bytes, as random as they are.
    #[must_use]
    pub fn derive(team: TeamId, mut bytes: blake3::OutputReader) -> Self {
        let mut secret = String::with_capacity(SECRET_LEN);
        let mut some = [0_u8; SECRET_LEN];
        while secret.len() < SECRET_LEN {
            bytes.fill(&mut some);
            // 248 is the largest multiple of 62 in a byte: without the rest all characters are
            // equally likely.
            let fair = some.iter().filter(|byte| **byte < 248);
            let letters = fair.map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
            secret.extend(letters.take(SECRET_LEN - secret.len()));
        }
        let body = format!("tap_{team}_{secret}");
        let text = format!("{body}_{}", checksum(&body));
        Self { team, text }
    }

    /// Reads a key. `None` when it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > KEY_LEN_MAX {
            return None;
        }
        let (body, check) = text.rsplit_once('_')?;
        let (team, secret) = body.strip_prefix("tap_")?.split_once('_')?;
        let canonical = !team.starts_with(['0', '+', '-']);
        let team: i32 = team.parse().ok().filter(|team| *team > 0 && canonical)?;
        let sound = secret.len() == SECRET_LEN
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && check == checksum(body);
        sound.then(|| Self { team: TeamId(team), text: text.to_owned() })
    }

    /// The team that the key names.
    #[must_use]
    pub fn team(&self) -> TeamId {
        self.team
    }

    /// The key itself, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is stored and looked up in place of the key.
    #[must_use]
    pub fn hash(&self) -> Hash {
        *blake3::hash(self.text.as_bytes()).as_bytes()
    }

    /// The start of the key, by which its owner knows it again. 166 bits stay secret.
    #[must_use]
    pub fn prefix(&self) -> String {
        let len = format!("tap_{}_", self.team).len() + PREFIX_SECRET_LEN;
        self.text.chars().take(len).collect()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}…)", self.prefix())
    }
}

/// Makes keys that can be shown again to whoever repeats a request, though they are kept nowhere: they are
/// made of the secret of the service, the key of the caller, which the service does not keep either, and the
/// `request_id`.
#[derive(Clone)]
pub struct MadeByRequest {
    secret: [u8; 32],
}

impl fmt::Debug for MadeByRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MadeByRequest")
    }
}

impl MadeByRequest {
    /// With a secret made of that of the service.
    #[must_use]
    pub fn new(secrets: &Secrets) -> Self {
        Self { secret: secrets.derive("tap-analytics 2026-11 keys made by request") }
    }

    /// The key of a request that was made with a key of its own; without a `request_id` a random one.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn key(
        &self,
        team: TeamId,
        own_key: &str,
        request_id: Option<Uuid>,
    ) -> Result<ApiKey, getrandom::Error> {
        let Some(id) = request_id else { return ApiKey::generate(team) };
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(id.as_bytes());
        hasher.update(own_key.as_bytes());
        Ok(ApiKey::derive(team, hasher.finalize_xof()))
    }
}

/// CRC-32 as six characters of base62, the most significant first.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_read_back_and_says_nothing_in_debug() {
        let key = ApiKey::generate(TeamId(7)).unwrap();
        let read = ApiKey::parse(key.reveal()).unwrap();
        assert_eq!(read, key);
        assert_eq!(read.team(), TeamId(7));
        assert_eq!(key.prefix().len(), "tap_7_".len() + 4);
        assert!(!format!("{key:?}").contains(&key.reveal()[12..]));
    }

    #[test]
    fn the_format_is_frozen() {
        // Keys that are out in the world must go on working.
        let key = "tap_7_0123456789ABCDEFGHIJKLMNOPQRSTUV_4SqvyB";
        assert!(ApiKey::parse(key).is_some());
        assert_eq!(ApiKey::parse(&key.replace("4SqvyB", "4SqvyC")), None);
    }

    #[test]
    fn two_keys_differ() {
        assert_ne!(ApiKey::generate(TeamId(1)).unwrap(), ApiKey::generate(TeamId(1)).unwrap());
    }

    proptest! {
        #[test]
        fn any_change_of_one_character_is_noticed(at in 0_usize..45, to in "[0-9A-Za-z_]") {
            let key = ApiKey::generate(TeamId(7)).unwrap();
            let mut text = key.reveal().to_owned();
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            prop_assert_eq!(ApiKey::parse(&text), None);
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = ApiKey::parse(&text);
        }
    }
}
