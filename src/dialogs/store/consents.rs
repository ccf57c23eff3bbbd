//! Decisions, and the dialogs that they are of.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::messages::{Dialog, dialog};
use crate::{
    db::{self, TeamRead, Write},
    dialogs::model::{Consent, CustomerHash, Decision, Terms},
    error::Error,
    ids::{KeyId, TeamId},
    paging::TimePlace,
    sql,
};

/// A dialog of which a customer has decided, for another decision; and the decision that holds.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_dialog(
    write: &Write,
    team: TeamId,
    id: &str,
) -> Result<Option<(Dialog, Uuid)>, Error> {
    let rows = write.query(sql!("dialogs/lock_dialog"), &[&team.0, &id]).await?;
    rows.first().map(|row| Ok((dialog(row)?, row.get("consent_id")))).transpose()
}

/// A dialog with its first decision; `false` when somebody was faster.
///
/// # Errors
/// As [`db::query`].
pub async fn insert_dialog(
    write: &Write,
    team: TeamId,
    id: &str,
    consent: &Consent,
    replica: Uuid,
) -> Result<bool, Error> {
    let (granted, refused_at) = granted(consent);
    let params: db::Params<'_> = &[&team.0, &id, &granted, &consent.id, &refused_at, &replica];
    Ok(!write.query(sql!("dialogs/insert_dialog"), params).await?.is_empty())
}

/// Another decision of a dialog that is locked.
///
/// # Errors
/// As [`db::query`]; [`Error::Internal`] when messages of it are stored that would be without consent.
pub async fn update_dialog(
    write: &Write,
    team: TeamId,
    id: &str,
    consent: &Consent,
    replica: Uuid,
) -> Result<(), Error> {
    let (granted, refused_at) = granted(consent);
    let params: db::Params<'_> = &[&team.0, &id, &granted, &consent.id, &refused_at, &replica];
    write.query(sql!("dialogs/update_dialog"), params).await?;
    Ok(())
}

/// Whether it is consent, and since when not.
fn granted(consent: &Consent) -> (bool, Option<DateTime<Utc>>) {
    let granted = consent.decision == Decision::Granted;
    (granted, (!granted).then_some(consent.decided_at))
}

/// Notes a decision.
///
/// # Errors
/// As [`db::query`].
pub async fn insert_consent(write: &Write, team: TeamId, consent: &Consent) -> Result<(), Error> {
    let Terms { purpose, policy_version, policy_hash } = &consent.terms;
    let params: db::Params<'_> = &[
        &team.0,
        &consent.id,
        &consent.dialog,
        &consent.decision.as_str(),
        purpose,
        policy_version,
        policy_hash,
        &consent.decided_at,
        &consent.key.0,
    ];
    write.query(sql!("dialogs/insert_consent"), params).await?;
    Ok(())
}

/// A decision.
///
/// # Errors
/// As [`db::query`].
pub async fn get_consent(read: &TeamRead, team: TeamId, id: Uuid) -> Result<Consent, Error> {
    let rows = read.query(sql!("dialogs/get_consent"), &[&team.0, &id]).await?;
    let row = rows.first().ok_or_else(|| {
        Error::internal(anyhow::anyhow!("a dialog has a decision that is not there"))
    })?;
    consent(row)
}

/// A page of decisions, the newest first.
///
/// # Errors
/// As [`db::query`].
pub async fn list_consents(
    read: &TeamRead,
    team: TeamId,
    dialog: Option<&str>,
    customer: Option<CustomerHash>,
    after: Option<TimePlace>,
    limit: i64,
) -> Result<Vec<Consent>, Error> {
    let (at, id) = (after.map(|after| after.at), after.map(|after| after.id));
    let mut params: Vec<db::Param<'_>> = vec![&team.0, &limit, &dialog, &at, &id];
    let customer = customer.map(|customer| customer.0.to_vec());
    let rows = if let Some(customer) = &customer {
        params.push(customer);
        read.query(sql!("dialogs/list_consents_of_customer"), &params).await?
    } else {
        read.query(sql!("dialogs/list_consents"), &params).await?
    };
    rows.iter().map(consent).collect()
}

fn consent(row: &Row) -> Result<Consent, Error> {
    let decision: &str = row.get("decision");
    let decision = Decision::parse(decision)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("an unknown decision is stored")))?;
    let decided_at: DateTime<Utc> = row.get("decided_at");
    Ok(Consent {
        id: row.get("consent_id"),
        dialog: row.get("dialog_id"),
        customer: row.get("customer_id"),
        decision,
        terms: Terms {
            purpose: row.get("purpose"),
            policy_version: row.get("policy_version"),
            policy_hash: row.get("policy_hash"),
        },
        decided_at,
        key: KeyId(row.get("key_id")),
    })
}
