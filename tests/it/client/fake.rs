//! A service that takes events, and fails as it is told: in ways that the real one cannot be brought to.

use std::{
    collections::HashSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use tap_analytics::{
    json::json_of,
    proto::tap_v1::{RecordEventsRequest, RecordEventsResponse},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, UnaryService},
    transport::server::{Server, TcpIncoming},
};
use tonic_prost::ProstCodec;

/// What to do with a call.
pub enum Reply {
    Take,
    /// Take the events, and lose the answer.
    TakeAndFail(Status),
    Refuse(Status),
    /// Never answer.
    Silence,
}

type Script = dyn Fn(usize, &[Json]) -> Reply + Send + Sync;

/// The service. Ends with the test.
#[derive(Clone)]
pub struct Fake {
    script: Arc<Script>,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    /// The events of each call, and the key.
    calls: Vec<(String, Vec<Json>)>,
    ids: HashSet<String>,
    /// What is stored, in the order in which it came.
    stored: Vec<Json>,
}

impl Fake {
    /// Starts one that does with each call, by its number and its events, what it is told.
    pub async fn start(
        script: impl Fn(usize, &[Json]) -> Reply + Send + Sync + 'static,
    ) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Self { script: Arc::new(script), log: Arc::default() };
        let serve = Server::builder().add_service(fake.clone());
        tokio::spawn(serve.serve_with_incoming(TcpIncoming::from(listener)));
        (fake, address)
    }

    pub fn stored(&self) -> Vec<Json> {
        self.log.lock().unwrap().stored.clone()
    }

    /// How many events each call had so far.
    pub fn sizes(&self) -> Vec<usize> {
        self.log.lock().unwrap().calls.iter().map(|(_, events)| events.len()).collect()
    }

    pub fn keys(&self) -> Vec<String> {
        self.log.lock().unwrap().calls.iter().map(|(key, _)| key.clone()).collect()
    }

    fn reply(&self, key: String, events: Vec<Json>) -> Reply {
        let mut log = self.log.lock().unwrap();
        let reply = (self.script)(log.calls.len(), &events);
        if matches!(reply, Reply::Take | Reply::TakeAndFail(_)) {
            for event in &events {
                if log.ids.insert(event["event_id"].as_str().unwrap().to_owned()) {
                    log.stored.push(event.clone());
                }
            }
        }
        log.calls.push((key, events));
        reply
    }
}

impl UnaryService<RecordEventsRequest> for Fake {
    type Response = RecordEventsResponse;
    type Future = BoxFuture<'static, Result<Response<RecordEventsResponse>, Status>>;

    fn call(&mut self, request: Request<RecordEventsRequest>) -> Self::Future {
        let key = request.metadata().get("x-api-key").unwrap().to_str().unwrap().to_owned();
        let events: Vec<Json> = request.into_inner().events.iter().map(json_of).collect();
        let receipts = events.iter().map(|event| format!("of {}", event["event_id"])).collect();
        let reply = self.reply(key, events);
        Box::pin(async move {
            match reply {
                Reply::Take => Ok(Response::new(RecordEventsResponse { receipts })),
                Reply::TakeAndFail(status) | Reply::Refuse(status) => Err(status),
                Reply::Silence => std::future::pending().await,
            }
        })
    }
}

impl NamedService for Fake {
    const NAME: &'static str = "tap.v1.Events";
}

impl tower::Service<http::Request<Body>> for Fake {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert_eq!(request.uri().path(), "/tap.v1.Events/RecordEvents");
        let fake = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(fake, request).await) })
    }
}
