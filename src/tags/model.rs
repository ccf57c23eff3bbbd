//! What a tag is, what it may hold, and how it may change.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use url::Url;

use crate::{ids::TagId, reasons};

/// A batch makes at most this many tags.
pub const BATCH_TAGS_MAX: usize = 1_000;
/// Tags of a page when nothing is asked for, and at most.
pub const PAGE_TAGS: usize = 100;
pub const PAGE_TAGS_MAX: usize = 1_000;
/// Characters of a label, and of a text that is looked for.
pub const LABEL_CHARS_MAX: usize = 200;
/// Characters of a destination, as it is stored.
pub const URL_CHARS_MAX: usize = 2_048;

/// How a tag is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Nfc,
    Qr,
    Link,
}

impl Kind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Nfc, Self::Qr, Self::Link];

    /// As stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nfc => "nfc",
            Self::Qr => "qr",
            Self::Link => "link",
        }
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Nfc => "NFC",
            Self::Qr => "QR code",
            Self::Link => "Link",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Whether a text can be the uid of a tag, as the schema has it.
#[must_use]
pub fn is_tag_uid(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// What is wrong with a uid that has none.
pub const NO_ADDRESSES: &str = "must be neither . nor .., which are taken out of paths on the way";

/// Whether a tag of this uid has addresses.
#[must_use]
pub fn has_addresses(uid: &str) -> bool {
    !matches!(uid, "." | "..")
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub id: TagId,
    pub uid: Arc<str>,
    /// For people. May be empty.
    pub label: Arc<str>,
    pub kind: Kind,
    /// Where the tap URL leads to.
    pub destination_url: Option<Arc<str>>,
    pub created_at: DateTime<Utc>,
    /// Since when it is out of use.
    pub archived_at: Option<DateTime<Utc>>,
}

/// A tag to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTag {
    pub uid: String,
    pub label: String,
    pub kind: Kind,
    pub destination_url: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl NewTag {
    /// The tag that it became.
    #[must_use]
    pub fn made(&self, id: TagId) -> Tag {
        Tag {
            id,
            uid: self.uid.as_str().into(),
            label: self.label.as_str().into(),
            kind: self.kind,
            destination_url: self.destination_url.as_deref().map(Into::into),
            created_at: self.created_at,
            archived_at: None,
        }
    }
}

/// What is to be different about a tag. `None`: as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub label: Option<String>,
    pub kind: Option<Kind>,
    pub destination: Option<Destination>,
    pub archived: Option<bool>,
}

/// Where a tag is to lead to; `None`: to a page that says thank you.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination(pub Option<String>);

impl Change {
    /// Whether nothing is to be different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The tag as it is after this. One that is archived already stays so since then.
    #[must_use]
    pub fn apply(&self, tag: &Tag, now: DateTime<Utc>) -> Tag {
        let mut tag = tag.clone();
        if let Some(label) = &self.label {
            tag.label = label.as_str().into();
        }
        if let Some(kind) = self.kind {
            tag.kind = kind;
        }
        if let Some(Destination(url)) = &self.destination {
            tag.destination_url = url.as_deref().map(Into::into);
        }
        match self.archived {
            Some(true) => tag.archived_at = tag.archived_at.or(Some(now)),
            Some(false) => tag.archived_at = None,
            None => {}
        }
        tag
    }
}

/// Which tags to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In the uid or the label. Empty: any.
    pub text: String,
    /// `None`: any.
    pub kind: Option<Kind>,
    /// `None`: archived or not.
    pub archived: Option<bool>,
}

/// Why an address cannot be where a tag leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUrl {
    Malformed,
    Credentials,
    TooLong,
}

impl BadUrl {
    /// For programs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => reasons::MALFORMED_URL,
            Self::Credentials => reasons::CREDENTIALS_IN_URL,
            Self::TooLong => reasons::TOO_LONG,
        }
    }

    /// For people.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Malformed => {
                "must be an address such as https://example.com/menu: https:// or http://, a host, no spaces"
            }
            Self::Credentials => {
                "must have no user and no password in it: whoever taps would be given them"
            }
            Self::TooLong => {
                "must be at most 2048 characters, counted as it is sent: what is not ASCII takes several"
            }
        }
    }
}

/// Where a tag leads to, as it is stored and sent: in the normal form of the WHATWG, which is ASCII, so that
/// what was checked here is what every browser reads there.
///
/// # Errors
/// When a tag cannot lead there.
pub fn destination_url(text: &str) -> Result<String, BadUrl> {
    if text.chars().nth(URL_CHARS_MAX).is_some() {
        return Err(BadUrl::TooLong);
    }
    // The parser is for browsers, which forgive much: spaces around it, tabs in it, too many slashes.
    let (scheme, rest) = text.split_once("://").ok_or(BadUrl::Malformed)?;
    let web = ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    if !web || rest.starts_with(['/', '\\', '?', '#']) || !rest.chars().all(plain) {
        return Err(BadUrl::Malformed);
    }
    let url = Url::parse(text).map_err(|_| BadUrl::Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadUrl::Credentials);
    }
    let url = String::from(url);
    if url.len() > URL_CHARS_MAX { Err(BadUrl::TooLong) } else { Ok(url) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_destination_is_kept_in_its_normal_form() {
        for (text, kept) in [
            ("https://cafe.example/menu?table=7&lang=de#top", None),
            ("http://127.0.0.1:8080/", None),
            ("https://[2001:db8::1]/x", None),
            ("https://a.example/x:y@z", None),
            ("https://a.example/?to=https://b.example/%20", None),
            ("https://a.example", Some("https://a.example/")),
            ("HTTPS://A.Example:443/Menu", Some("https://a.example/Menu")),
            ("https://a.example/a/../b", Some("https://a.example/b")),
            ("https://a.example\\@b.example/", Some("https://a.example/@b.example/")),
            ("https://@a.example/", Some("https://a.example/")),
            (
                "https://b\u{fc}cher.example/stra\u{df}e?q=\u{e4}#\u{e4}",
                Some("https://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%A4#%C3%A4"),
            ),
            ("https://\u{65e5}\u{672c}.example/", Some("https://xn--wgv71a.example/")),
        ] {
            assert_eq!(destination_url(text).as_deref(), Ok(kept.unwrap_or(text)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_destination_says_why() {
        let long = format!("https://a.example/{}", "x".repeat(2_031));
        // Short enough as text, too long as it is sent.
        let wide = format!("https://a.example/{}", "\u{e4}".repeat(400));
        for (text, why) in [
            ("", BadUrl::Malformed),
            ("menu", BadUrl::Malformed),
            ("//a.example/", BadUrl::Malformed),
            ("https:a.example", BadUrl::Malformed),
            ("https:/a.example", BadUrl::Malformed),
            ("https://", BadUrl::Malformed),
            ("https:///a.example", BadUrl::Malformed),
            ("https://\\a.example", BadUrl::Malformed),
            ("https://?x", BadUrl::Malformed),
            ("https://:80/", BadUrl::Malformed),
            ("https://a.example:99999/", BadUrl::Malformed),
            ("https://a.example:x/", BadUrl::Malformed),
            ("https://a b.example/", BadUrl::Malformed),
            ("https://a.example/a b", BadUrl::Malformed),
            (" https://a.example/", BadUrl::Malformed),
            ("https://a.example/\n", BadUrl::Malformed),
            ("https://a.example/\u{a0}", BadUrl::Malformed),
            ("https://a.example/\r\nlocation: https://b.example", BadUrl::Malformed),
            ("https://a.example/\0", BadUrl::Malformed),
            ("https://a_<b>.example/", BadUrl::Malformed),
            ("https://[::1", BadUrl::Malformed),
            ("https://xn--a/", BadUrl::Malformed),
            ("javascript:alert(1)", BadUrl::Malformed),
            ("javascript://a.example/%0aalert(1)", BadUrl::Malformed),
            ("ftp://a.example/", BadUrl::Malformed),
            ("data:text/html,x", BadUrl::Malformed),
            ("https://ann@a.example/", BadUrl::Credentials),
            ("https://ann:secret@a.example/", BadUrl::Credentials),
            ("https://:secret@a.example/", BadUrl::Credentials),
            ("https://a.example@b.example/", BadUrl::Credentials),
            (long.as_str(), BadUrl::TooLong),
            (wide.as_str(), BadUrl::TooLong),
        ] {
            assert_eq!(destination_url(text), Err(why), "{text:?}");
        }
        assert!(destination_url(&long[..2_048]).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_kept_can_be_sent_and_is_kept_again(
            text in "(https?|HTTP)://[a-z@:.\\PC]{0,12}[/?#\\\\]?\\PC{0,30}",
        ) {
            if let Ok(kept) = destination_url(&text) {
                prop_assert!(kept.starts_with("https://") || kept.starts_with("http://"));
                prop_assert!(kept.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(HeaderValue::try_from(&kept).is_ok());
                prop_assert_eq!(destination_url(&kept), Ok(kept));
            }
        }
    }

    fn tag() -> Tag {
        let new = NewTag {
            uid: "a".to_owned(),
            label: "A".to_owned(),
            kind: Kind::Qr,
            destination_url: Some("https://a.example/".to_owned()),
            created_at: DateTime::UNIX_EPOCH,
        };
        new.made(TagId(1))
    }

    #[test]
    fn a_change_touches_what_it_names_only() {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        assert_eq!(Change::default().apply(&tag(), now), tag());
        let label = Change { label: Some(String::new()), ..Change::default() };
        assert_eq!(label.apply(&tag(), now), Tag { label: "".into(), ..tag() });
        let nowhere = Change { destination: Some(Destination(None)), ..Change::default() };
        assert_eq!(nowhere.apply(&tag(), now), Tag { destination_url: None, ..tag() });
        let archived = Change { archived: Some(true), ..Change::default() };
        let gone = archived.apply(&tag(), now);
        assert_eq!(gone, Tag { archived_at: Some(now), ..tag() });
        assert_eq!(archived.apply(&gone, now + chrono::TimeDelta::days(1)), gone);
        let back = Change { archived: Some(false), ..Change::default() };
        assert_eq!(back.apply(&gone, now), tag());
    }
}
