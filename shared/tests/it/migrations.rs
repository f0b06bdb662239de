//! The schema from nothing.

use shared::database::{MigrateError, create_roles, migrate, require_schema};
use test_support::TestDatabase;

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
