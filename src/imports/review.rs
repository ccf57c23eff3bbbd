//! Looks at rows, and changes them: whatever is changed is checked by the same rules, and so are its twins.

use std::sync::Arc;

use tokio::{sync::Semaphore, time};

use super::{
    cells::{Cell, Packed},
    compare::Compare,
    kind::{Checked, Findings},
    model::{Row, RowFilter, State, check_row},
    sheet::{Head, clean},
    shelf::{Held, Import, wrong_state},
    twins::{self, Place},
};
use crate::{
    error::{Error, Violation},
    etag::{Expected, etag_mismatch},
    paging::{Listed, Page},
    reasons, streams,
};

/// Twins of a row that are named.
const NAMED_MAX: usize = 5;
/// And counted: more than that is "more".
const COUNTED_MAX: usize = 100;
/// What the cells of a page take at most, but for its last row.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// A row, with all there is to say of it.
#[derive(Debug)]
pub struct Shown {
    pub sheet: String,
    pub row: Arc<Row>,
    /// Of each column of the file, which one of the kind it is.
    pub known: Vec<Option<usize>>,
    pub findings: Findings,
}

/// What to change of a row.
#[derive(Clone)]
pub struct Patch {
    pub number: u32,
    /// By the place of the column among those of the kind.
    pub cells: Vec<(usize, String)>,
    pub skipped: Option<bool>,
    pub expected: Expected,
}

impl std::fmt::Debug for Patch {
    /// Without what is in the cells.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patch").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A page of rows: each begins after the number of a row.
///
/// # Errors
/// [`Error::FailedPrecondition`] while there are no rows.
pub fn list(import: &Import, filter: &RowFilter, page: &Page<u32>) -> Result<Listed<Shown>, Error> {
    let kind = import.new.kind;
    let rows = {
        let held = import.held();
        head_of(&held)?;
        Arc::clone(&held.rows)
    };
    let from = page.after.map_or(0, |after| rows.partition_point(|row| row.number <= after));
    let mut bytes = 0;
    let mut wanted = Vec::new();
    for (at, row) in rows.iter().enumerate().skip(from).filter(|(_, row)| filter.wants(kind, row)) {
        // One more shows that there is a next page.
        if wanted.len() > page.size || bytes > PAGE_BYTES_MAX {
            break;
        }
        bytes += row.bytes();
        wanted.push((Place::try_from(at).map_err(Error::internal)?, row));
    }
    let found = wanted.len();
    if bytes > PAGE_BYTES_MAX && wanted.len() > 1 {
        wanted.pop();
    }
    let held = import.held();
    let head = head_of(&held)?;
    let shown = wanted.into_iter().map(|row| show(import, &held, head, row));
    Ok(page.cut_of(shown.collect(), found))
}

/// The columns, once there are rows to be seen.
///
/// # Errors
/// As [`list`].
pub fn head_of(held: &Held) -> Result<&Head, Error> {
    let head = held.head.as_ref().filter(|_| held.state.has_rows());
    head.ok_or_else(|| wrong_state(held.state, "it has no rows to be seen"))
}

/// A row with all that is wrong with it, in words.
pub fn show(import: &Import, held: &Held, head: &Head, (place, row): (Place, &Arc<Row>)) -> Shown {
    let kind = import.new.kind;
    let cells: Vec<Cell<'_>> = row.cells.iter().collect();
    let Checked { mut findings, .. } =
        check_row(kind, &import.places(head), &cells, &import.rules());
    for column in row.twins.iter() {
        let Some(field) = kind.columns().get(column).map(|column| column.field) else { continue };
        let others = held.twins.others(kind, (place, row), column, COUNTED_MAX + 1);
        findings.bad(field, reasons::DUPLICATE_IN_FILE, twins_text(&held.rows, &others));
    }
    for column in row.taken.iter() {
        let Some(field) = kind.columns().get(column).map(|column| column.field) else { continue };
        let text = "is that of somebody who is stored, with another national id";
        findings.bad(field, reasons::TAKEN, text);
    }
    Shown {
        sheet: head.sheet.clone(),
        row: Arc::clone(row),
        known: head.columns.iter().map(|titled| titled.known).collect(),
        findings,
    }
}

fn twins_text(rows: &[Arc<Row>], others: &[Place]) -> String {
    let numbers = others.iter().filter_map(|place| twins::get(rows, *place)).map(|row| row.number);
    let named: Vec<String> = numbers.take(NAMED_MAX).map(|number| number.to_string()).collect();
    let more = others.len().saturating_sub(NAMED_MAX);
    let more = match more {
        0 => String::new(),
        more if others.len() > COUNTED_MAX => format!(" and at least {more} more"),
        more => format!(" and {more} more"),
    };
    match &*named {
        // They were stored, or those that had it were changed since.
        [] => "is that of other rows, too".to_owned(),
        [one] => format!("is that of row {one}, too: correct one of them, or leave it out"),
        named => {
            format!(
                "is that of rows {}{more}, too: correct all but one, or leave them out",
                named.join(", ")
            )
        }
    }
}

/// Changes a row, and checks it and its twins again.
///
/// # Errors
/// [`Error::Invalid`] for a column that the file has not, [`Error::NotFound`] for a row that is not there,
/// [`Error::FailedPrecondition`], [`Error::Aborted`], [`Error::LimitReached`]; as [`crate::db::query`].
pub async fn patch(
    compare: &Compare,
    import: &Arc<Import>,
    turns: &Arc<Semaphore>,
    patch: Patch,
) -> Result<Shown, Error> {
    // One that is being stored takes long: whoever waited for it would hold up changes of others.
    planned(import, &patch)?;
    let turn = Arc::clone(&import.turn).lock_owned();
    let _turn = time::timeout(streams::TURN_TIMEOUT, turn).await.map_err(|_| Error::Busy)?;
    let _of_team = streams::turn_of_team(turns).await?;
    let (place, row) = planned(import, &patch)?;
    let mut changed = vec![row];
    compare.all(import, &mut changed).await?;
    let row = changed.pop().ok_or_else(|| Error::internal(anyhow::anyhow!("a row was lost")))?;
    import.change(|held| apply(import, held, place, row))
}

/// The row as it is after a change.
fn planned(import: &Import, patch: &Patch) -> Result<(Place, Row), Error> {
    let held = import.held();
    if held.state != State::Ready {
        return Err(wrong_state(held.state, "only one that is READY can be changed"));
    }
    if !patch.expected.allows(held.version) {
        return Err(etag_mismatch("import"));
    }
    let head = head_of(&held)?;
    let found = held.rows.binary_search_by_key(&patch.number, |row| row.number);
    let at = found.map_err(|_| Error::not_found(reasons::ROW_NOT_FOUND, "row"))?;
    let before =
        held.rows.get(at).ok_or_else(|| Error::not_found(reasons::ROW_NOT_FOUND, "row"))?;
    let place = Place::try_from(at).map_err(Error::internal)?;

    let places = import.places(head);
    let mut cells: Vec<Cell<'_>> = before.cells.iter().collect();
    let texts: Vec<(usize, String)> =
        patch.cells.iter().map(|(column, text)| (*column, clean(text))).collect();
    let mut bad = Vec::new();
    for (column, text) in &texts {
        let cell = places.get(*column).copied().flatten().and_then(|place| cells.get_mut(place));
        if let Some(cell) = cell {
            *cell = Cell::text(text);
        } else {
            let field = import.new.kind.columns().get(*column).map_or("", |column| column.field);
            let text = "the file has no such column: upload it again with one";
            bad.push(Violation::new(format!("cells.{field}"), reasons::NO_SUCH_COLUMN, text));
        }
    }
    if !bad.is_empty() {
        return Err(Error::Invalid(bad));
    }
    let kind = import.new.kind;
    let checked = check_row(kind, &places, &cells, &import.rules());
    let mut row = Row::new(kind, before.number, Packed::new(cells.iter().copied()), &checked);
    row.skipped = patch.skipped.unwrap_or(before.skipped);
    row.changed = before.changed || row.cells != before.cells || row.skipped;
    Ok((place, row))
}

/// Puts a row in its place.
fn apply(import: &Import, held: &mut Held, place: Place, row: Row) -> Result<Shown, Error> {
    if held.state != State::Ready {
        return Err(wrong_state(held.state, "it was given up"));
    }
    let kind = import.new.kind;
    let lost = || Error::internal(anyhow::anyhow!("a row was lost"));
    let before = Arc::clone(twins::get(&held.rows, place).ok_or_else(lost)?);
    let (now, then) = (row.bytes(), before.bytes());
    if now > then {
        held.reserved.grow(now - then)?;
    } else {
        let left = held.reserved.bytes().saturating_sub(then - now);
        held.reserved.shrink_to(left);
    }
    // Those that had one twin only may have none now, and those that had none may have one.
    let mut near = held.twins.only_twins(kind, (place, &before));
    near.extend(held.twins.only_twins(kind, (place, &row)));
    near.insert(place);
    held.twins.remove(kind, (place, &before));
    held.twins.insert(kind, (place, &row));
    let rows = Arc::make_mut(&mut held.rows);
    for place in &near {
        if let Some(row) = twins::get(rows, *place) {
            held.counts.remove(kind, row);
        }
    }
    *twins::get_mut(rows, place).ok_or_else(lost)? = Arc::new(row);
    for near in &near {
        let row = twins::get(rows, *near).ok_or_else(lost)?;
        let columns = held.twins.columns(kind, (*near, row));
        let row = Arc::make_mut(twins::get_mut(rows, *near).ok_or_else(lost)?);
        row.twins = columns;
        held.counts.add(kind, row);
    }
    held.version = held.version.wrapping_add(1);
    let head = head_of(held)?.clone();
    let row = twins::get(&held.rows, place).ok_or_else(lost)?;
    Ok(show(import, held, &head, (place, row)))
}
