//! Writes an attempt's outcome and its event in one transaction, if the attempt still has the run.

use std::time::Duration;

use shared::contracts::jobs::{RunFailed, RunSucceeded};
use shared::outbox::{AppendError, Outbox};
use shared::telemetry::TraceContext;
use sqlx::PgConnection;

use super::Workshop;
use super::claim::Claim;
use super::error_kind::ErrorKind;
use super::outcome::Outcome;
use super::requeue_store;
use super::runs_store::{self, ClaimedRun};

/// Why an outcome could not be recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("the run's row can't be written")]
    Row(#[source] sqlx::Error),
    #[error("the run's end can't be told")]
    Append(#[source] AppendError),
}

impl From<sqlx::Error> for RecordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Row(error)
    }
}

/// Whether the outcome stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It does.
    Written,
    /// The run has passed to another attempt: this one's outcome counts for nothing.
    Fenced,
    /// Somebody wanted it to end meanwhile: it is over.
    Canceled,
}

/// Records `outcome` in a transaction of its own.
pub(super) async fn record(
    workshop: &Workshop,
    claim: &Claim,
    outcome: &Outcome,
    took: Duration,
) -> Result<Recorded, RecordError> {
    let (database, outbox) = (&workshop.database, &workshop.outbox);
    let mut transaction = database.begin().await?;
    let done = record_in(&mut transaction, outbox, (&claim.run, &claim.trace), outcome, took).await;
    match done {
        Ok(Recorded::Written | Recorded::Canceled) => {
            transaction.commit().await?;
            outbox.wake();
        }
        Ok(Recorded::Fenced) => transaction.rollback().await?,
        Err(_) => {
            // The first error says more than another one would.
            let _ = transaction.rollback().await;
        }
    }
    done
}

/// Records `outcome` in the caller's transaction, which is to be rolled back if it is fenced. Call [`Outbox::wake`] after the
/// commit.
pub(super) async fn record_in(
    connection: &mut PgConnection,
    outbox: &Outbox,
    (run, trace): (&ClaimedRun, &TraceContext),
    outcome: &Outcome,
    took: Duration,
) -> Result<Recorded, RecordError> {
    // Somebody wants it to end, and it ended otherwise before it heard of it.
    let canceled = match outcome {
        Outcome::Succeeded { .. } | Outcome::Failed { kind: ErrorKind::Canceled, .. } => None,
        Outcome::Retry { error, .. } | Outcome::Failed { error, .. } => {
            let reason = runs_store::cancel_reason(connection, run.id, run.attempt).await?;
            reason.map(|reason| Outcome::canceled(&format!("{reason}; {error}")))
        }
    };
    let outcome = canceled.as_ref().unwrap_or(outcome);
    if !write(connection, run, outcome).await? {
        return Ok(Recorded::Fenced);
    }
    let (run_id, job_key, scheduled_at, attempt) =
        (run.id, run.job_key.clone(), run.scheduled_at, run.attempt);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let appended = match outcome {
        Outcome::Succeeded { .. } => {
            let event = RunSucceeded { run_id, job_key, scheduled_at, attempt, duration_ms };
            outbox.append(connection, trace, event).await.map(|_| ())
        }
        Outcome::Failed { error, .. } => {
            let (duration_ms, error) = (Some(duration_ms), error.clone());
            let event = RunFailed { run_id, job_key, scheduled_at, attempt, duration_ms, error };
            outbox.append(connection, trace, event).await.map(|_| ())
        }
        // Not the end of the run: nothing to tell yet.
        Outcome::Retry { .. } => Ok(()),
    };
    appended.map_err(RecordError::Append)?;
    if let Some(next) = requeue_store::requeue_next_exclusive(connection, &run.schedule_key).await? {
        outbox.append(connection, trace, next).await.map_err(RecordError::Append)?;
    }
    Ok(if canceled.is_some() { Recorded::Canceled } else { Recorded::Written })
}

/// Writes the row; whether the attempt still has it.
async fn write(
    connection: &mut PgConnection,
    run: &ClaimedRun,
    outcome: &Outcome,
) -> Result<bool, sqlx::Error> {
    match outcome {
        Outcome::Succeeded { output } => runs_store::succeed(connection, run.id, run.attempt, output).await,
        Outcome::Retry { wait, error, kind, counts } => {
            let (wait, error) = (wait.as_secs_f64(), (error.as_str(), *kind));
            runs_store::retry(connection, (run.id, run.attempt), wait, error, *counts).await
        }
        Outcome::Failed { error, kind } => {
            runs_store::fail(connection, run.id, run.attempt, (error, *kind)).await
        }
    }
}
