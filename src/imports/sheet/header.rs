//! Finds the columns of a kind by their titles.

use std::collections::{BTreeMap, HashMap};

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::{Head, Titled};
use crate::{error::Violation, imports::kind::Column, reasons, wire::excerpt};

/// Titles are looked for in so many rows that are not empty.
const LINES_MAX: usize = 20;
/// More columns than this have no title.
pub const COLUMNS_MAX: usize = 200;
const TITLE_CHARS_MAX: usize = 200;
/// How many titles an error names.
const NAMED_MAX: usize = 20;

/// A title as titles are compared: in lower case, without accents, and of letters and digits alone.
#[must_use]
pub fn folded(title: &str) -> String {
    let lower = title.chars().flat_map(char::to_lowercase);
    lower.nfd().filter(|c| c.is_alphanumeric() && !is_combining_mark(*c)).collect()
}

/// A row that may have the titles: what is in its cells, by their places counted from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: u32,
    pub titles: BTreeMap<u32, String>,
}

/// The first rows of a sheet, as far as titles may be in them.
#[derive(Debug, Default)]
pub(super) struct Lines(pub(super) Vec<Line>);

impl Lines {
    /// Adds a cell. `false`: there are enough.
    pub(super) fn add(&mut self, number: u32, place: u32, text: &str) -> bool {
        if text.is_empty() {
            return true;
        }
        if self.0.last().is_none_or(|line| line.number != number) {
            if self.0.len() == LINES_MAX {
                return false;
            }
            self.0.push(Line { number, titles: BTreeMap::new() });
        }
        let Some(line) = self.0.last_mut() else { return true };
        // One more than there may be: that there are too many is still seen.
        if line.titles.len() <= COLUMNS_MAX {
            line.titles.insert(place, text.chars().take(TITLE_CHARS_MAX).collect());
        }
        true
    }
}

/// The row that looks most like titles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub row: u32,
    pub columns: Vec<Titled>,
    /// How many columns of the kind are there.
    pub known: usize,
    /// The columns that have to be there and are not, by their places in the kind.
    pub missing: Vec<usize>,
}

impl Found {
    /// Whether every column is there that has to be, and then how many there are.
    pub(super) fn worth(&self) -> (bool, usize) {
        (self.missing.is_empty(), self.known)
    }
}

/// Which titles are those of which columns.
#[derive(Debug)]
pub struct Titles<'a> {
    columns: &'a [Column],
    places: HashMap<String, usize>,
}

impl<'a> Titles<'a> {
    #[must_use]
    pub fn new(columns: &'a [Column]) -> Self {
        let mut places = HashMap::new();
        for (place, column) in columns.iter().enumerate() {
            for title in column.aliases.iter().chain([&column.field]) {
                places.entry(folded(title)).or_insert(place);
            }
        }
        Self { columns, places }
    }

    fn known(&self, title: &str) -> Option<usize> {
        self.places.get(&folded(title)).copied()
    }

    /// The row that has the most columns of the kind, or two rows of a header that is in two; `None`: no title is known.
    #[must_use]
    pub fn find(&self, lines: &[Line]) -> Option<Found> {
        let mut best: Option<Found> = None;
        let mut take = |found: Found| {
            if found.known > 0 && best.as_ref().is_none_or(|best| best.worth() < found.worth()) {
                best = Some(found);
            }
        };
        for line in lines {
            take(self.found(line.number, line.titles.iter()));
        }
        // Two rows are taken for one header only where that makes it complete.
        for pair in lines.windows(2) {
            let [upper, lower] = pair else { continue };
            let both = (upper.number + 1 == lower.number).then(|| self.both(upper, lower));
            both.filter(|found| found.missing.is_empty()).map(&mut take);
        }
        best
    }

    /// Two rows as one: a column has the lower title, unless only the upper one is known.
    fn both(&self, upper: &Line, lower: &Line) -> Found {
        let mut titles = lower.titles.clone();
        for (place, title) in &upper.titles {
            let taken = titles.get(place).is_some_and(|lower| self.known(lower).is_some());
            if !taken && (self.known(title).is_some() || !titles.contains_key(place)) {
                titles.insert(*place, title.clone());
            }
        }
        self.found(lower.number, titles.iter())
    }

    fn found<'t>(&self, row: u32, titles: impl Iterator<Item = (&'t u32, &'t String)>) -> Found {
        let titled = |(place, title): (&u32, &String)| Titled {
            place: *place,
            title: title.clone(),
            known: self.known(title),
        };
        let columns: Vec<Titled> = titles.map(titled).collect();
        let mut there = vec![false; self.columns.len()];
        for known in columns.iter().filter_map(|column| column.known) {
            if let Some(there) = there.get_mut(known) {
                *there = true;
            }
        }
        let known = there.iter().filter(|there| **there).count();
        let missing = self.columns.iter().zip(&there).enumerate();
        let missing = missing.filter(|(_, (column, there))| column.required && !**there);
        Found { row, columns, known, missing: missing.map(|(place, _)| place).collect() }
    }

    /// The head of a sheet.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn head(
        &self,
        best: Option<(String, Found)>,
        sheets: usize,
    ) -> Result<Head, Vec<Violation>> {
        let Some((sheet, found)) = best else {
            return Err(vec![self.no_header(sheets)]);
        };
        if found.columns.len() > COLUMNS_MAX {
            let text = format!(
                "row {} has titles in more than {COLUMNS_MAX} columns: delete those that are not needed",
                found.row
            );
            return Err(vec![Violation::new("file", reasons::TOO_MANY_COLUMNS, text)]);
        }
        let mut bad = self.ambiguous(&found);
        bad.extend(self.missing(&sheet, &found));
        if bad.is_empty() {
            Ok(Head { sheet, row: found.row, columns: found.columns })
        } else {
            Err(bad)
        }
    }

    fn no_header(&self, sheets: usize) -> Violation {
        let columns = self.columns.iter().filter(|column| column.required);
        let names: Vec<&str> = columns.map(|column| column.field).collect();
        let of_each = if sheets > 1 { " of each sheet" } else { "" };
        let text = format!(
            "none of the first {LINES_MAX} rows{of_each} has a title that is known: one row must have the titles of the columns, at least {}",
            names.join(", "),
        );
        Violation::new("file", reasons::NO_HEADER, text)
    }

    fn ambiguous(&self, found: &Found) -> Vec<Violation> {
        let mut places: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for column in &found.columns {
            let Some(known) = column.known else { continue };
            places.entry(known).or_default().push(letters(column.place));
        }
        let twice = places.into_iter().filter(|(_, letters)| letters.len() > 1);
        let violation = |(known, letters): (usize, Vec<String>)| {
            let field = self.columns.get(known).map_or("", |column| column.field);
            let text = format!(
                "in row {} the titles of the columns {} both mean {field}: rename or delete all but one",
                found.row,
                letters.join(" and "),
            );
            Violation::new("file", reasons::AMBIGUOUS_COLUMN, text)
        };
        twice.map(violation).collect()
    }

    fn missing(&self, sheet: &str, found: &Found) -> Vec<Violation> {
        let named = found.columns.iter().take(NAMED_MAX);
        let titles: Vec<String> = named.map(|column| excerpt(&column.title)).collect();
        let more = found.columns.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let of_sheet = if sheet.is_empty() {
            String::new()
        } else {
            format!(" of the sheet {}", excerpt(sheet))
        };
        let missing = found.missing.iter().filter_map(|place| self.columns.get(*place));
        let violation = |column: &Column| {
            let aliases: Vec<String> =
                column.aliases.iter().map(|alias| format!("{alias:?}")).collect();
            let or = if aliases.is_empty() { "" } else { " or " };
            let text = format!(
                "there is no column of this name: give one the title {:?}{or}{}; row {}{of_sheet} has {}{more}",
                column.field,
                aliases.join(", "),
                found.row,
                titles.join(", "),
            );
            Violation::new(column.field, reasons::MISSING_COLUMN, text)
        };
        missing.map(violation).collect()
    }
}

/// The letters of a column as Excel shows them: its place is counted from 0.
#[must_use]
pub fn letters(place: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(place) + 1;
    while rest > 0 {
        let digit = u8::try_from((rest - 1) % 26).unwrap_or_default();
        letters.push(char::from(b'A' + digit));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_compared_by_letters_and_digits() {
        for (title, expected) in [
            ("Phone Number", "phonenumber"),
            ("PHONE_number ", "phonenumber"),
            ("Pre\u{301}nom", "prenom"),
            ("Prénom", "prenom"),
            ("N° 1", "n1"),
            ("Straße", "straße"),
            ("İD", "id"),
            (" -_/", ""),
        ] {
            assert_eq!(folded(title), expected, "{title}");
        }
    }

    #[test]
    fn columns_have_letters() {
        for (place, expected) in
            [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")]
        {
            assert_eq!(letters(place), expected);
        }
    }
}
