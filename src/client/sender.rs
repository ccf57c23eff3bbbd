//! The background of a client: takes events out of the buffer and sends them until they are answered.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time};
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use uuid::Uuid;

use super::{
    Options, Outcome, Problem, Then,
    buffer::{Buffer, Waiting},
    receipts::Receipts,
    retry::{self, Next},
    rpc::{self, Service},
};
use crate::json;

/// What a client and its background share.
pub(super) struct Shared {
    pub buffer: Buffer,
    service: Service,
    options: Options,
    key: Mutex<MetadataValue<Ascii>>,
    new_key: Notify,
    receipts: Mutex<Receipts>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

/// However the background ends, nobody waits for it.
struct EndOf<'a>(&'a Buffer);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Sends events until the client is closed and all are answered. One call is under way at a time, so that
/// they arrive in their order.
pub(super) async fn run(shared: Arc<Shared>) {
    let _end = EndOf(&shared.buffer);
    while let Some(batch) = shared.buffer.take().await {
        shared.deliver(batch).await;
    }
}

impl Shared {
    pub(super) fn new(channel: Channel, key: MetadataValue<Ascii>, options: Options) -> Self {
        Self {
            buffer: Buffer::new(&options),
            service: Service::new(channel, options.deadline),
            key: Mutex::new(key),
            new_key: Notify::new(),
            receipts: Mutex::new(Receipts::new(options.receipts)),
            options,
        }
    }

    pub(super) fn set_key(&self, key: MetadataValue<Ascii>) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = key;
        self.new_key.notify_one();
    }

    fn key(&self) -> MetadataValue<Ascii> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn outcome(&self, event_id: Uuid) -> Result<Outcome, Status> {
        let receipt = self.receipts.lock().unwrap_or_else(PoisonError::into_inner).of(event_id);
        match receipt {
            Some(receipt) => self.service.outcome(self.key(), receipt).await,
            None => Ok(Outcome::NoReceipt),
        }
    }

    /// Sends a batch until it is answered. One that the service cannot take goes in halves, so that what it
    /// cannot take is found.
    async fn deliver(&self, batch: Vec<Waiting>) {
        let mut pieces = vec![batch];
        while let Some(mut piece) = pieces.pop() {
            match self.record(&piece).await {
                Ok(receipts) => {
                    self.keep(&piece, receipts);
                    self.buffer.accepted(piece);
                }
                Err(_) if piece.len() > 1 => {
                    let rest = piece.split_off(piece.len() / 2);
                    pieces.extend([rest, piece]);
                }
                Err(refusal) => {
                    for event in &piece {
                        let event = Box::new(json::json_of(&event.value));
                        self.tell(&refusal, Then::Dropped { event });
                    }
                    self.buffer.dropped(piece);
                }
            }
        }
    }

    /// Sends events until they are answered or refused for good.
    async fn record(&self, events: &[Waiting]) -> Result<Vec<String>, Status> {
        let mut failures = 0;
        loop {
            let values = events.iter().map(|event| event.value.clone()).collect();
            let refusal = match self.service.record(self.key(), values).await {
                Ok(receipts) => return Ok(receipts),
                Err(refusal) => refusal,
            };
            match retry::next(&refusal, failures, &self.options) {
                Next::Never => return Err(refusal),
                Next::Again(after) => {
                    self.tell(&refusal, Then::Again { after });
                    time::sleep(after).await;
                }
                Next::Held(after) => {
                    self.tell(&refusal, Then::Held { after });
                    self.pause(after).await;
                }
            }
            failures += 1;
            self.buffer.note_retry();
        }
    }

    /// Waits, but no longer than for a new key.
    async fn pause(&self, after: Duration) {
        tokio::select! {
            () = time::sleep(after) => {}
            () = self.new_key.notified() => {}
        }
    }

    fn keep(&self, events: &[Waiting], receipts: Vec<String>) {
        let mut kept = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        for (event, receipt) in events.iter().zip(receipts) {
            kept.keep(event.id, receipt);
        }
    }

    fn tell(&self, refusal: &Status, then: Then) {
        let (code, reason, message) = (refusal.code(), rpc::reason(refusal), rpc::text(refusal));
        self.options.tell(&Problem { code, reason, message, then });
    }
}
