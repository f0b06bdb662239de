//! The rows of `job_runs` that workers of other programs ask about.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::ids::RunId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::worker::retry_policy::RetryPolicy;
use crate::worker::runs_store::ClaimedRun;

/// A run that is asked about, locked.
#[derive(Debug)]
pub(super) struct AskedRun {
    pub(super) id: RunId,
    pub(super) schedule_key: String,
    pub(super) job_key: String,
    pub(super) scheduled_at: DateTime<Utc>,
    pub(super) due_at: DateTime<Utc>,
    pub(super) is_exclusive: bool,
    pub(super) args: Value,
    pub(super) attempt: i32,
    pub(super) attempts_before: i32,
    pub(super) attempts_uncounted: i32,
    pub(super) attempts_max: i32,
    pub(super) timeout_seconds: i32,
    pub(super) backoff_seconds: i32,
    pub(super) backoff_max_seconds: i32,
    pub(super) state: String,
    pub(super) worker: Option<String>,
    pub(super) error_kind: Option<String>,
    pub(super) cancel_reason: Option<String>,
    pub(super) taken_seconds: f64,
}

impl AskedRun {
    /// How long its attempt has taken, on the database's clock.
    pub(super) fn took(&self) -> Duration {
        Duration::try_from_secs_f64(self.taken_seconds).unwrap_or_default()
    }

    /// How often it is tried.
    pub(super) fn retry_policy(&self) -> RetryPolicy {
        let attempts = (self.attempts_before, self.attempts_uncounted, self.attempts_max);
        RetryPolicy::new(attempts, self.backoff_seconds, self.backoff_max_seconds)
    }

    /// How long its attempt may take.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.timeout_seconds).unwrap_or(0))
    }

    /// Whether `worker` has it under `attempt`; if not, why.
    pub(super) fn is_held_by(&self, worker: &str, attempt: i32) -> Result<(), String> {
        if self.attempt != attempt {
            return Err(match self.state.as_str() {
                "running" => format!("attempt {} has the run", self.attempt),
                state => format!("the run is {state} after attempt {}", self.attempt),
            });
        }
        if self.state != "running" {
            let kind = self.error_kind.as_ref().map(|kind| format!(": {kind}")).unwrap_or_default();
            return Err(format!("the run is {}{kind}", self.state));
        }
        match self.worker.as_deref() {
            Some(holder) if holder == worker => Ok(()),
            _ => Err(format!("another worker has attempt {attempt}")),
        }
    }

    /// As a worker's claim has it.
    pub(super) fn into_claimed(self) -> ClaimedRun {
        ClaimedRun {
            id: self.id,
            schedule_key: self.schedule_key,
            job_key: self.job_key,
            scheduled_at: self.scheduled_at,
            due_at: self.due_at,
            is_exclusive: self.is_exclusive,
            args: self.args,
            attempt: self.attempt,
            attempts_before: self.attempts_before,
            attempts_uncounted: self.attempts_uncounted,
            attempts_max: self.attempts_max,
            timeout_seconds: self.timeout_seconds,
            backoff_seconds: self.backoff_seconds,
            backoff_max_seconds: self.backoff_max_seconds,
        }
    }
}

/// Locks a run of `queue`.
pub(super) async fn lock(
    connection: &mut PgConnection,
    queue: &str,
    run_id: RunId,
) -> Result<Option<AskedRun>, sqlx::Error> {
    sqlx::query_as!(
        AskedRun,
        r#"
        SELECT id AS "id: RunId", schedule_key, job_key, scheduled_at, COALESCE(due_at, run_after) AS "due_at!",
            is_exclusive, args, attempt, attempts_before, attempts_uncounted, attempts_max, timeout_seconds,
            backoff_seconds, backoff_max_seconds, state, worker, error_kind, cancel_reason,
            COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - started_at)::float8, 0) AS "taken_seconds!"
        FROM job_runs
        WHERE id = $1 AND queue = $2
        FOR UPDATE
        "#,
        run_id.0,
        queue,
    )
    .fetch_optional(connection)
    .await
}

/// Where a run of `queue` stands, and its job; `None`: it is another's, or there is none.
pub(super) async fn state(
    connection: &mut PgConnection,
    queue: &str,
    run_id: RunId,
) -> Result<Option<(String, String)>, sqlx::Error> {
    let row =
        sqlx::query!("SELECT state, job_key FROM job_runs WHERE id = $1 AND queue = $2", run_id.0, queue);
    Ok(row.fetch_optional(connection).await?.map(|row| (row.state, row.job_key)))
}

/// Whoever asks in the same turn waits until the end of this transaction.
pub(super) async fn lock_turn(
    connection: &mut PgConnection,
    turn: Uuid,
    worker: &str,
) -> Result<(), sqlx::Error> {
    let locked =
        sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", format!("{turn} {worker}"),);
    locked.fetch_one(connection).await.map(|_| ())
}

/// Holds for another `lease_seconds` the run that `worker` has been given in this turn, if it still has it.
pub(super) async fn hold_again(
    connection: &mut PgConnection,
    (queue, turn): (&str, Uuid),
    (worker, lease_seconds): (&str, f64),
) -> Result<Option<ClaimedRun>, sqlx::Error> {
    sqlx::query_as!(
        ClaimedRun,
        r#"
        UPDATE job_runs
        SET lease_until = clock_timestamp() + make_interval(secs => $3)
        WHERE turn = $1 AND worker = $2 AND queue = $4 AND state = 'running'
        RETURNING id AS "id: RunId", schedule_key, job_key, scheduled_at,
            COALESCE(due_at, run_after) AS "due_at!", is_exclusive, args, attempt, attempts_before, attempts_uncounted,
            attempts_max, timeout_seconds, backoff_seconds, backoff_max_seconds
        "#,
        turn,
        worker,
        lease_seconds,
        queue,
    )
    .fetch_optional(connection)
    .await
}
