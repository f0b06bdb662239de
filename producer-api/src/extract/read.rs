//! Reads a body up to the limit, and no further than the answer needs.

use std::error::Error;
use std::iter::successors;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;

use crate::problem::Problem;

/// The largest body that is read, in bytes; a request extension, set by the middleware `body_limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    /// Django's `DATA_UPLOAD_MAX_MEMORY_SIZE`.
    fn default() -> Self {
        Self(2_621_440)
    }
}

/// The error of a body that did not come in time; the middleware `body_limit` makes it.
#[derive(Debug, thiserror::Error)]
#[error("the client did not send its body in time")]
pub struct BodyTooSlow;

/// Whether there is a body at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Zero,
    More,
}

/// A body of which at most the first bytes are read.
#[derive(Debug)]
pub(super) struct PendingBody {
    first: Bytes,
    rest: Body,
}

impl PendingBody {
    pub(super) fn new(body: Body) -> Self {
        Self { first: Bytes::new(), rest: body }
    }

    /// Whether there is a body. Its declared length decides where there is one: a client that waits for
    /// `100 Continue` must not be told to go on when the answer is 415 anyway.
    pub(super) async fn length(&mut self) -> Result<Length, Problem> {
        let hint = self.rest.size_hint();
        if hint.lower() > 0 || !self.first.is_empty() {
            return Ok(Length::More);
        }
        if hint.exact() == Some(0) {
            return Ok(Length::Zero);
        }
        while let Some(bytes) = next_bytes(&mut self.rest).await? {
            if !bytes.is_empty() {
                self.first = bytes;
                return Ok(Length::More);
            }
        }
        Ok(Length::Zero)
    }

    /// All of it; 413 at once if the declared length is over the limit, else as soon as more has come.
    pub(super) async fn read(mut self, limit: BodyLimit) -> Result<Bytes, Problem> {
        let declared = self.rest.size_hint().lower();
        let limit_bytes = u64::try_from(limit.0).unwrap_or(u64::MAX);
        if declared > limit_bytes {
            return Err(Problem::too_large(limit.0));
        }
        // The declared length is at most the limit here.
        let mut gathered = Vec::with_capacity(usize::try_from(declared).unwrap_or(0));
        let mut next = Some(self.first);
        while let Some(bytes) = next {
            if gathered.len() + bytes.len() > limit.0 {
                return Err(Problem::too_large(limit.0));
            }
            gathered.extend_from_slice(&bytes);
            next = next_bytes(&mut self.rest).await?;
        }
        Ok(gathered.into())
    }
}

/// The next piece of data; trailers are passed over.
async fn next_bytes(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

fn broken(error: &axum::Error) -> Problem {
    let first: &(dyn Error + 'static) = error;
    let mut causes = successors(Some(first), |cause| (*cause).source());
    if causes.any(<dyn Error>::is::<BodyTooSlow>) {
        return Problem::request_timeout();
    }
    Problem::parse_error("The request body ended before it was complete.")
}
