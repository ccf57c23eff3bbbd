//! Sets up what a team takes: sessions, event types, settings.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    model::{Application, EventType, Session, Settings, TYPES_MAX},
    store::setup::{self as store, NewSession},
};
use crate::{clock::Clock, db::Db, error::Error, etag::etag_mismatch, ids::TeamId, reasons};

/// Sets up what a team takes.
#[derive(Clone, Debug)]
pub struct Setup {
    pub db: Db,
    pub clock: Clock,
    /// Sessions that are made at a time: writes are let in by the dozen, and each would hold a connection.
    pub sessions: Arc<Semaphore>,
}

/// An event type to be set.
#[derive(Clone, Debug)]
pub struct NewType {
    pub category: String,
    pub name: String,
    /// JSON Schema that was compiled.
    pub schema: String,
    /// The version that is to be replaced; `None`: whatever there is.
    pub expected: Option<Uuid>,
}

impl Setup {
    /// Makes a session, unless it is there; returns it as it is.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when it came from another tap; as [`crate::db::query`].
    pub async fn create_session(
        &self,
        team: TeamId,
        id: Uuid,
        tap_id: Option<Uuid>,
        application: &Application,
    ) -> Result<Session, Error> {
        let _turn = self.sessions.acquire().await.map_err(Error::internal)?;
        let write = self.db.team_write(team).await?;
        let work = async {
            let new = [NewSession { id, tap_id, application }];
            store::create_sessions(&write, team, &new, self.clock.now()).await?;
            let session = store::get_session(&write, team, id).await?;
            let session = session.ok_or_else(|| {
                Error::internal(anyhow::anyhow!("a session that was just made is not there"))
            })?;
            if tap_id.is_some() && session.tap_id != tap_id {
                return Err(Error::AlreadyExists {
                    reason: reasons::SESSION_EXISTS,
                    message: "this session is there, and came from another tap: take a new id"
                        .to_owned(),
                });
            }
            Ok(session)
        };
        let done = work.await;
        write.end(done).await
    }

    /// Sets an event type.
    ///
    /// # Errors
    /// [`Error::Aborted`], [`Error::LimitReached`]; as [`crate::db::query`].
    pub async fn put_type(&self, team: TeamId, new: &NewType) -> Result<EventType, Error> {
        let now: DateTime<Utc> = self.clock.now();
        let write = self.db.team_write(team).await?;
        let work = async {
            store::lock_types(&write, team).await?;
            let there = store::get_type(&write, team, &new.category, &new.name).await?;
            let version = there.as_ref().map(|there| there.version);
            if new.expected.is_some() && new.expected != version {
                return Err(etag_mismatch("event type"));
            }
            if there.is_none() && store::count_types(&write, team).await? >= TYPES_MAX {
                return Err(Error::LimitReached {
                    reason: reasons::EVENT_TYPE_LIMIT,
                    message: format!("a team may have {TYPES_MAX} event types: delete one"),
                });
            }
            let kind = (new.category.as_str(), new.name.as_str());
            store::put_type(&write, team, kind, &new.schema, Uuid::now_v7(), now).await
        };
        let done = work.await;
        write.end(done).await
    }

    /// Deletes an event type.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn delete_type(&self, team: TeamId, category: &str, name: &str) -> Result<(), Error> {
        let write = self.db.team_write(team).await?;
        let work = async {
            store::lock_types(&write, team).await?;
            store::delete_type(&write, team, category, name).await
        };
        let done = work.await;
        let there = write.end(done).await?;
        if there {
            Ok(())
        } else {
            Err(Error::not_found(reasons::EVENT_TYPE_NOT_FOUND, "event type"))
        }
    }

    /// Changes what the team takes; `None` stays as it is.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn put_settings(
        &self,
        team: TeamId,
        refuse_unknown_types: Option<bool>,
        create_unknown_sessions: Option<bool>,
    ) -> Result<Settings, Error> {
        let write = self.db.team_write(team).await?;
        let done =
            store::put_settings(&write, team, refuse_unknown_types, create_unknown_sessions).await;
        write.end(done).await
    }
}
