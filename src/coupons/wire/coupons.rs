//! Coupons: making, listing and showing them.

use std::collections::{HashMap, hash_map::Entry};

use uuid::Uuid;

use super::{date, fields};
use crate::{
    coupons::{
        codes::{PATTERN, Pattern},
        model::{
            ANSWER_BYTES_MAX, BATCH_COUPONS_MAX, CATEGORY_CHARS_MAX, CODE_CHARS_MAX, Content,
            Coupon, DESCRIPTION_CHARS_MAX, Filter, MERCHANT_CHARS_MAX, Near, Order, PAGE, PAGE_MAX,
            Place, RADIUS_KM, RADIUS_KM_MAX, STORE_CHARS_MAX, State, StateFilter, Store,
            TITLE_CHARS_MAX, code_key,
        },
    },
    error::{Error, Violation},
    ids::TeamId,
    paging::{Listed, Listing, Paged, Pages},
    proto::tap_v1::{
        self, BatchCreateCouponsRequest, CreateCouponRequest, DeleteCouponResponse,
        GenerateCouponsRequest, ListCouponsRequest, ListCouponsResponse, coupon_filter,
        coupon_order, coupon_state,
    },
    reasons,
    tags::address::Addresses,
    wire::{
        check_tag_uid, check_text, number, optional_uuid, or_none, required, unknown_value, wanted,
    },
};

/// Coupons to be made, and the id of the request.
pub type New<T> = (T, Option<Uuid>);

/// Checks the coupon to make.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn create_request(request: CreateCouponRequest) -> Result<New<Content>, Error> {
    let mut bad = Vec::new();
    let request_id = or_none(optional_uuid("request_id", &request.request_id), &mut bad);
    // By JSON the coupon is the body: one that is empty lacks its fields.
    let content = content("coupon.", request.coupon.unwrap_or_default(), Code::Chosen, &mut bad);
    if bad.is_empty() { Ok((content, request_id)) } else { Err(Error::Invalid(bad)) }
}

/// Checks the coupons to make.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn batch_request(request: BatchCreateCouponsRequest) -> Result<New<Vec<Content>>, Error> {
    let mut bad = Vec::new();
    let request_id = or_none(optional_uuid("request_id", &request.request_id), &mut bad);
    if request.coupons.is_empty() {
        bad.push(required("coupons", "the coupons to make"));
    } else if request.coupons.len() > BATCH_COUPONS_MAX {
        let text = format!("has more than {BATCH_COUPONS_MAX} coupons: send fewer at a time");
        bad.push(Violation::new("coupons", reasons::TOO_MANY_COUPONS, text));
        return Err(Error::Invalid(bad));
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut contents = Vec::with_capacity(request.coupons.len());
    for (at, coupon) in request.coupons.into_iter().enumerate() {
        let content = content(&format!("coupons[{at}]."), coupon, Code::Chosen, &mut bad);
        match places.entry(code_key(&content.couponcode)) {
            Entry::Vacant(entry) => {
                entry.insert(at);
            }
            // That it is missing is said already.
            Entry::Occupied(_) if content.couponcode.is_empty() => {}
            Entry::Occupied(entry) => {
                let text = format!("is that of coupons[{}] too, whatever the case", entry.get());
                let field = format!("coupons[{at}].couponcode");
                bad.push(Violation::new(field, reasons::DUPLICATE_COUPONCODE, text));
            }
        }
        contents.push(content);
    }
    check_bytes("coupons", contents.iter().map(Content::bytes).sum(), &mut bad);
    if bad.is_empty() { Ok((contents, request_id)) } else { Err(Error::Invalid(bad)) }
}

/// Whether an answer can hold what is made.
fn check_bytes(field: &str, bytes: usize, bad: &mut Vec<Violation>) {
    if bytes > ANSWER_BYTES_MAX {
        let text = format!("takes more than {ANSWER_BYTES_MAX} bytes in all: make fewer at a time");
        bad.push(Violation::new(field, reasons::TOO_LARGE, text));
    }
}

/// Coupons to be made that differ in their codes.
#[derive(Clone, Debug)]
pub struct Generation {
    pub like: Content,
    pub pattern: Pattern,
    pub count: usize,
    pub request_id: Option<Uuid>,
}

/// Checks the coupons to make.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn generate_request(request: GenerateCouponsRequest) -> Result<Generation, Error> {
    let mut bad = Vec::new();
    let like = content("coupon.", request.coupon.unwrap_or_default(), Code::Made, &mut bad);
    let count = usize::try_from(request.count).unwrap_or_default();
    if !(1..=BATCH_COUPONS_MAX).contains(&count) {
        let text = format!("must be 1 to {BATCH_COUPONS_MAX}");
        bad.push(Violation::new("count", reasons::OUT_OF_RANGE, text));
    }
    check_bytes("count", like.bytes() * count.min(BATCH_COUPONS_MAX), &mut bad);
    let pattern = if request.pattern.is_empty() { PATTERN } else { &request.pattern };
    let pattern = Pattern::parse(pattern);
    match &pattern {
        None => {
            let text = format!(
                "must have # in it, no spaces, and at most {CODE_CHARS_MAX} characters, such as {PATTERN}"
            );
            bad.push(Violation::new("pattern", reasons::MALFORMED_PATTERN, text));
        }
        Some(pattern) if !pattern.has_room_for(count) => {
            let text = "makes too few codes: they could be guessed. Take one with more #";
            bad.push(Violation::new("pattern", reasons::TOO_FEW_CODES, text));
        }
        Some(_) => {}
    }
    let request_id = or_none(optional_uuid("request_id", &request.request_id), &mut bad);
    match pattern {
        Some(pattern) if bad.is_empty() => Ok(Generation { like, pattern, count, request_id }),
        _ => Err(Error::Invalid(bad)),
    }
}

/// Where the code of a coupon comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Chosen,
    Made,
}

/// What people say of a coupon, of use only when nothing is wrong with it. `prefix` is before the names of its
/// fields.
pub fn content(
    prefix: &str,
    new: tap_v1::NewCoupon,
    code: Code,
    bad: &mut Vec<Violation>,
) -> Content {
    let field = |name: &str| format!("{prefix}{name}");
    match code {
        Code::Chosen => fields::check_code(field("couponcode"), &new.couponcode, bad),
        Code::Made if new.couponcode.is_empty() => {}
        Code::Made => {
            let text = "is made by the service here: leave it out";
            bad.push(Violation::new(field("couponcode"), reasons::CONFLICTING_FIELDS, text));
        }
    }
    fields::check_required(field("title"), &new.title, TITLE_CHARS_MAX, "what it is for", bad);
    check_text(field("category"), &new.category, CATEGORY_CHARS_MAX, bad);
    fields::check_lines(field("description"), &new.description, DESCRIPTION_CHARS_MAX, bad);
    check_text(field("merchant"), &new.merchant, MERCHANT_CHARS_MAX, bad);
    fields::check_times(field("max_redemptions"), new.max_redemptions, bad);
    fields::check_times(field("max_per_subject"), new.max_per_subject, bad);
    fields::check_metadata(&field("metadata"), &new.metadata, bad);
    let before = bad.len();
    let content = Content {
        store: store(prefix, new.store.unwrap_or_default(), bad),
        published_at: fields::date(field("published_at"), &new.published_at, bad),
        expire_at: fields::date(field("expire_at"), &new.expire_at, bad),
        tag_uids: fields::tag_uids(&field("tag_uids"), new.tag_uids, bad),
        couponcode: new.couponcode,
        category: new.category,
        title: new.title,
        description: new.description,
        merchant: new.merchant,
        max_redemptions: new.max_redemptions,
        max_per_subject: new.max_per_subject,
        disabled: new.disabled,
        metadata: new.metadata,
    };
    // What is wrong with a part is said once.
    if bad.len() == before {
        bad.extend(content.violations(prefix));
    }
    content
}

fn store(prefix: &str, store: tap_v1::Store, bad: &mut Vec<Violation>) -> Store {
    let field = |name: &str| format!("{prefix}store.{name}");
    fields::check_degrees(field("lat"), store.lat, 90.0, bad);
    fields::check_degrees(field("long"), store.long, 180.0, bad);
    let mut text = |name: &str, text: Option<String>| {
        let text = text.unwrap_or_default();
        check_text(field(name), &text, STORE_CHARS_MAX, bad);
        text
    };
    Store {
        city: text("city", store.city),
        phone: text("phone", store.phone),
        state: text("state", store.state),
        street: text("street", store.street),
        zip: text("zip", store.zip),
        lat: store.lat,
        long: store.long,
    }
}

/// Which coupons to list, and in which order.
#[derive(Clone, Debug)]
pub struct Coupons {
    pub filter: Filter,
    pub order: Order,
}

/// Checks what coupons to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_request(
    request: ListCouponsRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<Coupons, Place>, Error> {
    let mut bad = Vec::new();
    // As it was asked: what a token is bound to is the same text whatever else is wrong.
    let bound = ListCouponsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let asked = format!("ListCoupons {bound:?}");
    let near = near(&request, &mut bad);
    let tag_uid = Some(request.tag_uid).filter(|uid| !uid.is_empty());
    if let Some(uid) = &tag_uid {
        check_tag_uid("tag_uid", uid, &mut bad);
    }
    let code = wanted("couponcode", request.couponcode, CODE_CHARS_MAX, &mut bad);
    let filter = Filter {
        state: state_filter(request.state, &mut bad),
        category: wanted("category", request.category, CATEGORY_CHARS_MAX, &mut bad),
        merchant: wanted("merchant", request.merchant, MERCHANT_CHARS_MAX, &mut bad),
        code_key: code.as_deref().map(code_key),
        tag_uid,
        near,
        archived: request.include_archived,
    };
    let order = order(request.order, &mut bad);
    if order == Order::NearestFirst && request.near_lat.is_none() && request.near_long.is_none() {
        bad.push(required("near_lat", "NEAREST_FIRST needs a point: near_lat and near_long"));
    }
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(parse_place, &mut bad);
    let filter = Coupons { filter, order };
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

fn near(request: &ListCouponsRequest, bad: &mut Vec<Violation>) -> Option<Near> {
    fields::check_degrees("near_lat", request.near_lat, 90.0, bad);
    fields::check_degrees("near_long", request.near_long, 180.0, bad);
    let radius = request.radius_km;
    if !(0.0..=RADIUS_KM_MAX).contains(&radius) {
        let text = format!("must be more than 0 and at most {RADIUS_KM_MAX} kilometres");
        bad.push(Violation::new("radius_km", reasons::OUT_OF_RANGE, text));
    }
    let radius_km = if radius == 0.0 { RADIUS_KM } else { radius };
    match (request.near_lat, request.near_long) {
        (Some(lat), Some(long)) => Some(Near { lat, long, radius_km }),
        (None, None) => None,
        (lat, _) => {
            let missing = if lat.is_some() { "near_long" } else { "near_lat" };
            bad.push(required(missing, "a point has both near_lat and near_long"));
            None
        }
    }
}

fn state_filter(value: i32, bad: &mut Vec<Violation>) -> StateFilter {
    use coupon_filter::Value;
    match Value::try_from(value) {
        Ok(Value::Any) => StateFilter::Any,
        Ok(Value::Valid) => StateFilter::Valid,
        Ok(Value::Invalid) => StateFilter::Invalid,
        Ok(Value::Scheduled) => StateFilter::Is(State::Scheduled),
        Ok(Value::Active) => StateFilter::Is(State::Active),
        Ok(Value::Expired) => StateFilter::Is(State::Expired),
        Ok(Value::Exhausted) => StateFilter::Is(State::Exhausted),
        Ok(Value::Disabled) => StateFilter::Is(State::Disabled),
        Err(_) => {
            let allowed = "VALID, INVALID, SCHEDULED, ACTIVE, EXPIRED, EXHAUSTED, DISABLED or ANY";
            bad.push(unknown_value("state", value, allowed));
            StateFilter::Any
        }
    }
}

fn order(value: i32, bad: &mut Vec<Violation>) -> Order {
    use coupon_order::Value;
    match Value::try_from(value) {
        Ok(Value::NewestFirst) => Order::NewestFirst,
        Ok(Value::ExpiringFirst) => Order::ExpiringFirst,
        Ok(Value::PublishedFirst) => Order::PublishedFirst,
        Ok(Value::Title) => Order::Title,
        Ok(Value::NearestFirst) => Order::NearestFirst,
        Err(_) => {
            let allowed = "NEWEST_FIRST, EXPIRING_FIRST, PUBLISHED_FIRST, TITLE or NEAREST_FIRST";
            bad.push(unknown_value("order", value, allowed));
            Order::NewestFirst
        }
    }
}

fn place(place: &Place) -> String {
    format!("{} {} {}", place.number, place.id, place.text)
}

fn parse_place(text: &str) -> Option<Place> {
    let mut parts = text.splitn(3, ' ');
    let (number, id) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Place { number, id, text: parts.next()?.to_owned() })
}

/// Shows coupons.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a> {
    pub addresses: &'a Addresses,
    pub now: chrono::DateTime<chrono::Utc>,
}

impl Show<'_> {
    /// A coupon as answers have it.
    #[must_use]
    pub fn coupon(self, coupon: &Coupon) -> tap_v1::Coupon {
        let content = &coupon.content;
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let store = &content.store;
        let shown = tap_v1::Store {
            lat: store.lat,
            long: store.long,
            city: text(&store.city),
            phone: text(&store.phone),
            state: text(&store.state),
            street: text(&store.street),
            zip: text(&store.zip),
        };
        tap_v1::Coupon {
            id: coupon.id.to_string(),
            couponcode: content.couponcode.clone(),
            category: content.category.clone(),
            title: content.title.clone(),
            description: content.description.clone(),
            merchant: content.merchant.clone(),
            store: (*store != Store::default()).then_some(shown),
            published_at: content.published_at.map(date),
            expire_at: content.expire_at.map(date),
            tag_uids: content.tag_uids.clone(),
            max_redemptions: content.max_redemptions,
            max_per_subject: content.max_per_subject,
            disabled: content.disabled,
            metadata: content.metadata.clone(),
            state: state_value(coupon.terms().state(self.now)).into(),
            redeemed: number(coupon.redeemed),
            self_link: self.link(coupon.id),
            etag: coupon.version.to_string(),
            created_at: date(coupon.created_at),
            updated_at: date(coupon.updated_at),
            archived_at: coupon.archived_at.map(date),
            distance_km: coupon.distance_km,
        }
    }

    /// Where a coupon is shown.
    #[must_use]
    pub fn link(self, id: Uuid) -> String {
        self.addresses.of_path(&format!("/v1/coupons/{id}"))
    }

    /// A page of coupons.
    #[must_use]
    pub fn list_response(
        self,
        listing: &Listing<Coupons, Place>,
        listed: &Listed<(Coupon, Place)>,
        team: TeamId,
        pages: &Pages,
    ) -> ListCouponsResponse {
        ListCouponsResponse {
            coupons: listed.entries.iter().map(|(coupon, _)| self.coupon(coupon)).collect(),
            next_page_token: listing.next(pages, team, listed, |(_, at)| place(at)),
        }
    }

    /// What became of a coupon that was to be deleted.
    #[must_use]
    pub fn delete_response(self, archived: Option<&Coupon>) -> DeleteCouponResponse {
        DeleteCouponResponse { archived: archived.map(|coupon| self.coupon(coupon)) }
    }
}

fn state_value(state: State) -> coupon_state::Value {
    match state {
        State::Scheduled => coupon_state::Value::Scheduled,
        State::Active => coupon_state::Value::Active,
        State::Expired => coupon_state::Value::Expired,
        State::Exhausted => coupon_state::Value::Exhausted,
        State::Disabled => coupon_state::Value::Disabled,
    }
}
