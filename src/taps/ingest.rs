//! `IngestTaps` for one caller: batch after batch, a few under way at a time, answered in order.

use std::sync::Arc;

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use tokio::sync::oneshot;
use tonic::{Status, Streaming};

use super::{record::Recording, rpc::Taps, wire};
use crate::{
    auth::Caller,
    error::{self, Error},
    limits,
    proto::{IngestBatch, tap_v1::IngestTapsResponse},
    quotas::Class,
    reasons,
    streams::{EndReason, Lifeline},
};

/// Batches of one stream that are under way. While there are as many, nothing more is read, and the
/// caller's own buffers fill: that is the back-pressure.
const UNDER_WAY_MAX: usize = 4;

type Done = Result<(i64, Recording), Error>;

/// One stream of batches.
#[derive(Debug)]
pub struct Ingest {
    taps: Taps,
    caller: Caller,
    batches: Streaming<IngestBatch>,
    lifeline: Lifeline,
    under_way: FuturesOrdered<BoxFuture<'static, Done>>,
    last_sequence: Option<i64>,
    /// Ends when the last batch is in the line.
    entered: Option<oneshot::Receiver<()>>,
    state: State,
}

/// Whether there is more to read.
#[derive(Debug)]
enum State {
    Reading,
    /// What is under way is still answered, and then this is told.
    Ending(Option<Status>),
    Ended,
}

impl Ingest {
    /// A stream that was just opened.
    #[must_use]
    pub fn new(
        taps: Taps,
        caller: Caller,
        batches: Streaming<IngestBatch>,
        lifeline: Lifeline,
    ) -> Self {
        Self {
            taps,
            caller,
            batches,
            lifeline,
            under_way: FuturesOrdered::new(),
            last_sequence: None,
            entered: None,
            state: State::Reading,
        }
    }

    /// The next answer; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<IngestTapsResponse, Status>> {
        loop {
            if let State::Ended = self.state {
                return None;
            }
            if let State::Ending(end) = &mut self.state
                && self.under_way.is_empty()
            {
                let end = end.take();
                self.state = State::Ended;
                return end.map(Err);
            }
            let reading = matches!(self.state, State::Reading);
            tokio::select! {
                biased;
                Some(done) = self.under_way.next() => match done {
                    Ok((sequence, recording)) => {
                        let tokens = &self.taps.tokens;
                        let token = tokens.issue(self.caller.team, recording.revision);
                        return Some(Ok(wire::ingest_response(sequence, recording, token)));
                    }
                    Err(error) => {
                        // What comes after it is not answered: the caller sends it again.
                        self.under_way.clear();
                        self.state = State::Ending(Some(error.into()));
                    }
                },
                reason = self.lifeline.ended(), if reading => {
                    self.state = State::Ending(Some(end_status(reason)));
                }
                batch = self.batches.next(), if reading && self.under_way.len() < UNDER_WAY_MAX => {
                    if let Err(end) = self.take(batch) {
                        self.state = State::Ending(end);
                    }
                }
            }
        }
    }

    /// Starts work on a batch, or says that there are no more, and with which error if any.
    fn take(&mut self, batch: Option<Result<IngestBatch, Status>>) -> Result<(), Option<Status>> {
        // Such as that it is too large: what tonic says of it lacks our details.
        let batch = batch.ok_or(None)?.map_err(|status| error::complete(&status))?;
        let IngestBatch { sequence, taps } = batch;
        if self.last_sequence.is_some_and(|last| sequence <= last) {
            let text = "must be larger with each batch";
            return Err(Some(Error::invalid("sequence", reasons::OUT_OF_SEQUENCE, text).into()));
        }
        self.last_sequence = Some(sequence);
        let checked =
            wire::taps(taps, self.taps.clock.now(), self.taps.retention).map_err(Status::from)?;
        limits::charge(&self.caller, Class::Write)?;

        let (recorder, team) = (self.taps.recorder.clone(), self.caller.team);
        // Goes on by itself: while its caller does not read, nobody would go on with it here, and the room
        // that it holds in the queue would be lost to others.
        let (entered, after) = oneshot::channel::<()>();
        let before = self.entered.replace(after);
        let recording = tokio::spawn(async move {
            // In the order in which they came; also after one that failed.
            if let Some(before) = before {
                let _entered_or_failed = before.await;
            }
            let begun = recorder.begin(team, checked).await?;
            drop(entered);
            begun.finish().await
        });
        let quotas = Arc::clone(&self.caller.quotas);
        self.under_way.push_back(Box::pin(async move {
            let recorded = recording.await.map_err(Error::internal)?;
            if let Err(Error::StoreUnavailable(_) | Error::Busy) = &recorded {
                // As for other calls: there was no work for it.
                quotas.bucket(Class::Write).give_back();
            }
            Ok((sequence, recorded?))
        }));
        Ok(())
    }
}

fn end_status(reason: EndReason) -> Status {
    match reason {
        EndReason::KeyRevoked => Error::Unauthenticated {
            reason: reasons::API_KEY_REVOKED,
            message: "this API key was revoked: use another",
        },
        EndReason::KeyExpired => Error::Unauthenticated {
            reason: reasons::API_KEY_EXPIRED,
            message: "this API key has expired: use a new one",
        },
        EndReason::KeyChanged
        | EndReason::AccessTokenExpired
        | EndReason::Draining
        | EndReason::TokenExpired
        | EndReason::Done
        | EndReason::Failed => Error::Draining,
    }
    .into()
}
