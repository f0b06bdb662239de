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

/// The newest tasks of somebody, and the page behind one: as many rows are read as are shown, in their order already.
#[tokio::test]
async fn a_page_of_tasks_is_read_in_its_order_by_an_index() {
    let database = TestDatabase::create().await;
    for insert in [
        "INSERT INTO users (username, email, password, date_joined)
         SELECT 'user' || n, '', '!', now() FROM generate_series(1, 20) AS n",
        "INSERT INTO tasks (user_id, title, duration, created_at, updated_at)
         SELECT users.id, 'x', '1s', now() - n * interval '1 s', now() FROM users, generate_series(1, 2000) AS n",
        "ANALYZE tasks",
    ] {
        sqlx::query(insert).execute(database.pool()).await.unwrap();
    }
    for condition in ["user_id = 7", "user_id = 7 AND (created_at, id) < (now() - interval '1000 s', 5)"] {
        let select = format!(
            "EXPLAIN SELECT id, title, duration, created_at, updated_at, version FROM tasks
             WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT 4"
        );
        let plan: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_all(database.pool()).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("tasks_newest") && !plan.contains("Sort"), "{plan}");
    }
}
