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
        INSERT INTO users (username, email, password, is_staff, is_superuser, date_joined, email_verified_at)
        VALUES (
            $1, $2, $3, $4, $4, $5::timestamptz,
            CASE WHEN $4 AND NOT EXISTS (
                SELECT FROM users WHERE lower(email) = lower($2) AND email_verified_at IS NOT NULL
            ) THEN $5 END
        )
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

/// An account as its user sees it.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub username: String,
    /// Its address.
    pub email: String,
    /// Since when that is known to be his.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// The address that is to take its place when it is verified.
    pub pending_email: Option<String>,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// Whether it may be used.
    pub is_active: bool,
    /// Whether it is staff's.
    pub is_staff: bool,
    /// Since when there is this account.
    pub date_joined: DateTime<Utc>,
    /// When its user last logged in, if that is kept.
    pub last_login: Option<DateTime<Utc>>,
}

impl Profile {
    /// What its user is known by.
    pub(super) fn personal_words(&self) -> PersonalWords {
        PersonalWords {
            username: self.username.clone(),
            email: self.email.clone(),
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
        }
    }
}

/// The profile that the rest of the statement picks: sqlx checks statements that are literals alone.
macro_rules! select_profile {
    ($which:literal, $argument:expr) => {
        sqlx::query_as!(
            Profile,
            r#"
            SELECT id AS "id: UserId", username, email, email_verified_at, pending_email, first_name, last_name,
                is_active, is_staff, date_joined, last_login
            FROM users
            "# + $which,
            $argument,
        )
    };
}

pub(super) async fn profile(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<Profile>, sqlx::Error> {
    select_profile!("WHERE id = $1", user.0).fetch_optional(connection).await
}

pub(super) async fn profile_by_username(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<Profile>, sqlx::Error> {
    select_profile!("WHERE username = $1", username).fetch_optional(connection).await
}

/// Takes the lock that a login takes.
pub(super) async fn lock(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<Profile>, sqlx::Error> {
    select_profile!("WHERE id = $1 FOR NO KEY UPDATE", user.0).fetch_optional(connection).await
}

/// Writes the names of a profile; `false` if the username is taken, and then the transaction is to be given up.
pub(super) async fn update_profile(
    connection: &mut PgConnection,
    profile: &Profile,
) -> Result<bool, sqlx::Error> {
    let updated = sqlx::query!(
        "UPDATE users SET username = $2, first_name = $3, last_name = $4 WHERE id = $1",
        profile.id.0,
        profile.username,
        profile.first_name,
        profile.last_name,
    )
    .execute(connection)
    .await;
    match updated {
        Err(error) if violates(&error, "users_username_key") => Ok(false),
        other => other.map(|_| true),
    }
}

pub(super) async fn set_pending_email(
    connection: &mut PgConnection,
    user: UserId,
    email: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users SET pending_email = $2 WHERE id = $1", user.0, email)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Whether an address could be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proved {
    Now,
    /// Another account has proved it; the transaction is to be given up.
    TakenByAnother,
}

/// Marks a user's address as his. The unique key lets one account prove an address.
pub(super) async fn prove_email(
    connection: &mut PgConnection,
    user: UserId,
    at: DateTime<Utc>,
) -> Result<Proved, sqlx::Error> {
    proved(
        sqlx::query!("UPDATE users SET email_verified_at = $2 WHERE id = $1", user.0, at)
            .execute(connection)
            .await,
    )
}

/// Gives a user the address that he wanted, as his. The one before is remembered for the notices that are on their way
/// there: of several the first, which its owner had before anybody could have taken the account over.
pub(super) async fn change_email(
    connection: &mut PgConnection,
    user: UserId,
    email: &str,
    at: DateTime<Utc>,
) -> Result<Proved, sqlx::Error> {
    proved(
        sqlx::query!(
            r#"
            UPDATE users
            SET email = $2, email_verified_at = $3, pending_email = NULL,
                former_email = COALESCE(former_email, NULLIF(email, ''))
            WHERE id = $1
            "#,
            user.0,
            email,
            at,
        )
        .execute(connection)
        .await,
    )
}

fn proved(result: Result<sqlx::postgres::PgQueryResult, sqlx::Error>) -> Result<Proved, sqlx::Error> {
    match result {
        Err(error) if violates(&error, "users_verified_email_key") => Ok(Proved::TakenByAnother),
        other => other.map(|_| Proved::Now),
    }
}

fn violates(error: &sqlx::Error, key: &str) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some(key)
}

pub(super) async fn stored_hash(
    connection: &mut PgConnection,
    user: UserId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("SELECT password FROM users WHERE id = $1", user.0).fetch_optional(connection).await
}

/// Deletes an account with all that goes with it.
pub(super) async fn delete(connection: &mut PgConnection, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM users WHERE id = $1", user.0).execute(connection).await.map(|_| ())
}
