//! The ledger of redemptions, and what is counted of it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    coupons::model::{Redemption, Terms},
    db::{self, TeamRead, Write},
    error::Error,
    ids::{KeyId, TagId, TeamId},
    paging::TimePlace,
    sql,
};

/// The tags of those of these taps that were recorded, and tapped at an instant or after it.
///
/// # Errors
/// As [`db::query`].
pub async fn find_taps(
    read: &TeamRead,
    team: TeamId,
    taps: &[Uuid],
    tapped_at: DateTime<Utc>,
) -> Result<HashMap<Uuid, TagId>, Error> {
    let rows = read.query(sql!("coupons/find_taps"), &[&team.0, &taps, &tapped_at]).await?;
    Ok(rows.iter().map(|row| (row.get("tap_id"), TagId(row.get("tag_id")))).collect())
}

/// What redemptions of these coupons are held to, and the codes of these, by id. Nobody else changes or redeems
/// them until this transaction ends.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_terms(
    write: &Write,
    team: TeamId,
    coupons: &[Uuid],
) -> Result<HashMap<Uuid, (Terms, String)>, Error> {
    let rows = write.query(sql!("coupons/lock_terms"), &[&team.0, &coupons]).await?;
    let terms = |row: &Row| Terms {
        disabled: row.get("disabled"),
        archived: row.get::<_, Option<DateTime<Utc>>>("archived_at").is_some(),
        published_at: row.get("published_at"),
        expire_at: row.get("expire_at"),
        max_redemptions: row.get("max_redemptions"),
        max_per_subject: row.get("max_per_subject"),
        redeemed: row.get("redeemed"),
    };
    Ok(rows.iter().map(|row| (row.get("coupon_id"), (terms(row), row.get("couponcode")))).collect())
}

/// How often subjects have redeemed coupons, without what was given back. Those who never did are left out.
///
/// # Errors
/// As [`db::query`].
pub async fn count_subjects(
    read: &TeamRead,
    team: TeamId,
    pairs: &[(Uuid, &str)],
) -> Result<HashMap<(Uuid, String), i64>, Error> {
    let (coupons, subjects): (Vec<Uuid>, Vec<&str>) = pairs.iter().copied().unzip();
    let rows = read.query(sql!("coupons/count_subjects"), &[&team.0, &coupons, &subjects]).await?;
    let counted = |row: &Row| ((row.get("coupon_id"), row.get("subject")), row.get("redeemed"));
    Ok(rows.iter().map(counted).collect())
}

/// What came of requests before.
///
/// # Errors
/// As [`db::query`].
pub async fn find_requests(
    read: &TeamRead,
    team: TeamId,
    requests: &[Uuid],
) -> Result<Vec<Redemption>, Error> {
    let rows = read.query(sql!("coupons/find_requests"), &[&team.0, &requests]).await?;
    Ok(rows.iter().map(redemption).collect())
}

/// Adds redemptions of coupons that are locked, and says which: all but those whose request somebody else took in
/// this moment.
///
/// # Errors
/// As [`db::query`].
pub async fn insert_redemptions(
    write: &Write,
    team: TeamId,
    now: DateTime<Utc>,
    new: &[Redemption],
) -> Result<Vec<Uuid>, Error> {
    let ids: Vec<Uuid> = new.iter().map(|one| one.id).collect();
    let coupons: Vec<Uuid> = new.iter().map(|one| one.coupon).collect();
    let keys: Vec<Uuid> = new.iter().map(|one| one.key.0).collect();
    let tags: Vec<i32> = new.iter().map(|one| number(one.tag)).collect();
    let taps: Vec<Option<Uuid>> = new.iter().map(|one| one.tap_id).collect();
    let requests: Vec<Option<Uuid>> = new.iter().map(|one| one.request_id).collect();
    let subjects: Vec<&str> = new.iter().map(|one| one.subject.as_str()).collect();
    let params: db::Params<'_> =
        &[&team.0, &now, &ids, &coupons, &keys, &tags, &taps, &requests, &subjects];
    let rows = write.query(sql!("coupons/insert_redemptions"), params).await?;
    Ok(rows.iter().map(|row| row.get("redemption_id")).collect())
}

/// How much more is redeemed and given back of a coupon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub redeemed: i64,
    pub released: i64,
}

/// Counts what was redeemed and given back of coupons that are locked.
///
/// # Errors
/// As [`db::query`].
pub async fn count_redeemed(
    write: &Write,
    team: TeamId,
    changes: &BTreeMap<Uuid, Change>,
) -> Result<(), Error> {
    let coupons: Vec<Uuid> = changes.keys().copied().collect();
    let redeemed: Vec<i64> = changes.values().map(|change| change.redeemed).collect();
    let released: Vec<i64> = changes.values().map(|change| change.released).collect();
    let params: db::Params<'_> = &[&team.0, &coupons, &redeemed, &released];
    let rows = write.query(sql!("coupons/count_redeemed"), params).await?;
    all_counted(rows.len(), changes.len())
}

/// A coupon and a tag, in a quarter of an hour.
pub type Quarter = (DateTime<Utc>, Uuid, Option<TagId>);

/// Counts more redemptions by quarter of an hour, of coupons that are locked.
///
/// # Errors
/// As [`db::query`].
pub async fn count_quarters(
    write: &Write,
    team: TeamId,
    changes: &BTreeMap<Quarter, i64>,
) -> Result<(), Error> {
    let quarters: Vec<DateTime<Utc>> = changes.keys().map(|(quarter, ..)| *quarter).collect();
    let coupons: Vec<Uuid> = changes.keys().map(|(_, coupon, _)| *coupon).collect();
    let tags: Vec<i32> = changes.keys().map(|(.., tag)| number(*tag)).collect();
    let more: Vec<i64> = changes.values().copied().collect();
    let params: db::Params<'_> = &[&team.0, &quarters, &coupons, &tags, &more];
    write.query(sql!("coupons/count_quarters"), params).await?;
    Ok(())
}

/// Counts one redemption less in a quarter of an hour, of a coupon that is locked.
///
/// # Errors
/// As [`db::query`].
pub async fn uncount_quarter(
    write: &Write,
    team: TeamId,
    (quarter, coupon, tag): Quarter,
) -> Result<(), Error> {
    let params: db::Params<'_> = &[&team.0, &quarter, &coupon, &number(tag)];
    let rows = write.query(sql!("coupons/uncount_quarter"), params).await?;
    all_counted(rows.len(), 1)
}

/// One redemption.
///
/// # Errors
/// As [`db::query`].
pub async fn get_redemption(
    read: &TeamRead,
    team: TeamId,
    id: Uuid,
) -> Result<Option<Redemption>, Error> {
    let rows = read.query(sql!("coupons/get_redemption"), &[&team.0, &id]).await?;
    Ok(rows.first().map(redemption))
}

/// Gives a redemption of a coupon that is locked back; says whether it was not before.
///
/// # Errors
/// As [`db::query`].
pub async fn release_redemption(
    write: &Write,
    team: TeamId,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let rows = write.query(sql!("coupons/release_redemption"), &[&team.0, &id, &now]).await?;
    Ok(!rows.is_empty())
}

/// A page of redemptions, the newest first.
///
/// # Errors
/// As [`db::query`].
pub async fn list_redemptions(
    read: &TeamRead,
    team: TeamId,
    coupon: Option<Uuid>,
    released: Option<bool>,
    after: Option<TimePlace>,
    limit: i64,
) -> Result<Vec<Redemption>, Error> {
    let (at, id) = after.map(|place| (place.at, place.id)).unzip();
    let params: db::Params<'_> = &[&team.0, &limit, &coupon, &released, &at, &id];
    let rows = read.query(sql!("coupons/list_redemptions"), params).await?;
    Ok(rows.iter().map(redemption).collect())
}

fn redemption(row: &Row) -> Redemption {
    Redemption {
        id: row.get("redemption_id"),
        coupon: row.get("coupon_id"),
        couponcode: row.get("couponcode"),
        key: KeyId(row.get("key_id")),
        subject: row.get("subject"),
        tap_id: row.get("tap_id"),
        tag: Some(TagId(row.get("tag_id"))).filter(|tag| tag.0 > 0),
        tag_uid: row.get("tag_uid"),
        request_id: row.get("request_id"),
        redeemed_at: row.get("redeemed_at"),
        released_at: row.get("released_at"),
    }
}

/// The sums would no longer be those of the ledger.
fn all_counted(counted: usize, asked: usize) -> Result<(), Error> {
    if counted == asked {
        return Ok(());
    }
    Err(Error::internal(anyhow::anyhow!("{counted} of {asked} sums of redemptions were there")))
}

/// 0 where it is not known.
fn number(tag: Option<TagId>) -> i32 {
    tag.map_or(0, |tag| tag.0)
}
