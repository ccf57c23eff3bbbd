//! What can be imported. A kind is a list of columns, each with a rule.

use chrono::{DateTime, Utc};

use super::{
    cells::Cell,
    people::{self, Region},
    tag_rules,
};
use crate::error::Violation;

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Kind {
    /// People.
    Users,
    /// Tags.
    Tags,
}

/// A column of a kind.
#[derive(Debug)]
pub struct Column {
    /// As violations and changes name it.
    pub field: &'static str,
    /// What else it may be called in a file, beside its field: compared by [`folded`](super::sheet::header::folded).
    pub aliases: &'static [&'static str],
    /// Whether a file without it is refused.
    pub required: bool,
    /// Whether no two rows may have the same.
    pub unique: bool,
    /// Checks a cell, which may be empty: the value as it is stored, and what is wrong with it. `None` without a
    /// violation: there is none, or what is so by default.
    pub check: fn(Cell<'_>, &Rules, &mut Findings) -> Option<String>,
}

/// What the rules depend on, beside the cell.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub region: Region,
    pub now: DateTime<Utc>,
}

/// What was found in a row.
#[derive(Debug, Default)]
pub struct Findings {
    /// What keeps the row from being stored.
    pub violations: Vec<Violation>,
    /// What does not.
    pub warnings: Vec<Violation>,
}

impl Findings {
    /// Notes what is bad.
    pub fn bad(&mut self, field: &str, reason: &'static str, description: impl Into<String>) {
        self.violations.push(Violation::new(field, reason, description));
    }

    /// Notes what should be looked at.
    pub fn warn(&mut self, field: &str, reason: &'static str, description: impl Into<String>) {
        self.warnings.push(Violation::new(field, reason, description));
    }
}

/// A row that was checked.
#[derive(Default)]
pub struct Checked {
    /// One for each column of the kind; `None`: there is none, or it is bad.
    pub values: Vec<Option<String>>,
    pub findings: Findings,
}
says_nothing!(Checked);

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Users, Self::Tags];

    /// As stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Tags => "tags",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Its columns.
    #[must_use]
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Users => people::COLUMNS,
            Self::Tags => tag_rules::COLUMNS,
        }
    }

    /// The field of this name; of its first column, when there is none.
    #[must_use]
    pub fn field(self, name: &str) -> &'static str {
        let found = self.columns().iter().find(|column| column.field == name);
        found.or(self.columns().first()).map_or("", |column| column.field)
    }

    /// The place of the column of this field.
    #[must_use]
    pub fn place(self, field: &str) -> Option<usize> {
        self.columns().iter().position(|column| column.field == field)
    }

    /// The places of columns that no two rows may have the same in.
    pub fn unique(self) -> impl Iterator<Item = usize> {
        let columns = self.columns().iter().enumerate();
        columns.filter(|(_, column)| column.unique).map(|(place, _)| place)
    }

    /// Checks the cells of a row, one for each column of the kind.
    #[must_use]
    pub fn check<'a>(self, cells: impl IntoIterator<Item = Cell<'a>>, rules: &Rules) -> Checked {
        let mut checked = Checked::default();
        for (column, cell) in self.columns().iter().zip(cells) {
            let value = (column.check)(cell, rules, &mut checked.findings);
            checked.values.push(value);
        }
        if self == Self::Users {
            people::check_together(&mut checked, rules);
        }
        checked
    }
}
