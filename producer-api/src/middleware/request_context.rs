//! Who asks, and by which ids the log and the events know the request.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use shared::clock::Clock;
use shared::contracts::Origin;
use shared::entropy::Entropy;
use shared::ids::RequestId;
use shared::telemetry::TraceContext;
use tracing::Instrument;
use uuid::Uuid;

use super::client_address::TrustedProxies;
use super::http_metrics::HttpMetrics;
use super::request_log::RequestLine;
use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest user agent that is looked at, in bytes; events keep less.
const USER_AGENT_BYTES_MAX: usize = 1024;

/// A request's ids and origin; every handler may take it as an argument.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller's `X-Request-Id` if it is a UUID, else a new one; answered in the same header.
    pub request_id: RequestId,
    /// The caller's trace, or a new one.
    pub trace: TraceContext,
    /// The client's address: the other end of the connection, or whom a trusted proxy names.
    pub ip: Option<IpAddr>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
}

/// Where new ids come from.
#[derive(Debug, Clone)]
pub struct RequestContextSources {
    /// What time it is.
    pub clock: Clock,
    /// Chance.
    pub entropy: Entropy,
}

/// What tells where a request comes from.
#[derive(Debug, Clone)]
pub struct RequestOrigins {
    /// Where new ids come from.
    pub sources: RequestContextSources,
    /// Whose word about the client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// What counts requests.
    pub metrics: HttpMetrics,
}

impl RequestContext {
    /// The request as its events tell of it.
    pub fn origin(&self) -> Origin {
        Origin::new(self.ip, self.user_agent.as_deref(), Some(self.request_id))
    }

    /// What an operator's command does is told as a request of a client called after the command.
    pub fn of_command(command: &str, sources: &RequestContextSources) -> Self {
        Self {
            request_id: RequestId(sources.entropy.uuid_v7(sources.clock.now())),
            trace: TraceContext::new(&sources.entropy),
            ip: None,
            user_agent: Some(command.to_owned()),
        }
    }

    fn of(headers: &HeaderMap, extensions: &Extensions, origins: &RequestOrigins) -> Self {
        let RequestOrigins { sources, trusted_proxies, .. } = origins;
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let callers_id = text(REQUEST_ID).and_then(|id| Uuid::try_parse(id.trim()).ok());
        let request_id = callers_id
            .filter(|id| !id.is_nil())
            .unwrap_or_else(|| sources.entropy.uuid_v7(sources.clock.now()));
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        Self {
            request_id: RequestId(request_id),
            trace: TraceContext::continue_from(text(TRACEPARENT), &sources.entropy),
            ip: peer.map(|ConnectInfo(peer)| trusted_proxies.client_address(peer.ip(), headers)),
            user_agent: headers.get(header::USER_AGENT).map(user_agent),
        }
    }
}

fn user_agent(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    String::from_utf8_lossy(bytes.get(..USER_AGENT_BYTES_MAX).unwrap_or(bytes)).into_owned()
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a route without the middleware request_context");
            Problem::internal()
        })
    }
}

/// Gives the request its context, the answer its id, the log its line, and counts it.
pub async fn request_context(
    State(origins): State<RequestOrigins>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = RequestContext::of(request.headers(), request.extensions(), &origins);
    // At the level of errors, so that a filter never parts a line from the ids that explain it.
    let span = tracing::error_span!(
        "http.request",
        request_id = %context.request_id,
        trace_id = context.trace.trace_id(),
    );
    let line = RequestLine::begin(&request, context.ip, span.clone());
    let counted = origins.metrics.begin(&request);
    let request_id = HeaderValue::try_from(context.request_id.to_string());
    request.extensions_mut().insert(context);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(request_id) = request_id {
        response.headers_mut().insert(REQUEST_ID, request_id);
    }
    line.answered(response.status());
    counted.answered(response.status());
    response
}
