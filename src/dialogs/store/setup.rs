//! Settings of teams.

use tokio_postgres::Row;

use crate::{
    db::{self, Db, TeamRead, Write},
    dialogs::model::{Settings, Terms},
    error::Error,
    ids::TeamId,
    sql,
};

/// What a team wants.
///
/// # Errors
/// As [`db::query`].
pub async fn get_settings(read: &TeamRead, team: TeamId) -> Result<Settings, Error> {
    let rows = read.query(sql!("dialogs/get_settings"), &[&team.0]).await?;
    Ok(rows.first().map(settings).unwrap_or_default())
}

/// Waits for others who change settings, or erase customers: from here on there is a row to be held.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_settings(write: &Write, team: TeamId) -> Result<(), Error> {
    write.query(sql!("dialogs/lock_settings"), &[&team.0]).await?;
    Ok(())
}

/// Sets what a team wants.
///
/// # Errors
/// As [`db::query`].
pub async fn put_settings(write: &Write, team: TeamId, settings: &Settings) -> Result<(), Error> {
    let Terms { purpose, policy_version, policy_hash } = &settings.terms;
    let (redact, delete) = (&settings.redact_after, &settings.delete_after);
    let params: db::Params<'_> = &[&team.0, purpose, policy_version, policy_hash, redact, delete];
    write.query(sql!("dialogs/put_settings"), params).await?;
    Ok(())
}

fn settings(row: &Row) -> Settings {
    Settings {
        terms: Terms {
            purpose: row.get("purpose"),
            policy_version: row.get("policy_version"),
            policy_hash: row.get("policy_hash"),
        },
        redact_after: row.get("redact_after_days"),
        delete_after: row.get("delete_after_days"),
    }
}

/// How long a team keeps messages.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub team: TeamId,
    /// Days; 0: never.
    pub redact_after: i32,
    pub delete_after: i32,
}

/// Teams that keep messages for a time only: some of those after this one.
///
/// # Errors
/// As [`db::query`].
pub async fn list_retentions(db: &Db, after: TeamId) -> Result<Vec<Retention>, Error> {
    let client = db.system().await?;
    let rows = db::query(&client, sql!("dialogs/list_retentions"), &[&after.0]).await?;
    let retention = |row: &Row| Retention {
        team: TeamId(row.get("team_id")),
        redact_after: row.get("redact_after_days"),
        delete_after: row.get("delete_after_days"),
    };
    Ok(rows.iter().map(retention).collect())
}
