//! Quotas, by every wire.

use serde_json::{Value, json};
use tap_analytics::{
    access::model::Scope,
    clock::Clock,
    proto::tap_v1::{
        NewTap, QueryTapsRequest, RecordTapsRequest, StreamTapsRequest, WatchTapsRequest,
        stream_taps_response::Frame,
    },
};
use tonic::{Code, metadata::MetadataMap};
use tonic_types::StatusExt as _;

use crate::app::{
    App, Options,
    envoy::Envoy,
    query,
    rpcs::Rpc,
    wires::{Call, Door, Outcome, WIRES, Wire},
};

fn day() -> QueryTapsRequest {
    query("2023-01-01", "2023-01-01", "DAY")
}

#[tokio::test]
async fn the_101st_query_of_a_fresh_key_is_refused_by_every_wire() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    for (n, wire) in WIRES.into_iter().enumerate() {
        let team = app.team(&format!("team-{n}")).await;
        let other = app.team(&format!("other-{n}")).await;
        // Straight to the server, as 100 calls by three wires would take long.
        let mut client = app.client(&team.key);
        for left in (1..100_u32).rev() {
            let answer = client.query_taps(day()).await.unwrap();
            let header = |name| answer.metadata().get(name).unwrap().to_str().unwrap().to_owned();
            assert_eq!(header("x-ratelimit-limit"), "100");
            // One comes back every 36 seconds.
            let remaining: u32 = header("x-ratelimit-remaining").parse().unwrap();
            assert!((left..=left + 1).contains(&remaining), "{remaining} of {left}");
            assert_eq!(header("ratelimit-policy"), "\"query\";q=100;w=3600");
            assert!(header("ratelimit").starts_with(&format!("\"query\";r={remaining};t=")));
        }
        let last = wire.query_taps(&envoy, Some(&team.key), &day()).await;
        assert_eq!((last.code, last.quota()), (Code::Ok, Some((100, 0))), "{wire:?}");

        // Refusals cost nothing, so that they do not put off the next call.
        for _ in 0..3 {
            let refused = wire.query_taps(&envoy, Some(&team.key), &day()).await;
            assert_eq!(
                (refused.code, refused.quota()),
                (Code::ResourceExhausted, Some((100, 0))),
                "{wire:?}"
            );
            assert!((1..=36).contains(&refused.retry_after().unwrap()), "{refused:?}");
            let failure = refused.failure();
            assert_eq!(failure.reason, "QUOTA_EXCEEDED");
            assert_eq!(failure.quota_metric.as_deref(), Some("tap-analytics/query"));
            assert!(failure.retry);
        }
        let unaffected = wire.query_taps(&envoy, Some(&other.key), &day()).await;
        assert_eq!((unaffected.code, unaffected.quota()), (Code::Ok, Some((100, 99))));
        let second_key = app.key(team.id, Some(7), &[Scope::TapsRead], None).await;
        let unaffected = wire.query_taps(&envoy, Some(&second_key), &day()).await;
        assert_eq!((unaffected.code, unaffected.quota()), (Code::Ok, Some((7, 6))));
    }
}

#[tokio::test]
async fn what_is_not_answered_costs_nothing() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let key = app.key(team.id, Some(2), &[Scope::TapsRead], None).await;
    let mut client = app.client(&key);
    for _ in 0..20 {
        let status = client.query_taps(QueryTapsRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.metadata().get("x-ratelimit-remaining").unwrap(), "2");
    }
    // What we had to look up does cost.
    let unknown = QueryTapsRequest { tag_uids: vec!["nope".to_owned()], ..day() };
    assert_eq!(client.query_taps(unknown).await.unwrap_err().code(), Code::NotFound);
    client.query_taps(day()).await.unwrap();
    assert_eq!(client.query_taps(day()).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn many_calls_at_once_get_exactly_the_quota() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let client = app.client(&team.key);
    let calls = (0..300).map(|_| {
        let mut client = client.clone();
        async move { client.query_taps(day()).await.is_ok() }
    });
    let let_in = futures_util::future::join_all(calls).await.into_iter().filter(|ok| *ok).count();
    // One may have come back meanwhile.
    assert!((100..=101).contains(&let_in), "{let_in}");
}

#[tokio::test]
async fn loading_the_keys_again_keeps_what_is_left() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let key = app.key(team.id, Some(3), &[Scope::TapsRead], None).await;
    let mut client = app.client(&key);
    client.query_taps(day()).await.unwrap();
    client.query_taps(day()).await.unwrap();
    // Another key: everything is loaded again, as the server knows it when this returns.
    app.key(team.id, Some(3), &[Scope::TapsRead], None).await;
    client.query_taps(day()).await.unwrap();
    assert_eq!(client.query_taps(day()).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn queries_writes_and_streams_have_quotas_of_their_own() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let key = app.key(team.id, Some(2), Scope::ALL, None).await;
    let mut client = app.client(&key);
    let policy = |metadata: &MetadataMap| {
        let policy = metadata.get("ratelimit-policy").unwrap().to_str().unwrap();
        let (class, rest) = policy.split_once(';').unwrap();
        let limit = metadata.get("x-ratelimit-limit").unwrap().to_str().unwrap();
        assert_eq!(rest, format!("q={limit};w=3600"));
        let left: u32 =
            metadata.get("x-ratelimit-remaining").unwrap().to_str().unwrap().parse().unwrap();
        (class.trim_matches('"').to_owned(), limit.parse::<u32>().unwrap(), left)
    };

    // A fresh stream costs a query, and says so.
    let fresh = client.stream_taps(StreamTapsRequest::default()).await.unwrap();
    assert_eq!(policy(fresh.metadata()), ("query".to_owned(), 2, 1));
    client.query_taps(day()).await.unwrap();
    let refused = client.query_taps(day()).await.unwrap_err();
    assert_eq!(policy(refused.metadata()), ("query".to_owned(), 2, 0));

    // There is no query left, but everything else.
    let write = RecordTapsRequest { taps: vec![NewTap::default()] };
    let write = client.record_taps(write).await.unwrap();
    let (class, limit, left) = policy(write.metadata());
    assert_eq!((class.as_str(), limit), ("write", 360_000));
    // One comes back every 10 ms.
    assert!((359_990..=360_000).contains(&left), "{left}");
    let ingest = client.ingest_taps(futures_util::stream::iter([])).await.unwrap();
    let (class, limit, before) = policy(ingest.metadata());
    assert_eq!((class.as_str(), limit), ("stream", 3_600));
    let ingest = client.ingest_taps(futures_util::stream::iter([])).await.unwrap();
    let (_, _, left) = policy(ingest.metadata());
    assert!((before - 1..=before).contains(&left) && left < 3_600, "{before} {left}");
    let mut hello = fresh.into_inner();
    let Some(Frame::Hello(hello)) = hello.message().await.unwrap().unwrap().frame else {
        panic!("a stream begins with hello")
    };
    let resumed =
        StreamTapsRequest { resume_token: hello.resume_token, ..StreamTapsRequest::default() };
    let resumed = client.stream_taps(resumed).await.unwrap();
    assert_eq!(policy(resumed.metadata()).0, "stream");
    let refused = client.stream_taps(StreamTapsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(policy(refused.metadata()), ("query".to_owned(), 2, 0));
    let quota = refused.get_error_details().quota_failure().unwrap().violations[0].clone();
    assert_eq!(quota.quota_metric, "tap-analytics/query");

    // What costs nothing: a batch that is refused.
    for _ in 0..20 {
        let many = RecordTapsRequest { taps: vec![NewTap::default(); 5_001] };
        let refused = client.record_taps(many).await.unwrap_err();
        let (class, _, left) = policy(refused.metadata());
        assert_eq!((class.as_str(), left), ("write", 360_000));
    }
}

#[tokio::test]
async fn events_are_charged_to_the_quotas_that_taps_are_charged_to() {
    // Nothing comes back meanwhile.
    let clock = Clock::fixed(Clock::system().now());
    let app = App::start_with(Options { clock, ..Options::default() }).await;
    let team = app.team("acme").await;
    let key = app.key(team.id, Some(3), Scope::ALL, None).await;
    let door = Door::straight(&app).kept().await;
    let ask = async |name: &str, request: Value| {
        let rpc = Rpc::of(name);
        Call::new(&rpc, &request).key(Some(&key)).outcome(&door, Wire::Grpc, 1).await
    };
    let charged = |outcome: &Outcome| {
        let policy = outcome.headers["ratelimit-policy"].clone();
        (policy.split('"').nth(1).unwrap().to_owned(), outcome.quota().unwrap().1)
    };
    let is = |class: &str, left: u32| (class.to_owned(), left);
    let range = || json!({"startDate": "2023-01-01", "endDate": "2023-01-01"});

    let fresh = ask("Events/StreamEvents", json!({})).await;
    assert_eq!(charged(&fresh), is("query", 2));
    assert_eq!(charged(&ask("Events/QueryEvents", range()).await), is("query", 1));
    assert_eq!(charged(&ask("TapAnalytics/QueryTaps", range()).await), is("query", 0));
    for (name, request) in [("Events/QueryEvents", range()), ("Events/StreamEvents", json!({}))] {
        let refused = ask(name, request).await;
        assert_eq!(refused.refusal(), (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
        assert_eq!(charged(&refused), is("query", 0), "{name}");
        assert_eq!(refused.failure().quota_metric.as_deref(), Some("tap-analytics/query"));
    }
    let token = fresh.answer()["hello"]["resumeToken"].clone();
    let resumed = ask("Events/StreamEvents", json!({"resumeToken": token})).await;
    assert_eq!((resumed.code, charged(&resumed).0.as_str()), (Code::Ok, "stream"));

    // What is refused before it is looked at costs nothing; what had to be looked up does.
    let many = vec![json!({}); 1_001];
    let refused = ask("Events/RecordEvents", json!({"events": many})).await;
    assert_eq!((refused.code, charged(&refused)), (Code::InvalidArgument, is("write", 360_000)));
    for (name, request, expected) in [
        ("Events/RecordEvents", json!({"events": vec![json!({}); 1_000]}), is("write", 359_999)),
        ("Events/CreateSession", json!({}), is("write", 359_998)),
        (
            "Events/GetEvent",
            json!({"eventId": uuid::Uuid::from_u128(1).to_string()}),
            is("read", 35_999),
        ),
        ("Events/ListEventErrors", json!({"pageSize": 1}), is("read", 35_998)),
        (
            "Events/ReplayEventErrors",
            json!({"validateOnly": true, "limit": 1}),
            is("change", 3_599),
        ),
        ("Events/UpdateEventSettings", json!({}), is("change", 3_599)),
    ] {
        assert_eq!(charged(&ask(name, request).await), expected, "{name}");
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_costs_no_query() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let key = app.key(team.id, Some(1), Scope::ALL, None).await;
    let mut client = app.client(&key);
    for _ in 0..3 {
        let bad = StreamTapsRequest { resume_token: "x".into(), ..StreamTapsRequest::default() };
        assert_eq!(client.stream_taps(bad).await.unwrap_err().code(), Code::InvalidArgument);
        let bad =
            StreamTapsRequest { tag_uids: vec!["nope".into()], ..StreamTapsRequest::default() };
        assert_eq!(client.stream_taps(bad).await.unwrap_err().code(), Code::NotFound);
        let bad = client.watch_taps(WatchTapsRequest::default()).await.unwrap_err();
        assert_eq!(bad.code(), Code::InvalidArgument);
    }
    let watch = || WatchTapsRequest { query: Some(day()), ..WatchTapsRequest::default() };
    client.watch_taps(watch()).await.unwrap();
    assert_eq!(client.watch_taps(watch()).await.unwrap_err().code(), Code::ResourceExhausted);
}
