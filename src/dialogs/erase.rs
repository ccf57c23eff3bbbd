//! Erases customers.

use std::sync::Arc;

use prost::Message;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    model::{Counts, Erasure, Hashes},
    pending::{Pending, Taken},
    record::Order,
    store::{customers as store, setup},
};
use crate::{
    clock::Clock,
    db::Db,
    error::Error,
    ids::{KeyId, TeamId},
    requests::{self, Once},
};

/// Erases customers.
#[derive(Clone, Debug)]
pub struct Eraser {
    pub db: Db,
    pub pending: Pending,
    pub order: Order,
    pub hashes: Hashes,
    pub clock: Clock,
    pub replica: Uuid,
    /// Erasures that are under way at a time.
    pub turns: Arc<Semaphore>,
}

impl Eraser {
    /// Counts what an erasure would take away.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn count(&self, team: TeamId, customer: &str) -> Result<Counts, Error> {
        let pending = self.pending.count(team, customer);
        let read = self.db.team(team).await?;
        let counts = store::count_customer(&read, team, self.hashes.of(team, customer)).await?;
        read.end().await?;
        Ok(Counts { pending_messages: i64::try_from(pending).unwrap_or(i64::MAX), ..counts })
    }

    /// Erases a customer. Goes on when the caller goes away.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] for a request that was another one; as [`crate::db::query`].
    pub async fn erase<A: Message + Default + 'static>(
        &self,
        team: TeamId,
        customer: Box<str>,
        key: KeyId,
        once: Option<Once>,
        answer: fn(&Erasure) -> A,
    ) -> Result<A, Error> {
        let this = self.clone();
        let erasing =
            tokio::spawn(async move { this.erase_now(team, customer, key, once, answer).await });
        erasing.await.map_err(Error::internal)?
    }

    async fn erase_now<A: Message + Default>(
        &self,
        team: TeamId,
        customer: Box<str>,
        key: KeyId,
        once: Option<Once>,
        answer: fn(&Erasure) -> A,
    ) -> Result<A, Error> {
        let _customer = self.order.customers.take((team, customer.clone())).await?;
        let _turn = self.turns.acquire().await.map_err(Error::internal)?;
        // Nothing is added to these meanwhile, nor is a new one begun. One that is being decided on is not among them:
        // whoever decides meets the erasure in the store.
        let mut dialogs = self.pending.dialogs_of(team, |theirs| theirs == &*customer);
        dialogs.sort_unstable();
        let (mut turns, mut taken): (Vec<_>, Vec<Taken>) = (Vec::new(), Vec::new());
        for dialog in dialogs {
            turns.push(self.order.dialogs.take((team, dialog.clone())).await);
            taken.extend(self.pending.take(team, &dialog));
        }
        let busy = turns.iter().any(Result::is_err);
        let pending: usize = taken.iter().map(|taken| taken.messages().len()).sum();
        let done = if busy {
            Err(Error::Busy)
        } else {
            self.erase_stored(team, &customer, key, once, pending, answer).await
        };
        if done.is_err() {
            for taken in taken {
                taken.put_back(true);
            }
        }
        done
    }

    async fn erase_stored<A: Message + Default>(
        &self,
        team: TeamId,
        customer: &str,
        key: KeyId,
        once: Option<Once>,
        pending: usize,
        answer: fn(&Erasure) -> A,
    ) -> Result<A, Error> {
        let write = self.db.team_write(team).await?;
        let work = async || {
            setup::lock_settings(&write, team).await?;
            let (hash, now) = (self.hashes.of(team, customer), self.clock.now());
            let counts = store::erase_customer(&write, team, hash, now, self.replica).await?;
            let pending_messages = i64::try_from(pending).unwrap_or(i64::MAX);
            let counts = Counts { pending_messages, ..counts };
            let last = store::last_erasure(&write, team).await?;
            let erasure = Erasure::after(last, hash, counts, key, now);
            store::insert_erasure(&write, team, &erasure).await?;
            Ok(answer(&erasure))
        };
        let done = requests::once(once, &write, work).await;
        write.end(done).await
    }
}
