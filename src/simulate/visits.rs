//! Brings visits to the service, as an application would: makes the session of each, and sends its events when
//! they happen, by the client for applications.
//!
//! It goes beside the taps and never keeps them waiting. Where the key may not send events, there are none.

use std::{fmt, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::{Mutex, Semaphore, mpsc, watch},
    task::JoinHandle,
    time,
};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    LAST_CALLS,
    progress::Progress,
    sender::{SAY_AGAIN, Trouble, is_answer, wait},
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

/// Visits that are brought to the service in the background.
#[derive(Debug)]
pub(super) struct Visits(Option<Background>);

#[derive(Debug)]
struct Background {
    tapped: mpsc::UnboundedSender<Tapped>,
    counts: watch::Sender<Counts>,
    events: client::Events,
    task: JoinHandle<()>,
}

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
        let guide = Guide {
            service: EventsClient::new(channel),
            key: key.parse()?,
            events: events.clone(),
            clock: clock.clone(),
            counts: counts.clone(),
            sessions: Semaphore::new(SESSIONS_AT_A_TIME),
            trouble: Mutex::default(),
            progress: progress.clone(),
        };
        let task = tokio::spawn(guide.run(taps));
        Ok(Self(Some(Background { tapped, counts, events, task })))
    }

    /// Begins a visit, if there is room for one more.
    pub(super) fn begin(&self, tapped: Tapped) {
        let Some(background) = &self.0 else { return };
        background.counts.send_modify(|counts| {
            let has_room = counts.begun - counts.caught_up < WAITING_MAX && !counts.refused;
            if has_room && background.tapped.send(tapped).is_ok() {
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
        let Some(Background { events, task, .. }) = &self.0 else { return };
        task.abort();
        let _late = time::timeout(LAST_CALLS, events.close()).await;
    }
}

impl fmt::Display for Visits {
    /// Nothing, where there are no visits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Background { counts, events, .. }) = &self.0 else { return Ok(()) };
        let Counts { sessions, sent, wrong, refused, .. } = *counts.borrow();
        if refused && sessions == 0 {
            return Ok(());
        }
        let taken = events.stats().accepted;
        write!(f, "{sessions} visits, {sent} events, {wrong} wrong, {taken} taken")
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
    key: MetadataValue<Ascii>,
    events: client::Events,
    clock: Clock,
    counts: watch::Sender<Counts>,
    sessions: Semaphore,
    trouble: Mutex<Trouble>,
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
    async fn run(self, mut taps: mpsc::UnboundedReceiver<Tapped>) {
        let Err(Refused(why)) = self.lead(&mut taps).await else { return };
        self.counts.send_modify(|counts| counts.refused = true);
        let message = why.message();
        let code = why.code();
        self.progress.say(&format!("there are no events, only taps ({code:?}): {message}"));
    }

    /// Leads visitors, as long as they come.
    async fn lead(&self, taps: &mut mpsc::UnboundedReceiver<Tapped>) -> Result<(), Refused> {
        let started = self.set_types().await?;
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                tapped = taps.recv(), if under_way.len() < UNDER_WAY_MAX => match tapped {
                    Some(tapped) => under_way.push(self.visit(tapped, started)),
                    None => return Ok(()),
                },
                Some(ended) = under_way.next() => ended?,
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
            let answer = self.call(request, put).await?;
            let at = answer.r#type.and_then(|set| instant(&set.updated_at));
            set_at = set_at.or(at);
        }
        Ok(set_at)
    }

    /// Leads one visitor.
    async fn visit(&self, tapped: Tapped, started: Option<DateTime<Utc>>) -> Result<(), Refused> {
        let mut catch_up = CatchUp(Some(&self.counts));
        let visit = Visit::after(&tapped);
        let created_at = self.create_session(&visit).await?;
        self.counts.send_modify(|counts| counts.sessions += 1);
        // What is wrong is refused as often as it comes: an earlier run has sent it.
        let is_known = created_at < started;
        for step in visit.steps.iter().filter(|step| !step.is_bad() || !is_known) {
            if let Ok(ahead) = (step.at - self.clock.now()).to_std()
                && !ahead.is_zero()
            {
                catch_up.note();
                time::sleep(ahead).await;
            }
            let event = step.event(self.clock.now());
            if self.events.send(event).await.is_err() {
                return Ok(());
            }
            self.counts.send_modify(|counts| {
                counts.sent += 1;
                counts.wrong += u64::from(step.is_bad());
            });
        }
        Ok(())
    }

    /// Makes the session of a visit, and gives the time at which it was made first.
    async fn create_session(&self, visit: &Visit) -> Result<Option<DateTime<Utc>>, Refused> {
        let _turn = self.sessions.acquire().await;
        let (id, tap_id) = (visit.session.to_string(), visit.tap.to_string());
        let create = |mut service: EventsClient<Channel>, request| async move {
            service.create_session(request).await
        };
        let answer = self.call(CreateSessionRequest { id, tap_id }, create).await?;
        Ok(answer.session.and_then(|session| instant(&session.created_at)))
    }

    /// Makes a call until it has an answer, or until the service refuses for good.
    async fn call<Message: Clone, Answer, Called>(
        &self,
        message: Message,
        call: impl Fn(EventsClient<Channel>, Request<Message>) -> Called,
    ) -> Result<Answer, Refused>
    where
        Called: Future<Output = Result<Response<Answer>, Status>>,
    {
        let mut failures = 0;
        loop {
            let mut request = Request::new(message.clone());
            request.metadata_mut().insert("x-api-key", self.key.clone());
            let refusal = match call(self.service.clone(), request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(refusal) => refusal,
            };
            let Some(wait) = wait(&refusal, failures) else { return Err(Refused(refusal)) };
            if is_answer(&refusal) && self.trouble.lock().await.is_worth_a_word() {
                let (message, wait) = (refusal.message(), wait.as_secs_f64());
                self.progress.say(&format!("no visits begin: {message}; again in {wait:.1} s"));
            }
            failures += 1;
            time::sleep(wait).await;
        }
    }
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}
