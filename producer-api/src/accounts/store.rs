//! SQL over accounts.

use chrono::{DateTime, Utc};
use shared::ids::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::credentials::PersonalWords;

/// A row to be made.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) username: &'a str,
    pub(super) email: &'a str,
    pub(super) password: &'a str,
    pub(super) is_superuser: bool,
    pub(super) at: DateTime<Utc>,
}

pub(super) async fn username_exists(
    connection: &mut PgConnection,
    username: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM users WHERE username = $1) AS "exists!""#, username)
        .fetch_one(connection)
        .await
}

/// Makes an account; `None` if the username is taken.
pub(super) async fn insert(
    connection: &mut PgConnection,
    row: &Row<'_>,
) -> Result<Option<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        INSERT INTO users (username, email, password, is_staff, is_superuser, date_joined)
        VALUES ($1, $2, $3, $4, $4, $5)
        ON CONFLICT (username) DO NOTHING
        RETURNING id AS "id: UserId"
        "#,
        row.username,
        row.email,
        row.password,
        row.is_superuser,
        row.at,
    )
    .fetch_optional(connection)
    .await
}

/// What an account's owner is known by.
pub(super) async fn personal_words(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<PersonalWords>, sqlx::Error> {
    let email = sqlx::query_scalar!("SELECT email FROM users WHERE username = $1", username)
        .fetch_optional(connection);
    let username = username.to_owned();
    Ok(email.await?.map(|email| PersonalWords { username, email, ..PersonalWords::default() }))
}

/// An account whose row is locked until the transaction ends.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) id: UserId,
    pub(super) is_active: bool,
}

/// Takes the lock that a login takes.
pub(super) async fn lock_by_username(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<Locked>, sqlx::Error> {
    sqlx::query_as!(
        Locked,
        r#"SELECT id AS "id: UserId", is_active FROM users WHERE username = $1 FOR NO KEY UPDATE"#,
        username,
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn set_active(
    connection: &mut PgConnection,
    user: UserId,
    active: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users SET is_active = $2 WHERE id = $1", user.0, active)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Another password: its stamp is new, and no mark of an older one fits any more.
pub(super) async fn set_password(
    connection: &mut PgConnection,
    user: UserId,
    hash: &str,
    stamp: Uuid,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE users
        SET password = $2, password_stamp = $3, password_changed_at = $4, imported_password_md5 = NULL,
            login_failures = 0
        WHERE id = $1
        "#,
        user.0,
        hash,
        stamp,
        at,
    )
    .execute(connection)
    .await
    .map(|_| ())
}
