//! The service `tap.v1.Tags`: who, what, do, answer.

use http::uri::Authority;
use tonic::{Request, Response, Status, metadata::MetadataValue};

use super::{
    address::{Addresses, Origin},
    model::{Change, Tag},
    qr,
    registry::Registry,
    wire::{self, NewTags},
};
use crate::{
    auth::Caller,
    clock::Clock,
    paging::Pages,
    proto::{
        HttpBody, TagBatch,
        tap_v1::{
            self, ArchiveTagRequest, ArchiveTagResponse, BatchCreateTagsResponse, CreateTagRequest,
            CreateTagResponse, GetTagQrCodeRequest, GetTagRequest, GetTagResponse, ListTagsRequest,
            ListTagsResponse, UpdateTagRequest, UpdateTagResponse,
        },
        tap_v1_server::tags_server,
    },
    requests::Once,
};

/// What the service works with.
#[derive(Clone, Debug)]
pub struct Tags {
    pub registry: Registry,
    pub addresses: Addresses,
    pub pages: Pages,
    pub clock: Clock,
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl tags_server::Tags for Tags {
    async fn create_tag(&self, request: Request<CreateTagRequest>) -> Reply<CreateTagResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let NewTags { tags, existing, request_id } =
            wire::create_request(&request, self.clock.now())?;
        let once = request_id.map(|id| Once::of(&caller, id, "CreateTag", &request));

        let created = self.registry.create(caller.team, once, &tags, existing, |made| {
            CreateTagResponse { tag: made.tags.first().map(|tag| self.shown(&caller, tag)) }
        });
        Ok(Response::new(created.await?))
    }

    async fn batch_create_tags(
        &self,
        request: Request<TagBatch>,
    ) -> Reply<BatchCreateTagsResponse> {
        let caller = Caller::of(&request)?;
        let TagBatch(request) = request.into_inner();
        let NewTags { tags, existing, request_id } =
            wire::batch_request(&request, self.clock.now())?;
        let once = request_id.map(|id| Once::of(&caller, id, "BatchCreateTags", &request));

        let created = self.registry.create(caller.team, once, &tags, existing, |made| {
            let tags = made.tags.iter().map(|tag| self.shown(&caller, tag)).collect();
            BatchCreateTagsResponse { tags, existing_uids: made.existing }
        });
        Ok(Response::new(created.await?))
    }

    async fn get_tag(&self, request: Request<GetTagRequest>) -> Reply<GetTagResponse> {
        let caller = Caller::of(&request)?;
        let GetTagRequest { uid } = request.into_inner();
        wire::uid(&uid)?;

        let tag = self.registry.get(caller.team, &uid).await?;

        Ok(Response::new(GetTagResponse { tag: Some(self.shown(&caller, &tag)) }))
    }

    async fn list_tags(&self, request: Request<ListTagsRequest>) -> Reply<ListTagsResponse> {
        let caller = Caller::of(&request)?;
        let listing = wire::list_request(request.into_inner(), caller.team, &self.pages)?;

        let (tags, more) = self.registry.list(caller.team, &listing.filter, &listing.page).await?;

        let last = tags.last().filter(|_| more);
        let next_page_token =
            last.map(|tag| self.pages.next(caller.team, &listing.asked, &tag.uid));
        Ok(Response::new(ListTagsResponse {
            tags: tags.iter().map(|tag| self.shown(&caller, tag)).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        }))
    }

    async fn update_tag(&self, request: Request<UpdateTagRequest>) -> Reply<UpdateTagResponse> {
        let caller = Caller::of(&request)?;
        let (uid, change) = wire::update_request(request.into_inner())?;

        let tag = self.registry.change(caller.team, &uid, &change).await?;

        Ok(Response::new(UpdateTagResponse { tag: Some(self.shown(&caller, &tag)) }))
    }

    async fn archive_tag(&self, request: Request<ArchiveTagRequest>) -> Reply<ArchiveTagResponse> {
        let caller = Caller::of(&request)?;
        let ArchiveTagRequest { uid } = request.into_inner();
        wire::uid(&uid)?;

        let change = Change { archived: Some(true), ..Change::default() };
        let tag = self.registry.change(caller.team, &uid, &change).await?;

        Ok(Response::new(ArchiveTagResponse { tag: Some(self.shown(&caller, &tag)) }))
    }

    async fn get_tag_qr_code(&self, request: Request<GetTagQrCodeRequest>) -> Reply<HttpBody> {
        let caller = Caller::of(&request)?;
        let called = called_by(&request);
        let GetTagQrCodeRequest { uid } = request.into_inner();
        wire::uid(&uid)?;

        let tag = self.registry.get(caller.team, &uid).await?;
        let url = self.addresses.whole_tap_url(&caller.team_slug, &tag.uid, called)?;
        let data = qr::svg(&url)?.into_bytes().into();

        let content_type = "image/svg+xml".to_owned();
        let mut response = Response::new(HttpBody { content_type, data });
        // Its path looks like that of a file, which caches on the way like to keep, for whoever asks.
        response.metadata_mut().insert("cache-control", MetadataValue::from_static("no-store"));
        Ok(response)
    }
}

impl Tags {
    fn shown(&self, caller: &Caller, tag: &Tag) -> tap_v1::Tag {
        wire::tag(tag, self.addresses.tap_url(&caller.team_slug, &tag.uid))
    }
}

/// The address by which a request came, as the proxies on its way tell it; `None` when they do not make
/// sense.
fn called_by<T>(request: &Request<T>) -> Option<Origin> {
    // Whatever comes twice says nothing.
    let header = |name: &str| {
        let mut values = request.metadata().get_all(name).iter();
        let value = values.next()?.to_str();
        Some(value.ok().filter(|_| values.next().is_none()).unwrap_or_default())
    };
    let authority = request.extensions().get::<Authority>().map(Authority::as_str);
    let scheme = header("x-forwarded-proto").unwrap_or("http");
    let host = header("x-forwarded-host").or(authority)?;
    Origin::parse(&format!("{scheme}://{host}"))
}
