//! What customers say, and what they decide.

use super::{check_id, language, terms};
use crate::{
    dialogs::{
        consent::Says,
        model::{Decided, SomeTerms, State, TEXT_CHARS_MAX, Text},
        record::Said,
    },
    error::{Error, Violation},
    ids::KeyId,
    proto::{
        tap_v1::{
            RecordMessageRequest, RecordMessageResponse, SetConsentRequest, SetConsentResponse,
            WithdrawConsentRequest, WithdrawConsentResponse, message_state,
        },
        value::{Kind, Struct, Value},
    },
    reasons,
    wire::{number, own_id, required},
};

/// Checks what a customer said.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn record_request(request: RecordMessageRequest) -> Result<Said, Error> {
    let RecordMessageRequest { customer_id, dialog_id, text, language: tag, request_id } = request;
    // From here on it is wiped wherever it goes.
    let text = Text::new(text);
    let mut bad = Vec::new();
    check_id("customer_id", &customer_id, &mut bad);
    check_id("dialog_id", &dialog_id, &mut bad);
    check_said(text.as_str(), &mut bad);
    let language = language(&tag, &mut bad);
    let request_id = own_id("request_id", &request_id, &mut bad);
    if !bad.is_empty() {
        return Err(Error::Invalid(bad));
    }
    Ok(Said {
        customer: customer_id.into(),
        dialog: dialog_id.into(),
        language: language.into(),
        text,
        request_id,
    })
}

fn check_said(text: &str, bad: &mut Vec<Violation>) {
    if text.is_empty() {
        bad.push(required("text", "what the customer said"));
    } else if text.chars().nth(TEXT_CHARS_MAX).is_some() {
        let text = format!("is longer than {TEXT_CHARS_MAX} characters");
        bad.push(Violation::new("text", reasons::TOO_LONG, text));
    } else if text.contains('\0') {
        let text = "has NUL characters in it, which cannot be stored";
        bad.push(Violation::new("text", reasons::MALFORMED_TEXT, text));
    }
}

/// What became of a message.
#[must_use]
pub fn record_response(state: State) -> RecordMessageResponse {
    use message_state::Value;
    let (state, id) = match state {
        State::Pending(id) => (Value::Pending, id.to_string()),
        State::Stored(id) => (Value::Stored, id.to_string()),
        State::Refused => (Value::Refused, String::new()),
        State::Erased => (Value::Erased, String::new()),
    };
    RecordMessageResponse { state: state.into(), id }
}

/// Checks what a customer decided.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn consent_request(request: SetConsentRequest, key: KeyId) -> Result<Says, Error> {
    let mut bad = Vec::new();
    check_id("dialog_id", &request.dialog_id, &mut bad);
    let by_grpc = request.granted.is_some() || request.terms.is_some();
    // What Envoy makes of a body that is not there.
    let is_nothing =
        |kind: &Kind| matches!(kind, Kind::StructValue(members) if members.fields.is_empty());
    let body = request.body.and_then(|body| body.kind);
    let (granted, some) = match body.filter(|kind| !(by_grpc && is_nothing(kind))) {
        Some(_) if by_grpc => {
            let text = "is set, and so is `granted` or `terms`: set one of them";
            bad.push(Violation::new("body", reasons::CONFLICTING_FIELDS, text));
            (None, SomeTerms::default())
        }
        Some(Kind::BoolValue(granted)) => (Some(granted), SomeTerms::default()),
        Some(Kind::StructValue(members)) => decision(members, &mut bad),
        Some(Kind::NullValue(_)) | None => {
            let terms = request.terms.unwrap_or_default();
            let some = SomeTerms {
                purpose: terms.purpose,
                policy_version: terms.policy_version,
                policy_hash: terms.policy_hash,
            };
            if request.granted.is_none() {
                bad.push(granted_required());
            }
            (request.granted, some)
        }
        Some(_) => {
            let text = "must be true, false, or an object such as {\"granted\": true}";
            bad.push(Violation::new("body", reasons::WRONG_TYPE, text));
            (None, SomeTerms::default())
        }
    };
    let terms = terms(some, &mut bad);
    match granted {
        Some(granted) if bad.is_empty() => {
            Ok(Says { dialog: request.dialog_id.into(), granted, terms, key })
        }
        _ => Err(Error::Invalid(bad)),
    }
}

/// A decision that is an object.
fn decision(members: Struct, bad: &mut Vec<Violation>) -> (Option<bool>, SomeTerms) {
    let (mut granted, mut terms) = (None, SomeTerms::default());
    for (name, Value { kind }) in members.fields {
        let text = match name.as_str() {
            "granted" => match kind {
                Some(Kind::BoolValue(value)) => {
                    granted = Some(value);
                    continue;
                }
                _ => Err("granted"),
            },
            "purpose" => Ok((&mut terms.purpose, "purpose")),
            "policyVersion" | "policy_version" => Ok((&mut terms.policy_version, "policy_version")),
            "policyHash" | "policy_hash" => Ok((&mut terms.policy_hash, "policy_hash")),
            _ => {
                let text = "has a member that is not known: it may have granted, purpose, policyVersion and policyHash";
                bad.push(Violation::new("body", reasons::UNKNOWN_FIELD, text));
                continue;
            }
        };
        match (text, kind) {
            (Ok((field, _)), Some(Kind::StringValue(text))) => *field = Some(text),
            (Ok((_, name)), _) => {
                bad.push(Violation::new(name, reasons::WRONG_TYPE, "must be a text"));
            }
            (Err(name), _) => {
                bad.push(Violation::new(name, reasons::WRONG_TYPE, "must be true or false"));
            }
        }
    }
    if granted.is_none() && bad.is_empty() {
        bad.push(granted_required());
    }
    (granted, terms)
}

fn granted_required() -> Violation {
    required("granted", "true or false, which by JSON may be the whole body")
}

/// What holds after a decision.
#[must_use]
pub fn consent_response(decided: &Decided) -> SetConsentResponse {
    SetConsentResponse {
        consent: Some(super::consent(&decided.consent)),
        stored_messages: number(decided.stored),
        deleted_messages: number(decided.deleted),
    }
}

/// Checks which consent is taken back.
///
/// # Errors
/// [`Error::Invalid`] when it is no id.
pub fn withdraw_request(request: WithdrawConsentRequest, key: KeyId) -> Result<Says, Error> {
    let dialog = super::id("dialog_id", request.dialog_id)?.into();
    Ok(Says { dialog, granted: false, terms: SomeTerms::default(), key })
}

/// What holds after that.
#[must_use]
pub fn withdraw_response(decided: &Decided) -> WithdrawConsentResponse {
    WithdrawConsentResponse {
        consent: Some(super::consent(&decided.consent)),
        deleted_messages: number(decided.deleted),
    }
}
