//! The command line, as an operator uses it.

use std::process::Command;

use tap_analytics::proto::DESCRIPTORS;

use crate::app::{
    App, empty_database, eventually, keyed_client, program, query, run, stderr, stdout,
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
    let mut request = tonic::Request::new(query("2023-01-01", "2023-01-02", "DAY"));
    request.metadata_mut().insert("x-request-id", "0000-request-id".parse().unwrap());
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], grpc));
    keyed_client(address, &key).query_taps(request).await.ok();
    eventually("the call is logged", || async { text().contains("0000-request-id") }).await;
    assert!(text().lines().any(
        |line| line.contains("/tap.v1.TapAnalytics/QueryTaps") && line.contains("duration_us")
    ));
    assert!(!text().contains(&key[10..]), "{}", text());

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
