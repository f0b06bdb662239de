//! SQL over idempotency keys.

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::database::is_locked;
use shared::ids::UserId;
use sqlx::PgConnection;

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The key is this transaction's.
    Ours,
    /// A request with this key was answered.
    Taken,
    /// A request with this key is still under way.
    InFlight,
    /// The user is gone.
    UserGone,
}

/// Claims a key, if nobody has claimed it after `expired`; waits for a transaction that is about to.
pub(super) async fn claim(
    connection: &mut PgConnection,
    user: UserId,
    (key, request): (&[u8], &[u8]),
    at: DateTime<Utc>,
    expired: DateTime<Utc>,
) -> Result<Claim, sqlx::Error> {
    let claimed = sqlx::query!(
        r#"
        INSERT INTO idempotency_keys AS known (user_id, key, request, created_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id, key) DO UPDATE
        SET request = EXCLUDED.request, answer = NULL, created_at = EXCLUDED.created_at
        WHERE known.created_at <= $5
        "#,
        user.0,
        key,
        request,
        at,
        expired,
    )
    .execute(connection)
    .await;
    match claimed {
        Ok(done) if done.rows_affected() == 1 => Ok(Claim::Ours),
        Ok(_) => Ok(Claim::Taken),
        Err(error) if is_locked(&error) => Ok(Claim::InFlight),
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("idempotency_keys_user_id_fkey") => {
            Ok(Claim::UserGone)
        }
        Err(error) => Err(error),
    }
}

/// Keeps the answer of a request whose key this transaction has claimed.
pub(super) async fn keep_answer(
    connection: &mut PgConnection,
    user: UserId,
    key: &[u8],
    answer: Value,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE idempotency_keys SET answer = $3 WHERE user_id = $1 AND key = $2",
        user.0,
        key,
        answer
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// What was asked for with a key that is taken, and what was answered; `None` if it was deleted meanwhile.
pub(super) async fn answered(
    connection: &mut PgConnection,
    user: UserId,
    key: &[u8],
) -> Result<Option<(Vec<u8>, Option<Value>)>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT request, answer FROM idempotency_keys WHERE user_id = $1 AND key = $2",
        user.0,
        key
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.request, row.answer)))
}
