//! One function for each statement of `sql/taps/` that a query needs. The writer and the seeder keep
//! theirs beside them.

use std::pin::pin;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use futures_util::TryStreamExt as _;
use tokio_postgres::Row;

use super::{
    model::{GroupBy, Kind},
    tally::{Cell, Days, Tally},
};
use crate::{
    db::{self, TeamRead},
    error::Error,
    ids::{TagId, TeamId},
    sql,
};

/// The team's revision in this snapshot. 0 for a team that is not there.
///
/// # Errors
/// As [`db::query`].
pub async fn revision(read: &TeamRead, team: TeamId) -> Result<i64, Error> {
    let rows = read.query(sql!("taps/revision"), &[&team.0]).await?;
    Ok(rows.first().map_or(0, |row| row.get("revision")))
}

/// The tags of the team among these uids, with their uids.
///
/// # Errors
/// As [`db::query`].
pub async fn find_tags(
    read: &TeamRead,
    team: TeamId,
    uids: &[String],
) -> Result<Vec<(TagId, String)>, Error> {
    let rows = read.query(sql!("taps/find_tags"), &[&team.0, &uids]).await?;
    Ok(rows.iter().map(|row| (TagId(row.get("tag_id")), row.get("uid"))).collect())
}

/// The uids and labels of these tags.
///
/// # Errors
/// As [`db::query`].
pub async fn name_tags(
    read: &TeamRead,
    team: TeamId,
    tags: &[TagId],
) -> Result<Vec<(TagId, String, String)>, Error> {
    let rows = read.query(sql!("taps/name_tags"), &[&team.0, &numbers(tags)]).await?;
    Ok(rows
        .iter()
        .map(|row| (TagId(row.get("tag_id")), row.get("uid"), row.get("label")))
        .collect())
}

/// Adds the roll-up of these tags to a tally.
///
/// # Errors
/// As [`db::query`].
pub async fn count_days(
    read: &TeamRead,
    team: TeamId,
    days: &Days,
    tags: &[TagId],
    tally: &mut Tally<'_>,
) -> Result<(), Error> {
    let (first, last, tags) = (days.first(), days.last(), numbers(tags));
    let Some(cuts) = &days.cuts else {
        let params: db::Params<'_> = &[&team.0, &first, &last, &tags];
        let mut rows = pin!(read.stream(sql!("taps/count_quarters"), params).await?);
        while let Some(row) = rows.try_next().await.map_err(db::sql_error)? {
            let quarters: Vec<i32> = row.get("quarters");
            let running: Vec<i64> = row.get("running");
            tally.add_quarters(days, day(&row, 0)?, &quarters, &running);
        }
        return Ok(());
    };

    let (cut_days, cuts): (Vec<NaiveDate>, Vec<i32>) = cuts.iter().copied().unzip();
    let params: db::Params<'_> = &[&team.0, &first, &last, &tags, &cut_days, &cuts];
    let mut rows = pin!(read.stream(sql!("taps/count_days"), params).await?);
    while let Some(row) = rows.try_next().await.map_err(db::sql_error)? {
        let cut: Option<i32> = row.get("cut");
        let cut = cut.map(|cut| (cut, row.get("before")));
        tally.add_day(days, day(&row, row.get("total"))?, cut);
    }
    Ok(())
}

/// A row of the roll-up as a cell that begins at midnight.
fn day(row: &Row, count: i64) -> Result<Cell, Error> {
    let day: NaiveDate = row.get("day");
    Ok(Cell {
        at: day.and_time(NaiveTime::MIN).and_utc(),
        tag: TagId(row.get("tag_id")),
        kind: kind(row.get("kind"))?,
        count,
    })
}

/// Taps between bounds, told apart as the grouping needs.
///
/// # Errors
/// As [`db::query`].
pub async fn count_raw(
    read: &TeamRead,
    team: TeamId,
    bounds: &[DateTime<Utc>],
    tags: Option<&[TagId]>,
    group_by: GroupBy,
) -> Result<Vec<Cell>, Error> {
    let tags = tags.map(numbers);
    let by_tag = matches!(group_by, GroupBy::Tag { .. });
    let by_kind = group_by == GroupBy::Kind;
    let (first, last) = (bounds.first(), bounds.last());
    let rows = read
        .query(sql!("taps/count_raw"), &[&team.0, &bounds, &first, &last, &tags, &by_tag, &by_kind])
        .await?;
    rows.iter()
        .map(|row| {
            let slot = usize::try_from(row.get::<_, i32>("slot")).map_err(Error::internal)?;
            let at = slot.checked_sub(1).and_then(|slot| bounds.get(slot));
            Ok(Cell {
                at: *at.ok_or_else(|| Error::internal(anyhow::anyhow!("no slot {slot}")))?,
                tag: TagId(row.get("tag")),
                kind: kind(row.get("kind"))?,
                count: row.get("count"),
            })
        })
        .collect()
}

/// The total of each tag that has any.
///
/// # Errors
/// As [`db::query`].
pub async fn rank_tags(
    read: &TeamRead,
    team: TeamId,
    days: &Days,
    tags: Option<&[TagId]>,
) -> Result<Vec<(TagId, i64)>, Error> {
    let rows = read
        .query(
            sql!("taps/rank_tags"),
            &[
                &team.0,
                &days.first(),
                &days.last(),
                &days.first_quarter(),
                &days.last_quarter(),
                &tags.map(numbers),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| (TagId(row.get("tag_id")), row.get("count"))).collect())
}

fn numbers(tags: &[TagId]) -> Vec<i32> {
    tags.iter().map(|tag| tag.0).collect()
}

fn kind(text: &str) -> Result<Kind, Error> {
    Kind::parse(text)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("unknown kind in the store: {text}")))
}
