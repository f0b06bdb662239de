//! `JWK_URL` against a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use std::sync::Mutex;
use tokio::net::TcpListener;

use super::*;
use crate::tokens::keys::fetched_set::{FetchedSet, Waits};

/// A server of a key set that counts how often it is asked.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<(StatusCode, String)>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(set: &Value) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new((StatusCode::OK, set.to_string())));
        let (count, current) = (Arc::clone(&asked), Arc::clone(&answer));
        let keys = async move || -> Response {
            count.fetch_add(1, Ordering::SeqCst);
            let (status, body) = current.lock().unwrap().clone();
            if status.is_redirection() {
                (status, [(header::LOCATION, body)]).into_response()
            } else {
                (status, body).into_response()
            }
        };
        let router = Router::new().route("/keys", get(keys));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, answer, task }
    }

    fn answers(&self, status: StatusCode, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, body.into());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Somebody else's server of tokens: its ring, and the set it serves.
fn issuer(kid: &str) -> (Arc<KeyRing>, Value) {
    let folder = Folder::new();
    folder.add(kid, clock().now());
    let ring = open(&with_folder("ES256", &folder)).ring();
    let set = ring.jwks();
    (ring, set)
}

fn both(one: &Value, other: &Value) -> Value {
    let keys = [one, other].map(|set| set["keys"][0].clone());
    json!({ "keys": keys })
}

fn verifier(server: &Server, clock: &Clock) -> Keys {
    let config =
        KeysConfig { jwk_url: Some(server.url.parse().unwrap()), ..with_key("ES256", &new_pem("ES256")) };
    Keys::open(&config, clock.clone()).unwrap()
}

async fn takes(keys: &Keys, token: &str) -> bool {
    accepts(&*keys.ring_for(token).await, token)
}

#[tokio::test]
async fn tokens_verify_by_the_fetched_set_and_by_nothing_else() {
    let (theirs, set) = issuer("theirs");
    let server = Server::start(&set).await;
    let keys = verifier(&server, &clock());
    let token = theirs.sign(b"{}").unwrap();
    assert!(takes(&keys, &token).await);
    let own = keys.ring().sign(b"{}").unwrap();
    assert!(!takes(&keys, &own).await, "our own key is not in the set");
    let (message, signature) = token.rsplit_once('.').unwrap();
    assert!(!keys.ring().verifies(None, message.as_bytes(), signature), "a token must name its key");
    assert_eq!(
        kids(&keys.ring()),
        [header_of(&own)["kid"].as_str().unwrap()],
        "our own set shows our own key"
    );
    let with_ours = both(&set, &keys.ring().jwks());
    let server = Server::start(&with_ours).await;
    let config = KeysConfig {
        jwk_url: Some(server.url.parse().unwrap()),
        ..with_key("ES256", &openssl("p256_pkcs8.pem"))
    };
    server.answers(StatusCode::OK, both(&set, &ring_of("ES256").jwks()).to_string());
    let keys = open(&config);
    let own = keys.ring().sign(b"{}").unwrap();
    assert!(takes(&keys, &own).await, "our own key is in the set");
}

#[tokio::test]
async fn a_set_is_good_for_300_seconds_and_an_unknown_key_has_it_fetched_every_30_at_most() {
    let ((first, first_set), (second, second_set)) = (issuer("1"), issuer("2"));
    let (server, clock) = (Server::start(&first_set).await, clock());
    let keys = verifier(&server, &clock);
    let (first, second) = (first.sign(b"{}").unwrap(), second.sign(b"{}").unwrap());
    assert_eq!(server.asked(), 0, "nothing is fetched before it is needed");
    for _ in 0..3 {
        assert!(takes(&keys, &first).await);
    }
    assert_eq!(server.asked(), 1);
    server.answers(StatusCode::OK, both(&first_set, &second_set).to_string());
    clock.advance(seconds(29));
    for _ in 0..3 {
        assert!(!takes(&keys, &second).await);
    }
    assert_eq!(server.asked(), 1, "asked 29 s ago");
    clock.advance(seconds(1));
    assert!(takes(&keys, &second).await);
    assert!(takes(&keys, &first).await);
    assert_eq!(server.asked(), 2);

    // The second key leaves the set: it is good as long as the set is.
    server.answers(StatusCode::OK, first_set.to_string());
    clock.advance(seconds(299));
    assert!(takes(&keys, &second).await);
    assert_eq!(server.asked(), 2);
    clock.advance(seconds(1));
    assert!(!takes(&keys, &second).await);
    assert!(takes(&keys, &first).await);
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn a_fetch_that_fails_keeps_the_last_good_set() {
    let (ring, set) = issuer("1");
    let (server, clock) = (Server::start(&set).await, clock());
    let keys = verifier(&server, &clock);
    let token = ring.sign(b"{}").unwrap();
    assert!(takes(&keys, &token).await);
    let elsewhere = Server::start(&json!({ "keys": [] })).await;
    let mut asked = server.asked();
    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, set.to_string()),
        (StatusCode::NOT_FOUND, String::new()),
        (StatusCode::FOUND, elsewhere.url.clone()),
        (StatusCode::PERMANENT_REDIRECT, elsewhere.url.clone()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, "[]".to_owned()),
        (StatusCode::OK, r#"{"keys":{}}"#.to_owned()),
        (StatusCode::OK, String::new()),
        (StatusCode::OK, format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(1024 * 1024))),
    ] {
        server.answers(status, body);
        clock.advance(seconds(300));
        assert!(takes(&keys, &token).await, "{status}");
        asked += 1;
        assert_eq!(server.asked(), asked, "{status}: it was asked, and once");
        assert!(takes(&keys, &token).await);
        assert_eq!(server.asked(), asked, "{status}: a failure is not repeated within 30 s");
    }
    assert_eq!(elsewhere.asked(), 0, "no redirect was followed");
    server.task.abort();
    clock.advance(seconds(30));
    assert!(takes(&keys, &token).await, "nor does it need a server");
}

#[tokio::test]
async fn without_any_good_set_tokens_are_refused_and_the_server_is_left_alone() {
    let (ring, set) = issuer("1");
    let (server, clock) = (Server::start(&set).await, clock());
    server.answers(StatusCode::OK, "not JSON");
    let keys = verifier(&server, &clock);
    let token = ring.sign(b"{}").unwrap();
    for _ in 0..5 {
        assert!(!takes(&keys, &token).await);
    }
    assert_eq!(server.asked(), 1);
    server.answers(StatusCode::OK, set.to_string());
    clock.advance(seconds(30));
    assert!(takes(&keys, &token).await);
}

#[tokio::test]
async fn many_tokens_of_an_unknown_key_share_one_fetch() {
    let (ring, set) = issuer("1");
    let server = Server::start(&set).await;
    let keys = verifier(&server, &clock());
    let token = ring.sign(b"{}").unwrap();
    let requests = (0..50).map(|_| {
        let (keys, token) = (keys.clone(), token.clone());
        tokio::spawn(async move { takes(&keys, &token).await })
    });
    for request in requests.collect::<Vec<_>>() {
        assert!(request.await.unwrap());
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn only_keys_that_may_verify_our_algorithm_are_taken() {
    let (ring, set) = issuer("1");
    let key = set["keys"][0].clone();
    let token = ring.sign(b"{}").unwrap();
    let rsa = ring_of("RS256").jwks()["keys"][0].clone();
    let with = |name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let without = |name: &str| {
        let mut key = key.clone();
        key.as_object_mut().unwrap().remove(name);
        key
    };
    for (keys_of_set, taken) in [
        (json!([key]), true),
        (json!([without("use")]), true),
        (json!([without("alg")]), true),
        (json!([with("key_ops", json!(["verify"])), with("x5c", json!("strange"))]), true),
        (json!([rsa, 7, null, "x", {}, with("kid", json!("2")), key]), true),
        (json!([with("use", json!("enc"))]), false),
        (json!([with("alg", json!("ES384"))]), false),
        (json!([with("kid", json!(""))]), false),
        (json!([with("kid", json!(1))]), false),
        (json!([without("kid")]), false),
        (json!([with("crv", json!("P-384"))]), false),
        (json!([with("kty", json!("oct"))]), false),
        (json!([with("x", json!("AAAA"))]), false),
        (json!([with("x", json!("!"))]), false),
    ] {
        let server = Server::start(&json!({ "keys": keys_of_set })).await;
        assert_eq!(takes(&verifier(&server, &clock()), &token).await, taken, "{keys_of_set}");
    }
}

#[tokio::test]
async fn a_request_that_breaks_off_does_not_keep_the_set_from_being_fetched() {
    let (ring, set) = issuer("1");
    let server = Server::start(&set).await;
    let keys = verifier(&server, &clock());
    let token = ring.sign(b"{}").unwrap();
    {
        let asking = keys.ring_for(&token);
        tokio::pin!(asking);
        // One step: the fetch has begun, and the request goes away.
        assert!(poll_once(asking.as_mut()).await.is_none());
    }
    assert!(takes(&keys, &token).await);
    assert_eq!(server.asked(), 1);
}

/// A server that takes connections and says nothing, and a set at it.
async fn hanging(waits: Waits) -> (TcpListener, FetchedSet) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let set = FetchedSet::new(url.parse().unwrap(), algorithm("ES256"), waits).unwrap();
    (listener, set)
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("nobody waits for ever")
}

/// Whether somebody connects within a moment; here only to see that nobody does.
async fn is_left_alone(listener: &TcpListener) -> bool {
    tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err()
}

/// Goes red when requests queue for the server.
#[tokio::test]
async fn a_server_that_hangs_delays_nobody_for_longer_than_the_rules_say() {
    let millis = Duration::from_millis;
    let (listener, set) = hanging(Waits { fetch: HOUR, starter: millis(30), others: millis(10) }).await;
    let clock = clock();
    in_time(set.look_for("1", &clock)).await;
    let _open = in_time(listener.accept()).await.unwrap();
    // However long it lasts.
    clock.advance(seconds(3_600));
    let requests: Vec<_> = (0..50)
        .map(|n| {
            let (set, clock) = (set.clone(), clock.clone());
            tokio::spawn(async move { set.look_for(&n.to_string(), &clock).await })
        })
        .collect();
    for request in requests {
        in_time(request).await.unwrap();
    }
    assert!(is_left_alone(&listener).await, "one fetch at a time");
}

/// Goes red when whoever waited for a fetch that failed starts the next one.
#[tokio::test]
async fn the_pause_counts_from_the_end_of_a_fetch_that_failed_late() {
    let (listener, set) = hanging(Waits { fetch: HOUR, starter: HOUR, others: HOUR }).await;
    let clock = clock();
    let starter = {
        let (set, clock) = (set.clone(), clock.clone());
        tokio::spawn(async move { set.look_for("1", &clock).await })
    };
    let connection = in_time(listener.accept()).await.unwrap();
    let waiter = set.look_for("2", &clock);
    tokio::pin!(waiter);
    assert!(poll_once(waiter.as_mut()).await.is_none(), "it waits");
    clock.advance(seconds(30));
    drop(connection);
    in_time(starter).await.unwrap();
    in_time(waiter).await;
    clock.advance(seconds(29));
    in_time(set.look_for("3", &clock)).await;
    assert!(is_left_alone(&listener).await, "the fetch failed 29 s ago");
    clock.advance(seconds(1));
    let next = set.look_for("4", &clock);
    tokio::pin!(next);
    assert!(poll_once(next.as_mut()).await.is_none());
    in_time(listener.accept()).await.unwrap();
}

#[test]
fn a_request_waits_for_five_seconds_at_most() {
    let Waits { fetch, starter, others } = Waits::default();
    assert_eq!([fetch, starter, others].map(|wait| wait.as_secs()), [30, 5, 2]);
}

#[tokio::test]
async fn secrets_need_no_set() {
    let server = Server::start(&json!({ "keys": [] })).await;
    let config = KeysConfig { jwk_url: Some(server.url.parse().unwrap()), ..with_key("HS256", SECRET) };
    let keys = open(&config);
    let token = keys.ring().sign(b"{}").unwrap();
    assert!(takes(&keys, &token).await);
    assert_eq!(server.asked(), 0);
}

/// Polls a future once.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(move |context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
