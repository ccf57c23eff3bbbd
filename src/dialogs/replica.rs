//! What a replica has of dialogs, beside the store: everybody who works on them shares it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::{CustomerHash, Hashes},
    pending::Pending,
    turns::Order,
};
use crate::{clock::Clock, ids::TeamId};

/// A replica.
#[derive(Clone, Debug)]
pub struct Replica {
    /// What it signs its changes with, so that others find them.
    pub id: Uuid,
    pub pending: Pending,
    pub order: Order,
    pub hashes: Hashes,
    pub clock: Clock,
}

impl Replica {
    /// The hash of a customer.
    #[must_use]
    pub fn hash(&self, team: TeamId, customer: &str) -> CustomerHash {
        self.hashes.of(team, customer)
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
