//! Customers, and receipts of those who were erased.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::messages::hash;
use crate::{
    db::{self, Db, TeamRead, Write},
    dialogs::model::{Counts, CustomerHash, Erasure},
    error::Error,
    ids::{KeyId, TeamId},
    sql,
};

/// Which of these customers were erased.
///
/// # Errors
/// As [`db::query`].
pub async fn find_erased(
    read: &TeamRead,
    team: TeamId,
    customers: &[CustomerHash],
) -> Result<Vec<CustomerHash>, Error> {
    let rows = read.query(sql!("dialogs/find_erased"), &[&team.0, &bytes(customers)]).await?;
    rows.iter().map(|row| hash(row.get("customer_hash"))).collect()
}

/// Customers of whom something is about to be stored. Returns those who were not erased: nobody erases them until the
/// transaction ends.
///
/// # Errors
/// As [`db::query`].
pub async fn hold_customers(
    write: &Write,
    team: TeamId,
    customers: &[(CustomerHash, &str)],
    replica: Uuid,
) -> Result<Vec<CustomerHash>, Error> {
    let hashes: Vec<CustomerHash> = customers.iter().map(|(hash, _)| *hash).collect();
    let ids: Vec<&str> = customers.iter().map(|(_, id)| *id).collect();
    let params: db::Params<'_> = &[&team.0, &bytes(&hashes), &ids, &replica];
    write.query(sql!("dialogs/insert_customers"), params).await?;
    let rows = write.query(sql!("dialogs/hold_customers"), &[&team.0, &bytes(&hashes)]).await?;
    rows.iter().map(|row| hash(row.get("customer_hash"))).collect()
}

fn bytes(hashes: &[CustomerHash]) -> Vec<&[u8]> {
    hashes.iter().map(|hash| &hash.0[..]).collect()
}

/// When a customer was erased.
///
/// # Errors
/// As [`db::query`].
pub async fn erased_at(
    read: &TeamRead,
    team: TeamId,
    customer: CustomerHash,
) -> Result<Option<DateTime<Utc>>, Error> {
    let rows = read.query(sql!("dialogs/get_customer"), &[&team.0, &&customer.0[..]]).await?;
    Ok(rows.first().and_then(|row| row.get("erased_at")))
}

/// How much is stored of a customer.
///
/// # Errors
/// As [`db::query`].
pub async fn count_customer(
    read: &TeamRead,
    team: TeamId,
    customer: CustomerHash,
) -> Result<Counts, Error> {
    let rows = read.query(sql!("dialogs/count_customer"), &[&team.0, &&customer.0[..]]).await?;
    let count = |name| rows.first().map_or(0, |row| row.get(name));
    Ok(Counts {
        messages: count("messages"),
        pending_messages: 0,
        dialogs: count("dialogs"),
        consents: count("consents"),
    })
}

/// Takes away what is stored of a customer, for good; says how much that was.
///
/// # Errors
/// As [`db::query`].
pub async fn erase_customer(
    write: &Write,
    team: TeamId,
    customer: CustomerHash,
    now: DateTime<Utc>,
    replica: Uuid,
) -> Result<Counts, Error> {
    let hash = &customer.0[..];
    // First the customer, then the dialogs: as whoever stores something does.
    write.query(sql!("dialogs/erase_customer"), &[&team.0, &hash, &now, &replica]).await?;
    let rows = write.query(sql!("dialogs/lock_dialogs_of_customer"), &[&team.0, &hash]).await?;
    let dialogs: Vec<String> = rows.iter().map(|row| row.get("dialog_id")).collect();
    let gone = write.query(sql!("dialogs/delete_messages_of_customer"), &[&team.0, &hash]).await?;
    let params: db::Params<'_> = &[&team.0, &dialogs, &hash];
    let unlinked = write.query(sql!("dialogs/unlink_consents"), params).await?;
    write.query(sql!("dialogs/delete_dialogs"), &[&team.0, &dialogs]).await?;
    write.query(sql!("dialogs/touch_customer"), &[&team.0, &hash]).await?;
    let count = |rows: &[Row], name| rows.first().map_or(0, |row| row.get(name));
    Ok(Counts {
        messages: count(&gone, "gone"),
        pending_messages: 0,
        dialogs: i64::try_from(dialogs.len()).unwrap_or(i64::MAX),
        consents: count(&unlinked, "changed"),
    })
}

/// The newest receipt: its number and hash.
///
/// # Errors
/// As [`db::query`].
pub async fn last_erasure(read: &TeamRead, team: TeamId) -> Result<Option<(i64, [u8; 32])>, Error> {
    let rows = read.query(sql!("dialogs/last_erasure"), &[&team.0]).await?;
    rows.first().map(|row| Ok((row.get("number"), hash(row.get("hash"))?.0))).transpose()
}

/// Keeps a receipt.
///
/// # Errors
/// As [`db::query`].
pub async fn insert_erasure(write: &Write, team: TeamId, erasure: &Erasure) -> Result<(), Error> {
    let Counts { messages, pending_messages, dialogs, consents } = &erasure.counts;
    let params: db::Params<'_> = &[
        &team.0,
        &erasure.number,
        &erasure.id,
        &&erasure.customer.0[..],
        &erasure.erased_at,
        &erasure.key.0,
        messages,
        pending_messages,
        dialogs,
        consents,
        &&erasure.previous_hash[..],
        &&erasure.hash[..],
    ];
    write.query(sql!("dialogs/insert_erasure"), params).await?;
    Ok(())
}

/// A page of receipts, the newest first.
///
/// # Errors
/// As [`db::query`].
pub async fn list_erasures(
    read: &TeamRead,
    team: TeamId,
    customer: Option<CustomerHash>,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<Erasure>, Error> {
    let customer = customer.map(|customer| customer.0.to_vec());
    let params: db::Params<'_> = &[&team.0, &limit, &customer, &after];
    let rows = read.query(sql!("dialogs/list_erasures"), params).await?;
    rows.iter().map(erasure).collect()
}

fn erasure(row: &Row) -> Result<Erasure, Error> {
    Ok(Erasure {
        number: row.get("number"),
        id: row.get("erasure_id"),
        customer: hash(row.get("customer_hash"))?,
        erased_at: row.get("erased_at"),
        key: KeyId(row.get("key_id")),
        counts: Counts {
            messages: row.get("messages"),
            pending_messages: row.get("pending_messages"),
            dialogs: row.get("dialogs"),
            consents: row.get("consents"),
        },
        previous_hash: hash(row.get("previous_hash"))?.0,
        hash: hash(row.get("hash"))?.0,
    })
}

/// What other replicas have changed.
#[derive(Clone, Debug)]
pub struct Changed {
    /// When this was asked for, by the clock of the store.
    pub asked_at: DateTime<Utc>,
    pub dialogs: Vec<(TeamId, String)>,
    /// Those who were erased.
    pub customers: Vec<(TeamId, CustomerHash)>,
}

/// What other replicas have changed since an instant of the store; `None`: nothing yet.
///
/// # Errors
/// As [`db::query`].
pub async fn find_changed(
    db: &Db,
    since: Option<DateTime<Utc>>,
    replica: Uuid,
) -> Result<Changed, Error> {
    let client = db.system().await?;
    let rows =
        db::query(&client, sql!("dialogs/find_changed_dialogs"), &[&since, &replica]).await?;
    let nothing = || Error::internal(anyhow::anyhow!("the store does not tell the time"));
    let asked_at = rows.first().map(|row| row.get("asked_at")).ok_or_else(nothing)?;
    let dialog = |row: &Row| {
        let team: Option<i32> = row.get("team_id");
        Some((TeamId(team?), row.get("dialog_id")))
    };
    let dialogs = rows.iter().filter_map(dialog).collect();
    let rows =
        db::query(&client, sql!("dialogs/find_changed_customers"), &[&since, &replica]).await?;
    let customer = |row: &Row| Ok((TeamId(row.get("team_id")), hash(row.get("customer_hash"))?));
    let customers = rows.iter().map(customer).collect::<Result<_, Error>>()?;
    Ok(Changed { asked_at, dialogs, customers })
}
