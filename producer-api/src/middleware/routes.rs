//! Registers a route under both its spellings, with what stands around every route, in the contract's order.
//!
//! Open: 406, 405, then the handler's 415, 400, 401. Protected: 406, 401, 405, then the handler's 415 and 400: there
//! the authentication stands around the 405 and OPTIONS, too.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json};
use axum::routing::{MethodRouter, Route};
use tower::{Layer, Service};

use super::acceptable;
use super::endpoint::Endpoint;
use crate::problem::Problem;

/// Who may call a route, and what it answers a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody who takes JSON.
    Open,
    /// Anybody; the answer has one media type, whatever Accept names.
    Document,
    /// Whoever is signed in and takes JSON.
    Protected,
    /// Anybody, and nothing of the request is looked at.
    Probe,
}

/// A route as the document of the API tells of it.
#[derive(Debug, Clone)]
pub struct ListedRoute {
    /// Its slashed spelling.
    pub path: &'static str,
    /// What it says of itself.
    pub endpoint: &'static Endpoint,
    /// Who may call it.
    pub access: Access,
}

impl ListedRoute {
    /// Whether each of its answers has `Allow`.
    pub fn has_allow(&self) -> bool {
        self.access != Access::Probe
    }
}

/// Routes, and the list of them: what is served and what is documented come from one place.
#[derive(Debug, Clone)]
pub struct Routes<S> {
    router: Router<S>,
    listed: Vec<ListedRoute>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No route so far.
    pub fn new() -> Self {
        Self { router: Router::new(), listed: Vec::new() }
    }

    /// What serves them, and the list.
    pub fn into_parts(self) -> (Router<S>, Vec<ListedRoute>) {
        (self.router, self.listed)
    }

    fn with(mut self, path: &'static str, endpoint: &'static Endpoint, access: Access) -> Self {
        self.listed.push(ListedRoute { path, endpoint, access });
        self
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds a route that anybody may call. `path` is its slashed spelling.
pub fn open_route<S: Clone + Send + Sync + 'static>(
    routes: Routes<S>,
    path: &'static str,
    endpoint: &'static Endpoint,
    methods: MethodRouter<S>,
) -> Routes<S> {
    let routes = routes.with(path, endpoint, Access::Open);
    both_spellings(routes, path, &around(endpoint, complete(endpoint, methods)))
}

/// Adds a route that anybody may call and that answers with a page or a document of one media type, whatever the Accept
/// header names. Its errors are the API's.
pub fn document_route<S: Clone + Send + Sync + 'static>(
    routes: Routes<S>,
    path: &'static str,
    endpoint: &'static Endpoint,
    methods: MethodRouter<S>,
) -> Routes<S> {
    let routes = routes.with(path, endpoint, Access::Document);
    both_spellings(routes, path, &allowing(endpoint, complete(endpoint, methods)))
}

/// Adds a route on which `authentication` refuses whoever may not come in. `path` is its slashed spelling.
pub fn protected_route<S, L>(
    routes: Routes<S>,
    path: &'static str,
    endpoint: &'static Endpoint,
    methods: MethodRouter<S>,
    authentication: L,
) -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    L: Layer<Route> + Clone + Send + Sync + 'static,
    L::Service: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Response: IntoResponse + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    let routes = routes.with(path, endpoint, Access::Protected);
    both_spellings(routes, path, &around(endpoint, complete(endpoint, methods).layer(authentication)))
}

/// The handlers with OPTIONS, and 405 for every other method.
fn complete<S: Clone + Send + Sync + 'static>(
    endpoint: &'static Endpoint,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    methods
        .options(async move || Json(endpoint.metadata()))
        .fallback(async |method: Method| Problem::method_not_allowed(method.as_str()))
}

/// 406 before anything else, and `Allow` on whatever comes out.
fn around<S: Clone + Send + Sync + 'static>(
    endpoint: &'static Endpoint,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    allowing(endpoint, methods.layer(from_fn(acceptable)))
}

/// `Allow` on whatever comes out.
fn allowing<S: Clone + Send + Sync + 'static>(
    endpoint: &'static Endpoint,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    let allow = endpoint.allow();
    methods.layer(from_fn(move |request: Request, next: Next| {
        let allow = allow.clone();
        async move {
            let mut response = next.run(request).await;
            response.headers_mut().insert(header::ALLOW, allow);
            response
        }
    }))
}

fn both_spellings<S: Clone + Send + Sync + 'static>(
    Routes { router, listed }: Routes<S>,
    path: &str,
    methods: &MethodRouter<S>,
) -> Routes<S> {
    let bare = path.strip_suffix('/').unwrap_or(path);
    let router = router.route(bare, methods.clone()).route(&format!("{bare}/"), methods.clone());
    Routes { router, listed }
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts;
    use axum::http::StatusCode;
    use axum::http::request::Parts;
    use axum::middleware::from_extractor;
    use axum::response::Response;
    use axum::routing::{get, post};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::super::EndpointField;
    use super::*;
    use crate::extract::{Body, FieldCheck};

    const OPEN: Endpoint = Endpoint {
        name: "Token Verify",
        description: "Verifies.",
        methods: &["POST"],
        fields: &[EndpointField::required("token", "Token")],
    };

    const PROTECTED: Endpoint =
        Endpoint { name: "Task List", description: "Lists.", methods: &["GET", "POST"], fields: &[] };

    struct SignedIn;

    impl<S: Sync> FromRequestParts<S> for SignedIn {
        type Rejection = Problem;

        async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
            let known = parts.headers.contains_key(header::AUTHORIZATION);
            known.then_some(Self).ok_or_else(Problem::not_authenticated)
        }
    }

    async fn verify(Body(fields): Body) -> Result<&'static str, Problem> {
        let mut check = FieldCheck::new(&fields);
        let token = check.text("token");
        check.finish()?;
        if token == "good" { Ok("{}") } else { Err(Problem::token_not_valid("Token is invalid")) }
    }

    fn router() -> Router {
        let routes = open_route(Routes::new(), "/open/", &OPEN, post(verify));
        let methods = get(async || "[]").post(verify);
        protected_route(routes, "/protected/", &PROTECTED, methods, from_extractor::<SignedIn>()).router
    }

    async fn send(method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router().oneshot(request.body(axum::body::Body::from(body)).unwrap()).await.unwrap()
    }

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    const HTML: (&str, &str) = ("accept", "text/html");
    const PLAIN: (&str, &str) = ("content-type", "text/plain");
    const JSON: (&str, &str) = ("content-type", "application/json");
    const TOKEN: (&str, &str) = ("authorization", "Bearer x");

    #[tokio::test]
    async fn the_first_check_that_fails_answers() {
        for (method, path, headers, body, status) in [
            ("PUT", "/open/", &[HTML, PLAIN][..], "x", 406),
            ("PUT", "/open/", &[PLAIN], "x", 405),
            ("POST", "/open/", &[PLAIN], "x", 415),
            ("POST", "/open/", &[JSON], "x", 400),
            ("POST", "/open/", &[JSON], "[]", 400),
            ("POST", "/open/", &[JSON], "{}", 400),
            ("POST", "/open/", &[JSON], r#"{"token": "bad"}"#, 401),
            ("POST", "/open/", &[JSON], r#"{"token": "good"}"#, 200),
            ("PUT", "/protected/", &[HTML, PLAIN], "x", 406),
            ("PUT", "/protected/", &[PLAIN], "x", 401),
            ("OPTIONS", "/protected/", &[], "", 401),
            ("PUT", "/protected/", &[PLAIN, TOKEN], "x", 405),
            ("POST", "/protected/", &[PLAIN, TOKEN], "x", 415),
            ("POST", "/protected/", &[JSON, TOKEN], "x", 400),
            ("GET", "/protected/", &[TOKEN], "", 200),
            ("HEAD", "/protected/", &[TOKEN], "", 200),
            ("OPTIONS", "/protected/", &[TOKEN], "", 200),
        ] {
            for path in [path, path.trim_end_matches('/')] {
                let response = send(method, path, headers, body).await;
                assert_eq!(response.status().as_u16(), status, "{method} {path} {headers:?} {body}");
                let allow =
                    if path.starts_with("/open") { "POST, OPTIONS" } else { "GET, POST, HEAD, OPTIONS" };
                assert_eq!(response.headers()[header::ALLOW], allow);
            }
        }
    }

    #[tokio::test]
    async fn every_other_method_is_405_as_it_was_sent() {
        for method in ["GET", "PUT", "PATCH", "DELETE", "TRACE", "BREW", "post"] {
            let response = send(method, "/open", &[], "").await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(
                text(response).await,
                format!("{{\"detail\":\"Method \\\"{method}\\\" not allowed.\"}}")
            );
        }
        let head = send("HEAD", "/open/", &[], "").await;
        assert_eq!(head.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(text(head).await, "");
    }

    #[tokio::test]
    async fn an_open_route_ignores_the_authorization_header_and_the_query() {
        let response = send("POST", "/open/?token=good", &[JSON, ("authorization", "broken")], "{}").await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(text(response).await, r#"{"token":["This field is required."]}"#);
    }

    #[tokio::test]
    async fn options_tells_what_the_endpoint_takes() {
        let response = send("OPTIONS", "/open/", &[], "").await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(body["name"], "Token Verify");
        assert_eq!(body["actions"]["POST"]["token"]["label"], "Token");
    }

    #[tokio::test]
    async fn two_slashes_and_another_case_are_unknown_paths() {
        for path in ["/open//", "//open/", "/Open/"] {
            assert_eq!(send("POST", path, &[], "").await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
