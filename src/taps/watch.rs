//! `WatchTaps` for one reader: the answer to a query, and then what changes in it.
//!
//! A change is the difference of two answers, so whoever applies them always has what `QueryTaps`
//! answers. Answers are kept and shared ([`super::answers`]): many that watch the same cost one count.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::{sync::watch, time};

use super::{
    answers::{Answered, Answers},
    live::LiveTaps,
    model::Query,
};
use crate::{
    error::Error,
    feeds::live::{Feed, Feeds},
    ids::TeamId,
    proto::tap_v1::{Change, CountChange, GroupChange, QueryTapsResponse},
    streams::{EndReason, HEARTBEAT, Lifeline},
};

/// At most four frames a second.
const FRAME_INTERVAL: time::Duration = time::Duration::from_millis(250);
/// A watch may keep the store busy for at most a third of the time.
const REST_FACTOR: u32 = 2;
/// How long to wait when the store cannot be asked.
const RETRY_WAIT: time::Duration = time::Duration::from_secs(1);

/// One reader of the changes of an answer.
#[derive(Debug)]
pub struct Watcher {
    pub team: TeamId,
    query: Query,
    answers: Answers,
    /// Held so that the feed goes on.
    _feed: Arc<Feed<LiveTaps>>,
    position: watch::Receiver<i64>,
    lifeline: Lifeline,
    now: Answered,
    work: Option<Work>,
    begun: bool,
    ended: bool,
    quiet_since: time::Instant,
    /// Not to be counted again before.
    rest_until: time::Instant,
}

/// What a reader is given.
#[derive(Debug)]
pub enum Frame {
    Answer(Box<QueryTapsResponse>),
    Change(Change),
    Heartbeat,
    End(EndReason),
}

impl Watcher {
    /// Counts what is there, for a reader to begin with.
    ///
    /// # Errors
    /// As [`Answers::query_taps`].
    pub async fn open(
        answers: &Answers,
        feeds: &Feeds<LiveTaps>,
        team: TeamId,
        query: Query,
        lifeline: Lifeline,
    ) -> Result<Self, Error> {
        let feed = feeds.follow(team);
        // What comes from here on is a change, or in the answer already.
        let position = feed.position();
        let now = answers.query_taps(team, query.clone()).await?;
        let quiet_since = time::Instant::now();
        Ok(Self {
            team,
            query,
            answers: answers.clone(),
            _feed: feed,
            position,
            lifeline,
            now,
            work: None,
            begun: false,
            ended: false,
            quiet_since,
            rest_until: quiet_since + FRAME_INTERVAL,
        })
    }

    /// The revision that the reader has counted.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.now.revision()
    }

    /// The next frame; `None` after the last. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Option<Frame> {
        if self.ended {
            return None;
        }
        let frame = if self.begun {
            self.next_frame().await
        } else {
            Frame::Answer(Box::new(self.now.response().clone()))
        };
        self.begun = true;
        self.ended = matches!(frame, Frame::End(_));
        self.quiet_since = time::Instant::now();
        Some(frame)
    }

    async fn next_frame(&mut self) -> Frame {
        loop {
            let work = match &mut self.work {
                Some(work) => work,
                None => self.work.insert(self.begin_work()),
            };
            let (answer, rest_until) = tokio::select! {
                biased;
                reason = self.lifeline.ended() => return Frame::End(reason),
                done = &mut work.0 => done,
                // The work goes on.
                () = time::sleep_until(self.quiet_since + HEARTBEAT) => return Frame::Heartbeat,
            };
            (self.work, self.rest_until) = (None, rest_until);
            match answer {
                Ok(answer) => {
                    let change = difference(self.now.response(), answer.response());
                    self.now = answer;
                    match change {
                        Difference::None => {}
                        Difference::Change(change) => return Frame::Change(change),
                        Difference::Whole => {
                            return Frame::Answer(Box::new(self.now.response().clone()));
                        }
                    }
                }
                // The reader hears heartbeats until it can be counted again.
                Err(Error::StoreUnavailable(_) | Error::TooSlow) => {
                    self.rest_until = time::Instant::now() + RETRY_WAIT;
                }
                Err(_) => return Frame::End(EndReason::Failed),
            }
        }
    }
}

/// Waits until the answer may be another, and counts it: what it is, and until when to rest.
struct Work(BoxFuture<'static, (Result<Answered, Error>, time::Instant)>);

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

impl Watcher {
    fn begin_work(&self) -> Work {
        let (answers, team, query) = (self.answers.clone(), self.team, self.query.clone());
        let (mut position, counted) = (self.position.clone(), self.now.revision());
        // A bucket that is open now will be past: its state changes without a tap.
        let (stale_at, rest_until) = (answers.stale_at(&self.now), self.rest_until);
        Work(Box::pin(async move {
            tokio::select! {
                // The feed is held: its position is told for as long as we are here.
                _ = position.wait_for(|position| *position > counted) => {}
                () = sleep_until(stale_at) => {}
            }
            time::sleep_until(rest_until).await;
            let start = time::Instant::now();
            let answer = answers.query_taps(team, query).await;
            let rest = FRAME_INTERVAL.max(start.elapsed() * (REST_FACTOR + 1));
            (answer, start + rest)
        }))
    }
}

async fn sleep_until(at: Option<time::Instant>) {
    match at {
        Some(at) => time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How two answers to the same query differ.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    None,
    Change(Change),
    /// So much that the newer one is best given whole.
    Whole,
}

/// How two answers to the same query differ.
#[expect(clippy::float_cmp, reason = "counts are whole numbers, exact")]
#[must_use]
pub fn difference(old: &QueryTapsResponse, new: &QueryTapsResponse) -> Difference {
    let same_groups = old.groups.len() == new.groups.len()
        && old.groups.iter().zip(&new.groups).all(|(old, new)| {
            (&old.key, &old.label, old.other) == (&new.key, &new.label, new.other)
        });
    let same_comparison = match (&old.comparison, &new.comparison) {
        (Some(old), Some(new)) => (old.total, &old.counts) == (new.total, &new.counts),
        (None, None) => true,
        _ => false,
    };
    if !same_groups || !same_comparison || old.buckets.len() != new.buckets.len() {
        return Difference::Whole;
    }
    let buckets = old.buckets.iter().zip(&new.buckets).filter(|(old, new)| old != new);
    let groups = old.groups.iter().zip(&new.groups).enumerate();
    let groups = groups.filter(|(_, (old, new))| old != new).map(|(at, (old, new))| {
        let counts = old.counts.iter().zip(&new.counts).enumerate();
        let counts = counts.filter(|(_, (old, new))| old != new);
        GroupChange {
            index: index(at),
            total: new.total,
            counts: counts
                .map(|(at, (_, count))| CountChange { index: index(at), count: *count })
                .collect(),
        }
    });
    let change = Change {
        buckets: buckets.map(|(_, new)| new.clone()).collect(),
        total: new.total,
        groups: groups.collect(),
        resume_token: String::new(),
    };
    if old.total == new.total && change.buckets.is_empty() && change.groups.is_empty() {
        Difference::None
    } else {
        Difference::Change(change)
    }
}

fn index(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}
