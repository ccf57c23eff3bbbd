//! What each RPC of coupons can answer beside success, and a request to try it with.

use super::answers::{Rpc, rpc};
use crate::reasons;

/// One of the sample.
const COUPON: &str = r#"{"id": "0190c0de-0000-7000-8000-000000000001"}"#;
const REDEMPTION: &str = r#"{"id": "01976c30-4d10-7f55-8266-7a8b9c0d1e2f"}"#;

const MADE: &[&str] = &[
    reasons::INVALID_FIELDS,
    reasons::TAG_NOT_FOUND,
    reasons::COUPONCODE_TAKEN,
    reasons::REQUEST_ID_USED,
    reasons::COUPON_LIMIT,
    reasons::STORE_UNAVAILABLE,
];
const READ: &[&str] =
    &[reasons::INVALID_FIELDS, reasons::COUPON_NOT_FOUND, reasons::STORE_UNAVAILABLE];
const REDEMPTION_READ: &[&str] =
    &[reasons::INVALID_FIELDS, reasons::REDEMPTION_NOT_FOUND, reasons::STORE_UNAVAILABLE];
const QUERIED: &[&str] = &[
    reasons::INVALID_FIELDS,
    reasons::COUPON_NOT_FOUND,
    reasons::TAG_NOT_FOUND,
    reasons::STORE_UNAVAILABLE,
    reasons::QUERY_TOO_SLOW,
];

pub(super) const RPCS: &[Rpc] = &[
    Rpc {
        statuses: &[201],
        ..rpc(
            "/tap.v1.Coupons/CreateCoupon",
            r#"{"coupon": {
                "couponcode": "LEMONADE-2",
                "title": "Two lemonades for one",
                "merchant": "Harbour Coffee",
                "store": {"lat": 59.3251, "long": 18.0711, "city": "Stockholm"},
                "expireAt": "2030-08-31T20:00:00.000Z",
                "tagUids": ["newsletter-1"],
                "maxRedemptions": 500,
                "maxPerSubject": 1
            }}"#,
            MADE,
        )
    },
    rpc(
        "/tap.v1.Coupons/BatchCreateCoupons",
        r#"{"coupons": [
            {"couponcode": "MONDAY-10", "title": "10 % off on Mondays"},
            {"couponcode": "TUESDAY-10", "title": "10 % off on Tuesdays", "disabled": true}
        ]}"#,
        MADE,
    ),
    rpc(
        "/tap.v1.Coupons/GenerateCoupons",
        r#"{"coupon": {"title": "A free dessert", "maxRedemptions": 1}, "count": 5, "pattern": "SWEET-####-####"}"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::TAG_NOT_FOUND,
            reasons::CODES_USED_UP,
            reasons::REQUEST_ID_USED,
            reasons::COUPON_LIMIT,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc("/tap.v1.Coupons/GetCoupon", COUPON, READ),
    rpc(
        "/tap.v1.Coupons/ListCoupons",
        r#"{"state": "VALID", "category": "food", "order": "TITLE", "pageSize": 10}"#,
        &[reasons::INVALID_FIELDS, reasons::TAG_NOT_FOUND, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.Coupons/UpdateCoupon",
        r#"{
            "id": "0190c0de-0000-7000-8000-000000000001",
            "coupon": {"description": "One filter coffee with any cake, all day.", "store": {"city": "Stockholm"}}
        }"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::COUPON_NOT_FOUND,
            reasons::TAG_NOT_FOUND,
            reasons::COUPONCODE_TAKEN,
            reasons::ETAG_MISMATCH,
            reasons::COUPON_TERMS_FIXED,
            reasons::COUPON_ARCHIVED,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    Rpc {
        statuses: &[200, 204],
        ..rpc(
            "/tap.v1.Coupons/DeleteCoupon",
            COUPON,
            &[
                reasons::INVALID_FIELDS,
                reasons::COUPON_NOT_FOUND,
                reasons::ETAG_MISMATCH,
                reasons::STORE_UNAVAILABLE,
            ],
        )
    },
    rpc(
        "/tap.v1.Coupons/CheckCoupon",
        r#"{"id": "0190c0de-0000-7000-8000-000000000001", "subject": "guest-4711"}"#,
        READ,
    ),
    rpc(
        "/tap.v1.Coupons/RedeemCoupon",
        r#"{
            "id": "0190c0de-0000-7000-8000-000000000001",
            "subject": "guest-4711",
            "requestId": "01976c31-0a20-7b66-9377-8b9c0d1e2f30"
        }"#,
        &[
            reasons::INVALID_FIELDS,
            reasons::COUPON_NOT_FOUND,
            reasons::TAG_NOT_FOUND,
            reasons::COUPON_ARCHIVED,
            reasons::COUPON_DISABLED,
            reasons::COUPON_EXPIRED,
            reasons::COUPON_SCHEDULED,
            reasons::COUPON_EXHAUSTED,
            reasons::SUBJECT_EXHAUSTED,
            reasons::REQUEST_ID_USED,
            reasons::TOO_BUSY,
            reasons::STORE_UNAVAILABLE,
        ],
    ),
    rpc("/tap.v1.Coupons/ReleaseRedemption", REDEMPTION, REDEMPTION_READ),
    rpc("/tap.v1.Coupons/GetRedemption", REDEMPTION, REDEMPTION_READ),
    rpc(
        "/tap.v1.Coupons/ListRedemptions",
        r#"{"couponId": "0190c0de-0000-7000-8000-000000000001", "state": "HELD"}"#,
        &[reasons::INVALID_FIELDS, reasons::STORE_UNAVAILABLE],
    ),
    rpc(
        "/tap.v1.Coupons/QueryRedemptions",
        r#"{"startDate": "2026-01-01", "endDate": "2026-12-31", "interval": "MONTH", "groupBy": "COUPON"}"#,
        QUERIED,
    ),
    rpc(
        "/tap.v1.Coupons/QueryFunnel",
        r#"{"startDate": "2026-01-01", "endDate": "2026-12-31", "interval": "MONTH", "tagUid": "newsletter-1"}"#,
        QUERIED,
    ),
];
