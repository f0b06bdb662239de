//! SQL over outstanding and blacklisted tokens. Everything goes by jti; no token is kept.

use chrono::{DateTime, Utc};
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

/// A refresh or sliding token to be recorded.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its id.
    pub jti: &'a str,
    /// Whose it is; kept if he exists.
    pub user: Option<UserId>,
    /// Its session; kept if it exists.
    pub session: Option<SessionId>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it runs out.
    pub expires_at: DateTime<Utc>,
    /// Until when its row must be kept.
    pub kept_until: DateTime<Utc>,
}

/// What is recorded of a token.
#[derive(Debug, Clone)]
pub struct Outstanding {
    /// Its row.
    pub id: i64,
    /// Its session.
    pub session_id: Option<SessionId>,
    /// Whether it is on the blacklist.
    pub blacklisted: Option<Blacklisted>,
}

/// Why and since when a token is on the blacklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blacklisted {
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: DateTime<Utc>,
    /// The row of the token it was exchanged for.
    pub successor_id: Option<i64>,
}

/// The token that a rotated one was exchanged for.
#[derive(Debug, Clone)]
pub struct Successor {
    /// Its id.
    pub jti: String,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it runs out.
    pub expires_at: DateTime<Utc>,
    /// Whether nobody has used or ended it yet.
    pub unused: bool,
}

/// Records a token that is given out, or one minted elsewhere that turns up. Gives its row's id; a token that is
/// recorded already keeps its row.
pub async fn record(connection: &mut PgConnection, row: &Row<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        INSERT INTO outstanding_tokens (jti, user_id, session_id, created_at, expires_at, kept_until)
        VALUES (
            $1,
            (SELECT id FROM users WHERE id = $2),
            (SELECT id FROM user_sessions WHERE id = $3),
            $4,
            $5,
            $6
        )
        -- An update that changes nothing: it waits for a row another request is about to commit, and returns it. Not of
        -- the key, whose lock would wait for everybody who is about to blacklist the token, too.
        ON CONFLICT (jti) DO UPDATE SET created_at = outstanding_tokens.created_at
        RETURNING id
        "#,
        row.jti,
        row.user.map(|user| user.0),
        row.session.map(|session| session.0),
        row.created_at,
        row.expires_at,
        row.kept_until,
    )
    .fetch_one(connection)
    .await
}

/// What is recorded of the token with this id.
pub async fn find(connection: &mut PgConnection, jti: &str) -> Result<Option<Outstanding>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT outstanding_tokens.id, session_id AS "session_id: SessionId",
            reason AS "reason?", blacklisted_at AS "blacklisted_at?", successor_id
        FROM outstanding_tokens
        LEFT JOIN blacklisted_tokens ON token_id = outstanding_tokens.id
        WHERE jti = $1
        "#,
        jti,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Outstanding {
        id: row.id,
        session_id: row.session_id,
        blacklisted: row.reason.zip(row.blacklisted_at).map(|(reason, at)| Blacklisted {
            reason,
            at,
            successor_id: row.successor_id,
        }),
    }))
}

/// Whether the token with this id is on the blacklist.
pub async fn is_blacklisted(connection: &mut PgConnection, jti: &str) -> Result<bool, sqlx::Error> {
    Ok(find(connection, jti).await?.is_some_and(|token| token.blacklisted.is_some()))
}

/// The token in the row that a rotated one points to.
pub async fn successor_of(connection: &mut PgConnection, id: i64) -> Result<Option<Successor>, sqlx::Error> {
    sqlx::query_as!(
        Successor,
        r#"
        SELECT jti, created_at, expires_at,
            NOT EXISTS (SELECT FROM blacklisted_tokens WHERE token_id = outstanding_tokens.id) AS "unused!"
        FROM outstanding_tokens
        WHERE id = $1
        "#,
        id,
    )
    .fetch_optional(connection)
    .await
}

/// Moves the end of a sliding token that was renewed beyond it.
pub async fn extend(
    connection: &mut PgConnection,
    jti: &str,
    expires_at: DateTime<Utc>,
    kept_until: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE outstanding_tokens
        SET expires_at = GREATEST(expires_at, $2), kept_until = GREATEST(kept_until, $3)
        WHERE jti = $1 AND expires_at < $2
        "#,
        jti,
        expires_at,
        kept_until,
    )
    .execute(connection)
    .await
    .map(|_| ())
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

/// Exchanges one token for another: the compare-and-swap of rotation. `false` if it was exchanged or ended already; of
/// two that try at once, the unique key lets one through.
pub async fn rotate(
    connection: &mut PgConnection,
    token: i64,
    successor: i64,
    at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        r#"
        INSERT INTO blacklisted_tokens (token_id, blacklisted_at, reason, successor_id)
        VALUES ($1, $2, 'rotated', $3)
        ON CONFLICT (token_id) DO NOTHING
        "#,
        token,
        at,
        successor,
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// A token of a session that ends.
#[derive(Debug)]
pub(super) struct OfSession {
    pub(super) jti: String,
    pub(super) session_id: Option<SessionId>,
    /// Whether it was blacklisted just now; else somebody else did so at this moment.
    pub(super) blacklisted: bool,
}

/// Blacklists the tokens of these sessions that are good until now, at most `limit` of them; gives them, the oldest
/// first. When it gives fewer there are no more.
pub(super) async fn blacklist_some_of(
    connection: &mut PgConnection,
    sessions: &[SessionId],
    at: DateTime<Utc>,
    reason: &str,
    limit: usize,
) -> Result<Vec<OfSession>, sqlx::Error> {
    let sessions: Vec<Uuid> = sessions.iter().map(|session| session.0).collect();
    sqlx::query_as!(
        OfSession,
        r#"
        WITH good AS MATERIALIZED (
            SELECT id, jti, session_id FROM outstanding_tokens
            WHERE session_id = ANY($1) AND COALESCE(kept_until, expires_at) > $2
              AND NOT EXISTS (SELECT FROM blacklisted_tokens WHERE token_id = outstanding_tokens.id)
            LIMIT $4
        ),
        ended AS (
            INSERT INTO blacklisted_tokens (token_id, blacklisted_at, reason)
            SELECT id, $2, $3 FROM good
            ON CONFLICT (token_id) DO NOTHING
            RETURNING token_id
        )
        SELECT jti, session_id AS "session_id: SessionId", token_id IS NOT NULL AS "blacklisted!"
        FROM good LEFT JOIN ended ON token_id = good.id
        ORDER BY good.id
        "#,
        &sessions,
        at,
        reason,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await
}
