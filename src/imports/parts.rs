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
    upload::Uploader,
};
use crate::{
    clock::Clock, db::Db, paging::Pages, secrets::Secrets, streams::Streams,
    tags::registry::Registry,
};

/// Connections by which imports are stored.
pub const CONNECTIONS: usize = commit::AT_A_TIME;
/// How often to look for imports for which nobody came.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);
/// Reports that are made at a time.
const REPORTS: usize = 1;

/// What the service is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    pub db: Db,
    /// What stores imports does not wait for a connection behind those who look.
    pub commits: Db,
    pub clock: Clock,
    pub pages: Pages,
    pub streams: Streams,
    pub secrets: &'a Secrets,
    pub tags: Registry,
    pub settings: Settings,
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

impl Parts<'_> {
    /// What works on imports, without what answers calls.
    #[must_use]
    pub fn desk(&self) -> (Uploader, Committer) {
        let Settings { limits, idle, users_max } = self.settings;
        let shelf = Shelf::new(Budget::new(limits), self.clock.clone(), idle);
        let compare = Compare {
            db: self.db.clone(),
            tags: Arc::clone(&self.tags.directory),
            hashes: Hashes(self.secrets.derive("tap-analytics 2026-11 users")),
        };
        let uploader = Uploader { shelf: shelf.clone(), checker: Checker::new(compare.clone()) };
        let committer = Committer {
            shelf,
            compare,
            db: self.commits.clone(),
            tags: self.tags.clone(),
            clock: self.clock.clone(),
            users_max,
            turns: Arc::new(Semaphore::new(commit::AT_A_TIME)),
        };
        (uploader, committer)
    }

    /// Starts what goes on in the background; returns what answers calls.
    pub fn start(self, tasks: &mut JoinSet<()>) -> Imports {
        let (uploader, committer) = self.desk();
        let shelf = uploader.shelf.clone();
        tasks.spawn(expire(shelf.clone()));
        Imports {
            uploader,
            committer,
            archive: Archive { db: self.db, shelf },
            pages: self.pages,
            streams: self.streams,
            reports: Arc::new(Semaphore::new(REPORTS)),
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
