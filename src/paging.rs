//! Pages of lists: how large they are, and where the next one begins.
//!
//! A page token is where the page before ended, signed together with the team and with what was asked: it
//! is good for nothing else. It lets nobody in.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{error::Violation, ids::TeamId, reasons, secrets::Secrets, wire::or_none};

const VERSION: u8 = 1;
const SIGNATURE_BYTES: usize = 16;

/// Makes page tokens, and reads them again.
#[derive(Clone)]
pub struct Pages {
    key: [u8; 32],
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pages")
    }
}

impl Pages {
    /// Signs with a key made of the secret of the service.
    #[must_use]
    pub fn new(secrets: &Secrets) -> Self {
        Self { key: secrets.derive("tap-analytics 2026-11 page tokens") }
    }

    /// The token of the page that begins after `last`. `asked` is the method and its filters, as a text
    /// that differs whenever these do.
    #[must_use]
    pub fn next(&self, team: TeamId, asked: &str, last: &str) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.sign(team, asked, last.as_bytes()));
        bytes.extend(last.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where the page begins: after this; `None` for the first page.
    ///
    /// # Errors
    /// The violation, when the token was not made for this team and this question.
    pub fn read(
        &self,
        team: TeamId,
        asked: &str,
        token: &str,
    ) -> Result<Option<String>, Violation> {
        if token.is_empty() {
            return Ok(None);
        }
        self.parse(team, asked, token).map(Some).ok_or_else(|| {
            Violation::new(
                "page_token",
                reasons::MALFORMED_PAGE_TOKEN,
                "is not the next_page_token of this request: send the rest of it as it was before, or no token for the first page",
            )
        })
    }

    fn parse(&self, team: TeamId, asked: &str, token: &str) -> Option<String> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (signature, last) = rest.split_at_checked(SIGNATURE_BYTES)?;
        // What is behind it is no secret: there is nothing to learn from how long this takes.
        let sound = *version == VERSION && signature == self.sign(team, asked, last);
        sound.then(|| String::from_utf8(last.to_vec()).ok())?
    }

    fn sign(&self, team: TeamId, asked: &str, last: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&team.0.to_be_bytes());
        // Its length first, so that none of it can pass for a part of what follows.
        hasher.update(&u64::try_from(asked.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(asked.as_bytes());
        hasher.update(last);
        let mut signature = [0; SIGNATURE_BYTES];
        hasher.finalize_xof().fill(&mut signature);
        signature
    }
}

/// How many to list: none asked for means the default, too many the most.
///
/// # Errors
/// The violation, when it is negative.
pub fn size(asked: i32, default: usize, max: usize) -> Result<usize, Violation> {
    match usize::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(max)),
        Err(_) => Err(Violation::new(
            "page_size",
            reasons::NEGATIVE,
            format!("{asked} is below 0: use 1 to {max}, or 0 for {default}"),
        )),
    }
}

/// Where a page begins, and how many entries it has at most.
#[derive(Clone, Debug)]
pub struct Page<P> {
    /// The last of the page before; `None` for the first page.
    pub after: Option<P>,
    pub size: usize,
}

/// A page, and whether there are more.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    pub entries: Vec<T>,
    pub more: bool,
}

impl<P> Page<P> {
    /// One more than asked for shows whether there is a next page.
    #[must_use]
    pub fn limit(&self) -> i64 {
        i64::try_from(self.size + 1).unwrap_or(i64::MAX)
    }

    /// What was found with that limit.
    #[must_use]
    pub fn cut<T>(&self, entries: Vec<T>) -> Listed<T> {
        let found = entries.len();
        self.cut_of(entries, found)
    }

    /// The same where more were found than are there.
    #[must_use]
    pub fn cut_of<T>(&self, mut entries: Vec<T>, found: usize) -> Listed<T> {
        entries.truncate(self.size);
        Listed { more: found > entries.len(), entries }
    }
}

/// Where a page of what is listed by time begins: after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePlace {
    pub at: DateTime<Utc>,
    pub id: Uuid,
}

/// What a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Paged<'a> {
    pub team: TeamId,
    pub pages: &'a Pages,
    /// What its page tokens are bound to.
    pub asked: &'a str,
    pub token: &'a str,
    pub size: i32,
    pub default: usize,
    pub max: usize,
}

impl Paged<'_> {
    /// Where the page begins, and how large it is.
    pub fn page<P>(&self, parse: impl Fn(&str) -> Option<P>, bad: &mut Vec<Violation>) -> Page<P> {
        let after = or_none(self.pages.read(self.team, self.asked, self.token), bad);
        let size = size(self.size, self.default, self.max).unwrap_or_else(|violation| {
            bad.push(violation);
            self.default
        });
        Page { after: after.as_deref().and_then(parse), size }
    }
}

/// A page that is asked for, and what its page tokens are bound to.
#[derive(Clone, Debug)]
pub struct Listing<F, P> {
    pub filter: F,
    pub page: Page<P>,
    pub asked: String,
}

impl<F, P> Listing<F, P> {
    /// The token of the page after this; empty when there is none.
    pub fn next<T>(
        &self,
        pages: &Pages,
        team: TeamId,
        listed: &Listed<T>,
        place: impl Fn(&T) -> String,
    ) -> String {
        let last = listed.entries.last().filter(|_| listed.more);
        last.map(|last| pages.next(team, &self.asked, &place(last))).unwrap_or_default()
    }
}

/// A place as a page token has it.
#[must_use]
pub fn time_place(at: DateTime<Utc>, id: Uuid) -> String {
    format!("{} {id}", at.timestamp_micros())
}

/// Reads that again.
#[must_use]
pub fn parse_time_place(text: &str) -> Option<TimePlace> {
    let (at, id) = text.split_once(' ')?;
    Some(TimePlace { at: micros(at)?, id: id.parse().ok()? })
}

/// An instant as page tokens have it.
#[must_use]
pub fn micros(text: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pages() -> Pages {
        Pages::new(&Secrets::new([1; 32]))
    }

    proptest! {
        #[test]
        fn a_token_is_read_back_for_the_same_question_only(
            team in 1_i32..100, asked in ".{0,20}", last in ".{0,80}", other in ".{0,20}",
        ) {
            let token = pages().next(TeamId(team), &asked, &last);
            prop_assert_eq!(pages().read(TeamId(team), &asked, &token).unwrap(), Some(last));
            prop_assert!(pages().read(TeamId(team + 1), &asked, &token).is_err());
            if other != asked {
                prop_assert!(pages().read(TeamId(team), &other, &token).is_err());
            }
            let foreign = Pages::new(&Secrets::new([2; 32]));
            prop_assert!(foreign.read(TeamId(team), &asked, &token).is_err());
        }

        #[test]
        fn whatever_else_is_refused(token in ".{1,80}", at in 0_usize..200, flip in 1_u8..64) {
            prop_assert!(pages().read(TeamId(1), "a", &token).is_err());
            let mut changed = pages().next(TeamId(1), "a", "where it ended").into_bytes();
            let at = at % changed.len();
            changed[at] = changed[at].wrapping_add(flip);
            if let Ok(changed) = String::from_utf8(changed) {
                prop_assert!(pages().read(TeamId(1), "a", &changed).is_err());
            }
        }
    }

    #[test]
    fn what_is_asked_cannot_be_shifted_into_where_it_ended() {
        let token = pages().next(TeamId(1), "ab", "c");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
        let shifted = [&bytes[..17], b"bc"].concat();
        let shifted = BASE64_URL_SAFE_NO_PAD.encode(shifted);
        assert!(pages().read(TeamId(1), "a", &shifted).is_err());
    }

    #[test]
    fn sizes_have_a_default_and_a_most() {
        assert_eq!(size(0, 50, 1000), Ok(50));
        assert_eq!(size(7, 50, 1000), Ok(7));
        assert_eq!(size(i32::MAX, 50, 1000), Ok(1000));
        assert_eq!(size(-1, 50, 1000).unwrap_err().reason, "NEGATIVE");
    }
}
