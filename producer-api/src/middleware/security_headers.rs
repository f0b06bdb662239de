//! The headers that keep a browser from doing more with an answer than reading it. Django's, and those of ASVS 3.4.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

const HEADERS: [(HeaderName, HeaderValue); 8] = [
    // Every answer is one caller's own, and some are tokens.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    // JSON that somebody opens in a browser loads nothing, posts nothing and is framed by nobody.
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    // For browsers that don't know frame-ancestors.
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    // What CORS allows is read in CORS mode, to which this does not apply.
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::VARY, HeaderValue::from_static("Accept, Origin")),
];

/// What a browser is told about HTTPS: for how long it may use nothing else.
#[derive(Debug, Clone, Default)]
pub struct StrictTransport(Option<HeaderValue>);

impl StrictTransport {
    /// HTTPS alone for so many seconds; 0 says nothing about it.
    pub fn of_seconds(seconds: u32) -> Self {
        Self((seconds > 0).then(|| HeaderValue::try_from(format!("max-age={seconds}")).ok()).flatten())
    }
}

/// Adds the headers that an answer does not have yet: a handler's own, such as a page's policy, stay as they are.
pub async fn security_headers(
    State(StrictTransport(strict)): State<StrictTransport>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let strict = strict.map(|value| (header::STRICT_TRANSPORT_SECURITY, value));
    for (name, value) in HEADERS.into_iter().chain(strict) {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}
