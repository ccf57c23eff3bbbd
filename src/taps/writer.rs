//! Writes taps: the one place that does.
//!
//! A batch belongs to one team and is one transaction, which locks the team, inserts the taps, adds them
//! to the roll-up and raises the revision. So revisions grow in commit order, without gaps, the roll-up
//! is never behind, and a batch that is sent again changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Datelike as _, Months, NaiveDate, Utc};

use super::{
    buckets::QUARTER_SECONDS,
    model::{NewTap, Outcome, StoredTap, TapClass},
    store,
};
use crate::{
    clock::Clock,
    db::{self, Db, Inserted},
    error::Error,
    ids::{TagId, TeamId},
    sql,
    tags::model::Kind,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The team's revision before it.
    pub base: i64,
    /// The team's revision after it.
    pub revision: i64,
    /// One for each tap.
    pub outcomes: Vec<Outcome>,
}

/// What came of a transaction.
enum Attempt {
    Written(Written),
    /// Taps were there that were not looked up.
    SomeAreThere,
    /// Another replica dropped a month that we thought was there.
    NoPartition,
}

impl Written {
    /// How many taps are stored.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Stored(_))).count()
    }
}

impl Writer {
    /// A writer to this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock, months: Mutex::default() }
    }

    /// Stores the taps of a batch that are not there yet. On return they are durable.
    ///
    /// After an error the batch may be stored all the same: send it again with the same `received_at`,
    /// and what had been stored is told as such.
    ///
    /// # Errors
    /// As [`db::query`].
    pub async fn write(
        &self,
        team: TeamId,
        taps: &[NewTap],
        received_at: DateTime<Utc>,
    ) -> Result<Written, Error> {
        self.make_partitions(taps).await?;
        // Mostly none is there; only when the store says so is each looked up.
        let mut look = false;
        for _ in 0..3 {
            match self.attempt(team, taps, received_at, look).await? {
                Attempt::Written(written) => return Ok(written),
                Attempt::SomeAreThere => look = true,
                Attempt::NoPartition => {
                    self.months().clear();
                    self.make_partitions(taps).await?;
                }
            }
        }
        Err(Error::internal(anyhow::anyhow!("a batch that cannot be written, however often")))
    }

    async fn make_partitions(&self, taps: &[NewTap]) -> Result<(), Error> {
        let months: BTreeSet<NaiveDate> = taps.iter().map(|tap| month_of(tap.tapped_at)).collect();
        for month in months {
            self.make_partition(month).await?;
        }
        Ok(())
    }

    /// One transaction.
    async fn attempt(
        &self,
        team: TeamId,
        taps: &[NewTap],
        received_at: DateTime<Utc>,
        look: bool,
    ) -> Result<Attempt, Error> {
        let mut client = self.db.system().await?;
        let transaction = client.transaction().await.map_err(db::sql_error)?;
        let locked = db::query_in(&transaction, sql!("taps/lock_team"), &[&team.0]).await?;
        let Some(base) = locked.first().map(|row| row.get::<_, i64>("revision")) else {
            return Err(Error::internal(anyhow::anyhow!("there is no team {team} to write to")));
        };

        let there = if look { find(&transaction, team, taps).await? } else { HashMap::new() };
        let (outcomes, fresh) = judge(taps, &there, received_at, base);
        if !fresh.is_empty() {
            let batch = Batch::new(&fresh);
            let params = batch.params(&team.0, &base, &received_at);
            match db::insert_in(&transaction, sql!("taps/write_taps"), &params).await? {
                Inserted::Done => {}
                Inserted::SomeIsThere => return Ok(Attempt::SomeAreThere),
                Inserted::NoPartition => return Ok(Attempt::NoPartition),
            }
        }
        transaction.commit().await.map_err(db::sql_error)?;
        let revision = base + i64::try_from(fresh.len()).map_err(Error::internal)?;
        Ok(Attempt::Written(Written { base, revision, outcomes }))
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

    /// Drops the oldest month of taps if it is wholly older than an instant; says whether it was.
    ///
    /// # Errors
    /// As [`db::query`].
    pub async fn drop_oldest(&self, earliest: DateTime<Utc>) -> Result<bool, Error> {
        let mut client = self.db.system().await?;
        let transaction = client.transaction().await.map_err(db::sql_error)?;
        db::query_in(&transaction, sql!("db/allow_minutes"), &[]).await?;
        let params: db::Params<'_> = &[&earliest.date_naive()];
        let rows = db::query_in(&transaction, sql!("taps/drop_taps"), params).await?;
        transaction.commit().await.map_err(db::sql_error)?;
        let dropped = rows.first().is_some_and(|row| row.get("dropped"));
        if dropped {
            self.months().clear();
        }
        Ok(dropped)
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

/// Those of the taps that are stored, by their place in the batch.
async fn find(
    transaction: &deadpool_postgres::Transaction<'_>,
    team: TeamId,
    taps: &[NewTap],
) -> Result<HashMap<usize, StoredTap>, Error> {
    let tap_ids: Vec<_> = taps.iter().map(|tap| tap.tap_id).collect();
    let tapped_ats: Vec<_> = taps.iter().map(|tap| tap.tapped_at).collect();
    let params: db::Params<'_> = &[&team.0, &tap_ids, &tapped_ats];
    let rows = db::query_in(transaction, sql!("taps/find_taps"), params).await?;
    rows.iter()
        .map(|row| {
            let nth = usize::try_from(row.get::<_, i64>("nth")).map_err(Error::internal)?;
            Ok((nth - 1, store::stored_tap(row)?))
        })
        .collect()
}

/// What becomes of each tap, and those that are to be stored: the first of each name that is not there.
fn judge<'a>(
    taps: &'a [NewTap],
    there: &HashMap<usize, StoredTap>,
    received_at: DateTime<Utc>,
    base: i64,
) -> (Vec<Outcome>, Vec<&'a NewTap>) {
    let mut firsts = HashMap::with_capacity(taps.len());
    let mut fresh = Vec::with_capacity(taps.len());
    let mut next = base;
    let outcomes = taps.iter().enumerate().map(|(at, tap)| {
        let first = *firsts.entry((tap.tap_id, tap.tapped_at)).or_insert(tap);
        let is_first = std::ptr::eq(first, tap);
        match there.get(&at) {
            Some(stored) if stored.tap != *tap => Outcome::Conflict,
            // By an attempt of ours that was not answered.
            Some(stored) if is_first && stored.received_at == received_at => {
                Outcome::Stored(stored.revision)
            }
            Some(_) => Outcome::Duplicate,
            None if is_first => {
                fresh.push(tap);
                next += 1;
                Outcome::Stored(next)
            }
            None if first == tap => Outcome::Duplicate,
            None => Outcome::Conflict,
        }
    });
    (outcomes.collect(), fresh)
}

/// Taps as the parameters of `taps/write_taps`, with their sums.
#[derive(Default)]
struct Batch<'a> {
    tap_ids: Vec<uuid::Uuid>,
    tags: Vec<i32>,
    tapped_ats: Vec<DateTime<Utc>>,
    counts: Vec<i32>,
    kinds: Vec<&'static str>,
    // Mostly there is nothing to say: then these are not sent at all.
    classes: Option<Vec<&'static str>>,
    countries: Option<Vec<Option<&'a str>>>,
    devices: Option<Vec<Option<&'a str>>>,
    attributes: Option<Vec<Option<String>>>,
    day_tags: Vec<i32>,
    days: Vec<NaiveDate>,
    day_kinds: Vec<&'static str>,
    day_classes: Vec<&'static str>,
    totals: Vec<i64>,
    quarters: Vec<String>,
    running: Vec<String>,
}

/// A row of the roll-up.
type DayKey = (TagId, NaiveDate, Kind, TapClass);

impl<'a> Batch<'a> {
    fn new(taps: &[&'a NewTap]) -> Self {
        let any = |has: fn(&NewTap) -> bool| taps.iter().any(|tap| has(tap));
        let all = || taps.iter();
        let mut batch = Self {
            classes: any(|tap| tap.class != TapClass::Human)
                .then(|| all().map(|tap| tap.class.as_str()).collect()),
            countries: any(|tap| tap.country.is_some())
                .then(|| all().map(|tap| tap.country.as_deref()).collect()),
            devices: any(|tap| tap.device.is_some())
                .then(|| all().map(|tap| tap.device.as_deref()).collect()),
            attributes: any(|tap| !tap.attributes.is_empty())
                .then(|| all().map(|tap| store::attributes_json(&tap.attributes)).collect()),
            ..Self::default()
        };
        let mut days: BTreeMap<DayKey, BTreeMap<i32, i64>> = BTreeMap::new();
        for tap in taps {
            batch.tap_ids.push(tap.tap_id);
            batch.tags.push(tap.tag.0);
            batch.tapped_ats.push(tap.tapped_at);
            batch.counts.push(tap.count);
            batch.kinds.push(tap.kind.as_str());

            let (day, quarter) = quarter_of(tap.tapped_at);
            for tag in [tap.tag, TagId::WHOLE_TEAM] {
                let quarters = days.entry((tag, day, tap.kind, tap.class)).or_default();
                *quarters.entry(quarter).or_default() += i64::from(tap.count);
            }
        }
        for ((tag, day, kind, class), quarters) in days {
            batch.day_tags.push(tag.0);
            batch.days.push(day);
            batch.day_kinds.push(kind.as_str());
            batch.day_classes.push(class.as_str());
            batch.totals.push(quarters.values().sum());
            batch.quarters.push(literal(quarters.keys()));
            let running = quarters.values().scan(0, |sum, count| {
                *sum += count;
                Some(*sum)
            });
            batch.running.push(literal(running));
        }
        batch
    }

    fn params<'b>(
        &'b self,
        team: &'b i32,
        base: &'b i64,
        received_at: &'b DateTime<Utc>,
    ) -> [&'b (dyn tokio_postgres::types::ToSql + Sync); 19] {
        [
            team,
            base,
            received_at,
            &self.tap_ids,
            &self.tags,
            &self.tapped_ats,
            &self.counts,
            &self.kinds,
            &self.classes,
            &self.countries,
            &self.devices,
            &self.attributes,
            &self.day_tags,
            &self.days,
            &self.day_kinds,
            &self.day_classes,
            &self.totals,
            &self.quarters,
            &self.running,
        ]
    }
}

/// Numbers as PostgreSQL writes an array: an array of arrays of different lengths cannot be sent.
fn literal(numbers: impl IntoIterator<Item: std::fmt::Display>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("{{{}}}", numbers.join(","))
}

/// The UTC day, and which of its 96 quarters of an hour.
fn quarter_of(at: DateTime<Utc>) -> (NaiveDate, i32) {
    let seconds = i64::from(chrono::Timelike::num_seconds_from_midnight(&at.time()));
    (at.date_naive(), i32::try_from(seconds / QUARTER_SECONDS).unwrap_or(0))
}

/// The first day of the UTC month.
fn month_of(at: DateTime<Utc>) -> NaiveDate {
    let day = at.date_naive();
    day.with_day(1).unwrap_or(day)
}
