//! The schema from nothing.

use std::pin::pin;
use std::time::Duration;

use shared::config::{DatabaseConfig, Secret};
use shared::database::{
    MigrateError, check_schema_at_start, connect_before_migrating, create_roles, migrate, require_schema,
};
use sqlx::migrate::Migrate;
use sqlx::postgres::PgPoolOptions;
use test_support::{TestDatabase, eventually};
use tokio::io::AsyncReadExt;

use crate::bench::DEADLINE;

#[tokio::test]
async fn migrations_make_everything_from_an_empty_database_and_then_nothing_more() {
    let database = TestDatabase::create_empty().await;
    let error = require_schema(database.pool()).await.unwrap_err();
    assert!(matches!(error, MigrateError::Missing { .. }), "{error:?}");
    create_roles(database.pool(), &[]).await.unwrap();
    let applied = migrate(database.pool()).await.unwrap();
    assert!(applied > 0);
    require_schema(database.pool()).await.unwrap();
    assert_eq!(migrate(database.pool()).await.unwrap(), 0);
}

#[tokio::test]
async fn programs_that_migrate_at_once_do_not_disturb_each_other() {
    let database = TestDatabase::create_empty().await;
    create_roles(database.pool(), &[]).await.unwrap();
    let programs = (0..4).map(|_| migrate(database.pool()));
    for applied in futures_util::future::join_all(programs).await {
        applied.unwrap();
    }
    require_schema(database.pool()).await.unwrap();
}

/// Goes red when `database migrate` has no more patience than a request: an index on a large table takes minutes, and so long
/// a second one waits.
#[tokio::test]
async fn whoever_migrates_waits_until_another_has_done_it() {
    let database = TestDatabase::create().await;
    let config = DatabaseConfig { url: Secret::new(database.url().to_owned()), pool_max: 2 };
    let pool = connect_before_migrating(&config, "test").await.unwrap();
    let mut other = database.pool().acquire().await.unwrap();
    other.lock().await.unwrap();
    let mut migrating = pin!(migrate(&pool));
    // Longer than it waits for a lock in one try.
    let waited = tokio::time::timeout(Duration::from_secs(1), &mut migrating).await;
    assert!(waited.is_err(), "{waited:?}");
    other.unlock().await.unwrap();
    assert_eq!(migrating.await.unwrap(), 0);
    for setting in ["statement_timeout", "lock_timeout"] {
        let set: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&pool).await.unwrap();
        assert_eq!(set, "0", "{setting}");
    }
}

#[tokio::test]
async fn a_program_newer_than_the_schema_says_what_to_do() {
    let database = TestDatabase::create().await;
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(database.pool())
        .await
        .unwrap();
    let message = require_schema(database.pool()).await.unwrap_err().to_string();
    assert!(message.contains("1 migration(s) are missing"), "{message}");
    assert!(message.contains("producer-api database migrate"), "{message}");
}

/// Goes red when a migration that waits for a lock keeps waiting for it in everybody's way, as behind a dump that reads all night.
#[tokio::test]
async fn whoever_comes_behind_a_migration_that_waits_for_a_lock_gets_through() {
    let database = TestDatabase::create().await;
    // The newest migration once more: it replaces this view.
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 20261129070000")
        .execute(database.pool())
        .await
        .unwrap();
    let look = "SELECT count(*) FROM audit.unrecorded";
    let mut dump = database.pool().begin().await.unwrap();
    sqlx::query(look).execute(&mut *dump).await.unwrap();
    let migrating = tokio::spawn({
        let pool = database.pool().clone();
        async move { migrate(&pool).await }
    });
    let is_waiting = "SELECT count(*) FROM pg_stat_activity \
                      WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%audit.unrecorded%'";
    eventually(DEADLINE, "the migration to wait", async || {
        let waiting: i64 = sqlx::query_scalar(is_waiting).fetch_one(database.pool()).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;
    // With a program's limit to how long it waits.
    let config = DatabaseConfig { url: Secret::new(database.url().to_owned()), pool_max: 1 };
    let program = shared::database::connect(&config, "a-program").unwrap();
    sqlx::query(look).execute(&program).await.unwrap();
    assert!(!migrating.is_finished(), "it did not wait for the dump");
    dump.commit().await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap(), 1);
}

/// Goes red when a server that is gone behind a balancer, which takes the connection and ends it, counts as a fault of ours: sqlx
/// says it in words of its own.
#[tokio::test]
async fn a_program_starts_while_something_before_the_database_ends_each_connection() {
    let gate = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://warren@{}/warren", gate.local_addr().unwrap());
    let pool = PgPoolOptions::new().connect_lazy(&url).unwrap();
    // In order, once it has read the question: a reset would be an error of the network, which is another thing.
    let closes = async {
        loop {
            let (mut connection, _) = gate.accept().await.unwrap();
            let mut question = [0; 8];
            connection.read_exact(&mut question).await.unwrap();
        }
    };
    tokio::select! {
        checked = check_schema_at_start(&pool) => checked.unwrap(),
        () = closes => {}
    }
}
