//! Erases customers.

use std::sync::Arc;

use prost::Message;
use tokio::sync::Semaphore;

use super::{
    model::{Counts, Erasure},
    pending::Taken,
    replica::Replica,
    store::{customers as store, setup},
};
use crate::{
    db::Db,
    error::Error,
    ids::{KeyId, TeamId},
    requests::{self, Once},
    streams,
};

/// Whom to erase.
#[derive(Clone, Debug)]
pub struct Whom {
    pub customer: Box<str>,
    /// The key by which it is asked for.
    pub key: KeyId,
    pub once: Option<Once>,
}

/// Erases customers.
#[derive(Clone, Debug)]
pub struct Eraser {
    pub db: Db,
    pub replica: Replica,
    /// Erasures that are under way at a time.
    pub turns: Arc<Semaphore>,
}

impl Eraser {
    /// Counts what an erasure would take away.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn count(&self, team: TeamId, customer: &str) -> Result<Counts, Error> {
        let pending = self.replica.pending.count(team, customer);
        let read = self.db.team(team).await?;
        let counts = store::count_customer(&read, team, self.replica.hash(team, customer)).await?;
        read.end().await?;
        Ok(Counts { pending_messages: i64::try_from(pending).unwrap_or(i64::MAX), ..counts })
    }

    /// Erases a customer. From the turn of the team on it goes on when the caller goes away.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] for a request that was another one; [`Error::Busy`]; as [`crate::db::query`].
    pub async fn erase<A: Message + Default + 'static>(
        &self,
        team: TeamId,
        turns: &Arc<Semaphore>,
        whom: Whom,
        answer: fn(&Erasure) -> A,
    ) -> Result<A, Error> {
        let customer = self.replica.order.customers.take((team, whom.customer.clone())).await?;
        let turn = streams::turn_of_team(turns).await?;
        let this = self.clone();
        let erasing = tokio::spawn(async move {
            let _until_it_is_done = (customer, turn);
            let _turn = streams::turn_of_all(&this.turns).await?;
            this.erase_now(team, &whom, answer).await
        });
        erasing.await.map_err(Error::internal)?
    }

    async fn erase_now<A: Message + Default>(
        &self,
        team: TeamId,
        whom: &Whom,
        answer: fn(&Erasure) -> A,
    ) -> Result<A, Error> {
        // Nothing is added to these meanwhile, nor is a new one begun. One that is being decided on is waited for.
        let mut dialogs = self.replica.pending.dialogs_of(team, |theirs| theirs == &*whom.customer);
        dialogs.sort_unstable();
        let (mut turns, mut taken): (Vec<_>, Vec<Taken>) = (Vec::new(), Vec::new());
        let mut busy = None;
        for dialog in dialogs {
            match self.replica.order.dialogs.take((team, dialog.clone())).await {
                Ok(turn) => turns.push(turn),
                Err(error) => {
                    busy = Some(error);
                    break;
                }
            }
            taken.extend(self.replica.pending.take(team, &dialog));
        }
        let pending: usize = taken.iter().map(|taken| taken.messages().len()).sum();
        let done = match busy {
            Some(error) => Err((error, false)),
            None => self.erase_stored(team, whom, pending, answer).await,
        };
        done.map_err(|(error, unsure)| {
            for taken in taken {
                taken.put_back(unsure);
            }
            error
        })
    }

    /// With an error goes whether it may be done all the same.
    async fn erase_stored<A: Message + Default>(
        &self,
        team: TeamId,
        whom: &Whom,
        pending: usize,
        answer: fn(&Erasure) -> A,
    ) -> Result<A, (Error, bool)> {
        let write = self.db.team_write(team).await.map_err(|error| (error, false))?;
        let work = async || {
            write.take_longer().await?;
            write.plan_once().await?;
            setup::lock_settings(&write, team).await?;
            let (hash, now) = (self.replica.hash(team, &whom.customer), self.replica.now());
            let counts = store::erase_customer(&write, team, hash, now, self.replica.id).await?;
            let pending_messages = i64::try_from(pending).unwrap_or(i64::MAX);
            let counts = Counts { pending_messages, ..counts };
            let last = store::last_erasure(&write, team).await?;
            let erasure = Erasure::after(last, hash, counts, whom.key, now);
            store::insert_erasure(&write, team, &erasure).await?;
            Ok(answer(&erasure))
        };
        match requests::once(whom.once, &write, work).await {
            Ok(answer) => write.end(Ok(answer)).await.map_err(|error| (error, true)),
            Err(error) => {
                write.roll_back().await;
                let error = if matches!(error, Error::TooSlow) { Error::Busy } else { error };
                Err((error, false))
            }
        }
    }
}
