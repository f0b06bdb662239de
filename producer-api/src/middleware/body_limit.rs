//! Tells the extractor how large a body may be, and drains what nobody read.
//!
//! A server that answers and closes while its client still sends makes the client's system throw the answer away
//! with the connection (a reset). So whatever refused the request, the rest of its body is read first, up to a limit.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Sleep, sleep};

use crate::extract::{BodyLimit, BodyTooSlow};

/// How much of an unread body is read and thrown away.
const DRAINED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long that may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// The largest body.
    pub size: BodyLimit,
    /// How long it may take from the end of the request's head on. A body that keeps coming, but slowly, ends then, too.
    pub time: Duration,
}

/// Makes the limits known to the extractor, and drains the body after the handler.
pub async fn body_limit(State(limits): State<BodyLimits>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(limits.size);
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let waits_for_continue = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let body = SharedBody::new(body, limits.time);
    let mut response = next.run(Request::from_parts(parts, Body::new(body.clone()))).await;
    // A client that was never told to go on has sent nothing.
    if body.was_read() || !waits_for_continue {
        drain(&body, DRAIN_TIMEOUT).await;
    }
    if body.is_too_slow() {
        // What still comes would be read as the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads on until the end, the limit, or an error; none of them changes the answer.
async fn drain(body: &SharedBody, timeout: Duration) -> usize {
    let (mut body, mut drained) = (body.clone(), 0);
    let draining = async {
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, Bytes::len);
            if drained >= DRAINED_BYTES_MAX {
                break;
            }
        }
    };
    // Time is up for a client that sends too slowly: it gets its answer, and perhaps the reset.
    let _ = tokio::time::timeout(timeout, draining).await;
    drained
}

/// A body that the handler reads, and that can still be read afterwards. One of the two reads at a time.
#[derive(Debug, Clone)]
struct SharedBody(Arc<Mutex<Reading>>);

#[derive(Debug)]
struct Reading {
    body: Body,
    begun: bool,
    deadline: Pin<Box<Sleep>>,
}

impl SharedBody {
    fn new(body: Body, time: Duration) -> Self {
        Self(Arc::new(Mutex::new(Reading { body, begun: false, deadline: Box::pin(sleep(time)) })))
    }

    fn is_too_slow(&self) -> bool {
        let reading = self.reading();
        reading.deadline.is_elapsed() && !reading.body.is_end_stream()
    }

    fn was_read(&self) -> bool {
        self.reading().begun
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut reading = self.reading();
        reading.begun = true;
        let frame = Pin::new(&mut reading.body).poll_frame(context);
        if frame.is_pending() && reading.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new(BodyTooSlow))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.reading().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.reading().body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;
    use crate::extract::Body as Fields;

    /// A body of `left` bytes without a declared length; without an end if `endless`, it then waits for ever.
    struct Sending {
        left: Arc<Mutex<usize>>,
        endless: bool,
    }

    impl HttpBody for Sending {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let mut left = self.left.lock().unwrap();
            if *left == 0 {
                return if self.endless { Poll::Pending } else { Poll::Ready(None) };
            }
            let size = (*left).min(64 * 1024);
            *left -= size;
            Poll::Ready(Some(Ok(Frame::data(vec![b'x'; size].into()))))
        }
    }

    fn sending(size: usize) -> (Arc<Mutex<usize>>, Body) {
        let left = Arc::new(Mutex::new(size));
        (left.clone(), Body::new(Sending { left, endless: false }))
    }

    const LIMITS: BodyLimits = BodyLimits { size: BodyLimit(100_000), time: Duration::from_secs(20) };

    fn router() -> Router {
        Router::new()
            .route("/read", post(async |_: Fields| "read"))
            .route("/refuse", post(async || "refused"))
            .layer(from_fn_with_state(LIMITS, body_limit))
    }

    async fn status(request: Request) -> u16 {
        router().oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn the_limit_reaches_the_extractor_and_the_rest_is_drained_after_a_413() {
        let (left, body) = sending(10_000_000);
        let request = Request::post("/read").header(header::CONTENT_TYPE, "application/json");
        assert_eq!(status(request.body(body).unwrap()).await, 413);
        assert_eq!(*left.lock().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_body_that_no_handler_looks_at_is_drained_too() {
        let (left, body) = sending(3_000_000);
        assert_eq!(status(Request::post("/refuse").body(body).unwrap()).await, 200);
        assert_eq!(*left.lock().unwrap(), 0);
    }

    #[tokio::test]
    async fn no_more_than_the_limit_is_drained() {
        let (left, body) = sending(DRAINED_BYTES_MAX + 10_000_000);
        assert_eq!(status(Request::post("/refuse").body(body).unwrap()).await, 200);
        assert_eq!(*left.lock().unwrap(), 10_000_000);
    }

    #[tokio::test]
    async fn a_client_that_waits_for_continue_is_not_told_to_go_on() {
        let (left, body) = sending(1000);
        let request = Request::post("/refuse").header(header::EXPECT, "100-continue").body(body).unwrap();
        assert_eq!(status(request).await, 200);
        assert_eq!(*left.lock().unwrap(), 1000);
    }

    #[tokio::test]
    async fn a_client_that_stops_sending_does_not_hold_the_answer_for_ever() {
        let left = Arc::new(Mutex::new(1000));
        let body = SharedBody::new(Body::new(Sending { left, endless: true }), LIMITS.time);
        assert_eq!(drain(&body, Duration::ZERO).await, 1000);
    }
}
