//! Counts a team's taps by week, over gRPC.

use clap::Parser;
use tap_analytics::proto::tap_v1::{
    QueryTapsRequest, interval, tap_analytics_client::TapAnalyticsClient,
};
use tonic::Request;

/// Counts taps by week.
#[derive(Debug, Parser)]
struct Args {
    /// Host and port of the service, or of Envoy.
    #[arg(long, env = "TAP_GRPC", default_value = "localhost:50051")]
    grpc: String,
    /// A key that may read taps.
    #[arg(long, env = "TAP_API_KEY", hide_env_values = true)]
    api_key: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut taps = TapAnalyticsClient::connect(format!("http://{}", args.grpc)).await?;

    let mut request = Request::new(QueryTapsRequest {
        start_date: "2023-12-01".to_owned(),
        end_date: "2023-12-22".to_owned(),
        interval: interval::Value::Week.into(),
        ..Default::default()
    });
    let key = args.api_key.parse()?;
    request.metadata_mut().insert("x-api-key", key);

    let answer = taps.query_taps(request).await?.into_inner();
    for bucket in &answer.buckets {
        println!("{} {:>6}", bucket.start, bucket.count);
    }
    println!("total {}", answer.total);
    Ok(())
}
