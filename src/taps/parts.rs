//! What the service of taps is put together of, and the tap URL.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{
    answers::Answers,
    buffer::{self, Drain},
    link::Link,
    live::LiveTaps,
    queue::Queue,
    record::Recorder,
    rpc::Taps,
    writer::Writer,
};
use crate::{
    chores,
    clock::Clock,
    config,
    db::Db,
    feeds::{
        Followed as _,
        live::{Feeds, Reads},
        revisions::Revisions,
        token::Tokens,
    },
    hints::Notices,
    streams::Streams,
    tags::directory::TagDirectory,
};

/// What the service is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    pub db: Db,
    pub clock: Clock,
    pub tags: Arc<TagDirectory>,
    pub streams: Streams,
    pub reads: Reads,
    pub tokens: Arc<Tokens>,
    pub serve: &'a config::Serve,
}

impl Parts<'_> {
    /// Starts what goes on in the background; returns what answers calls, the tap URL, and what writes its taps.
    pub fn start(self, tasks: &mut JoinSet<()>) -> (Taps, Link, Drain) {
        let Self { db, clock, tags, streams, reads, tokens, serve } = self;
        let revisions = Arc::new(Revisions::default());
        let live = LiveTaps { tags: Arc::clone(&tags) };
        let feeds = Feeds::new(db.clone(), live, Arc::clone(&revisions), reads);
        let retention = serve.retention();
        let writer = Arc::new(Writer::new(db.clone(), clock.clone()));
        tasks.spawn(chores::keep_partitions(Arc::clone(&writer), clock.clone(), retention));
        let notices = Notices::on(LiveTaps::NAME);
        tasks.spawn(notices.clone().run(db.clone()));

        let revisions_too = Arc::clone(&revisions);
        let queue = Queue::new(writer, clock.clone(), revisions_too, feeds.clone(), notices);
        let (buffer, drain) = buffer::buffer(queue.clone());
        let link = Link {
            tags: Arc::clone(&tags),
            buffer,
            clock: clock.clone(),
            country_header: serve.country_header.clone(),
        };
        let (cache, timeout) = (serve.cache_bytes(), serve.query_timeout());
        let taps = Taps {
            answers: Answers::new(db, clock.clone(), revisions, Arc::clone(&tags), cache, timeout),
            recorder: Recorder::new(Arc::clone(&tags), queue),
            feeds,
            tags,
            tokens,
            streams,
            clock,
            retention,
        };
        (taps, link, drain)
    }
}
