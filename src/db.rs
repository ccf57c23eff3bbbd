//! The door to PostgreSQL: a pool for each role, statements from `sql/`, and errors in our terms.
//!
//! * [`Db::team`] is how a request reads: one snapshot, as `tap_app`, seeing one team's rows.
//! * [`Db::system`] is for what spans teams, as `tap_system`: the key directory, the writer, seeding.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use anyhow::Context as _;
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio_postgres::{
    NoTls, Row, RowStream,
    error::{Error as PgError, SqlState},
    types::ToSql,
};

use crate::{config, error::Error, ids::TeamId};

/// A statement: a file of `sql/`, by its path without the ending.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    /// Such as `taps/write_taps`: for the log.
    pub name: &'static str,
    /// The text.
    pub text: &'static str,
}

/// The statement in `sql/<name>.sql`.
#[macro_export]
macro_rules! sql {
    ($name:literal) => {
        $crate::db::Sql {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $name, ".sql")),
        }
    };
}

/// One thing that a statement is given.
pub type Param<'a> = &'a (dyn ToSql + Sync);
/// What a statement is given.
pub type Params<'a> = &'a [Param<'a>];

/// How long to wait for a connection of the pool, or for PostgreSQL to accept one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The two pools.
#[derive(Clone, Debug)]
pub struct Db {
    app: Pool,
    system: Pool,
}

impl Db {
    /// Makes the pools; connects to nothing yet.
    ///
    /// # Errors
    /// When the settings are not a database address.
    pub fn new(config: &config::Store) -> anyhow::Result<Self> {
        let size = usize::from(config.db_pool_size);
        Ok(Self {
            app: pool(role(config, "tap_app", config.db_app_password.as_deref())?, size)?,
            system: pool(system_role(config)?, size)?,
        })
    }

    /// Opens a read of one snapshot that sees the rows of one team only.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] when there is no connection to be had.
    pub async fn team(&self, team: TeamId) -> Result<TeamRead, Error> {
        let client = self.app.get().await.map_err(pool_error)?;
        let begin = sql!("db/begin_team").text.replace("{team_id}", &team.to_string());
        // From here on the connection is dirty: dropped before its end, it must not be used again.
        let read = TeamRead(Some(client));
        read.client().batch_execute(&begin).await.map_err(sql_error)?;
        Ok(read)
    }

    /// Opens a change of what is one team's, as `tap_app`, which sees the rows of that team only.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] when there is no connection to be had.
    pub async fn team_write(&self, team: TeamId) -> Result<Write, Error> {
        let begin = sql!("db/begin_team_write").text.replace("{team_id}", &team.to_string());
        Write::begin(self.app.get().await.map_err(pool_error)?, &begin).await
    }

    /// Opens a change of what spans teams, as `tap_system`.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] when there is no connection to be had.
    pub async fn system_write(&self) -> Result<Write, Error> {
        Write::begin(self.system().await?, sql!("db/begin_write").text).await
    }

    /// A connection for what spans teams.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] when there is no connection to be had.
    pub async fn system(&self) -> Result<Object, Error> {
        self.system.get().await.map_err(pool_error)
    }
}

/// A read of one team's rows, all from one snapshot.
#[derive(Debug)]
pub struct TeamRead(Option<Object>);

impl TeamRead {
    #[expect(
        clippy::expect_used,
        reason = "only `end` and `drop` take the client, and both end self"
    )]
    fn client(&self) -> &Object {
        self.0.as_ref().expect("the read is open")
    }

    /// All rows of a statement.
    ///
    /// # Errors
    /// As [`query`].
    pub async fn query(&self, sql: Sql, params: Params<'_>) -> Result<Vec<Row>, Error> {
        query(self.client(), sql, params).await
    }

    /// The rows of a statement as they come, for answers that should not be held in memory whole.
    ///
    /// # Errors
    /// As [`query`].
    pub async fn stream(&self, sql: Sql, params: Params<'_>) -> Result<RowStream, Error> {
        let statement =
            self.client().prepare_cached(sql.text).await.map_err(|error| failed(sql, error))?;
        let params = params.iter().map(|param| *param as &dyn ToSql);
        self.client().query_raw(&statement, params).await.map_err(|error| failed(sql, error))
    }

    /// Gives the connection back.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn end(self) -> Result<(), Error> {
        self.end_by("commit").await
    }

    async fn end_by(mut self, how: &str) -> Result<(), Error> {
        if let Some(client) = self.0.take() {
            let end = client.batch_execute(how).await;
            if end.is_err() {
                drop(Object::take(client));
            }
            end.map_err(sql_error)?;
        }
        Ok(())
    }
}

impl Drop for TeamRead {
    /// A read that was cut off, by an error or because its caller went away, leaves an open
    /// transaction: such a connection is closed rather than given to somebody else.
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

/// A change: all of it, or, when it is dropped before [`Write::end`], nothing.
#[derive(Debug)]
pub struct Write(TeamRead);

impl std::ops::Deref for Write {
    type Target = TeamRead;

    /// What is read in a change.
    fn deref(&self) -> &TeamRead {
        &self.0
    }
}

impl Write {
    async fn begin(client: Object, begin: &str) -> Result<Self, Error> {
        let write = TeamRead(Some(client));
        write.client().batch_execute(begin).await.map_err(sql_error)?;
        Ok(Self(write))
    }

    /// Runs an insert. After anything but [`Inserted::Done`] the change can only be taken back.
    ///
    /// # Errors
    /// As [`query`].
    pub async fn insert(&self, sql: Sql, params: Params<'_>) -> Result<Inserted, Error> {
        let client = self.client();
        let statement =
            client.prepare_cached(sql.text).await.map_err(|error| failed(sql, error))?;
        inserted(sql, client.execute(&statement, params).await)
    }

    /// Does a part of it, of which nothing is left if it fails: the rest goes on. Parts have no parts.
    ///
    /// # Errors
    /// Those of the work; when the connection is gone.
    pub async fn part<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.batch(sql!("db/savepoint")).await?;
        let done = work.await;
        let end = match &done {
            Ok(_) => sql!("db/release_savepoint"),
            Err(_) => sql!("db/rollback_to_savepoint"),
        };
        self.batch(end).await.and(done)
    }

    /// Takes it back, and keeps the connection where it can.
    pub async fn roll_back(self) {
        // One that cannot be taken back is dropped, and that takes it back, too.
        let _gone = self.0.end_by("rollback").await;
    }

    /// Lets the rest of it take minutes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn take_longer(&self) -> Result<(), Error> {
        self.batch(sql!("db/take_longer")).await
    }

    /// Has the rest of it plan its statements, and looks at foreign keys, once. Nothing may be looked up by arrays after it.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn plan_once(&self) -> Result<(), Error> {
        self.batch(sql!("db/plan_once")).await
    }

    async fn batch(&self, sql: Sql) -> Result<(), Error> {
        self.client().batch_execute(sql.text).await.map_err(|error| failed(sql, error))
    }

    /// Makes it last if the work was done, and otherwise takes it back: as dropping it does, but the
    /// connection is kept. For errors that callers can cause as often as they like.
    ///
    /// # Errors
    /// That of the work; or when the connection is gone: then nobody knows whether it lasts.
    pub async fn end<T>(self, done: Result<T, Error>) -> Result<T, Error> {
        match done {
            Ok(made) => self.0.end().await.map(|()| made),
            Err(error) => {
                // What went wrong first is what to tell.
                self.roll_back().await;
                Err(error)
            }
        }
    }
}

/// All rows of a statement, prepared once for each connection.
///
/// # Errors
/// [`Error::StoreUnavailable`], [`Error::TooSlow`] or [`Error::Internal`].
pub async fn query(client: &Object, sql: Sql, params: Params<'_>) -> Result<Vec<Row>, Error> {
    let statement = client.prepare_cached(sql.text).await.map_err(|error| failed(sql, error))?;
    client.query(&statement, params).await.map_err(|error| failed(sql, error))
}

/// The same in a transaction.
///
/// # Errors
/// As [`query`].
pub async fn query_in(
    transaction: &deadpool_postgres::Transaction<'_>,
    sql: Sql,
    params: Params<'_>,
) -> Result<Vec<Row>, Error> {
    let statement =
        transaction.prepare_cached(sql.text).await.map_err(|error| failed(sql, error))?;
    transaction.query(&statement, params).await.map_err(|error| failed(sql, error))
}

/// What came of an insert. After anything but `Done` the transaction can only be rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    Done,
    /// Something is there already.
    SomeIsThere,
    /// There is no partition for some of it.
    NoPartition,
}

/// Runs an insert in a transaction.
///
/// # Errors
/// As [`query`].
pub async fn insert_in(
    transaction: &deadpool_postgres::Transaction<'_>,
    sql: Sql,
    params: Params<'_>,
) -> Result<Inserted, Error> {
    let statement =
        transaction.prepare_cached(sql.text).await.map_err(|error| failed(sql, error))?;
    inserted(sql, transaction.execute(&statement, params).await)
}

fn inserted(sql: Sql, done: Result<u64, PgError>) -> Result<Inserted, Error> {
    match done {
        Ok(_) => Ok(Inserted::Done),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            Ok(Inserted::SomeIsThere)
        }
        // A constraint of a table has a name, the want of a partition has not.
        Err(error)
            if error.as_db_error().is_some_and(|error| {
                *error.code() == SqlState::CHECK_VIOLATION && error.constraint().is_none()
            }) =>
        {
            Ok(Inserted::NoPartition)
        }
        Err(error) => Err(failed(sql, error)),
    }
}

/// The same, and the log will say which statement it was.
fn failed(sql: Sql, error: PgError) -> Error {
    match sql_error(error) {
        Error::Internal(cause) => match Arc::try_unwrap(cause) {
            Ok(cause) => Error::internal(cause.context(format!("sql/{}.sql", sql.name))),
            Err(shared) => Error::Internal(shared),
        },
        other => other,
    }
}

/// A pattern of all texts that have this one in them; `None` for an empty one.
#[must_use]
pub fn pattern(text: &str) -> Option<String> {
    let escaped = text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    (!text.is_empty()).then(|| format!("%{escaped}%"))
}

/// Whether a statement failed for what it was given: that will not change, however often it is tried.
#[must_use]
pub fn is_of_the_data(error: &Error) -> bool {
    let Error::Internal(cause) = error else { return false };
    let state = cause.downcast_ref::<PgError>().and_then(PgError::code);
    // Values that do not fit, constraints, limits of PostgreSQL.
    state.is_some_and(|state| matches!(state.code().get(..2), Some("22" | "23" | "54")))
}

/// What a failed statement means to the caller.
#[must_use]
pub fn sql_error(error: PgError) -> Error {
    let Some(state) = error.code().cloned() else {
        // Not from the server: the connection broke, or a value did not fit its column.
        let broken = error.is_closed()
            || std::error::Error::source(&error)
                .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return if broken { Error::store_unavailable(error) } else { Error::internal(error) };
    };
    let class = state.code().get(..2).unwrap_or_default();
    match class {
        _ if state == SqlState::QUERY_CANCELED => Error::TooSlow,
        // Connections refused, transactions that lost against others, resources gone, shutting down or
        // starting, and on a replica that was just demoted.
        "08" | "40" | "53" | "57" | "58" => Error::store_unavailable(error),
        _ if state == SqlState::LOCK_NOT_AVAILABLE => Error::store_unavailable(error),
        _ if state == SqlState::READ_ONLY_SQL_TRANSACTION => Error::store_unavailable(error),
        _ => Error::internal(error),
    }
}

fn pool_error(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => match sql_error(error) {
            // Whatever keeps us from connecting, the caller can only come back later.
            Error::Internal(cause) => Error::StoreUnavailable(cause),
            other => other,
        },
        error => Error::store_unavailable(error),
    }
}

/// A number for the history of the store: another one once a backup was restored or a standby took over.
/// 0 where PostgreSQL does not tell.
///
/// # Errors
/// As [`query`].
pub async fn history(db: &Db) -> Result<u32, Error> {
    let client = db.system().await?;
    match client.query_one(sql!("db/history").text, &[]).await {
        Ok(row) => Ok(crc32fast::hash(row.get::<_, &str>("history").as_bytes())),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(0),
        Err(error) => Err(failed(sql!("db/history"), error)),
    }
}

/// How `tap_system` connects. Also used outside the pool, to listen.
///
/// # Errors
/// When the settings are not a database address.
pub fn system_role(config: &config::Store) -> anyhow::Result<tokio_postgres::Config> {
    role(config, "tap_system", config.db_system_password.as_deref())
}

/// The administrator's address, for `migrate`.
///
/// # Errors
/// When the settings are not a database address.
pub fn administrator(config: &config::Store) -> anyhow::Result<tokio_postgres::Config> {
    let mut pg = tokio_postgres::Config::from_str(&config.database_url).context(
        "DATABASE_URL is not an address such as postgres://user:password@host:5432/database",
    )?;
    pg.application_name("tap-analytics")
        .connect_timeout(CONNECT_TIMEOUT)
        // A server that vanished without a word is noticed within seconds, not hours.
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(3))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(10));
    Ok(pg)
}

fn role(
    config: &config::Store,
    user: &str,
    password: Option<&str>,
) -> anyhow::Result<tokio_postgres::Config> {
    let mut pg = administrator(config)?;
    pg.user(user).options(format!(
        // A team of ten tags and one of a million must not share a plan.
        // And a statement ends when whoever asked has gone.
        "-c statement_timeout={} -c plan_cache_mode=force_custom_plan -c timezone=UTC -c jit=off -c client_connection_check_interval=1000 -c idle_in_transaction_session_timeout=30000 -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
        config.db_statement_timeout_ms
    ));
    if let Some(password) = password {
        pg.password(password);
    }
    Ok(pg)
}

fn pool(pg: tokio_postgres::Config, size: usize) -> anyhow::Result<Pool> {
    let manager =
        Manager::from_config(pg, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(CONNECT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .recycle_timeout(Some(CONNECT_TIMEOUT))
        .runtime(Runtime::Tokio1)
        .build()
        .context("cannot make the connection pool")
}
