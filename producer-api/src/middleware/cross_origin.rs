//! What pages of other origins may do: CORS for those that are allowed, and no change of state for the others.
//!
//! CORS alone keeps a foreign page from reading our answers, not from sending: a form, or a `fetch` with `text/plain`,
//! reaches a handler without a preflight, and we do read forms. So a request that changes something is refused if its
//! `Sec-Fetch-Site` or `Origin` shows a foreign page. Browsers set these two, pages can't; whatever sends neither is
//! no page (curl, a server, an app), and passes. It is the rule of Go's `http.CrossOriginProtection`.
//!
//! The same holds for opening a WebSocket, which CORS doesn't guard.
//!
//! tower-http's `CorsLayer` takes every OPTIONS for a preflight; here a plain one is DRF's metadata, behind its sign-in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use crate::problem::Problem;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS");

/// Those of django-cors-headers, and ours; `AUTH_HEADER_NAME` comes to them.
const REQUEST_HEADERS: &str = "accept, authorization, content-type, idempotency-key, traceparent, tracestate, \
                               user-agent, x-csrftoken, x-request-id, x-requested-with";

/// What a page may read beside the few headers that every page may.
const ANSWER_HEADERS: HeaderValue =
    HeaderValue::from_static("Idempotency-Replayed, Link, Retry-After, WWW-Authenticate, X-Request-ID");

/// How long a browser may remember a preflight. Chromium remembers none longer than these two hours.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("7200");

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins whose pages may use the API; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Arc<[HeaderValue]>);

/// An entry of `CORS_ALLOWED_ORIGINS` that won't do.
#[derive(Debug, PartialEq, Eq)]
pub enum BadOrigin {
    /// `*`, `null`, or something that is no origin at all.
    None(String),
    /// One that no browser would ever send in this form, and the form in which it would.
    Spelling(String, String),
}

impl fmt::Display for BadOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None(entry) => write!(
                formatter,
                "{entry:?} is not an origin such as https://app.example.com; each one is named, there is no wildcard"
            ),
            Self::Spelling(entry, spelling) => {
                write!(formatter, "browsers never send {entry:?}; write it as {spelling}")
            }
        }
    }
}

impl FromStr for AllowedOrigins {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self(entries.map(origin).collect::<Result<_, _>>()?))
    }
}

/// The entry, if it is an origin exactly as browsers write it: scheme, host, and a port that is not the scheme's own.
fn origin(entry: &str) -> Result<HeaderValue, BadOrigin> {
    let no_origin = || BadOrigin::None(entry.to_owned());
    let url = Url::parse(entry).map_err(|_| no_origin())?;
    let host = url.host_str().filter(|host| !host.is_empty() && !host.contains('*')).ok_or_else(no_origin)?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let spelling = format!("{}://{host}{port}", url.scheme());
    if spelling != entry {
        return Err(BadOrigin::Spelling(entry.to_owned(), spelling));
    }
    HeaderValue::try_from(spelling).map_err(|_| no_origin())
}

/// The rules for pages of other origins.
#[derive(Debug, Clone)]
pub struct CrossOrigin {
    allowed: AllowedOrigins,
    request_headers: HeaderValue,
}

impl CrossOrigin {
    /// Lets pages of `allowed` in; they may send `token_header`.
    pub fn new(allowed: AllowedOrigins, token_header: &HeaderName) -> Self {
        let with_ours = HeaderValue::try_from(format!("{REQUEST_HEADERS}, {token_header}"));
        let request_headers = match with_ours {
            Ok(with_ours) if *token_header != header::AUTHORIZATION => with_ours,
            _ => HeaderValue::from_static(REQUEST_HEADERS),
        };
        Self { allowed, request_headers }
    }

    /// Whether a page of a foreign origin sent this. Nothing that is not a page is foreign.
    pub fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
        let says_ours = if sites.peek().is_some() {
            sites.all(|site| site == "same-origin" || site == "none")
        } else {
            headers.get_all(header::ORIGIN).iter().all(|origin| is_of_host(origin, headers))
        };
        !says_ours && self.allowed_origin(headers).is_none()
    }

    /// The request's one origin, if it is on the list.
    fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let origin = origins.next().filter(|origin| self.allowed.0.contains(origin))?;
        origins.next().is_none().then(|| origin.clone())
    }
}

/// Whether a page of our own origin sent this, and nothing else did: neither a page of another port of this host, nor
/// anything that is no page.
pub fn is_of_own_origin(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
    let is_known = sites.peek().is_some() || origins.peek().is_some();
    // A browser behind a proxy that changes `Host` may know its origin by another name; its word counts then.
    let by_site = sites.peek().is_some() && sites.all(|site| site == "same-origin");
    is_known
        && (by_site
            || (headers.get(SEC_FETCH_SITE).is_none() && origins.all(|origin| is_of_host(origin, headers))))
}

/// Whether the origin is that of the address under which we were called. A browser that sends no `Sec-Fetch-Site`
/// (an old one, or any over plain HTTP) has only this to say for our own pages.
fn is_of_host(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    origin.is_some_and(|(_, of_origin)| {
        host.is_some_and(|host| host.eq_ignore_ascii_case(of_origin.as_bytes()))
    })
}

/// Answers preflights, refuses what a foreign page would change, and lets the pages of allowed origins read.
///
/// `Access-Control-Allow-Credentials` is never sent: tokens travel in a header, and the one cookie is for our own page alone
/// (`realtime::page`). `Vary: Origin` is on every answer, by `security_headers`.
pub async fn cross_origin(State(rules): State<CrossOrigin>, request: Request, next: Next) -> Response {
    let origin = rules.allowed_origin(request.headers());
    let preflight = is_preflight(&request);
    let mut response = if preflight {
        StatusCode::OK.into_response()
    } else if (changes_state(request.method()) || is_upgrade(&request)) && rules.is_foreign(request.headers())
    {
        Problem::foreign_origin().into_response()
    } else {
        next.run(request).await
    };
    let Some(origin) = origin else { return response };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, rules.request_headers);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
    }
    response
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// A WebSocket is no matter of CORS: a page of any origin may open one and read what comes, so it is not merely reading.
fn is_upgrade(request: &Request) -> bool {
    request.headers().contains_key(header::UPGRADE)
}

fn changes_state(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::any;
    use tower::ServiceExt;

    use super::*;

    const APP: &str = "https://app.example.com";

    async fn send(method: &str, headers: &[(&str, &str)]) -> Response {
        let allowed = format!("{APP}, http://localhost:3000").parse().unwrap();
        let rules = CrossOrigin::new(allowed, &HeaderName::from_static("x-token"));
        let router = Router::new().route("/", any(async || "handled"));
        let router = router.layer(from_fn_with_state(rules, cross_origin));
        let mut request = Request::builder().method(method).uri("/").header("host", "api.example.com");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    const FOREIGN: [&str; 14] = [
        "null",
        "*",
        "",
        "https://app.example.com.evil",
        "https://evilapp.example.com",
        "https://evil.example.com",
        "https://example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com:443",
        "https://app.example.com/",
        "HTTPS://APP.EXAMPLE.COM",
        "https://app.example.com, https://evil.example.com",
        "http://localhost:3001",
    ];

    #[tokio::test]
    async fn only_an_origin_on_the_list_may_read_and_exactly_as_it_is_written_there() {
        for origin in [APP, "http://localhost:3000"] {
            let response = send("GET", &[("origin", origin)]).await;
            assert_eq!(header(&response, "access-control-allow-origin"), origin);
            assert!(header(&response, "access-control-expose-headers").contains("Retry-After"));
            assert_eq!(header(&response, "access-control-allow-credentials"), "");
        }
        for origin in FOREIGN {
            for method in ["GET", "OPTIONS", "POST"] {
                let asks = ("access-control-request-method", "GET");
                let response = send(method, &[("origin", origin), asks]).await;
                assert!(
                    response.headers().keys().all(|name| !name.as_str().starts_with("access-")),
                    "{origin}"
                );
            }
        }
        let both = send("GET", &[("origin", APP), ("origin", "https://evil.example")]).await;
        assert_eq!(header(&both, "access-control-allow-origin"), "", "two origins are none");
    }

    #[tokio::test]
    async fn a_preflight_is_answered_before_any_handler_and_a_plain_options_is_not() {
        for origin in [APP, "https://evil.example"] {
            let asks = [("origin", origin), ("access-control-request-method", "DELETE")];
            let response = send("OPTIONS", &asks).await;
            assert_eq!(response.status(), StatusCode::OK);
            let allowed = header(&response, "access-control-allow-headers").to_owned();
            for name in
                ["authorization", "content-type", "x-request-id", "idempotency-key", "traceparent", "x-token"]
            {
                assert_eq!(allowed.contains(name), origin == APP, "{name} for {origin}");
            }
            assert_eq!(header(&response, "access-control-allow-methods").contains("DELETE"), origin == APP);
            assert_eq!(header(&response, "access-control-max-age") == "7200", origin == APP);
            assert!(axum::body::to_bytes(response.into_body(), 99).await.unwrap().is_empty());
            let plain = send("OPTIONS", &[("origin", origin)]).await;
            assert_eq!(axum::body::to_bytes(plain.into_body(), 99).await.unwrap(), "handled");
        }
    }

    #[tokio::test]
    async fn a_foreign_page_changes_nothing_and_whatever_is_no_page_passes() {
        let site = "sec-fetch-site";
        for (headers, passes) in [
            (&[][..], true),
            (&[(site, "same-origin")], true),
            (&[(site, "same-origin"), ("origin", "https://behind.proxy.example")], true),
            (&[(site, "none")], true),
            (&[("origin", APP)], true),
            (&[("origin", "http://api.example.com")], true),
            (&[("origin", "https://API.example.com")], true),
            (&[(site, "cross-site"), ("origin", APP)], true),
            (&[(site, "same-site"), ("origin", APP)], true),
            (&[(site, "cross-site")], false),
            (&[(site, "same-site")], false),
            (&[(site, "")], false),
            (&[(site, "anything")], false),
            (&[(site, "same-origin"), (site, "cross-site")], false),
            (&[(site, "cross-site"), ("origin", "https://evil.example")], false),
            (&[(site, "cross-site"), ("origin", "http://api.example.com")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", APP), ("origin", "https://evil.example")], false),
            (&[("origin", "https://api.example.com"), ("origin", "https://evil.example")], false),
            (&[("origin", "https://api.example.com.evil")], false),
            (&[("origin", "https://api.example.com:8443")], false),
            (&[("origin", "api.example.com")], false),
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "BREW"] {
                let status = send(method, headers).await.status();
                assert_eq!(status == StatusCode::OK, passes, "{method} {headers:?}");
                assert!(passes || status == StatusCode::FORBIDDEN, "{method} {headers:?}");
            }
            assert_eq!(send("GET", headers).await.status(), StatusCode::OK, "{headers:?}");
        }
        for origin in FOREIGN {
            assert_eq!(send("POST", &[("origin", origin)]).await.status(), StatusCode::FORBIDDEN, "{origin}");
        }
    }

    #[test]
    fn an_entry_is_an_origin_as_browsers_write_it() {
        for text in
            ["", " , ", APP, "http://[::1]:3000,capacitor://localhost", "https://xn--bcher-kva.example"]
        {
            assert!(text.parse::<AllowedOrigins>().is_ok(), "{text}");
        }
        for entry in ["*", "null", "app.example.com", "https://", "https://*.example.com", "file://", "a b"] {
            let refusal = format!("{APP},{entry}").parse::<AllowedOrigins>().unwrap_err();
            assert_eq!(refusal, BadOrigin::None(entry.to_owned()), "{entry}");
        }
        for (entry, spelling) in [
            ("https://app.example.com/", APP),
            ("https://app.example.com/path", APP),
            ("https://app.example.com:443", APP),
            ("https://App.Example.com", APP),
            ("https://user@app.example.com", APP),
            ("https://app.example.com?x", APP),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://127.1:3000", "http://127.0.0.1:3000"),
        ] {
            let refusal = entry.parse::<AllowedOrigins>().unwrap_err();
            assert_eq!(refusal, BadOrigin::Spelling(entry.to_owned(), spelling.to_owned()), "{entry}");
            assert!(refusal.to_string().ends_with(spelling));
        }
    }
}
