//! SQL over tasks.

use chrono::{DateTime, Utc};
use shared::contracts::tasks::TaskState;
use shared::ids::{TaskId, UserId};
use shared::task_duration::TaskDuration;
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

use super::title::TaskTitle;

/// A task as it is now.
#[derive(Debug, Clone)]
pub struct Task {
    /// Which.
    pub id: TaskId,
    /// What is to be done.
    pub title: String,
    /// How long it takes.
    pub duration: TaskDuration,
    /// Counts its changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<&Task> for TaskState {
    fn from(task: &Task) -> Self {
        Self {
            id: task.id,
            title: task.title.clone(),
            duration_microseconds: task.duration.microseconds(),
            version: task.version,
            created_at: task.created_at,
            updated_at: task.updated_at,
        }
    }
}

/// Makes a task; `None` if its user is gone, and then the transaction is to be given up.
pub(super) async fn insert(
    connection: &mut PgConnection,
    user: UserId,
    title: &TaskTitle,
    duration: TaskDuration,
    at: DateTime<Utc>,
) -> Result<Option<Task>, sqlx::Error> {
    let interval = PgInterval { months: 0, days: 0, microseconds: duration.microseconds() };
    let inserted = sqlx::query!(
        r#"
        INSERT INTO tasks (user_id, title, duration, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $4)
        RETURNING id AS "id: TaskId", version
        "#,
        user.0,
        title.as_str(),
        interval,
        at,
    )
    .fetch_one(connection)
    .await;
    let row = match inserted {
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("tasks_user_id_fkey") => {
            return Ok(None);
        }
        inserted => inserted?,
    };
    let title = title.as_str().to_owned();
    Ok(Some(Task { id: row.id, title, duration, version: row.version, created_at: at, updated_at: at }))
}

/// The newest tasks of a user, the newest first; of the same instant, the later id first.
pub(super) async fn newest(
    connection: &mut PgConnection,
    user: UserId,
    limit: i64,
) -> Result<Vec<Task>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT id AS "id: TaskId", title, (extract(epoch FROM duration) * 1000000)::bigint AS "microseconds!",
            version, created_at, updated_at
        FROM tasks
        WHERE user_id = $1
        ORDER BY created_at DESC, id DESC
        LIMIT $2
        "#,
        user.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Task {
            id: row.id,
            title: row.title,
            duration: TaskDuration::from_microseconds(row.microseconds),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
        .collect())
}
