//! Events: how many are taken and stored, how long a call takes, and how long until somebody else sees an event.
//! Client, program and PostgreSQL are processes of this machine.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use chrono::TimeDelta;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::uri::PathAndQuery;
use prost::Message as _;
use tap_analytics::{
    access::model::Preset,
    clock::Clock,
    config, json,
    proto::tap_v1::{
        RecordEventsRequest, StreamEventsRequest, StreamEventsResponse,
        events_client::EventsClient, stream_events_response::Frame,
    },
};
use tokio::{task::JoinSet, time};
use tonic::{
    Code, Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    TEAM, Times, live, millis, per_second,
    postgres::{Postgres, connect},
    process, progress,
    report::{Report, Row},
    serve,
    visits::{self, Made, Plain},
};

const BATCH: u32 = 100;
const CALLERS: usize = 4;
/// Calls with one event each that are under way at a time.
const SINGLES: usize = 64;
const SLOW_RATE: u32 = 100;
/// How long a caller waits that was told that too much waits to be stored.
const FULL: Duration = Duration::from_millis(50);
/// How often to look whether all is stored, and how long at most.
const LOOK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_mins(5);

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) events: u32,
    pub(crate) singles: u32,
    pub(crate) slow: Duration,
}

/// Adds the rows.
pub(crate) async fn measure(
    postgres: &Postgres,
    size: Size,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut plain = Beside::new(postgres).await?;
    progress(format!("{} events by COPY and by INSERT", size.events / 2));
    plain.write(0, size.events / 2).await?;

    progress(format!("{} events in batches of {BATCH}", size.events));
    let many = flood(postgres, "events", size.events, BATCH, CALLERS).await?;

    progress(format!("{} events by COPY and by INSERT", size.events - size.events / 2));
    plain.write(size.events / 2, size.events).await?;
    let [copy, insert] = plain.finish(postgres, size.events).await?;

    let work = format!("RecordEvents by gRPC, batches of {BATCH}, {CALLERS} callers");
    let stored = format!("{:.0} events/s for {:.0} s", many.stored, many.seconds);
    for (beside, rate) in [("COPY", copy), ("INSERT", insert)] {
        report.add(Row {
            work: format!("{work}, until the last event is stored"),
            measured: stored.clone(),
            baseline: format!("{beside} into the same table {rate:.0} rows/s"),
            ratio: format!("{:.0} %", 100.0 * many.stored / rate),
            target: "at least 5000 events/s",
        });
    }
    report.add(Row {
        work: format!("{work}: until the last is taken, and a call"),
        measured: format!("{:.0} events/s, {}", many.taken, times(&many.calls)),
        ..Row::default()
    });
    progress(format!("{} events one by one", size.singles));
    let singles = flood(postgres, "events", size.singles, 1, SINGLES).await?;
    report.add(Row {
        work: format!("RecordEvents, one event a call, {SINGLES} at a time"),
        measured: format!(
            "{:.0} events/s taken and {:.0} stored, {}",
            singles.taken,
            singles.stored,
            times(&singles.calls)
        ),
        ..Row::default()
    });
    progress(format!("{SLOW_RATE} events a second"));
    let slow = trickle(postgres, size.slow).await?;
    report.add(Row {
        work: format!("RecordEvents, one event a call, {SLOW_RATE} calls/s"),
        measured: times(&slow.calls),
        ..Row::default()
    });
    report.add(Row {
        work: format!("from that call to a reader of StreamEvents, {SLOW_RATE} events/s"),
        measured: times(&slow.seen),
        target: "p99 at most 1 s",
        ..Row::default()
    });
    Ok(())
}

fn times(times: &Times) -> String {
    let at = |percent| millis(times.percentile(percent));
    format!("p50 {:.2} ms, p99 {:.2} ms", at(50), at(99))
}

/// COPY and INSERT, each in a database of its own.
struct Beside {
    stores: [config::Store; 2],
    copy: Plain,
    insert: Plain,
    times: [Duration; 2],
}

impl Beside {
    async fn new(postgres: &Postgres) -> anyhow::Result<Self> {
        let stores = [
            visits::database(postgres, "events_copy").await?,
            visits::database(postgres, "events_insert").await?,
        ];
        let (copy, insert) = (Plain::new(&stores[0]).await?, Plain::new(&stores[1]).await?);
        Ok(Self { stores, copy, insert, times: [Duration::ZERO; 2] })
    }

    async fn write(&mut self, from: u32, until: u32) -> anyhow::Result<()> {
        let now = Clock::system().now();
        let events: Vec<Made> = (from..until).map(|number| Made::new(number, now)).collect();
        self.times[0] += self.copy.copy(&events).await?;
        self.times[1] += self.insert.insert(&events).await?;
        Ok(())
    }

    /// Rows a second.
    async fn finish(self, postgres: &Postgres, events: u32) -> anyhow::Result<[f64; 2]> {
        drop((self.copy, self.insert));
        for store in &self.stores {
            ensure!(stored(&connect(store).await?).await? == i64::from(events), "rows are missing");
            postgres.drop_database(store).await?;
        }
        Ok(self.times.map(|time| per_second(events.into(), time)))
    }
}

/// What became of as many events as can be sent.
struct Flood {
    /// Events a second, from the first call on.
    taken: f64,
    stored: f64,
    seconds: f64,
    calls: Times,
}

/// Sends events as fast as they are taken, by so many callers, and waits until all are stored.
async fn flood(
    postgres: &Postgres,
    name: &str,
    events: u32,
    batch: u32,
    callers: usize,
) -> anyhow::Result<Flood> {
    let store = visits::database(postgres, name).await?;
    let (program, _, grpc) = process::start(&store).await?;
    let key = serve::key_of(&store, Preset::Writer).await?;
    let admin = connect(&store).await?;
    let mut clients = Vec::new();
    for _ in 0..callers.min(CALLERS) {
        clients.push(client(&grpc).await?);
    }
    until_taken(&clients, &key).await?;

    let now = Clock::system().now();
    let start = Instant::now();
    let calls: Vec<Duration> = stream::iter((0..events / batch).zip(clients.iter().cycle()))
        .map(|(nth, client)| {
            let made = (nth * batch..(nth + 1) * batch).map(|number| Made::new(number, now));
            call(client.clone(), message(made), &key)
        })
        .buffer_unordered(callers)
        .try_collect()
        .await?;
    let taken = start.elapsed();
    // One was there before.
    let all = i64::from(events / batch * batch) + 1;
    until_stored(&admin, all).await?;
    let elapsed = start.elapsed();
    drop((program, admin));
    postgres.drop_database(&store).await?;
    let count = u64::from(events / batch * batch);
    Ok(Flood {
        taken: per_second(count, taken),
        stored: per_second(count, elapsed),
        seconds: elapsed.as_secs_f64(),
        calls: Times::new(calls),
    })
}

/// Waits until there are so many events.
async fn until_stored(admin: &tokio_postgres::Client, events: i64) -> anyhow::Result<()> {
    let start = Instant::now();
    while stored(admin).await? < events {
        let row = admin.query_one("select count(*) from event_errors", &[]).await?;
        ensure!(row.get::<_, i64>(0) == 0, "events were refused");
        ensure!(start.elapsed() < PATIENCE, "not all events get stored");
        time::sleep(LOOK).await;
    }
    Ok(())
}

async fn stored(admin: &tokio_postgres::Client) -> anyhow::Result<i64> {
    let newest = "select coalesce(max(revision), 0) from events where team_id = $1";
    Ok(admin.query_one(newest, &[&TEAM.0]).await?.get(0))
}

/// How long a call takes. One that is refused as too much waits is made again: that is waiting, too.
async fn call(
    mut client: EventsClient<Channel>,
    message: RecordEventsRequest,
    key: &MetadataValue<Ascii>,
) -> anyhow::Result<Duration> {
    let start = Instant::now();
    loop {
        let mut request = Request::new(message.clone());
        request.metadata_mut().insert("x-api-key", key.clone());
        match client.record_events(request).await {
            Ok(answer) => {
                ensure!(answer.into_inner().receipts.len() == message.events.len(), "no receipts");
                return Ok(start.elapsed());
            }
            Err(full) if full.code() == Code::ResourceExhausted => time::sleep(FULL).await,
            Err(error) => return Err(error.into()),
        }
    }
}

fn message(events: impl Iterator<Item = Made>) -> RecordEventsRequest {
    RecordEventsRequest { events: events.map(|made| json::value_of(&made.json())).collect() }
}

async fn client(address: &str) -> anyhow::Result<EventsClient<Channel>> {
    Ok(EventsClient::new(
        Channel::from_shared(address.to_owned())?.tcp_nodelay(true).connect().await?,
    ))
}

/// Sends one event until it is taken: the service hears of a key some milliseconds after it was made.
async fn until_taken(
    clients: &[EventsClient<Channel>],
    key: &MetadataValue<Ascii>,
) -> anyhow::Result<()> {
    let mut client = clients.first().context("no client")?.clone();
    for _ in 0..500 {
        // Its number is so large that it would be in the future.
        let made = Made::new(u32::MAX, Clock::system().now() - TimeDelta::days(1));
        let mut request = Request::new(message(std::iter::once(made)));
        request.metadata_mut().insert("x-api-key", key.clone());
        match client.record_events(request).await {
            Ok(_) => return Ok(()),
            Err(unknown) if unknown.code() == Code::Unauthenticated => {
                time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    bail!("the service does not get to know a key")
}

/// What became of some events a second.
struct Trickle {
    calls: Times,
    /// From the start of the call until another one has the event.
    seen: Times,
}

/// Sends an event every so often, whether the ones before are answered or not, while another one reads them.
async fn trickle(postgres: &Postgres, length: Duration) -> anyhow::Result<Trickle> {
    let store = visits::database(postgres, "events").await?;
    let (program, _, grpc) = process::start(&store).await?;
    let writer = serve::key_of(&store, Preset::Writer).await?;
    let reader = serve::key_of(&store, Preset::Reader).await?;
    let sender = client(&grpc).await?;
    until_taken(std::slice::from_ref(&sender), &writer).await?;
    until_stored(&connect(&store).await?, 1).await?;
    let events = u32::try_from(length.as_millis())? * SLOW_RATE / 1000;

    let path = PathAndQuery::from_static("/tap.v1.Events/StreamEvents");
    let channel = Channel::from_shared(grpc)?.connect().await?;
    let mut frames =
        live::read_raw(&channel, &reader, path, StreamEventsRequest::default()).await?;
    frames.message().await?.context("a stream without a first frame")?;
    let reading = tokio::spawn(async move {
        let mut seen = HashMap::new();
        while seen.len() < usize::try_from(events)? {
            let frame = frames.message().await?.context("the stream has ended")?;
            let frame = StreamEventsResponse::decode(frame)?;
            if let Some(Frame::Event(event)) = frame.frame {
                seen.insert(event.event.context("no event")?.event_id, Instant::now());
            }
        }
        anyhow::Ok(seen)
    });

    let mut ticks = time::interval(Duration::from_secs(1) / SLOW_RATE);
    let (mut calls, mut sent) = (JoinSet::new(), HashMap::new());
    for number in 0..events {
        ticks.tick().await;
        let made = Made::new(number, Clock::system().now());
        sent.insert(made.id.to_string(), Instant::now());
        let (client, key) = (sender.clone(), writer.clone());
        calls.spawn(async move { call(client, message(std::iter::once(made)), &key).await });
    }
    let mut took = Vec::new();
    while let Some(call) = calls.join_next().await {
        took.push(call??);
    }
    let seen = time::timeout(PATIENCE, reading).await???;
    let seen = sent.iter().filter_map(|(id, start)| Some(seen.get(id)?.duration_since(*start)));
    let seen: Vec<Duration> = seen.collect();
    ensure!(seen.len() == sent.len(), "only {} events were seen", seen.len());
    drop(program);
    postgres.drop_database(&store).await?;
    Ok(Trickle { calls: Times::new(took), seen: Times::new(seen) })
}
