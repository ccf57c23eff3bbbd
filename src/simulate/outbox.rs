//! Taps that wait to be sent, within bounds, and what became of those that were.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{crowd::Made, visit::Tapped};
use crate::{
    proto::tap_v1::{NewTap, RecordTapsResponse},
    taps::model::BATCH_TAPS_MAX,
};

/// Taps that wait at most while the service is away: some 20 MB.
const WAITING_MAX: usize = 50_000;

/// Taps that wait to be sent. One puts them in, another takes them out.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Made>,
    /// Taps of the call that is under way.
    under_way: usize,
    closed: bool,
    tally: Tally,
}

/// The taps of one call.
#[derive(Debug)]
pub struct Batch {
    pub taps: Vec<NewTap>,
    /// How many of them come for a second time.
    pub repeats: u32,
    /// Those that lead to a visit, by their places.
    pub visits: Vec<(usize, Tapped)>,
}

/// What became of the taps so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Counts are doubles, as in the answers.
    pub accepted: f64,
    pub duplicates: f64,
    pub rejected: f64,
    /// How many were rejected for each reason.
    pub reasons: BTreeMap<String, u32>,
    /// The oldest of those that waited, for which there was no room.
    pub dropped: u64,
    /// Those that have no answer yet.
    pub waiting: usize,
}

impl Outbox {
    /// Leaves a tap to be sent. Where there is no room for it, the oldest goes.
    pub fn put(&self, made: Made) {
        let mut state = self.state();
        if state.waiting.len() >= WAITING_MAX {
            state.waiting.pop_front();
            state.tally.dropped += 1;
        }
        state.waiting.push_back(made);
        self.news.notify_one();
    }

    /// There will be no more.
    pub fn close(&self) {
        self.state().closed = true;
        self.news.notify_one();
    }

    /// The taps of the next call; `None` once there will be no more.
    pub async fn take(&self) -> Option<Batch> {
        loop {
            {
                let mut state = self.state();
                let len = state.waiting.len().min(BATCH_TAPS_MAX);
                if len > 0 {
                    state.under_way = len;
                    let made: Vec<Made> = state.waiting.drain(..len).collect();
                    let repeats = made.iter().map(|made| u32::from(made.repeat)).sum();
                    let visits = made.iter().enumerate();
                    let visits = visits.filter_map(|(place, made)| Some((place, made.visit?)));
                    let visits = visits.collect();
                    let taps = made.into_iter().map(|made| made.tap).collect();
                    return Some(Batch { taps, repeats, visits });
                }
                if state.closed {
                    return None;
                }
            }
            self.news.notified().await;
        }
    }

    /// Notes the answer to a call. `retried` is how many of its taps came for a second time, if the call
    /// was not the first one with them: when there are more duplicates than that, an earlier call had
    /// stored them and its answer was lost.
    pub fn note(&self, answer: &RecordTapsResponse, retried: Option<u32>) {
        let stored_before =
            retried.map_or(0.0, |repeats| (answer.duplicates - f64::from(repeats)).max(0.0));
        let mut state = self.state();
        state.under_way = 0;
        let tally = &mut state.tally;
        tally.accepted += answer.accepted + stored_before;
        tally.duplicates += answer.duplicates - stored_before;
        for rejected in &answer.rejected {
            tally.rejected += 1.0;
            for violation in &rejected.violations {
                *tally.reasons.entry(violation.reason.clone()).or_default() += 1;
            }
        }
    }

    /// What became of the taps so far.
    pub fn tally(&self) -> Tally {
        let state = self.state();
        Tally { waiting: state.waiting.len() + state.under_way, ..state.tally.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// How many were answered.
    pub fn sent(&self) -> f64 {
        self.accepted + self.duplicates + self.rejected
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, duplicates, rejected, reasons, dropped, waiting } = self;
        write!(f, "{accepted} accepted, {duplicates} duplicates, {rejected} rejected")?;
        if !reasons.is_empty() {
            let reasons: Vec<String> =
                reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            write!(f, " ({})", reasons.join(", "))?;
        }
        if *dropped > 0 {
            write!(f, ", {dropped} dropped")?;
        }
        if *waiting > 0 {
            write!(f, ", {waiting} wait for an answer")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use fastrand::Rng;

    use super::*;
    use crate::simulate::crowd::Crowd;

    fn put(outbox: &Outbox, count: usize) -> Vec<Made> {
        let mut crowd = Crowd::new(vec!["a".to_owned()], Rng::with_seed(1), 0.5);
        let taps: Vec<Made> =
            (0..count).map(|_| crowd.tap(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))).collect();
        for made in &taps {
            outbox.put(made.clone());
        }
        taps
    }

    #[tokio::test]
    async fn calls_are_as_large_as_they_may_and_nothing_is_left_behind() {
        let outbox = Outbox::default();
        let taps = put(&outbox, BATCH_TAPS_MAX + 7);
        let first = outbox.take().await.unwrap();
        assert_eq!(first.taps.len(), BATCH_TAPS_MAX);
        assert_eq!(outbox.tally().waiting, taps.len(), "it has no answer yet");
        outbox.note(&RecordTapsResponse { accepted: 5000.0, ..Default::default() }, None);
        assert_eq!(outbox.tally().waiting, 7);
        outbox.close();
        let second = outbox.take().await.unwrap();
        let repeats: usize = taps.iter().filter(|made| made.repeat).count();
        assert_eq!(first.repeats + second.repeats, u32::try_from(repeats).unwrap());
        let sent = first.taps.iter().chain(&second.taps);
        assert!(sent.eq(taps.iter().map(|made| &made.tap)), "all of them, in their order");
        for (batch, from) in [(&first, 0), (&second, BATCH_TAPS_MAX)] {
            assert!(
                batch.visits.iter().all(|(place, visit)| taps[from + place].visit == Some(*visit))
            );
        }
        let visits = taps.iter().filter(|made| made.visit.is_some()).count();
        assert_eq!(first.visits.len() + second.visits.len(), visits);
        assert!(outbox.take().await.is_none());
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_the_oldest_first() {
        let outbox = Outbox::default();
        let taps = put(&outbox, WAITING_MAX + 3);
        let tally = outbox.tally();
        assert_eq!((tally.dropped, tally.waiting), (3, WAITING_MAX));
        assert_eq!(outbox.take().await.unwrap().taps[0], taps[3].tap);
        assert!(tally.to_string().ends_with("3 dropped, 50000 wait for an answer"), "{tally}");
    }

    #[test]
    fn what_a_lost_answer_had_accepted_is_accepted() {
        let outbox = Outbox::default();
        let answer = RecordTapsResponse { accepted: 1.0, duplicates: 9.0, ..Default::default() };
        outbox.note(&answer, None);
        assert_eq!(outbox.tally().to_string(), "1 accepted, 9 duplicates, 0 rejected");
        outbox.note(&answer, Some(2));
        assert_eq!(outbox.tally().to_string(), "9 accepted, 11 duplicates, 0 rejected");
    }
}
