//! `GET /.well-known/jwks.json`: the public keys that verify our tokens.

use axum::extract::{FromRef, State};
use axum::http::header;
use axum::response::{IntoResponse, Json};

use crate::middleware::Endpoint;
use crate::state::AppState;
use crate::tokens::keys::Keys;

/// What OPTIONS tells.
pub const JWKS: Endpoint = Endpoint {
    name: "JSON Web Key Set",
    description: "Shows the public keys that verify our tokens.",
    methods: &["GET"],
    fields: &[],
};

impl FromRef<AppState> for Keys {
    fn from_ref(state: &AppState) -> Self {
        state.tokens.keys().clone()
    }
}

/// A new key signs a minute after it is shown here; half of that is left for caches.
const CACHE_CONTROL: &str = "public, max-age=30";

/// 200 and the key set, empty where a secret signs. A key that was added is in it at once.
pub async fn jwks(State(keys): State<Keys>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, CACHE_CONTROL)], Json(keys.newest_ring().await.jwks()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::extract::Request;
    use axum::response::Response;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use shared::clock::Clock;
    use shared::config::Secret;
    use shared::entropy::Entropy;
    use tower::ServiceExt;

    use super::*;
    use crate::middleware::{Challenge, Routes, StackSettings, open_route, stack};
    use crate::tokens::keys::KeysConfig;

    const ED25519: &str = include_str!("../keys/test_keys/ed25519_pkcs8.pem");

    /// Answered by the route as it stands behind the whole middleware.
    async fn ask(algorithm: &str, key: &str, method: &str, path: &str) -> Response {
        let config = KeysConfig {
            algorithm: algorithm.parse().unwrap(),
            signing_key: Some(Secret::new(key)),
            previous_signing_key: None,
            verifying_key: None,
            signing_keys_dir: None,
            jwk_url: None,
            longest_lifetime: Duration::from_hours(1),
        };
        let keys = Keys::open(&config, Clock::system()).unwrap();
        let routes = open_route(Routes::new(), "/.well-known/jwks.json", &JWKS, get(jwks))
            .into_parts()
            .0
            .with_state(keys);
        let (clock, entropy) = (Clock::system(), Entropy::seeded(1));
        let settings = StackSettings::new(clock, entropy, Challenge::of_scheme("Bearer"));
        let routes = stack(routes, settings);
        let request = Request::builder().method(method).uri(path).body(axum::body::Body::empty());
        routes.oneshot(request.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn anybody_may_read_the_public_keys_and_keep_them_for_half_a_minute() {
        for path in ["/.well-known/jwks.json", "/.well-known/jwks.json/"] {
            let response = ask("EdDSA", ED25519, "GET", path).await;
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(response.headers()["cache-control"], "public, max-age=30");
            assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let set: Value = serde_json::from_slice(&body).unwrap();
            let key = &set["keys"][0];
            assert_eq!(key["kid"], "O86bIYlw2PXJ7L4WyCVWQxlBftKyNJhFWKpE3ywmnoY");
            assert_eq!(key["d"], Value::Null);
        }
        assert_eq!(ask("EdDSA", ED25519, "POST", "/.well-known/jwks.json").await.status(), 405);
    }

    #[tokio::test]
    async fn a_secret_is_not_shown() {
        let secret = "a secret for tests of at least 32 bytes";
        let response = ask("HS256", secret, "GET", "/.well-known/jwks.json").await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "keys": [] }));
    }
}
