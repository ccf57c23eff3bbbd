//! Redemptions: what is asked for, and how they are shown.

use uuid::Uuid;

use super::date;
use crate::{
    coupons::{
        ledger::Check,
        model::{Asked, PAGE, PAGE_MAX, Redemption, SUBJECT_CHARS_MAX},
    },
    error::{Error, Violation},
    ids::{KeyId, TeamId},
    paging::{Listed, Listing, Paged, Pages, TimePlace, parse_time_place, time_place},
    proto::tap_v1::{
        self, CheckCouponRequest, CheckCouponResponse, ListRedemptionsRequest,
        ListRedemptionsResponse, RedeemCouponRequest, redemption_state,
    },
    wire::{
        check_tag_uid, check_text, number, optional_uuid, or_none, own_id, unknown_value, uuid,
    },
};

/// Checks which coupon to look at, and who would redeem it.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn check_request(request: CheckCouponRequest) -> Result<(Uuid, String), Error> {
    let mut bad = Vec::new();
    let id = or_none(uuid("id", &request.id).map(Some), &mut bad);
    check_subject(&request.subject, &mut bad);
    match id {
        Some(id) if bad.is_empty() => Ok((id, request.subject)),
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

/// Checks what to redeem: without its tag, whose uid comes beside it.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn redeem_request(
    request: RedeemCouponRequest,
    key: KeyId,
) -> Result<(Asked, Option<String>), Error> {
    let mut bad = Vec::new();
    let coupon = or_none(uuid("id", &request.id).map(Some), &mut bad);
    check_subject(&request.subject, &mut bad);
    let tap_id = own_id("tap_id", &request.tap_id, &mut bad);
    let tag_uid = Some(request.tag_uid).filter(|uid| !uid.is_empty());
    if let Some(uid) = &tag_uid {
        check_tag_uid("tag_uid", uid, &mut bad);
    }
    let request_id = or_none(optional_uuid("request_id", &request.request_id), &mut bad);
    match coupon {
        Some(coupon) if bad.is_empty() => {
            let (subject, tag_named) = (request.subject, tag_uid.is_some());
            let asked = Asked { coupon, key, subject, tap_id, tag: None, tag_named, request_id };
            Ok((asked, tag_uid))
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
