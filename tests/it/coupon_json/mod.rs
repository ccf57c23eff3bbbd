//! `tap.v1.Coupons` by JSON, through the real Envoy: statuses, headers, bodies, and errors of one shape.

mod claims;
mod refusals;

use http::HeaderMap;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tap_analytics::reasons::http_status;

use crate::{
    app::{App, Options, envoy::Envoy, wires::Failure, wires::json_failure},
    coupons::{Desk, id_of, new_id, with},
};

/// Envoy in front of a team's service.
struct Door {
    desk: Desk,
    envoy: Envoy,
}

/// What is answered by HTTP.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body of an answer with this status.
    fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// The status and the reason of an error, which has the one shape.
    fn refusal(&self) -> (u16, String, Failure) {
        let (code, failure) = json_failure(&self.json());
        assert_eq!(failure.domain, "tap-analytics");
        assert!(!failure.message.is_empty());
        // Envoy's own errors have statuses that no code has.
        let own = [405, 415].contains(&self.status);
        assert!(own || self.status == http_status(code), "{self:?}");
        (self.status, failure.reason.clone(), failure)
    }

    fn refused(&self, status: u16, reason: &str) {
        let (answered, given, _) = self.refusal();
        assert_eq!((answered, given.as_str()), (status, reason), "{self:?}");
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Door {
    async fn open() -> Self {
        Self::open_with(Options::default()).await
    }

    async fn open_with(options: Options) -> Self {
        let desk = Desk::at(App::start_with(options).await).await;
        let envoy = Envoy::start(&desk.app).await;
        Self { desk, envoy }
    }

    /// Sends a body as it stands, with headers.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<String>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Client::new()
            .request(method, self.envoy.url(path))
            .header("x-api-key", &self.desk.key)
            .body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        assert_eq!(headers.get("x-http-status"), None, "{path}");
        Answer { status, headers, text: answer.text().await.unwrap() }
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body.to_string(), &[]).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, body.to_string(), &[]).await
    }

    async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, body.to_string(), &[]).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", &[]).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "", &[]).await
    }

    /// Makes a coupon, and gives its path.
    async fn make(&self, code: &str) -> String {
        let body = json!({"couponcode": code, "title": "A coupon"});
        format!("/v1/coupons/{}", id_of(&self.post("/v1/coupons", body).await.is(201)))
    }
}

fn full() -> Value {
    json!({
        "category": "food",
        "couponcode": "COFFEE-1",
        "description": "One\nfilter coffee",
        "merchant": "Harbour",
        "title": "Free coffee",
        "store": {
            "lat": 59.3251, "long": 18.0711, "city": "Stockholm", "phone": "+46 8 555 0101",
            "state": "Stockholm", "street": "Skeppsbron 12", "zip": "111 30",
        },
        "publishedAt": "2016-03-05T08:40:51.620Z",
        "expireAt": "2036-03-05T08:40:51.620Z",
        "metadata": {"campaign": "spring"},
    })
}

#[tokio::test]
async fn a_coupon_is_made_shown_changed_and_deleted_by_json() {
    let options = Options { public_url: Some("https://taps.example"), ..Options::default() };
    let door = Door::open_with(options).await;
    let answer = door.post("/v1/coupons", full()).await;
    let made = answer.is(201);
    let (id, path) = (id_of(&made), format!("/v1/coupons/{}", id_of(&made)));
    let link = format!("https://taps.example{path}");
    assert_eq!(answer.header("location"), Some(link.as_str()));
    let expected = with(
        full(),
        json!({
            "id": id, "selfLink": link, "etag": "1", "state": "ACTIVE", "redeemed": 0,
            "disabled": false, "tagUids": [],
            "createdAt": made["createdAt"], "updatedAt": made["createdAt"],
        }),
    );
    assert_eq!(made, expected);

    let shown = door.get(&path).await;
    assert_eq!((shown.is(200), shown.header("location")), (made.clone(), None));

    // What was read can be sent back as it is, and changes nothing.
    assert_eq!(door.put(&path, made.clone()).await.is(200), made);
    assert_eq!(door.patch(&path, made.clone()).await.is(200), made);
    // A part of it, with a part of the store.
    let part = json!({"title": "Cheap coffee", "store": {"city": "Solna"}});
    let changed = door.put(&path, part.clone()).await.is(200);
    let store = with(full()["store"].clone(), json!({"city": "Solna"}));
    let expected = json!({
        "title": "Cheap coffee", "store": store, "etag": "2", "updatedAt": changed["updatedAt"],
    });
    assert_eq!(changed, with(made.clone(), expected));
    assert_eq!(door.patch(&path, part).await.is(200), changed, "the same by PATCH");
    // With a mask what it names, and what is not sent of that is cleared.
    for (mask, body, city) in [
        ("store.city", json!({"store": {"city": "Kista"}, "title": "no"}), json!("Kista")),
        ("store.city", json!({}), Value::Null),
        ("store.city,disabled", json!({"store": {"city": "Solna"}}), json!("Solna")),
        ("store", json!({"store": {"city": "Lund"}}), json!("Lund")),
    ] {
        for method in [Method::PATCH, Method::PUT] {
            let masked = format!("{path}?updateMask={mask}");
            let changed = door.send(method, &masked, body.to_string(), &[]).await.is(200);
            assert_eq!(changed["store"].get("city").cloned().unwrap_or_default(), city, "{mask}");
            assert_eq!(changed["title"], "Cheap coffee");
            assert_eq!(changed["store"].get("zip").is_none(), mask == "store");
        }
    }
    // In snake_case, too.
    let cleared = door.patch(&path, json!({"expire_at": "", "max_redemptions": 3})).await.is(200);
    assert_eq!((cleared.get("expireAt"), &cleared["maxRedemptions"]), (None, &json!(3)));

    let deleted = door.delete(&path).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    for name in ["content-type", "content-length", "location"] {
        assert_eq!(deleted.header(name), None, "{name}");
    }
    door.get(&path).await.refused(404, "COUPON_NOT_FOUND");
    door.delete(&path).await.refused(404, "COUPON_NOT_FOUND");
}

#[tokio::test]
async fn one_that_was_redeemed_is_answered_as_archived() {
    let door = Door::open().await;
    let path = door.make("x").await;
    let check = door.post(&format!("{path}:check"), json!({})).await.is(200);
    assert_eq!((&check["redeemable"], &check["reasons"]), (&json!(true), &json!([])));
    let asked = json!({"subject": "ann", "requestId": new_id()});
    let redeemed = door.post(&format!("{path}:redeem"), asked.clone()).await.is(200);
    assert_eq!(door.post(&format!("{path}:redeem"), asked).await.is(200), redeemed);
    let redemption = format!("/v1/redemptions/{}", id_of(&redeemed));
    assert_eq!(door.get(&redemption).await.is(200), redeemed);
    let listed = door.get("/v1/redemptions?state=held").await.is(200);
    assert_eq!(listed, json!({"redemptions": [redeemed], "nextPageToken": ""}));
    let range = "startDate=2020-01-01&endDate=2199-01-01";
    let counted = door.get(&format!("/v1/redemptions:query?{range}&groupBy=coupon")).await.is(200);
    assert_eq!((&counted["total"], &counted["groups"][0]["total"]), (&json!(1), &json!(1)));
    let by_post = json!({"startDate": "2020-01-01", "endDate": "2199-01-01", "groupBy": "COUPON"});
    assert_eq!(door.post("/v1/redemptions:query", by_post).await.is(200), counted);
    let funnel = door.get(&format!("/v1/funnel:query?{range}")).await.is(200);
    let expected = json!({"taps": 0, "sessions": 0, "couponViews": 0, "redemptions": 1});
    assert_eq!(funnel["total"], expected);

    let archived = door.delete(&path).await.is(200);
    assert!(archived["archived"]["archivedAt"].is_string());
    assert_eq!(door.delete(&path).await.is(200), archived);
    assert_eq!(door.get(&path).await.is(200), archived["archived"]);
    door.put(&path, json!({"description": "x"})).await.refused(400, "COUPON_ARCHIVED");
    door.post(&format!("{path}:redeem"), json!({})).await.refused(400, "COUPON_ARCHIVED");
    let released = door.post(&format!("{redemption}:release"), json!({})).await.is(200);
    assert!(released["releasedAt"].is_string());
}

#[tokio::test]
async fn lists_are_asked_for_in_a_query() {
    let door = Door::open().await;
    let empty = json!({"coupons": [], "nextPageToken": ""});
    for query in ["", "?state=valid", "?state=invalid", "?nearLat=1&nearLong=2&order=nearest_first"]
    {
        assert_eq!(door.get(&format!("/v1/coupons{query}")).await.is(200), empty, "{query}");
    }
    let empty = json!({"redemptions": [], "nextPageToken": ""});
    assert_eq!(door.get("/v1/redemptions").await.is(200), empty);
    door.post("/v1/coupons", full()).await.is(201);
    let past = json!({"couponcode": "past", "title": "x", "expireAt": "2020-01-01T00:00:00Z"});
    door.post("/v1/coupons", past).await.is(201);
    for (query, codes) in [
        ("state=valid", vec!["COFFEE-1"]),
        ("state=VALID", vec!["COFFEE-1"]),
        ("state=invalid", vec!["past"]),
        ("state=active&category=FOOD&merchant=harbour", vec!["COFFEE-1"]),
        ("couponcode=coffee-1", vec!["COFFEE-1"]),
        ("order=title", vec!["COFFEE-1", "past"]),
        ("order=EXPIRING_FIRST&pageSize=1", vec!["past"]),
        ("nearLat=59.3&nearLong=18.07&radiusKm=5", vec!["COFFEE-1"]),
        ("near_lat=59.3&near_long=18.07&radius_km=1", vec![]),
    ] {
        let listed = door.get(&format!("/v1/coupons?{query}")).await.is(200);
        let found: Vec<&str> = listed["coupons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|coupon| coupon["couponcode"].as_str().unwrap())
            .collect();
        assert_eq!(found, codes, "{query}");
        assert_eq!(listed["nextPageToken"] == "", !query.contains("pageSize"), "{query}");
    }
    for query in ["state=expried", "form=x", "order=9", "nearLat=x"] {
        let answer = door.get(&format!("/v1/coupons?{query}")).await;
        let (status, ..) = answer.refusal();
        assert_eq!(status, 400, "{query}");
    }
}
