//! The HTTP server of every program: what one client may cost it in time, memory and connections, and an orderly stop.
//!
//! `axum::serve` sets no limits, so that a client that sends one byte a minute keeps its connection for ever. This is
//! the same loop with hyper's own builder. HTTP/1.1 only: HTTP/2 and TLS are the proxy's affair.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::http_connection::{Connection, Requests};
use crate::telemetry::error_chain;

/// What one client may cost the server. hyper adds one of its own: a request with more than 100 headers is 431.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// The largest head of a request (its first line and its headers) in bytes; 431 beyond it.
    pub head_bytes_max: usize,
    /// How long a connection stays open between two requests, and before the first.
    pub idle_timeout: Duration,
    /// How long a request's head may take from its first byte to its last; the connection is closed after that.
    pub head_timeout: Duration,
    /// How long a client may take nothing of an answer before its connection is closed.
    pub write_timeout: Duration,
    /// How many connections may be open; further ones wait in the system's queue.
    pub connections_max: usize,
}

impl Default for HttpLimits {
    /// The limits in production. A body's and a request's time are limited above this, where an answer can be given.
    fn default() -> Self {
        Self {
            head_bytes_max: 64 * 1024,
            // Balancers close an idle connection after 60 s. If we were first, a request of theirs could meet our close.
            idle_timeout: Duration::from_secs(75),
            // Below SHUTDOWN_TIMEOUT's default, as half a head must not make a stop unclean.
            head_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            connections_max: 10_000,
        }
    }
}

/// Serves `router` on `address` until `stop`, then finishes the requests in hand.
///
/// # Errors
/// When it can't listen there.
pub async fn serve(address: SocketAddr, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}; set LISTEN_ADDRESS to a free one"))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    serve_on(listener, router, HttpLimits::default(), stop).await;
    Ok(())
}

/// The same on a listener that is there, within these limits.
pub async fn serve_on(
    mut listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let connections = TaskTracker::new();
    while let Some((stream, peer, place)) =
        stop.run_until_cancelled(next_connection(&mut listener, &places)).await
    {
        connections.spawn(serve_connection(stream, peer, place, router.clone(), limits, stop.clone()));
    }
    // From here on a balancer's new connection is refused at once, not left waiting.
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn next_connection(
    listener: &mut TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a place in the end.
    let place = places.clone().acquire_owned().await.ok();
    // axum's accept waits a second when the process has no file descriptor left.
    let (stream, peer) = Listener::accept(listener).await;
    (stream, peer, place)
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: Option<OwnedSemaphorePermit>,
    router: Router,
    limits: HttpLimits,
    stop: CancellationToken,
) {
    // An answer is written in one piece; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let requests = Requests::default();
    let connection = Connection::new(stream, requests.clone(), limits, place);
    let service = service_fn(|request| answer(router.clone(), request, peer, &requests));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_header_size(limits.head_bytes_max)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let end = tokio::select! {
        end = serving.as_mut() => end,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = end {
        tracing::debug!(%peer, error = error_chain(&error), "a connection broke off");
    }
}

fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    requests: &Requests,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let in_hand = requests.begin();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    async move {
        let response = router.oneshot(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            in_hand.never_ends();
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests;
