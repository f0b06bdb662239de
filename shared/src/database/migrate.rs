//! The schema: applied by a command, required by every program.

use sqlx::PgPool;
use sqlx::migrate::Migrator;

use super::unavailable::is_unavailable;

/// The migrations, embedded in the program.
static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Why the schema is not as this program needs it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration failed; those before it stay.
    #[error("the migrations can't be applied")]
    Failed(#[source] sqlx::migrate::MigrateError),
    /// The database could not be asked.
    #[error("the database's schema can't be read")]
    Unreadable(#[source] sqlx::Error),
    /// Migrations are missing.
    #[error(
        "the database's schema is older than this program ({missing} migration(s) are missing): run `producer-api \
         database migrate`"
    )]
    Missing {
        /// How many.
        missing: usize,
    },
}

/// Applies what is missing, one transaction each, under a lock that keeps two migrating programs apart. Gives how many
/// were applied.
pub async fn migrate(pool: &PgPool) -> Result<usize, MigrateError> {
    let before = applied(pool).await?;
    MIGRATOR.run(pool).await.map_err(MigrateError::Failed)?;
    Ok(MIGRATOR.iter().count().saturating_sub(before))
}

/// Checks that the schema is at least as new as this program.
pub async fn require_schema(pool: &PgPool) -> Result<(), MigrateError> {
    let missing = MIGRATOR.iter().count().saturating_sub(applied(pool).await?);
    if missing == 0 { Ok(()) } else { Err(MigrateError::Missing { missing }) }
}

/// What every program does at start: stops at a schema that is too old, and starts all the same while the database does
/// not answer, since `/readyz` says so and it may answer any moment.
pub async fn check_schema_at_start(pool: &PgPool) -> Result<(), MigrateError> {
    match require_schema(pool).await {
        Err(MigrateError::Unreadable(error)) if is_unavailable(&error) => {
            tracing::warn!(error = %error, "PostgreSQL does not answer yet; starting all the same");
            Ok(())
        }
        result => result,
    }
}

async fn applied(pool: &PgPool) -> Result<usize, MigrateError> {
    // Not checked at compile time: sqlx makes this table, no migration of ours does.
    let table: Option<String> = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text")
        .fetch_one(pool)
        .await
        .map_err(MigrateError::Unreadable)?;
    if table.is_none() {
        return Ok(0);
    }
    let versions: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
        .fetch_all(pool)
        .await
        .map_err(MigrateError::Unreadable)?;
    Ok(MIGRATOR.iter().filter(|migration| versions.contains(&migration.version)).count())
}
