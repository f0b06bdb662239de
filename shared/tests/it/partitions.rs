//! `audit.make_partitions`: the trail's months ahead of time.

use chrono::{DateTime, Months, TimeDelta, Utc};
use shared::entropy::Entropy;
use sqlx::PgPool;
use sqlx::error::DatabaseError;
use test_support::{TestDatabase, assert_same_ids};
use uuid::Uuid;

/// A month for which no migration makes a partition.
fn month() -> DateTime<Utc> {
    "2031-03-01T00:00:00Z".parse().unwrap()
}

async fn make(database: &PgPool, at: DateTime<Utc>, ahead: i32) -> i32 {
    sqlx::query_scalar("SELECT audit.make_partitions($1, $2)")
        .bind(at)
        .bind(ahead)
        .fetch_one(database)
        .await
        .unwrap()
}

/// Writes a row whose id is of `at`; gives the id.
async fn insert(database: &PgPool, at: DateTime<Utc>) -> Result<Uuid, sqlx::Error> {
    let id = Entropy::system().uuid_v7(at);
    sqlx::query(
        "INSERT INTO audit.events (event_id, type, occurred_at, outcome, body) VALUES ($1, 't', $2, 'success', '{}')",
    )
    .bind(id)
    .bind(at)
    .execute(database)
    .await
    .map(|_| id)
}

async fn partition_of(database: &PgPool, id: Uuid) -> String {
    sqlx::query_scalar("SELECT tableoid::regclass::text FROM audit.events WHERE event_id = $1")
        .bind(id)
        .fetch_one(database)
        .await
        .unwrap()
}

#[tokio::test]
async fn this_month_and_three_more_are_there_after_the_migrations() {
    let database = TestDatabase::create().await;
    let now = shared::clock::Clock::system().now();
    for ahead in 0..=3 {
        let id = insert(database.pool(), now + Months::new(ahead)).await.unwrap();
        assert_ne!(partition_of(database.pool(), id).await, "audit.events_default", "{ahead} month(s) ahead");
    }
}

#[tokio::test]
async fn a_month_runs_from_its_first_millisecond_to_its_last() {
    let database = TestDatabase::create().await;
    assert_eq!(make(database.pool(), month() + TimeDelta::days(10), 1).await, 2);
    let april = month() + Months::new(1);
    let (edge, may) = (TimeDelta::milliseconds(1), april + Months::new(1));
    for (at, partition) in [
        (month() - edge, "audit.events_default"),
        (month(), "audit.events_2031_03"),
        (april - edge, "audit.events_2031_03"),
        (april, "audit.events_2031_04"),
        (may - edge, "audit.events_2031_04"),
        (may, "audit.events_default"),
    ] {
        let id = insert(database.pool(), at).await.unwrap();
        assert_eq!(partition_of(database.pool(), id).await, partition, "{at}");
    }
}

#[tokio::test]
async fn rows_that_fell_into_the_default_partition_move_to_their_month() {
    let database = TestDatabase::create().await;
    let early = insert(database.pool(), month() + TimeDelta::days(3)).await.unwrap();
    let later = insert(database.pool(), month() + TimeDelta::days(40)).await.unwrap();
    assert_eq!(partition_of(database.pool(), early).await, "audit.events_default");
    assert_eq!(make(database.pool(), month(), 0).await, 1);
    assert_eq!(partition_of(database.pool(), early).await, "audit.events_2031_03");
    assert_eq!(partition_of(database.pool(), later).await, "audit.events_default", "not its month");
    assert_eq!(make(database.pool(), month(), 0).await, 0, "it is there already");
}

/// Somebody writes rows of that month all the while; each must be there once, in its partition.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn programs_that_make_partitions_while_others_write_lose_no_row() {
    let database = TestDatabase::create().await;
    let mut writers = Vec::new();
    for _ in 0..3 {
        let pool = database.pool().clone();
        writers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            for number in 0..200 {
                ids.push(insert_patiently(&pool, month() + TimeDelta::hours(number * 7)).await);
            }
            ids
        }));
    }
    let makers: Vec<_> = (0..6)
        .map(|_| {
            let pool = database.pool().clone();
            tokio::spawn(async move { make(&pool, month(), 2).await })
        })
        .collect();
    let mut made = 0;
    for maker in makers {
        made += maker.await.unwrap();
    }
    assert_eq!(made, 3, "each month was made once");
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    let there: Vec<Uuid> =
        sqlx::query_scalar("SELECT event_id FROM audit.events").fetch_all(database.pool()).await.unwrap();
    assert_same_ids("rows", there, written);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM ONLY audit.events_default")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(left, 0);
}

/// A row that was routed to the default partition just before its month came is refused; the consumer tries it again.
async fn insert_patiently(database: &PgPool, at: DateTime<Utc>) -> Uuid {
    loop {
        match insert(database, at).await {
            Ok(id) => return id,
            Err(error) => {
                let code = error.as_database_error().and_then(DatabaseError::code);
                assert_eq!(code.as_deref(), Some("23514"), "{error}");
            }
        }
    }
}
