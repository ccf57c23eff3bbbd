//! What teams want of dialogs.

use super::{
    model::{Settings, SettingsChange},
    store::setup as store,
};
use crate::{
    db::Db,
    error::{Error, Violation},
    ids::TeamId,
    reasons,
};

/// Shows and changes settings.
#[derive(Clone, Debug)]
pub struct Setup {
    pub db: Db,
}

impl Setup {
    /// What a team wants.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn get(&self, team: TeamId) -> Result<Settings, Error> {
        let read = self.db.team(team).await?;
        let settings = store::get_settings(&read, team).await?;
        read.end().await?;
        Ok(settings)
    }

    /// Changes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when messages were deleted before they are redacted; as [`crate::db::query`].
    pub async fn change(&self, team: TeamId, change: SettingsChange) -> Result<Settings, Error> {
        let write = self.db.team_write(team).await?;
        let work = async {
            store::lock_settings(&write, team).await?;
            let settings = store::get_settings(&write, team).await?.changed(change);
            if settings.deletes_first() {
                let text = "is before redact_after_days: messages would be gone before that";
                let field = "delete_after_days";
                return Err(Violation::new(field, reasons::OUT_OF_RANGE, text).into());
            }
            store::put_settings(&write, team, &settings).await?;
            Ok(settings)
        };
        let done = work.await;
        write.end(done).await
    }
}
