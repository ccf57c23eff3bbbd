//! Sends events over gRPC: what comes by standard input, an event as JSON a line. Prints the id of each.

use std::{io::BufRead as _, time::Duration};

use clap::Parser;
use serde::Deserialize;
use serde_json::Value;
use tap_analytics::client::{Event, Events, Options};
use tokio::{sync::mpsc, time};

/// Sends events.
#[derive(Debug, Parser)]
struct Args {
    /// Host and port of the service, or of Envoy.
    #[arg(long, env = "TAP_GRPC", default_value = "localhost:50051")]
    grpc: String,
    /// A key that may send events.
    #[arg(long, env = "TAP_API_KEY", hide_env_values = true)]
    api_key: String,
}

/// A line.
#[derive(Deserialize)]
struct Line {
    session: String,
    category: String,
    name: String,
    data: Value,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let options = Options {
        on_problem: Some(std::sync::Arc::new(|problem| eprintln!("{problem:?}"))),
        ..Options::default()
    };
    let events = Events::with(&format!("http://{}", args.grpc), &args.api_key, options)?;

    // To read standard input blocks a thread: not one of those on which events are sent.
    let (line, mut lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().try_for_each(|read| line.blocking_send(read).map_err(drop))
    });
    while let Some(read) = lines.recv().await {
        let Line { session, category, name, data } = serde_json::from_str(&read?)?;
        let event_id = events.send(Event::new(session.parse()?, category, name).data(data)).await?;
        println!("{event_id}");
    }

    let answered = time::timeout(Duration::from_mins(1), events.close()).await;
    eprintln!("{:?}", events.stats());
    Ok(answered??)
}
