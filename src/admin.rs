//! The private port: health, readiness, metrics.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{db::Db, sql};

/// What the private port tells.
#[derive(Clone, Debug)]
pub struct Admin {
    pub db: Db,
    pub metrics: Option<PrometheusHandle>,
    /// Whether the service takes calls: not before the keys are loaded, nor while it stops.
    pub serving: Arc<AtomicBool>,
}

/// The routes of the private port.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if !admin.serving.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n");
    }
    match admin.db.system().await {
        Ok(client) if client.batch_execute(sql!("db/ping").text).await.is_ok() => {
            (StatusCode::OK, "ready\n")
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be reached\n"),
    }
}

async fn metrics(State(admin): State<Admin>) -> String {
    admin.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default()
}
