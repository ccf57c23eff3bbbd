//! Events as they are stored: what [`crate::feeds`] needs to know of them.

use std::ops::Range;

use uuid::Uuid;

use super::{model::Event, store::events as store};
use crate::{
    db::TeamRead,
    error::Error,
    feeds::{Followed, StreamState},
    ids::TeamId,
};

/// Events, for whoever follows a team.
#[derive(Clone, Copy, Debug)]
pub struct LiveEvents;

/// Which events a follower wants, all conditions met.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub category: Option<String>,
    pub name: Option<String>,
    pub session_id: Option<Uuid>,
}

impl Followed for LiveEvents {
    const NAME: &'static str = "events";
    const EXPIRED: &'static str = "this resume_token is of another history of the store: list what there is, and stream without a token";

    // Each may have 64 KiB.
    const PAGE: usize = 20;

    type Stored = Event;
    type Item = Event;
    type Filter = Wanted;

    fn revision(event: &Event) -> i64 {
        event.revision
    }

    fn wants(wanted: &Wanted, event: &Event) -> bool {
        let Wanted { category, name, session_id } = wanted;
        let content = &event.content;
        category.as_ref().is_none_or(|category| *category == content.category)
            && name.as_ref().is_none_or(|name| *name == content.name)
            && session_id.is_none_or(|session| session == content.session_id)
    }

    fn name(&self, _: TeamId, stored: Event) -> Option<Event> {
        Some(stored)
    }

    async fn state(read: &TeamRead, team: TeamId) -> Result<StreamState, Error> {
        store::stream_state(read, team).await
    }

    async fn read(
        read: &TeamRead,
        team: TeamId,
        revisions: Range<i64>,
        limit: i64,
        wanted: &Wanted,
    ) -> Result<Vec<Event>, Error> {
        store::read_events(read, team, revisions, limit, wanted).await
    }
}
