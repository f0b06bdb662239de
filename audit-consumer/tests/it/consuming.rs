//! The real program between a real broker and a real database.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use test_support::programs::Program;
use test_support::{Method, TestBroker, TestDatabase, eventually, settled};
use uuid::Uuid;

use crate::events::{event, fresh_id, properties, publish_undecodable, published};

const DEADLINE: Duration = Duration::from_mins(2);

async fn count(database: &TestDatabase, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(database.pool()).await.unwrap()
}

async fn recorded(database: &TestDatabase) -> HashSet<Uuid> {
    let ids =
        sqlx::query_scalar("SELECT event_id FROM audit.events").fetch_all(database.pool()).await.unwrap();
    ids.into_iter().collect()
}

#[tokio::test]
async fn events_of_every_exchange_become_rows_and_what_is_unreadable_is_kept_apart() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let _consumer = Program::audit_consumer(&database, &broker).start().await;
    let ids = [fresh_id(), fresh_id(), fresh_id()];
    for (exchange, id) in ["auth.events", "task.events", "job.events"].into_iter().zip(ids) {
        let (properties, body) = published(id);
        broker.publish_raw(exchange, "any.key", properties, &body).await;
    }
    broker.publish_raw("task.events", "x", properties("strange\u{7f}"), b"\xff\x00 not text").await;
    settled(DEADLINE, "three rows", ids.into_iter().collect(), async || recorded(&database).await).await;
    settled(DEADLINE, "one row in quarantine", 1, async || count(&database, "audit.quarantine").await).await;
    let (raw, properties): (Vec<u8>, serde_json::Value) =
        sqlx::query_as("SELECT raw, properties FROM audit.quarantine")
            .fetch_one(database.pool())
            .await
            .unwrap();
    assert_eq!(raw, b"\xff\x00 not text");
    assert_eq!(properties["exchange"], "task.events");
    assert_eq!(properties["message_id"], "strange\u{7f}");
}

#[tokio::test]
async fn the_batch_in_hand_is_finished_and_acknowledged_on_sigterm() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    // Small batches, so that the signal comes in the middle.
    let mut consumer = Program::audit_consumer(&database, &broker).env("AUDIT_BATCH_MAX", "10").start().await;
    let ids: HashSet<Uuid> = (0..2_000).map(|_| fresh_id()).collect();
    broker.publish_all_raw("task.events", "task.created", ids.iter().map(|id| published(*id))).await;
    eventually(DEADLINE, "the first rows", async || {
        (count(&database, "audit.events").await > 0).then_some(())
    })
    .await;
    let status = consumer.terminate().await;
    assert!(status.success(), "{status}\n{}", consumer.log());
    // Whatever was written is not in the queue any more: written and acknowledged add up.
    let written = count(&database, "audit.events").await;
    settled(DEADLINE, "every message to be a row or in the queue", 2_000, async || {
        written + i64::from(broker.queue_depth("audit.events").await)
    })
    .await;
    consumer.start_again();
    settled(DEADLINE, "all rows", ids, async || recorded(&database).await).await;
}

/// Goes red when messages are acknowledged before their rows are committed.
#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_committed() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mut consumer = Program::audit_consumer(&database, &broker).start().await;
    // Whoever holds this lock keeps every batch from being committed.
    let lock = database.lock_table("audit.events").await;
    let ids: HashSet<Uuid> = (0..700).map(|_| fresh_id()).collect();
    broker.publish_all_raw("task.events", "task.created", ids.iter().map(|id| published(*id))).await;
    database.wait_for_a_blocked_writer("audit.events").await;
    consumer.kill();
    settled(DEADLINE, "all messages to be back in the queue", 700, async || {
        broker.queue_depth("audit.events").await
    })
    .await;
    lock.rollback().await.unwrap();
    consumer.restart().await;
    settled(DEADLINE, "all rows", ids, async || recorded(&database).await).await;
}

#[tokio::test]
async fn two_consumers_share_the_queue_and_write_each_event_once() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let small = |program: Program| program.env("AUDIT_BATCH_MAX", "7");
    let _one = small(Program::audit_consumer(&database, &broker)).env("INSTANCE_NAME", "one").start().await;
    let _other =
        small(Program::audit_consumer(&database, &broker)).env("INSTANCE_NAME", "other").start().await;
    let ids: HashSet<Uuid> = (0..500).map(|_| fresh_id()).collect();
    let twice = ids.iter().chain(&ids).map(|id| published(*id));
    broker.publish_all_raw("task.events", "task.created", twice).await;
    settled(DEADLINE, "all rows", ids, async || recorded(&database).await).await;
    settled(DEADLINE, "an empty queue", 0, async || broker.queue_depth("audit.events").await).await;
    assert_eq!(count(&database, "audit.events").await, 500);
}

#[tokio::test]
async fn a_database_that_refuses_one_row_stops_nothing() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mut consumer = Program::audit_consumer(&database, &broker).start().await;
    consumer.kill();
    let mut poison = event(fresh_id());
    poison["type"] = serde_json::json!((0..400).map(|_| fresh_id().to_string()).collect::<String>());
    let ids: Vec<Uuid> = (0..50).map(|_| fresh_id()).collect();
    let mut messages: Vec<_> = ids.iter().map(|id| published(*id)).collect();
    messages.insert(20, (properties(poison["id"].as_str().unwrap()), poison.to_string().into_bytes()));
    broker.publish_all_raw("task.events", "task.created", messages).await;
    consumer.restart().await;
    settled(DEADLINE, "the good rows", ids.into_iter().collect(), async || recorded(&database).await).await;
    settled(DEADLINE, "one row in quarantine", 1, async || count(&database, "audit.quarantine").await).await;
    settled(DEADLINE, "an empty queue", 0, async || broker.queue_depth("audit.events").await).await;
}

/// Red if all that was in hand with it is delivered as often as it is, and dies with it, or if each time is waited for longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_our_client_cannot_decode_is_given_up_soon_and_no_other_with_it() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    // Of limits the lower counts; each delivery takes a connection.
    let policy = json!({ "pattern": "^audit\\.events$", "definition": { "delivery-limit": 100 }, "apply-to": "queues" });
    let path = format!("api/policies/{}/soon", broker.virtual_host());
    assert_eq!(broker.manage(Method::PUT, &path, &policy).await, 201);
    broker.declare_topology().await;
    let ids: Vec<Uuid> = (0..200).map(|_| fresh_id()).collect();
    let (before, behind) = ids.split_at(100);
    broker.publish_all_raw("task.events", "task.created", before.iter().map(|id| published(*id))).await;
    publish_undecodable(&broker, "task.events", "x");
    broker.publish_all_raw("task.events", "task.created", behind.iter().map(|id| published(*id))).await;
    let one = Program::audit_consumer(&database, &broker).env("INSTANCE_NAME", "one").spawn();
    let other = Program::audit_consumer(&database, &broker).env("INSTANCE_NAME", "other").spawn();
    settled(DEADLINE, "all rows", ids.into_iter().collect(), async || recorded(&database).await).await;
    settled(DEADLINE, "one dead letter", 1, async || broker.queue_depth("dead.letters").await).await;
    settled(DEADLINE, "an empty queue", 0, async || broker.queue_depth("audit.events").await).await;
    let said = [one.log(), other.log()].concat();
    assert!(said.contains("can't be decoded") && said.contains("messages pass, singly"), "{said}");
    // They go on as ever.
    let (properties, body) = published(fresh_id());
    broker.publish_raw("task.events", "task.created", properties, &body).await;
    settled(DEADLINE, "the next row", 201, async || count(&database, "audit.events").await).await;
    let look = Program::named("audit-consumer").env("AMQP_URL", broker.amqp_url());
    let look = look.arg("dead-letters").arg("list").run().await;
    assert_eq!(look.code, Some(1), "{}", look.log);
    assert!(look.log.contains("can't be decoded"), "{}", look.log);
}
