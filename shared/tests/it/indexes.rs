//! Indexes that something large depends on.

use test_support::TestDatabase;

/// Goes red when a table refers to another and deleting from that one reads all of it.
#[tokio::test]
async fn whatever_refers_to_a_row_is_found_by_an_index_when_that_row_is_deleted() {
    let database = TestDatabase::create().await;
    let unindexed: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s.%s', conrelid::regclass, attname)
         FROM pg_constraint
         JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
         WHERE contype = 'f' AND NOT EXISTS (
             SELECT FROM pg_index
             WHERE indrelid = conrelid AND indkey[0] = conkey[1]
                 AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = format('(%I IS NOT NULL)', attname))
         )
         ORDER BY 1",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    assert_eq!(unindexed, Vec::<String>::new());
}

/// The condition of `purge-mail`, which runs each hour: it reads those few accounts, however many there are.
#[tokio::test]
async fn former_addresses_are_found_without_reading_all_accounts() {
    let database = TestDatabase::create().await;
    let insert = "INSERT INTO users (username, email, password, date_joined, former_email)
        SELECT 'user' || n, '', '!', now(), CASE WHEN n % 1000 = 0 THEN 'a@example.com' END
        FROM generate_series(1, 20000) AS n";
    sqlx::query(insert).execute(database.pool()).await.unwrap();
    sqlx::query("ANALYZE users").execute(database.pool()).await.unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT id FROM users
         WHERE former_email IS NOT NULL AND (email_verified_at IS NULL OR email_verified_at < now())
         LIMIT 1000 FOR UPDATE SKIP LOCKED",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    assert!(plan.join("\n").contains("users_former_email"), "{plan:?}");
}
