//! `/healthz` (the process lives) and `/readyz` (it does its work, or says why not), on every program.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Serialize;
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
        // Its successor, or another replica, may answer by then.
        return unready(serde_json::json!({ "status": "not ready", "checks": { "process": "stopping" } }));
    }
    probes.check_database().await;
    let readiness = probes.health.readiness();
    if readiness.is_ready() { Json(readiness).into_response() } else { unready(readiness) }
}

fn unready(why: impl Serialize) -> Response {
    let retry_after = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
    (StatusCode::SERVICE_UNAVAILABLE, retry_after, Json(why)).into_response()
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;

    /// Goes red if whoever is turned away is not told when to come back: the document of the API promises it.
    #[tokio::test]
    async fn whoever_is_not_ready_says_when_to_ask_again_also_while_it_stops() {
        let nowhere = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
        let stop = CancellationToken::new();
        let probes = Probes::new(Health::default(), nowhere, stop.clone());
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
