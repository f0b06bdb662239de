//! SQL over tasks. Each function is one statement, and those that change a task write its event in it.

use chrono::{DateTime, Utc};
use shared::contracts::tasks::TaskState;
use shared::ids::{TaskId, UserId};
use shared::outbox::EventDraft;
use shared::task_duration::TaskDuration;
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

use super::owned::Owned;
use super::place::Place;
use super::title::TaskTitle;
use super::walk::WalkedTask;

/// A task as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// A row as the statements below give it.
struct Row {
    id: TaskId,
    title: String,
    microseconds: i64,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Task {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            title: row.title,
            duration: TaskDuration::from_microseconds(row.microseconds),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The tasks that the rest of the statement picks: sqlx checks statements that are literals alone.
macro_rules! select_tasks {
    ($which:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            Row,
            r#"
            SELECT id AS "id: TaskId", title, (extract(epoch FROM duration) * 1000000)::bigint AS "microseconds!",
                version, created_at, updated_at
            FROM tasks
            "# + $which,
            $($argument),+
        )
    };
}

/// A statement whose part `changed` gives the task that it has changed, if it has, and writes the event of that. The event
/// is selected from `changed`: its sequence is drawn when the task's lock is held. $1 to $6 are the event's.
macro_rules! change_and_tell {
    ($changed:literal, $answer:literal, $event:expr, $($argument:expr),+) => {
        sqlx::query!(
            "WITH " + $changed + r#",
            told AS (
                INSERT INTO outbox (seq, event_id, exchange, routing_key, headers, body)
                OVERRIDING SYSTEM VALUE
                SELECT drawn.seq, $1, $2, $3, $4,
                    ($5::text[])[1] || row_to_json(state)::text || ($5::text[])[2] || drawn.id::text
                    || ($5::text[])[3] || lpad(drawn.seq::text, $6, '0') || ($5::text[])[4]
                FROM (
                    SELECT nextval(pg_get_serial_sequence('outbox', 'seq')) AS seq, changed.* FROM changed
                ) AS drawn
                -- The members of `TaskState`, in its order.
                CROSS JOIN LATERAL (
                    SELECT drawn.id, drawn.title,
                        (extract(epoch FROM drawn.duration) * 1000000)::bigint AS duration_microseconds,
                        drawn.version,
                        to_char(drawn.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at,
                        to_char(drawn.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS updated_at
                ) AS state
            )
            "# + $answer,
            $event.event_id,
            $event.exchange,
            $event.routing_key,
            $event.headers,
            &$event.pieces,
            $event.sequence_digits,
            $($argument),+
        )
    };
}

/// Makes a task and tells of it; `None` if its user is gone, and then a transaction around it is to be given up.
pub(super) async fn insert(
    connection: &mut PgConnection,
    event: EventDraft,
    user: UserId,
    title: &TaskTitle,
    duration: TaskDuration,
    at: DateTime<Utc>,
) -> Result<Option<Task>, sqlx::Error> {
    let inserted = change_and_tell!(
        "changed AS (
            INSERT INTO tasks (user_id, title, duration, created_at, updated_at)
            VALUES ($7, $8, $9, $10, $10)
            RETURNING *
        )",
        r#"SELECT id AS "id!: TaskId", version AS "version!" FROM changed"#,
        event,
        user.0,
        title.as_str(),
        interval(duration),
        at
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
pub(crate) async fn newest(
    connection: &mut PgConnection,
    user: UserId,
    limit: i64,
) -> Result<Vec<Task>, sqlx::Error> {
    let rows = select_tasks!("WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2", user.0, limit)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(Task::from).collect())
}

/// The newest of those that come after `place` in that order.
pub(super) async fn newest_after(
    connection: &mut PgConnection,
    user: UserId,
    place: Place,
    limit: i64,
) -> Result<Vec<Task>, sqlx::Error> {
    let rows = select_tasks!(
        "WHERE user_id = $1 AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC LIMIT $2",
        user.0,
        limit,
        place.created_at,
        place.id.0
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Task::from).collect())
}

/// A task of `user`.
pub(crate) async fn find(
    connection: &mut PgConnection,
    user: UserId,
    id: TaskId,
) -> Result<Owned<Task>, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        SELECT user_id, title, (extract(epoch FROM duration) * 1000000)::bigint AS "microseconds!", version, created_at,
            updated_at
        FROM tasks
        WHERE id = $1
        "#,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(match found {
        None => Owned::Missing,
        Some(row) if row.user_id != user.0 => Owned::Anothers,
        Some(row) => Owned::Own(Task {
            id,
            title: row.title,
            duration: TaskDuration::from_microseconds(row.microseconds),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }),
    })
}

/// What became of a task that was to be renamed.
#[derive(Debug)]
pub(super) struct Renaming {
    /// As it is now.
    pub(super) task: Task,
    /// Whether it has another title or another version than before.
    pub(super) changed: bool,
}

/// Gives a task of `user` another title and tells of it, unless it has this very title, or its duration is another than
/// `expected`. Renamings of one task wait for one another: each counts on from the version before it.
pub(super) async fn rename(
    connection: &mut PgConnection,
    event: EventDraft,
    (user, id): (UserId, TaskId),
    title: &TaskTitle,
    expected: Option<TaskDuration>,
    at: DateTime<Utc>,
) -> Result<Owned<Renaming>, sqlx::Error> {
    let row = change_and_tell!(
        "found AS (
            SELECT * FROM tasks WHERE id = $7 AND user_id = $8 FOR NO KEY UPDATE
        ),
        changed AS (
            UPDATE tasks
            SET title = $9, version = tasks.version + 1, updated_at = GREATEST(tasks.updated_at, $11)
            FROM found
            WHERE tasks.id = found.id AND found.title <> $9 AND ($10::interval IS NULL OR found.duration = $10)
            RETURNING tasks.*
        )",
        r#"
        SELECT EXISTS (SELECT FROM tasks WHERE id = $7 AND user_id <> $8) AS "anothers!",
            EXISTS (SELECT FROM changed) AS "changed!",
            task.id AS "id?: TaskId", task.title AS "title?",
            (extract(epoch FROM task.duration) * 1000000)::bigint AS "microseconds",
            task.version AS "version?", task.created_at AS "created_at?", task.updated_at AS "updated_at?"
        FROM (SELECT) AS always
        LEFT JOIN (
            SELECT * FROM changed
            UNION ALL
            SELECT * FROM found WHERE NOT EXISTS (SELECT FROM changed)
        ) AS task ON true
        "#,
        event,
        id.0,
        user.0,
        title.as_str(),
        expected.map(interval),
        at
    )
    .fetch_one(connection)
    .await?;
    let (Some(id), Some(title), Some(microseconds), Some(version), Some(created_at), Some(updated_at)) =
        (row.id, row.title, row.microseconds, row.version, row.created_at, row.updated_at)
    else {
        return Ok(if row.anothers { Owned::Anothers } else { Owned::Missing });
    };
    let duration = TaskDuration::from_microseconds(microseconds);
    let task = Task { id, title, duration, version, created_at, updated_at };
    Ok(Owned::Own(Renaming { task, changed: row.changed }))
}

/// Deletes a task of `user` and tells of it.
pub(super) async fn delete(
    connection: &mut PgConnection,
    event: EventDraft,
    user: UserId,
    id: TaskId,
) -> Result<Owned<()>, sqlx::Error> {
    let row = change_and_tell!(
        "changed AS (
            DELETE FROM tasks WHERE id = $7 AND user_id = $8
            RETURNING id, title, duration, version + 1 AS version, created_at, updated_at
        )",
        r#"
        SELECT EXISTS (SELECT FROM changed) AS "deleted!",
            EXISTS (SELECT FROM tasks WHERE id = $7 AND user_id <> $8) AS "anothers!"
        "#,
        event,
        id.0,
        user.0
    )
    .fetch_one(connection)
    .await?;
    Ok(match (row.deleted, row.anothers) {
        (true, _) => Owned::Own(()),
        (false, true) => Owned::Anothers,
        (false, false) => Owned::Missing,
    })
}

/// Days of an interval are not 24 hours to PostgreSQL: all of it in microseconds.
fn interval(duration: TaskDuration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: duration.microseconds() }
}

/// Tasks of all users in the order of their ids, those behind `after`.
pub(super) async fn behind(
    connection: &mut PgConnection,
    after: TaskId,
    limit: i64,
) -> Result<Vec<WalkedTask>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT task.id AS "id: TaskId", user_id AS "user_id: UserId", username, title,
            (extract(epoch FROM duration) * 1000000)::bigint AS "microseconds!", version, created_at, updated_at
        FROM tasks AS task
        JOIN users ON users.id = user_id
        WHERE task.id > $1
        ORDER BY task.id
        LIMIT $2
        "#,
        after.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let walked = rows.into_iter().map(|row| WalkedTask {
        id: row.id,
        user_id: row.user_id,
        username: row.username,
        title: row.title,
        duration: TaskDuration::from_microseconds(row.microseconds).to_string(),
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    });
    Ok(walked.collect())
}

/// How many tasks [`behind`] would give in all.
pub(super) async fn count_behind(connection: &mut PgConnection, after: TaskId) -> Result<u64, sqlx::Error> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM tasks WHERE id > $1"#, after.0)
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}
