//! Events as they are stored.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Found, text};
use crate::{
    db::{self, TeamRead, Write},
    error::Error,
    events::{
        live::Wanted,
        model::{Application, Content, Event, EventFilter, EventPlace, Order},
    },
    feeds::StreamState,
    ids::{KeyId, TeamId},
    sql,
};

/// Makes this transaction the only one that stores events of the team, and says how many there were.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_head(write: &Write, team: TeamId) -> Result<i64, Error> {
    let rows = write.query(sql!("events/lock_head"), &[&team.0]).await?;
    Ok(rows.first().map_or(0, |row| row.get("revision")))
}

/// Notes how many events there are.
///
/// # Errors
/// As [`db::query`].
pub async fn raise_head(write: &Write, team: TeamId, revision: i64) -> Result<(), Error> {
    write.query(sql!("events/raise_head"), &[&team.0, &revision]).await?;
    Ok(())
}

/// An event that is there.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: Uuid,
    /// Of what was sent then.
    pub content_hash: Vec<u8>,
    pub deleted: bool,
}

/// Those of these events that are there.
///
/// # Errors
/// As [`db::query`].
pub async fn find_events(write: &Write, team: TeamId, ids: &[Uuid]) -> Result<Vec<Known>, Error> {
    let rows = write.query(sql!("events/find_events"), &[&team.0, &ids]).await?;
    let known = |row: &Row| Known {
        id: row.get("event_id"),
        content_hash: row.get("content_hash"),
        deleted: row.get("deleted"),
    };
    Ok(rows.iter().map(known).collect())
}

/// Stores events, which must not be there, with the revisions that they have.
///
/// # Errors
/// As [`db::query`].
pub async fn store_events(
    write: &Write,
    team: TeamId,
    base: i64,
    stored_at: DateTime<Utc>,
    events: &[Event],
) -> Result<(), Error> {
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let receipts: Vec<_> = events.iter().map(|event| event.receipt).collect();
    let received: Vec<_> = events.iter().map(|event| event.received_at).collect();
    let keys: Vec<_> = events.iter().map(|event| event.application.key.0).collect();
    let names: Vec<_> = events.iter().map(|event| event.application.name.as_str()).collect();
    let hashes: Vec<_> = events.iter().map(|event| event.content.hash()).collect();
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 16]>::as_slice).collect();
    let sessions: Vec<_> = events.iter().map(|event| event.content.session_id).collect();
    let categories: Vec<_> = events.iter().map(|event| event.content.category.as_str()).collect();
    let what: Vec<_> = events.iter().map(|event| event.content.name.as_str()).collect();
    let data: Vec<_> = events.iter().map(|event| event.content.data.as_str()).collect();
    let occurred: Vec<_> = events.iter().map(|event| event.content.occurred_at).collect();
    let params: db::Params<'_> = &[
        &team.0,
        &base,
        &stored_at,
        &ids,
        &receipts,
        &received,
        &keys,
        &names,
        &hashes,
        &sessions,
        &categories,
        &what,
        &data,
        &occurred,
    ];
    write.query(sql!("events/store_events"), params).await?;
    Ok(())
}

/// Counts events by quarter of an hour and category, no pair twice.
///
/// # Errors
/// As [`db::query`].
pub async fn count_quarters(
    write: &Write,
    team: TeamId,
    counts: &[(DateTime<Utc>, &str, i64)],
) -> Result<(), Error> {
    let quarters: Vec<_> = counts.iter().map(|(quarter, ..)| *quarter).collect();
    let categories: Vec<_> = counts.iter().map(|(_, category, _)| *category).collect();
    let events: Vec<_> = counts.iter().map(|(.., events)| *events).collect();
    let params: db::Params<'_> = &[&team.0, &quarters, &categories, &events];
    write.query(sql!("events/count_quarters"), params).await?;
    Ok(())
}

/// An event that was sent again.
#[derive(Clone, Copy, Debug)]
pub struct Duplicate {
    pub receipt: Uuid,
    pub event: Uuid,
    pub received_at: DateTime<Utc>,
}

/// Keeps the receipts of events that were stored before.
///
/// # Errors
/// As [`db::query`].
pub async fn store_duplicates(
    write: &Write,
    team: TeamId,
    duplicates: &[Duplicate],
) -> Result<(), Error> {
    let receipts: Vec<_> = duplicates.iter().map(|one| one.receipt).collect();
    let events: Vec<_> = duplicates.iter().map(|one| one.event).collect();
    let received: Vec<_> = duplicates.iter().map(|one| one.received_at).collect();
    let params: db::Params<'_> = &[&team.0, &receipts, &events, &received];
    write.query(sql!("events/store_duplicates"), params).await?;
    Ok(())
}

/// One event.
///
/// # Errors
/// As [`db::query`].
pub async fn get_event(read: &TeamRead, team: TeamId, id: Uuid) -> Result<Option<Event>, Error> {
    let rows = read.query(sql!("events/get_event"), &[&team.0, &id]).await?;
    Ok(rows.first().map(event))
}

/// One event, which only this transaction may change until it ends.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_event(write: &Write, team: TeamId, id: Uuid) -> Result<Option<Event>, Error> {
    let rows = write.query(sql!("events/lock_event"), &[&team.0, &id]).await?;
    Ok(rows.first().map(event))
}

/// A page of events.
///
/// # Errors
/// As [`db::query`].
pub async fn list_events(
    read: &TeamRead,
    team: TeamId,
    filter: &EventFilter,
    order: Order,
    after: Option<EventPlace>,
    limit: i64,
) -> Result<Found<Event>, Error> {
    let (at, revision) = after.map(|place| (place.occurred_at, place.revision)).unzip();
    let params: db::Params<'_> = &[
        &team.0,
        &filter.session_id,
        &text(filter.category.as_ref()),
        &text(filter.name.as_ref()),
        &filter.occurred_after,
        &filter.occurred_before,
        &at,
        &revision,
        &limit,
    ];
    let statement = match order {
        Order::NewestFirst => sql!("events/list_events_newest"),
        Order::Session => sql!("events/list_events_session"),
    };
    let rows = read.query(statement, params).await?;
    Ok(Found::new(rows.iter().map(event).collect(), &rows))
}

/// Changes what is in an event.
///
/// # Errors
/// As [`db::query`].
pub async fn change_event(
    write: &Write,
    team: TeamId,
    id: Uuid,
    content: &Content,
    now: DateTime<Utc>,
) -> Result<Option<Event>, Error> {
    let params: db::Params<'_> = &[
        &team.0,
        &id,
        &content.session_id,
        &content.category,
        &content.name,
        &content.data,
        &content.occurred_at,
        &now,
    ];
    let rows = write.query(sql!("events/change_event"), params).await?;
    Ok(rows.first().map(event))
}

/// Deletes what is in an event.
///
/// # Errors
/// As [`db::query`].
pub async fn delete_event(
    write: &Write,
    team: TeamId,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    write.query(sql!("events/delete_event"), &[&team.0, &id, &now]).await?;
    Ok(())
}

/// Events in the order in which they were stored: after the first revision, up to the second.
///
/// # Errors
/// As [`db::query`].
pub async fn read_events(
    read: &TeamRead,
    team: TeamId,
    revisions: std::ops::Range<i64>,
    limit: i64,
    wanted: &Wanted,
) -> Result<Vec<Event>, Error> {
    let params: db::Params<'_> = &[
        &team.0,
        &revisions.start,
        &revisions.end,
        &limit,
        &text(wanted.category.as_ref()),
        &text(wanted.name.as_ref()),
        &wanted.session_id,
    ];
    let rows = read.query(sql!("events/read_events"), params).await?;
    Ok(rows.iter().map(event).collect())
}

/// How far the events of a team go. None is ever gone.
///
/// # Errors
/// As [`db::query`].
pub async fn stream_state(read: &TeamRead, team: TeamId) -> Result<StreamState, Error> {
    let rows = read.query(sql!("events/stream_state"), &[&team.0]).await?;
    let revision = rows.first().map_or(0, |row| row.get("revision"));
    Ok(StreamState { revision, replay_after: 0 })
}

/// How many events of a category happened in a bucket.
#[derive(Clone, Debug)]
pub struct Counted {
    /// From 0 on.
    pub bucket: usize,
    /// `None`: one beyond the busiest.
    pub category: Option<String>,
    pub events: i64,
}

/// How many events happened in each bucket of whole quarters of an hour, by the busiest categories and the rest.
///
/// # Errors
/// As [`db::query`].
pub async fn count_events(
    read: &TeamRead,
    team: TeamId,
    range: std::ops::Range<DateTime<Utc>>,
    categories: i64,
    buckets: &[DateTime<Utc>],
) -> Result<Vec<Counted>, Error> {
    let params: db::Params<'_> = &[&team.0, &range.start, &range.end, &categories, &buckets];
    let rows = read.query(sql!("events/count_events"), params).await?;
    let counted = |row: &Row| {
        let bucket = usize::try_from(row.get::<_, i32>("bucket") - 1).map_err(Error::internal)?;
        Ok(Counted { bucket, category: row.get("category"), events: row.get("events") })
    };
    rows.iter().map(counted).collect()
}

fn event(row: &Row) -> Event {
    Event {
        id: row.get("event_id"),
        revision: row.get("revision"),
        receipt: row.get("receipt_id"),
        application: Application { key: KeyId(row.get("key_id")), name: row.get("application") },
        content: Content {
            session_id: row.get("session_id"),
            category: row.get("category"),
            name: row.get("name"),
            data: row.get("data"),
            occurred_at: row.get("occurred_at"),
        },
        received_at: row.get("received_at"),
        stored_at: row.get("stored_at"),
        updated_at: row.get("updated_at"),
        version: row.get("version"),
    }
}
