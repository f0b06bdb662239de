//! One line in the log for each request, also for one whose client went away before its answer.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use tracing::{Level, Span};

/// The longest path of an unknown route that is logged, in characters.
const PATH_CHARS_MAX: usize = 200;

/// The probes' paths: they are asked every few seconds, and their answers are nobody's news.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// A request's line, written when it is dropped.
pub(super) struct RequestLine {
    method: Method,
    path: String,
    ip: Option<IpAddr>,
    begun: Instant,
    span: Span,
    status: Option<StatusCode>,
}

impl RequestLine {
    pub(super) fn begin(request: &Request, ip: Option<IpAddr>, span: Span) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        // The query is never logged: it may be somebody's secret sent by mistake.
        let path = route.map_or_else(|| cut(request.uri().path()), |route| route.as_str().to_owned());
        Self { method: request.method().clone(), path, ip, begun: Instant::now(), span, status: None }
    }

    /// Writes the line.
    pub(super) fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for RequestLine {
    fn drop(&mut self) {
        let (method, path, ip) =
            (self.method.as_str(), self.path.as_str(), self.ip.map(tracing::field::display));
        let duration_ms = milliseconds(self.begun.elapsed());
        let Some(status) = self.status else {
            self.span.in_scope(|| tracing::info!(method, path, duration_ms, ip, "the client went away"));
            return;
        };
        macro_rules! line {
            ($level:expr) => {
                tracing::event!($level, method, path, status = status.as_u16(), duration_ms, ip, "answered")
            };
        }
        self.span.in_scope(|| match level(path, status) {
            Level::ERROR => line!(Level::ERROR),
            Level::WARN => line!(Level::WARN),
            Level::INFO => line!(Level::INFO),
            _ => line!(Level::DEBUG),
        });
    }
}

/// An outage is a warning, a fault of ours an error, and a probe's answer is only for who looks closely.
fn level(path: &str, status: StatusCode) -> Level {
    if PROBES.contains(&path) {
        return Level::DEBUG;
    }
    match status {
        StatusCode::SERVICE_UNAVAILABLE => Level::WARN,
        status if status.is_server_error() => Level::ERROR,
        _ => Level::INFO,
    }
}

fn cut(path: &str) -> String {
    path.chars().take(PATH_CHARS_MAX).collect()
}

/// With three decimals, which is as much as anybody reads.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
