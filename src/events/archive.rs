//! Looks at what is stored: one thing, or a page of them.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    model::{
        ErrorFilter, ErrorGroup, Event, EventError, EventFilter, EventPlace, EventType, Fate,
        LedgerMinute, Order, Session, Settings,
    },
    store::{
        errors,
        events::{self, Counted},
        inbox, setup,
    },
};
use crate::{
    db::{Db, TeamRead},
    error::Error,
    ids::TeamId,
    paging::{Listed, Page, TimePlace},
    reasons,
    taps::{
        self,
        buckets::quarter_of,
        model::{Counts, Group, GroupBy, Query},
    },
};

/// Looks at what is stored.
#[derive(Clone, Debug)]
pub struct Archive {
    pub db: Db,
    /// Counts that are under way at a time: queries are let in as they come.
    pub counts: Arc<Semaphore>,
}

impl Archive {
    /// What became of an event that was taken.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn receipt(&self, team: TeamId, id: Uuid) -> Result<Fate, Error> {
        let read = self.db.team(team).await?;
        let found = inbox::get_receipt(&read, team, id).await;
        one(read, found, reasons::RECEIPT_NOT_FOUND, "receipt").await
    }

    /// One session.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn session(&self, team: TeamId, id: Uuid) -> Result<Session, Error> {
        let read = self.db.team(team).await?;
        let found = setup::get_session(&read, team, id).await;
        one(read, found, reasons::SESSION_NOT_FOUND, "session").await
    }

    /// A page of sessions, the newest first.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn sessions(
        &self,
        team: TeamId,
        tap_id: Option<Uuid>,
        page: &Page<TimePlace>,
    ) -> Result<Listed<Session>, Error> {
        let read = self.db.team(team).await?;
        let found = setup::list_sessions(&read, team, tap_id, page.after, page.limit()).await?;
        read.end().await?;
        Ok(page.cut(found))
    }

    /// One event.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn event(&self, team: TeamId, id: Uuid) -> Result<Event, Error> {
        let read = self.db.team(team).await?;
        let found = events::get_event(&read, team, id).await;
        one(read, found, reasons::EVENT_NOT_FOUND, "event").await
    }

    /// A page of events.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn events(
        &self,
        team: TeamId,
        filter: &EventFilter,
        order: Order,
        page: &Page<EventPlace>,
    ) -> Result<Listed<Event>, Error> {
        let read = self.db.team(team).await?;
        let (after, limit) = (page.after, page.limit());
        let found = events::list_events(&read, team, filter, order, after, limit).await?;
        read.end().await?;
        Ok(page.cut_of(found.entries, found.found))
    }

    /// How many events there were, by bucket, and the busiest categories.
    ///
    /// # Errors
    /// [`Error::Invalid`] for too many buckets or counts; as [`crate::db::query`].
    pub async fn count(&self, team: TeamId, query: &Query) -> Result<Counts, Error> {
        let bounds = taps::count::bounds(query)?;
        let limit = match query.group_by {
            GroupBy::Tag { limit } => i64::try_from(limit).map_err(Error::internal)?,
            _ => 0,
        };
        let _turn = self.counts.acquire().await.map_err(Error::internal)?;
        let range = quarter_of(query.range.start)..quarter_of(query.range.end);
        let read = self.db.team(team).await?;
        let width = bounds.len().saturating_sub(1);
        let starts = bounds.get(..width).unwrap_or_default();
        let counted = events::count_events(&read, team, range, limit, starts).await?;
        let revision = events::stream_state(&read, team).await?.revision;
        read.end().await?;

        let mut counts = vec![0; width];
        // `None`: the rest.
        let mut groups: BTreeMap<Option<String>, Vec<i64>> = BTreeMap::new();
        for Counted { bucket, category, events } in counted {
            let group = groups.entry(category).or_insert_with(|| vec![0; width]);
            for counts in [&mut counts, group] {
                if let Some(count) = counts.get_mut(bucket) {
                    *count += events;
                }
            }
        }
        let mut groups: Vec<Group> = groups.into_iter().map(group).collect();
        groups.sort_by_key(|group| (group.other, -group.total));
        Ok(Counts { bounds, counts, groups, comparison: None, revision })
    }

    /// One event error.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn error(&self, team: TeamId, id: Uuid) -> Result<EventError, Error> {
        let read = self.db.team(team).await?;
        let found = errors::get_error(&read, team, id).await;
        one(read, found, reasons::EVENT_ERROR_NOT_FOUND, "event error").await
    }

    /// A page of event errors, the newest first.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn errors(
        &self,
        team: TeamId,
        filter: &ErrorFilter,
        page: &Page<TimePlace>,
    ) -> Result<Listed<EventError>, Error> {
        let read = self.db.team(team).await?;
        let found = errors::list_errors(&read, team, filter, page.after, page.limit()).await?;
        read.end().await?;
        Ok(page.cut_of(found.entries, found.found))
    }

    /// The largest groups of event errors, and how many errors there are in all.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn error_groups(
        &self,
        team: TeamId,
        filter: &ErrorFilter,
        limit: usize,
    ) -> Result<(Vec<ErrorGroup>, i64), Error> {
        let limit = i64::try_from(limit).map_err(Error::internal)?;
        let read = self.db.team(team).await?;
        let found = errors::group_errors(&read, team, filter, limit).await?;
        read.end().await?;
        Ok(found)
    }

    /// One event type.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn event_type(
        &self,
        team: TeamId,
        category: &str,
        name: &str,
    ) -> Result<EventType, Error> {
        let read = self.db.team(team).await?;
        let found = setup::get_type(&read, team, category, name).await;
        one(read, found, reasons::EVENT_TYPE_NOT_FOUND, "event type").await
    }

    /// A page of event types, by category and name.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn event_types(
        &self,
        team: TeamId,
        category: Option<&str>,
        page: &Page<(String, String)>,
    ) -> Result<Listed<EventType>, Error> {
        let after = page.after.as_ref().map(|(category, name)| (category.as_str(), name.as_str()));
        let read = self.db.team(team).await?;
        let found = setup::list_types(&read, team, category, after, page.limit()).await?;
        read.end().await?;
        Ok(page.cut(found))
    }

    /// The account of whole minutes: all of them together, and a page of them, the newest first.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn ledger(
        &self,
        team: TeamId,
        minutes: Range<DateTime<Utc>>,
        page: &Page<DateTime<Utc>>,
    ) -> Result<(LedgerMinute, Listed<LedgerMinute>), Error> {
        let read = self.db.team(team).await?;
        let (total, found) = inbox::ledger(&read, team, minutes, page.after, page.limit()).await?;
        read.end().await?;
        Ok((total, page.cut(found)))
    }

    /// What the team takes.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn settings(&self, team: TeamId) -> Result<Settings, Error> {
        let read = self.db.team(team).await?;
        let settings = setup::get_settings(&read, team).await?;
        read.end().await?;
        Ok(settings)
    }
}

/// What was found, or that there is no such thing; the connection is given back in either case.
async fn one<T>(
    read: TeamRead,
    found: Result<Option<T>, Error>,
    reason: &'static str,
    what: &str,
) -> Result<T, Error> {
    let found = found?;
    read.end().await?;
    found.ok_or_else(|| Error::not_found(reason, what))
}

/// The counts of a category; of the rest, where it has none.
fn group((category, counts): (Option<String>, Vec<i64>)) -> Group {
    let other = category.is_none();
    let key = category.unwrap_or_default();
    Group { label: key.clone(), key, other, total: counts.iter().sum(), counts }
}
