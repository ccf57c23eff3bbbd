//! Feeds: what is stored for a team, as it is stored, for whoever follows the team.
//!
//! The machinery is the same for every kind of thing ([`Followed`]) and knows no area. A kind has a
//! revision of its own for each team, which grows in commit order, and each item has one that no other
//! has: so whoever has had all up to a revision can be given the rest, and nothing twice.
//!
//! * [`live`]: one reader for each team that is followed, which passes on what is new;
//! * [`follow`]: one follower, which is given each item after its place once and in order;
//! * [`revisions`]: the newest revision of each team, as far as this replica knows;
//! * [`token`]: a follower's place, as callers hold it;
//! * [`wire`]: what frames of all kinds have in common.

pub mod follow;
pub mod live;
pub mod revisions;
pub mod token;
pub mod wire;

use std::{fmt::Debug, ops::Range};

use crate::{db::TeamRead, error::Error, ids::TeamId};

/// A kind of thing that can be followed, such as taps.
///
/// The value is what it takes to name things ([`Followed::name`]); all else is asked of the store.
pub trait Followed: Clone + Debug + Send + Sync + 'static {
    /// What things of this kind are called, in the plural: in logs, metrics and texts for callers. Also the
    /// channel of hints ([`crate::hints`]), which `sql/db/listen.sql` has to listen to.
    const NAME: &'static str;
    /// What a caller is told whose token is of a place after which not everything is there.
    const EXPIRED: &'static str;

    /// Items that are read, and passed on, at a time: what is kept for followers is counted by these.
    const PAGE: usize = 1_000;

    /// What a commit of this replica has at hand.
    type Stored: Debug + Send + 'static;
    /// What followers are given.
    type Item: Debug + Send + Sync + 'static;
    /// What a follower wants of it. By default: everything.
    type Filter: Debug + Default + Send + Sync + 'static;

    /// The team's revision that an item made.
    fn revision(item: &Self::Item) -> i64;

    /// Whether a follower wants an item. Must say what [`Followed::read`] does.
    fn wants(filter: &Self::Filter, item: &Self::Item) -> bool;

    /// Makes of what was just committed what [`Followed::read`] would give. `None` when that cannot be done
    /// here and now: then it is read.
    fn name(&self, team: TeamId, stored: Self::Stored) -> Option<Self::Item>;

    /// How far the team's items go in this snapshot. Zeros for a team that has none.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    fn state(
        read: &TeamRead,
        team: TeamId,
    ) -> impl Future<Output = Result<StreamState, Error>> + Send;

    /// The items after a revision (`start`) and up to another (`end`, with it) that a filter lets through,
    /// in the order of revisions, at most `limit`.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    fn read(
        read: &TeamRead,
        team: TeamId,
        revisions: Range<i64>,
        limit: i64,
        filter: &Self::Filter,
    ) -> impl Future<Output = Result<Vec<Self::Item>, Error>> + Send;
}

/// How far the items of a team go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    pub revision: i64,
    /// From here on all items are there.
    pub replay_after: i64,
}
