//! Workers of other programs, in any language: they ask for runs of a queue of their own and report what became of them.
//!
//! A team's queue is bound to `job.ticks`; what it says of a run it publishes to `job.reports` under `queue.ask`, as a small
//! JSON object with a `reply_to`. Rows, rules and transactions are those of our own workers. The key's queue is the one whose
//! runs it may ask about, so that RabbitMQ's permissions on topics keep a team to its own; `default` and `mail` are ours alone.
//!
//! Everything may be asked twice: an ask is acknowledged after its answer was sent, and that after the commit. `docs/FOREIGN-WORKERS.md`
//! is the page for those who ask.

mod answer;
mod ask;
mod claim;
mod desk;
mod finish;
mod listener;
mod metrics;
mod renew;
mod reply_to;
mod store;

pub use answer::{Answer, Granted};
pub use desk::ReportDesk;
pub use listener::Listener;
pub use metrics::ReportMetrics;

use shared::database::is_locked;
use shared::outbox::AppendError;
use sqlx::{Postgres, Transaction};

use super::record::RecordError;

/// The class of PostgreSQL's errors about values.
const DATA_EXCEPTION: &str = "22";

/// Why nothing was done: the same ask comes again.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The database did not do its part.
    #[error("the run can't be read or written")]
    Database(#[source] sqlx::Error),
    /// The event that tells the run's end could not be written.
    #[error("the run's end can't be told")]
    Untold(#[source] AppendError),
}

impl ReportError {
    /// Whether somebody else held a row for too long.
    fn is_locked(&self) -> bool {
        matches!(self, Self::Database(error) if is_locked(error))
    }

    /// What the database says of a value that no row can hold: asked again it would say the same.
    fn refusal(&self) -> Option<&str> {
        let Self::Database(sqlx::Error::Database(error)) = self else { return None };
        error.code().is_some_and(|code| code.starts_with(DATA_EXCEPTION)).then(|| error.message())
    }
}

impl From<sqlx::Error> for ReportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<RecordError> for ReportError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Row(error) => Self::Database(error),
            RecordError::Append(error) => Self::Untold(error),
        }
    }
}

/// Keeps what was done, or nothing of it. What fails is rolled back at once: sqlx leaves that to whoever uses the connection
/// next, and the run would be locked until then.
async fn end<T>(
    transaction: Transaction<'_, Postgres>,
    done: Result<T, ReportError>,
) -> Result<T, ReportError> {
    match done {
        Ok(done) => {
            transaction.commit().await?;
            Ok(done)
        }
        Err(error) => {
            // The first error says more than another one would.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}
