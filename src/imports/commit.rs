//! Stores the rows of an import: all that are to be stored, in one transaction, once.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedMutexGuard, Semaphore};
use uuid::Uuid;

use super::{
    compare::{Compare, Outcome},
    kind::Kind,
    model::{Action, Committed, Counts, Mode, Plan, Row, State},
    shelf::{Import, Shelf, not_found, wrong_state},
    store::{self, NewUser},
    tag_rows,
    twins::Twins,
};
use crate::{
    clock::Clock,
    db::{Db, TeamRead, Write},
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
/// Rows that are stored by one statement.
const BATCH: usize = 5_000;

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
        let read = self.compare.db.team(wanted.team).await?;
        let kind = import.new.kind;
        let outcomes = self.compare.in_batches(&read, wanted.team, kind, &sound.rows()).await;
        let ended = read.end().await;
        let result = planned(&outcomes?);
        ended?;
        refuse_bad(wanted.mode, bad, result)?;
        let committed = self.committed(&import, total, result);
        Ok(Outcomes { import: Some(import), committed })
    }

    /// Stores it. It goes on when the caller goes away.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::FailedPrecondition`], [`Error::Aborted`], [`Error::LimitReached`],
    /// [`Error::AlreadyExists`]; as [`crate::db::query`].
    pub async fn commit(&self, wanted: Wanted) -> Result<Outcomes, Error> {
        let Some(import) = self.shelf.get(wanted.team, wanted.import) else {
            return self.stored(wanted).await;
        };
        let turn = Arc::clone(&import.turn).lock_owned().await;
        if let Some(committed) = ready(&import, wanted.expected)? {
            return Ok(Outcomes { import: Some(import), committed });
        }
        let slot = Arc::clone(&self.turns).acquire_owned().await.map_err(Error::internal)?;
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
            let _slot = slot;
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
        let (stored, committed) = self.store(&import, wanted, &sound).await?;
        drop(sound);
        import.change(|held| {
            (held.state, held.progress) = (State::Committed, 1.0);
            held.committed = Some(committed.clone());
            // What was left out can still be looked at.
            Arc::make_mut(&mut held.rows).retain(|row| !stored.contains(&row.number));
            Arc::make_mut(&mut held.rows).shrink_to_fit();
            held.twins = Twins::default();
            held.settle();
        });
        drop(back);
        tokio::task::spawn_blocking(memory::give_back);
        metrics::counter!("tap_import_rows_total", "status" => "committed")
            .increment(committed.result.stored().into());
        Ok(Outcomes { import: Some(import), committed })
    }

    /// The transaction. Returns the numbers of the rows that are stored.
    async fn store(
        &self,
        import: &Import,
        wanted: Wanted,
        sound: &Sound,
    ) -> Result<(HashSet<u32>, Committed), Error> {
        let Wanted { team, key, mode, .. } = wanted;
        let write = self.db.team_write(team).await?;
        let mut stored = HashSet::new();
        let (mut done, mut revision) = (None, None);
        let committed = async {
            let work = async || {
                write.take_longer().await?;
                let users = store::lock_book(&write, team).await?;
                // Nobody knows how an attempt ended that was cut off: it may have been in time.
                if store::get_import(&write, team, import.id).await?.is_some() {
                    return Ok(CommitImportResponse::default());
                }
                let now = self.clock.now();
                let result = match import.new.kind {
                    Kind::Users => {
                        self.store_users(&write, import, sound, users, now, &mut stored).await?
                    }
                    Kind::Tags => {
                        let rows = sound.rows();
                        let tags: Vec<_> =
                            rows.iter().map(|row| tag_rows::merge(row, now)).collect();
                        let (merged, changed) = self.tags.merge(&write, team, &tags).await?;
                        revision = changed;
                        stored.extend(rows.iter().map(|row| row.number));
                        merged.into_iter().fold(Plan::default(), with_tag)
                    }
                };
                refuse_bad(mode, sound.bad, result)?;
                let committed = self.committed(import, sound.total, result);
                store::insert_import(&write, team, key, &committed).await?;
                done = Some(committed);
                Ok(CommitImportResponse::default())
            };
            requests::once(wanted.once, &write, work).await?;
            if let Some(committed) = done {
                return Ok(committed);
            }
            stored.extend(sound.rows().iter().map(|row| row.number));
            store::get_import(&write, team, import.id).await?.ok_or_else(not_found)
        };
        let committed = committed.await;
        let committed = write.end(committed).await?;
        self.tags.show(team, revision).await;
        Ok((stored, committed))
    }

    async fn store_users(
        &self,
        write: &Write,
        import: &Import,
        sound: &Sound,
        users: i64,
        now: DateTime<Utc>,
        stored: &mut HashSet<u32>,
    ) -> Result<Plan, Error> {
        let team = import.team;
        let mut result = Plan::default();
        let read: &TeamRead = write;
        let rows = sound.rows();
        let outcomes = self.compare.in_batches(read, team, Kind::Users, &rows).await?;
        let (mut fresh, mut changed) = (Vec::new(), Vec::new());
        for (row, outcome) in rows.iter().zip(&outcomes) {
            result.add(outcome.action);
            if outcome.action != Action::Conflict {
                stored.insert(row.number);
            }
            match (outcome.action, outcome.user) {
                (Action::Insert, _) => fresh.push((row, Uuid::now_v7())),
                (Action::Update, Some(user)) => changed.push((row, user)),
                _ => {}
            }
        }
        let more = i64::from(result.insert);
        if users + more > self.users_max {
            return Err(self.too_many_users());
        }
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
        store::count_users(write, team, more).await?;
        Ok(result)
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

/// Rows that are to be stored, if nobody in the store has what they have.
#[derive(Debug)]
struct Sound {
    all: Arc<Vec<Row>>,
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
        self.all.iter().filter(|row| row.is_sound()).collect()
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

fn planned(outcomes: &[Outcome]) -> Plan {
    let mut plan = Plan::default();
    for outcome in outcomes {
        plan.add(outcome.action);
    }
    plan
}

fn with_tag(mut plan: Plan, merged: Merged) -> Plan {
    plan.add(match merged {
        Merged::Made => Action::Insert,
        Merged::Changed => Action::Update,
        Merged::Unchanged => Action::Unchanged,
    });
    plan
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
