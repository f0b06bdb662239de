//! Rows of `job_runs` of which a message is to tell, for the first time or once more.

use chrono::{DateTime, Utc};
use shared::contracts::jobs::TickDue;
use shared::ids::RunId;
use sqlx::PgConnection;

/// Queues anew the first run that has to wait until none of its schedule runs: its message found the way barred.
pub(super) async fn requeue_next_exclusive(
    connection: &mut PgConnection,
    schedule_key: &str,
) -> Result<Option<TickDue>, sqlx::Error> {
    sqlx::query_as!(
        TickDue,
        r#"
        UPDATE job_runs
        -- As if its time had just come: if this message is lost, too, it is soon sent again.
        SET queued_at = clock_timestamp(), run_after = clock_timestamp()
        WHERE id = (
            SELECT id FROM job_runs
            WHERE schedule_key = $1 AND state = 'queued' AND queued_at IS NOT NULL AND is_exclusive
              AND NOT EXISTS (SELECT FROM job_runs AS other WHERE other.schedule_key = $1 AND other.state = 'running')
            ORDER BY priority DESC, run_after, scheduled_at, id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        RETURNING id AS "run_id: RunId", job_key, queue, scheduled_at, args
        "#,
        schedule_key,
    )
    .fetch_optional(connection)
    .await
}

/// Queues retries whose wait is over, at most `limit`.
pub(super) async fn requeue_retries(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<TickDue>, sqlx::Error> {
    sqlx::query_as!(
        TickDue,
        r#"
        UPDATE job_runs
        SET state = 'queued',
            queued_at = $1,
            -- If this message is lost, it is soon sent again, however long nobody had looked.
            run_after = GREATEST(run_after, $1 - interval '1 minute'),
            -- The rule may have changed while it waited, unseen by who made it wait.
            is_exclusive = COALESCE(
                (SELECT overlap <> 'allow' FROM job_schedules WHERE schedule_key = job_runs.schedule_key), is_exclusive)
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

/// Has a message tell of those that have waited for their time, at most `limit`.
pub(super) async fn queue_due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<TickDue>, sqlx::Error> {
    sqlx::query_as!(
        TickDue,
        r#"
        WITH waited AS (
            SELECT id, run_after FROM job_runs
            WHERE state = 'queued' AND queued_at IS NULL AND run_after <= $1
            ORDER BY run_after, priority DESC
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        ), due AS (
            UPDATE job_runs
            -- As above.
            SET queued_at = $1, run_after = GREATEST(job_runs.run_after, $1 - interval '1 minute')
            FROM waited
            WHERE job_runs.id = waited.id
            RETURNING job_runs.id, job_key, queue, scheduled_at, args, priority, waited.run_after
        )
        SELECT id AS "run_id: RunId", job_key, queue, scheduled_at, args
        FROM due
        ORDER BY priority DESC, run_after, id
        "#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Queues again what has been queued for a minute and claimed by nobody, at most `limit`. The wait doubles each time,
/// up to an hour: when workers are busy rather than messages lost, the queue must not fill with repetitions.
pub(super) async fn requeue_unclaimed(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<TickDue>, sqlx::Error> {
    sqlx::query_as!(
        TickDue,
        r#"
        UPDATE job_runs
        -- Its time has come, also if it was set by a clock that was ahead: the waits go by it.
        SET queued_at = $1, run_after = LEAST(run_after, $1)
        WHERE id IN (
            SELECT id FROM job_runs
            WHERE state = 'queued'
              AND (queued_at + LEAST(GREATEST(queued_at - run_after, interval '1 minute'), interval '1 hour') <= $1
                -- The clock was ahead.
                OR queued_at > $1::timestamptz + interval '1 hour')
              -- Whose way is barred is told of when it is free.
              AND NOT (is_exclusive AND EXISTS (
                  SELECT FROM job_runs AS other
                  WHERE other.schedule_key = job_runs.schedule_key AND other.state = 'running'))
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
