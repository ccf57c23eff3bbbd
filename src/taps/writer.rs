//! Writes taps: the one place that does.
//!
//! A batch belongs to one team and is one transaction, which locks the team, inserts what is not
//! there yet, adds that to the roll-up and raises the revision. So revisions grow in commit order,
//! the roll-up is never behind, and a batch that is sent again changes nothing.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Datelike as _, Months, NaiveDate, TimeDelta, Utc};

use super::model::NewTap;
use crate::{
    clock::Clock,
    db::{self, Db},
    error::Error,
    ids::TeamId,
    sql,
};

/// How far ahead of us a reporter's clock may be.
pub const FUTURE_MAX: TimeDelta = TimeDelta::hours(1);
/// Nothing was tapped before: NFC tags of today did not exist.
pub const EARLIEST: DateTime<Utc> = match NaiveDate::from_ymd_opt(2010, 1, 1) {
    Some(day) => day.and_time(chrono::NaiveTime::MIN).and_utc(),
    None => DateTime::UNIX_EPOCH,
};

/// Writes batches, and makes the partitions they need.
#[derive(Debug)]
pub struct Writer {
    db: Db,
    clock: Clock,
    /// Months whose partition is there.
    months: Mutex<HashSet<NaiveDate>>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Taps that were not there yet.
    pub stored: u64,
    /// The team's revision after it.
    pub revision: i64,
}

impl Writer {
    /// A writer to this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock, months: Mutex::default() }
    }

    /// Stores the taps of a batch that are not there yet. On return they are durable.
    ///
    /// # Errors
    /// As [`db::query`]; then nothing was stored.
    pub async fn write(&self, team: TeamId, taps: &[NewTap]) -> Result<Written, Error> {
        let months: BTreeSet<NaiveDate> = taps.iter().map(|tap| month_of(tap.tapped_at)).collect();
        for month in months {
            self.make_partition(month).await?;
        }

        let received_at = self.clock.now();
        let tap_ids: Vec<_> = taps.iter().map(|tap| tap.tap_id).collect();
        let tags: Vec<_> = taps.iter().map(|tap| tap.tag.0).collect();
        let tapped_ats: Vec<_> = taps.iter().map(|tap| tap.tapped_at).collect();
        let counts: Vec<_> = taps.iter().map(|tap| tap.count).collect();
        let kinds: Vec<_> = taps.iter().map(|tap| tap.kind.as_str()).collect();

        let mut client = self.db.system().await?;
        let transaction = client.transaction().await.map_err(db::sql_error)?;
        let locked = db::query_in(&transaction, sql!("taps/lock_team"), &[&team.0]).await?;
        if locked.is_empty() {
            return Err(Error::internal(anyhow::anyhow!("there is no team {team} to write to")));
        }
        let rows = db::query_in(
            &transaction,
            sql!("taps/write_taps"),
            &[&team.0, &received_at, &tap_ids, &tags, &tapped_ats, &counts, &kinds],
        )
        .await?;
        transaction.commit().await.map_err(db::sql_error)?;

        let row =
            rows.first().ok_or_else(|| Error::internal(anyhow::anyhow!("no row of write_taps")))?;
        let stored = u64::try_from(row.get::<_, i64>("stored")).map_err(Error::internal)?;
        Ok(Written { stored, revision: row.get("revision") })
    }

    /// Makes the partitions of this month and the two after it, so that no tap has to wait for one.
    ///
    /// # Errors
    /// As [`db::query`].
    pub async fn make_partitions_ahead(&self) -> Result<(), Error> {
        let mut month = month_of(self.clock.now());
        for _ in 0..3 {
            self.make_partition(month).await?;
            month = month + Months::new(1);
        }
        Ok(())
    }

    async fn make_partition(&self, month: NaiveDate) -> Result<(), Error> {
        if !self.months().contains(&month) {
            db::query(&self.db.system().await?, sql!("taps/make_partition"), &[&month]).await?;
            self.months().insert(month);
        }
        Ok(())
    }

    fn months(&self) -> MutexGuard<'_, HashSet<NaiveDate>> {
        // Nothing can be half done under the lock.
        self.months.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first day of the UTC month.
fn month_of(at: DateTime<Utc>) -> NaiveDate {
    let day = at.date_naive();
    day.with_day(1).unwrap_or(day)
}
