//! The rows of tasks.

use std::time::Duration;

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

/// What an operator has said of a repeated task.
#[derive(Debug)]
pub(super) struct Word {
    paused_at: Option<DateTime<Utc>>,
    paused_by: Option<String>,
    paused_reason: Option<String>,
    timetable: String,
    time_zone: String,
    registry_timetable: Option<String>,
}

/// A run that has had attempts and will have no more.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: RunId,
    pub(super) job_key: String,
    pub(super) scheduled_at: DateTime<Utc>,
    pub(super) attempt: i32,
}

/// Ends those that wait for another attempt: as failed, since they were tried.
pub(super) async fn end_tried(
    connection: &mut PgConnection,
    hash: &str,
    error: &str,
) -> Result<Vec<Ended>, sqlx::Error> {
    sqlx::query_as!(
        Ended,
        r#"
        UPDATE job_runs
        SET state = 'failed', error = $2, error_kind = 'canceled', finished_at = clock_timestamp(), lease_until = NULL
        WHERE task_hash = $1 AND state IN ('queued', 'retrying') AND attempt > 0
        RETURNING id AS "id: RunId", job_key, scheduled_at, attempt
        "#,
        hash,
        error,
    )
    .fetch_all(connection)
    .await
}

/// Deletes those that wait and were never tried, and ends those that are repeated: what they owe until `now` is answered yet. Gives
/// what an operator has said of the one that was repeated; one that he has removed is none of them.
pub(super) async fn remove(
    connection: &mut PgConnection,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<Word>, sqlx::Error> {
    let waiting = sqlx::query!(
        "DELETE FROM job_runs WHERE task_hash = $1 AND state IN ('queued', 'retrying') AND attempt = 0",
        hash
    );
    waiting.execute(&mut *connection).await?;
    let not_begun = sqlx::query_as!(
        Word,
        "DELETE FROM job_schedules WHERE task_hash = $1 AND retired_at IS NULL AND starts_at > $2
         RETURNING paused_at, paused_by, paused_reason, timetable, time_zone, registry_timetable",
        hash,
        now,
    );
    let not_begun = not_begun.fetch_all(&mut *connection).await?;
    let ended = sqlx::query_as!(
        Word,
        "UPDATE job_schedules
         SET ends_at = LEAST(ends_at, $2), next_due_at = LEAST(next_due_at, $2), task_hash = NULL, updated_at = $2
         WHERE task_hash = $1 AND retired_at IS NULL
         RETURNING paused_at, paused_by, paused_reason, timetable, time_zone, registry_timetable",
        hash,
        now,
    );
    Ok(ended.fetch_all(connection).await?.into_iter().chain(not_begun).next())
}

pub(super) async fn insert_schedule(
    connection: &mut PgConnection,
    task: &Task<'_>,
    (key, hash, every, begin): (&str, &str, i64, DateTime<Utc>),
    word: Option<&Word>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let own = format!("every {every}s");
    let over = word.filter(|word| word.registry_timetable.is_some());
    let (backoff, backoff_max) = backoff(task);
    // One that comes late is made up for, also when its next instant is far.
    let window = i32::try_from(every).unwrap_or(i32::MAX).max(86_400);
    let inserted = sqlx::query!(
        r#"
        INSERT INTO job_schedules
            (schedule_key, job_key, verbose_name, creator, origin, task_hash, timetable, time_zone, registry_timetable,
             registry_time_zone, starts_at, ends_at, queue, priority, args, catch_up_max, catch_up_window_seconds,
             timeout_seconds, attempts_max, paused_at, paused_by, paused_reason, backoff_seconds, backoff_max_seconds,
             watermark, next_due_at, created_at, updated_at)
        VALUES ($1, $2, $3, $4, 'enqueued', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, $15, $16, $17, $18, $19, $20, $22,
                $23,
                -- Not ahead of the clock, which is an alarm; what is before its beginning is none of its instants.
                LEAST($21::timestamptz, $10::timestamptz - interval '1 microsecond'), $10, $21, $21)
        "#,
        key,
        task.job_key,
        task.verbose_name,
        task.creator,
        hash,
        over.map_or(own.as_str(), |word| &word.timetable),
        over.map_or("UTC", |word| &word.time_zone),
        over.map(|_| own.as_str()),
        over.map(|_| "UTC"),
        begin,
        task.repeat.and_then(|repeat| repeat.until),
        task.queue,
        task.priority,
        task.args,
        window,
        seconds(task),
        task.attempts_max,
        word.and_then(|word| word.paused_at),
        word.and_then(|word| word.paused_by.as_deref()),
        word.and_then(|word| word.paused_reason.as_deref()),
        now,
        backoff,
        backoff_max,
    );
    inserted.execute(connection).await.map(|_| ())
}

pub(super) async fn insert_run(
    connection: &mut PgConnection,
    task: &Task<'_>,
    (id, key, hash): (RunId, &str, &str),
    (run_at, queued_at): (DateTime<Utc>, Option<DateTime<Utc>>),
) -> Result<(), sqlx::Error> {
    let (backoff, backoff_max) = backoff(task);
    let inserted = sqlx::query!(
        r#"
        INSERT INTO job_runs
            (id, schedule_key, job_key, kind, scheduled_at, queue, priority, args, attempts_max, timeout_seconds, creator,
             verbose_name, task_hash, due_at, run_after, queued_at, backoff_seconds, backoff_max_seconds)
        VALUES ($1, $2, $3, 'enqueued', $4, $5, $6, $7, $8, $9, $10, $11, $12, $4, $4, $13, $14, $15)
        "#,
        id.0,
        key,
        task.job_key,
        run_at,
        task.queue,
        task.priority,
        task.args,
        task.attempts_max,
        seconds(task),
        task.creator,
        task.verbose_name,
        hash,
        queued_at,
        backoff,
        backoff_max,
    );
    inserted.execute(connection).await.map(|_| ())
}

fn seconds(task: &Task<'_>) -> i32 {
    whole_seconds(task.timeout)
}

/// The first wait, and the highest, which is not below it.
fn backoff(task: &Task<'_>) -> (i32, i32) {
    let first = whole_seconds(task.backoff);
    (first, whole_seconds(task.backoff_max).max(first))
}

fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX).max(1)
}
