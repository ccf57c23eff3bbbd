//! What is refused by JSON, by the service and by Envoy: errors of one shape.

use reqwest::Method;
use serde_json::json;

use super::Door;
use crate::coupons::new_id;

#[tokio::test]
async fn every_refusal_has_the_one_shape() {
    let door = Door::open().await;
    let path = door.make("Taken").await;
    let unknown = format!("/v1/coupons/{}", new_id());
    let post = Method::POST;
    for (method, path, body, status, reason) in [
        (Method::GET, "/v1/coupons/7", "", 400, "INVALID_FIELDS"),
        (Method::DELETE, "/v1/coupons/7", "", 400, "INVALID_FIELDS"),
        (Method::PUT, "/v1/coupons/7", r#"{"title": "x"}"#, 400, "INVALID_FIELDS"),
        (Method::GET, "/v1/redemptions/7", "", 400, "INVALID_FIELDS"),
        (Method::GET, &unknown, "", 404, "COUPON_NOT_FOUND"),
        (Method::DELETE, &unknown, "", 404, "COUPON_NOT_FOUND"),
        (Method::PATCH, &unknown, r#"{"title": "x"}"#, 404, "COUPON_NOT_FOUND"),
        (post.clone(), &format!("{unknown}:redeem"), "{}", 404, "COUPON_NOT_FOUND"),
        (post.clone(), "/v1/coupons", "", 400, "INVALID_FIELDS"),
        (post.clone(), "/v1/coupons", "{}", 400, "INVALID_FIELDS"),
        (post.clone(), "/v1/coupons", r#"{"title": "#, 400, "MALFORMED_REQUEST"),
        (post.clone(), "/v1/coupons", "title=x", 400, "MALFORMED_REQUEST"),
        (post.clone(), "/v1/coupons", r#"{"title": {}}"#, 400, "MALFORMED_REQUEST"),
        (post.clone(), "/v1/coupons", r#"{"maxRedemptions": 1.5}"#, 400, "MALFORMED_REQUEST"),
        (post.clone(), "/v1/coupons", r#"{"store": {"lat": NaN}}"#, 400, "MALFORMED_REQUEST"),
        (
            post.clone(),
            "/v1/coupons",
            r#"{"couponcode": "TAKEN", "title": "x"}"#,
            409,
            "COUPONCODE_TAKEN",
        ),
        (
            post.clone(),
            "/v1/coupons",
            r#"{"couponcode": "a", "title": "x", "tagUids": ["no"]}"#,
            404,
            "TAG_NOT_FOUND",
        ),
        (
            post.clone(),
            "/v1/coupons?requestId=7",
            r#"{"couponcode": "a", "title": "x"}"#,
            400,
            "INVALID_FIELDS",
        ),
        (
            post.clone(),
            "/v1/coupons?form=7",
            r#"{"couponcode": "a", "title": "x"}"#,
            400,
            "MALFORMED_REQUEST",
        ),
        (Method::PUT, &path, r#"{"title": "x", "etag": "7"}"#, 409, "ETAG_MISMATCH"),
        (Method::PUT, &path, "{}", 400, "INVALID_FIELDS"),
        (Method::PUT, &path, r#"{"title": ""}"#, 400, "INVALID_FIELDS"),
        (Method::DELETE, &format!("{path}?etag=7"), "", 409, "ETAG_MISMATCH"),
        (Method::GET, "/v1/coupons/", "", 404, "UNKNOWN_PATH"),
        (Method::GET, &format!("{path}/"), "", 404, "UNKNOWN_PATH"),
        (post.clone(), &format!("{path}:use"), "{}", 404, "UNKNOWN_PATH"),
    ] {
        let answer = door.send(method.clone(), path, body, &[]).await;
        let (answered, given, _) = answer.refusal();
        assert_eq!((answered, given.as_str()), (status, reason), "{method} {path} {body}");
        assert_eq!(answer.header("location"), None);
    }
    // A request that comes again is answered as the first time.
    let again = format!("/v1/coupons?requestId={}", new_id());
    let body = json!({"couponcode": "once", "title": "x"});
    let first = door.post(&again, body.clone()).await;
    let second = door.post(&again, body).await;
    assert_eq!(first.is(201), second.is(201));
    assert_eq!(first.header("location"), second.header("location"));
    let other = json!({"couponcode": "twice", "title": "x"});
    door.post(&again, other).await.refused(409, "REQUEST_ID_USED");
}

#[tokio::test]
async fn a_body_is_json_by_what_it_says_of_itself_or_says_nothing() {
    let door = Door::open().await;
    let path = door.make("x").await;
    let redemption = format!("/v1/redemptions/{}", new_id());
    let taken =
        ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"];
    let refused = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/json-patch+json",
        "text/json",
        "application/grpc-web+proto",
    ];
    for (nth, content_type) in taken.into_iter().enumerate() {
        let body = json!({"couponcode": format!("c{nth}"), "title": "x"}).to_string();
        let headers = [("content-type", content_type)];
        door.send(Method::POST, "/v1/coupons", body.as_str(), &headers).await.is(201);
        door.send(Method::PUT, &path, r#"{"title": "y"}"#, &headers).await.is(200);
    }
    let [batch, generate] = ["batchCreate", "generate"].map(|verb| format!("/v1/coupons:{verb}"));
    for content_type in refused {
        let headers = [("content-type", content_type)];
        for (method, path) in [
            (Method::POST, "/v1/coupons"),
            (Method::POST, &batch),
            (Method::POST, &generate),
            (Method::PUT, &path),
            (Method::PATCH, &path),
            (Method::POST, &format!("{path}:check")),
            (Method::POST, &format!("{path}:redeem")),
            (Method::POST, &format!("{redemption}:release")),
            (Method::POST, "/v1/redemptions:query"),
            (Method::POST, "/v1/funnel:query"),
        ] {
            let answer = door.send(method, path, "{}", &headers).await;
            // What speaks gRPC is told in its own way.
            if content_type.starts_with("application/grpc") {
                assert!(
                    answer.status != 200
                        || answer.header("grpc-status").is_some_and(|status| status != "0"),
                    "{answer:?}"
                );
            } else {
                answer.refused(415, "WRONG_CONTENT_TYPE");
            }
        }
    }
    // Where there is no body it does not matter.
    let headers = [("content-type", "text/plain")];
    door.send(Method::GET, &path, "", &headers).await.is(200);
    assert_eq!(door.send(Method::DELETE, &path, "", &headers).await.status, 204);
}

#[tokio::test]
async fn a_wrong_method_is_told_which_are_right() {
    let door = Door::open().await;
    let id = new_id();
    let [coupon, redemption] = ["coupons", "redemptions"].map(|name| format!("/v1/{name}/{id}"));
    for (path, allowed) in [
        ("/v1/coupons", "GET, POST"),
        ("/v1/coupons:batchCreate", "POST"),
        ("/v1/coupons:generate", "POST"),
        (&coupon, "DELETE, GET, PATCH, PUT"),
        (&format!("{coupon}:check"), "POST"),
        (&format!("{coupon}:redeem"), "POST"),
        ("/v1/redemptions", "GET"),
        ("/v1/redemptions:query", "GET, POST"),
        (&redemption, "GET"),
        (&format!("{redemption}:release"), "POST"),
        ("/v1/funnel:query", "GET, POST"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if allowed.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            for (path, content_type) in
                [(path.to_owned(), "application/json"), (format!("{path}?x=y"), "text/plain")]
            {
                let headers = [("content-type", content_type)];
                let method = method.parse().unwrap();
                let answer = door.send(method, &path, "{}", &headers).await;
                answer.refused(405, "WRONG_METHOD");
                assert_eq!(answer.header("allow"), Some(allowed), "{path}");
            }
        }
    }
}
