//! Streams: from the commit to the reader, how many messages a second, and what idle ones hold.

use std::{
    marker::PhantomData,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::{Buf as _, Bytes};
use chrono::{DateTime, Utc};
use http::uri::PathAndQuery;
use prost::Message;
use tap_analytics::{
    access::model::Preset,
    clock::Clock,
    config,
    proto::tap_v1::{
        NewTap, RecordTapsRequest, StreamTapsRequest, StreamTapsResponse, stream_taps_response,
        tap_analytics_client::TapAnalyticsClient,
    },
};
use tokio::{task::JoinSet, time};
use tonic::{
    Request, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder},
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    Times, millis, per_second,
    postgres::{Postgres, connect},
    process, progress,
    report::{Report, Row},
    serve,
};

/// Readers that a key may have.
const STREAMS_OF_A_KEY: usize = 100;
const READERS: usize = 1_000;
const TAPS_A_SECOND: u32 = 1_000;
/// How often the taps of a second are told.
const TICKS_A_SECOND: u32 = 100;
const IDLE_READERS: usize = 10_000;
/// Readers and taps of the flood.
const FLOOD_READERS: usize = 100;
const FLOOD_BATCHES: usize = 12;
const FLOOD_BATCH: usize = 5_000;
/// Of so many messages a reader looks at the time of one.
const LOOK_AT_ONE_OF: u64 = 64;

/// Adds the rows.
pub(crate) async fn measure(
    postgres: &Postgres,
    length: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let store = postgres.create_database("live").await?;
    let admin = connect(&store).await?;
    admin.batch_execute(include_str!("../sql/load_teams.sql")).await?;
    let writer = serve::key_of(&store, Preset::Writer).await?;

    progress(format!("{READERS} readers, {TAPS_A_SECOND} taps a second"));
    let (program, _, grpc) = process::start(&store).await?;
    let latency = latency(&store, &grpc, &writer, length).await?;
    report.add(Row {
        work: format!(
            "from the commit to {READERS} readers of one team, {TAPS_A_SECOND} taps/s: {:.0} messages/s",
            latency.messages_a_second
        ),
        measured: format!(
            "p50 {:.0} ms, p99 {:.0} ms",
            millis(latency.times.percentile(50)),
            millis(latency.times.percentile(99))
        ),
        target: "p99 at most 50 ms",
        ..Row::default()
    });
    drop(program);

    progress(format!("{FLOOD_READERS} readers, as fast as taps come"));
    let (program, _, grpc) = process::start(&store).await?;
    let rate = flood(&store, &grpc, &writer).await?;
    report.add(Row {
        work: format!("fan-out to {FLOOD_READERS} readers of one team"),
        measured: format!("{rate:.0} messages/s"),
        ..Row::default()
    });
    drop(program);

    progress(format!("{IDLE_READERS} idle readers"));
    let (program, _, grpc) = process::start(&store).await?;
    let before = process::resident_mib(&program)?;
    let readers = open(&store, &grpc, IDLE_READERS).await?;
    time::sleep(Duration::from_secs(3)).await;
    let after = process::resident_mib(&program)?;
    ensure!(readers.len() == IDLE_READERS, "only {} readers", readers.len());
    report.add(Row {
        work: format!("{IDLE_READERS} idle streams"),
        measured: format!("{after:.0} MiB resident, {before:.0} MiB without them"),
        ..Row::default()
    });
    drop((readers, program));
    postgres.drop_database(&store).await
}

struct Latency {
    times: Times,
    messages_a_second: f64,
}

async fn latency(
    store: &config::Store,
    grpc: &str,
    writer: &MetadataValue<Ascii>,
    length: Duration,
) -> anyhow::Result<Latency> {
    let readers = open(store, grpc, READERS).await?;
    let times = Arc::new(Mutex::new(Vec::new()));
    let messages = Arc::new(AtomicU64::new(0));
    let warm = Instant::now() + Duration::from_secs(2);
    let mut reading = JoinSet::new();
    for reader in readers {
        let (times, messages) = (Arc::clone(&times), Arc::clone(&messages));
        reading.spawn(async move { read_times(reader, warm, &times, &messages).await });
    }

    let mut client = serve::connect(grpc).await?;
    let mut tick = time::interval(Duration::from_secs(1) / TICKS_A_SECOND);
    let end = warm + length;
    let mut writes = JoinSet::new();
    while Instant::now() < end {
        tick.tick().await;
        let request = taps(TAPS_A_SECOND / TICKS_A_SECOND, writer);
        let mut client = client.clone();
        writes.spawn(async move { client.record_taps(request).await });
        while let Some(done) = writes.try_join_next() {
            done??;
        }
    }
    time::sleep(Duration::from_millis(300)).await;
    client.record_taps(taps(1, writer)).await?;
    reading.shutdown().await;
    let times = std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));
    ensure!(times.len() > 1_000, "only {} times were taken", times.len());
    let messages_a_second = per_second(messages.load(Ordering::Relaxed), length);
    Ok(Latency { times: Times::new(times), messages_a_second })
}

async fn read_times(
    mut reader: Streaming<Bytes>,
    warm: Instant,
    times: &Mutex<Vec<Duration>>,
    messages: &AtomicU64,
) -> Result<(), Status> {
    let mut nth = 0;
    while let Some(message) = reader.message().await? {
        if Instant::now() < warm {
            continue;
        }
        nth += 1;
        messages.fetch_add(1, Ordering::Relaxed);
        if nth % LOOK_AT_ONE_OF == 0
            && let Some(stored) = received_at(message)
        {
            let late = Clock::system().now() - stored;
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            times.push(late.to_std().unwrap_or_default());
        }
    }
    Ok(())
}

fn received_at(message: Bytes) -> Option<DateTime<Utc>> {
    match StreamTapsResponse::decode(message).ok()?.frame? {
        stream_taps_response::Frame::Tap(tap) => {
            Some(DateTime::parse_from_rfc3339(&tap.received_at).ok()?.to_utc())
        }
        _ => None,
    }
}

/// Messages a second.
async fn flood(
    store: &config::Store,
    grpc: &str,
    writer: &MetadataValue<Ascii>,
) -> anyhow::Result<f64> {
    let readers = open(store, grpc, FLOOD_READERS).await?;
    let all = FLOOD_BATCHES * FLOOD_BATCH;
    let start = Instant::now();
    let mut reading = JoinSet::new();
    for mut reader in readers {
        reading.spawn(async move {
            // No heartbeat comes as long as there are taps.
            for _ in 0..all {
                reader.message().await?.ok_or_else(|| Status::unknown("the stream has ended"))?;
            }
            Ok::<_, Status>(())
        });
    }
    let mut client = serve::connect(grpc).await?;
    for _ in 0..FLOOD_BATCHES {
        client.record_taps(taps(u32::try_from(FLOOD_BATCH)?, writer)).await?;
    }
    while let Some(done) = reading.join_next().await {
        done??;
    }
    Ok(per_second(u64::try_from(FLOOD_READERS * all)?, start.elapsed()))
}

/// Some taps of now, of all tags in turn.
fn taps(count: u32, key: &MetadataValue<Ascii>) -> Request<RecordTapsRequest> {
    let tap = |n: u32| NewTap { tag_uid: format!("tag-{}", 1 + n % 200), ..NewTap::default() };
    let mut request = Request::new(RecordTapsRequest { taps: (0..count).map(tap).collect() });
    request.metadata_mut().insert("x-api-key", key.clone());
    request
}

/// Readers that have their first frame; a hundred of them share a key and a connection.
async fn open(
    store: &config::Store,
    grpc: &str,
    count: usize,
) -> anyhow::Result<Vec<Streaming<Bytes>>> {
    let mut readers = Vec::with_capacity(count);
    while readers.len() < count {
        let key = serve::key_of(store, Preset::Reader).await?;
        let channel = Channel::from_shared(grpc.to_owned())?.connect().await?;
        until_known(&channel, &key).await?;
        for _ in 0..STREAMS_OF_A_KEY.min(count - readers.len()) {
            readers.push(open_one(&channel, &key).await?);
        }
    }
    Ok(readers)
}

async fn open_one(
    channel: &Channel,
    key: &MetadataValue<Ascii>,
) -> anyhow::Result<Streaming<Bytes>> {
    let path = PathAndQuery::from_static("/tap.v1.TapAnalytics/StreamTaps");
    let mut reader = read_raw(channel, key, path, StreamTapsRequest::default()).await?;
    reader.message().await?.context("a stream without a first frame")?;
    Ok(reader)
}

/// Opens a stream whose messages are left as they come.
pub(crate) async fn read_raw<M: Message + Default + 'static>(
    channel: &Channel,
    key: &MetadataValue<Ascii>,
    path: PathAndQuery,
    message: M,
) -> anyhow::Result<Streaming<Bytes>> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await?;
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-api-key", key.clone());
    Ok(grpc.server_streaming(request, path, Raw(PhantomData)).await?.into_inner())
}

/// Waits until the service has heard of a key.
async fn until_known(channel: &Channel, key: &MetadataValue<Ascii>) -> anyhow::Result<()> {
    let mut client = TapAnalyticsClient::new(channel.clone());
    for _ in 0..500 {
        let mut request = Request::new(tap_analytics::proto::tap_v1::QueryTapsRequest::default());
        request.metadata_mut().insert("x-api-key", key.clone());
        match client.query_taps(request).await {
            Err(status) if status.code() == tonic::Code::Unauthenticated => {
                time::sleep(Duration::from_millis(10)).await;
            }
            _ => return Ok(()),
        }
    }
    anyhow::bail!("the service does not get to know a key")
}

/// Leaves messages as they come: a reader that looks at each would be measured rather than the service.
#[derive(Clone, Copy, Debug)]
struct Raw<M>(PhantomData<M>);

impl<M: Message + Default + 'static> Codec for Raw<M> {
    type Encode = M;
    type Decode = Bytes;
    type Encoder = <tonic_prost::ProstCodec<M, ()> as Codec>::Encoder;
    type Decoder = Raw<()>;

    fn encoder(&mut self) -> Self::Encoder {
        tonic_prost::ProstCodec::<M, ()>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Raw(PhantomData)
    }
}

impl Decoder for Raw<()> {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buf.copy_to_bytes(buf.remaining())))
    }
}
