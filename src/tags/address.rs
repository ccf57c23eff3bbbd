//! Where tags are reached: the tap URL, as chips and codes hold it.

use url::Url;

use crate::{error::Error, reasons};

/// No host has a longer name.
const ORIGIN_LEN_MAX: usize = 300;

/// The part of an address before its path, such as `https://t.example.com` or `http://localhost:3000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads one: a scheme, a host, perhaps a port, and nothing else. `None` for everything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        let web = ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        // Nothing that could begin a path, a query or a user's name.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if !web || text.len() > ORIGIN_LEN_MAX || !host.bytes().all(plain) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        Some(Self(url.origin().ascii_serialization()))
    }

    /// The setting of where the public reaches the tap URL.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse_setting(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            "write an address without a path, such as https://t.example.com".to_owned()
        })
    }
}

/// Makes the addresses of tags.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// Where the public reaches the tap URL, if that is known.
    pub public: Option<Origin>,
}

impl Addresses {
    /// What to put on the chip or into the code of a tag: the path alone where no more is known.
    #[must_use]
    pub fn tap_url(&self, team_slug: &str, uid: &str) -> String {
        self.of_path(&format!("/t/{team_slug}/{uid}"))
    }

    /// Where a path of ours is reached: the path alone where no more is known.
    #[must_use]
    pub fn of_path(&self, path: &str) -> String {
        let origin = self.public.as_ref().map_or("", |origin| &origin.0);
        format!("{origin}{path}")
    }

    /// The whole of it, on the address by which the caller came where no other is known.
    ///
    /// # Errors
    /// [`Error::FailedPrecondition`] when neither is known.
    pub fn whole_tap_url(
        &self,
        team_slug: &str,
        uid: &str,
        called: Option<Origin>,
    ) -> Result<String, Error> {
        let public = self.public.clone().or(called);
        if public.is_none() {
            return Err(Error::FailedPrecondition {
                reason: reasons::PUBLIC_URL_UNKNOWN,
                message: "it is not known where the tap URL is reached: set TAP_PUBLIC_URL, or call by the address that people use".to_owned(),
            });
        }
        Ok(Self { public }.tap_url(team_slug, uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host_and_nothing_else() {
        for (text, origin) in [
            ("https://t.example.com", "https://t.example.com"),
            ("HTTPS://T.Example.Com", "https://t.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://t.example.com:443", "https://t.example.com"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://tap_analytics:50051", "http://tap_analytics:50051"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(Origin::parse(text), Some(Origin(origin.to_owned())), "{text}");
        }
        for text in [
            "",
            "t.example.com",
            "//t.example.com",
            "https://",
            "https://t.example.com/",
            "https://t.example.com/taps",
            "https://t.example.com?x",
            "https://t.example.com#x",
            "https://ann@t.example.com",
            "https://ann:secret@t.example.com",
            "https:///t.example.com",
            "https://\\t.example.com",
            "https://t example.com",
            " https://t.example.com",
            "https://t.example.com\r\nx: y",
            "https://t.example.com,evil.example",
            "https, http://t.example.com",
            "https://t.example.com:99999",
            "https://t.example.com:x",
            "https://b\u{fc}cher.example",
            "https://t.example%2ecom",
            "https://[::1",
            "https://<script>",
            "ftp://t.example.com",
            "javascript://t.example.com",
            "file://t.example.com",
        ] {
            assert_eq!(Origin::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_address_is_whole_where_its_origin_is_known() {
        let called = || Origin::parse("http://localhost:3000");
        let nowhere = Addresses::default();
        assert_eq!(nowhere.tap_url("cafe", "04:A2"), "/t/cafe/04:A2");
        let whole = nowhere.whole_tap_url("cafe", "04:A2", called());
        assert_eq!(whole.unwrap(), "http://localhost:3000/t/cafe/04:A2");
        assert!(nowhere.whole_tap_url("cafe", "04:A2", None).is_err());
        let public = Addresses { public: Origin::parse("https://t.example.com") };
        assert_eq!(public.tap_url("cafe", "04:A2"), "https://t.example.com/t/cafe/04:A2");
        let whole = public.whole_tap_url("cafe", "04:A2", called());
        assert_eq!(whole.unwrap(), "https://t.example.com/t/cafe/04:A2");
    }
}
