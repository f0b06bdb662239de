//! A consumer that acknowledges before it commits, and is killed in between.

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use serde_json::Value;
use shared::broker::topology::AUDIT_QUEUE;
use shared::config::BrokerConfig;
use sqlx::PgPool;
use uuid::Uuid;

use super::ground::Ground;
use crate::programs::Program;

const BATCH: i64 = 50;

pub(super) async fn run(ground: &Ground, is_broken: bool) {
    ground.commit(0..BATCH).await;
    ground.send_all().await;
    // A lock keeps the batch from being committed, so that the kill surely meets that moment.
    let lock = ground.database.lock_table("audit.events").await;
    let (broker, pool) = (ground.broker.config(), ground.pool().clone());
    let consumer = tokio::spawn(consume(broker, pool, is_broken));
    ground.database.wait_for_a_blocked_writer("audit.events").await;
    consumer.abort();
    assert!(consumer.await.is_err_and(|error| error.is_cancelled()), "it was killed");
    lock.rollback().await.expect("the lock is given back");
    let _consumer = Program::audit_consumer(&ground.database, &ground.broker).start().await;
    ground.wait_until_all_is_handled().await;
}

/// Takes a batch and records it, in one order or the other.
async fn consume(broker: BrokerConfig, pool: PgPool, is_broken: bool) {
    let connection = shared::broker::connect(&broker, "fault-suite", "control").await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    channel.basic_qos(100, BasicQosOptions::default()).await.expect("a prefetch");
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let deliveries = channel.basic_consume(AUDIT_QUEUE.into(), "control".into(), options, none).await;
    let batch = deliveries.expect("a subscription").take(usize::try_from(BATCH).unwrap_or(0));
    let batch: Vec<Delivery> = batch.map(|delivery| delivery.expect("a delivery")).collect().await;
    let all = BasicAckOptions { multiple: true };
    let last = batch.last().expect("a batch has messages");
    if is_broken {
        // The fault.
        last.acker.ack(all).await.expect("the batch can be acknowledged");
    }
    record(&pool, &batch).await.expect("the batch can be recorded");
    if !is_broken {
        last.acker.ack(all).await.expect("the batch can be acknowledged");
    }
}

async fn record(pool: &PgPool, batch: &[Delivery]) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for delivery in batch {
        let body = String::from_utf8_lossy(&delivery.data);
        let event: Value = serde_json::from_str(&body).expect("an event");
        let id: Uuid = event["id"].as_str().and_then(|id| id.parse().ok()).expect("an event has an id");
        let row = "INSERT INTO audit.events (event_id, type, occurred_at, outcome, body) \
                   VALUES ($1, $2, now(), 'success', $3) ON CONFLICT DO NOTHING";
        let row = sqlx::query(row).bind(id).bind(event["type"].as_str()).bind(body.as_ref());
        row.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
