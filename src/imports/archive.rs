//! Users that are stored, and imports: those that are held, and those that were committed.

use std::{collections::HashSet, sync::Arc};

use uuid::Uuid;

use super::{
    model::{Committed, User},
    shelf::{Import, Shelf, not_found},
    store,
};
use crate::{
    db::Db,
    error::Error,
    ids::TeamId,
    paging::{Listed, Page, TimePlace},
    reasons,
};

/// Looks at what is stored and held.
#[derive(Clone, Debug)]
pub struct Archive {
    pub db: Db,
    pub shelf: Shelf,
}

/// An import, as far as it is known.
#[derive(Clone, Debug)]
pub enum Known {
    Held(Arc<Import>),
    /// Nothing else is left of it.
    Stored(Committed),
}

impl Known {
    /// Where it is in lists.
    #[must_use]
    pub fn place(&self) -> TimePlace {
        match self {
            Self::Held(import) => TimePlace { at: import.created_at, id: import.id },
            Self::Stored(committed) => TimePlace { at: committed.created_at, id: committed.id },
        }
    }
}

/// Which users to list.
#[derive(Clone, Default)]
pub struct UserFilter {
    pub text: String,
    pub import: Option<Uuid>,
}
says_nothing!(UserFilter);

impl Archive {
    /// An import.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn get(&self, team: TeamId, id: Uuid) -> Result<Known, Error> {
        if let Some(import) = self.shelf.get(team, id) {
            return Ok(Known::Held(import));
        }
        let read = self.db.team(team).await?;
        let found = store::get_import(&read, team, id).await;
        let ended = read.end().await;
        let committed = found?.ok_or_else(not_found)?;
        ended.map(|()| Known::Stored(committed))
    }

    /// A page of imports, the newest first.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn list(&self, team: TeamId, page: &Page<TimePlace>) -> Result<Listed<Known>, Error> {
        let read = self.db.team(team).await?;
        let stored = store::list_imports(&read, team, page).await?;
        read.end().await?;
        let held = self.shelf.list(team);
        let ids: HashSet<Uuid> = held.iter().map(|import| import.id).collect();
        let stored = stored.into_iter().filter(|stored| !ids.contains(&stored.id));
        let held = held.into_iter().map(Known::Held);
        let order = |known: &Known| {
            let TimePlace { at, id } = known.place();
            (at, id)
        };
        let after = page.after.map(|after| (after.at, after.id));
        let mut all: Vec<Known> = held
            .chain(stored.map(Known::Stored))
            .filter(|known| after.is_none_or(|after| order(known) < after))
            .collect();
        all.sort_by_key(|known| std::cmp::Reverse(order(known)));
        Ok(page.cut(all))
    }

    /// A page of users, in the order in which they were stored.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn list_users(
        &self,
        team: TeamId,
        filter: &UserFilter,
        page: &Page<Uuid>,
    ) -> Result<Listed<User>, Error> {
        let read = self.db.team(team).await?;
        let found = store::list_users(&read, team, &filter.text, filter.import, page).await?;
        read.end().await?;
        Ok(page.cut(found))
    }

    /// A user.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn get_user(&self, team: TeamId, id: Uuid) -> Result<User, Error> {
        let read = self.db.team(team).await?;
        let found = store::get_user(&read, team, id).await;
        let ended = read.end().await;
        let user = found?.ok_or_else(no_such_user)?;
        ended.map(|()| user)
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// [`Error::NotFound`]; as [`crate::db::query`].
    pub async fn delete_user(&self, team: TeamId, id: Uuid) -> Result<(), Error> {
        let write = self.db.team_write(team).await?;
        let work = async {
            store::lock_book(&write, team).await?;
            if !store::delete_user(&write, team, id).await? {
                return Err(no_such_user());
            }
            store::count_users(&write, team, -1).await
        };
        let done = work.await;
        write.end(done).await
    }
}

fn no_such_user() -> Error {
    Error::not_found(reasons::USER_NOT_FOUND, "user")
}
