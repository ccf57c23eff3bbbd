//! Imports that are held: in memory, and nowhere else, for a time.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    budget::{Budget, Reserved},
    kind::{Kind, Rules},
    model::{Committed, Counts, Row, State},
    people::Region,
    sheet::Head,
    twins::Twins,
};
use crate::{
    clock::Clock,
    error::{Error, Violation},
    ids::TeamId,
    memory, reasons,
};

/// Imports of a team that are held: also those of which nothing is left but how they ended.
const TEAM_IMPORTS_MAX: usize = 100;
/// Bytes that are worth giving back.
const MUCH: usize = 4 * 1024 * 1024;

/// The imports of each team.
type Teams = HashMap<TeamId, HashMap<Uuid, Arc<Import>>>;

/// The imports that are held.
#[derive(Clone)]
pub struct Shelf {
    imports: Arc<Mutex<Teams>>,
    pub budget: Budget,
    pub clock: Clock,
    /// How long an import is held after somebody came for it.
    pub idle: TimeDelta,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// What is to be imported.
#[derive(Clone)]
pub struct New {
    pub kind: Kind,
    /// The sheet to read; `None`: the first one that has the columns.
    pub sheet: Option<String>,
    pub region: Region,
}

impl fmt::Debug for New {
    /// Without names, which may be about people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("New").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// An import.
pub struct Import {
    pub id: Uuid,
    pub team: TeamId,
    pub new: New,
    pub created_at: DateTime<Utc>,
    /// Cancelled when nothing of it is wanted any more.
    pub gone: CancellationToken,
    /// Changes with each change of it.
    pub changes: watch::Sender<()>,
    /// Held by whoever changes its rows, or stores them.
    pub turn: Arc<tokio::sync::Mutex<()>>,
    held: Mutex<Held>,
}

impl fmt::Debug for Import {
    /// Says nothing of what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is held of an import.
#[derive(Debug)]
pub struct Held {
    pub state: State,
    /// May be empty.
    pub filename: String,
    pub file_bytes: usize,
    /// Of the work of its state, from 0 to 1.
    pub progress: f64,
    pub head: Option<Head>,
    /// By number. Whoever looks at them, or stores them, has them, too.
    pub rows: Rows,
    pub twins: Twins,
    pub counts: Counts,
    /// Why it has failed.
    pub errors: Vec<Violation>,
    /// Raised with each change of a row.
    pub version: i32,
    pub committed: Option<Committed>,
    pub touched_at: DateTime<Utc>,
    /// What its rows take.
    pub reserved: Reserved,
}

/// Rows, of which a few are changed at a time.
pub type Rows = Arc<Vec<Arc<Row>>>;

impl Import {
    /// What is held of it now.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        // Whoever panicked here has left rows that were checked.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is held, and tells whoever watches.
    pub fn change<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        let changed = change(&mut self.held());
        self.changes.send_replace(());
        changed
    }

    /// By what its rows are checked.
    #[must_use]
    pub fn rules(&self) -> Rules {
        // At one time for all of them, whenever it is.
        Rules { region: self.new.region, now: self.created_at }
    }

    /// For each column of the kind, its place among those of the file.
    #[must_use]
    pub fn places(&self, head: &Head) -> Vec<Option<usize>> {
        let place = |column| head.columns.iter().position(|titled| titled.known == Some(column));
        (0..self.new.kind.columns().len()).map(place).collect()
    }

    /// Ends it in this state, and frees what is held of it. What has ended already stays so.
    pub fn end(&self, state: State, errors: Vec<Violation>) -> bool {
        let ended = self.change(|held| {
            let ends = match held.state {
                State::Uploading | State::Checking | State::Ready => true,
                // It was in time.
                State::Committing | State::Committed => false,
                State::Cancelled | State::Failed | State::Expired => state == State::Cancelled,
            };
            if !ends {
                return None;
            }
            held.state = state;
            held.errors = errors;
            held.progress = 0.0;
            (held.head, held.counts) = (None, Counts::default());
            held.twins = Twins::default();
            let bytes = held.reserved.bytes();
            held.reserved.shrink_to(0);
            Some((std::mem::take(&mut held.rows), bytes))
        });
        let Some((rows, bytes)) = ended else { return false };
        self.gone.cancel();
        drop(rows);
        if bytes > MUCH {
            tokio::task::spawn_blocking(memory::give_back);
        }
        true
    }
}

impl Held {
    /// Gives back what is reserved beyond what its rows take.
    pub fn settle(&mut self) {
        let bytes = self.rows.iter().map(|row| row.bytes()).sum();
        self.reserved.shrink_to(bytes);
    }
}

impl Shelf {
    /// Nothing is held.
    #[must_use]
    pub fn new(budget: Budget, clock: Clock, idle: TimeDelta) -> Self {
        Self { imports: Arc::default(), budget, clock, idle }
    }

    /// Begins an import.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the team has too many.
    pub fn begin(&self, team: TeamId, new: New, filename: String) -> Result<Arc<Import>, Error> {
        let now = self.clock.now();
        let held = Held {
            state: State::Uploading,
            filename,
            file_bytes: 0,
            progress: 0.0,
            head: None,
            rows: Arc::default(),
            twins: Twins::default(),
            counts: Counts::default(),
            errors: Vec::new(),
            version: 1,
            committed: None,
            touched_at: now,
            reserved: self.budget.open(team),
        };
        let import = Arc::new(Import {
            id: Uuid::now_v7(),
            team,
            new,
            created_at: now,
            gone: CancellationToken::new(),
            changes: watch::Sender::new(()),
            turn: Arc::default(),
            held: Mutex::new(held),
        });
        self.make_room(team);
        let mut imports = self.imports();
        let imports = imports.entry(team).or_default();
        if imports.len() >= TEAM_IMPORTS_MAX {
            let message = format!(
                "a team may have {TEAM_IMPORTS_MAX} imports under way: commit or cancel some of them"
            );
            return Err(Error::LimitReached { reason: reasons::IMPORT_LIMIT, message });
        }
        imports.insert(import.id, Arc::clone(&import));
        Ok(import)
    }

    /// An import of a team; `None` when it is not held here. Whoever asks for it wants it to be held on.
    #[must_use]
    pub fn get(&self, team: TeamId, id: Uuid) -> Option<Arc<Import>> {
        let import = self.imports().get(&team)?.get(&id).map(Arc::clone)?;
        import.held().touched_at = self.clock.now();
        Some(import)
    }

    /// All of a team, the newest first.
    #[must_use]
    pub fn list(&self, team: TeamId) -> Vec<Arc<Import>> {
        let imports = self.imports();
        let mut listed: Vec<_> = imports
            .get(&team)
            .into_iter()
            .flatten()
            .map(|(_, import)| Arc::clone(import))
            .collect();
        listed.sort_by_key(|import| std::cmp::Reverse((import.created_at, import.id)));
        listed
    }

    /// Forgets the oldest import of which nothing is left to do, where a team has as many as it may.
    fn make_room(&self, team: TeamId) {
        // Nobody waits for an import while all of them are locked.
        let listed = self.list(team);
        if listed.len() < TEAM_IMPORTS_MAX {
            return;
        }
        let over = |import: &&Arc<Import>| {
            let state = import.held().state;
            state.rests() && state != State::Ready
        };
        if let Some(oldest) = listed.iter().rev().find(over) {
            self.remove(oldest);
        }
    }

    /// Forgets an import.
    pub fn remove(&self, import: &Import) {
        let mut imports = self.imports();
        if let Some(of_team) = imports.get_mut(&import.team) {
            of_team.remove(&import.id);
            if of_team.is_empty() {
                imports.remove(&import.team);
            }
        }
    }

    /// Ends imports for which nobody came, and forgets those that have ended as long ago.
    pub fn expire(&self) {
        let late = self.clock.now() - self.idle;
        let all: Vec<Arc<Import>> =
            self.imports().values().flat_map(HashMap::values).map(Arc::clone).collect();
        for import in all {
            let state = {
                let held = import.held();
                if held.touched_at > late {
                    continue;
                }
                held.state
            };
            match state {
                State::Ready => {
                    import.held().touched_at = self.clock.now();
                    import.end(State::Expired, Vec::new());
                }
                State::Committed | State::Cancelled | State::Failed | State::Expired => {
                    self.remove(&import);
                }
                // Each has an end of its own.
                State::Uploading | State::Checking | State::Committing => {}
            }
        }
    }

    fn imports(&self) -> MutexGuard<'_, Teams> {
        // Nothing can be half done under the lock.
        self.imports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The team has no such import, or another replica has it.
#[must_use]
pub fn not_found() -> Error {
    Error::NotFound {
        reason: reasons::IMPORT_NOT_FOUND,
        message: "no such import: it may have been forgotten, as nobody came for it or the service was restarted; upload the file again".to_owned(),
    }
}

/// Not as the import is now.
#[must_use]
pub fn wrong_state(state: State, wanted: &str) -> Error {
    let state = state.as_str();
    Error::FailedPrecondition {
        reason: reasons::IMPORT_STATE,
        message: format!("this import is {state}: {wanted}"),
    }
}
