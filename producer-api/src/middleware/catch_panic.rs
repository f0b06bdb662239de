//! A handler that panics is a 500 like any other: one line in the log, nothing of it in the answer.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// Turns a panic below into 500.
pub async fn catch_panic(request: Request, next: Next) -> Response {
    let mut answer = pin!(next.run(request));
    // After a panic the future is dropped and never polled again, so no broken state is seen.
    let caught = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    caught.await.unwrap_or_else(|panic| {
        tracing::error!(panic = message(&*panic), "a request handler panicked");
        Problem::internal().into_response()
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
