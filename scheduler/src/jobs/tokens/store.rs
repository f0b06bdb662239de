//! The rows that the jobs about tokens read and change.

use chrono::{DateTime, Utc};
use shared::contracts::auth::SessionEnd;
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

/// An active session that no token keeps alive.
#[derive(Debug)]
pub(super) struct ExpiredSession {
    pub(super) session_id: SessionId,
    pub(super) user_id: UserId,
}

/// A session that has just been ended.
#[derive(Debug)]
pub(super) struct EndedSession {
    pub(super) session_id: SessionId,
    pub(super) user_id: UserId,
    pub(super) username: String,
}

/// How many rows a batch deleted.
#[derive(Debug)]
pub(super) struct DeletedTokens {
    pub(super) deleted: i64,
    pub(super) blacklisted: i64,
}

/// Active sessions begun before `begun_before`, every token of which has run out, in the order of their ids.
pub(super) async fn expired_sessions(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    begun_before: DateTime<Utc>,
    after: Option<SessionId>,
    limit: i64,
) -> Result<Vec<ExpiredSession>, sqlx::Error> {
    sqlx::query_as!(
        ExpiredSession,
        r#"
        SELECT id AS "session_id: SessionId", user_id AS "user_id: UserId"
        FROM user_sessions AS session
        WHERE is_active
          AND login_time < $2
          AND ($3::uuid IS NULL OR id > $3)
          AND NOT EXISTS (
              SELECT FROM outstanding_tokens WHERE session_id = session.id AND COALESCE(kept_until, expires_at) > $1
          )
        ORDER BY id
        LIMIT $4
        "#,
        now,
        begun_before,
        after.map(|session_id| session_id.0),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Takes the lock that a login takes, in an order that no two programs take crosswise.
pub(super) async fn lock_users(connection: &mut PgConnection, user_ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT id FROM users WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", user_ids)
        .fetch_all(connection)
        .await
        .map(|_| ())
}

/// Ends those of `session_ids` that are still active and still without a live token.
pub(super) async fn end_sessions(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    session_ids: &[Uuid],
) -> Result<Vec<EndedSession>, sqlx::Error> {
    sqlx::query_as!(
        EndedSession,
        r#"
        UPDATE user_sessions AS session
        SET is_active = false, logout_time = $1, end_reason = $3
        FROM users
        WHERE session.id = ANY($2)
          AND users.id = session.user_id
          AND session.is_active
          AND NOT EXISTS (
              SELECT FROM outstanding_tokens WHERE session_id = session.id AND COALESCE(kept_until, expires_at) > $1
          )
        RETURNING
            session.id AS "session_id: SessionId",
            session.user_id AS "user_id: UserId",
            users.username
        "#,
        now,
        session_ids,
        SessionEnd::Expired.as_str(),
    )
    .fetch_all(connection)
    .await
}

/// Deletes the tokens that ran out first, at most `limit`; their blacklist rows go by cascade. Rows that another purge
/// holds are left to it.
pub(super) async fn delete_expired_tokens(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<DeletedTokens, sqlx::Error> {
    sqlx::query_as!(
        DeletedTokens,
        r#"
        WITH expired AS (
            SELECT id FROM outstanding_tokens
            WHERE COALESCE(kept_until, expires_at) <= $1
            ORDER BY COALESCE(kept_until, expires_at)
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        ),
        deleted AS (
            DELETE FROM outstanding_tokens WHERE id IN (SELECT id FROM expired) RETURNING id
        )
        SELECT
            (SELECT count(*) FROM deleted) AS "deleted!",
            (SELECT count(*) FROM blacklisted_tokens WHERE token_id IN (SELECT id FROM expired)) AS "blacklisted!"
        "#,
        now,
        limit,
    )
    .fetch_one(connection)
    .await
}

/// Deletes changes of standing, at most `limit`, whose transactions had ended before `before`. The instants of the changes
/// themselves don't tell that: a long transaction commits long after it wrote. But a change written before `before` knows
/// which transactions had ended by then.
pub(super) async fn delete_changes_before(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        DELETE FROM standing_changes
        WHERE id IN (
            SELECT id FROM standing_changes
            WHERE transaction < (
                SELECT horizon FROM standing_changes
                -- What is of another cluster knows nothing of our transactions.
                WHERE at < $1 AND transaction < pg_snapshot_xmax(pg_current_snapshot())
                ORDER BY at DESC
                LIMIT 1
            )
            ORDER BY transaction
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

/// Deletes changes of standing, at most `limit`, of another cluster, which came with a dump: a transaction of ours that
/// can be seen is before the snapshot's end.
pub(super) async fn delete_foreign_changes(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        DELETE FROM standing_changes
        WHERE id IN (
            SELECT id FROM standing_changes
            WHERE transaction >= pg_snapshot_xmax(pg_current_snapshot())
            ORDER BY transaction
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        "#,
        limit,
    )
    .execute(connection)
    .await
    .map(|result| result.rows_affected())
}

/// Deletes counts of wrong passwords, at most `limit`, in which nothing has happened since `before`. One that is in use
/// is left alone.
pub(super) async fn delete_limits_before(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        DELETE FROM login_limits
        WHERE (kind, key) IN (
            SELECT kind, key FROM login_limits
            WHERE tried_at < $1 AND (locked_until IS NULL OR locked_until < $1)
            ORDER BY tried_at
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

/// Deletes idempotency keys, at most `limit`, that were claimed at `before` or earlier. One that is being claimed anew is
/// left alone.
pub(super) async fn delete_keys_before(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        DELETE FROM idempotency_keys
        WHERE (user_id, key) IN (
            SELECT user_id, key FROM idempotency_keys
            WHERE created_at <= $1
            ORDER BY created_at
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
