//! The longest time a request may take once its head is there: 503 after that, and what was begun is given up.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// Seconds after which it is worth trying again.
const RETRY_AFTER: u64 = 5;

/// How long the parts of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// Its body, from the end of its head on; 408 after that.
    pub body: Duration,
    /// All of it, up to its answer; 503 after that. An open transaction is rolled back.
    pub request: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        // Both below SHUTDOWN_TIMEOUT's default would be best, but a login may wait for its turn to be hashed.
        Self { body: Duration::from_secs(15), request: Duration::from_secs(30) }
    }
}

impl TimeLimits {
    /// The usual limits, for requests some of which wait `wait` on purpose.
    pub fn beyond(wait: Duration) -> Self {
        let usual = Self::default();
        Self { request: usual.request + wait, ..usual }
    }
}

/// Answers in the place of a handler that takes too long.
pub async fn time_limit(State(limits): State<TimeLimits>, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(limits.request, next.run(request)).await;
    answer.unwrap_or_else(|_| Problem::unavailable(RETRY_AFTER).into_response())
}
