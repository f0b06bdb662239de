//! The operators' role: reads the trail, the jobs, the sessions and the tokens; never a password; writes nothing.

use shared::config::Secret;
use shared::database::{OPERATOR_ROLE, create_roles};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_support::TestDatabase;

/// The role is the whole server's: every test gives it the same password.
const PASSWORD: &str = "operator";
/// SQLSTATE of a missing right.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

const READABLE: &[&str] = &[
    "audit.events",
    "audit.quarantine",
    "audit.logins",
    "audit.logouts",
    "audit.blacklisted_tokens",
    "job_schedules",
    "job_runs",
    "job_gaps",
    "user_sessions",
    "outstanding_tokens",
    "blacklisted_tokens",
];

async fn operator(database: &TestDatabase) -> PgConnection {
    create_roles(database.pool(), Some(&Secret::new(PASSWORD))).await.unwrap();
    PgConnection::connect(&database.url_for(OPERATOR_ROLE, PASSWORD)).await.unwrap()
}

async fn refusal(connection: &mut PgConnection, statement: &str) -> Option<String> {
    let error = sqlx::query(AssertSqlSafe(statement)).execute(connection).await.err()?;
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

#[tokio::test]
async fn an_operator_reads_the_trail_the_jobs_the_sessions_and_the_tokens() {
    let database = TestDatabase::create().await;
    let mut operator = operator(&database).await;
    for table in READABLE {
        let refused = refusal(&mut operator, &format!("SELECT * FROM {table}")).await;
        assert_eq!(refused, None, "{table}");
    }
}

#[tokio::test]
async fn an_operator_reads_partitions_that_are_made_later() {
    let database = TestDatabase::create().await;
    let mut operator = operator(&database).await;
    sqlx::query("SELECT audit.make_partitions('2031-01-01', 0)").execute(database.pool()).await.unwrap();
    assert_eq!(refusal(&mut operator, "SELECT * FROM audit.events_2031_01").await, None);
}

#[tokio::test]
async fn an_operator_sees_no_password_and_no_event_on_its_way() {
    let database = TestDatabase::create().await;
    let mut operator = operator(&database).await;
    for statement in [
        "SELECT password FROM users",
        "SELECT * FROM users",
        "SELECT body FROM outbox",
        "SELECT body FROM outbox_parked",
        "SELECT rolpassword FROM pg_authid",
    ] {
        let refused = refusal(&mut operator, statement).await;
        assert_eq!(refused.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{statement}");
    }
}

#[tokio::test]
async fn an_operator_writes_nothing() {
    let database = TestDatabase::create().await;
    let mut operator = operator(&database).await;
    let mut statements: Vec<String> = Vec::new();
    for table in READABLE.iter().copied().chain(["users", "tasks", "outbox"]) {
        statements.push(format!("INSERT INTO {table} DEFAULT VALUES"));
        statements.push(format!("DELETE FROM {table}"));
    }
    for statement in [
        "UPDATE audit.events SET body = ''",
        "UPDATE user_sessions SET is_active = false",
        "UPDATE job_runs SET state = 'queued'",
        "TRUNCATE audit.events",
        "DROP VIEW audit.logins",
        "CREATE TABLE public.mine (a int)",
        "CREATE TABLE audit.mine (a int)",
        "CREATE SCHEMA mine",
        "SELECT audit.make_partitions('2032-01-01', 0)",
    ] {
        statements.push(statement.to_owned());
    }
    for statement in statements {
        let refused = refusal(&mut operator, &statement).await;
        assert_eq!(refused.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{statement}");
    }
}

/// Also from two databases of one server, between which no advisory lock holds.
#[tokio::test]
async fn roles_can_be_made_again_and_by_several_at_once() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::create().await);
    let password = Secret::new(PASSWORD);
    let pools = [database.pool(), other.pool()];
    let makers = (0..16).map(|number| create_roles(pools[number % 2], Some(&password)));
    for made in futures_util::future::join_all(makers).await {
        made.unwrap();
    }
    create_roles(database.pool(), None).await.unwrap();
    let works = PgConnection::connect(&database.url_for(OPERATOR_ROLE, PASSWORD)).await;
    assert!(works.is_ok(), "made again without a password, it keeps the one it has");
}
