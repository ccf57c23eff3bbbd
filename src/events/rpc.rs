//! The service `tap.v1.Events`: who, what, do, answer.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::{
    archive::Archive,
    edits::Editor,
    intake::Intake,
    live::LiveEvents,
    model::Event,
    replay::Replayer,
    setup::Setup,
    wire::{self, errors, events, frames, setup},
};
use crate::{
    auth::Caller,
    clock::Clock,
    error::Error,
    feeds::{Followed as _, follow::Follower, live::Feeds, token::Tokens},
    limits::Charged,
    paging::Pages,
    proto::{
        Encoded, EventBatch,
        tap_v1::{
            CreateSessionRequest, CreateSessionResponse, DeleteEventRequest, DeleteEventResponse,
            DeleteEventTypeRequest, DeleteEventTypeResponse, GetEventErrorRequest,
            GetEventErrorResponse, GetEventRequest, GetEventResponse, GetEventSettingsRequest,
            GetEventSettingsResponse, GetEventTypeRequest, GetEventTypeResponse,
            GetIngestLedgerRequest, GetIngestLedgerResponse, GetReceiptRequest, GetReceiptResponse,
            GetSessionRequest, GetSessionResponse, GroupEventErrorsRequest,
            GroupEventErrorsResponse, ListEventErrorsRequest, ListEventErrorsResponse,
            ListEventTypesRequest, ListEventTypesResponse, ListEventsRequest, ListEventsResponse,
            ListSessionsRequest, ListSessionsResponse, PutEventTypeRequest, PutEventTypeResponse,
            QueryEventsRequest, QueryEventsResponse, RecordEventsResponse, ReplaceEventRequest,
            ReplaceEventResponse, ReplayEventErrorsRequest, ReplayEventErrorsResponse,
            StreamEventsRequest, UpdateEventRequest, UpdateEventResponse,
            UpdateEventSettingsRequest, UpdateEventSettingsResponse,
        },
        tap_v1_server::events_server,
    },
    requests::Once,
    streams::Streams,
};

/// What the service works with.
#[derive(Clone, Debug)]
pub struct Events {
    pub archive: Archive,
    pub editor: Editor,
    pub feeds: Feeds<LiveEvents>,
    pub intake: Intake,
    pub pages: Pages,
    /// Batches that are read at a time: each takes many times its size while it is.
    pub reading: Arc<Semaphore>,
    pub replayer: Replayer,
    pub setup: Setup,
    pub streams: Streams,
    pub tokens: Arc<Tokens>,
    pub clock: Clock,
}

type Reply<T> = Result<Response<T>, Status>;
type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl events_server::Events for Events {
    async fn create_session(
        &self,
        request: Request<CreateSessionRequest>,
    ) -> Reply<CreateSessionResponse> {
        let caller = Caller::of(&request)?;
        let (id, tap_id) = setup::create_session_request(&request.into_inner())?;

        let application = wire::application(&caller);
        let made = self.setup.create_session(caller.team, id, tap_id, &application).await?;

        Ok(Response::new(CreateSessionResponse { session: Some(setup::session(&made)) }))
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Reply<GetSessionResponse> {
        let caller = Caller::of(&request)?;
        let id = wire::id("id", &request.into_inner().id)?;

        let found = self.archive.session(caller.team, id).await?;

        Ok(Response::new(GetSessionResponse { session: Some(setup::session(&found)) }))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Reply<ListSessionsResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = setup::list_sessions_request(&request.into_inner(), team, &self.pages)?;

        let listed = self.archive.sessions(team, listing.filter, &listing.page).await?;

        let answer = setup::list_sessions_response(&listing, &listed, team, &self.pages);
        Ok(Response::new(answer))
    }

    async fn record_events(&self, request: Request<EventBatch>) -> Reply<RecordEventsResponse> {
        let caller = Caller::of(&request)?;
        let reading = Arc::clone(&self.reading).acquire_owned().await.map_err(Error::internal)?;
        let batch = request.into_inner();
        let read = tokio::task::spawn_blocking(move || {
            let readable = events::readable(&batch);
            drop(reading);
            readable
        });
        let readable = read.await.map_err(Error::internal)??;

        let application = wire::application(&caller);
        let receipts = self.intake.accept(caller.team, application, readable).await?;

        let receipts = receipts.iter().map(ToString::to_string).collect();
        Ok(Response::new(RecordEventsResponse { receipts }))
    }

    async fn get_receipt(&self, request: Request<GetReceiptRequest>) -> Reply<GetReceiptResponse> {
        let caller = Caller::of(&request)?;
        let id = wire::id("id", &request.into_inner().id)?;

        let fate = self.archive.receipt(caller.team, id).await?;

        Ok(Response::new(events::receipt(id, fate)))
    }

    async fn get_event(&self, request: Request<GetEventRequest>) -> Reply<GetEventResponse> {
        let caller = Caller::of(&request)?;
        let id = wire::id("event_id", &request.into_inner().event_id)?;

        let found = self.archive.event(caller.team, id).await?;

        Ok(Response::new(GetEventResponse { event: Some(events::event(&found)) }))
    }

    async fn list_events(&self, request: Request<ListEventsRequest>) -> Reply<ListEventsResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = events::list_request(request.into_inner(), team, &self.pages)?;

        let events::Events { filter, order } = &listing.filter;
        let listed = self.archive.events(team, filter, *order, &listing.page).await?;

        Ok(Response::new(events::list_response(&listing, &listed, team, &self.pages)))
    }

    async fn query_events(
        &self,
        request: Request<QueryEventsRequest>,
    ) -> Reply<QueryEventsResponse> {
        let caller = Caller::of(&request)?;
        let query = events::query(request.into_inner())?;

        // The team's own turn first: who waits for that must not hold what others need.
        let _turn = caller.share.counts.acquire().await.map_err(Error::internal)?;
        let counts = self.archive.count(caller.team, &query).await?;

        let resume_token = self.tokens.issue(caller.team, counts.revision);
        let answer = events::query_response(&query, &counts, self.clock.now());
        Ok(Response::new(QueryEventsResponse { resume_token, ..answer }))
    }

    type StreamEventsStream = Frames<Encoded>;

    async fn stream_events(
        &self,
        request: Request<StreamEventsRequest>,
    ) -> Reply<Self::StreamEventsStream> {
        let caller = Caller::of(&request)?;
        let (team, tokens) = (caller.team, Arc::clone(&self.tokens));
        let (wanted, sent) = frames::stream_request(request.into_inner())?;
        let token = sent.as_ref().map(|sent| tokens.read(team, sent)).transpose()?;
        if token.is_some_and(|token| token.other_history) {
            return Err(Error::ResumeTokenExpired { message: LiveEvents::EXPIRED }.into());
        }
        let lifeline = self.streams.open(&caller, "events")?;
        let charged = Charged::unless(token.is_some_and(|token| token.fresh), &caller)?;
        let after = token.map(|token| token.revision);
        let open = Follower::open(&self.feeds, team, after, wanted, lifeline);
        let follower = charged.for_work(open).await?;

        let frames = stream::unfold((follower, sent), move |(mut follower, sent)| {
            let tokens = Arc::clone(&tokens);
            async move {
                let frame = follower.next().await?;
                // Back at the same place a token is as old as it was.
                let token =
                    || sent.unwrap_or_else(|| tokens.issue(follower.team, follower.position()));
                let frame = frames::stream_frame(frame, token);
                Some((Ok(frame), (follower, None)))
            }
        });
        Ok(charged.show(Box::pin(frames) as Self::StreamEventsStream))
    }

    async fn update_event(
        &self,
        request: Request<UpdateEventRequest>,
    ) -> Reply<UpdateEventResponse> {
        let caller = Caller::of(&request)?;
        let change = events::update_request(request.into_inner())?;

        let changed = self.change(&caller, change).await?;

        Ok(Response::new(UpdateEventResponse { event: Some(events::event(&changed)) }))
    }

    async fn replace_event(
        &self,
        request: Request<ReplaceEventRequest>,
    ) -> Reply<ReplaceEventResponse> {
        let caller = Caller::of(&request)?;
        let change = events::replace_request(request.into_inner())?;

        let changed = self.change(&caller, change).await?;

        Ok(Response::new(ReplaceEventResponse { event: Some(events::event(&changed)) }))
    }

    async fn delete_event(
        &self,
        request: Request<DeleteEventRequest>,
    ) -> Reply<DeleteEventResponse> {
        let caller = Caller::of(&request)?;
        let (id, expected) = events::delete_request(&request.into_inner())?;

        self.editor.delete(caller.team, id, expected).await?;

        Ok(Response::new(DeleteEventResponse {}))
    }

    async fn list_event_errors(
        &self,
        request: Request<ListEventErrorsRequest>,
    ) -> Reply<ListEventErrorsResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = errors::list_request(request.into_inner(), team, &self.pages)?;

        let listed = self.archive.errors(team, &listing.filter, &listing.page).await?;

        Ok(Response::new(errors::list_response(&listing, &listed, team, &self.pages)))
    }

    async fn get_event_error(
        &self,
        request: Request<GetEventErrorRequest>,
    ) -> Reply<GetEventErrorResponse> {
        let caller = Caller::of(&request)?;
        let id = wire::id("id", &request.into_inner().id)?;

        let found = self.archive.error(caller.team, id).await?;

        Ok(Response::new(GetEventErrorResponse { error: Some(errors::event_error(&found)) }))
    }

    async fn group_event_errors(
        &self,
        request: Request<GroupEventErrorsRequest>,
    ) -> Reply<GroupEventErrorsResponse> {
        let caller = Caller::of(&request)?;
        let (filter, limit) = errors::group_request(request.into_inner())?;

        let (groups, total) = self.archive.error_groups(caller.team, &filter, limit).await?;

        Ok(Response::new(errors::group_response(&groups, total)))
    }

    async fn replay_event_errors(
        &self,
        request: Request<ReplayEventErrorsRequest>,
    ) -> Reply<ReplayEventErrorsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let (replay, request_id) = errors::replay_request(request.clone())?;
        let once = request_id.map(|id| Once::of(&caller, id, "ReplayEventErrors", &request));

        let answer = errors::replay_response;
        let answer = self.replayer.replay(caller.team, once, replay, answer).await?;

        Ok(Response::new(answer))
    }

    async fn put_event_type(
        &self,
        request: Request<PutEventTypeRequest>,
    ) -> Reply<PutEventTypeResponse> {
        let caller = Caller::of(&request)?;
        // To compile a schema takes a while.
        let request = request.into_inner();
        let new = tokio::task::spawn_blocking(move || setup::put_type_request(request));
        let new = new.await.map_err(Error::internal)??;

        let set = self.setup.put_type(caller.team, &new).await?;

        Ok(Response::new(PutEventTypeResponse { r#type: Some(setup::event_type(&set)) }))
    }

    async fn get_event_type(
        &self,
        request: Request<GetEventTypeRequest>,
    ) -> Reply<GetEventTypeResponse> {
        let caller = Caller::of(&request)?;
        let GetEventTypeRequest { category, name } = request.into_inner();
        setup::kind(&category, &name)?;

        let found = self.archive.event_type(caller.team, &category, &name).await?;

        Ok(Response::new(GetEventTypeResponse { r#type: Some(setup::event_type(&found)) }))
    }

    async fn list_event_types(
        &self,
        request: Request<ListEventTypesRequest>,
    ) -> Reply<ListEventTypesResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = setup::list_types_request(request.into_inner(), team, &self.pages)?;

        let category = listing.filter.as_deref();
        let listed = self.archive.event_types(team, category, &listing.page).await?;

        Ok(Response::new(setup::list_types_response(&listing, &listed, team, &self.pages)))
    }

    async fn delete_event_type(
        &self,
        request: Request<DeleteEventTypeRequest>,
    ) -> Reply<DeleteEventTypeResponse> {
        let caller = Caller::of(&request)?;
        let DeleteEventTypeRequest { category, name } = request.into_inner();
        setup::kind(&category, &name)?;

        self.setup.delete_type(caller.team, &category, &name).await?;

        Ok(Response::new(DeleteEventTypeResponse {}))
    }

    async fn get_ingest_ledger(
        &self,
        request: Request<GetIngestLedgerRequest>,
    ) -> Reply<GetIngestLedgerResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let (now, pages) = (self.clock.now(), &self.pages);
        let listing = setup::ledger_request(&request.into_inner(), now, team, pages)?;

        let minutes = listing.filter.clone();
        let (total, listed) = self.archive.ledger(team, minutes, &listing.page).await?;

        Ok(Response::new(setup::ledger_response(&listing, &total, &listed, team, pages)))
    }

    async fn get_event_settings(
        &self,
        request: Request<GetEventSettingsRequest>,
    ) -> Reply<GetEventSettingsResponse> {
        let caller = Caller::of(&request)?;

        let settings = self.archive.settings(caller.team).await?;

        Ok(Response::new(GetEventSettingsResponse { settings: Some(setup::settings(settings)) }))
    }

    async fn update_event_settings(
        &self,
        request: Request<UpdateEventSettingsRequest>,
    ) -> Reply<UpdateEventSettingsResponse> {
        let caller = Caller::of(&request)?;
        let change = setup::settings_request(&request.into_inner())?;

        let (types, sessions) = (change.refuse_unknown_types, change.create_unknown_sessions);
        let settings = self.setup.put_settings(caller.team, types, sessions).await?;

        Ok(Response::new(UpdateEventSettingsResponse { settings: Some(setup::settings(settings)) }))
    }
}

impl Events {
    async fn change(&self, caller: &Caller, change: events::Change) -> Result<Event, Error> {
        let events::Change { id, expected, edit } = change;
        let application = wire::application(caller);
        self.editor.change(caller.team, id, expected, edit, &application).await
    }
}
