//! One function for each statement of `sql/access/`. All of it spans teams: it runs as `tap_system`.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    key::{ApiKey, Hash},
    model::{Grant, KeyInfo, Team},
};
use crate::{
    db::{self, Db},
    error::Error,
    ids::{KeyId, TeamId},
    sql,
};

/// Adds a team with the next number. `None` when the slug is taken.
///
/// # Errors
/// As [`db::query`].
pub async fn create_team(db: &Db, slug: &str, name: &str) -> Result<Option<TeamId>, Error> {
    let mut client = db.system().await?;
    let transaction = client.transaction().await.map_err(db::sql_error)?;
    let team = insert_team(&transaction, None, slug, name).await?;
    transaction.commit().await.map_err(db::sql_error)?;
    Ok(team)
}

/// Adds the team that a key names, and the key. `false` when the number or the slug is taken.
///
/// # Errors
/// As [`db::query`].
pub async fn create_team_with_key(
    db: &Db,
    slug: &str,
    name: &str,
    key: &ApiKey,
    grant: Grant<'_>,
) -> Result<bool, Error> {
    let mut client = db.system().await?;
    let transaction = client.transaction().await.map_err(db::sql_error)?;
    let made = insert_team(&transaction, Some(key.team()), slug, name).await?.is_some();
    if made {
        insert_key(&transaction, key, grant).await?;
    }
    transaction.commit().await.map_err(db::sql_error)?;
    Ok(made)
}

async fn insert_team(
    transaction: &Transaction<'_>,
    id: Option<TeamId>,
    slug: &str,
    name: &str,
) -> Result<Option<TeamId>, Error> {
    db::query_in(transaction, sql!("access/lock_teams"), &[]).await?;
    let id = id.map(|id| id.0);
    let rows = db::query_in(transaction, sql!("access/create_team"), &[&id, &slug, &name]).await?;
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

/// Stores a key, that is its hash, and tells every replica.
///
/// # Errors
/// As [`db::query`].
pub async fn create_key(db: &Db, key: &ApiKey, grant: Grant<'_>) -> Result<(), Error> {
    let mut client = db.system().await?;
    let transaction = client.transaction().await.map_err(db::sql_error)?;
    insert_key(&transaction, key, grant).await?;
    transaction.commit().await.map_err(db::sql_error)
}

async fn insert_key(
    transaction: &Transaction<'_>,
    key: &ApiKey,
    grant: Grant<'_>,
) -> Result<(), Error> {
    let scopes: Vec<&str> = grant.scopes.iter().map(|scope| scope.as_str()).collect();
    let quota = i32::try_from(grant.queries_per_hour).map_err(Error::internal)?;
    let hash = key.hash();
    let params: db::Params<'_> = &[
        &key.team().0,
        &Uuid::now_v7(),
        &hash.as_slice(),
        &key.prefix(),
        &grant.name,
        &scopes,
        &quota,
        &grant.expires_at,
    ];
    db::query_in(transaction, sql!("access/create_key"), params).await?;
    db::query_in(transaction, sql!("access/notify_keys"), &[]).await?;
    Ok(())
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
                prefix: row.get("prefix"),
                name: row.get("name"),
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
