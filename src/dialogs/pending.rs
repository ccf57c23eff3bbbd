//! Messages that wait for consent: in memory and nowhere else, for a time, and within a budget.
//!
//! What leaves is wiped ([`super::model::Text`]). Whoever works on a dialog has its turn ([`super::turns`]), but for
//! [`Pending::expire`], which does not see what is taken out.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::model::{ENTRY_BYTES, Listed, Message, PAGE_BYTES_MAX};
use crate::{error::Error, ids::TeamId, paging::TimePlace, reasons};

/// What a dialog takes beside its ids, and a message beside its texts: measured, with what the allocator adds and with
/// the room that a map keeps.
const DIALOG_BYTES: usize = 320;
const MESSAGE_BYTES: usize = 160;
/// Messages of a dialog that wait, and how much of them: all of it goes into one transaction.
const DIALOG_MESSAGES_MAX: usize = 1_000;
const DIALOG_BYTES_MAX: usize = 1024 * 1024;
/// How long a dialog may go on without a decision.
const AGE_MAX: TimeDelta = TimeDelta::hours(24);
/// Dialogs that are wiped at a time.
const WIPED_AT_A_TIME: usize = 1_000;
/// Room that a map keeps when little is in it.
const SPARE: usize = 1_024;

/// How much may wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one team.
    pub team_bytes: usize,
    /// Bytes of all teams.
    pub bytes: usize,
    /// How long a dialog may be idle.
    pub idle: TimeDelta,
}

/// What waits.
#[derive(Clone)]
pub struct Pending(Arc<Inner>);

struct Inner {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    teams: HashMap<TeamId, Team>,
    bytes: usize,
    dialogs: usize,
    /// Dialogs that became so since somebody asked; some of them may have gone since.
    unsure: Vec<(TeamId, Box<str>)>,
}

#[derive(Default)]
struct Team {
    dialogs: HashMap<Box<str>, Dialog>,
    /// Whose dialogs are taken out.
    out: HashMap<Box<str>, Box<str>>,
    /// Of all of these.
    bytes: usize,
}

/// A dialog of which the customer has not decided.
struct Dialog {
    customer: Box<str>,
    messages: Vec<Message>,
    bytes: usize,
    touched_at: DateTime<Utc>,
    /// When the first of them came.
    begun_at: DateTime<Utc>,
    /// Whether a decision may be in the store all the same: a commit failed, and nobody knows how.
    unsure: bool,
}

impl fmt::Debug for Pending {
    /// Says nothing of what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// What became of a message that was to be added to a dialog.
#[derive(Debug)]
pub enum Added {
    /// It waits, under this id.
    Pending(Uuid),
    /// Nothing of this dialog waits, or nobody knows whether it still should: ask the store.
    AskTheStore(Message),
}

impl Pending {
    /// Nothing waits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner { limits, state: Mutex::default() }))
    }

    /// Adds a message to a dialog of which some wait already.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another customer, [`Error::AlreadyExists`] for an id of a request that was another one,
    /// [`Error::LimitReached`].
    pub fn add(
        &self,
        team: TeamId,
        dialog: &str,
        customer: &str,
        message: Message,
    ) -> Result<Added, Error> {
        let mut state = self.state();
        let waits = state.teams.get(&team).and_then(|team| team.dialogs.get(dialog));
        if waits.is_none_or(|waits| waits.unsure) {
            return Ok(Added::AskTheStore(message));
        }
        self.put(&mut state, team, dialog, customer, message).map(Added::Pending)
    }

    /// Adds a message to a dialog of which the store knows no decision.
    ///
    /// # Errors
    /// As [`Pending::add`].
    pub fn open(
        &self,
        team: TeamId,
        dialog: &str,
        customer: &str,
        message: Message,
    ) -> Result<Uuid, Error> {
        self.put(&mut self.state(), team, dialog, customer, message)
    }

    fn put(
        &self,
        state: &mut State,
        team: TeamId,
        dialog: &str,
        customer: &str,
        message: Message,
    ) -> Result<Uuid, Error> {
        let of_team = state.teams.entry(team).or_default();
        let waits = of_team.dialogs.get(dialog);
        if waits.is_some_and(|waits| &*waits.customer != customer) {
            return Err(other_customer());
        }
        let messages = waits.map_or(&[][..], |waits| &waits.messages);
        let before = message
            .request_id
            .and_then(|id| messages.iter().find(|before| before.request_id == Some(id)));
        if let Some(before) = before {
            return if message.repeats(before) { Ok(before.id) } else { Err(request_used()) };
        }
        let mut bytes = MESSAGE_BYTES + message.text.as_str().len() + message.language.len();
        if waits.is_none() {
            bytes += DIALOG_BYTES + dialog.len() + customer.len();
        }
        let taken = waits.map_or(0, |waits| waits.bytes);
        let Limits { team_bytes, bytes: all_bytes, .. } = self.0.limits;
        if messages.len() >= DIALOG_MESSAGES_MAX || taken + bytes > DIALOG_BYTES_MAX {
            return Err(limit("of this dialog"));
        }
        if of_team.bytes + bytes > team_bytes {
            return Err(limit("of this team"));
        }
        if state.bytes + bytes > all_bytes {
            return Err(limit("of all teams"));
        }
        of_team.bytes += bytes;
        state.bytes += bytes;
        let (id, touched_at) = (message.id, message.received_at);
        let waits = match of_team.dialogs.entry(dialog.into()) {
            Entry::Occupied(waits) => waits.into_mut(),
            Entry::Vacant(free) => {
                state.dialogs += 1;
                let (customer, messages) = (customer.into(), Vec::new());
                let begun_at = touched_at;
                free.insert(Dialog {
                    customer,
                    messages,
                    bytes: 0,
                    touched_at,
                    begun_at,
                    unsure: false,
                })
            }
        };
        let messages = &mut waits.messages;
        if messages.len() == messages.capacity() {
            // A vector by itself would double its room, or begin with four.
            messages.reserve_exact(1 + messages.len() / 4);
        }
        messages.push(message);
        waits.bytes += bytes;
        waits.touched_at = touched_at;
        gauge(state);
        Ok(id)
    }

    /// Takes out what waits of a dialog.
    #[must_use]
    pub fn take(&self, team: TeamId, dialog: &str) -> Option<Taken> {
        let mut state = self.state();
        let of_team = state.teams.get_mut(&team)?;
        let (id, dialog) = of_team.dialogs.remove_entry(dialog)?;
        of_team.out.insert(id.clone(), dialog.customer.clone());
        state.dialogs -= 1;
        Some(Taken { pending: self.clone(), team, id, dialog: Some(dialog) })
    }

    /// Whether something of a dialog waits.
    #[must_use]
    pub fn holds(&self, team: TeamId, dialog: &str) -> bool {
        self.state().teams.get(&team).is_some_and(|team| team.dialogs.contains_key(dialog))
    }

    /// The dialogs of these customers of which something waits, or is taken out.
    #[must_use]
    pub fn dialogs_of(&self, team: TeamId, is_theirs: impl Fn(&str) -> bool) -> Vec<Box<str>> {
        let state = self.state();
        let Some(of_team) = state.teams.get(&team) else { return Vec::new() };
        let waits = of_team.dialogs.iter().map(|(id, waits)| (id, &waits.customer));
        let all = waits.chain(&of_team.out);
        all.filter(|(_, customer)| is_theirs(customer)).map(|(id, _)| id.clone()).collect()
    }

    /// Says that nobody knows any longer whether a dialog should wait.
    pub fn doubt(&self, team: TeamId, dialog: &str) {
        let mut guard = self.state();
        let state = &mut *guard;
        let waits = state.teams.get_mut(&team).and_then(|team| team.dialogs.get_mut(dialog));
        if let Some(waits) = waits {
            waits.unsure = true;
            state.unsure.push((team, dialog.into()));
        }
    }

    /// The dialogs of which nobody knows whether something should wait, for whoever looks after them: each is told of once,
    /// and again when it is doubted again.
    #[must_use]
    pub fn take_unsure(&self) -> Vec<(TeamId, Box<str>)> {
        let mut unsure = std::mem::take(&mut self.state().unsure);
        unsure.sort_unstable();
        unsure.dedup();
        unsure
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state().dialogs == 0
    }

    /// How many messages of a customer wait.
    #[must_use]
    pub fn count(&self, team: TeamId, customer: &str) -> usize {
        let state = self.state();
        let dialogs = state.teams.get(&team).into_iter().flat_map(|team| team.dialogs.values());
        dialogs.filter(|waits| &*waits.customer == customer).map(|waits| waits.messages.len()).sum()
    }

    /// Messages of a customer that wait, the newest first: at most that many, and as many as fit into a page. Says
    /// also whether there are more.
    #[must_use]
    pub fn list(
        &self,
        team: TeamId,
        customer: &str,
        after: Option<TimePlace>,
        size: usize,
    ) -> (Vec<Listed>, bool) {
        let state = self.state();
        let dialogs = state.teams.get(&team).into_iter().flat_map(|team| &team.dialogs);
        let mut found: Vec<(&str, &Message)> = dialogs
            .filter(|(_, waits)| &*waits.customer == customer)
            .flat_map(|(id, waits)| waits.messages.iter().map(move |message| (&**id, message)))
            .filter(|(_, message)| {
                after.is_none_or(|after| (message.received_at, message.id) < (after.at, after.id))
            })
            .collect();
        let newest_first =
            |(_, message): &(&str, &Message)| std::cmp::Reverse((message.received_at, message.id));
        let (all, mut bytes) = (found.len(), 0);
        if size < all {
            // Everybody waits meanwhile: only what is shown is sorted.
            found.select_nth_unstable_by_key(size, newest_first);
            found.truncate(size);
        }
        found.sort_unstable_by_key(newest_first);
        let page = found.into_iter().take(size).take_while(|(_, message)| {
            let fits = bytes < PAGE_BYTES_MAX;
            bytes += message.text.as_str().len() + ENTRY_BYTES;
            fits
        });
        let page: Vec<Listed> = page
            .map(|(dialog, message)| Listed {
                message: message.clone(),
                customer: customer.to_owned(),
                dialog: dialog.to_string(),
                redacted_at: None,
            })
            .collect();
        let more = all > page.len();
        (page, more)
    }

    /// Wipes what has been idle for too long, or goes on for too long. Says how many bytes that were.
    pub fn expire(&self, now: DateTime<Utc>) -> usize {
        let (oldest, begun) = (now - self.0.limits.idle, now - AGE_MAX);
        let is_old = |waits: &Dialog| waits.touched_at <= oldest || waits.begun_at <= begun;
        let (mut expired, mut gone) = (0, 0);
        let teams: Vec<TeamId> = self.state().teams.keys().copied().collect();
        for team in teams {
            // Some at a time: the others go on meanwhile.
            loop {
                let mut state = self.state();
                let Some(of_team) = state.teams.get_mut(&team) else { break };
                let old = of_team.dialogs.extract_if(|_, waits| is_old(waits));
                let wiped: Vec<_> = old.take(WIPED_AT_A_TIME).collect();
                let bytes = wiped.iter().map(|(_, waits)| waits.bytes).sum::<usize>();
                of_team.bytes -= bytes;
                let (left, room) = (of_team.dialogs.len(), of_team.dialogs.capacity());
                if left == 0 && of_team.bytes == 0 {
                    state.teams.remove(&team);
                } else if room > SPARE && left * 4 < room {
                    of_team.dialogs.shrink_to_fit();
                }
                state.bytes -= bytes;
                gone += bytes;
                state.dialogs -= wiped.len();
                expired += wiped.len();
                gauge(&state);
                drop(state);
                if wiped.len() < WIPED_AT_A_TIME {
                    break;
                }
            }
        }
        metrics::counter!("tap_pending_expired_total").increment(expired as u64);
        gone
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can be half done under the lock: nothing in it panics.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waited of a dialog: wiped when it is dropped.
pub struct Taken {
    pending: Pending,
    team: TeamId,
    id: Box<str>,
    dialog: Option<Dialog>,
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taken")
    }
}

impl Taken {
    /// Whose it is.
    #[must_use]
    pub fn customer(&self) -> &str {
        self.dialog.as_ref().map_or("", |dialog| &dialog.customer)
    }

    /// The messages.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        self.dialog.as_ref().map_or(&[], |dialog| &dialog.messages)
    }

    /// Lets it wait again; `unsure` when nobody knows whether it should.
    pub fn put_back(mut self, unsure: bool) {
        let Some(dialog) = self.dialog.take() else { return };
        let dialog = Dialog { unsure, ..dialog };
        let pending = self.pending.clone();
        let mut guard = pending.state();
        let state = &mut *guard;
        // The team is there as long as its bytes are counted.
        let of_team = state.teams.entry(self.team).or_default();
        of_team.out.remove(&self.id);
        match of_team.dialogs.entry(self.id.clone()) {
            Entry::Vacant(free) => {
                free.insert(dialog);
                state.dialogs += 1;
                if unsure {
                    state.unsure.push((self.team, std::mem::take(&mut self.id)));
                }
            }
            // Somebody began anew without the turn: what is put back is wiped, and is counted no longer.
            Entry::Occupied(_) => self.dialog = Some(dialog),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(dialog) = self.dialog.take() else { return };
        let mut state = self.pending.state();
        state.bytes -= dialog.bytes;
        if let Some(of_team) = state.teams.get_mut(&self.team) {
            of_team.out.remove(&self.id);
            of_team.bytes -= dialog.bytes;
            if of_team.bytes == 0 && of_team.dialogs.is_empty() {
                state.teams.remove(&self.team);
            }
        }
        gauge(&state);
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn gauge(state: &State) {
    metrics::gauge!("tap_pending_bytes").set(state.bytes as f64);
    metrics::gauge!("tap_pending_dialogs").set(state.dialogs as f64);
}

/// A dialog is with one customer.
#[must_use]
pub fn other_customer() -> Error {
    let text = "this dialog is with another customer: a dialog has one";
    Error::invalid("customer_id", reasons::OTHER_CUSTOMER, text)
}

/// The id of a request was used for another message.
#[must_use]
pub fn request_used() -> Error {
    Error::AlreadyExists {
        reason: reasons::REQUEST_ID_USED,
        message: "this request_id was used for another message of the dialog: take a new one, or repeat that one as it was".to_owned(),
    }
}

fn limit(of: &str) -> Error {
    Error::LimitReached {
        reason: reasons::PENDING_LIMIT,
        message: format!(
            "the messages {of} that wait for consent take as much memory as they may: set consent, or wait until dialogs are idle for long enough"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialogs::model::Text;

    const TEAM: TeamId = TeamId(1);

    fn pending(team_bytes: usize, bytes: usize) -> Pending {
        let idle = TimeDelta::seconds(60);
        Pending::new(Limits { team_bytes, bytes, idle })
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn message(text: &str, seconds: i64) -> Message {
        Message {
            id: Uuid::now_v7(),
            request_id: None,
            language: "en".into(),
            text: Text::new(text.to_owned()),
            received_at: at(seconds),
        }
    }

    fn bytes(pending: &Pending) -> (usize, usize) {
        let state = pending.state();
        (state.bytes, state.teams.values().map(|team| team.bytes).sum())
    }

    #[test]
    fn nothing_of_a_text_is_shown() {
        let pending = pending(10_000, 10_000);
        pending.open(TEAM, "d", "c", message("secret", 0)).unwrap();
        let taken = pending.take(TEAM, "d").unwrap();
        let shown = format!("{pending:?} {taken:?} {:?}", taken.messages());
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("6 bytes"));
    }

    #[test]
    fn bytes_are_counted_until_what_was_taken_is_gone() {
        let pending = pending(10_000, 10_000);
        pending.open(TEAM, "d", "c", message("hello", 0)).unwrap();
        let held = bytes(&pending);
        let taken = pending.take(TEAM, "d").unwrap();
        assert_eq!(bytes(&pending), held);
        assert!(pending.is_empty());
        taken.put_back(false);
        assert_eq!(bytes(&pending), held);
        assert!(pending.holds(TEAM, "d"));
        drop(pending.take(TEAM, "d"));
        assert_eq!(bytes(&pending), (0, 0));
        assert!(pending.state().teams.is_empty());
    }

    #[test]
    fn what_is_put_back_where_something_is_already_is_wiped_and_not_counted() {
        let pending = pending(10_000, 10_000);
        pending.open(TEAM, "d", "c", message("hello", 0)).unwrap();
        let held = bytes(&pending);
        let taken = pending.take(TEAM, "d").unwrap();
        pending.open(TEAM, "d", "c", message("later", 0)).unwrap();
        taken.put_back(true);
        assert_eq!(bytes(&pending), held);
        assert!(pending.take_unsure().is_empty());
        let taken = pending.take(TEAM, "d").unwrap();
        assert_eq!(taken.messages()[0].text.as_str(), "later");
        taken.put_back(true);
        pending.doubt(TEAM, "d");
        pending.doubt(TEAM, "nothing waits");
        assert_eq!(pending.take_unsure(), [(TEAM, "d".into())]);
        assert!(pending.take_unsure().is_empty());
        let asks = pending.add(TEAM, "d", "c", message("more", 0)).unwrap();
        assert!(matches!(asks, Added::AskTheStore(_)));
    }

    #[test]
    fn a_dialog_does_not_go_on_for_ever_without_a_decision() {
        let pending = pending(usize::MAX, usize::MAX);
        let day = 24 * 60 * 60;
        pending.open(TEAM, "busy", "c", message("hello", 0)).unwrap();
        pending.open(TEAM, "busy", "c", message("hello", day - 1)).unwrap();
        pending.expire(at(day - 1));
        assert!(pending.holds(TEAM, "busy"));
        pending.expire(at(day));
        assert!(!pending.holds(TEAM, "busy"));
    }

    #[test]
    fn a_team_has_its_budget_and_all_together_have_one() {
        let pending = pending(3_000, 4_000);
        let fill = |team: i32| {
            let fits = (0..).take_while(|nth: &i32| {
                pending.open(TeamId(team), &nth.to_string(), "c", message("hello", 0)).is_ok()
            });
            fits.count()
        };
        assert_eq!((fill(1), fill(2)), (6, 2));
        let error = pending.open(TeamId(3), "d", "c", message("hello", 0)).unwrap_err();
        assert_eq!(error.code().1, reasons::PENDING_LIMIT);
        let (all, of_teams) = bytes(&pending);
        assert!(all == of_teams && all <= 4_000, "{all} {of_teams}");
        // A refusal changes nothing of what is there.
        drop(pending.take(TeamId(1), "0"));
        pending.open(TeamId(3), "d", "c", message("hello", 0)).unwrap();
    }

    #[test]
    fn what_is_idle_is_wiped_and_what_is_taken_out_is_not() {
        let pending = pending(10_000, 10_000);
        for (dialog, seconds) in [("old", 0), ("new", 50), ("taken", 0)] {
            pending.open(TEAM, dialog, "c", message("hello", seconds)).unwrap();
        }
        let taken = pending.take(TEAM, "taken").unwrap();
        pending.expire(at(60));
        assert!(!pending.holds(TEAM, "old") && pending.holds(TEAM, "new"));
        taken.put_back(false);
        assert!(pending.holds(TEAM, "taken"));
        pending.expire(at(110));
        assert_eq!(bytes(&pending), (0, 0));
        assert!(pending.is_empty() && pending.state().teams.is_empty());
    }

    #[test]
    fn a_dialog_has_one_customer_and_a_request_one_message() {
        let pending = pending(10_000, 10_000);
        let id = Some(Uuid::now_v7());
        let first = Message { request_id: id, ..message("hello", 0) };
        let first_id = pending.open(TEAM, "d", "c", first.clone()).unwrap();
        let other = pending.add(TEAM, "d", "x", message("hello", 0)).unwrap_err();
        assert!(matches!(other, Error::Invalid(_)));
        let again = Message { id: Uuid::now_v7(), received_at: at(9), ..first.clone() };
        let again = pending.add(TEAM, "d", "c", again).unwrap();
        assert!(matches!(again, Added::Pending(id) if id == first_id), "{again:?}");
        let changed = Message { text: Text::new("other".to_owned()), ..first };
        let error = pending.add(TEAM, "d", "c", changed).unwrap_err();
        assert_eq!(error.code().1, reasons::REQUEST_ID_USED);
        assert_eq!(pending.count(TEAM, "c"), 1);
    }

    #[test]
    fn a_dialog_is_bounded() {
        let pending = pending(usize::MAX, usize::MAX);
        let most = (0..2_000)
            .take_while(|_| pending.open(TEAM, "d", "c", message("hello", 0)).is_ok())
            .count();
        assert_eq!(most, DIALOG_MESSAGES_MAX);
        let long = "x".repeat(40_000);
        let most = (0..2_000)
            .take_while(|_| pending.open(TEAM, "e", "c", message(&long, 0)).is_ok())
            .count();
        assert_eq!(most, 26);
    }

    #[test]
    fn what_waits_of_a_customer_is_listed_in_pages() {
        let pending = pending(usize::MAX, usize::MAX);
        for nth in 0..10 {
            let dialog = format!("d{}", nth % 3);
            pending.open(TEAM, &dialog, "c", message(&nth.to_string(), nth / 2)).unwrap();
        }
        pending.open(TEAM, "other", "x", message("x", 0)).unwrap();
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let (page, more) = pending.list(TEAM, "c", after, 3);
            seen.extend(page.iter().map(|listed| listed.message.text.as_str().to_owned()));
            let last = page.last().unwrap();
            after = Some(TimePlace { at: last.message.received_at, id: last.message.id });
            if !more {
                break;
            }
        }
        assert_eq!(seen, ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]);
    }
}
