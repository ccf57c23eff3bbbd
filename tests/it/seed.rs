//! `seed`, as an operator runs it.

use std::{fmt::Write as _, io::Write as _, process::Stdio};

use tempfile::NamedTempFile;

use crate::{
    app::{App, eventually, program, query, run, stderr, stdout},
    taps::assert_roll_up_equals_raw,
};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[tokio::test]
async fn the_sample_is_loaded_once_and_answers_the_documented_query() {
    let app = App::start().await;
    let url = &app.store.database_url;
    let first = run(url, &["seed"]);
    assert!(first.status.success(), "{}", stderr(&first));
    let keys: Vec<(String, String)> = stdout(&first)
        .lines()
        .map(|line| {
            line.split_once(' ').map(|(slug, key)| (slug.to_owned(), key.to_owned())).unwrap()
        })
        .collect();
    assert_eq!(keys.len(), 10);
    let all = "array['taps:read', 'taps:write', 'tags:write', 'keys:manage']";
    let admins = format!("select count(*) from api_keys where scopes @> {all}");
    assert_eq!(app.scalar::<i64>(&admins).await, 10);
    assert_eq!(app.scalar::<i64>("select count(*) from tags").await, 500);
    assert_eq!(app.scalar::<i64>("select count(*) from taps").await, 50_000);
    assert_roll_up_equals_raw(&app).await;
    let range: bool = app
        .scalar(
            "select min(tapped_at) >= '2022-07-01Z' and max(tapped_at) < '2024-01-01Z' from taps",
        )
        .await;
    assert!(range);

    let second = run(url, &["seed"]);
    assert!(second.status.success());
    assert_eq!(stdout(&second), "", "keys are printed once");
    assert!(stderr(&second).contains("50000 taps read, 0 new"), "{}", stderr(&second));
    assert_eq!(app.scalar::<i64>("select count(*) from taps").await, 50_000);
    assert_roll_up_equals_raw(&app).await;

    let mut totals = Vec::new();
    for (slug, key) in &keys[..2] {
        eventually("the server knows the key", || {
            let mut client = app.client(key);
            async move { client.query_taps(query("2023-01-01", "2023-01-01", "DAY")).await.is_ok() }
        })
        .await;
        let answer = app
            .client(key)
            .query_taps(query("2023-01-01", "2023-12-22", "WEEK"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.buckets.len(), 52);
        assert_eq!(answer.buckets[0].end, "2023-01-02T00:00:00Z");
        let raw: i64 = app
            .scalar(&format!(
                "select sum(count) from taps join teams using (team_id)
                 where slug = '{slug}' and tapped_at >= '2023-01-01Z' and tapped_at < '2023-12-23Z'"
            ))
            .await;
        assert_eq!(answer.total as i64, raw);
        assert_eq!(answer.buckets.iter().map(|bucket| bucket.count as i64).sum::<i64>(), raw);
        assert!(raw > 0);
        totals.push(raw);
    }
    assert_ne!(totals[0], totals[1]);
}

#[tokio::test]
async fn bad_lines_are_reported_by_number_and_the_rest_is_loaded() {
    let app = App::start().await;
    let tags = file(
        "created_at,team_id,extra,tag_uid\n\
         2022-01-01T00:00:00Z,1,x,a\n\
         yesterday,0,x,bad uid\n\
         2022-01-01 00:00:00,2,x,b\n\
         2022-01-01T00:00:00Z,2,x,a\n\
         2022-01-01T00:00:00Z,1,x\n",
    );
    let taps = file(
        "id,tag_uid,count,created_at\n\
         1,a,1,2023-01-01T00:00:00Z\n\
         2,nope,0,2023-13-01\n\
         3,b,2,2023-01-01 10:00:00.123456\n\
         4,b,1000001,2999-01-01T00:00:00Z\n\
         5,b,1,1999-01-01T00:00:00Z\n\
         ,a,1,2023-01-01T00:00:00Z\n\
         \"7\",\"a\",3,2023-01-02\n",
    );
    let output =
        run(&app.store.database_url, &["seed", "--tags", path(&tags), "--taps", path(&taps)]);
    let told = stderr(&output);
    assert!(!output.status.success());
    for expected in [
        "line 3: tag_uid must be 1 to 64 letters",
        "team_id must be a number",
        "created_at must be an instant",
        "line 5: tag_uid belongs to team 1 already",
        "line 6: line has 3 fields where the header has 4",
        "line 3: tag_uid is not in the file of tags",
        "count must be a whole number from 1 to 1000000",
        "line 5: count must be",
        "created_at lies in the future (TIMESTAMP_IN_FUTURE)",
        "line 6: created_at lies before 2010",
        "line 7: id is required",
        "3 taps read, 3 new, 4 lines left out",
        "7 lines were left out",
    ] {
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
    }
    assert_eq!(app.scalar::<i64>("select sum(count) from taps").await, 6);
    assert_eq!(
        app.scalar::<i64>(
            "select count(*) from taps where tapped_at = '2023-01-01 10:00:00.123456Z'"
        )
        .await,
        1
    );
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn what_cannot_be_read_says_what_to_do() {
    let app = App::start().await;
    let url = &app.store.database_url;
    let missing = run(url, &["seed", "--tags", "no-such-file.csv", "--taps", "data/taps.csv"]);
    assert!(stderr(&missing).contains("cannot open no-such-file.csv"), "{}", stderr(&missing));
    let tags = file("uid,team\na,1\n");
    let columns = run(url, &["seed", "--tags", path(&tags)]);
    assert!(
        stderr(&columns).contains("lacks the columns tag_uid, team_id, created_at"),
        "{}",
        stderr(&columns)
    );
    let binary = file("id,tag_uid,count,created_at\n");
    std::fs::write(
        binary.path(),
        b"id,tag_uid,count,created_at\n1,\xff\xfe,1,2023-01-01T00:00:00Z\n",
    )
    .unwrap();
    let good_tags = file("tag_uid,team_id,created_at\r\na,1,2022-01-01\r\n\"b\",1,soon\r\n");
    let not_text = run(url, &["seed", "--tags", path(&good_tags), "--taps", path(&binary)]);
    assert!(stderr(&not_text).contains("line 3: created_at"), "{}", stderr(&not_text));
    assert!(stderr(&not_text).contains("line 2: is not UTF-8 text"), "{}", stderr(&not_text));
}

/// Many taps of three teams, in files.
fn many(taps: usize) -> (NamedTempFile, NamedTempFile) {
    let tags = file("tag_uid,team_id,created_at\na,1,2022-01-01\nb,2,2022-01-01\nc,3,2022-01-01\n");
    let mut text = "id,tag_uid,count,created_at\n".to_owned();
    for n in 0..taps {
        let (tag, month, day, minute) = (["a", "b", "c"][n % 3], n % 11 + 1, n % 27 + 1, n % 60);
        writeln!(
            text,
            "tap-{n},{tag},{},2023-{month:02}-{day:02}T{:02}:{minute:02}:00Z",
            n % 5 + 1,
            n % 24
        )
        .unwrap();
    }
    (tags, file(&text))
}

#[tokio::test]
async fn several_at_once_load_everything_once() {
    let app = App::start().await;
    let (tags, taps) = many(30_000);
    let arguments = ["seed", "--tags", path(&tags), "--taps", path(&taps)];
    let mut children: Vec<_> = (0..3)
        .map(|_| {
            let mut command = program(&app.store.database_url);
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut keys = String::new();
    for child in children.drain(..) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        keys += &stdout(&output);
    }
    assert_eq!(keys.lines().count(), 3, "one key a team: {keys}");
    assert_eq!(app.scalar::<i64>("select count(*) from taps").await, 30_000);
    assert_eq!(app.scalar::<i64>("select count(*) from tags").await, 3);
    assert_roll_up_equals_raw(&app).await;
}

#[tokio::test]
async fn a_run_that_was_killed_leaves_whole_batches_and_the_next_one_adds_the_rest() {
    let app = App::start().await;
    let (tags, taps) = many(200_000);
    let arguments = ["seed", "--tags", path(&tags), "--taps", path(&taps)];
    let stored = async || -> i64 { app.scalar("select count(*) from taps").await };
    for _ in 0..3 {
        let already = stored().await;
        let mut command = program(&app.store.database_url);
        let mut child =
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while stored().await == already {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        }
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        assert_roll_up_equals_raw(&app).await;
    }
    let before = stored().await;
    assert!((1..200_000).contains(&before), "{before}");
    let last = run(&app.store.database_url, &arguments);
    assert!(last.status.success(), "{}", stderr(&last));
    assert_eq!(app.scalar::<i64>("select count(*) from taps").await, 200_000);
    assert!(
        stderr(&last).contains(&format!("{} new", 200_000 - before)),
        "{} were there: {}",
        before,
        stderr(&last)
    );
    assert_roll_up_equals_raw(&app).await;
    let behind: i64 = app
        .scalar("select count(*) from teams where revision < (select coalesce(max(revision), 0) from taps where taps.team_id = teams.team_id)")
        .await;
    assert_eq!(behind, 0);
}

#[tokio::test]
async fn a_slug_that_another_team_has_is_named() {
    let app = App::start().await;
    let url = &app.store.database_url;
    run(url, &["teams", "create", "team-7"]);
    let tags = file("tag_uid,team_id,created_at\na,7,2022-01-01\n");
    let output = run(url, &["seed", "--tags", path(&tags)]);
    let expected = "cannot make team 7: another team has the slug team-7";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}
