//! Streams of taps: nothing is lost and nothing comes twice, whatever breaks meanwhile.

use std::{
    collections::HashSet,
    net::SocketAddr,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use tap_analytics::{
    access,
    access::model::Scope,
    clock::Clock,
    db,
    feeds::token::{History, Tokens},
    proto::tap_v1::{
        NewTap, QueryTapsRequest, QueryTapsResponse, RecordTapsRequest, StreamTapsRequest, Tap,
        WatchTapsRequest, compare, end_reason, group_by, stream_taps_response, watch_taps_response,
    },
    secrets::Secrets,
};
use tokio::time;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::{
    app::{
        self, App, KeyedClient, Options, OwnPostgres, Team, connect, eventually, keyed_client,
        new_database, program, store,
    },
    taps::assert_roll_up_equals_raw,
};

const TAGS: [&str; 4] = ["door", "table-1", "table-2", "poster"];

/// A small generator, so that a failing run can be told from another by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A team with tags, and a key that may do everything.
async fn prepare(app: &App) -> Team {
    let team = app.team("acme").await;
    app.tags(team.id, &TAGS).await;
    let key = app.key(team.id, None, Scope::ALL, None).await;
    Team { key, ..team }
}

fn some_tap(dice: &mut Dice) -> NewTap {
    let tapped_at = app::now() - TimeDelta::seconds(dice.roll(200_000).cast_signed());
    NewTap {
        tag_uid: TAGS[usize::try_from(dice.roll(4)).unwrap()].to_owned(),
        tap_id: Uuid::now_v7().to_string(),
        tapped_at: tapped_at.to_rfc3339(),
        count: Some(1 + i32::try_from(dice.roll(3)).unwrap()),
        ..NewTap::default()
    }
}

/// Whether an error is of a service that is gone or has no store.
fn is_away(status: &Status) -> bool {
    use Code::{Cancelled, Internal, Unavailable, Unknown};
    matches!(status.code(), Unavailable | Unknown | Cancelled | Internal)
}

/// Sends batches until told to stop, each again and again until it is answered, and sometimes once more.
async fn write(mut client: KeyedClient, seed: u64, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let mut dice = Dice(seed * 7919 + 1);
    while !stop.load(Ordering::SeqCst) {
        let taps: Vec<NewTap> = (0..=dice.roll(40)).map(|_| some_tap(&mut dice)).collect();
        let mut answers = 0;
        while answers < 1 + u64::from(dice.roll(10) == 0) {
            match client.record_taps(RecordTapsRequest { taps: taps.clone() }).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    assert!(answer.rejected.is_empty(), "{:?}", answer.rejected);
                    let all = answer.accepted + answer.duplicates;
                    assert!((all - f64::from(u32::try_from(taps.len()).unwrap())).abs() < 0.5);
                    answers += 1;
                }
                Err(status) => {
                    assert!(is_away(&status), "{status:?}");
                    time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        acknowledged.fetch_add(u64::try_from(taps.len()).unwrap(), Ordering::SeqCst);
        time::sleep(Duration::from_millis(dice.roll(20))).await;
    }
}

/// One reader that goes away now and then and comes back with its last token.
struct Reader {
    client: KeyedClient,
    request: StreamTapsRequest,
    dice: Dice,
    taps: Vec<Tap>,
}

impl Reader {
    fn new(client: KeyedClient, seed: u64, tag_uids: &[&str]) -> Self {
        let tag_uids = tag_uids.iter().map(|uid| (*uid).to_owned()).collect();
        let request = StreamTapsRequest { tag_uids, ..StreamTapsRequest::default() };
        Self { client, request, dice: Dice(seed * 104_729 + 1), taps: Vec::new() }
    }

    /// Opens the stream, and takes the token of the first frame.
    async fn open(&mut self) -> Streaming<tap_analytics::proto::tap_v1::StreamTapsResponse> {
        loop {
            let opened = self.client.stream_taps(self.request.clone()).await;
            let mut frames = match opened {
                Ok(answer) => answer.into_inner(),
                Err(status) => {
                    assert!(is_away(&status), "{status:?}");
                    time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            match frames.message().await {
                Ok(Some(frame)) => {
                    let Some(stream_taps_response::Frame::Hello(hello)) = frame.frame else {
                        panic!("the first frame is {frame:?}")
                    };
                    self.request.resume_token = hello.resume_token;
                    return frames;
                }
                Ok(None) | Err(_) => time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Reads until `done` says that it has all, and a little more.
    async fn read(mut self, done: impl Fn(usize) -> bool, breaks: bool) -> Vec<Tap> {
        let give_up = Instant::now() + Duration::from_mins(1);
        let mut frames = self.open().await;
        loop {
            if breaks && self.dice.roll(60) == 0 {
                drop(frames);
                time::sleep(Duration::from_millis(self.dice.roll(150))).await;
                frames = self.open().await;
            }
            let more = Duration::from_millis(500);
            let wait = if done(self.taps.len()) { more } else { more * 4 };
            match time::timeout(wait, frames.message()).await {
                Ok(Ok(Some(frame))) => self.take(frame.frame),
                Ok(Ok(None) | Err(_)) => frames = self.open().await,
                Err(_) if done(self.taps.len()) => return self.taps,
                Err(_) => assert!(Instant::now() < give_up, "{} taps only", self.taps.len()),
            }
        }
    }

    fn take(&mut self, frame: Option<stream_taps_response::Frame>) {
        use stream_taps_response::Frame;
        match frame {
            Some(Frame::Tap(tap)) => {
                self.request.resume_token.clone_from(&tap.resume_token);
                self.taps.push(tap);
            }
            Some(Frame::Heartbeat(heartbeat)) => self.request.resume_token = heartbeat.resume_token,
            Some(Frame::End(_)) | None => {}
            Some(Frame::Hello(_)) => panic!("a second hello"),
        }
    }
}

/// What is stored, in order: id and tag.
async fn stored(url: &str) -> Vec<(String, String)> {
    let sql = connect(url).await;
    let rows = sql
        .query("select tap_id::text, uid from taps join tags using (team_id, tag_id) order by revision", &[])
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Writers and readers at work while something happens; then everybody has what is stored, in order, once.
async fn conserve(url: &str, servers: &[SocketAddr], key: &str, trouble: impl Future<Output = ()>) {
    let stop = AtomicBool::new(false);
    let acknowledged = AtomicU64::new(0);
    let total = AtomicU64::new(u64::MAX);
    let client = |at: usize| keyed_client(servers[at % servers.len()], key);
    // With all taps, breaking off; with all, slow at times; with those of two tags.
    let filters: [&[&str]; 6] = [&[], &[], &[], &[], &["door", "poster"], &["table-1"]];

    // All begin before the first tap.
    let mut begin = Reader::new(client(0), 0, &[]);
    drop(begin.open().await);
    let begin = begin.request.resume_token;
    let writers = (0..4).map(|at| write(client(at), at as u64, &stop, &acknowledged));
    let wanted: Vec<AtomicU64> = filters.iter().map(|_| AtomicU64::new(u64::MAX)).collect();
    let readers = filters.iter().enumerate().map(|(at, filter)| {
        let mut reader = Reader::new(client(at + 1), at as u64 + 50, filter);
        reader.request.resume_token.clone_from(&begin);
        let wanted = &wanted[at];
        reader.read(
            move |have| u64::try_from(have).unwrap() >= wanted.load(Ordering::SeqCst),
            at != 0,
        )
    });
    let conduct = async {
        time::sleep(Duration::from_millis(700)).await;
        trouble.await;
        time::sleep(Duration::from_millis(700)).await;
        stop.store(true, Ordering::SeqCst);
    };
    let writing = async {
        tokio::join!(conduct, futures_util::future::join_all(writers));
        let stored = stored(url).await;
        total.store(u64::try_from(stored.len()).unwrap(), Ordering::SeqCst);
        for (filter, wanted) in filters.iter().zip(&wanted) {
            let count = stored.iter().filter(|(_, uid)| wants(filter, uid)).count();
            wanted.store(u64::try_from(count).unwrap(), Ordering::SeqCst);
        }
        stored
    };
    let (stored, read) = tokio::join!(writing, futures_util::future::join_all(readers));

    let acknowledged = acknowledged.load(Ordering::SeqCst);
    assert!(acknowledged > 200, "only {acknowledged} taps were acknowledged");
    // What was sent and not yet acknowledged when the service was killed may be stored as well; all that
    // were acknowledged are, since writers do not stop before the answer.
    assert_eq!(u64::try_from(stored.len()).unwrap(), acknowledged);
    let distinct: HashSet<_> = stored.iter().collect();
    assert_eq!(distinct.len(), stored.len(), "each tap is stored once");
    for (filter, taps) in filters.iter().zip(read) {
        let expected: Vec<&str> = stored
            .iter()
            .filter(|(_, uid)| wants(filter, uid))
            .map(|(id, _)| id.as_str())
            .collect();
        let got: Vec<&str> = taps.iter().map(|tap| tap.tap_id.as_str()).collect();
        let first = got.iter().zip(&expected).position(|(got, expected)| got != expected);
        assert!(
            got == expected,
            "a reader of {filter:?} has {} of {} taps, the first that differs at {first:?}",
            got.len(),
            expected.len()
        );
    }
}

fn wants(filter: &[&str], uid: &str) -> bool {
    filter.is_empty() || filter.contains(&uid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reader_ends_with_exactly_what_is_stored() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let nothing = time::sleep(Duration::from_secs(2));
    conserve(&app.store.database_url, &[app.grpc], &team.key, nothing).await;
    assert_roll_up_equals_raw(&app).await;
}

/// A lone reader that comes and goes: each time the feed of the team begins anew, among commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_begins_among_commits_leaves_nothing_out() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let revisions = Revisions::of(&app, &team).await;
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let writers = (0..6).map(|at| write(app.client(&team.key), at + 20, &stop, &acknowledged));
    let reading = async {
        for _ in 0..150 {
            let mut reader = Reader::new(app.client(&team.key), 3, &[]);
            let mut frames = reader.open().await;
            // Revisions have no gaps: each tap follows the one before.
            for _ in 0..5 {
                let before = revisions.read(&reader.request.resume_token);
                let Ok(frame) = time::timeout(Duration::from_millis(100), frames.message()).await
                else {
                    break;
                };
                reader.take(frame.unwrap().unwrap().frame);
                let after = revisions.read(&reader.request.resume_token);
                assert_eq!(after, before + 1, "{} taps were left out", after - before - 1);
            }
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(futures_util::future::join_all(writers), reading);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_one_replica_get_what_another_one_stores() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let other = App::on(app.store.clone(), Options::default()).await;
    let nothing = time::sleep(Duration::from_secs(2));
    conserve(&app.store.database_url, &[app.grpc, other.grpc], &team.key, nothing).await;
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_lose_nothing_when_replicas_do_not_hear_each_other() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let other = App::on(app.store.clone(), Options::default()).await;
    let sql = app.sql().await;
    let cut = async {
        for _ in 0..4 {
            let cut = sql
                .execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database() and query ilike 'listen%' or query ilike '%listen taps%'
                     and pid <> pg_backend_pid() and datname = current_database()",
                    &[],
                )
                .await
                .unwrap();
            assert!(cut > 0, "nobody was listening");
            time::sleep(Duration::from_millis(1_300)).await;
        }
    };
    conserve(&app.store.database_url, &[app.grpc, other.grpc], &team.key, cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_writers_get_over_a_restart_of_the_store() {
    let postgres = OwnPostgres::start().await;
    let app = App::on(store(&postgres.url), Options::default()).await;
    let team = prepare(&app).await;
    let faults = async {
        tokio::task::block_in_place(|| postgres.restart());
        time::sleep(Duration::from_millis(700)).await;
        tokio::task::block_in_place(|| {
            postgres.kill();
            postgres.start_again();
        });
    };
    conserve(&postgres.url, &[app.grpc], &team.key, faults).await;
    assert_roll_up_equals_raw(&app).await;
}

/// The program, serving on fixed ports.
pub struct Service {
    url: String,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
    settings: Vec<(&'static str, String)>,
    child: Child,
}

impl Service {
    pub async fn start(url: &str) -> Self {
        Self::start_with(url, vec![("TAP_LOG", "error".to_owned())]).await
    }

    /// With these settings. What it says goes into the file of the setting `log`, where there is one.
    pub async fn start_with(url: &str, settings: Vec<(&'static str, String)>) -> Self {
        let on = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (grpc, admin) = (on(app::envoy::free_port()), on(app::envoy::free_port()));
        let child = Self::spawn(url, grpc, admin, &settings);
        let service = Self { url: url.to_owned(), grpc, admin, settings, child };
        service.until_ready().await;
        service
    }

    fn spawn(
        url: &str,
        grpc: SocketAddr,
        admin: SocketAddr,
        settings: &[(&'static str, String)],
    ) -> Child {
        let mut command = program(url);
        command
            .arg("serve")
            .env("TAP_GRPC_PORT", grpc.port().to_string())
            .env("TAP_ADMIN_PORT", admin.port().to_string())
            .envs(settings.iter().cloned())
            .stdin(Stdio::null());
        if let Some((_, log)) = settings.iter().find(|(name, _)| *name == "log") {
            let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
            command.stdout(log.try_clone().unwrap()).stderr(log);
        }
        command.spawn().unwrap()
    }

    /// SIGTERM, and its end: whether that was a good one.
    pub fn stop(&mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").arg(pid).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    async fn until_ready(&self) {
        let ready = format!("http://{}/readyz", self.admin);
        eventually("the program serves", || async {
            reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Which process it is.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and a new start.
    pub async fn kill_and_start(&mut self) {
        self.kill();
        self.start_again().await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn start_again(&mut self) {
        self.child = Self::spawn(&self.url, self.grpc, self.admin, &self.settings);
        self.until_ready().await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let url = new_database().await;
    let app = App::on(store(&url), Options::default()).await;
    let team = prepare(&app).await;
    let mut service = Service::start(&url).await;
    let grpc = service.grpc;
    let kills = async {
        for _ in 0..3 {
            service.kill_and_start().await;
            time::sleep(Duration::from_millis(500)).await;
        }
    };
    conserve(&url, &[grpc], &team.key, kills).await;
    assert_roll_up_equals_raw(&app).await;
}

/// Reads the revision in a token, as only the service can.
struct Revisions {
    tokens: Tokens,
    team: Team,
}

impl Revisions {
    async fn of(app: &App, team: &Team) -> Self {
        let secret = Secrets::load(&app.db).await.unwrap().root();
        let history = History::new(db::history(&app.db).await.unwrap());
        Self { tokens: Tokens::new(secret, history, Clock::system()), team: team.clone() }
    }

    fn read(&self, token: &str) -> i64 {
        self.tokens.read(self.team.id, token).unwrap().revision
    }
}

/// What a chart does with the frames of a watch.
fn apply(chart: &mut Option<QueryTapsResponse>, frame: watch_taps_response::Frame) -> bool {
    use watch_taps_response::Frame;
    match (frame, chart) {
        (Frame::Answer(answer), chart) => *chart = Some(answer),
        (Frame::Change(change), Some(chart)) => {
            for bucket in change.buckets {
                let at = chart.buckets.iter().position(|old| old.start == bucket.start).unwrap();
                chart.buckets[at] = bucket;
            }
            for changed in change.groups {
                let group = &mut chart.groups[usize::try_from(changed.index).unwrap()];
                group.total = changed.total;
                for count in changed.counts {
                    group.counts[usize::try_from(count.index).unwrap()] = count.count;
                }
            }
            chart.total = change.total;
            chart.resume_token = change.resume_token;
        }
        (Frame::Heartbeat(_) | Frame::End(_), _) => return false,
        (Frame::Change(_), None) => panic!("a change before the answer"),
    }
    true
}

/// A chart that follows, and what it showed at each frame.
async fn chart(
    mut client: KeyedClient,
    query: QueryTapsRequest,
    seed: u64,
    stop: &AtomicBool,
) -> Vec<QueryTapsResponse> {
    let mut dice = Dice(seed * 31 + 7);
    let mut shown = Vec::new();
    let mut resume_token = String::new();
    while !stop.load(Ordering::SeqCst) {
        let request =
            WatchTapsRequest { query: Some(query.clone()), resume_token: resume_token.clone() };
        let mut frames = client.watch_taps(request).await.unwrap().into_inner();
        let mut chart = None;
        for _ in 0..2 + dice.roll(6) {
            match time::timeout(Duration::from_millis(1_500), frames.message()).await {
                Ok(frame) => {
                    if apply(&mut chart, frame.unwrap().unwrap().frame.unwrap()) {
                        shown.extend(chart.clone());
                    }
                }
                Err(_) => break,
            }
        }
        resume_token = chart.map(|chart| chart.resume_token).unwrap_or_default();
    }
    shown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chart_that_follows_a_watch_always_shows_what_query_taps_says() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let revisions = Revisions::of(&app, &team).await;
    let (today, stop, acknowledged) =
        (app::now().date_naive(), AtomicBool::new(false), AtomicU64::new(0));
    let asked = |interval: &str, group: group_by::Value, uids: &[&str]| QueryTapsRequest {
        group_by: group.into(),
        limit: 2,
        tag_uids: uids.iter().map(|uid| (*uid).to_owned()).collect(),
        ..app::query(&(today - TimeDelta::days(1)).to_string(), &today.to_string(), interval)
    };
    let queries = [
        asked("HOUR", group_by::Value::Tag, &[]),
        asked("DAY", group_by::Value::Kind, &["door", "poster"]),
        asked("TOTAL", group_by::Value::None, &[]),
        asked("MINUTE", group_by::Value::None, &["table-1"]),
        QueryTapsRequest {
            compare: compare::Value::PreviousPeriod.into(),
            ..asked("DAY", group_by::Value::None, &[])
        },
    ];
    let charts = queries
        .iter()
        .zip(0..)
        .map(|(query, seed)| chart(app.client(&team.key), query.clone(), seed, &stop));
    let writers = (0..3).map(|at| write(app.client(&team.key), at + 90, &stop, &acknowledged));
    let end = async {
        time::sleep(Duration::from_secs(5)).await;
        stop.store(true, Ordering::SeqCst);
    };
    let ((), _, shown) = tokio::join!(
        end,
        futures_util::future::join_all(writers),
        futures_util::future::join_all(charts)
    );

    let sql = app.sql().await;
    let rows = sql
        .query(
            "select revision, uid, tapped_at, count from taps join tags using (team_id, tag_id)",
            &[],
        )
        .await
        .unwrap();
    for (query, shown) in queries.iter().zip(shown) {
        let distinct: HashSet<_> = shown.iter().map(|chart| &chart.resume_token).collect();
        assert!(distinct.len() > 5, "{} states were shown", distinct.len());
        for chart in shown {
            let revision = revisions.read(&chart.resume_token);
            let wanted = rows.iter().filter(|row| {
                row.get::<_, i64>(0) <= revision
                    && (query.tag_uids.is_empty() || query.tag_uids.contains(&row.get(1)))
            });
            let wanted: Vec<(String, chrono::DateTime<Utc>, i32)> =
                wanted.map(|row| (row.get(1), row.get(2), row.get(3))).collect();
            let sum = |start: &str, end: &str, uid: Option<&str>| -> f64 {
                let (start, end) = (app::instant(start), app::instant(end));
                let taps = wanted.iter().filter(|(tag, at, _)| {
                    *at >= start && *at < end && uid.is_none_or(|uid| uid == tag)
                });
                taps.map(|(_, _, count)| f64::from(*count)).sum()
            };
            let mut total = 0.0;
            for (at, bucket) in chart.buckets.iter().enumerate() {
                let expected = sum(&bucket.start, &bucket.end, None);
                assert!(
                    (bucket.count - expected).abs() < 0.5,
                    "{bucket:?} at {revision}, expected {expected}"
                );
                total += expected;
                if query.group_by == i32::from(group_by::Value::Tag) {
                    let tags: f64 = chart.groups.iter().map(|group| group.counts[at]).sum();
                    assert!((tags - expected).abs() < 0.5);
                    for group in chart.groups.iter().filter(|group| !group.other) {
                        let expected = sum(&bucket.start, &bucket.end, Some(&group.key));
                        assert!(
                            (group.counts[at] - expected).abs() < 0.5,
                            "{group:?} at {revision}"
                        );
                    }
                }
            }
            assert!((chart.total - total).abs() < 0.5);
            if let Some(earlier) = &chart.comparison {
                let expected = sum(&earlier.start, &earlier.end, None);
                assert!((earlier.total - expected).abs() < 0.5, "{earlier:?} at {revision}");
            }
            for group in &chart.groups {
                let sum: f64 = group.counts.iter().sum();
                assert!((group.total - sum).abs() < 0.5, "{group:?} at {revision}");
            }
        }
    }
}

/// Opens a stream and takes the first frame.
async fn opened(
    client: &mut KeyedClient,
    resume_token: &str,
) -> Result<Streaming<tap_analytics::proto::tap_v1::StreamTapsResponse>, Status> {
    let request =
        StreamTapsRequest { resume_token: resume_token.to_owned(), ..StreamTapsRequest::default() };
    let mut frames = client.stream_taps(request).await?.into_inner();
    let first = frames.message().await?.unwrap();
    assert!(matches!(first.frame, Some(stream_taps_response::Frame::Hello(_))), "{first:?}");
    Ok(frames)
}

async fn record(client: &mut KeyedClient, taps: usize) -> String {
    let mut dice = Dice(taps as u64 + 1);
    let mut token = String::new();
    let taps: Vec<NewTap> = (0..taps).map(|_| some_tap(&mut dice)).collect();
    for taps in taps.chunks(2_000) {
        let request = RecordTapsRequest { taps: taps.to_vec() };
        token = client.record_taps(request).await.unwrap().into_inner().resume_token;
    }
    token
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_reading_holds_up_nobody_and_misses_nothing() {
    const TAPS: usize = 30_000;
    let app = App::start().await;
    let team = prepare(&app).await;
    let mut client = app.client(&team.key);
    let mut stuck = opened(&mut client, "").await.unwrap();
    let mut lively = opened(&mut app.client(&team.key), "").await.unwrap();

    let writing = record(&mut client, TAPS);
    let reading = async {
        let mut ids = Vec::new();
        while ids.len() < TAPS {
            if let Some(stream_taps_response::Frame::Tap(tap)) =
                lively.message().await.unwrap().unwrap().frame
            {
                ids.push(tap.tap_id);
            }
        }
        ids
    };
    let (_, expected) =
        time::timeout(Duration::from_secs(40), async { tokio::join!(writing, reading) })
            .await
            .expect("the other reader is not held up");

    let mut ids = Vec::new();
    while ids.len() < TAPS {
        let frame = time::timeout(Duration::from_secs(20), stuck.message()).await.unwrap();
        if let Some(stream_taps_response::Frame::Tap(tap)) = frame.unwrap().unwrap().frame {
            ids.push(tap.tap_id);
        }
    }
    assert!(ids == expected, "in the same order, each once");
}

#[tokio::test]
async fn streams_end_within_a_second_when_their_key_is_revoked() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let mut client = app.client(&team.key);
    let mut taps = opened(&mut client, "").await.unwrap();
    let watched = WatchTapsRequest {
        query: Some(app::query("2023-01-01", "2023-01-31", "DAY")),
        ..WatchTapsRequest::default()
    };
    let mut watch = client.watch_taps(watched).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    // Another key of the team is not touched.
    let mut other = opened(&mut app.client(&app.busy_key(team.id).await), "").await.unwrap();

    let id = app.key_id(team.id, &team.key).await;
    access::command::revoke_key(&app.db, &Clock::system(), team.id, id).await.unwrap();
    let start = Instant::now();
    let last = taps.message().await.unwrap().unwrap().frame.unwrap();
    let stream_taps_response::Frame::End(end) = last else { panic!("{last:?}") };
    assert_eq!(end.reason(), end_reason::Value::ApiKeyRevoked);
    let last = watch.message().await.unwrap().unwrap().frame.unwrap();
    let watch_taps_response::Frame::End(end) = last else { panic!("{last:?}") };
    assert_eq!(end.reason(), end_reason::Value::ApiKeyRevoked);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(taps.message().await.unwrap().is_none() && watch.message().await.unwrap().is_none());
    let status = opened(&mut client, "").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(time::timeout(Duration::from_millis(300), other.message()).await.is_err());
}

#[tokio::test]
async fn streams_end_when_their_key_expires() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let expires_at = app::now() + TimeDelta::seconds(4);
    let key = app.key(team.id, None, Scope::ALL, Some(expires_at)).await;
    let mut client = app.client(&key);
    let mut frames = None;
    eventually("the key is known", || {
        let mut client = client.clone();
        async move { opened(&mut client, "").await.is_ok() }
    })
    .await;
    frames.replace(opened(&mut client, "").await.unwrap());
    let last = frames.unwrap().message().await.unwrap().unwrap().frame.unwrap();
    let late = app::now() - expires_at;
    let stream_taps_response::Frame::End(end) = last else { panic!("{last:?}") };
    assert_eq!(end.reason(), end_reason::Value::ApiKeyExpired);
    assert!(late >= TimeDelta::zero() && late < TimeDelta::seconds(1), "{late}");
}

#[tokio::test]
async fn streams_are_told_when_the_service_stops_and_go_on_elsewhere() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let mut client = app.client(&team.key);
    let mut frames = opened(&mut client, "").await.unwrap();
    let token = record(&mut client, 1).await;
    assert!(frames.message().await.unwrap().is_some());

    app.stop.cancel();
    let last = frames.message().await.unwrap().unwrap().frame.unwrap();
    let stream_taps_response::Frame::End(end) = last else { panic!("{last:?}") };
    assert_eq!(end.reason(), end_reason::Value::Draining);
    assert!(frames.message().await.unwrap().is_none());
    let stopped = time::timeout(Duration::from_secs(5), app.server).await;
    stopped.expect("an open stream does not keep the service").unwrap().unwrap();

    let other = App::on(app.store.clone(), Options::default()).await;
    let mut client = other.client(&team.key);
    let mut frames = opened(&mut client, &token).await.unwrap();
    record(&mut client, 3).await;
    for _ in 0..3 {
        let frame = frames.message().await.unwrap().unwrap().frame;
        assert!(matches!(frame, Some(stream_taps_response::Frame::Tap(_))), "{frame:?}");
    }
}

#[tokio::test]
async fn a_token_whose_taps_are_gone_is_refused_before_the_first_frame() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let mut client = app.client(&team.key);
    let early = record(&mut client, 10).await;
    let late = record(&mut client, 10).await;
    let refused = |status: Status| {
        let details = status.get_error_details();
        (status.code(), details.error_info().unwrap().reason.clone())
    };
    let expired = (Code::OutOfRange, "RESUME_TOKEN_EXPIRED".to_owned());

    let sql = app.sql().await;
    sql.execute("update teams set replay_after = 15 where team_id = $1", &[&team.id.0])
        .await
        .unwrap();
    assert_eq!(refused(opened(&mut client, &early).await.unwrap_err()), expired);
    opened(&mut client, &late).await.unwrap();

    // A backup was restored: there is less than there was, or it is another history.
    sql.execute(
        "update teams set revision = 19, replay_after = 0 where team_id = $1",
        &[&team.id.0],
    )
    .await
    .unwrap();
    assert_eq!(refused(opened(&mut client, &late).await.unwrap_err()), expired);
    let secret = Secrets::load(&app.db).await.unwrap().root();
    let history = db::history(&app.db).await.unwrap();
    let other = Tokens::new(secret, History::new(history.wrapping_add(1)), Clock::system());
    assert_eq!(refused(opened(&mut client, &other.issue(team.id, 5)).await.unwrap_err()), expired);
    let same = Tokens::new(secret, History::new(history), Clock::system());
    opened(&mut client, &same.issue(team.id, 5)).await.unwrap();
}

#[tokio::test]
async fn months_that_are_too_old_are_dropped_whole_and_never_replayed_in_part() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let mut client = app.client(&team.key);
    let now = app::now();
    let at = |days: i64| NewTap {
        tag_uid: "door".to_owned(),
        tapped_at: (now - TimeDelta::days(days)).to_rfc3339(),
        ..NewTap::default()
    };
    let taps = vec![at(400), at(150), at(10), at(0)];
    let written = client.record_taps(RecordTapsRequest { taps }).await.unwrap().into_inner();
    assert!((written.accepted - 4.0).abs() < 0.5, "{written:?}");
    let history = History::new(db::history(&app.db).await.unwrap());
    let secret = Secrets::load(&app.db).await.unwrap().root();
    let tokens = Tokens::new(secret, history, Clock::system());
    let place = |revision| tokens.issue(team.id, revision);
    let total = |mut client: KeyedClient| async move {
        let asked =
            app::query("2010-01-01", &(now.date_naive() + TimeDelta::days(1)).to_string(), "YEAR");
        client.query_taps(asked).await.unwrap().into_inner().total
    };
    assert!((total(client.clone()).await - 4.0).abs() < 0.5);
    opened(&mut client, &place(0)).await.unwrap();

    let keeps = Options { retention_days: 100, ..Options::default() };
    let other = App::on(app.store.clone(), keeps).await;
    eventually("the old months are gone", || async {
        app.scalar::<i64>("select count(*) from taps").await == 2
    })
    .await;
    assert_roll_up_equals_raw(&app).await;
    // Also on the replica that had the answer in its cache, within a second.
    eventually("the old taps are no longer counted", || async {
        (total(app.client(&team.key)).await - 2.0).abs() < 0.5
    })
    .await;
    for revision in [0, 1] {
        let status = opened(&mut client, &place(revision)).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{revision}: {status:?}");
    }
    let mut frames = opened(&mut client, &place(2)).await.unwrap();
    for _ in 0..2 {
        let frame = frames.message().await.unwrap().unwrap().frame;
        assert!(matches!(frame, Some(stream_taps_response::Frame::Tap(_))), "{frame:?}");
    }

    let refused = RecordTapsRequest { taps: vec![at(101), at(99)] };
    let answer = other.client(&team.key).record_taps(refused).await.unwrap().into_inner();
    let reasons: Vec<&str> = answer
        .rejected
        .iter()
        .flat_map(|tap| tap.violations.iter().map(|violation| violation.reason.as_str()))
        .collect();
    assert_eq!((reasons, answer.rejected[0].index), (vec!["TIMESTAMP_TOO_OLD"], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn months_are_dropped_while_taps_come_in() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let mut client = app.client(&team.key);
    let now = app::now();
    for month in 4..16 {
        let at = now - TimeDelta::days(31 * month);
        let taps = (0..50).map(|_| NewTap {
            tag_uid: "door".to_owned(),
            tapped_at: at.to_rfc3339(),
            ..NewTap::default()
        });
        client.record_taps(RecordTapsRequest { taps: taps.collect() }).await.unwrap();
    }
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let writers = (0..3).map(|at| write(app.client(&team.key), at + 70, &stop, &acknowledged));
    let dropping = async {
        time::sleep(Duration::from_millis(300)).await;
        let keeps = Options { retention_days: 30, ..Options::default() };
        let _other = App::on(app.store.clone(), keeps).await;
        let old = "select count(*) from taps where tapped_at < now() - interval '70 days'";
        eventually("the old months are gone", || async { app.scalar::<i64>(old).await == 0 }).await;
        time::sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(futures_util::future::join_all(writers), dropping);
    let new = "select count(*) from taps where tapped_at > now() - interval '60 days'";
    let new: i64 = app.scalar(new).await;
    assert_eq!(u64::try_from(new).unwrap(), acknowledged.load(Ordering::SeqCst));
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn a_store_that_has_less_than_before_ends_the_streams_that_had_more() {
    let app = App::start().await;
    let team = prepare(&app).await;
    let mut client = app.client(&team.key);
    let mut frames = opened(&mut client, "").await.unwrap();
    record(&mut client, 10).await;
    for _ in 0..10 {
        frames.message().await.unwrap().unwrap();
    }
    // As after a backup was restored: connections are gone, too.
    let sql = app.sql().await;
    sql.batch_execute(
        "delete from taps where revision > 5; delete from tap_days; update teams set revision = 5;
         select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .await
    .unwrap();
    let last = time::timeout(Duration::from_secs(10), frames.message()).await.unwrap();
    let last = last.unwrap().unwrap().frame.unwrap();
    let stream_taps_response::Frame::End(end) = last else { panic!("{last:?}") };
    assert_eq!(end.reason(), end_reason::Value::ResumeTokenExpired);
    assert!(frames.message().await.unwrap().is_none());

    // Who begins anew gets what is new.
    let mut frames = opened(&mut client, "").await.unwrap();
    record(&mut client, 3).await;
    for _ in 0..3 {
        let frame = frames.message().await.unwrap().unwrap().frame;
        assert!(matches!(frame, Some(stream_taps_response::Frame::Tap(_))), "{frame:?}");
    }
}
