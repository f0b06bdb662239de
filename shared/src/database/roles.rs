//! The roles of PostgreSQL: one for each program, with what it needs and no more, and one for operators, who read. Roles
//! belong to the whole cluster, so a command makes them, not a migration; migrations only grant. The tables are their
//! owner's, who migrates and whose login no program needs.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::config::Secret;
use crate::role::Role;

/// Keeps two programs that make roles apart; "roles" in ASCII.
const LOCK: i64 = 0x72_6f_6c_65_73;
/// How often a race against another database of the same server is run.
const TRIES: u32 = 10;

/// Why the roles could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The database user may not make roles, or not give them passwords.
    #[error(
        "this database user may not make roles; have an administrator run `producer-api database create-roles`, or: {}",
        statements()
    )]
    NotAllowed,
    /// Anything else.
    #[error("the roles can't be made")]
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

fn create(role: Role) -> String {
    format!("CREATE ROLE {} NOLOGIN", role.name())
}

fn statements() -> String {
    Role::ALL.map(create).join("; ")
}

/// Makes the roles that are missing; those with a password may log in, with that password from now on. Can be run any
/// number of times, by several programs at once.
pub async fn create_roles(pool: &PgPool, passwords: &[(Role, Secret)]) -> Result<(), RolesError> {
    let mut tries_left = TRIES;
    loop {
        tries_left -= 1;
        match try_to_create(pool, passwords).await {
            Err(RolesError::Failed(error)) if tries_left > 0 && is_lost_race(&error) => {}
            result => return result,
        }
    }
}

/// Whether somebody made or changed a role at the same moment, in another database of this server: an advisory lock
/// holds in one database only, a role is everybody's.
fn is_lost_race(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // Unique violation, duplicate object, and "tuple concurrently updated", which has no code of its own.
    code.is_some_and(|code| ["23505", "42710", "XX000"].contains(&code.as_ref()))
}

async fn try_to_create(pool: &PgPool, passwords: &[(Role, Secret)]) -> Result<(), RolesError> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    for role in Role::ALL {
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(role.name())
            .fetch_one(&mut *transaction)
            .await?;
        if !exists {
            sqlx::query(AssertSqlSafe(create(role))).execute(&mut *transaction).await?;
        }
    }
    for (role, password) in passwords {
        let_log_in(&mut transaction, *role, password).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn let_log_in(connection: &mut PgConnection, role: Role, password: &Secret) -> Result<(), sqlx::Error> {
    // A utility statement takes no parameters: the server itself quotes the password.
    let alter: String =
        sqlx::query_scalar("SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)")
            .bind(role.name())
            .bind(password.expose())
            .fetch_one(&mut *connection)
            .await?;
    sqlx::query(AssertSqlSafe(alter)).execute(connection).await?;
    Ok(())
}
