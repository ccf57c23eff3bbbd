//! Brings visits to the service, as an application would: makes the session of each, and sends its events when
//! they happen, by the client for applications. In some a coupon is seen, and redeemed: see `coupons.rs`.
//!
//! It goes beside the taps and never keeps them waiting. Where the key may not send events, there are none.

use std::{
    fmt,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time,
};
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    LAST_CALLS,
    calls::Calls,
    coupon::Look,
    coupons::Coupons,
    instant,
    progress::Progress,
    sender::SAY_AGAIN,
    visit::{self, Tapped, Visit},
};
use crate::{
    client::{self, Problem, Then},
    clock::Clock,
    json,
    proto::tap_v1::{CreateSessionRequest, PutEventTypeRequest, events_client::EventsClient},
};

/// Visits that are under way at a time, and that wait to begin. Beyond that they are left out.
const UNDER_WAY_MAX: usize = 2_000;
const WAITING_MAX: u64 = 10_000;
/// Sessions that are made at a time.
const SESSIONS_AT_A_TIME: usize = 8;
/// How often to look whether the last ones are made.
const LOOK: Duration = Duration::from_millis(10);

/// Visits that are brought to the service in the background.
#[derive(Debug)]
pub(super) struct Visits(Option<Background>);

#[derive(Debug)]
struct Background {
    tapped: mpsc::UnboundedSender<OfTag>,
    counts: watch::Sender<Counts>,
    events: client::Events,
    sessions: Arc<Semaphore>,
    coupons: Arc<Coupons>,
    task: JoinHandle<()>,
}

/// A tap, and the uid of its tag.
type OfTag = (Tapped, String);

/// How many there are.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Visits that were begun, and of these those of which all is sent that has happened.
    begun: u64,
    caught_up: u64,
    /// Sessions that were made, and events that were sent.
    sessions: u64,
    sent: u64,
    wrong: u64,
    /// There will be no more.
    refused: bool,
}

impl Visits {
    /// No visits.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Begins with the event types, then waits for visits.
    ///
    /// # Errors
    /// When the key cannot be one.
    pub(super) fn start(
        clock: &Clock,
        channel: Channel,
        key: &str,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let options = client::Options {
            on_problem: Some(on_problem(progress.clone())),
            ..client::Options::default()
        };
        let events = client::Events::over(channel.clone(), key, options)?;
        let counts = watch::Sender::new(Counts::default());
        let (tapped, taps) = mpsc::unbounded_channel();
        let key: MetadataValue<Ascii> = key.parse()?;
        let coupons = Coupons::new(channel.clone(), key.clone(), progress, clock.now());
        let coupons = Arc::new(coupons);
        let sessions = Arc::new(Semaphore::new(SESSIONS_AT_A_TIME));
        let guide = Guide {
            service: EventsClient::new(channel),
            calls: Calls::new(key, progress.clone(), "no visits begin"),
            events: events.clone(),
            coupons: Arc::clone(&coupons),
            clock: clock.clone(),
            counts: counts.clone(),
            sessions: Arc::clone(&sessions),
            progress: progress.clone(),
        };
        let task = tokio::spawn(guide.run(taps));
        Ok(Self(Some(Background { tapped, counts, events, sessions, coupons, task })))
    }

    /// Begins a visit after a tap of this tag, if there is room for one more.
    pub(super) fn begin(&self, tapped: Tapped, uid: String) {
        let Some(background) = &self.0 else { return };
        background.counts.send_modify(|counts| {
            let has_room = counts.begun - counts.caught_up < WAITING_MAX && !counts.refused;
            if has_room && background.tapped.send((tapped, uid)).is_ok() {
                counts.begun += 1;
            }
        });
    }

    /// Waits until all is sent that has happened in the visits that were begun.
    pub(super) async fn caught_up(&self) {
        let Some(background) = &self.0 else { return };
        let mut counts = background.counts.subscribe();
        let caught_up = |counts: &Counts| counts.caught_up >= counts.begun || counts.refused;
        let _gone = counts.wait_for(caught_up).await;
    }

    /// Cuts off what is under way, and waits for answers, but not for long.
    pub(super) async fn end(&self) {
        let Some(Background { events, sessions, coupons, task, .. }) = &self.0 else { return };
        let answers = async {
            // Sessions that are being made are counted, too.
            sessions.close();
            while sessions.available_permits() < SESSIONS_AT_A_TIME {
                time::sleep(LOOK).await;
            }
            task.abort();
            tokio::join!(events.close(), coupons.end())
        };
        let _late = time::timeout(LAST_CALLS, answers).await;
        task.abort();
    }
}

impl fmt::Display for Visits {
    /// Nothing, where there are no visits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Background { counts, events, coupons, .. }) = &self.0 else { return Ok(()) };
        let Counts { sessions, sent, wrong, refused, .. } = *counts.borrow();
        if refused && sessions == 0 {
            return Ok(());
        }
        let taken = events.stats().accepted;
        write!(f, "{sessions} visits, {sent} events, {wrong} wrong, {taken} taken{coupons}")
    }
}

/// Tells of what the service says about events. Where it cannot be reached, the taps say so.
fn on_problem(progress: Progress) -> client::OnProblem {
    let said = std::sync::Mutex::new(None::<Instant>);
    Arc::new(move |problem: &Problem| {
        let (message, code) = (&problem.message, problem.code);
        let text = match &problem.then {
            Then::Again { .. } if problem.reason.is_none() => return,
            Then::Again { after } | Then::Held { after } => {
                format!("no events are taken ({code:?}): {message}; again in {after:.1?}")
            }
            Then::Dropped { .. } => format!("an event was refused ({code:?}): {message}"),
        };
        let mut said = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            *said = Some(Instant::now());
            progress.say(&text);
        }
    })
}

/// Leads visitors.
struct Guide {
    service: EventsClient<Channel>,
    calls: Calls,
    events: client::Events,
    coupons: Arc<Coupons>,
    clock: Clock,
    counts: watch::Sender<Counts>,
    sessions: Arc<Semaphore>,
    progress: Progress,
}

/// The service refuses for good.
struct Refused(Status);

/// Notes once that all is sent that has happened in a visit.
struct CatchUp<'a>(Option<&'a watch::Sender<Counts>>);

impl CatchUp<'_> {
    fn note(&mut self) {
        if let Some(counts) = self.0.take() {
            counts.send_modify(|counts| counts.caught_up += 1);
        }
    }
}

impl Drop for CatchUp<'_> {
    fn drop(&mut self) {
        self.note();
    }
}

impl Guide {
    async fn run(self, mut taps: mpsc::UnboundedReceiver<OfTag>) {
        let Err(Refused(why)) = self.lead(&mut taps).await else { return };
        self.counts.send_modify(|counts| counts.refused = true);
        let message = why.message();
        let code = why.code();
        self.progress.say(&format!("there are no events, only taps ({code:?}): {message}"));
    }

    /// Leads visitors, as long as they come.
    async fn lead(&self, taps: &mut mpsc::UnboundedReceiver<OfTag>) -> Result<(), Refused> {
        let started = self.set_types().await?;
        self.coupons.find_first().await;
        let mut finding = pin!(self.coupons.find_again());
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                tapped = taps.recv(), if under_way.len() < UNDER_WAY_MAX => match tapped {
                    Some((tapped, uid)) => under_way.push(self.visit(tapped, uid, started)),
                    None => return Ok(()),
                },
                Some(ended) = under_way.next() => ended?,
                () = &mut finding => {}
            }
        }
    }

    /// Sets the event types, and gives the time at which that was, by the clock of the service.
    async fn set_types(&self) -> Result<Option<DateTime<Utc>>, Refused> {
        let mut set_at = None;
        for (category, name, schema) in visit::types() {
            let request = PutEventTypeRequest {
                category: category.to_owned(),
                name: name.to_owned(),
                schema: schema.as_object().map(json::struct_of),
                etag: String::new(),
            };
            let put = |mut service: EventsClient<Channel>, request| async move {
                service.put_event_type(request).await
            };
            let answer = self.calls.call(&self.service, request, put).await.map_err(Refused)?;
            let at = answer.r#type.and_then(|set| instant(&set.updated_at));
            set_at = set_at.or(at);
        }
        Ok(set_at)
    }

    /// Leads one visitor.
    async fn visit(
        &self,
        tapped: Tapped,
        uid: String,
        started: Option<DateTime<Utc>>,
    ) -> Result<(), Refused> {
        let catch_up = CatchUp(Some(&self.counts));
        let mut visit = Visit::after(&tapped);
        let look = self.coupons.look(&tapped, &uid);
        if let Some(look) = &look {
            visit.add(look);
        }
        let Ok(turn) = self.sessions.acquire().await else { return Ok(()) };
        let created_at = self.create_session(&visit).await?;
        self.counts.send_modify(|counts| counts.sessions += 1);
        drop(turn);
        // What is wrong is refused as often as it comes: an earlier run has sent it.
        let is_known = created_at < started;
        tokio::join!(self.send(&visit, is_known, catch_up), self.redeem(&tapped, look));
        Ok(())
    }

    /// Sends the events of a visit when they happen.
    async fn send(&self, visit: &Visit, is_known: bool, mut catch_up: CatchUp<'_>) {
        for step in visit.steps.iter().filter(|step| !step.is_bad() || !is_known) {
            if step.at > self.clock.now() {
                catch_up.note();
                self.sleep_until(step.at).await;
            }
            let event = step.event(self.clock.now());
            if self.events.send(event).await.is_err() {
                return;
            }
            self.counts.send_modify(|counts| {
                counts.sent += 1;
                counts.wrong += u64::from(step.is_bad());
            });
            if step.is_look() {
                self.coupons.count_seen();
            }
        }
    }

    /// Redeems the coupon that a visitor looks at, if the visitor does so.
    async fn redeem(&self, tapped: &Tapped, look: Option<Look>) {
        let Some(look) = look else { return };
        if let Some(at) = self.coupons.redeems_at(&look) {
            self.sleep_until(at).await;
            self.coupons.redeem(look.redemption(tapped));
        }
    }

    async fn sleep_until(&self, at: DateTime<Utc>) {
        time::sleep((at - self.clock.now()).to_std().unwrap_or_default()).await;
    }

    /// Makes the session of a visit, and gives the time at which it was made first.
    async fn create_session(&self, visit: &Visit) -> Result<Option<DateTime<Utc>>, Refused> {
        let (id, tap_id) = (visit.session.to_string(), visit.tap.to_string());
        let create = |mut service: EventsClient<Channel>, request| async move {
            service.create_session(request).await
        };
        let request = CreateSessionRequest { id, tap_id };
        let answer = self.calls.call(&self.service, request, create).await.map_err(Refused)?;
        Ok(answer.session.and_then(|session| instant(&session.created_at)))
    }
}
