//! Notes what customers decide, and does it.

use std::sync::Arc;

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    keep,
    model::{Consent, CustomerHash, Decided, Decision, SomeTerms},
    pending::Taken,
    replica::Replica,
    store::{
        consents as store, customers,
        messages::{self, Dialog, Placed},
        setup,
    },
};
use crate::{
    db::{Db, Write},
    error::Error,
    ids::{KeyId, TeamId},
    streams,
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
    pub replica: Replica,
    /// Decisions that are under way at a time.
    pub turns: Arc<Semaphore>,
}

impl Decider {
    /// Notes a decision: what waits of the dialog is stored, or wiped, and what is stored is deleted when it is taken
    /// back. From the turn of the team on it goes on when the caller goes away.
    ///
    /// # Errors
    /// [`Error::Busy`]; as [`crate::db::query`]. Then what waits waits on, but after a no: that is wiped, whatever the
    /// store does.
    pub async fn decide(
        &self,
        team: TeamId,
        turns: &Arc<Semaphore>,
        says: Says,
    ) -> Result<Decided, Error> {
        let dialog = self.replica.order.dialogs.take((team, says.dialog.clone())).await?;
        let wiped = if says.granted {
            0
        } else {
            self.replica.pending.take(team, &says.dialog).map_or(0, |taken| taken.messages().len())
        };
        let turn = streams::turn_of_team(turns).await?;
        let this = self.clone();
        let deciding = tokio::spawn(async move {
            let _until_it_is_done = (dialog, turn);
            let _turn = streams::turn_of_all(&this.turns).await?;
            this.decide_now(team, &says, wiped).await
        });
        deciding.await.map_err(Error::internal)?
    }

    async fn decide_now(&self, team: TeamId, says: &Says, wiped: usize) -> Result<Decided, Error> {
        let taken = if says.granted { self.replica.pending.take(team, &says.dialog) } else { None };
        let waited = taken.as_ref().map_or(wiped, |taken| taken.messages().len());
        match self.note(team, says, taken.as_ref()).await {
            Ok(mut decided) => {
                let waited = i64::try_from(waited).unwrap_or(i64::MAX);
                decided.deleted += waited.saturating_sub(decided.stored);
                Ok(decided)
            }
            Err(Failed { error, unsure }) => {
                if let Some(taken) = taken {
                    taken.put_back(unsure);
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
    ) -> Result<Decided, Failed> {
        for _ in 0..TRIES {
            let write = self.db.team_write(team).await?;
            match self.note_in(&write, team, says, taken).await {
                Ok(Some(decided)) => {
                    let done = write.end(Ok(decided)).await;
                    return done.map_err(|error| Failed { error, unsure: true });
                }
                // Somebody else noted the first decision in this moment: it is found now.
                Ok(None) => write.roll_back().await,
                Err(error) => {
                    write.roll_back().await;
                    return Err(error.into());
                }
            }
        }
        Err(Error::Busy.into())
    }

    /// `None`: somebody else was faster.
    async fn note_in(
        &self,
        write: &Write,
        team: TeamId,
        says: &Says,
        taken: Option<&Taken>,
    ) -> Result<Option<Decided>, Error> {
        if !says.granted {
            // There may be much to delete.
            write.take_longer().await?;
            write.plan_once().await?;
        }
        // Customers before dialogs, always.
        let customer = match taken {
            Some(taken) => self.hold(write, team, says, taken).await?,
            None => None,
        };
        let before = store::lock_dialog(write, team, &says.dialog).await?;
        let settings = setup::get_settings(write, team).await?;
        let new = Consent {
            id: Uuid::now_v7(),
            dialog: Some(says.dialog.to_string()),
            customer: None,
            decision: Decision::of(says.granted, before.map(|(dialog, _)| dialog.granted)),
            terms: says.terms.clone().or(settings.terms),
            decided_at: self.replica.now(),
            key: says.key,
        };
        let Some((id, deleted)) = self.note_decision(write, team, says, before, &new).await? else {
            return Ok(None);
        };
        let stored = match (taken, customer) {
            (Some(taken), Some(customer)) => {
                let dialog = before.map(|(dialog, _)| dialog);
                self.store(write, team, says, taken, (customer, dialog)).await?
            }
            // Nothing waits, or it may not be stored.
            _ => 0,
        };
        let consent = store::get_consent(write, team, id).await?;
        Ok(Some(Decided { consent, stored, deleted }))
    }

    /// Notes a decision of a dialog that is locked, where it is another one, and deletes what may not stay. Returns the
    /// decision that holds, and how many are gone; `None`: somebody else was faster.
    async fn note_decision(
        &self,
        write: &Write,
        team: TeamId,
        says: &Says,
        before: Option<(Dialog, Uuid)>,
        new: &Consent,
    ) -> Result<Option<(Uuid, i64)>, Error> {
        let Some((dialog, id)) = before else {
            store::insert_consent(write, team, new).await?;
            let noted =
                store::insert_dialog(write, team, &says.dialog, new, self.replica.id).await?;
            return Ok(noted.then_some((new.id, 0)));
        };
        if dialog.granted == says.granted {
            let current = store::get_consent(write, team, id).await?;
            if !says.granted || current.terms == new.terms {
                return Ok(Some((id, 0)));
            }
        }
        let deleted = if says.granted {
            0
        } else {
            messages::delete_messages_of_dialog(write, team, &says.dialog).await?
        };
        store::insert_consent(write, team, new).await?;
        store::update_dialog(write, team, &says.dialog, new, self.replica.id).await?;
        Ok(Some((new.id, deleted)))
    }

    /// The customer whose messages wait; `None`: they were erased, or none of these may be stored.
    async fn hold(
        &self,
        write: &Write,
        team: TeamId,
        says: &Says,
        taken: &Taken,
    ) -> Result<Option<CustomerHash>, Error> {
        let hash = self.replica.hash(team, taken.customer());
        // Of a customer of whom nothing is stored the id is not stored either.
        let dialog = messages::get_dialog(write, team, &says.dialog).await?;
        if dialog.is_some_and(|dialog| !takes(&dialog, hash)) {
            return Ok(None);
        }
        let customers = [(hash, taken.customer())];
        let held = customers::hold_customers(write, team, &customers, self.replica.id).await?;
        Ok(held.first().copied())
    }

    /// Stores what waited; says how many.
    async fn store(
        &self,
        write: &Write,
        team: TeamId,
        says: &Says,
        taken: &Taken,
        (customer, dialog): (CustomerHash, Option<Dialog>),
    ) -> Result<i64, Error> {
        if dialog.is_some_and(|dialog| !takes(&dialog, customer)) {
            return Ok(0);
        }
        if dialog.is_none_or(|dialog| dialog.customer.is_none()) {
            let bind = [(&*says.dialog, customer)];
            messages::bind_dialogs(write, team, &bind, self.replica.id).await?;
        }
        let place = |message| Placed { dialog: &says.dialog, customer, message };
        let waited = taken.messages().iter();
        let takes = |message: &&_| dialog.is_none_or(|dialog| dialog.takes(message));
        let placed: Vec<Placed<'_>> = waited.filter(takes).map(place).collect();
        let stored = keep::insert(write, team, &placed).await?;
        let stored = stored.values().filter(|id| id.is_some()).count();
        Ok(i64::try_from(stored).unwrap_or(i64::MAX))
    }
}

/// Whether a dialog takes what waited here, of this customer: not when another replica noted a no meanwhile, nor when
/// one had another customer there, who is first.
fn takes(dialog: &Dialog, customer: CustomerHash) -> bool {
    dialog.granted && dialog.customer.is_none_or(|theirs| theirs == customer)
}

/// A decision that could not be noted.
struct Failed {
    error: Error,
    /// Whether it may be noted all the same.
    unsure: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, unsure: false }
    }
}
