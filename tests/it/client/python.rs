//! The example for Python, run as it is, through Envoy.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{assert_stored_once, received, sending_team};
use crate::{
    app::{App, Options, envoy::Envoy, eventually, new_database, root, store},
    live::Service,
};

/// The example, with what it prints.
struct Example {
    child: Child,
    ids: JoinHandle<Vec<Uuid>>,
    problems: JoinHandle<()>,
    said: Arc<Mutex<String>>,
}

impl Example {
    fn start(envoy: &Envoy, key: &str) -> Self {
        let mut child = Command::new("python3")
            .arg(root().join("docs/clients/python/example.py"))
            .env("TAP_URL", envoy.url(""))
            .env("TAP_API_KEY", key)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let said = Arc::new(Mutex::default());
        let ids = thread::spawn(move || {
            BufReader::new(out).lines().map(|line| line.unwrap().parse().unwrap()).collect()
        });
        let problems = thread::spawn({
            let said: Arc<Mutex<String>> = Arc::clone(&said);
            move || {
                for line in BufReader::new(err).lines() {
                    *said.lock().unwrap() += &(line.unwrap() + "\n");
                }
            }
        });
        Self { child, ids, problems, said }
    }

    /// How often it has said that it tries again.
    fn retried(&self) -> usize {
        self.said.lock().unwrap().matches("again soon").count()
    }

    /// Waits until it ends by itself: how it did, the ids of its events, and what it had to say.
    async fn end(mut self) -> (ExitStatus, Vec<Uuid>, String) {
        let ended = tokio::task::spawn_blocking(move || {
            // It has read all, and waits for more.
            drop(self.child.stdin.take());
            let status = self.child.wait().unwrap();
            self.problems.join().unwrap();
            let said = self.said.lock().unwrap().clone();
            (status, self.ids.join().unwrap(), said)
        });
        let ended = ended.await.unwrap();
        println!("{}", ended.2);
        ended
    }
}

fn line(session: Uuid, data: &Value) -> String {
    let session = session.to_string();
    format!("{}\n", json!({ "session": session, "category": "test", "name": "made", "data": data }))
}

/// The counts that it prints last.
fn stats(problems: &str) -> Value {
    serde_json::from_str(problems.lines().last().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_a_service_that_is_killed_again_and_again() {
    let url = new_database().await;
    let app = App::on(store(&url), Options::default()).await;
    let (team, session) = sending_team(&app).await;
    app.stop.cancel();
    let mut service = Service::start(&url).await;
    let envoy = Envoy::before(service.grpc.port()).await;
    let mut example = Example::start(&envoy, &team.key);

    // There is something to send all the time.
    let enough = Arc::new(AtomicBool::new(false));
    let mut stdin = example.child.stdin.take().unwrap();
    let writer = thread::spawn({
        let enough = Arc::clone(&enough);
        move || {
            let mut lines = 0;
            while lines < 3_000 || !enough.load(Ordering::SeqCst) {
                for _ in 0..20 {
                    stdin.write_all(line(session, &json!({ "line": lines })).as_bytes()).unwrap();
                    lines += 1;
                }
                thread::sleep(Duration::from_millis(10));
            }
            lines
        }
    });
    for kill in 1..=3 {
        let before = received(&app).await;
        eventually("it is busy", || async { received(&app).await > before + 200 }).await;
        println!("kill {kill}");
        let retried = example.retried();
        service.kill();
        eventually("it is missed", || async { example.retried() > retried }).await;
        service.start_again().await;
    }
    enough.store(true, Ordering::SeqCst);
    let lines = tokio::task::spawn_blocking(move || writer.join().unwrap()).await.unwrap();
    let (status, ids, problems) = example.end().await;

    assert!(status.success(), "{problems}");
    assert!(!problems.contains(&team.key));
    let stats = stats(&problems);
    assert_eq!((&stats["accepted"], &stats["dropped"]), (&json!(lines), &json!(0)));
    assert_eq!(ids.len(), lines);
    assert_stored_once(&app, &ids).await;
    let contents: i64 = app.scalar("select count(distinct data::text) from events").await;
    assert_eq!(contents, lines as i64);
}

#[tokio::test]
async fn one_event_that_cannot_be_read_does_not_keep_the_others_out() {
    let app = App::start().await;
    let (team, session) = sending_team(&app).await;
    let envoy = Envoy::start(&app).await;
    let mut example = Example::start(&envoy, &team.key);
    let deep = (0..60).fold(json!("deep"), |inner, _| json!([inner]));
    let mut lines = String::new();
    for number in 0..10 {
        let data = if number == 7 { json!({ "a": deep }) } else { json!({ "number": number }) };
        lines.push_str(&line(session, &data));
    }
    example.child.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
    let (status, mut ids, problems) = example.end().await;
    assert!(status.success());
    let dropped = ids.remove(7).to_string();
    let told = problems.lines().find(|line| line.starts_with("dropped: ")).unwrap();
    assert!(told.contains(&dropped) && told.contains("deep"), "{problems}");
    let stats = stats(&problems);
    assert_eq!((&stats["accepted"], &stats["dropped"]), (&json!(9), &json!(1)));
    assert_stored_once(&app, &ids).await;
}
