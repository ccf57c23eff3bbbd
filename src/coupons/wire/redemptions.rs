//! Redemptions: what is asked for, and how they are shown.

use uuid::Uuid;

use super::date;
use crate::{
    coupons::{
        ledger::Check,
        model::{Asked, CODE_CHARS_MAX, PAGE, PAGE_MAX, Redemption, SUBJECT_CHARS_MAX, code_key},
    },
    error::{Error, Violation},
    ids::{KeyId, TagId, TeamId},
    paging::{Listed, Listing, Paged, Pages, TimePlace, parse_time_place, time_place},
    proto::tap_v1::{
        self, CheckCouponRequest, CheckCouponResponse, ListRedemptionsRequest,
        ListRedemptionsResponse, RedeemCouponRequest, redemption_state,
    },
    reasons,
    wire::{
        check_tag_uid, check_text, number, optional_uuid, or_none, own_id, unknown_value, uuid,
    },
};

/// Which coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    Id(Uuid),
    /// That which has this code, in one case, and is not archived.
    Code(String),
}

fn which(id: &str, couponcode: &str, bad: &mut Vec<Violation>) -> Option<Which> {
    match (id, couponcode) {
        (id, "") => or_none(uuid("id", id).map(Some), bad).map(Which::Id),
        ("", code) => {
            check_text("couponcode", code, CODE_CHARS_MAX, bad);
            Some(Which::Code(code_key(code)))
        }
        _ => {
            let text = "says which coupon, and so does id: send one of them";
            bad.push(Violation::new("couponcode", reasons::CONFLICTING_FIELDS, text));
            None
        }
    }
}

/// Checks which coupon to look at, and who would redeem it.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn check_request(request: CheckCouponRequest) -> Result<(Which, String), Error> {
    let mut bad = Vec::new();
    let coupon = which(&request.id, &request.couponcode, &mut bad);
    check_subject(&request.subject, &mut bad);
    match coupon {
        Some(coupon) if bad.is_empty() => Ok((coupon, request.subject)),
        _ => Err(Error::Invalid(bad)),
    }
}

/// What can be done with a coupon.
#[must_use]
pub fn check_response(check: &Check) -> CheckCouponResponse {
    let reason = |obstacle: &crate::coupons::model::Obstacle| tap_v1::Violation {
        field: obstacle.field().to_owned(),
        reason: obstacle.reason().to_owned(),
        description: obstacle.text(),
    };
    CheckCouponResponse {
        redeemable: check.obstacles.is_empty(),
        reasons: check.obstacles.iter().map(reason).collect(),
        next_valid_at: check.next_valid_at.map(date),
        remaining: check.remaining.map(number),
        remaining_for_subject: check.remaining_for_subject.map(number),
    }
}

/// What is to be redeemed, as it is asked for: what it names is to be looked up.
#[derive(Clone, Debug)]
pub struct Redeeming {
    pub coupon: Which,
    pub subject: String,
    pub tap_id: Option<Uuid>,
    pub tag_uid: Option<String>,
    pub request_id: Option<Uuid>,
}

impl Redeeming {
    /// With what was found of it.
    #[must_use]
    pub fn found(self, coupon: Uuid, tag: Option<TagId>, key: KeyId) -> Asked {
        let Self { coupon: _, subject, tap_id, tag_uid, request_id } = self;
        Asked { coupon, key, subject, tap_id, tag, tag_named: tag_uid.is_some(), request_id }
    }
}

/// Checks what to redeem.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn redeem_request(request: RedeemCouponRequest) -> Result<Redeeming, Error> {
    let mut bad = Vec::new();
    let coupon = which(&request.id, &request.couponcode, &mut bad);
    check_subject(&request.subject, &mut bad);
    let tap_id = own_id("tap_id", &request.tap_id, &mut bad);
    let tag_uid = Some(request.tag_uid).filter(|uid| !uid.is_empty());
    if let Some(uid) = &tag_uid {
        check_tag_uid("tag_uid", uid, &mut bad);
    }
    let request_id = or_none(optional_uuid("request_id", &request.request_id), &mut bad);
    match coupon {
        Some(coupon) if bad.is_empty() => {
            let subject = request.subject;
            Ok(Redeeming { coupon, subject, tap_id, tag_uid, request_id })
        }
        _ => Err(Error::Invalid(bad)),
    }
}

/// Who redeems a coupon. It may be a person's name: no error repeats it.
fn check_subject(subject: &str, bad: &mut Vec<Violation>) {
    let mut wrong = Vec::new();
    check_text("subject", subject, SUBJECT_CHARS_MAX, &mut wrong);
    bad.extend(wrong.into_iter().map(|violation| Violation {
        description: format!(
            "must be at most {SUBJECT_CHARS_MAX} characters, and have no control characters"
        ),
        ..violation
    }));
}

/// A redemption as answers have it.
#[must_use]
pub fn redemption(redemption: &Redemption) -> tap_v1::Redemption {
    tap_v1::Redemption {
        id: redemption.id.to_string(),
        coupon_id: redemption.coupon.to_string(),
        couponcode: redemption.couponcode.clone(),
        subject: redemption.subject.clone(),
        tap_id: redemption.tap_id.map(|id| id.to_string()),
        tag_uid: redemption.tag_uid.clone(),
        key_id: redemption.key.to_string(),
        redeemed_at: date(redemption.redeemed_at),
        released_at: redemption.released_at.map(date),
        request_id: redemption.request_id.map(|id| id.to_string()),
    }
}

/// Which redemptions to list.
#[derive(Clone, Copy, Debug)]
pub struct Redemptions {
    pub coupon: Option<Uuid>,
    /// `None`: given back or not.
    pub released: Option<bool>,
}

/// Checks what redemptions to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_request(
    request: &ListRedemptionsRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<Redemptions, TimePlace>, Error> {
    use redemption_state::Value;
    let mut bad = Vec::new();
    let asked = format!("ListRedemptions {:?} {}", request.coupon_id, request.state);
    let coupon = or_none(optional_uuid("coupon_id", &request.coupon_id), &mut bad);
    let released = match Value::try_from(request.state) {
        Ok(Value::Any) => None,
        Ok(Value::Held) => Some(false),
        Ok(Value::Released) => Some(true),
        Err(_) => {
            bad.push(unknown_value("state", request.state, "HELD, RELEASED or ANY"));
            None
        }
    };
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(parse_time_place, &mut bad);
    let filter = Redemptions { coupon, released };
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// A page of redemptions.
#[must_use]
pub fn list_response(
    listing: &Listing<Redemptions, TimePlace>,
    listed: &Listed<Redemption>,
    team: TeamId,
    pages: &Pages,
) -> ListRedemptionsResponse {
    let place = |redemption: &Redemption| time_place(redemption.redeemed_at, redemption.id);
    ListRedemptionsResponse {
        redemptions: listed.entries.iter().map(redemption).collect(),
        next_page_token: listing.next(pages, team, listed, place),
    }
}
