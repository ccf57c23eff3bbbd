//! Keeps messages no longer than their teams want: first what identifies people is replaced in them, later they are
//! deleted.

use std::time::Duration;

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

async fn all_teams(db: &Db, clock: &Clock) -> Result<(), Error> {
    let (mut after, mut failed) = (TeamId(0), Ok(()));
    loop {
        let teams = setup::list_retentions(db, after).await?;
        let Some(last) = teams.last() else { return failed };
        after = last.team;
        for team in teams {
            // One that fails does not keep the others from it.
            failed = failed.and(one_team(db, clock, team).await);
        }
    }
}

async fn one_team(db: &Db, clock: &Clock, retention: Retention) -> Result<(), Error> {
    let Retention { team, redact_after, delete_after } = retention;
    let now = clock.now();
    if let Some(before) = too_old(delete_after, now) {
        loop {
            let write = db.team_write(team).await?;
            let gone = store::delete_old_messages(&write, team, before, DELETED_AT_A_TIME).await;
            let gone = write.end(gone).await?;
            metrics::counter!("tap_messages_deleted_total").increment(gone.unsigned_abs());
            if gone < DELETED_AT_A_TIME {
                break;
            }
        }
    }
    if let Some(before) = too_old(redact_after, now) {
        loop {
            let write = db.team_write(team).await?;
            let work = async {
                let found =
                    store::find_unredacted(&write, team, before, REDACTED_AT_A_TIME).await?;
                let texts: Vec<(_, Text)> =
                    found.iter().map(|(id, text)| (*id, redact(text))).collect();
                store::redact_messages(&write, team, now, &texts).await?;
                Ok(i64::try_from(texts.len()).unwrap_or(i64::MAX))
            };
            let done = work.await;
            let redacted = write.end(done).await?;
            metrics::counter!("tap_messages_redacted_total").increment(redacted.unsigned_abs());
            if redacted < REDACTED_AT_A_TIME {
                break;
            }
        }
    }
    Ok(())
}
