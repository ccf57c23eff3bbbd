//! The coupon that somebody sees in the visit after a tap, and maybe redeems. Made up, with no clock and no network
//! of its own: after the same tap, among the same coupons, the same.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use super::visit::{Tapped, id_of};
use crate::proto::tap_v1::{self, RedeemCouponRequest};

/// In how many visits a coupon is seen, and how many of those that are seen are redeemed.
const SEEN: f64 = 0.33;
const REDEEMED: f64 = 0.33;
/// When it is seen, in seconds after the tap: once there is a page. And when it is redeemed, in seconds after that.
const SEES: Range<f64> = 1.0..6.0;
const REDEEMS: Range<f64> = 1.0..12.0;
/// How many people there are: some come again, and may have redeemed before.
const PEOPLE: u64 = 10_000;

/// A coupon that can be seen.
#[derive(Clone, Debug)]
pub struct Coupon {
    pub id: String,
    /// The tags that hand it out; none: any.
    uids: Vec<String>,
    published_at: Option<DateTime<Utc>>,
    expire_at: Option<DateTime<Utc>>,
}

/// A visitor looks at a coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub coupon: String,
    pub at: DateTime<Utc>,
    /// When it is redeemed, if it is.
    pub redeems_at: Option<DateTime<Utc>>,
}

impl Coupon {
    /// Whether whoever taps this tag sees it at an instant.
    fn is_shown(&self, uid: &str, at: DateTime<Utc>) -> bool {
        (self.uids.is_empty() || self.uids.iter().any(|own| own == uid))
            && self.published_at.is_none_or(|from| from <= at)
            && self.expire_at.is_none_or(|until| at < until)
    }
}

impl From<tap_v1::Coupon> for Coupon {
    fn from(coupon: tap_v1::Coupon) -> Self {
        let instant = |text: Option<String>| text.as_deref().and_then(super::instant);
        Self {
            id: coupon.id,
            uids: coupon.tag_uids,
            published_at: instant(coupon.published_at),
            expire_at: instant(coupon.expire_at),
        }
    }
}

impl Look {
    /// What a visitor sees of these coupons after a tap of this tag.
    #[must_use]
    pub fn after(tapped: &Tapped, uid: &str, coupons: &[Coupon]) -> Option<Self> {
        // Not the numbers that the rest of the visit is made of, which is the same without coupons.
        let mut random = Rng::with_seed(!tapped.seed);
        let (sees, redeems) = (random.f64() < SEEN, random.f64() < REDEEMED);
        let at = tapped.at + within(&mut random, SEES);
        let redeems_at = at + within(&mut random, REDEEMS);
        let shown = coupons.iter().filter(|coupon| sees && coupon.is_shown(uid, at));
        // By lot, so that most see the same when there is one coupon more.
        let lot = |coupon: &&Coupon| id_of(tapped.tap, format_args!("may see {}", coupon.id));
        let coupon = shown.min_by_key(lot)?.id.clone();
        Some(Self { coupon, at, redeems_at: redeems.then_some(redeems_at) })
    }

    /// How it is redeemed.
    #[must_use]
    pub fn redemption(&self, tapped: &Tapped) -> RedeemCouponRequest {
        let visitor = format!("simulated visitor {}", tapped.seed % PEOPLE);
        RedeemCouponRequest {
            id: self.coupon.clone(),
            subject: blake3::hash(visitor.as_bytes()).to_hex()[..32].to_owned(),
            tap_id: tapped.tap.to_string(),
            tag_uid: String::new(),
            request_id: id_of(tapped.tap, "redeems").to_string(),
            couponcode: String::new(),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is seconds")]
fn within(random: &mut Rng, seconds: Range<f64>) -> TimeDelta {
    let seconds = seconds.start + (seconds.end - seconds.start) * random.f64();
    TimeDelta::microseconds((seconds * 1e6) as i64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;

    const VISITS: u32 = 9_000;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn coupon(id: &str, uids: &[&str]) -> Coupon {
        let uids = uids.iter().map(|uid| (*uid).to_owned()).collect();
        Coupon { id: id.to_owned(), uids, published_at: None, expire_at: None }
    }

    fn tapped(n: u32) -> Tapped {
        let at = at("2026-03-02T10:00:00Z");
        Tapped { tap: Uuid::from_u128(n.into()), at, seed: u64::from(n) * 77 }
    }

    fn looks(uid: &str, coupons: &[Coupon]) -> Vec<Look> {
        (0..VISITS).filter_map(|n| Look::after(&tapped(n), uid, coupons)).collect()
    }

    #[test]
    fn a_third_sees_a_coupon_and_a_third_of_these_redeems_it() {
        let looks = looks("a", &[coupon("x", &[])]);
        assert!((2_700..3_300).contains(&looks.len()), "{}", looks.len());
        let redeemed: Vec<_> = looks.iter().filter(|look| look.redeems_at.is_some()).collect();
        assert!((850..1_150).contains(&redeemed.len()), "{}", redeemed.len());
        for look in looks {
            let seconds = (look.at - tapped(0).at).as_seconds_f64();
            assert!(SEES.contains(&seconds), "{seconds}");
            let later = look.redeems_at.map(|at| (at - look.at).as_seconds_f64());
            assert!(later.is_none_or(|later| REDEEMS.contains(&later)), "{later:?}");
        }
    }

    #[test]
    fn only_what_its_tag_hands_out_is_seen_and_only_while_it_is_valid() {
        let mut early = coupon("early", &[]);
        early.expire_at = Some(at("2026-03-02T10:00:00Z"));
        let mut late = coupon("late", &[]);
        late.published_at = Some(at("2026-03-02T10:01:00Z"));
        let coupons = [coupon("a", &["a", "b"]), coupon("b", &["b"]), early, late];
        let seen = |uid| {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for look in looks(uid, &coupons) {
                *seen.entry(look.coupon).or_default() += 1;
            }
            seen
        };
        assert_eq!(seen("a").keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(seen("b").keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(seen("b").values().all(|count| *count > 1_200), "{:?}", seen("b"));
        assert!(seen("c").is_empty());
    }

    #[test]
    fn with_one_more_coupon_the_others_are_seen_as_before() {
        let mut coupons = vec![coupon("x", &[]), coupon("y", &[])];
        let before = looks("a", &coupons);
        coupons.insert(0, coupon("z", &[]));
        let after = looks("a", &coupons);
        assert_eq!(before.len(), after.len());
        assert!(before.iter().zip(&after).all(|(b, a)| a == b || a.coupon == "z"));
        assert!(after.iter().any(|look| look.coupon == "z"));
    }

    #[test]
    fn some_people_come_again_and_no_redemption_is_another_one() {
        let coupons = [coupon("x", &[])];
        let mut subjects: BTreeMap<String, usize> = BTreeMap::new();
        let mut requests = std::collections::BTreeSet::new();
        for n in 0..VISITS {
            let Some(look) = Look::after(&tapped(n), "a", &coupons) else { continue };
            let redemption = look.redemption(&tapped(n));
            assert_eq!(redemption, look.redemption(&tapped(n)));
            assert!(requests.insert(redemption.request_id));
            assert_eq!(redemption.subject.len(), 32);
            *subjects.entry(redemption.subject).or_default() += 1;
        }
        let again = Tapped { seed: tapped(1).seed + PEOPLE, ..tapped(2) };
        let look = Look { coupon: "x".to_owned(), at: again.at, redeems_at: None };
        assert!(look.redemption(&again).subject == look.redemption(&tapped(1)).subject);
        assert!(subjects.len() > 1_000);
    }
}
