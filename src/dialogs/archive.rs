//! Looks at what is stored, and gives out what is held of a customer.

use chrono::{DateTime, Utc};

use super::{
    model::{Consent, CustomerHash, Erasure, Filter, Listed as Message},
    replica::Replica,
    store::{consents, customers, messages},
};
use crate::{
    db::Db,
    error::Error,
    ids::TeamId,
    paging::{Listed, Page, TimePlace},
};

/// Looks at what is stored.
#[derive(Clone, Debug)]
pub struct Archive {
    pub db: Db,
    pub replica: Replica,
}

/// Where a page of an export begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportPlace {
    /// Among what waits, after this one.
    Pending(Option<TimePlace>),
    Messages(Option<TimePlace>),
    Consents(Option<TimePlace>),
}

/// A page of what is held of a customer.
#[derive(Clone, Debug, Default)]
pub struct Export {
    pub consents: Vec<Consent>,
    pub messages: Vec<Message>,
    pub pending: Vec<Message>,
    pub erased_at: Option<DateTime<Utc>>,
    /// Where the next page begins.
    pub next: Option<ExportPlace>,
}

impl Archive {
    /// A page of messages, the newest first.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn list_messages(
        &self,
        team: TeamId,
        filter: &Filter,
        page: &Page<TimePlace>,
    ) -> Result<Listed<Message>, Error> {
        let read = self.db.team(team).await?;
        let (after, limit) = (page.after, page.limit());
        let (found, all) = messages::list_messages(&read, team, filter, after, limit).await?;
        read.end().await?;
        Ok(page.cut_of(found, all))
    }

    /// A page of decisions, the newest first.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn list_consents(
        &self,
        team: TeamId,
        dialog: Option<&str>,
        customer: Option<CustomerHash>,
        page: &Page<TimePlace>,
    ) -> Result<Listed<Consent>, Error> {
        let read = self.db.team(team).await?;
        let (after, limit) = (page.after, page.limit());
        let found = consents::list_consents(&read, team, dialog, customer, after, limit).await?;
        read.end().await?;
        Ok(page.cut(found))
    }

    /// A page of receipts, the newest first.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn list_erasures(
        &self,
        team: TeamId,
        customer: Option<CustomerHash>,
        page: &Page<i64>,
    ) -> Result<Listed<Erasure>, Error> {
        let read = self.db.team(team).await?;
        let (after, limit) = (page.after, page.limit());
        let found = customers::list_erasures(&read, team, customer, after, limit).await?;
        read.end().await?;
        Ok(page.cut(found))
    }

    /// A page of what is held of a customer.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn export(
        &self,
        team: TeamId,
        customer: &str,
        page: &Page<ExportPlace>,
    ) -> Result<Export, Error> {
        let hash = self.replica.hash(team, customer);
        let size = page.size;
        let read = self.db.team(team).await?;
        let erased_at = customers::erased_at(&read, team, hash).await?;
        // What waits comes first: once it has consent it is among the messages, which come later.
        let place = page.after.unwrap_or(ExportPlace::Pending(None));
        let mut export = Export { erased_at, ..Export::default() };
        match place {
            ExportPlace::Consents(after) => {
                let page = Page { after, size };
                let limit = page.limit();
                let found =
                    consents::list_consents(&read, team, None, Some(hash), after, limit).await?;
                let Listed { entries, more } = page.cut(found);
                let last =
                    entries.last().map(|last| TimePlace { at: last.decided_at, id: last.id });
                export.next = more.then_some(ExportPlace::Consents(last));
                export.consents = entries;
            }
            ExportPlace::Messages(after) => {
                let page = Page { after, size };
                let filter = Filter { customer: Some(hash), ..Filter::default() };
                let (found, all) =
                    messages::list_messages(&read, team, &filter, after, page.limit()).await?;
                let Listed { entries, more } = page.cut_of(found, all);
                export.next = Some(if more {
                    ExportPlace::Messages(entries.last().map(place_of))
                } else {
                    ExportPlace::Consents(None)
                });
                export.messages = entries;
            }
            ExportPlace::Pending(after) => {
                let (entries, more) = self.replica.pending.list(team, customer, after, size);
                export.next = Some(if more {
                    ExportPlace::Pending(entries.last().map(place_of))
                } else {
                    ExportPlace::Messages(None)
                });
                export.pending = entries;
            }
        }
        read.end().await?;
        Ok(export)
    }
}

/// Where a message is in its list.
#[must_use]
pub fn place_of(listed: &Message) -> TimePlace {
    TimePlace { at: listed.message.received_at, id: listed.message.id }
}
