//! Rows of a workbook.

use std::borrow::Cow;

use calamine::{DataRef, Reader as _, SheetType, SheetVisible, Xlsx, XlsxCellReader, XlsxError};

use super::{
    Sink, Source, Unread, archive,
    archive::broken,
    caught, format,
    guard::{Guard, Meter},
    header::{Found, Line, Lines, Titles},
    number, refused,
    rows::{ROWS_MAX, Rows},
    text::clean,
};
use crate::{imports::cells::Form, reasons, wire::excerpt};

const PLACES_MAX: u32 = 16_384;
/// How many sheets an error names.
const NAMED_MAX: usize = 10;
/// In a sheet whose rows have nothing in them, titles are looked for no further.
const SEARCHED_CELLS_MAX: u32 = 1_000_000;

type Book<'a> = Xlsx<Guard<'a>>;

/// Reads a workbook.
///
/// # Errors
/// As [`super::read`].
pub(super) fn read(
    source: Source<'_>,
    titles: &Titles<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Unread> {
    let parts = archive::check(source.bytes, sink)?;
    let meter = Meter::default();
    let mut book: Book<'_> = caught(|| {
        Xlsx::new(Guard::new(source.bytes, parts, &meter)).map_err(|error| unread(&error))
    })?;
    meter.open.set(true);
    let names = sheets(&book, source.sheet)?;
    let best = find(&mut book, &names, titles, sink)?;
    let head = titles.head(best, names.len()).map_err(Unread::File)?;
    let name = head.sheet.clone();
    let mut rows = Rows::new(sink, head)?;
    let mut cells = Cells::of(&mut book, &name)?;
    while let Some(cell) = cells.next()? {
        rows.tell(1, || meter.done())?;
        if rows.wants(cell.number, cell.place) {
            let (text, form) = written(cell.value, cell.formula);
            rows.cell(cell.number, cell.place, text, form)?;
        }
    }
    rows.end()
}

fn unread(error: &XlsxError) -> Unread {
    match error {
        XlsxError::Password => format::protected(),
        _ => broken(),
    }
}

/// The sheets to look at: the one that is asked for, or all of them, those that can be seen first.
fn sheets(book: &Book<'_>, wanted: Option<&str>) -> Result<Vec<String>, Unread> {
    let mut sheets: Vec<_> = book.sheets_metadata().iter().collect();
    sheets.retain(|sheet| sheet.typ == SheetType::WorkSheet);
    sheets.sort_by_key(|sheet| sheet.visible != SheetVisible::Visible);
    let names: Vec<String> = sheets.into_iter().map(|sheet| sheet.name.clone()).collect();
    let Some(wanted) = wanted else { return Ok(names) };
    let key = |name: &str| name.trim().to_lowercase();
    if let Some(name) = names.iter().find(|name| key(name) == key(wanted)) {
        return Ok(vec![name.clone()]);
    }
    let named: Vec<String> = names.iter().take(NAMED_MAX).map(|name| excerpt(name)).collect();
    let more = if names.len() > NAMED_MAX { ", and others" } else { "" };
    let there = named.join(", ");
    let text = format!("it has no sheet {}: it has {there}{more}", excerpt(wanted));
    Err(refused(reasons::NO_SHEET, text))
}

/// The first sheet that has every column that has to be there; if there is none, the one that has most.
fn find(
    book: &mut Book<'_>,
    names: &[String],
    titles: &Titles<'_>,
    sink: &mut dyn Sink,
) -> Result<Option<(String, Found)>, Unread> {
    let mut best: Option<(String, Found)> = None;
    for name in names {
        sink.need(0)?;
        let Some(found) = titles.find(&first_lines(book, name)?) else { continue };
        let complete = found.missing.is_empty();
        if best.as_ref().is_none_or(|(_, best)| best.worth() < found.worth()) {
            best = Some((name.clone(), found));
        }
        if complete {
            break;
        }
    }
    Ok(best)
}

fn first_lines(book: &mut Book<'_>, name: &str) -> Result<Vec<Line>, Unread> {
    let mut cells = Cells::of(book, name)?;
    let mut lines = Lines::default();
    for _ in 0..SEARCHED_CELLS_MAX {
        let Some(cell) = cells.next()? else { break };
        let (text, _) = written(cell.value, cell.formula);
        if !lines.add(cell.number, cell.place, &text) {
            break;
        }
    }
    Ok(lines.0)
}

/// The cells of a sheet, as they follow each other.
struct Cells<'b, 'a>(XlsxCellReader<'b, Guard<'a>>);

struct SheetCell<'b> {
    /// Counted from 1.
    number: u32,
    /// Counted from 0.
    place: u32,
    value: DataRef<'b>,
    formula: bool,
}

impl<'b, 'a> Cells<'b, 'a> {
    fn of(book: &'b mut Book<'a>, name: &str) -> Result<Self, Unread> {
        caught(|| book.worksheet_cells_reader(name).map(Self).map_err(|error| unread(&error)))
    }

    fn next(&mut self) -> Result<Option<SheetCell<'b>>, Unread> {
        loop {
            // Its kin that writes out formulas takes memory for as many as the file says there are.
            let record = caught(|| match self.0.next_cell_with_formula_metadata() {
                // An error that came with a later Excel, such as `#SPILL!`: there is no value.
                Err(XlsxError::CellError(_)) => Ok(None),
                next => next.map(Some).map_err(|error| unread(&error)),
            })?;
            let Some(record) = record else { continue };
            let Some(record) = record else { return Ok(None) };
            let (row, place) = record.pos;
            if row >= ROWS_MAX || place >= PLACES_MAX {
                return Err(broken());
            }
            let formula = record.formula.is_some();
            return Ok(Some(SheetCell { number: row + 1, place, value: record.value, formula }));
        }
    }
}

/// A value as text.
fn written(value: DataRef<'_>, formula: bool) -> (Cow<'_, str>, Form) {
    match value {
        DataRef::Empty if formula => (Cow::Borrowed(""), Form::Formula),
        DataRef::Empty => (Cow::Borrowed(""), Form::Text),
        DataRef::String(text) => (clean(Cow::Owned(text)), Form::Text),
        DataRef::SharedString(text) => (clean(Cow::Borrowed(text)), Form::Text),
        DataRef::Int(value) => (Cow::Owned(value.to_string()), Form::Number),
        DataRef::Float(value) => (Cow::Owned(number::number(value)), Form::Number),
        DataRef::Bool(value) => (Cow::Borrowed(if value { "TRUE" } else { "FALSE" }), Form::Bool),
        DataRef::DateTime(value) => (Cow::Owned(number::moment(value)), Form::Date),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            (clean(Cow::Owned(text)), Form::Date)
        }
        DataRef::Error(error) => (Cow::Owned(error.to_string()), Form::Error),
    }
}
