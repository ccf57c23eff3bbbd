//! `simulate`, as an operator runs it.

use std::{
    io::Write as _,
    net::SocketAddr,
    process::{Child, Output, Stdio},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tap_analytics::{
    access::{
        key::ApiKey,
        model::{Preset, Scope},
    },
    clock::Clock,
    ids::TeamId,
};
use tempfile::NamedTempFile;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::{
    app::{App, Team, envoy::free_port, eventually, now, program, query, stderr, stdout},
    coupons::Desk,
    events::balance,
    taps::assert_roll_up_equals_raw,
};

const UIDS: [&str; 5] = ["a", "b", "c", "d", "e"];

struct Simulation {
    child: Child,
    tags: NamedTempFile,
}

impl Simulation {
    /// Starts the program with tags in a file.
    fn start(service: SocketAddr, key: &str, arguments: &[&str]) -> Self {
        let url = format!("http://{service}");
        Self::start_with(key, &[&["--url", &url], arguments].concat())
    }

    fn start_with(key: &str, arguments: &[&str]) -> Self {
        let mut tags = NamedTempFile::new().unwrap();
        writeln!(tags, "tag_uid,team_id\nof-another-team,2\n{},1", UIDS.join(",1\n")).unwrap();
        let child = program("")
            .env_remove("DATABASE_URL")
            .env("TAP_API_KEY", key)
            .args(["simulate", "--tags"])
            .arg(tags.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, tags }
    }

    /// Waits until it ends by itself.
    async fn end(self) -> Output {
        let Self { child, tags } = self;
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        let output = ended.await.unwrap();
        drop(tags);
        println!("{}{}", stderr(&output), stdout(&output));
        output
    }
}

/// The number before a word of what it says of taps at the end.
fn told(output: &Output, word: &str) -> i64 {
    number(output, 0, word)
}

/// The same of visits.
fn told_of_visits(output: &Output, word: &str) -> i64 {
    number(output, 1, word)
}

fn number(output: &Output, line: usize, word: &str) -> i64 {
    let text = stdout(output);
    assert!(text.lines().count() <= 2, "{text}");
    let text = text.lines().nth(line).unwrap_or_default();
    let words: Vec<&str> = text.split([' ', ',', '\n']).filter(|part| !part.is_empty()).collect();
    let at = words.iter().position(|part| *part == word);
    at.map_or(0, |at| words[at - 1].parse().unwrap())
}

/// A team with tags, and a writer's key.
async fn team(app: &App) -> (Team, String) {
    let team = app.team("acme").await;
    app.tags(team.id, &UIDS).await;
    let writer = app.key(team.id, None, Preset::Writer.scopes(), None).await;
    (team, writer)
}

async fn total(app: &App, team: &Team) -> i64 {
    let day = |days| (Clock::system().now() + TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    let query = query(&day(-30), &day(1), "DAY");
    app.client(&team.key).query_taps(query).await.unwrap().into_inner().total as i64
}

/// What was said is what is there, and each tap is there once.
async fn assert_counted_once(app: &App, team: &Team, output: &Output) {
    let accepted = told(output, "accepted");
    assert_eq!(total(app, team).await, accepted, "QueryTaps");
    let distinct: i64 = app.scalar("select count(distinct tap_id) from taps").await;
    assert_eq!(distinct, accepted);
    assert_roll_up_equals_raw(app).await;
    let sum = accepted + told(output, "duplicates") + told(output, "rejected");
    assert_eq!(told(output, "taps"), sum);
}

#[tokio::test]
async fn taps_are_recorded_as_told() {
    let app = App::start().await;
    let (team, key) = team(&app).await;
    let arguments = ["--rate", "2000", "--seed", "7", "--duration", "6s"];
    let output = Simulation::start(app.grpc, &key, &arguments).end().await;
    let progress = stderr(&output);
    assert!(output.status.success(), "{progress}");
    assert!(!progress.contains(&key));
    assert!(progress.contains("5 tags of team 1, 0 lines left out"), "{progress}");
    let first = progress.lines().next().unwrap();
    for expected in
        ["of team 1 at", "one in a hundred is sent twice", "one in two hundred is wrong"]
    {
        assert!(first.contains(expected), "{first}");
    }
    assert!(progress.lines().any(|line| line.contains("/s: ")), "{progress}");

    assert_counted_once(&app, &team, &output).await;
    // 12,000, by the rhythm between a third and twice as many; 1 % of them twice, 0.5 % bad.
    let (accepted, duplicates, rejected) =
        (told(&output, "accepted"), told(&output, "duplicates"), told(&output, "rejected"));
    assert!((4_000..24_000).contains(&accepted), "{accepted}");
    assert!((5..20).contains(&(duplicates * 1000 / accepted)), "{duplicates} of {accepted}");
    assert!((1..10).contains(&(rejected * 1000 / accepted)), "{rejected} of {accepted}");
    for reason in ["UNKNOWN_TAG", "TIMESTAMP_IN_FUTURE"] {
        assert!(stdout(&output).contains(reason), "{}", stdout(&output));
    }
    let counts: Vec<i64> = app
        .sql()
        .await
        .query("select count(*) from taps group by tag_id order by tag_id", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(counts.len(), UIDS.len());
    assert!(counts[0] > 3 * counts[4], "some tags are far busier: {counts:?}");
    let with: i64 = app
        .scalar("select count(*) from taps where country is not null and device is not null and attributes is not null")
        .await;
    assert!(with > 0);
}

#[tokio::test]
async fn the_past_is_recorded_once() {
    let app = App::start().await;
    let (team, key) = team(&app).await;
    // Hardly anything is made in the present.
    let arguments = ["--rate", "0.001", "--since", "4d", "--duration", "1s"];
    let start = now();
    let first = Simulation::start(app.grpc, &key, &arguments).end().await;
    assert!(first.status.success(), "{}", stderr(&first));
    assert_counted_once(&app, &team, &first).await;
    let accepted = told(&first, "accepted");
    assert!((35_000..45_000).contains(&accepted), "{accepted}");
    assert!(stderr(&first).contains("the past is recorded"), "{}", stderr(&first));
    let sql = app.sql().await;
    let days = sql
        .query(
            "select count(*) from taps where tapped_at >= $1 and tapped_at < $2
             group by floor(extract(epoch from tapped_at - $1) / 86400) order by 1",
            &[&(start - TimeDelta::days(4)), &start],
        )
        .await
        .unwrap();
    let days: Vec<i64> = days.iter().map(|day| day.get(0)).collect();
    assert_eq!(days.len(), 4);
    assert!(days[0] > 7_000 && days[3] < 13_000, "as many each day: {days:?}");
    let visited = settled(&app, &team, &first).await;

    let second = Simulation::start(app.grpc, &key, &arguments).end().await;
    assert!(second.status.success(), "what is there already is no failure: {}", stderr(&second));
    let (more, again) = (told(&second, "accepted"), told(&second, "duplicates"));
    assert!(more < 50 && again > accepted - 50, "{more} {again}");
    assert_eq!(told(&second, "rejected"), 0, "they are the same in everything");
    assert_eq!(total(&app, &team).await, accepted + more);
    let distinct: i64 = app.scalar("select count(distinct tap_id) from taps").await;
    assert_eq!(distinct, accepted + more);
    assert_roll_up_equals_raw(&app).await;
    eventually("nothing waits", || async { balance(&app, team.id.0).await[4] == 0 }).await;
    let [received, stored, duplicate, rejected, _] = balance(&app, team.id.0).await;
    let [first_stored, first_rejected] = visited;
    assert!(received > first_stored * 2, "events come again: {received}");
    assert!(duplicate > first_stored - 300, "{duplicate} of {first_stored}");
    assert!(stored < first_stored + 300, "{stored} and {first_stored}");
    assert!(rejected < first_rejected + 10, "{rejected} and {first_rejected}");
}

/// Waits until the events of visits are settled, looks at them, and says how many were stored and refused.
async fn settled(app: &App, team: &Team, output: &Output) -> [i64; 2] {
    eventually("nothing waits", || async { balance(app, team.id.0).await[4] == 0 }).await;
    let [received, stored, duplicate, rejected, _] = balance(app, team.id.0).await;
    assert_eq!(received, told_of_visits(output, "taken"));
    assert_eq!(received, told_of_visits(output, "events"));
    assert_eq!((duplicate, rejected), (0, told_of_visits(output, "wrong")));
    let count = async |sql| app.scalar::<i64>(sql).await;
    let sessions = count("select count(*) from sessions").await;
    assert_eq!(sessions, told_of_visits(output, "visits"));
    let of_taps = "select count(*) from sessions join taps using (team_id, tap_id)";
    assert_eq!(count(of_taps).await, sessions, "each comes from a tap that there is");
    let early = "select count(*) from events join sessions using (team_id, session_id)
        join taps using (team_id, tap_id)
        where occurred_at < tapped_at or occurred_at > tapped_at + interval '1 minute'";
    assert_eq!(count(early).await, 0, "within a minute after the tap");
    [stored, rejected]
}

#[tokio::test]
async fn visits_follow_taps() {
    let app = App::start().await;
    let (team, key) = team(&app).await;
    let arguments = ["--rate", "40", "--since", "3d", "--duration", "8s", "--seed", "1"];
    let output = Simulation::start(app.grpc, &key, &arguments).end().await;
    assert!(output.status.success());
    assert!(stderr(&output).contains("after some of them come visits"), "{}", stderr(&output));
    let [stored, rejected] = settled(&app, &team, &output).await;
    assert!((10..40).contains(&(rejected * 1000 / stored)), "{rejected} of {stored}");
    let count = async |sql| app.scalar::<i64>(sql).await;
    let present = "select count(*) from sessions join taps using (team_id, tap_id)
        where tapped_at > now() - interval '30 seconds'";
    assert!(count(present).await > 10, "also of people of now");
    let days = "select count(distinct date_trunc('day', occurred_at)) from events";
    assert!(count(days).await >= 3, "a chart");
    for what in ["category", "(category, name)"] {
        let kinds = format!("select count(distinct {what}) from events");
        assert_eq!(app.scalar::<i64>(&kinds).await, 4);
    }
    assert_eq!(count("select count(*) from event_types").await, 3);
    let sql = app.sql().await;
    let groups = "select reasons[1], fields[1], count(*), count(*) filter (where payload -> 'session' is not null)
        from event_errors group by 1, 2 order by 1, 2";
    let groups = sql.query(groups, &[]).await.unwrap();
    let groups: Vec<(String, String, i64, i64)> =
        groups.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let kinds: Vec<_> = groups.iter().map(|(reason, field, ..)| (&**reason, &**field)).collect();
    for expected in [
        ("REQUIRED", "category"),
        ("REQUIRED", "data"),
        ("SCHEMA_VIOLATION", "data"),
        ("TIMESTAMP_IN_FUTURE", "occurred_at"),
        ("UNKNOWN_SESSION", "session_id"),
    ] {
        assert!(kinds.contains(&expected), "{expected:?} is not in {groups:?}");
    }
    let nested: i64 = groups.iter().map(|(.., nested)| nested).sum();
    assert!(nested > 0 && nested < rejected, "in both forms: {groups:?}");
}

#[tokio::test]
async fn coupons_are_seen_and_redeemed_in_visits() {
    let desk = Desk::open().await;
    let (app, team) = (&desk.app, &desk.team);
    app.tags(team.id, &[&UIDS[..], &["untapped"]].concat()).await;
    let made = now();
    let any = desk.coupon_id("ANY", json!({})).await;
    let of_a = desk.coupon_id("OF-A", json!({"tag_uids": ["a", "untapped"]})).await;
    let yesterday = (made - TimeDelta::days(1)).to_rfc3339();
    desk.coupon("UNTAPPED", json!({"tag_uids": ["untapped"]})).await;
    desk.coupon("EXPIRED", json!({ "expire_at": yesterday })).await;
    desk.coupon("DISABLED", json!({"disabled": true})).await;
    desk.coupon("TO-COME", json!({"published_at": "9000-01-01T00:00:00Z"})).await;
    let fresh = desk.coupon_id("FRESH", json!({ "published_at": yesterday })).await;

    let arguments = ["--rate", "40", "--since", "2d", "--duration", "20s", "--seed", "2"];
    let output = Simulation::start(app.grpc, &desk.key, &arguments).end().await;
    assert!(output.status.success());
    assert!(!stderr(&output).contains("no coupons"), "{}", stderr(&output));
    let (visits, seen) = (told_of_visits(&output, "visits"), told_of_visits(&output, "coupons"));
    let redeemed = told_of_visits(&output, "redeemed");
    assert!((200..400).contains(&(seen * 1000 / visits)), "{seen} of {visits}");
    assert!(redeemed > 0);
    assert_eq!(told_of_visits(&output, "refused"), 0);
    settled(app, team, &output).await;

    let sql = app.sql().await;
    let views = "select data ->> 'coupon_id', tags.uid, occurred_at
        from events join sessions using (team_id, session_id) join taps using (team_id, tap_id)
        join tags using (team_id, tag_id) where category = 'coupon' and events.name = 'viewed'";
    let views = sql.query(views, &[]).await.unwrap();
    let views: Vec<(String, String, DateTime<Utc>)> =
        views.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(i64::try_from(views.len()).unwrap(), seen);
    let begun = made - TimeDelta::days(1);
    for (coupon, uid, at) in &views {
        let shown = *coupon == any || *coupon == of_a && uid == "a";
        assert!(shown || *coupon == fresh && *at >= begun, "{coupon} {uid} {at}");
    }
    let with = |coupon: &str| views.iter().filter(|(id, ..)| id == coupon).count();
    assert!([&any, &of_a, &fresh].iter().all(|coupon| with(coupon) > 5));
    assert!(views.iter().any(|(.., at)| *at < begun) && views.iter().any(|(.., at)| *at > made));

    let good = "select count(*) from redemptions
        join taps using (team_id, tap_id, tag_id) join events on data ->> 'coupon_id' = coupon_id::text
        join sessions using (session_id)
        where redeemed_at between occurred_at and occurred_at + interval '15 seconds'
            and sessions.tap_id = redemptions.tap_id and length(subject) = 32 and request_id is not null";
    assert_eq!(app.scalar::<i64>(good).await, redeemed, "each after a look");
    let day = |days| (made + TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    let query = json!({"start_date": day(-3), "end_date": day(2)});
    let funnel = desk.answer("QueryFunnel", query).await["total"].clone();
    let count = |stage: &str| funnel[stage].as_f64().unwrap() as i64;
    assert_eq!((count("couponViews"), count("redemptions")), (seen, redeemed));
    assert_eq!((count("taps"), count("sessions")), (told(&output, "accepted"), visits));
}

#[tokio::test]
async fn coupons_that_cannot_be_had_are_no_failure() {
    let desk = Desk::open().await;
    let (app, team) = (&desk.app, &desk.team);
    app.tags(team.id, &UIDS).await;
    let arguments = ["--rate", "40", "--duration", "1s"];
    let output = Simulation::start(app.grpc, &desk.key, &arguments).end().await;
    assert!(output.status.success());
    let none = "no coupons are seen in visits: the team has none that are valid";
    assert_eq!(stderr(&output).matches(none).count(), 1);
    assert!(!stdout(&output).contains("coupon"));

    let id = desk.coupon_id("ONCE", json!({"max_redemptions": 1})).await;
    desk.answer("RedeemCoupon", json!({ "id": id })).await;
    let may = [Scope::TapsWrite, Scope::EventsWrite];
    let look = app.key(team.id, None, &[&may[..], &[Scope::CouponsRead]].concat(), None).await;
    let redeem = app.key(team.id, None, Preset::Writer.scopes(), None).await;
    let arguments = ["--rate", "40", "--duration", "20s"];
    let [all, look, redeem] =
        [&desk.key, &look, &redeem].map(|key| Simulation::start(app.grpc, key, &arguments).end());
    let (all, look, redeem) = tokio::join!(all, look, redeem);

    for output in [&all, &look, &redeem] {
        assert!(output.status.success());
        assert!(told_of_visits(output, "taken") > 0);
        assert_eq!(told_of_visits(output, "redeemed"), 0);
    }
    assert!(told_of_visits(&all, "refused") > 0);
    assert!(stdout(&all).contains("(COUPON_EXHAUSTED "), "{}", stdout(&all));
    assert!(told_of_visits(&look, "coupons") > 0);
    assert_eq!(told_of_visits(&look, "refused"), 0);
    assert!(!stdout(&redeem).contains("coupon"), "{}", stdout(&redeem));
    for (output, said) in [(&look, "are redeemed"), (&redeem, "are seen in visits")] {
        let lines: Vec<String> = stderr(output)
            .lines()
            .filter(|line| line.contains("no coupons"))
            .map(str::to_owned)
            .collect();
        let [line] = &lines[..] else { panic!("not once: {lines:?}") };
        let scope = if said == "are redeemed" { "coupons:redeem" } else { "coupons:read" };
        assert!(line.contains(said) && line.contains(scope), "{line}");
    }
    let seen = told_of_visits(&all, "coupons") + told_of_visits(&look, "coupons");
    let views = "select count(*) from events where category = 'coupon'";
    eventually("nothing waits", || async { balance(app, team.id.0).await[4] == 0 }).await;
    assert_eq!(app.scalar::<i64>(views).await, seen);
    assert_eq!(app.scalar::<i64>("select count(*) from redemptions").await, 1);
}

#[tokio::test]
async fn without_the_scope_there_are_taps_only() {
    let app = App::start().await;
    let (team, _) = team(&app).await;
    let key = app.key(team.id, None, &[Scope::TapsWrite], None).await;
    let arguments = ["--rate", "200", "--since", "1d", "--duration", "2s"];
    for (more, said) in [(&[][..], 1), (&["--taps-only"], 0)] {
        let arguments = [&arguments[..], more].concat();
        let output = Simulation::start(app.grpc, &key, &arguments).end().await;
        assert!(output.status.success());
        assert!(told(&output, "accepted") > 0);
        assert_eq!(stdout(&output).lines().count(), 1, "nothing is said of visits");
        assert_eq!(stderr(&output).matches("there are no events, only taps").count(), said);
        assert_eq!(stderr(&output).matches("events:write").count(), said);
    }
    assert_eq!(balance(&app, team.id.0).await, [0; 5]);
    assert_eq!(app.scalar::<i64>("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn it_fails_when_not_one_tap_was_taken() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let key = app.key(team.id, None, Preset::Writer.scopes(), None).await;
    let arguments = ["--rate", "100", "--duration", "2s"];
    // The tags are not there.
    let output = Simulation::start(app.grpc, &key, &arguments).end().await;
    assert!(!output.status.success());
    assert!(told(&output, "rejected") > 0);
    for expected in ["not one tap was taken", "UNKNOWN_TAG", "tap-analytics seed"] {
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    // Nor is the service.
    let nobody = Road::new(app.grpc);
    let output = Simulation::start(nobody.address, &key, &arguments).end().await;
    assert!(!output.status.success());
    assert!(stderr(&output).contains("Check that the service runs"), "{}", stderr(&output));
}

#[tokio::test]
async fn a_signal_ends_it_with_a_summary() {
    let app = App::start().await;
    let (team, key) = team(&app).await;
    for signal in ["-TERM", "-INT"] {
        let before = total(&app, &team).await;
        let simulation = Simulation::start(app.grpc, &key, &["--rate", "200"]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let pid = simulation.child.id().to_string();
        let killed = std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(killed.success());
        let output = simulation.end().await;
        assert!(output.status.success(), "{}", stderr(&output));
        let accepted = told(&output, "accepted");
        assert!((20..1500).contains(&accepted), "{accepted}");
        assert_eq!(total(&app, &team).await - before, accepted);
        assert!(!stdout(&output).contains("wait for an answer"), "{}", stdout(&output));
    }
}

#[tokio::test]
async fn a_service_that_is_away_for_a_while_misses_nothing_and_counts_nothing_twice() {
    let app = App::start().await;
    let (team, key) = team(&app).await;
    let mut road = Road::new(app.grpc);
    let simulation = Simulation::start(road.address, &key, &["--rate", "400", "--duration", "9s"]);
    // Nobody is there at first.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(total(&app, &team).await, 0);
    // Then calls come through, and are cut off again and again. Of some calls only the answer is lost:
    // their taps are stored, and sent again.
    for cut in 0..10_u64 {
        road.open(cut % 3 != 1).await;
        tokio::time::sleep(Duration::from_millis(400 + 7 * cut)).await;
        road.close().await;
    }
    road.open(true).await;
    let output = simulation.end().await;
    let progress = stderr(&output);
    assert!(output.status.success(), "{progress}");
    assert!(progress.contains("no answer from http://127.0.0.1:"), "{progress}");
    assert!(progress.contains("taps are taken again, after"), "{progress}");
    assert!(!stdout(&output).contains("wait for an answer"), "{}", stdout(&output));
    assert!(!stdout(&output).contains("dropped"), "{}", stdout(&output));
    assert_counted_once(&app, &team, &output).await;
    let accepted = told(&output, "accepted");
    assert!(
        accepted > 9 * 400 / 3,
        "those of the time without a service are there too: {accepted}"
    );
}

#[tokio::test]
async fn what_cannot_go_on_says_what_to_do() {
    let app = App::start().await;
    let (team, _) = team(&app).await;
    let make = "tap-analytics keys create --team team-1 --name simulate --preset writer";
    let (unknown, other) =
        (ApiKey::generate(team.id).unwrap(), ApiKey::generate(TeamId(3)).unwrap());
    for (key, expected) in [
        (unknown.reveal(), make),
        (&*team.key, make),
        (&*team.key, "taps:write"),
        (&team.key[..20], "this is not an API key"),
        ("a\nkey", "this is not an API key"),
        (other.reveal(), "has no tags of team 3"),
    ] {
        let output = Simulation::start(app.grpc, key, &[]).end().await;
        assert!(!output.status.success());
        assert!(stderr(&output).contains(expected), "{expected:?} is not in {}", stderr(&output));
    }
    for (option, expected) in [
        ("--rate=0", "0.001 to 10000"),
        ("--url=localhost:50051", "such as http://localhost:50051"),
        ("--duration=soon", "such as 90d"),
        ("--since=1w", "such as 90d"),
    ] {
        let output = Simulation::start_with(&team.key, &[option]).end().await;
        assert!(stderr(&output).contains(expected), "{expected:?} is not in {}", stderr(&output));
    }
}

/// The way to a service, which can be closed: what is on it is lost.
pub struct Road {
    pub address: SocketAddr,
    service: SocketAddr,
    traffic: Option<JoinHandle<()>>,
}

impl Road {
    /// Closed.
    pub fn new(service: SocketAddr) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self { address, service, traffic: None }
    }

    /// Open to calls, and maybe to answers.
    pub async fn open(&mut self, to_answers: bool) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let service = self.service;
        self.traffic = Some(tokio::spawn(async move {
            // Ends with this task.
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let (mut calls, mut caller) = client.into_split();
                    let there = TcpStream::connect(service).await.unwrap();
                    let (mut answers, mut callee) = there.into_split();
                    let back = async {
                        if to_answers {
                            tokio::io::copy(&mut answers, &mut caller).await.map(drop)
                        } else {
                            std::future::pending().await
                        }
                    };
                    let _ended = tokio::select! {
                        ended = tokio::io::copy(&mut calls, &mut callee) => ended.map(drop),
                        ended = back => ended,
                    };
                });
            }
        }));
    }

    pub async fn close(&mut self) {
        let traffic = self.traffic.take().unwrap();
        traffic.abort();
        let _aborted = traffic.await;
    }
}
