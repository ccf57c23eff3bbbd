//! The service `tap.v1.TapAnalytics`: who, what, do, answer.

use tonic::{Request, Response, Status};

use super::{answers::Answers, wire};
use crate::{
    auth::Caller,
    proto::tap_v1::{QueryTapsRequest, QueryTapsResponse, tap_analytics_server::TapAnalytics},
};

/// What the service works with.
#[derive(Clone, Debug)]
pub struct Taps {
    pub answers: Answers,
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl TapAnalytics for Taps {
    async fn query_taps(&self, request: Request<QueryTapsRequest>) -> Reply<QueryTapsResponse> {
        let caller = Caller::of(&request)?;
        let query = wire::query(request.into_inner())?;

        let answer = self.answers.query_taps(caller.team, query).await?;

        Ok(Response::new(answer))
    }
}
