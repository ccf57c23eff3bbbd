//! Stores messages of dialogs that have consent, and says of all others why they are not stored: what comes together for
//! a team is looked up and stored together ([`crate::group_commit`]).
//!
//! The text of a message goes to the store only once the dialog is held there, with consent: it is in no statement
//! before.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time,
};
use uuid::Uuid;

use super::{
    model::{CustomerHash, Message},
    store::{
        customers,
        messages::{self as store, Dialog, Placed},
    },
};
use crate::{
    db::{Db, Write},
    error::Error,
    group_commit::{Commits, Lines},
    ids::TeamId,
};

/// The weight of a commit: bytes, of which each message has some beside its text.
const COMMIT_WEIGHT: usize = 1024 * 1024;
const MESSAGE_WEIGHT: usize = 1024;
/// Commits that are under way at a time.
pub const COMMITS_MAX: usize = 3;
/// How often a dialog is tried on which somebody decides, and how long to wait in between.
const TRIES: usize = 60;
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// Messages of one dialog.
#[derive(Debug)]
pub struct Keep {
    pub dialog: Box<str>,
    pub customer: Box<str>,
    pub hash: CustomerHash,
    pub messages: Vec<Message>,
    /// Whether they have waited: then a no that came meanwhile holds for them.
    pub waited: bool,
}

/// What became of these.
#[derive(Debug)]
pub enum Kept {
    /// The customer has not decided: here they are again.
    Undecided(Vec<Message>),
    /// They are stored, under these ids. `None`: the id of its request was used for another message.
    Stored(Vec<Option<Uuid>>),
    /// The customer does not agree.
    Refused,
    /// The customer was erased.
    Erased,
    /// The dialog is with somebody else.
    OtherCustomer,
}

/// Stores messages.
#[derive(Clone, Debug)]
pub struct Keeper(Arc<Lines<Inner>>);

#[derive(Debug)]
struct Inner {
    db: Db,
    replica: Uuid,
}

/// What is to be kept, and who waits for it.
#[derive(Debug)]
pub struct Waiting {
    keep: Keep,
    done: oneshot::Sender<Answer>,
}

/// What the store says, and the messages that were given to it.
type Answer = Result<(Found, Vec<Message>), Error>;

impl Keeper {
    /// Empty lines before this store.
    #[must_use]
    pub fn new(db: Db, replica: Uuid) -> Self {
        Self(Lines::new(Inner { db, replica }, Arc::new(Semaphore::new(COMMITS_MAX))))
    }

    /// Stores messages, where they may be. What waits for its turn is dropped when the caller goes away.
    ///
    /// # Errors
    /// [`Error::Busy`] when another replica works on the dialog for too long; as [`crate::db::query`]: then nobody knows
    /// whether they are stored.
    pub async fn keep(&self, team: TeamId, keep: Keep) -> Result<Kept, Error> {
        let Keep { dialog, customer, hash, mut messages, waited } = keep;
        for _ in 0..TRIES {
            let (dialog, customer) = (dialog.clone(), customer.clone());
            let keep = Keep { dialog, customer, hash, messages, waited };
            let (done, answer) = oneshot::channel();
            self.0.join(team, Waiting { keep, done });
            let (found, given) = answer.await.map_err(Error::internal)??;
            messages = match found {
                Found::Undecided => return Ok(Kept::Undecided(given)),
                Found::Stored(ids) => return Ok(Kept::Stored(ids)),
                Found::Refused => return Ok(Kept::Refused),
                Found::Erased => return Ok(Kept::Erased),
                Found::OtherCustomer => return Ok(Kept::OtherCustomer),
                Found::Locked => given,
            };
            time::sleep(RETRY_WAIT).await;
        }
        Err(Error::Busy)
    }
}

impl Commits for Inner {
    type Waiting = Waiting;
    const WEIGHT_MAX: usize = COMMIT_WEIGHT;

    fn weight(waiting: &Waiting) -> usize {
        let weight = |message: &Message| message.text.as_str().len() + MESSAGE_WEIGHT;
        waiting.keep.messages.iter().map(weight).sum()
    }

    fn is_given_up(waiting: &Waiting) -> bool {
        waiting.done.is_closed()
    }

    async fn commit(&self, team: TeamId, group: Vec<Waiting>, turn: OwnedSemaphorePermit) {
        let start = Instant::now();
        let (keeps, callers): (Vec<Keep>, Vec<_>) =
            group.into_iter().map(|waiting| (waiting.keep, waiting.done)).unzip();
        let found = self.keep(team, &keeps).await;
        drop(turn);
        metrics::histogram!("tap_message_commit_seconds").record(start.elapsed().as_secs_f64());
        match found {
            Ok(found) => {
                for ((keep, done), found) in keeps.into_iter().zip(callers).zip(found) {
                    let _caller_gone = done.send(found.map(|found| (found, keep.messages)));
                }
            }
            Err(error) => {
                for done in callers {
                    let _caller_gone = done.send(Err(error.clone()));
                }
            }
        }
    }
}

/// What the store says of the messages of a dialog.
#[derive(Debug)]
enum Found {
    Undecided,
    Stored(Vec<Option<Uuid>>),
    Refused,
    Erased,
    OtherCustomer,
    /// Another replica works on the dialog.
    Locked,
}

/// What is said of the messages of each dialog. `None`: it is not known yet whose it is.
type Findings = Vec<Option<Result<Found, Error>>>;

impl Inner {
    async fn keep(&self, team: TeamId, keeps: &[Keep]) -> Result<Vec<Result<Found, Error>>, Error> {
        let mut found = self.pass(team, &keeps.iter().collect::<Vec<_>>(), false).await?;
        // Dialogs of which nothing was stored before: few. Customers are held before dialogs, always.
        let first = |(at, found): (usize, &Option<_>)| found.is_none().then_some(at);
        let firsts: Vec<usize> = found.iter().enumerate().filter_map(first).collect();
        if !firsts.is_empty() {
            let keeps: Vec<&Keep> = firsts.iter().filter_map(|at| keeps.get(*at)).collect();
            match self.pass(team, &keeps, true).await {
                Ok(again) => {
                    for (at, again) in firsts.into_iter().zip(again) {
                        found[at] = again;
                    }
                }
                // The others are done.
                Err(error) => {
                    for at in firsts {
                        found[at] = Some(Err(error.clone()));
                    }
                }
            }
        }
        let unbound = || Err(Error::internal(anyhow::anyhow!("a dialog could not be bound")));
        Ok(found.into_iter().map(|found| found.unwrap_or_else(unbound)).collect())
    }

    /// One transaction; dialogs of which it is not known whose they are are bound where that is asked for.
    async fn pass(&self, team: TeamId, keeps: &[&Keep], bind: bool) -> Result<Findings, Error> {
        let write = self.db.team_write(team).await?;
        let done = self.pass_in(&write, team, keeps, bind).await;
        // Not the callers' query.
        let done = done.map_err(|error| match error {
            Error::TooSlow => Error::Busy,
            error => error,
        });
        write.end(done).await
    }

    async fn pass_in(
        &self,
        write: &Write,
        team: TeamId,
        keeps: &[&Keep],
        bind: bool,
    ) -> Result<Findings, Error> {
        let held =
            if bind { self.hold_customers(write, team, keeps).await? } else { HashSet::new() };
        let mut ids: Vec<&str> = keeps.iter().map(|keep| &*keep.dialog).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut dialogs: HashMap<String, Option<Dialog>> =
            store::hold_dialogs(write, team, &ids, bind).await?.into_iter().collect();
        if bind {
            self.bind(write, team, keeps, &held, &mut dialogs).await?;
        }
        let of_mine = |keep: &Keep| {
            let dialog = dialogs.get(&*keep.dialog).copied().flatten();
            dialog.filter(|dialog| dialog.granted && dialog.customer == Some(keep.hash))
        };
        let asked: Vec<CustomerHash> =
            keeps.iter().filter(|keep| of_mine(keep).is_none()).map(|keep| keep.hash).collect();
        let erased: HashSet<CustomerHash> = if asked.is_empty() {
            HashSet::new()
        } else {
            customers::find_erased(write, team, &asked).await?.into_iter().collect()
        };
        let placed: Vec<Placed<'_>> = keeps
            .iter()
            .filter_map(|keep| Some((keep, of_mine(keep)?)))
            .flat_map(|(keep, dialog)| {
                let messages = keep.messages.iter();
                let takes = move |message: &&Message| !keep.waited || dialog.takes(message);
                let place = |message| Placed { dialog: &keep.dialog, customer: keep.hash, message };
                messages.filter(takes).map(place)
            })
            .collect();
        let stored = insert(write, team, &placed).await?;
        let found = |keep: &&Keep| match dialogs.get(&*keep.dialog) {
            Some(None) => Some(Ok(Found::Locked)),
            Some(Some(_)) if of_mine(keep).is_some() => {
                let id = |message: &Message| stored.get(&message.id).copied().flatten();
                Some(Ok(Found::Stored(keep.messages.iter().map(id).collect())))
            }
            Some(Some(dialog)) if dialog.customer.is_some_and(|customer| customer != keep.hash) => {
                Some(Ok(Found::OtherCustomer))
            }
            _ if erased.contains(&keep.hash) => Some(Ok(Found::Erased)),
            None => Some(Ok(Found::Undecided)),
            Some(Some(dialog)) if dialog.granted => None,
            Some(Some(_)) => Some(Ok(Found::Refused)),
        };
        Ok(keeps.iter().map(found).collect())
    }

    /// Customers of whom something is about to be stored, and who were not erased.
    async fn hold_customers(
        &self,
        write: &Write,
        team: TeamId,
        keeps: &[&Keep],
    ) -> Result<HashSet<CustomerHash>, Error> {
        let mut customers: Vec<(CustomerHash, &str)> =
            keeps.iter().map(|keep| (keep.hash, &*keep.customer)).collect();
        customers.sort_unstable();
        customers.dedup();
        let held = customers::hold_customers(write, team, &customers, self.replica).await?;
        Ok(held.into_iter().collect())
    }

    /// Says whose the dialogs are that have consent and nobody yet: of customers that come together the first.
    async fn bind(
        &self,
        write: &Write,
        team: TeamId,
        keeps: &[&Keep],
        held: &HashSet<CustomerHash>,
        dialogs: &mut HashMap<String, Option<Dialog>>,
    ) -> Result<(), Error> {
        let unbound = |keep: &&&Keep| {
            let dialog = dialogs.get(&*keep.dialog).copied().flatten();
            dialog.is_some_and(|dialog| dialog.granted && dialog.customer.is_none())
                && held.contains(&keep.hash)
        };
        let firsts: BTreeMap<&str, CustomerHash> =
            keeps.iter().rev().filter(unbound).map(|keep| (&*keep.dialog, keep.hash)).collect();
        let firsts: Vec<(&str, CustomerHash)> = firsts.into_iter().collect();
        store::bind_dialogs(write, team, &firsts, self.replica).await?;
        for (id, customer) in firsts {
            if let Some(Some(dialog)) = dialogs.get_mut(id) {
                dialog.customer = Some(customer);
            }
        }
        Ok(())
    }
}

/// Inserts messages; says under which id each is stored, `None` for one whose request was used for another message.
///
/// # Errors
/// As [`crate::db::query`].
pub async fn insert(
    write: &Write,
    team: TeamId,
    placed: &[Placed<'_>],
) -> Result<HashMap<Uuid, Option<Uuid>>, Error> {
    if placed.is_empty() {
        return Ok(HashMap::new());
    }
    let inserted = store::insert_messages(write, team, placed).await?;
    let mut stored: HashMap<Uuid, Option<Uuid>> =
        inserted.into_iter().map(|id| (id, Some(id))).collect();
    let missing = |placed: &&Placed<'_>| !stored.contains_key(&placed.message.id);
    let missing: Vec<Placed<'_>> = placed.iter().filter(missing).copied().collect();
    let requests: Vec<(&str, Uuid)> = missing
        .iter()
        .filter_map(|placed| Some((placed.dialog, placed.message.request_id?)))
        .collect();
    let before: HashMap<(String, Uuid), store::Brought> = if requests.is_empty() {
        HashMap::new()
    } else {
        store::find_requests(write, team, &requests).await?.into_iter().collect()
    };
    for placed in missing {
        let message = placed.message;
        let brought =
            message.request_id.and_then(|request| before.get(&(placed.dialog.to_owned(), request)));
        let id = match brought {
            // The same message, of a commit of which nobody knew whether it was one.
            None => Some(message.id),
            Some(brought) => {
                let same = *brought.language == *message.language
                    && brought.text.as_ref().is_none_or(|text| *text == message.text);
                same.then_some(brought.id)
            }
        };
        stored.insert(message.id, id);
    }
    Ok(stored)
}
