//! Taps of the time before now, for a chart that is not empty. The same in each run: what a tap is comes
//! from its team, its minute and its number in it, so a tap that is recorded already is a duplicate.

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use uuid::Uuid;

use super::{
    crowd::{Habits, Made, rhythm},
    visit::Tapped,
};
use crate::{ids::TeamId, taps::model::BATCH_TAPS_MAX};

/// How many taps a day has on average.
const PER_DAY: f64 = 10_000.0;
const SLOT: TimeDelta = TimeDelta::minutes(1);
const SLOTS_A_DAY: f64 = 1_440.0;
/// How many taps a slot may have: each is made or not, by the rhythm.
const PER_SLOT: u8 = 30;
/// Of how many taps a visit comes.
const VISITS: f64 = 0.05;

/// The taps of a span, in the order of time.
#[derive(Debug)]
pub struct Past<'a> {
    habits: &'a Habits,
    team: TeamId,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    /// The start of the slot that comes next.
    slot: DateTime<Utc>,
    with_visits: bool,
}

impl<'a> Past<'a> {
    /// What the people of a team did from then until then.
    #[must_use]
    pub fn new(
        habits: &'a Habits,
        team: TeamId,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        with_visits: bool,
    ) -> Self {
        let into_slot = from.timestamp().rem_euclid(SLOT.num_seconds());
        let slot = DateTime::from_timestamp(from.timestamp() - into_slot, 0).unwrap_or(from);
        Self { habits, team, from, until, slot, with_visits }
    }

    /// The next taps, as many as a call takes; none at the end.
    pub fn batch(&mut self) -> Vec<Made> {
        let mut batch = Vec::new();
        while self.slot < self.until && batch.len() + usize::from(PER_SLOT) <= BATCH_TAPS_MAX {
            let mut taps: Vec<_> = (0..PER_SLOT).filter_map(|number| self.tap(number)).collect();
            taps.sort_by_key(|(at, _)| *at);
            batch.extend(taps.into_iter().map(|(_, made)| made));
            self.slot += SLOT;
        }
        batch
    }

    /// How much of the span is made, up to 1.
    #[must_use]
    pub fn done(&self) -> f64 {
        let seconds = |span: TimeDelta| span.as_seconds_f64();
        (seconds(self.slot - self.from) / seconds(self.until - self.from)).clamp(0.0, 1.0)
    }

    /// A tap of this slot, if there is one with this number in the span.
    fn tap(&self, number: u8) -> Option<(DateTime<Utc>, Made)> {
        let name = format!("simulated tap {} {} {number}", self.team, self.slot.timestamp());
        let mut hash = blake3::Hasher::new().update(name.as_bytes()).finalize_xof();
        let (mut id, mut instant, mut chance, mut seed) = ([0; 16], [0; 4], [0; 4], [0; 8]);
        let (mut visit, mut visit_seed) = ([0; 4], [0; 8]);
        for part in [&mut id[..], &mut instant, &mut chance, &mut seed, &mut visit, &mut visit_seed]
        {
            hash.fill(part);
        }
        let share = |bytes| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
        // A share of the slot, in parts of 2^32.
        let into_slot = i64::from(u32::from_le_bytes(instant)) * SLOT.num_seconds() * 1_000_000;
        let at = self.slot + TimeDelta::microseconds(into_slot >> 32);
        let wanted = PER_DAY / SLOTS_A_DAY / f64::from(PER_SLOT) * rhythm(at);
        (share(chance) < wanted && at >= self.from && at < self.until).then(|| {
            let (mut random, id) = (Rng::with_seed(u64::from_le_bytes(seed)), Uuid::new_v8(id));
            let seed = u64::from_le_bytes(visit_seed);
            let goes_on = self.with_visits && share(visit) < VISITS;
            let visit = goes_on.then_some(Tapped { tap: id, at, seed });
            (at, Made { tap: self.habits.tap(&mut random, id, at), repeat: false, visit })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{proto::tap_v1::NewTap, simulate::crowd::Crowd};

    fn crowd() -> Crowd {
        Crowd::new((1..=9).map(|n| format!("tag-{n}")).collect(), Rng::new(), 0.0)
    }

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    /// From then until then, by instants and ids.
    fn made(team: i32, from: &str, until: &str) -> Vec<NewTap> {
        let crowd = crowd();
        let mut past = Past::new(crowd.habits(), TeamId(team), at(from), at(until), true);
        let (mut all, mut visits) = (Vec::new(), 0);
        loop {
            let batch = past.batch();
            assert!(batch.len() <= BATCH_TAPS_MAX);
            if batch.is_empty() {
                assert!((past.done() - 1.0).abs() < f64::EPSILON);
                assert!((all.len() / 25..=all.len() / 17).contains(&visits), "{visits}");
                return all;
            }
            visits += batch.iter().filter(|made| made.visit.is_some()).count();
            all.extend(batch.into_iter().map(|made| made.tap));
        }
    }

    #[test]
    fn two_weeks_are_in_order_and_have_a_rhythm() {
        let (from, until) = ("2026-03-02T07:30:30Z", "2026-03-16T07:30:30Z");
        let taps = made(1, from, until);
        assert!((130_000..150_000).contains(&taps.len()), "{}", taps.len());
        let instants: Vec<_> = taps.iter().map(|tap| at(&tap.tapped_at)).collect();
        assert!(instants.is_sorted());
        assert!(instants[0] >= at(from) && instants.iter().all(|instant| *instant < at(until)));
        let mut hours: BTreeMap<String, usize> = BTreeMap::new();
        for instant in instants {
            *hours.entry(instant.format("%H").to_string()).or_default() += 1;
        }
        assert!(hours["15"] > 2 * hours["04"], "{hours:?}");
        let ids: std::collections::BTreeSet<_> = taps.iter().map(|tap| &tap.tap_id).collect();
        assert_eq!(ids.len(), taps.len());
    }

    #[test]
    fn a_tap_is_the_same_in_each_run() {
        let early = made(1, "2026-03-02T00:00:00Z", "2026-03-04T10:00:07.5Z");
        let late = made(1, "2026-03-03T12:00:07Z", "2026-03-05T00:00:00Z");
        let both: Vec<_> =
            early.iter().filter(|tap| *tap.tapped_at >= *late[0].tapped_at).collect();
        assert!(both.len() > 5_000);
        assert!(both.iter().copied().eq(&late[..both.len()]));
        let other = made(2, "2026-03-02T00:00:00Z", "2026-03-04T10:00:07.5Z");
        let own: std::collections::BTreeSet<_> = early.iter().map(|tap| &tap.tap_id).collect();
        assert!(other.iter().all(|tap| !own.contains(&tap.tap_id)));
    }

    #[test]
    fn a_span_without_room_is_empty() {
        assert!(made(1, "2026-03-02T00:00:00.000001Z", "2026-03-02T00:00:00.000002Z").is_empty());
    }
}
