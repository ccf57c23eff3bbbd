//! QR codes of tags: what a camera reads in them.

use std::collections::HashSet;

use http::Method;
use quircs::{EccLevel, Quirc};
use tap_analytics::{
    access::model::Scope,
    proto::tap_v1::{CreateTagRequest, GetTagQrCodeRequest, NewTag},
    tags::qr,
};
use tonic::Code;

use crate::{
    app::{App, Options, envoy::Envoy, report::reason, wires::json_failure},
    link::{Answer, send},
};

/// The text of an attribute of the first element of this name.
fn attribute<'a>(svg: &'a str, element: &str, name: &str) -> &'a str {
    let (_, rest) = svg.split_once(&format!("<{element} ")).unwrap();
    let (tag, _) = rest.split_once('>').unwrap();
    let (_, rest) = tag.split_once(&format!("{name}=\"")).unwrap();
    rest.split_once('"').unwrap().0
}

/// Reads a path of bars, `M x y h n v1 h-n z`: where it is dark.
fn dark(path: &str) -> HashSet<(usize, usize)> {
    let mut dark = HashSet::new();
    for bar in path.split('M').skip(1) {
        let (at, rest) = bar.split_once('h').unwrap();
        let (x, y) = at.split_once(' ').unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        let length: usize = rest.split_once('v').unwrap().0.parse().unwrap();
        assert_eq!(rest, format!("{length}v1h-{length}z"));
        for x in x..x + length {
            assert!(dark.insert((x, y)), "drawn once");
        }
    }
    dark
}

/// What a camera reads in a code, which must be whole in itself.
fn read(svg: &str) -> String {
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "), "{svg}");
    assert!(svg.ends_with("</svg>"));
    for word in ["href", "url(", "<script", "<style", "<image", "<use", "<!", "<?", "on", "class"] {
        assert!(!svg.split("<title>").next().unwrap().contains(word), "{word}");
        assert!(!svg.split("</title>").nth(1).unwrap().contains(word), "{word}");
    }
    let side: usize = attribute(svg, "svg", "width").parse().unwrap();
    let view = attribute(svg, "svg", "viewBox");
    let modules: usize =
        view.strip_prefix("0 0 ").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(view, format!("0 0 {modules} {modules}"));
    assert_eq!(attribute(svg, "svg", "height"), side.to_string());
    // Edges lie between pixels.
    assert_eq!((side % modules, attribute(svg, "svg", "shape-rendering")), (0, "crispEdges"));
    // White under all of it, and black on that.
    let ground = format!("<path fill=\"#fff\" d=\"M0 0h{modules}v{modules}h-{modules}z\"/>");
    let (before, after) = svg.split_once(&ground).unwrap();
    assert!(before.ends_with("</title>") && after.starts_with("<path fill=\"#000\" d=\""));
    let dark = dark(attribute(after, "path", "d"));
    // Four modules of white around it, and corners where a camera looks for them.
    let quiet = |at: usize| at < 4 || at >= modules - 4;
    assert!(dark.iter().all(|(x, y)| !quiet(*x) && !quiet(*y)));
    for corner in [(4, 4), (modules - 5, 4), (4, modules - 5)] {
        assert!(dark.contains(&corner), "{corner:?}");
    }

    // As a camera far away has it, three pixels for each module.
    let side = 3 * modules;
    let pixel = |at: usize| dark.contains(&(at % side / 3, at / side / 3));
    let image: Vec<u8> = (0..side * side).map(|at| if pixel(at) { 0 } else { 255 }).collect();
    let mut camera = Quirc::default();
    let codes: Vec<_> = camera.identify(side, side, &image).collect();
    assert_eq!(codes.len(), 1);
    let data = codes.into_iter().next().unwrap().unwrap().decode().unwrap();
    assert_eq!(data.ecc_level, EccLevel::M);
    let text = String::from_utf8(data.payload).unwrap();
    let (_, title) = svg.split_once("<title>").unwrap();
    let title = title.split_once("</title>").unwrap().0;
    assert_eq!(title.replace("&lt;", "<").replace("&amp;", "&"), text);
    text
}

#[test]
fn a_code_says_what_it_was_given_whatever_its_length() {
    for text in [
        "HTTP://T.EXAMPLE/T/A/1".to_owned(),
        "https://t.example.com/t/cafe/04:A2:3F".to_owned(),
        "http://localhost:3000/t/team-1/newsletter-1".to_owned(),
        format!("https://{}.example/t/{}/{}", "h".repeat(60), "s".repeat(63), "U".repeat(64)),
        format!("https://t.example/t/cafe/{}", "0123456789".repeat(6)),
        "a<b>&\"c\" </title><script>".to_owned(),
    ] {
        assert_eq!(read(&qr::svg(&text).unwrap()), text);
    }
    for length in (1..300).step_by(13) {
        let text = "https://t.example.com/t/cafe/".chars().cycle().take(length).collect::<String>();
        assert_eq!(read(&qr::svg(&text).unwrap()), text);
    }
}

/// A tag in a team, and a key that may look at it.
async fn tag(app: &App, uid: &str) -> String {
    let team = app.team("cafe").await;
    let key = app.key(team.id, None, Scope::ALL, None).await;
    let tag = Some(NewTag { uid: uid.to_owned(), ..NewTag::default() });
    let request = CreateTagRequest { tag, ..CreateTagRequest::default() };
    app.tags_client(&key).create_tag(request).await.unwrap();
    key
}

async fn fetch(envoy: &Envoy, key: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("x-api-key", key)];
    all.extend(headers);
    send(Method::GET, &envoy.url("/v1/tags/04:A2:3F/qr.svg"), &all).await
}

#[tokio::test]
async fn a_code_holds_the_address_that_the_public_is_told() {
    let public_url = Some("https://t.example.com");
    let app = App::start_with(Options { public_url, ..Options::default() }).await;
    let envoy = Envoy::start(&app).await;
    let key = tag(&app, "04:A2:3F").await;
    let expected = "https://t.example.com/t/cafe/04:A2:3F";
    let request = GetTagQrCodeRequest { uid: "04:A2:3F".to_owned() };
    let answer = app.tags_client(&key).get_tag_qr_code(request).await.unwrap();
    assert_eq!(answer.get_ref().content_type, "image/svg+xml");
    let svg = String::from_utf8(answer.into_inner().data.to_vec()).unwrap();
    assert_eq!(read(&svg), expected);

    // The same by plain HTTP, whoever claims what.
    for headers in [&[][..], &[("host", "evil.example")], &[("x-forwarded-host", "evil.example")]] {
        let answer = fetch(&envoy, &key, headers).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "image/svg+xml");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.headers.contains_key("x-ratelimit-remaining"));
        assert_eq!(answer.body, svg);
    }
    // An error is JSON, as always.
    for (path, key, status, code) in [
        ("/v1/tags/nobodys/qr.svg", key.as_str(), 404, Code::NotFound),
        ("/v1/tags/a%20b/qr.svg", &key, 400, Code::InvalidArgument),
        ("/v1/tags/04:A2:3F/qr.svg?size=3", &key, 400, Code::InvalidArgument),
        ("/v1/tags/04:A2:3F/qr.png", &key, 404, Code::NotFound),
        ("/v1/tags/04:A2:3F/qr.svg", "wrong", 401, Code::Unauthenticated),
    ] {
        let answer = send(Method::GET, &envoy.url(path), &[("x-api-key", key)]).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert_eq!(json_failure(&serde_json::from_str(&answer.body).unwrap()).0, code, "{path}");
    }
}

#[tokio::test]
async fn a_code_holds_the_address_that_was_called_where_no_other_is_known() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let key = tag(&app, "04:A2:3F").await;
    let path = "/t/cafe/04:A2:3F";
    for (headers, origin) in [
        (&[][..], format!("http://{}", envoy.http)),
        (&[("host", "T.Example.Com")], "http://t.example.com".to_owned()),
        (&[("host", "t.example.com:8080")], "http://t.example.com:8080".to_owned()),
        (&[("x-forwarded-host", "t.example.com")], "http://t.example.com".to_owned()),
        (
            &[("host", "inside:3000"), ("x-forwarded-host", "t.example.com")],
            "http://t.example.com".to_owned(),
        ),
    ] {
        let answer = fetch(&envoy, &key, headers).await;
        assert_eq!(answer.status, 200, "{headers:?} {}", answer.body);
        assert_eq!(read(&answer.body), format!("{origin}{path}"), "{headers:?}");
    }
    for host in [
        "a.example, b.example",
        "a.example/x",
        "ann@a.example",
        "a.example?x",
        "a.example#x",
        "a b",
        "<script>",
        "a.example:port",
        "[::1",
        "",
    ] {
        let answer = fetch(&envoy, &key, &[("x-forwarded-host", host)]).await;
        assert_eq!(answer.status, 400, "{host:?}: {}", answer.body);
        let (code, failure) = json_failure(&serde_json::from_str(&answer.body).unwrap());
        let expected = (Code::FailedPrecondition, "PUBLIC_URL_UNKNOWN");
        assert_eq!((code, failure.reason.as_str()), expected, "{host:?}");
    }
    let twice = [("x-forwarded-host", "a.example"), ("x-forwarded-host", "b.example")];
    assert_eq!(fetch(&envoy, &key, &twice).await.status, 400);

    // Straight to the service, as a colleague on the same network would.
    let mut straight = app.tags_client(&key);
    let request = || GetTagQrCodeRequest { uid: "04:A2:3F".to_owned() };
    let answer = straight.get_tag_qr_code(request()).await.unwrap().into_inner();
    let svg = String::from_utf8(answer.data.to_vec()).unwrap();
    assert_eq!(read(&svg), format!("http://{}{path}", app.grpc));
    // By a proxy that ends TLS.
    for (proto, expected) in
        [("https", Ok("https://t.example.com")), ("javascript", Err(())), ("https,http", Err(()))]
    {
        let mut request = tonic::Request::new(request());
        request.metadata_mut().insert("x-forwarded-proto", proto.parse().unwrap());
        request.metadata_mut().insert("x-forwarded-host", "t.example.com".parse().unwrap());
        match (straight.get_tag_qr_code(request).await, expected) {
            (Ok(answer), Ok(origin)) => {
                let svg = String::from_utf8(answer.into_inner().data.to_vec()).unwrap();
                assert_eq!(read(&svg), format!("{origin}{path}"));
            }
            (Err(refused), Err(())) => assert_eq!(reason(&refused), "PUBLIC_URL_UNKNOWN"),
            (answer, _) => panic!("{proto}: {answer:?}"),
        }
    }
}
