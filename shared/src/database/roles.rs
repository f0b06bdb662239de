//! The read-only role of operators. Roles belong to the whole cluster, so a command makes them, not a migration;
//! migrations only grant.

use sqlx::{AssertSqlSafe, PgPool};

use crate::config::Secret;

/// The role that reads the trail, the jobs, the sessions and the tokens, and writes nothing.
pub const OPERATOR_ROLE: &str = "warren_operator";

/// Keeps two programs that make roles apart; "roles" in ASCII.
const LOCK: i64 = 0x72_6f_6c_65_73;
/// How often a race against another database of the same server is run.
const TRIES: u32 = 10;

/// Why the role could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The database user may not make roles.
    #[error(
        "this database user may not create roles; have an administrator run: CREATE ROLE {OPERATOR_ROLE} NOLOGIN"
    )]
    NotAllowed,
    /// Anything else.
    #[error("the role {OPERATOR_ROLE} can't be made")]
    Failed(#[source] sqlx::Error),
}

impl From<sqlx::Error> for RolesError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
            Some(code) if code == "42501" => Self::NotAllowed,
            _ => Self::Failed(error),
        }
    }
}

/// Makes the operators' role if it is missing; with a password it may log in, with that password from now on. Can be
/// run any number of times, by several programs at once.
pub async fn create_roles(pool: &PgPool, password: Option<&Secret>) -> Result<(), RolesError> {
    let mut tries_left = TRIES;
    loop {
        tries_left -= 1;
        match try_to_create(pool, password).await {
            Err(RolesError::Failed(error)) if tries_left > 0 && is_lost_race(&error) => {}
            result => return result,
        }
    }
}

/// Whether somebody made or changed the role at the same moment, in another database of this server: an advisory lock
/// holds in one database only, a role is everybody's.
fn is_lost_race(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // Unique violation, duplicate object, and "tuple concurrently updated", which has no code of its own.
    code.is_some_and(|code| ["23505", "42710", "XX000"].contains(&code.as_ref()))
}

async fn try_to_create(pool: &PgPool, password: Option<&Secret>) -> Result<(), RolesError> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(OPERATOR_ROLE)
        .fetch_one(&mut *transaction)
        .await?;
    if !exists {
        let create = format!("CREATE ROLE {OPERATOR_ROLE} NOLOGIN");
        sqlx::query(AssertSqlSafe(create)).execute(&mut *transaction).await?;
    }
    if let Some(password) = password {
        // A utility statement takes no parameters: the server itself quotes the password.
        let alter: String =
            sqlx::query_scalar("SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)")
                .bind(OPERATOR_ROLE)
                .bind(password.expose())
                .fetch_one(&mut *transaction)
                .await?;
        sqlx::query(AssertSqlSafe(alter)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}
