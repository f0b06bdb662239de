//! SQL over users as far as a login needs them, and over sessions.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use shared::contracts::Origin;
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::policy::ActiveSession;

/// A user as a login or a refresh looks at him. It holds a hash, so it is never printed.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) id: UserId,
    pub(super) username: String,
    pub(super) email: String,
    pub(super) password: String,
    pub(super) password_stamp: Uuid,
    /// The mark that SimpleJWT writes for a hash made by Django, for as long as that password is the user's.
    pub(super) imported_mark: Option<String>,
    pub(super) is_active: bool,
    pub(super) email_verified: bool,
    pub(super) login_failures: i32,
    pub(super) date_joined: DateTime<Utc>,
    pub(super) password_changed_at: Option<DateTime<Utc>>,
}

/// The account that the rest of the statement picks: sqlx checks statements that are literals alone.
macro_rules! select_account {
    ($which:literal, $argument:expr) => {
        sqlx::query_as!(
            Account,
            r#"
            SELECT id AS "id: UserId", username, email, password, password_stamp, is_active, login_failures,
                date_joined, password_changed_at, email_verified_at IS NOT NULL AS "email_verified!",
                CASE WHEN password LIKE '$argon2id$%' THEN imported_password_md5 ELSE upper(md5(password)) END
                    AS "imported_mark?"
            FROM users
            "# + $which,
            $argument,
        )
    };
}

pub(super) async fn find_by_username(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<Account>, sqlx::Error> {
    select_account!("WHERE username = $1", username).fetch_optional(connection).await
}

pub(super) async fn find(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<Account>, sqlx::Error> {
    select_account!("WHERE id = $1", user.0).fetch_optional(connection).await
}

/// Locks the user's row until the transaction ends: logins and ends of his sessions happen one at a time.
pub(super) async fn lock_user(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<Account>, sqlx::Error> {
    select_account!("WHERE id = $1 FOR NO KEY UPDATE", user.0).fetch_optional(connection).await
}

/// The id behind a name, where names stand in tokens.
pub(super) async fn id_of(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<UserId>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT id AS "id: UserId" FROM users WHERE username = $1"#, username)
        .fetch_optional(connection)
        .await
}

pub(super) async fn count_failure(connection: &mut PgConnection, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users SET login_failures = login_failures + 1 WHERE id = $1", user.0)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Notes a login that succeeded: its failures are forgotten, and its time is kept if the settings say so.
pub(super) async fn note_login(
    connection: &mut PgConnection,
    user: UserId,
    at: DateTime<Utc>,
    keep_time: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE users SET login_failures = 0, last_login = CASE WHEN $3 THEN $2 ELSE last_login END
        WHERE id = $1 AND (login_failures > 0 OR $3)
        "#,
        user.0,
        at,
        keep_time,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Keeps the same password under another hash. Its stamp stays, and so does the mark of a hash made by Django.
pub(super) async fn replace_hash(
    connection: &mut PgConnection,
    user: UserId,
    hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE users
        SET password = $2,
            imported_password_md5 =
                CASE WHEN password LIKE '$argon2id$%' THEN imported_password_md5 ELSE upper(md5(password)) END
        WHERE id = $1
        "#,
        user.0,
        hash,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Begins a session. The unique key refuses a second active one in the same slot.
pub(super) async fn insert(
    connection: &mut PgConnection,
    session: SessionId,
    user: UserId,
    slot: Option<i16>,
    at: DateTime<Utc>,
    origin: &Origin,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO user_sessions (id, user_id, slot, login_time, ip, user_agent)
        VALUES ($1, $2, $3, $4, $5, $6)
        "#,
        session.0,
        user.0,
        slot,
        at,
        origin.ip.map(IpNetwork::from),
        origin.user_agent,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// The active sessions of a user, the oldest first. Those that began no later than `outlived` are not alive any more.
pub(super) async fn active_sessions(
    connection: &mut PgConnection,
    user: UserId,
    now: DateTime<Utc>,
    outlived: Option<DateTime<Utc>>,
) -> Result<Vec<ActiveSession>, sqlx::Error> {
    sqlx::query_as!(
        ActiveSession,
        r#"
        SELECT id AS "id: SessionId", slot,
            ($3::timestamptz IS NULL OR login_time > $3) AND EXISTS (
                SELECT FROM outstanding_tokens
                WHERE session_id = user_sessions.id AND COALESCE(kept_until, expires_at) > $2
                  AND NOT EXISTS (SELECT FROM blacklisted_tokens WHERE token_id = outstanding_tokens.id)
            ) AS "alive!"
        FROM user_sessions
        WHERE user_id = $1 AND is_active
        ORDER BY login_time, id
        "#,
        user.0,
        now,
        outlived,
    )
    .fetch_all(connection)
    .await
}

/// The ids of a user's active sessions, the oldest first.
pub(super) async fn active_ids(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Vec<SessionId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: SessionId" FROM user_sessions WHERE user_id = $1 AND is_active ORDER BY login_time, id"#,
        user.0,
    )
    .fetch_all(connection)
    .await
}

/// When an active session of this user began; none if he has no such session, or it has ended.
pub(super) async fn active_since(
    connection: &mut PgConnection,
    user: UserId,
    session: SessionId,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT login_time FROM user_sessions WHERE id = $1 AND user_id = $2 AND is_active",
        session.0,
        user.0
    )
    .fetch_optional(connection)
    .await
}

/// Whose a session is, if it is active.
pub(super) async fn holder_of(
    connection: &mut PgConnection,
    session: SessionId,
) -> Result<Option<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT user_id AS "user_id: UserId" FROM user_sessions WHERE id = $1 AND is_active"#,
        session.0,
    )
    .fetch_optional(connection)
    .await
}

/// A session as its user sees it.
#[derive(Debug)]
pub(super) struct SessionRow {
    pub(super) id: SessionId,
    pub(super) user_id: UserId,
    pub(super) login_time: DateTime<Utc>,
    pub(super) ip: Option<IpNetwork>,
    pub(super) user_agent: Option<String>,
}

/// The newest of a user's active sessions, newest first.
pub(super) async fn list_active(
    connection: &mut PgConnection,
    user: UserId,
    limit: i64,
) -> Result<Vec<SessionRow>, sqlx::Error> {
    sqlx::query_as!(
        SessionRow,
        r#"
        SELECT id AS "id: SessionId", user_id AS "user_id: UserId", login_time, ip, user_agent
        FROM user_sessions
        WHERE user_id = $1 AND is_active
        ORDER BY login_time DESC, id DESC
        LIMIT $2
        "#,
        user.0,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Ends those of the sessions that are active; gives them, in the order given.
pub(super) async fn end(
    connection: &mut PgConnection,
    sessions: &[SessionId],
    at: DateTime<Utc>,
    reason: &str,
) -> Result<Vec<SessionId>, sqlx::Error> {
    let ids: Vec<Uuid> = sessions.iter().map(|session| session.0).collect();
    let ended = sqlx::query_scalar!(
        r#"
        UPDATE user_sessions SET is_active = false, logout_time = $2, end_reason = $3
        WHERE id = ANY($1) AND is_active
        RETURNING id
        "#,
        &ids,
        at,
        reason,
    )
    .fetch_all(connection)
    .await?;
    let ended: HashSet<Uuid> = ended.into_iter().collect();
    Ok(sessions.iter().copied().filter(|session| ended.contains(&session.0)).collect())
}
