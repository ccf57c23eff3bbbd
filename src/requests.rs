//! Requests that can be repeated: the same `request_id` with the same request is done once, and is answered
//! as the first time.
//!
//! The answer is kept in the transaction that does the work, for a week. Two that come at the same time wait
//! for one another at the key of the row.

use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use uuid::Uuid;

use crate::{
    auth::Caller,
    db::{self, Db, Write},
    error::Error,
    ids::{KeyId, TeamId},
    reasons, sql,
};

/// How long an answer is kept.
const KEPT: TimeDelta = TimeDelta::days(7);

/// Does the work of a request in a transaction, or finds what was answered when it was done before. Without
/// an id it is done each time.
///
/// # Errors
/// [`Error::AlreadyExists`] when the id was used for something else; those of the work; as
/// [`crate::db::query`].
pub async fn once<A: Message + Default>(
    once: Option<Once>,
    write: &Write,
    work: impl AsyncFnOnce() -> Result<A, Error>,
) -> Result<A, Error> {
    let Some(once) = once else { return work().await };
    if let Some(answer) = once.begin(write).await? {
        return Ok(answer);
    }
    let answer = work().await?;
    once.finish(write, &answer).await?;
    Ok(answer)
}

/// Forgets some of the requests that nobody repeats any more. Says how many.
///
/// # Errors
/// As [`crate::db::query`].
pub async fn forget(db: &Db, now: DateTime<Utc>, most: i64) -> Result<i64, Error> {
    let client = db.system().await?;
    let rows = db::query(&client, sql!("requests/forget"), &[&(now - KEPT), &most]).await?;
    Ok(rows.first().map_or(0, |row| row.get("gone")))
}

/// A request that carries an id.
#[derive(Clone, Copy, Debug)]
pub struct Once {
    team: TeamId,
    id: Uuid,
    fingerprint: [u8; 32],
}

impl Once {
    /// What makes two requests the same: who asks, what for, and all that is in it.
    pub fn new(team: TeamId, key: KeyId, id: Uuid, method: &str, request: &impl Message) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(key.0.as_bytes());
        hasher.update(&[0]);
        hasher.update(method.as_bytes());
        hasher.update(&[0]);
        hasher.update(&request.encode_to_vec());
        Self { team, id, fingerprint: *hasher.finalize().as_bytes() }
    }

    /// The same, of the key that a caller has.
    #[must_use]
    pub fn of(caller: &Caller, id: Uuid, method: &str, request: &impl Message) -> Self {
        Self::new(caller.team, caller.key, id, method, request)
    }

    /// Takes the id for this transaction, or finds what was answered before.
    async fn begin<A: Message + Default>(&self, write: &Write) -> Result<Option<A>, Error> {
        let taken = write
            .query(sql!("requests/begin"), &[&self.team.0, &self.id, &self.fingerprint.as_slice()])
            .await?;
        if !taken.is_empty() {
            return Ok(None);
        }
        let found = write.query(sql!("requests/find"), &[&self.team.0, &self.id]).await?;
        // Forgotten in this moment: the caller may as well come again.
        let row = found.first().ok_or_else(|| {
            Error::store_unavailable(anyhow::anyhow!("a request was forgotten as it came again"))
        })?;
        if row.get::<_, &[u8]>("fingerprint") != self.fingerprint {
            return Err(Error::AlreadyExists {
                reason: reasons::REQUEST_ID_USED,
                message: "this request_id was used for another request: take a new one, or repeat that one as it was".to_owned(),
            });
        }
        A::decode(row.get::<_, &[u8]>("answer")).map(Some).map_err(Error::internal)
    }

    /// Keeps the answer.
    async fn finish(&self, write: &Write, answer: &impl Message) -> Result<(), Error> {
        let answer = answer.encode_to_vec();
        write.query(sql!("requests/finish"), &[&self.team.0, &self.id, &answer]).await?;
        Ok(())
    }
}
