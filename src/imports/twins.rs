//! Rows of a file that have the same where no two may.

use std::{
    collections::{BTreeSet, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::Arc,
};

use super::{
    kind::Kind,
    model::{Columns, Row},
};

/// The place of a row among all.
pub type Place = u32;

/// What rows have, column by column.
#[derive(Clone, Debug, Default)]
pub struct Twins {
    hashers: [RandomState; 2],
    places: BTreeSet<(Key, Place)>,
}

/// A column, and a hash of what is in it. It is so wide, and of such keys, that no two values have the same.
type Key = (u8, [u64; 2]);

impl Twins {
    /// Those of all rows, each of which is told.
    #[must_use]
    pub fn of(kind: Kind, rows: &mut [Row]) -> Self {
        let mut twins = Self::default();
        let mut all = Vec::with_capacity(rows.len() * kind.unique().count());
        for (place, row) in (0..).zip(rows.iter()) {
            all.extend(twins.keys(kind, row).map(|key| (key, place)));
        }
        all.sort_unstable();
        for same in all.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
            for &((column, _), place) in same {
                if let Some(row) = usize::try_from(place).ok().and_then(|at| rows.get_mut(at)) {
                    row.twins = row.twins.and(column.into());
                }
            }
        }
        twins.places = all.into_iter().collect();
        twins
    }

    /// The first of the rows that have the same as this one in a column, in order, at most so many.
    pub fn others(
        &self,
        kind: Kind,
        (place, row): (Place, &Row),
        column: usize,
        most: usize,
    ) -> Vec<Place> {
        let key = self.keys(kind, row).find(|(key, _)| usize::from(*key) == column);
        let Some(key) = key else { return Vec::new() };
        let same = self.places.range((key, 0)..=(key, Place::MAX)).map(|(_, other)| *other);
        same.filter(|other| *other != place).take(most).collect()
    }

    /// In which columns others have the same as a row.
    #[must_use]
    pub fn columns(&self, kind: Kind, row: (Place, &Row)) -> Columns {
        let has_twin = |column: &usize| !self.others(kind, row, *column, 1).is_empty();
        kind.unique().filter(has_twin).fold(Columns::default(), Columns::and)
    }

    /// Those that have one twin only, which is this row: when it changes they may have none.
    #[must_use]
    pub fn only_twins(&self, kind: Kind, row: (Place, &Row)) -> BTreeSet<Place> {
        let only = |column| {
            let others = self.others(kind, row, column, 2);
            <[Place; 1]>::try_from(others).ok().map(|[only]| only)
        };
        kind.unique().filter_map(only).collect()
    }

    /// Forgets a row as it is, before it changes.
    pub fn remove(&mut self, kind: Kind, (place, row): (Place, &Row)) {
        let keys: Vec<Key> = self.keys(kind, row).collect();
        for key in keys {
            self.places.remove(&(key, place));
        }
    }

    /// Adds a row as it is.
    pub fn insert(&mut self, kind: Kind, (place, row): (Place, &Row)) {
        let keys: Vec<Key> = self.keys(kind, row).collect();
        self.places.extend(keys.into_iter().map(|key| (key, place)));
    }

    /// What a row is found by. One that was left out is nobody's twin.
    fn keys<'a>(&'a self, kind: Kind, row: &'a Row) -> impl Iterator<Item = Key> + use<'a> {
        kind.unique().filter(|_| !row.skipped).filter_map(|column| {
            let value = row.value(column);
            let hash = || self.hashers.each_ref().map(|hasher| hasher.hash_one(value));
            let column = u8::try_from(column).ok()?;
            (!value.is_empty()).then(|| (column, hash()))
        })
    }
}

/// A row by its place.
#[must_use]
pub fn get(rows: &[Arc<Row>], place: Place) -> Option<&Arc<Row>> {
    rows.get(usize::try_from(place).ok()?)
}

/// The same, to be changed.
pub fn get_mut(rows: &mut [Arc<Row>], place: Place) -> Option<&mut Arc<Row>> {
    rows.get_mut(usize::try_from(place).ok()?)
}
