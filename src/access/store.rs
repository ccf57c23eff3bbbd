//! One function for each statement of `sql/access/`. What is one team's runs as `tap_app` in a transaction
//! that sees that team only; what spans teams as `tap_system`.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    key::{ApiKey, Hash},
    model::{KeyAction, KeyChange, KeyEvent, KeyFilter, KeyInfo, Team},
    token::SigningSecret,
};
use crate::{
    db::{self, Db, TeamRead, Write},
    error::Error,
    ids::{KeyId, TeamId},
    sql,
};

/// Adds a team with this number, or the next. `None` when the slug or the number is taken.
///
/// # Errors
/// As [`db::query`].
pub async fn create_team(
    write: &Write,
    id: Option<TeamId>,
    slug: &str,
    name: &str,
) -> Result<Option<TeamId>, Error> {
    write.query(sql!("access/lock_teams"), &[]).await?;
    let id = id.map(|id| id.0);
    let rows = write.query(sql!("access/create_team"), &[&id, &slug, &name]).await?;
    Ok(rows.first().map(|row| TeamId(row.get("team_id"))))
}

/// Every team.
///
/// # Errors
/// As [`db::query`].
pub async fn list_teams(db: &Db) -> Result<Vec<Team>, Error> {
    let rows = db::query(&db.system().await?, sql!("access/list_teams"), &[]).await?;
    Ok(rows.iter().map(team).collect())
}

/// The team of a slug.
///
/// # Errors
/// As [`db::query`].
pub async fn find_team(db: &Db, slug: &str) -> Result<Option<Team>, Error> {
    let rows = db::query(&db.system().await?, sql!("access/find_team"), &[&slug]).await?;
    Ok(rows.first().map(team))
}

/// Until the end of the transaction nobody else changes keys of the team.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_keys(write: &Write, team: TeamId) -> Result<(), Error> {
    write.query(sql!("access/lock_keys"), &[&team.0]).await?;
    Ok(())
}

/// How many keys of the team are in memory.
///
/// # Errors
/// As [`db::query`].
pub async fn count_keys(write: &Write, team: TeamId) -> Result<i64, Error> {
    let rows = write.query(sql!("access/count_keys"), &[&team.0]).await?;
    Ok(rows.first().map_or(0, |row| row.get("keys")))
}

/// Stores a key, that is its hash. `false` when it is there.
///
/// # Errors
/// As [`db::query`].
pub async fn create_key(write: &Write, key: &ApiKey, info: &KeyInfo) -> Result<bool, Error> {
    let quota = i32::try_from(info.queries_per_hour).map_err(Error::internal)?;
    let hash = key.hash();
    let (created_by, replaces) = (info.created_by.map(|key| key.0), info.replaces.map(|key| key.0));
    let params: db::Params<'_> = &[
        &key.team().0,
        &info.id.0,
        &hash.as_slice(),
        &info.prefix,
        &info.name,
        &info.scopes,
        &quota,
        &info.expires_at,
        &created_by,
        &replaces,
        &info.created_at,
    ];
    Ok(write.insert(sql!("access/create_key"), params).await? == db::Inserted::Done)
}

/// Stores what can be changed of a key.
///
/// # Errors
/// As [`db::query`].
pub async fn update_key(write: &Write, team: TeamId, key: &KeyInfo) -> Result<(), Error> {
    let quota = i32::try_from(key.queries_per_hour).map_err(Error::internal)?;
    let rotated_at = key.rotated.map(|(at, _)| at);
    let expires_at_before = key.rotated.and_then(|(_, before)| before);
    let params: db::Params<'_> = &[
        &team.0,
        &key.id.0,
        &key.name,
        &key.scopes,
        &quota,
        &key.expires_at,
        &key.revoked_at,
        &rotated_at,
        &expires_at_before,
    ];
    write.query(sql!("access/update_key"), params).await?;
    Ok(())
}

/// Tells every replica, once the transaction is committed.
///
/// # Errors
/// As [`db::query`].
pub async fn notify_keys(write: &Write) -> Result<(), Error> {
    write.query(sql!("access/notify_keys"), &[]).await?;
    Ok(())
}

/// The keys of a team, the newest first, this many at most.
///
/// # Errors
/// As [`db::query`].
pub async fn list_keys(
    read: &TeamRead,
    team: TeamId,
    filter: KeyFilter,
    limit: Option<i64>,
) -> Result<Vec<KeyInfo>, Error> {
    let before = filter.before.map(|key| key.0);
    let params: db::Params<'_> = &[&team.0, &filter.valid_at, &before, &limit];
    let rows = read.query(sql!("access/list_keys"), params).await?;
    Ok(rows.iter().map(key_info).collect())
}

/// A key of a team.
///
/// # Errors
/// As [`db::query`].
pub async fn get_key(read: &TeamRead, team: TeamId, key: KeyId) -> Result<Option<KeyInfo>, Error> {
    let rows = read.query(sql!("access/get_key"), &[&team.0, &key.0]).await?;
    Ok(rows.first().map(key_info))
}

/// Keeps what was done to a key.
///
/// # Errors
/// As [`db::query`].
pub async fn record_event(
    write: &Write,
    team: TeamId,
    event: (KeyId, Option<KeyId>, KeyAction, &[KeyChange]),
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let (key, actor, action, changes) = event;
    let changes: Vec<_> = changes
        .iter()
        .map(|change| {
            serde_json::json!({
                "field": change.field, "before": change.before, "after": change.after,
            })
        })
        .collect();
    let changes = serde_json::Value::Array(changes).to_string();
    let actor = actor.map(|key| key.0);
    let params: db::Params<'_> =
        &[&team.0, &Uuid::now_v7(), &now, &key.0, &actor, &action.as_str(), &changes];
    write.query(sql!("access/record_event"), params).await?;
    Ok(())
}

/// What was done to the keys of a team, or to one of them, the newest first.
///
/// # Errors
/// As [`db::query`].
pub async fn list_key_events(
    read: &TeamRead,
    team: TeamId,
    key: Option<KeyId>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<KeyEvent>, Error> {
    let key = key.map(|key| key.0);
    let rows =
        read.query(sql!("access/list_key_events"), &[&team.0, &key, &before, &limit]).await?;
    let events = rows.iter().map(|row| KeyEvent {
        id: row.get("event_id"),
        occurred_at: row.get("occurred_at"),
        key: KeyId(row.get("key_id")),
        actor: row.get::<_, Option<Uuid>>("actor_key_id").map(KeyId),
        action: row.get("action"),
        changes: row.get("changes"),
    });
    Ok(events.collect())
}

/// A key as the directory needs it.
#[derive(Debug)]
pub struct LoadedKey {
    pub team: TeamId,
    pub team_slug: String,
    pub team_name: String,
    pub id: KeyId,
    pub hash: Hash,
    pub prefix: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub queries_per_hour: u32,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Every key that is valid now, and those that expired lately.
///
/// # Errors
/// As [`db::query`].
pub async fn load_keys(db: &Db) -> Result<Vec<LoadedKey>, Error> {
    let rows = db::query(&db.system().await?, sql!("access/load_keys"), &[]).await?;
    rows.iter()
        .map(|row| {
            let hash: &[u8] = row.get("key_hash");
            Ok(LoadedKey {
                team: TeamId(row.get("team_id")),
                team_slug: row.get("team_slug"),
                team_name: row.get("team_name"),
                id: KeyId(row.get("key_id")),
                hash: hash.try_into().map_err(Error::internal)?,
                prefix: row.get("prefix"),
                name: row.get("name"),
                scopes: row.get("scopes"),
                queries_per_hour: row.get::<_, i32>("queries_per_hour").unsigned_abs(),
                expires_at: row.get("expires_at"),
            })
        })
        .collect()
}

/// What tokens are signed with.
///
/// # Errors
/// As [`db::query`].
pub async fn load_signing(db: &Db) -> Result<Vec<SigningSecret>, Error> {
    let rows = db::query(&db.system().await?, sql!("access/load_signing"), &[]).await?;
    rows.iter()
        .map(|row| {
            let secret: &[u8] = row.get("secret");
            Ok(SigningSecret {
                id: row.get("id"),
                secret: secret.try_into().map_err(Error::internal)?,
                created_at: row.get("created_at"),
            })
        })
        .collect()
}

/// Puts a new secret beside the others, or in place of all; drops those in whose place another has signed
/// since an instant.
///
/// # Errors
/// As [`db::query`].
pub async fn rotate_signing(
    write: &Write,
    new: &SigningSecret,
    since: DateTime<Utc>,
    end_all: bool,
) -> Result<(), Error> {
    write.query(sql!("access/drop_signing"), &[&since, &end_all]).await?;
    let name = format!("signing.{}", new.id);
    let params: db::Params<'_> = &[&name, &new.secret.as_slice(), &new.created_at];
    write.query(sql!("access/add_signing"), params).await?;
    notify_keys(write).await
}

/// Notes when keys of a team were used.
///
/// # Errors
/// As [`db::query`].
pub async fn touch_keys(
    db: &Db,
    team: TeamId,
    keys: &[(KeyId, DateTime<Utc>)],
) -> Result<(), Error> {
    let (ids, ats): (Vec<Uuid>, Vec<_>) = keys.iter().map(|(key, at)| (key.0, *at)).unzip();
    db::query(&db.system().await?, sql!("access/touch_keys"), &[&team.0, &ids, &ats]).await?;
    Ok(())
}

/// Deletes some of the keys that ended before an instant. Says how many.
///
/// # Errors
/// As [`db::query`].
pub async fn forget_keys(db: &Db, before: DateTime<Utc>, most: i64) -> Result<i64, Error> {
    let client = db.system().await?;
    let rows = db::query(&client, sql!("access/forget_keys"), &[&before, &most]).await?;
    Ok(rows.first().map_or(0, |row| row.get("gone")))
}

/// Deletes some of what was done to keys before an instant. Says of how much.
///
/// # Errors
/// As [`db::query`].
pub async fn forget_key_events(db: &Db, before: DateTime<Utc>, most: i64) -> Result<i64, Error> {
    let client = db.system().await?;
    let rows = db::query(&client, sql!("access/forget_key_events"), &[&before, &most]).await?;
    Ok(rows.first().map_or(0, |row| row.get("gone")))
}

fn team(row: &Row) -> Team {
    Team { id: TeamId(row.get("team_id")), slug: row.get("slug"), name: row.get("name") }
}

fn key_info(row: &Row) -> KeyInfo {
    KeyInfo {
        id: KeyId(row.get("key_id")),
        prefix: row.get("prefix"),
        name: row.get("name"),
        scopes: row.get("scopes"),
        queries_per_hour: row.get::<_, i32>("queries_per_hour").unsigned_abs(),
        created_at: row.get("created_at"),
        created_by: row.get::<_, Option<Uuid>>("created_by").map(KeyId),
        expires_at: row.get("expires_at"),
        revoked_at: row.get("revoked_at"),
        last_used_at: row.get("last_used_at"),
        replaces: row.get::<_, Option<Uuid>>("replaces").map(KeyId),
        rotated: row
            .get::<_, Option<DateTime<Utc>>>("rotated_at")
            .map(|at| (at, row.get("expires_at_before"))),
    }
}
