//! What an import is, and what a row of one is.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    cells::{Cell, Packed},
    kind::{Checked, Kind, Rules},
};
use crate::{ids::TeamId, reasons};

/// The largest file.
pub const FILE_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Characters of its name, and of the name of a sheet.
pub const FILENAME_CHARS_MAX: usize = 255;
pub const SHEET_CHARS_MAX: usize = 100;
/// Rows of a page when nothing is asked for, and at most.
pub const PAGE_ROWS: usize = 100;
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Imports of a page, likewise.
pub const PAGE_IMPORTS: usize = 50;
pub const PAGE_IMPORTS_MAX: usize = 1_000;
/// Users of a page, likewise.
pub const PAGE_USERS: usize = 100;
pub const PAGE_USERS_MAX: usize = 1_000;
/// Characters of what is looked for among users.
pub const SEARCH_CHARS_MAX: usize = 200;
/// Characters of a cell, as Excel has them.
pub const CELL_CHARS_MAX: usize = 32_767;

/// Where an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Uploading,
    Checking,
    Ready,
    Committing,
    Committed,
    Cancelled,
    Failed,
    Expired,
}

impl State {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "UPLOADING",
            Self::Checking => "CHECKING",
            Self::Ready => "READY",
            Self::Committing => "COMMITTING",
            Self::Committed => "COMMITTED",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
        }
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub fn rests(self) -> bool {
        !matches!(self, Self::Uploading | Self::Checking | Self::Committing)
    }

    /// Whether it has rows to be seen.
    #[must_use]
    pub fn has_rows(self) -> bool {
        matches!(self, Self::Ready | Self::Committing | Self::Committed)
    }
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Valid,
    Invalid,
    Duplicate,
    Skipped,
}

impl Status {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
            Self::Skipped => "skipped",
        }
    }
}

/// What comes of a row, as the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Insert,
    Update,
    Unchanged,
    Conflict,
}

/// What comes of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub insert: u32,
    pub update: u32,
    pub unchanged: u32,
    pub conflict: u32,
}

impl Plan {
    /// Counts one.
    pub fn add(&mut self, action: Action) {
        *self.of(action) += 1;
    }

    fn remove(&mut self, action: Action) {
        let count = self.of(action);
        *count = count.saturating_sub(1);
    }

    fn of(&mut self, action: Action) -> &mut u32 {
        match action {
            Action::Insert => &mut self.insert,
            Action::Update => &mut self.update,
            Action::Unchanged => &mut self.unchanged,
            Action::Conflict => &mut self.conflict,
        }
    }

    /// Rows that are in the store after it.
    #[must_use]
    pub fn stored(&self) -> u32 {
        self.insert + self.update + self.unchanged
    }
}

/// Some columns of a kind, by their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns(u8);

impl Columns {
    /// With this one, too.
    #[must_use]
    pub fn and(self, column: usize) -> Self {
        Self(self.0 | 1_u8.checked_shl(u32::try_from(column).unwrap_or(u32::MAX)).unwrap_or(0))
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The places.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |column| self.0 & (1 << column) != 0)
    }
}

/// What is wrong with a row, without words: those are found again when somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub field: &'static str,
    pub reason: &'static str,
    pub warning: bool,
}

/// A row of a file.
#[derive(Clone, Debug)]
pub struct Row {
    /// As Excel counts.
    pub number: u32,
    /// One for each column of the file.
    pub cells: Packed,
    /// One for each column of the kind, as they would be stored; empty where there is none.
    pub values: Packed,
    /// Of its own cells.
    pub faults: Box<[Fault]>,
    /// In which columns other rows have the same.
    pub twins: Columns,
    /// In which columns somebody else in the store has the same.
    pub taken: Columns,
    pub action: Option<Action>,
    pub skipped: bool,
    pub changed: bool,
}

/// What a row takes beside its texts and faults: with its place among all, and what the allocator adds.
const ROW_BYTES: usize = size_of::<Row>() + 40;
/// What it takes in [`super::twins::Twins`], for each column that may not be twice.
const TWIN_BYTES: usize = 48;

impl Row {
    /// A row that was checked.
    #[must_use]
    pub fn new(kind: Kind, number: u32, cells: Packed, checked: &Checked) -> Self {
        let texts = checked.values.iter().map(|value| value.as_deref().unwrap_or_default());
        let fault = |warning: bool| {
            move |bad: &crate::error::Violation| Fault {
                field: kind.field(&bad.field),
                reason: bad.reason,
                warning,
            }
        };
        let bad = checked.findings.violations.iter().map(fault(false));
        let faults = bad.chain(checked.findings.warnings.iter().map(fault(true)));
        Self {
            number,
            cells,
            values: Packed::new(texts.map(Cell::text)),
            faults: faults.collect(),
            twins: Columns::default(),
            taken: Columns::default(),
            action: None,
            skipped: false,
            changed: false,
        }
    }

    /// What it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let faults = size_of_val(&*self.faults) + if self.faults.is_empty() { 0 } else { 16 };
        ROW_BYTES + 3 * TWIN_BYTES + self.cells.bytes() + self.values.bytes() + faults
    }

    /// Whether it could be stored, if nobody in the store has what it has.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.skipped && self.twins.is_empty() && self.faults.iter().all(|fault| fault.warning)
    }

    /// What it is.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.skipped {
            Status::Skipped
        } else if self.faults.iter().any(|fault| !fault.warning) {
            Status::Invalid
        } else if !self.twins.is_empty() {
            Status::Duplicate
        } else if !self.taken.is_empty() {
            Status::Invalid
        } else {
            Status::Valid
        }
    }

    /// Whether it is valid, and has something to look at.
    #[must_use]
    pub fn is_warned(&self) -> bool {
        self.status() == Status::Valid && !self.faults.is_empty()
    }

    /// All that is wrong with it.
    pub fn all_faults(&self, kind: Kind) -> impl Iterator<Item = Fault> {
        let of = move |columns: Columns, reason: &'static str| {
            let fields = columns.iter().filter_map(move |column| kind.columns().get(column));
            fields.map(move |column| Fault { field: column.field, reason, warning: false })
        };
        let own = self.faults.iter().copied();
        own.chain(of(self.twins, reasons::DUPLICATE_IN_FILE)).chain(of(self.taken, reasons::TAKEN))
    }

    /// The value of a column; empty where there is none.
    #[must_use]
    pub fn value(&self, column: usize) -> &str {
        self.values.iter().nth(column).map_or("", |cell| cell.text)
    }
}

/// Rows by what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub total: u32,
    pub valid: u32,
    pub invalid: u32,
    pub duplicate: u32,
    pub skipped: u32,
    pub warned: u32,
    pub faults: BTreeMap<Fault, u32>,
    pub plan: Plan,
}

impl Counts {
    /// Counts a row.
    pub fn add(&mut self, kind: Kind, row: &Row) {
        self.total += 1;
        *self.of(row.status()) += 1;
        self.warned += u32::from(row.is_warned());
        for fault in row.all_faults(kind) {
            *self.faults.entry(fault).or_default() += 1;
        }
        if let Some(action) = row.action.filter(|_| row.is_sound()) {
            self.plan.add(action);
        }
    }

    /// Counts it no longer, before it changes.
    pub fn remove(&mut self, kind: Kind, row: &Row) {
        self.total = self.total.saturating_sub(1);
        let count = self.of(row.status());
        *count = count.saturating_sub(1);
        self.warned = self.warned.saturating_sub(u32::from(row.is_warned()));
        for fault in row.all_faults(kind) {
            if let Some(count) = self.faults.get_mut(&fault) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.faults.remove(&fault);
                }
            }
        }
        if let Some(action) = row.action.filter(|_| row.is_sound()) {
            self.plan.remove(action);
        }
    }

    fn of(&mut self, status: Status) -> &mut u32 {
        match status {
            Status::Valid => &mut self.valid,
            Status::Invalid => &mut self.invalid,
            Status::Duplicate => &mut self.duplicate,
            Status::Skipped => &mut self.skipped,
        }
    }

    /// Rows that keep [`Mode::AllOrNothing`] from being done: those that were left out by hand do not.
    #[must_use]
    pub fn bad(&self) -> u32 {
        self.invalid + self.duplicate
    }
}

/// What is known of an import that is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub id: Uuid,
    pub kind: Kind,
    pub region: String,
    pub created_at: DateTime<Utc>,
    pub committed_at: DateTime<Utc>,
    pub total: u32,
    pub left_out: u32,
    pub result: Plan,
}

/// Whether to store something if not all can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    AllOrNothing,
    ValidOnly,
}

/// Which rows to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowFilter {
    pub status: Option<StatusFilter>,
    /// What is wrong with them; `None`: anything, or nothing.
    pub reason: Option<String>,
}

/// What rows are that are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    Is(Status),
    Warned,
}

impl RowFilter {
    /// Whether to list a row.
    #[must_use]
    pub fn wants(&self, kind: Kind, row: &Row) -> bool {
        let status = match self.status {
            None => true,
            Some(StatusFilter::Is(status)) => row.status() == status,
            Some(StatusFilter::Warned) => row.is_warned(),
        };
        let reason = self.reason.as_deref();
        status && reason.is_none_or(|reason| row.all_faults(kind).any(|f| f.reason == reason))
    }
}

/// Half of a keyed hash of what a user has: by this the store is asked, not by what it is.
pub type Hash = [u8; 16];

/// Makes these hashes. The key is made of the secret of the service.
#[derive(Clone)]
pub struct Hashes(pub [u8; 32]);

impl std::fmt::Debug for Hashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashes")
    }
}

impl Hashes {
    /// The hash of a value of a column.
    #[must_use]
    pub fn of(&self, team: TeamId, field: &str, value: &str) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&team.0.to_be_bytes());
        hasher.update(field.as_bytes());
        hasher.update(&[0]);
        hasher.update(value.as_bytes());
        let mut hash = Hash::default();
        hasher.finalize_xof().fill(&mut hash);
        hash
    }
}

/// Somebody who was imported.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub id: Uuid,
    pub names: String,
    pub nid: String,
    pub phone: String,
    pub gender: String,
    pub email: String,
    pub import: Uuid,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl std::fmt::Debug for User {
    /// Says nothing of who it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Checks the cells of a row of a file, one for each of its columns.
#[must_use]
pub fn check_row(
    kind: Kind,
    places: &[Option<usize>],
    cells: &[Cell<'_>],
    rules: &Rules,
) -> Checked {
    let cell = |place: &Option<usize>| place.and_then(|place| cells.get(place)).copied();
    kind.check(places.iter().map(|place| cell(place).unwrap_or(Cell::EMPTY)), rules)
}
