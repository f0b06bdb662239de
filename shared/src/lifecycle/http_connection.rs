//! A connection that ends with an error when its client sends a request's head, or takes an answer, too slowly.
//!
//! hyper's own timeout begins with the end of the answer before, so it can only be as long as a connection may be idle.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

use super::http_server::HttpLimits;

type Timer = Pin<Box<Sleep>>;

/// Counts a connection's requests, once at their beginning and once at their end: at an odd count one is in hand.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<AtomicU64>);

/// A request in hand, until it is dropped.
#[derive(Debug)]
pub(super) struct InHand(Option<Requests>);

impl Requests {
    pub(super) fn begin(&self) -> InHand {
        self.0.fetch_add(1, Ordering::Relaxed);
        InHand(Some(self.clone()))
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl InHand {
    /// The connection was upgraded: what comes now is no request's head.
    pub(super) fn never_ends(mut self) {
        self.0 = None;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some(requests) = &self.0 {
            requests.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    requests: Requests,
    limits: HttpLimits,
    head: Option<Head>,
    stalled: Option<Timer>,
    /// Given back when the connection is closed, also an upgraded one.
    _place: Option<OwnedSemaphorePermit>,
}

/// A head of which the first bytes have come.
#[derive(Debug)]
struct Head {
    /// How many requests were counted before it.
    after: u64,
    deadline: Timer,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        requests: Requests,
        limits: HttpLimits,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { stream, requests, limits, head: None, stalled: None, _place: place }
    }

    fn note_bytes(&mut self) {
        let after = self.requests.count();
        let between_requests = after.is_multiple_of(2);
        if between_requests && self.head.as_ref().is_none_or(|head| head.after != after) {
            self.head = Some(Head { after, deadline: timer(self.limits.head_timeout) });
        }
    }

    fn head_is_late(&mut self, context: &mut Context<'_>) -> bool {
        let count = self.requests.count();
        let coming = self.head.as_mut().filter(|head| head.after == count);
        coming.is_some_and(|head| head.deadline.as_mut().poll(context).is_ready())
    }

    /// `written`, or an error once the client has taken nothing for too long.
    fn unless_stalled<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.limits.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| timer(timeout));
        stalled.as_mut().poll(context).map(|()| Err(too_slow("the client took nothing of its answer")))
    }
}

fn timer(duration: Duration) -> Timer {
    Box::pin(sleep(duration))
}

fn too_slow(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, what)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.note_bytes();
        }
        if read.is_pending() && self.head_is_late(context) {
            return Poll::Ready(Err(too_slow("the client did not send its request's head in time")));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_stalled(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.unless_stalled(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
