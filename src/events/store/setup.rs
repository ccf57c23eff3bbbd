//! Sessions, event types and settings.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    db::{self, TeamRead, Write},
    error::Error,
    events::model::{Application, EventType, Session, Settings},
    ids::TeamId,
    paging::TimePlace,
    sql,
};

/// What the team takes.
///
/// # Errors
/// As [`db::query`].
pub async fn get_settings(read: &TeamRead, team: TeamId) -> Result<Settings, Error> {
    let rows = read.query(sql!("events/get_settings"), &[&team.0]).await?;
    let default = Settings { refuse_unknown_types: false, create_unknown_sessions: false };
    Ok(rows.first().map_or(default, settings))
}

/// Changes what the team takes; `None` stays as it is.
///
/// # Errors
/// As [`db::query`].
pub async fn put_settings(
    write: &Write,
    team: TeamId,
    refuse_unknown_types: Option<bool>,
    create_unknown_sessions: Option<bool>,
) -> Result<Settings, Error> {
    let types = refuse_unknown_types.map(|refuse| if refuse { "refuse" } else { "accept" });
    let sessions = create_unknown_sessions.map(|create| if create { "create" } else { "refuse" });
    let rows = write.query(sql!("events/put_settings"), &[&team.0, &types, &sessions]).await?;
    rows.first().map(settings).ok_or_else(nothing)
}

fn settings(row: &Row) -> Settings {
    Settings {
        refuse_unknown_types: row.get::<_, &str>("unknown_types") == "refuse",
        create_unknown_sessions: row.get::<_, &str>("unknown_sessions") == "create",
    }
}

/// Which of these sessions the team has.
///
/// # Errors
/// As [`db::query`].
pub async fn find_sessions(
    read: &TeamRead,
    team: TeamId,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, Error> {
    let rows = read.query(sql!("events/find_sessions"), &[&team.0, &ids]).await?;
    Ok(rows.iter().map(|row| row.get("session_id")).collect())
}

/// A session to be made.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    pub id: Uuid,
    pub tap_id: Option<Uuid>,
    pub application: &'a Application,
}

/// Makes the sessions that are not there. Each is named once.
///
/// # Errors
/// As [`db::query`].
pub async fn create_sessions(
    write: &Write,
    team: TeamId,
    sessions: &[NewSession<'_>],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let ids: Vec<_> = sessions.iter().map(|session| session.id).collect();
    let taps: Vec<_> = sessions.iter().map(|session| session.tap_id).collect();
    let keys: Vec<_> = sessions.iter().map(|session| session.application.key.0).collect();
    let names: Vec<_> = sessions.iter().map(|session| session.application.name.as_str()).collect();
    let params: db::Params<'_> = &[&team.0, &ids, &taps, &keys, &names, &now];
    write.query(sql!("events/create_sessions"), params).await?;
    Ok(())
}

/// One session.
///
/// # Errors
/// As [`db::query`].
pub async fn get_session(
    read: &TeamRead,
    team: TeamId,
    id: Uuid,
) -> Result<Option<Session>, Error> {
    let rows = read.query(sql!("events/get_session"), &[&team.0, &id]).await?;
    Ok(rows.first().map(session))
}

/// A page of sessions, the newest first.
///
/// # Errors
/// As [`db::query`].
pub async fn list_sessions(
    read: &TeamRead,
    team: TeamId,
    tap_id: Option<Uuid>,
    after: Option<TimePlace>,
    limit: i64,
) -> Result<Vec<Session>, Error> {
    let (at, id) = after.map(|place| (place.at, place.id)).unzip();
    let params: db::Params<'_> = &[&team.0, &tap_id, &at, &id, &limit];
    let rows = read.query(sql!("events/list_sessions"), params).await?;
    Ok(rows.iter().map(session).collect())
}

fn session(row: &Row) -> Session {
    Session {
        id: row.get("session_id"),
        tap_id: row.get("tap_id"),
        application: row.get("application"),
        created_at: row.get("created_at"),
    }
}

/// An event type as it is kept when it is compiled: category, name, version.
pub type TypeVersion = (String, String, Uuid);

/// Which event types there are of these categories and names.
///
/// # Errors
/// As [`db::query`].
pub async fn find_types(
    read: &TeamRead,
    team: TeamId,
    kinds: &[(&str, &str)],
) -> Result<Vec<TypeVersion>, Error> {
    let (categories, names): (Vec<&str>, Vec<&str>) = kinds.iter().copied().unzip();
    let rows = read.query(sql!("events/find_types"), &[&team.0, &categories, &names]).await?;
    Ok(rows.iter().map(|row| (row.get("category"), row.get("name"), row.get("version"))).collect())
}

/// One event type.
///
/// # Errors
/// As [`db::query`].
pub async fn get_type(
    read: &TeamRead,
    team: TeamId,
    category: &str,
    name: &str,
) -> Result<Option<EventType>, Error> {
    let rows = read.query(sql!("events/get_type"), &[&team.0, &category, &name]).await?;
    Ok(rows.first().map(event_type))
}

/// A page of event types after this category and name.
///
/// # Errors
/// As [`db::query`].
pub async fn list_types(
    read: &TeamRead,
    team: TeamId,
    category: Option<&str>,
    after: Option<(&str, &str)>,
    limit: i64,
) -> Result<Vec<EventType>, Error> {
    let (after_category, after_name) = after.unzip();
    let params: db::Params<'_> = &[&team.0, &category, &after_category, &after_name, &limit];
    let rows = read.query(sql!("events/list_types"), params).await?;
    Ok(rows.iter().map(event_type).collect())
}

/// Makes this transaction the only one that changes event types of the team until it ends.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_types(write: &Write, team: TeamId) -> Result<(), Error> {
    write.query(sql!("events/lock_types"), &[&team.0]).await?;
    Ok(())
}

/// How many event types the team has.
///
/// # Errors
/// As [`db::query`].
pub async fn count_types(write: &Write, team: TeamId) -> Result<i64, Error> {
    let rows = write.query(sql!("events/count_types"), &[&team.0]).await?;
    Ok(rows.first().map_or(0, |row| row.get("types")))
}

/// Sets an event type.
///
/// # Errors
/// As [`db::query`].
pub async fn put_type(
    write: &Write,
    team: TeamId,
    kind: (&str, &str),
    schema: &str,
    version: Uuid,
    now: DateTime<Utc>,
) -> Result<EventType, Error> {
    let (category, name) = kind;
    let params: db::Params<'_> = &[&team.0, &category, &name, &schema, &version, &now];
    let rows = write.query(sql!("events/put_type"), params).await?;
    rows.first().map(event_type).ok_or_else(nothing)
}

/// Deletes an event type; says whether there was one.
///
/// # Errors
/// As [`db::query`].
pub async fn delete_type(
    write: &Write,
    team: TeamId,
    category: &str,
    name: &str,
) -> Result<bool, Error> {
    let rows = write.query(sql!("events/delete_type"), &[&team.0, &category, &name]).await?;
    Ok(!rows.is_empty())
}

fn event_type(row: &Row) -> EventType {
    EventType {
        category: row.get("category"),
        name: row.get("name"),
        schema: row.get("schema"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        version: row.get("version"),
    }
}

fn nothing() -> Error {
    Error::internal(anyhow::anyhow!("a statement that always returns a row returned none"))
}
