//! The rows of `job_runs`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::ids::RunId;
use sqlx::PgConnection;

use super::error_kind::ErrorKind;
use super::retry_policy::RetryPolicy;

/// A run that is ours until its lease ends.
#[derive(Debug, Clone)]
pub struct ClaimedRun {
    /// The run.
    pub id: RunId,
    /// Its schedule; of a run that none made, a key of its own or its job.
    pub schedule_key: String,
    /// Its job.
    pub job_key: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// Since when it has been due, jitter included.
    pub due_at: DateTime<Utc>,
    /// Whether no other run of its schedule may run beside it.
    pub is_exclusive: bool,
    /// What the job is given.
    pub args: Value,
    /// The attempt this claim began: the fencing number.
    pub attempt: i32,
    /// How many attempts it had before somebody gave it new ones.
    pub attempts_before: i32,
    /// How many since don't count.
    pub attempts_uncounted: i32,
    /// The last attempt it may have.
    pub attempts_max: i32,
    /// How long an attempt may take.
    pub timeout_seconds: i32,
    /// The ceiling of the wait after the first failed attempt.
    pub backoff_seconds: i32,
    /// The highest ceiling.
    pub backoff_max_seconds: i32,
}

impl ClaimedRun {
    /// How often it is tried.
    pub fn retry_policy(&self) -> RetryPolicy {
        let attempts = (self.attempts_before, self.attempts_uncounted, self.attempts_max);
        RetryPolicy::new(attempts, self.backoff_seconds, self.backoff_max_seconds)
    }
}

/// A run whose worker let its lease run out.
#[derive(Debug)]
pub struct LostRun {
    /// The run.
    pub id: RunId,
    /// Its schedule; of a run that none made, a key of its own or its job.
    pub schedule_key: String,
    /// Its job.
    pub job_key: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// Whether no other run of its schedule may run beside it.
    pub is_exclusive: bool,
    /// Why somebody wants it to end.
    pub cancel_reason: Option<String>,
    /// The attempt that is spent.
    pub attempt: i32,
    /// How many attempts it had before somebody gave it new ones.
    pub attempts_before: i32,
    /// How many since don't count.
    pub attempts_uncounted: i32,
    /// The last attempt it may have.
    pub attempts_max: i32,
    /// The ceiling of the wait after the first failed attempt.
    pub backoff_seconds: i32,
    /// The highest ceiling.
    pub backoff_max_seconds: i32,
    /// Who had it.
    pub worker: Option<String>,
}

impl LostRun {
    /// How often it is tried.
    pub fn retry_policy(&self) -> RetryPolicy {
        let attempts = (self.attempts_before, self.attempts_uncounted, self.attempts_max);
        RetryPolicy::new(attempts, self.backoff_seconds, self.backoff_max_seconds)
    }
}

/// What a worker learns when it renews its lease.
#[derive(Debug)]
pub struct Renewed {
    /// Why somebody wants the run to end.
    pub cancel_reason: Option<String>,
}

/// Holds the claim for another `lease_seconds`; `None`: it is not ours any more.
pub async fn renew_lease(
    connection: &mut PgConnection,
    run_id: RunId,
    attempt: i32,
    lease_seconds: f64,
) -> Result<Option<Renewed>, sqlx::Error> {
    sqlx::query_as!(
        Renewed,
        r#"
        UPDATE job_runs
        SET lease_until = clock_timestamp() + make_interval(secs => $3)
        WHERE id = $1 AND attempt = $2 AND state = 'running'
        RETURNING cancel_reason
        "#,
        run_id.0,
        attempt,
        lease_seconds,
    )
    .fetch_optional(connection)
    .await
}

/// Ends a run well, if `attempt` still has it.
pub async fn succeed(
    connection: &mut PgConnection,
    run_id: RunId,
    attempt: i32,
    output: &str,
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        r#"
        UPDATE job_runs
        SET state = 'succeeded', lease_until = NULL, finished_at = clock_timestamp(), error = NULL, error_kind = NULL,
            output = $3
        WHERE id = $1 AND attempt = $2 AND state = 'running'
        "#,
        run_id.0,
        attempt,
        output,
    )
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends a run for good without success, if `attempt` still has it.
pub async fn fail(
    connection: &mut PgConnection,
    run_id: RunId,
    attempt: i32,
    (error, kind): (&str, ErrorKind),
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        r#"
        UPDATE job_runs
        SET state = 'failed', lease_until = NULL, finished_at = clock_timestamp(), error = $3, error_kind = $4
        WHERE id = $1 AND attempt = $2 AND state = 'running'
        "#,
        run_id.0,
        attempt,
        error,
        kind.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Why somebody wants a run to end, if `attempt` still has it; nobody changes his mind in this transaction.
pub async fn cancel_reason(
    connection: &mut PgConnection,
    run_id: RunId,
    attempt: i32,
) -> Result<Option<String>, sqlx::Error> {
    let reason = sqlx::query_scalar!(
        "SELECT cancel_reason FROM job_runs WHERE id = $1 AND attempt = $2 AND state = 'running' FOR UPDATE",
        run_id.0,
        attempt,
    );
    Ok(reason.fetch_optional(connection).await?.flatten())
}

/// Has a run tried again after `wait_seconds`, if the attempt still has it; one that doesn't count leaves as many as before.
pub async fn retry(
    connection: &mut PgConnection,
    (run_id, attempt): (RunId, i32),
    wait_seconds: f64,
    (error, kind): (&str, ErrorKind),
    counts: bool,
) -> Result<bool, sqlx::Error> {
    let put_off = sqlx::query!(
        r#"
        UPDATE job_runs
        SET state = 'retrying',
            lease_until = NULL,
            run_after = clock_timestamp() + make_interval(secs => $3),
            error = $4,
            error_kind = $5,
            attempts_uncounted = attempts_uncounted + $6,
            attempts_max = attempts_max + $6,
            -- The rule may have changed since it began.
            is_exclusive = COALESCE(
                (SELECT overlap <> 'allow' FROM job_schedules WHERE schedule_key = job_runs.schedule_key), is_exclusive)
        WHERE id = $1 AND attempt = $2 AND state = 'running'
        "#,
        run_id.0,
        attempt,
        wait_seconds,
        error,
        kind.as_str(),
        i32::from(!counts),
    )
    .execute(connection)
    .await?;
    Ok(put_off.rows_affected() == 1)
}

/// Shortens what a database clock that was ahead has left behind, at most `limit` of each kind: leases and waits that end more than
/// an hour later than any that was begun now. Gives how many.
///
/// A lease ends in a minute then: a worker that lives renews it before, and nobody else has its run meanwhile.
pub async fn shorten_ahead(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let leases = sqlx::query!(
        r#"
        UPDATE job_runs
        SET lease_until = LEAST(lease_until, clock_timestamp() + interval '1 minute')
        WHERE id IN (
            SELECT id FROM job_runs
            -- No lease is longer than a minute.
            WHERE state = 'running' AND lease_until > $1::timestamptz + interval '1 hour'
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        "#,
        now,
        limit,
    );
    let leases = leases.execute(&mut *connection).await?.rows_affected();
    let waits = sqlx::query!(
        r#"
        UPDATE job_runs
        SET run_after = LEAST(run_after, clock_timestamp())
        WHERE id IN (
            SELECT id FROM job_runs
            -- The first condition is what an index can be asked for.
            WHERE state = 'retrying' AND run_after > $1::timestamptz + interval '1 hour'
              AND run_after > $1::timestamptz + interval '1 hour' + make_interval(secs => backoff_max_seconds)
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        "#,
        now,
        limit,
    );
    Ok(leases + waits.execute(connection).await?.rows_affected())
}

/// Locks running runs whose lease ended before `now`, at most `limit`.
pub async fn lock_lost(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<LostRun>, sqlx::Error> {
    sqlx::query_as!(
        LostRun,
        r#"
        SELECT id AS "id: RunId", schedule_key, job_key, scheduled_at, is_exclusive, cancel_reason, attempt,
            attempts_before, attempts_uncounted, attempts_max, backoff_seconds, backoff_max_seconds, worker
        FROM job_runs
        WHERE state = 'running' AND lease_until < $1
        ORDER BY lease_until
        LIMIT $2
        FOR UPDATE SKIP LOCKED
        "#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}
