//! The layers together, some of them through a real server.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Once;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use http_body_util::BodyExt;
use proptest::prelude::*;
use shared::lifecycle::{HttpLimits, serve_http_on};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use super::super::{Endpoint, EndpointField, RequestContext, Routes, open_route};
use super::*;
use crate::extract::{Body, FieldCheck};

const ECHO: Endpoint = Endpoint {
    name: "Echo",
    description: "",
    methods: &["POST"],
    fields: &[EndpointField::required("token", "Token")],
};

fn router() -> Router {
    router_with(settings())
}

fn settings() -> StackSettings {
    StackSettings::new(Clock::system(), Entropy::seeded(1), Challenge::of_scheme("JWT"))
}

fn router_with(settings: StackSettings) -> Router {
    let echo = async |Body(fields): Body| {
        let mut check = FieldCheck::new(&fields);
        let token = check.text("token");
        check.finish().map(|()| token)
    };
    let router = open_route(Routes::new(), "/echo/", &ECHO, post(echo))
        .into_parts()
        .0
        .route("/stranger", get(async || Problem::not_authenticated()))
        .route("/context", get(async |context: RequestContext| format!("{:?}", context.origin())))
        .route("/panic", get(async || -> &'static str { panic!("a secret") }))
        .route("/outage", get(async || Problem::unavailable(5)))
        .route("/users/{id}", get(async || "user"))
        .route("/page", get(async || ([(header::CONTENT_SECURITY_POLICY, "default-src 'self'")], "page")))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_secs(20)).await))
        .route("/healthz", get(async || "alive"));
    stack(router, settings)
}

async fn send(method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let peer = ConnectInfo("[::ffff:192.0.2.7]:4000".parse::<SocketAddr>().unwrap());
    router().oneshot(request.extension(peer).body(axum::body::Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn every_401_asks_for_the_first_configured_scheme_and_no_other_answer_does() {
    for (path, accept, challenge) in [
        ("/stranger", "*/*", "JWT realm=\"api\""),
        ("/stranger", "application/problem+json", "JWT realm=\"api\""),
        ("/outage", "*/*", ""),
        ("/healthz", "*/*", ""),
    ] {
        let response = send("GET", path, &[("accept", accept)]).await;
        assert_eq!(header_of(&response, "www-authenticate"), challenge, "{path} {accept}");
    }
}

fn header_of<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_answer_has_its_id_and_the_security_headers() {
    for (method, path, status) in [
        ("POST", "/echo/", 400),
        ("GET", "/echo/", 405),
        ("GET", "/unknown", 404),
        ("GET", "/panic", 500),
        ("GET", "/outage", 503),
        ("GET", "/healthz", 200),
        ("OPTIONS", "/echo", 200),
    ] {
        let response = send(method, path, &[]).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        assert_eq!(header_of(&response, "cache-control"), "no-store");
        assert_eq!(header_of(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header_of(&response, "referrer-policy"), "same-origin");
        assert_eq!(header_of(&response, "cross-origin-opener-policy"), "same-origin");
        assert_eq!(header_of(&response, "cross-origin-resource-policy"), "same-origin");
        assert_eq!(header_of(&response, "x-frame-options"), "DENY");
        assert_eq!(header_of(&response, "strict-transport-security"), "");
        let policy = header_of(&response, "content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(header_of(&response, "vary"), "Accept, Origin");
        let id = Uuid::try_parse(header_of(&response, "x-request-id")).unwrap();
        assert_eq!(id.get_version_num(), 7);
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_in_json_whatever_is_accepted() {
    for headers in [&[][..], &[("accept", "text/html")]] {
        let response = send("DELETE", "/unknown", headers).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(header_of(&response, "content-type"), "application/json");
        assert_eq!(text(response).await, r#"{"detail":"Not found."}"#);
    }
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing() {
    let response = send("GET", "/panic", &[]).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text(response).await, r#"{"detail":"A server error occurred."}"#);
}

#[tokio::test]
async fn a_client_that_asks_for_problem_documents_gets_them_and_the_same_headers() {
    let id = "0193c2f0-0000-7000-8000-000000000001";
    for (method, path, code) in [
        ("POST", "/echo", "invalid"),
        ("GET", "/echo", "method_not_allowed"),
        ("GET", "/unknown", "not_found"),
        ("GET", "/panic", "error"),
        ("GET", "/outage", "unavailable"),
    ] {
        let plain = send(method, path, &[("accept", "application/json")]).await;
        assert_eq!(header_of(&plain, "content-type"), "application/json");
        let headers = [("accept", "application/problem+json, */*"), ("x-request-id", id)];
        let asked = send(method, path, &headers).await;
        assert_eq!(asked.status(), plain.status());
        assert_eq!(header_of(&asked, "content-type"), "application/problem+json");
        for name in ["allow", "retry-after", "vary"] {
            assert_eq!(header_of(&asked, name), header_of(&plain, name));
        }
        let length: usize = header_of(&asked, "content-length").parse().unwrap();
        let body = text(asked).await;
        assert_eq!(body.len(), length);
        let document: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["code"], code);
        assert_eq!(document["instance"], format!("urn:uuid:{id}"));
    }
    let success = send("OPTIONS", "/echo", &[("accept", "application/problem+json")]).await;
    assert_eq!(header_of(&success, "content-type"), "application/json");
}

#[tokio::test]
async fn a_request_keeps_its_callers_id_if_it_is_a_uuid() {
    let known = "0193c2f0-0000-7000-8000-000000000001";
    for (sent, kept) in [
        (known, true),
        ("0193C2F0-0000-7000-8000-000000000001", true),
        ("00000000-0000-0000-0000-000000000000", false),
        ("17", false),
        ("", false),
    ] {
        let response = send("GET", "/healthz", &[("x-request-id", sent)]).await;
        assert_eq!(header_of(&response, "x-request-id") == known, kept, "{sent}");
    }
}

#[tokio::test]
async fn the_address_is_the_sockets_unless_a_trusted_proxy_names_another() {
    for (trusted, expected) in [("", "192.0.2.7"), ("192.0.2.0/24", "203.0.113.9")] {
        let settings = StackSettings { trusted_proxies: trusted.parse().unwrap(), ..settings() };
        let request = Request::get("/context").header("x-forwarded-for", "6.6.6.6, 203.0.113.9");
        let peer = ConnectInfo("[::ffff:192.0.2.7]:4000".parse::<SocketAddr>().unwrap());
        let request = request.extension(peer).body(axum::body::Body::empty()).unwrap();
        let body = text(router_with(settings).oneshot(request).await.unwrap()).await;
        assert!(body.contains(expected) && !body.contains("6.6.6.6"), "{body}");
    }
}

#[tokio::test]
async fn a_handler_knows_where_its_request_came_from() {
    let body = text(send("GET", "/context", &[("user-agent", "curl/8")]).await).await;
    assert!(body.contains("192.0.2.7") && body.contains("curl/8"), "{body}");
    assert!(!body.contains("ffff"), "an IPv4 address is shown as one: {body}");
}

thread_local! {
    /// What this thread has logged: a test runs on one.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Lines;

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged while one request is answered, line by line.
async fn logged(path: &str, headers: &[(&str, &str)]) -> Vec<serde_json::Value> {
    // One subscriber for all tests: with one each, the tests that run beside this one would decide which log
    // statements are switched on.
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let lines = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(tracing::Level::INFO);
        lines.with_writer(|| Lines).init();
    });
    LINES.take();
    send("GET", path, headers).await;
    let lines = String::from_utf8(LINES.take()).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_request_is_one_line_in_the_log_with_its_ids() {
    let id = "0193c2f0-0000-7000-8000-000000000001";
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let lines = logged("/users/7?token=secret", &[("x-request-id", id), ("traceparent", traceparent)]).await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for (field, value) in [("level", "INFO"), ("method", "GET"), ("path", "/users/{id}"), ("ip", "192.0.2.7")]
    {
        assert_eq!(line[field], value);
    }
    assert_eq!(line["status"], 200);
    assert!(line["duration_ms"].is_f64());
    assert_eq!(line["span"]["request_id"], id);
    assert_eq!(line["span"]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
}

#[tokio::test]
async fn the_level_of_a_line_says_whose_affair_it_is() {
    let levels = async |path: &str| -> Vec<String> {
        let lines = logged(path, &[]).await;
        lines.iter().map(|line| line["level"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(levels("/unknown?secret").await, ["INFO"]);
    assert_eq!(levels("/outage").await, ["WARN"]);
    assert_eq!(levels("/panic").await, ["ERROR", "ERROR"], "the panic's message, and the request's line");
    assert!(levels("/healthz").await.is_empty());
    let lines = logged(&format!("/{}?secret", "x".repeat(5000)), &[]).await;
    assert_eq!(lines[0]["path"].as_str().unwrap().len(), 200);
}

/// Sends raw bytes to a real server, and reads until it closes.
async fn exchange(request: &[u8]) -> String {
    exchange_with(settings(), request).await
}

async fn exchange_with(settings: StackSettings, request: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    tokio::spawn(serve_http_on(listener, router_with(settings), HttpLimits::default(), stop));
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn post_request(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /echo/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

#[tokio::test]
async fn long_header_lines_and_long_tokens_get_through_a_real_server() {
    let long_header = format!("Authorization: Bearer {}\r\n", "x".repeat(20_000));
    let token = "x".repeat(20_000);
    let answer = exchange(&post_request(&long_header, &format!(r#"{{"token": "{token}"}}"#))).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:.200}");
    assert!(answer.ends_with(&token));
}

#[tokio::test]
async fn a_client_that_sends_ten_megabytes_reads_its_413() {
    let answer = exchange(&post_request("", &"x".repeat(10_000_000))).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:.200}");
    assert!(answer.ends_with(r#"{"detail":"Request body is too large: the limit is 2621440 bytes."}"#));
}

/// Limits so short that a test need not wait.
fn short_limits() -> StackSettings {
    let short = Duration::from_millis(50);
    StackSettings { time_limits: TimeLimits { body: short, request: 20 * short }, ..settings() }
}

#[tokio::test]
async fn a_client_that_does_not_send_its_body_is_answered_408_and_its_connection_is_closed() {
    for sent in [
        // Kept alive, as far as the client is concerned.
        "Content-Length: 20\r\n\r\n{\"token\":",
        "Content-Length: 20\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"tok",
    ] {
        let head = "POST /echo/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
        let answer = exchange_with(short_limits(), format!("{head}{sent}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{sent:?}: {answer}");
        assert!(answer.ends_with(r#"{"detail":"The request body did not arrive in time."}"#), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.contains("\r\nx-request-id: "), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_keeps_coming_but_slowly_ends_at_the_limit() {
    let chunks = futures_util::stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok::<_, std::convert::Infallible>("x"), ()))
    });
    let request = Request::post("/echo/").header(header::CONTENT_TYPE, "application/json");
    let request = request.body(axum::body::Body::from_stream(chunks)).unwrap();
    let response = router_with(short_limits()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_given_up_with_503() {
    let answer =
        exchange_with(short_limits(), b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 5\r\n"), "{answer}");
}

#[tokio::test]
async fn a_page_has_its_own_policy_and_https_is_demanded_only_where_it_is_set() {
    let settings = StackSettings { strict_transport: StrictTransport::of_seconds(31_536_000), ..settings() };
    let request = Request::get("/page").body(axum::body::Body::empty()).unwrap();
    let response = router_with(settings).oneshot(request).await.unwrap();
    assert_eq!(header_of(&response, "content-security-policy"), "default-src 'self'");
    assert_eq!(header_of(&response, "x-content-type-options"), "nosniff");
    assert_eq!(header_of(&response, "strict-transport-security"), "max-age=31536000");
}

#[tokio::test]
async fn foreign_pages_are_refused_in_the_form_of_every_problem_and_preflights_have_the_same_headers() {
    let foreign = ("origin", "https://evil.example");
    let refused = send("POST", "/echo", &[foreign, ("accept", "application/problem+json")]).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(header_of(&refused, "content-type"), "application/problem+json");
    let preflight = send("OPTIONS", "/echo", &[foreign, ("access-control-request-method", "POST")]).await;
    assert_eq!(preflight.status(), StatusCode::OK);
    for response in [refused, preflight] {
        assert_eq!(header_of(&response, "vary"), "Accept, Origin");
        assert!(!header_of(&response, "x-request-id").is_empty());
    }
}

#[tokio::test]
async fn head_has_no_body_on_the_wire_and_trace_is_a_method_like_any_other() {
    let answer = exchange(b"HEAD /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = exchange(b"TRACE /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("{\"detail\":\"Method \\\"TRACE\\\" not allowed.\"}"), "{answer}");
}

proptest! {
    #[test]
    fn no_header_makes_a_5xx(
        name in prop::sample::select(&["accept", "content-type", "x-request-id", "traceparent", "user-agent", "expect"][..]),
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            r#"[a-z*/+;=", ]{0,40}"#.prop_map(String::into_bytes),
        ],
    ) {
        let Ok(value) = axum::http::HeaderValue::from_bytes(&value) else { return Ok(()) };
        let request = Request::post("/echo").header(header::CONTENT_TYPE, "application/json").header(name, value);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let response = runtime.block_on(router().oneshot(request.body(axum::body::Body::from(r#"{"token": "a"}"#)).unwrap())).unwrap();
        prop_assert!(!response.status().is_server_error());
    }
}
