//! What every request passes on its way in, and every answer on its way out.
//!
//! [`stack()`] puts the layers of the whole router together. What is a route's own affair (406, authentication, 405,
//! OPTIONS, `Allow`) is put around each route by [`open_route`] and [`protected_route`], because its order differs
//! between the two.

mod accept;
mod body_limit;
mod catch_panic;
mod challenge;
mod client_address;
mod cross_origin;
mod endpoint;
mod http_metrics;
mod problem_documents;
mod request_context;
mod request_log;
mod routes;
mod security_headers;
mod stack;
mod time_limit;

pub use accept::{acceptable, prefers_html};
pub use body_limit::{BodyLimits, body_limit};
pub use catch_panic::catch_panic;
pub use challenge::{Challenge, challenge};
pub use client_address::{BadProxy, TrustedProxies};
pub use cross_origin::{AllowedOrigins, BadOrigin, CrossOrigin, cross_origin, is_of_own_origin};
pub use endpoint::{Endpoint, EndpointField};
pub use http_metrics::HttpMetrics;
pub use problem_documents::problem_documents;
pub use request_context::{RequestContext, RequestContextSources, RequestOrigins, request_context};
pub use routes::{Access, ListedRoute, Routes, document_route, open_route, protected_route};
pub use security_headers::{StrictTransport, security_headers};
pub use stack::{StackSettings, stack};
pub use time_limit::{TimeLimits, time_limit};
