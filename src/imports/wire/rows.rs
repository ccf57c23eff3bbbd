//! Rows of imports.

use uuid::Uuid;

use super::{id, imports::violation};
use crate::{
    error::{Error, Violation},
    etag::expected,
    ids::TeamId,
    imports::{
        kind::Kind,
        model::{
            Action, CELL_CHARS_MAX, PAGE_ROWS, PAGE_ROWS_MAX, RowFilter, Status, StatusFilter,
        },
        report::As,
        review::{Patch, Shown},
    },
    paging::{Listed, Listing, Paged, Pages},
    proto::tap_v1::{
        GetImportReportRequest, ImportCell, ImportRow, ListImportRowsRequest,
        ListImportRowsResponse, PatchImportRowRequest, row_action, row_status,
    },
    reasons,
    wire::{check_text, or_none, unknown_value, uuid},
};

/// Characters of a reason.
const REASON_CHARS_MAX: usize = 64;

/// Checks which rows to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_request(
    request: ListImportRowsRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<(Uuid, Listing<RowFilter, u32>), Error> {
    let mut bad = Vec::new();
    let import = or_none(uuid("import_id", &request.import_id).map(Some), &mut bad);
    let bound = (&request.import_id, request.status, &request.reason);
    let asked = format!("ListImportRows {bound:?}");
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let (default, max) = (PAGE_ROWS, PAGE_ROWS_MAX);
    let paged = Paged { team, pages, asked: &asked, token, size, default, max };
    let page = paged.page(|text| text.parse().ok(), &mut bad);
    let status = status_filter(request.status, &mut bad);
    check_text("reason", &request.reason, REASON_CHARS_MAX, &mut bad);
    let is_known = |row: &reasons::Row| {
        row.reason == request.reason && matches!(row.entry, reasons::Entry::Cell { .. })
    };
    let is_some = !request.reason.is_empty() && request.reason.len() <= REASON_CHARS_MAX;
    if is_some && !reasons::ROWS.iter().any(is_known) {
        let text = "is no reason that a row can have: docs/errors.md lists them";
        bad.push(Violation::new("reason", reasons::UNKNOWN_VALUE, text));
    }
    let reason = Some(request.reason).filter(|reason| !reason.is_empty());
    let listing = Listing { filter: RowFilter { status, reason }, page, asked };
    match import {
        Some(import) if bad.is_empty() => Ok((import, listing)),
        _ => Err(Error::Invalid(bad)),
    }
}

fn status_filter(value: i32, bad: &mut Vec<Violation>) -> Option<StatusFilter> {
    use row_status::Value;
    let status = match Value::try_from(value) {
        Ok(Value::Any) => return None,
        Ok(Value::Valid) => Status::Valid,
        Ok(Value::Invalid) => Status::Invalid,
        Ok(Value::Duplicate) => Status::Duplicate,
        Ok(Value::Skipped) => Status::Skipped,
        Ok(Value::Warned) => return Some(StatusFilter::Warned),
        Err(_) => {
            let known = "ANY, VALID, INVALID, DUPLICATE, SKIPPED or WARNED";
            bad.push(unknown_value("status", value, known));
            return None;
        }
    };
    Some(StatusFilter::Is(status))
}

/// A page of rows.
#[must_use]
pub fn list_response(
    listing: &Listing<RowFilter, u32>,
    listed: &Listed<Shown>,
    kind: Kind,
    team: TeamId,
    pages: &Pages,
) -> ListImportRowsResponse {
    ListImportRowsResponse {
        rows: listed.entries.iter().map(|shown| row(kind, shown)).collect(),
        next_page_token: listing.next(pages, team, listed, |last| last.row.number.to_string()),
    }
}

/// A row as answers have it.
#[must_use]
pub fn row(kind: Kind, shown: &Shown) -> ImportRow {
    let Shown { sheet, row, known, findings } = shown;
    let values: Vec<&str> = row.values.iter().map(|cell| cell.text).collect();
    let cell = |(cell, known): (crate::imports::cells::Cell<'_>, &Option<usize>)| {
        let column = known.and_then(|known| kind.columns().get(known));
        let value = known.and_then(|known| values.get(known)).filter(|value| !value.is_empty());
        ImportCell {
            field: column.map(|column| column.field.to_owned()).unwrap_or_default(),
            raw: cell.text.to_owned(),
            value: value.map(|value| (*value).to_owned()),
        }
    };
    ImportRow {
        sheet: sheet.clone(),
        row: i32::try_from(row.number).unwrap_or(i32::MAX),
        status: status(row.status()).into(),
        cells: row.cells.iter().zip(known).map(cell).collect(),
        violations: findings.violations.iter().map(violation).collect(),
        warnings: findings.warnings.iter().map(violation).collect(),
        action: action(row.action.filter(|_| row.is_sound())).into(),
        changed: row.changed,
    }
}

fn status(status: Status) -> row_status::Value {
    use row_status::Value;
    match status {
        Status::Valid => Value::Valid,
        Status::Invalid => Value::Invalid,
        Status::Duplicate => Value::Duplicate,
        Status::Skipped => Value::Skipped,
    }
}

fn action(action: Option<Action>) -> row_action::Value {
    use row_action::Value;
    match action {
        None => Value::None,
        Some(Action::Insert) => Value::Insert,
        Some(Action::Update) => Value::Update,
        Some(Action::Unchanged) => Value::Unchanged,
        Some(Action::Conflict) => Value::Conflict,
    }
}

/// A change of a row, of which the columns are looked up once the kind is known.
pub struct Change {
    pub import: Uuid,
    request: PatchImportRowRequest,
}
says_nothing!(Change);

/// Checks which row is to be changed.
///
/// # Errors
/// [`Error::Invalid`] when it is no id.
pub fn patch_request(request: PatchImportRowRequest) -> Result<Change, Error> {
    let import = id("import_id", &request.import_id)?;
    Ok(Change { import, request })
}

impl Change {
    /// Checks what is to be changed.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub fn of(self, kind: Kind) -> Result<Patch, Error> {
        let Self { request, .. } = self;
        let mut bad = Vec::new();
        let number = u32::try_from(request.row).ok().filter(|number| *number > 0);
        if number.is_none() {
            let text = "must be the number of a row, which is 1 or more";
            bad.push(Violation::new("row", reasons::OUT_OF_RANGE, text));
        }
        if request.cells.is_empty() && request.skipped.is_none() {
            let text = "is empty, and so is skipped: say what to change";
            bad.push(Violation::new("cells", reasons::NOTHING_TO_CHANGE, text));
        }
        let mut cells = Vec::new();
        for (field, text) in request.cells {
            let Some(place) = kind.place(&field) else {
                let fields: Vec<&str> = kind.columns().iter().map(|column| column.field).collect();
                let text = format!("is none of the columns: use {}", fields.join(", "));
                let field = format!("cells.{}", crate::wire::excerpt(&field));
                bad.push(Violation::new(field, reasons::UNKNOWN_FIELD, text));
                continue;
            };
            if text.chars().nth(CELL_CHARS_MAX).is_some() {
                let text = format!("is longer than {CELL_CHARS_MAX} characters");
                bad.push(Violation::new(format!("cells.{field}"), reasons::TOO_LONG, text));
            }
            cells.push((place, text));
        }
        let expected = expected(&request.etag);
        match number {
            Some(number) if bad.is_empty() => {
                Ok(Patch { number, cells, skipped: request.skipped, expected })
            }
            _ => Err(Error::Invalid(bad)),
        }
    }
}

/// Which report of which import.
///
/// # Errors
/// [`Error::Invalid`] when it is no id, [`Error::NotFound`] for another file.
pub fn report_request(request: &GetImportReportRequest) -> Result<(Uuid, As), Error> {
    let import = id("import_id", &request.import_id)?;
    let as_file = match request.file.as_str() {
        "" | "report.xlsx" => As::Xlsx,
        "report.csv" => As::Csv,
        _ => {
            return Err(Error::NotFound {
                reason: reasons::REPORT_NOT_FOUND,
                message: "an import has report.xlsx and report.csv".to_owned(),
            });
        }
    };
    Ok((import, as_file))
}
