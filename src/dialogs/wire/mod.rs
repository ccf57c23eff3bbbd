//! Protobuf to domain and back: every field check, and every text of an answer. No error repeats an id or what was said:
//! that is about people.

pub mod customers;
pub mod lists;
pub mod messages;
pub mod settings;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use oxilangtag::LanguageTag;

use super::model::{
    Consent, Decision, ID_CHARS_MAX, LANGUAGE_BYTES_MAX, Listed, POLICY_HASH_DIGITS_MAX,
    POLICY_HASH_DIGITS_MIN, POLICY_VERSION_CHARS_MAX, PURPOSE_CHARS_MAX, SomeTerms,
};
use crate::{
    error::{Error, Violation},
    proto::tap_v1::{self, consent_decision},
    reasons,
    wire::{check_text, instant, required},
};

/// The id of a customer or a dialog.
pub fn check_id(field: &str, id: &str, bad: &mut Vec<Violation>) {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    if id.is_empty() {
        bad.push(required(field, "1 to 64 letters, digits, or . _ ~ -"));
    } else if id.len() > ID_CHARS_MAX || !id.bytes().all(fits) || matches!(id, "." | "..") {
        let text = "must be 1 to 64 letters, digits, or . _ ~ -, and not . or ..";
        bad.push(Violation::new(field, reasons::MALFORMED_ID, text));
    }
}

/// The same where it may be left out.
pub fn wanted_id(field: &str, id: String, bad: &mut Vec<Violation>) -> Option<String> {
    if id.is_empty() {
        return None;
    }
    check_id(field, &id, bad);
    Some(id)
}

/// An id alone.
///
/// # Errors
/// [`Error::Invalid`] when it is none.
pub fn id(field: &str, id: String) -> Result<String, Error> {
    let mut bad = Vec::new();
    check_id(field, &id, &mut bad);
    if bad.is_empty() { Ok(id) } else { Err(Error::Invalid(bad)) }
}

/// A language in its usual case; empty, and noted, when it is none.
pub fn language(tag: &str, bad: &mut Vec<Violation>) -> String {
    if tag.is_empty() {
        bad.push(required("language", "a BCP 47 tag such as en, or und where it is not known"));
        return String::new();
    }
    let short = Some(tag).filter(|tag| tag.len() <= LANGUAGE_BYTES_MAX);
    let language = short.and_then(|tag| LanguageTag::parse_and_normalize(tag).ok());
    if let Some(language) = language {
        return language.into_inner();
    }
    let text = "must be a BCP 47 tag such as en, pt-BR or und";
    bad.push(Violation::new("language", reasons::MALFORMED_LANGUAGE, text));
    String::new()
}

/// Terms, of which some are said.
pub fn terms(terms: SomeTerms, bad: &mut Vec<Violation>) -> SomeTerms {
    let SomeTerms { purpose, policy_version, policy_hash } = terms;
    check_text("purpose", purpose.as_deref().unwrap_or_default(), PURPOSE_CHARS_MAX, bad);
    let version = policy_version.as_deref().unwrap_or_default();
    check_text("policy_version", version, POLICY_VERSION_CHARS_MAX, bad);
    let hash = policy_hash.map(|hash| hash.to_ascii_lowercase());
    let fits = |hash: &String| {
        let digits = POLICY_HASH_DIGITS_MIN..=POLICY_HASH_DIGITS_MAX;
        hash.is_empty()
            || digits.contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_hexdigit())
    };
    if !hash.as_ref().is_none_or(fits) {
        let text = "must be 32 to 128 hexadecimal digits";
        bad.push(Violation::new("policy_hash", reasons::MALFORMED_HASH, text));
    }
    SomeTerms { purpose, policy_version, policy_hash: hash }
}

/// An instant, or a date for its start in UTC; `None` when it is not set.
pub fn moment(field: &str, text: &str, bad: &mut Vec<Violation>) -> Option<DateTime<Utc>> {
    if text.is_empty() {
        return None;
    }
    let instant = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok();
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let at = instant.or_else(|| Some(day()?.and_time(NaiveTime::MIN).and_utc()));
    // What the store has.
    let at = at.filter(|at| (0..=9999).contains(&chrono::Datelike::year(at)));
    if at.is_none() {
        let text = "is neither an RFC 3339 instant such as 2026-03-05T08:40:51Z nor a date such as 2026-03-05";
        bad.push(Violation::new(field, reasons::MALFORMED_DATE, text));
    }
    at
}

/// A decision as answers have it.
#[must_use]
pub fn consent(consent: &Consent) -> tap_v1::Consent {
    use consent_decision::Value;
    let decision = match consent.decision {
        Decision::Granted => Value::Granted,
        Decision::Denied => Value::Denied,
        Decision::Withdrawn => Value::Withdrawn,
    };
    tap_v1::Consent {
        id: consent.id.to_string(),
        dialog_id: consent.dialog.clone(),
        customer_id: consent.customer.clone(),
        decision: decision.into(),
        purpose: consent.terms.purpose.clone(),
        policy_version: consent.terms.policy_version.clone(),
        policy_hash: consent.terms.policy_hash.clone(),
        decided_at: instant(consent.decided_at),
        key_id: consent.key.to_string(),
    }
}

/// A message as answers have it.
#[must_use]
pub fn message(listed: &Listed) -> tap_v1::DialogMessage {
    tap_v1::DialogMessage {
        id: listed.message.id.to_string(),
        customer_id: listed.customer.clone(),
        dialog_id: listed.dialog.clone(),
        language: listed.message.language.to_string(),
        text: listed.message.text.as_str().to_owned(),
        received_at: instant(listed.message.received_at),
        redacted_at: listed.redacted_at.map(instant),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn languages_have_their_usual_case() {
        for (tag, expected) in [
            ("EN", Some("en")),
            ("pt-br", Some("pt-BR")),
            ("ZH-HANT-tw", Some("zh-Hant-TW")),
            ("und", Some("und")),
            ("RW", Some("rw")),
            ("en_US", None),
            ("e", None),
            ("", None),
            ("en-", None),
            ("English please", None),
        ] {
            let mut bad = Vec::new();
            let found = language(tag, &mut bad);
            assert_eq!(bad.is_empty().then_some(found.as_str()), expected, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn no_tag_panics_and_what_is_usual_stays(tag in "[a-zA-Z0-9-]{0,80}", any in any::<String>()) {
            let mut bad = Vec::new();
            language(&any, &mut bad);
            bad.clear();
            let found = language(&tag, &mut bad);
            if bad.is_empty() {
                prop_assert!(found.eq_ignore_ascii_case(&tag));
                prop_assert_eq!(language(&found, &mut bad), found);
            }
        }

        #[test]
        fn no_date_panics(text in any::<String>(), near in "[0-9]{1,5}-[0-9]{1,2}-[0-9]{1,2}(T[0-9:.]{0,12}Z)?") {
            moment("after", &text, &mut Vec::new());
            moment("after", &near, &mut Vec::new());
        }
    }

    #[test]
    fn no_error_repeats_what_was_sent() {
        let mut bad = Vec::new();
        check_id("customer_id", "Jane Doe", &mut bad);
        language("Jane Doe", &mut bad);
        moment("after", "Jane Doe", &mut bad);
        assert_eq!(bad.len(), 3);
        assert!(bad.iter().all(|bad| !bad.description.contains("Jane")), "{bad:?}");
    }
}
