//! What becomes due by itself among the runs: retries whose wait is over, runs whose worker is gone, queued runs whose
//! message was lost. Part of `scheduler tick`, one transaction a round, safe beside others.

use chrono::{DateTime, Utc};
use shared::contracts::jobs::RunFailed;
use shared::entropy::Entropy;
use shared::outbox::{AppendError, Outbox};
use shared::telemetry::TraceContext;
use sqlx::PgConnection;

use super::error_kind::ErrorKind;
use super::requeue_store;
use super::retry_policy::{Next, after_failure};
use super::runs_store::{self, LostRun};

/// The most runs of each kind in one round.
const ROUND_MAX: i64 = 100;
/// The most messages that are sent again in one round, which reads all runs that wait.
const MESSAGES_MAX: i64 = 1_000;

/// Why a round failed; nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// The runs could not be read or written.
    #[error("the runs can't be rescued")]
    Runs(#[source] sqlx::Error),
    /// Their messages could not be written.
    #[error("a rescued run can't be told about")]
    Append(#[source] AppendError),
}

impl From<sqlx::Error> for RescueError {
    fn from(error: sqlx::Error) -> Self {
        Self::Runs(error)
    }
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Runs whose time has come that were queued.
    pub queued: usize,
    /// Retries that were queued.
    pub retried: usize,
    /// Runs whose lease had run out.
    pub lost: usize,
    /// Queued runs whose message was sent again.
    pub resent: usize,
}

impl Rescued {
    /// Whether anything was done.
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// Whether there may be more.
    pub fn more(self) -> bool {
        let is_full = |count| i64::try_from(count).is_ok_and(|count| count >= ROUND_MAX);
        [self.queued, self.retried, self.lost].into_iter().any(is_full) || self.more_messages()
    }

    /// Whether more messages may be lost.
    pub fn more_messages(self) -> bool {
        i64::try_from(self.resent).is_ok_and(|count| count >= MESSAGES_MAX)
    }
}

/// Does one round in the caller's transaction; looks for lost messages, for which it reads all runs that wait, only
/// `with_messages`.
pub async fn rescue(
    connection: &mut PgConnection,
    (outbox, entropy): (&Outbox, &Entropy),
    with_messages: bool,
    now: DateTime<Utc>,
) -> Result<Rescued, RescueError> {
    let trace = TraceContext::new(entropy);
    let shortened = runs_store::shorten_ahead(connection, now, ROUND_MAX).await?;
    if shortened > 0 {
        tracing::warn!(runs = shortened, "the clock was set back, leases and waits are shortened");
    }
    let lost = runs_store::lock_lost(connection, now, ROUND_MAX).await?;
    for run in &lost {
        give_up_attempt(connection, outbox, entropy, &trace, run).await?;
    }
    let queued = requeue_store::queue_due(connection, now, ROUND_MAX).await?;
    let retried = requeue_store::requeue_retries(connection, now, ROUND_MAX).await?;
    let resent = if with_messages {
        requeue_store::requeue_unclaimed(connection, now, MESSAGES_MAX).await?
    } else {
        Vec::new()
    };
    let counts =
        Rescued { queued: queued.len(), retried: retried.len(), lost: lost.len(), resent: resent.len() };
    for tick in &resent {
        tracing::warn!(run.id = %tick.run_id, job.key = tick.job_key, "nobody claimed a run, sending its tick again");
    }
    let ticks = queued.into_iter().chain(retried).chain(resent);
    outbox.append_all(connection, &trace, ticks).await.map_err(RescueError::Append)?;
    Ok(counts)
}

/// The attempt of a worker that is gone is spent like one that failed.
async fn give_up_attempt(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    trace: &TraceContext,
    run: &LostRun,
) -> Result<(), RescueError> {
    let worker = run.worker.as_deref().unwrap_or("its worker");
    let error = format!(
        "{worker} let the lease of attempt {} run out: it died, hung or lost the database",
        run.attempt
    );
    tracing::warn!(run.id = %run.id, job.key = run.job_key, job.attempt = run.attempt, worker, "a lease ran out");
    // What was to end has ended, somehow.
    let (error, kind) = match &run.cancel_reason {
        Some(reason) => (format!("canceled: {reason}; {error}"), ErrorKind::Canceled),
        None => (error, ErrorKind::LeaseLost),
    };
    match after_failure(run.attempt, &run.retry_policy(), entropy) {
        Next::Retry(wait) if kind.may_pass() => {
            let (run, error) = ((run.id, run.attempt), (error.as_str(), kind));
            runs_store::retry(connection, run, wait.as_secs_f64(), error, true).await?;
        }
        _ => {
            runs_store::fail(connection, run.id, run.attempt, (&error, kind)).await?;
            let event = RunFailed {
                run_id: run.id,
                job_key: run.job_key.clone(),
                scheduled_at: run.scheduled_at,
                attempt: run.attempt,
                duration_ms: None,
                error,
            };
            outbox.append(connection, trace, event).await.map_err(RescueError::Append)?;
        }
    }
    if let Some(next) = requeue_store::requeue_next_exclusive(connection, &run.schedule_key).await? {
        outbox.append(connection, trace, next).await.map_err(RescueError::Append)?;
    }
    Ok(())
}
