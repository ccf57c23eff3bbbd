//! What is counted for queries.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    coupons::model::Split,
    db::{self, TeamRead},
    error::Error,
    ids::{TagId, TeamId},
    sql,
};

/// What redemptions to count.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `None`: of any.
    pub coupons: Option<Vec<Uuid>>,
    /// `None`: of any, and of none.
    pub tags: Option<Vec<TagId>>,
    pub split: Split,
    /// Groups that are told apart.
    pub groups: usize,
}

/// Redemptions of a bucket, from 0 on: of a group, or of all others together.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub bucket: usize,
    /// The place of the group, from 1 on.
    pub rank: Option<i64>,
    pub coupon: Option<Uuid>,
    pub tag: Option<TagId>,
    pub redemptions: i64,
}

/// Counts redemptions between bounds that are whole quarters of an hour.
///
/// # Errors
/// As [`db::query`].
pub async fn count_rolled_up(
    read: &TeamRead,
    team: TeamId,
    bounds: &[DateTime<Utc>],
    wanted: &Wanted,
) -> Result<Vec<Counted>, Error> {
    count(read, team, bounds, wanted, sql!("coupons/count_rolled_up")).await
}

/// Counts redemptions between any bounds.
///
/// # Errors
/// As [`db::query`].
pub async fn count_ledger(
    read: &TeamRead,
    team: TeamId,
    bounds: &[DateTime<Utc>],
    wanted: &Wanted,
) -> Result<Vec<Counted>, Error> {
    count(read, team, bounds, wanted, sql!("coupons/count_ledger")).await
}

async fn count(
    read: &TeamRead,
    team: TeamId,
    bounds: &[DateTime<Utc>],
    wanted: &Wanted,
    sql: db::Sql,
) -> Result<Vec<Counted>, Error> {
    let Some(Buckets { starts, first, last }) = Buckets::of(bounds) else { return Ok(Vec::new()) };
    let tags = wanted.tags.as_deref().map(numbers);
    let (by_coupon, by_tag) = (wanted.split == Split::Coupon, wanted.split == Split::Tag);
    let groups = i64::try_from(wanted.groups).unwrap_or(i64::MAX);
    let params: db::Params<'_> =
        &[&team.0, &starts, &first, &last, &wanted.coupons, &tags, &by_coupon, &by_tag, &groups];
    let rows = read.query(sql, params).await?;
    let counted = |row: &Row| Counted {
        bucket: bucket(row),
        rank: row.get("rank"),
        coupon: row.get("coupon_id"),
        tag: row.get::<_, Option<i32>>("tag_id").map(TagId),
        redemptions: row.get("redemptions"),
    };
    Ok(rows.iter().map(counted).collect())
}

/// Counts sessions by bucket: of taps of some tags; `None`: all.
///
/// # Errors
/// As [`db::query`].
pub async fn count_sessions(
    read: &TeamRead,
    team: TeamId,
    bounds: &[DateTime<Utc>],
    tags: Option<&[TagId]>,
) -> Result<Vec<(usize, i64)>, Error> {
    let Some(Buckets { starts, first, last }) = Buckets::of(bounds) else { return Ok(Vec::new()) };
    let tags = tags.map(numbers);
    let params: db::Params<'_> = &[&team.0, &starts, &first, &last, &tags];
    let rows = read.query(sql!("coupons/count_sessions"), params).await?;
    Ok(rows.iter().map(|row| (bucket(row), row.get("sessions"))).collect())
}

/// Counts views of coupons by bucket: of one coupon, or in sessions of taps of some tags.
///
/// # Errors
/// As [`db::query`].
pub async fn count_views(
    read: &TeamRead,
    team: TeamId,
    bounds: &[DateTime<Utc>],
    coupon: Option<Uuid>,
    tags: Option<&[TagId]>,
) -> Result<Vec<(usize, i64)>, Error> {
    let Some(Buckets { starts, first, last }) = Buckets::of(bounds) else { return Ok(Vec::new()) };
    let (coupon, tags) = (coupon.map(|id| id.to_string()), tags.map(numbers));
    let params: db::Params<'_> = &[&team.0, &starts, &first, &last, &coupon, &tags];
    let rows = read.query(sql!("coupons/count_views"), params).await?;
    Ok(rows.iter().map(|row| (bucket(row), row.get("views"))).collect())
}

/// Where buckets begin, where the first does, and where the last one ends.
struct Buckets<'a> {
    starts: &'a [DateTime<Utc>],
    first: DateTime<Utc>,
    last: DateTime<Utc>,
}

impl<'a> Buckets<'a> {
    /// Those between bounds; `None` where there are none.
    fn of(bounds: &'a [DateTime<Utc>]) -> Option<Self> {
        let (last, starts) = bounds.split_last()?;
        Some(Self { starts, first: *starts.first()?, last: *last })
    }
}

/// Statements count them from 1 on.
fn bucket(row: &Row) -> usize {
    usize::try_from(row.get::<_, i32>("bucket") - 1).unwrap_or(usize::MAX)
}

fn numbers(tags: &[TagId]) -> Vec<i32> {
    tags.iter().map(|tag| tag.0).collect()
}
