//! `RecordTaps`: what becomes of each tap.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use tap_analytics::{
    clock::Clock,
    hints,
    proto::tap_v1::{
        NewTap, QueryTapsRequest, RecordTapsRequest, StreamTapsRequest, group_by, kind, tap_class,
    },
    tags::model::Kind,
    taps::model::{self, TapClass},
};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::{
    app::{
        App, Options, Team,
        envoy::Envoy,
        eventually, instant, now, query,
        report::{Following, outcome, record, rejections, report, reports},
        tap,
        wires::json_failure,
    },
    taps::assert_roll_up_equals_raw,
};

/// Where time stands still: what lies on the edge of being too late or too early stays there.
async fn at_one_instant() -> (App, DateTime<Utc>) {
    let clock = Clock::fixed(Clock::system().now());
    let now = clock.now();
    (App::start_with(Options { clock, ..Options::default() }).await, now)
}

/// Archives a tag, as an administrator would.
async fn archive(app: &App, team: &Team, uid: &str) {
    let update = format!("update tags set archived_at = now() where uid = '{uid}'");
    change_tags(app, team, &update).await;
}

/// Changes tags, and tells the service.
async fn change_tags(app: &App, team: &Team, sql: &str) {
    let raise =
        format!("update teams set tags_revision = tags_revision + 1 where team_id = {}", team.id);
    app.sql().await.batch_execute(&format!("begin; {sql}; {raise}; commit")).await.unwrap();
    hints::announce_tags(&app.db, team.id).await.unwrap();
}

#[tokio::test]
async fn each_tap_has_an_outcome_of_its_own_with_everything_that_is_wrong() {
    let (app, now) = at_one_instant().await;
    let team = app.reporting_team("acme", &["a", "gone"]).await;
    let other = app.team("other").await;
    app.tags(other.id, &["theirs"]).await;
    archive(&app, &team, "gone").await;
    let mut client = app.client(&team.key);
    eventually("the archived tag is known", || {
        let mut client = client.clone();
        async move {
            let answer = record(&mut client, vec![report("gone", now)]).await;
            rejections(&answer.rejected)[&0] == [("tag_uid", "TAG_ARCHIVED")]
        }
    })
    .await;

    let good = || report("a", now);
    let at = |tapped_at: &str| NewTap { tapped_at: tapped_at.to_owned(), ..good() };
    let attributes = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let many: Vec<_> = (0..17).map(|n| format!("key {n}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), "")).collect();
    let first = good();
    let cases: Vec<(NewTap, &[(&str, &str)])> = vec![
        (first.clone(), &[]),
        (
            NewTap {
                tag_uid: String::new(),
                tap_id: "not an id".to_owned(),
                tapped_at: String::new(),
                count: Some(0),
                kind: 9,
                country: "de".to_owned(),
                device: "x".repeat(65),
                attributes: attributes(&many),
            },
            &[
                ("tag_uid", "REQUIRED"),
                ("tap_id", "MALFORMED_TAP_ID"),
                ("tapped_at", "REQUIRED"),
                ("count", "COUNT_OUT_OF_RANGE"),
                ("kind", "UNKNOWN_VALUE"),
                ("country", "MALFORMED_COUNTRY"),
                ("device", "TOO_LONG"),
                ("attributes", "TOO_MANY_ATTRIBUTES"),
            ],
        ),
        (
            NewTap {
                tag_uid: "with space".to_owned(),
                tapped_at: "yesterday".to_owned(),
                device: "new\nline".to_owned(),
                attributes: attributes(&[("", "empty"), (&"k".repeat(65), &"v".repeat(257))]),
                ..good()
            },
            &[
                ("tag_uid", "MALFORMED_TAG_UID"),
                ("tapped_at", "MALFORMED_DATE"),
                ("device", "MALFORMED_TEXT"),
                ("attributes", "REQUIRED"),
                ("attributes", "TOO_LONG"),
                ("attributes", "TOO_LONG"),
            ],
        ),
        (
            NewTap { attributes: attributes(&[("a\0b", "c\u{7f}")]), ..good() },
            &[("attributes", "MALFORMED_TEXT"), ("attributes", "MALFORMED_TEXT")],
        ),
        (NewTap { tag_uid: "nobodys".to_owned(), ..good() }, &[("tag_uid", "UNKNOWN_TAG")]),
        (NewTap { tag_uid: "theirs".to_owned(), ..good() }, &[("tag_uid", "UNKNOWN_TAG")]),
        (NewTap { tag_uid: "A".to_owned(), ..good() }, &[("tag_uid", "UNKNOWN_TAG")]),
        (NewTap { tag_uid: "gone".to_owned(), ..good() }, &[("tag_uid", "TAG_ARCHIVED")]),
        (
            NewTap { tag_uid: "nobodys".to_owned(), count: Some(-1), ..good() },
            &[("count", "COUNT_OUT_OF_RANGE"), ("tag_uid", "UNKNOWN_TAG")],
        ),
        (
            NewTap { tag_uid: "gone".to_owned(), country: "DEU".to_owned(), ..good() },
            &[("country", "MALFORMED_COUNTRY"), ("tag_uid", "TAG_ARCHIVED")],
        ),
        (report("a", now + TimeDelta::hours(1)), &[]),
        (
            report("a", now + TimeDelta::hours(1) + TimeDelta::microseconds(1)),
            &[("tapped_at", "TIMESTAMP_IN_FUTURE")],
        ),
        (at("9999-12-31T23:59:59Z"), &[("tapped_at", "TIMESTAMP_IN_FUTURE")]),
        (at("2010-01-01T00:00:00Z"), &[]),
        (at("2009-12-31T23:59:59.999999Z"), &[("tapped_at", "TIMESTAMP_TOO_OLD")]),
        (at("0000-01-01T00:00:00Z"), &[("tapped_at", "TIMESTAMP_TOO_OLD")]),
        (at("2023-01-01"), &[("tapped_at", "MALFORMED_DATE")]),
        (at("2023-01-01T00:00:00"), &[("tapped_at", "MALFORMED_DATE")]),
        (at(""), &[("tapped_at", "REQUIRED")]),
        (NewTap { tap_id: String::new(), tapped_at: String::new(), ..good() }, &[]),
        (NewTap { tap_id: String::new(), ..good() }, &[]),
        (NewTap { count: Some(1_000_000), ..good() }, &[]),
        (NewTap { count: Some(1_000_001), ..good() }, &[("count", "COUNT_OUT_OF_RANGE")]),
        (NewTap { country: "D1".to_owned(), ..good() }, &[("country", "MALFORMED_COUNTRY")]),
        (NewTap { device: "ü".repeat(64), attributes: attributes(&many[1..]), ..good() }, &[]),
        (NewTap { count: Some(2), ..first.clone() }, &[("tap_id", "DUPLICATE_CONFLICT")]),
        (first.clone(), &[]),
    ];
    let taps: Vec<NewTap> = cases.iter().map(|(tap, _)| tap.clone()).collect();
    let answer = record(&mut client, taps.clone()).await;

    let found = rejections(&answer.rejected);
    for (at, (tap, expected)) in cases.iter().enumerate() {
        let violations = found.get(&(at as i32)).cloned().unwrap_or_default();
        assert_eq!(violations, *expected, "{at}: {tap:?}");
    }
    assert!(answer.rejected.is_sorted_by_key(|tap| tap.index));
    for tap in &answer.rejected {
        assert_eq!(tap.tap_id, taps[usize::try_from(tap.index).unwrap()].tap_id);
    }
    let good = cases.iter().filter(|(_, expected)| expected.is_empty()).count();
    assert_eq!(outcome(&answer), (good as f64 - 1.0, 1.0, cases.len() - good));
    assert_eq!(app.stored_taps().await, good as i64 - 1);
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn a_tap_that_is_sent_again_is_not_counted_again() {
    let (app, now) = (App::start().await, now());
    let team = app.reporting_team("acme", &["a", "b"]).await;
    let mut client = app.client(&team.key);
    let batch = reports("a", instant("2023-04-30T23:59:59.9Z"), 300);
    let first = record(&mut client, batch.clone()).await;
    assert_eq!(outcome(&first), (300.0, 0.0, 0));
    let again = record(&mut client, batch.clone()).await;
    assert_eq!(outcome(&again), (0.0, 300.0, 0));
    assert_eq!(app.scalar::<i64>("select revision from teams").await, 300, "nothing has changed");

    // Some are new.
    let mut mixed = batch[250..].to_vec();
    mixed.extend(reports("b", now, 50));
    assert_eq!(outcome(&record(&mut client, mixed).await), (50.0, 50.0, 0));

    // The same, said in another way.
    let said = NewTap {
        tapped_at: "2023-05-01T12:00:00.123456Z".to_owned(),
        count: None,
        ..report("a", now)
    };
    let id: Uuid = said.tap_id.parse().unwrap();
    let also = [
        NewTap { tapped_at: "2023-05-01T14:00:00.123456+02:00".to_owned(), ..said.clone() },
        NewTap { tapped_at: "2023-05-01t12:00:00.123456999z".to_owned(), ..said.clone() },
        NewTap { tap_id: id.simple().to_string().to_uppercase(), ..said.clone() },
        NewTap { count: Some(1), kind: kind::Value::Nfc.into(), ..said.clone() },
    ];
    assert_eq!(outcome(&record(&mut client, vec![said.clone()]).await), (1.0, 0.0, 0));
    for same in also {
        let answer = record(&mut client, vec![same.clone()]).await;
        assert_eq!(outcome(&answer), (0.0, 1.0, 0), "{same:?}");
        // Also within one batch.
        let fresh = Uuid::now_v7().to_string();
        let own = |tap: &NewTap| NewTap { tap_id: fresh.clone(), ..tap.clone() };
        assert_eq!(
            outcome(&record(&mut client, vec![own(&said), own(&same)]).await),
            (1.0, 1.0, 0),
            "{same:?}"
        );
    }
    // Another instant is another tap, and so is a tap without an id.
    let later = NewTap { tapped_at: "2023-05-01T12:00:00.123457Z".to_owned(), ..said.clone() };
    assert_eq!(outcome(&record(&mut client, vec![later]).await), (1.0, 0.0, 0));
    let nameless = NewTap { tap_id: String::new(), ..said };
    assert_eq!(
        outcome(&record(&mut client, vec![nameless.clone(), nameless]).await),
        (2.0, 0.0, 0)
    );
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn the_id_of_another_tap_is_a_conflict_and_changes_nothing() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a", "b"]).await;
    let mut client = app.client(&team.key);
    let one = NewTap {
        country: "DE".to_owned(),
        device: "ios".to_owned(),
        attributes: HashMap::from([("table".to_owned(), "7".to_owned())]),
        ..report("a", instant("2023-05-01T12:00:00Z"))
    };
    assert_eq!(outcome(&record(&mut client, vec![one.clone()]).await), (1.0, 0.0, 0));
    let others = vec![
        NewTap { tag_uid: "b".to_owned(), ..one.clone() },
        NewTap { count: Some(2), ..one.clone() },
        NewTap { kind: kind::Value::Qr.into(), ..one.clone() },
        NewTap { country: String::new(), ..one.clone() },
        NewTap { device: "android".to_owned(), ..one.clone() },
        NewTap { attributes: HashMap::new(), ..one.clone() },
    ];
    let answer = record(&mut client, others.clone()).await;
    assert_eq!(outcome(&answer), (0.0, 0.0, others.len()));
    for (at, violations) in rejections(&answer.rejected) {
        assert_eq!(violations, [("tap_id", "DUPLICATE_CONFLICT")], "{at}");
    }
    assert!(answer.rejected.iter().all(|tap| tap.tap_id == one.tap_id));
    assert_eq!(outcome(&record(&mut client, vec![one]).await), (0.0, 1.0, 0), "it is as it was");
    // The same id in another team is none of this one's business.
    let other = app.reporting_team("other", &["b"]).await;
    let theirs = record(&mut app.client(&other.key), vec![others[0].clone()]).await;
    assert_eq!(outcome(&theirs), (1.0, 0.0, 0));
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn a_leap_second_is_the_second_after_it_everywhere() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = app.client(&team.key);
    for at in ["2016-12-31T23:59:60.5Z", "2023-05-01T12:14:60Z"] {
        let leap = NewTap { tapped_at: at.to_owned(), ..report("a", now()) };
        let answer = record(&mut client, vec![leap.clone()]).await;
        assert_eq!(outcome(&answer), (1.0, 0.0, 0), "{at}");
        let again = record(&mut client, vec![leap]).await;
        assert_eq!(outcome(&again), (0.0, 1.0, 0), "{at}");
    }
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn five_thousand_taps_are_one_batch_and_one_more_is_too_many() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = app.client(&team.key);
    let mut taps = reports("a", instant("2023-05-01T12:00:00Z"), 5_001);
    let refused = client.record_taps(RecordTapsRequest { taps: taps.clone() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    let violation = &details.bad_request().unwrap().field_violations[0];
    assert_eq!((violation.field.as_str(), violation.reason.as_str()), ("taps", "TOO_MANY_TAPS"));
    assert_eq!(app.stored_taps().await, 0);

    taps.pop();
    assert_eq!(outcome(&record(&mut client, taps.clone()).await), (5_000.0, 0.0, 0));
    assert_eq!(outcome(&record(&mut client, taps).await), (0.0, 5_000.0, 0));
    let none = client.record_taps(RecordTapsRequest::default()).await.unwrap_err();
    let violation = &none.get_error_details().bad_request().unwrap().field_violations[0].clone();
    assert_eq!((violation.field.as_str(), violation.reason.as_str()), ("taps", "REQUIRED"));
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn everything_that_is_said_of_a_tap_is_kept() {
    let (app, now) = at_one_instant().await;
    let team = app.reporting_team("acme", &["chip"]).await;
    app.tags_of_kind(team.id, &[("code", Kind::Qr), ("page", Kind::Link)]).await;
    let mut client = app.client(&team.key);
    let mut following = Following::open(&mut client, StreamTapsRequest::default()).await;
    let full = NewTap {
        count: Some(7),
        kind: kind::Value::Link.into(),
        country: "CH".to_owned(),
        device: "Till 3 \"left\" \\ ü 🦀".to_owned(),
        attributes: HashMap::from([
            ("table".to_owned(), "7".to_owned()),
            ("größe \"'\\ 🦀".to_owned(), "ü".to_owned()),
            ("nothing".to_owned(), String::new()),
        ]),
        ..report("chip", instant("2023-05-01T12:00:00.123456Z"))
    };
    let bare = |uid: &str| NewTap { tag_uid: uid.to_owned(), ..NewTap::default() };
    let sent = vec![full.clone(), bare("chip"), bare("code"), bare("page")];
    record(&mut client, sent).await;

    // Live, and again from the store.
    let live = following.taps(4).await;
    let before =
        StreamTapsRequest { resume_token: following.token, ..StreamTapsRequest::default() };
    assert_eq!(Following::open(&mut client, before).await.token, live[3].resume_token);
    let token = record(&mut client, vec![NewTap::default()]).await.resume_token;
    assert_eq!(token, live[3].resume_token);
    let start = client.query_taps(query("2023-05-01", "2023-05-01", "DAY")).await.unwrap();
    assert_eq!(start.into_inner().resume_token, token);

    let tap = &live[0];
    assert_eq!((tap.tag_uid.as_str(), tap.tag_label.as_str()), ("chip", "Label of chip"));
    assert_eq!(tap.tap_id, full.tap_id);
    assert_eq!(tap.tapped_at, "2023-05-01T12:00:00.123456Z");
    assert_eq!(instant(&tap.received_at), now);
    assert_eq!(tap.count, 7.0);
    assert_eq!((tap.kind(), tap.class()), (kind::Value::Link, tap_class::Value::Human));
    assert_eq!((&tap.country, &tap.device), (&full.country, &full.device));
    // Without a value nothing is said.
    let said = full.attributes.into_iter().filter(|(_, value)| !value.is_empty());
    assert_eq!(tap.attributes, said.collect());
    let kinds = [kind::Value::Nfc, kind::Value::Qr, kind::Value::Link];
    for (tap, kind) in live[1..].iter().zip(kinds) {
        assert_eq!((tap.kind(), tap.count), (kind, 1.0));
        assert_eq!(instant(&tap.tapped_at), now);
        assert!(tap.country.is_empty() && tap.device.is_empty() && tap.attributes.is_empty());
        assert_eq!(tap.tap_id.parse::<Uuid>().unwrap().get_version_num(), 7);
    }
}

#[tokio::test]
async fn a_tag_that_was_made_a_moment_ago_can_be_tapped() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = app.client(&team.key);
    // By hand, and nobody was told.
    app.tags(team.id, &["quiet"]).await;
    let answer = record(&mut client, vec![report("quiet", now())]).await;
    assert_eq!(outcome(&answer), (1.0, 0.0, 0));

    // Asked for before it was there: it is looked for once a second at most.
    let answer = record(&mut client, vec![report("late", now())]).await;
    assert_eq!(rejections(&answer.rejected)[&0], [("tag_uid", "UNKNOWN_TAG")]);
    app.tags(team.id, &["late"]).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let answer = record(&mut client, vec![report("late", now())]).await;
    assert_eq!(outcome(&answer), (1.0, 0.0, 0));

    // As the service itself would: everybody is told. And a label that changes is seen.
    let mut following = Following::open(&mut client, StreamTapsRequest::default()).await;
    change_tags(&app, &team, "update tags set label = 'New name' where uid = 'a'").await;
    let mut label = String::new();
    for _ in 0..100 {
        record(&mut client, vec![report("a", now())]).await;
        label = following.taps(1).await.remove(0).tag_label;
        if label == "New name" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(label, "New name");
}

#[tokio::test]
async fn writers_at_once_that_send_again_leave_no_gap_and_no_double() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a", "b", "c"]).await;
    let base = instant("2023-05-31T23:59:00Z");
    let accepted = futures_util::future::join_all((0..8_usize).map(|writer| {
        let mut client = app.client(&team.key);
        async move {
            let mut accepted = 0.0;
            for n in 0..12 {
                let uid = ["a", "b", "c"][(writer + n) % 3];
                let at = base + TimeDelta::seconds(i64::try_from(n * 10).unwrap());
                let taps = reports(uid, at, 40);
                // One that is given up at some point of its way, and two at the same time.
                let hasty = std::time::Duration::from_millis(u64::try_from(n).unwrap());
                let _given_up =
                    tokio::time::timeout(hasty, record(&mut client.clone(), taps.clone())).await;
                let mut second = client.clone();
                let answers = tokio::join!(
                    record(&mut client, taps.clone()),
                    record(&mut second, taps.clone())
                );
                for answer in [&answers.0, &answers.1] {
                    assert_eq!(answer.accepted + answer.duplicates, 40.0);
                    assert!(answer.rejected.is_empty());
                    accepted += answer.accepted;
                }
            }
            accepted
        }
    }))
    .await;
    let taps = 8 * 12 * 40;
    // Those of a call that was given up were accepted by it.
    assert!(accepted.iter().sum::<f64>() <= f64::from(taps));
    assert_eq!(app.stored_taps().await, i64::from(taps));
    assert_roll_up_equals_raw(&app).await;
    let revision: i64 =
        app.scalar(&format!("select revision from teams where team_id = {}", team.id)).await;
    let gapless: bool = app
        .scalar(
            "select min(revision) = 1 and max(revision) = count(*)
                 and count(distinct revision) = count(*) from taps",
        )
        .await;
    assert!(gapless);
    assert_eq!(revision, i64::from(taps));
}

#[tokio::test]
async fn whoever_recorded_a_tap_finds_it_counted() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let mut client = app.client(&team.key);
    let day = || query("2023-05-01", "2023-05-01", "DAY");
    assert_eq!(client.query_taps(day()).await.unwrap().into_inner().total, 0.0);
    for n in 1..=30 {
        // Another connection, as a page would have.
        let mut page = app.client(&team.key);
        record(&mut client, reports("a", instant("2023-05-01T12:00:00Z"), 2)).await;
        let answer = page.query_taps(day()).await.unwrap().into_inner();
        assert_eq!(answer.total, f64::from(2 * n));
    }
}

#[tokio::test]
async fn previews_and_bots_are_counted_when_they_are_asked_for() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a", "b"]).await;
    let mut client = app.client(&team.key);
    let tags = app.sql().await.query("select tag_id from tags order by tag_id", &[]).await.unwrap();
    let tags: Vec<_> = tags.iter().map(|row| tap_analytics::ids::TagId(row.get(0))).collect();
    // 1 by people, 10 previews, 100 by bots for the one tag, and as many thousands for the other.
    let of = |tag: usize, class: TapClass, count: i32| model::NewTap {
        class,
        count,
        ..tap(tags[tag], "2023-05-01T12:34:56Z")
    };
    let mut taps = Vec::new();
    for (class, count) in TapClass::ALL.into_iter().zip([1, 10, 100]) {
        taps.extend([of(0, class, count), of(1, class, count * 1_000)]);
    }
    app.write(team.id, &taps).await;
    let by = [
        group_by::Value::None,
        group_by::Value::Tag,
        group_by::Value::Kind,
        group_by::Value::HourOfWeek,
    ];
    let cases: [(&[i32], f64); 6] = [
        (&[], 1_001.0),
        (&[0], 1_001.0),
        (&[1], 10_010.0),
        (&[2], 100_100.0),
        (&[2, 0], 101_101.0),
        (&[0, 1, 2], 111_111.0),
    ];
    for (include, total) in cases {
        for interval in ["TOTAL", "DAY", "MINUTE"] {
            for group_by in by {
                let asked = QueryTapsRequest {
                    include: include.to_vec(),
                    group_by: group_by.into(),
                    ..query("2023-05-01", "2023-05-01", interval)
                };
                let mut asked_of_one = asked.clone();
                asked_of_one.tag_uids = vec!["a".to_owned()];
                let mut totals = Vec::new();
                for asked in [asked, asked_of_one] {
                    let answer = client.query_taps(asked).await.unwrap().into_inner();
                    let groups: f64 = answer.groups.iter().map(|group| group.total).sum();
                    let grouped = group_by != group_by::Value::None;
                    assert_eq!(groups, if grouped { answer.total } else { 0.0 });
                    totals.push(answer.total);
                }
                assert_eq!(totals, [total, total % 1_000.0], "{include:?} {interval} {group_by:?}");
            }
        }
    }
}

#[tokio::test]
async fn five_thousand_taps_go_through_envoy_as_json_and_what_is_too_large_does_not() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let tap = |n: i64| {
        let tapped_at = instant("2023-05-01T12:00:00Z") + TimeDelta::milliseconds(n);
        json!({
            "tagUid": "a",
            "tapId": Uuid::now_v7().to_string(),
            "tappedAt": tapped_at.to_rfc3339(),
            "count": 1,
            "kind": "QR",
            "country": "DE",
            "device": "a till",
            "attributes": {"note": "x".repeat(100)},
        })
    };
    let mut taps: Vec<_> = (0..5_000).map(tap).collect();
    taps[7]["country"] = json!("Germany");
    let body = json!({ "taps": taps }).to_string();
    assert!(body.len() > 1024 * 1024, "{}", body.len());
    let http = reqwest::Client::new();
    let post = |body: String| {
        http.post(envoy.url("/v1/taps")).header("x-api-key", &team.key).body(body).send()
    };
    for (accepted, duplicates) in [(4_999, 0), (0, 4_999)] {
        let answer = post(body.clone()).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["ratelimit-policy"], "\"write\";q=360000;w=3600");
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(answer["accepted"], json!(accepted));
        assert_eq!(answer["duplicates"], json!(duplicates));
        assert_eq!(answer["rejected"][0]["index"], json!(7));
        assert_eq!(answer["rejected"][0]["tapId"], taps[7]["tapId"]);
        let violations = &answer["rejected"][0]["violations"];
        assert_eq!(violations[0]["field"], json!("country"));
        assert_eq!(violations[0]["reason"], json!("MALFORMED_COUNTRY"));
        assert!(answer["resumeToken"].is_string());
    }
    let qr: i64 = app
        .scalar("select count(*) from taps where kind = 'qr' and attributes ->> 'note' <> ''")
        .await;
    assert_eq!(qr, 4_999);

    let large = json!({ "taps": [{ "tagUid": "a", "device": "x".repeat(4 * 1024 * 1024) }] });
    let refused = post(large.to_string()).await.unwrap();
    assert_eq!(refused.status(), 413);
    let (code, failure) = json_failure(&refused.json().await.unwrap());
    assert_eq!((code, failure.reason.as_str()), (Code::OutOfRange, "REQUEST_TOO_LARGE"));
    // One tap in the shape that the page of the API shows.
    let one = post(r#"{"taps": [{"tagUid": "a"}]}"#.to_owned()).await.unwrap();
    let one: serde_json::Value = one.json().await.unwrap();
    assert_eq!((&one["accepted"], &one["rejected"]), (&json!(1), &json!([])));
}

/// Taps as they might come from a broken or hostile client, good values among them.
fn any_report() -> impl Strategy<Value = NewTap> {
    let uid = prop_oneof![6 => Just("a".to_owned()), 1 => "[ab]{0,2}", 1 => ".{0,70}"];
    let id = prop_oneof![
        3 => Just(String::new()),
        3 => any::<u128>().prop_map(|id| Uuid::from_u128(id).to_string()),
        1 => (0_u128..3).prop_map(|id| Uuid::from_u128(id).to_string()),
        1 => ".{0,40}",
    ];
    let at = prop_oneof![
        2 => Just(String::new()),
        6 => (1_262_300_000_i64..1_700_000_000, 0_u32..1_000_000_000)
            .prop_map(|(s, n)| DateTime::from_timestamp(s, n).unwrap().to_rfc3339()),
        1 => "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-2][0-9]:[0-5][0-9])",
        1 => ".{0,30}",
    ];
    let count = prop_oneof![
        Just(None),
        (1..100).prop_map(Some),
        prop::sample::select(vec![Some(1_000_000), Some(1_000_001), Some(0), Some(i32::MIN)]),
    ];
    let kind = prop_oneof![4 => 0..4, 1 => any::<i32>()];
    let country = prop_oneof![3 => Just(String::new()), 2 => "[A-Z]{2}", 1 => ".{0,3}"];
    let text = |longest: usize| {
        prop_oneof![
            4 => "[a-z]{0,8}".prop_map(String::from),
            2 => "\\PC{0,12}".prop_map(String::from),
            1 => any::<String>(),
            1 => (longest - 1..longest + 2).prop_map(|length| "é".repeat(length)),
        ]
    };
    let attributes = prop_oneof![
        4 => prop::collection::hash_map(text(64), text(256), 0..3),
        1 => prop::collection::hash_map("[a-z]{1,3}", text(256), 0..20),
    ];
    (uid, id, at, count, kind, country, text(64), attributes).prop_map(
        |(tag_uid, tap_id, tapped_at, count, kind, country, device, attributes)| NewTap {
            tag_uid,
            tap_id,
            tapped_at,
            count,
            kind,
            country,
            device,
            attributes,
        },
    )
}

#[test]
fn whatever_is_reported_is_stored_or_rejected_with_a_reason() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (app, mut client) = runtime.block_on(async {
        let app = App::start().await;
        let team = app.reporting_team("acme", &["a"]).await;
        let client = app.client(&team.key);
        (app, client)
    });
    let (mut stored, mut rejected) = (0.0, 0);
    let mut runner =
        TestRunner::new(Config { cases: 120, max_shrink_iters: 100, ..Config::default() });
    let batches = prop::collection::vec(any_report(), 1..60);
    let client = std::cell::RefCell::new(&mut client);
    let sums = std::cell::RefCell::new((&mut stored, &mut rejected));
    runner
        .run(&batches, |batch| {
            let answer = runtime.block_on(
                client.borrow_mut().record_taps(RecordTapsRequest { taps: batch.clone() }),
            );
            let answer = answer.map_err(|status| TestCaseError::fail(format!("{status:?}")))?;
            let answer = answer.into_inner();
            let left = batch.len() - answer.rejected.len();
            prop_assert_eq!(answer.accepted + answer.duplicates, left as f64);
            let rejections = rejections(&answer.rejected);
            for (at, violations) in &rejections {
                prop_assert!(usize::try_from(*at).unwrap() < batch.len());
                prop_assert!(!violations.is_empty());
            }
            let mut sums = sums.borrow_mut();
            *sums.0 += answer.accepted;
            *sums.1 += rejections.len();
            Ok(())
        })
        .unwrap();
    assert!(stored > 300.0 && rejected > 300, "{stored} {rejected}");
    runtime.block_on(async {
        assert_eq!(app.stored_taps().await as f64, stored);
        assert_roll_up_equals_raw(&app).await;
    });
}
