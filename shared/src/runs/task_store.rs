//! The rows of tasks.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::task::Task;
use crate::ids::RunId;

/// Whoever enqueues the same waits until the end of this transaction.
pub(super) async fn lock(connection: &mut PgConnection, hash: &str) -> Result<(), sqlx::Error> {
    let locked = sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", hash);
    locked.fetch_one(connection).await.map(|_| ())
}

/// Whether one waits or is repeated.
pub(super) async fn is_there(connection: &mut PgConnection, hash: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (SELECT FROM job_runs WHERE task_hash = $1 AND state IN ('queued', 'retrying'))
            OR EXISTS (
                SELECT FROM job_schedules WHERE task_hash = $1 AND retired_at IS NULL AND next_due_at IS NOT NULL
            ) AS "is_there!"
        "#,
        hash,
    )
    .fetch_one(connection)
    .await
}

/// Deletes those that wait, and ends those that are repeated: what they owe until `now` is answered yet.
pub(super) async fn remove(
    connection: &mut PgConnection,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let waiting =
        sqlx::query!("DELETE FROM job_runs WHERE task_hash = $1 AND state IN ('queued', 'retrying')", hash);
    waiting.execute(&mut *connection).await?;
    let not_begun =
        sqlx::query!("DELETE FROM job_schedules WHERE task_hash = $1 AND starts_at > $2", hash, now);
    not_begun.execute(&mut *connection).await?;
    let ended = sqlx::query!(
        "UPDATE job_schedules SET ends_at = LEAST(ends_at, $2), task_hash = NULL, updated_at = $2 WHERE task_hash = $1",
        hash,
        now,
    );
    ended.execute(connection).await.map(|_| ())
}

pub(super) async fn insert_schedule(
    connection: &mut PgConnection,
    task: &Task<'_>,
    (key, hash): (&str, &str),
    every: i64,
    begin: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let inserted = sqlx::query!(
        r#"
        INSERT INTO job_schedules
            (schedule_key, job_key, verbose_name, creator, origin, task_hash, timetable, starts_at, ends_at, queue, priority,
             args, catch_up_max, catch_up_window_seconds, timeout_seconds, attempts_max, watermark, next_due_at,
             created_at, updated_at)
        VALUES ($1, $2, $3, $4, 'enqueued', $5, 'every ' || $6::bigint || 's', $7, $8, $9, $10, $11, 1, 86400, $12, $13,
                $7::timestamptz - interval '1 microsecond', $7, $14, $14)
        "#,
        key,
        task.job_key,
        task.verbose_name,
        task.creator,
        hash,
        every,
        begin,
        task.repeat.and_then(|repeat| repeat.until),
        task.queue,
        task.priority,
        task.args,
        seconds(task),
        task.attempts_max,
        now,
    );
    inserted.execute(connection).await.map(|_| ())
}

/// None if the instant is taken.
pub(super) async fn insert_run(
    connection: &mut PgConnection,
    task: &Task<'_>,
    (id, hash): (RunId, &str),
    (instant, run_at): (DateTime<Utc>, DateTime<Utc>),
    queued_at: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        INSERT INTO job_runs
            (id, schedule_key, job_key, kind, scheduled_at, queue, priority, args, attempts_max, timeout_seconds, creator,
             verbose_name, task_hash, run_after, queued_at)
        VALUES ($1, $2, $2, 'enqueued', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (schedule_key, scheduled_at) DO NOTHING
        RETURNING scheduled_at
        "#,
        id.0,
        task.job_key,
        instant,
        task.queue,
        task.priority,
        task.args,
        task.attempts_max,
        seconds(task),
        task.creator,
        task.verbose_name,
        hash,
        run_at,
        queued_at,
    )
    .fetch_optional(connection)
    .await
}

fn seconds(task: &Task<'_>) -> i32 {
    i32::try_from(task.timeout.as_secs()).unwrap_or(i32::MAX).max(1)
}
