//! The layers of the whole router, in their order.

use axum::Router;
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use shared::clock::Clock;
use shared::entropy::Entropy;

use super::{
    AllowedOrigins, BodyLimits, Challenge, CrossOrigin, HttpMetrics, RequestContextSources, RequestOrigins,
    StrictTransport, TimeLimits, TrustedProxies, body_limit, catch_panic, challenge, cross_origin,
    problem_documents, request_context, security_headers, time_limit,
};
use crate::config::ServeConfig;
use crate::extract::BodyLimit;
use crate::problem::Problem;

/// What the layers need to be told.
#[derive(Debug, Clone)]
pub struct StackSettings {
    /// What time it is, for new request ids.
    pub clock: Clock,
    /// Chance, for new request ids and traces.
    pub entropy: Entropy,
    /// The largest body that is read.
    pub body_limit: BodyLimit,
    /// How long a request and its body may take.
    pub time_limits: TimeLimits,
    /// What a 401 asks for.
    pub challenge: Challenge,
    /// What pages of other origins may do.
    pub cross_origin: CrossOrigin,
    /// What browsers are told about HTTPS.
    pub strict_transport: StrictTransport,
    /// Whose word about the client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// What counts requests.
    pub http_metrics: HttpMetrics,
}

impl StackSettings {
    /// The usual limits; no other origin and no proxy is trusted.
    pub fn new(clock: Clock, entropy: Entropy, challenge: Challenge) -> Self {
        Self {
            clock,
            entropy,
            body_limit: BodyLimit::default(),
            time_limits: TimeLimits::default(),
            challenge,
            cross_origin: CrossOrigin::new(AllowedOrigins::default(), &header::AUTHORIZATION),
            strict_transport: StrictTransport::default(),
            trusted_proxies: TrustedProxies::default(),
            http_metrics: HttpMetrics::default(),
        }
    }

    /// What the program's settings say.
    pub fn of(config: &ServeConfig, clock: Clock, entropy: Entropy) -> Self {
        let ServeConfig { http, tokens, sessions, .. } = config;
        Self {
            body_limit: BodyLimit(http.request_body_max),
            // A refused login waits on purpose.
            time_limits: TimeLimits::beyond(sessions.failure_floor),
            cross_origin: CrossOrigin::new(http.allowed_origins.clone(), &tokens.auth_header_name),
            strict_transport: StrictTransport::of_seconds(http.hsts_seconds),
            trusted_proxies: http.trusted_proxies.clone(),
            ..Self::new(clock, entropy, Challenge::of_scheme(&tokens.auth_header_types[0]))
        }
    }
}

/// Puts the layers around a router whose routes are all there.
///
/// From the outside in:
/// 1. `request_context`: an id for everything below, and the one log line and the count, which must see the final status.
/// 2. `security_headers`: on every answer, whatever made it.
/// 3. `challenge`: on every 401, whatever its body is.
/// 4. `problem_documents`: renders any problem from below; needs the request's id.
/// 5. `body_limit`: tells the limit, and drains what nobody read, also when a handler panicked.
/// 6. `cross_origin`: preflights and foreign pages get no further; inside 5, so that a refused body is drained, too.
/// 7. `time_limit`: gives up a handler that takes too long.
/// 8. `catch_panic`: innermost, so that an answer made of a panic passes all of the above.
///
/// An unknown path is 404 before anything of a route is looked at.
pub fn stack(router: Router, settings: StackSettings) -> Router {
    let sources = RequestContextSources { clock: settings.clock, entropy: settings.entropy };
    let (trusted_proxies, metrics) = (settings.trusted_proxies, settings.http_metrics);
    let origins = RequestOrigins { sources, trusted_proxies, metrics };
    let limits = BodyLimits { size: settings.body_limit, time: settings.time_limits.body };
    // The layer added last is the outermost.
    router
        .fallback(async || Problem::not_found())
        .layer(from_fn(catch_panic))
        .layer(from_fn_with_state(settings.time_limits, time_limit))
        .layer(from_fn_with_state(settings.cross_origin, cross_origin))
        .layer(from_fn_with_state(limits, body_limit))
        .layer(from_fn(problem_documents))
        .layer(from_fn_with_state(settings.challenge, challenge))
        .layer(from_fn_with_state(settings.strict_transport, security_headers))
        .layer(from_fn_with_state(origins, request_context))
}

#[cfg(test)]
mod tests;
