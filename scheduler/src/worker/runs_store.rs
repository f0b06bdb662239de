//! The rows of `job_runs`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::contracts::jobs::TickDue;
use shared::ids::RunId;
use sqlx::PgConnection;
use uuid::Uuid;

/// A run that is ours until its lease ends.
#[derive(Debug, Clone)]
pub struct ClaimedRun {
    /// The run.
    pub id: RunId,
    /// Its job.
    pub job_key: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// What the job is given.
    pub args: Value,
    /// The attempt this claim began: the fencing number.
    pub attempt: i32,
    /// How many attempts it may have.
    pub attempts_max: i32,
    /// How long an attempt may take.
    pub timeout_seconds: i32,
}

/// A run whose worker let its lease run out.
#[derive(Debug)]
pub struct LostRun {
    /// The run.
    pub id: RunId,
    /// Its job.
    pub job_key: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// The attempt that is spent.
    pub attempt: i32,
    /// How many it may have.
    pub attempts_max: i32,
    /// Who had it.
    pub worker: Option<String>,
}

/// New runs of one schedule.
#[derive(Debug)]
pub struct NewRuns<'a> {
    /// The job.
    pub job_key: &'a str,
    /// Its queue.
    pub queue: &'a str,
    /// What it is given.
    pub args: &'a Value,
    /// How many attempts.
    pub attempts_max: i32,
    /// How long an attempt may take.
    pub timeout_seconds: i32,
}

/// Inserts one run for each `(id, instant)`; gives those that were not there yet.
pub async fn insert(
    connection: &mut PgConnection,
    runs: &NewRuns<'_>,
    ids: &[Uuid],
    instants: &[DateTime<Utc>],
    now: DateTime<Utc>,
) -> Result<Vec<TickDue>, sqlx::Error> {
    let mut inserted = sqlx::query_as!(
        TickDue,
        r#"
        INSERT INTO job_runs
            (id, job_key, scheduled_at, queue, args, attempts_max, timeout_seconds, run_after, queued_at)
        SELECT tick.id, $3, tick.scheduled_at, $4, $5, $6, $7, $8, $8
        FROM UNNEST($1::uuid[], $2::timestamptz[]) AS tick (id, scheduled_at)
        ON CONFLICT (job_key, scheduled_at) DO NOTHING
        RETURNING id AS "run_id: RunId", job_key, queue, scheduled_at, args
        "#,
        ids,
        instants,
        runs.job_key,
        runs.queue,
        runs.args,
        runs.attempts_max,
        runs.timeout_seconds,
        now,
    )
    .fetch_all(connection)
    .await?;
    inserted.sort_by_key(|tick| tick.scheduled_at);
    Ok(inserted)
}

/// Makes a queued run ours for `lease_seconds`; `None`: it is somebody else's, finished, waiting, or not there.
pub async fn claim(
    connection: &mut PgConnection,
    run_id: RunId,
    worker: &str,
    lease_seconds: f64,
) -> Result<Option<ClaimedRun>, sqlx::Error> {
    sqlx::query_as!(
        ClaimedRun,
        r#"
        UPDATE job_runs
        SET state = 'running',
            attempt = attempt + 1,
            worker = $2,
            started_at = clock_timestamp(),
            lease_until = clock_timestamp() + make_interval(secs => $3)
        WHERE id = $1 AND state = 'queued'
        RETURNING id AS "id: RunId", job_key, scheduled_at, args, attempt, attempts_max, timeout_seconds
        "#,
        run_id.0,
        worker,
        lease_seconds,
    )
    .fetch_optional(connection)
    .await
}

/// Holds the claim for another `lease_seconds`; whether it is still ours.
pub async fn renew_lease(
    connection: &mut PgConnection,
    run_id: RunId,
    attempt: i32,
    lease_seconds: f64,
) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query!(
        r#"
        UPDATE job_runs
        SET lease_until = clock_timestamp() + make_interval(secs => $3)
        WHERE id = $1 AND attempt = $2 AND state = 'running'
        "#,
        run_id.0,
        attempt,
        lease_seconds,
    )
    .execute(connection)
    .await?;
    Ok(renewed.rows_affected() == 1)
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
        SET state = 'succeeded', lease_until = NULL, finished_at = clock_timestamp(), error = NULL, output = $3
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
    error: &str,
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        r#"
        UPDATE job_runs
        SET state = 'failed', lease_until = NULL, finished_at = clock_timestamp(), error = $3
        WHERE id = $1 AND attempt = $2 AND state = 'running'
        "#,
        run_id.0,
        attempt,
        error,
    )
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Has a run tried again after `wait_seconds`, if `attempt` still has it.
pub async fn retry(
    connection: &mut PgConnection,
    run_id: RunId,
    attempt: i32,
    wait_seconds: f64,
    error: &str,
) -> Result<bool, sqlx::Error> {
    let put_off = sqlx::query!(
        r#"
        UPDATE job_runs
        SET state = 'retrying',
            lease_until = NULL,
            run_after = clock_timestamp() + make_interval(secs => $3),
            error = $4
        WHERE id = $1 AND attempt = $2 AND state = 'running'
        "#,
        run_id.0,
        attempt,
        wait_seconds,
        error,
    )
    .execute(connection)
    .await?;
    Ok(put_off.rows_affected() == 1)
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
        SELECT id AS "id: RunId", job_key, scheduled_at, attempt, attempts_max, worker
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

/// Queues retries whose wait is over, at most `limit`.
pub async fn requeue_retries(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<TickDue>, sqlx::Error> {
    sqlx::query_as!(
        TickDue,
        r#"
        UPDATE job_runs
        SET state = 'queued', queued_at = $1
        WHERE id IN (
            SELECT id FROM job_runs
            WHERE state = 'retrying' AND run_after <= $1
            ORDER BY run_after
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        RETURNING id AS "run_id: RunId", job_key, queue, scheduled_at, args
        "#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Queues again what has been queued for a minute and claimed by nobody, at most `limit`. The wait doubles each time,
/// up to an hour: when workers are busy rather than messages lost, the queue must not fill with repetitions.
pub async fn requeue_unclaimed(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<TickDue>, sqlx::Error> {
    sqlx::query_as!(
        TickDue,
        r#"
        UPDATE job_runs
        SET queued_at = $1
        WHERE id IN (
            SELECT id FROM job_runs
            WHERE state = 'queued'
              AND queued_at + LEAST(GREATEST(queued_at - run_after, interval '1 minute'), interval '1 hour') <= $1
            ORDER BY run_after
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        RETURNING id AS "run_id: RunId", job_key, queue, scheduled_at, args
        "#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}
