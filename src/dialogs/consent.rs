//! Notes what customers decide, and does it.

use std::sync::Arc;

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    keep,
    model::{Consent, CustomerHash, Decided, Decision, Hashes, SomeTerms},
    pending::{Pending, Taken},
    record::Order,
    store::{
        consents as store, customers,
        messages::{self, Dialog, Placed},
        setup,
    },
};
use crate::{
    clock::Clock,
    db::{Db, Write},
    error::Error,
    ids::{KeyId, TeamId},
};

/// How often a decision is tried that met the first one of its dialog on another replica.
const TRIES: usize = 3;

/// What a customer says.
#[derive(Clone, Debug)]
pub struct Says {
    pub dialog: Box<str>,
    pub granted: bool,
    pub terms: SomeTerms,
    /// The key by which it is noted.
    pub key: KeyId,
}

/// Notes decisions.
#[derive(Clone, Debug)]
pub struct Decider {
    pub db: Db,
    pub pending: Pending,
    pub order: Order,
    pub hashes: Hashes,
    pub clock: Clock,
    pub replica: Uuid,
    /// Decisions that are under way at a time.
    pub turns: Arc<Semaphore>,
}

impl Decider {
    /// Notes a decision: what waits of the dialog is stored, or wiped, and what is stored is deleted when it is taken
    /// back. Goes on when the caller goes away.
    ///
    /// # Errors
    /// As [`crate::db::query`]. Then what waits waits on, but after a no: that is wiped, whatever the store does.
    pub async fn decide(&self, team: TeamId, says: Says) -> Result<Decided, Error> {
        let this = self.clone();
        let deciding = tokio::spawn(async move { this.decide_now(team, says).await });
        deciding.await.map_err(Error::internal)?
    }

    async fn decide_now(&self, team: TeamId, says: Says) -> Result<Decided, Error> {
        let _dialog = self.order.dialogs.take((team, says.dialog.clone())).await?;
        let _turn = self.turns.acquire().await.map_err(Error::internal)?;
        let mut taken = self.pending.take(team, &says.dialog);
        let pending = taken.as_ref().map_or(0, |taken| taken.messages().len());
        if !says.granted {
            taken = None;
        }
        match self.note(team, &says, taken.as_ref()).await {
            Ok(mut decided) => {
                let pending = i64::try_from(pending).unwrap_or(i64::MAX);
                decided.deleted += pending.saturating_sub(decided.stored);
                Ok(decided)
            }
            Err(error) => {
                if let Some(taken) = taken {
                    taken.put_back(true);
                }
                Err(error)
            }
        }
    }

    async fn note(
        &self,
        team: TeamId,
        says: &Says,
        taken: Option<&Taken>,
    ) -> Result<Decided, Error> {
        for _ in 0..TRIES {
            let write = self.db.team_write(team).await?;
            match self.note_in(&write, team, says, taken).await {
                Ok(Some(decided)) => return write.end(Ok(decided)).await,
                // Somebody else noted the first decision in this moment: it is found now.
                Ok(None) => write.end(Err(Error::Busy)).await.unwrap_or(()),
                Err(error) => return write.end(Err(error)).await,
            }
        }
        Err(Error::Busy)
    }

    /// `None`: somebody else was faster.
    async fn note_in(
        &self,
        write: &Write,
        team: TeamId,
        says: &Says,
        taken: Option<&Taken>,
    ) -> Result<Option<Decided>, Error> {
        // Customers before dialogs, always.
        let customer = match taken {
            Some(taken) => self.hold(write, team, taken.customer()).await?,
            None => None,
        };
        let before = store::lock_dialog(write, team, &says.dialog).await?;
        let held = before.map(|(dialog, _)| dialog.granted);
        let settings = setup::get_settings(write, team).await?;
        let now = self.clock.now();
        let new = Consent {
            id: Uuid::now_v7(),
            dialog: Some(says.dialog.to_string()),
            customer: None,
            decision: Decision::of(says.granted, held),
            terms: says.terms.clone().or(settings.terms),
            decided_at: now,
            key: says.key,
        };
        let mut deleted = 0;
        let id = match before {
            Some((dialog, id)) if dialog.granted == says.granted => {
                let current = store::get_consent(write, team, id).await?;
                if !says.granted || current.terms == new.terms {
                    id
                } else {
                    self.note_another(write, team, says, &new).await?
                }
            }
            Some(_) => {
                if !says.granted {
                    let id = &says.dialog;
                    deleted = messages::delete_messages_of_dialog(write, team, id).await?;
                }
                self.note_another(write, team, says, &new).await?
            }
            None => {
                store::insert_consent(write, team, &new).await?;
                let (dialog, granted) = (&says.dialog, says.granted);
                let noted =
                    store::insert_dialog(write, team, dialog, granted, new.id, self.replica);
                if !noted.await? {
                    return Ok(None);
                }
                new.id
            }
        };
        let dialog = before.map_or(Dialog { granted: true, customer: None }, |(dialog, _)| dialog);
        let stored = match (taken, customer) {
            (Some(taken), Some(customer)) => {
                self.store(write, team, says, taken, (customer, dialog)).await?
            }
            // Nothing waits, or the customer was erased.
            _ => 0,
        };
        let consent = store::get_consent(write, team, id).await?;
        Ok(Some(Decided { consent, stored, deleted }))
    }

    /// A customer of whom something is about to be stored; `None`: they were erased.
    async fn hold(
        &self,
        write: &Write,
        team: TeamId,
        customer: &str,
    ) -> Result<Option<CustomerHash>, Error> {
        let customers = [(self.hashes.of(team, customer), customer)];
        let held = customers::hold_customers(write, team, &customers, self.replica).await?;
        Ok(held.first().copied())
    }

    /// Notes another decision of a dialog that is locked.
    async fn note_another(
        &self,
        write: &Write,
        team: TeamId,
        says: &Says,
        new: &Consent,
    ) -> Result<Uuid, Error> {
        store::insert_consent(write, team, new).await?;
        let (dialog, granted) = (&says.dialog, says.granted);
        store::update_dialog(write, team, dialog, granted, new.id, self.replica).await?;
        Ok(new.id)
    }

    /// Stores what waited; says how many.
    async fn store(
        &self,
        write: &Write,
        team: TeamId,
        says: &Says,
        taken: &Taken,
        (customer, dialog): (CustomerHash, Dialog),
    ) -> Result<i64, Error> {
        match dialog.customer {
            // Messages of it came by another replica, of another customer, who is first.
            Some(bound) if bound != customer => return Ok(0),
            Some(_) => {}
            None => {
                let bind = [(&*says.dialog, customer)];
                messages::bind_dialogs(write, team, &bind, self.replica).await?;
            }
        }
        let place = |message| Placed { dialog: &says.dialog, customer, message };
        let placed: Vec<Placed<'_>> = taken.messages().iter().map(place).collect();
        let stored = keep::insert(write, team, &placed).await?;
        let stored = stored.values().filter(|id| id.is_some()).count();
        Ok(i64::try_from(stored).unwrap_or(i64::MAX))
    }
}
