//! Who may call what: keys, scopes, teams, and that no RPC was forgotten.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use prost_reflect::DescriptorPool;
use tap_analytics::{
    access,
    access::model::Scope,
    auth::Route,
    clock::Clock,
    proto::{
        DESCRIPTORS,
        tap_v1::{
            self, ArchiveTagRequest, BatchCreateTagsRequest, CreateTagRequest, GetTagQrCodeRequest,
            GetTagRequest, IngestTapsRequest, ListTagsRequest, NewTap, QueryTapsRequest,
            RecordTapsRequest, StreamTapsRequest, UpdateTagRequest, WatchTapsRequest,
        },
    },
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::app::{App, Options, OwnPostgres, eventually, query, store};

/// Calls a method with an empty message and these headers; all that matters is who is let in.
async fn call(app: &App, path: &str, headers: &[(&'static str, &str)]) -> Result<(), Status> {
    let channel =
        Channel::from_shared(format!("http://{}", app.grpc)).unwrap().connect().await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let mut request = tonic::Request::new(());
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    // Of a stream the head says whether it was opened.
    grpc.server_streaming(request, path.parse().unwrap(), codec).await.map(|_| ())
}

fn reason(result: Result<(), Status>) -> (Code, String) {
    let status = result.unwrap_err();
    let details = status.get_error_details();
    (status.code(), details.error_info().map(|info| info.reason.clone()).unwrap_or_default())
}

/// The path of every RPC of ours.
fn paths() -> Vec<String> {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    pool.services()
        .filter(|service| service.package_name() == "tap.v1")
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()))
        .collect()
}

#[tokio::test]
async fn every_rpc_has_a_row_and_refuses_whoever_lacks_what_it_asks() {
    let clock = Clock::system();
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let team = app.team("acme").await;
    let expired =
        app.key(team.id, None, Scope::ALL, Some(clock.now() + TimeDelta::milliseconds(1))).await;
    // For each scope a key that has this one alone, and one that has all others.
    let mut keys = HashMap::new();
    for scope in Scope::ALL {
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|s| s != scope).collect();
        let alone = app.key(team.id, None, &[*scope], None).await;
        keys.insert(*scope, (alone, app.key(team.id, None, &others, None).await));
    }
    let powerless = app.key(team.id, None, &[], None).await;
    let revoked = app.key(team.id, None, Scope::ALL, None).await;
    let id = app.key_id(team.id, &revoked).await;
    access::command::revoke_key(&app.db, &Clock::system(), team.id, id).await.unwrap();
    eventually("the key is revoked", || async {
        call(&app, &paths()[0], &[("x-api-key", &revoked)])
            .await
            .is_err_and(|s| s.code() == Code::Unauthenticated)
    })
    .await;

    eventually("the expired key is known", || async {
        let answer = call(&app, &paths()[0], &[("x-api-key", &expired)]).await;
        reason(answer).1 == "API_KEY_EXPIRED"
    })
    .await;

    let paths = paths();
    assert!(!paths.is_empty());
    let mistyped = format!("{}x", &team.key[..team.key.len() - 1]);
    let unknown = access::key::ApiKey::generate(team.id).unwrap().reveal().to_owned();
    for path in &paths {
        let (Route::Key(scope, _), _) = Route::of(path) else {
            panic!("{path} has no row in the access table")
        };
        let missing = (Code::Unauthenticated, "API_KEY_MISSING".to_owned());
        assert_eq!(reason(call(&app, path, &[]).await), missing, "{path}");
        assert_eq!(
            reason(call(&app, path, &[("authorization", "Basic eDp5")]).await),
            missing,
            "{path}"
        );
        let invalid = (Code::Unauthenticated, "API_KEY_INVALID".to_owned());
        for key in ["", "tap", "tap_1_x_y", &mistyped, &unknown, &revoked] {
            assert_eq!(reason(call(&app, path, &[("x-api-key", key)]).await), invalid, "{path}");
            let bearer = format!("Bearer {key}");
            assert_eq!(
                reason(call(&app, path, &[("authorization", &bearer)]).await),
                invalid,
                "{path}"
            );
        }
        assert_eq!(
            reason(call(&app, path, &[("x-api-key", &expired)]).await),
            (Code::Unauthenticated, "API_KEY_EXPIRED".to_owned()),
            "{path}"
        );
        let (able, unable) = &keys[&scope];
        for key in [unable, &powerless] {
            assert_eq!(
                reason(call(&app, path, &[("x-api-key", key)]).await),
                (Code::PermissionDenied, "SCOPE_MISSING".to_owned()),
                "{path}"
            );
        }
        let answer = call(&app, path, &[("x-api-key", able)]).await;
        let refused = |status: &Status| {
            matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
        };
        assert!(!answer.as_ref().is_err_and(refused), "{path}: {answer:?}");
    }
}

#[test]
fn every_rpc_asks_for_its_scope_and_its_quota() {
    use tap_analytics::quotas::Class::{Change, Query, Read, Stream, Write};
    let expected = [
        ("TapAnalytics/QueryTaps", Scope::TapsRead, Query),
        ("TapAnalytics/RecordTaps", Scope::TapsWrite, Write),
        ("TapAnalytics/IngestTaps", Scope::TapsWrite, Stream),
        ("TapAnalytics/StreamTaps", Scope::TapsRead, Stream),
        ("TapAnalytics/WatchTaps", Scope::TapsRead, Stream),
        ("Tags/CreateTag", Scope::TagsWrite, Change),
        ("Tags/BatchCreateTags", Scope::TagsWrite, Change),
        ("Tags/GetTag", Scope::TapsRead, Read),
        ("Tags/ListTags", Scope::TapsRead, Read),
        ("Tags/UpdateTag", Scope::TagsWrite, Change),
        ("Tags/ArchiveTag", Scope::TagsWrite, Change),
        ("Tags/GetTagQrCode", Scope::TapsRead, Read),
    ];
    let expected = expected
        .map(|(method, scope, class)| (format!("/tap.v1.{method}"), Route::Key(scope, class)));
    let rows: Vec<_> = paths().into_iter().map(|path| (path.clone(), Route::of(&path).0)).collect();
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_path_that_is_not_ours_says_so_to_callers_with_a_key_only() {
    let app = App::start().await;
    let team = app.team("acme").await;
    for path in ["/tap.v1.TapAnalytics/DropTaps", "/nothing"] {
        assert_eq!(reason(call(&app, path, &[]).await).0, Code::Unauthenticated);
        let answer = reason(call(&app, path, &[("x-api-key", &team.key)]).await);
        assert_eq!(answer, (Code::Unimplemented, "UNKNOWN_METHOD".to_owned()));
    }
}

#[tokio::test]
async fn a_key_works_in_either_header_and_x_api_key_wins() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let path = "/tap.v1.TapAnalytics/QueryTaps";
    let bearer = format!("bearer {}", team.key);
    let let_in = |result| reason(result).0 == Code::InvalidArgument;
    assert!(let_in(call(&app, path, &[("x-api-key", &team.key)]).await));
    assert!(let_in(call(&app, path, &[("authorization", &bearer)]).await));
    let both = call(&app, path, &[("x-api-key", "wrong"), ("authorization", &bearer)]).await;
    assert_eq!(reason(both).0, Code::Unauthenticated);
    // Envoy must see a key as the server does: it chooses the replica by it.
    let odd = [
        format!("BEARER {}", team.key),
        format!("Bearer  {}", team.key),
        format!("Bearer {} ", team.key),
    ];
    for value in odd {
        assert_eq!(
            reason(call(&app, path, &[("authorization", &value)]).await).0,
            Code::Unauthenticated,
            "{value}"
        );
    }
    let twice = [("x-api-key", team.key.as_str()), ("x-api-key", "tap_2_x")];
    assert_eq!(reason(call(&app, path, &twice).await).0, Code::Unauthenticated);
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_a_second_also_where_answers_are_kept() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap();

    let id = app.key_id(team.id, &team.key).await;
    assert!(access::command::revoke_key(&app.db, &Clock::system(), team.id, id).await.unwrap());
    let revoked = Instant::now();
    while client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_ok() {
        assert!(revoked.elapsed() < Duration::from_secs(1), "a second later the key still works");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // For good: also after the keys were loaded again.
    let status = client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_key_is_refused_from_the_instant_at_which_it_expires() {
    let clock = Clock::fixed(chrono_now() + TimeDelta::hours(1));
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let team = app.team("acme").await;
    let ends = clock.now() + TimeDelta::hours(1);
    let key = app.key(team.id, None, &[Scope::TapsRead], Some(ends)).await;
    let mut client = app.client(&key);
    eventually("the key is known", || {
        let mut client = client.clone();
        async move { client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_ok() }
    })
    .await;
    clock.set(ends - TimeDelta::microseconds(1));
    client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap();
    clock.set(ends);
    let status = client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap_err();
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "API_KEY_EXPIRED");
}

fn chrono_now() -> chrono::DateTime<chrono::Utc> {
    Clock::system().now()
}

#[tokio::test]
async fn a_team_sees_its_own_numbers_only() {
    let app = App::start().await;
    let (acme, other) = (app.team("acme").await, app.team("other").await);
    let ours = app.tags(acme.id, &["same-uid"]).await[0];
    let theirs = app.tags(other.id, &["same-uid"]).await[0];
    app.write(acme.id, &[crate::app::tap(ours, "2023-05-01T12:00:00Z")]).await;
    app.write(other.id, &[crate::app::tap(theirs, "2023-05-01T12:00:00Z")]).await;
    let three = (0..3).map(|_| crate::app::tap(theirs, "2023-05-01T12:00:00Z")).collect::<Vec<_>>();
    app.write(other.id, &three).await;

    for (team, taps) in [(&acme, 1.0), (&other, 4.0)] {
        let asked = QueryTapsRequest {
            tag_uids: vec!["same-uid".to_owned()],
            group_by: 1,
            ..query("2023-05-01", "2023-05-01", "HOUR")
        };
        // The first call counts, the second one remembers.
        for _ in 0..2 {
            let answer =
                app.client(&team.key).query_taps(asked.clone()).await.unwrap().into_inner();
            assert_eq!((answer.total, answer.groups[0].total), (taps, taps), "{}", team.slug);
        }
    }
}

#[tokio::test]
async fn a_tag_of_another_team_is_no_tag_for_any_rpc() {
    let app = App::start().await;
    let (acme, other) = (app.team("acme").await, app.team("other").await);
    app.tags(acme.id, &["ours"]).await;
    app.tags(other.id, &["theirs"]).await;
    let key = app.key(acme.id, None, Scope::ALL, None).await;
    let (mut client, mut tags) = (app.client(&key), app.tags_client(&key));
    let theirs = || vec!["theirs".to_owned()];
    let uid = || "theirs".to_owned();
    let asked =
        || QueryTapsRequest { tag_uids: theirs(), ..query("2023-01-01", "2023-01-01", "DAY") };
    let tap = || NewTap { tag_uid: "theirs".to_owned(), ..NewTap::default() };
    for path in paths() {
        let refused = match path.rsplit('/').next().unwrap() {
            "QueryTaps" => client.query_taps(asked()).await.unwrap_err(),
            "WatchTaps" => {
                let watch =
                    WatchTapsRequest { query: Some(asked()), ..WatchTapsRequest::default() };
                client.watch_taps(watch).await.unwrap_err()
            }
            "StreamTaps" => {
                let stream =
                    StreamTapsRequest { tag_uids: theirs(), ..StreamTapsRequest::default() };
                client.stream_taps(stream).await.unwrap_err()
            }
            "RecordTaps" => {
                let batch = RecordTapsRequest { taps: vec![tap()] };
                let answer = client.record_taps(batch).await.unwrap().into_inner();
                assert_eq!(answer.rejected[0].violations[0].reason, "UNKNOWN_TAG");
                continue;
            }
            "IngestTaps" => {
                let batch = IngestTapsRequest { sequence: 1, taps: vec![tap()] };
                let batches = futures_util::stream::iter([batch]);
                let mut answers = client.ingest_taps(batches).await.unwrap().into_inner();
                let answer = answers.message().await.unwrap().unwrap();
                assert_eq!(answer.rejected[0].violations[0].reason, "UNKNOWN_TAG");
                continue;
            }
            "GetTag" => tags.get_tag(GetTagRequest { uid: uid() }).await.unwrap_err(),
            "GetTagQrCode" => {
                tags.get_tag_qr_code(GetTagQrCodeRequest { uid: uid() }).await.unwrap_err()
            }
            "ArchiveTag" => tags.archive_tag(ArchiveTagRequest { uid: uid() }).await.unwrap_err(),
            "UpdateTag" => {
                let label = Some("ours".to_owned());
                let update = UpdateTagRequest { uid: uid(), label, ..Default::default() };
                tags.update_tag(update).await.unwrap_err()
            }
            "ListTags" => {
                let all = ListTagsRequest { state: 2, ..ListTagsRequest::default() };
                let listed = tags.list_tags(all).await.unwrap().into_inner().tags;
                let uids: Vec<&str> = listed.iter().map(|tag| tag.uid.as_str()).collect();
                assert!(uids.contains(&"ours") && !uids.contains(&"theirs"), "{uids:?}");
                continue;
            }
            // What makes tags says nothing of another team's, and leaves it as it is.
            "CreateTag" | "BatchCreateTags" => continue,
            _ => panic!("{path} is not tried here"),
        };
        assert_eq!(refused.code(), Code::NotFound, "{path}");
        assert_eq!(refused.message(), "no such tag: \"theirs\"", "{path}");
    }
    assert_eq!(app.scalar::<i64>("select count(*) from taps").await, 0);

    let tag = tap_v1::NewTag { uid: uid(), label: "ours".to_owned(), ..Default::default() };
    let create = CreateTagRequest { tag: Some(tag.clone()), ..Default::default() };
    tags.create_tag(create).await.unwrap();
    let batch =
        BatchCreateTagsRequest { tags: vec![tag], skip_existing: true, ..Default::default() };
    let made = tags.batch_create_tags(batch).await.unwrap().into_inner();
    assert_eq!(made.existing_uids, ["theirs"], "it is now ours too");
    let theirs =
        "select label || ' ' || coalesce(archived_at::text, '') from tags where uid = 'theirs'
                  and team_id = ";
    assert_eq!(app.scalar::<String>(&format!("{theirs}{}", other.id)).await, "Label of theirs ");
    assert_eq!(app.scalar::<String>(&format!("{theirs}{}", acme.id)).await, "ours ");
}

#[tokio::test]
async fn known_keys_are_let_in_while_the_store_is_down_and_unknown_ones_are_not() {
    let postgres = OwnPostgres::start().await;
    let app = App::on(store(&postgres.url), Options::default()).await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    postgres.stop();

    let status = client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "STORE_UNAVAILABLE");
    assert!(details.retry_info().is_some());
    assert!(!status.message().contains("postgres"), "{}", status.message());
    let unknown = access::key::ApiKey::generate(team.id).unwrap();
    let status = app
        .client(unknown.reveal())
        .query_taps(query("2023-01-01", "2023-01-02", "DAY"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);

    postgres.start_again();
    eventually("queries are answered again", || {
        let mut client = client.clone();
        async move { client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_ok() }
    })
    .await;
    // A key that is revoked after the outage is noticed at once: the listener is back.
    let id = app.key_id(team.id, &team.key).await;
    access::command::revoke_key(&app.db, &Clock::system(), team.id, id).await.unwrap();
    eventually("the key is refused", || {
        let mut client = client.clone();
        async move { client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_err() }
    })
    .await;
}
