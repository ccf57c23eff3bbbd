//! Event errors.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Found, text};
use crate::{
    db::{self, TeamRead, Write},
    error::Error,
    events::model::{
        Application, ErrorFilter, ErrorGroup, ErrorState, EventError, StoredViolation,
    },
    ids::{KeyId, TeamId},
    paging::TimePlace,
    sql,
};

/// Stores event errors.
///
/// # Errors
/// As [`db::query`].
pub async fn store_errors(
    write: &Write,
    team: TeamId,
    rejected_at: DateTime<Utc>,
    errors: &[EventError],
) -> Result<(), Error> {
    let json = |texts: Vec<&str>| serde_json::to_string(&texts).map_err(Error::internal);
    let ids: Vec<_> = errors.iter().map(|error| error.id).collect();
    let received: Vec<_> = errors.iter().map(|error| error.received_at).collect();
    let keys: Vec<_> = errors.iter().map(|error| error.application.key.0).collect();
    let names: Vec<_> = errors.iter().map(|error| error.application.name.as_str()).collect();
    let fingerprints: Vec<&[u8]> =
        errors.iter().map(|error| error.fingerprint.as_slice()).collect();
    let mut reasons = Vec::with_capacity(errors.len());
    let mut fields = Vec::with_capacity(errors.len());
    let mut violations = Vec::with_capacity(errors.len());
    for error in errors {
        let all = || error.violations.iter();
        reasons.push(json(all().map(|one| one.reason.as_str()).collect())?);
        fields.push(json(all().map(|one| one.field.as_str()).collect())?);
        violations.push(serde_json::to_string(&error.violations).map_err(Error::internal)?);
    }
    let payloads: Vec<_> = errors.iter().map(|error| error.payload.as_str()).collect();
    let replays: Vec<_> = errors.iter().map(|error| error.replay_of).collect();
    let params: db::Params<'_> = &[
        &team.0,
        &rejected_at,
        &ids,
        &received,
        &keys,
        &names,
        &fingerprints,
        &reasons,
        &fields,
        &violations,
        &payloads,
        &replays,
    ];
    write.query(sql!("events/store_errors"), params).await?;
    Ok(())
}

/// What an event error has become whose event was sent again.
#[derive(Clone, Copy, Debug)]
pub struct Became {
    pub error: Uuid,
    pub event: Option<Uuid>,
    pub error_again: Option<Uuid>,
}

/// Notes what event errors have become.
///
/// # Errors
/// As [`db::query`].
pub async fn link_replays(write: &Write, team: TeamId, became: &[Became]) -> Result<(), Error> {
    let errors: Vec<_> = became.iter().map(|one| one.error).collect();
    let events: Vec<_> = became.iter().map(|one| one.event).collect();
    let again: Vec<_> = became.iter().map(|one| one.error_again).collect();
    write.query(sql!("events/link_replays"), &[&team.0, &errors, &events, &again]).await?;
    Ok(())
}

/// One event error.
///
/// # Errors
/// As [`db::query`].
pub async fn get_error(
    read: &TeamRead,
    team: TeamId,
    id: Uuid,
) -> Result<Option<EventError>, Error> {
    let rows = read.query(sql!("events/get_error"), &[&team.0, &id]).await?;
    rows.first().map(event_error).transpose()
}

/// A page of event errors, the newest first.
///
/// # Errors
/// As [`db::query`].
pub async fn list_errors(
    read: &TeamRead,
    team: TeamId,
    filter: &ErrorFilter,
    after: Option<TimePlace>,
    limit: i64,
) -> Result<Found<EventError>, Error> {
    let (at, id) = after.map(|place| (place.at, place.id)).unzip();
    let asked = Asked::of(filter);
    let params =
        [&asked.params(&team)[..], &[&asked.replayed as db::Param<'_>, &at, &id, &limit]].concat();
    let rows = read.query(sql!("events/list_errors"), &params).await?;
    let entries = rows.iter().map(event_error).collect::<Result<_, Error>>()?;
    Ok(Found::new(entries, &rows))
}

/// The largest groups of event errors, and how many errors there are in all.
///
/// # Errors
/// As [`db::query`].
pub async fn group_errors(
    read: &TeamRead,
    team: TeamId,
    filter: &ErrorFilter,
    limit: i64,
) -> Result<(Vec<ErrorGroup>, i64), Error> {
    let asked = Asked::of(filter);
    let params = [&asked.params(&team)[..], &[&asked.replayed as db::Param<'_>, &limit]].concat();
    let rows = read.query(sql!("events/group_errors"), &params).await?;
    let group = |row: &Row| {
        Ok(ErrorGroup {
            fingerprint: fingerprint(row)?,
            count: row.get("count"),
            first_seen: row.get("first_seen"),
            last_seen: row.get("last_seen"),
            newest: row.get("error_id"),
            violations: violations(row)?,
            application: row.get("application"),
        })
    };
    let total = rows.first().map_or(0, |row| row.get("total"));
    Ok((rows.iter().map(group).collect::<Result<_, Error>>()?, total))
}

/// Event errors that were not sent again, the oldest first, which only this transaction may send again.
///
/// # Errors
/// As [`db::query`].
pub async fn open_errors(
    write: &Write,
    team: TeamId,
    filter: &ErrorFilter,
    ids: Option<&[Uuid]>,
    limit: i64,
) -> Result<Vec<EventError>, Error> {
    let asked = Asked::of(filter);
    let params = [&asked.params(&team)[..], &[&ids as db::Param<'_>, &limit]].concat();
    let rows = write.query(sql!("events/open_errors"), &params).await?;
    rows.iter().map(event_error).collect()
}

/// How many event errors there are that were not sent again.
///
/// # Errors
/// As [`db::query`].
pub async fn count_open_errors(
    write: &Write,
    team: TeamId,
    filter: &ErrorFilter,
    ids: Option<&[Uuid]>,
) -> Result<i64, Error> {
    let asked = Asked::of(filter);
    let params = [&asked.params(&team)[..], &[&ids as db::Param<'_>]].concat();
    let rows = write.query(sql!("events/count_open_errors"), &params).await?;
    Ok(rows.first().map_or(0, |row| row.get("errors")))
}

/// Notes with which receipts event errors are sent again.
///
/// # Errors
/// As [`db::query`].
pub async fn mark_replayed(
    write: &Write,
    team: TeamId,
    sent: &[(Uuid, Uuid)],
) -> Result<(), Error> {
    let (errors, receipts): (Vec<Uuid>, Vec<Uuid>) = sent.iter().copied().unzip();
    write.query(sql!("events/mark_replayed"), &[&team.0, &errors, &receipts]).await?;
    Ok(())
}

/// A filter as the statements take it.
struct Asked<'a> {
    reason: Option<&'a str>,
    field: Option<&'a str>,
    application: Option<&'a str>,
    fingerprint: Option<&'a [u8]>,
    after: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    replayed: Option<bool>,
}

impl<'a> Asked<'a> {
    fn of(filter: &'a ErrorFilter) -> Self {
        Self {
            reason: text(filter.reason.as_ref()),
            field: text(filter.field.as_ref()),
            application: text(filter.application.as_ref()),
            fingerprint: filter.fingerprint.as_ref().map(<[u8; 16]>::as_slice),
            after: filter.received_after,
            before: filter.received_before,
            replayed: match filter.state {
                ErrorState::Any => None,
                ErrorState::Open => Some(false),
                ErrorState::Replayed => Some(true),
            },
        }
    }

    /// Those that all statements begin with.
    fn params<'b>(&'b self, team: &'b TeamId) -> [db::Param<'b>; 7] {
        [
            &team.0,
            &self.reason,
            &self.field,
            &self.application,
            &self.fingerprint,
            &self.after,
            &self.before,
        ]
    }
}

fn event_error(row: &Row) -> Result<EventError, Error> {
    Ok(EventError {
        id: row.get("error_id"),
        application: Application { key: KeyId(row.get("key_id")), name: row.get("application") },
        received_at: row.get("received_at"),
        rejected_at: row.get("rejected_at"),
        fingerprint: fingerprint(row)?,
        violations: violations(row)?,
        payload: row.get("payload"),
        replay_of: row.get("replay_of"),
        replayed_as: row.get("replayed_as"),
        became_event: row.get("became_event_id"),
        became_error: row.get("became_error_id"),
    })
}

fn fingerprint(row: &Row) -> Result<[u8; 16], Error> {
    row.get::<_, &[u8]>("fingerprint").try_into().map_err(Error::internal)
}

fn violations(row: &Row) -> Result<Vec<StoredViolation>, Error> {
    serde_json::from_str(row.get("violations")).map_err(Error::internal)
}
