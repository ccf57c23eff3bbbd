//! Changes of keys: what is allowed, in one transaction with its record. Requests and the command line do the
//! same.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use uuid::Uuid;

use super::{
    key::ApiKey,
    model::{
        Actor, Grant, KEYS_MAX, KeyAction, KeyEvent, KeyFilter, KeyInfo, KeyPatch, KeyState,
        OVERLAP_MAX, Power, names,
    },
    store,
};
use crate::{
    auth,
    db::{Db, Write},
    directory::Directory,
    error::Error,
    ids::{KeyId, TeamId},
    reasons,
    requests::{self, Once},
};

/// Keys as requests look at and change them.
#[derive(Clone, Debug)]
pub struct Keys {
    pub db: Db,
    pub directory: Arc<Directory>,
}

impl Keys {
    /// Makes a key, and keeps the answer under the id of the request if it has one.
    ///
    /// # Errors
    /// As [`create`]; [`Error::AlreadyExists`].
    pub async fn create<A: Message + Default>(
        &self,
        actor: &Actor,
        once: Option<Once>,
        key: &ApiKey,
        grant: Grant<'_>,
        now: DateTime<Utc>,
        answer: impl FnOnce(KeyInfo) -> A,
    ) -> Result<A, Error> {
        let write = self.db.team_write(key.team()).await?;
        let work = async || Ok(answer(create(&write, actor, key, grant, now).await?));
        let done = requests::once(once, &write, work).await;
        self.show(write.end(done).await).await
    }

    /// Makes a key in the place of another, likewise. `overlap` is how long that one works on, and from when.
    ///
    /// # Errors
    /// As [`rotate`]; [`Error::AlreadyExists`].
    pub async fn rotate<A: Message + Default>(
        &self,
        actor: &Actor,
        once: Option<Once>,
        id: KeyId,
        key: &ApiKey,
        (overlap, now): (TimeDelta, DateTime<Utc>),
        answer: impl FnOnce((KeyInfo, KeyInfo)) -> A,
    ) -> Result<A, Error> {
        let write = self.db.team_write(key.team()).await?;
        let work = async || Ok(answer(rotate(&write, actor, id, key, overlap, now).await?));
        let done = requests::once(once, &write, work).await;
        self.show(write.end(done).await).await
    }

    /// Changes a key.
    ///
    /// # Errors
    /// As [`update`].
    pub async fn update(
        &self,
        team: TeamId,
        actor: &Actor,
        id: KeyId,
        patch: KeyPatch,
        now: DateTime<Utc>,
    ) -> Result<KeyInfo, Error> {
        let write = self.db.team_write(team).await?;
        let done = update(&write, team, actor, id, patch, now).await;
        self.show(write.end(done).await).await
    }

    /// Ends a key.
    ///
    /// # Errors
    /// As [`revoke`].
    pub async fn revoke(
        &self,
        team: TeamId,
        actor: &Actor,
        id: KeyId,
        now: DateTime<Utc>,
    ) -> Result<KeyInfo, Error> {
        let write = self.db.team_write(team).await?;
        let done = revoke(&write, team, actor, id, now).await;
        self.show(write.end(done).await).await
    }

    /// A key by its id.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn get(&self, team: TeamId, id: KeyId) -> Result<KeyInfo, Error> {
        let read = self.db.team(team).await?;
        let found = store::get_key(&read, team, id).await?;
        read.end().await?;
        found.ok_or_else(not_found)
    }

    /// A page of keys, and whether there are more.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn list(
        &self,
        team: TeamId,
        filter: KeyFilter,
        size: usize,
    ) -> Result<(Vec<KeyInfo>, bool), Error> {
        let read = self.db.team(team).await?;
        let found = store::list_keys(&read, team, filter, Some(one_more(size))).await?;
        read.end().await?;
        Ok(page(found, size))
    }

    /// A page of what was done to keys, or to one, and whether there is more.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn events(
        &self,
        team: TeamId,
        key: Option<KeyId>,
        before: Option<Uuid>,
        size: usize,
    ) -> Result<(Vec<KeyEvent>, bool), Error> {
        let read = self.db.team(team).await?;
        let found = store::list_key_events(&read, team, key, before, one_more(size)).await?;
        read.end().await?;
        Ok(page(found, size))
    }

    /// Sees that this replica knows of a change, so that the caller's next call finds it. The change is
    /// committed: that it cannot be loaded now is no reason to say that it failed.
    async fn show<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        let done = done?;
        if let Err(error) = self.directory.refresh(&self.db).await {
            tracing::warn!(cause = error.log_text(), "cannot load keys that were just changed");
        }
        Ok(done)
    }
}

/// One more than a page holds tells whether there is another.
fn one_more(size: usize) -> i64 {
    i64::try_from(size).map_or(i64::MAX, |size| size.saturating_add(1))
}

fn page<T>(mut found: Vec<T>, size: usize) -> (Vec<T>, bool) {
    let more = found.len() > size;
    found.truncate(size);
    (found, more)
}

/// Makes a key.
///
/// # Errors
/// [`Error::Denied`], [`Error::LimitReached`], or as [`crate::db::query`].
pub async fn create(
    write: &Write,
    actor: &Actor,
    key: &ApiKey,
    grant: Grant<'_>,
    now: DateTime<Utc>,
) -> Result<KeyInfo, Error> {
    let info = KeyInfo {
        id: KeyId(Uuid::now_v7()),
        prefix: key.prefix(),
        name: grant.name.to_owned(),
        scopes: names(grant.scopes),
        queries_per_hour: grant.queries_per_hour,
        created_at: now,
        created_by: actor.key(),
        expires_at: grant.expires_at,
        revoked_at: None,
        last_used_at: None,
        replaces: None,
        rotated: None,
    };
    let power = alone(write, key.team(), actor, now).await?;
    may(power.as_ref(), &info.power())?;
    insert(write, actor, key, &info, now).await?;
    Ok(info)
}

/// Changes a key. Returns it as it is then.
///
/// # Errors
/// [`Error::NotFound`], [`Error::FailedPrecondition`], [`Error::Denied`], or as [`crate::db::query`].
pub async fn update(
    write: &Write,
    team: TeamId,
    actor: &Actor,
    key: KeyId,
    patch: KeyPatch,
    now: DateTime<Utc>,
) -> Result<KeyInfo, Error> {
    let power = alone(write, team, actor, now).await?;
    let before = find(write, team, key).await?;
    let after = before.patched(patch);
    if before.revoked_at.is_some() {
        return Err(ended("is revoked: make a new one"));
    }
    may(power.as_ref(), &before.power())?;
    may(power.as_ref(), &after.power())?;
    if after == before {
        return Ok(after);
    }
    change(write, team, actor, KeyAction::Updated, &before, &after, now).await?;
    Ok(after)
}

/// Makes a key in the place of another, which goes on working until the overlap ends. Returns the new one
/// and the old one.
///
/// # Errors
/// As [`update`], and [`Error::LimitReached`].
pub async fn rotate(
    write: &Write,
    actor: &Actor,
    id: KeyId,
    key: &ApiKey,
    overlap: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(KeyInfo, KeyInfo), Error> {
    let team = key.team();
    let power = alone(write, team, actor, now).await?;
    let old = find(write, team, id).await?;
    match old.state(now) {
        KeyState::Active => {}
        KeyState::Expired => return Err(ended("has expired: make a new one")),
        KeyState::Revoked => return Err(ended("is revoked: make a new one")),
    }
    let new = KeyInfo {
        id: KeyId(Uuid::now_v7()),
        prefix: key.prefix(),
        created_at: now,
        created_by: actor.key(),
        last_used_at: None,
        replaces: Some(id),
        // Not with the overlap, where it was rotated before.
        expires_at: old.successor_expires_at(),
        rotated: None,
        ..old.clone()
    };
    may(power.as_ref(), &old.power())?;
    may(power.as_ref(), &new.power())?;
    let end = now + overlap.clamp(TimeDelta::zero(), OVERLAP_MAX);
    let end = old.expires_at.map_or(end, |at| at.min(end));
    let rotated = old.rotated.or(Some((now, old.expires_at)));
    let ending = KeyInfo { expires_at: Some(end), rotated, ..old.clone() };
    insert(write, actor, key, &new, now).await?;
    change(write, team, actor, KeyAction::Rotated, &old, &ending, now).await?;
    Ok((new, ending))
}

/// Ends a key for good. An earlier end stands. Whoever manages keys can end any: that gives nobody anything.
///
/// # Errors
/// [`Error::NotFound`], or as [`crate::db::query`].
pub async fn revoke(
    write: &Write,
    team: TeamId,
    actor: &Actor,
    key: KeyId,
    now: DateTime<Utc>,
) -> Result<KeyInfo, Error> {
    alone(write, team, actor, now).await?;
    let before = find(write, team, key).await?;
    if before.revoked_at.is_some() {
        return Ok(before);
    }
    let after = KeyInfo { revoked_at: Some(now), ..before.clone() };
    change(write, team, actor, KeyAction::Revoked, &before, &after, now).await?;
    Ok(after)
}

/// What a team has no key of.
#[must_use]
pub fn not_found() -> Error {
    Error::NotFound {
        reason: reasons::KEY_NOT_FOUND,
        message: "the team has no key of this id: list them to see which there are".to_owned(),
    }
}

/// From here to the end of the transaction nobody else changes keys of the team. Returns what whoever does it
/// has to give, as it is now: a key that was revoked a moment ago makes no others.
async fn alone(
    write: &Write,
    team: TeamId,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<Option<Power>, Error> {
    store::lock_keys(write, team).await?;
    let Actor::Key(key) = actor else { return Ok(None) };
    let own = store::get_key(write, team, *key).await?;
    match own.filter(|own| own.state(now) == KeyState::Active) {
        Some(own) => Ok(Some(own.power())),
        None => Err(auth::INVALID),
    }
}

/// Only where the keys of the team are ours alone.
async fn find(write: &Write, team: TeamId, key: KeyId) -> Result<KeyInfo, Error> {
    store::get_key(write, team, key).await?.ok_or_else(not_found)
}

async fn insert(
    write: &Write,
    actor: &Actor,
    key: &ApiKey,
    info: &KeyInfo,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let team = key.team();
    if store::count_keys(write, team).await? >= KEYS_MAX {
        let message = format!(
            "the team has {KEYS_MAX} keys that work or have expired in the last 90 days, which is the most: revoke some"
        );
        return Err(Error::LimitReached { reason: reasons::KEY_LIMIT, message });
    }
    if !store::create_key(write, key, info).await? {
        // Made by this request before, which is forgotten: the key is not.
        return Err(Error::AlreadyExists {
            reason: reasons::REQUEST_ID_USED,
            message: "this request_id has made a key already: take a new one".to_owned(),
        });
    }
    let changes = info.changes_since(None);
    let event = (info.id, actor.key(), KeyAction::Created, changes.as_slice());
    store::record_event(write, team, event, now).await?;
    store::notify_keys(write).await
}

async fn change(
    write: &Write,
    team: TeamId,
    actor: &Actor,
    action: KeyAction,
    before: &KeyInfo,
    after: &KeyInfo,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    store::update_key(write, team, after).await?;
    let changes = after.changes_since(Some(before));
    let event = (after.id, actor.key(), action, changes.as_slice());
    store::record_event(write, team, event, now).await?;
    store::notify_keys(write).await
}

/// A key cannot give what it does not have, nor touch a key that has more.
fn may(power: Option<&Power>, wanted: &Power) -> Result<(), Error> {
    match power.and_then(|power| power.lacks(wanted)) {
        None => Ok(()),
        Some(lack) => Err(Error::Denied {
            reason: reasons::MORE_THAN_CALLER,
            message: format!(
                "your key does not have {lack} itself, so it cannot give it: use a key that has"
            ),
        }),
    }
}

fn ended(why: &str) -> Error {
    Error::FailedPrecondition { reason: reasons::KEY_ENDED, message: format!("this key {why}") }
}
