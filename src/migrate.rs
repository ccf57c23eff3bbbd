//! Brings a database to the newest schema.
//!
//! Safe when several replicas start at once: one migrates, the others wait and find nothing to do.

use anyhow::Context as _;
use refinery::{Migration, Runner};
use tokio_postgres::{Client, NoTls};

use crate::{config, db, sql};

/// The migrations, oldest first. A migration that has landed is never changed; a new one is added.
pub const MIGRATIONS: &[(&str, &str)] = &[
    ("V1__teams", include_str!("../sql/schema/0001_teams.sql")),
    ("V2__api_keys", include_str!("../sql/schema/0002_api_keys.sql")),
    ("V3__tags", include_str!("../sql/schema/0003_tags.sql")),
    ("V4__taps", include_str!("../sql/schema/0004_taps.sql")),
    ("V5__tap_days", include_str!("../sql/schema/0005_tap_days.sql")),
    ("V6__live", include_str!("../sql/schema/0006_live.sql")),
    ("V7__access", include_str!("../sql/schema/0007_access.sql")),
    ("V8__events", include_str!("../sql/schema/0008_events.sql")),
    ("V9__coupons", include_str!("../sql/schema/0009_coupons.sql")),
    ("V10__tap_ids", include_str!("../sql/schema/0010_tap_ids.sql")),
    ("V11__dialogs", include_str!("../sql/schema/0011_dialogs.sql")),
    ("V12__imports", include_str!("../sql/schema/0012_imports.sql")),
];

/// Migrates the database, and says what it did.
///
/// # Errors
/// When the database cannot be reached, or the role may not do what is needed.
pub async fn run(config: &config::Store) -> anyhow::Result<Vec<String>> {
    let (mut client, connection) = db::administrator(config)?.connect(NoTls).await.context(
        "cannot connect to DATABASE_URL: is PostgreSQL running, and is the address right?",
    )?;
    let connection = tokio::spawn(connection);

    // Held until the connection closes, also when we are killed.
    client.batch_execute(sql!("db/lock_migrations").text).await?;
    client.batch_execute(sql!("roles").text).await.context(
        "cannot make the roles tap_owner, tap_app and tap_system: DATABASE_URL needs a role with CREATEROLE that owns the database",
    )?;
    for (role, password) in
        [("tap_app", &config.db_app_password), ("tap_system", &config.db_system_password)]
    {
        if let Some(password) = password {
            set_password(&client, role, password).await?;
        }
    }

    client.batch_execute(sql!("db/become_owner").text).await?;
    let migrations = MIGRATIONS
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>()?;
    let report = Runner::new(&migrations)
        // An older release finds migrations that it does not know, and leaves them be.
        .set_abort_missing(false)
        .run_async(&mut client)
        .await?;

    drop(client);
    connection.await??;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Sets a password without sending it: PostgreSQL gets the SCRAM verifier only, so that the password
/// is in no log of the server either.
async fn set_password(client: &Client, role: &str, password: &str) -> anyhow::Result<()> {
    let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
    let statement =
        sql!("db/set_password").text.replace("{role}", role).replace("{verifier}", &verifier);
    client
        .batch_execute(&statement)
        .await
        .with_context(|| format!("cannot set the password of {role}"))
}
