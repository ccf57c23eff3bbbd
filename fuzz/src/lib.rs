//! What the targets share: columns, and a sink that holds what it gets against what it may get.

use std::sync::Once;

use tap_analytics::{
    error::Error,
    imports::{
        cells::Cell,
        kind::{Column, Findings, Rules},
        sheet::{self, Head, Sink, Source},
    },
};

fn check(_: Cell<'_>, _: &Rules, _: &mut Findings) -> Option<String> {
    None
}

const fn column(field: &'static str, aliases: &'static [&'static str], required: bool) -> Column {
    Column { field, aliases, required, unique: false, check }
}

/// As those of users.
pub const COLUMNS: &[Column] = &[
    column("a", &["Name", "Prénom"], true),
    column("b", &["1"], true),
    column("c", &[], false),
];

/// Memory that a file may take.
const NEED_MAX: usize = 256 << 20;

#[derive(Default)]
struct Held {
    needed: usize,
    width: usize,
    number: u32,
}

impl Sink for Held {
    fn need(&mut self, bytes: usize) -> Result<(), Error> {
        self.needed += bytes;
        if self.needed > NEED_MAX { Err(Error::Invalid(Vec::new())) } else { Ok(()) }
    }

    fn head(&mut self, head: Head) -> Result<(), Error> {
        assert!(head.columns.len() <= 200 && head.columns.is_sorted_by(|a, b| a.place < b.place));
        (self.width, self.number) = (head.columns.len(), head.row);
        Ok(())
    }

    fn row(&mut self, number: u32, cells: &[Cell<'_>]) -> Result<(), Error> {
        assert!(cells.len() == self.width && number > self.number && number <= 1_048_576);
        assert!(cells.iter().any(|cell| !cell.is_empty()));
        self.number = number;
        Ok(())
    }

    fn progress(&mut self, done: f64) {
        assert!((0.0..=1.0).contains(&done));
    }
}

/// Reads a file. A crate may panic within, which is caught; whatever is not caught ends the run.
pub fn read(bytes: &[u8]) {
    static QUIET: Once = Once::new();
    // The hook of libFuzzer ends the run at once.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let source = Source { bytes, filename: "", sheet: None };
    let _ = sheet::read(source, COLUMNS, &mut Held::default());
}
