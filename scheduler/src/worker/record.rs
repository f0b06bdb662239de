//! Writes an attempt's outcome and its event in one transaction, if the attempt still has the run.

use std::time::Duration;

use shared::contracts::jobs::{RunFailed, RunSucceeded};
use shared::outbox::AppendError;

use super::Workshop;
use super::claim::Claim;
use super::outcome::Outcome;
use super::requeue_store;
use super::runs_store;

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

/// Records `outcome`.
pub(super) async fn record(
    workshop: &Workshop,
    claim: &Claim,
    outcome: &Outcome,
    took: Duration,
) -> Result<Recorded, RecordError> {
    let run = &claim.run;
    let mut transaction = workshop.database.begin().await?;
    // Somebody wants it to end, and it ended otherwise before it heard of it.
    let canceled = match outcome {
        Outcome::Retry { .. } => runs_store::cancel_reason(&mut transaction, run.id, run.attempt).await?,
        Outcome::Succeeded { .. } | Outcome::Failed { .. } => None,
    };
    let canceled = canceled.map(|reason| Outcome::canceled(&reason));
    let outcome = canceled.as_ref().unwrap_or(outcome);
    let ours = match outcome {
        Outcome::Succeeded { output } => {
            runs_store::succeed(&mut transaction, run.id, run.attempt, output).await?
        }
        Outcome::Retry { wait, error, kind, counts } => {
            let (wait, error) = (wait.as_secs_f64(), (error.as_str(), *kind));
            runs_store::retry(&mut transaction, (run.id, run.attempt), wait, error, *counts).await?
        }
        Outcome::Failed { error, kind } => {
            runs_store::fail(&mut transaction, run.id, run.attempt, (error, *kind)).await?
        }
    };
    if !ours {
        return Ok(Recorded::Fenced);
    }
    let (run_id, job_key, scheduled_at, attempt) =
        (run.id, run.job_key.clone(), run.scheduled_at, run.attempt);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let appended = match outcome {
        Outcome::Succeeded { .. } => {
            let event = RunSucceeded { run_id, job_key, scheduled_at, attempt, duration_ms };
            workshop.outbox.append(&mut transaction, &claim.trace, event).await.map(|_| ())
        }
        Outcome::Failed { error, .. } => {
            let (duration_ms, error) = (Some(duration_ms), error.clone());
            let event = RunFailed { run_id, job_key, scheduled_at, attempt, duration_ms, error };
            workshop.outbox.append(&mut transaction, &claim.trace, event).await.map(|_| ())
        }
        // Not the end of the run: nothing to tell yet.
        Outcome::Retry { .. } => Ok(()),
    };
    appended.map_err(RecordError::Append)?;
    if let Some(next) = requeue_store::requeue_next_exclusive(&mut transaction, &run.schedule_key).await? {
        let appended = workshop.outbox.append(&mut transaction, &claim.trace, next).await;
        appended.map_err(RecordError::Append)?;
    }
    transaction.commit().await?;
    workshop.outbox.wake();
    Ok(if canceled.is_some() { Recorded::Canceled } else { Recorded::Written })
}
