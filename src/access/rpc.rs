//! The service `tap.v1.ApiKeys`: who, what, do, answer.

use std::sync::Arc;

use chrono::TimeDelta;
use prost::Message;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use uuid::Uuid;

use super::{
    key::ApiKey,
    keys,
    model::{Actor, Grant, Power, QUERIES_PER_HOUR, Scope, names},
    store::{self, KeyFilter},
    token::BrowserToken,
    wire,
};
use crate::{
    auth::{self, Caller, Route},
    clock::Clock,
    db::Db,
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
    requests::{self, Once},
    secrets::Secrets,
    taps::tags::Tags,
};

/// What the service works with.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    pub db: Db,
    pub directory: Arc<Directory>,
    pub tags: Arc<Tags>,
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
        let key = self.made_by_request.key(caller.team, request.metadata(), new.request_id)?;
        let own = &caller.about;
        let grant = Grant {
            name: &new.name,
            scopes: &new.scopes,
            queries_per_hour: new
                .queries_per_hour
                .unwrap_or_else(|| own.queries_per_hour.min(QUERIES_PER_HOUR)),
            expires_at: new.expires_at.or(own.expires_at),
        };

        let once = once(&caller, "CreateApiKey", new.request_id, request.get_ref());
        let write = self.db.team_write(caller.team).await?;
        let work = async || {
            let info = keys::create(&write, &actor(&caller), &key, grant, now).await?;
            // Without the key: it is nowhere but in the answer.
            Ok(CreateApiKeyResponse {
                api_key: Some(wire::api_key(&info, now)),
                key: String::new(),
            })
        };
        let done = requests::once(once, &write, work).await;
        let answer = write.end(done).await?;

        self.directory.refresh(&self.db).await?;
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
        let before = self.after(caller.team, &asked, &request.page_token)?;

        let filter = KeyFilter {
            valid_at: (!request.include_ended).then_some(now),
            before: before.map(KeyId),
            limit: Some(one_more(size)),
        };
        let read = self.db.team(caller.team).await?;
        let mut found = store::list_keys(&read, caller.team, filter).await?;
        read.end().await?;

        let more = found.len() > size;
        found.truncate(size);
        let last = found.last().filter(|_| more).map(|key| key.id.to_string());
        let next = last.map(|last| self.pages.next(caller.team, &asked, &last));
        Ok(Response::new(ListApiKeysResponse {
            api_keys: found.iter().map(|key| wire::api_key(key, now)).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn get_api_key(&self, request: Request<GetApiKeyRequest>) -> Reply<GetApiKeyResponse> {
        let caller = Caller::of(&request)?;
        let id = wire::id(&request.get_ref().id)?;

        let read = self.db.team(caller.team).await?;
        let found = store::get_key(&read, caller.team, id).await?;
        read.end().await?;

        let found = found.ok_or_else(keys::not_found)?;
        let api_key = Some(wire::api_key(&found, self.clock.now()));
        Ok(Response::new(GetApiKeyResponse { api_key }))
    }

    async fn update_api_key(
        &self,
        request: Request<UpdateApiKeyRequest>,
    ) -> Reply<UpdateApiKeyResponse> {
        let caller = Caller::of(&request)?;
        let now = self.clock.now();
        let (id, patch) = wire::key_patch(request.into_inner(), now)?;

        let write = self.db.team_write(caller.team).await?;
        let done = keys::update(&write, caller.team, &actor(&caller), id, patch, now).await;
        let key = write.end(done).await?;

        self.directory.refresh(&self.db).await?;
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
        let key = self.made_by_request.key(caller.team, request.metadata(), request_id)?;

        let once = once(&caller, "RotateApiKey", request_id, request.get_ref());
        let write = self.db.team_write(caller.team).await?;
        let work = async || {
            let (new, old) = keys::rotate(&write, &actor(&caller), id, &key, overlap, now).await?;
            Ok(RotateApiKeyResponse {
                api_key: Some(wire::api_key(&new, now)),
                key: String::new(),
                replaced: Some(wire::api_key(&old, now)),
            })
        };
        let done = requests::once(once, &write, work).await;
        let answer = write.end(done).await?;

        self.directory.refresh(&self.db).await?;
        Ok(Response::new(RotateApiKeyResponse { key: key.reveal().to_owned(), ..answer }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Reply<RevokeApiKeyResponse> {
        let caller = Caller::of(&request)?;
        let (id, now) = (wire::id(&request.get_ref().id)?, self.clock.now());

        let write = self.db.team_write(caller.team).await?;
        let done = keys::revoke(&write, caller.team, &actor(&caller), id, now).await;
        let key = write.end(done).await?;

        self.directory.refresh(&self.db).await?;
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

        let read = self.db.team(caller.team).await?;
        let limit = one_more(size);
        let found = store::list_key_events(&read, caller.team, key, before, limit).await?;
        read.end().await?;

        let more = found.len() > size;
        let events = found.iter().take(size).map(wire::key_event);
        let events = events.collect::<Result<Vec<_>, Error>>()?;
        let last = events.last().filter(|_| more);
        let next = last.map(|last| self.pages.next(caller.team, &asked, &last.id));
        let next_page_token = next.unwrap_or_default();
        Ok(Response::new(ListKeyEventsResponse { events, next_page_token }))
    }

    async fn issue_token(&self, request: Request<IssueTokenRequest>) -> Reply<IssueTokenResponse> {
        let caller = Caller::of(&request)?;
        let new = wire::new_token(request.into_inner())?;
        let scopes = token_scopes(&caller, &new.scopes)?;
        let tags = self.tags.resolve(caller.team, &new.tag_uids).await?;
        let ends = self.clock.now() + new.ttl;
        let token = BrowserToken {
            team: caller.team,
            key: caller.key,
            expires_at: caller.about.expires_at.map_or(ends, |end| end.min(ends)),
            scopes,
            tags,
        };

        let text = self.directory.sign(&token)?;

        Ok(Response::new(IssueTokenResponse {
            token: text,
            // As the token has it: to the second.
            expires_at: crate::wire::instant(
                token.expires_at
                    - TimeDelta::nanoseconds(token.expires_at.timestamp_subsec_nanos().into()),
            ),
            scopes: names(&token.scopes),
            tag_uids: new.tag_uids,
        }))
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
    /// Where a page of things begins that are named by UUIDs.
    fn after(&self, team: TeamId, asked: &str, page_token: &str) -> Result<Option<Uuid>, Error> {
        let last = self.pages.read(team, asked, page_token)?;
        last.map(|last| last.parse().map_err(Error::internal)).transpose()
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

fn actor(caller: &Caller) -> Actor {
    let power = Power {
        scopes: names(&caller.scopes),
        queries_per_hour: caller.about.queries_per_hour,
        expires_at: caller.about.expires_at,
    };
    Actor { key: Some(caller.key), power: Some(power) }
}

fn once(caller: &Caller, method: &str, id: Option<Uuid>, request: &impl Message) -> Option<Once> {
    Some(Once::new(caller.team, caller.key, id?, method, request))
}

/// One more than a page holds tells whether there is another.
fn one_more(size: usize) -> i64 {
    i64::try_from(size).map_or(i64::MAX, |size| size + 1)
}

/// Makes keys that can be shown again to whoever repeats a request, though they are kept nowhere: they are
/// made of the secret of the service, the key of the caller, which the service does not keep either, and the
/// `request_id`.
#[derive(Clone)]
pub struct MadeByRequest {
    secret: [u8; 32],
}

impl std::fmt::Debug for MadeByRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MadeByRequest")
    }
}

impl MadeByRequest {
    /// With a secret made of that of the service.
    #[must_use]
    pub fn new(secrets: &Secrets) -> Self {
        Self { secret: secrets.derive("tap-analytics 2026-11 keys made by request") }
    }

    /// The key of a request; without a `request_id` a random one.
    fn key(
        &self,
        team: TeamId,
        metadata: &MetadataMap,
        request_id: Option<Uuid>,
    ) -> Result<ApiKey, Error> {
        let Some(id) = request_id else {
            return ApiKey::generate(team).map_err(Error::internal);
        };
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(id.as_bytes());
        hasher.update(auth::presented(metadata, Route::Unknown)?.as_bytes());
        Ok(ApiKey::derive(team, hasher.finalize_xof()))
    }
}
