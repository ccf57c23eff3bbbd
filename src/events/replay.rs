//! Sends refused events again, patched: each once, whoever asks how often.
//!
//! The errors are marked and the events are taken in one transaction, so that either both are there or neither.

use std::collections::HashMap;

use prost::Message;
use serde_json::Value;
use uuid::Uuid;

use super::{
    check::Draft,
    intake::Intake,
    model::{Application, BatchId, ErrorFilter, EventError},
    patch::Patch,
    settle::conflict,
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
            let patched = open.iter().map(|error| patched(error, &patch));
            let patched: Vec<Patched> = patched.collect::<Result<_, _>>()?;
            let count = i64::try_from(patched.len()).map_err(Error::internal)?;
            let (outcomes, done) = if validate_only {
                (self.check(&write, team, patched).await?, count)
            } else {
                sent = patched.len();
                (self.send(&write, team, patched).await?, 0)
            };
            let all = errors::count_open_errors(&write, team, &filter, ids).await?;
            Ok(answer(Replays { outcomes, remaining: all - done }))
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

    /// What would become of them.
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
        let would_be = |patched: Patched| {
            let event = Draft::read(&patched.payload, now).settle(&facts.known());
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
        Ok(patched.into_iter().map(would_be).collect())
    }
}

fn patched(error: &EventError, patch: &Patch) -> Result<Patched, Error> {
    let mut payload = serde_json::from_str(&error.payload).map_err(Error::internal)?;
    patch.apply(&mut payload);
    let application = error.application.clone();
    Ok(Patched { error: error.id, application, payload })
}
