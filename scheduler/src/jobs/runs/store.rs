//! SQL that forgets runs, gaps and schedules.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Deletes runs that ended before `before`, at most `limit`. Rows that another purge holds are left to it.
pub(super) async fn delete_runs(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        DELETE FROM job_runs
        WHERE id IN (
            SELECT id FROM job_runs
            WHERE finished_at <= $1
            ORDER BY finished_at
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        "#,
        before,
        limit,
    )
    .execute(connection)
    .await
    .map(|result| result.rows_affected())
}

/// Deletes gaps that ended before `before`, at most `limit`.
pub(super) async fn delete_gaps(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        DELETE FROM job_gaps
        WHERE id IN (SELECT id FROM job_gaps WHERE last_at <= $1 ORDER BY last_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        "#,
        before,
        limit,
    )
    .execute(connection)
    .await
    .map(|result| result.rows_affected())
}

/// Deletes schedules that code made and whose end, answered to the last instant, lies before `before`, at most `limit`.
pub(super) async fn delete_ended_schedules(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        DELETE FROM job_schedules
        WHERE schedule_key IN (
            SELECT schedule_key FROM job_schedules
            WHERE origin = 'enqueued' AND next_due_at IS NULL AND ends_at <= $1
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        "#,
        before,
        limit,
    )
    .execute(connection)
    .await
    .map(|result| result.rows_affected())
}
