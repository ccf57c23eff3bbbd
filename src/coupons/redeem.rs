//! Redeems coupons: what comes together for a team is redeemed together ([`crate::group_commit`]), one after
//! another in the order in which it came.
//!
//! One transaction locks the coupons, decides, and writes the ledger and what is counted of it. So whoever decides,
//! on whichever replica, has seen everything that was redeemed before.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time,
};
use uuid::Uuid;

use super::{
    model::{Asked, Obstacle, Redemption, Subject, TAP_AGE_MAX, Terms},
    registry::no_such_coupon,
    store::redemptions::{self as store, Change},
};
use crate::{
    clock::Clock,
    db::{Db, Write},
    error::Error,
    group_commit::{Commits, Lines},
    ids::TeamId,
    reasons,
    taps::buckets::quarter_of,
};

/// Redemptions of one commit.
const COMMIT_REDEMPTIONS: usize = 500;
/// Commits that are under way at a time.
pub const COMMITS_MAX: usize = 4;
/// How often redemptions are tried that met the same request on another replica.
const TRIES: usize = 3;
/// How long a caller may wait.
const REDEEM_TIMEOUT: Duration = Duration::from_secs(20);

/// Redeems coupons.
#[derive(Clone, Debug)]
pub struct Redeemer(Arc<Lines<Inner>>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
}

/// What is to be redeemed, and who waits for it.
#[derive(Debug)]
struct Waiting {
    asked: Asked,
    done: oneshot::Sender<Result<Redemption, Error>>,
}

impl Redeemer {
    /// Empty lines before this store.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self(Lines::new(Inner { db, clock }, Arc::new(Semaphore::new(COMMITS_MAX))))
    }

    /// Redeems a coupon once. What waits for its turn is dropped when the caller goes away.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::FailedPrecondition`] with what stands against it, [`Error::AlreadyExists`] for a
    /// request that was another one; as [`crate::db::query`]: then nobody knows whether it was redeemed.
    pub async fn redeem(&self, team: TeamId, asked: Asked) -> Result<Redemption, Error> {
        let (done, answer) = oneshot::channel();
        self.0.join(team, Waiting { asked, done });
        let answer = time::timeout(REDEEM_TIMEOUT, answer).await;
        answer.map_err(Error::store_unavailable)?.map_err(Error::internal)?
    }
}

impl Commits for Inner {
    type Waiting = Waiting;
    const WEIGHT_MAX: usize = COMMIT_REDEMPTIONS;

    fn weight(_: &Waiting) -> usize {
        1
    }

    fn is_given_up(waiting: &Waiting) -> bool {
        waiting.done.is_closed()
    }

    async fn commit(&self, team: TeamId, group: Vec<Waiting>, turn: OwnedSemaphorePermit) {
        let start = Instant::now();
        let (asked, callers): (Vec<Asked>, Vec<_>) =
            group.into_iter().map(|waiting| (waiting.asked, waiting.done)).unzip();
        let redeemed = self.redeem(team, &asked).await;
        drop(turn);
        metrics::histogram!("tap_redemption_commit_seconds").record(start.elapsed().as_secs_f64());
        match redeemed {
            Ok(outcomes) => {
                for (done, outcome) in callers.into_iter().zip(outcomes) {
                    let label = outcome.as_ref().map_or_else(|error| error.code().1, |_| "OK");
                    metrics::counter!("tap_redemptions_total", "outcome" => label).increment(1);
                    let _caller_gone = done.send(outcome);
                }
            }
            Err(error) => {
                for done in callers {
                    let _caller_gone = done.send(Err(error.clone()));
                }
            }
        }
    }
}

/// What became of each that was asked for, in its order.
type Outcomes = Vec<Result<Redemption, Error>>;

impl Inner {
    async fn redeem(&self, team: TeamId, asked: &[Asked]) -> Result<Outcomes, Error> {
        for _ in 0..TRIES {
            let write = self.db.team_write(team).await?;
            let done = self.redeem_in(&write, team, asked).await;
            // Not the callers' query.
            let done = done.map_err(|error| match error {
                Error::TooSlow => Error::Busy,
                error => error,
            });
            match done {
                Ok(Some(outcomes)) => return write.end(Ok(outcomes)).await,
                // Somebody else took the id of a request for another coupon in this moment: it is found now.
                Ok(None) => write.roll_back().await,
                Err(error) => return write.end(Err(error)).await,
            }
        }
        Err(Error::Busy)
    }

    /// `None`: somebody else was faster.
    async fn redeem_in(
        &self,
        write: &Write,
        team: TeamId,
        asked: &[Asked],
    ) -> Result<Option<Outcomes>, Error> {
        let now = self.clock.now();
        // Before anything is locked.
        let unknown = |asked: &Asked| asked.tap_id.filter(|_| asked.tag.is_none());
        let taps: Vec<Uuid> = asked.iter().filter_map(unknown).collect();
        let tags = if taps.is_empty() {
            HashMap::new()
        } else {
            store::find_taps(write, team, &taps, now - TAP_AGE_MAX).await?
        };
        let mut coupons: Vec<Uuid> = asked.iter().map(|asked| asked.coupon).collect();
        coupons.sort_unstable();
        coupons.dedup();
        let terms = store::lock_terms(write, team, &coupons).await?;
        // Only now: what was committed before the coupons were locked is seen.
        let requests: Vec<Uuid> = asked.iter().filter_map(|asked| asked.request_id).collect();
        let before = if requests.is_empty() {
            Vec::new()
        } else {
            store::find_requests(write, team, &requests).await?
        };
        let limited = |asked: &&Asked| {
            terms.get(&asked.coupon).is_some_and(|(terms, _)| terms.max_per_subject.is_some())
        };
        let pairs: HashSet<(Uuid, &str)> = asked
            .iter()
            .filter(limited)
            .filter(|asked| !asked.subject.is_empty())
            .map(|asked| (asked.coupon, asked.subject.as_str()))
            .collect();
        let subjects = if pairs.is_empty() {
            HashMap::new()
        } else {
            let pairs: Vec<_> = pairs.into_iter().collect();
            store::count_subjects(write, team, &pairs).await?
        };

        // As late as that: it may have waited for the lock.
        let now = self.clock.now();
        let mut decider = Decider::new(terms, subjects, before, now);
        let decide = |asked: &Asked| {
            let known = asked.tap_id.and_then(|tap| tags.get(&tap).copied());
            let tag = asked.tag.or(known);
            decider.decide(&Asked { tag, ..asked.clone() })
        };
        let outcomes: Outcomes = asked.iter().map(decide).collect();
        if decider.new.is_empty() {
            return Ok(Some(outcomes));
        }
        let added = store::insert_redemptions(write, team, now, &decider.new).await?;
        if added.len() < decider.new.len() {
            return Ok(None);
        }
        store::count_redeemed(write, team, &decider.changes()).await?;
        store::count_quarters(write, team, &decider.quarters()).await?;
        Ok(Some(outcomes))
    }
}

/// Decides on one after another, each in the light of those before it.
#[derive(Debug)]
pub struct Decider {
    terms: HashMap<Uuid, (Terms, String)>,
    subjects: HashMap<(Uuid, String), i64>,
    requests: HashMap<Uuid, Redemption>,
    now: DateTime<Utc>,
    /// What is to be written.
    pub new: Vec<Redemption>,
}

impl Decider {
    /// What is known: the terms of coupons and their codes, how often subjects have redeemed them, and what came of
    /// requests before.
    #[must_use]
    pub fn new(
        terms: HashMap<Uuid, (Terms, String)>,
        subjects: HashMap<(Uuid, String), i64>,
        before: Vec<Redemption>,
        now: DateTime<Utc>,
    ) -> Self {
        let requests =
            before.into_iter().filter_map(|redemption| Some((redemption.request_id?, redemption)));
        Self { terms, subjects, requests: requests.collect(), now, new: Vec::new() }
    }

    /// Redeems a coupon once, or finds what stands against it.
    ///
    /// # Errors
    /// As [`Redeemer::redeem`].
    pub fn decide(&mut self, asked: &Asked) -> Result<Redemption, Error> {
        if let Some(first) = asked.request_id.and_then(|id| self.requests.get(&id)) {
            return repeated(first, asked);
        }
        let (terms, couponcode) = self.terms.get_mut(&asked.coupon).ok_or_else(no_such_coupon)?;
        let pair = (asked.coupon, asked.subject.clone());
        let mut by_subject = self.subjects.entry(pair);
        let subject = match &by_subject {
            _ if asked.subject.is_empty() => Subject::Nobody,
            Entry::Occupied(times) => Subject::Redeemed(*times.get()),
            Entry::Vacant(_) => Subject::Redeemed(0),
        };
        let obstacles = terms.obstacles(self.now, subject);
        if !obstacles.is_empty() {
            return Err(refusal(&obstacles));
        }
        terms.redeemed += 1;
        by_subject = by_subject.and_modify(|times| *times += 1);
        by_subject.or_insert(1);
        let redemption = Redemption {
            id: Uuid::now_v7(),
            coupon: asked.coupon,
            couponcode: couponcode.clone(),
            key: asked.key,
            subject: asked.subject.clone(),
            tap_id: asked.tap_id,
            tag: asked.tag,
            tag_uid: None,
            request_id: asked.request_id,
            redeemed_at: self.now,
            released_at: None,
        };
        if let Some(id) = asked.request_id {
            self.requests.insert(id, redemption.clone());
        }
        self.new.push(redemption.clone());
        Ok(redemption)
    }

    /// What is to be counted of each coupon.
    fn changes(&self) -> BTreeMap<Uuid, Change> {
        let mut changes: BTreeMap<Uuid, Change> = BTreeMap::new();
        for one in &self.new {
            changes.entry(one.coupon).or_default().redeemed += 1;
        }
        changes
    }

    /// What is to be counted in the quarter of an hour.
    fn quarters(&self) -> BTreeMap<store::Quarter, i64> {
        let mut quarters = BTreeMap::new();
        for one in &self.new {
            *quarters.entry((quarter_of(one.redeemed_at), one.coupon, one.tag)).or_default() += 1;
        }
        quarters
    }
}

/// A request that was done before.
fn repeated(first: &Redemption, asked: &Asked) -> Result<Redemption, Error> {
    let same = first.coupon == asked.coupon
        && first.key == asked.key
        && first.subject == asked.subject
        && first.tap_id == asked.tap_id
        // The tap may have been recorded only since.
        && (!asked.tag_named || first.tag == asked.tag);
    if same {
        // As it was answered then, also if it was given back since.
        return Ok(Redemption { released_at: None, ..first.clone() });
    }
    Err(Error::AlreadyExists {
        reason: reasons::REQUEST_ID_USED,
        message: "this request_id was used for another redemption: take a new one, or repeat that one as it was".to_owned(),
    })
}

/// What stands against redeeming a coupon.
fn refusal(obstacles: &[Obstacle]) -> Error {
    let texts: Vec<String> = obstacles.iter().map(|obstacle| obstacle.text()).collect();
    match obstacles {
        [Obstacle::NoSubject] => Error::invalid("subject", reasons::REQUIRED, texts.join("; ")),
        [first, ..] => {
            Error::FailedPrecondition { reason: first.reason(), message: texts.join("; ") }
        }
        [] => Error::internal(anyhow::anyhow!("nothing stands against it")),
    }
}
