//! What would come of rows, as the store is: new, changed, as they are there already, or somebody else's in part.
//!
//! Before a commit the store is asked by keyed hashes, and tags are looked up in memory: so nothing of a file gets into
//! the store, or into a log that it keeps.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::{
    kind::Kind,
    model::{Action, Columns, Hash, Hashes, Row},
    people::{EMAIL, GENDER, NAMES, NID, PHONE},
    shelf::Import,
    store, tag_rows, tag_rules,
};
use crate::{
    db::{Db, TeamRead},
    error::Error,
    ids::TeamId,
    tags::directory::TagDirectory,
};

/// Rows that the store is asked about at a time.
const BATCH: usize = 5_000;

/// Compares rows with the store.
#[derive(Clone, Debug)]
pub struct Compare {
    pub db: Db,
    pub tags: Arc<TagDirectory>,
    pub hashes: Hashes,
}

/// What would come of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub action: Action,
    /// In which columns somebody else has the same.
    pub taken: Columns,
    /// The user that is there.
    pub user: Option<Uuid>,
}

/// Someone who is stored, as far as that is needed to compare.
#[derive(Clone)]
pub struct Stored {
    pub user: Uuid,
    /// Of national id, phone number and mail address.
    pub hashes: [Hash; 3],
    pub names: String,
    pub gender: String,
}
says_nothing!(Stored);

/// The columns of these hashes.
pub const HASHED: [usize; 3] = [NID, PHONE, EMAIL];

impl Compare {
    /// Compares rows of an import that are sound, or could become so, and notes what would come of them.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn all(&self, import: &Import, rows: &mut [Row]) -> Result<(), Error> {
        let (team, kind) = (import.team, import.new.kind);
        let places: Vec<usize> = (0..rows.len()).filter(|at| is_whole(kind, &rows[*at])).collect();
        let whole: Vec<&Row> = places.iter().filter_map(|at| rows.get(*at)).collect();
        let outcomes = self.planned(team, kind, &whole).await?;
        for (at, outcome) in places.iter().zip(outcomes) {
            if let Some(row) = rows.get_mut(*at) {
                (row.action, row.taken) = (Some(outcome.action), outcome.taken);
            }
        }
        Ok(())
    }

    /// What would come of each of these rows, before a commit.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn planned(
        &self,
        team: TeamId,
        kind: Kind,
        rows: &[&Row],
    ) -> Result<Vec<Outcome>, Error> {
        match kind {
            Kind::Tags => Ok(rows.iter().map(|row| self.tag(team, row)).collect()),
            Kind::Users => {
                let read = self.db.team(team).await?;
                let outcomes = self.users(&read, team, rows).await;
                let ended = read.end().await;
                let outcomes = outcomes?;
                ended.map(|()| outcomes)
            }
        }
    }

    /// What comes of each of these rows of users, some thousands at a time.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn users(
        &self,
        read: &TeamRead,
        team: TeamId,
        rows: &[&Row],
    ) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(rows.len());
        for batch in rows.chunks(BATCH) {
            outcomes.extend(self.batch(read, team, batch).await?);
        }
        Ok(outcomes)
    }

    /// The hashes of a user in a row.
    #[must_use]
    pub fn hashes_of(&self, team: TeamId, row: &Row) -> [Hash; 3] {
        let values: Vec<&str> = row.values.iter().map(|cell| cell.text).collect();
        let value = |column: usize| values.get(column).copied().unwrap_or_default();
        HASHED.map(|column| {
            let field = Kind::Users.columns().get(column).map_or("", |column| column.field);
            self.hashes.of(team, field, value(column))
        })
    }

    async fn batch(
        &self,
        read: &TeamRead,
        team: TeamId,
        rows: &[&Row],
    ) -> Result<Vec<Outcome>, Error> {
        let hashes: Vec<[Hash; 3]> = rows.iter().map(|row| self.hashes_of(team, row)).collect();
        let stored = store::find_users(read, team, &hashes).await?;
        let mut by: [HashMap<Hash, &Stored>; 3] = Default::default();
        for user in &stored {
            for (by, hash) in by.iter_mut().zip(user.hashes) {
                by.insert(hash, user);
            }
        }
        let compare = |(row, hashes): (&&Row, &[Hash; 3])| outcome(row, hashes, &by);
        Ok(rows.iter().zip(&hashes).map(compare).collect())
    }

    fn tag(&self, team: TeamId, row: &Row) -> Outcome {
        let there = self.tags.find(team, row.value(tag_rules::UID));
        let action = match there.as_deref() {
            None => Action::Insert,
            Some(tag) if tag_rows::changes(row, tag) => Action::Update,
            Some(_) => Action::Unchanged,
        };
        Outcome { action, taken: Columns::default(), user: None }
    }
}

/// Whether a row has all that it is compared by.
fn is_whole(kind: Kind, row: &Row) -> bool {
    match kind {
        Kind::Users => row.faults.iter().all(|fault| fault.warning),
        Kind::Tags => !row.value(tag_rules::UID).is_empty(),
    }
}

fn outcome(row: &Row, hashes: &[Hash; 3], by: &[HashMap<Hash, &Stored>; 3]) -> Outcome {
    let [nids, phones, emails] = by;
    let [nid, phone, email] = hashes;
    let there = nids.get(nid).copied();
    let user = there.map(|stored| stored.user);
    let mut taken = Columns::default();
    for (column, holder) in [(PHONE, phones.get(phone)), (EMAIL, emails.get(email))] {
        if holder.is_some_and(|holder| Some(holder.user) != user) {
            taken = taken.and(column);
        }
    }
    let action = match there {
        _ if !taken.is_empty() => Action::Conflict,
        None => Action::Insert,
        Some(there) if is_same(row, hashes, there) => Action::Unchanged,
        Some(_) => Action::Update,
    };
    Outcome { action, taken, user }
}

fn is_same(row: &Row, hashes: &[Hash; 3], there: &Stored) -> bool {
    *hashes == there.hashes && row.value(NAMES) == there.names && row.value(GENDER) == there.gender
}
