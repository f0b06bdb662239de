//! SQL that forgets what was remembered of mails.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Deletes secrets that ran out before `before`, at most `limit`. Rows that another purge holds are left to it.
pub(super) async fn delete_tokens(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        DELETE FROM mail_tokens
        WHERE id IN (
            SELECT id FROM mail_tokens
            WHERE expires_at <= $1
            ORDER BY expires_at
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

/// Deletes what became of attempts begun before `before`, at most `limit`.
pub(super) async fn delete_attempts(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        DELETE FROM mail_attempts
        WHERE (run_id, attempt) IN (
            SELECT run_id, attempt FROM mail_attempts
            WHERE begun_at <= $1
            ORDER BY begun_at
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

/// Deletes mails' runs that ended before `before`, at most `limit`: also those that were for nobody.
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
            -- As the index has it.
            WHERE job_key = 'send-mail' AND finished_at <= $1
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

/// Forgets former addresses whose successors were proved before `before`, at most `limit`.
pub(super) async fn forget_former_addresses(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE users SET former_email = NULL
        WHERE id IN (
            SELECT id FROM users
            WHERE former_email IS NOT NULL AND (email_verified_at IS NULL OR email_verified_at < $1)
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
