//! Coupons: finding, listing, making and changing them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    coupons::model::{Content, Coupon, Filter, Order, Place, StateFilter, Store, code_key},
    db::{self, TeamRead, Write},
    error::Error,
    ids::{TagId, TeamId},
    sql,
};

/// Makes this transaction the only one that gives codes to coupons of the team until it ends.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_codes(write: &Write, team: TeamId) -> Result<(), Error> {
    write.query(sql!("coupons/lock_codes"), &[&team.0]).await?;
    Ok(())
}

/// How many coupons the team has, archived ones included.
///
/// # Errors
/// As [`db::query`].
pub async fn count_coupons(write: &Write, team: TeamId) -> Result<i64, Error> {
    let rows = write.query(sql!("coupons/count_coupons"), &[&team.0]).await?;
    Ok(rows.first().map_or(0, |row| row.get("coupons")))
}

/// Which of these codes, in one case, are in use, and by which coupon.
///
/// # Errors
/// As [`db::query`].
pub async fn find_codes(
    read: &TeamRead,
    team: TeamId,
    keys: &[String],
) -> Result<HashMap<String, Uuid>, Error> {
    let rows = read.query(sql!("coupons/find_codes"), &[&team.0, &keys]).await?;
    Ok(rows.iter().map(|row| (row.get("code_key"), row.get("coupon_id"))).collect())
}

/// How many codes of coupons that are not archived are of a pattern.
///
/// # Errors
/// As [`db::query`].
pub async fn count_codes(write: &Write, team: TeamId, like: &str) -> Result<usize, Error> {
    let rows = write.query(sql!("coupons/count_codes"), &[&team.0, &like]).await?;
    let codes = rows.first().map_or(0, |row| row.get::<_, i64>("codes"));
    Ok(usize::try_from(codes).unwrap_or_default())
}

/// What a coupon is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub id: Uuid,
    pub couponcode: String,
    pub title: String,
}

/// What those of these coupons that the team has are called.
///
/// # Errors
/// As [`db::query`].
pub async fn find_coupons(
    read: &TeamRead,
    team: TeamId,
    ids: &[Uuid],
) -> Result<Vec<Named>, Error> {
    let rows = read.query(sql!("coupons/find_coupons"), &[&team.0, &ids]).await?;
    let named = |row: &Row| Named {
        id: row.get("coupon_id"),
        couponcode: row.get("couponcode"),
        title: row.get("title"),
    };
    Ok(rows.iter().map(named).collect())
}

/// A coupon to be made.
#[derive(Clone, Debug)]
pub struct NewCoupon {
    pub id: Uuid,
    pub content: Content,
    /// Those of its uids.
    pub tags: Vec<TagId>,
}

/// Adds coupons.
///
/// # Errors
/// As [`db::query`].
pub async fn insert_coupons(
    write: &Write,
    team: TeamId,
    now: DateTime<Utc>,
    new: &[NewCoupon],
) -> Result<(), Error> {
    fn column<'a, T>(new: &'a [NewCoupon], of: impl Fn(&'a Content) -> T) -> Vec<T> {
        new.iter().map(|coupon| of(&coupon.content)).collect()
    }
    let ids: Vec<Uuid> = new.iter().map(|coupon| coupon.id).collect();
    let tags: Vec<String> = new.iter().map(|coupon| array(&coupon.tags)).collect();
    let metadata: Vec<String> = new
        .iter()
        .map(|coupon| serde_json::to_string(&coupon.content.metadata))
        .collect::<Result<_, _>>()
        .map_err(Error::internal)?;
    let params: db::Params<'_> = &[
        &team.0,
        &now,
        &ids,
        &column(new, |coupon| coupon.couponcode.as_str()),
        &column(new, |coupon| code_key(&coupon.couponcode)),
        &column(new, |coupon| coupon.category.as_str()),
        &column(new, |coupon| coupon.title.as_str()),
        &column(new, |coupon| coupon.description.as_str()),
        &column(new, |coupon| coupon.merchant.as_str()),
        &column(new, |coupon| coupon.store.lat),
        &column(new, |coupon| coupon.store.long),
        &column(new, |coupon| coupon.store.city.as_str()),
        &column(new, |coupon| coupon.store.phone.as_str()),
        &column(new, |coupon| coupon.store.state.as_str()),
        &column(new, |coupon| coupon.store.street.as_str()),
        &column(new, |coupon| coupon.store.zip.as_str()),
        &column(new, |coupon| coupon.published_at),
        &column(new, |coupon| coupon.expire_at),
        &tags,
        &column(new, |coupon| coupon.max_redemptions),
        &column(new, |coupon| coupon.max_per_subject),
        &column(new, |coupon| coupon.disabled),
        &metadata,
    ];
    write.query(sql!("coupons/insert_coupons"), params).await?;
    Ok(())
}

/// Numbers as PostgreSQL writes an array: an array of arrays of different lengths cannot be sent.
fn array(tags: &[TagId]) -> String {
    let tags: Vec<String> = tags.iter().map(|tag| tag.0.to_string()).collect();
    format!("{{{}}}", tags.join(","))
}

/// Those of these coupons that the team has, in no order.
///
/// # Errors
/// As [`db::query`].
pub async fn read_coupons(
    read: &TeamRead,
    team: TeamId,
    ids: &[Uuid],
) -> Result<Vec<Coupon>, Error> {
    let rows = read.query(sql!("coupons/read_coupons"), &[&team.0, &ids]).await?;
    rows.iter().map(coupon).collect()
}

/// One coupon.
///
/// # Errors
/// As [`db::query`].
pub async fn get_coupon(read: &TeamRead, team: TeamId, id: Uuid) -> Result<Option<Coupon>, Error> {
    Ok(read_coupons(read, team, &[id]).await?.pop())
}

/// One coupon, which nobody else changes or redeems until this transaction ends.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_coupon(write: &Write, team: TeamId, id: Uuid) -> Result<Option<Coupon>, Error> {
    write.query(sql!("coupons/lock_coupon"), &[&team.0, &id]).await?;
    get_coupon(write, team, id).await
}

/// Changes a coupon that is locked. Without tags these stay as they are.
///
/// # Errors
/// As [`db::query`].
pub async fn update_coupon(
    write: &Write,
    team: TeamId,
    id: Uuid,
    now: DateTime<Utc>,
    content: &Content,
    tags: Option<&[TagId]>,
) -> Result<(), Error> {
    let tags: Option<Vec<i32>> = tags.map(|tags| tags.iter().map(|tag| tag.0).collect());
    let metadata = serde_json::to_string(&content.metadata).map_err(Error::internal)?;
    let params: db::Params<'_> = &[
        &team.0,
        &id,
        &now,
        &content.couponcode,
        &code_key(&content.couponcode),
        &content.category,
        &content.title,
        &content.description,
        &content.merchant,
        &content.store.lat,
        &content.store.long,
        &content.store.city,
        &content.store.phone,
        &content.store.state,
        &content.store.street,
        &content.store.zip,
        &content.published_at,
        &content.expire_at,
        &tags,
        &content.max_redemptions,
        &content.max_per_subject,
        &content.disabled,
        &metadata,
    ];
    write.query(sql!("coupons/update_coupon"), params).await?;
    Ok(())
}

/// Archives a coupon that is locked.
///
/// # Errors
/// As [`db::query`].
pub async fn archive_coupon(
    write: &Write,
    team: TeamId,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    write.query(sql!("coupons/archive_coupon"), &[&team.0, &id, &now]).await?;
    Ok(())
}

/// Deletes a coupon that is locked, and was never redeemed.
///
/// # Errors
/// As [`db::query`].
pub async fn delete_coupon(write: &Write, team: TeamId, id: Uuid) -> Result<(), Error> {
    write.query(sql!("coupons/delete_coupon"), &[&team.0, &id]).await?;
    Ok(())
}

/// Which part of a list, in which order, at which instant.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub order: Order,
    /// `None`: from the beginning.
    pub after: Option<&'a Place>,
    pub limit: i64,
    pub now: DateTime<Utc>,
}

/// The coupons of a page, as many as are not too large together, each with the place after it.
#[derive(Clone, Debug)]
pub struct Found {
    pub coupons: Vec<(Coupon, Place)>,
    /// How many there are, were they not too large.
    pub found: usize,
}

/// A page of coupons.
///
/// # Errors
/// As [`db::query`].
pub async fn list_coupons(
    read: &TeamRead,
    team: TeamId,
    filter: &Filter,
    tag: Option<TagId>,
    Part { order, after, limit, now }: Part<'_>,
) -> Result<Found, Error> {
    let state = match filter.state {
        StateFilter::Any => None,
        StateFilter::Valid => Some("VALID"),
        StateFilter::Invalid => Some("INVALID"),
        StateFilter::Is(state) => Some(state.as_str()),
    };
    let tag = tag.map(|tag| tag.0);
    let mut params: Vec<db::Param<'_>> = vec![
        &team.0,
        &limit,
        &now,
        &state,
        &filter.category,
        &filter.merchant,
        &filter.code_key,
        &tag,
        &filter.archived,
    ];
    let id = after.map(|after| after.id);
    let rows = if order == Order::NewestFirst && filter.near.is_none() {
        let at = after.and_then(|after| DateTime::from_timestamp_micros(after.number));
        params.extend([&at as db::Param<'_>, &id]);
        read.query(sql!("coupons/list_coupons_newest"), &params).await?
    } else {
        let order = match order {
            Order::NewestFirst => "newest",
            Order::ExpiringFirst => "expiring",
            Order::PublishedFirst => "published",
            Order::Title => "title",
            Order::NearestFirst => "nearest",
        };
        let lat = filter.near.map(|near| near.lat);
        let long = filter.near.map(|near| near.long);
        let radius = filter.near.map(|near| near.radius_km);
        let number = after.map(|after| after.number);
        let text = after.map(|after| after.text.as_str());
        params.extend([&lat as db::Param<'_>, &long, &radius, &order, &number, &text, &id]);
        read.query(sql!("coupons/list_coupons_ranked"), &params).await?
    };
    let found = rows.first().map_or(0, |row| row.get::<_, i64>("found"));
    let places: Vec<(Place, Option<f64>)> = rows.iter().map(place).collect();
    let ids: Vec<Uuid> = places.iter().map(|(place, _)| place.id).collect();
    let coupons = read_coupons(read, team, &ids).await?;
    let mut coupons: HashMap<Uuid, Coupon> =
        coupons.into_iter().map(|coupon| (coupon.id, coupon)).collect();
    let coupons = places.into_iter().filter_map(|(place, distance_km)| {
        let coupon = coupons.remove(&place.id)?;
        Some((Coupon { distance_km, ..coupon }, place))
    });
    Ok(Found { coupons: coupons.collect(), found: usize::try_from(found).unwrap_or_default() })
}

/// Where a coupon is in its list, and how far from the point that was asked for.
fn place(row: &Row) -> (Place, Option<f64>) {
    let place = Place {
        number: row.get("rank_number"),
        text: row.get("rank_text"),
        id: row.get("coupon_id"),
    };
    (place, row.get("distance_km"))
}

fn coupon(row: &Row) -> Result<Coupon, Error> {
    let metadata: &str = row.get("metadata");
    let metadata = serde_json::from_str(metadata).map_err(Error::internal)?;
    Ok(Coupon {
        id: row.get("coupon_id"),
        content: Content {
            couponcode: row.get("couponcode"),
            category: row.get("category"),
            title: row.get("title"),
            description: row.get("description"),
            merchant: row.get("merchant"),
            store: Store {
                lat: row.get("store_lat"),
                long: row.get("store_long"),
                city: row.get("store_city"),
                phone: row.get("store_phone"),
                state: row.get("store_state"),
                street: row.get("store_street"),
                zip: row.get("store_zip"),
            },
            published_at: row.get("published_at"),
            expire_at: row.get("expire_at"),
            tag_uids: row.get("tag_uids"),
            max_redemptions: row.get("max_redemptions"),
            max_per_subject: row.get("max_per_subject"),
            disabled: row.get("disabled"),
            metadata,
        },
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        archived_at: row.get("archived_at"),
        version: row.get("version"),
        redeemed: row.get("redeemed"),
        released: row.get("released"),
        distance_km: None,
    })
}
