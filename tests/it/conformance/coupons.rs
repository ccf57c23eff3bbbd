//! The calls of the service of coupons that every wire has to give the same outcome for.

use serde_json::{Value, json};
use tonic::Code;

use super::{
    Case, case,
    cases::{EMPTY, IN_QUERY, NOBODY, REQUEST},
};
use crate::app::scenes::{
    By,
    Step::{self, Call, Sql},
};

const TAP: &str = "5d1d2e4c-5f0a-4f6e-9d0b-6a1f0c9a7b51";

/// A request that is in order, as far as a call can be refused before it is looked at.
pub fn sample(name: &str) -> Option<Value> {
    Some(match name {
        "CreateCoupon" => json!({"coupon": new("NEW", json!({}))}),
        "BatchCreateCoupons" => json!({"coupons": [new("NEW", json!({}))]}),
        "GenerateCoupons" => json!({"coupon": {"title": "a"}, "count": 2}),
        "ListCoupons" | "ListRedemptions" => json!({}),
        "GetCoupon" | "DeleteCoupon" | "CheckCoupon" | "RedeemCoupon" | "ReleaseRedemption"
        | "GetRedemption" => json!({"id": NOBODY}),
        "UpdateCoupon" => json!({"id": NOBODY, "coupon": {"title": "b"}}),
        "QueryRedemptions" | "QueryFunnel" => day(json!({})),
        _ => return None,
    })
}

fn with(value: Value, more: Value) -> Value {
    let (Value::Object(mut members), Value::Object(more)) = (value, more) else { panic!() };
    members.extend(more);
    Value::Object(members)
}

fn day(more: Value) -> Value {
    with(json!({"startDate": "2023-03-26", "endDate": "2023-03-26", "interval": "DAY"}), more)
}

/// A range that has the present in it.
fn always(more: Value) -> Value {
    with(json!({"startDate": "2020-01-01", "endDate": "2150-01-01", "interval": "YEAR"}), more)
}

fn new(code: &str, more: Value) -> Value {
    with(json!({"couponcode": code, "title": "A coupon"}), more)
}

/// With everything that there is.
fn whole() -> Value {
    new(
        "Ü-☕",
        json!({
            "category": "food", "description": "One line\nand another", "merchant": "Café",
            "store": {"lat": 59.5, "long": -18.25, "city": "Örebro", "phone": "+46 8", "state": "x", "street": "y 1", "zip": "01"},
            "publishedAt": "2016-03-05T09:40:51.62+01:00", "expireAt": "2116-03-05T08:40:51Z",
            "tagUids": ["a", "9007199254740993"], "maxRedemptions": 5, "maxPerSubject": 2,
            "disabled": false, "metadata": {"k": "v", "ü": "w"},
        }),
    )
}

/// A coupon that is there by this name.
fn made(name: &'static [(&'static str, &'static str)], coupon: Value) -> Step {
    Call("able", "Coupons/CreateCoupon", json!({"coupon": coupon}), name)
}

const ONE: &[(&str, &str)] = &[("one", "/id")];
const OTHER: &[(&str, &str)] = &[("other", "/id")];

fn one() -> Step {
    made(ONE, whole())
}

fn two() -> Vec<Step> {
    vec![
        one(),
        made(OTHER, new("Other", json!({"category": "Food", "expireAt": "2016-01-01T00:00:00Z"}))),
    ]
}

/// And it was redeemed.
fn redeemed() -> Vec<Step> {
    let request = json!({"id": "<one>", "subject": "s", "tagUid": "a"});
    vec![one(), Call("able", "Coupons/RedeemCoupon", request, &[("redemption", "/id")])]
}

fn not_found(case: Case) -> Case {
    case.error(Code::NotFound, "COUPON_NOT_FOUND")
}

fn refused(case: Case, reason: &'static str) -> Case {
    case.error(Code::FailedPrecondition, reason)
}

pub fn coupons() -> Vec<Case> {
    [creations(), batches(), generations(), looks(), lists(), updates(), deletions()].concat()
}

pub fn redemptions() -> Vec<Case> {
    [checks(), redeems(), releases(), lists_of_redemptions(), queries(), funnels()].concat()
}

fn creations() -> Vec<Case> {
    let create =
        |name: &str, coupon: Value| case(name, "Coupons/CreateCoupon", json!({ "coupon": coupon }));
    let once = json!({"coupon": new("A", json!({})), "requestId": REQUEST});
    let again = |request: Value| {
        case("again", "Coupons/CreateCoupon", request).after(&[Call(
            "able",
            "Coupons/CreateCoupon",
            once.clone(),
            ONE,
        )])
    };
    let many: Vec<String> = (0..101).map(|n| format!("t{n}")).collect();
    vec![
        create("with everything", whole()).by_chance(&["id", "selfLink"]).has(&[
            ("/publishedAt", json!("2016-03-05T08:40:51.620Z")),
            ("/expireAt", json!("2116-03-05T08:40:51.000Z")),
            ("/state", json!("ACTIVE")),
            ("/tagUids", json!(["9007199254740993", "a"])),
        ]),
        create("with what it must have", new("A", json!({}))).by_chance(&["id", "selfLink"]),
        again(once.clone()).has(&[("/id", json!("<one>"))]),
        again(json!({"coupon": new("B", json!({})), "requestId": REQUEST}))
            .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        create("a code in another case", new("ü-☕", json!({})))
            .after(&[one()])
            .error(Code::AlreadyExists, "COUPONCODE_TAKEN"),
        create("a tag that nobody has", new("A", json!({"tagUids": ["a", "nobodys"]})))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        create("more than may be", new("A", json!({})))
            .after(&[full()])
            .error(Code::ResourceExhausted, "COUPON_LIMIT"),
        create("nothing", json!({})).fields(&[
            ("coupon.couponcode", "REQUIRED"),
            ("coupon.title", "REQUIRED"),
        ]),
        create(
            "bad fields",
            new(
                "a b",
                json!({
                    "title": "x".repeat(201), "category": "x".repeat(101), "description": "\u{7}",
                    "merchant": "\n", "store": {"lat": 91, "long": -181, "city": "x".repeat(101)},
                    "publishedAt": "yesterday", "expireAt": "2016-03-05", "tagUids": ["a/b"],
                    "maxRedemptions": 0, "maxPerSubject": -1, "metadata": {"": "x", "k": ""},
                }),
            ),
        )
        .fields(&[
            ("coupon.couponcode", "MALFORMED_TEXT"),
            ("coupon.title", "TOO_LONG"),
            ("coupon.category", "TOO_LONG"),
            ("coupon.description", "MALFORMED_TEXT"),
            ("coupon.merchant", "MALFORMED_TEXT"),
            ("coupon.max_redemptions", "OUT_OF_RANGE"),
            ("coupon.max_per_subject", "OUT_OF_RANGE"),
            ("coupon.metadata", "REQUIRED"),
            ("coupon.metadata", "REQUIRED"),
            ("coupon.store.lat", "OUT_OF_RANGE"),
            ("coupon.store.long", "OUT_OF_RANGE"),
            ("coupon.store.city", "TOO_LONG"),
            ("coupon.published_at", "MALFORMED_DATE"),
            ("coupon.expire_at", "MALFORMED_DATE"),
            ("coupon.tag_uids[0]", "MALFORMED_TAG_UID"),
        ]),
        create(
            "what does not go together",
            new(
                "A",
                json!({
                    "publishedAt": "2016-03-05T08:40:51.620Z", "expireAt": "2016-03-05T08:40:51.619Z",
                    "store": {"lat": 1},
                }),
            ),
        )
        .fields(&[
            ("coupon.expire_at", "EXPIRES_BEFORE_PUBLISHED"),
            ("coupon.store.long", "REQUIRED"),
        ]),
        create("too many tags", new("A", json!({ "tagUids": many })))
            .fields(&[("coupon.tag_uids", "TOO_MANY_TAGS")]),
    ]
}

/// As many coupons as a team may have.
fn full() -> Step {
    Sql("insert into coupons (
             team_id, coupon_id, created_at, updated_at, couponcode, code_key, category, title, description, merchant,
             store_city, store_phone, store_state, store_street, store_zip, tag_ids, disabled, metadata
         )
         select $1, gen_random_uuid(), now(), now(), n, n, '', 'x', '', '', '', '', '', '', '', '{}', false, '{}'
         from generate_series(1, 6) as n")
}

fn batches() -> Vec<Case> {
    let batch = |name: &str, coupons: Value| {
        case(name, "Coupons/BatchCreateCoupons", json!({ "coupons": coupons }))
    };
    let many: Vec<Value> = (0..1_001).map(|n| new(&format!("c{n}"), json!({}))).collect();
    let once = json!({"coupons": [new("A", json!({}))], "requestId": REQUEST});
    let before =
        Call("able", "Coupons/BatchCreateCoupons", once.clone(), &[("one", "/coupons/0/id")]);
    vec![
        batch("two", json!([new("A", json!({})), whole()]))
            .by_chance(&["coupons[].id", "coupons[].selfLink"])
            .has(&[("/coupons/0/couponcode", json!("A"))]),
        case("again", "Coupons/BatchCreateCoupons", once)
            .after(std::slice::from_ref(&before))
            .has(&[("/coupons/0/id", json!("<one>"))]),
        case(
            "another one by the same id",
            "Coupons/BatchCreateCoupons",
            json!({"coupons": [new("B", json!({}))], "requestId": REQUEST}),
        )
        .after(&[before])
        .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        batch("one that is there", json!([new("A", json!({})), whole()]))
            .after(&[one()])
            .error(Code::AlreadyExists, "COUPONCODE_TAKEN"),
        batch("a tag that nobody has", json!([new("A", json!({"tagUids": ["nobodys"]}))]))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        batch("more than may be", json!([new("A", json!({}))]))
            .after(&[full()])
            .error(Code::ResourceExhausted, "COUPON_LIMIT"),
        batch("nothing", json!([])).fields(&[("coupons", "REQUIRED")]),
        batch("too many", json!(many)).fields(&[("coupons", "TOO_MANY_COUPONS")]),
        batch("bad ones", json!([new("A", json!({})), {}, new("a", json!({}))])).fields(&[
            ("coupons[1].couponcode", "REQUIRED"),
            ("coupons[1].title", "REQUIRED"),
            ("coupons[2].couponcode", "DUPLICATE_COUPONCODE"),
        ]),
    ]
}

fn generations() -> Vec<Case> {
    let generate = |name: &str, more: Value| {
        let request = with(json!({"coupon": {"title": "a"}, "count": 3}), more);
        case(name, "Coupons/GenerateCoupons", request)
    };
    let chance: &[&str] = &["coupons[].id", "coupons[].selfLink", "coupons[].couponcode"];
    let once = json!({"requestId": REQUEST});
    let before = Call(
        "able",
        "Coupons/GenerateCoupons",
        json!({"coupon": {"title": "a"}, "count": 3, "requestId": REQUEST}),
        &[("one", "/coupons/0/id"), ("first", "/coupons/0/couponcode")],
    );
    vec![
        generate("three", json!({})).by_chance(chance),
        generate("of a pattern", json!({"pattern": "☕-####-#", "count": 2})).by_chance(chance),
        generate("others by the same id", json!({"requestId": REQUEST, "count": 4}))
            .after(std::slice::from_ref(&before))
            .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        case(
            "one, again",
            "Coupons/GenerateCoupons",
            with(json!({"coupon": {"title": "a"}, "count": 1}), once.clone()),
        )
        .after(&[Call(
            "able",
            "Coupons/GenerateCoupons",
            with(json!({"coupon": {"title": "a"}, "count": 1}), once),
            &[("one", "/coupons/0/id"), ("first", "/coupons/0/couponcode")],
        )])
        .has(&[("/coupons/0/couponcode", json!("<first>"))]),
        generate(
            "a tag that nobody has",
            json!({"coupon": {"title": "a", "tagUids": ["nobodys"]}}),
        )
        .error(Code::NotFound, "TAG_NOT_FOUND"),
        generate("more than may be", json!({}))
            .after(&[full()])
            .error(Code::ResourceExhausted, "COUPON_LIMIT"),
        generate(
            "bad fields",
            json!({"coupon": {"couponcode": "A"}, "count": 1001, "pattern": "A"}),
        )
        .fields(&[
            ("coupon.couponcode", "CONFLICTING_FIELDS"),
            ("coupon.title", "REQUIRED"),
            ("count", "OUT_OF_RANGE"),
            ("pattern", "MALFORMED_PATTERN"),
        ]),
        generate("too few codes", json!({"pattern": "##"})).fields(&[("pattern", "TOO_FEW_CODES")]),
    ]
}

fn looks() -> Vec<Case> {
    let get = |name: &str, request: Value| case(name, "Coupons/GetCoupon", request);
    vec![
        get("one", json!({"id": "<one>"})).after(&[one()]).has(&[
            ("/couponcode", json!("Ü-☕")),
            ("/selfLink", json!("https://taps.example/v1/coupons/<one>")),
        ]),
        not_found(get("nobody's", json!({"id": NOBODY}))),
        get("no id", json!({"id": "a:b/c d%25"})).fields(&[("id", "MALFORMED_UUID")]),
        get("nothing", json!({})).fields(&[("id", "REQUIRED")]).otherwise_by(EMPTY),
    ]
}

fn lists() -> Vec<Case> {
    let list =
        |name: &str, request: Value| case(name, "Coupons/ListCoupons", request).after(&two());
    let next = |name: &str, order: &str, request: Value| {
        let first = json!({"pageSize": 1, "order": order});
        let first = Call("able", "Coupons/ListCoupons", first, &[("page", "/nextPageToken")]);
        case(name, "Coupons/ListCoupons", with(request, json!({"order": order})))
            .after(&[two(), vec![first]].concat())
    };
    let page = || json!({"pageSize": 5, "pageToken": "<page>"});
    let second = |id: &str| [("/coupons/0/id", json!(id))];
    vec![
        list("all", json!({})).has(&[("/coupons/1/id", json!("<one>"))]),
        case("none", "Coupons/ListCoupons", json!({})),
        list("valid ones", json!({"state": "VALID"})).has(&second("<one>")),
        list("invalid ones", json!({"state": "INVALID"})).has(&second("<other>")),
        list("expired ones", json!({"state": "EXPIRED"})).has(&second("<other>")),
        list("of a category", json!({"category": "FOOD", "order": "TITLE"})),
        list("of a merchant", json!({"merchant": "Café"})).has(&second("<one>")),
        list("by its code", json!({"couponcode": "oTHER"})).has(&second("<other>")),
        list("of a tag", json!({"tagUid": "a"})).has(&second("<one>")),
        list(
            "near a point",
            json!({"nearLat": 59.4, "nearLong": -18.25, "radiusKm": 20, "order": "NEAREST_FIRST"}),
        )
        .has(&second("<one>")),
        list("far from a point", json!({"nearLat": 0, "nearLong": 0})),
        list("a page", json!({"pageSize": 1, "order": "EXPIRING_FIRST"})).has(&second("<other>")),
        next("the next page by expiry", "EXPIRING_FIRST", page()).has(&second("<one>")),
        next("the next page by title", "TITLE", page()),
        next("the next page by publication", "PUBLISHED_FIRST", page()).has(&second("<other>")),
        next("the token of another question", "TITLE", with(page(), json!({"category": "food"})))
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list("of a tag that nobody has", json!({"tagUid": "nobodys"}))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        list(
            "bad fields",
            json!({
                "nearLat": 91, "radiusKm": -1, "tagUid": "a/b", "pageToken": "x", "pageSize": -1,
                "merchant": "\u{7}", "couponcode": "x".repeat(65), "category": "x".repeat(101),
            }),
        )
        .fields(&[
            ("near_lat", "OUT_OF_RANGE"),
            ("radius_km", "OUT_OF_RANGE"),
            ("near_long", "REQUIRED"),
            ("tag_uid", "MALFORMED_TAG_UID"),
            ("couponcode", "TOO_LONG"),
            ("category", "TOO_LONG"),
            ("merchant", "MALFORMED_TEXT"),
            ("page_token", "MALFORMED_PAGE_TOKEN"),
            ("page_size", "NEGATIVE"),
        ]),
        list("nearest to nothing", json!({"order": "NEAREST_FIRST"}))
            .fields(&[("near_lat", "REQUIRED")]),
        list("a state and an order that there are not", json!({"state": 8, "order": 9}))
            .fields(&[("state", "UNKNOWN_VALUE"), ("order", "UNKNOWN_VALUE")])
            .otherwise_by(IN_QUERY),
    ]
}

fn updates() -> Vec<Case> {
    let update = |name: &str, coupon: Value, mask: &str| {
        let mut request = json!({"id": "<one>", "coupon": coupon});
        if !mask.is_empty() {
            request["updateMask"] = json!(mask);
        }
        case(name, "Coupons/UpdateCoupon", request).after(&two())
    };
    let after_use = |name: &str, coupon: Value| update(name, coupon, "").after(&redeemed());
    let archive = Call("able", "Coupons/DeleteCoupon", json!({"id": "<one>"}), &[]);
    vec![
        update("a part of its store", json!({"store": {"city": "Solna"}, "etag": "1", "id": "<one>"}), "").has(&[
            ("/store/city", json!("Solna")),
            ("/store/zip", json!("01")),
            ("/etag", json!("2")),
        ]),
        update("by a mask", json!({"title": "Another", "store": {"zip": "02"}}), "title,store.zip,store.lat,store.long,publishedAt,maxPerSubject,metadata")
            .has(&[("/title", json!("Another")), ("/store/zip", json!("02"))]),
        update("its store whole", json!({"store": {"city": "Solna"}}), "store")
            .has(&[("/store", json!({"city": "Solna"}))]),
        update("without limits", json!({"maxRedemptions": 0, "maxPerSubject": 0, "expireAt": ""}), ""),
        update("as it is", json!({"title": "A coupon"}), "").has(&[("/etag", json!("1"))]),
        update("nothing", json!({}), "").fields(&[("update_mask", "NOTHING_TO_CHANGE")]),
        update("an old one", json!({"title": "b", "etag": "7"}), "")
            .error(Code::Aborted, "ETAG_MISMATCH"),
        update("the code of another one", json!({"couponcode": "OTHER"}), "")
            .error(Code::AlreadyExists, "COUPONCODE_TAKEN"),
        update("a tag that nobody has", json!({"tagUids": ["nobodys"]}), "")
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        update("what does not go together", json!({"expireAt": "2015-01-01T00:00:00Z"}), "store.lat,expireAt")
            .fields(&[
                ("coupon.expire_at", "EXPIRES_BEFORE_PUBLISHED"),
                ("coupon.store.lat", "REQUIRED"),
            ]),
        update(
            "bad fields",
            json!({"id": NOBODY, "title": "", "couponcode": "a b", "store": {"long": 181, "zip": "\u{7}"}, "maxRedemptions": -1, "publishedAt": "x"}),
            "",
        )
        .fields(&[
            ("coupon.id", "IMMUTABLE_FIELD"),
            ("coupon.store.long", "OUT_OF_RANGE"),
            ("coupon.store.zip", "MALFORMED_TEXT"),
            ("coupon.published_at", "MALFORMED_DATE"),
            ("coupon.couponcode", "MALFORMED_TEXT"),
            ("coupon.title", "REQUIRED"),
            ("coupon.max_redemptions", "OUT_OF_RANGE"),
        ]),
        update("what it has not", json!({}), "id,redeemed").fields(&[
            ("update_mask", "IMMUTABLE_FIELD"),
            ("update_mask", "UNKNOWN_FIELD"),
        ]),
        after_use("its end once redeemed", json!({"expireAt": "2100-01-01T00:00:00Z", "disabled": true}))
            .has(&[("/state", json!("DISABLED")), ("/redeemed", json!(1.0))]),
        refused(after_use("its terms once redeemed", json!({"title": "b", "maxRedemptions": 9})), "COUPON_TERMS_FIXED"),
        refused(
            update("an archived one", json!({"description": "b"}), "").after(&[redeemed(), vec![archive]].concat()),
            "COUPON_ARCHIVED",
        ),
        not_found(case("nobody's", "Coupons/UpdateCoupon", json!({"id": NOBODY, "coupon": {"title": "b"}}))),
        case("no id", "Coupons/UpdateCoupon", json!({"id": "x", "coupon": {"title": "b"}}))
            .fields(&[("id", "MALFORMED_UUID")]),
    ]
}

fn deletions() -> Vec<Case> {
    let delete = |name: &str, request: Value| case(name, "Coupons/DeleteCoupon", request);
    vec![
        delete("one", json!({"id": "<one>", "etag": "1"})).after(&[one()]),
        delete("one that was redeemed", json!({"id": "<one>"}))
            .after(&redeemed())
            .has(&[("/archived/id", json!("<one>")), ("/archived/state", json!("DISABLED"))]),
        delete("an old one", json!({"id": "<one>", "etag": "7"}))
            .after(&[one()])
            .error(Code::Aborted, "ETAG_MISMATCH"),
        not_found(delete("nobody's", json!({"id": NOBODY}))),
        delete("no id", json!({"id": "x"})).fields(&[("id", "MALFORMED_UUID")]),
    ]
}

fn checks() -> Vec<Case> {
    let check = |name: &str, request: Value| case(name, "Coupons/CheckCoupon", request);
    vec![
        check("nothing against it", json!({"id": "<one>", "subject": "s"})).after(&[one()]).has(&[
            ("/redeemable", json!(true)),
            ("/remaining", json!(5.0)),
            ("/remainingForSubject", json!(2.0)),
        ]),
        check("everything against it", json!({"id": "<one>", "subject": "s"}))
            .after(&[
                redeemed(),
                vec![Sql(
                    "update coupons set disabled = true, archived_at = now(), max_redemptions = 1, max_per_subject = 1,
                         published_at = '2200-01-01', expire_at = '2200-01-01' where team_id = $1",
                )],
            ]
            .concat())
            .has(&[("/reasons/4/reason", json!("SUBJECT_EXHAUSTED"))]),
        not_found(check("nobody's", json!({"id": NOBODY}))),
        check("bad fields", json!({"id": "x", "subject": "x".repeat(201)}))
            .fields(&[("id", "MALFORMED_UUID"), ("subject", "TOO_LONG")]),
    ]
}

fn redeems() -> Vec<Case> {
    let redeem = |name: &str, more: Value| {
        case(name, "Coupons/RedeemCoupon", with(json!({"id": "<one>", "subject": "s"}), more))
    };
    let against = |name: &str, sql: &'static str, reason| {
        refused(redeem(name, json!({})).after(&[redeemed(), vec![Sql(sql)]].concat()), reason)
    };
    let once = json!({"requestId": REQUEST, "tapId": TAP});
    let before = || {
        let request = with(json!({"id": "<one>", "subject": "s"}), once.clone());
        vec![one(), Call("able", "Coupons/RedeemCoupon", request, &[("first", "/id")])]
    };
    vec![
        redeem("with everything", json!({"tapId": TAP, "tagUid": "a", "requestId": REQUEST}))
            .after(&[one()])
            .by_chance(&["id"])
            .has(&[
                ("/tagUid", json!("a")),
                ("/tapId", json!(TAP)),
                ("/keyId", json!("<able.id>")),
            ]),
        redeem("again", once.clone()).after(&before()).has(&[("/id", json!("<first>"))]),
        redeem("another one by the same id", json!({"requestId": REQUEST}))
            .after(&before())
            .error(Code::AlreadyExists, "REQUEST_ID_USED"),
        against(
            "an archived one",
            "update coupons set archived_at = now() where team_id = $1",
            "COUPON_ARCHIVED",
        ),
        against(
            "a disabled one",
            "update coupons set disabled = true where team_id = $1",
            "COUPON_DISABLED",
        ),
        against(
            "an expired one",
            "update coupons set expire_at = '2017-01-01' where team_id = $1",
            "COUPON_EXPIRED",
        ),
        against(
            "one that is to come",
            "update coupons set published_at = '2110-01-01' where team_id = $1",
            "COUPON_SCHEDULED",
        ),
        against(
            "one that is used up",
            "update coupons set max_redemptions = 1 where team_id = $1",
            "COUPON_EXHAUSTED",
        ),
        against(
            "one that the subject has used up",
            "update coupons set max_per_subject = 1 where team_id = $1",
            "SUBJECT_EXHAUSTED",
        ),
        redeem("by nobody", json!({"subject": ""}))
            .after(&[one()])
            .fields(&[("subject", "REQUIRED")]),
        redeem("a tag that nobody has", json!({"tagUid": "nobodys"}))
            .after(&[one()])
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        not_found(redeem("nobody's", json!({"id": NOBODY}))),
        redeem(
            "bad fields",
            json!({"id": "x", "subject": "\u{7}", "tapId": "x", "tagUid": "a/b", "requestId": "x"}),
        )
        .fields(&[
            ("id", "MALFORMED_UUID"),
            ("subject", "MALFORMED_TEXT"),
            ("tap_id", "MALFORMED_UUID"),
            ("tag_uid", "MALFORMED_TAG_UID"),
            ("request_id", "MALFORMED_UUID"),
        ]),
    ]
}

fn releases() -> Vec<Case> {
    let none = |case: Case| case.error(Code::NotFound, "REDEMPTION_NOT_FOUND");
    let release = |name: &str, request: Value| case(name, "Coupons/ReleaseRedemption", request);
    let get = |name: &str, request: Value| case(name, "Coupons/GetRedemption", request);
    let released = Call("able", "Coupons/ReleaseRedemption", json!({"id": "<redemption>"}), &[]);
    vec![
        release("one", json!({"id": "<redemption>"}))
            .after(&redeemed())
            .has(&[("/couponId", json!("<one>"))]),
        release("again", json!({"id": "<redemption>"}))
            .after(&[redeemed(), vec![released]].concat()),
        none(release("nobody's", json!({"id": NOBODY}))),
        release("no id", json!({"id": "x"})).fields(&[("id", "MALFORMED_UUID")]),
        get("one", json!({"id": "<redemption>"})).after(&redeemed()).has(&[
            ("/couponcode", json!("Ü-☕")),
            ("/tagUid", json!("a")),
            ("/subject", json!("s")),
        ]),
        none(get("nobody's", json!({"id": NOBODY}))),
        get("no id", json!({"id": "x"})).fields(&[("id", "MALFORMED_UUID")]),
    ]
}

fn lists_of_redemptions() -> Vec<Case> {
    let list = |name: &str, request: Value| {
        case(name, "Coupons/ListRedemptions", request).after(&redeemed())
    };
    let next = |name: &str, request: Value| {
        let more = json!({"id": "<one>", "subject": "t"});
        let more = Call("able", "Coupons/RedeemCoupon", more, &[("later", "/id")]);
        let first = Call(
            "able",
            "Coupons/ListRedemptions",
            json!({"pageSize": 1}),
            &[("page", "/nextPageToken")],
        );
        case(name, "Coupons/ListRedemptions", request)
            .after(&[redeemed(), vec![more, first]].concat())
    };
    vec![
        list("all", json!({})).has(&[("/redemptions/0/id", json!("<redemption>"))]),
        list("of a coupon", json!({"couponId": "<one>", "state": "HELD"}))
            .has(&[("/redemptions/0/id", json!("<redemption>"))]),
        list("of nobody's coupon", json!({"couponId": NOBODY})),
        list("those that were given back", json!({"state": "RELEASED"})),
        next("the next page", json!({"pageToken": "<page>"}))
            .has(&[("/redemptions/0/id", json!("<redemption>"))]),
        next("the token of another question", json!({"state": "HELD", "pageToken": "<page>"}))
            .fields(&[("page_token", "MALFORMED_PAGE_TOKEN")]),
        list("bad fields", json!({"couponId": "x", "pageToken": "x", "pageSize": -1})).fields(&[
            ("coupon_id", "MALFORMED_UUID"),
            ("page_token", "MALFORMED_PAGE_TOKEN"),
            ("page_size", "NEGATIVE"),
        ]),
        list("a state that there is not", json!({"state": 3}))
            .fields(&[("state", "UNKNOWN_VALUE")])
            .otherwise_by(IN_QUERY),
    ]
}

fn queries() -> Vec<Case> {
    let query = |name: &str, request: Value| {
        case(name, "Coupons/QueryRedemptions", request).after(&redeemed())
    };
    let many: Vec<&str> = vec![NOBODY; 101];
    vec![
        query("all", always(json!({}))).has(&[("/total", json!(1.0))]),
        query("by coupon", always(json!({"groupBy": "COUPON"})))
            .has(&[("/groups/0/key", json!("<one>")), ("/groups/0/label", json!("A coupon"))]),
        query(
            "by tag",
            always(json!({"groupBy": "TAG", "couponIds": ["<one>"], "tagUids": ["a"]})),
        )
        .has(&[("/groups/0/key", json!("a"))]),
        query("compared", always(json!({"compare": "PREVIOUS_YEAR", "endDate": "2149-12-31"}))),
        query("minutes of a day", day(json!({"interval": "MINUTE", "timeZone": "Europe/Berlin"}))),
        query("a coupon that nobody has", always(json!({"couponIds": [NOBODY]})))
            .error(Code::NotFound, "COUPON_NOT_FOUND"),
        query("a tag that nobody has", always(json!({"tagUids": ["nobodys"]})))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        query(
            "bad fields",
            json!({"endDate": "x", "couponIds": ["x"], "limit": -1, "timeZone": "y"}),
        )
        .fields(&[
            ("time_zone", "UNKNOWN_TIME_ZONE"),
            ("start_date", "REQUIRED"),
            ("end_date", "MALFORMED_DATE"),
            ("limit", "NEGATIVE"),
            ("coupon_ids[0]", "MALFORMED_UUID"),
        ]),
        query("too many coupons", day(json!({ "couponIds": many })))
            .fields(&[("coupon_ids", "TOO_MANY_COUPONS")]),
        query("a split that there is not", day(json!({"groupBy": 3})))
            .fields(&[("group_by", "UNKNOWN_VALUE")])
            .otherwise_by(IN_QUERY),
    ]
}

fn funnels() -> Vec<Case> {
    let funnel =
        |name: &str, request: Value| case(name, "Coupons/QueryFunnel", request).after(&redeemed());
    let create = json!({"name": "looker", "scopes": ["coupons:read"]});
    let looker = Call("able", "ApiKeys/CreateApiKey", create, &[("looker", "/key")]);
    vec![
        funnel("of the team", always(json!({})))
            .has(&[("/total", json!({"taps": 6.0, "redemptions": 1.0}))]),
        funnel("of a tag", always(json!({"tagUid": "a"})))
            .has(&[("/total", json!({"taps": 3.0, "redemptions": 1.0}))]),
        funnel("of a coupon", always(json!({"couponId": "<one>"})))
            .has(&[("/total", json!({"taps": 6.0, "redemptions": 1.0}))]),
        funnel("by the hour", day(json!({"interval": "HOUR", "timeZone": "Europe/Berlin"}))),
        case("by who may not see taps", "Coupons/QueryFunnel", day(json!({})))
            .after(&[looker])
            .by(By::Key("looker"))
            .error(Code::PermissionDenied, "SCOPE_MISSING"),
        not_found(funnel("of nobody's coupon", day(json!({"couponId": NOBODY})))),
        funnel("of nobody's tag", day(json!({"tagUid": "nobodys"})))
            .error(Code::NotFound, "TAG_NOT_FOUND"),
        funnel("bad fields", json!({"endDate": "x", "couponId": "x", "tagUid": "a/b"})).fields(&[
            ("start_date", "REQUIRED"),
            ("end_date", "MALFORMED_DATE"),
            ("coupon_id", "MALFORMED_UUID"),
            ("tag_uid", "CONFLICTING_FIELDS"),
            ("tag_uid", "MALFORMED_TAG_UID"),
        ]),
    ]
}
