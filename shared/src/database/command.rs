//! What a command does before its work: reaches the database and looks at its schema.

use sqlx::PgPool;

use super::migrate::{MigrateError, require_schema};
use super::pool::{connect, connect_patiently, ping};
use crate::config::DatabaseConfig;

/// Why a command can't begin. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The URL can't be read.
    #[error("DATABASE_URL can't be read")]
    Url(#[source] sqlx::Error),
    /// The database is away, or refuses us.
    #[error("PostgreSQL does not answer; check DATABASE_URL and whether the server runs")]
    NoAnswer(#[source] sqlx::Error),
    /// The schema is not as the command needs it.
    #[error(transparent)]
    Schema(#[from] MigrateError),
}

/// A pool whose database has answered and whose schema is as new as this program.
pub async fn connect_for_command(config: &DatabaseConfig, program: &str) -> Result<PgPool, CommandError> {
    let pool = answering(connect(config, program)).await?;
    require_schema(&pool).await?;
    Ok(pool)
}

/// The same without a limit to how long a statement takes: for a command that reads as much as is there, at the pace of
/// whoever takes it.
pub async fn connect_for_long_command(
    config: &DatabaseConfig,
    program: &str,
) -> Result<PgPool, CommandError> {
    let pool = connect_before_migrating(config, program).await?;
    require_schema(&pool).await?;
    Ok(pool)
}

/// A pool whose database has answered, whatever schema it has: for the commands that make the schema. Making an index takes
/// minutes on a large table, and a second one who migrates waits for the first: neither has a limit.
pub async fn connect_before_migrating(
    config: &DatabaseConfig,
    program: &str,
) -> Result<PgPool, CommandError> {
    answering(connect_patiently(config, program)).await
}

async fn answering(pool: Result<PgPool, sqlx::Error>) -> Result<PgPool, CommandError> {
    let pool = pool.map_err(CommandError::Url)?;
    // Asked once, so that a database that is away is named before anything is tried.
    ping(&pool).await.map_err(CommandError::NoAnswer)?;
    Ok(pool)
}
