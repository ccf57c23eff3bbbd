//! One function for each statement of `sql/taps/` that reads. The writer and the seeder keep theirs
//! beside them.

use std::{collections::BTreeMap, pin::pin};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use futures_util::TryStreamExt as _;
use tokio_postgres::Row;

use super::{
    model::{Filter, GroupBy, NamedTap, NewTap, StoredTap, TapClass},
    tally::{Cell, Days, Tally},
};
use crate::{
    db::{self, TeamRead},
    error::Error,
    feeds::StreamState,
    ids::{TagId, TeamId},
    sql,
    tags::model::Kind,
};

/// The team's revision in this snapshot. 0 for a team that is not there.
///
/// # Errors
/// As [`db::query`].
pub async fn revision(read: &TeamRead, team: TeamId) -> Result<i64, Error> {
    let rows = read.query(sql!("taps/revision"), &[&team.0]).await?;
    Ok(rows.first().map_or(0, |row| row.get("revision")))
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
    classes: &[TapClass],
    tally: &mut Tally<'_>,
) -> Result<(), Error> {
    let (first, last, tags) = (days.first(), days.last(), numbers(tags));
    let classes = names(classes);
    let Some(cuts) = &days.cuts else {
        let params: db::Params<'_> = &[&team.0, &first, &last, &tags, &classes];
        let mut rows = pin!(read.stream(sql!("taps/count_quarters"), params).await?);
        while let Some(row) = rows.try_next().await.map_err(db::sql_error)? {
            let quarters: Vec<i32> = row.get("quarters");
            let running: Vec<i64> = row.get("running");
            tally.add_quarters(days, day(&row, 0)?, &quarters, &running);
        }
        return Ok(());
    };

    let (cut_days, cuts): (Vec<NaiveDate>, Vec<i32>) = cuts.iter().copied().unzip();
    let params: db::Params<'_> = &[&team.0, &first, &last, &tags, &cut_days, &cuts, &classes];
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
    classes: &[TapClass],
    group_by: GroupBy,
) -> Result<Vec<Cell>, Error> {
    let tags = tags.map(numbers);
    let by_tag = matches!(group_by, GroupBy::Tag { .. });
    let by_kind = group_by == GroupBy::Kind;
    let (first, last) = (bounds.first(), bounds.last());
    let rows = read
        .query(
            sql!("taps/count_raw"),
            &[&team.0, &bounds, &first, &last, &tags, &by_tag, &by_kind, &names(classes)],
        )
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
    classes: &[TapClass],
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
                &names(classes),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| (TagId(row.get("tag_id")), row.get("count"))).collect())
}

fn numbers(tags: &[TagId]) -> Vec<i32> {
    tags.iter().map(|tag| tag.0).collect()
}

fn names(classes: &[TapClass]) -> Vec<&'static str> {
    classes.iter().map(|class| class.as_str()).collect()
}

fn kind(text: &str) -> Result<Kind, Error> {
    Kind::parse(text)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("unknown kind in the store: {text}")))
}

fn class(text: &str) -> Result<TapClass, Error> {
    TapClass::parse(text)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("unknown class in the store: {text}")))
}

/// How far the team's taps go in this snapshot.
///
/// # Errors
/// As [`db::query`].
pub async fn stream_state(read: &TeamRead, team: TeamId) -> Result<StreamState, Error> {
    let rows = read.query(sql!("taps/stream_state"), &[&team.0]).await?;
    Ok(rows.first().map_or_else(StreamState::default, |row| StreamState {
        revision: row.get("revision"),
        replay_after: row.get("replay_after"),
    }))
}

/// The taps after a revision and up to another, in the order in which they were stored, at most `limit`.
///
/// # Errors
/// As [`db::query`].
pub async fn read_taps(
    read: &TeamRead,
    team: TeamId,
    std::ops::Range { start: after, end: upto }: std::ops::Range<i64>,
    limit: i64,
    filter: &Filter,
) -> Result<Vec<NamedTap>, Error> {
    let (tags, classes) = (filter.tags.as_deref(), filter.classes.as_deref());
    let params: db::Params<'_> =
        &[&team.0, &after, &upto, &limit, &tags.map(numbers), &classes.map(names)];
    let rows = read.query(sql!("taps/read_taps"), params).await?;
    rows.iter()
        .map(|row| {
            let (uid, label): (&str, &str) = (row.get("uid"), row.get("label"));
            Ok(NamedTap { stored: stored_tap(row)?, tag_uid: uid.into(), tag_label: label.into() })
        })
        .collect()
}

/// A row with all columns of a tap.
///
/// # Errors
/// [`Error::Internal`] when the store holds what this release does not know.
pub fn stored_tap(row: &Row) -> Result<StoredTap, Error> {
    let attributes: Option<&str> = row.get("attributes");
    let attributes = match attributes {
        Some(json) => serde_json::from_str(json).map_err(Error::internal)?,
        None => BTreeMap::new(),
    };
    Ok(StoredTap {
        revision: row.get("revision"),
        received_at: row.get("received_at"),
        tap: NewTap {
            tap_id: row.get("tap_id"),
            tag: TagId(row.get("tag_id")),
            tapped_at: row.get("tapped_at"),
            count: row.get("count"),
            kind: kind(row.get("kind"))?,
            class: class(row.get("class"))?,
            country: row.get("country"),
            device: row.get("device"),
            attributes,
        },
    })
}

/// Attributes as they are stored; none for none.
#[must_use]
pub fn attributes_json(attributes: &BTreeMap<String, String>) -> Option<String> {
    let text = || {
        let pairs = attributes.iter().map(|(key, value)| (key.clone(), value.clone().into()));
        serde_json::Value::Object(pairs.collect()).to_string()
    };
    (!attributes.is_empty()).then(text)
}
