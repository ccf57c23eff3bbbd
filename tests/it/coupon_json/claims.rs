//! Who gets a status and a header of JSON: those who came by JSON, whatever they say of themselves.

use prost::Message as _;
use reqwest::{Client, Method};
use serde_json::json;
use tap_analytics::proto::tap_v1::{
    CreateCouponRequest, DeleteCouponRequest, NewCoupon, coupons_client::CouponsClient,
};
use tonic::{Request, transport::Channel};

use super::Door;
use crate::coupons::id_of;

/// A message as gRPC-web sends it.
fn framed(message: &impl prost::Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    framed.extend(bytes);
    framed
}

#[tokio::test]
async fn statuses_are_of_json_alone_whatever_a_caller_claims() {
    let door = Door::open().await;
    let new = |code: &str| CreateCouponRequest {
        coupon: Some(NewCoupon {
            couponcode: code.to_owned(),
            title: "x".to_owned(),
            ..NewCoupon::default()
        }),
        ..CreateCouponRequest::default()
    };
    let claims: [&[(&str, &str)]; 3] = [
        &[],
        &[("x-envoy-original-path", "/v1/coupons")],
        &[("x-http-status", "204"), ("x-envoy-original-method", "POST")],
    ];
    let channel = Channel::from_shared(door.envoy.url("")).unwrap().connect().await.unwrap();
    let mut client = CouponsClient::new(channel);
    for (nth, claims) in claims.iter().enumerate() {
        let keyed = |claims: &[(&'static str, &str)]| {
            let mut metadata = tonic::metadata::MetadataMap::new();
            metadata.insert("x-api-key", door.desk.key.parse().unwrap());
            for (name, value) in claims {
                metadata.insert(*name, value.parse().unwrap());
            }
            metadata
        };
        let mut request = Request::new(new(&format!("grpc-{nth}")));
        *request.metadata_mut() = keyed(claims);
        let made = client.create_coupon(request).await.unwrap();
        let id = made.get_ref().id.clone();
        let mut request =
            Request::new(DeleteCouponRequest { id, ..DeleteCouponRequest::default() });
        *request.metadata_mut() = keyed(claims);
        let deleted = client.delete_coupon(request).await.unwrap();
        assert_eq!(deleted.get_ref().archived, None);
        for metadata in [made.metadata(), deleted.metadata()] {
            for name in ["x-http-status", "location"] {
                assert!(metadata.get(name).is_none(), "{name}");
            }
        }

        // By gRPC-web.
        let web = async |rpc: &str, body: Vec<u8>| {
            let mut request = Client::new()
                .post(door.envoy.url(&format!("/tap.v1.Coupons/{rpc}")))
                .header("content-type", "application/grpc-web+proto")
                .header("x-api-key", &door.desk.key)
                .body(body);
            for (name, value) in *claims {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            for name in ["x-http-status", "location"] {
                assert_eq!(answer.headers().get(name), None, "{name}");
            }
            assert_eq!(answer.headers()["content-type"], "application/grpc-web+proto");
            answer.bytes().await.unwrap()
        };
        let made = web("CreateCoupon", framed(&new(&format!("web-{nth}")))).await;
        let length = u32::from_be_bytes(made[1..5].try_into().unwrap()) as usize;
        let made = tap_analytics::proto::tap_v1::Coupon::decode(&made[5..5 + length]).unwrap();
        let delete = DeleteCouponRequest { id: made.id, ..DeleteCouponRequest::default() };
        let deleted = web("DeleteCoupon", framed(&delete)).await;
        assert_eq!(&deleted[..5], [0; 5], "an empty message");
        assert!(String::from_utf8_lossy(&deleted).contains("grpc-status:0"));

        // By JSON the claims change nothing.
        let body = json!({"couponcode": format!("json-{nth}"), "title": "x"}).to_string();
        let made = door.send(Method::POST, "/v1/coupons", body, claims).await;
        let id = id_of(&made.is(201));
        assert_eq!(made.header("location"), Some(format!("/v1/coupons/{id}").as_str()));
    }
    // Pages of others may read where it is.
    let asked = [("origin", "https://page.example")];
    let body = json!({"couponcode": "page", "title": "x"}).to_string();
    let made = door.send(Method::POST, "/v1/coupons", body, &asked).await;
    assert!(made.header("access-control-expose-headers").unwrap().contains("location"));
}
