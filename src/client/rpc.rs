//! The calls that the client makes, each with the key and within its time.

use std::{error::Error as _, fmt::Write as _, time::Duration};

use tokio::time;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_types::StatusExt as _;

use super::Outcome;
use crate::{
    json::Value,
    proto::tap_v1::{
        GetReceiptRequest, RecordEventsRequest, events_client::EventsClient, receipt_state,
    },
};

/// The service.
#[derive(Clone, Debug)]
pub(super) struct Service {
    client: EventsClient<Channel>,
    deadline: Duration,
}

impl Service {
    pub(super) fn new(channel: Channel, deadline: Duration) -> Self {
        Self { client: EventsClient::new(channel), deadline }
    }

    /// Sends events, and gives their receipts.
    pub(super) async fn record(
        &self,
        key: MetadataValue<Ascii>,
        events: Vec<Value>,
    ) -> Result<Vec<String>, Status> {
        let mut client = self.client.clone();
        let request = self.request(key, RecordEventsRequest { events });
        Ok(self.within(client.record_events(request)).await?.into_inner().receipts)
    }

    /// Asks for the event of a receipt.
    pub(super) async fn outcome(
        &self,
        key: MetadataValue<Ascii>,
        receipt: String,
    ) -> Result<Outcome, Status> {
        let mut client = self.client.clone();
        let request = self.request(key, GetReceiptRequest { id: receipt });
        let answer = self.within(client.get_receipt(request)).await?.into_inner();
        Ok(match answer.state() {
            receipt_state::Value::Pending => Outcome::Pending,
            receipt_state::Value::Stored => Outcome::Stored {
                event_id: answer.event_id.unwrap_or_default(),
                duplicate: answer.duplicate,
            },
            receipt_state::Value::Rejected => {
                Outcome::Rejected { error_id: answer.error_id.unwrap_or_default() }
            }
        })
    }

    fn request<Message>(&self, key: MetadataValue<Ascii>, message: Message) -> Request<Message> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-api-key", key);
        request.set_timeout(self.deadline);
        request
    }

    /// The channel sees to the time until an answer begins, this to the time until it ends.
    async fn within<Answer>(
        &self,
        call: impl Future<Output = Result<Answer, Status>>,
    ) -> Result<Answer, Status> {
        time::timeout(self.deadline, call)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("there was no answer in time")))
    }
}

/// The reason that the service gives for a refusal.
pub(super) fn reason(refusal: &Status) -> Option<String> {
    refusal.get_error_details().error_info().map(|info| info.reason.clone())
}

/// A refusal for people, with what is under it: "transport error" alone helps nobody.
pub(super) fn text(refusal: &Status) -> String {
    let mut text = refusal.message().to_owned();
    let mut source = refusal.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _infallible = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}
