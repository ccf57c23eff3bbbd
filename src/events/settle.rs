//! What becomes of the events that were taken: one transaction takes batches out of the inbox and makes each of
//! their events an event, a duplicate or an event error.
//!
//! So an event is in one place at any moment, whatever ends this program, and is counted where it is. Who stores
//! events of a team holds its head: revisions grow in commit order, and whether an event is there already is
//! looked up while nobody else adds any.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::{
    check::Draft,
    model::{
        ATTEMPTS_MAX, Application, BatchId, Event, EventError, NewEvent, StoredViolation,
        fingerprint,
    },
    store::{
        errors::{self, Became},
        events::{self, Duplicate},
        inbox::{self, Batch, Outcomes},
        setup::{self, NewSession},
    },
    types::{Asked, Facts, Types},
};
use crate::{
    clock::Clock,
    db::{self, Db, Write},
    error::{Error, Violation},
    ids::TeamId,
    reasons,
    taps::buckets::quarter_of,
};

/// Events and bytes of one transaction, unless a single batch has more.
const EVENTS_AT_A_TIME: i64 = 2_000;
const BYTES_AT_A_TIME: i64 = 4 * 1024 * 1024;
/// How long the events of one transaction may be looked at. Mostly it is milliseconds.
pub(super) const JUDGE_FOR: Duration = Duration::from_secs(10);
/// The grain of what is counted.
/// The grain of the ledger.
const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// Settles batches.
#[derive(Clone, Debug)]
pub struct Settler {
    pub db: Db,
    pub clock: Clock,
    pub types: Types,
}

/// What a transaction did.
#[derive(Debug, Default)]
pub struct Settled {
    /// The team's revision before it and after it.
    pub base: i64,
    pub last: i64,
    pub events: Vec<Event>,
    pub duplicates: usize,
    pub rejected: usize,
}

/// Batches that could not be settled, and why: they are still in the inbox.
#[derive(Debug)]
pub struct Failed {
    pub error: Error,
    /// Empty: it did not come to that.
    pub batches: Vec<BatchId>,
    /// How often the first of them has failed before.
    pub attempts: i32,
}

impl Failed {
    /// Whether the fault is not with what was to be settled.
    #[must_use]
    pub fn is_of_the_store(&self) -> bool {
        self.batches.is_empty() || matches!(self.error, Error::StoreUnavailable(_))
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, batches: Vec::new(), attempts: 0 }
    }
}

/// An event that was taken.
#[derive(Debug)]
struct Taken {
    receipt: Uuid,
    received_at: DateTime<Utc>,
    application: Arc<Application>,
    replay_of: Option<Uuid>,
    session: Option<Uuid>,
    /// As it was sent, as JSON.
    payload: Box<RawValue>,
    /// The same, read.
    value: Value,
}

/// A taken event, and whether anything is wrong with it.
type Judged = (Taken, Result<NewEvent, Vec<Violation>>);

impl Settler {
    /// Settles the oldest batches of a team; `None` when none can be had.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn settle(&self, team: TeamId) -> Result<Option<Settled>, Failed> {
        let write = self.db.team_write(team).await?;
        let now = self.clock.now();
        let taken = inbox::take_batches(&write, team, now, EVENTS_AT_A_TIME, BYTES_AT_A_TIME).await;
        let batches = match taken {
            Ok(batches) if !batches.is_empty() => batches,
            taken => return Ok(write.end(taken).await.map(|_| None)?),
        };
        let ids: Vec<BatchId> = batches.iter().map(|batch| batch.id).collect();
        let attempts = batches.first().map_or(0, |batch| batch.attempts);
        let work = async {
            let judged = self.judge(&write, team, batches).await?;
            if attempts + 1 < ATTEMPTS_MAX {
                self.store(&write, team, judged).await
            } else {
                self.store_one_by_one(&write, team, judged).await
            }
        };
        let done = work.await;
        write.end(done).await.map(Some).map_err(|error| Failed { error, batches: ids, attempts })
    }

    /// Looks at each event.
    async fn judge(
        &self,
        write: &Write,
        team: TeamId,
        batches: Vec<Batch>,
    ) -> Result<Vec<Judged>, Error> {
        let (taken, asked) = off_the_runtime(move || unpack(batches)).await??;
        let now = self.clock.now();
        let facts = self.types.facts(write, team, &asked).await?;
        let (judged, facts) = off_the_runtime(move || (judge(taken, &facts), facts)).await?;
        // Late, as others wait for whom these sessions are new, too.
        create_sessions(write, team, &judged, &asked, &facts, now).await?;
        Ok(judged)
    }

    /// Stores what became of events.
    async fn store(
        &self,
        write: &Write,
        team: TeamId,
        judged: Vec<Judged>,
    ) -> Result<Settled, Error> {
        let base = events::lock_head(write, team).await?;
        let asked: Vec<Uuid> =
            judged.iter().filter_map(|(_, judged)| judged.as_ref().ok()?.event_id).collect();
        let known = if asked.is_empty() {
            Vec::new()
        } else {
            events::find_events(write, team, &asked).await?
        };
        let there = known.into_iter().map(|event| {
            let hash = (!event.deleted).then_some(event.content_hash);
            (event.id, hash)
        });
        let now = self.clock.now();
        let outcome = Outcome::of(judged, there.collect(), base, now);
        outcome.write(write, team, base, now).await?;
        let Outcome { events, duplicates, errors, .. } = outcome;
        let last = base + i64::try_from(events.len()).map_err(Error::internal)?;
        Ok(Settled { base, last, events, duplicates: duplicates.len(), rejected: errors.len() })
    }

    /// The last try: what the store cannot take becomes an event error, and keeps nothing else out.
    async fn store_one_by_one(
        &self,
        write: &Write,
        team: TeamId,
        judged: Vec<Judged>,
    ) -> Result<Settled, Error> {
        let mut settled: Option<Settled> = None;
        for (taken, judgement) in judged {
            let again = taken.again();
            let done = write.part(self.store(write, team, vec![(taken, judgement)])).await;
            let one = match done {
                Ok(one) => one,
                // Any other fault may pass, and is not the event's.
                Err(error) if db::is_of_the_data(&error) => {
                    let cause = error.log_text();
                    tracing::error!(team = team.0, receipt = %again.receipt, cause, "an event cannot be stored");
                    self.store(write, team, vec![(again, Err(vec![cannot_be_stored()]))]).await?
                }
                Err(error) => return Err(error),
            };
            match &mut settled {
                None => settled = Some(one),
                Some(all) => {
                    all.last = one.last;
                    all.events.extend(one.events);
                    all.duplicates += one.duplicates;
                    all.rejected += one.rejected;
                }
            }
        }
        Ok(settled.unwrap_or_default())
    }
}

impl Taken {
    /// The same, to be an event error.
    fn again(&self) -> Self {
        Self {
            receipt: self.receipt,
            received_at: self.received_at,
            application: Arc::clone(&self.application),
            replay_of: self.replay_of,
            session: self.session,
            payload: self.payload.clone(),
            value: Value::Null,
        }
    }
}

fn cannot_be_stored() -> Violation {
    let text = "could not be stored, however often it was tried: tell whoever runs the service";
    Violation::new("event", reasons::PROCESSING_FAILED, text)
}

/// Reads the events of batches, and what has to be asked of the store about them.
fn unpack(batches: Vec<Batch>) -> Result<(Vec<Taken>, Asked), Error> {
    let (mut all, mut asked) = (Vec::new(), Asked::default());
    for batch in batches {
        let payloads: Vec<Box<RawValue>> =
            serde_json::from_str(&batch.payload).map_err(Error::internal)?;
        let application = Arc::new(batch.application);
        for (place, payload) in payloads.into_iter().enumerate() {
            let value: Value = serde_json::from_str(payload.get()).map_err(Error::internal)?;
            let draft = Draft::read(&value, batch.received_at);
            asked.about(&draft);
            let session = draft.session_id();
            all.push(Taken {
                session,
                receipt: batch.id.receipt(place),
                received_at: batch.received_at,
                application: Arc::clone(&application),
                replay_of: batch.replay_of.as_ref().and_then(|errors| errors.get(place).copied()),
                payload,
                value,
            });
        }
    }
    Ok((all, asked))
}

/// Looks at each event, but not for ever: schemas and data at their limits, made for it, take seconds.
fn judge(taken: Vec<Taken>, facts: &Facts) -> Vec<Judged> {
    let (known, start) = (facts.known(), Instant::now());
    let judge = |taken: Taken| {
        let judged = if start.elapsed() < JUDGE_FOR {
            Draft::read(&taken.value, taken.received_at).settle(&known)
        } else {
            Err(vec![too_slow()])
        };
        (taken, judged)
    };
    taken.into_iter().map(judge).collect()
}

pub(super) fn too_slow() -> Violation {
    let text = "was not checked in time: its event type takes too long for events sent with it; make the schema simpler, or send fewer at a time";
    Violation::new("event", reasons::CHECK_TOO_SLOW, text)
}

/// Makes the sessions that are not there, where the team wants that, for whoever named them first.
async fn create_sessions(
    write: &Write,
    team: TeamId,
    judged: &[Judged],
    asked: &Asked,
    facts: &Facts,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if !facts.settings.create_unknown_sessions || asked.sessions.is_subset(&facts.sessions) {
        return Ok(());
    }
    let mut missing = BTreeMap::new();
    for (taken, _) in judged {
        // Of an event that is refused for something else, too: the visit took place.
        if let Some(id) = taken.session.filter(|id| !facts.sessions.contains(id)) {
            let application = taken.application.as_ref();
            missing.entry(id).or_insert(NewSession { id, tap_id: None, application });
        }
    }
    let missing: Vec<NewSession<'_>> = missing.into_values().collect();
    setup::create_sessions(write, team, &missing, now).await
}

/// What becomes of events.
#[derive(Debug, Default)]
struct Outcome {
    events: Vec<Event>,
    duplicates: Vec<Duplicate>,
    errors: Vec<EventError>,
    became: Vec<Became>,
    minutes: BTreeMap<DateTime<Utc>, Outcomes>,
}

impl Outcome {
    /// `there`: the events that are there already, each with what it was when it was sent; `None` for one
    /// that was deleted since.
    fn of(
        judged: Vec<Judged>,
        mut there: HashMap<Uuid, Option<Vec<u8>>>,
        base: i64,
        now: DateTime<Utc>,
    ) -> Self {
        let mut outcome = Self::default();
        for (taken, judgement) in judged {
            let minute = outcome.minutes.entry(floor(taken.received_at, MINUTE)).or_default();
            let checked = judgement.and_then(|event| {
                let id = event.event_id.unwrap_or(taken.receipt);
                match there.entry(id) {
                    Entry::Vacant(free) => {
                        free.insert(Some(event.content.hash().to_vec()));
                        Ok((id, Some(event.content)))
                    }
                    Entry::Occupied(other) => match other.get() {
                        Some(hash) if *hash != event.content.hash() => Err(vec![conflict()]),
                        _ => Ok((id, None)),
                    },
                }
            });
            let (became_event, became_error) = match &checked {
                Ok((id, _)) => (Some(*id), None),
                Err(_) => (None, Some(taken.receipt)),
            };
            outcome.became.extend(taken.replay_of.map(|error| Became {
                error,
                event: became_event,
                error_again: became_error,
            }));
            let received_at = taken.received_at;
            match checked {
                Ok((id, Some(content))) => {
                    minute.stored += 1;
                    let nth = i64::try_from(outcome.events.len()).unwrap_or_default();
                    outcome.events.push(Event {
                        id,
                        revision: base + nth + 1,
                        receipt: taken.receipt,
                        application: taken.application.as_ref().clone(),
                        content,
                        received_at,
                        stored_at: now,
                        updated_at: None,
                        version: 1,
                    });
                }
                Ok((event, None)) => {
                    minute.duplicate += 1;
                    outcome.duplicates.push(Duplicate {
                        receipt: taken.receipt,
                        event,
                        received_at,
                    });
                }
                Err(violations) => {
                    minute.rejected += 1;
                    outcome.errors.push(refused(&taken, violations, now));
                }
            }
        }
        outcome
    }

    async fn write(
        &self,
        write: &Write,
        team: TeamId,
        base: i64,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        if !self.events.is_empty() {
            events::store_events(write, team, base, now, &self.events).await?;
            events::count_quarters(write, team, &quarters(&self.events)).await?;
            let last = base + i64::try_from(self.events.len()).map_err(Error::internal)?;
            events::raise_head(write, team, last).await?;
        }
        if !self.duplicates.is_empty() {
            events::store_duplicates(write, team, &self.duplicates).await?;
        }
        if !self.errors.is_empty() {
            errors::store_errors(write, team, now, &self.errors).await?;
        }
        if !self.became.is_empty() {
            errors::link_replays(write, team, &self.became).await?;
        }
        let minutes: Vec<_> = self.minutes.iter().map(|(at, became)| (*at, *became)).collect();
        inbox::count_outcomes(write, team, &minutes).await
    }
}

fn refused(taken: &Taken, violations: Vec<Violation>, now: DateTime<Utc>) -> EventError {
    let violations: Vec<StoredViolation> = violations.into_iter().map(Into::into).collect();
    EventError {
        id: taken.receipt,
        fingerprint: fingerprint(&taken.application.name, &violations),
        application: taken.application.as_ref().clone(),
        received_at: taken.received_at,
        rejected_at: now,
        violations,
        payload: taken.payload.get().to_owned(),
        replay_of: taken.replay_of,
        replayed_as: None,
        became_event: None,
        became_error: None,
    }
}

pub(super) fn conflict() -> Violation {
    let text = "is the id of another event, which differs from this one: use a new id";
    Violation::new("event_id", reasons::DUPLICATE_CONFLICT, text)
}

/// How many events of a category happened in a quarter of an hour.
fn quarters(events: &[Event]) -> Vec<(DateTime<Utc>, &str, i64)> {
    let mut counts: BTreeMap<(DateTime<Utc>, &str), i64> = BTreeMap::new();
    for event in events {
        let content = &event.content;
        *counts.entry((quarter_of(content.occurred_at), &content.category)).or_default() += 1;
    }
    counts.into_iter().map(|((quarter, category), count)| (quarter, category, count)).collect()
}

/// The start of the minute.
#[must_use]
pub fn minute_of(at: DateTime<Utc>) -> DateTime<Utc> {
    floor(at, MINUTE)
}

fn floor(at: DateTime<Utc>, span: TimeDelta) -> DateTime<Utc> {
    let seconds = span.num_seconds().max(1);
    let start = at.timestamp().div_euclid(seconds) * seconds;
    DateTime::from_timestamp(start, 0).unwrap_or(at)
}

/// Does what takes some milliseconds without an `await` where it keeps no call waiting.
pub(super) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}
