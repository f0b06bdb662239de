//! A limit for whatever the database is to answer. The server's own time limits say nothing over a network that is gone.

use std::io;
use std::time::Duration;

/// How long a question may take that is no work for the server.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Gives up after `deadline`. The connection is then in an unknown state: it is to be closed, not to be used again.
pub async fn within<T, E: From<sqlx::Error>>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| {
        let words = format!("PostgreSQL did not answer within {deadline:?}");
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, words)).into())
    })
}
