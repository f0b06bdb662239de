//! Connections to PostgreSQL.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool, Row};

use super::deadline::{ANSWER_DEADLINE, within};
use crate::config::DatabaseConfig;

/// How long a request waits for a connection: with the database down, this is when its client learns of it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection that was good is taken for good.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How long one that lay idle may take to answer before another one is lent instead.
const LEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection may take to answer when it comes back. sqlx tries each that does, without a limit: one through which
/// nothing comes any more would keep its place until the kernel gives it up, after a quarter of an hour.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether no transaction is open: its own is as old as the statement. Asked by a simple query, whose parts share a moment.
const IS_OUTSIDE: &str = "SELECT now() = statement_timestamp()";

/// A pool that opens connections when they are needed, so that a program starts, and says why it isn't ready, while
/// the database is down.
///
/// # Errors
/// When the URL can't be read.
pub fn connect(config: &DatabaseConfig, instance: &str) -> Result<PgPool, sqlx::Error> {
    let options = options(config, instance)?.options([
        // No query of ours takes this long.
        ("statement_timeout", "20s"),
        // Whoever waits for one user's row holds a connection that all others need.
        ("lock_timeout", "2s"),
    ]);
    Ok(pool(config, options))
}

/// A pool whose statements may take as long as they take, and wait as long for locks: for one who works alone, and whom
/// somebody watches.
///
/// # Errors
/// When the URL can't be read.
pub(super) fn connect_patiently(config: &DatabaseConfig, instance: &str) -> Result<PgPool, sqlx::Error> {
    let options = options(config, instance)?;
    // Said, since a server or a role may have limits of its own.
    Ok(pool(config, options.options([("statement_timeout", "0"), ("lock_timeout", "0")])))
}

fn options(config: &DatabaseConfig, instance: &str) -> Result<PgConnectOptions, sqlx::Error> {
    // A lost client must not hold a claimed outbox row.
    let limit = [("idle_in_transaction_session_timeout", "60s")];
    Ok(PgConnectOptions::from_str(config.url.expose())?.application_name(instance).options(limit))
}

fn pool(config: &DatabaseConfig, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(config.pool_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection is tried when it comes back to the pool. Trying it again when it is lent doubles the round trips
        // of a request that has one statement, so only one that lay idle for a while is tried: the server may be gone.
        .test_before_acquire(false)
        .before_acquire(|connection, lent| {
            Box::pin(async move {
                Ok(lent.idle_for < TRUSTED_FOR || within(LEND_TIMEOUT, connection.ping()).await.is_ok())
            })
        })
        .after_release(|connection, _| Box::pin(within(RETURN_TIMEOUT, is_outside(connection))))
        .connect_lazy_with(options)
}

/// Whether a connection that comes back may be lent again. Whoever gives up a `BEGIN` before its answer leaves a transaction that
/// sqlx knows nothing of (0.9.0, launchbadge/sqlx#4385): what the next one writes in one statement would never be committed.
async fn is_outside(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = connection.fetch_one(sqlx::raw_sql(IS_OUTSIDE)).await?;
    row.try_get(0)
}

/// Whether the database answers.
pub async fn ping(pool: &PgPool) -> Result<(), sqlx::Error> {
    within(ANSWER_DEADLINE, async { sqlx::query("SELECT 1").execute(pool).await.map(|_| ()) }).await
}

/// Whether the database can be reached, by a connection of its own: it tells "refused" from "wrong password" from "no
/// such database", where the pool only tells that none of its connections came free.
pub async fn reach(pool: &PgPool) -> Result<(), sqlx::Error> {
    pool.connect_options().connect().await?.close().await
}
