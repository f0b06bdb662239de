//! The audit consumer as it is, a process with its default settings, over a full queue.
//!
//! Raw and ours are timed alike, by the trail itself: from the first row's `recorded_at` to the last one's.

use std::time::Duration;

use shared::broker::Message;
use sqlx::PgPool;
use test_support::programs::Program;
use test_support::{TestBroker, TestDatabase};
use tokio::time::{Instant, sleep};

use crate::backlog::{DEADLINE, Queue, fill_queue};
use crate::events::messages;
use crate::raw_consumer;
use crate::report::{Report, Rounds};
use crate::size::Size;

/// What the consumer must reach of what broker and database take, in percent.
const PERCENT_MIN: u32 = 80;

pub(crate) async fn measure(database: &TestDatabase, size: &Size, report: &mut Report) {
    let (mut raw, mut ours) = (Rounds::new(), Rounds::new());
    for _ in 0..size.rounds {
        let broker = prepared(database, &messages(size.round_events)).await;
        raw_consumer::consume(database.pool(), &broker, size.round_events).await;
        raw.push(recorded_within(database.pool(), size.round_events).await);
        drop(broker);
        let broker = prepared(database, &messages(size.round_events)).await;
        consume(database, &broker, size.round_events).await;
        ours.push(recorded_within(database.pool(), size.round_events).await);
    }
    report.compare("consumer", size.round_events, ("raw", &raw), ("ours", &ours), PERCENT_MIN);
}

/// An empty trail, and a full queue.
pub(crate) async fn prepared(database: &TestDatabase, messages: &[Message]) -> TestBroker {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    sqlx::query("TRUNCATE audit.events, audit.quarantine").execute(database.pool()).await.unwrap();
    fill_queue(&broker, messages).await;
    broker
}

/// Until the queue is empty and `count` rows are there.
pub(crate) async fn consume(database: &TestDatabase, broker: &TestBroker, count: usize) {
    let queue = Queue::of(broker).await;
    let mut program = Program::audit_consumer(database, broker).spawn();
    let began = Instant::now();
    // Counting rows costs the database something, so it is not asked before the last messages are in hand.
    while queue.depth().await > 0 || rows(database.pool()).await < count {
        assert!(began.elapsed() < DEADLINE, "{}", program.log());
        sleep(Duration::from_millis(50)).await;
    }
    program.wait_until_ready().await;
    assert!(program.terminate().await.success(), "{}", program.log());
}

async fn rows(database: &PgPool) -> usize {
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit.events").fetch_one(database).await.unwrap();
    usize::try_from(rows).unwrap()
}

/// From the first row to the last of `count`.
pub(crate) async fn recorded_within(database: &PgPool, count: usize) -> Duration {
    assert_eq!(rows(database).await, count, "each event once");
    let seconds: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM max(recorded_at) - min(recorded_at))::float8 FROM audit.events",
    )
    .fetch_one(database)
    .await
    .unwrap();
    Duration::from_secs_f64(seconds)
}
