//! Mail addresses.

use email_address::{EmailAddress, Options};

use crate::{
    imports::{
        cells::Cell,
        forms,
        kind::{Findings, Rules},
    },
    reasons,
};

pub(super) const FIELD: &str = "email";
/// What mail servers take: more cannot be named in a mail.
const BYTES_MAX: usize = 254;

/// The address in lower case.
pub(super) fn check(cell: Cell<'_>, _rules: &Rules, findings: &mut Findings) -> Option<String> {
    let email = forms::required(cell, FIELD, findings)?.to_lowercase();
    if email.len() > BYTES_MAX {
        let text = format!("takes {} bytes: at most {BYTES_MAX} are possible", email.len());
        findings.bad(FIELD, reasons::TOO_LONG, text);
        return None;
    }
    if !is_email(&email) {
        let text = "must be one mail address, such as user@example.com";
        findings.bad(FIELD, reasons::MALFORMED_EMAIL, text);
        return None;
    }
    Some(email)
}

/// Whether it is an address that mail can be sent to from anywhere. The library knows the rules of mail; those of hosts
/// are stricter.
fn is_email(email: &str) -> bool {
    let options =
        Options::default().with_required_tld().without_display_text().without_domain_literal();
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"';
    let in_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.');
    let host = email.rsplit_once('@').map(|(_, host)| host).unwrap_or_default();
    // A name that ends in a number is an address of the internet protocol.
    let named = !host.rsplit('.').next().unwrap_or_default().bytes().all(|b| b.is_ascii_digit());
    email.chars().all(plain)
        && host.chars().all(in_host)
        && named
        && EmailAddress::parse_with_options(email, options).is_ok()
}
