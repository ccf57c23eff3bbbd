//! Sends refused events again, patched: each once, whoever asks how often.
//!
//! The errors are marked and the events are taken in one transaction, so that either both are there or neither.

use std::{collections::HashMap, time::Instant};

use prost::Message;
use serde_json::Value;
use uuid::Uuid;

use super::{
    check::Draft,
    data,
    intake::Intake,
    model::{Application, BatchId, ErrorFilter, EventError},
    patch::Patch,
    settle::{JUDGE_FOR, conflict, off_the_runtime, too_slow},
    store::{errors, events, inbox::NewBatch},
    types::{Asked, Types},
};
use crate::{
    clock::Clock,
    db::{Db, Write},
    error::{Error, Violation},
    ids::TeamId,
    requests::{self, Once},
};

/// Bytes that are sent again at a time.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of what is wrong with them that are told at a time, unless a single one has more.
const TOLD_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Sends refused events again.
#[derive(Clone, Debug)]
pub struct Replayer {
    pub db: Db,
    pub clock: Clock,
    pub types: Types,
    pub intake: Intake,
}

/// Which refused events to send again, and how.
#[derive(Clone, Debug)]
pub struct Replay {
    pub filter: ErrorFilter,
    /// `None`: any.
    pub ids: Option<Vec<Uuid>>,
    pub patch: Patch,
    /// Check, and send nothing.
    pub validate_only: bool,
    pub limit: usize,
}

/// What becomes of refused events, the oldest first.
#[derive(Clone, Debug)]
pub struct Replays {
    pub outcomes: Vec<(Uuid, Outcome)>,
    /// How many more there are that could be sent.
    pub remaining: i64,
}

/// What becomes of a refused event.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was sent again, with this receipt.
    Sent(Uuid),
    /// It would be stored; or not, for these reasons.
    WouldBe(Result<(), Vec<Violation>>),
}

impl Outcome {
    /// Bytes of what is told of it.
    fn told_bytes(&self) -> usize {
        let Self::WouldBe(Err(wrong)) = self else { return 0 };
        wrong.iter().map(|wrong| wrong.field.len() + wrong.description.len()).sum()
    }
}

/// A refused event as it is sent again.
struct Patched {
    error: Uuid,
    application: Application,
    payload: Value,
}

impl Replayer {
    /// Sends refused events again, and keeps the answer under the id of the request if it has one.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; as [`crate::db::query`].
    pub async fn replay<A: Message + Default>(
        &self,
        team: TeamId,
        once: Option<Once>,
        replay: Replay,
        answer: impl FnOnce(Replays) -> A,
    ) -> Result<A, Error> {
        let write = self.db.team_write(team).await?;
        let mut sent = 0;
        let work = async || {
            let Replay { filter, ids, patch, validate_only, limit } = replay;
            let (ids, limit) = (ids.as_deref(), i64::try_from(limit).map_err(Error::internal)?);
            let open = errors::open_errors(&write, team, &filter, ids, limit).await?;
            let patched = off_the_runtime(move || patched(&open, &patch)).await??;
            // Before anything is taken: from then on others wait for the end of this.
            let all = errors::count_open_errors(&write, team, &filter, ids).await?;
            let outcomes = if validate_only {
                self.check(&write, team, patched).await?
            } else {
                sent = patched.len();
                self.send(&write, team, patched).await?
            };
            let remaining = all - i64::try_from(outcomes.len()).map_err(Error::internal)?;
            Ok(answer(Replays { outcomes, remaining }))
        };
        let done = requests::once(once, &write, work).await;
        let answer = write.end(done).await?;
        if sent > 0 {
            self.intake.taken(team, sent);
        }
        Ok(answer)
    }

    /// Each is of the application that sent it first: a batch for each of these.
    async fn send(
        &self,
        write: &Write,
        team: TeamId,
        patched: Vec<Patched>,
    ) -> Result<Vec<(Uuid, Outcome)>, Error> {
        let mut batches: Vec<(Application, Vec<Patched>)> = Vec::new();
        let order: Vec<Uuid> = patched.iter().map(|patched| patched.error).collect();
        for patched in patched {
            match batches.iter_mut().find(|(of, _)| *of == patched.application) {
                Some((_, batch)) => batch.push(patched),
                None => batches.push((patched.application.clone(), vec![patched])),
            }
        }
        let mut receipts = HashMap::with_capacity(order.len());
        let batches = batches.into_iter().map(|(application, patched)| {
            let id = BatchId::new();
            let errors: Vec<Uuid> = patched.iter().map(|patched| patched.error).collect();
            receipts.extend(errors.iter().enumerate().map(|(at, error)| (*error, id.receipt(at))));
            let payloads: Vec<Value> = patched.into_iter().map(|patched| patched.payload).collect();
            let payload = serde_json::to_string(&payloads).map_err(Error::internal)?;
            let (events, replay_of) = (payloads.len(), Some(errors));
            Ok(NewBatch { id, application, events, payload, replay_of })
        });
        let batches: Vec<NewBatch> = batches.collect::<Result<_, Error>>()?;
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let sent: Vec<(Uuid, Uuid)> =
            order.iter().filter_map(|error| Some((*error, *receipts.get(error)?))).collect();
        errors::mark_replayed(write, team, &sent).await?;
        self.intake.accept_in(write, team, &batches).await?;
        Ok(sent.into_iter().map(|(error, receipt)| (error, Outcome::Sent(receipt))).collect())
    }

    /// What would become of them: of as many as can be told of.
    async fn check(
        &self,
        write: &Write,
        team: TeamId,
        patched: Vec<Patched>,
    ) -> Result<Vec<(Uuid, Outcome)>, Error> {
        let now = self.clock.now();
        let mut asked = Asked::default();
        let mut ids = Vec::new();
        for patched in &patched {
            let draft = Draft::read(&patched.payload, now);
            asked.about(&draft);
            ids.extend(draft.event_id());
        }
        let facts = self.types.facts(write, team, &asked).await?;
        let there = events::find_events(write, team, &ids).await?;
        let mut there: HashMap<Uuid, Vec<u8>> = there
            .into_iter()
            .filter(|event| !event.deleted)
            .map(|event| (event.id, event.content_hash))
            .collect();
        let would_be = move || {
            let start = Instant::now();
            let would_be = |patched: Patched| {
                let event = if start.elapsed() < JUDGE_FOR {
                    Draft::read(&patched.payload, now).settle(&facts.known())
                } else {
                    Err(vec![too_slow()])
                };
                let outcome = event.and_then(|event| {
                    let hash = event.content.hash().to_vec();
                    match event.event_id {
                        Some(id) if *there.entry(id).or_insert(hash.clone()) != hash => {
                            Err(vec![conflict()])
                        }
                        _ => Ok(()),
                    }
                });
                (patched.error, Outcome::WouldBe(outcome))
            };
            let mut told = 0;
            let fits = |(_, outcome): &(Uuid, Outcome)| {
                let before = told;
                told += outcome.told_bytes();
                before == 0 || told <= TOLD_BYTES_MAX
            };
            patched.into_iter().map(would_be).take_while(fits).collect()
        };
        off_the_runtime(would_be).await
    }
}

/// The events of errors as they are sent again: as many as are not too large together, and at least one.
fn patched(open: &[EventError], patch: &Patch) -> Result<Vec<Patched>, Error> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    for error in open {
        let mut payload = serde_json::from_str(&error.payload).map_err(Error::internal)?;
        patch.apply(&mut payload);
        bytes += data::json_len(&payload);
        if bytes > BYTES_MAX && !all.is_empty() {
            break;
        }
        let application = error.application.clone();
        all.push(Patched { error: error.id, application, payload });
    }
    Ok(all)
}
