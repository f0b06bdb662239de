//! What broker and database take, with nothing of ours around it: 500 deliveries, one insert into the trail's own table, which
//! commits by itself, one acknowledgement. No message is looked at: all columns but id, type and body are the same for each,
//! as wide as those of the real events.

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use shared::broker::topology::AUDIT_QUEUE;
use shared::clock::Clock;
use sqlx::PgPool;
use test_support::TestBroker;
use uuid::Uuid;

const BATCH: usize = 500;
/// As the audit consumer has it: the next batch arrives while one is written.
const PREFETCH: u16 = 1_000;

/// Consumes `count` events into `audit.events`.
pub(crate) async fn consume(database: &PgPool, broker: &TestBroker, count: usize) {
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.unwrap();
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer =
        channel.basic_consume(AUDIT_QUEUE.into(), "raw".into(), options, arguments).await.unwrap();
    let mut left = count;
    while left > 0 {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH.min(left) {
            batch.push(consumer.next().await.unwrap().unwrap());
        }
        insert(database, &batch).await;
        batch.last().unwrap().acker.ack(BasicAckOptions { multiple: true }).await.unwrap();
        left -= batch.len();
    }
    connection.close(200, "done".into()).await.unwrap();
}

async fn insert(database: &PgPool, batch: &[Delivery]) {
    let ids: Vec<Uuid> = batch
        .iter()
        .map(|delivery| delivery.properties.message_id().as_ref().unwrap().as_str().parse().unwrap())
        .collect();
    let types: Vec<&str> =
        batch.iter().map(|delivery| delivery.properties.kind().as_ref().unwrap().as_str()).collect();
    let bodies: Vec<&str> = batch.iter().map(|delivery| str::from_utf8(&delivery.data).unwrap()).collect();
    let now: DateTime<Utc> = Clock::system().now();
    let inserted = sqlx::query(
        "INSERT INTO audit.events (event_id, type, occurred_at, sequence, user_id, username, ip, outcome, reason, trace_id, body) \
         SELECT event_id, type, $4, 1, 1, 'user 123', '127.0.0.1', 'failure', 'wrong_password', \
                '0123456789abcdef0123456789abcdef', body \
         FROM UNNEST($1::uuid[], $2::text[], $3::text[]) AS entry (event_id, type, body) ON CONFLICT DO NOTHING",
    )
    .bind(&ids)
    .bind(&types)
    .bind(&bodies)
    .bind(now)
    .execute(database)
    .await
    .unwrap();
    assert_eq!(inserted.rows_affected(), u64::try_from(batch.len()).unwrap(), "each event once");
}
