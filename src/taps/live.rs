//! Taps as they are stored: what [`crate::feeds`] needs to know of them.

use std::{ops::Range, sync::Arc};

use super::{
    model::{Filter, NamedTap, StoredTap},
    store,
};
use crate::{
    db::TeamRead,
    error::Error,
    feeds::{Followed, StreamState},
    ids::TeamId,
    tags::directory::TagDirectory,
};

/// Taps, for whoever follows a team.
#[derive(Clone, Debug)]
pub struct LiveTaps {
    pub tags: Arc<TagDirectory>,
}

impl Followed for LiveTaps {
    const NAME: &'static str = "taps";
    const EXPIRED: &'static str = "taps after this resume_token are gone, or it is of another history of the store: query anew, and stream without a token or with the one of that answer";

    type Stored = StoredTap;
    type Item = NamedTap;
    type Filter = Filter;

    fn revision(named: &NamedTap) -> i64 {
        named.stored.revision
    }

    fn wants(filter: &Filter, named: &NamedTap) -> bool {
        filter.wants(&named.stored.tap)
    }

    fn name(&self, team: TeamId, stored: StoredTap) -> Option<NamedTap> {
        let tag = self.tags.find_by_id(team, stored.tap.tag)?;
        let (tag_uid, tag_label) = (Arc::clone(&tag.uid), Arc::clone(&tag.label));
        Some(NamedTap { stored, tag_uid, tag_label })
    }

    async fn state(read: &TeamRead, team: TeamId) -> Result<StreamState, Error> {
        store::stream_state(read, team).await
    }

    async fn read(
        read: &TeamRead,
        team: TeamId,
        revisions: Range<i64>,
        limit: i64,
        filter: &Filter,
    ) -> Result<Vec<NamedTap>, Error> {
        store::read_taps(read, team, revisions, limit, filter).await
    }
}
