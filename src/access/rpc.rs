//! The service `tap.v1.ApiKeys`: who, what, do, answer.

use std::sync::Arc;

use tonic::{Request, Response, Status, metadata::MetadataMap};
use uuid::Uuid;

use super::{
    key::{ApiKey, MadeByRequest},
    keys::Keys,
    model::{Actor, Grant, KeyFilter, QUERIES_PER_HOUR, Scope},
    token::BrowserToken,
    wire,
};
use crate::{
    auth::{self, Caller, Route},
    clock::Clock,
    directory::Directory,
    error::Error,
    ids::{KeyId, TeamId},
    limits,
    paging::Pages,
    proto::{
        tap_v1::{
            CreateApiKeyRequest, CreateApiKeyResponse, GetApiKeyRequest, GetApiKeyResponse,
            GetQuotaRequest, GetQuotaResponse, IssueTokenRequest, IssueTokenResponse,
            ListApiKeysRequest, ListApiKeysResponse, ListKeyEventsRequest, ListKeyEventsResponse,
            RevokeApiKeyRequest, RevokeApiKeyResponse, RotateApiKeyRequest, RotateApiKeyResponse,
            UpdateApiKeyRequest, UpdateApiKeyResponse, WhoAmIRequest, WhoAmIResponse,
        },
        tap_v1_server::api_keys_server,
    },
    requests::Once,
    tags::directory::TagDirectory,
};

/// What the service works with.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    pub keys: Keys,
    pub directory: Arc<Directory>,
    pub tags: Arc<TagDirectory>,
    pub pages: Pages,
    pub made_by_request: MadeByRequest,
    pub clock: Clock,
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl api_keys_server::ApiKeys for ApiKeys {
    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Reply<CreateApiKeyResponse> {
        let caller = Caller::of(&request)?;
        let now = self.clock.now();
        let new = wire::new_key(request.get_ref(), now)?;
        let key = self.new_key(caller.team, request.metadata(), new.request_id)?;
        let once =
            new.request_id.map(|id| Once::of(&caller, id, "CreateApiKey", request.get_ref()));
        let own = &caller.about;
        let usual = own.queries_per_hour.min(QUERIES_PER_HOUR);
        let grant = Grant {
            name: &new.name,
            scopes: &new.scopes,
            queries_per_hour: new.queries_per_hour.unwrap_or(usual),
            expires_at: new.expires_at.or(own.expires_at),
        };

        // What is kept of the answer is without the key: that is nowhere but in the answer.
        let answer = |info| wire::created(&info, now);
        let answer =
            self.keys.create(&Actor::Key(caller.key), once, &key, grant, now, answer).await?;

        Ok(Response::new(CreateApiKeyResponse { key: key.reveal().to_owned(), ..answer }))
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Reply<ListApiKeysResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let (size, now) = (wire::key_page(&request)?, self.clock.now());
        let asked = format!("ListApiKeys {}", request.include_ended);
        let before = self.after(caller.team, &asked, &request.page_token)?.map(KeyId);
        let valid_at = (!request.include_ended).then_some(now);

        let (keys, more) =
            self.keys.list(caller.team, KeyFilter { valid_at, before }, size).await?;

        let last = keys.last().filter(|_| more).map(|key| key.id.0);
        Ok(Response::new(ListApiKeysResponse {
            api_keys: keys.iter().map(|key| wire::api_key(key, now)).collect(),
            next_page_token: self.next(caller.team, &asked, last),
        }))
    }

    async fn get_api_key(&self, request: Request<GetApiKeyRequest>) -> Reply<GetApiKeyResponse> {
        let caller = Caller::of(&request)?;
        let id = wire::id(&request.get_ref().id)?;

        let key = self.keys.get(caller.team, id).await?;

        let api_key = Some(wire::api_key(&key, self.clock.now()));
        Ok(Response::new(GetApiKeyResponse { api_key }))
    }

    async fn update_api_key(
        &self,
        request: Request<UpdateApiKeyRequest>,
    ) -> Reply<UpdateApiKeyResponse> {
        let caller = Caller::of(&request)?;
        let now = self.clock.now();
        let (id, patch) = wire::key_patch(request.into_inner(), now)?;

        let key = self.keys.update(caller.team, &Actor::Key(caller.key), id, patch, now).await?;

        let api_key = Some(wire::api_key(&key, now));
        Ok(Response::new(UpdateApiKeyResponse { api_key }))
    }

    async fn rotate_api_key(
        &self,
        request: Request<RotateApiKeyRequest>,
    ) -> Reply<RotateApiKeyResponse> {
        let caller = Caller::of(&request)?;
        let now = self.clock.now();
        let (id, overlap, request_id) = wire::rotation(request.get_ref())?;
        let key = self.new_key(caller.team, request.metadata(), request_id)?;
        let once = request_id.map(|id| Once::of(&caller, id, "RotateApiKey", request.get_ref()));

        let answer = |(new, old)| wire::rotated(&new, &old, now);
        let overlap = (overlap, now);
        let answer =
            self.keys.rotate(&Actor::Key(caller.key), once, id, &key, overlap, answer).await?;

        Ok(Response::new(RotateApiKeyResponse { key: key.reveal().to_owned(), ..answer }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Reply<RevokeApiKeyResponse> {
        let caller = Caller::of(&request)?;
        let (id, now) = (wire::id(&request.get_ref().id)?, self.clock.now());

        let key = self.keys.revoke(caller.team, &Actor::Key(caller.key), id, now).await?;

        let api_key = Some(wire::api_key(&key, now));
        Ok(Response::new(RevokeApiKeyResponse { api_key }))
    }

    async fn list_key_events(
        &self,
        request: Request<ListKeyEventsRequest>,
    ) -> Reply<ListKeyEventsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let (size, key) = wire::event_page(&request)?;
        let asked = format!("ListKeyEvents {key:?}");
        let before = self.after(caller.team, &asked, &request.page_token)?;

        let (events, more) = self.keys.events(caller.team, key, before, size).await?;

        let last = events.last().filter(|_| more).map(|event| event.id);
        Ok(Response::new(ListKeyEventsResponse {
            events: events.iter().map(wire::key_event).collect::<Result<_, Error>>()?,
            next_page_token: self.next(caller.team, &asked, last),
        }))
    }

    async fn issue_token(&self, request: Request<IssueTokenRequest>) -> Reply<IssueTokenResponse> {
        let caller = Caller::of(&request)?;
        let new = wire::new_token(request.into_inner())?;
        let ends = self.clock.now() + new.ttl;
        let token = BrowserToken {
            team: caller.team,
            key: caller.key,
            expires_at: caller.about.expires_at.map_or(ends, |end| end.min(ends)),
            scopes: token_scopes(&caller, &new.scopes)?,
            tags: self.tags.resolve(caller.team, &new.tag_uids).await?,
        };

        let signed = self.directory.sign(&token)?;

        Ok(Response::new(wire::token(&token, signed, new.tag_uids)))
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Reply<WhoAmIResponse> {
        let caller = Caller::of(&request)?;
        let uids = self.tags.names(caller.team, caller.tags().unwrap_or_default());

        let mut response = Response::new(wire::who_am_i(&caller, uids));
        limits::show_any(response.metadata_mut(), &caller, None);
        Ok(response)
    }

    async fn get_quota(&self, request: Request<GetQuotaRequest>) -> Reply<GetQuotaResponse> {
        let caller = Caller::of(&request)?;

        let mut response = Response::new(wire::quotas(&caller));
        limits::show_any(response.metadata_mut(), &caller, None);
        Ok(response)
    }
}

impl ApiKeys {
    /// A new key, the same one for a request that comes again.
    fn new_key(
        &self,
        team: TeamId,
        metadata: &MetadataMap,
        request_id: Option<Uuid>,
    ) -> Result<ApiKey, Error> {
        let own_key = auth::presented(metadata, Route::Unknown)?;
        self.made_by_request.key(team, own_key, request_id).map_err(Error::internal)
    }

    /// Where a page begins.
    fn after(&self, team: TeamId, asked: &str, page_token: &str) -> Result<Option<Uuid>, Error> {
        let last = self.pages.read(team, asked, page_token)?;
        last.map(|last| last.parse().map_err(Error::internal)).transpose()
    }

    /// The token of the page after this one; empty after the last.
    fn next(&self, team: TeamId, asked: &str, last: Option<Uuid>) -> String {
        last.map(|last| self.pages.next(team, asked, &last.to_string())).unwrap_or_default()
    }
}

/// The scopes of a token: all that the key reads with, or those that were asked for.
fn token_scopes(caller: &Caller, asked: &[Scope]) -> Result<Vec<Scope>, Error> {
    let reading: Vec<Scope> = caller.scopes.iter().copied().filter(|scope| scope.reads()).collect();
    if let Some(missing) = asked.iter().find(|scope| !reading.contains(scope)) {
        return Err(Error::ScopeMissing { scope: missing.as_str() });
    }
    if reading.is_empty() {
        return Err(Error::ScopeMissing { scope: Scope::TapsRead.as_str() });
    }
    Ok(if asked.is_empty() { reading } else { asked.to_vec() })
}
