//! `/healthz` (the process lives) and `/readyz` (it does its work, or says why not), on every program.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use sqlx::PgPool;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::health::{Component, Health, Standing};
use crate::database;
use crate::telemetry::error_chain;

/// How long the database may take to answer a probe, over the pool and over a connection of its own.
const DATABASE_PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the probes look at.
#[derive(Debug, Clone)]
pub struct Probes {
    health: Health,
    database: Component,
    pool: PgPool,
    stop: CancellationToken,
}

impl Probes {
    /// Probes over `health` and the database behind `pool`; not ready once `stop` is cancelled.
    pub fn new(health: Health, pool: PgPool, stop: CancellationToken) -> Self {
        let database = health.component("database", Standing::Required);
        Self { health, database, pool, stop }
    }

    async fn check_database(&self) {
        if let Ok(Ok(())) = timeout(DATABASE_PROBE_TIMEOUT, database::ping(&self.pool)).await {
            self.database.up();
            return;
        }
        match timeout(DATABASE_PROBE_TIMEOUT, database::reach(&self.pool)).await {
            Ok(Ok(())) => self.database.down("all connections of this process are busy"),
            Ok(Err(error)) => self.database.down(error_chain(&error)),
            Err(_) => self.database.down(format!("no answer within {} s", DATABASE_PROBE_TIMEOUT.as_secs())),
        }
    }
}

/// The two probe routes, with and without a slash at the end.
pub fn router(probes: Probes) -> Router {
    let mut router = Router::new();
    for path in ["/healthz", "/healthz/"] {
        router = router.route(path, get(healthz).fallback(method_not_allowed));
    }
    for path in ["/readyz", "/readyz/"] {
        router = router.route(path, get(readyz).fallback(method_not_allowed));
    }
    router.with_state(probes)
}

async fn method_not_allowed(method: Method) -> Response {
    let body = serde_json::json!({ "detail": format!("Method \"{method}\" not allowed.") });
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")], Json(body)).into_response()
}

async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "alive" }))
}

async fn readyz(State(probes): State<Probes>) -> Response {
    if probes.stop.is_cancelled() {
        let stopping = serde_json::json!({ "status": "not ready", "checks": { "process": "stopping" } });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(stopping)).into_response();
    }
    probes.check_database().await;
    let readiness = probes.health.readiness();
    if readiness.is_ready() {
        return Json(readiness).into_response();
    }
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(readiness)).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
