//! A database of a test's own, cloned from the migrated template, gone when the test ends.

use std::future::Future;
use std::time::Duration;

use shared::config::{DatabaseConfig, Secret};
use shared::database::{create_roles, migrate};
use shared::entropy::Entropy;
use shared::role::Role;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, Transaction};
use tokio::time::Instant;
use url::Url;

use crate::{environment, eventually};

/// PostgreSQL's word for a template that somebody is connected to.
const OBJECT_IN_USE: &str = "55006";
/// How long to wait until the template is free: whoever migrates it needs it for seconds.
const TEMPLATE_DEADLINE: Duration = Duration::from_mins(2);
/// How long a writer may take to arrive at a locked table.
const BLOCKED_DEADLINE: Duration = Duration::from_mins(2);

/// A database with Warren's schema and no rows.
#[derive(Debug)]
pub struct TestDatabase {
    pool: PgPool,
    url: String,
    /// Where to say `DROP DATABASE`; nowhere for a database that goes with its private server.
    dropped_at: Option<String>,
    name: String,
}

impl TestDatabase {
    /// A migrated database on the servers of this test run.
    pub async fn create() -> Self {
        let server = environment::database_url();
        match environment::template() {
            Some(template) => Self::clone_of(&server, &template).await.with_logins().await,
            None => Self::create_at(&server).await.migrated().await,
        }
    }

    /// A database without any schema, for tests of the migrations themselves.
    pub async fn create_empty() -> Self {
        Self::create_at(&environment::database_url()).await
    }

    /// A migrated database on a private server, with which it goes away.
    pub async fn create_on(server: &str) -> Self {
        let mut database = Self::create_at(server).await.migrated().await;
        database.dropped_at = None;
        database
    }

    /// Connections to it, as the superuser: for the test itself.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Its URL, for the superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL for another role.
    pub fn url_for(&self, user: &str, password: &str) -> String {
        let mut url = Url::parse(&self.url).expect("the test database has a URL");
        url.set_username(user).expect("a postgres URL has a user");
        url.set_password(Some(password)).expect("a postgres URL has a password");
        url.to_string()
    }

    /// Its URL for a role of ours, which may do what the migrations have granted it.
    pub fn url_as(&self, role: Role) -> String {
        self.url_for(role.name(), password_of(role))
    }

    /// Connections to it as a role of ours: for what a program does in the test's own process.
    pub fn pool_as(&self, role: Role) -> PgPool {
        open_pool(&self.url_as(role))
    }

    /// The settings by which a program reaches it.
    pub fn config_as(&self, role: Role) -> DatabaseConfig {
        DatabaseConfig { url: Secret::new(self.url_as(role)), pool_max: 5 }
    }

    /// Keeps everybody from writing to `table` until the transaction is rolled back: a process can then be killed at
    /// the very point where it is about to commit.
    pub async fn lock_table(&self, table: &str) -> Transaction<'static, Postgres> {
        let mut lock = self.pool.begin().await.expect("a transaction");
        let statement = AssertSqlSafe(format!("LOCK TABLE {table} IN EXCLUSIVE MODE"));
        sqlx::query(statement).execute(&mut *lock).await.expect("the table can be locked");
        lock
    }

    /// Waits until somebody wants to write to a table that [`TestDatabase::lock_table`] has locked.
    pub async fn wait_for_a_blocked_writer(&self, table: &str) {
        eventually(BLOCKED_DEADLINE, format!("somebody who wants to write to {table}"), async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass",
            )
            .bind(table)
            .fetch_one(&self.pool)
            .await
            .expect("locks can be read");
            (waiting > 0).then_some(())
        })
        .await;
    }

    async fn clone_of(server: &str, template: &str) -> Self {
        let name = fresh_name();
        let create = format!(r#"CREATE DATABASE "{name}" TEMPLATE "{template}""#);
        let started = Instant::now();
        while let Err(error) = execute(server, &create).await {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            let in_use = code.is_some_and(|code| code == OBJECT_IN_USE);
            assert!(
                in_use && started.elapsed() < TEMPLATE_DEADLINE,
                "can't clone the database {template}: {error}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self::open(server, name)
    }

    async fn create_at(server: &str) -> Self {
        let name = fresh_name();
        execute(server, &format!(r#"CREATE DATABASE "{name}""#)).await.expect("can't create a test database");
        Self::open(server, name)
    }

    fn open(server: &str, name: String) -> Self {
        let mut url = Url::parse(server).expect("the server's URL can be read");
        url.set_path(&name);
        let pool = open_pool(url.as_str());
        Self { pool, url: url.to_string(), dropped_at: Some(server.to_owned()), name }
    }

    async fn migrated(self) -> Self {
        create_roles(&self.pool, &[]).await.expect("can't make the roles");
        migrate(&self.pool).await.expect("can't migrate a test database");
        self.with_logins().await
    }

    /// Lets the roles log in, where they can't yet: they are the whole server's, and every test's.
    async fn with_logins(self) -> Self {
        let able: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_authid WHERE rolname = ANY($1) AND rolcanlogin AND rolpassword IS NOT NULL",
        )
        .bind(Role::ALL.map(Role::name))
        .fetch_one(&self.pool)
        .await
        .expect("the roles can be looked at");
        if usize::try_from(able) != Ok(Role::ALL.len()) {
            let passwords = Role::ALL.map(|role| (role, Secret::new(password_of(role))));
            create_roles(&self.pool, &passwords).await.expect("the roles can be given passwords");
        }
        self
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(server) = self.dropped_at.take() else { return };
        let drop_it = format!(r#"DROP DATABASE IF EXISTS "{}" WITH (FORCE)"#, self.name);
        on_a_thread_of_its_own(async move {
            if let Err(error) = execute(&server, &drop_it).await {
                eprintln!("a test database was left behind ({drop_it}): {error}");
            }
        });
    }
}

/// A role's password on every server that tests use.
pub fn password_of(role: Role) -> &'static str {
    if role == Role::Operator { "operator" } else { "program" }
}

fn open_pool(url: &str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(10))
        .connect_lazy(url)
        .expect("the test database has a URL")
}

fn fresh_name() -> String {
    format!("warren_test_{}", Entropy::system().uuid_v4().simple())
}

async fn execute(server: &str, statement: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(server).await?;
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

/// Runs `work` to its end from a destructor, which can't wait on the runtime it runs in.
pub(crate) fn on_a_thread_of_its_own(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime for cleaning up").block_on(work);
    });
    if thread.join().is_err() {
        eprintln!("cleaning up after a test failed");
    }
}
