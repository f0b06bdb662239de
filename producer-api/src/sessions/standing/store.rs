//! SQL over standings: one user with one session, and what changed since a snapshot.

use chrono::{DateTime, Utc};
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::map::{Found, FoundSession, UserFacts};

/// What changed between two reads, and where the later one stands.
#[derive(Debug)]
pub(super) struct ChangesRow {
    /// When the server was started: another one after a restart or on another server.
    pub(super) server_started: DateTime<Utc>,
    /// The server's clock.
    pub(super) read_at: DateTime<Utc>,
    /// The snapshot of this very read, as text.
    pub(super) snapshot: String,
    /// The sessions that ended.
    pub(super) sessions: Vec<Uuid>,
    /// The users that changed.
    pub(super) users: Vec<i64>,
}

/// One read: the user, and the session whoever it belongs to.
pub(super) async fn find(
    connection: &mut PgConnection,
    user: UserId,
    session: Option<SessionId>,
) -> Result<Found, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT
            users.id AS "user_id?: UserId",
            users.username AS "username?",
            users.is_active AS "user_is_active?",
            users.is_staff AS "is_staff?",
            users.is_superuser AS "is_superuser?",
            users.password_stamp AS "password_stamp?",
            users.date_joined AS "date_joined?",
            users.password_changed_at,
            CASE
                WHEN users.password LIKE '$argon2id$%' THEN users.imported_password_md5
                ELSE upper(md5(users.password))
            END AS "imported_mark?",
            user_sessions.user_id AS "holder?: UserId",
            user_sessions.is_active AS "session_is_active?"
        FROM (SELECT) AS always
        LEFT JOIN users ON users.id = $1
        LEFT JOIN user_sessions ON user_sessions.id = $2
        "#,
        user.0,
        session.map(|session| session.0),
    )
    .fetch_one(connection)
    .await?;
    let session = match (row.holder, row.session_is_active) {
        (Some(user_id), Some(is_active)) => Some(FoundSession { user_id, is_active }),
        _ => None,
    };
    let user = match row.user_id {
        Some(user_id) => Some(UserFacts {
            user_id,
            username: present(row.username, "users.username")?,
            is_active: present(row.user_is_active, "users.is_active")?,
            is_staff: present(row.is_staff, "users.is_staff")?,
            is_superuser: present(row.is_superuser, "users.is_superuser")?,
            password_stamp: present(row.password_stamp, "users.password_stamp")?,
            imported_mark: row.imported_mark,
            date_joined: present(row.date_joined, "users.date_joined")?,
            password_changed_at: row.password_changed_at,
        }),
        None => None,
    };
    Ok(Found { user, session })
}

fn present<T>(value: Option<T>, column: &str) -> Result<T, sqlx::Error> {
    value.ok_or_else(|| sqlx::Error::ColumnNotFound(column.to_owned()))
}

/// What was not visible in the snapshot `since` and is now, at most `limit` changes; without `since` none. Changes and
/// the new snapshot are of one statement, and so belong together. Rows with transactions that are still to come are of
/// another cluster, from a dump: they would be not visible, and so news, in every read.
pub(super) async fn changes(
    connection: &mut PgConnection,
    since: Option<&str>,
    limit: i64,
) -> Result<ChangesRow, sqlx::Error> {
    sqlx::query_as!(
        ChangesRow,
        r#"
        WITH changes AS MATERIALIZED (
            SELECT user_id, session_id
            FROM standing_changes
            WHERE transaction >= pg_snapshot_xmin($1::text::pg_snapshot)
              AND transaction < pg_snapshot_xmax(pg_current_snapshot())
              AND NOT pg_visible_in_snapshot(transaction, $1::text::pg_snapshot)
            -- The order is that of the index, which is used for it even while the table's statistics are old.
            ORDER BY transaction
            LIMIT $2
        )
        SELECT
            pg_postmaster_start_time() AS "server_started!",
            clock_timestamp() AS "read_at!",
            pg_current_snapshot()::text AS "snapshot!",
            ARRAY(SELECT session_id FROM changes WHERE session_id IS NOT NULL) AS "sessions!: Vec<Uuid>",
            ARRAY(SELECT user_id FROM changes WHERE session_id IS NULL) AS "users!: Vec<i64>"
        "#,
        since,
        limit,
    )
    .fetch_one(connection)
    .await
}
