//! Brings taps to the service, call by call, however often it fails.

use std::{cell::Cell, collections::HashSet, fmt::Display, pin::pin, time::Duration};

use anyhow::anyhow;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_types::StatusExt as _;

use super::{
    LAST_CALLS, Options,
    crowd::Crowd,
    make,
    outbox::{Batch, Outbox},
    past::Past,
    progress::Progress,
    visits::Visits,
};
use crate::{
    clock::Clock,
    ids::TeamId,
    proto::tap_v1::{RecordTapsRequest, tap_analytics_client::TapAnalyticsClient},
};

/// How long to wait before a call is made again: doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often it is said that the service is still away.
pub(super) const SAY_AGAIN: Duration = Duration::from_secs(10);

/// Brings taps to the service.
pub(super) struct Sender<'a> {
    pub client: TapAnalyticsClient<Channel>,
    pub key: MetadataValue<Ascii>,
    pub options: &'a Options,
    pub team: TeamId,
    pub outbox: &'a Outbox,
    pub visits: &'a Visits,
    pub progress: &'a Progress,
}

impl Sender<'_> {
    /// Records the past, until told to stop.
    pub(super) async fn record_past(
        &mut self,
        mut past: Past<'_>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let (outbox, visits, progress) = (self.outbox, self.visits, self.progress);
        let done = Cell::new(0.0);
        let sending = async {
            while !stop.is_cancelled() {
                let taps = past.batch();
                if taps.is_empty() {
                    progress.say(&format!("the past is recorded: {}", outbox.tally()));
                    break;
                }
                for made in taps {
                    outbox.put(made);
                }
                if let Some(batch) = outbox.take().await {
                    self.deliver(batch).await?;
                }
                self.visits.caught_up().await;
                done.set(past.done());
            }
            Ok(())
        };
        let stopped = async {
            stop.cancelled().await;
            time::sleep(LAST_CALLS).await;
        };
        let stage = || format!("{:.0} % of the past, ", 100.0 * done.get());
        tokio::select! {
            ended = sending => ended,
            () = progress.follow(stage, || outbox.tally(), || visits.to_string()) => Ok(()),
            () = stopped => Ok(()),
        }
    }

    /// Records what people make now, until the time is over or somebody says stop.
    pub(super) async fn record_present(
        &mut self,
        clock: &Clock,
        crowd: &mut Crowd,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let (options, outbox) = (self.options, self.outbox);
        let (visits, progress) = (self.visits, self.progress);
        let over = async {
            match options.duration.and_then(|span| span.to_std().ok()) {
                Some(span) => {
                    tokio::select! { () = time::sleep(span) => {}, () = stop.cancelled() => {} }
                }
                None => stop.cancelled().await,
            }
        };
        let mut sending = pin!(self.send());
        tokio::select! {
            ended = &mut sending => ended,
            () = make(clock, crowd, options.rate, outbox) => Ok(()),
            () = progress.follow(String::new, || outbox.tally(), || visits.to_string()) => Ok(()),
            () = over => {
                outbox.close();
                time::timeout(LAST_CALLS, &mut sending).await.unwrap_or(Ok(()))
            }
        }
    }

    /// Sends taps until there are no more, or until the service refuses for good.
    async fn send(&mut self) -> anyhow::Result<()> {
        while let Some(batch) = self.outbox.take().await {
            self.deliver(batch).await?;
        }
        Ok(())
    }

    /// Sends a batch until it has an answer, or until the service refuses for good.
    async fn deliver(&mut self, batch: Batch) -> anyhow::Result<()> {
        let Batch { taps, repeats, visits } = batch;
        let mut trouble: Option<Trouble> = None;
        loop {
            let mut request = Request::new(RecordTapsRequest { taps: taps.clone() });
            request.metadata_mut().insert("x-api-key", self.key.clone());
            match self.client.record_taps(request).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    self.outbox.note(&answer, trouble.is_some().then_some(repeats));
                    let refused: HashSet<_> = answer.rejected.iter().map(|tap| tap.index).collect();
                    for (place, tapped) in visits {
                        if let Some(tap) = taps.get(place)
                            && i32::try_from(place).is_ok_and(|place| !refused.contains(&place))
                        {
                            self.visits.begin(tapped, tap.tag_uid.clone());
                        }
                    }
                    if let Some(trouble) = trouble {
                        let seconds = trouble.since.elapsed().as_secs_f64();
                        let tally = self.outbox.tally();
                        self.progress
                            .say(&format!("taps are taken again, after {seconds:.1} s: {tally}"));
                    }
                    return Ok(());
                }
                Err(refusal) => {
                    let trouble = trouble.get_or_insert_default();
                    let wait = wait(&refusal, trouble.failures)
                        .ok_or_else(|| hopeless(&refusal, self.team))?;
                    if trouble.is_worth_a_word() {
                        let url = &self.options.url;
                        let (cause, wait) = (cause(&refusal, url), wait.as_secs_f64());
                        let tally = self.outbox.tally();
                        self.progress.say(&format!("{cause}; again in {wait:.1} s: {tally}"));
                    }
                    time::sleep(wait).await;
                }
            }
        }
    }
}

/// A call that has failed, maybe several times.
pub(super) struct Trouble {
    since: Instant,
    failures: u32,
    said: Option<Instant>,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { since: Instant::now(), failures: 0, said: None }
    }
}

impl Trouble {
    /// Counts a failure. Whether it is time to speak of it.
    pub(super) fn is_worth_a_word(&mut self) -> bool {
        self.failures += 1;
        let due = self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN);
        if due {
            self.said = Some(Instant::now());
        }
        due
    }
}

/// How long to wait before the same call is made again, after so many failures before. `None`: it would
/// be in vain.
pub(super) fn wait(refusal: &Status, failures: u32) -> Option<Duration> {
    match refusal.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => return None,
        _ => {}
    }
    let told = refusal.get_error_details().retry_info().and_then(|info| info.retry_delay);
    let doubled = RETRY_MIN.saturating_mul(2_u32.saturating_pow(failures)).min(RETRY_MAX);
    // Not all clients of a service that was away at the same moment.
    let own = doubled.mul_f64(0.5 + fastrand::f64() / 2.0);
    Some(match refusal.code() {
        // Over quota: it says when the next call is free.
        Code::ResourceExhausted => told.unwrap_or(own),
        _ => told.unwrap_or_default().max(own),
    })
}

/// Why a call has failed, for people.
fn cause(refusal: &Status, url: &dyn Display) -> String {
    if is_answer(refusal) {
        return refusal.message().to_owned();
    }
    let code = refusal.code();
    format!("no answer from {url} ({code:?}: {})", refusal.message())
}

/// Whether it is the service that refuses, and not the way to it that is broken.
pub(super) fn is_answer(refusal: &Status) -> bool {
    refusal.get_error_details().error_info().is_some()
}

/// What to do about a refusal that will not go away.
fn hopeless(refusal: &Status, team: TeamId) -> anyhow::Error {
    let message = refusal.message();
    match refusal.code() {
        Code::Unauthenticated | Code::PermissionDenied => anyhow!(
            "the service does not take taps with this key: {message}\n\
             Make one and put it into TAP_API_KEY:\n  \
             tap-analytics keys create --team team-{team} --name simulate --preset writer"
        ),
        code => anyhow!("the service does not take these calls ({code:?}): {message}"),
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn told(code: Code, seconds: u64) -> Status {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds)));
        Status::with_error_details(code, "", details)
    }

    #[test]
    fn a_call_is_made_again_when_that_can_help() {
        let away = Status::unavailable("");
        for failures in 0..40 {
            let wait = wait(&away, failures).unwrap();
            assert!(wait <= RETRY_MAX && wait >= RETRY_MIN / 2, "{failures}: {wait:?}");
        }
        assert!(wait(&away, 9).unwrap() >= RETRY_MAX / 2);
        assert_eq!(wait(&told(Code::ResourceExhausted, 1), 9), Some(Duration::from_secs(1)));
        assert_eq!(wait(&told(Code::ResourceExhausted, 99), 0), Some(Duration::from_secs(99)));
        assert_eq!(wait(&told(Code::Unavailable, 99), 0), Some(Duration::from_secs(99)));
        assert!(wait(&told(Code::Unavailable, 1), 9).unwrap() > RETRY_MAX / 3);
        for code in [Code::Unauthenticated, Code::PermissionDenied, Code::FailedPrecondition] {
            assert_eq!(wait(&Status::new(code, ""), 0), None);
        }
    }
}
