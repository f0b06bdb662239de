//! Requests by route, method and class of answer.
//!
//! The routes and methods are those of the router's list: whatever a client asks for, there are no more series than that.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use shared::metrics::{Counters, DURATIONS, Gauge, Histograms, Metrics};
use tokio::time::Instant;

use super::routes::ListedRoute;

/// A path that is no route's.
const NO_ROUTE: &str = "none";
/// A method that is not among [`METHODS`].
const OTHER_METHOD: &str = "other";
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The classes of every route; the others are there once they occur.
const USUAL: [&str; 3] = ["2xx", "4xx", "5xx"];
/// The client went away before its answer.
const GONE: &str = "gone";

/// What counts requests. Clones share it; the default one is counted by nobody.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    /// The label of each spelling of each route.
    routes: Arc<HashMap<String, &'static str>>,
    requests: Counters<3>,
    duration: Histograms<2>,
    in_flight: Gauge,
}

/// A request in hand.
#[derive(Debug)]
pub(super) struct Counted {
    metrics: HttpMetrics,
    route: &'static str,
    method: &'static str,
    begun: Instant,
    class: &'static str,
}

impl HttpMetrics {
    /// Registers them for these routes.
    pub fn new<'a>(metrics: &Metrics, routes: impl IntoIterator<Item = &'a ListedRoute>) -> Self {
        let mut spellings = HashMap::new();
        let mut operations = vec![[NO_ROUTE, "GET"]];
        for route in routes {
            let bare = route.path.trim_end_matches('/');
            spellings.extend([(bare.to_owned(), route.path), (format!("{bare}/"), route.path)]);
            operations.extend(route.endpoint.methods.iter().map(|method| [route.path, method_label(method)]));
        }
        let answers =
            operations.iter().flat_map(|[route, method]| USUAL.map(|class| [*route, *method, class]));
        Self {
            routes: Arc::new(spellings),
            requests: metrics.counters(
                (
                    "http_requests",
                    "Requests answered, by route, method and class of status; gone: the client went away before",
                ),
                ["route", "method", "status"],
                answers,
            ),
            duration: metrics.histograms(
                ("http_request_duration_seconds", "How long answers took, streams up to their beginning", DURATIONS),
                ["route", "method"],
                operations.iter().copied(),
            ),
            in_flight: metrics.gauge("http_requests_in_flight", "Requests that are being answered"),
        }
    }

    /// A request has come; it is counted when what this gives is dropped.
    pub(super) fn begin(&self, request: &Request) -> Counted {
        let matched = request.extensions().get::<MatchedPath>();
        let route = matched.and_then(|path| self.routes.get(path.as_str())).copied().unwrap_or(NO_ROUTE);
        self.in_flight.inc_by(1.0);
        Counted {
            metrics: self.clone(),
            route,
            method: method_of(request.method()),
            begun: Instant::now(),
            class: GONE,
        }
    }
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self::new(&Metrics::default(), [])
    }
}

impl Counted {
    /// It has its answer.
    pub(super) fn answered(mut self, status: StatusCode) {
        self.class = match status.as_u16() {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Self { metrics, route, method, begun, class } = self;
        metrics.in_flight.dec_by(1.0);
        metrics.requests.of([route, method, class]).inc();
        if *class != GONE {
            metrics.duration.of([route, method]).observe(begun.elapsed().as_secs_f64());
        }
    }
}

fn method_of(method: &Method) -> &'static str {
    method_label(method.as_str())
}

fn method_label(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER_METHOD)
}
