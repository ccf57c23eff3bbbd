//! The service `tap.v1.TapAnalytics`: who, what, do, answer.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use tonic::{Request, Response, Status, Streaming};

use super::{
    answers::Answers,
    ingest::Ingest,
    live::LiveTaps,
    model::{Filter, Retention},
    record::Recorder,
    watch::Watcher,
    wire,
};
use crate::{
    auth::Caller,
    clock::Clock,
    error::Error,
    feeds::{Followed as _, follow::Follower, live::Feeds, token::Tokens},
    limits::Charged,
    proto::{
        Encoded, IngestBatch, RecordBatch,
        tap_v1::{
            IngestTapsResponse, QueryTapsRequest, QueryTapsResponse, RecordTapsResponse,
            StreamTapsRequest, WatchTapsRequest, WatchTapsResponse,
        },
        tap_v1_server::tap_analytics_server::TapAnalytics,
    },
    streams::Streams,
    tags::directory::TagDirectory,
};

/// What the service works with.
#[derive(Clone, Debug)]
pub struct Taps {
    pub answers: Answers,
    pub recorder: Recorder,
    pub feeds: Feeds<LiveTaps>,
    pub tags: Arc<TagDirectory>,
    pub tokens: Arc<Tokens>,
    pub streams: Streams,
    pub clock: Clock,
    pub retention: Retention,
}

type Reply<T> = Result<Response<T>, Status>;
type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl TapAnalytics for Taps {
    async fn query_taps(&self, request: Request<QueryTapsRequest>) -> Reply<QueryTapsResponse> {
        let caller = Caller::of(&request)?;
        let mut query = wire::query(request.into_inner())?;
        query.tag_uids = self.tags.narrow(&caller, query.tag_uids)?;

        let answered = self.answers.query_taps(caller.team, query).await?;

        let resume_token = self.tokens.issue(caller.team, answered.revision());
        Ok(Response::new(QueryTapsResponse { resume_token, ..answered.response().clone() }))
    }

    async fn record_taps(&self, request: Request<RecordBatch>) -> Reply<RecordTapsResponse> {
        let caller = Caller::of(&request)?;
        let batch = wire::taps(request.into_inner().taps, self.clock.now(), self.retention)?;

        let recording = self.recorder.record(caller.team, batch).await?;

        let resume_token = self.tokens.issue(caller.team, recording.revision);
        Ok(Response::new(wire::record_response(recording, resume_token)))
    }

    type IngestTapsStream = Frames<IngestTapsResponse>;

    async fn ingest_taps(
        &self,
        request: Request<Streaming<IngestBatch>>,
    ) -> Reply<Self::IngestTapsStream> {
        let caller = Caller::of(&request)?;
        let lifeline = self.streams.open(&caller, "ingest")?;
        let ingest = Ingest::new(self.clone(), caller, request.into_inner(), lifeline);

        let answers = stream::unfold(ingest, |mut ingest| async move {
            let answer = ingest.next().await?;
            Some((answer, ingest))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    type StreamTapsStream = Frames<Encoded>;

    async fn stream_taps(
        &self,
        request: Request<StreamTapsRequest>,
    ) -> Reply<Self::StreamTapsStream> {
        let caller = Caller::of(&request)?;
        let (team, tokens) = (caller.team, Arc::clone(&self.tokens));
        let request = wire::stream_request(request.into_inner())?;
        let tag_uids = self.tags.narrow(&caller, request.tag_uids)?;
        let sent = request.resume_token;
        let token = sent.as_ref().map(|sent| tokens.read(team, sent)).transpose()?;
        if token.is_some_and(|token| token.other_history) {
            return Err(Error::ResumeTokenExpired { message: LiveTaps::EXPIRED }.into());
        }
        let lifeline = self.streams.open(&caller, "taps")?;
        let charged = Charged::unless(token.is_some_and(|token| token.fresh), &caller)?;
        let after = token.map(|token| token.revision);
        let open = async {
            let tags = self.tags.resolve(team, &tag_uids).await?;
            let filter = Filter { tags, classes: request.classes };
            Follower::open(&self.feeds, team, after, filter, lifeline).await
        };
        let follower = charged.for_work(open).await?;

        let frames = stream::unfold((follower, sent), move |(mut follower, sent)| {
            let tokens = Arc::clone(&tokens);
            async move {
                let frame = follower.next().await?;
                // Back at the same place a token is as old as it was.
                let token =
                    || sent.unwrap_or_else(|| tokens.issue(follower.team, follower.position()));
                let frame = wire::stream_frame(frame, token);
                Some((Ok(frame), (follower, None)))
            }
        });
        Ok(charged.show(Box::pin(frames) as Self::StreamTapsStream))
    }

    type WatchTapsStream = Frames<WatchTapsResponse>;

    async fn watch_taps(&self, request: Request<WatchTapsRequest>) -> Reply<Self::WatchTapsStream> {
        let caller = Caller::of(&request)?;
        let (team, tokens) = (caller.team, Arc::clone(&self.tokens));
        let WatchTapsRequest { query, resume_token } = request.into_inner();
        let mut query = wire::query(query.unwrap_or_default())?;
        query.tag_uids = self.tags.narrow(&caller, query.tag_uids)?;
        let watched = tokens.fingerprint(&query);
        let token = Some(resume_token).filter(|token| !token.is_empty());
        let token = token.map(|token| tokens.read(team, &token)).transpose()?;
        let lifeline = self.streams.open(&caller, "watch")?;

        let resumed = token.is_some_and(|token| token.fresh && token.query == watched);
        let charged = Charged::unless(resumed, &caller)?;
        let open = Watcher::open(&self.answers, &self.feeds, team, query, lifeline);
        let watcher = Box::pin(charged.for_work(open)).await?;

        let frames = stream::unfold(watcher, move |mut watcher| {
            let tokens = Arc::clone(&tokens);
            async move {
                let frame = watcher.next().await?;
                let token = || tokens.issue_for(watcher.team, watcher.revision(), watched);
                Some((Ok(wire::watch_frame(frame, token)), watcher))
            }
        });
        Ok(charged.show(Box::pin(frames) as Self::WatchTapsStream))
    }
}
