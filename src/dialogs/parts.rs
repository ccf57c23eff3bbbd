//! What the service of dialogs is put together of.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{sync::Semaphore, task::JoinSet};
use uuid::Uuid;

use super::{
    archive::Archive,
    consent::Decider,
    erase::Eraser,
    follow::{self, Follower},
    keep::{self, Keeper},
    model::Hashes,
    pending::{Limits, Pending},
    record::Recorder,
    replica::Replica,
    retention,
    rpc::Dialogs,
    setup::Setup,
    turns::Order,
};
use crate::{clock::Clock, db::Db, paging::Pages, secrets::Secrets};

/// Decisions that are under way at a time.
const DECISIONS: usize = 3;
/// Erasures that are under way at a time.
const ERASURES: usize = 1;
/// Connections by which messages are stored, decisions noted and customers erased.
pub const CONNECTIONS: usize = keep::COMMITS_MAX + DECISIONS + ERASURES;

/// What the service is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    pub db: Db,
    /// What stores messages does not wait for a connection behind those who look.
    pub commits: Db,
    pub clock: Clock,
    pub pages: Pages,
    pub secrets: &'a Secrets,
    /// How much may wait for consent, and for how long.
    pub limits: Limits,
    /// How long a statement may take.
    pub statement_timeout: TimeDelta,
}

impl Parts<'_> {
    /// Starts what goes on in the background; returns what answers calls.
    pub fn start(self, tasks: &mut JoinSet<()>) -> Dialogs {
        let Self { db, commits, clock, pages, secrets, limits, statement_timeout } = self;
        let hashes = Hashes(secrets.derive("tap-analytics 2026-11 customers"));
        let replica = Replica {
            id: Uuid::now_v7(),
            pending: Pending::new(limits),
            order: Order::default(),
            hashes: hashes.clone(),
            clock: clock.clone(),
        };
        let keeper = Keeper::new(commits.clone(), replica.id);
        let recorder = Recorder { replica: replica.clone(), keeper };
        let idle = limits.idle.to_std().unwrap_or(Duration::ZERO);
        tasks.spawn(follow::expire(replica.clone(), idle));
        let follower = Follower { db: db.clone(), recorder: recorder.clone(), statement_timeout };
        tasks.spawn(follower.run());
        tasks.spawn(retention::keep_to_retention(db.clone(), clock));
        let turns = |at_a_time| Arc::new(Semaphore::new(at_a_time));
        Dialogs {
            recorder,
            decider: Decider {
                db: commits.clone(),
                replica: replica.clone(),
                turns: turns(DECISIONS),
            },
            eraser: Eraser { db: commits, replica: replica.clone(), turns: turns(ERASURES) },
            archive: Archive { db: db.clone(), replica },
            setup: Setup { db },
            hashes,
            pages,
        }
    }
}
