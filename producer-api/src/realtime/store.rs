//! SQL for sockets: the list with the outbox's position, and single tasks.

use shared::ids::{TaskId, UserId};
use shared::task_duration::TaskDuration;
use sqlx::PgConnection;

use crate::tasks::Task;

/// A list, and what the outbox had given out when it was read.
#[derive(Debug)]
pub(super) struct List {
    /// The newest first; one more than was asked for if there are more.
    pub(super) tasks: Vec<Task>,
    /// The last sequence that the outbox had given out, at some instant after the statement was sent.
    pub(super) last_sequence: i64,
}

/// The newest tasks of a user, at most `limit`.
pub(super) async fn list(
    connection: &mut PgConnection,
    user: UserId,
    limit: i64,
) -> Result<List, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT
            COALESCE(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'seq')::regclass), 0)
                AS "last_sequence!",
            task.id AS "id?: TaskId",
            task.title AS "title?",
            (extract(epoch FROM task.duration) * 1000000)::bigint AS "microseconds?",
            task.version AS "version?",
            task.created_at AS "created_at?",
            task.updated_at AS "updated_at?"
        FROM (SELECT) AS always
        LEFT JOIN (
            SELECT id, title, duration, version, created_at, updated_at
            FROM tasks
            WHERE user_id = $1
            ORDER BY created_at DESC, id DESC
            LIMIT $2
        ) AS task ON true
        ORDER BY task.created_at DESC, task.id DESC
        "#,
        user.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let last_sequence = rows.iter().map(|row| row.last_sequence).max().unwrap_or(0);
    let tasks = rows.into_iter().filter_map(|row| {
        Some(Task {
            id: row.id?,
            title: row.title?,
            duration: TaskDuration::from_microseconds(row.microseconds?),
            version: row.version?,
            created_at: row.created_at?,
            updated_at: row.updated_at?,
        })
    });
    Ok(List { tasks: tasks.collect(), last_sequence })
}

/// Those of these tasks of a user that there are.
pub(super) async fn find(
    connection: &mut PgConnection,
    user: UserId,
    tasks: &[i64],
) -> Result<Vec<Task>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT id AS "id: TaskId", title, (extract(epoch FROM duration) * 1000000)::bigint AS "microseconds!",
            version, created_at, updated_at
        FROM tasks
        WHERE user_id = $1 AND id = ANY($2)
        ORDER BY created_at, id
        "#,
        user.0,
        tasks,
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
