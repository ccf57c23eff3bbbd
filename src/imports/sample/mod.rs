//! Made-up users with known faults, always the same ones by the same seed: for trying imports out, for tests and benches.

mod faults;

use std::collections::{BTreeMap, VecDeque};

use anyhow::Context;
use chrono::NaiveDate;
use fastrand::Rng;
use rust_xlsxwriter::{Format, Formula, Workbook, Worksheet};

use self::faults::{DUPLICATED, MADE, WARNED};
use super::{
    cells::{Cell, Form},
    people::{COLUMNS, EMAIL, GENDER, NAMES, NID, PHONE},
};
use crate::reasons;

/// Rows that are made at a time, with these many that are bad by themselves, that are so because they are the same, and
/// that are doubtful.
const BLOCK: usize = 500;
const BAD: usize = 8;
const SAME: usize = 2;
const DOUBTFUL: usize = 5;
/// As many serial numbers are there in phone numbers and national ids.
const SERIALS: usize = 10_000_000;

/// A cell that was made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub text: String,
    pub form: Form,
}

impl Made {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), form: Form::Text }
    }

    fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), form: Form::Number }
    }

    /// As rules are given it.
    #[must_use]
    pub fn cell(&self) -> Cell<'_> {
        Cell { text: &self.text, form: self.form }
    }
}

/// What is wrong with a row, or doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub field: &'static str,
    pub reason: &'static str,
    /// Whether the row is stored all the same.
    pub warning: bool,
}

/// A row: a cell for each column of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub cells: [Made; 5],
    /// The only thing that is wrong with it.
    pub fault: Option<Fault>,
}

impl Row {
    /// Its cells, as rules are given them.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.cells.iter().map(Made::cell)
    }
}

/// So many rows: of every 500 ten are bad, two of them because they are the same as each other, and five doubtful. No two
/// are the same otherwise, as long as there are no more than ten million.
pub fn users(rows: usize, seed: u64) -> impl Iterator<Item = Row> {
    let mut maker = Maker::new(seed);
    let mut block = VecDeque::new();
    let mut made = 0;
    std::iter::from_fn(move || {
        if block.is_empty() {
            let size = BLOCK.min(rows - made);
            made += size;
            block = maker.block(size);
        }
        block.pop_front()
    })
}

/// How often each reason comes up in these rows, warnings included.
#[must_use]
pub fn expected(rows: usize, seed: u64) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for fault in users(rows, seed).filter_map(|row| row.fault) {
        *counts.entry(fault.reason).or_default() += 1;
    }
    counts
}

/// A workbook of these rows, with a title over each column.
///
/// # Errors
/// When there are more rows than a sheet has.
pub fn write_users_xlsx(rows: usize, seed: u64) -> anyhow::Result<Vec<u8>> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet().set_name("Users")?;
    let date = Format::new().set_num_format("yyyy-mm-dd");
    for (place, column) in (0_u16..).zip(COLUMNS) {
        sheet.write_string(0, place, *column.aliases.first().unwrap_or(&column.field))?;
        sheet.set_column_width(place, 24)?;
    }
    for (number, row) in (1_u32..).zip(users(rows, seed)) {
        for (place, made) in (0_u16..).zip(&row.cells) {
            write(sheet, number, place, made, &date)?;
        }
    }
    Ok(workbook.save_to_buffer()?)
}

fn write(
    sheet: &mut Worksheet,
    row: u32,
    place: u16,
    made: &Made,
    date: &Format,
) -> anyhow::Result<()> {
    match made.form {
        _ if made.text.is_empty() => {}
        Form::Text | Form::Bool => {
            sheet.write_string(row, place, &made.text)?;
        }
        Form::Number => {
            sheet.write_number(row, place, made.text.parse::<f64>()?)?;
        }
        Form::Date => {
            let day: NaiveDate = made.text.parse()?;
            let first = NaiveDate::from_ymd_opt(1899, 12, 30).context("the first day")?;
            let days = i32::try_from((day - first).num_days())?;
            sheet.write_number_with_format(row, place, days, date)?;
        }
        Form::Error | Form::Formula => {
            sheet.write_formula(row, place, Formula::new("=NA()").set_result(&made.text))?;
        }
    }
    Ok(())
}

/// Syllables that names are made of.
const FIRST: &[&str] = &["Ka", "Be", "Mu", "Zi", "To", "Lu", "Ne", "Sa", "Ri", "Vo", "Da", "Fe"];
const LATER: &[&str] = &["li", "ro", "va", "nu", "te", "mi", "so", "ba", "ke", "du", "za", "ri"];
/// Hosts that are nobody's, and that numbers of mobiles begin with.
const HOSTS: &[&str] = &["example.com", "example.org", "example.rw"];
const PREFIXES: &[&str] = &["78", "79", "72", "73"];
const MEN: &[&str] = &["M", "M", "M", "Male", "male", "m", "Gabo", "Homme"];
const WOMEN: &[&str] = &["F", "F", "F", "Female", "female", "f", "Gore", "Femme"];

/// What a user is made of.
#[derive(Clone, Debug)]
struct Person {
    first: String,
    last: String,
    man: bool,
    nid: String,
    /// Nine digits.
    phone: String,
    email: String,
}

/// Makes rows.
struct Maker {
    rng: Rng,
    serial: usize,
    /// Where serial numbers of phones begin.
    phones: usize,
    /// How many faults of each sort were made.
    bad: usize,
    same: usize,
    doubtful: usize,
}

impl Maker {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let phones = rng.usize(..SERIALS);
        Self { rng, serial: 0, phones, bad: 0, same: 0, doubtful: 0 }
    }

    /// So many rows, at most a block, with their share of faults.
    fn block(&mut self, size: usize) -> VecDeque<Row> {
        let people: Vec<Person> = (0..size).map(|_| self.person()).collect();
        let mut rows: VecDeque<Row> = people.iter().map(|person| self.row(person)).collect();
        let mut places: Vec<usize> = (0..size).collect();
        self.rng.shuffle(&mut places);
        let share = |of: usize| of * size / BLOCK;
        let mut places = places.into_iter();
        for place in places.by_ref().take(share(BAD)) {
            let fault = MADE.get(self.bad % MADE.len());
            self.bad += 1;
            self.spoil(fault, place, &people, &mut rows);
        }
        for place in places.by_ref().take(share(DOUBTFUL)) {
            let fault = WARNED.get(self.doubtful % WARNED.len());
            self.doubtful += 1;
            self.spoil(fault, place, &people, &mut rows);
        }
        if share(SAME) == SAME
            && let (Some(one), Some(other)) = (places.next(), places.next())
        {
            self.repeat(one, other, &mut rows);
        }
        rows
    }

    fn spoil(
        &mut self,
        fault: Option<&faults::Made>,
        place: usize,
        people: &[Person],
        rows: &mut VecDeque<Row>,
    ) {
        let (Some(fault), Some(person), Some(row)) =
            (fault, people.get(place), rows.get_mut(place))
        else {
            return;
        };
        let cell = (fault.make)(person, &mut self.rng);
        if let (Some(made), Some(column)) =
            (row.cells.get_mut(fault.place), COLUMNS.get(fault.place))
        {
            *made = cell;
            let (reason, warning) = (fault.reason, fault.warning);
            row.fault = Some(Fault { field: column.field, reason, warning });
        }
    }

    /// Gives a row the cell of another one.
    fn repeat(&mut self, one: usize, other: usize, rows: &mut VecDeque<Row>) {
        let column = DUPLICATED.get(self.same % DUPLICATED.len()).copied().unwrap_or(NID);
        self.same += 1;
        let cell = rows.get(one).and_then(|row| row.cells.get(column)).cloned();
        let field = COLUMNS.get(column).map(|column| column.field).unwrap_or_default();
        let fault = Fault { field, reason: reasons::DUPLICATE_IN_FILE, warning: false };
        if let Some(made) = rows.get_mut(other).and_then(|row| row.cells.get_mut(column)) {
            *made = cell.unwrap_or_else(|| made.clone());
        }
        // The gender is the other one's then.
        if column == NID {
            let gender = rows.get(one).and_then(|row| row.cells.get(GENDER)).cloned();
            if let Some(made) = rows.get_mut(other).and_then(|row| row.cells.get_mut(GENDER)) {
                *made = gender.unwrap_or_else(|| made.clone());
            }
        }
        for place in [one, other] {
            if let Some(row) = rows.get_mut(place) {
                row.fault = Some(fault);
            }
        }
    }

    fn person(&mut self) -> Person {
        let rng = &mut self.rng;
        let serial = self.serial;
        self.serial += 1;
        let (first, last) = (name(rng), name(rng));
        let man = rng.bool();
        let gender = if man { 8 } else { 7 };
        let (year, check) = (rng.u32(1950..2008), rng.u32(11..99) / 10 * 10 + rng.u32(1..10));
        let nid = format!("1{year}{gender}{:07}{}{check}", serial % SERIALS, rng.u32(0..10));
        // Odd, and no multiple of five: every number comes up once.
        let number = (self.phones + serial * 7_654_321) % SERIALS;
        let phone = format!("{}{number:07}", pick(rng, PREFIXES));
        let host = pick(rng, HOSTS);
        let email = format!("{first}.{last}{serial}@{host}").to_lowercase();
        Person { first, last, man, nid, phone, email }
    }

    /// A row in which nothing is wrong, written as people write.
    fn row(&mut self, person: &Person) -> Row {
        let rng = &mut self.rng;
        let mut cells = [const { Made { text: String::new(), form: Form::Text } }; 5];
        cells[NAMES] = Made::text(format!("{} {}", person.first, person.last));
        cells[NID] = Made::text(match rng.u32(..20) {
            0 => spaced(&person.nid),
            _ => person.nid.clone(),
        });
        let phone = &person.phone;
        cells[PHONE] = match rng.u32(..20) {
            0 => Made::text(format!("+250{phone}")),
            1 => Made::text(format!("250{phone}")),
            2 => Made::number(format!("250{phone}")),
            3 => Made::text(format!("0{}", spaced(phone))),
            4 => Made::text(phone.as_str()),
            _ => Made::text(format!("0{phone}")),
        };
        cells[GENDER] = Made::text(match rng.u32(..200) {
            0 => "O",
            _ => pick(rng, if person.man { MEN } else { WOMEN }),
        });
        cells[EMAIL] = Made::text(match rng.u32(..20) {
            0 => person.email.to_uppercase(),
            _ => person.email.clone(),
        });
        Row { cells, fault: None }
    }
}

fn pick(rng: &mut Rng, of: &[&'static str]) -> &'static str {
    of.get(rng.usize(..of.len().max(1))).copied().unwrap_or_default()
}

/// A name that nobody has.
fn name(rng: &mut Rng) -> String {
    let mut name = pick(rng, FIRST).to_owned();
    for _ in 0..rng.u32(2..4) {
        name.push_str(pick(rng, LATER));
    }
    name
}

/// Digits in groups of three.
fn spaced(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
