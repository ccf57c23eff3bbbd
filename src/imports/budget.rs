//! How much memory imports may take: one, those of a team, and all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{error::Error, ids::TeamId, reasons};

/// How much may be held.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one import.
    pub import_bytes: usize,
    /// Bytes of all. A team may have half of it.
    pub bytes: usize,
}

/// What is held of that.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    teams: HashMap<TeamId, usize>,
}

impl Budget {
    /// Nothing is held.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner { limits, held: Mutex::default() }))
    }

    /// For an import of a team. It holds nothing yet.
    #[must_use]
    pub fn open(&self, team: TeamId) -> Reserved {
        Reserved { budget: self.clone(), team, bytes: 0, most: self.0.limits.import_bytes }
    }

    /// For a report of one, which may take as much as its team may have.
    #[must_use]
    pub fn open_report(&self, team: TeamId) -> Reserved {
        Reserved { budget: self.clone(), team, bytes: 0, most: usize::MAX }
    }

    /// What all imports hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.held().bytes
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing can be half done under the lock.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one import holds, or a report of it; free again when it is dropped.
#[derive(Debug)]
pub struct Reserved {
    budget: Budget,
    team: TeamId,
    bytes: usize,
    most: usize,
}

impl Reserved {
    /// What it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when there is not so much: with `IMPORT_TOO_LARGE` when one import may not have it, with
    /// `IMPORT_MEMORY` when others have it now.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let Limits { import_bytes, bytes: all_bytes } = self.budget.0.limits;
        let wanted = self.bytes.saturating_add(bytes);
        if wanted > self.most {
            return Err(too_large(self.most));
        }
        let mut held = self.budget.held();
        let team = held.teams.get(&self.team).copied().unwrap_or_default();
        // One import may have what it may have, when nothing else is held.
        let team_bytes = (all_bytes / 2).max(import_bytes);
        if held.bytes + bytes > all_bytes || team + bytes > team_bytes {
            return Err(full());
        }
        held.bytes += bytes;
        held.teams.insert(self.team, team + bytes);
        self.bytes = wanted;
        metrics::gauge!("tap_import_bytes").set(crate::wire::number(signed(held.bytes)));
        Ok(())
    }

    /// Gives back all but this.
    pub fn shrink_to(&mut self, bytes: usize) {
        let freed = self.bytes.saturating_sub(bytes);
        self.bytes -= freed;
        let mut held = self.budget.held();
        held.bytes = held.bytes.saturating_sub(freed);
        let team = held.teams.get(&self.team).copied().unwrap_or_default().saturating_sub(freed);
        if team == 0 {
            held.teams.remove(&self.team);
        } else {
            held.teams.insert(self.team, team);
        }
        metrics::gauge!("tap_import_bytes").set(crate::wire::number(signed(held.bytes)));
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn too_large(bytes: usize) -> Error {
    Error::LimitReached {
        reason: reasons::IMPORT_TOO_LARGE,
        message: format!(
            "this file takes more than {} MiB of memory once it is read: split it, or ask whoever runs the service for more",
            bytes >> 20
        ),
    }
}

fn full() -> Error {
    Error::LimitReached {
        reason: reasons::IMPORT_MEMORY,
        message: "the imports that are held take as much memory as they may: try again in a while, or commit or cancel some".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn reason(error: &Error) -> &'static str {
        error.code().1
    }

    #[test]
    fn an_import_a_team_and_all_have_their_share() {
        let budget = Budget::new(Limits { import_bytes: 3 * MIB, bytes: 8 * MIB });
        let mut one = budget.open(TeamId(1));
        one.grow(3 * MIB).unwrap();
        assert_eq!(reason(&one.grow(1).unwrap_err()), "IMPORT_TOO_LARGE");
        let mut two = budget.open(TeamId(1));
        two.grow(MIB).unwrap();
        assert_eq!(reason(&two.grow(1).unwrap_err()), "IMPORT_MEMORY");
        let mut other = budget.open(TeamId(2));
        other.grow(3 * MIB).unwrap();
        let mut third = budget.open(TeamId(3));
        third.grow(MIB).unwrap();
        assert_eq!(reason(&third.grow(1).unwrap_err()), "IMPORT_MEMORY");
        drop(one);
        third.grow(2 * MIB).unwrap();
        third.shrink_to(MIB);
        assert_eq!((third.bytes(), budget.bytes()), (MIB, 5 * MIB));
        drop((two, other, third));
        assert_eq!(budget.bytes(), 0);
        assert!(budget.held().teams.is_empty());
    }
}
