//! The service `tap.v1.Coupons`: who, what, do, answer.

use std::time::Duration;

use tokio::time;
use tonic::{Request, Response, Status, metadata::MetadataValue};
use uuid::Uuid;

use super::{
    count::Counter,
    ledger::Ledger,
    model::Redemption,
    redeem::Redeemer,
    registry::{Deleted, Registry},
    wire::{
        self,
        coupons::{self, Generation, Show},
        edits::{self, Change},
        queries,
        redemptions::{self, Which},
    },
};
use crate::{
    access::model::Scope,
    auth::Caller,
    clock::Clock,
    error::Error,
    etag::expected,
    ids::TeamId,
    paging::Pages,
    proto::{
        CouponBatch,
        tap_v1::{
            self, BatchCreateCouponsResponse, CheckCouponRequest, CheckCouponResponse, Coupon,
            CreateCouponRequest, DeleteCouponRequest, DeleteCouponResponse, GenerateCouponsRequest,
            GenerateCouponsResponse, GetCouponRequest, GetRedemptionRequest, ListCouponsRequest,
            ListCouponsResponse, ListRedemptionsRequest, ListRedemptionsResponse,
            QueryFunnelRequest, QueryFunnelResponse, QueryRedemptionsRequest,
            QueryRedemptionsResponse, RedeemCouponRequest, ReleaseRedemptionRequest,
            UpdateCouponRequest,
        },
        tap_v1_server::coupons_server,
    },
    requests::Once,
    tags::address::Addresses,
    transcoded::{is_http, say_http},
};

/// What the service works with.
#[derive(Clone, Debug)]
pub struct Coupons {
    pub registry: Registry,
    pub ledger: Ledger,
    pub redeemer: Redeemer,
    pub counter: Counter,
    pub addresses: Addresses,
    pub pages: Pages,
    pub clock: Clock,
}

/// How long a team may wait for its turn to give a redemption back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl coupons_server::Coupons for Coupons {
    async fn create_coupon(&self, request: Request<CreateCouponRequest>) -> Reply<Coupon> {
        let caller = Caller::of(&request)?;
        let (by_http, request) = (is_http(request.metadata()), request.into_inner());
        let (content, request_id) = coupons::create_request(request.clone())?;
        let once = request_id.map(|id| Once::of(&caller, id, "CreateCoupon", &request));

        let show = self.show();
        let answer = |made: Vec<_>| made.first().map(|made| show.coupon(made)).unwrap_or_default();
        let coupon = self.registry.create(caller.team, once, vec![content], answer).await?;

        let link = MetadataValue::try_from(&coupon.self_link).map_err(Error::internal)?;
        let mut response = Response::new(coupon);
        if by_http {
            response.metadata_mut().insert("location", link);
            say_http(response.metadata_mut(), "201");
        }
        Ok(response)
    }

    async fn batch_create_coupons(
        &self,
        request: Request<CouponBatch>,
    ) -> Reply<BatchCreateCouponsResponse> {
        let caller = Caller::of(&request)?;
        let CouponBatch(request) = request.into_inner();
        let (contents, request_id) = coupons::batch_request(request.clone())?;
        let once = request_id.map(|id| Once::of(&caller, id, "BatchCreateCoupons", &request));

        let show = self.show();
        let answer = |made: Vec<_>| BatchCreateCouponsResponse {
            coupons: made.iter().map(|made| show.coupon(made)).collect(),
        };
        let answer = self.registry.create(caller.team, once, contents, answer).await?;

        Ok(Response::new(answer))
    }

    async fn generate_coupons(
        &self,
        request: Request<GenerateCouponsRequest>,
    ) -> Reply<GenerateCouponsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let Generation { like, pattern, count, request_id } =
            coupons::generate_request(request.clone())?;
        let once = request_id.map(|id| Once::of(&caller, id, "GenerateCoupons", &request));

        let show = self.show();
        let answer = |made: Vec<_>| GenerateCouponsResponse {
            coupons: made.iter().map(|made| show.coupon(made)).collect(),
        };
        let answer =
            self.registry.generate(caller.team, once, like, &pattern, count, answer).await?;

        Ok(Response::new(answer))
    }

    async fn get_coupon(&self, request: Request<GetCouponRequest>) -> Reply<Coupon> {
        let caller = Caller::of(&request)?;
        let id = wire::id(&request.into_inner().id)?;

        let found = self.registry.get(caller.team, id).await?;

        Ok(Response::new(self.show().coupon(&found)))
    }

    async fn list_coupons(
        &self,
        request: Request<ListCouponsRequest>,
    ) -> Reply<ListCouponsResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = coupons::list_request(request.into_inner(), team, &self.pages)?;

        let coupons::Coupons { filter, order } = &listing.filter;
        let listed = self.registry.list(team, filter, *order, &listing.page).await?;

        Ok(Response::new(self.show().list_response(&listing, &listed, team, &self.pages)))
    }

    async fn update_coupon(&self, request: Request<UpdateCouponRequest>) -> Reply<Coupon> {
        let caller = Caller::of(&request)?;
        let Change { id, expected, edit } = edits::update_request(request.into_inner())?;

        let changed = self.registry.change(caller.team, id, expected, &edit).await?;

        Ok(Response::new(self.show().coupon(&changed)))
    }

    async fn delete_coupon(
        &self,
        request: Request<DeleteCouponRequest>,
    ) -> Reply<DeleteCouponResponse> {
        let caller = Caller::of(&request)?;
        let (by_http, request) = (is_http(request.metadata()), request.into_inner());
        let id = wire::id(&request.id)?;

        let deleted = self.registry.delete(caller.team, id, expected(&request.etag)).await?;

        let archived = match &deleted {
            Deleted::Archived(coupon) => Some(&**coupon),
            Deleted::Gone => None,
        };
        let mut response = Response::new(self.show().delete_response(archived));
        if by_http && archived.is_none() {
            say_http(response.metadata_mut(), "204");
        }
        Ok(response)
    }

    async fn check_coupon(
        &self,
        request: Request<CheckCouponRequest>,
    ) -> Reply<CheckCouponResponse> {
        let caller = Caller::of(&request)?;
        let (coupon, subject) = redemptions::check_request(request.into_inner())?;

        let id = self.id_of(caller.team, &coupon, None).await?;
        let check = self.ledger.check(caller.team, id, &subject).await?;

        Ok(Response::new(redemptions::check_response(&check)))
    }

    async fn redeem_coupon(
        &self,
        request: Request<RedeemCouponRequest>,
    ) -> Reply<tap_v1::Redemption> {
        let caller = Caller::of(&request)?;
        let asked = redemptions::redeem_request(request.into_inner())?;

        let tags = self.counter.tags.resolve(caller.team, asked.tag_uid.as_slice()).await?;
        let tag = tags.and_then(|tags| tags.first().copied());
        let coupon = self.id_of(caller.team, &asked.coupon, asked.request_id).await?;
        let asked = asked.found(coupon, tag, caller.key);
        let redeemed = self.redeemer.redeem(caller.team, asked).await?;

        Ok(Response::new(redemptions::redemption(&self.with_tag(caller.team, redeemed))))
    }

    async fn release_redemption(
        &self,
        request: Request<ReleaseRedemptionRequest>,
    ) -> Reply<tap_v1::Redemption> {
        let caller = Caller::of(&request)?;
        let id = wire::id(&request.into_inner().id)?;

        // The team's own turn first, as with counts.
        let turn = time::timeout(RELEASE_TIMEOUT, caller.share.releases.acquire()).await;
        let _turn = turn.map_err(|_| Error::Busy)?.map_err(Error::internal)?;
        let released = self.ledger.release(caller.team, id).await?;

        Ok(Response::new(redemptions::redemption(&released)))
    }

    async fn get_redemption(
        &self,
        request: Request<GetRedemptionRequest>,
    ) -> Reply<tap_v1::Redemption> {
        let caller = Caller::of(&request)?;
        let id = wire::id(&request.into_inner().id)?;

        let found = self.ledger.get(caller.team, id).await?;

        Ok(Response::new(redemptions::redemption(&found)))
    }

    async fn list_redemptions(
        &self,
        request: Request<ListRedemptionsRequest>,
    ) -> Reply<ListRedemptionsResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = redemptions::list_request(&request.into_inner(), team, &self.pages)?;

        let redemptions::Redemptions { coupon, released } = listing.filter;
        let listed = self.ledger.list(team, coupon, released, &listing.page).await?;

        Ok(Response::new(redemptions::list_response(&listing, &listed, team, &self.pages)))
    }

    async fn query_redemptions(
        &self,
        request: Request<QueryRedemptionsRequest>,
    ) -> Reply<QueryRedemptionsResponse> {
        let caller = Caller::of(&request)?;
        let asked = queries::redemptions(request.into_inner())?;

        // The team's own turn first: who waits for that must not hold what others need.
        let _turn = caller.share.counts.acquire().await.map_err(Error::internal)?;
        let counts = self.counter.count(caller.team, &asked).await?;

        Ok(Response::new(queries::redemptions_response(&asked, &counts, self.clock.now())))
    }

    async fn query_funnel(
        &self,
        request: Request<QueryFunnelRequest>,
    ) -> Reply<QueryFunnelResponse> {
        let caller = Caller::of(&request)?;
        caller.needs(Scope::TapsRead)?;
        caller.needs(Scope::EventsRead)?;
        let (query, of) = queries::funnel(request.into_inner())?;

        let _turn = caller.share.counts.acquire().await.map_err(Error::internal)?;
        let funnel = self.counter.funnel(caller.team, &query, of).await?;

        Ok(Response::new(queries::funnel_response(&query, &funnel, self.clock.now())))
    }
}

impl Coupons {
    fn show(&self) -> Show<'_> {
        Show { addresses: &self.addresses, now: self.clock.now() }
    }

    /// The id of a coupon; by a code that which the same request redeemed before, whatever has the code now.
    async fn id_of(
        &self,
        team: TeamId,
        coupon: &Which,
        request_id: Option<Uuid>,
    ) -> Result<Uuid, Error> {
        match coupon {
            Which::Id(id) => Ok(*id),
            Which::Code(key) => self.ledger.find(team, key, request_id).await,
        }
    }

    /// With the uid of its tag, where it was not read with it.
    fn with_tag(&self, team: TeamId, redemption: Redemption) -> Redemption {
        let tag = redemption.tag.and_then(|tag| self.counter.tags.find_by_id(team, tag));
        let tag_uid = redemption.tag_uid.clone().or_else(|| tag.map(|tag| tag.uid.to_string()));
        Redemption { tag_uid, ..redemption }
    }
}
