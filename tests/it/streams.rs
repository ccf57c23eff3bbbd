//! Streams by every wire, what they cost, and whom their tokens are good for.

use std::time::{Duration, Instant};

use chrono::{SubsecRound as _, TimeDelta};
use serde_json::{Value, json};
use tap_analytics::{
    access::model::Scope,
    clock::Clock,
    proto::tap_v1::{
        IssueTokenRequest, NewTap, QueryTapsRequest, StreamTapsRequest, WatchTapsRequest,
        api_keys_client::ApiKeysClient, end_reason, group_by, kind, stream_taps_response,
        watch_taps_response,
    },
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::app::{
    AddKey, App, KeyedClient, Options, Team, connect,
    envoy::Envoy,
    frames::{Asked, STREAM_WIRES},
    instant, new_database, query,
    report::{Following, Ingesting, reason, record, report, reports},
    run, stderr, store,
    wires::{Frames, Wire},
};

/// An installation whose time stands still: it is in tokens.
async fn at_one_instant() -> (App, Clock) {
    // To the second, as in tokens.
    let clock = Clock::fixed(Clock::system().now().trunc_subsecs(0));
    (App::start_with(Options { clock: clock.clone(), ..Options::default() }).await, clock)
}

fn from(token: &str) -> StreamTapsRequest {
    StreamTapsRequest { resume_token: token.to_owned(), ..StreamTapsRequest::default() }
}

fn day() -> QueryTapsRequest {
    query("2023-05-01", "2023-05-01", "HOUR")
}

fn watch(query: QueryTapsRequest) -> WatchTapsRequest {
    WatchTapsRequest { query: Some(query), ..WatchTapsRequest::default() }
}

/// The token of a frame.
fn token(frame: &Value) -> &str {
    let (_, inner) = frame.as_object().unwrap().iter().next().unwrap();
    inner["resumeToken"].as_str().unwrap()
}

/// Opens the same stream by every wire.
async fn open_all(envoy: &Envoy, key: &str, asked: &Asked) -> Vec<(Wire, Frames)> {
    let mut open = Vec::new();
    for wire in STREAM_WIRES {
        let frames = asked.open(wire, envoy, Some(key)).await;
        open.push((wire, frames.unwrap_or_else(|refused| panic!("{wire:?}: {refused:?}"))));
    }
    open
}

#[tokio::test]
async fn stream_taps_has_the_same_frames_by_every_wire() {
    let (app, _) = at_one_instant().await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a", "9007199254740993", "c"]).await;
    let mut client = app.client(&team.key);
    let asked = Asked::Stream(StreamTapsRequest {
        tag_uids: vec!["9007199254740993".to_owned(), "a".to_owned()],
        include: vec![0, 2],
        ..StreamTapsRequest::default()
    });
    let mut open = open_all(&envoy, &team.key, &asked).await;
    let mut hellos = Vec::new();
    for (_, frames) in &mut open {
        hellos.extend(frames.next().await);
    }
    assert!(hellos.iter().all(|hello| *hello == hellos[0]), "{hellos:?}");
    assert_eq!(hellos[0]["hello"]["heartbeatSeconds"], json!(15));

    let at = instant("2023-05-01T12:00:00.000001Z");
    let full = NewTap {
        count: Some(3),
        kind: kind::Value::Qr.into(),
        country: "DE".to_owned(),
        device: "\"ios\"\\ \u{2028} 🦀".to_owned(),
        // One without a value would end Envoy: it is left out.
        attributes: [("data: x", "table 7"), ("nothing", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..report("9007199254740993", at)
    };
    let mut taps = vec![full.clone(), report("c", at)];
    taps.extend(reports("a", at, 3));
    let began = Instant::now();
    record(&mut client, taps).await;
    let mut seen = Vec::new();
    for (_, frames) in &mut open {
        seen.push(frames.take(4).await);
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    for ((wire, _), frames) in open.iter().zip(&seen) {
        assert_eq!(*frames, seen[0], "{wire:?}");
    }
    let tap = &seen[0][0]["tap"];
    assert_eq!((&tap["tagUid"], &tap["count"]), (&json!(full.tag_uid), &json!(3.0)));
    assert_eq!((&tap["kind"], &tap["device"]), (&json!("QR"), &json!(full.device)));
    assert_eq!(tap["attributes"], json!({"data: x": "table 7"}));

    // From the store, after the second.
    let resumed = Asked::Stream(StreamTapsRequest {
        tag_uids: vec!["a".to_owned(), "9007199254740993".to_owned()],
        ..from(token(&seen[0][1]))
    });
    for (wire, mut frames) in open_all(&envoy, &team.key, &resumed).await {
        let hello = frames.next().await.unwrap();
        assert_eq!(token(&hello), token(&seen[0][1]), "{wire:?}");
        assert_eq!(frames.take(2).await, seen[0][2..], "{wire:?}");
    }

    app.stop.cancel();
    for (wire, mut frames) in open {
        let last = frames.next().await.unwrap();
        assert_eq!(last["end"]["reason"], json!("DRAINING"), "{wire:?}");
        assert_eq!(frames.next().await, None, "{wire:?}");
    }
}

#[tokio::test]
async fn watch_taps_has_the_same_frames_by_every_wire() {
    let (app, _) = at_one_instant().await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a", "b"]).await;
    let mut client = app.client(&team.key);
    let asked = Asked::Watch(watch(QueryTapsRequest {
        group_by: group_by::Value::Kind.into(),
        tag_uids: vec!["b".to_owned(), "a".to_owned()],
        time_zone: "Europe/Berlin".to_owned(),
        ..day()
    }));
    let mut open = open_all(&envoy, &team.key, &asked).await;
    // By GET too.
    let url = "/v1/taps:watch?query.startDate=2023-05-01&query.endDate=2023-05-01&query.interval=hour\
               &query.groupBy=KIND&query.tagUids=b&query.tagUids=a&query.timeZone=Europe/Berlin";
    let got = reqwest::Client::new().get(envoy.url(url)).header("x-api-key", &team.key);
    let mut got = got.send().await.unwrap();
    assert_eq!(got.status(), 200);
    let line = got.chunk().await.unwrap().unwrap();
    let line: Value = serde_json::from_slice(&line).unwrap();

    let mut answers = Vec::new();
    for (_, frames) in &mut open {
        answers.extend(frames.next().await);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0]["answer"]["buckets"].as_array().unwrap().len(), 24);
    assert_eq!(line["answer"]["resumeToken"], answers[0]["answer"]["resumeToken"]);
    assert_eq!(line["answer"]["total"], json!(0), "what is 0 is written out");

    for n in 1..=2 {
        record(&mut client, vec![report("a", instant("2023-05-01T12:00:00Z"))]).await;
        let mut changes = Vec::new();
        for (_, frames) in &mut open {
            changes.extend(frames.next().await);
        }
        assert!(changes.iter().all(|change| *change == changes[0]), "{changes:?}");
        let change = &changes[0]["change"];
        assert_eq!(change["total"], json!(f64::from(n)));
        assert_eq!(change["buckets"].as_array().unwrap().len(), 1);
        assert_eq!(change["buckets"][0]["start"], json!("2023-05-01T14:00:00+02:00"));
        assert_eq!(change["groups"][0]["counts"], json!([{"index": 14, "count": f64::from(n)}]));
    }

    app.stop.cancel();
    for (wire, mut frames) in open {
        let last = frames.next().await.unwrap();
        assert_eq!(last["end"]["reason"], json!("DRAINING"), "{wire:?}");
        assert_eq!(frames.next().await, None, "{wire:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_before_the_first_frame_is_an_error_of_the_one_shape_by_every_wire() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let writer = app.key(team.id, None, &[Scope::TapsWrite], None).await;
    let used_up = app.key(team.id, Some(1), Scope::ALL, None).await;
    app.client(&used_up).query_taps(day()).await.unwrap();
    let tags = |uids: &[&str]| uids.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>();
    let stream = || Asked::Stream(StreamTapsRequest::default());
    let key = Some(team.key.as_str());
    let of_tags = |uids: &[&str]| {
        Asked::Stream(StreamTapsRequest { tag_uids: tags(uids), ..StreamTapsRequest::default() })
    };
    let cases: Vec<(Option<&str>, Asked, Code, &str)> = vec![
        (None, stream(), Code::Unauthenticated, "API_KEY_MISSING"),
        (Some("tap_1_x"), stream(), Code::Unauthenticated, "API_KEY_INVALID"),
        (Some(&writer), stream(), Code::PermissionDenied, "SCOPE_MISSING"),
        (Some(&used_up), stream(), Code::ResourceExhausted, "QUOTA_EXCEEDED"),
        (key, Asked::Stream(from("nonsense")), Code::InvalidArgument, "INVALID_FIELDS"),
        (key, of_tags(&["a", "nobodys"]), Code::NotFound, "TAG_NOT_FOUND"),
        (key, of_tags(&["b%20d", "a"]), Code::InvalidArgument, "INVALID_FIELDS"),
        (None, Asked::Watch(watch(day())), Code::Unauthenticated, "API_KEY_MISSING"),
        (Some(&writer), Asked::Watch(watch(day())), Code::PermissionDenied, "SCOPE_MISSING"),
        (Some(&used_up), Asked::Watch(watch(day())), Code::ResourceExhausted, "QUOTA_EXCEEDED"),
        (
            key,
            Asked::Watch(watch(QueryTapsRequest::default())),
            Code::InvalidArgument,
            "INVALID_FIELDS",
        ),
        (
            key,
            Asked::Watch(watch(query("2000-01-01", "2023-01-01", "MINUTE"))),
            Code::InvalidArgument,
            "INVALID_FIELDS",
        ),
        (
            key,
            Asked::Watch(watch(QueryTapsRequest { tag_uids: tags(&["nobodys"]), ..day() })),
            Code::NotFound,
            "TAG_NOT_FOUND",
        ),
        (
            key,
            Asked::Watch(WatchTapsRequest { resume_token: "x".to_owned(), ..watch(day()) }),
            Code::InvalidArgument,
            "INVALID_FIELDS",
        ),
    ];
    for (key, asked, code, reason) in cases {
        let mut outcomes = Vec::new();
        for wire in STREAM_WIRES {
            let Err(refused) = asked.open(wire, &envoy, key).await else {
                panic!("{asked:?} by {wire:?} was opened")
            };
            let (got, mut failure) = *refused;
            assert_eq!((got, failure.reason.as_str()), (code, reason), "{asked:?} by {wire:?}");
            assert_eq!(failure.domain, "tap-analytics");
            if code == Code::ResourceExhausted {
                assert!(failure.retry);
                failure.message.clear(); // it names the seconds
            }
            outcomes.push(failure);
        }
        assert!(outcomes.iter().all(|is| *is == outcomes[0]), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_silent_stream_lasts_through_envoy_and_says_that_it_is_alive() {
    let app = App::start().await;
    let envoy = Envoy::impatient(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut open = open_all(&envoy, &team.key, &Asked::Stream(StreamTapsRequest::default())).await;
    open.extend(open_all(&envoy, &team.key, &Asked::Watch(watch(day()))).await);
    for (_, frames) in &mut open {
        frames.next().await;
    }
    let began = Instant::now();
    for (wire, frames) in &mut open {
        let frame = frames.next().await.unwrap();
        assert!(!token(&frame).is_empty() && frame.get("heartbeat").is_some(), "{wire:?}: {frame}");
    }
    assert!(began.elapsed() > Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    record(&mut app.client(&team.key), vec![report("a", instant("2023-05-01T12:00:00Z"))]).await;
    for (wire, frames) in &mut open {
        let frame = frames.next().await.unwrap();
        let news = frame.get("tap").or(frame.get("change"));
        assert!(news.is_some(), "{wire:?}: {frame}");
    }
}

/// Opens a watch and takes the token of its answer.
async fn watched(client: &mut KeyedClient, request: WatchTapsRequest) -> Result<String, Status> {
    let mut frames = client.watch_taps(request).await?.into_inner();
    match frames.message().await?.unwrap().frame {
        Some(watch_taps_response::Frame::Answer(answer)) => Ok(answer.resume_token),
        other => panic!("the first frame is {other:?}"),
    }
}

#[tokio::test]
async fn a_stream_that_was_cut_costs_nothing_for_ten_minutes() {
    let (app, clock) = at_one_instant().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let key = app.key(team.id, Some(3), Scope::ALL, None).await;
    let mut client = app.client(&key);
    let left = async || {
        let refused = app.client(&key).query_taps(QueryTapsRequest::default()).await.unwrap_err();
        refused.metadata().get("x-ratelimit-remaining").unwrap().to_str().unwrap().to_owned()
    };
    let mut following = Following::open(&mut client, StreamTapsRequest::default()).await;
    assert_eq!(left().await, "2");
    let token_of_watch = watched(&mut client, watch(day())).await.unwrap();
    assert_eq!(left().await, "1");
    record(&mut client, vec![report("a", instant("2023-05-01T12:00:00Z"))]).await;
    following.taps(1).await;
    let answer = client.query_taps(day()).await.unwrap().into_inner();
    assert_eq!(left().await, "0");

    // Nothing is left, and cut streams go on all the same: with the token of a frame, or of an answer.
    let resumed = |token: &str| WatchTapsRequest { resume_token: token.to_owned(), ..watch(day()) };
    for _ in 0..5 {
        let again = Following::open(&mut client, from(&following.token)).await;
        assert_eq!(again.token, following.token);
        Following::open(&mut client, from(&answer.resume_token)).await;
        watched(&mut client, resumed(&token_of_watch)).await.unwrap();
    }
    // What is not the same watch costs a query.
    let other = query("2023-05-01", "2023-05-02", "HOUR");
    for refused in [
        WatchTapsRequest { query: Some(other), ..resumed(&token_of_watch) },
        resumed(&following.token),
        resumed(&answer.resume_token),
        watch(day()),
    ] {
        let refused = watched(&mut client, refused).await.unwrap_err();
        assert_eq!(reason(&refused), "QUOTA_EXCEEDED");
    }
    let fresh = client.stream_taps(StreamTapsRequest::default()).await.unwrap_err();
    assert_eq!(reason(&fresh), "QUOTA_EXCEEDED");

    // Of a token of earlier the place is still good, but it costs.
    let ten_minutes_later = clock.now() + TimeDelta::minutes(10);
    clock.set(ten_minutes_later);
    Following::open(&mut client, from(&following.token)).await;
    watched(&mut client, resumed(&token_of_watch)).await.unwrap();
    clock.set(ten_minutes_later + TimeDelta::seconds(1));
    let late = client.stream_taps(from(&following.token)).await.unwrap_err();
    assert_eq!(reason(&late), "QUOTA_EXCEEDED");
    let late = watched(&mut client, resumed(&token_of_watch)).await.unwrap_err();
    assert_eq!(reason(&late), "QUOTA_EXCEEDED");
    let mut rich = app.client(&team.key);
    Following::open(&mut rich, from(&following.token)).await;
}

#[tokio::test]
async fn a_token_that_is_not_ours_whole_and_of_this_team_is_refused() {
    let app = App::start().await;
    let (acme, other) =
        (app.reporting_team("acme", &["a"]).await, app.reporting_team("other", &["a"]).await);
    let store = store(&new_database().await);
    let other_secret = "update secrets set secret = sha256('another')";
    connect(&store.database_url).await.batch_execute(other_secret).await.unwrap();
    let elsewhere = App::on(store, Options::default()).await;
    let same_number = elsewhere.reporting_team("acme", &["a"]).await;
    assert_eq!(same_number.id, acme.id);
    let token_of = async |app: &App, team: &Team| {
        let mut client = app.client(&team.key);
        record(&mut client, vec![report("a", instant("2023-05-01T12:00:00Z"))]).await.resume_token
    };
    let good = token_of(&app, &acme).await;
    let mut client = app.client(&acme.key);
    Following::open(&mut client, from(&good)).await;

    let mut bad = vec![
        token_of(&app, &other).await,
        token_of(&elsewhere, &same_number).await,
        good[..good.len() - 1].to_owned(),
        good[1..].to_owned(),
        format!("{good}A"),
        format!("{good}="),
        format!(" {good}"),
        good.to_lowercase(),
        "A".repeat(good.len()),
        "tap".to_owned(),
        acme.key.clone(),
        "\u{0}".to_owned(),
    ];
    for at in 0..good.len() {
        let other = if &good[at..=at] == "A" { "B" } else { "A" };
        bad.push(format!("{}{other}{}", &good[..at], &good[at + 1..]));
    }
    for token in bad {
        let of_watch = WatchTapsRequest { resume_token: token.clone(), ..watch(day()) };
        for refused in [
            client.stream_taps(from(&token)).await.map(|_| ()).unwrap_err(),
            client.watch_taps(of_watch).await.map(|_| ()).unwrap_err(),
        ] {
            assert_eq!(refused.code(), Code::InvalidArgument, "{token}");
            let details = refused.get_error_details();
            let violation = &details.bad_request().unwrap().field_violations[0];
            assert_eq!(violation.field, "resume_token");
            assert_eq!(violation.reason, "MALFORMED_RESUME_TOKEN", "{token}");
            assert!(!refused.message().contains(&acme.key[..12]), "{}", refused.message());
        }
    }
    // Nothing of it cost anything, and the good one still works.
    Following::open(&mut client, from(&good)).await;
}

#[tokio::test]
async fn a_key_may_have_a_hundred_streams_open() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = app.client(&team.key);
    let mut watches = Vec::new();
    let mut ingestings = Vec::new();
    let mut followings = Vec::new();
    for _ in 0..33 {
        watches.push(client.watch_taps(watch(day())).await.unwrap());
        ingestings.push(Ingesting::open(&mut client).await);
        followings.push(Following::open(&mut client, StreamTapsRequest::default()).await);
    }
    followings.push(Following::open(&mut client, StreamTapsRequest::default()).await);

    let too_many = |refused: Status| {
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(reason(&refused), "TOO_MANY_STREAMS");
    };
    for _ in 0..3 {
        too_many(client.stream_taps(StreamTapsRequest::default()).await.unwrap_err());
        too_many(client.watch_taps(watch(day())).await.unwrap_err());
        too_many(client.ingest_taps(futures_util::stream::empty()).await.unwrap_err());
    }
    // Calls go on, and so do other keys of the team.
    client.query_taps(day()).await.unwrap();
    let mut other = app.client(&app.key(team.id, None, Scope::ALL, None).await);
    Following::open(&mut other, StreamTapsRequest::default()).await;
    // All that are open are alive.
    record(&mut client, vec![report("a", instant("2023-05-01T12:00:00Z"))]).await;
    for following in &mut followings {
        following.taps(1).await;
    }

    // One of each kind goes, and another can come: one.
    drop(followings.pop());
    followings.push(open_patiently(&mut client).await);
    too_many(client.stream_taps(StreamTapsRequest::default()).await.unwrap_err());
    drop(watches.pop());
    followings.push(open_patiently(&mut client).await);
    drop(ingestings.pop());
    followings.push(open_patiently(&mut client).await);
    too_many(client.watch_taps(watch(day())).await.unwrap_err());
}

/// Opens a stream as soon as there is room for it.
async fn open_patiently(client: &mut KeyedClient) -> Following {
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        match client.stream_taps(StreamTapsRequest::default()).await {
            Ok(frames) => return Following { token: String::new(), frames: frames.into_inner() },
            Err(refused) => assert_eq!(reason(&refused), "TOO_MANY_STREAMS"),
        }
        assert!(Instant::now() < give_up, "there is room for no other stream");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_stream_of_a_token_ends_with_all_tokens_and_one_of_the_key_goes_on() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let channel = Channel::from_shared(format!("http://{}", app.grpc)).unwrap().connect_lazy();
    let mut keys = ApiKeysClient::with_interceptor(channel, AddKey(team.key.clone()));
    let token = keys.issue_token(IssueTokenRequest::default()).await.unwrap().into_inner().token;
    let mut by_token = Following::open(&mut app.client(&token), StreamTapsRequest::default()).await;
    let mut by_key =
        Following::open(&mut app.client(&team.key), StreamTapsRequest::default()).await;

    // A new secret beside the old one ends nothing.
    for (arguments, ends) in
        [(vec!["tokens", "rotate"], false), (vec!["tokens", "rotate", "--end-all"], true)]
    {
        let rotated = run(&app.store.database_url, &arguments);
        assert!(rotated.status.success(), "{}", stderr(&rotated));
        let next = tokio::time::timeout(Duration::from_secs(2), by_token.frames.message()).await;
        assert_eq!(next.is_ok(), ends, "{arguments:?}: {next:?}");
        let Ok(frame) = next else { continue };
        let Some(stream_taps_response::Frame::End(end)) = frame.unwrap().unwrap().frame else {
            panic!("it does not end");
        };
        assert_eq!(end.reason(), end_reason::Value::AccessTokenExpired);
    }
    let refused = app.client(&token).query_taps(day()).await.unwrap_err();
    assert_eq!(reason(&refused), "API_KEY_INVALID");
    let next = tokio::time::timeout(Duration::from_secs(1), by_key.frames.message()).await;
    assert!(next.is_err(), "{next:?}");
}
