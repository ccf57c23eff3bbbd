//! Every tag in memory: what is tapped is looked up here, also while the store is down.
//!
//! Loaded whole at the start; after that the tags of a team are loaded again when a hint or a look every
//! 15 seconds says that they have changed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Mutex;

use super::{
    model::Tag,
    revisions::TEAMS_MAX,
    store::{self, TeamTags},
};
use crate::{
    db::Db,
    error::Error,
    ids::{TagId, TeamId},
};

/// Teams that are loaded at a time.
const TEAMS_AT_A_TIME: usize = 4;
/// How long loading may take: a store that is silent is a store that is down.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a tag that is not known makes us look again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Every tag of every team.
#[derive(Debug)]
pub struct Tags {
    db: Db,
    known: ArcSwap<Known>,
    /// Held by whoever changes `known`.
    loading: Mutex<()>,
    looked: moka::future::Cache<TeamId, ()>,
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

impl Tags {
    /// Knows no tag yet.
    #[must_use]
    pub fn new(db: Db) -> Self {
        let looked =
            moka::future::Cache::builder().max_capacity(TEAMS_MAX).time_to_live(LOOK_AGAIN).build();
        Self { db, known: ArcSwap::default(), loading: Mutex::default(), looked }
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
        let loaded: Vec<_> = stream::iter(changed)
            .map(|(team, _)| async move { Ok((team, store::list_tags(&self.db, team).await?)) })
            .buffer_unordered(TEAMS_AT_A_TIME)
            .try_collect()
            .await?;
        self.put(loaded);
        Ok(())
    }

    /// Loads the tags of a team.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn refresh_team(&self, team: TeamId) -> Result<(), Error> {
        let _alone = self.loading.lock().await;
        let loaded = store::list_tags(&self.db, team).await?;
        self.put(vec![(team, loaded)]);
        Ok(())
    }

    /// Loads the tags of a team if that was not just done, as a tag was asked for that is not known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn look_again(&self, team: TeamId) -> Result<(), Error> {
        let looked = self.looked.try_get_with(team, self.refresh_team(team)).await;
        looked.map_err(|shared| Error::clone(&shared))
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
