//! What somebody does in the visit after a tap. Made up, with no clock and no network of its own: after the
//! same tap the same visit.

use std::fmt::Display;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

use super::coupon::Look;
use crate::{client::Event, ids::uuid_of};

/// How many of the events are wrong.
const BAD: f64 = 0.02;
/// How long a visit takes at most, and how long it is between two events of it.
const LONGEST: f64 = 60.0;
const GAPS: std::ops::Range<f64> = 0.4..12.0;
/// The chance of each step that it was the last one.
const LEAVES: f64 = 0.15;
/// How far ahead a clock is that runs wrong.
const WRONG_CLOCK: TimeDelta = TimeDelta::hours(3);

const PAGES: [&str; 6] = ["/", "/menu", "/offers", "/offers/today", "/about", "/contact"];
const LINKS: [&str; 4] = ["offer", "map", "phone", "share"];
const FORMS: [&str; 3] = ["newsletter", "feedback", "booking"];
const VIDEOS: [&str; 2] = ["welcome", "tour"];

/// A tap that somebody made and that leads to a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tapped {
    pub tap: Uuid,
    pub at: DateTime<Utc>,
    /// By which the visit is made up.
    pub seed: u64,
}

/// A visit.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    pub session: Uuid,
    pub tap: Uuid,
    /// In the order of time.
    pub steps: Vec<Step>,
}

/// Something that happens in a visit.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub at: DateTime<Utc>,
    session: Uuid,
    id: Uuid,
    what: What,
    page: &'static str,
    data: Value,
    /// In the other of the two forms that events may have.
    nested: bool,
    fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    View,
    Click,
    Submit,
    /// Has no event type: whatever its data is, it is taken. Nor has a look at a coupon.
    Play,
    Look,
}

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    UnknownSession,
    /// The data is not what its event type says.
    WrongData,
    NoCategory,
    Ahead,
    NoData,
}

const FAULTS: [Fault; 5] =
    [Fault::UnknownSession, Fault::WrongData, Fault::NoCategory, Fault::Ahead, Fault::NoData];

impl Visit {
    /// The visit after a tap.
    #[must_use]
    pub fn after(tapped: &Tapped) -> Self {
        let Tapped { tap, at, seed } = *tapped;
        let mut random = Rng::with_seed(seed);
        let session = id_of(tap, 0);
        let (mut steps, mut seconds, mut page) = (Vec::new(), random.f64(), "/");
        for number in 1.. {
            // They come to see a page.
            let what = if number == 1 { What::View } else { What::choose(&mut random) };
            if what == What::View {
                page = one_of(&mut random, &PAGES);
            }
            let data = what.data(&mut random, page);
            let nested = random.f64() < 0.4;
            let fault = (random.f64() < BAD).then(|| random.choice(FAULTS)).flatten();
            // Nothing is wrong for what has no event type.
            let fault = fault.map(|fault| match (what, fault) {
                (What::Play, Fault::WrongData) => Fault::NoData,
                (_, fault) => fault,
            });
            let at = at + TimeDelta::microseconds(micros(seconds));
            let id = id_of(tap, number);
            steps.push(Step { at, session, id, what, page, data, nested, fault });
            seconds += GAPS.start + (GAPS.end - GAPS.start) * random.f64().powi(2);
            if what == What::Submit || seconds > LONGEST || random.f64() < LEAVES {
                break;
            }
        }
        Self { session, tap, steps }
    }

    /// The visitor also looks at a coupon. With that nothing is wrong.
    pub fn add(&mut self, look: &Look) {
        let (at, session, page) = (look.at, self.session, "/offers");
        let id = id_of(self.tap, format_args!("sees {}", look.coupon));
        let data = json!({ "page": page, "coupon_id": look.coupon });
        let step =
            Step { at, session, id, what: What::Look, page, data, nested: false, fault: None };
        self.steps.push(step);
        self.steps.sort_by_key(|step| step.at);
    }
}

impl What {
    fn choose(random: &mut Rng) -> Self {
        match random.f64() {
            chance if chance < 0.42 => Self::View,
            chance if chance < 0.80 => Self::Click,
            chance if chance < 0.91 => Self::Play,
            _ => Self::Submit,
        }
    }

    /// Its category and name.
    fn kind(self) -> (&'static str, &'static str) {
        match self {
            Self::View => ("page", "viewed"),
            Self::Click => ("link", "clicked"),
            Self::Submit => ("form", "submitted"),
            Self::Play => ("video", "played"),
            Self::Look => ("coupon", "viewed"),
        }
    }

    fn data(self, random: &mut Rng, page: &str) -> Value {
        match self {
            // Of that coupon: see `Visit::add`.
            Self::Look => Value::Null,
            Self::View => json!({ "page": page, "milliseconds": random.u32(80..1500) }),
            Self::Click => json!({ "page": page, "link": one_of(random, &LINKS) }),
            Self::Submit => {
                json!({ "page": page, "form": one_of(random, &FORMS), "fields": random.u32(1..8) })
            }
            Self::Play => json!({ "video": one_of(random, &VIDEOS), "seconds": random.u32(1..90) }),
        }
    }
}

impl Step {
    /// Whether something is wrong with it.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.fault.is_some()
    }

    /// Whether a coupon is looked at.
    #[must_use]
    pub fn is_look(&self) -> bool {
        self.what == What::Look
    }

    /// The event, to be sent at this time.
    #[must_use]
    pub fn event(&self, now: DateTime<Utc>) -> Event {
        let (mut session, mut at, mut data) = (self.session, self.at, self.data.clone());
        let (category, name) = self.what.kind();
        let mut category = Some(category);
        match self.fault {
            None => {}
            Some(Fault::UnknownSession) => session = Uuid::now_v7(),
            Some(Fault::WrongData) => data = json!({ "page": 404, "seen": self.page }),
            Some(Fault::NoCategory) => category = None,
            Some(Fault::Ahead) => at = now + WRONG_CLOCK,
            Some(Fault::NoData) => data = json!({}),
        }
        let mut event = json!({ "event_id": self.id.to_string(), "name": name, "data": data });
        if let Some(category) = category {
            event["category"] = category.into();
        }
        if self.nested {
            event["session"] = json!({ "id": session.to_string() });
            event["timestamp"] = at.format("%Y-%m-%d %H:%M:%S%.6f").to_string().into();
        } else {
            event["session_id"] = session.to_string().into();
            event["occurred_at"] = at.to_rfc3339_opts(SecondsFormat::Micros, true).into();
        }
        Event::json(event)
    }
}

/// The event types of visits: category, name and what their data must be like.
#[must_use]
pub fn types() -> Vec<(&'static str, &'static str, Value)> {
    let page = json!({ "type": "string", "pattern": "^/" });
    let all = [
        (What::View, "milliseconds", json!({ "type": "number", "minimum": 0 })),
        (What::Click, "link", json!({ "type": "string", "minLength": 1 })),
        (What::Submit, "form", json!({ "enum": FORMS })),
    ];
    let schema = |(what, field, of): (What, &str, Value)| {
        let (category, name) = what.kind();
        let schema = json!({
            "type": "object",
            "required": ["page", field],
            "properties": { "page": page, field: of },
        });
        (category, name, schema)
    };
    all.into_iter().map(schema).collect()
}

/// An id that comes of a tap, the same in each run.
pub(super) fn id_of(tap: Uuid, what: impl Display) -> Uuid {
    uuid_of(&format!("simulated visit {tap} {what}"))
}

fn one_of(random: &mut Rng, texts: &[&'static str]) -> &'static str {
    random.choice(texts).copied().unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, reason = "a visit is short")]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::events::schema::Schema;

    fn at() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-03-02T10:00:00Z").unwrap().to_utc()
    }

    fn visits() -> Vec<Visit> {
        let tapped = |n: u64| Tapped { tap: Uuid::from_u128(n.into()), at: at(), seed: n };
        (1..=4_000).map(|n| Visit::after(&tapped(n))).collect()
    }

    fn share(part: usize, all: usize) -> f64 {
        f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(all).unwrap())
    }

    #[test]
    fn visits_begin_soon_and_do_not_last() {
        let (mut lengths, mut ids) = (Vec::new(), BTreeSet::new());
        for visit in visits() {
            let instants: Vec<_> = visit.steps.iter().map(|step| step.at).collect();
            assert!(instants.is_sorted());
            assert!(instants[0] >= at() && instants[0] < at() + TimeDelta::seconds(1));
            assert!(*instants.last().unwrap() <= at() + TimeDelta::seconds(60));
            assert_eq!(visit.steps[0].what, What::View);
            ids.insert(visit.session);
            ids.extend(visit.steps.iter().map(|step| step.id));
            lengths.push(visit.steps.len());
        }
        let all: usize = lengths.iter().sum();
        assert_eq!(ids.len(), all + lengths.len(), "each has an id of its own");
        let mean = share(all, lengths.len());
        assert!((3.0..7.0).contains(&mean), "{mean}");
    }

    #[test]
    fn the_good_are_as_their_types_say_and_the_bad_are_not() {
        let schemas: BTreeMap<_, _> = types()
            .into_iter()
            .map(|(category, name, schema)| {
                let schema = Schema::parse(&schema.to_string()).unwrap();
                ((category, name), schema)
            })
            .collect();
        assert_eq!(schemas.len(), 3);
        let steps: Vec<Step> = visits().into_iter().flat_map(|visit| visit.steps).collect();
        let (mut bad, mut faults, mut nested) = (0, BTreeMap::new(), 0);
        for step in &steps {
            nested += usize::from(step.nested);
            let wrong = step.fault == Some(Fault::WrongData);
            if let Some(schema) = schemas.get(&step.what.kind()) {
                let data = if wrong { json!({ "page": 404 }) } else { step.data.clone() };
                assert_eq!(schema.check(&data).is_empty(), !wrong, "{step:?}");
            } else {
                assert!(!wrong, "{step:?}");
            }
            if let Some(fault) = step.fault {
                bad += 1;
                *faults.entry(format!("{fault:?}")).or_insert(0) += 1;
            }
        }
        assert!((0.015..0.025).contains(&share(bad, steps.len())), "{bad} of {}", steps.len());
        assert!((0.35..0.45).contains(&share(nested, steps.len())), "{nested}");
        assert_eq!(faults.len(), FAULTS.len());
        assert!(faults.values().all(|count| share(*count, bad) > 0.1), "{faults:?}");
    }

    #[test]
    fn after_the_same_tap_comes_the_same_visit() {
        assert!(visits() == visits());
    }
}
