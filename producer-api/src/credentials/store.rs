//! SQL over stored hashes.

use sqlx::PgConnection;

/// Whether any account still has a hash that is not ours: then the time a check takes may tell one account from
/// another, and refusals must wait. One look at a partial index, empty once everybody has logged in.
pub async fn imported_hashes_remain(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM users WHERE password NOT LIKE '$argon2id$%' AND password NOT LIKE '!%'
        ) AS "exists!"
        "#
    )
    .fetch_one(connection)
    .await
}
