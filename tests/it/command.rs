//! The command line, as an operator uses it.

use std::process::Command;

use tap_analytics::proto::DESCRIPTORS;

use crate::app::{
    App, empty_database, eventually, keyed_client, program, query, root, run, stderr, stdout, tap,
};

#[tokio::test]
async fn a_key_is_made_shown_once_used_and_revoked() {
    let app = App::start().await;
    let url = &app.store.database_url;
    let made = run(url, &["teams", "create", "acme", "--name", "Acme"]);
    assert_eq!(stdout(&made), "1\n", "{}", stderr(&made));
    let again = run(url, &["teams", "create", "acme"]);
    assert!(!again.status.success());
    assert!(stderr(&again).contains("there is a team acme already"));
    assert_eq!(stdout(&run(url, &["teams", "list"])), "1\tacme\tAcme\n");

    let made = run(
        url,
        &[
            "keys",
            "create",
            "--team",
            "acme",
            "--name",
            "dashboard",
            "--expires",
            "90d",
            "--queries-per-hour",
            "7",
        ],
    );
    let key = stdout(&made).trim().to_owned();
    assert!(key.starts_with("tap_1_"), "{}", stderr(&made));
    assert!(!stderr(&made).contains(&key));
    let list = stdout(&run(url, &["keys", "list", "--team", "acme"]));
    assert!(!list.contains(&key), "the key is shown once");
    for shown in [&key[..10], "dashboard", "taps:read", "7/h", "valid until"] {
        assert!(list.contains(shown), "{shown} in {list}");
    }
    assert_eq!(
        app.scalar::<i64>("select count(*) from api_keys where octet_length(key_hash) = 32").await,
        1
    );

    let call = || {
        let mut client = app.client(&key);
        async move { client.query_taps(query("2023-01-01", "2023-01-01", "DAY")).await.is_ok() }
    };
    eventually("the key works", call).await;
    let id = list.split('\t').next().unwrap();
    let revoked = run(url, &["keys", "revoke", "--team", "acme", id]);
    assert!(revoked.status.success(), "{}", stderr(&revoked));
    eventually("the key no longer works", || async { !call().await }).await;
    assert!(stdout(&run(url, &["keys", "list", "--team", "acme"])).contains("revoked"));
    let unknown =
        run(url, &["keys", "revoke", "--team", "acme", "00000000-0000-0000-0000-000000000000"]);
    assert!(stderr(&unknown).contains("team acme has no key"));
}

#[tokio::test]
async fn mistakes_say_what_would_be_right() {
    let app = App::start().await;
    let url = &app.store.database_url;
    for (arguments, expected) in [
        (vec!["teams", "create", "Acme Inc"], "lower-case letters"),
        (vec!["keys", "create", "--team", "nobody", "--name", "x"], "there is no team nobody"),
        (
            vec!["keys", "create", "--team", "nobody", "--name", "x", "--expires", "soon"],
            "such as 90d",
        ),
        (
            vec!["keys", "create", "--team", "nobody", "--name", "x", "--queries-per-hour", "0"],
            "1..=1000000",
        ),
        (vec!["keys", "create", "--team", "nobody", "--name", ""], "1 to 200 characters"),
    ] {
        let output = run(url, &arguments);
        assert!(!output.status.success());
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
    let nowhere = run("postgres://nobody@127.0.0.1:1/none", &["migrate"]);
    assert!(stderr(&nowhere).contains("is PostgreSQL running"), "{}", stderr(&nowhere));
    let no_address = run("what?", &["teams", "list"]);
    assert!(
        stderr(&no_address).contains("DATABASE_URL is not an address"),
        "{}",
        stderr(&no_address)
    );
    let unset = Command::new(env!("CARGO_BIN_EXE_tap-analytics"))
        .arg("migrate")
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    assert!(stderr(&unset).contains("--database-url"), "{}", stderr(&unset));
}

#[tokio::test]
async fn help_shows_every_setting_but_no_secret() {
    let mut command = program("postgres://user:hunter2@host/db");
    let help = stdout(
        &command.args(["serve", "--help"]).env("TAP_DB_APP_PASSWORD", "hunter2").output().unwrap(),
    );
    assert!(!help.contains("hunter2"), "{help}");
    for setting in
        ["DATABASE_URL", "TAP_GRPC_PORT", "TAP_ADMIN_PORT", "TAP_CACHE_MIB", "TAP_LOG_FORMAT"]
    {
        assert!(help.contains(setting), "{setting} is not in the help");
    }
}

#[test]
fn descriptors_are_written_whole() {
    let output = run("", &["descriptors"]);
    assert!(output.stdout == DESCRIPTORS);
}

#[tokio::test]
async fn serve_waits_for_a_schema_and_ready_tells_when_it_serves() {
    let url = empty_database().await;
    let (grpc, admin) = (crate::app::envoy::free_port(), crate::app::envoy::free_port());
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut serve = program(&url)
        .arg("serve")
        .env("TAP_GRPC_PORT", grpc.to_string())
        .env("TAP_ADMIN_PORT", admin.to_string())
        .env("TAP_LOG_FORMAT", "json")
        .stderr(log.reopen().unwrap())
        .spawn()
        .unwrap();
    let ready = || {
        let admin = admin.to_string();
        program("").args(["ready", "--admin-port", &admin]).output().unwrap()
    };
    let text = || std::fs::read_to_string(log.path()).unwrap();
    eventually("it says what it waits for", || async { text().contains("tap-analytics migrate") })
        .await;
    assert!(!ready().status.success());
    let migrated = run(&url, &["migrate"]);
    assert!(migrated.status.success(), "{}", stderr(&migrated));
    eventually("it is ready", || async { ready().status.success() }).await;

    let page = reqwest::get(format!("http://127.0.0.1:{admin}/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("tap_keys"), "{page}");
    assert!(
        reqwest::get(format!("http://127.0.0.1:{admin}/healthz"))
            .await
            .unwrap()
            .status()
            .is_success()
    );

    // A call leaves one line, with the id that Envoy gave it, and without the key.
    run(&url, &["teams", "create", "acme"]);
    let key =
        stdout(&run(&url, &["keys", "create", "--team", "acme", "--name", "x"])).trim().to_owned();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], grpc));
    eventually("the key is let in", || async {
        let mut request = tonic::Request::new(query("2023-01-01", "2023-01-02", "DAY"));
        request.metadata_mut().insert("x-request-id", "0000-request-id".parse().unwrap());
        keyed_client(address, &key).query_taps(request).await.is_ok()
    })
    .await;
    let log = text();
    let line = log.lines().rfind(|line| line.contains("0000-request-id")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["code"], "Ok");
    assert!(line["duration_us"].is_u64(), "{line}");
    assert_eq!(line["span"]["method"], "/tap.v1.TapAnalytics/QueryTaps");
    assert_eq!(line["span"]["team"], 1);
    assert!(line["span"]["key"].is_string(), "{line}");
    assert!(!log.contains(&key[10..]), "{log}");
    // A path that nobody serves makes no label of its own.
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap();
    let mut anybody = tonic::client::Grpc::new(channel.connect().await.unwrap());
    anybody.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let invented = "/grpc.reflection.invented/Path".parse().unwrap();
    anybody.unary(tonic::Request::new(()), invented, codec).await.unwrap_err();
    let page = reqwest::get(format!("http://127.0.0.1:{admin}/metrics")).await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("method=\"/tap.v1.TapAnalytics/QueryTaps\",code=\"Ok\""), "{page}");
    assert!(!page.contains(&key[10..]), "{page}");
    assert!(page.contains("method=\"other\"") && !page.contains("invented"), "{page}");

    // SIGTERM: it ends by itself, and well.
    assert!(Command::new("kill").arg(serve.id().to_string()).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || serve.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}: {}", text());
    let log = text();
    assert!(
        log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{log}"
    );
    assert!(log.contains("stopped"));
}

#[tokio::test]
async fn the_example_of_the_readme_runs_and_is_the_one_that_is_shown() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    app.write(team.id, &[tap(tag, "2023-12-05T12:00:00Z")]).await;
    // Beside the program, where cargo puts examples.
    let example =
        std::path::Path::new(env!("CARGO_BIN_EXE_tap-analytics")).with_file_name("examples/query");
    let (grpc, key) = (app.grpc.to_string(), team.key);
    let output = tokio::task::spawn_blocking(move || {
        Command::new(example).args(["--grpc", &grpc, "--api-key", &key]).output().unwrap()
    });
    let output = output.await.unwrap();
    let expected = "2023-12-01T00:00:00Z      0\n2023-12-04T00:00:00Z      1\n";
    assert!(stdout(&output).starts_with(expected), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).ends_with("total 1\n"));

    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let source = std::fs::read_to_string(root().join("examples/query.rs")).unwrap();
    let shown = readme.split_once("```rust\n").unwrap().1.split_once("```").unwrap().0;
    for line in shown.lines().map(str::trim) {
        assert!(source.contains(line), "the README shows {line:?}, which is not in the example");
    }
}
