//! Real connections against small limits.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Bytes, HttpBody};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

const SHORT: Duration = Duration::from_millis(50);
/// No test waits this long unless it fails.
const LONG: Duration = Duration::from_secs(20);

const LIMITS: HttpLimits = HttpLimits {
    head_bytes_max: 16 * 1024,
    idle_timeout: LONG,
    head_timeout: LONG,
    write_timeout: LONG,
    connections_max: 100,
};

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, limits: HttpLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let serving = tokio::spawn(serve_on(listener, router, limits, stop.clone()));
        Self { address, stop, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stopped(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

fn hello() -> Router {
    Router::new().route("/", any(async || "hello"))
}

/// What comes until the server closes. A reset is a close, too.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// One answer of a connection that stays open, up to and with `end`.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).await.unwrap();
        assert_ne!(count, 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    text
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_its_head_is_cut_off() {
    let server = Server::start(hello(), HttpLimits { head_timeout: SHORT, ..LIMITS }).await;
    let begun = Instant::now();
    let mut first = server.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    assert_eq!(rest(first).await, "");
    let mut second = server.connect().await;
    second.write_all(REQUEST).await.unwrap();
    until(&mut second, "hello").await;
    second.write_all(b"G").await.unwrap();
    assert_eq!(rest(second).await, "", "a later request of a connection likewise");
    assert!(begun.elapsed() < LONG);
}

#[tokio::test]
async fn a_client_that_sends_its_head_byte_by_byte_is_cut_off() {
    let server = Server::start(hello(), HttpLimits { head_timeout: SHORT, ..LIMITS }).await;
    let (mut answer, mut request) = server.connect().await.into_split();
    let dripping = tokio::spawn(async move {
        request.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        while request.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let _ = answer.read_to_end(&mut bytes).await;
    assert!(bytes.is_empty() && begun.elapsed() < LONG);
    dripping.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_timeout_and_not_after_the_heads() {
    let limits = HttpLimits { idle_timeout: 6 * SHORT, head_timeout: SHORT, ..LIMITS };
    let server = Server::start(hello(), limits).await;
    let mut used = server.connect().await;
    used.write_all(REQUEST).await.unwrap();
    until(&mut used, "hello").await;
    let begun = Instant::now();
    assert_eq!(rest(used).await, "");
    assert!((2 * SHORT..LONG).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(rest(server.connect().await).await, "", "so is one that was never used");
}

#[tokio::test]
async fn a_request_in_hand_and_its_body_have_nothing_to_do_with_the_timeouts_of_heads() {
    let limits = HttpLimits { head_timeout: SHORT, idle_timeout: SHORT, ..LIMITS };
    let server = Server::start(Router::new().route("/", any(async |body: Bytes| body)), limits).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na").await.unwrap();
    tokio::time::sleep(4 * SHORT).await;
    stream.write_all(b"b").await.unwrap();
    assert!(until(&mut stream, "ab").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_headers_is_431() {
    let server = Server::start(hello(), LIMITS).await;
    for (length, status) in [(15_000, "200"), (LIMITS.head_bytes_max, "431")] {
        let mut head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ".to_owned();
        head.push_str(&"x".repeat(length - head.len() - 4));
        head.push_str("\r\n\r\n");
        // Without its last byte it is as large, and no head yet.
        let sent = if status == "431" { head.replace("\r\n\r\n", "xxxx") } else { head };
        let mut stream = server.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        assert!(rest(stream).await.starts_with(&format!("HTTP/1.1 {status} ")), "{length} bytes");
    }
    for (count, status) in [(98, "200"), (99, "431")] {
        let mut stream = server.connect().await;
        let headers = "X: x\r\n".repeat(count);
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(rest(stream).await.starts_with(&format!("HTTP/1.1 {status} ")), "{count} headers");
    }
}

#[tokio::test]
async fn at_the_stop_a_request_in_hand_is_answered_and_idle_connections_are_closed() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        async move || {
            begun.notify_one();
            go_on.notified().await;
            "done"
        }
    };
    let server = Server::start(hello().route("/slow", get(handler)), LIMITS).await;
    let (mut idle, mut busy, unused) =
        (server.connect().await, server.connect().await, server.connect().await);
    idle.write_all(REQUEST).await.unwrap();
    until(&mut idle, "hello").await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    begun.notified().await;
    let address = server.address;
    let stopped = tokio::spawn(server.stopped());
    assert_eq!((rest(idle).await, rest(unused).await), (String::new(), String::new()));
    assert!(TcpStream::connect(address).await.is_err(), "no new connection is taken");
    assert!(!stopped.is_finished());
    go_on.notify_one();
    let answer = rest(busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
    stopped.await.unwrap();
}

#[tokio::test]
async fn half_a_head_does_not_hold_the_stop() {
    let server = Server::start(hello(), HttpLimits { head_timeout: SHORT, ..LIMITS }).await;
    let mut stream = server.connect().await;
    stream.write_all(REQUEST).await.unwrap();
    until(&mut stream, "hello").await;
    stream.write_all(b"GET / HT").await.unwrap();
    let begun = Instant::now();
    server.stopped().await;
    assert!(begun.elapsed() < LONG);
}

/// A body without an end, which tells when it is thrown away.
struct Endless(Arc<Notify>);

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(Some(Ok(Frame::data(vec![b'x'; 64 * 1024].into()))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let gone = Arc::new(Notify::new());
    let body = gone.clone();
    let router = Router::new().route("/", get(async move || Body::new(Endless(body)).into_response()));
    let server = Server::start(router, HttpLimits { write_timeout: SHORT, ..LIMITS }).await;
    let mut stream = server.connect().await;
    stream.write_all(REQUEST).await.unwrap();
    tokio::time::timeout(LONG, gone.notified()).await.expect("the answer is given up");
}

#[tokio::test]
async fn a_connection_beyond_the_most_waits_until_another_is_closed() {
    let server = Server::start(hello(), HttpLimits { connections_max: 1, ..LIMITS }).await;
    let mut first = server.connect().await;
    first.write_all(REQUEST).await.unwrap();
    until(&mut first, "hello").await;
    let mut second = server.connect().await;
    second.write_all(REQUEST).await.unwrap();
    first.write_all(REQUEST).await.unwrap();
    until(&mut first, "hello").await;
    let waits = tokio::time::timeout(SHORT, second.readable()).await;
    assert!(waits.is_err(), "the second got its turn too early");
    drop(first);
    until(&mut second, "hello").await;
}

#[tokio::test]
async fn an_upgraded_connection_may_be_silent_and_keeps_its_place() {
    let echo = async |mut request: axum::extract::Request| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                stream.write_all(&byte).await.unwrap();
            }
        });
        (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "echo")])
    };
    let limits = HttpLimits { head_timeout: SHORT, idle_timeout: SHORT, connections_max: 1, ..LIMITS };
    let server = Server::start(Router::new().route("/", get(echo)), limits).await;
    let mut stream = server.connect().await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(request).await.unwrap();
    until(&mut stream, "\r\n\r\n").await;
    stream.write_all(b"1").await.unwrap();
    until(&mut stream, "1").await;
    let other = server.connect().await;
    assert!(tokio::time::timeout(4 * SHORT, other.readable()).await.is_err(), "the place is taken");
    stream.write_all(b"2").await.unwrap();
    until(&mut stream, "2").await;
}
