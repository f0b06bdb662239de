//! The roles of PostgreSQL: one for each program, with what it needs and no more, and one for operators, who read. Roles
//! belong to the whole cluster, so a command makes them, not a migration; migrations only grant. The tables are their
//! owner's, who migrates and whose login no program needs.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::scram;
use crate::config::Secret;
use crate::entropy::Entropy;
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
    let statement = alter(role, password, &Entropy::system());
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

/// A statement that fails is written to the server's log, so it has no password in it.
fn alter(role: Role, password: &Secret, entropy: &Entropy) -> String {
    // A utility statement takes no parameters; a verifier has no character that would need quoting.
    format!(
        "ALTER ROLE {} LOGIN PASSWORD '{}'",
        role.name(),
        scram::verifier(password.expose(), &entropy.bytes())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_may_log_has_no_password_in_it() {
        let password = Secret::new("it's a secret");
        let statement = alter(Role::Scheduler, &password, &Entropy::seeded(1));
        let beginning = "ALTER ROLE warren_scheduler LOGIN PASSWORD 'SCRAM-SHA-256$4096:";
        assert!(statement.starts_with(beginning) && !statement.contains("secret"), "{statement}");
        assert_eq!(statement.matches('\'').count(), 2, "{statement}");
        assert_ne!(
            statement,
            alter(Role::Scheduler, &password, &Entropy::seeded(2)),
            "each has its own salt"
        );
    }
}
