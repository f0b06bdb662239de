//! The loop that keeps partitions ahead.

use std::time::Duration;

use audit_consumer::audit::keep_partitions_ahead;
use chrono::DateTime;
use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Standing};
use shared::role::Role;
use test_support::{TestDatabase, settled};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn partitions_are_made_at_start_and_the_loop_ends_when_asked() {
    let database = TestDatabase::create().await;
    let far = Clock::manual(DateTime::from_timestamp(2_000_000_000, 0).unwrap());
    let (health, stop) = (Health::default(), CancellationToken::new());
    let component = health.component("partition maker", Standing::Supporting);
    let pool = database.pool_as(Role::AuditConsumer);
    let loop_stop = stop.clone();
    let running = tokio::spawn(async move {
        keep_partitions_ahead(&pool, &far, &component, &Entropy::seeded(1), &loop_stop).await
    });
    settled(Duration::from_secs(10), "the partitions of 2033", 4_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE relname IN ('events_2033_05', 'events_2033_06', 'events_2033_07', 'events_2033_08') AND relkind = 'r'")
            .fetch_one(database.pool())
            .await
            .unwrap()
    })
    .await;
    settled(Duration::from_secs(5), "the component to be up", "ready", async || health.readiness().status)
        .await;
    stop.cancel();
    running.await.unwrap().unwrap();
}
