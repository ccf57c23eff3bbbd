//! Checks a file that was uploaded: reads its rows, applies the rules to each, finds twins, and asks the store.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    budget::Reserved,
    cells::{Cell, Packed},
    compare::Compare,
    kind::Rules,
    model::{Counts, Row, State, check_row},
    sheet::{self, Head, Sink, Source, Unread},
    shelf::Import,
    twins::Twins,
    upload::File,
};
use crate::{
    clock::Clock,
    error::{Error, Violation},
    memory, reasons,
};

/// Files that are read at a time: each keeps a core busy.
const AT_A_TIME: usize = 2;
/// Memory is reserved in pieces of so many bytes.
const PIECE: usize = 1024 * 1024;
/// Reading is so much of the work; the rest is finding twins, and asking the store.
const READING: f64 = 0.9;

/// Checks files.
#[derive(Clone, Debug)]
pub struct Checker {
    pub compare: Compare,
    clock: Clock,
    turns: Arc<Semaphore>,
}

impl Checker {
    /// Checks against this.
    #[must_use]
    pub fn new(compare: Compare, clock: Clock) -> Self {
        Self { compare, clock, turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// Checks a file, in a state that is told to whoever watches. It ends READY or FAILED, if it was not ended before.
    pub async fn check(&self, import: Arc<Import>, file: File) {
        let checked = self.work(&import, file).await;
        // What was read, and is not held, is large.
        tokio::task::spawn_blocking(memory::give_back);
        match checked {
            Ok(()) => {}
            Err(Unread::File(errors)) => {
                import.end(State::Failed, errors);
            }
            Err(Unread::Stopped(error)) => {
                if !import.gone.is_cancelled() {
                    tracing::warn!(cause = error.log_text(), "an import could not be checked");
                    import.end(State::Failed, vec![because(&error)]);
                }
            }
        }
        let state = import.held().state.as_str();
        metrics::counter!("tap_imports_total", "state" => state).increment(1);
    }

    async fn work(&self, import: &Arc<Import>, file: File) -> Result<(), Unread> {
        let turn = tokio::select! {
            turn = Arc::clone(&self.turns).acquire_owned() => turn.map_err(Error::internal)?,
            () = import.gone.cancelled() => return Err(ended().into()),
        };
        let reading = Arc::clone(import);
        let read = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            read(&reading, file)
        });
        // What it says of the panic may have a cell in it.
        let panicked = |_| Error::internal(anyhow::anyhow!("the reader of files panicked"));
        let read = read.await.map_err(panicked)??;
        self.settle(import, read).await.map_err(Unread::Stopped)
    }

    /// Asks the store about rows, and shows them.
    async fn settle(&self, import: &Import, read: Read) -> Result<(), Error> {
        let Read { head, mut rows, twins, reserved } = read;
        self.compare.all(import, &mut rows).await?;
        let mut counts = Counts::default();
        for row in &rows {
            counts.add(import.new.kind, row);
        }
        for (status, count) in
            [("valid", counts.valid), ("invalid", counts.invalid), ("duplicate", counts.duplicate)]
        {
            metrics::counter!("tap_import_rows_total", "status" => status).increment(count.into());
        }
        import.change(|held| {
            if held.state != State::Checking {
                return Err(ended());
            }
            (held.head, held.twins, held.counts) = (Some(head), twins, counts);
            held.rows = Arc::new(rows.into_iter().map(Arc::new).collect());
            held.reserved = reserved;
            held.touched_at = self.clock.now();
            (held.state, held.progress) = (State::Ready, 1.0);
            held.settle();
            Ok(())
        })
    }
}

/// What was read.
struct Read {
    head: Head,
    rows: Vec<Row>,
    twins: Twins,
    /// What they take, and a little more.
    reserved: Reserved,
}

/// Reads the rows of a file, applies the rules, and finds twins.
fn read(import: &Import, file: File) -> Result<Read, Unread> {
    let kind = import.new.kind;
    let filename = import.held().filename.clone();
    let sheet = import.new.sheet.as_deref();
    let File { bytes, reserved } = file;
    let mut rows = Rows {
        import,
        budget: reserved,
        rules: import.rules(),
        places: Vec::new(),
        head: None,
        read: Vec::new(),
        reserved: 0,
        taken: 0,
    };
    let source = Source { bytes: &bytes, filename: &filename, sheet };
    sheet::read(source, kind.columns(), &mut rows)?;
    drop(bytes);
    let Rows { head, read: mut rows, mut budget, taken, .. } = rows;
    budget.shrink_to(taken);
    let head = head.ok_or_else(|| Error::internal(anyhow::anyhow!("rows without a head")))?;
    rows.sort_by_key(|row| row.number);
    let twins = Twins::of(kind, &mut rows);
    import.change(|held| held.progress = READING);
    Ok(Read { head, rows, twins, reserved: budget })
}

/// Takes rows as they are read.
struct Rows<'a> {
    import: &'a Import,
    /// What the file takes, and what is needed to read it.
    budget: Reserved,
    rules: Rules,
    /// For each column of the kind, its place among those of the file.
    places: Vec<Option<usize>>,
    head: Option<Head>,
    read: Vec<Row>,
    /// Bytes that are reserved for rows, and that they take.
    reserved: usize,
    taken: usize,
}

impl Sink for Rows<'_> {
    fn need(&mut self, bytes: usize) -> Result<(), Error> {
        if self.import.gone.is_cancelled() {
            return Err(ended());
        }
        self.budget.grow(bytes)
    }

    fn head(&mut self, head: Head) -> Result<(), Error> {
        self.places = self.import.places(&head);
        self.head = Some(head);
        Ok(())
    }

    fn row(&mut self, number: u32, cells: &[Cell<'_>]) -> Result<(), Error> {
        let kind = self.import.new.kind;
        let checked = check_row(kind, &self.places, cells, &self.rules);
        let row = Row::new(kind, number, Packed::new(cells.iter().copied()), &checked);
        self.taken += row.bytes();
        if self.taken > self.reserved {
            self.need(PIECE.max(row.bytes()))?;
            self.reserved += PIECE.max(row.bytes());
        }
        self.read.push(row);
        Ok(())
    }

    fn progress(&mut self, done: f64) {
        let total = u32::try_from(self.read.len()).unwrap_or(u32::MAX);
        self.import.change(|held| {
            held.progress = done.clamp(0.0, 1.0) * READING;
            held.counts.total = total;
        });
    }
}

fn ended() -> Error {
    Error::internal(anyhow::anyhow!("the import was ended while it was checked"))
}

/// Why an import has failed that has nothing wrong with it.
fn because(error: &Error) -> Violation {
    let reason = match error {
        Error::LimitReached { reason, .. } => reason,
        _ => reasons::IMPORT_INTERRUPTED,
    };
    let text = match error {
        Error::LimitReached { message, .. } => message.clone(),
        _ => "the service could not go on, or not ask the store: upload the file again".to_owned(),
    };
    Violation::new("file", reason, text)
}
