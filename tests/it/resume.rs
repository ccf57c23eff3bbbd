//! `docs/resume.sh`, as its reader runs it.

use std::{process::Command, time::Duration};

use tap_analytics::{access::model::Preset, clock::Clock};

use crate::app::{App, envoy::Envoy, root, stderr, stdout, tap};

#[tokio::test]
async fn a_stream_that_is_cut_and_resumed_misses_nothing_and_repeats_nothing() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    let writer = app.key(team.id, None, Preset::Writer.scopes(), None).await;
    app.write(team.id, &[tap(tag, "2026-01-01T00:00:00Z")]).await;

    let (url, reader) = (envoy.url(""), team.key.clone());
    let mut script = tokio::task::spawn_blocking(move || {
        Command::new(root().join("docs/resume.sh"))
            .env("TAP_URL", url)
            .env("TAP_API_KEY", reader)
            .env("TAP_WRITER_API_KEY", writer)
            .env("TAPS", "100")
            .output()
            .unwrap()
    });
    // Others record taps meanwhile.
    let output = loop {
        tokio::select! {
            output = &mut script => break output.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(25)) => {
                let now = Clock::system().now().to_rfc3339();
                app.write(team.id, &[tap(tag, &now)]).await;
            }
        }
    };
    let said = stdout(&output);
    assert!(output.status.success(), "{said}{}", stderr(&output));
    let verdict = said.lines().last().unwrap();
    assert!(verdict.starts_with("sent 100, received 100, missing 0, repeated 0 ("), "{verdict}");
    assert!(!verdict.contains("(0 cuts") && !verdict.contains("; 0 taps of others"), "{verdict}");
}
