//! The rows that mail reads and writes.

use chrono::{DateTime, Utc};
use shared::ids::{RunId, UserId};
use sqlx::PgConnection;

/// An attempt of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) run_id: RunId,
    pub(super) attempt: i32,
}

/// A user, as far as a mail to him goes.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) username: String,
    pub(super) email: String,
    pub(super) pending_email: Option<String>,
    /// The proved one before the present one, for as long as a notice may still be on its way there.
    pub(super) former_email: Option<String>,
    pub(super) is_active: bool,
    /// Since when the present address is known to be his.
    pub(super) email_verified_at: Option<DateTime<Utc>>,
    pub(super) password_changed_at: Option<DateTime<Utc>>,
}

/// Who has proved that an address is his.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) user_id: UserId,
    pub(super) username: String,
    /// The address as he wrote it.
    pub(super) email: String,
}

/// A secret to be kept as its hash.
#[derive(Debug)]
pub(super) struct NewToken<'a> {
    pub(super) user_id: UserId,
    pub(super) purpose: &'static str,
    pub(super) sha256: &'a [u8],
    pub(super) email: &'a str,
    pub(super) expires_at: DateTime<Utc>,
}

/// What became of the attempts of a run before the present one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// Those whose mail may have arrived.
    pub(super) may_have_arrived: i64,
    /// The last one whose mail was taken for certain.
    pub(super) delivered_at_attempt: Option<i32>,
    /// Whether one of them wrote to the owner of the address instead.
    pub(super) told_the_owner: bool,
}

/// Holds the run's row until the transaction ends, if the attempt still has the run.
pub(super) async fn hold_run(connection: &mut PgConnection, of: Attempt) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "SELECT id FROM job_runs WHERE id = $1 AND attempt = $2 AND state = 'running' FOR NO KEY UPDATE",
        of.run_id.0,
        of.attempt,
    )
    .fetch_optional(connection)
    .await
    .map(|row| row.is_some())
}

/// A user, his row locked as a login and a change of his account lock it: his secrets are drawn and ended one after
/// the other.
pub(super) async fn lock_user(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as!(
        User,
        r#"
        SELECT username, email, pending_email, former_email, is_active, email_verified_at, password_changed_at
        FROM users
        WHERE id = $1
        FOR NO KEY UPDATE
        "#,
        user_id.0,
    )
    .fetch_optional(connection)
    .await
}

/// The other account that has proved that `email` is its own.
pub(super) async fn owner_of(
    connection: &mut PgConnection,
    email: &str,
    other_than: UserId,
) -> Result<Option<Owner>, sqlx::Error> {
    sqlx::query_as!(
        Owner,
        r#"
        SELECT id AS "user_id: UserId", username, email
        FROM users
        WHERE lower(email) = lower($1) AND email_verified_at IS NOT NULL AND id <> $2
        "#,
        email,
        other_than.0,
    )
    .fetch_optional(connection)
    .await
}

/// What became of the run's earlier attempts.
pub(super) async fn before(
    connection: &mut PgConnection,
    of: Attempt,
    conflict: &str,
) -> Result<Before, sqlx::Error> {
    sqlx::query_as!(
        Before,
        r#"
        SELECT
            count(*) FILTER (WHERE outcome IN ('begun', 'unconfirmed', 'delivered')) AS "may_have_arrived!",
            max(attempt) FILTER (WHERE outcome = 'delivered') AS delivered_at_attempt,
            COALESCE(bool_or(purpose = $3), false) AS "told_the_owner!"
        FROM mail_attempts
        WHERE run_id = $1 AND attempt < $2
        "#,
        of.run_id.0,
        of.attempt,
        conflict,
    )
    .fetch_one(connection)
    .await
}

/// Notes that an attempt is about to speak with the server.
pub(super) async fn begin_attempt(
    connection: &mut PgConnection,
    of: Attempt,
    user_id: UserId,
    purpose: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO mail_attempts (run_id, attempt, user_id, purpose, begun_at) VALUES ($1, $2, $3, $4, $5)",
        of.run_id.0,
        of.attempt,
        user_id.0,
        purpose,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Notes what became of an attempt.
pub(super) async fn end_attempt(
    connection: &mut PgConnection,
    of: Attempt,
    outcome: &str,
    reply: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE mail_attempts SET outcome = $3, reply = $4, ended_at = $5
        WHERE run_id = $1 AND attempt = $2 AND outcome = 'begun'
        "#,
        of.run_id.0,
        of.attempt,
        outcome,
        reply,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Ends the live secrets of a user and purpose but for the newest `kept`.
pub(super) async fn supersede_tokens(
    connection: &mut PgConnection,
    user_id: UserId,
    purpose: &str,
    kept: i64,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE mail_tokens SET ended_at = $4, end_reason = 'superseded'
        WHERE id IN (
            SELECT id FROM mail_tokens
            WHERE user_id = $1 AND purpose = $2 AND ended_at IS NULL AND expires_at > $4
            ORDER BY id DESC
            OFFSET $3
        )
        "#,
        user_id.0,
        purpose,
        kept,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Keeps a secret.
pub(super) async fn insert_token(
    connection: &mut PgConnection,
    of: Attempt,
    token: &NewToken<'_>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        INSERT INTO mail_tokens (user_id, purpose, secret, email, run_id, attempt, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        token.user_id.0,
        token.purpose,
        token.sha256,
        token.email,
        of.run_id.0,
        of.attempt,
        now,
        token.expires_at,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Ends the secret of an attempt whose mail was not taken: nobody has it.
pub(super) async fn withdraw_token(
    connection: &mut PgConnection,
    of: Attempt,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE mail_tokens SET ended_at = $3, end_reason = 'withdrawn'
        WHERE run_id = $1 AND attempt = $2 AND ended_at IS NULL
        "#,
        of.run_id.0,
        of.attempt,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}
