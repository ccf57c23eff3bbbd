//! The coupons of a team in the store: finds, lists, makes, changes and deletes them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use prost::Message;
use uuid::Uuid;

use super::{
    codes::Pattern,
    edit::Edit,
    model::{BATCH_COUPONS_MAX, Content, Coupon, Filter, Order, Place, code_key},
    store::coupons::{self as store, Found, NewCoupon, Part},
};
use crate::{
    clock::Clock,
    db::{Db, Write},
    error::Error,
    etag::{Expected, etag_mismatch},
    ids::{TagId, TeamId},
    paging::{Listed, Page},
    reasons,
    requests::{self, Once},
    tags::directory::TagDirectory,
};

/// How often codes that are in use are made anew.
const CODE_TRIES: usize = 10;

/// Finds, lists, makes, changes and deletes coupons.
#[derive(Clone, Debug)]
pub struct Registry {
    pub db: Db,
    pub clock: Clock,
    pub tags: Arc<TagDirectory>,
    /// Coupons that a team may have.
    pub coupons_max: i64,
}

/// What became of a coupon that was to be deleted.
#[derive(Clone, Debug)]
pub enum Deleted {
    Gone,
    /// It was redeemed before.
    Archived(Box<Coupon>),
}

impl Registry {
    /// A coupon.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn get(&self, team: TeamId, id: Uuid) -> Result<Coupon, Error> {
        let read = self.db.team(team).await?;
        let found = store::get_coupon(&read, team, id).await?;
        read.end().await?;
        found.ok_or_else(no_such_coupon)
    }

    /// A page of coupons, each with the place after it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a tag that is not the team's; as [`crate::db::query`].
    pub async fn list(
        &self,
        team: TeamId,
        filter: &Filter,
        order: Order,
        page: &Page<Place>,
    ) -> Result<Listed<(Coupon, Place)>, Error> {
        let tags = self.tags.resolve(team, filter.tag_uid.as_slice()).await?;
        let tag = tags.and_then(|tags| tags.first().copied());
        let now = self.clock.now();
        let read = self.db.team(team).await?;
        let part = Part { order, after: page.after.as_ref(), limit: page.limit(), now };
        let found = store::list_coupons(&read, team, filter, tag, part).await?;
        read.end().await?;
        let Found { coupons, found } = found;
        Ok(page.cut_of(coupons, found))
    }

    /// Makes coupons, all or none, and keeps the answer under the id of the request if it has one. A request
    /// that was done before is answered as then.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::NotFound`] for tags, [`Error::LimitReached`]; as [`crate::db::query`].
    pub async fn create<A: Message + Default>(
        &self,
        team: TeamId,
        once: Option<Once>,
        new: Vec<Content>,
        answer: impl FnOnce(Vec<Coupon>) -> A,
    ) -> Result<A, Error> {
        let new = self.prepare(team, new).await?;
        self.make(team, once, answer, async |write| {
            let keys: Vec<String> =
                new.iter().map(|one| code_key(&one.content.couponcode)).collect();
            let taken = store::find_codes(write, team, &keys).await?;
            let taken: Vec<&str> = new
                .iter()
                .map(|one| one.content.couponcode.as_str())
                .filter(|code| taken.contains_key(&code_key(code)))
                .collect();
            if taken.is_empty() { Ok(new) } else { Err(Error::couponcodes_taken(&taken)) }
        })
        .await
    }

    /// Makes coupons that differ in their codes, as many as are asked for.
    ///
    /// # Errors
    /// As [`Registry::create`].
    pub async fn generate<A: Message + Default>(
        &self,
        team: TeamId,
        once: Option<Once>,
        like: Content,
        pattern: &Pattern,
        count: usize,
        answer: impl FnOnce(Vec<Coupon>) -> A,
    ) -> Result<A, Error> {
        let like = self.prepare(team, vec![like]).await?;
        let (content, tags) = like
            .into_iter()
            .next()
            .map(|one| (one.content, one.tags))
            .ok_or_else(|| Error::internal(anyhow::anyhow!("nothing to make coupons of")))?;
        self.make(team, once, answer, async |write| {
            let codes = fresh_codes(write, team, pattern, count).await?;
            let one = |couponcode| NewCoupon {
                id: Uuid::now_v7(),
                content: Content { couponcode, ..content.clone() },
                tags: tags.clone(),
            };
            Ok(codes.into_iter().map(one).collect())
        })
        .await
    }

    /// Makes the coupons that `choose` finds can be made.
    async fn make<A: Message + Default>(
        &self,
        team: TeamId,
        once: Option<Once>,
        answer: impl FnOnce(Vec<Coupon>) -> A,
        choose: impl AsyncFnOnce(&Write) -> Result<Vec<NewCoupon>, Error>,
    ) -> Result<A, Error> {
        let now = self.clock.now();
        let write = self.db.team_write(team).await?;
        let work = async || {
            store::lock_codes(&write, team).await?;
            let new = choose(&write).await?;
            let there = store::count_coupons(&write, team).await?;
            if there + i64::try_from(new.len()).unwrap_or(i64::MAX) > self.coupons_max {
                return Err(self.too_many());
            }
            store::insert_coupons(&write, team, now, &new).await?;
            Ok(answer(new.into_iter().map(|one| made(one, now)).collect()))
        };
        let done = requests::once(once, &write, work).await;
        write.end(done).await
    }

    /// Adds coupons that have ids already, those that the team does not have: for files.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn import(&self, team: TeamId, new: Vec<NewCoupon>) -> Result<Imported, Error> {
        let write = self.db.team_write(team).await?;
        let work = async {
            store::lock_codes(&write, team).await?;
            let ids: Vec<Uuid> = new.iter().map(|one| one.id).collect();
            let there: HashSet<Uuid> =
                store::find_coupons(&write, team, &ids).await?.iter().map(|one| one.id).collect();
            let keys: Vec<String> =
                new.iter().map(|one| code_key(&one.content.couponcode)).collect();
            let taken = store::find_codes(&write, team, &keys).await?;
            let (mut imported, mut fresh) = (Imported::default(), Vec::new());
            for one in new {
                if there.contains(&one.id) {
                    imported.there += 1;
                } else if taken.contains_key(&code_key(&one.content.couponcode)) {
                    imported.taken.push(one.id);
                } else {
                    fresh.push(one);
                }
            }
            imported.made = fresh.len();
            store::insert_coupons(&write, team, self.clock.now(), &fresh).await?;
            Ok(imported)
        };
        let done = work.await;
        write.end(done).await
    }

    /// With the tags that they name.
    async fn prepare(&self, team: TeamId, new: Vec<Content>) -> Result<Vec<NewCoupon>, Error> {
        let named: HashSet<String> =
            new.iter().flat_map(|content| content.tag_uids.iter().cloned()).collect();
        let named: Vec<String> = named.into_iter().collect();
        self.tags.resolve(team, &named).await?;
        let mut prepared = Vec::with_capacity(new.len());
        for content in new {
            let tags = self.tag_ids(team, &content).await?;
            prepared.push(NewCoupon { id: Uuid::now_v7(), content, tags });
        }
        Ok(prepared)
    }

    async fn tag_ids(&self, team: TeamId, content: &Content) -> Result<Vec<TagId>, Error> {
        Ok(self.tags.resolve(team, &content.tag_uids).await?.unwrap_or_default())
    }

    fn too_many(&self) -> Error {
        Error::LimitReached {
            reason: reasons::COUPON_LIMIT,
            message: format!(
                "a team may have {} coupons, archived ones included: delete some that were never redeemed, or ask whoever runs the service for more",
                self.coupons_max
            ),
        }
    }

    /// Changes a coupon.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong with it as a whole, [`Error::NotFound`], [`Error::AlreadyExists`],
    /// [`Error::Aborted`] when somebody was faster, [`Error::FailedPrecondition`] for terms that are fixed; as
    /// [`crate::db::query`].
    pub async fn change(
        &self,
        team: TeamId,
        id: Uuid,
        expected: Expected,
        edit: &Edit,
    ) -> Result<Coupon, Error> {
        let tags = match &edit.tag_uids {
            Some(uids) => Some(self.tags.resolve(team, uids).await?.unwrap_or_default()),
            None => None,
        };
        let write = self.db.team_write(team).await?;
        let work = async {
            if edit.couponcode.is_some() {
                store::lock_codes(&write, team).await?;
            }
            let before = lock(&write, team, id, expected).await?;
            if before.archived_at.is_some() {
                return Err(Error::FailedPrecondition {
                    reason: reasons::COUPON_ARCHIVED,
                    message: "this coupon is archived: make another one".to_owned(),
                });
            }
            let after = edit.apply(&before.content);
            if after == before.content {
                return Ok(before);
            }
            self.check(&write, team, &before, &after).await?;
            let (now, tags) = (self.clock.now(), tags.as_deref());
            store::update_coupon(&write, team, id, now, &after, tags).await?;
            store::get_coupon(&write, team, id).await?.ok_or_else(gone)
        };
        let done = work.await;
        write.end(done).await
    }

    /// Whether a coupon may become this.
    async fn check(
        &self,
        write: &Write,
        team: TeamId,
        before: &Coupon,
        after: &Content,
    ) -> Result<(), Error> {
        let bad = after.violations("coupon.");
        if !bad.is_empty() {
            return Err(Error::Invalid(bad));
        }
        let fixed = before.content.changed_terms(after);
        if before.has_history() && !fixed.is_empty() {
            return Err(Error::FailedPrecondition {
                reason: reasons::COUPON_TERMS_FIXED,
                message: format!(
                    "this coupon was redeemed, and its terms are fixed: {} cannot be changed; description, expire_at, disabled, tag_uids and metadata can",
                    fixed.join(", ")
                ),
            });
        }
        let key = code_key(&after.couponcode);
        let taken = store::find_codes(write, team, std::slice::from_ref(&key)).await?;
        if taken.get(&key).is_some_and(|taken| *taken != before.id) {
            return Err(Error::couponcodes_taken(&[after.couponcode.as_str()]));
        }
        Ok(())
    }

    /// Deletes a coupon; archives it if it was ever redeemed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Aborted`]; as [`crate::db::query`].
    pub async fn delete(
        &self,
        team: TeamId,
        id: Uuid,
        expected: Expected,
    ) -> Result<Deleted, Error> {
        let write = self.db.team_write(team).await?;
        let work = async {
            let coupon = lock(&write, team, id, expected).await?;
            if coupon.archived_at.is_some() {
                return Ok(Deleted::Archived(Box::new(coupon)));
            }
            if coupon.has_history() {
                store::archive_coupon(&write, team, id, self.clock.now()).await?;
                let archived = store::get_coupon(&write, team, id).await?.ok_or_else(gone)?;
                return Ok(Deleted::Archived(Box::new(archived)));
            }
            store::delete_coupon(&write, team, id).await?;
            Ok(Deleted::Gone)
        };
        let done = work.await;
        write.end(done).await
    }
}

/// What came of coupons of a file.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    pub made: usize,
    /// Those that were there already.
    pub there: usize,
    /// Those whose codes other coupons have.
    pub taken: Vec<Uuid>,
}

/// Codes that no coupon of the team has.
async fn fresh_codes(
    write: &Write,
    team: TeamId,
    pattern: &Pattern,
    count: usize,
) -> Result<Vec<String>, Error> {
    let mut fresh: HashMap<String, String> = HashMap::new();
    // Of what could be made a small part only may be in use, or codes could be guessed.
    let used = store::count_codes(write, team, &pattern.like()).await?;
    if !pattern.has_room_for(used.saturating_add(count)) {
        return Err(codes_used_up());
    }
    for _ in 0..CODE_TRIES {
        let mut made = HashMap::new();
        while fresh.len() + made.len() < count.min(BATCH_COUPONS_MAX) {
            let code = pattern.code()?;
            let key = code_key(&code);
            if !fresh.contains_key(&key) {
                made.insert(key, code);
            }
        }
        let keys: Vec<String> = made.keys().cloned().collect();
        let taken = store::find_codes(write, team, &keys).await?;
        fresh.extend(made.into_iter().filter(|(key, _)| !taken.contains_key(key)));
        if fresh.len() >= count {
            return Ok(fresh.into_values().collect());
        }
    }
    Err(codes_used_up())
}

fn codes_used_up() -> Error {
    Error::FailedPrecondition {
        reason: reasons::CODES_USED_UP,
        message: "too many codes of this pattern are in use: take a longer one".to_owned(),
    }
}

/// A coupon as it is when it was just made.
fn made(new: NewCoupon, now: DateTime<Utc>) -> Coupon {
    Coupon {
        id: new.id,
        content: new.content,
        created_at: now,
        updated_at: now,
        archived_at: None,
        version: 1,
        redeemed: 0,
        released: 0,
        distance_km: None,
    }
}

async fn lock(write: &Write, team: TeamId, id: Uuid, expected: Expected) -> Result<Coupon, Error> {
    let coupon = store::lock_coupon(write, team, id).await?.ok_or_else(no_such_coupon)?;
    if expected.allows(coupon.version) { Ok(coupon) } else { Err(etag_mismatch("coupon")) }
}

/// The team has no such coupon, or another team has it: callers cannot tell.
pub(super) fn no_such_coupon() -> Error {
    Error::not_found(reasons::COUPON_NOT_FOUND, "coupon")
}

fn gone() -> Error {
    Error::internal(anyhow::anyhow!("a coupon that is locked is gone"))
}
