//! What is taken and not stored yet, and the ledger.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    db::{self, Db, TeamRead, Write},
    error::Error,
    events::model::{Application, BatchId, Fate, LedgerMinute},
    ids::{KeyId, TeamId},
    sql,
};

/// A batch to be taken.
#[derive(Clone, Debug)]
pub struct NewBatch {
    pub id: BatchId,
    pub application: Application,
    /// How many events.
    pub events: usize,
    /// A JSON array of them.
    pub payload: String,
    /// The event errors that they are sent again from, one for each.
    pub replay_of: Option<Vec<Uuid>>,
}

/// A batch that was taken.
#[derive(Clone, Debug)]
pub struct Batch {
    pub id: BatchId,
    pub received_at: DateTime<Utc>,
    pub application: Application,
    pub payload: String,
    pub replay_of: Option<Vec<Uuid>>,
    /// How often storing it has failed.
    pub attempts: i32,
}

/// What waits, of a team.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    pub team: TeamId,
    pub events: i64,
    pub bytes: i64,
    pub oldest: DateTime<Utc>,
    /// Whether some of it may be tried now.
    pub due: bool,
}

/// Takes batches.
///
/// # Errors
/// As [`db::query`].
pub async fn accept_events(
    write: &Write,
    team: TeamId,
    received_at: DateTime<Utc>,
    batches: &[NewBatch],
) -> Result<(), Error> {
    let int = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let ids: Vec<Uuid> = batches.iter().map(|batch| batch.id.0).collect();
    let keys: Vec<Uuid> = batches.iter().map(|batch| batch.application.key.0).collect();
    let names: Vec<&str> = batches.iter().map(|batch| batch.application.name.as_str()).collect();
    let events: Vec<i32> = batches.iter().map(|batch| int(batch.events)).collect();
    let bytes: Vec<i32> = batches.iter().map(|batch| int(batch.payload.len())).collect();
    let payloads: Vec<&str> = batches.iter().map(|batch| batch.payload.as_str()).collect();
    let replays: Vec<Option<String>> =
        batches.iter().map(|batch| batch.replay_of.as_deref().map(array)).collect();
    let params: db::Params<'_> =
        &[&team.0, &received_at, &ids, &keys, &names, &events, &bytes, &payloads, &replays];
    write.query(sql!("events/accept_events"), params).await?;
    Ok(())
}

/// UUIDs as PostgreSQL writes an array: an array of arrays of different lengths cannot be sent.
fn array(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// What waits, by team.
///
/// # Errors
/// As [`db::query`].
pub async fn backlog(db: &Db, now: DateTime<Utc>) -> Result<Vec<Backlog>, Error> {
    let rows = db::query(&db.system().await?, sql!("events/backlog"), &[&now]).await?;
    let backlog = |row: &tokio_postgres::Row| Backlog {
        team: TeamId(row.get("team_id")),
        events: row.get("events"),
        bytes: row.get("bytes"),
        oldest: row.get("oldest"),
        due: row.get("due"),
    };
    Ok(rows.iter().map(backlog).collect())
}

/// Takes the oldest batches out of the inbox, in their order.
///
/// # Errors
/// As [`db::query`].
pub async fn take_batches(
    write: &Write,
    team: TeamId,
    now: DateTime<Utc>,
    events_max: i64,
    bytes_max: i64,
) -> Result<Vec<Batch>, Error> {
    let params: db::Params<'_> = &[&team.0, &now, &events_max, &bytes_max];
    let rows = write.query(sql!("events/take_batches"), params).await?;
    let mut batches: Vec<Batch> = rows
        .iter()
        .map(|row| Batch {
            id: BatchId(row.get("batch_id")),
            received_at: row.get("received_at"),
            application: Application {
                key: KeyId(row.get("key_id")),
                name: row.get("application"),
            },
            payload: row.get("payload"),
            replay_of: row.get("replay_of"),
            attempts: row.get("attempts"),
        })
        .collect();
    batches.sort_unstable_by_key(|batch| batch.id);
    Ok(batches)
}

/// Notes that storing batches has failed, and when to try again.
///
/// # Errors
/// As [`db::query`].
pub async fn postpone(
    write: &Write,
    team: TeamId,
    batches: &[BatchId],
    next_try_at: DateTime<Utc>,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = batches.iter().map(|batch| batch.0).collect();
    write.query(sql!("events/postpone"), &[&team.0, &ids, &next_try_at]).await?;
    Ok(())
}

/// What became of an event; `None` when there is no such receipt.
///
/// # Errors
/// As [`db::query`].
pub async fn get_receipt(
    read: &TeamRead,
    team: TeamId,
    receipt: Uuid,
) -> Result<Option<Fate>, Error> {
    let batch = BatchId::of(receipt);
    let place = i32::try_from(BatchId::place(receipt)).map_err(Error::internal)?;
    let params: db::Params<'_> = &[&team.0, &receipt, &batch.0, &place];
    let rows = read.query(sql!("events/get_receipt"), params).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let event = || {
        let event: Option<Uuid> = row.get("event_id");
        event.ok_or_else(|| Error::internal(anyhow::anyhow!("a receipt of no event: {receipt}")))
    };
    Ok(Some(match row.get("state") {
        "pending" => Fate::Pending,
        "stored" => Fate::Stored { event: event()?, duplicate: false },
        "duplicate" => Fate::Stored { event: event()?, duplicate: true },
        _ => Fate::Rejected,
    }))
}

/// What became of events, by the minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub stored: i64,
    pub duplicate: i64,
    pub rejected: i64,
}

/// Counts what became of events, each minute once.
///
/// # Errors
/// As [`db::query`].
pub async fn count_outcomes(
    write: &Write,
    team: TeamId,
    minutes: &[(DateTime<Utc>, Outcomes)],
) -> Result<(), Error> {
    let at: Vec<_> = minutes.iter().map(|(minute, _)| *minute).collect();
    let stored: Vec<_> = minutes.iter().map(|(_, became)| became.stored).collect();
    let duplicate: Vec<_> = minutes.iter().map(|(_, became)| became.duplicate).collect();
    let rejected: Vec<_> = minutes.iter().map(|(_, became)| became.rejected).collect();
    let params: db::Params<'_> = &[&team.0, &at, &stored, &duplicate, &rejected];
    write.query(sql!("events/count_outcomes"), params).await?;
    Ok(())
}

/// The account of whole minutes: all of them together, and a page of them, the newest first.
///
/// # Errors
/// As [`db::query`].
pub async fn ledger(
    read: &TeamRead,
    team: TeamId,
    minutes: std::ops::Range<DateTime<Utc>>,
    after: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<(LedgerMinute, Vec<LedgerMinute>), Error> {
    let params: db::Params<'_> = &[&team.0, &minutes.start, &minutes.end, &after, &limit];
    let rows = read.query(sql!("events/ledger"), params).await?;
    let mut all = rows.iter().map(|row| LedgerMinute {
        minute: row.get::<_, Option<_>>("minute").unwrap_or(minutes.start),
        received: row.get("received"),
        stored: row.get("stored"),
        duplicate: row.get("duplicate"),
        rejected: row.get("rejected"),
        pending: row.get("pending"),
    });
    let total =
        all.next().ok_or_else(|| Error::internal(anyhow::anyhow!("a ledger without total")))?;
    Ok((total, all.collect()))
}
