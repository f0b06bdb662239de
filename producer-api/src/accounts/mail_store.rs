//! SQL over mailed links, and over who may be sent one.

use chrono::{DateTime, Utc};
use shared::contracts::auth::MailTokenFault;
use shared::contracts::mail::MailPurpose;
use shared::ids::UserId;
use sqlx::PgConnection;

use super::mail_links::MailToken;

/// Of the accounts that have an unproved address in common, so many are written to.
const ADDRESSEES_MAX: i64 = 3;

/// The link of this SHA-256.
pub(super) async fn find(
    connection: &mut PgConnection,
    secret: &[u8],
) -> Result<Option<MailToken>, sqlx::Error> {
    sqlx::query_as!(
        MailToken,
        r#"
        SELECT id, user_id AS "user_id: UserId", purpose, email, expires_at, end_reason
        FROM mail_tokens
        WHERE secret = $1
        "#,
        secret,
    )
    .fetch_optional(connection)
    .await
}

/// Marks a link as used.
pub(super) async fn mark_used(
    connection: &mut PgConnection,
    id: i64,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE mail_tokens SET ended_at = $2, end_reason = 'used' WHERE id = $1 AND ended_at IS NULL",
        id,
        at
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Remembers that it was told why a link is no good; `false` if that was told before, or there is no such link any more.
pub(super) async fn mark_told(
    connection: &mut PgConnection,
    id: i64,
    fault: MailTokenFault,
) -> Result<bool, sqlx::Error> {
    let updated = sqlx::query!(
        "UPDATE mail_tokens SET told_faults = told_faults || $2::text WHERE id = $1 AND NOT $2 = ANY (told_faults)",
        id,
        fault.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Ends every live link of a user for one purpose.
pub(super) async fn withdraw(
    connection: &mut PgConnection,
    user: UserId,
    purpose: MailPurpose,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE mail_tokens SET ended_at = $3, end_reason = 'withdrawn'
        WHERE user_id = $1 AND purpose = $2 AND ended_at IS NULL
        "#,
        user.0,
        purpose.as_str(),
        at,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// An account that has an address.
#[derive(Debug)]
pub(super) struct Addressee {
    pub(super) id: UserId,
    pub(super) username: String,
    pub(super) is_active: bool,
    pub(super) verified: bool,
}

/// The accounts that have an address, in any case of its letters: whoever has proved it first, then the one of this name, then
/// the oldest.
pub(super) async fn addressees(
    connection: &mut PgConnection,
    email: &str,
    username: Option<&str>,
) -> Result<Vec<Addressee>, sqlx::Error> {
    sqlx::query_as!(
        Addressee,
        r#"
        SELECT id AS "id: UserId", username, is_active, email_verified_at IS NOT NULL AS "verified!"
        FROM users
        WHERE lower(email) = lower($1)
        ORDER BY email_verified_at IS NULL, username IS DISTINCT FROM $3::text, id
        LIMIT $2
        "#,
        email,
        ADDRESSEES_MAX,
        username,
    )
    .fetch_all(connection)
    .await
}
