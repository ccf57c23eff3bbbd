//! One function for each statement of `sql/access/`. All of it spans teams: it runs as `tap_system`.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::{
    key::Hash,
    model::{KeyInfo, Team},
};
use crate::{
    db::{self, Db},
    error::Error,
    ids::{KeyId, TeamId},
    sql,
};

/// Adds a team. `None` when the slug or the number is taken.
///
/// # Errors
/// As [`db::query`].
pub async fn create_team(
    db: &Db,
    id: Option<TeamId>,
    slug: &str,
    name: &str,
) -> Result<Option<TeamId>, Error> {
    let mut client = db.system().await?;
    let transaction = client.transaction().await.map_err(db::sql_error)?;
    db::query_in(&transaction, sql!("access/lock_teams"), &[]).await?;
    let id = id.map(|id| id.0);
    let rows = db::query_in(&transaction, sql!("access/create_team"), &[&id, &slug, &name]).await?;
    transaction.commit().await.map_err(db::sql_error)?;
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

/// What is stored of a new key.
#[derive(Debug)]
pub struct NewKey<'a> {
    pub team: TeamId,
    pub id: KeyId,
    pub hash: Hash,
    pub prefix: String,
    pub name: &'a str,
    pub scopes: Vec<&'static str>,
    pub queries_per_hour: u32,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Stores a key and tells every replica.
///
/// # Errors
/// As [`db::query`].
pub async fn create_key(db: &Db, key: &NewKey<'_>) -> Result<(), Error> {
    let mut client = db.system().await?;
    let transaction = client.transaction().await.map_err(db::sql_error)?;
    let quota = i32::try_from(key.queries_per_hour).map_err(Error::internal)?;
    db::query_in(
        &transaction,
        sql!("access/create_key"),
        &[
            &key.team.0,
            &key.id.0,
            &key.hash.as_slice(),
            &key.prefix,
            &key.name,
            &key.scopes,
            &quota,
            &key.expires_at,
        ],
    )
    .await?;
    db::query_in(&transaction, sql!("access/notify_keys"), &[]).await?;
    transaction.commit().await.map_err(db::sql_error)
}

/// The keys of a team, the newest first.
///
/// # Errors
/// As [`db::query`].
pub async fn list_keys(db: &Db, team: TeamId) -> Result<Vec<KeyInfo>, Error> {
    let rows = db::query(&db.system().await?, sql!("access/list_keys"), &[&team.0]).await?;
    Ok(rows.iter().map(key_info).collect())
}

/// Ends a key and tells every replica. `false` when the team has no such key.
///
/// # Errors
/// As [`db::query`].
pub async fn revoke_key(db: &Db, team: TeamId, key: KeyId) -> Result<bool, Error> {
    let mut client = db.system().await?;
    let transaction = client.transaction().await.map_err(db::sql_error)?;
    let rows = db::query_in(&transaction, sql!("access/revoke_key"), &[&team.0, &key.0]).await?;
    db::query_in(&transaction, sql!("access/notify_keys"), &[]).await?;
    transaction.commit().await.map_err(db::sql_error)?;
    Ok(!rows.is_empty())
}

/// A key as the directory needs it.
#[derive(Debug)]
pub struct LoadedKey {
    pub team: TeamId,
    pub id: KeyId,
    pub hash: Hash,
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
                id: KeyId(row.get("key_id")),
                hash: hash.try_into().map_err(Error::internal)?,
                scopes: row.get("scopes"),
                queries_per_hour: row.get::<_, i32>("queries_per_hour").unsigned_abs(),
                expires_at: row.get("expires_at"),
            })
        })
        .collect()
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
        expires_at: row.get("expires_at"),
        revoked_at: row.get("revoked_at"),
    }
}
