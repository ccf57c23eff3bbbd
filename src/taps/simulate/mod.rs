//! `tap-analytics simulate`: records taps as a client would, so that there is something to see.
//!
//! One call is under way at a time; what is made meanwhile waits for the next. A call that failed is made
//! again with the same taps, which have ids: none is counted twice. While the service is away the taps
//! wait, and beyond a bound the oldest are dropped.
//!
//! What has been before now can be made up first: see [`past`].

pub mod crowd;
pub mod outbox;
pub mod past;
pub mod progress;

use std::{cell::Cell, fmt::Write as _, path::PathBuf, pin::pin, time::Duration};

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
    crowd::{Crowd, Made, rhythm},
    outbox::{Batch, Outbox, Tally},
    past::Past,
    progress::Progress,
};
use super::lines::Lines;
use crate::{
    access::{command::parse_span, key::ApiKey},
    clock::Clock,
    error::Violation,
    ids::TeamId,
    proto::tap_v1::{RecordTapsRequest, tap_analytics_client::TapAnalyticsClient},
    reasons,
    tags::model::is_tag_uid,
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

    /// A key that may record taps, of the team whose tags are tapped. Better set by the environment:
    /// options can be seen by others on this machine.
    #[arg(long, env = "TAP_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: String,

    /// Taps a second, on average over a week.
    #[arg(long, default_value = "20", value_parser = parse_rate)]
    rate: f64,

    /// CSV with the columns tag_uid and team_id, as for seed.
    #[arg(long, value_name = "FILE", default_value = "data/tags.csv")]
    tags: PathBuf,

    /// First record the taps of a span before now, such as 14d: about 10,000 a day, whatever the rate.
    /// They are the same in each run, so none is recorded twice. Default: none.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    since: Option<TimeDelta>,

    /// When to end: a span such as 30s or 10m of the present. Default: never.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    duration: Option<TimeDelta>,

    /// Makes the same people tap the same tags in each run. Default: others each time.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Records taps until the time is over or somebody says stop, and then says on standard output how many.
///
/// # Errors
/// When the tags cannot be read, when the service refuses for good, such as for a key that it does not
/// know, or when it has taken not one tap.
pub async fn run(clock: &Clock, options: &Options, stop: CancellationToken) -> anyhow::Result<()> {
    let key = ApiKey::parse(&options.api_key).context(
        "this is not an API key: TAP_API_KEY must be all that tap-analytics keys create has printed, \
         tap_<team>_<secret>_<checksum>",
    )?;
    let team = key.team();
    let from = options.since.map(|span| clock.now() - span);
    let mut what =
        format!("records {} taps a second of team {team} at {}", options.rate, options.url);
    if let Some(from) = from {
        write!(what, ", first those since {}", from.format("%Y-%m-%d %H:%M UTC"))?;
    }
    let progress = Progress::start(&format!(
        "{what}; about one in a hundred is sent twice and one in two hundred is wrong, on purpose"
    ))?;
    let uids = read_tags(options, team)?;
    let random = options.seed.map_or_else(Rng::new, Rng::with_seed);
    let mut crowd = Crowd::new(uids, random);
    let service =
        Endpoint::from(options.url.clone()).connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT);
    let outbox = Outbox::default();
    let mut sender = Sender {
        client: TapAnalyticsClient::new(service.connect_lazy()),
        key: key.reveal().parse()?,
        options,
        team,
        outbox: &outbox,
        progress: &progress,
    };

    let mut ended = Ok(());
    if let Some(from) = from {
        let past = Past::new(crowd.habits(), team, from, clock.now());
        ended = sender.record_past(past, &stop).await;
    }
    if ended.is_ok() && !stop.is_cancelled() {
        ended = sender.record_present(clock, &mut crowd, &stop).await;
    }
    let tally = outbox.tally();
    if ended.is_ok() || tally.sent() > 0.0 {
        progress.finish(&tally);
    }
    ended.and_then(|()| some_taken(&tally, options, team))
}

/// An error when taps were sent and not one was taken.
fn some_taken(tally: &Tally, options: &Options, team: TeamId) -> anyhow::Result<()> {
    let (url, tags) = (&options.url, options.tags.display());
    if tally.accepted + tally.duplicates > 0.0 {
        Ok(())
    } else if tally.rejected > 0.0 {
        bail!(
            "not one tap was taken: {tally}\n\
             Check that the tags of team {team} in {tags} are loaded (tap-analytics seed) and not \
             archived, that TAP_API_KEY is a key of the team that is meant, and that the clock of \
             this machine is right."
        )
    } else if tally.waiting > 0 {
        bail!(
            "not one tap was taken: there was no answer from {url}\n\
             Check that the service runs, and that --url is where it takes gRPC."
        )
    } else {
        Ok(())
    }
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
fn read_tags(options: &Options, team: TeamId) -> anyhow::Result<Vec<String>> {
    let mut lines = Lines::open(&options.tags, &["tag_uid", "team_id"])?;
    let mut uids = Vec::new();
    while let Some(line) = lines.read()? {
        if line.field("team_id").parse() != Ok(team.0) {
            continue;
        }
        let uid = line.field("tag_uid");
        if is_tag_uid(uid) {
            uids.push(uid.to_owned());
        } else {
            let text = "must be 1 to 64 letters, digits, or . _ : -";
            lines.report(&line, &[Violation::new("tag_uid", reasons::MALFORMED_TAG_UID, text)]);
        }
    }
    lines.finish(&format!("{} tags of team {team}", uids.len()));
    if uids.is_empty() {
        bail!(
            "{} has no tags of team {team}, whose key this is: set TAP_API_KEY to a key of another team, or choose another file with --tags",
            options.tags.display()
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

/// Brings taps to the service.
struct Sender<'a> {
    client: TapAnalyticsClient<Channel>,
    key: MetadataValue<Ascii>,
    options: &'a Options,
    team: TeamId,
    outbox: &'a Outbox,
    progress: &'a Progress,
}

impl Sender<'_> {
    /// Records the past, until told to stop.
    async fn record_past(
        &mut self,
        mut past: Past<'_>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let (outbox, progress, done) = (self.outbox, self.progress, Cell::new(0.0));
        let sending = async {
            while !stop.is_cancelled() {
                let taps = past.batch();
                if taps.is_empty() {
                    progress.say(&format!("the past is recorded: {}", outbox.tally()));
                    break;
                }
                for tap in taps {
                    outbox.put(Made { tap, repeat: false });
                }
                if let Some(batch) = outbox.take().await {
                    self.deliver(batch).await?;
                }
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
            () = progress.follow(stage, || outbox.tally()) => Ok(()),
            () = stopped => Ok(()),
        }
    }

    /// Records what people make now, until the time is over or somebody says stop.
    async fn record_present(
        &mut self,
        clock: &Clock,
        crowd: &mut Crowd,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let (options, outbox, progress) = (self.options, self.outbox, self.progress);
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
            () = progress.follow(String::new, || outbox.tally()) => Ok(()),
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
    async fn deliver(&mut self, Batch { taps, repeats }: Batch) -> anyhow::Result<()> {
        let mut trouble: Option<Trouble> = None;
        loop {
            let mut request = Request::new(RecordTapsRequest { taps: taps.clone() });
            request.metadata_mut().insert("x-api-key", self.key.clone());
            match self.client.record_taps(request).await {
                Ok(answer) => {
                    self.outbox.note(answer.into_inner(), trouble.is_some().then_some(repeats));
                    if let Some(trouble) = trouble {
                        self.progress.say(&trouble.over(self.outbox));
                    }
                    return Ok(());
                }
                Err(refusal) => {
                    let trouble = trouble.get_or_insert_default();
                    let wait = wait(&refusal, trouble.failures)
                        .ok_or_else(|| hopeless(&refusal, self.team))?;
                    if trouble.is_worth_a_word() {
                        let (cause, wait) = (cause(&refusal, self.options), wait.as_secs_f64());
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
