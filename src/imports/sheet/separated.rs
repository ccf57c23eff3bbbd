//! Rows of a CSV file: whatever separates its cells.

use std::borrow::Cow;

use csv_core::{ReadFieldResult, ReaderBuilder};

use super::{
    Sink, Source, Unread,
    format::{BIG_ENDIAN, LITTLE_ENDIAN},
    header::{COLUMNS_MAX, Found, Lines, Titles},
    refused,
    rows::{ROWS_MAX, Rows},
    text::clean,
};
use crate::{
    imports::cells::{FORMULA, Form},
    reasons,
};

/// What may be between cells. Where it cannot be told, it is the first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Titles are looked for in so many bytes: with each delimiter.
const SEARCHED_BYTES: usize = 1 << 20;
/// More of a cell is not kept: 32,767 characters.
const CELL_BYTES_MAX: usize = 32_767 * 4;

/// Reads a CSV file.
///
/// # Errors
/// As [`super::read`].
pub(super) fn read(
    source: Source<'_>,
    titles: &Titles<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Unread> {
    let text = decode(source.bytes, sink)?;
    let (delimiter, found) = find(&text, titles);
    let head = titles.head(found.map(|found| (String::new(), found)), 1).map_err(Unread::File)?;
    let mut rows = Rows::new(sink, head)?;
    let mut records = Records::new(text.as_bytes(), delimiter);
    while let Some(number) = records.next_number() {
        if number > ROWS_MAX {
            let text = "it has more than 1,048,576 rows: upload it in parts";
            return Err(refused(reasons::FILE_EXPANDS, text));
        }
        let mut cells = 0;
        records.cells(|place, text| {
            cells += 1;
            if rows.wants(number, place) {
                let text = clean(Cow::Owned(unmarked(text).to_owned()));
                rows.cell(number, place, text, Form::Text)?;
            }
            Ok(())
        })?;
        rows.tell(cells, || records.done())?;
    }
    rows.end()
}

/// The text of a file.
fn decode<'a>(bytes: &'a [u8], sink: &mut dyn Sink) -> Result<Cow<'a, str>, Unread> {
    for (mark, unit) in [
        (LITTLE_ENDIAN, u16::from_le_bytes as fn([u8; 2]) -> u16),
        (BIG_ENDIAN, u16::from_be_bytes),
    ] {
        let Some(rest) = bytes.strip_prefix(mark) else { continue };
        // Of two bytes at most three become.
        sink.need(rest.len() / 2 * 3)?;
        let (units, odd) = rest.as_chunks::<2>();
        let mut text = String::with_capacity(rest.len() / 2 * 3);
        for char in char::decode_utf16(units.iter().map(|bytes| unit(*bytes))) {
            text.push(char.map_err(|_| not_utf8(None))?);
        }
        return if odd.is_empty() { Ok(Cow::Owned(text)) } else { Err(not_utf8(None)) };
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            Err(not_utf8(Some(before.split(|byte| *byte == b'\n').count())))
        }
    }
}

/// A text without the mark that keeps programs from taking it for a formula, as reports have it.
fn unmarked(text: &str) -> &str {
    let rest = text.strip_prefix('\'').filter(|rest| rest.starts_with(FORMULA));
    rest.unwrap_or(text)
}

fn not_utf8(line: Option<usize>) -> Unread {
    let line = line.map(|line| format!(" in line {line}")).unwrap_or_default();
    let text =
        format!("its text is in another encoding than UTF-8{line}: save it as \"CSV UTF-8\"");
    refused(reasons::NOT_UTF8, text)
}

/// What is between the cells, and the titles: by what gives the most columns that are known.
fn find(text: &str, titles: &Titles<'_>) -> (u8, Option<Found>) {
    let searched = text.as_bytes().get(..SEARCHED_BYTES).unwrap_or(text.as_bytes());
    let mut best: (u8, Option<Found>) = (DELIMITERS[0], None);
    for delimiter in DELIMITERS {
        let found = titles.find(&first_lines(searched, delimiter).0);
        if best.1.as_ref().map(Found::worth) < found.as_ref().map(Found::worth) {
            best = (delimiter, found);
        }
    }
    best
}

fn first_lines(text: &[u8], delimiter: u8) -> Lines {
    let mut lines = Lines::default();
    let mut records = Records::new(text, delimiter);
    let mut more = true;
    while let Some(number) = records.next_number().filter(|_| more) {
        let _ = records.cells(|place, text| {
            more &= lines.add(number, place, &clean(Cow::Borrowed(text)));
            Ok(())
        });
    }
    lines
}

/// The records of a text. None is ever kept as a whole.
struct Records<'a> {
    text: &'a [u8],
    at: usize,
    core: csv_core::Reader,
    number: u32,
    cell: Vec<u8>,
}

impl<'a> Records<'a> {
    fn new(text: &'a [u8], delimiter: u8) -> Self {
        let core = ReaderBuilder::new().delimiter(delimiter).build();
        Self { text, at: 0, core, number: 0, cell: vec![0; CELL_BYTES_MAX] }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    #[expect(clippy::cast_precision_loss, reason = "it is a share")]
    fn done(&self) -> f64 {
        self.at as f64 / self.text.len().max(1) as f64
    }

    /// The number of the next record, if there is one. Lines with nothing in them have numbers, too.
    fn next_number(&mut self) -> Option<u32> {
        let ended_by = self.at.checked_sub(1).and_then(|at| self.text.get(at));
        if ended_by == Some(&b'\r') && self.rest().starts_with(b"\n") {
            self.at += 1;
        }
        loop {
            self.number = self.number.saturating_add(1);
            self.at += match self.rest() {
                [] => return None,
                [b'\r', b'\n', ..] => 2,
                [b'\r' | b'\n', ..] => 1,
                _ => return Some(self.number),
            };
        }
    }

    /// The cells of a record, as far as any may have a title: their places, and what is in them.
    fn cells(
        &mut self,
        mut take: impl FnMut(u32, &str) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        let mut place = 0_u32;
        let mut length = 0;
        let mut beyond = [0; 1024];
        loop {
            let kept = self.cell.get_mut(length..).filter(|kept| !kept.is_empty());
            let (result, read, written) = self.core.read_field(
                self.text.get(self.at..).unwrap_or_default(),
                kept.unwrap_or(&mut beyond),
            );
            self.at += read;
            length = (length + written).min(CELL_BYTES_MAX);
            let ReadFieldResult::Field { record_end } = result else {
                if result == ReadFieldResult::End {
                    return Ok(());
                }
                continue;
            };
            // More of them are looked at than may have titles, so that it is seen when there are too many.
            if place as usize <= COLUMNS_MAX {
                take(place, valid(self.cell.get(..length).unwrap_or_default()))?;
            }
            length = 0;
            place = place.saturating_add(1);
            if record_end {
                return Ok(());
            }
        }
    }
}

/// A text that may be cut within its last character.
fn valid(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
    }
}
