//! `/healthz` (the process lives), `/readyz` (it does its work, or says why not) and `/metrics` (what it did, for
//! Prometheus), on every program.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Serialize;
use sqlx::PgPool;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::health::{Component, Health, Standing};
use super::health_metrics::HealthMetrics;
use crate::database;
use crate::metrics::{Exposition, Format, Metrics};
use crate::telemetry::error_chain;

/// How long the database may take to answer a probe, over the pool and over a connection of its own.
const DATABASE_PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the probes look at.
#[derive(Debug, Clone)]
pub struct Probes {
    health: Health,
    database: Component,
    exposition: Exposition,
    pool: PgPool,
    stop: CancellationToken,
}

impl Probes {
    /// Probes over `health`, the database behind `pool` and what `exposition` tells; not ready once `stop` is cancelled.
    pub fn new(health: Health, exposition: Exposition, pool: PgPool, stop: CancellationToken) -> Self {
        let database = health.component("database", Standing::Required);
        exposition.metrics().collected(HealthMetrics(health.clone()));
        Self { health, database, exposition, pool, stop }
    }

    /// Where more may be registered that `/metrics` tells.
    pub fn metrics(&self) -> &Metrics {
        self.exposition.metrics()
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

/// The three routes, with and without a slash at the end.
pub fn router(probes: Probes) -> Router {
    let mut router = Router::new();
    for path in ["/healthz", "/healthz/"] {
        router = router.route(path, get(healthz).fallback(method_not_allowed));
    }
    for path in ["/readyz", "/readyz/"] {
        router = router.route(path, get(readyz).fallback(method_not_allowed));
    }
    for path in ["/metrics", "/metrics/"] {
        router = router.route(path, get(metrics).fallback(method_not_allowed));
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
        // Its successor, or another replica, may answer by then.
        return unready(serde_json::json!({ "status": "not ready", "checks": { "process": "stopping" } }));
    }
    // The figures tell parts of the program how far behind they are.
    tokio::join!(probes.check_database(), async { drop(probes.exposition.refreshed().await) });
    let readiness = probes.health.readiness();
    if readiness.is_ready() { Json(readiness).into_response() } else { unready(readiness) }
}

async fn metrics(State(probes): State<Probes>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::preferred(accept);
    let ((), fresh) = tokio::join!(probes.check_database(), probes.exposition.refreshed());
    let Ok(text) = fresh.text(format) else {
        tracing::error!("the metrics can't be written as text");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}

fn unready(why: impl Serialize) -> Response {
    let retry_after = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
    (StatusCode::SERVICE_UNAVAILABLE, retry_after, Json(why)).into_response()
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::clock::Clock;

    /// Goes red if whoever is turned away is not told when to come back: the document of the API promises it.
    #[tokio::test]
    async fn whoever_is_not_ready_says_when_to_ask_again_also_while_it_stops() {
        let nowhere = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
        let stop = CancellationToken::new();
        let exposition = Exposition::new("test", Metrics::default(), &nowhere, &Clock::system(), Vec::new());
        let probes = Probes::new(Health::default(), exposition, nowhere, stop.clone());
        for is_stopping in [false, true] {
            if is_stopping {
                stop.cancel();
            }
            let answer = readyz(State(probes.clone())).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.headers()[header::RETRY_AFTER], "5", "stopping: {is_stopping}");
        }
    }
}
