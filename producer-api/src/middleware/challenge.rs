//! Names the first of `AUTH_HEADER_TYPES` in the challenge of every 401.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

/// The challenge's value, such as `Bearer realm="api"`.
#[derive(Debug, Clone)]
pub struct Challenge(HeaderValue);

impl Challenge {
    /// The challenge of a scheme, which the settings have found to be a word.
    pub fn of_scheme(scheme: &str) -> Self {
        let value = HeaderValue::try_from(format!("{scheme} realm=\"api\""));
        Self(value.unwrap_or(HeaderValue::from_static("Bearer realm=\"api\"")))
    }
}

/// Puts the challenge on every 401, and nowhere else.
pub async fn challenge(State(Challenge(value)): State<Challenge>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}
