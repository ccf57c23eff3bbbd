//! Calls beside the taps, which are made until they have an answer.

use tokio::{sync::Mutex, time};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
};

use super::{
    progress::Progress,
    sender::{Trouble, is_answer, wait},
};

/// Makes calls, and tells what keeps them from being answered.
pub(super) struct Calls {
    key: MetadataValue<Ascii>,
    progress: Progress,
    /// What there is not meanwhile, for people.
    missing: &'static str,
    trouble: Mutex<Trouble>,
}

impl Calls {
    pub(super) fn new(
        key: MetadataValue<Ascii>,
        progress: Progress,
        missing: &'static str,
    ) -> Self {
        Self { key, progress, missing, trouble: Mutex::default() }
    }

    /// Makes a call until it has an answer, or until the service refuses for good.
    pub(super) async fn call<Client: Clone, Message: Clone, Answer, Called>(
        &self,
        service: &Client,
        message: Message,
        call: impl Fn(Client, Request<Message>) -> Called,
    ) -> Result<Answer, Status>
    where
        Called: Future<Output = Result<Response<Answer>, Status>>,
    {
        let mut failures = 0;
        loop {
            let mut request = Request::new(message.clone());
            request.metadata_mut().insert("x-api-key", self.key.clone());
            let refusal = match call(service.clone(), request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(refusal) => refusal,
            };
            let Some(wait) = wait(&refusal, failures) else { return Err(refusal) };
            // Where the service cannot be reached, the taps say so.
            if is_answer(&refusal) && self.trouble.lock().await.is_worth_a_word() {
                let (message, wait) = (refusal.message(), wait.as_secs_f64());
                let missing = self.missing;
                self.progress.say(&format!("{missing}: {message}; again in {wait:.1} s"));
            }
            failures += 1;
            time::sleep(wait).await;
        }
    }
}
