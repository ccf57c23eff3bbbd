//! One file for each part of the table, and what they share.

pub(crate) mod admission;
pub(crate) mod cached;
pub(crate) mod coupons;
pub(crate) mod dialogs;
pub(crate) mod events;
pub(crate) mod hostile;
pub(crate) mod imports;
pub(crate) mod link;
pub(crate) mod live;
pub(crate) mod load;
pub(crate) mod messages;
pub(crate) mod openpyxl;
pub(crate) mod pgbench;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod query;
pub(crate) mod report;
pub(crate) mod serve;
pub(crate) mod users;
pub(crate) mod visits;
pub(crate) mod writing;

use std::time::Duration;

use tap_analytics::ids::TeamId;

/// The team that is measured; others are there to be passed over.
pub(crate) const TEAM: TeamId = TeamId(1);

/// Tells a person what goes on.
pub(crate) fn progress(text: impl std::fmt::Display) {
    eprintln!("bench: {text}");
}

/// Warns where others use the machine: then nothing here is worth publishing.
pub(crate) fn warn_if_busy() {
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let minute = load.as_deref().and_then(|text| text.split(' ').next());
    if let Some(load) = minute.and_then(|text| text.parse::<f64>().ok())
        && load > 0.5
    {
        progress(format!(
            "the load of this machine is {load}: for numbers to publish, wait until it is quiet"
        ));
    }
}

/// Times, to be read by rank.
#[derive(Clone, Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.0.len().try_into().unwrap_or(u64::MAX)
    }

    /// The time that this many of a hundred do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        let at = rank.saturating_sub(1);
        self.0.get(at).copied().unwrap_or_default()
    }
}

/// The middle of some numbers.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than three digits")]
pub(crate) fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// A time in milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
