//! SQL over users as far as a login needs them, and over sessions.

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use shared::contracts::Origin;
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;

/// A user as a login looks at him.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) id: UserId,
    pub(super) username: String,
    pub(super) email: String,
    pub(super) password: String,
    pub(super) is_active: bool,
    pub(super) login_failures: i32,
}

/// A user and, if a session was asked for, whether it is active.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) username: String,
    pub(super) is_active: bool,
    pub(super) is_staff: bool,
    pub(super) session_active: bool,
}

pub(super) async fn find_by_username(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        SELECT id AS "id: UserId", username, email, password, is_active, login_failures
        FROM users
        WHERE username = $1
        "#,
        username,
    )
    .fetch_optional(connection)
    .await
}

/// Locks the user's row until the transaction ends: logins and ends of his sessions happen one at a time.
pub(super) async fn lock_user(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        SELECT id AS "id: UserId", username, email, password, is_active, login_failures
        FROM users
        WHERE id = $1
        FOR NO KEY UPDATE
        "#,
        user.0,
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn count_failure(connection: &mut PgConnection, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users SET login_failures = login_failures + 1 WHERE id = $1", user.0)
        .execute(connection)
        .await
        .map(|_| ())
}

pub(super) async fn forget_failures(connection: &mut PgConnection, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users SET login_failures = 0 WHERE id = $1", user.0)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Begins a session in slot 1. The unique key refuses a second active one.
pub(super) async fn insert(
    connection: &mut PgConnection,
    session: SessionId,
    user: UserId,
    at: DateTime<Utc>,
    origin: &Origin,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO user_sessions (id, user_id, slot, login_time, ip, user_agent)
        VALUES ($1, $2, 1, $3, $4, $5)
        "#,
        session.0,
        user.0,
        at,
        origin.ip.map(IpNetwork::from),
        origin.user_agent,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

pub(super) async fn active_sessions(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Vec<SessionId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: SessionId" FROM user_sessions WHERE user_id = $1 AND is_active"#,
        user.0
    )
    .fetch_all(connection)
    .await
}

/// Ends a session; `false` if it had ended before.
pub(super) async fn end(
    connection: &mut PgConnection,
    session: SessionId,
    at: DateTime<Utc>,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        r#"
        UPDATE user_sessions SET is_active = false, logout_time = $2, end_reason = $3
        WHERE id = $1 AND is_active
        "#,
        session.0,
        at,
        reason,
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// One read for each request: the user, and whether his session is active. Without a session the latter is true.
pub(super) async fn standing(
    connection: &mut PgConnection,
    user: UserId,
    session: Option<SessionId>,
) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"
        SELECT username, users.is_active, is_staff,
            ($2::uuid IS NULL OR COALESCE(user_sessions.is_active, false)) AS "session_active!"
        FROM users
        LEFT JOIN user_sessions ON user_sessions.id = $2 AND user_sessions.user_id = users.id
        WHERE users.id = $1
        "#,
        user.0,
        session.map(|session| session.0),
    )
    .fetch_optional(connection)
    .await
}
