//! The service `ApiKeys`: keys and tokens as their teams handle them.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tap_analytics::{
    access::{self, model::Scope},
    clock::Clock,
    proto::tap_v1::{
        ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, GetApiKeyRequest, GetQuotaRequest,
        IssueTokenRequest, KeyChange, KeyEvent, ListApiKeysRequest, ListKeyEventsRequest,
        QueryTapsRequest, RevokeApiKeyRequest, RotateApiKeyRequest, StreamTapsRequest,
        UpdateApiKeyRequest, WhoAmIRequest, api_key_state::Value as State,
        api_keys_client::ApiKeysClient, create_api_key_request::Expiry, end_reason,
        key_action::Value as Action, stream_taps_response::Frame,
    },
};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::app::{AddKey, App, Options, Team, eventually, query};

type Keys = ApiKeysClient<InterceptedService<Channel, AddKey>>;

/// A client for keys, that goes straight to the server.
fn keys(app: &App, key: &str) -> Keys {
    let channel = Channel::from_shared(format!("http://{}", app.grpc)).unwrap().connect_lazy();
    ApiKeysClient::with_interceptor(channel, AddKey(key.to_owned()))
}

/// A team with a key that may do everything, with the usual quota.
async fn managed(app: &App, slug: &str) -> (Team, Keys) {
    let team = app.team(slug).await;
    let key = app.key(team.id, Some(100), Scope::ALL, None).await;
    let client = keys(app, &key);
    (Team { key, ..team }, client)
}

fn reader(name: &str) -> CreateApiKeyRequest {
    CreateApiKeyRequest {
        name: name.to_owned(),
        scopes: vec!["taps:read".to_owned()],
        ..CreateApiKeyRequest::default()
    }
}

fn reason(status: &Status) -> (Code, String) {
    let info = status.get_error_details().error_info().cloned();
    (status.code(), info.map(|info| info.reason).unwrap_or_default())
}

fn violations(status: &Status) -> Vec<(String, String)> {
    assert_eq!(reason(status), (Code::InvalidArgument, "INVALID_FIELDS".to_owned()));
    let bad = status.get_error_details().bad_request().cloned().unwrap();
    bad.field_violations.into_iter().map(|v| (v.field, v.reason)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

async fn can_query(app: &App, key: &str) -> Result<(), Status> {
    app.client(key).query_taps(query("2023-01-01", "2023-01-01", "DAY")).await.map(|_| ())
}

async fn create(keys: &mut Keys, request: CreateApiKeyRequest) -> CreateApiKeyResponse {
    keys.create_api_key(request).await.unwrap().into_inner()
}

fn id_of(answer: &CreateApiKeyResponse) -> String {
    answer.api_key.as_ref().unwrap().id.clone()
}

#[tokio::test]
async fn a_key_is_made_works_at_once_and_is_shown_once() {
    let app = App::start().await;
    let (team, mut keys) = managed(&app, "acme").await;
    let made = create(&mut keys, reader("dashboard")).await;
    // At once, with no wait for anything: on this server.
    can_query(&app, &made.key).await.unwrap();

    let key = made.api_key.unwrap();
    assert!(made.key.starts_with(&key.prefix) && made.key.len() > key.prefix.len() + 30);
    assert_eq!((key.name.as_str(), &key.scopes[..]), ("dashboard", &["taps:read".to_owned()][..]));
    assert_eq!((key.queries_per_hour, key.state), (100, State::Active.into()));
    assert_eq!((&key.expires_at, &key.revoked_at, &key.replaces), (&None, &None, &None));
    let own = app.key_id(team.id, &team.key).await.to_string();
    assert_eq!(key.created_by.as_deref(), Some(own.as_str()));

    let got = keys.get_api_key(GetApiKeyRequest { id: key.id.clone() }).await.unwrap();
    assert_eq!(got.into_inner().api_key.unwrap(), ApiKey { last_used_at: None, ..key.clone() });
    let listed = keys.list_api_keys(ListApiKeysRequest::default()).await.unwrap().into_inner();
    // The newest first.
    assert_eq!(listed.api_keys[0].id, key.id);
    assert_eq!(listed.next_page_token, "");
    // Nowhere in the store is the key itself, nor in what is kept of the request.
    let secret = &made.key[key.prefix.len()..];
    let everywhere = format!(
        "select count(*) from (select to_jsonb(t)::text as row from api_keys t
         union all select to_jsonb(t)::text from key_events t
         union all select encode(answer, 'escape') from requests) as rows where row like '%{secret}%'"
    );
    assert_eq!(app.scalar::<i64>(&everywhere).await, 0);
}

#[tokio::test]
async fn a_request_that_comes_again_makes_nothing_and_shows_the_same_key() {
    let app = App::start().await;
    let (team, mut keys) = managed(&app, "acme").await;
    let request = || CreateApiKeyRequest { request_id: Uuid::from_u128(5).into(), ..reader("a") };
    // At the same time and after one another.
    let all = futures_util::future::join_all((0..8).map(|_| {
        let mut keys = keys.clone();
        async move { create(&mut keys, request()).await }
    }))
    .await;
    let again = create(&mut keys, request()).await;
    assert!(all.iter().all(|one| *one == again), "{all:?}");
    can_query(&app, &again.key).await.unwrap();
    let made = format!("select count(*) from api_keys where team_id = {} and name = 'a'", team.id);
    assert_eq!(app.scalar::<i64>(&made).await, 1);

    // The same id for something else, by somebody else, or of another team.
    let used = (Code::AlreadyExists, "REQUEST_ID_USED".to_owned());
    let other = CreateApiKeyRequest { name: "b".to_owned(), ..request() };
    assert_eq!(reason(&keys.create_api_key(other).await.unwrap_err()), used);
    let rotate = RotateApiKeyRequest {
        id: id_of(&again),
        request_id: Uuid::from_u128(5).into(),
        ..RotateApiKeyRequest::default()
    };
    assert_eq!(reason(&keys.rotate_api_key(rotate).await.unwrap_err()), used);
    let second = app.key(team.id, Some(100), Scope::ALL, None).await;
    let mut second = self::keys(&app, &second);
    assert_eq!(reason(&second.create_api_key(request()).await.unwrap_err()), used);
    let (_, mut theirs) = managed(&app, "other").await;
    assert_ne!(create(&mut theirs, request()).await.key, again.key);
    // And one that failed can be mended: the id is free again.
    let id = Uuid::from_u128(6).to_string();
    let failing =
        CreateApiKeyRequest { queries_per_hour: 101, request_id: id.clone(), ..reader("too much") };
    keys.create_api_key(failing).await.unwrap_err();
    create(&mut keys, CreateApiKeyRequest { request_id: id, ..reader("enough") }).await;
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_key_is_said_at_once() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    let bad = CreateApiKeyRequest {
        name: "x".repeat(201),
        scopes: vec!["taps:read".to_owned(), "moon:write".to_owned()],
        queries_per_hour: -1,
        expiry: Some(Expiry::ExpiresAt("2001-01-01T00:00:00Z".to_owned())),
        request_id: "me".to_owned(),
    };
    let status = keys.create_api_key(bad).await.unwrap_err();
    let expected = [
        ("name", "TOO_LONG"),
        ("scopes[1]", "UNKNOWN_SCOPE"),
        ("queries_per_hour", "OUT_OF_RANGE"),
        ("expires_at", "DATE_OUT_OF_RANGE"),
        ("request_id", "MALFORMED_UUID"),
    ];
    assert_eq!(violations(&status), pairs(&expected));
    let empty = keys.create_api_key(CreateApiKeyRequest::default()).await.unwrap_err();
    assert_eq!(violations(&empty), pairs(&[("name", "REQUIRED"), ("scopes", "REQUIRED")]));
    let ttl = |seconds| CreateApiKeyRequest {
        expiry: Some(Expiry::Ttl(prost_types::Duration { seconds, nanos: 0 })),
        ..reader("a")
    };
    for seconds in [0, -5, 36_500 * 86_400 + 1, i64::MAX] {
        let status = keys.create_api_key(ttl(seconds)).await.unwrap_err();
        assert_eq!(violations(&status), pairs(&[("ttl", "OUT_OF_RANGE")]), "{seconds}");
    }
    for id in ["", "x", "tap_1_0123456789ABCDEFGHIJKLMNOPQRSTUV_4SqvyB"] {
        let status = keys.get_api_key(GetApiKeyRequest { id: id.to_owned() }).await.unwrap_err();
        let why = if id.is_empty() { "REQUIRED" } else { "MALFORMED_UUID" };
        assert_eq!(violations(&status), pairs(&[("id", why)]));
        assert!(!status.message().contains("0123456789"), "{}", status.message());
    }
    let nobody = Uuid::from_u128(1).to_string();
    let missing = (Code::NotFound, "KEY_NOT_FOUND".to_owned());
    let revoke = RevokeApiKeyRequest { id: nobody.clone() };
    assert_eq!(reason(&keys.revoke_api_key(revoke).await.unwrap_err()), missing);
    let rotate = RotateApiKeyRequest { id: nobody, ..RotateApiKeyRequest::default() };
    assert_eq!(reason(&keys.rotate_api_key(rotate).await.unwrap_err()), missing);
}

#[tokio::test]
async fn a_key_gives_nothing_that_it_does_not_have() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let strong = app.key(team.id, Some(1000), Scope::ALL, None).await;
    let strong_id = app.key_id(team.id, &strong).await.to_string();
    let end = app_now() + TimeDelta::hours(5);
    let limited = [Scope::KeysManage, Scope::TapsRead];
    let limited = app.key(team.id, Some(50), &limited, Some(end)).await;
    let limited_id = app.key_id(team.id, &limited).await.to_string();
    let mut limited = keys(&app, &limited);
    let denied = (Code::PermissionDenied, "MORE_THAN_CALLER".to_owned());

    let refused = [
        CreateApiKeyRequest { scopes: vec!["taps:write".to_owned()], ..reader("a") },
        CreateApiKeyRequest { queries_per_hour: 51, ..reader("a") },
        CreateApiKeyRequest {
            expiry: Some(Expiry::ExpiresAt((end + TimeDelta::seconds(1)).to_rfc3339())),
            ..reader("a")
        },
    ];
    for request in refused {
        assert_eq!(reason(&limited.create_api_key(request).await.unwrap_err()), denied);
    }
    // Nor can it reach for a key that has more: rotating that one would show its like.
    let rotate = RotateApiKeyRequest { id: strong_id.clone(), ..RotateApiKeyRequest::default() };
    assert_eq!(reason(&limited.rotate_api_key(rotate).await.unwrap_err()), denied);
    let rename = |id: &str| UpdateApiKeyRequest {
        id: id.to_owned(),
        name: Some("mine".to_owned()),
        ..UpdateApiKeyRequest::default()
    };
    assert_eq!(reason(&limited.update_api_key(rename(&strong_id)).await.unwrap_err()), denied);
    let outlive = UpdateApiKeyRequest {
        id: limited_id.clone(),
        expires_at: Some(String::new()),
        ..UpdateApiKeyRequest::default()
    };
    assert_eq!(reason(&limited.update_api_key(outlive).await.unwrap_err()), denied);
    // What is not said is what it has itself.
    let made = create(&mut limited, reader("a")).await.api_key.unwrap();
    assert_eq!(made.queries_per_hour, 50);
    assert_eq!(made.expires_at, Some(tap_analytics::wire::instant(end)));
    limited.update_api_key(rename(&limited_id)).await.unwrap();
    // To end a key gives nobody anything.
    limited.revoke_api_key(RevokeApiKeyRequest { id: strong_id }).await.unwrap();
}

fn app_now() -> DateTime<Utc> {
    Clock::system().now()
}

#[tokio::test]
async fn a_key_is_rotated_with_an_overlap() {
    let clock = Clock::fixed(app_now());
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let (_, mut keys) = managed(&app, "acme").await;
    let old = create(&mut keys, reader("dashboard")).await;
    let rotate = |id: &str, seconds| RotateApiKeyRequest {
        id: id.to_owned(),
        overlap: Some(prost_types::Duration { seconds, nanos: 0 }),
        request_id: String::new(),
    };
    let rotated = keys.rotate_api_key(rotate(&id_of(&old), 3600)).await.unwrap().into_inner();
    let (new, replaced) = (rotated.api_key.unwrap(), rotated.replaced.unwrap());
    assert_eq!((replaced.id, new.replaces), (id_of(&old), Some(id_of(&old))));
    assert_eq!((new.name.as_str(), new.expires_at), ("dashboard", None));
    let end = clock.now() + TimeDelta::hours(1);
    assert_eq!(replaced.expires_at, Some(tap_analytics::wire::instant(end)));

    for key in [&old.key, &rotated.key] {
        can_query(&app, key).await.unwrap();
    }
    clock.set(end);
    let expired = (Code::Unauthenticated, "API_KEY_EXPIRED".to_owned());
    assert_eq!(reason(&can_query(&app, &old.key).await.unwrap_err()), expired);
    can_query(&app, &rotated.key).await.unwrap();
    let ended = (Code::FailedPrecondition, "KEY_ENDED".to_owned());
    let late = keys.rotate_api_key(rotate(&id_of(&old), 0)).await.unwrap_err();
    assert_eq!(reason(&late), ended);

    // With none the old one ends in this moment; without a word it is a day.
    let at_once = keys.rotate_api_key(rotate(&new.id, 0)).await.unwrap().into_inner();
    assert_eq!(reason(&can_query(&app, &rotated.key).await.unwrap_err()), expired);
    let silent =
        RotateApiKeyRequest { id: at_once.api_key.unwrap().id, ..RotateApiKeyRequest::default() };
    let replaced = keys.rotate_api_key(silent).await.unwrap().into_inner().replaced.unwrap();
    let day = clock.now() + TimeDelta::days(1);
    assert_eq!(replaced.expires_at, Some(tap_analytics::wire::instant(day)));
    for seconds in [-1, 2_592_001] {
        let status = keys.rotate_api_key(rotate(&new.id, seconds)).await.unwrap_err();
        assert_eq!(violations(&status), pairs(&[("overlap", "OUT_OF_RANGE")]));
    }
}

#[tokio::test]
async fn a_key_is_changed_as_its_mask_says() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    let made = create(&mut keys, reader("before")).await;
    let id = id_of(&made);
    let change = || UpdateApiKeyRequest { id: id.clone(), ..UpdateApiKeyRequest::default() };
    let mask = |paths: &[&str]| {
        Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).to_owned()).collect() })
    };
    // Without a mask whatever is set; with one what it names, and nothing else.
    let later = tap_analytics::wire::instant(app_now() + TimeDelta::days(2));
    let both = UpdateApiKeyRequest {
        name: Some("after".to_owned()),
        expires_at: Some(later.clone()),
        ..change()
    };
    let key = keys.update_api_key(both).await.unwrap().into_inner().api_key.unwrap();
    assert_eq!((key.name.as_str(), key.expires_at), ("after", Some(later)));
    let masked = UpdateApiKeyRequest {
        name: Some("not this".to_owned()),
        queries_per_hour: Some(7),
        update_mask: mask(&["queries_per_hour", "expires_at"]),
        ..change()
    };
    let key = keys.update_api_key(masked).await.unwrap().into_inner().api_key.unwrap();
    assert_eq!((key.name.as_str(), key.queries_per_hour, key.expires_at), ("after", 7, None));
    // The new quota is there at once.
    let mut own = self::keys(&app, &made.key);
    let quota = own.get_quota(GetQuotaRequest {}).await.unwrap().into_inner();
    assert_eq!((quota.quotas[0].class.as_str(), quota.quotas[0].limit), ("query", 7));

    let nothing = keys.update_api_key(change()).await.unwrap_err();
    assert_eq!(violations(&nothing), pairs(&[("update_mask", "NOTHING_TO_CHANGE")]));
    let bad = UpdateApiKeyRequest {
        id: "x".to_owned(),
        update_mask: mask(&["name", "key_hash", "scopes", "queries_per_hour"]),
        ..change()
    };
    let expected = [
        ("id", "MALFORMED_UUID"),
        ("name", "REQUIRED"),
        ("update_mask", "UNKNOWN_FIELD"),
        ("scopes", "REQUIRED"),
        ("queries_per_hour", "OUT_OF_RANGE"),
    ];
    assert_eq!(violations(&keys.update_api_key(bad).await.unwrap_err()), pairs(&expected));
    keys.revoke_api_key(RevokeApiKeyRequest { id: id.clone() }).await.unwrap();
    let late = UpdateApiKeyRequest { name: Some("late".to_owned()), ..change() };
    let ended = (Code::FailedPrecondition, "KEY_ENDED".to_owned());
    assert_eq!(reason(&keys.update_api_key(late).await.unwrap_err()), ended);
}

#[tokio::test]
async fn what_is_used_of_a_quota_stays_used_when_it_is_changed() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    let made = create(&mut keys, reader("a")).await;
    for _ in 0..30 {
        can_query(&app, &made.key).await.unwrap();
    }
    for (limit, left) in [(50, 20), (100, 70), (20, 0), (40, 10)] {
        let change = UpdateApiKeyRequest {
            id: id_of(&made),
            queries_per_hour: Some(limit),
            ..UpdateApiKeyRequest::default()
        };
        keys.update_api_key(change).await.unwrap();
        let mut own = self::keys(&app, &made.key);
        let quota = own.get_quota(GetQuotaRequest {}).await.unwrap().into_inner().quotas;
        assert_eq!((quota[0].limit, quota[0].remaining), (limit, left));
    }
}

/// Opens a stream and reads its first frame.
async fn stream(
    app: &App,
    key: &str,
) -> tonic::Streaming<tap_analytics::proto::tap_v1::StreamTapsResponse> {
    let mut frames =
        app.client(key).stream_taps(StreamTapsRequest::default()).await.unwrap().into_inner();
    frames.message().await.unwrap().unwrap();
    frames
}

async fn end_of(
    frames: &mut tonic::Streaming<tap_analytics::proto::tap_v1::StreamTapsResponse>,
) -> end_reason::Value {
    loop {
        let frame = frames.message().await.unwrap().unwrap();
        if let Some(Frame::End(end)) = frame.frame {
            return end.reason();
        }
    }
}

#[tokio::test]
async fn what_a_key_has_open_ends_with_it_and_with_what_it_may_no_longer_do() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    let both = CreateApiKeyRequest {
        scopes: vec!["taps:read".to_owned(), "taps:write".to_owned()],
        ..reader("both")
    };
    let made = create(&mut keys, both).await;
    let mut frames = stream(&app, &made.key).await;
    let narrow = UpdateApiKeyRequest {
        id: id_of(&made),
        scopes: vec!["taps:write".to_owned()],
        ..UpdateApiKeyRequest::default()
    };
    keys.update_api_key(narrow).await.unwrap();
    assert_eq!(end_of(&mut frames).await, end_reason::Value::ApiKeyChanged);
    let missing = (Code::PermissionDenied, "SCOPE_MISSING".to_owned());
    assert_eq!(reason(&can_query(&app, &made.key).await.unwrap_err()), missing);

    let made = create(&mut keys, reader("revoked")).await;
    let token = issue(&app, &made.key, IssueTokenRequest::default()).await;
    let (mut by_key, mut by_token) = (stream(&app, &made.key).await, stream(&app, &token).await);
    let start = Instant::now();
    let revoked = keys.revoke_api_key(RevokeApiKeyRequest { id: id_of(&made) }).await.unwrap();
    assert_eq!(revoked.into_inner().api_key.unwrap().state, i32::from(State::Revoked));
    for frames in [&mut by_key, &mut by_token] {
        assert_eq!(end_of(frames).await, end_reason::Value::ApiKeyRevoked);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for dead in [&made.key, &token] {
        let invalid = (Code::Unauthenticated, "API_KEY_INVALID".to_owned());
        assert_eq!(reason(&can_query(&app, dead).await.unwrap_err()), invalid);
    }
    // Again changes nothing, not even the record.
    let again = keys.revoke_api_key(RevokeApiKeyRequest { id: id_of(&made) }).await.unwrap();
    let events = ListKeyEventsRequest { key_id: id_of(&made), ..Default::default() };
    let events = keys.list_key_events(events).await.unwrap().into_inner().events;
    assert_eq!(events.len(), 2);
    assert_eq!(again.into_inner().api_key.unwrap().revoked_at, Some(events[0].occurred_at.clone()));
}

#[tokio::test]
async fn every_change_is_kept_with_who_and_what() {
    let app = App::start().await;
    let (team, mut keys) = managed(&app, "acme").await;
    let own = app.key_id(team.id, &team.key).await.to_string();
    let made = create(&mut keys, reader("first")).await;
    let rename = UpdateApiKeyRequest {
        id: id_of(&made),
        name: Some("second".to_owned()),
        ..UpdateApiKeyRequest::default()
    };
    keys.update_api_key(rename).await.unwrap();
    let rotate = RotateApiKeyRequest { id: id_of(&made), ..RotateApiKeyRequest::default() };
    let new = keys.rotate_api_key(rotate).await.unwrap().into_inner().api_key.unwrap();
    keys.revoke_api_key(RevokeApiKeyRequest { id: id_of(&made) }).await.unwrap();

    let of_it = ListKeyEventsRequest { key_id: id_of(&made), ..Default::default() };
    let events = keys.list_key_events(of_it).await.unwrap().into_inner().events;
    let actions: Vec<_> = events.iter().map(KeyEvent::action).collect();
    assert_eq!(actions, [Action::Revoked, Action::Rotated, Action::Updated, Action::Created]);
    assert!(events.iter().all(|event| event.actor_key_id.as_ref() == Some(&own)));
    let renamed =
        KeyChange { field: "name".into(), before: "first".into(), after: "second".into() };
    assert_eq!(events[2].changes, [renamed]);
    let fields: Vec<_> = events[3].changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["name", "scopes", "queries_per_hour"]);

    let all = keys.list_key_events(ListKeyEventsRequest::default()).await.unwrap().into_inner();
    let of_new = all.events.iter().find(|event| event.key_id == new.id).unwrap();
    let replaces = of_new.changes.iter().find(|change| change.field == "replaces").unwrap();
    assert_eq!((of_new.action(), &replaces.after), (Action::Created, &id_of(&made)));
    // Keys that were made at the command line were made by no key.
    let first = all.events.iter().find(|event| event.key_id == own).unwrap();
    assert_eq!(first.actor_key_id, None);
    // And nothing of it is to be seen by others.
    let (_, mut theirs) = managed(&app, "other").await;
    let seen = theirs.list_key_events(ListKeyEventsRequest::default()).await.unwrap().into_inner();
    assert_eq!(seen.events.len(), 2);
}

#[tokio::test]
async fn pages_hold_every_key_once_while_others_are_made() {
    let app = App::start().await;
    let (team, mut keys) = managed(&app, "acme").await;
    for nth in 0..12 {
        let made = create(&mut keys, reader(&nth.to_string())).await;
        if nth % 4 == 0 {
            keys.revoke_api_key(RevokeApiKeyRequest { id: id_of(&made) }).await.unwrap();
        }
    }
    for (include_ended, expected) in [(false, 11), (true, 14)] {
        for page_size in [1, 3, 14, 1000] {
            let mut seen: Vec<String> = Vec::new();
            let mut page_token = String::new();
            loop {
                let request = ListApiKeysRequest { page_size, page_token, include_ended };
                let page = keys.list_api_keys(request).await.unwrap().into_inner();
                assert!(page.api_keys.len() <= page_size.unsigned_abs() as usize);
                seen.extend(page.api_keys.into_iter().map(|key| key.id));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
                // One that is made meanwhile is newer than all of them.
                let extra = create(&mut keys, reader("extra")).await;
                access::command::revoke_key(
                    &app.db,
                    &Clock::system(),
                    team.id,
                    tap_analytics::ids::KeyId(id_of(&extra).parse().unwrap()),
                )
                .await
                .unwrap();
                app.sql()
                    .await
                    .execute("delete from api_keys where name = 'extra'", &[])
                    .await
                    .unwrap();
            }
            let mut sorted = seen.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            sorted.dedup();
            assert_eq!((seen.len(), &sorted), (expected, &seen), "pages of {page_size}");
        }
    }
    let negative = ListApiKeysRequest { page_size: -1, ..ListApiKeysRequest::default() };
    let status = keys.list_api_keys(negative).await.unwrap_err();
    assert_eq!(violations(&status), pairs(&[("page_size", "NEGATIVE")]));
    // A token is of its question.
    let first = ListApiKeysRequest { page_size: 1, ..ListApiKeysRequest::default() };
    let token = keys.list_api_keys(first).await.unwrap().into_inner().next_page_token;
    let other = ListApiKeysRequest { page_token: token.clone(), include_ended: true, page_size: 1 };
    let status = keys.list_api_keys(other).await.unwrap_err();
    assert_eq!(violations(&status), pairs(&[("page_token", "MALFORMED_PAGE_TOKEN")]));
    let events = ListKeyEventsRequest { page_token: token, ..Default::default() };
    let status = keys.list_key_events(events).await.unwrap_err();
    assert_eq!(violations(&status), pairs(&[("page_token", "MALFORMED_PAGE_TOKEN")]));
}

#[tokio::test]
async fn a_team_has_a_thousand_keys_and_no_more() {
    let app = App::start().await;
    let (team, mut keys) = managed(&app, "acme").await;
    let fill = format!(
        "insert into api_keys (team_id, key_id, key_hash, prefix, name, scopes, queries_per_hour, expires_at)
         select {}, gen_random_uuid(), sha256(n::text::bytea), 'tap', 'many', '{{}}', 1, now() - interval '1 day'
         from generate_series(1, 997) as n",
        team.id
    );
    app.sql().await.execute(&fill, &[]).await.unwrap();
    // With the two of the test that is one short.
    let last = create(&mut keys, reader("the last")).await;
    let full = (Code::ResourceExhausted, "KEY_LIMIT".to_owned());
    assert_eq!(reason(&keys.create_api_key(reader("a")).await.unwrap_err()), full);
    let rotate = RotateApiKeyRequest { id: id_of(&last), ..RotateApiKeyRequest::default() };
    assert_eq!(reason(&keys.rotate_api_key(rotate).await.unwrap_err()), full);
    keys.revoke_api_key(RevokeApiKeyRequest { id: id_of(&last) }).await.unwrap();
    create(&mut keys, reader("again")).await;
}

async fn issue(app: &App, key: &str, request: IssueTokenRequest) -> String {
    keys(app, key).issue_token(request).await.unwrap().into_inner().token
}

#[tokio::test]
async fn a_token_reads_and_nothing_else_until_it_ends() {
    let clock = Clock::fixed(app_now());
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let (team, mut own) = managed(&app, "acme").await;
    let ttl = |seconds| IssueTokenRequest {
        ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..IssueTokenRequest::default()
    };
    let issued = own.issue_token(ttl(600)).await.unwrap().into_inner();
    assert_eq!(
        (&issued.scopes[..], &issued.tag_uids[..]),
        (&["taps:read", "events:read", "coupons:read"].map(str::to_owned)[..], &[][..])
    );
    can_query(&app, &issued.token).await.unwrap();
    let mut by_token = keys(&app, &issued.token);
    let who = by_token.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!(who.team.unwrap().slug, team.slug);
    assert_eq!(who.scopes, ["taps:read", "events:read", "coupons:read"]);
    assert_eq!(who.expires_at, Some(issued.expires_at.clone()));
    assert!(who.token.unwrap().tag_uids.is_empty());
    // It spends what its key has.
    let quota = own.get_quota(GetQuotaRequest {}).await.unwrap().into_inner().quotas;
    assert_eq!((quota[0].limit, quota[0].remaining), (100, 99));
    // It makes no keys and no tokens.
    let missing = (Code::PermissionDenied, "SCOPE_MISSING".to_owned());
    assert_eq!(reason(&by_token.create_api_key(reader("a")).await.unwrap_err()), missing);
    let not_enough = (Code::PermissionDenied, "TOKEN_NOT_ENOUGH".to_owned());
    assert_eq!(reason(&by_token.issue_token(ttl(60)).await.unwrap_err()), not_enough);

    // A stream that it opened ends with it.
    let mut frames = stream(&app, &issued.token).await;
    clock.set(DateTime::parse_from_rfc3339(&issued.expires_at).unwrap().to_utc());
    assert_eq!(end_of(&mut frames).await, end_reason::Value::AccessTokenExpired);
    let expired = (Code::Unauthenticated, "TOKEN_EXPIRED".to_owned());
    assert_eq!(reason(&can_query(&app, &issued.token).await.unwrap_err()), expired);
    can_query(&app, &team.key).await.unwrap();
    for seconds in [0, 59, 3601, -1] {
        let status = own.issue_token(ttl(seconds)).await.unwrap_err();
        assert_eq!(violations(&status), pairs(&[("ttl", "OUT_OF_RANGE")]));
    }
}

#[tokio::test]
async fn a_token_has_no_more_and_lives_no_longer_than_its_key() {
    let clock = Clock::fixed(app_now() + TimeDelta::hours(1));
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let (team, mut own) = managed(&app, "acme").await;
    let soon = clock.now() + TimeDelta::minutes(5);
    let short = app.key(team.id, Some(5), &[Scope::TapsRead], Some(soon)).await;
    eventually("the key is known", || async { can_query(&app, &short).await.is_ok() }).await;
    let issued = keys(&app, &short).issue_token(IssueTokenRequest::default()).await.unwrap();
    let end = DateTime::parse_from_rfc3339(&issued.into_inner().expires_at).unwrap();
    assert!(end <= soon && end > soon - TimeDelta::seconds(1));

    let writer = app.key(team.id, None, &[Scope::TapsWrite], None).await;
    let none = keys(&app, &writer).issue_token(IssueTokenRequest::default()).await.unwrap_err();
    let missing = (Code::PermissionDenied, "SCOPE_MISSING".to_owned());
    assert_eq!(reason(&none), missing);
    let write = IssueTokenRequest {
        // What customers said, and who is a user, is nothing for a browser.
        scopes: ["x", "taps:write", "dialogs:read", "dialogs:write", "imports:read"]
            .map(str::to_owned)
            .to_vec(),
        tag_uids: ["b", "b", "no tag", "a"].map(str::to_owned).to_vec(),
        ..IssueTokenRequest::default()
    };
    let expected = [
        ("scopes[0]", "UNKNOWN_SCOPE"),
        ("scopes[1]", "NOT_FOR_TOKENS"),
        ("scopes[2]", "NOT_FOR_TOKENS"),
        ("scopes[3]", "NOT_FOR_TOKENS"),
        ("scopes[4]", "NOT_FOR_TOKENS"),
        ("tag_uids[2]", "MALFORMED_TAG_UID"),
    ];
    assert_eq!(violations(&own.issue_token(write).await.unwrap_err()), pairs(&expected));

    // A scope that the key loses, the token loses.
    let made = create(
        &mut own,
        CreateApiKeyRequest {
            scopes: vec!["taps:read".to_owned(), "taps:write".to_owned()],
            ..reader("both")
        },
    )
    .await;
    let token = issue(&app, &made.key, IssueTokenRequest::default()).await;
    let narrow = UpdateApiKeyRequest {
        id: id_of(&made),
        scopes: vec!["taps:write".to_owned()],
        ..UpdateApiKeyRequest::default()
    };
    own.update_api_key(narrow).await.unwrap();
    assert_eq!(reason(&can_query(&app, &token).await.unwrap_err()), missing);
}

#[tokio::test]
async fn a_token_that_is_limited_to_tags_counts_and_streams_these() {
    let app = App::start().await;
    let (team, mut own) = managed(&app, "acme").await;
    let tags = app.tags(team.id, &["a", "b", "c"]).await;
    for (tag, taps) in tags.iter().zip([1, 2, 4]) {
        let taps: Vec<_> =
            (0..taps).map(|_| crate::app::tap(*tag, "2023-05-01T12:00:00Z")).collect();
        app.write(team.id, &taps).await;
    }
    let limited = IssueTokenRequest {
        tag_uids: vec!["b".to_owned(), "a".to_owned()],
        ..IssueTokenRequest::default()
    };
    let token = issue(&app, &team.key, limited).await;
    let who = keys(&app, &token).who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!(who.token.unwrap().tag_uids, ["a", "b"]);
    let asked = |uids: &[&str]| QueryTapsRequest {
        tag_uids: uids.iter().map(|uid| (*uid).to_owned()).collect(),
        group_by: 1,
        ..query("2023-05-01", "2023-05-01", "DAY")
    };
    let mut client = app.client(&token);
    for (uids, total) in [(&[][..], 3.0), (&["a"], 1.0), (&["a", "b"], 3.0)] {
        let answer = client.query_taps(asked(uids)).await.unwrap().into_inner();
        assert_eq!(answer.total, total, "{uids:?}");
        assert!(answer.groups.iter().all(|group| group.key != "c"));
    }
    let status = client.query_taps(asked(&["a", "c"])).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such tag: \"c\""));

    let mut frames = stream(&app, &token).await;
    app.write(team.id, &[crate::app::tap(tags[2], "2023-05-01T13:00:00Z")]).await;
    app.write(team.id, &[crate::app::tap(tags[1], "2023-05-01T13:00:00Z")]).await;
    let tap = loop {
        if let Some(Frame::Tap(tap)) = frames.message().await.unwrap().unwrap().frame {
            break tap;
        }
    };
    assert_eq!(tap.tag_uid, "b");
    let other = IssueTokenRequest { tag_uids: vec!["nobody's".into()], ..Default::default() };
    assert_eq!(
        violations(&own.issue_token(other).await.unwrap_err()),
        pairs(&[("tag_uids[0]", "MALFORMED_TAG_UID")])
    );
    let other = IssueTokenRequest { tag_uids: vec!["nobody".into()], ..Default::default() };
    let missing = (Code::NotFound, "TAG_NOT_FOUND".to_owned());
    assert_eq!(reason(&own.issue_token(other).await.unwrap_err()), missing);
}

#[tokio::test]
async fn quotas_are_told_for_nothing_and_refill() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    for _ in 0..3 {
        keys.get_quota(GetQuotaRequest {}).await.unwrap();
        keys.who_am_i(WhoAmIRequest {}).await.unwrap();
    }
    let made = create(&mut keys, reader("a")).await;
    let mut own = self::keys(&app, &made.key);
    can_query(&app, &made.key).await.unwrap();
    let _open = stream(&app, &made.key).await;
    let answer = own.get_quota(GetQuotaRequest {}).await.unwrap();
    assert_eq!(answer.metadata().get("x-ratelimit-remaining").unwrap(), "98");
    let answer = answer.into_inner();
    let classes: Vec<_> =
        answer.quotas.iter().map(|q| (q.class.as_str(), q.limit - q.remaining)).collect();
    let expected = [("query", 2), ("stream", 1), ("write", 0), ("read", 0), ("change", 0)];
    assert_eq!(classes, expected);
    assert_eq!((answer.open_streams, answer.open_streams_max), (1, 100));
    let query = &answer.quotas[0];
    assert!((65..=72).contains(&query.reset_seconds), "{query:?}");
    assert!((29..=36).contains(&query.next_seconds), "{query:?}");
    let spent = keys.get_quota(GetQuotaRequest {}).await.unwrap().into_inner().quotas;
    assert_eq!((spent[4].class.as_str(), spent[4].limit - spent[4].remaining), ("change", 1));
}

#[tokio::test]
async fn when_a_key_was_used_is_noted() {
    let app = App::start().await;
    let (team, mut keys) = managed(&app, "acme").await;
    let made = create(&mut keys, reader("a")).await;
    let before = app_now() - TimeDelta::seconds(1);
    can_query(&app, &made.key).await.unwrap();
    // As the service does once a minute, and when it stops.
    let store = app.store.clone();
    app.stop.cancel();
    app.server.await.unwrap().unwrap();
    let db = tap_analytics::db::Db::new(&store).unwrap();
    let listed = access::command::list_keys(&db, team.id).await.unwrap();
    let used = listed.iter().find(|key| key.id.to_string() == id_of(&made)).unwrap().last_used_at;
    assert!(used.unwrap() >= before, "{used:?}");
}

#[tokio::test]
async fn tokens_go_on_when_what_signs_them_is_replaced_unless_they_shall_not() {
    let app = App::start().await;
    let (team, _) = managed(&app, "acme").await;
    let token = issue(&app, &team.key, IssueTokenRequest::default()).await;
    let rotate = async |end_all| {
        access::command::tokens(
            &app.db,
            &Clock::system(),
            access::command::Tokens::Rotate { end_all },
        )
        .await
        .unwrap();
    };
    rotate(false).await;
    assert_eq!(
        app.scalar::<i64>("select count(*) from secrets where name like 'signing.%'").await,
        2
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    can_query(&app, &token).await.unwrap();
    rotate(true).await;
    eventually("the token has ended", || async { can_query(&app, &token).await.is_err() }).await;
    let new = issue(&app, &team.key, IssueTokenRequest::default()).await;
    can_query(&app, &new).await.unwrap();
}

#[tokio::test]
async fn what_is_old_is_forgotten() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    let request = CreateApiKeyRequest { request_id: Uuid::from_u128(5).into(), ..reader("a") };
    let made = create(&mut keys, request.clone()).await;
    keys.revoke_api_key(RevokeApiKeyRequest { id: id_of(&made) }).await.unwrap();
    let now = app_now();
    tap_analytics::requests::forget(&app.db, now + TimeDelta::days(6), 10).await.unwrap();
    assert_eq!(app.scalar::<i64>("select count(*) from requests").await, 1);
    tap_analytics::requests::forget(&app.db, now + TimeDelta::days(8), 10).await.unwrap();
    assert_eq!(app.scalar::<i64>("select count(*) from requests").await, 0);
    // Keys that work are kept, those that ended go in the end, with what was done to them; before that not
    // even the service can take them away.
    let later = now + TimeDelta::days(1);
    for (age, keys, events) in [("0 days", 3, 4), ("401 days", 2, 0)] {
        let backdate = format!(
            "update api_keys set revoked_at = revoked_at - interval '{age}';
             update key_events set occurred_at = occurred_at - interval '{age}'"
        );
        app.sql().await.batch_execute(&backdate).await.unwrap();
        access::store::forget_keys(&app.db, later, 10).await.unwrap();
        access::store::forget_key_events(&app.db, later, 10).await.unwrap();
        assert_eq!(app.scalar::<i64>("select count(*) from api_keys").await, keys);
        assert_eq!(app.scalar::<i64>("select count(*) from key_events").await, events);
    }
}

#[tokio::test]
async fn a_key_that_was_rotated_before_is_replaced_by_one_that_ends_as_it_would_have() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    let made = create(&mut keys, reader("dashboard")).await;
    let rotate = |id: String| RotateApiKeyRequest { id, ..RotateApiKeyRequest::default() };
    // Its answer was lost: once more.
    keys.rotate_api_key(rotate(id_of(&made))).await.unwrap();
    let again = keys.rotate_api_key(rotate(id_of(&made))).await.unwrap().into_inner();
    assert_eq!(again.api_key.unwrap().expires_at, None);
    // Whoever says when it ends means it.
    let end = tap_analytics::wire::instant(app_now() + TimeDelta::days(40));
    let until = UpdateApiKeyRequest {
        id: id_of(&made),
        expires_at: Some(end.clone()),
        ..UpdateApiKeyRequest::default()
    };
    keys.update_api_key(until).await.unwrap();
    let last = keys.rotate_api_key(rotate(id_of(&made))).await.unwrap().into_inner();
    assert_eq!(last.api_key.unwrap().expires_at, Some(end));
}

#[tokio::test]
async fn a_request_whose_answer_is_forgotten_makes_no_second_key() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    let request = CreateApiKeyRequest { request_id: Uuid::from_u128(5).into(), ..reader("a") };
    create(&mut keys, request.clone()).await;
    tap_analytics::requests::forget(&app.db, app_now() + TimeDelta::days(8), 10).await.unwrap();
    let used = (Code::AlreadyExists, "REQUEST_ID_USED".to_owned());
    assert_eq!(reason(&keys.create_api_key(request).await.unwrap_err()), used);
}

#[tokio::test]
async fn a_key_that_was_revoked_a_moment_ago_makes_no_others() {
    let app = App::start().await;
    let (team, mut keys) = managed(&app, "acme").await;
    // As where this server has yet to hear of it.
    let revoke = format!("update api_keys set revoked_at = now() where team_id = {}", team.id);
    app.sql().await.execute(&revoke, &[]).await.unwrap();
    let invalid = (Code::Unauthenticated, "API_KEY_INVALID".to_owned());
    assert_eq!(reason(&keys.create_api_key(reader("a")).await.unwrap_err()), invalid);
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_not_kept() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    let made = create(&mut keys, reader("a")).await;
    let same = UpdateApiKeyRequest {
        id: id_of(&made),
        name: Some("a".to_owned()),
        ..UpdateApiKeyRequest::default()
    };
    keys.update_api_key(same).await.unwrap();
    let events = ListKeyEventsRequest { key_id: id_of(&made), ..Default::default() };
    let events = keys.list_key_events(events).await.unwrap().into_inner().events;
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn a_secret_is_kept_as_long_as_what_it_signed() {
    let app = App::start().await;
    let (team, _) = managed(&app, "acme").await;
    let token = issue(&app, &team.key, IssueTokenRequest::default()).await;
    let rotate = async |ahead| {
        let clock = Clock::fixed(app_now() + ahead);
        let rotate = access::command::Tokens::Rotate { end_all: false };
        access::command::tokens(&app.db, &clock, rotate).await.unwrap();
        app.scalar::<i64>("select count(*) from secrets where name like 'signing.%'").await
    };
    assert_eq!(rotate(TimeDelta::zero()).await, 2);
    assert_eq!(rotate(TimeDelta::minutes(10)).await, 3);
    tokio::time::sleep(Duration::from_millis(300)).await;
    can_query(&app, &token).await.unwrap();
    // The first went when the second had signed for long enough.
    assert_eq!(rotate(TimeDelta::minutes(65)).await, 3);
    eventually("the token is of a secret that is gone", || async {
        can_query(&app, &token).await.is_err()
    })
    .await;
}

/// What comes of a call whose body follows its head after a while, in which `meanwhile` is done.
async fn late(
    app: &App,
    key: &str,
    path: &str,
    meanwhile: impl Future<Output = ()>,
) -> (Code, String) {
    let (body, rest) =
        tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::convert::Infallible>>(1);
    let rest = tokio_stream(rest);
    let url = format!("http://{}{path}", app.grpc);
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let call = client
        .post(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-api-key", key)
        .body(reqwest::Body::wrap_stream(rest));
    let answer = tokio::spawn(call.send());
    // The head is there.
    tokio::time::sleep(Duration::from_millis(200)).await;
    meanwhile.await;
    let message = prost::Message::encode_to_vec(&reader("back door"));
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let frame = [&[0][..], &length, &message].concat();
    body.send(Ok(frame.into())).await.unwrap();
    drop(body);
    let answer = answer.await.unwrap().unwrap();
    let status = Status::from_header_map(answer.headers()).unwrap();
    reason(&status)
}

fn tokio_stream(
    receiver: tokio::sync::mpsc::Receiver<Result<bytes::Bytes, std::convert::Infallible>>,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::convert::Infallible>> {
    futures_util::stream::unfold(receiver, |mut receiver| async move {
        let next = receiver.recv().await?;
        Some((next, receiver))
    })
}

#[tokio::test]
async fn a_request_that_ends_after_its_key_does_nothing() {
    let app = App::start().await;
    let (_, mut keys) = managed(&app, "acme").await;
    let manager = CreateApiKeyRequest {
        scopes: vec!["keys:manage".to_owned(), "taps:read".to_owned()],
        ..reader("manager")
    };
    let invalid = (Code::Unauthenticated, "API_KEY_INVALID".to_owned());
    for path in ["/tap.v1.ApiKeys/CreateApiKey", "/tap.v1.Tags/GetTag"] {
        let made = create(&mut keys, manager.clone()).await;
        let mut by_owner = keys.clone();
        let revoke = async {
            by_owner.revoke_api_key(RevokeApiKeyRequest { id: id_of(&made) }).await.unwrap();
        };
        assert_eq!(late(&app, &made.key, path, revoke).await, invalid, "{path}");
    }
    assert_eq!(
        app.scalar::<i64>("select count(*) from api_keys where name = 'back door'").await,
        0
    );
}
