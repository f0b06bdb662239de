//! What the jobs about tasks read.

use chrono::{DateTime, Utc};
use shared::ids::UserId;
use sqlx::PgConnection;

/// A task, as it is printed.
#[derive(Debug, Clone)]
pub(super) struct TaskRow {
    pub(super) title: String,
    pub(super) duration_microseconds: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// A user's name; `None`: there is no such user.
pub(super) async fn username(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("SELECT username FROM users WHERE id = $1", user_id.0)
        .fetch_optional(connection)
        .await
}

/// The newest tasks of a user, at most `limit`.
pub(super) async fn newest_tasks(
    connection: &mut PgConnection,
    user_id: UserId,
    limit: i64,
) -> Result<Vec<TaskRow>, sqlx::Error> {
    sqlx::query_as!(
        TaskRow,
        r#"
        SELECT
            title,
            (extract(epoch FROM duration) * 1000000)::bigint AS "duration_microseconds!",
            created_at,
            updated_at
        FROM tasks
        WHERE user_id = $1
        ORDER BY created_at DESC, id DESC
        LIMIT $2
        "#,
        user_id.0,
        limit,
    )
    .fetch_all(connection)
    .await
}
