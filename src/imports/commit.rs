//! Stores the rows of an import: all that are to be stored, in one transaction, once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedMutexGuard, Semaphore},
    time,
};
use uuid::Uuid;

use super::{
    compare::{Compare, Outcome},
    kind::Kind,
    model::{Action, Columns, Committed, Counts, Mode, Plan, Row, State},
    shelf::{Import, Rows, Shelf, not_found, wrong_state},
    store::{self, NewUser},
    tag_rows,
    twins::Twins,
};
use crate::{
    clock::Clock,
    db::{Db, Write},
    error::Error,
    etag::{Expected, etag_mismatch},
    ids::{KeyId, TeamId},
    memory,
    proto::tap_v1::CommitImportResponse,
    reasons,
    requests::{self, Once},
    tags::registry::{Merged, Registry},
};

/// Commits that are under way at a time, of all teams.
pub const AT_A_TIME: usize = 2;
/// How long one may wait for others of other teams.
const SLOT_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows that are stored by one statement.
const BATCH: usize = 5_000;
/// How often, and how many times more, to look whether an import is stored when its commit was cut off.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
const LOOKS: u32 = 20;

/// Stores imports.
#[derive(Clone, Debug)]
pub struct Committer {
    pub shelf: Shelf,
    pub compare: Compare,
    /// Connections of its own: it takes long.
    pub db: Db,
    pub tags: Registry,
    pub clock: Clock,
    /// Users that a team may have.
    pub users_max: i64,
    pub turns: Arc<Semaphore>,
}

/// How to commit which import.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub team: TeamId,
    pub import: Uuid,
    pub mode: Mode,
    pub expected: Expected,
    /// By which key; `None`: by the command line.
    pub key: Option<KeyId>,
    pub once: Option<Once>,
}

/// What came of it, or would come.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// What is held of it; `None` when it is known from the store only.
    pub import: Option<Arc<Import>>,
    pub committed: Committed,
}

impl Committer {
    /// Counts what would come of it.
    ///
    /// # Errors
    /// As [`Committer::commit`].
    pub async fn plan(&self, wanted: Wanted) -> Result<Outcomes, Error> {
        let Some(import) = self.shelf.get(wanted.team, wanted.import) else {
            return self.stored(wanted).await;
        };
        let _turn = Arc::clone(&import.turn).lock_owned().await;
        if let Some(committed) = ready(&import, wanted.expected)? {
            return Ok(Outcomes { import: Some(import), committed });
        }
        let sound = Sound::of(&import);
        let Sound { total, bad, .. } = sound;
        let outcomes = self.compare.planned(wanted.team, import.new.kind, &sound.rows()).await?;
        let mut result = Plan::default();
        for outcome in &outcomes {
            result.add(outcome.action);
        }
        refuse_bad(wanted.mode, bad, result)?;
        let committed = self.committed(&import, total, result);
        Ok(Outcomes { import: Some(import), committed })
    }

    /// Stores it. It goes on when the caller goes away, and holds the turn of the team until it has ended.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::FailedPrecondition`], [`Error::Aborted`], [`Error::LimitReached`],
    /// [`Error::AlreadyExists`]; as [`crate::db::query`].
    pub async fn commit(
        &self,
        wanted: Wanted,
        of_team: impl Send + 'static,
    ) -> Result<Outcomes, Error> {
        let Some(import) = self.shelf.get(wanted.team, wanted.import) else {
            return self.stored(wanted).await;
        };
        let turn = Arc::clone(&import.turn).lock_owned().await;
        if let Some(committed) = ready(&import, wanted.expected)? {
            return Ok(Outcomes { import: Some(import), committed });
        }
        let slot = Arc::clone(&self.turns).acquire_owned();
        let slot = time::timeout(SLOT_TIMEOUT, slot).await.map_err(|_| Error::Busy)?;
        let slot = slot.map_err(Error::internal)?;
        let sound = Sound::of(&import);
        refuse_bad(wanted.mode, sound.bad, Plan::default())?;
        let going = import.change(|held| {
            let ready = held.state == State::Ready;
            if ready {
                (held.state, held.progress) = (State::Committing, 0.0);
            }
            ready
        });
        if !going {
            return Err(wrong_state(import.held().state, "it was given up"));
        }
        let committer = self.clone();
        let work = tokio::spawn(async move {
            let _turns = (slot, of_team);
            committer.run(import, wanted, sound, turn).await
        });
        work.await.map_err(Error::internal)?
    }

    async fn run(
        self,
        import: Arc<Import>,
        wanted: Wanted,
        sound: Sound,
        _turn: OwnedMutexGuard<()>,
    ) -> Result<Outcomes, Error> {
        // Whatever ends it, it does not stay in between.
        let back = BackToReady(&import);
        let Stored { committed, outcomes } = self.store(&import, wanted, &sound).await?;
        let kind = import.new.kind;
        import.change(|held| {
            (held.state, held.progress) = (State::Committed, 1.0);
            held.committed = Some(committed.clone());
            let outcomes: HashMap<u32, Outcome> =
                sound.rows().iter().map(|row| row.number).zip(outcomes).collect();
            let conflicts = |row: &Row| {
                outcomes.get(&row.number).is_none_or(|outcome| outcome.action == Action::Conflict)
            };
            let rows = Arc::make_mut(&mut held.rows);
            // What was left out can still be looked at.
            rows.retain(|row| conflicts(row));
            rows.shrink_to_fit();
            for row in rows {
                let Some(outcome) = outcomes.get(&row.number) else { continue };
                held.counts.remove(kind, row);
                let row = Arc::make_mut(row);
                (row.action, row.taken) = (Some(outcome.action), outcome.taken);
                held.counts.add(kind, row);
            }
            held.twins = Twins::default();
            held.settle();
        });
        drop(sound);
        drop(back);
        tokio::task::spawn_blocking(memory::give_back);
        metrics::counter!("tap_import_rows_total", "status" => "committed")
            .increment(committed.result.stored().into());
        Ok(Outcomes { import: Some(import), committed })
    }

    /// The transaction.
    async fn store(&self, import: &Import, wanted: Wanted, sound: &Sound) -> Result<Stored, Error> {
        let team = wanted.team;
        let write = self.db.team_write(team).await?;
        let mut changed = None;
        let work = async || {
            write.take_longer().await?;
            let users = store::lock_book(&write, team).await?;
            // Nobody knows how an attempt ended that was cut off: it may have been in time.
            if store::get_import(&write, team, import.id).await?.is_some() {
                return Ok(CommitImportResponse::default());
            }
            let written = self.write(&write, import, sound, users).await?;
            let mut result = Plan::default();
            for outcome in &written.outcomes {
                result.add(outcome.action);
            }
            refuse_bad(wanted.mode, sound.bad, result)?;
            let committed = self.committed(import, sound.total, result);
            store::insert_import(&write, team, wanted.key, &committed).await?;
            changed = Some((committed, written));
            Ok(CommitImportResponse::default())
        };
        let done = requests::once(wanted.once, &write, work).await;
        let may_be_stored = done.is_ok();
        let ended = write.end(done).await;
        let (committed, written) = match (ended, changed) {
            (Ok(_), Some(changed)) => changed,
            // It was stored by an attempt before this.
            (Ok(_), None) => {
                return self.find_out(import, wanted, sound).await?.ok_or_else(not_found);
            }
            // Nobody knows whether it is.
            (Err(error), _) if may_be_stored => {
                return self.find_out(import, wanted, sound).await?.ok_or(error);
            }
            (Err(error), _) => return Err(error),
        };
        self.tags.show(team, written.tags_revision).await;
        Ok(Stored { committed, outcomes: written.outcomes })
    }

    /// What came of a commit of which nobody knows how it ended; `None`: nothing.
    async fn find_out(
        &self,
        import: &Import,
        wanted: Wanted,
        sound: &Sound,
    ) -> Result<Option<Stored>, Error> {
        let mut looks = 0;
        let committed = loop {
            match self.stored(wanted).await {
                Ok(Outcomes { committed, .. }) => break committed,
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(error) if looks == LOOKS => return Err(error),
                Err(_) => looks += 1,
            }
            time::sleep(LOOK_INTERVAL).await;
        };
        // Now they are there as they are, but for those that could not be stored.
        let outcomes = self.compare.planned(wanted.team, import.new.kind, &sound.rows()).await?;
        Ok(Some(Stored { committed, outcomes }))
    }

    /// Stores rows, whatever they are of.
    async fn write(
        &self,
        write: &Write,
        import: &Import,
        sound: &Sound,
        users: i64,
    ) -> Result<Written, Error> {
        let (rows, now) = (sound.rows(), self.clock.now());
        match import.new.kind {
            Kind::Users => {
                let outcomes = self.compare.users(write, import.team, &rows).await?;
                self.write_users(write, import, users, &rows, &outcomes).await?;
                Ok(Written { outcomes, tags_revision: None })
            }
            Kind::Tags => {
                let tags: Vec<_> = rows.iter().map(|row| tag_rows::merge(row, now)).collect();
                let (merged, tags_revision) = self.tags.merge(write, import.team, &tags).await?;
                let outcomes = merged.into_iter().map(of_tag).collect();
                Ok(Written { outcomes, tags_revision })
            }
        }
    }

    async fn write_users(
        &self,
        write: &Write,
        import: &Import,
        users: i64,
        rows: &[&Row],
        outcomes: &[Outcome],
    ) -> Result<(), Error> {
        let (team, now) = (import.team, self.clock.now());
        let (mut fresh, mut changed) = (Vec::new(), Vec::new());
        for (row, outcome) in rows.iter().zip(outcomes) {
            match (outcome.action, outcome.user) {
                (Action::Insert, _) => fresh.push((row, Uuid::now_v7())),
                (Action::Update, Some(user)) => changed.push((row, user)),
                _ => {}
            }
        }
        let more = i64::try_from(fresh.len()).map_err(Error::internal)?;
        if more > 0 && users + more > self.users_max {
            return Err(self.too_many_users());
        }
        write.plan_once().await?;
        let all = (fresh.len() + changed.len()).max(1);
        let mut done = 0;
        for (rows, new) in [(&changed, false), (&fresh, true)] {
            for batch in rows.chunks(BATCH) {
                let batch: Vec<NewUser<'_>> =
                    batch.iter().map(|(row, id)| self.new_user(team, row, *id)).collect();
                if new {
                    store::insert_users(write, team, import.id, now, &batch).await?;
                } else {
                    store::update_users(write, team, import.id, now, &batch).await?;
                }
                done += batch.len();
                #[expect(clippy::cast_precision_loss, reason = "a part of one")]
                import.change(|held| held.progress = done as f64 / all as f64);
            }
        }
        store::count_users(write, team, more).await
    }

    fn new_user<'a>(&self, team: TeamId, row: &'a Row, id: Uuid) -> NewUser<'a> {
        let mut values = [""; 5];
        for (value, cell) in values.iter_mut().zip(row.values.iter()) {
            *value = cell.text;
        }
        NewUser { id, values, hashes: self.compare.hashes_of(team, row) }
    }

    fn committed(&self, import: &Import, total: u32, result: Plan) -> Committed {
        Committed {
            id: import.id,
            kind: import.new.kind,
            region: import.new.region.as_str().to_owned(),
            created_at: import.created_at,
            committed_at: self.clock.now(),
            total,
            left_out: total.saturating_sub(result.stored()),
            result,
        }
    }

    /// What the store knows of an import that is not held here.
    async fn stored(&self, wanted: Wanted) -> Result<Outcomes, Error> {
        let read = self.compare.db.team(wanted.team).await?;
        let found = store::get_import(&read, wanted.team, wanted.import).await;
        let ended = read.end().await;
        let committed = found?.ok_or_else(not_found)?;
        ended.map(|()| Outcomes { import: None, committed })
    }

    fn too_many_users(&self) -> Error {
        Error::LimitReached {
            reason: reasons::USER_LIMIT,
            message: format!(
                "a team may have {} users: delete some, or ask whoever runs the service for more",
                self.users_max
            ),
        }
    }
}

/// What came of a commit: of it, and of each row that is sound.
struct Stored {
    committed: Committed,
    outcomes: Vec<Outcome>,
}

/// What a transaction has written.
struct Written {
    outcomes: Vec<Outcome>,
    /// The state that tags are in, where they have changed.
    tags_revision: Option<i64>,
}

/// Rows that are to be stored, if nobody in the store has what they have.
#[derive(Debug)]
struct Sound {
    /// Of the file, sound or not.
    all: Rows,
    total: u32,
    /// Rows that are neither sound nor left out by hand.
    bad: u32,
}

impl Sound {
    fn of(import: &Import) -> Self {
        let held = import.held();
        let all = Arc::clone(&held.rows);
        let Counts { total, skipped, .. } = held.counts;
        let sound = all.iter().filter(|row| row.is_sound()).count();
        let sound = u32::try_from(sound).unwrap_or(u32::MAX);
        Self { all, total, bad: total.saturating_sub(skipped).saturating_sub(sound) }
    }

    fn rows(&self) -> Vec<&Row> {
        self.all.iter().map(AsRef::as_ref).filter(|row: &&Row| row.is_sound()).collect()
    }
}

/// Whether it can be stored now; if it is stored already, what came of it.
fn ready(import: &Import, expected: Expected) -> Result<Option<Committed>, Error> {
    let held = import.held();
    match held.state {
        State::Committed => Ok(held.committed.clone()),
        State::Ready if !expected.allows(held.version) => Err(etag_mismatch("import")),
        State::Ready => Ok(None),
        state => Err(wrong_state(state, "only one that is READY can be committed")),
    }
}

fn refuse_bad(mode: Mode, bad: u32, result: Plan) -> Result<(), Error> {
    let bad = bad + result.conflict;
    if mode == Mode::ValidOnly || bad == 0 {
        return Ok(());
    }
    let rows = if bad == 1 { "1 row is bad".to_owned() } else { format!("{bad} rows are bad") };
    Err(Error::FailedPrecondition {
        reason: reasons::IMPORT_BAD_ROWS,
        message: format!(
            "{rows}, and all have to be good: mend them or leave them out, or commit with VALID_ONLY"
        ),
    })
}

fn of_tag(merged: Merged) -> Outcome {
    let action = match merged {
        Merged::Made => Action::Insert,
        Merged::Changed => Action::Update,
        Merged::Unchanged => Action::Unchanged,
    };
    Outcome { action, taken: Columns::default(), user: None }
}

/// Lets an import be READY again when its commit did not end well.
struct BackToReady<'a>(&'a Import);

impl Drop for BackToReady<'_> {
    fn drop(&mut self) {
        self.0.change(|held| {
            if held.state == State::Committing {
                (held.state, held.progress) = (State::Ready, 1.0);
            }
        });
    }
}
