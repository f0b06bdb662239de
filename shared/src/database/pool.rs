//! Connections to PostgreSQL.

use std::str::FromStr;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::config::DatabaseConfig;

/// How long a request waits for a connection: with the database down, this is when its client learns of it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A pool that opens connections when they are needed, so that a program starts, and says why it isn't ready, while
/// the database is down.
///
/// # Errors
/// When the URL can't be read.
pub fn connect(config: &DatabaseConfig, instance: &str) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(config.url.expose())?
        .application_name(instance)
        // A lost client must not hold a claimed outbox row, and no query of ours takes this long.
        .options([("idle_in_transaction_session_timeout", "60s"), ("statement_timeout", "30s")]);
    Ok(PgPoolOptions::new()
        .max_connections(config.pool_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options))
}

/// Whether the database answers.
pub async fn ping(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(pool).await.map(|_| ())
}
