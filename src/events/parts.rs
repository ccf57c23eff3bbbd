//! What the service of events is put together of.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    archive::Archive,
    edits::Editor,
    intake::{self, Intake},
    live::LiveEvents,
    replay::Replayer,
    rpc::Events,
    settle::Settler,
    setup::Setup,
    types::Types,
    worker::{self, Worker},
};
use crate::{
    clock::Clock,
    db::Db,
    feeds::{
        Followed as _,
        live::{Feeds, Reads},
        revisions::Revisions,
        token::{History, Tokens},
    },
    hints::Notices,
    paging::Pages,
    secrets::Secrets,
    streams::Streams,
};

/// Batches that are read at a time.
const BATCHES_READ: usize = 3;
/// Sessions that are made, and counts that are under way, at a time.
const SESSIONS_MADE: usize = 3;
const COUNTS: usize = 3;
/// Connections for taking and storing events: one for each commit that is under way, and two for notes of what failed.
pub const CONNECTIONS: usize = intake::COMMITS_MAX + worker::TEAMS_AT_A_TIME + 2;

/// What the service is made of.
#[derive(Debug)]
pub struct Parts {
    pub db: Db,
    /// What takes and stores events does not wait for a connection behind those who look.
    pub commits: Db,
    pub clock: Clock,
    pub pages: Pages,
    pub streams: Streams,
    pub reads: Reads,
    pub tokens: Arc<Tokens>,
    /// Events of a team that may wait to be stored.
    pub backlog_max: i64,
}

impl Parts {
    /// Starts what stores events in the background; returns what answers calls.
    pub fn start(self, tasks: &mut JoinSet<()>) -> Events {
        let Self { db, commits, clock, pages, streams, reads, tokens, backlog_max } = self;
        let revisions = Arc::new(Revisions::default());
        let feeds = Feeds::new(db.clone(), LiveEvents, Arc::clone(&revisions), reads);
        let notices = Notices::on(LiveEvents::NAME);
        tasks.spawn(notices.clone().run(db.clone()));
        let types = Types::default();
        let settler = Settler { db: commits.clone(), clock: clock.clone(), types: types.clone() };
        let worker = Worker::new(settler, revisions, feeds.clone(), notices);
        tasks.spawn(worker.clone().run());
        let intake = Intake::new(commits.clone(), clock.clone(), worker, backlog_max);
        Events {
            archive: Archive { db: db.clone(), counts: Arc::new(Semaphore::new(COUNTS)) },
            editor: Editor { db: db.clone(), clock: clock.clone(), types: types.clone() },
            feeds,
            pages: pages.clone(),
            reading: Arc::new(Semaphore::new(BATCHES_READ)),
            replayer: Replayer {
                db: db.clone(),
                clock: clock.clone(),
                types,
                intake: intake.clone(),
            },
            intake,
            setup: Setup {
                db: db.clone(),
                clock: clock.clone(),
                sessions: Arc::new(Semaphore::new(SESSIONS_MADE)),
            },
            streams: streams.clone(),
            tokens,
            clock: clock.clone(),
        }
    }
}

/// Places in streams of events are no places in streams of taps.
#[must_use]
pub fn tokens(secrets: &Secrets, history: &History, clock: &Clock) -> Arc<Tokens> {
    let secret = secrets.derive("tap-analytics 2026-11 resume tokens of events");
    Arc::new(Tokens::new(secret, history.clone(), clock.clone()))
}
