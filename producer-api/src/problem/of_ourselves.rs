//! Problems of ours: the client did nothing wrong.

use super::{Kind, Problem};

impl Problem {
    /// 500. What went wrong is in the log, never in the answer.
    pub fn internal() -> Self {
        Self::new(Kind::Internal, "A server error occurred.")
    }

    /// 503 with `Retry-After`: something that we need is away or overloaded.
    pub fn unavailable(retry_after_seconds: u64) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(Kind::Unavailable, "Service temporarily unavailable, try again later.")
        }
    }
}
