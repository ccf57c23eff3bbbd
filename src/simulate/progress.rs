//! What a person sees of `simulate`: one line that changes on a terminal, a line every few seconds
//! elsewhere.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{self, Instant};

use super::outbox::Tally;
use crate::reasons;

/// How often a line of progress is written where there is no terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// How often it changes on one.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(250);
/// Over how long the rate is taken, at least.
const RATE_WINDOW: Duration = Duration::from_secs(4);

/// Speaks of what goes on, on standard error.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    /// Says what begins.
    ///
    /// # Errors
    /// None that could be helped.
    pub fn start(what: &str) -> anyhow::Result<Self> {
        eprintln!("{what}; Ctrl-C ends it");
        // Draws nothing where there is no terminal.
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}")?);
        Ok(Self { bar, started: Instant::now() })
    }

    /// Says something that matters.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Shows how it goes on, for ever: how far it is, how many taps there are, and what goes on beside them.
    pub async fn follow(
        &self,
        stage: impl Fn() -> String,
        tally: impl Fn() -> Tally,
        beside: impl Fn() -> String,
    ) {
        let terminal = std::io::stderr().is_terminal();
        let mut look = time::interval(if terminal { TERMINAL_INTERVAL } else { PROGRESS_INTERVAL });
        look.tick().await;
        let (mut since, mut sent_then, mut rate) = (Instant::now(), tally().sent(), None);
        loop {
            look.tick().await;
            let (tally, elapsed) = (tally(), since.elapsed());
            let mut per_second = (tally.sent() - sent_then) / elapsed.as_secs_f64();
            if elapsed >= RATE_WINDOW {
                if rate.is_none() && tally.sent() > 0.0 && tally.sent() <= tally.rejected {
                    self.warn_of_tags(&tally);
                }
                (since, sent_then, rate) = (Instant::now(), tally.sent(), Some(per_second));
            }
            per_second = rate.unwrap_or(per_second);
            let (stage, beside) = (stage(), beside());
            let line = format!("{stage}{} taps sent, {per_second:.1}/s: {tally}", tally.sent());
            let line = if beside.is_empty() { line } else { format!("{line}; {beside}") };
            if terminal {
                self.bar.set_message(line);
                self.bar.tick();
            } else {
                eprintln!("{line}");
            }
        }
    }

    fn warn_of_tags(&self, tally: &Tally) {
        if tally.reasons.contains_key(reasons::UNKNOWN_TAG) {
            self.say(
                "not one tap was taken: are these tags loaded (tap-analytics seed), and is the key of their team?",
            );
        }
    }

    /// Says on standard output what became of it all: of taps, and of what there was beside them.
    pub fn finish(&self, tally: &Tally, beside: &str) {
        self.bar.finish_and_clear();
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = tally.sent() / seconds;
        println!("{} taps sent in {seconds:.1} s, {rate:.1}/s: {tally}", tally.sent());
        if !beside.is_empty() {
            println!("{beside}");
        }
    }
}
