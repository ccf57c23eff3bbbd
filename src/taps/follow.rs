//! `StreamTaps` for one reader: everything after its place, each tap once and in order, then live.
//!
//! The reader listens to the team's feed before it looks into the store, so nothing falls between the
//! two; its place, the last revision that it was given, tells what it has had already. Whenever the feed
//! is ahead of its place, at the start or because it was slow, it reads the store up to there.

use std::{collections::VecDeque, sync::Arc};

use tokio::{sync::broadcast, time};

use super::{
    live::{Batch, Feed, Feeds, LiveTap, Page},
    model::{Filter, NamedTap},
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

/// One reader of a team's taps.
#[derive(Debug)]
pub struct Follower {
    pub team: TeamId,
    feeds: Feeds,
    /// Held so that the feed goes on.
    _feed: Arc<Feed>,
    batches: broadcast::Receiver<Arc<Batch>>,
    filter: Filter,
    lifeline: Lifeline,
    /// Everything up to here was given.
    position: i64,
    ready: Ready,
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

/// Taps that were had and not yet given.
#[derive(Debug)]
enum Ready {
    None,
    /// Of the feed: those from this place on.
    Batch(Arc<Batch>, usize),
    /// Of the store; these bring us to this revision.
    Page(VecDeque<NamedTap>, i64),
}

/// What a reader is given. Each stands for a place, which [`Follower::position`] tells after it.
#[derive(Debug)]
pub enum Frame {
    Hello,
    Tap(Place),
    Replayed(Box<NamedTap>),
    Heartbeat,
    End(EndReason),
}

/// Where a tap is among those of a feed.
#[derive(Debug)]
pub struct Place {
    batch: Arc<Batch>,
    at: usize,
}

impl Place {
    /// The tap.
    #[must_use]
    pub fn tap(&self) -> Option<&LiveTap> {
        self.batch.taps.get(self.at)
    }
}

impl Follower {
    /// A reader that begins after a revision, or at the present.
    ///
    /// # Errors
    /// [`Error::ResumeTokenExpired`] when taps after that revision are gone; as [`crate::db::query`].
    pub async fn open(
        feeds: &Feeds,
        team: TeamId,
        after: Option<i64>,
        filter: Filter,
        lifeline: Lifeline,
    ) -> Result<Self, Error> {
        // First listen, then look.
        let feed = feeds.follow(team);
        let batches = feed.batches();
        let state = feeds.state(team).await?;
        let position = after.unwrap_or(state.revision);
        if position < state.replay_after || position > state.revision {
            return Err(Error::ResumeTokenExpired);
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
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = match self.phase {
            Phase::New => Frame::Hello,
            Phase::Spoke | Phase::Quiet => self.next_frame().await,
            Phase::Ended => return None,
        };
        let last = matches!(frame, Frame::End(_));
        self.phase = if last { Phase::Ended } else { Phase::Spoke };
        Some(frame)
    }

    async fn next_frame(&mut self) -> Frame {
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
            // Not for each tap: there may be a million a second.
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
                        Ok(Page { taps, upto, state }) => {
                            self.behind = upto < state.revision;
                            self.ready = Ready::Page(taps.into(), upto);
                        }
                        Err(error @ Error::Internal(_)) => {
                            let cause = error.log_text();
                            tracing::error!(team = self.team.0, cause, "a stream cannot go on");
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

    /// The next tap of those that were had, if it is wanted and new.
    fn take_ready(&mut self) -> Option<Frame> {
        match &mut self.ready {
            Ready::None => None,
            Ready::Batch(batch, next) => {
                while let Some(LiveTap { named, .. }) = batch.taps.get(*next) {
                    let (at, revision) = (*next, named.stored.revision);
                    *next += 1;
                    if revision > self.position && self.filter.wants(&named.stored.tap) {
                        self.position = revision;
                        return Some(Frame::Tap(Place { batch: Arc::clone(batch), at }));
                    }
                }
                self.position = self.position.max(batch.last);
                self.ready = Ready::None;
                None
            }
            Ready::Page(taps, upto) => {
                if let Some(tap) = taps.pop_front() {
                    self.position = tap.stored.revision;
                    return Some(Frame::Replayed(Box::new(tap)));
                }
                self.position = *upto;
                self.ready = Ready::None;
                None
            }
        }
    }
}
