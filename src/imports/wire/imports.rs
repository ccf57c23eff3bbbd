//! Imports as answers have them.

use std::cmp::Reverse;

use chrono::{DateTime, TimeDelta, Utc};

use super::kind_value;
use crate::{
    error::{Error, Violation},
    ids::TeamId,
    imports::{
        archive::Known,
        model::{Committed, Counts, PAGE_IMPORTS, PAGE_IMPORTS_MAX, Plan, State},
        sheet::{Head, header},
        shelf::{Held, Import},
    },
    paging::{Listed, Listing, Paged, Pages, TimePlace, parse_time_place, time_place},
    proto::tap_v1::{
        self, Heartbeat, ImportColumn, ImportCounts, ImportFault, ImportPlan, ListImportsRequest,
        ListImportsResponse, WatchImportResponse, import_state, watch_import_response::Frame,
    },
    streams::EndReason,
    wire::instant,
};

/// Checks which imports to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_request(
    request: &ListImportsRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<(), TimePlace>, Error> {
    let mut bad = Vec::new();
    let asked = "ListImports".to_owned();
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let (default, max) = (PAGE_IMPORTS, PAGE_IMPORTS_MAX);
    let paged = Paged { team, pages, asked: &asked, token, size, default, max };
    let page = paged.page(parse_time_place, &mut bad);
    if bad.is_empty() { Ok(Listing { filter: (), page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// A page of imports.
#[must_use]
pub fn list_response(
    listing: &Listing<(), TimePlace>,
    listed: &Listed<Known>,
    idle: TimeDelta,
    team: TeamId,
    pages: &Pages,
) -> ListImportsResponse {
    let place = |last: &Known| {
        let TimePlace { at, id } = last.place();
        time_place(at, id)
    };
    ListImportsResponse {
        imports: listed.entries.iter().map(|known| in_list(known_import(known, idle))).collect(),
        next_page_token: listing.next(pages, team, listed, place),
    }
}

/// Without what makes many of them large.
fn in_list(import: tap_v1::Import) -> tap_v1::Import {
    tap_v1::Import { columns: Vec::new(), faults: Vec::new(), ..import }
}

/// An import, as far as it is known.
#[must_use]
pub fn known_import(known: &Known, idle: TimeDelta) -> tap_v1::Import {
    match known {
        Known::Held(import) => held_import(import, idle),
        Known::Stored(committed) => stored_import(committed),
    }
}

/// An import that is held.
#[must_use]
pub fn held_import(import: &Import, idle: TimeDelta) -> tap_v1::Import {
    let held = import.held();
    let committed = held.committed.as_ref();
    let shown = tap_v1::Import {
        id: import.id.to_string(),
        kind: kind_value(import.new.kind),
        state: state(held.state).into(),
        filename: held.filename.clone(),
        region: import.new.region.as_str().to_owned(),
        file_bytes: usize_number(held.file_bytes),
        progress: held.progress,
        errors: held.errors.iter().map(violation).collect(),
        etag: held.version.to_string(),
        created_at: instant(import.created_at),
        expires_at: expires_at(&held, idle).map(instant),
        committed_at: committed.map(|committed| instant(committed.committed_at)),
        result: committed.map(|committed| plan(committed.result)),
        counts: Some(counts(&held.counts, committed)),
        faults: faults(&held.counts),
        plan: (held.state == State::Ready).then(|| plan(held.counts.plan)),
        ..tap_v1::Import::default()
    };
    match &held.head {
        Some(head) => with_head(shown, import, head),
        None => shown,
    }
}

fn with_head(shown: tap_v1::Import, import: &Import, head: &Head) -> tap_v1::Import {
    let columns = import.new.kind.columns();
    let column = |titled: &crate::imports::sheet::Titled| ImportColumn {
        letter: header::letters(titled.place),
        title: titled.title.clone(),
        field: titled
            .known
            .and_then(|known| columns.get(known))
            .map(|column| column.field.to_owned())
            .unwrap_or_default(),
    };
    tap_v1::Import {
        sheet: head.sheet.clone(),
        header_row: i32::try_from(head.row).unwrap_or(i32::MAX),
        columns: head.columns.iter().map(column).collect(),
        ..shown
    }
}

/// An import of which nothing is held any more.
#[must_use]
pub fn stored_import(committed: &Committed) -> tap_v1::Import {
    let Committed { total, result, .. } = *committed;
    let counts = ImportCounts {
        total: total.into(),
        committed: result.stored().into(),
        ..ImportCounts::default()
    };
    tap_v1::Import {
        id: committed.id.to_string(),
        kind: kind_value(committed.kind),
        state: import_state::Value::Committed.into(),
        region: committed.region.clone(),
        progress: 1.0,
        counts: Some(counts),
        created_at: instant(committed.created_at),
        committed_at: Some(instant(committed.committed_at)),
        result: Some(plan(result)),
        ..tap_v1::Import::default()
    }
}

/// A frame of a watch.
#[must_use]
pub fn frame(import: tap_v1::Import) -> WatchImportResponse {
    WatchImportResponse { frame: Some(Frame::Import(import)) }
}

/// A sign of life.
#[must_use]
pub fn heartbeat() -> WatchImportResponse {
    WatchImportResponse { frame: Some(Frame::Heartbeat(Heartbeat::default())) }
}

/// The last frame of a watch.
#[must_use]
pub fn end(reason: EndReason) -> WatchImportResponse {
    let end = crate::feeds::wire::end(reason, "changes");
    WatchImportResponse { frame: Some(Frame::End(end)) }
}

fn state(state: State) -> import_state::Value {
    use import_state::Value;
    match state {
        State::Uploading => Value::Uploading,
        State::Checking => Value::Checking,
        State::Ready => Value::Ready,
        State::Committing => Value::Committing,
        State::Committed => Value::Committed,
        State::Cancelled => Value::Cancelled,
        State::Failed => Value::Failed,
        State::Expired => Value::Expired,
    }
}

/// When it is forgotten if nobody comes for it.
fn expires_at(held: &Held, idle: TimeDelta) -> Option<DateTime<Utc>> {
    held.state.rests().then(|| held.touched_at + idle)
}

fn counts(counts: &Counts, committed: Option<&Committed>) -> ImportCounts {
    ImportCounts {
        total: counts.total.into(),
        valid: counts.valid.into(),
        invalid: counts.invalid.into(),
        duplicate: counts.duplicate.into(),
        skipped: counts.skipped.into(),
        warned: counts.warned.into(),
        committed: committed.map_or(0, |committed| committed.result.stored()).into(),
    }
}

fn faults(counts: &Counts) -> Vec<ImportFault> {
    let mut faults: Vec<_> = counts.faults.iter().collect();
    faults.sort_by_key(|(fault, rows)| (Reverse(**rows), **fault));
    let fault = |(fault, rows): (&crate::imports::model::Fault, &u32)| ImportFault {
        field: fault.field.to_owned(),
        reason: fault.reason.to_owned(),
        rows: (*rows).into(),
        warning: fault.warning,
    };
    faults.into_iter().map(fault).collect()
}

/// What comes of rows.
#[must_use]
pub fn plan(plan: Plan) -> ImportPlan {
    let Plan { insert, update, unchanged, conflict } = plan;
    ImportPlan {
        insert: insert.into(),
        update: update.into(),
        unchanged: unchanged.into(),
        conflict: conflict.into(),
    }
}

/// A violation as answers have it.
#[must_use]
pub fn violation(violation: &Violation) -> tap_v1::Violation {
    tap_v1::Violation {
        field: violation.field.clone(),
        reason: violation.reason.to_owned(),
        description: violation.description.clone(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn usize_number(count: usize) -> f64 {
    count as f64
}
