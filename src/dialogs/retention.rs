//! Keeps messages no longer than their teams want: first what identifies people is replaced in them, later they are
//! deleted.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time;

use super::{
    model::{Text, too_old},
    redact::redact,
    store::{
        messages as store,
        setup::{self, Retention},
    },
};
use crate::{clock::Clock, db::Db, error::Error, ids::TeamId};

const INTERVAL: Duration = Duration::from_mins(1);
/// Messages of one transaction.
const REDACTED_AT_A_TIME: i64 = 500;
const DELETED_AT_A_TIME: i64 = 5_000;
/// Transactions of a team before it is the turn of the next one.
const TRANSACTIONS: usize = 10;

/// For as long as the service runs.
pub async fn keep_to_retention(db: Db, clock: Clock) {
    loop {
        if let Err(error) = all_teams(&db, &clock).await {
            tracing::warn!(
                cause = error.log_text(),
                "cannot redact or delete messages that are kept no longer; trying again"
            );
        }
        time::sleep(INTERVAL).await;
    }
}

/// Until there is nothing left to do, all teams in turn.
async fn all_teams(db: &Db, clock: &Clock) -> Result<(), Error> {
    let mut failed = Ok(());
    loop {
        let (mut after, mut more) = (TeamId(0), false);
        loop {
            let teams = setup::list_retentions(db, after).await?;
            let Some(last) = teams.last() else { break };
            after = last.team;
            for team in teams {
                match one_team(db, clock, team).await {
                    Ok(left) => more |= left,
                    // One that fails does not keep the others from it.
                    Err(error) => failed = Err(error),
                }
            }
        }
        if !more {
            return failed;
        }
    }
}

/// Whether there is more to do.
async fn one_team(db: &Db, clock: &Clock, retention: Retention) -> Result<bool, Error> {
    let Retention { team, redact_after, delete_after } = retention;
    let now = clock.now();
    let mut left = false;
    if let Some(before) = too_old(delete_after, now) {
        left |= repeat(|| delete(db, team, before)).await?;
    }
    if let Some(before) = too_old(redact_after, now) {
        left |= repeat(|| redact_some(db, team, before, now)).await?;
    }
    Ok(left)
}

/// Does some at a time, until there is nothing left or it is the turn of others. Says whether something may be left.
async fn repeat<F: Future<Output = Result<bool, Error>>>(
    some: impl Fn() -> F,
) -> Result<bool, Error> {
    for _ in 0..TRANSACTIONS {
        if !some().await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Deletes some messages; says whether there were any.
async fn delete(db: &Db, team: TeamId, before: DateTime<Utc>) -> Result<bool, Error> {
    let write = db.team_write(team).await?;
    let gone = store::delete_old_messages(&write, team, before, DELETED_AT_A_TIME).await;
    let gone = write.end(gone).await?;
    metrics::counter!("tap_messages_deleted_total").increment(gone.unsigned_abs());
    Ok(gone > 0)
}

/// Redacts some messages; says whether there were any.
async fn redact_some(
    db: &Db,
    team: TeamId,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let write = db.team_write(team).await?;
    let work = async {
        let found = store::find_unredacted(&write, team, before, REDACTED_AT_A_TIME).await?;
        let texts: Vec<(_, Text)> = found.iter().map(|(id, text)| (*id, redact(text))).collect();
        store::redact_messages(&write, team, now, &texts).await?;
        Ok(texts.len())
    };
    let done = work.await;
    let redacted = write.end(done).await?;
    metrics::counter!("tap_messages_redacted_total").increment(redacted as u64);
    Ok(redacted > 0)
}
