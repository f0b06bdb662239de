//! The roles: each program does what its statements do and nothing else, operators read the trail, the jobs, the sessions and
//! the tokens. That the rights suffice is shown by all other tests: the programs in them have these roles.

use shared::config::Secret;
use shared::database::create_roles;
use shared::role::Role;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_support::TestDatabase;
use test_support::database::password_of;

/// SQLSTATE of a missing right.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

const READABLE_BY_OPERATORS: &[&str] = &[
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

/// What nobody may do who is not the owner: change what the trail says or what there is.
const REFUSED_TO_ALL: &[&str] = &[
    "UPDATE audit.events SET body = ''",
    "DELETE FROM audit.events",
    "TRUNCATE audit.events",
    "TRUNCATE audit.events_default",
    "INSERT INTO audit.events_default DEFAULT VALUES",
    "DELETE FROM audit.events_default",
    "ALTER TABLE audit.events DETACH PARTITION audit.events_default",
    "DROP TABLE audit.events",
    "DROP VIEW audit.logins",
    "TRUNCATE users CASCADE",
    "TRUNCATE outbox",
    "DROP TABLE outbox",
    "ALTER TABLE users DISABLE TRIGGER ALL",
    "CREATE TABLE public.mine (a int)",
    "CREATE TABLE audit.mine (a int)",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "UPDATE users SET is_superuser = true",
    "UPDATE users SET is_staff = true",
    "UPDATE outbox SET body = ''",
    "UPDATE outbox_parked SET body = ''",
    "INSERT INTO standing_changes (user_id) VALUES (1)",
    "DELETE FROM _sqlx_migrations",
    "SELECT rolpassword FROM pg_authid",
];

async fn login(database: &TestDatabase, role: Role) -> PgConnection {
    PgConnection::connect(&database.url_as(role)).await.unwrap()
}

/// By which SQLSTATE it is refused. Nothing stays of what isn't.
async fn refusal(connection: &mut PgConnection, statement: &str) -> Option<String> {
    let mut transaction = connection.begin().await.unwrap();
    let result = sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    result.err()?.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

async fn assert_refused(role: Role, statements: impl IntoIterator<Item = impl AsRef<str>>) {
    let database = TestDatabase::create().await;
    let mut connection = login(&database, role).await;
    for statement in statements {
        let statement = statement.as_ref();
        let refused = refusal(&mut connection, statement).await;
        assert_eq!(refused.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{role:?}: {statement}");
    }
}

#[tokio::test]
async fn nobody_changes_the_trail_or_the_tables_but_their_owner() {
    for role in Role::ALL {
        assert_refused(role, REFUSED_TO_ALL).await;
    }
}

#[tokio::test]
async fn no_role_may_become_another_one() {
    for role in Role::ALL {
        let others = Role::ALL.into_iter().filter(|other| *other != role);
        assert_refused(role, others.map(|other| format!("SET ROLE {}", other.name()))).await;
    }
}

#[tokio::test]
async fn the_api_writes_no_trail_and_deletes_no_session_and_no_token() {
    assert_refused(
        Role::ProducerApi,
        [
            "INSERT INTO audit.events DEFAULT VALUES",
            "DELETE FROM audit.quarantine",
            "SELECT audit.make_partitions('2032-01-01', 0)",
            "DELETE FROM user_sessions",
            "DELETE FROM outstanding_tokens",
            "DELETE FROM blacklisted_tokens",
            "UPDATE blacklisted_tokens SET reason = ''",
            "UPDATE outstanding_tokens SET user_id = 1",
            "INSERT INTO mail_tokens DEFAULT VALUES",
            "DELETE FROM standing_changes",
            "UPDATE job_runs SET attempt = 7",
            "UPDATE job_runs SET output = ''",
            "UPDATE job_runs SET args = '{}'",
            "DELETE FROM job_runs",
            "UPDATE job_schedules SET job_key = ''",
            "UPDATE job_schedules SET args = '{}'",
            "INSERT INTO job_schedules DEFAULT VALUES",
            "DELETE FROM job_schedules",
            "DELETE FROM job_gaps",
            "SELECT * FROM mail_attempts",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_audit_consumer_sees_nothing_but_the_trail() {
    assert_refused(
        Role::AuditConsumer,
        [
            "SELECT password FROM users",
            "SELECT username FROM users",
            "SELECT * FROM user_sessions",
            "SELECT * FROM outstanding_tokens",
            "SELECT * FROM mail_tokens",
            "SELECT * FROM tasks",
            "SELECT * FROM job_runs",
            "SELECT body FROM outbox",
            "DELETE FROM outbox",
            "SELECT body FROM outbox_parked",
            "UPDATE audit.quarantine SET raw = ''",
            "UPDATE audit.quarantine SET reason = ''",
            "INSERT INTO audit.events (event_id, recorded_at) VALUES (gen_random_uuid(), now())",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_scheduler_sees_no_password_no_secret_and_no_trail() {
    assert_refused(
        Role::Scheduler,
        [
            "SELECT password FROM users",
            "SELECT imported_password_md5 FROM users",
            "UPDATE users SET password = ''",
            "UPDATE users SET is_active = false",
            "DELETE FROM users",
            "SELECT secret FROM mail_tokens",
            "SELECT ip FROM user_sessions",
            "INSERT INTO user_sessions DEFAULT VALUES",
            "INSERT INTO outstanding_tokens DEFAULT VALUES",
            "DELETE FROM blacklisted_tokens",
            "SELECT answer FROM idempotency_keys",
            "UPDATE tasks SET title = ''",
            "DELETE FROM tasks",
            "INSERT INTO audit.events DEFAULT VALUES",
            "SELECT body FROM audit.events",
            "SELECT raw FROM audit.quarantine",
        ],
    )
    .await;
}

/// Whoever is told to make a partition makes it as its owner would: it can't be taken off or emptied afterwards.
#[tokio::test]
async fn a_partition_made_by_a_program_belongs_to_the_owner_of_the_table() {
    let database = TestDatabase::create().await;
    for (role, month) in [(Role::AuditConsumer, "2031_01"), (Role::Scheduler, "2031_02")] {
        let mut program = login(&database, role).await;
        let day = month.replace('_', "-");
        let make = AssertSqlSafe(format!("SELECT audit.make_partitions('{day}-01', 0)"));
        sqlx::query(make).execute(&mut program).await.unwrap();
        for statement in ["TRUNCATE", "DROP TABLE", "DELETE FROM"] {
            let statement = format!("{statement} audit.events_{month}");
            let refused = refusal(&mut program, &statement).await;
            assert_eq!(refused.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{statement}");
        }
        let mut operator = login(&database, Role::Operator).await;
        let read = format!("SELECT * FROM audit.events_{month}");
        assert_eq!(refusal(&mut operator, &read).await, None, "operators read it");
    }
}

#[tokio::test]
async fn an_operator_reads_the_trail_the_jobs_the_sessions_and_the_tokens() {
    let database = TestDatabase::create().await;
    let mut operator = login(&database, Role::Operator).await;
    for table in READABLE_BY_OPERATORS {
        let refused = refusal(&mut operator, &format!("SELECT * FROM {table}")).await;
        assert_eq!(refused, None, "{table}");
    }
}

#[tokio::test]
async fn an_operator_sees_no_password_no_secret_and_no_event_on_its_way() {
    assert_refused(
        Role::Operator,
        [
            "SELECT password FROM users",
            "SELECT * FROM users",
            "SELECT secret FROM mail_tokens",
            "SELECT * FROM mail_tokens",
            "SELECT * FROM login_limits",
            "SELECT * FROM idempotency_keys",
            "SELECT body FROM outbox",
            "SELECT body FROM outbox_parked",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_operator_writes_nothing() {
    let mut statements: Vec<String> = Vec::new();
    for table in READABLE_BY_OPERATORS.iter().copied().chain(["users", "tasks", "outbox"]) {
        statements.push(format!("INSERT INTO {table} DEFAULT VALUES"));
        statements.push(format!("DELETE FROM {table}"));
    }
    for statement in [
        "UPDATE user_sessions SET is_active = false",
        "UPDATE job_runs SET state = 'queued'",
        "SELECT audit.make_partitions('2032-01-01', 0)",
    ] {
        statements.push(statement.to_owned());
    }
    assert_refused(Role::Operator, statements).await;
}

/// Also from two databases of one server, between which no advisory lock holds.
#[tokio::test]
async fn roles_can_be_made_again_and_by_several_at_once() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::create().await);
    let passwords = Role::ALL.map(|role| (role, Secret::new(password_of(role))));
    let pools = [database.pool(), other.pool()];
    let makers = (0..16).map(|number| create_roles(pools[number % 2], &passwords));
    for made in futures_util::future::join_all(makers).await {
        made.unwrap();
    }
    create_roles(database.pool(), &[]).await.unwrap();
    for role in Role::ALL {
        let works = PgConnection::connect(&database.url_as(role)).await;
        assert!(works.is_ok(), "made again without a password, {role:?} keeps the one it has");
    }
}

#[tokio::test]
async fn who_may_make_no_roles_is_told_what_an_administrator_has_to_run() {
    let database = TestDatabase::create().await;
    let pool = database.pool_as(Role::ProducerApi);
    let passwords = [(Role::Scheduler, Secret::new(password_of(Role::Scheduler)))];
    let error = create_roles(&pool, &passwords).await.unwrap_err().to_string();
    assert!(
        error.contains("may not make roles") && error.contains("CREATE ROLE warren_scheduler"),
        "{error}"
    );
}
