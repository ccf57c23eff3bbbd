//! `tap-analytics simulate`: does what clients do, so that there is something to see. It records taps, and sends
//! what happens in the visits after some of them: events, and coupons that are seen and redeemed.
//!
//! One call with taps is under way at a time; what is made meanwhile waits for the next. A call that failed is
//! made again with the same taps, which have ids: none is counted twice. While the service is away the taps
//! wait, and beyond a bound the oldest are dropped. Visits go beside that: see `visits.rs`.
//!
//! What has been before now can be made up first: see [`past`].

mod calls;
pub mod coupon;
mod coupons;
pub mod crowd;
pub mod outbox;
pub mod past;
pub mod progress;
mod sender;
pub mod visit;
mod visits;

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use http::Uri;
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use self::{
    crowd::{Crowd, rhythm},
    outbox::{Outbox, Tally},
    past::Past,
    progress::Progress,
    sender::Sender,
    visits::Visits,
};
use crate::{
    access::{command::parse_span, key::ApiKey},
    clock::Clock,
    error::Violation,
    ids::TeamId,
    proto::tap_v1::tap_analytics_client::TapAnalyticsClient,
    reasons,
    tags::model::is_tag_uid,
    taps::lines::Lines,
};

/// How long taps are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(200);
/// A machine that slept for longer does not make up for it.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);
/// How long a connection and an answer may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the last calls may take when told to end.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// Of how many taps a visit comes, and how many visits a second there are at most on average.
const VISITS: f64 = 0.25;
const VISITS_A_SECOND: f64 = 10.0;

/// What to simulate.
#[expect(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Where the service, or Envoy, takes gRPC.
    #[arg(long, default_value = "http://localhost:50051", value_parser = parse_url)]
    url: Uri,

    /// A key that may record taps, and events if there are to be some, of the team whose tags are tapped;
    /// for coupons it also needs coupons:read and coupons:redeem. Better set by the environment: options can be seen by others on this machine.
    #[arg(long, env = "TAP_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: String,

    /// Taps a second, on average over a week.
    #[arg(long, default_value = "20", value_parser = parse_rate)]
    rate: f64,

    /// CSV with the columns tag_uid and team_id, as for seed.
    #[arg(long, value_name = "FILE", default_value = "data/tags.csv")]
    tags: PathBuf,

    /// First record the taps of a span before now, such as 14d: about 10,000 a day, whatever the rate.
    /// They are the same in each run, so none is recorded twice; the same goes for their visits. Coupons are seen in
    /// these, but not redeemed: that is always now. Default: none.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    since: Option<TimeDelta>,

    /// When to end: a span such as 30s or 10m of the present. Default: never.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    duration: Option<TimeDelta>,

    /// Makes the same people tap the same tags in each run. Default: others each time.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Record taps alone. Otherwise a visit comes after one of four taps, of ten a second at most: a session,
    /// and events over up to a minute. Event types of theirs are set, too. In a third of the visits a coupon is seen
    /// that the tag hands out, if the team has some, and a third of these is redeemed.
    #[arg(long)]
    taps_only: bool,
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
    what.push_str(
        "; about one in a hundred is sent twice and one in two hundred is wrong, on purpose",
    );
    if !options.taps_only {
        what.push_str("; after some of them come visits, of whose events one in fifty is wrong; in some a coupon is seen, and redeemed");
    }
    let progress = Progress::start(&what)?;
    let uids = read_tags(options, team)?;
    let random = options.seed.map_or_else(Rng::new, Rng::with_seed);
    let share = if options.taps_only { 0.0 } else { VISITS.min(VISITS_A_SECOND / options.rate) };
    let mut crowd = Crowd::new(uids, random, share);
    let service =
        Endpoint::from(options.url.clone()).connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT);
    let channel = service.connect_lazy();
    let visits = if options.taps_only {
        Visits::none()
    } else {
        Visits::start(clock, channel.clone(), key.reveal(), &progress)?
    };
    let outbox = Outbox::default();
    let mut sender = Sender {
        client: TapAnalyticsClient::new(channel),
        key: key.reveal().parse()?,
        options,
        team,
        outbox: &outbox,
        visits: &visits,
        progress: &progress,
    };

    let mut ended = Ok(());
    if let Some(from) = from {
        let past = Past::new(crowd.habits(), team, from, clock.now(), !options.taps_only);
        ended = sender.record_past(past, &stop).await;
    }
    if ended.is_ok() && !stop.is_cancelled() {
        ended = sender.record_present(clock, &mut crowd, &stop).await;
    }
    if ended.is_ok() {
        visits.end().await;
    }
    let tally = outbox.tally();
    if ended.is_ok() || tally.sent() > 0.0 {
        progress.finish(&tally, &visits.to_string());
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

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
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

#[cfg(test)]
mod tests {
    use super::*;

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
