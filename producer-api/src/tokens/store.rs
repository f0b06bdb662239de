//! SQL over outstanding and blacklisted tokens. Everything goes by jti; no token is kept.

use chrono::{DateTime, Utc};
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;

/// Records a refresh token that is given out, or one minted elsewhere that turns up. Gives its row's id; a token that
/// is recorded already keeps its row.
pub async fn record(
    connection: &mut PgConnection,
    jti: &str,
    user: Option<UserId>,
    session: Option<SessionId>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        INSERT INTO outstanding_tokens (jti, user_id, session_id, created_at, expires_at)
        VALUES (
            $1,
            (SELECT id FROM users WHERE id = $2),
            (SELECT id FROM user_sessions WHERE id = $3),
            $4,
            $5
        )
        -- An update that changes nothing: it waits for a row another request is about to commit, and returns it.
        ON CONFLICT (jti) DO UPDATE SET jti = EXCLUDED.jti
        RETURNING id
        "#,
        jti,
        user.map(|user| user.0),
        session.map(|session| session.0),
        created_at,
        expires_at,
    )
    .fetch_one(connection)
    .await
}

/// Whether the token with this id is on the blacklist.
pub(super) async fn is_blacklisted(connection: &mut PgConnection, jti: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM blacklisted_tokens JOIN outstanding_tokens ON outstanding_tokens.id = token_id
            WHERE jti = $1
        ) AS "blacklisted!"
        "#,
        jti,
    )
    .fetch_one(connection)
    .await
}

/// Blacklists one token; `false` if it is on the blacklist already.
pub(super) async fn blacklist(
    connection: &mut PgConnection,
    token: i64,
    at: DateTime<Utc>,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        r#"
        INSERT INTO blacklisted_tokens (token_id, blacklisted_at, reason)
        VALUES ($1, $2, $3)
        ON CONFLICT (token_id) DO NOTHING
        "#,
        token,
        at,
        reason,
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Blacklists every token of a session that is good until now; gives their ids.
pub(super) async fn blacklist_all_of(
    connection: &mut PgConnection,
    session: SessionId,
    at: DateTime<Utc>,
    reason: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        WITH ended AS (
            INSERT INTO blacklisted_tokens (token_id, blacklisted_at, reason)
            SELECT id, $2, $3 FROM outstanding_tokens WHERE session_id = $1 AND expires_at > $2
            ON CONFLICT (token_id) DO NOTHING
            RETURNING token_id
        )
        SELECT jti FROM outstanding_tokens JOIN ended ON ended.token_id = outstanding_tokens.id
        "#,
        session.0,
        at,
        reason,
    )
    .fetch_all(connection)
    .await
}
