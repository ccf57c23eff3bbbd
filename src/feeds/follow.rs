//! A stream for one reader: everything after its place, each item once and in order, then live.
//!
//! The reader listens to the team's feed before it looks into the store, so nothing falls between the
//! two; its place, the last revision that it was given, tells what it has had already. Whenever the feed
//! is ahead of its place, at the start or because it was slow, it reads the store up to there.

use std::{collections::VecDeque, sync::Arc};

use tokio::{sync::broadcast, time};

use super::{
    Followed,
    live::{Batch, Feed, Feeds, Live, Page},
};
use crate::{
    error::Error,
    ids::TeamId,
    streams::{EndReason, HEARTBEAT, Lifeline},
};

/// How long to wait when the store cannot be read.
const RETRY_WAIT: time::Duration = time::Duration::from_millis(500);

/// After so many frames to look whether the stream has to end.
const LOOK_AFTER: u32 = 64;

/// One reader of a team's items.
#[derive(Debug)]
pub struct Follower<K: Followed> {
    pub team: TeamId,
    feeds: Feeds<K>,
    /// Held so that the feed goes on.
    _feed: Arc<Feed<K>>,
    batches: broadcast::Receiver<Arc<Batch<K>>>,
    filter: K::Filter,
    lifeline: Lifeline,
    /// Everything up to here was given.
    position: i64,
    ready: Ready<K>,
    /// The feed is ahead: the store has what lies between.
    behind: bool,
    phase: Phase,
    quiet_since: time::Instant,
    /// Counts what was given.
    given: u32,
}

/// What was given last.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing yet.
    New,
    /// A frame, since `quiet_since`.
    Spoke,
    /// Nothing since `quiet_since`.
    Quiet,
    /// The last frame.
    Ended,
}

/// Items that were had and not yet given.
#[derive(Debug)]
enum Ready<K: Followed> {
    None,
    /// Of the feed: those from this place on.
    Batch(Arc<Batch<K>>, usize),
    /// Of the store; these bring us to this revision.
    Page(VecDeque<K::Item>, i64),
}

/// What a reader is given. Each stands for a place, which [`Follower::position`] tells after it.
#[derive(Debug)]
pub enum Frame<K: Followed> {
    Hello,
    /// Of the feed.
    Live(Place<K>),
    /// Of the store.
    Replayed(Box<K::Item>),
    Heartbeat,
    End(EndReason),
}

/// Where an item is among those of a feed.
#[derive(Debug)]
pub struct Place<K: Followed> {
    batch: Arc<Batch<K>>,
    at: usize,
}

impl<K: Followed> Place<K> {
    /// The item, as all followers have it.
    #[must_use]
    pub fn live(&self) -> Option<&Live<K>> {
        self.batch.items.get(self.at)
    }
}

impl<K: Followed> Follower<K> {
    /// A reader that begins after a revision, or at the present.
    ///
    /// # Errors
    /// [`Error::ResumeTokenExpired`] when items after that revision are gone; as [`crate::db::query`].
    pub async fn open(
        feeds: &Feeds<K>,
        team: TeamId,
        after: Option<i64>,
        filter: K::Filter,
        lifeline: Lifeline,
    ) -> Result<Self, Error> {
        // First listen, then look.
        let feed = feeds.follow(team);
        let batches = feed.batches();
        let state = feeds.state(team).await?;
        let position = after.unwrap_or(state.revision);
        if position < state.replay_after || position > state.revision {
            return Err(Error::ResumeTokenExpired { message: K::EXPIRED });
        }
        Ok(Self {
            team,
            feeds: feeds.clone(),
            _feed: feed,
            batches,
            filter,
            lifeline,
            position,
            ready: Ready::None,
            behind: position < state.revision,
            phase: Phase::New,
            given: 0,
            quiet_since: time::Instant::now(),
        })
    }

    /// Everything up to here was given.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The next frame; `None` after the last. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Option<Frame<K>> {
        let frame = match self.phase {
            Phase::New => Frame::Hello,
            Phase::Spoke | Phase::Quiet => self.next_frame().await,
            Phase::Ended => return None,
        };
        let last = matches!(frame, Frame::End(_));
        self.phase = if last { Phase::Ended } else { Phase::Spoke };
        Some(frame)
    }

    async fn next_frame(&mut self) -> Frame<K> {
        loop {
            // Who reads slowly must not go on reading for long when it may no longer.
            self.given = self.given.wrapping_add(1);
            if self.given.is_multiple_of(LOOK_AFTER)
                && let Some(reason) = self.lifeline.has_ended()
            {
                return Frame::End(reason);
            }
            if let Some(frame) = self.take_ready() {
                return frame;
            }
            // Not for each item: there may be a million a second.
            if self.phase == Phase::Spoke {
                self.phase = Phase::Quiet;
                self.quiet_since = time::Instant::now();
            }
            if let Some(reason) = self.lifeline.has_ended() {
                return Frame::End(reason);
            }
            let silence = time::sleep_until(self.quiet_since + HEARTBEAT);
            if self.behind {
                tokio::select! {
                    reason = self.lifeline.ended() => return Frame::End(reason),
                    () = silence => return Frame::Heartbeat,
                    page = self.feeds.read(self.team, self.position, &self.filter) => match page {
                        Ok(Page { state, .. })
                            if self.position < state.replay_after
                                || self.position > state.revision =>
                        {
                            return Frame::End(EndReason::TokenExpired);
                        }
                        Ok(Page { items, upto, state }) => {
                            self.behind = upto < state.revision;
                            self.ready = Ready::Page(items.into(), upto);
                        }
                        Err(error @ Error::Internal(_)) => {
                            let cause = error.log_text();
                            let (team, kind) = (self.team.0, K::NAME);
                            tracing::error!(team, kind, cause, "a stream cannot go on");
                            return Frame::End(EndReason::Failed);
                        }
                        // The reader hears heartbeats until the store is back.
                        Err(_) => time::sleep(RETRY_WAIT).await,
                    },
                }
                continue;
            }
            tokio::select! {
                biased;
                reason = self.lifeline.ended() => return Frame::End(reason),
                batch = self.batches.recv() => match batch {
                    Ok(batch) if batch.lost => return Frame::End(EndReason::TokenExpired),
                    Ok(batch) if batch.after > self.position => self.behind = true,
                    Ok(batch) => self.ready = Ready::Batch(batch, 0),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                    Err(broadcast::error::RecvError::Closed) => return Frame::End(EndReason::Failed),
                },
                () = silence => return Frame::Heartbeat,
            }
        }
    }

    /// The next item of those that were had, if it is wanted and new.
    fn take_ready(&mut self) -> Option<Frame<K>> {
        match &mut self.ready {
            Ready::None => None,
            Ready::Batch(batch, next) => {
                while let Some(Live { item, .. }) = batch.items.get(*next) {
                    let (at, revision) = (*next, K::revision(item));
                    *next += 1;
                    if revision > self.position && K::wants(&self.filter, item) {
                        self.position = revision;
                        return Some(Frame::Live(Place { batch: Arc::clone(batch), at }));
                    }
                }
                self.position = self.position.max(batch.last);
                self.ready = Ready::None;
                None
            }
            Ready::Page(items, upto) => {
                if let Some(item) = items.pop_front() {
                    self.position = K::revision(&item);
                    return Some(Frame::Replayed(Box::new(item)));
                }
                self.position = *upto;
                self.ready = Ready::None;
                None
            }
        }
    }
}
