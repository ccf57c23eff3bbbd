//! Every tag in memory: what is tapped is looked up here, also while the store is down.
//!
//! Loaded whole at the start; after that the tags of a team are loaded again when a hint, a look every 15
//! seconds or a tap of an unknown tag says that they have changed.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::TryChunksError};
use tokio::sync::{Mutex, Notify};

use super::{
    model::Tag,
    store::{self, TeamTags},
};
use crate::{
    auth::Caller,
    db::{Db, TeamRead},
    error::Error,
    ids::{TagId, TeamId},
};

/// Teams that are loaded at a time.
const TEAMS_AT_A_TIME: usize = 4;
/// How long loading may take: a store that is silent is a store that is down.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Teams of which is known what was loaded, while others are still loaded.
const TEAMS_KNOWN_AT_ONCE: usize = 256;
/// How often to look without being told.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
const REFRESH_INTERVAL: Duration = Duration::from_secs(15);

/// Every tag of every team.
#[derive(Debug)]
pub struct TagDirectory {
    db: Db,
    known: ArcSwap<Known>,
    /// Held by whoever changes `known`.
    loading: Mutex<()>,
    /// What is to be loaded again soon.
    wanted: std::sync::Mutex<Wanted>,
    some_wanted: Notify,
}

#[derive(Debug, Default)]
struct Wanted {
    /// With the state that was heard of; `None`: whatever state they are in.
    teams: HashMap<TeamId, Option<i64>>,
    /// Of all teams whatever has changed.
    all: bool,
}

#[derive(Clone, Debug, Default)]
struct Known {
    teams: HashMap<TeamId, Arc<Team>>,
    slugs: HashMap<String, TeamId>,
}

#[derive(Debug)]
struct Team {
    revision: i64,
    by_uid: HashMap<Arc<str>, Arc<Tag>>,
    by_id: HashMap<TagId, Arc<Tag>>,
}

impl TagDirectory {
    /// Knows no tag yet.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self {
            db,
            known: ArcSwap::default(),
            loading: Mutex::default(),
            wanted: std::sync::Mutex::default(),
            some_wanted: Notify::new(),
        }
    }

    /// The tags of a team have changed, into this state if it is known.
    pub fn hear(&self, team: TeamId, revision: Option<i64>) {
        self.want(|wanted| {
            let newest = wanted.teams.entry(team).or_insert(revision);
            *newest = newest.zip(revision).map(|(heard, revision)| heard.max(revision));
        });
    }

    /// Any tags may have changed.
    pub fn hear_all(&self) {
        self.want(|wanted| wanted.all = true);
    }

    fn want(&self, what: impl FnOnce(&mut Wanted)) {
        what(&mut self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        self.some_wanted.notify_one();
    }

    /// Loads what is heard of, for ever. Apart from other hints, as it may take its time.
    pub async fn run(self: Arc<Self>) {
        loop {
            let heard = tokio::time::timeout(REFRESH_INTERVAL, self.some_wanted.notified()).await;
            let mut wanted =
                std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
            wanted.all |= heard.is_err();
            let mut loaded = Ok(());
            for (team, revision) in wanted.teams {
                loaded = loaded.and(match revision {
                    Some(revision) => self.catch_up(team, revision).await,
                    None => self.refresh_team(team).await,
                });
            }
            if wanted.all {
                loaded = loaded.and(self.refresh().await);
            }
            if let Err(error) = loaded {
                tracing::warn!(
                    cause = error.log_text(),
                    "cannot load tags again; those that are known go on working"
                );
                // What was heard is not forgotten: it is looked for in all that has changed.
                tokio::time::sleep(RETRY_INTERVAL).await;
                self.hear_all();
            }
        }
    }

    /// Loads what has changed since the last time.
    ///
    /// # Errors
    /// When the store cannot be read; what is known stays as it was.
    pub async fn refresh(&self) -> Result<(), Error> {
        let loading = tokio::time::timeout(LOAD_TIMEOUT, self.load_changed());
        loading.await.map_err(Error::store_unavailable)?
    }

    async fn load_changed(&self) -> Result<(), Error> {
        let _alone = self.loading.lock().await;
        let known = self.known.load_full();
        let revision_of = |team: &TeamId| known.teams.get(team).map(|team| team.revision);
        let mut changed = store::tag_revisions(&self.db).await?;
        changed.retain(|(team, revision)| revision_of(team) != Some(*revision));
        // Also what was loaded before an error is known then: the next time there is less to load.
        let mut loaded = stream::iter(changed)
            .map(|(team, _)| async move { Ok((team, store::load_tags(&self.db, team).await?)) })
            .buffer_unordered(TEAMS_AT_A_TIME)
            .try_chunks(TEAMS_KNOWN_AT_ONCE);
        while let Some(chunk) = loaded.next().await {
            match chunk {
                Ok(loaded) => self.put(loaded),
                Err(TryChunksError(loaded, error)) => {
                    self.put(loaded);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Loads the tags of a team.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn refresh_team(&self, team: TeamId) -> Result<(), Error> {
        let _alone = self.loading.lock().await;
        self.load_team(team).await
    }

    /// Loads the tags of a team unless they are known as they are at this revision, or later: who changes
    /// tags sees to it that the caller's next call finds them changed here. Changes that come together are
    /// loaded once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn catch_up(&self, team: TeamId, revision: i64) -> Result<(), Error> {
        let _alone = self.loading.lock().await;
        if self.revision(team).is_some_and(|known| known >= revision) {
            return Ok(());
        }
        self.load_team(team).await
    }

    /// Only with `loading` held.
    async fn load_team(&self, team: TeamId) -> Result<(), Error> {
        let loaded = store::load_tags(&self.db, team).await?;
        self.put(vec![(team, loaded)]);
        Ok(())
    }

    /// Looks for tags that are not known: one may have been made a moment ago. All of the team's are loaded
    /// only when there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn look_again(&self, team: TeamId, uids: &[String]) -> Result<(), Error> {
        let read = self.db.team(team).await?;
        let there = store::find_tags(&read, team, uids).await?;
        read.end().await?;
        let unknown = || there.iter().any(|(_, uid)| self.find(team, uid).is_none());
        if unknown() {
            let _alone = self.loading.lock().await;
            // Whoever waited here may find them known.
            if unknown() {
                self.load_team(team).await?;
            }
        }
        Ok(())
    }

    fn put(&self, loaded: Vec<(TeamId, Option<TeamTags>)>) {
        if loaded.is_empty() {
            return;
        }
        let mut known = Known::clone(&self.known.load());
        for (team, tags) in loaded {
            let Some(TeamTags { slug, revision, tags }) = tags else { continue };
            let tags: Vec<Arc<Tag>> = tags.into_iter().map(Arc::new).collect();
            let by_uid = tags.iter().map(|tag| (Arc::clone(&tag.uid), Arc::clone(tag))).collect();
            let by_id = tags.iter().map(|tag| (tag.id, Arc::clone(tag))).collect();
            known.teams.insert(team, Arc::new(Team { revision, by_uid, by_id }));
            known.slugs.insert(slug, team);
        }
        let count: usize = known.teams.values().map(|team| team.by_id.len()).sum();
        metrics::gauge!("tap_tags").set(u32::try_from(count).unwrap_or(u32::MAX));
        self.known.store(Arc::new(known));
    }

    /// The tags of these uids, sorted by id; `None` when none are named: all.
    ///
    /// # Errors
    /// [`Error::NotFound`] for those that are not the team's; when the store cannot be read.
    pub async fn resolve(
        &self,
        team: TeamId,
        uids: &[String],
    ) -> Result<Option<Vec<TagId>>, Error> {
        if uids.is_empty() {
            return Ok(None);
        }
        let find = |uid: &String| self.find(team, uid).map(|tag| tag.id);
        if uids.iter().any(|uid| find(uid).is_none()) {
            self.look_again(team, uids).await?;
        }
        let missing: Vec<&str> =
            uids.iter().filter(|uid| find(uid).is_none()).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(Error::tags_not_found(&missing));
        }
        let mut tags: Vec<TagId> = uids.iter().filter_map(find).collect();
        tags.sort_unstable();
        Ok(Some(tags))
    }

    /// The uids of these tags, sorted.
    #[must_use]
    pub fn names(&self, team: TeamId, tags: &[TagId]) -> Vec<String> {
        let tags = tags.iter().filter_map(|tag| self.find_by_id(team, *tag));
        let mut uids: Vec<String> = tags.map(|tag| tag.uid.to_string()).collect();
        uids.sort_unstable();
        uids
    }

    /// What a caller may look at of what it asks for: these uids; none are all, or, for one that is limited
    /// to some tags, those.
    ///
    /// # Errors
    /// [`Error::NotFound`] for those that it may not look at, as for those that there are not.
    pub fn narrow(&self, caller: &Caller, uids: Vec<String>) -> Result<Vec<String>, Error> {
        let Some(tags) = caller.tags() else { return Ok(uids) };
        let allowed = self.names(caller.team, tags);
        let asked = if uids.is_empty() { allowed.clone() } else { uids };
        let missing: Vec<&str> =
            asked.iter().filter(|uid| !allowed.contains(uid)).map(String::as_str).collect();
        if asked.is_empty() || !missing.is_empty() {
            return Err(Error::tags_not_found(&missing));
        }
        Ok(asked)
    }

    /// Which state of a team's tags is known; `None` while none is.
    pub fn revision(&self, team: TeamId) -> Option<i64> {
        self.known.load().teams.get(&team).map(|team| team.revision)
    }

    /// The tag of a team by its uid.
    pub fn find(&self, team: TeamId, uid: &str) -> Option<Arc<Tag>> {
        self.known.load().teams.get(&team)?.by_uid.get(uid).cloned()
    }

    /// The tag of a team by its id.
    pub fn find_by_id(&self, team: TeamId, tag: TagId) -> Option<Arc<Tag>> {
        self.known.load().teams.get(&team)?.by_id.get(&tag).cloned()
    }

    /// The team of a slug, and its tag by its uid.
    pub fn find_by_slug(&self, slug: &str, uid: &str) -> Option<(TeamId, Arc<Tag>)> {
        let known = self.known.load();
        let team = *known.slugs.get(slug)?;
        Some((team, known.teams.get(&team)?.by_uid.get(uid).cloned()?))
    }
}

/// The tags of the team among these uids, as a read sees them: with their uids.
///
/// # Errors
/// As [`crate::db::query`].
pub async fn find_tags(
    read: &TeamRead,
    team: TeamId,
    uids: &[String],
) -> Result<Vec<(TagId, String)>, Error> {
    store::find_tags(read, team, uids).await
}
