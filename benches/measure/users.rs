//! The rows of an import by statements alone, in the same table with the same indexes, under the same row-level security.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use tap_analytics::{config, sql};
use tokio_postgres::{
    Client,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{TEAM, postgres::connect};

/// Rows of one statement with arrays, as the service has it.
pub(crate) const BATCH: usize = 5_000;
/// `COPY` into a table with row-level security is refused: so it goes into another one.
const MAKE_COPIED: &str = "create temporary table copied (
    user_id uuid, names text, nid text, phone text, gender text, email text,
    nid_hash bytea, phone_hash bytea, email_hash bytea
) on commit drop";
const COPY: &str = "copy copied from stdin (format binary)";
const FROM_COPIED: &str = "insert into users (
    team_id, user_id, names, nid, phone, gender, email, nid_hash, phone_hash, email_hash,
    import_id, created_at, updated_at
)
select $1, user_id, names, nid, phone, gender, email, nid_hash, phone_hash, email_hash, $2, $3, $3
from copied";
const ONE: &str = "insert into users (
    team_id, user_id, names, nid, phone, gender, email, nid_hash, phone_hash, email_hash,
    import_id, created_at, updated_at
)
values ($1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $2, $3, $3)";

/// How to insert them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// So many of them, each by a round trip; all in one transaction, or each in one of its own.
    Alone {
        rows: usize,
        transactions: bool,
    },
    /// As the service does it.
    Arrays,
    Copy,
}

/// The rows that an import has stored.
#[derive(Debug)]
pub(crate) struct Users {
    client: Client,
    rows: Vec<User>,
    import: Uuid,
    at: DateTime<Utc>,
}

#[derive(Debug)]
struct User {
    id: Uuid,
    values: [String; 5],
    hashes: [Vec<u8>; 3],
}

impl Users {
    /// Those that are stored.
    pub(crate) async fn read(store: &config::Store) -> anyhow::Result<Self> {
        let client = connect(store).await?;
        let rows = client.query("select * from users order by user_id", &[]).await?;
        let first = rows.first().context("no users")?;
        let (import, at) = (first.get("import_id"), first.get("created_at"));
        let user = |row: &tokio_postgres::Row| User {
            id: row.get("user_id"),
            values: ["names", "nid", "phone", "gender", "email"].map(|name| row.get(name)),
            hashes: ["nid_hash", "phone_hash", "email_hash"].map(|name| row.get(name)),
        };
        Ok(Self { client, rows: rows.iter().map(user).collect(), import, at })
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Inserts them into the empty table; says how long that takes with its commit.
    pub(crate) async fn insert(&self, way: Way) -> anyhow::Result<Duration> {
        self.client.batch_execute("truncate users; checkpoint").await?;
        // As the service is connected. What was prepared is not in the time.
        let team = TEAM.0;
        self.client.batch_execute(&format!("set role tap_app; set app.team_id = '{team}'")).await?;
        let inserted = match way {
            Way::Alone { rows, transactions } => self.alone(rows, transactions).await,
            Way::Arrays => self.arrays().await,
            Way::Copy => self.copy().await,
        };
        self.client.batch_execute("rollback; reset role").await?;
        let elapsed = inserted?;
        let wanted = match way {
            Way::Alone { rows, .. } => rows.min(self.len()),
            Way::Arrays | Way::Copy => self.len(),
        };
        let found: i64 = self.client.query_one("select count(*) from users", &[]).await?.get(0);
        ensure!(usize::try_from(found)? == wanted, "{found} users of {wanted} are there");
        Ok(elapsed)
    }

    async fn alone(&self, rows: usize, transactions: bool) -> anyhow::Result<Duration> {
        let statement = self.client.prepare(ONE).await?;
        let start = Instant::now();
        if !transactions {
            self.client.batch_execute("begin").await?;
        }
        for User { id, values, hashes } in self.rows.iter().take(rows) {
            let mut params: Vec<&(dyn ToSql + Sync)> = vec![&TEAM.0, &self.import, &self.at, id];
            params.extend(values.iter().map(|value| value as &(dyn ToSql + Sync)));
            params.extend(hashes.iter().map(|hash| hash as &(dyn ToSql + Sync)));
            self.client.execute(&statement, &params).await?;
        }
        if !transactions {
            self.client.batch_execute("commit").await?;
        }
        Ok(start.elapsed())
    }

    async fn arrays(&self) -> anyhow::Result<Duration> {
        let statement = self.client.prepare(sql!("imports/insert_users").text).await?;
        let start = Instant::now();
        self.client.batch_execute("begin").await?;
        for batch in self.rows.chunks(BATCH) {
            let ids: Vec<Uuid> = batch.iter().map(|user| user.id).collect();
            let values = [0, 1, 2, 3, 4]
                .map(|at| batch.iter().map(|user| user.values[at].as_str()).collect::<Vec<_>>());
            let hashes = [0, 1, 2]
                .map(|at| batch.iter().map(|user| user.hashes[at].as_slice()).collect::<Vec<_>>());
            let mut params: Vec<&(dyn ToSql + Sync)> = vec![&TEAM.0, &self.import, &self.at, &ids];
            params.extend(values.iter().map(|values| values as &(dyn ToSql + Sync)));
            params.extend(hashes.iter().map(|hashes| hashes as &(dyn ToSql + Sync)));
            self.client.execute(&statement, &params).await?;
        }
        self.client.batch_execute("commit").await?;
        Ok(start.elapsed())
    }

    async fn copy(&self) -> anyhow::Result<Duration> {
        let types: Vec<Type> =
            [Type::UUID].into_iter().chain([Type::TEXT; 5]).chain([Type::BYTEA; 3]).collect();
        let start = Instant::now();
        self.client.batch_execute(&format!("begin; {MAKE_COPIED}")).await?;
        let sink = self.client.copy_in(COPY).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        for User { id, values, hashes } in &self.rows {
            let mut row: Vec<&(dyn ToSql + Sync)> = vec![id];
            row.extend(values.iter().map(|value| value as &(dyn ToSql + Sync)));
            row.extend(hashes.iter().map(|hash| hash as &(dyn ToSql + Sync)));
            writer.as_mut().write(&row).await?;
        }
        writer.finish().await?;
        let params: &[&(dyn ToSql + Sync)] = &[&TEAM.0, &self.import, &self.at];
        self.client.execute(FROM_COPIED, params).await?;
        self.client.batch_execute("commit").await?;
        Ok(start.elapsed())
    }
}
