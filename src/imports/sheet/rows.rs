//! Puts cells together to rows, and hands those on.

use std::borrow::Cow;

use super::{Head, Sink, Unread, archive::broken, refused};
use crate::{
    imports::cells::{Cell, Form},
    reasons,
};

/// As many rows as Excel has.
pub(super) const ROWS_MAX: u32 = 1_048_576;
/// All of the cells together: no list of people is longer, but one long text may be in every cell.
const TEXT_BYTES_MAX: usize = 512 << 20;
/// So many cells may be read before the sink is told.
const TELL_CELLS: u32 = 4096;

/// The rows below a head.
pub(super) struct Rows<'s, 't> {
    sink: &'s mut dyn Sink,
    head: u32,
    /// By places in the file: which column of the head is there.
    places: Vec<Option<usize>>,
    width: usize,
    number: u32,
    cells: Vec<(Cow<'t, str>, Form)>,
    filled: bool,
    any: bool,
    text_bytes: usize,
    untold: u32,
}

impl<'s, 't> Rows<'s, 't> {
    /// Hands on a head; its rows follow.
    pub(super) fn new(sink: &'s mut dyn Sink, head: Head) -> Result<Self, Unread> {
        let mut places = Vec::new();
        for (nth, column) in head.columns.iter().enumerate() {
            let place = usize::try_from(column.place).map_err(|_| broken())?;
            places.resize(places.len().max(place + 1), None);
            if let Some(column) = places.get_mut(place) {
                *column = Some(nth);
            }
        }
        let (row, width) = (head.row, head.columns.len());
        sink.head(head)?;
        Ok(Self {
            sink,
            head: row,
            places,
            width,
            number: row,
            cells: Vec::new(),
            filled: false,
            any: false,
            text_bytes: 0,
            untold: 0,
        })
    }

    /// Whether what is in a cell matters.
    pub(super) fn wants(&self, number: u32, place: u32) -> bool {
        number > self.head && self.column(place).is_some()
    }

    fn column(&self, place: u32) -> Option<usize> {
        *self.places.get(usize::try_from(place).ok()?)?
    }

    /// Takes a cell. Those of a row follow each other, and rows are in order.
    pub(super) fn cell(
        &mut self,
        number: u32,
        place: u32,
        text: Cow<'t, str>,
        form: Form,
    ) -> Result<(), Unread> {
        let Some(column) = self.column(place).filter(|_| number > self.head) else {
            return Ok(());
        };
        if number < self.number {
            return Err(broken());
        }
        if number > self.number {
            self.hand_on()?;
            self.number = number;
        }
        if self.cells.is_empty() {
            self.cells.resize(self.width, (Cow::Borrowed(""), Form::Text));
        }
        self.text_bytes += text.len();
        if self.text_bytes > TEXT_BYTES_MAX {
            let text = "its cells have more than 512 MiB of text: upload it in parts";
            return Err(refused(reasons::FILE_EXPANDS, text));
        }
        if let Some(cell) = self.cells.get_mut(column) {
            self.filled |= !Cell { text: &text, form }.is_empty();
            *cell = (text, form);
        }
        Ok(())
    }

    /// Tells the sink how much is read, every so often; and lets it stop.
    pub(super) fn tell(&mut self, cells: u32, done: impl FnOnce() -> f64) -> Result<(), Unread> {
        self.untold += cells;
        if self.untold >= TELL_CELLS {
            self.untold = 0;
            self.sink.progress(done());
            self.sink.need(0)?;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<(), Unread> {
        if std::mem::take(&mut self.filled) {
            self.any = true;
            let cells: Vec<Cell<'_>> =
                self.cells.iter().map(|(text, form)| Cell { text, form: *form }).collect();
            self.sink.row(self.number, &cells)?;
        }
        self.cells.clear();
        Ok(())
    }

    /// Hands on the last row.
    pub(super) fn end(mut self) -> Result<(), Unread> {
        self.hand_on()?;
        if !self.any {
            let text = format!(
                "there is nothing below the titles, which are in row {}: fill in rows below them",
                self.head
            );
            return Err(refused(reasons::NO_ROWS, text));
        }
        self.sink.progress(1.0);
        Ok(())
    }
}
