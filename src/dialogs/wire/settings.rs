//! What teams want of dialogs.

use super::terms;
use crate::{
    dialogs::model::{DAYS_MAX, Settings, SettingsChange, SomeTerms},
    error::{Error, Violation},
    proto::tap_v1::{DialogSettings, UpdateDialogSettingsRequest},
    reasons,
};

/// Settings as answers have them.
#[must_use]
pub fn settings(settings: Settings) -> DialogSettings {
    DialogSettings {
        purpose: settings.terms.purpose,
        policy_version: settings.terms.policy_version,
        policy_hash: settings.terms.policy_hash,
        redact_after_days: settings.redact_after,
        delete_after_days: settings.delete_after,
    }
}

/// Checks what to change.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn update_request(request: UpdateDialogSettingsRequest) -> Result<SettingsChange, Error> {
    let UpdateDialogSettingsRequest {
        purpose,
        policy_version,
        policy_hash,
        redact_after_days,
        delete_after_days,
    } = request;
    let mut bad = Vec::new();
    let days = [("redact_after_days", redact_after_days), ("delete_after_days", delete_after_days)];
    for (field, days) in days {
        if days.is_some_and(|days| !(0..=DAYS_MAX).contains(&days)) {
            let text = format!("must be 1 to {DAYS_MAX}, or 0 for never");
            bad.push(Violation::new(field, reasons::OUT_OF_RANGE, text));
        }
    }
    let change = SettingsChange {
        terms: terms(SomeTerms { purpose, policy_version, policy_hash }, &mut bad),
        redact_after: redact_after_days,
        delete_after: delete_after_days,
    };
    if change == SettingsChange::default() {
        let text = "nothing is to be changed: set purpose, policy_version, policy_hash, redact_after_days or delete_after_days";
        bad.push(Violation::new("purpose", reasons::NOTHING_TO_CHANGE, text));
    }
    if bad.is_empty() { Ok(change) } else { Err(Error::Invalid(bad)) }
}
