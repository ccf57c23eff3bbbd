//! What the service of imports is put together of.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{sync::Semaphore, task::JoinSet, time};

use super::{
    archive::Archive,
    budget::{Budget, Limits},
    check::Checker,
    commit::{self, Committer},
    compare::Compare,
    model::Hashes,
    rpc::Imports,
    shelf::Shelf,
    upload::{self, Uploader},
};
use crate::{
    clock::Clock, db::Db, paging::Pages, secrets::Secrets, streams::Streams,
    tags::registry::Registry,
};

/// Connections by which imports are stored.
pub const CONNECTIONS: usize = commit::AT_A_TIME;
/// How often to look for imports for which nobody came.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);
/// Reports that are made at a time, and looks at users.
const REPORTS: usize = 1;
const SEARCHES: usize = 2;

/// What the service is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    pub desk: Desk<'a>,
    pub pages: Pages,
    pub streams: Streams,
}

/// How much may be held, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub limits: Limits,
    /// How long an import is held after somebody came for it.
    pub idle: TimeDelta,
    /// Users that a team may have.
    pub users_max: i64,
}

/// What works on imports, without what answers calls.
#[derive(Debug)]
pub struct Desk<'a> {
    pub db: Db,
    /// What stores imports does not wait for a connection behind those who look.
    pub commits: Db,
    pub clock: Clock,
    pub secrets: &'a Secrets,
    pub tags: Registry,
    pub settings: Settings,
}

impl Desk<'_> {
    /// With an empty shelf.
    #[must_use]
    pub fn open(self) -> (Uploader, Committer) {
        let Self { db, commits, clock, secrets, tags, settings } = self;
        let Settings { limits, idle, users_max } = settings;
        let shelf = Shelf::new(Budget::new(limits), clock.clone(), idle);
        let hashes = Hashes(secrets.derive("tap-analytics 2026-11 users"));
        let compare = Compare { db, tags: Arc::clone(&tags.directory), hashes };
        let checker = Checker::new(compare.clone(), clock.clone());
        let turns = Arc::new(Semaphore::new(upload::AT_A_TIME));
        let uploader = Uploader { shelf: shelf.clone(), checker, turns };
        let turns = Arc::new(Semaphore::new(commit::AT_A_TIME));
        let committer = Committer { shelf, compare, db: commits, tags, clock, users_max, turns };
        (uploader, committer)
    }
}

impl Parts<'_> {
    /// Starts what goes on in the background; returns what answers calls.
    pub fn start(self, tasks: &mut JoinSet<()>) -> Imports {
        let Self { desk, pages, streams } = self;
        let db = desk.db.clone();
        let (uploader, committer) = desk.open();
        let shelf = uploader.shelf.clone();
        tasks.spawn(expire(shelf.clone()));
        Imports {
            uploader,
            committer,
            archive: Archive { db, shelf },
            pages,
            streams,
            reports: Arc::new(Semaphore::new(REPORTS)),
            searches: Arc::new(Semaphore::new(SEARCHES)),
        }
    }
}

/// Ends imports for which nobody came, for as long as the service runs.
async fn expire(shelf: Shelf) {
    loop {
        time::sleep(EXPIRE_INTERVAL).await;
        shelf.expire();
    }
}
