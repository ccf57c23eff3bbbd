//! Reporting taps as a client does, and following them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tap_analytics::{
    access::model::Scope,
    proto::tap_v1::{
        IngestTapsRequest, IngestTapsResponse, NewTap, RecordTapsRequest, RecordTapsResponse,
        RejectedTap, StreamTapsRequest, StreamTapsResponse, Tap, stream_taps_response::Frame,
    },
};
use tokio::{sync::mpsc, time};
use tonic::{Status, Streaming};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::{App, KeyedClient, Team};

/// Longer than any answer may take.
const PATIENCE: time::Duration = time::Duration::from_secs(20);

impl App {
    /// A new team with tags of kind NFC, and a key that may do everything without end.
    pub async fn reporting_team(&self, slug: &str, uids: &[&str]) -> Team {
        let team = self.team(slug).await;
        self.tags(team.id, uids).await;
        let key = self.key(team.id, None, Scope::ALL, None).await;
        Team { key, ..team }
    }

    /// Taps that are stored.
    pub async fn stored_taps(&self) -> i64 {
        self.scalar("select count(*) from taps").await
    }
}

/// A tap with an id of its own.
pub fn report(uid: &str, at: DateTime<Utc>) -> NewTap {
    NewTap {
        tag_uid: uid.to_owned(),
        tap_id: Uuid::now_v7().to_string(),
        tapped_at: at.to_rfc3339(),
        ..NewTap::default()
    }
}

/// As many taps with ids of their own, an instant apart.
pub fn reports(uid: &str, at: DateTime<Utc>, taps: usize) -> Vec<NewTap> {
    let later = |n: usize| at + chrono::TimeDelta::milliseconds(i64::try_from(n).unwrap());
    (0..taps).map(|n| report(uid, later(n))).collect()
}

pub async fn record(client: &mut KeyedClient, taps: Vec<NewTap>) -> RecordTapsResponse {
    client.record_taps(RecordTapsRequest { taps }).await.unwrap().into_inner()
}

/// How many were accepted, were there already, and were rejected.
pub fn outcome(answer: &RecordTapsResponse) -> (f64, f64, usize) {
    (answer.accepted, answer.duplicates, answer.rejected.len())
}

/// Field and reason of each violation, by the place of the tap.
pub fn rejections(rejected: &[RejectedTap]) -> BTreeMap<i32, Vec<(&str, &str)>> {
    let mut all = BTreeMap::new();
    for tap in rejected {
        assert!(tap.violations.iter().all(|violation| !violation.description.is_empty()));
        let violations = tap.violations.iter().map(|v| (v.field.as_str(), v.reason.as_str()));
        let before = all.insert(tap.index, violations.collect());
        assert!(before.is_none(), "tap {} is rejected twice", tap.index);
    }
    all
}

/// The reason of an error, for programs.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "tap-analytics");
    info.reason.clone()
}

/// A stream of batches.
pub struct Ingesting {
    /// Dropped, it ends the stream in order.
    pub batches: mpsc::Sender<IngestTapsRequest>,
    pub answers: Streaming<IngestTapsResponse>,
}

impl Ingesting {
    pub async fn open(client: &mut KeyedClient) -> Self {
        let (batches, sent) = mpsc::channel(1);
        let sent = futures_util::stream::unfold(sent, async |mut sent: mpsc::Receiver<_>| {
            Some((sent.recv().await?, sent))
        });
        let answers = client.ingest_taps(sent).await.unwrap().into_inner();
        Self { batches, answers }
    }

    pub async fn send(&self, sequence: i64, taps: Vec<NewTap>) {
        self.batches.send(IngestTapsRequest { sequence, taps }).await.unwrap();
    }

    /// The next answer; `None` when the stream has ended well.
    pub async fn next(&mut self) -> Result<Option<IngestTapsResponse>, Status> {
        time::timeout(PATIENCE, self.answers.message()).await.unwrap()
    }

    /// The next answer, which must be there.
    pub async fn answer(&mut self) -> IngestTapsResponse {
        self.next().await.unwrap().unwrap()
    }
}

/// A stream of taps, past its first frame.
pub struct Following {
    /// The token of the first frame, and then of each tap.
    pub token: String,
    pub frames: Streaming<StreamTapsResponse>,
}

impl Following {
    pub async fn open(client: &mut KeyedClient, request: StreamTapsRequest) -> Self {
        let mut frames = client.stream_taps(request).await.unwrap().into_inner();
        let first = frames.message().await.unwrap().unwrap().frame;
        let Some(Frame::Hello(hello)) = first else { panic!("the first frame is {first:?}") };
        Self { token: hello.resume_token, frames }
    }

    /// The next taps; heartbeats are passed over.
    pub async fn taps(&mut self, count: usize) -> Vec<Tap> {
        let mut taps = Vec::new();
        while taps.len() < count {
            let next = time::timeout(PATIENCE, self.frames.message()).await.unwrap();
            let frame = next.unwrap().unwrap().frame;
            match frame {
                Some(Frame::Tap(tap)) => {
                    self.token.clone_from(&tap.resume_token);
                    taps.push(tap);
                }
                Some(Frame::Heartbeat(_)) => {}
                other => panic!("{other:?} instead of a tap"),
            }
        }
        taps
    }
}
