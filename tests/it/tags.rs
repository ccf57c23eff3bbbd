//! `tap.v1.Tags`: making, finding and changing tags.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use http::Method;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tap_analytics::{
    access::model::Scope,
    clock::Clock,
    proto::tap_v1::{
        ArchiveTagRequest, BatchCreateTagsRequest, BatchCreateTagsResponse, CreateTagRequest,
        GetTagRequest, ListTagsRequest, ListTagsResponse, NewTag, QueryTapsRequest, Tag,
        UpdateTagRequest, group_by, kind, tag_state, tags_client::TagsClient,
    },
};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::{
    app::{
        AddKey, App, Options, OwnPostgres, Team, eventually, now, query,
        report::{outcome, reason, record, rejections, report},
        store,
    },
    link::send_by,
};

type Client = TagsClient<InterceptedService<Channel, AddKey>>;

fn new(uid: &str) -> NewTag {
    NewTag { uid: uid.to_owned(), ..NewTag::default() }
}

fn create(tag: NewTag) -> CreateTagRequest {
    CreateTagRequest { tag: Some(tag), ..CreateTagRequest::default() }
}

/// A request that can be repeated.
fn once(tag: NewTag, id: Uuid) -> CreateTagRequest {
    CreateTagRequest { tag: Some(tag), request_id: id.to_string() }
}

fn batch(uids: &[&str]) -> BatchCreateTagsRequest {
    let tags = uids.iter().map(|uid| new(uid)).collect();
    BatchCreateTagsRequest { tags, ..BatchCreateTagsRequest::default() }
}

fn update(uid: &str) -> UpdateTagRequest {
    UpdateTagRequest { uid: uid.to_owned(), ..UpdateTagRequest::default() }
}

async fn make(client: &mut Client, tag: NewTag) -> Tag {
    client.create_tag(create(tag)).await.unwrap().into_inner().tag.unwrap()
}

async fn get(client: &mut Client, uid: &str) -> Result<Tag, Status> {
    let answer = client.get_tag(GetTagRequest { uid: uid.to_owned() }).await?;
    Ok(answer.into_inner().tag.unwrap())
}

async fn list(client: &mut Client, request: ListTagsRequest) -> ListTagsResponse {
    client.list_tags(request).await.unwrap().into_inner()
}

async fn listed(client: &mut Client, request: ListTagsRequest) -> Vec<String> {
    list(client, request).await.tags.into_iter().map(|tag| tag.uid).collect()
}

/// Field and reason of each violation of a refused request, in order.
fn violations(status: &Status) -> Vec<(String, String)> {
    assert_eq!((status.code(), reason(status)), (Code::InvalidArgument, "INVALID_FIELDS".into()));
    let details = status.get_error_details();
    let bad = &details.bad_request().unwrap().field_violations;
    assert!(bad.iter().all(|violation| !violation.description.is_empty()));
    bad.iter().map(|violation| (violation.field.clone(), violation.reason.clone())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(field, reason)| ((*field).to_owned(), (*reason).to_owned())).collect()
}

/// A team with a key that may do everything without end, and its clients.
async fn team(app: &App, slug: &str) -> (Team, Client) {
    let team = app.reporting_team(slug, &[]).await;
    let client = app.tags_client(&team.key);
    (team, client)
}

/// How the tap URL of a tag answers: its status, and where it leads to.
async fn tapped(app: &App, slug: &str, uid: &str) -> (u16, String) {
    let url = format!("http://{}/t/{slug}/{uid}", app.grpc);
    let answer = send_by(true, Method::GET, &url, &[]).await;
    (answer.status.as_u16(), answer.header("location").to_owned())
}

#[tokio::test]
async fn a_tag_is_made_whole_and_works_at_once() {
    let clock = Clock::fixed(now());
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let (team, mut client) = team(&app, "cafe").await;
    let made = make(
        &mut client,
        NewTag {
            uid: "04:A2:3F".to_owned(),
            label: "Tisch 1 \u{2615}".to_owned(),
            kind: kind::Value::Qr.into(),
            destination_url: "https://b\u{fc}cher.example/men\u{fc}".to_owned(),
        },
    )
    .await;
    let created_at = clock.now().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let expected = Tag {
        uid: "04:A2:3F".to_owned(),
        label: "Tisch 1 \u{2615}".to_owned(),
        kind: kind::Value::Qr.into(),
        destination_url: Some("https://xn--bcher-kva.example/men%C3%BC".to_owned()),
        tap_url: "/t/cafe/04:A2:3F".to_owned(),
        created_at,
        archived_at: None,
    };
    assert_eq!(made, expected);
    // The next call finds it, whatever it is.
    let led = tapped(&app, "cafe", "04:A2:3F").await;
    assert_eq!(led, (302, "https://xn--bcher-kva.example/men%C3%BC".to_owned()));
    let mut taps = app.client(&team.key);
    assert_eq!(outcome(&record(&mut taps, vec![report("04:A2:3F", now())]).await), (1.0, 0.0, 0));
    assert_eq!(get(&mut client, "04:A2:3F").await.unwrap(), expected);

    // What is not said: NFC, no label, a page that says thank you.
    let plain = make(&mut client, new("plain")).await;
    assert_eq!((plain.kind(), plain.label.as_str()), (kind::Value::Nfc, ""));
    assert_eq!(plain.destination_url, None);
    assert_eq!(tapped(&app, "cafe", "plain").await, (200, String::new()));
    let public = Options { public_url: Some("https://t.example.com"), clock, ..Options::default() };
    let public = App::on(app.store.clone(), public).await;
    let shown = get(&mut public.tags_client(&team.key), "04:A2:3F").await.unwrap();
    assert_eq!(shown, Tag { tap_url: "https://t.example.com/t/cafe/04:A2:3F".into(), ..expected });
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_new_tag_is_told_at_once() {
    let app = App::start().await;
    let (_, mut client) = team(&app, "cafe").await;
    let refused = client.create_tag(CreateTagRequest::default()).await.unwrap_err();
    assert_eq!(violations(&refused), pairs(&[("tag", "REQUIRED")]));
    let refused = client.create_tag(create(NewTag::default())).await.unwrap_err();
    assert_eq!(violations(&refused), pairs(&[("tag.uid", "REQUIRED")]));

    let all_wrong = CreateTagRequest {
        tag: Some(NewTag {
            uid: "a b".to_owned(),
            label: "x".repeat(201),
            kind: 9,
            destination_url: "javascript:alert(1)".to_owned(),
        }),
        request_id: "seven".to_owned(),
    };
    let refused = client.create_tag(all_wrong).await.unwrap_err();
    let expected = pairs(&[
        ("tag.uid", "MALFORMED_TAG_UID"),
        ("tag.label", "TOO_LONG"),
        ("tag.kind", "UNKNOWN_VALUE"),
        ("tag.destination_url", "MALFORMED_URL"),
        ("request_id", "MALFORMED_UUID"),
    ]);
    assert_eq!(violations(&refused), expected);

    let label = |text: &str| NewTag { label: text.to_owned(), ..new("a") };
    let url = |text: &str| NewTag { destination_url: text.to_owned(), ..new("a") };
    let long = format!("https://a.example/{}", "x".repeat(2_031));
    for (tag, field, reason) in [
        (new(&"x".repeat(65)), "tag.uid", "MALFORMED_TAG_UID"),
        (new("."), "tag.uid", "MALFORMED_TAG_UID"),
        (new(".."), "tag.uid", "MALFORMED_TAG_UID"),
        (new("a/b"), "tag.uid", "MALFORMED_TAG_UID"),
        (new("\u{e4}"), "tag.uid", "MALFORMED_TAG_UID"),
        (new("a\0"), "tag.uid", "MALFORMED_TAG_UID"),
        (label("a\nb"), "tag.label", "MALFORMED_TEXT"),
        (label("a\0"), "tag.label", "MALFORMED_TEXT"),
        (NewTag { kind: -1, ..new("a") }, "tag.kind", "UNKNOWN_VALUE"),
        (url("ftp://a.example"), "tag.destination_url", "MALFORMED_URL"),
        (url("//a.example"), "tag.destination_url", "MALFORMED_URL"),
        (url("https://a.example/ b"), "tag.destination_url", "MALFORMED_URL"),
        (url("https://a.example/\r\nx: y"), "tag.destination_url", "MALFORMED_URL"),
        (url("https://ann:secret@a.example"), "tag.destination_url", "CREDENTIALS_IN_URL"),
        (url(&long), "tag.destination_url", "TOO_LONG"),
    ] {
        let refused = client.create_tag(create(tag.clone())).await.unwrap_err();
        assert_eq!(violations(&refused), pairs(&[(field, reason)]), "{tag:?}");
        assert!(!refused.message().contains("secret"), "{}", refused.message());
    }
    assert_eq!(app.scalar::<i64>("select count(*) from tags").await, 0);

    // As long as they may be, and stored as they are.
    let widest = NewTag {
        uid: "x".repeat(64),
        label: "\u{1f9e1}".repeat(200),
        kind: kind::Value::Link.into(),
        destination_url: long[..2_048].to_owned(),
    };
    let made = make(&mut client, widest.clone()).await;
    assert_eq!((made.label, made.destination_url), (widest.label, Some(widest.destination_url)));
    for uid in ["...", ".a", "a:", "-", "_", "0"] {
        make(&mut client, new(uid)).await;
        get(&mut client, uid).await.unwrap();
    }
}

#[tokio::test]
async fn a_tag_that_is_there_is_not_made_again() {
    let app = App::start().await;
    let (team, mut client) = team(&app, "cafe").await;
    make(&mut client, NewTag { label: "first".to_owned(), ..new("a") }).await;
    let refused = client
        .create_tag(create(NewTag { label: "second".to_owned(), ..new("a") }))
        .await
        .unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::AlreadyExists, "TAG_EXISTS".into()));
    assert_eq!(refused.message(), "the team has this tag already: \"a\"");
    assert_eq!(get(&mut client, "a").await.unwrap().label, "first");
    // Also when it is archived: its taps are still counted under this uid.
    client.archive_tag(ArchiveTagRequest { uid: "a".to_owned() }).await.unwrap();
    let refused = client.create_tag(create(new("a"))).await.unwrap_err();
    assert_eq!(reason(&refused), "TAG_EXISTS");
    // Told apart by case, as chips are.
    make(&mut client, new("A")).await;
    let revision = format!("select tags_revision from teams where team_id = {}", team.id);
    assert_eq!(app.scalar::<i64>(&revision).await, 3, "raised by changes only");
}

#[tokio::test]
async fn a_request_that_comes_again_is_done_once_and_answered_alike() {
    let app = App::start().await;
    let (team, mut client) = team(&app, "cafe").await;
    let id = Uuid::now_v7();
    let asked = once(NewTag { label: "Table".to_owned(), ..new("a") }, id);
    let first = client.create_tag(asked.clone()).await.unwrap().into_inner();
    client
        .update_tag(UpdateTagRequest { label: Some("Door".into()), ..update("a") })
        .await
        .unwrap();
    let again = client.create_tag(asked.clone()).await.unwrap().into_inner();
    assert_eq!(again, first, "as the first time, whatever came since");
    assert_eq!(get(&mut client, "a").await.unwrap().label, "Door");

    let used = |refused: &Status| {
        assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
        assert_eq!(reason(refused), "REQUEST_ID_USED");
    };
    // The same id for anything else.
    used(&client.create_tag(once(new("a"), id)).await.unwrap_err());
    used(&client.create_tag(once(new("b"), id)).await.unwrap_err());
    let other = BatchCreateTagsRequest { request_id: id.to_string(), ..batch(&["a"]) };
    used(&client.batch_create_tags(other).await.unwrap_err());
    let colleague = app.key(team.id, None, Scope::ALL, None).await;
    used(&app.tags_client(&colleague).create_tag(asked.clone()).await.unwrap_err());
    // Of another team it is another id.
    let (_, mut theirs) = self::team(&app, "other").await;
    theirs.create_tag(once(new("b"), id)).await.unwrap();
    assert_eq!(get(&mut client, "b").await.unwrap_err().code(), Code::NotFound);

    // What was refused was not done: the id is free.
    let id = Uuid::now_v7();
    let refused = client.create_tag(once(new("a"), id)).await.unwrap_err();
    assert_eq!(reason(&refused), "TAG_EXISTS");
    client.create_tag(once(new("c"), id)).await.unwrap();

    let id = Uuid::now_v7().to_string();
    let asked =
        BatchCreateTagsRequest { skip_existing: true, request_id: id, ..batch(&["d", "a", "e"]) };
    let first = client.batch_create_tags(asked.clone()).await.unwrap().into_inner();
    assert_eq!(first.existing_uids, ["a"]);
    assert_eq!(client.batch_create_tags(asked).await.unwrap().into_inner(), first);
}

#[tokio::test]
async fn a_batch_is_made_in_its_order_all_or_none() {
    let app = App::start().await;
    let (team, mut client) = team(&app, "cafe").await;
    make(&mut client, NewTag { label: "there".to_owned(), ..new("m") }).await;
    let uids = |answer: &BatchCreateTagsResponse| -> Vec<String> {
        answer.tags.iter().map(|tag| tag.uid.clone()).collect()
    };
    let made = client.batch_create_tags(batch(&["z", "a", "k"])).await.unwrap().into_inner();
    assert_eq!(uids(&made), ["z", "a", "k"]);
    assert_eq!(made.existing_uids, [""; 0]);
    assert_eq!(made.tags[1].tap_url, "/t/cafe/a");
    assert_eq!(tapped(&app, "cafe", "k").await.0, 200);

    // One is there already: none is made, and all that are there are named.
    let refused = client.batch_create_tags(batch(&["b", "m", "c", "z"])).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::AlreadyExists, "TAG_EXISTS".into()));
    assert_eq!(refused.message(), "the team has this tag already: \"m\", \"z\"");
    assert_eq!(get(&mut client, "b").await.unwrap_err().code(), Code::NotFound);
    let skip = |uids: &[&str]| BatchCreateTagsRequest { skip_existing: true, ..batch(uids) };
    let made = client.batch_create_tags(skip(&["y", "z", "b", "m", "c"])).await.unwrap();
    let made = made.into_inner();
    assert_eq!(
        (uids(&made), made.existing_uids.as_slice()),
        (
            vec!["y".to_owned(), "b".to_owned(), "c".to_owned()],
            &["z".to_owned(), "m".to_owned()][..]
        )
    );
    assert_eq!(get(&mut client, "m").await.unwrap().label, "there", "left as it was");
    let made = client.batch_create_tags(skip(&["z", "m"])).await.unwrap().into_inner();
    assert_eq!((made.tags.len(), made.existing_uids.len()), (0, 2));
    let revision = format!("select tags_revision from teams where team_id = {}", team.id);
    assert_eq!(app.scalar::<i64>(&revision).await, 3);

    // As many as there may be.
    let many: Vec<String> = (0..1_000).map(|n| format!("t{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let made = client.batch_create_tags(batch(&many)).await.unwrap().into_inner();
    assert_eq!(uids(&made), many);
    let ids: i64 = app.scalar("select count(distinct tag_id) from tags").await;
    let last: i32 = app.scalar("select max(tag_id) from tags").await;
    assert_eq!((ids, last), (1_007, 1_007));
}

#[tokio::test]
async fn every_tag_of_a_batch_is_told_what_is_wrong_with_it() {
    let app = App::start().await;
    let (_, mut client) = team(&app, "cafe").await;
    let refused = client.batch_create_tags(batch(&[])).await.unwrap_err();
    assert_eq!(violations(&refused), pairs(&[("tags", "REQUIRED")]));
    let asked = BatchCreateTagsRequest {
        tags: vec![
            new("a"),
            NewTag { kind: 7, label: "\u{7}".to_owned(), ..new("b b") },
            new("c"),
            new("a"),
            NewTag { destination_url: "x".to_owned(), ..new("a") },
            new(""),
            new(""),
        ],
        skip_existing: true,
        request_id: "x".to_owned(),
    };
    let refused = client.batch_create_tags(asked).await.unwrap_err();
    let expected = pairs(&[
        ("request_id", "MALFORMED_UUID"),
        ("tags[1].uid", "MALFORMED_TAG_UID"),
        ("tags[1].label", "MALFORMED_TEXT"),
        ("tags[1].kind", "UNKNOWN_VALUE"),
        ("tags[3].uid", "DUPLICATE_TAG"),
        ("tags[4].destination_url", "MALFORMED_URL"),
        ("tags[4].uid", "DUPLICATE_TAG"),
        ("tags[5].uid", "REQUIRED"),
        ("tags[6].uid", "REQUIRED"),
    ]);
    assert_eq!(violations(&refused), expected);

    let too_many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    let too_many: Vec<&str> = too_many.iter().map(String::as_str).collect();
    let refused = client.batch_create_tags(batch(&too_many)).await.unwrap_err();
    assert_eq!(violations(&refused), pairs(&[("tags", "TOO_MANY_TAGS")]));
    // Nor are two million empty ones, which are not even read.
    let empty = BatchCreateTagsRequest {
        tags: vec![NewTag::default(); 2_000_000],
        ..BatchCreateTagsRequest::default()
    };
    let refused = client.batch_create_tags(empty).await.unwrap_err();
    assert_eq!(violations(&refused), pairs(&[("tags", "TOO_MANY_TAGS")]));

    // What is wrong with all of a thousand does not fit into an error: as much as does.
    let wide = NewTag {
        uid: "\u{1f9e1}".repeat(60),
        label: "\u{1f9e1}".repeat(300),
        kind: 99,
        destination_url: "x".repeat(2_100),
    };
    let asked =
        BatchCreateTagsRequest { tags: vec![wide; 1_000], ..BatchCreateTagsRequest::default() };
    let refused = client.batch_create_tags(asked).await.unwrap_err();
    let told = violations(&refused);
    assert_eq!(told.len(), 21);
    assert_eq!(told[4], ("tags[1].uid".to_owned(), "MALFORMED_TAG_UID".to_owned()));
    assert_eq!(told[20], ("tags".to_owned(), "MORE_VIOLATIONS".to_owned()));
    assert!(refused.message().ends_with("4979 more things are wrong after these"));
    assert_eq!(app.scalar::<i64>("select count(*) from tags").await, 0);
}

#[tokio::test]
async fn a_team_has_so_many_tags_and_no_more() {
    let app = App::start_with(Options { team_tags_max: 3, ..Options::default() }).await;
    let (_, mut client) = team(&app, "cafe").await;
    let (_, mut other) = team(&app, "other").await;
    client.batch_create_tags(batch(&["a", "b"])).await.unwrap();
    client.archive_tag(ArchiveTagRequest { uid: "a".to_owned() }).await.unwrap();
    let limit = |refused: Status| {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        assert_eq!(reason(&refused), "TAG_LIMIT");
        assert!(refused.message().contains("may have 3 tags"), "{}", refused.message());
    };
    limit(client.batch_create_tags(batch(&["c", "d"])).await.unwrap_err());
    assert_eq!(get(&mut client, "c").await.unwrap_err().code(), Code::NotFound);
    // Those that are there already take no place.
    let skip = BatchCreateTagsRequest { skip_existing: true, ..batch(&["a", "b", "c"]) };
    client.batch_create_tags(skip.clone()).await.unwrap();
    limit(client.create_tag(create(new("d"))).await.unwrap_err());
    client.batch_create_tags(skip).await.unwrap();
    // One that is there is told of rather than the limit.
    let refused = client.create_tag(create(new("c"))).await.unwrap_err();
    assert_eq!(reason(&refused), "TAG_EXISTS");
    // Each team has its own.
    other.batch_create_tags(batch(&["a", "b", "c"])).await.unwrap();
    limit(other.create_tag(create(new("d"))).await.unwrap_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_make_the_same_tag_one_does() {
    let app = App::start().await;
    let (_, client) = team(&app, "cafe").await;
    let calls = (0..50).map(|n| {
        let mut client = client.clone();
        async move {
            let tag = NewTag { label: n.to_string(), ..new("same") };
            client.create_tag(create(tag)).await
        }
    });
    let answers = futures_util::future::join_all(calls).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (1, 49));
    for refused in refused {
        assert_eq!(reason(&refused.unwrap_err()), "TAG_EXISTS");
    }
    let made = made.into_iter().next().unwrap().unwrap().into_inner().tag.unwrap();
    assert_eq!(get(&mut client.clone(), "same").await.unwrap(), made);

    // Different ones each have their own id, counted up without a gap, and are found by whoever made them.
    let calls = (0..50).map(|n| {
        let (mut client, app) = (client.clone(), &app);
        async move {
            let uid = format!("t{n}");
            // Half of them can be repeated: none waits for another that waits for it.
            let once = once(new(&uid), Uuid::now_v7());
            let asked = if n % 2 == 0 { once } else { create(new(&uid)) };
            client.create_tag(asked).await.unwrap();
            assert_eq!(tapped(app, "cafe", &uid).await.0, 200, "{uid}");
        }
    });
    futures_util::future::join_all(calls).await;
    let ids: Vec<i32> = app.scalar("select array_agg(tag_id order by tag_id) from tags").await;
    assert_eq!(ids, (1..=51).collect::<Vec<i32>>());

    // The same request, many times at once.
    let asked = once(new("again"), Uuid::now_v7());
    let calls = (0..50).map(|_| {
        let (mut client, asked) = (client.clone(), asked.clone());
        async move { client.create_tag(asked).await.unwrap().into_inner() }
    });
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(app.scalar::<i64>("select count(*) from tags where uid = 'again'").await, 1);

    // Batches that overlap, in opposite orders: none waits for another for ever, and each tag is made once.
    let uids: Vec<String> = (0..200).map(|n| format!("b{n}")).collect();
    let calls = (0..10).map(|n| {
        let mut client = client.clone();
        let mut uids: Vec<&str> = uids.iter().map(String::as_str).collect();
        if n % 2 == 0 {
            uids.reverse();
        }
        let asked = BatchCreateTagsRequest { skip_existing: true, ..batch(&uids) };
        async move { client.batch_create_tags(asked).await.unwrap().into_inner() }
    });
    let answers = futures_util::future::join_all(calls).await;
    let made: usize = answers.iter().map(|answer| answer.tags.len()).sum();
    let skipped: usize = answers.iter().map(|answer| answer.existing_uids.len()).sum();
    assert_eq!((made, skipped), (200, 1_800));
}

/// What a change names, and what the tag is then: label, kind, destination, archived.
type Changed = (UpdateTagRequest, &'static str, kind::Value, &'static str, bool);

#[tokio::test]
async fn a_change_touches_what_it_names_and_nothing_else() {
    use kind::Value::{Link, Nfc, Qr};
    let app = App::start().await;
    let (_, mut client) = team(&app, "cafe").await;
    let mask = |paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Some(prost_types::FieldMask { paths })
    };
    let label = |text: &str| UpdateTagRequest { label: Some(text.to_owned()), ..update("a") };
    let url =
        |text: &str| UpdateTagRequest { destination_url: Some(text.to_owned()), ..update("a") };
    let all = || UpdateTagRequest {
        label: Some("new".to_owned()),
        kind: Some(Link.into()),
        destination_url: Some("https://new.example".to_owned()),
        archived: Some(true),
        ..update("a")
    };
    let of = |kind: kind::Value| UpdateTagRequest { kind: Some(kind.into()), ..update("a") };
    let masked = |paths: &[&str], from: UpdateTagRequest| UpdateTagRequest {
        update_mask: mask(paths),
        ..from
    };
    let every = ["label", "kind", "destination_url", "archived"];
    let cases: Vec<Changed> = vec![
        // Without a mask: whatever is set.
        (label("new"), "new", Qr, "https://old.example/", false),
        (label(""), "", Qr, "https://old.example/", false),
        (of(Link), "old", Link, "https://old.example/", false),
        (of(kind::Value::Unset), "old", Nfc, "https://old.example/", false),
        (url("https://new.example"), "old", Qr, "https://new.example/", false),
        (url(""), "old", Qr, "", false),
        (
            UpdateTagRequest { archived: Some(true), ..update("a") },
            "old",
            Qr,
            "https://old.example/",
            true,
        ),
        (
            UpdateTagRequest { archived: Some(false), ..update("a") },
            "old",
            Qr,
            "https://old.example/",
            false,
        ),
        (all(), "new", Link, "https://new.example/", true),
        // With one: exactly what it names, cleared where it is not set.
        (masked(&["label"], all()), "new", Qr, "https://old.example/", false),
        (masked(&["kind"], all()), "old", Link, "https://old.example/", false),
        (masked(&["destination_url"], all()), "old", Qr, "https://new.example/", false),
        (masked(&["archived"], all()), "old", Qr, "https://old.example/", true),
        (masked(&["label", "archived", "label"], all()), "new", Qr, "https://old.example/", true),
        (masked(&every, all()), "new", Link, "https://new.example/", true),
        (masked(&["label"], update("a")), "", Qr, "https://old.example/", false),
        (masked(&["kind"], update("a")), "old", Nfc, "https://old.example/", false),
        (masked(&["destination_url"], update("a")), "old", Qr, "", false),
        (masked(&every, update("a")), "", Nfc, "", false),
        // What a mask does not name may be anything.
        (
            masked(&["label"], UpdateTagRequest { kind: Some(77), ..label("new") }),
            "new",
            Qr,
            "https://old.example/",
            false,
        ),
    ];
    let old = NewTag {
        label: "old".to_owned(),
        kind: Qr.into(),
        destination_url: "https://old.example/".to_owned(),
        ..new("a")
    };
    make(&mut client, old).await;
    let created_at = get(&mut client, "a").await.unwrap().created_at;
    let reset = UpdateTagRequest {
        label: Some("old".to_owned()),
        kind: Some(Qr.into()),
        destination_url: Some("https://old.example/".to_owned()),
        archived: Some(false),
        ..update("a")
    };
    for (change, label, kind, url, archived) in cases {
        client.update_tag(reset.clone()).await.unwrap();
        let now = client.update_tag(change.clone()).await.unwrap().into_inner().tag.unwrap();
        assert_eq!((now.label.as_str(), now.kind()), (label, kind), "{change:?}");
        assert_eq!(now.destination_url.as_deref().unwrap_or_default(), url, "{change:?}");
        assert_eq!(now.archived_at.is_some(), archived, "{change:?}");
        assert_eq!((now.uid.as_str(), &now.created_at), ("a", &created_at));
        assert_eq!(get(&mut client, "a").await.unwrap(), now, "{change:?}");
    }
}

#[tokio::test]
async fn a_change_that_makes_no_sense_is_refused_whole() {
    let app = App::start().await;
    let (team, mut client) = team(&app, "cafe").await;
    make(&mut client, NewTag { label: "old".to_owned(), ..new("a") }).await;
    let mask = |paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Some(prost_types::FieldMask { paths })
    };
    let named = |paths: &[&str]| UpdateTagRequest {
        label: Some("new".to_owned()),
        update_mask: mask(paths),
        ..update("a")
    };
    let cases: Vec<(UpdateTagRequest, &[(&str, &str)])> = vec![
        (update("a"), &[("update_mask", "NOTHING_TO_CHANGE")]),
        (named(&[]), &[("update_mask", "NOTHING_TO_CHANGE")]),
        (named(&[""]), &[("update_mask", "UNKNOWN_FIELD")]),
        (named(&["*"]), &[("update_mask", "UNKNOWN_FIELD")]),
        (named(&["label", "lable"]), &[("update_mask", "UNKNOWN_FIELD")]),
        (named(&["label", "tap_url", "created_at"]), &[("update_mask", "UNKNOWN_FIELD")]),
        (named(&["label.x"]), &[("update_mask", "UNKNOWN_FIELD")]),
        (named(&["label", "uid"]), &[("update_mask", "IMMUTABLE_FIELD")]),
        (update(""), &[("uid", "REQUIRED"), ("update_mask", "NOTHING_TO_CHANGE")][..1]),
        (
            UpdateTagRequest {
                label: Some("x".repeat(201)),
                kind: Some(9),
                destination_url: Some("https://ann@a.example".to_owned()),
                update_mask: mask(&["uid", "x", "label", "kind", "destination_url"]),
                ..update("a b")
            },
            &[
                ("uid", "MALFORMED_TAG_UID"),
                ("update_mask", "IMMUTABLE_FIELD"),
                ("update_mask", "UNKNOWN_FIELD"),
                ("label", "TOO_LONG"),
                ("kind", "UNKNOWN_VALUE"),
                ("destination_url", "CREDENTIALS_IN_URL"),
            ],
        ),
    ];
    for (change, expected) in cases {
        let refused = client.update_tag(change.clone()).await.unwrap_err();
        assert_eq!(violations(&refused), pairs(expected), "{change:?}");
    }
    for uid in ["", "a b", "\u{e4}"] {
        let refused = get(&mut client, uid).await.unwrap_err();
        assert_eq!(violations(&refused)[0].0, "uid");
        let uid = uid.to_owned();
        let refused = client.archive_tag(ArchiveTagRequest { uid }).await.unwrap_err();
        assert_eq!(violations(&refused)[0].0, "uid");
    }
    assert_eq!(get(&mut client, "a").await.unwrap().label, "old");
    // What changes nothing is told to nobody.
    let same = UpdateTagRequest { label: Some("old".to_owned()), ..update("a") };
    client.update_tag(same).await.unwrap();
    let revision = format!("select tags_revision from teams where team_id = {}", team.id);
    assert_eq!(app.scalar::<i64>(&revision).await, 1);
}

#[tokio::test]
async fn an_archived_tag_is_still_counted_and_can_be_taken_back() {
    let clock = Clock::fixed(now());
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let (team, mut client) = team(&app, "cafe").await;
    let mut taps = app.client(&team.key);
    make(&mut client, new("a")).await;
    let stored = record(&mut taps, vec![report("a", now()), report("a", now())]).await;
    assert_eq!(outcome(&stored), (2.0, 0.0, 0));

    let archive = || ArchiveTagRequest { uid: "a".to_owned() };
    let first = client.archive_tag(archive()).await.unwrap().into_inner().tag.unwrap();
    let at = clock.now().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    assert_eq!(first.archived_at, Some(at));
    assert_eq!(tapped(&app, "cafe", "a").await.0, 404);
    let answer = record(&mut taps, vec![report("a", now())]).await;
    assert_eq!(rejections(&answer.rejected)[&0], [("tag_uid", "TAG_ARCHIVED")]);
    let asked = || QueryTapsRequest {
        tag_uids: vec!["a".to_owned()],
        ..query("2023-01-01", "2199-12-31", "TOTAL")
    };
    let counted = taps.query_taps(asked()).await.unwrap().into_inner();
    assert_eq!(counted.total, 2.0);

    // Archived again it stays archived since then, by either method.
    clock.set(clock.now() + TimeDelta::hours(1));
    let again = client.archive_tag(archive()).await.unwrap().into_inner().tag.unwrap();
    assert_eq!(again, first);
    let change = UpdateTagRequest { archived: Some(true), label: Some("x".into()), ..update("a") };
    let again = client.update_tag(change).await.unwrap().into_inner().tag.unwrap();
    assert_eq!(again.archived_at, first.archived_at);

    let back = UpdateTagRequest { archived: Some(false), ..update("a") };
    let back = client.update_tag(back).await.unwrap().into_inner().tag.unwrap();
    assert_eq!(back.archived_at, None);
    assert_eq!(tapped(&app, "cafe", "a").await.0, 200);
    let answer = record(&mut taps, vec![report("a", now())]).await;
    assert_eq!(outcome(&answer), (1.0, 0.0, 0));
    let later = client.archive_tag(archive()).await.unwrap().into_inner().tag.unwrap();
    assert_ne!(later.archived_at, first.archived_at, "it was in use meanwhile");
}

#[tokio::test]
async fn every_replica_knows_of_a_change_within_a_second() {
    let app = App::start().await;
    let other = App::on(app.store.clone(), Options::default()).await;
    let (team, mut client) = team(&app, "cafe").await;
    // As long as the other one has not heard, it is as it was; then it is as it is.
    let until = async |uid: &str, status: u16, location: &str| {
        let began = Instant::now();
        assert_eq!(tapped(&app, "cafe", uid).await, (status, location.to_owned()), "here, at once");
        while tapped(&other, "cafe", uid).await != (status, location.to_owned()) {
            assert!(began.elapsed() < Duration::from_secs(1), "{uid} {status} {location}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    make(&mut client, new("a")).await;
    until("a", 200, "").await;
    for round in 0..3 {
        let url = format!("https://a.example/{round}");
        let change = UpdateTagRequest { destination_url: Some(url.clone()), ..update("a") };
        client.update_tag(change).await.unwrap();
        until("a", 302, &url).await;
        client.archive_tag(ArchiveTagRequest { uid: "a".to_owned() }).await.unwrap();
        until("a", 404, "").await;
        let back = UpdateTagRequest { archived: Some(false), ..update("a") };
        client.update_tag(back).await.unwrap();
        until("a", 302, &url).await;
        let nowhere = UpdateTagRequest { destination_url: Some(String::new()), ..update("a") };
        client.update_tag(nowhere).await.unwrap();
        until("a", 200, "").await;
    }
    client.batch_create_tags(batch(&["b", "c"])).await.unwrap();
    until("c", 200, "").await;
    // A change that is made there is known here.
    let mut there = other.tags_client(&team.key);
    eventually("the key is known there", || {
        let mut there = there.clone();
        async move { get(&mut there, "a").await.is_ok() }
    })
    .await;
    there.archive_tag(ArchiveTagRequest { uid: "b".to_owned() }).await.unwrap();
    let began = Instant::now();
    while tapped(&app, "cafe", "b").await.0 != 404 {
        assert!(began.elapsed() < Duration::from_secs(1), "a second later it is still tapped");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn counts_by_tag_have_its_newest_label() {
    let app = App::start().await;
    let other = App::on(app.store.clone(), Options::default()).await;
    let (team, mut client) = team(&app, "cafe").await;
    make(&mut client, NewTag { label: "old".to_owned(), ..new("a") }).await;
    record(&mut app.client(&team.key), vec![report("a", now())]).await;
    let asked = || QueryTapsRequest {
        group_by: group_by::Value::Tag.into(),
        ..query("2023-01-01", "2199-12-31", "TOTAL")
    };
    let label = async |app: &App| {
        let answer = app.client(&team.key).query_taps(asked()).await.unwrap().into_inner();
        answer.groups[0].label.clone()
    };
    eventually("both have counted", || async {
        label(&app).await == "old" && label(&other).await == "old"
    })
    .await;
    client.update_tag(UpdateTagRequest { label: Some("new".into()), ..update("a") }).await.unwrap();
    let began = Instant::now();
    assert_eq!(label(&app).await, "new", "here, at once");
    while label(&other).await != "new" {
        assert!(began.elapsed() < Duration::from_secs(1), "there it has the old label");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_list_has_what_is_asked_for() {
    use kind::Value::{Link, Nfc, Qr};
    let app = App::start().await;
    let (_, mut client) = team(&app, "cafe").await;
    let (_, mut other) = team(&app, "other").await;
    make(&mut other, NewTag { label: "100%".to_owned(), ..new("theirs") }).await;
    let of = |uid: &str, label: &str, kind: kind::Value| NewTag {
        uid: uid.to_owned(),
        label: label.to_owned(),
        kind: kind.into(),
        ..NewTag::default()
    };
    let tags = vec![
        of("b_1", "Table 1, \u{c4}PFEL", Nfc),
        of("B.2", "100% off", Qr),
        of("a-3", "back\\slash", Link),
        of("04:A2", "_under_", Qr),
        of("bx1", "table 2", Nfc),
    ];
    let request = BatchCreateTagsRequest { tags, ..BatchCreateTagsRequest::default() };
    client.batch_create_tags(request).await.unwrap();
    client.archive_tag(ArchiveTagRequest { uid: "bx1".to_owned() }).await.unwrap();

    let any = || ListTagsRequest { state: tag_state::Value::Any.into(), ..Default::default() };
    let text = |text: &str| ListTagsRequest { text: text.to_owned(), ..any() };
    let kind = |kind: kind::Value| ListTagsRequest { kind: kind.into(), ..any() };
    let state = |state: tag_state::Value| ListTagsRequest { state: state.into(), ..any() };
    let cases: Vec<(ListTagsRequest, &[&str])> = vec![
        (any(), &["04:A2", "B.2", "a-3", "b_1", "bx1"]),
        (ListTagsRequest::default(), &["04:A2", "B.2", "a-3", "b_1"]),
        (state(tag_state::Value::Archived), &["bx1"]),
        (kind(Qr), &["04:A2", "B.2"]),
        (kind(Nfc), &["b_1", "bx1"]),
        (ListTagsRequest { kind: Nfc.into(), ..ListTagsRequest::default() }, &["b_1"]),
        // In the uid or the label, whatever the case.
        (text("TABLE"), &["b_1", "bx1"]),
        (text("b"), &["B.2", "a-3", "b_1", "bx1"]),
        (text("a2"), &["04:A2"]),
        (text("\u{e4}pfel"), &["b_1"]),
        // Nothing in it stands for anything else.
        (text("%"), &["B.2"]),
        (text("_"), &["04:A2", "b_1"]),
        (text("b_1"), &["b_1"]),
        (text("\\"), &["a-3"]),
        (text("k\\s"), &["a-3"]),
        (text("."), &["B.2"]),
        (text("'"), &[]),
        (text("theirs"), &[]),
        (ListTagsRequest { kind: Nfc.into(), ..text("table 2") }, &["bx1"]),
    ];
    for (asked, expected) in cases {
        let name = format!("{asked:?}");
        assert_eq!(listed(&mut client, asked).await, expected, "{name}");
    }
    let whole = list(&mut client, any()).await;
    assert_eq!(whole.tags[2], get(&mut client, "a-3").await.unwrap());
    assert_eq!(whole.next_page_token, "");

    let refused = client
        .list_tags(ListTagsRequest {
            page_size: -1,
            page_token: "x".to_owned(),
            text: "x".repeat(201),
            kind: 9,
            state: 9,
        })
        .await
        .unwrap_err();
    let expected = pairs(&[
        ("text", "TOO_LONG"),
        ("kind", "UNKNOWN_VALUE"),
        ("state", "UNKNOWN_VALUE"),
        ("page_token", "MALFORMED_PAGE_TOKEN"),
        ("page_size", "NEGATIVE"),
    ]);
    assert_eq!(violations(&refused), expected);
    let refused = client.list_tags(text("a\0")).await.unwrap_err();
    assert_eq!(violations(&refused), pairs(&[("text", "MALFORMED_TEXT")]));
}

#[tokio::test]
async fn a_page_token_is_good_for_the_same_list_only() {
    let app = App::start().await;
    let (team, mut client) = team(&app, "cafe").await;
    let (_, mut other) = self::team(&app, "other").await;
    for client in [&mut client, &mut other] {
        client.batch_create_tags(batch(&["a", "b", "c"])).await.unwrap();
    }
    let of_one = ListTagsRequest { page_size: 1, ..ListTagsRequest::default() };
    let first = list(&mut client, of_one.clone()).await;
    let token = first.next_page_token;
    let next = ListTagsRequest { page_token: token.clone(), ..of_one };
    assert_eq!(listed(&mut client, next.clone()).await, ["b"]);
    // A page may have another size than the one before.
    let larger = ListTagsRequest { page_size: 0, ..next.clone() };
    assert_eq!(listed(&mut client, larger).await, ["b", "c"]);
    // On every replica.
    let replica = App::on(app.store.clone(), Options::default()).await;
    assert_eq!(listed(&mut replica.tags_client(&team.key), next.clone()).await, ["b"]);

    let foreign = other.list_tags(next.clone()).await.unwrap_err();
    assert_eq!(violations(&foreign), pairs(&[("page_token", "MALFORMED_PAGE_TOKEN")]));
    for asked in [
        ListTagsRequest { text: "a".to_owned(), ..next.clone() },
        ListTagsRequest { kind: kind::Value::Nfc.into(), ..next.clone() },
        ListTagsRequest { state: tag_state::Value::Any.into(), ..next.clone() },
        ListTagsRequest { page_token: format!("{token}A"), ..next.clone() },
        ListTagsRequest { page_token: token[1..].to_owned(), ..next.clone() },
        ListTagsRequest { page_token: "a".to_owned(), ..next },
    ] {
        let refused = client.list_tags(asked.clone()).await.unwrap_err();
        let expected = pairs(&[("page_token", "MALFORMED_PAGE_TOKEN")]);
        assert_eq!(violations(&refused), expected, "{asked:?}");
    }
}

#[test]
fn pages_have_every_tag_once_and_in_order_while_others_are_made() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(App::start());
    let teams = std::cell::Cell::new(0);
    let mut runner =
        TestRunner::new(Config { cases: 40, max_shrink_iters: 40, ..Config::default() });
    let uid = "[a-cA-C0-2._:-]{1,3}";
    let given = (
        prop::collection::btree_set(uid, 0..60),
        prop::collection::btree_set(uid, 0..40),
        prop_oneof![Just(0), 1..8_i32, Just(5_000)],
        prop_oneof![Just(String::new()), "[abAB_.]"],
    );
    runner
        .run(&given, |(there, later, page_size, text)| {
            teams.set(teams.get() + 1);
            let plain = |uid: &&String| !matches!(uid.as_str(), "." | "..");
            let there: BTreeSet<&String> = there.iter().filter(plain).collect();
            let later: Vec<&String> = later.iter().filter(plain).collect();
            runtime.block_on(async {
                let (_, mut client) = team(&app, &format!("team-{}", teams.get())).await;
                let uids: Vec<&str> = there.iter().map(|uid| uid.as_str()).collect();
                if !uids.is_empty() {
                    client.batch_create_tags(batch(&uids)).await.unwrap();
                }
                let mut later = later.chunks(5);
                let mut asked =
                    ListTagsRequest { page_size, text: text.clone(), ..Default::default() };
                let mut seen: Vec<String> = Vec::new();
                loop {
                    let page = list(&mut client, asked.clone()).await;
                    prop_assert!(
                        page_size == 0 || i32::try_from(page.tags.len()).unwrap() <= page_size
                    );
                    prop_assert!(!page.tags.is_empty() || page.next_page_token.is_empty());
                    seen.extend(page.tags.into_iter().map(|tag| tag.uid));
                    if page.next_page_token.is_empty() {
                        break;
                    }
                    asked.page_token = page.next_page_token;
                    if let Some(uids) = later.next() {
                        let uids: Vec<&str> = uids.iter().map(|uid| uid.as_str()).collect();
                        let more = BatchCreateTagsRequest { skip_existing: true, ..batch(&uids) };
                        client.batch_create_tags(more).await.unwrap();
                    }
                }
                // Byte by byte, none twice.
                prop_assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
                let found: HashSet<&String> = seen.iter().collect();
                let has = |uid: &str| uid.to_lowercase().contains(&text.to_lowercase());
                for uid in &there {
                    prop_assert_eq!(found.contains(*uid), has(uid), "{} {:?}", uid, &seen);
                }
                prop_assert!(seen.iter().all(|uid| has(uid)));
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn nothing_is_half_done_when_the_store_goes_away() {
    let postgres = OwnPostgres::start().await;
    let app = App::on(store(&postgres.url), Options::default()).await;
    let (team, mut client) = team(&app, "cafe").await;
    make(&mut client, new("a")).await;
    let asked = once(new("b"), Uuid::now_v7());
    postgres.stop();
    let unavailable = |status: Status| {
        assert_eq!(
            (status.code(), reason(&status)),
            (Code::Unavailable, "STORE_UNAVAILABLE".into())
        );
        assert!(status.get_error_details().retry_info().is_some());
    };
    unavailable(client.create_tag(asked.clone()).await.unwrap_err());
    unavailable(client.batch_create_tags(batch(&["c"])).await.unwrap_err());
    unavailable(
        client
            .update_tag(UpdateTagRequest { label: Some("x".into()), ..update("a") })
            .await
            .unwrap_err(),
    );
    unavailable(client.archive_tag(ArchiveTagRequest { uid: "a".to_owned() }).await.unwrap_err());
    unavailable(get(&mut client, "a").await.unwrap_err());
    unavailable(client.list_tags(ListTagsRequest::default()).await.unwrap_err());
    // People are led on, and what makes no sense is told so.
    assert_eq!(tapped(&app, "cafe", "a").await.0, 200);
    let refused = client.create_tag(create(new("b b"))).await.unwrap_err();
    assert_eq!(violations(&refused), pairs(&[("tag.uid", "MALFORMED_TAG_UID")]));
    postgres.start_again();

    eventually("tags can be made again", || {
        let (mut client, asked) = (client.clone(), asked.clone());
        async move { client.create_tag(asked).await.is_ok() }
    })
    .await;
    let tags = list(&mut client, ListTagsRequest::default()).await.tags;
    let by_uid: BTreeMap<_, _> =
        tags.iter().map(|tag| (tag.uid.as_str(), tag.label.as_str())).collect();
    assert_eq!(by_uid, [("a", ""), ("b", "")].into());
    let again = client.create_tag(asked.clone()).await.unwrap().into_inner();
    assert_eq!(again.tag.unwrap(), tags[1]);

    // A connection that is cut in the midst of it: either all of it was done or none, and the same request
    // again ends it.
    let admin = app.sql().await;
    for round in 0..10 {
        let asked = once(new(&format!("cut-{round}")), Uuid::now_v7());
        let mut cut = client.clone();
        let call = tokio::spawn({
            let asked = asked.clone();
            async move { cut.create_tag(asked).await }
        });
        tokio::time::sleep(Duration::from_micros(400 * round)).await;
        admin
            .batch_execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'tap_app'",
            )
            .await
            .unwrap();
        if let Err(status) = call.await.unwrap() {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        }
        let made = client.create_tag(asked).await;
        let made = match made {
            Ok(made) => made.into_inner().tag.unwrap(),
            Err(status) => {
                // It got a connection that was cut.
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                continue;
            }
        };
        assert_eq!(get(&mut client, &made.uid).await.unwrap(), made);
    }
    let twice: i64 = app
        .scalar(
            "select count(*) from (select from tags group by team_id, uid having count(*) > 1) x",
        )
        .await;
    assert_eq!(twice, 0);
    let half: i64 = app.scalar("select count(*) from requests where answer = ''").await;
    assert_eq!(half, 0, "an id that is taken has an answer");
    let revision = format!(
        "select tags_revision = (select count(*) from tags where team_id = {0}) from teams where team_id = {0}",
        team.id
    );
    assert!(app.scalar::<bool>(&revision).await, "each tag raised the state by one");
}

#[tokio::test]
async fn refusals_keep_their_connection() {
    let app = App::start().await;
    let (_, mut client) = team(&app, "cafe").await;
    make(&mut client, new("a")).await;
    let began = "select max(pid) from pg_stat_activity where usename = 'tap_app'
                 and datname = current_database()";
    let before: i32 = app.scalar(began).await;
    for _ in 0..30 {
        client.create_tag(create(new("a"))).await.unwrap_err();
        let change = UpdateTagRequest { label: Some("x".into()), ..update("nobodys") };
        client.update_tag(change).await.unwrap_err();
        get(&mut client, "nobodys").await.unwrap_err();
    }
    assert_eq!(app.scalar::<i32>(began).await, before, "the one connection that was made");
    // And nothing of what they began is left.
    let idle: i64 = app
        .scalar(
            "select count(*) from pg_stat_activity where usename = 'tap_app'
             and datname = current_database() and state <> 'idle'",
        )
        .await;
    assert_eq!(idle, 0);
}
