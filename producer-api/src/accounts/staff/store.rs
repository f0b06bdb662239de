//! SQL over accounts as staff sees them.

use shared::ids::UserId;
use sqlx::PgConnection;

use super::list::User;

/// The account that the rest of the statement picks: sqlx checks statements that are literals alone.
macro_rules! select_user {
    ($which:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            User,
            r#"
            SELECT id AS "id: UserId", username, email, first_name, last_name, is_active, is_staff, is_superuser,
                email_verified_at IS NOT NULL AS "email_verified!", date_joined, last_login
            FROM users
            "# + $which,
            $($argument),+
        )
    };
}

pub(super) async fn find(connection: &mut PgConnection, user: UserId) -> Result<Option<User>, sqlx::Error> {
    select_user!("WHERE id = $1", user.0).fetch_optional(connection).await
}

/// Accounts in the order of their ids, those behind `after`.
pub(super) async fn list(
    connection: &mut PgConnection,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<User>, sqlx::Error> {
    let after = after.map(|user| user.0);
    select_user!("WHERE $1::bigint IS NULL OR id > $1 ORDER BY id LIMIT $2", after, limit)
        .fetch_all(connection)
        .await
}
