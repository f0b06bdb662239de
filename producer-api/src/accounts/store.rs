//! SQL over accounts.

use chrono::{DateTime, Utc};
use shared::ids::UserId;
use sqlx::PgConnection;

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
