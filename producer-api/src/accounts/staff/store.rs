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

/// Two accounts whose rows are locked until the transaction ends; those that are there.
#[derive(Debug)]
pub(super) struct Locked {
    /// Who wants something.
    pub(super) actor: Option<User>,
    /// Whose account it is; the same, if it is his own.
    pub(super) account: Option<User>,
}

/// Takes the locks that logins take, of both in the order of their ids: two who touch each other don't wait in a circle.
pub(super) async fn lock(
    connection: &mut PgConnection,
    actor: UserId,
    account: UserId,
) -> Result<Locked, sqlx::Error> {
    let users = select_user!("WHERE id IN ($1, $2) ORDER BY id FOR NO KEY UPDATE", actor.0, account.0)
        .fetch_all(connection)
        .await?;
    let of = |id| users.iter().find(|user| user.id == id).cloned();
    Ok(Locked { actor: of(actor), account: of(account) })
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
