//! The schema: applied by a command, required by every program.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{ConnectOptions, Connection, PgPool};

use super::deadline::{ANSWER_DEADLINE, within};
use super::unavailable::{is_locked, is_unavailable};

/// The migrations, embedded in the program.
static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// How long a migration waits for a lock: whoever comes after it for the same table waits behind it, and requests wait no longer
/// than two seconds.
const LOCK_TIMEOUT: &str = "500ms";
/// How long it leaves the others alone then.
const LOCK_PAUSE: Duration = Duration::from_secs(5);

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
/// were applied. What somebody else has locked is waited for, in short tries: a dump that reads a table all night must not
/// have everybody who writes wait behind the migration.
pub async fn migrate(pool: &PgPool) -> Result<usize, MigrateError> {
    let before = applied(pool).await?;
    while let Err(error) = try_to_migrate(pool).await {
        match error {
            sqlx::migrate::MigrateError::Execute(error)
            | sqlx::migrate::MigrateError::ExecuteMigration(error, _)
                if is_locked(&error) =>
            {
                tracing::warn!(%error, "somebody else holds a lock or migrates, trying again");
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            error => return Err(MigrateError::Failed(error)),
        }
    }
    Ok(MIGRATOR.iter().count().saturating_sub(before))
}

/// Over a connection of its own, with which the lock goes that a failed try leaves behind.
async fn try_to_migrate(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    let options = pool.connect_options().as_ref().clone().options([("lock_timeout", LOCK_TIMEOUT)]);
    let mut connection = options.connect().await?;
    MIGRATOR.run_direct(None, &mut connection, false).await?;
    connection.close().await?;
    Ok(())
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
    within(ANSWER_DEADLINE, read_applied(pool)).await.map_err(MigrateError::Unreadable)
}

async fn read_applied(pool: &PgPool) -> Result<usize, sqlx::Error> {
    // Not checked at compile time: sqlx makes this table, no migration of ours does.
    let table: Option<String> =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text").fetch_one(pool).await?;
    if table.is_none() {
        return Ok(0);
    }
    let versions: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pool).await?;
    Ok(MIGRATOR.iter().filter(|migration| versions.contains(&migration.version)).count())
}
