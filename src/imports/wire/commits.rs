//! Commits of imports.

use chrono::TimeDelta;

use super::imports::{held_import, plan, stored_import};
use crate::{
    auth::Caller,
    error::Error,
    etag::expected,
    imports::{
        commit::{Outcomes, Wanted},
        model::Mode,
    },
    proto::tap_v1::{CommitImportRequest, CommitImportResponse, commit_mode},
    requests::Once,
    wire::{or_none, own_id, unknown_value, uuid},
};

/// Checks how to commit which import.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn request(caller: &Caller, request: &CommitImportRequest) -> Result<Wanted, Error> {
    use commit_mode::Value;
    let mut bad = Vec::new();
    let import = or_none(uuid("import_id", &request.import_id).map(Some), &mut bad);
    let mode = match Value::try_from(request.mode) {
        Ok(Value::AllOrNothing) => Mode::AllOrNothing,
        Ok(Value::ValidOnly) => Mode::ValidOnly,
        Err(_) => {
            bad.push(unknown_value("mode", request.mode, "ALL_OR_NOTHING or VALID_ONLY"));
            Mode::AllOrNothing
        }
    };
    let request_id = own_id("request_id", &request.request_id, &mut bad);
    let once = request_id.map(|id| Once::of(caller, id, "CommitImport", request));
    let (team, key, expected) = (caller.team, Some(caller.key), expected(&request.etag));
    match import {
        Some(import) if bad.is_empty() => Ok(Wanted { team, import, mode, expected, key, once }),
        _ => Err(Error::Invalid(bad)),
    }
}

/// What came of it.
#[must_use]
pub fn response(outcomes: &Outcomes, idle: TimeDelta) -> CommitImportResponse {
    let Outcomes { import, committed } = outcomes;
    let import = match import {
        Some(import) => held_import(import, idle),
        None => stored_import(committed),
    };
    CommitImportResponse {
        import: Some(import),
        result: Some(plan(committed.result)),
        left_out: committed.left_out.into(),
    }
}
