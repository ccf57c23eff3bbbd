//! The tap URL and the page: plain HTTP, as phones and browsers speak it.

use std::time::{Duration, Instant};

use axum::body::Body;
use http::{HeaderMap, Method, StatusCode};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tap_analytics::{
    hints,
    proto::tap_v1::{QueryTapsRequest, StreamTapsRequest, tap_class},
};

use crate::{
    app::{
        App, Options, OwnPostgres, Team,
        envoy::Envoy,
        eventually, instant, now, query,
        report::{Following, record, rejections, report},
        store,
    },
    taps::assert_roll_up_equals_raw,
};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like \
                       Gecko) Chrome/131.0.0.0 Mobile Safari/537.36";
const MENU: &str = "https://cafe.example/menu?table=7&lang=de#top";

/// An answer as it came: no redirect is followed.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends a request to Envoy with the path as it is written.
pub async fn send(method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
    send_by(false, method, url, headers).await
}

/// Sends a request by HTTP/2, the one that the service itself speaks, or by HTTP/1.1.
pub async fn send_by(http2: bool, method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut client = legacy::Client::builder(TokioExecutor::new());
    let client = client.http2_only(http2).build_http::<Body>();
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = client.request(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(Body::new(body), 1024 * 1024).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(url: &str, agent: &str) -> Answer {
    send(Method::GET, url, &[("user-agent", agent)]).await
}

/// A team with a tag that leads to [`MENU`], one that leads nowhere, and one that is archived.
async fn cafe(app: &App) -> Team {
    let team = app.reporting_team("cafe", &["menu", "plain", "gone"]).await;
    let sql = format!(
        "update tags set destination_url = '{MENU}' where uid in ('menu', 'gone');
         update tags set archived_at = now() where uid = 'gone';
         update teams set tags_revision = tags_revision + 1"
    );
    app.sql().await.batch_execute(&sql).await.unwrap();
    hints::announce_tags(&app.db, team.id).await.unwrap();
    let mut client = app.client(&team.key);
    eventually("the tags are known", || {
        let mut client = client.clone();
        async move {
            let answer = record(&mut client, vec![report("gone", now())]).await;
            rejections(&answer.rejected)[&0] == [("tag_uid", "TAG_ARCHIVED")]
        }
    })
    .await;
    record(&mut client, vec![tap_analytics::proto::tap_v1::NewTap::default()]).await;
    team
}

/// Today's taps of these classes.
async fn count(app: &App, team: &Team, include: &[tap_class::Value]) -> f64 {
    let asked = QueryTapsRequest {
        include: include.iter().map(|class| (*class).into()).collect(),
        ..query("2023-01-01", "2199-12-31", "TOTAL")
    };
    app.client(&team.key).query_taps(asked).await.unwrap().into_inner().total
}

/// What nobody may keep, and nobody may learn more from than it says.
fn assert_private(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("x-robots-tag"), "noindex, nofollow");
    for name in ["etag", "last-modified", "expires", "set-cookie"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_tap_leads_to_the_stored_address_and_is_counted_each_time() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = cafe(&app).await;
    let mut following =
        Following::open(&mut app.client(&team.key), StreamTapsRequest::default()).await;
    for (url, straight) in
        [(envoy.url("/t/cafe/menu"), false), (format!("http://{}/t/cafe/menu", app.grpc), true)]
    {
        for _ in 0..2 {
            let before = now() - chrono::TimeDelta::microseconds(1);
            let agent = [("user-agent", IPHONE)];
            let answer = send_by(straight, Method::GET, &url, &agent).await;
            assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, MENU));
            assert_eq!(answer.body, "");
            assert_private(&answer);
            let tap = following.taps(1).await.remove(0);
            assert_eq!((tap.tag_uid.as_str(), tap.count), ("menu", 1.0));
            assert_eq!(tap.device, "ios");
            assert_eq!(tap.country, "", "nobody was trusted to say it");
            assert!((before..=now()).contains(&instant(&tap.tapped_at)));
        }
    }
    assert_eq!(count(&app, &team, &[]).await, 4.0);
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn nothing_in_a_request_can_choose_where_it_leads() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    cafe(&app).await;
    // Some of these are the tag, some are nothing: none leads anywhere else.
    let paths = [
        ("/t/cafe/menu?url=https://evil.example", true),
        ("/t/cafe/menu?destination_url=https://evil.example&location=//evil.example", true),
        ("/t/cafe/menu?team=evil&tag_uid=evil", true),
        ("//t/cafe/menu", true),
        ("/t//cafe//menu", true),
        ("/t/./cafe/x/../menu", true),
        ("/t/cafe/%6denu", true),
        ("/t/cafe/menu/", false),
        ("/t/cafe/menu/https://evil.example", false),
        ("/t/cafe/menu%2f", false),
        ("/t/cafe%2fmenu", false),
        ("/t/cafe/menu%2f..%2f..%2fevil.example", false),
        ("/t/cafe/..%2fmenu", false),
        ("/t/cafe/%2e%2e/menu", false),
        ("/t/cafe/menu%00", false),
        ("/t/cafe/menu%0d%0alocation:%20https://evil.example", false),
        ("/t/cafe/menu;evil.example", false),
        ("/t/cafe/https:%2f%2fevil.example", false),
        ("/t/evil.example/menu", false),
        ("/t/%2f%2fevil.example/menu", false),
        ("//evil.example/t/cafe/menu", false),
        ("/\\evil.example/t/cafe/menu", false),
        ("/t/cafe/MENU", false),
        ("/t/CAFE/menu", false),
        ("/t/cafe/men%c3%bc", false),
        ("/t/cafe/%ff", false),
        ("/T/cafe/menu", false),
    ];
    let headers = [
        ("user-agent", IPHONE),
        ("x-forwarded-host", "evil.example"),
        ("x-original-url", "https://evil.example/"),
        ("x-rewrite-url", "https://evil.example/"),
        ("x-envoy-original-path", "//evil.example/"),
        ("referer", "https://evil.example/"),
        ("origin", "https://evil.example"),
        ("location", "https://evil.example/"),
    ];
    for (path, leads) in paths {
        let mut with_host = headers.to_vec();
        with_host.push(("host", "evil.example"));
        for headers in [&headers[..1], &with_host] {
            let answer = send(Method::GET, &envoy.url(path), headers).await;
            let expected = if leads { MENU } else { "" };
            assert_eq!(answer.header("location"), expected, "{path}: {answer:?}");
            let status = answer.status;
            assert_eq!(status == StatusCode::FOUND, leads, "{path}: {status}");
            assert!(leads || status.is_client_error(), "{path}: {status}");
            assert!(!answer.body.contains("evil"), "{path}: {}", answer.body);
            assert!(!answer.headers.contains_key("x-evil"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_tag_that_is_not_in_use_has_a_small_page_and_is_not_counted() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    cafe(&app).await;
    app.reporting_team("other", &["theirs"]).await;
    for path in [
        "/t/cafe/nobodys",
        "/t/cafe/gone",
        "/t/nobody/menu",
        "/t/other/menu",
        "/t/cafe/theirs",
        "/t/cafe/a%20b",
        "/t/cafe/%3Cscript%3E",
        "/t/cafe/menu/",
        "/t/cafe/menu/more",
        "/t/cafe/",
        "/t/cafe",
        "/t/",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = send(method.clone(), &envoy.url(path), &[("user-agent", IPHONE)]).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
            assert_eq!(answer.header("location"), "", "{path}");
            let shown = answer.body.contains("<h1>This tag is not in use</h1>");
            assert_eq!(shown, method == Method::GET, "{path}");
            assert!(answer.body.len() < 2_000 && !answer.body.contains("script"));
            assert!(answer.header("content-security-policy").starts_with("default-src 'none';"));
            assert_private(&answer);
        }
    }
    // What waited would have been written before this one.
    assert_eq!(get(&envoy.url("/t/cafe/menu"), IPHONE).await.status, StatusCode::FOUND);
    eventually("the tap is stored", || async { app.stored_taps().await > 0 }).await;
    assert_eq!(app.stored_taps().await, 1);
}

#[tokio::test]
async fn a_tag_that_leads_nowhere_says_thank_you() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = cafe(&app).await;
    let answer = get(&envoy.url("/t/cafe/plain"), ANDROID).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::OK, ""));
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.body.contains("<h1>Thank you</h1>"));
    assert!(answer.header("content-security-policy").starts_with("default-src 'none';"));
    assert_private(&answer);
    eventually("the tap is counted", || async { count(&app, &team, &[]).await == 1.0 }).await;

    // It gets an address, and leads there as soon as that is known.
    let sql = "update tags set destination_url = 'https://cafe.example/' where uid = 'plain';
               update teams set tags_revision = tags_revision + 1";
    app.sql().await.batch_execute(sql).await.unwrap();
    hints::announce_tags(&app.db, team.id).await.unwrap();
    eventually("it leads somewhere", || async {
        get(&envoy.url("/t/cafe/plain"), ANDROID).await.header("location")
            == "https://cafe.example/"
    })
    .await;
}

type Headers = &'static [(&'static str, &'static str)];

#[tokio::test]
async fn previews_and_bots_are_recorded_as_such_and_not_counted() {
    use tap_class::Value::{Bot, Human, Preview};
    let app =
        App::start_with(Options { country_header: Some("cf-ipcountry"), ..Options::default() })
            .await;
    let envoy = Envoy::start(&app).await;
    let team = cafe(&app).await;
    let mut client = app.client(&team.key);
    let all = StreamTapsRequest { include: vec![0, 1, 2], ..StreamTapsRequest::default() };
    let mut everybody = Following::open(&mut client, all).await;
    let mut people = Following::open(&mut client, StreamTapsRequest::default()).await;
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let desktop =
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0";
    let cases: Vec<(Method, &str, Headers, tap_class::Value, &str, &str)> = vec![
        (Method::GET, IPHONE, &[("cf-ipcountry", "CH")], Human, "ios", "CH"),
        (Method::GET, ANDROID, &[("cf-ipcountry", "XX")], Human, "android", ""),
        (Method::GET, desktop, &[("cf-ipcountry", "de")], Human, "desktop", ""),
        (Method::GET, desktop, &[("cf-ipcountry", "T1")], Human, "desktop", ""),
        (Method::GET, IPHONE, &[("x-country", "DE")], Human, "ios", ""),
        (Method::HEAD, IPHONE, &[], Preview, "ios", ""),
        (Method::GET, "WhatsApp/2.23.20.0", &[("cf-ipcountry", "AT")], Preview, "other", "AT"),
        (Method::GET, IPHONE, &[("sec-purpose", "prefetch;prerender")], Preview, "ios", ""),
        (Method::GET, bot, &[], Bot, "other", ""),
        (Method::GET, "curl/8.5.0", &[], Bot, "other", ""),
        (Method::GET, "", &[], Bot, "other", ""),
    ];
    for (method, agent, headers, class, device, country) in &cases {
        let mut all_headers = vec![("user-agent", *agent)];
        all_headers.extend(*headers);
        let answer = send(method.clone(), &envoy.url("/t/cafe/menu"), &all_headers).await;
        // Whoever asks is led on: a preview should show what is there.
        assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, MENU));
        let tap = everybody.taps(1).await.remove(0);
        assert_eq!(
            (tap.class(), tap.device.as_str(), tap.country.as_str()),
            (*class, *device, *country),
            "{agent} {headers:?}"
        );
        if *class == Human {
            assert_eq!(people.taps(1).await[0].tap_id, tap.tap_id);
        }
    }
    assert_eq!(count(&app, &team, &[]).await, 5.0);
    assert_eq!(count(&app, &team, &[Preview]).await, 3.0);
    assert_eq!(count(&app, &team, &[Bot]).await, 3.0);
    assert_eq!(count(&app, &team, &[Human, Preview, Bot]).await, 11.0);
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn other_methods_are_refused_and_count_nothing() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    cafe(&app).await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = send(method.clone(), &envoy.url("/t/cafe/menu"), &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.header("allow"), "GET, HEAD");
        let straight = format!("http://{}/t/cafe/menu", app.grpc);
        let answer = send_by(true, method, &straight, &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    get(&envoy.url("/t/cafe/menu"), IPHONE).await;
    eventually("the tap is stored", || async { app.stored_taps().await > 0 }).await;
    assert_eq!(app.stored_taps().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_led_on_while_the_store_is_down_and_their_taps_are_there_afterwards() {
    let postgres = OwnPostgres::start().await;
    let app = App::on(store(&postgres.url), Options::default()).await;
    let envoy = Envoy::start(&app).await;
    let team = cafe(&app).await;
    get(&envoy.url("/t/cafe/menu"), IPHONE).await;
    eventually("the tap is counted", || async { count(&app, &team, &[]).await == 1.0 }).await;

    tokio::task::block_in_place(|| postgres.stop());
    let mut times = Vec::new();
    // For longer than a commit is tried again.
    let until = Instant::now() + Duration::from_secs(7);
    while Instant::now() < until {
        let began = Instant::now();
        let uid = if times.len() % 2 == 0 { "menu" } else { "plain" };
        let answer = get(&envoy.url(&format!("/t/cafe/{uid}")), IPHONE).await;
        times.push(began.elapsed());
        assert!(matches!(answer.status, StatusCode::FOUND | StatusCode::OK), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    times.sort();
    let (median, longest) = (times[times.len() / 2], *times.last().unwrap());
    assert!(median < Duration::from_millis(100), "{median:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let unknown = get(&envoy.url("/t/cafe/nobodys"), IPHONE).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let back = now();
    tokio::task::block_in_place(|| postgres.start_again());

    let taps = 1 + times.len() as i64;
    eventually("all taps are stored", || async { app.stored_taps().await >= taps }).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(app.stored_taps().await, taps, "each once");
    let late: i64 =
        app.scalar(&format!("select count(*) from taps where tapped_at > '{back}'")).await;
    assert_eq!(late, 0, "they were tapped when they were, not when they were stored");
    eventually("they are counted", || async { count(&app, &team, &[]).await == taps as f64 }).await;
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn a_team_that_cannot_be_written_to_holds_up_no_other() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let cafe = cafe(&app).await;
    let other = app.reporting_team("other", &["door"]).await;
    hints::announce_tags(&app.db, other.id).await.unwrap();
    eventually("the door is known", || async {
        get(&envoy.url("/t/other/door"), IPHONE).await.status == StatusCode::OK
    })
    .await;
    let held = app.sql().await;
    held.batch_execute("begin; select from teams where slug = 'cafe' for update").await.unwrap();
    for _ in 0..20 {
        get(&envoy.url("/t/cafe/menu"), IPHONE).await;
        get(&envoy.url("/t/other/door"), IPHONE).await;
    }
    let stored = |team: &Team| {
        let count = format!("select count(*) from taps where team_id = {}", team.id);
        let app = &app;
        async move { app.scalar::<i64>(&count).await }
    };
    let began = Instant::now();
    eventually("the taps of the other are stored", || async { stored(&other).await == 21 }).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(stored(&cafe).await, 0);
    held.batch_execute("rollback").await.unwrap();
    eventually("all taps are stored", || async { stored(&cafe).await == 20 }).await;
}

#[tokio::test]
async fn a_tap_that_waits_when_the_service_stops_is_stored() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    cafe(&app).await;
    let held = app.sql().await;
    held.batch_execute("begin; select from teams for update").await.unwrap();
    for _ in 0..5 {
        assert_eq!(get(&envoy.url("/t/cafe/menu"), IPHONE).await.status, StatusCode::FOUND);
    }
    app.stop.cancel();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(app.stored_taps().await, 0);
    held.batch_execute("rollback").await.unwrap();
    let watching = app.sql().await;
    app.server.await.unwrap().unwrap();
    let row = watching.query_one("select count(*) from taps", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 5);
}

#[tokio::test]
async fn the_page_is_served_whole_to_itself_only() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let page = get(&envoy.url("/"), ANDROID).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.body.starts_with("<!doctype html>"), "{}", page.body);
    // Asked for again each time, and not sent again when it is the same.
    assert_eq!(page.header("cache-control"), "no-cache");
    let known = send(Method::GET, &envoy.url("/"), &[("if-none-match", page.header("etag"))]).await;
    assert_eq!((known.status, known.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(known.header("etag"), page.header("etag"));
    let other = send(Method::GET, &envoy.url("/"), &[("if-none-match", "\"other\"")]).await;
    assert_eq!((other.status, other.body.as_str()), (StatusCode::OK, page.body.as_str()));
    let head = send(Method::HEAD, &envoy.url("/"), &[]).await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("content-length"), page.body.len().to_string());

    // Everything that the page names is there, for good, and from here.
    let mut assets = vec![];
    for part in page.body.split(['"', '\'']).filter(|part| part.contains("assets/")) {
        let path = format!("/{}", part.trim_start_matches("./").trim_start_matches('/'));
        let asset = get(&envoy.url(&path), ANDROID).await;
        assert_eq!(asset.status, StatusCode::OK, "{path}");
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable", "{path}");
        let (_, ending) = path.rsplit_once('.').unwrap();
        let kind = match ending {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => panic!("{path} is of a kind that this test does not know"),
        };
        assert_eq!(asset.header("content-type"), kind, "{path}");
        assets.push(asset);
    }
    for answer in [&page, &known].into_iter().chain(&assets) {
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.split("; ").any(|is| is == part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }

    for path in [
        "/assets/nothing.js",
        "/assets/",
        "/assets/../../Cargo.toml",
        "/assets/..%2findex.html",
        "/assets/%2e%2e%2findex.html",
        "/assets//etc/passwd",
        "/index.html",
        "/favicon.ico",
    ] {
        let answer = get(&envoy.url(path), ANDROID).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.header("cache-control").contains("immutable"), "{path}");
        assert!(!answer.body.contains("doctype"), "{path}");
    }
}
