//! One function for each statement of `sql/events/`.

pub mod errors;
pub mod events;
pub mod inbox;
pub mod setup;

use tokio_postgres::Row;

/// The entries of a page, as many as are not too large together.
#[derive(Clone, Debug)]
pub struct Found<T> {
    pub entries: Vec<T>,
    /// How many there are, were they not too large.
    pub found: usize,
}

impl<T> Found<T> {
    fn new(entries: Vec<T>, rows: &[Row]) -> Self {
        let found = rows.first().map_or(0, |row| row.get::<_, i64>("found"));
        Self { entries, found: usize::try_from(found).unwrap_or_default() }
    }
}

/// A text as a statement takes it where nothing is asked for.
fn text(asked: Option<&String>) -> Option<&str> {
    asked.map(String::as_str)
}
