//! `tap-analytics simulate`: records taps as a client would, so that there is something to see.
//!
//! One call is under way at a time; what is made meanwhile waits for the next. A call that failed is made
//! again with the same taps, which have ids: none is counted twice. While the service is away the taps
//! wait, and beyond a bound the oldest are dropped.

pub mod crowd;
pub mod outbox;
pub mod progress;

use std::{path::PathBuf, pin::pin, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use chrono::TimeDelta;
use fastrand::Rng;
use http::Uri;
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use self::{
    crowd::{Crowd, rhythm},
    outbox::{Batch, Outbox},
    progress::Progress,
};
use super::{lines::Lines, model::is_tag_uid};
use crate::{
    access::command::parse_span,
    clock::Clock,
    error::Violation,
    proto::tap_v1::{RecordTapsRequest, tap_analytics_client::TapAnalyticsClient},
};

/// How long taps are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(200);
/// A machine that slept for longer does not make up for it.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);
/// How long a connection and an answer may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait before a call is made again: doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How long the last calls may take when told to end.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How often it is said that the service is still away.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// What to simulate.
#[expect(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Where the service, or Envoy, takes gRPC.
    #[arg(long, default_value = "http://localhost:50051", value_parser = parse_url)]
    url: Uri,

    /// A key that may record taps. Better set by the environment: options can be seen by others on this
    /// machine.
    #[arg(long, env = "TAP_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: String,

    /// Taps a second, on average over a week.
    #[arg(long, default_value = "20", value_parser = parse_rate)]
    rate: f64,

    /// CSV with the columns tag_uid and team_id, as for seed.
    #[arg(long, value_name = "FILE", default_value = "data/tags.csv")]
    tags: PathBuf,

    /// The number of the team whose tags are tapped: the one of the key.
    #[arg(long, value_name = "NUMBER", default_value_t = 1,
          value_parser = clap::value_parser!(i32).range(1..))]
    team: i32,

    /// When to end: a span such as 30s or 10m. Default: never.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    duration: Option<TimeDelta>,

    /// Makes the same people tap the same tags in each run. Default: others each time.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Records taps until the time is over or somebody says stop, and then says on standard output how many.
///
/// # Errors
/// When the tags cannot be read, or the service refuses for good, such as for a key that it does not
/// know.
pub async fn run(clock: &Clock, options: &Options, stop: CancellationToken) -> anyhow::Result<()> {
    let uids = read_tags(options)?;
    let key = options.api_key.parse().context("the API key has characters that no key has")?;
    let random = options.seed.map_or_else(Rng::new, Rng::with_seed);
    let mut crowd = Crowd::new(uids, random);
    let service =
        Endpoint::from(options.url.clone()).connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT);
    let client = TapAnalyticsClient::new(service.connect_lazy());
    let outbox = Outbox::default();
    let progress = Progress::start(&format!(
        "records {} taps a second of team {} at {}",
        options.rate, options.team, options.url
    ))?;

    let mut sending = pin!(send(client, key, options, &outbox, &progress));
    let over = async {
        match options.duration.and_then(|span| span.to_std().ok()) {
            Some(span) => {
                tokio::select! { () = time::sleep(span) => {}, () = stop.cancelled() => {} }
            }
            None => stop.cancelled().await,
        }
    };
    let ended = tokio::select! {
        ended = &mut sending => ended,
        () = make(clock, &mut crowd, options.rate, &outbox) => Ok(()),
        () = progress.follow(|| outbox.tally()) => Ok(()),
        () = over => {
            outbox.close();
            time::timeout(LAST_CALLS, &mut sending).await.unwrap_or(Ok(()))
        }
    };
    let tally = outbox.tally();
    if ended.is_ok() || tally.sent() > 0.0 {
        progress.finish(&tally);
    }
    ended
}

fn parse_url(text: &str) -> Result<Uri, String> {
    let url = text.parse().ok().filter(|url: &Uri| url.scheme_str() == Some("http"));
    url.ok_or_else(|| "must be an address such as http://localhost:50051, without TLS".to_owned())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=10_000.0).contains(rate));
    rate.ok_or_else(|| "must be a number from 0.001 to 10000".to_owned())
}

/// The tags of the team, the busiest first.
fn read_tags(options: &Options) -> anyhow::Result<Vec<String>> {
    let mut lines = Lines::open(&options.tags, &["tag_uid", "team_id"])?;
    let mut uids = Vec::new();
    while let Some(line) = lines.read()? {
        if line.field("team_id").parse() != Ok(options.team) {
            continue;
        }
        let uid = line.field("tag_uid");
        if is_tag_uid(uid) {
            uids.push(uid.to_owned());
        } else {
            let text = "must be 1 to 64 letters, digits, or . _ : -";
            lines.report(&line, &[Violation::new("tag_uid", "MALFORMED_TAG_UID", text)]);
        }
    }
    lines.finish(&format!("{} tags of team {}", uids.len(), options.team));
    if uids.is_empty() {
        bail!(
            "{} has no tags of team {}: choose another team with --team, or another file with --tags",
            options.tags.display(),
            options.team
        );
    }
    Ok(uids)
}

/// Makes taps, for ever.
async fn make(clock: &Clock, crowd: &mut Crowd, rate: f64, outbox: &Outbox) {
    let mut gathered = time::interval(GATHER);
    gathered.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = Instant::now();
    loop {
        gathered.tick().await;
        let (now, wall) = (Instant::now(), clock.now());
        due = due.max(now.checked_sub(CATCH_UP_MAX).unwrap_or(now));
        while due <= now {
            let ago = TimeDelta::from_std(now - due).unwrap_or_default();
            outbox.put(crowd.tap(wall - ago));
            due += crowd.gap(rate * rhythm(wall));
        }
    }
}

/// Sends taps until there are no more, or until the service refuses for good.
async fn send(
    mut client: TapAnalyticsClient<Channel>,
    key: MetadataValue<Ascii>,
    options: &Options,
    outbox: &Outbox,
    progress: &Progress,
) -> anyhow::Result<()> {
    while let Some(Batch { taps, repeats }) = outbox.take().await {
        let mut trouble: Option<Trouble> = None;
        loop {
            let mut request = Request::new(RecordTapsRequest { taps: taps.clone() });
            request.metadata_mut().insert("x-api-key", key.clone());
            match client.record_taps(request).await {
                Ok(answer) => {
                    outbox.note(answer.into_inner(), trouble.is_some().then_some(repeats));
                    if let Some(trouble) = trouble {
                        progress.say(&trouble.over(outbox));
                    }
                    break;
                }
                Err(refusal) => {
                    let trouble = trouble.get_or_insert_default();
                    let wait = wait(&refusal, trouble.failures)
                        .ok_or_else(|| hopeless(&refusal, options.team))?;
                    if trouble.is_worth_a_word() {
                        let (cause, wait) = (cause(&refusal, options), wait.as_secs_f64());
                        let tally = outbox.tally();
                        progress.say(&format!("{cause}; again in {wait:.1} s: {tally}"));
                    }
                    time::sleep(wait).await;
                }
            }
        }
    }
    Ok(())
}

/// A call that has failed, maybe several times.
struct Trouble {
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
    fn is_worth_a_word(&mut self) -> bool {
        self.failures += 1;
        let due = self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN);
        if due {
            self.said = Some(Instant::now());
        }
        due
    }

    fn over(&self, outbox: &Outbox) -> String {
        let seconds = self.since.elapsed().as_secs_f64();
        format!("taps are taken again, after {seconds:.1} s: {}", outbox.tally())
    }
}

/// How long to wait before the same call is made again, after so many failures before. `None`: it would
/// be in vain.
fn wait(refusal: &Status, failures: u32) -> Option<Duration> {
    match refusal.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::NotFound
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

fn cause(refusal: &Status, options: &Options) -> String {
    if refusal.get_error_details().error_info().is_some() {
        return refusal.message().to_owned();
    }
    let (url, code) = (&options.url, refusal.code());
    format!("no answer from {url} ({code:?}: {})", refusal.message())
}

/// What to do about a refusal that will not go away.
fn hopeless(refusal: &Status, team: i32) -> anyhow::Error {
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
        for code in [Code::Unauthenticated, Code::PermissionDenied, Code::InvalidArgument] {
            assert_eq!(wait(&Status::new(code, ""), 0), None);
        }
    }

    #[test]
    fn a_bad_option_says_what_would_be_right() {
        for url in ["localhost:50051", "https://tap.example.com", "what?", ""] {
            assert!(parse_url(url).unwrap_err().contains("http://localhost:50051"), "{url}");
        }
        assert!(parse_url("http://[::1]:3000").is_ok());
        for rate in ["0", "-1", "nan", "inf", "10001", "many", ""] {
            assert!(parse_rate(rate).unwrap_err().contains("0.001 to 10000"), "{rate}");
        }
        assert_eq!(parse_rate("0.5"), Ok(0.5));
    }
}
