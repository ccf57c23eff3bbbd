//! The tags of a team in the store: finds, lists, makes and changes them.
//!
//! A change is one transaction: it locks the team, so that changes come one after another, and tells all
//! replicas when it commits. Then it waits until this replica knows it too.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use prost::Message;

use super::{
    directory::TagDirectory,
    model::{Change, Filter, NewTag, Tag},
    store,
};
use crate::{
    clock::Clock,
    db::{Db, Write},
    error::Error,
    ids::TeamId,
    reasons,
    requests::{self, Once},
};

/// Tags that are merged by one statement.
const BATCH: usize = 5_000;
/// How long to wait for this replica to know of a change.
const SHOW_TIMEOUT: Duration = Duration::from_secs(5);

/// Finds, lists, makes and changes tags.
#[derive(Clone, Debug)]
pub struct Registry {
    pub db: Db,
    pub directory: Arc<TagDirectory>,
    pub clock: Clock,
    /// Tags that a team may have.
    pub tags_max: usize,
}

/// What to do with tags that are to be made and are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    Refuse,
    Skip,
}

/// What came of tags that were to be made.
#[derive(Clone, Debug)]
pub struct Made {
    /// In the order in which they were given.
    pub tags: Vec<Tag>,
    /// Those that were there already, likewise.
    pub existing: Vec<String>,
}

/// A tag that is to be made, or changed where there is one of its uid.
#[derive(Clone, Debug)]
pub struct Merge {
    pub new: NewTag,
    pub change: Change,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    Made,
    Changed,
    Unchanged,
}

/// Where a page of tags begins, and how many tags it has at most.
#[derive(Clone, Debug)]
pub struct Page {
    /// The last uid of the page before; empty for the first.
    pub after: String,
    pub size: usize,
}

impl Registry {
    /// A tag by its uid.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn get(&self, team: TeamId, uid: &str) -> Result<Tag, Error> {
        let read = self.db.team(team).await?;
        let found = store::get_tag(&read, team, uid).await;
        let ended = read.end().await;
        let tag = found?.ok_or_else(|| Error::tags_not_found(&[uid]))?;
        ended.map(|()| tag)
    }

    /// A page of tags, and whether there are more.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn list(
        &self,
        team: TeamId,
        filter: &Filter,
        page: &Page,
    ) -> Result<(Vec<Tag>, bool), Error> {
        let read = self.db.team(team).await?;
        // One more than asked for shows whether there is a next page.
        let limit = i64::try_from(page.size + 1).map_err(Error::internal)?;
        let mut tags = store::list_tags(&read, team, filter, &page.after, limit).await?;
        read.end().await?;
        let more = tags.len() > page.size;
        tags.truncate(page.size);
        Ok((tags, more))
    }

    /// Makes tags, all or none, and keeps the answer under the id of the request if it has one. A request
    /// that was done before is answered as then.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::LimitReached`]; as [`crate::db::query`].
    pub async fn create<A: Message + Default>(
        &self,
        team: TeamId,
        once: Option<Once>,
        new: &[NewTag],
        existing: Existing,
        answer: impl FnOnce(Made) -> A,
    ) -> Result<A, Error> {
        let write = self.db.team_write(team).await?;
        let mut revision = None;
        let work = async || {
            let (made, now) = self.insert(&write, team, new, existing).await?;
            revision = now;
            Ok(answer(made))
        };
        let done = requests::once(once, &write, work).await;
        let answer = write.end(done).await?;
        self.show(team, revision).await;
        Ok(answer)
    }

    /// Adds tags. Returns the state of the team's tags that this makes; `None` when it is as it was.
    async fn insert(
        &self,
        write: &Write,
        team: TeamId,
        new: &[NewTag],
        existing: Existing,
    ) -> Result<(Made, Option<i64>), Error> {
        let revision = store::lock_team(write, team).await? + 1;
        let uids: Vec<String> = new.iter().map(|tag| tag.uid.clone()).collect();
        let there = store::find_tags(write, team, &uids).await?;
        let there: HashSet<String> = there.into_iter().map(|(_, uid)| uid).collect();
        let (existing_uids, fresh) = split(new, &there);
        if existing == Existing::Refuse && !existing_uids.is_empty() {
            return Err(Error::tags_exist(&existing_uids));
        }
        let existing = existing_uids.into_iter().map(str::to_owned).collect();
        if fresh.is_empty() {
            return Ok((Made { tags: Vec::new(), existing }, None));
        }
        if store::count_tags(write, team).await? + fresh.len() > self.tags_max {
            return Err(self.too_many_tags());
        }
        let added = store::insert_tags(write, team, &fresh).await?;
        store::notify_tags(write, team, revision).await?;
        let ids: HashMap<String, _> = added.into_iter().map(|(id, uid)| (uid, id)).collect();
        let made = |tag: &&NewTag| Some(tag.made(*ids.get(&tag.uid)?));
        let tags = fresh.iter().filter_map(made).collect();
        Ok((Made { tags, existing }, Some(revision)))
    }

    /// Makes tags, and changes those that are there, in a transaction that others have begun: all of them have to be
    /// told when it is committed, by [`Registry::show`], of the state that is returned. Their uids must differ.
    ///
    /// # Errors
    /// [`Error::LimitReached`]; as [`crate::db::query`].
    pub async fn merge(
        &self,
        write: &Write,
        team: TeamId,
        tags: &[Merge],
    ) -> Result<(Vec<Merged>, Option<i64>), Error> {
        let mut revision = store::lock_team(write, team).await?;
        let first = revision;
        let mut merged = Vec::with_capacity(tags.len());
        for batch in tags.chunks(BATCH) {
            let uids: Vec<&str> = batch.iter().map(|tag| tag.new.uid.as_str()).collect();
            let there = store::get_tags(write, team, &uids).await?;
            let there: HashMap<&str, &Tag> =
                there.iter().map(|tag| (tag.uid.as_ref(), tag)).collect();
            let (mut fresh, mut changed) = (Vec::new(), Vec::new());
            for Merge { new, change } in batch {
                merged.push(match there.get(new.uid.as_str()) {
                    None => {
                        fresh.push(new);
                        Merged::Made
                    }
                    Some(tag) => {
                        let after = change.apply(tag, self.clock.now());
                        if after == **tag {
                            Merged::Unchanged
                        } else {
                            changed.push(after);
                            Merged::Changed
                        }
                    }
                });
            }
            if !fresh.is_empty() {
                if store::count_tags(write, team).await? + fresh.len() > self.tags_max {
                    return Err(self.too_many_tags());
                }
                store::insert_tags(write, team, &fresh).await?;
                revision += 1;
            }
            if !changed.is_empty() {
                store::update_tags(write, team, &changed).await?;
                revision += 1;
            }
        }
        if revision == first {
            return Ok((merged, None));
        }
        store::notify_tags(write, team, revision).await?;
        Ok((merged, Some(revision)))
    }

    fn too_many_tags(&self) -> Error {
        Error::LimitReached {
            reason: reasons::TAG_LIMIT,
            message: format!(
                "a team may have {} tags, archived ones included: take an archived one back, or ask whoever runs the service for more",
                self.tags_max
            ),
        }
    }

    /// Changes a tag.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn change(&self, team: TeamId, uid: &str, change: &Change) -> Result<Tag, Error> {
        let write = self.db.team_write(team).await?;
        let work = async {
            let revision = store::lock_team(&write, team).await? + 1;
            let found = store::get_tag(&write, team, uid).await?;
            let tag = found.ok_or_else(|| Error::tags_not_found(&[uid]))?;
            let changed = change.apply(&tag, self.clock.now());
            if changed == tag {
                return Ok((tag, None));
            }
            store::update_tag(&write, team, &changed).await?;
            store::notify_tags(&write, team, revision).await?;
            Ok((changed, Some(revision)))
        };
        let done = work.await;
        let (tag, revision) = write.end(done).await?;
        self.show(team, revision).await;
        Ok(tag)
    }

    /// Waits until this replica knows of a change, so that the caller's next call finds it. The change is
    /// committed: that it cannot be loaded now is no reason to say that it failed.
    pub async fn show(&self, team: TeamId, revision: Option<i64>) {
        let Some(revision) = revision else { return };
        let loading = self.directory.catch_up(team, revision);
        let loaded = tokio::time::timeout(SHOW_TIMEOUT, loading).await;
        if let Err(error) = loaded.unwrap_or_else(|late| Err(Error::store_unavailable(late))) {
            tracing::warn!(cause = error.log_text(), "cannot load tags that were just changed");
            self.directory.hear(team, Some(revision));
        }
    }
}

/// The uids that are there, and the tags that are not.
fn split<'a>(new: &'a [NewTag], there: &HashSet<String>) -> (Vec<&'a str>, Vec<&'a NewTag>) {
    let (existing, fresh): (Vec<&NewTag>, Vec<&NewTag>) =
        new.iter().partition(|tag| there.contains(&tag.uid));
    (existing.into_iter().map(|tag| tag.uid.as_str()).collect(), fresh)
}
