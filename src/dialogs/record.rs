//! Takes what customers say.

use uuid::Uuid;

use super::{
    keep::{Keep, Keeper, Kept},
    model::{Message, State, Text},
    pending::{Added, Taken, other_customer, request_used},
    replica::Replica,
    turns,
};
use crate::{error::Error, ids::TeamId};

/// What a customer said.
#[derive(Debug)]
pub struct Said {
    pub customer: Box<str>,
    pub dialog: Box<str>,
    pub language: Box<str>,
    pub text: Text,
    pub request_id: Option<Uuid>,
}

/// Takes messages.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub replica: Replica,
    pub keeper: Keeper,
}

impl Recorder {
    /// Takes a message, and does with it what the customer has decided.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a dialog with another customer, [`Error::LimitReached`] when too much waits,
    /// [`Error::AlreadyExists`] for a request that was another one; as [`crate::db::query`].
    pub async fn record(&self, team: TeamId, said: Said) -> Result<State, Error> {
        let Said { customer, dialog, language, text, request_id } = said;
        let _customer = self.replica.order.customers.take((team, customer.clone())).await?;
        let mut turn = self.replica.order.dialogs.take((team, dialog.clone())).await?;
        // As late as that: the messages of a dialog are in the order of their instants.
        let (id, received_at) = (Uuid::now_v7(), self.replica.now());
        let message = Message { id, request_id, language, text, received_at };

        let mut message = match self.replica.pending.add(team, &dialog, &customer, message)? {
            Added::Pending(id) => return Ok(State::Pending(id)),
            Added::AskTheStore(message) => message,
        };
        if let Some(taken) = self.replica.pending.take(team, &dialog) {
            turn = self.settle(team, dialog.clone(), taken, turn).await?;
            message = match self.replica.pending.add(team, &dialog, &customer, message)? {
                Added::Pending(id) => return Ok(State::Pending(id)),
                Added::AskTheStore(message) => message,
            };
        }
        let hash = self.replica.hash(team, &customer);
        let keep = Keep { dialog, customer, hash, messages: vec![message], waited: false };
        let (dialog, customer) = (keep.dialog.clone(), keep.customer.clone());
        let kept = self.keeper.keep(team, keep).await?;
        let _turn = turn;
        match kept {
            Kept::Undecided(messages) => {
                let message = messages.into_iter().next();
                let message = message.ok_or_else(|| Error::internal(anyhow::anyhow!("lost")))?;
                self.replica.pending.open(team, &dialog, &customer, message).map(State::Pending)
            }
            Kept::Stored(ids) => {
                ids.into_iter().next().flatten().map(State::Stored).ok_or_else(request_used)
            }
            Kept::Refused => Ok(State::Refused),
            Kept::Erased => Ok(State::Erased),
            Kept::OtherCustomer => Err(other_customer()),
        }
    }

    /// Does with what waited of a dialog what the customer has decided, as far as the store knows. Goes on when the
    /// caller goes away: so the turn of the dialog goes with it, and comes back.
    ///
    /// # Errors
    /// As [`crate::db::query`]: then it waits on.
    pub async fn settle(
        &self,
        team: TeamId,
        dialog: Box<str>,
        taken: Taken,
        turn: turns::Taken<turns::Key>,
    ) -> Result<turns::Taken<turns::Key>, Error> {
        let (keeper, hashes) = (self.keeper.clone(), self.replica.hashes.clone());
        let settling = tokio::spawn(async move {
            let customer: Box<str> = taken.customer().into();
            let hash = hashes.of(team, &customer);
            let messages = taken.messages().to_vec();
            let keep = Keep { dialog, customer, hash, messages, waited: true };
            match keeper.keep(team, keep).await {
                Ok(Kept::Undecided(_)) => taken.put_back(false),
                Ok(_) => {}
                Err(error) => {
                    taken.put_back(true);
                    return Err(error);
                }
            }
            Ok(turn)
        });
        settling.await.map_err(Error::internal)?
    }
}
