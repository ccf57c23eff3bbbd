//! The people of `simulate`: when they tap, which tags, and with what. All made up, with no clock and no
//! network of its own: from the same seed the same people.

use std::{
    collections::{HashMap, VecDeque},
    f64::consts::TAU,
    time::Duration,
};

use chrono::{DateTime, Datelike as _, SecondsFormat, TimeDelta, Timelike as _, Utc};
use fastrand::Rng;
use uuid::Uuid;

use super::visit::Tapped;
use crate::proto::tap_v1::{NewTap, kind};

/// Of 1,000 taps, how many are one of before once more, and how many cannot be taken.
const REPEATS: f64 = 0.010;
const BAD: f64 = 0.005;
/// From how many taps of before one is chosen to come once more.
const RECENT: usize = 100;
/// A tag that no team has, and how far ahead a clock is that runs wrong.
const UNKNOWN_UID: &str = "no-such-tag";
const WRONG_CLOCK: TimeDelta = TimeDelta::hours(3);

/// Some come more often than others.
const COUNTRIES: [&str; 16] = [
    "DE", "DE", "DE", "DE", "DE", "AT", "AT", "CH", "CH", "FR", "NL", "GB", "GB", "IT", "US", "JP",
];
const DEVICES: [&str; 8] =
    ["ios", "ios", "ios", "android", "android", "android", "android", "desktop"];
const KINDS: [kind::Value; 3] = [kind::Value::Nfc, kind::Value::Qr, kind::Value::Link];
const CAMPAIGNS: [&str; 4] = ["spring", "summer", "autumn", "winter"];

/// People with tags before them.
#[derive(Debug)]
pub struct Crowd {
    random: Rng,
    habits: Habits,
    recent: VecDeque<NewTap>,
    /// Of how many taps a visit comes.
    visits: f64,
}

/// Which tags are tapped how often, and with what.
#[derive(Debug)]
pub struct Habits {
    uids: Vec<String>,
    /// The running sums of how busy each tag is.
    sums: Vec<f64>,
}

/// A tap that somebody made.
#[derive(Clone, Debug)]
pub struct Made {
    pub tap: NewTap,
    /// It was made before, and comes once more.
    pub repeat: bool,
    /// It leads to a visit, once it is recorded.
    pub visit: Option<Tapped>,
}

impl Crowd {
    /// People who tap these tags, of whom this share goes on to a visit. There must be a tag.
    #[must_use]
    pub fn new(uids: Vec<String>, random: Rng, visits: f64) -> Self {
        let recent = VecDeque::with_capacity(RECENT);
        Self { random, habits: Habits::new(uids), recent, visits }
    }

    /// What these people do.
    #[must_use]
    pub fn habits(&self) -> &Habits {
        &self.habits
    }

    /// How long it takes until the next one taps, at so many taps a second on average: nobody knows of
    /// the others (a Poisson process).
    pub fn gap(&mut self, rate: f64) -> Duration {
        Duration::from_secs_f64(-(1.0 - self.random.f64()).ln() / rate)
    }

    /// What somebody taps at an instant.
    pub fn tap(&mut self, at: DateTime<Utc>) -> Made {
        let chance = self.random.f64();
        if chance < REPEATS
            && let Some(tap) = self.random.choice(&self.recent)
        {
            return Made { tap: tap.clone(), repeat: true, visit: None };
        }
        // Not from the seed: a second run makes other taps, though of the same people.
        let id = Uuid::now_v7();
        let mut tap = self.habits.tap(&mut self.random, id, at);
        let mut visit = None;
        if chance > 1.0 - BAD {
            if self.random.bool() {
                UNKNOWN_UID.clone_into(&mut tap.tag_uid);
            } else {
                tap.tapped_at = instant(at + WRONG_CLOCK);
            }
        } else {
            self.recent.truncate(RECENT - 1);
            self.recent.push_front(tap.clone());
            let goes_on = self.random.f64() < self.visits;
            visit = goes_on.then(|| Tapped { tap: id, at, seed: self.random.u64(..) });
        }
        Made { tap, repeat: false, visit }
    }
}

impl Habits {
    /// The first tag is tapped by far the most, as if each had a place in a ranking (Zipf's law).
    fn new(uids: Vec<String>) -> Self {
        let mut sum = 0.0;
        let busy = (1_u32..).zip(&uids).map(|(place, _)| {
            sum += 1.0 / f64::from(place);
            sum
        });
        let sums = busy.collect();
        Self { uids, sums }
    }

    /// A tap as it should be.
    pub fn tap(&self, random: &mut Rng, id: Uuid, at: DateTime<Utc>) -> NewTap {
        let busy = random.f64() * self.sums.last().copied().unwrap_or_default();
        let place = self.sums.partition_point(|sum| *sum <= busy);
        let mut often = |share: f64| random.f64() < share;
        let (has_kind, has_country) = (often(0.05), often(0.8));
        let (has_device, has_campaign) = (often(0.9), often(0.15));
        let mut one_of = |texts: &[&'static str]| random.choice(texts).copied().unwrap_or_default();
        let country = if has_country { one_of(&COUNTRIES) } else { "" };
        let device = if has_device { one_of(&DEVICES) } else { "" };
        let campaign = has_campaign.then(|| ("campaign".to_owned(), one_of(&CAMPAIGNS).to_owned()));
        let kind = random.choice(KINDS).filter(|_| has_kind).unwrap_or(kind::Value::Unset);
        NewTap {
            tag_uid: self.uids.get(place).cloned().unwrap_or_default(),
            tap_id: id.to_string(),
            tapped_at: instant(at),
            count: None,
            kind: kind.into(),
            country: country.to_owned(),
            device: device.to_owned(),
            attributes: HashMap::from_iter(campaign),
        }
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// How busy it is at an instant, beside the average of a week, which is 1: quiet before dawn, most in
/// the afternoon, more towards the weekend.
///
/// Whole waves a day times a whole wave a week: so the average is 1 without anything added up.
#[must_use]
pub fn rhythm(at: DateTime<Utc>) -> f64 {
    let hours = f64::from(at.num_seconds_from_midnight()) / 3600.0;
    let days = f64::from(at.weekday().num_days_from_monday()) + hours / 24.0;
    let wave = |at: f64, peak: f64, length: f64| (TAU * (at - peak) / length).cos();
    let day = 1.0 + 0.45 * wave(hours, 17.0, 24.0) + 0.14 * wave(hours, 12.5, 12.0);
    let week = 1.0 + 0.15 * wave(days, 5.0, 7.0);
    day * week
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const TAPS: u32 = 40_000;

    fn monday() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-03-02T00:00:00Z").unwrap().to_utc()
    }

    fn crowd(seed: u64) -> Crowd {
        Crowd::new((1..=90).map(|n| format!("tag-{n}")).collect(), Rng::with_seed(seed), 0.25)
    }

    fn made(seed: u64) -> Vec<Made> {
        let mut crowd = crowd(seed);
        (0..TAPS).map(|n| crowd.tap(monday() + TimeDelta::milliseconds(n.into()))).collect()
    }

    fn share(count: usize) -> f64 {
        f64::from(u32::try_from(count).unwrap()) / f64::from(TAPS)
    }

    #[test]
    fn the_week_has_a_rhythm_around_its_average() {
        let minutes: Vec<f64> =
            (0..7 * 24 * 60).map(|minute| rhythm(monday() + TimeDelta::minutes(minute))).collect();
        let mean = minutes.iter().sum::<f64>() / (7.0 * 24.0 * 60.0);
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
        let (least, most) =
            minutes.iter().fold((f64::MAX, 0.0_f64), |(a, b), f| (a.min(*f), b.max(*f)));
        assert!((0.33..0.6).contains(&least), "never nearly asleep: {least}");
        assert!((1.3..2.0).contains(&most), "{most}");
        // No jumps, neither at midnight nor where the week ends.
        let next = minutes.iter().cycle().skip(1);
        assert!(minutes.iter().zip(next).all(|(now, then)| (now - then).abs() < 0.01));
        let at =
            |day: i64, hour: i64| rhythm(monday() + TimeDelta::days(day) + TimeDelta::hours(hour));
        assert!(at(0, 15) > 1.8 * at(0, 5), "day and night");
        assert!(at(5, 12) > 1.2 * at(1, 12), "Saturday and Tuesday");
    }

    #[test]
    fn gaps_are_as_long_as_the_rate_says() {
        let mut crowd = crowd(1);
        for rate in [0.001, 0.5, 20.0, 10_000.0] {
            let mean =
                (0..TAPS).map(|_| crowd.gap(rate).as_secs_f64()).sum::<f64>() / f64::from(TAPS);
            assert!((mean * rate - 1.0).abs() < 0.03, "{rate}: {mean}");
        }
    }

    #[test]
    fn few_tags_are_tapped_most() {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for made in made(2) {
            *counts.entry(made.tap.tag_uid).or_default() += 1;
        }
        let of = |place: usize| share(counts[&format!("tag-{place}")]);
        assert!((0.17..0.22).contains(&of(1)), "{}", of(1));
        assert!((1.7..2.3).contains(&(of(1) / of(2))), "{} {}", of(1), of(2));
        assert!((7.0..13.0).contains(&(of(1) / of(10))), "{} {}", of(1), of(10));
        assert!(of(90) > 0.0, "even the last one is tapped");
    }

    #[test]
    fn some_come_twice_and_some_are_bad() {
        let made = made(3);
        let repeats: Vec<_> = made.iter().filter(|made| made.repeat).collect();
        assert!((0.008..0.012).contains(&share(repeats.len())), "{}", repeats.len());
        let first: HashMap<_, _> =
            made.iter().filter(|m| !m.repeat).map(|m| (&m.tap.tap_id, &m.tap)).collect();
        assert_eq!(first.len() + repeats.len(), made.len(), "each has an id of its own");
        assert!(repeats.iter().all(|m| *first[&m.tap.tap_id] == m.tap), "the same in everything");

        let unknown = made.iter().filter(|m| m.tap.tag_uid == UNKNOWN_UID).count();
        let ahead = made.iter().filter(|m| m.tap.tapped_at.starts_with("2026-03-02T03")).count();
        assert!((0.0015..0.0035).contains(&share(unknown)), "{unknown}");
        assert!((0.0015..0.0035).contains(&share(ahead)), "{ahead}");
        assert!(repeats.iter().all(|m| m.tap.tag_uid != UNKNOWN_UID), "bad ones come once");

        let with = |has: fn(&NewTap) -> bool| share(made.iter().filter(|m| has(&m.tap)).count());
        assert!((0.03..0.07).contains(&with(|tap| tap.kind != 0)));
        assert!((0.75..0.85).contains(&with(|tap| !tap.country.is_empty())));
        assert!((0.85..0.95).contains(&with(|tap| !tap.device.is_empty())));
        assert!((0.1..0.2).contains(&with(|tap| !tap.attributes.is_empty())));
    }

    #[test]
    fn a_share_of_the_good_goes_on_to_a_visit() {
        let made = made(6);
        let visits: Vec<_> = made.iter().filter(|made| made.visit.is_some()).collect();
        assert!((0.24..0.26).contains(&share(visits.len())), "{}", visits.len());
        for made in visits {
            let visit = made.visit.unwrap();
            assert_eq!(
                (&made.tap.tap_id, &made.tap.tapped_at),
                (&visit.tap.to_string(), &instant(visit.at))
            );
            assert!(!made.repeat && made.tap.tag_uid != UNKNOWN_UID);
        }
    }

    #[test]
    fn from_the_same_seed_come_the_same_people() {
        let look = |seed| {
            let anonymous = |made: Made| {
                let tap = NewTap { tap_id: String::new(), ..made.tap };
                (tap, made.visit.map(|visit| visit.seed))
            };
            made(seed).into_iter().map(anonymous).collect::<Vec<_>>()
        };
        assert!(look(4) == look(4));
        assert!(look(4) != look(5));
    }
}
