//! A relay that believes what a message's own confirm says of returns. lapin hands a returned message to whichever confirm
//! completes next, so that an unroutable message looks delivered now and then.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind};
use shared::broker::topology::AUDIT_QUEUE;

use super::super::witness::QUEUE;
use super::ground::{Ground, Row};
use crate::programs::Program;

/// Nothing is bound to it at first.
const NOWHERE: &str = "fault-suite.nowhere";
const ROWS_OF_A_ROUND: i64 = 2_000;
const EVERY: i64 = 7;
/// In each round it happens some ten times.
const ROUNDS_MAX: i64 = 10;

pub(super) async fn run(ground: &Ground, is_broken: bool) {
    let connection = ground.broker.connect().await;
    let channel = connection.create_channel().await.expect("a channel");
    let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
    let declared = channel.exchange_declare(NOWHERE.into(), ExchangeKind::Topic, options, none).await;
    declared.expect("an exchange that leads nowhere");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    for round in 0..ROUNDS_MAX {
        let first = round * ROWS_OF_A_ROUND;
        ground.commit(first..first + ROWS_OF_A_ROUND).await;
        let nowhere =
            sqlx::query("UPDATE outbox SET exchange = $1 WHERE seq % $2 = 0").bind(NOWHERE).bind(EVERY);
        nowhere.execute(ground.pool()).await.expect("rows can be sent nowhere");
        if !is_broken {
            ground.send_all().await;
            break;
        }
        if send_all(ground, &channel).await > 0 {
            break;
        }
    }
    // The route is made: what was returned goes out after all.
    for queue in [AUDIT_QUEUE, QUEUE] {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue.into(), NOWHERE.into(), "#".into(), options, none).await.expect("a binding");
    }
    let back = "WITH back AS (DELETE FROM outbox_parked RETURNING seq, event_id, exchange, routing_key, headers, body, created_at) \
                INSERT INTO outbox (seq, event_id, exchange, routing_key, headers, body, created_at) OVERRIDING SYSTEM VALUE \
                SELECT * FROM back";
    sqlx::query(back).execute(ground.pool()).await.expect("parked rows can be moved back");
    ground.send_all().await;
    let _consumer = Program::audit_consumer(&ground.database, &ground.broker).start().await;
    ground.wait_until_all_is_handled().await;
}

/// Gives how many unroutable rows looked delivered.
async fn send_all(ground: &Ground, channel: &Channel) -> usize {
    let mut mistaken = 0;
    loop {
        let mut transaction = ground.pool().begin().await.expect("a transaction");
        let rows = ground.claim(&mut transaction).await;
        if rows.is_empty() {
            return mistaken;
        }
        let (delivered, returned) = publish(channel, &rows).await;
        let nowhere = |row: &&Row| row.exchange == NOWHERE && delivered.contains(&row.seq);
        mistaken += rows.iter().filter(nowhere).count();
        ground.settle(&mut transaction, &delivered, &returned).await;
        transaction.commit().await.expect("what became of the rows can be committed");
    }
}

/// As the relay does, but for the one fault.
async fn publish(channel: &Channel, rows: &[Row]) -> (Vec<i64>, Vec<i64>) {
    let mut confirms = Vec::new();
    for row in rows {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default()
            .with_content_type("application/cloudevents+json".into())
            .with_delivery_mode(2)
            .with_message_id(row.event_id.to_string().into())
            .with_type(row.routing_key.as_str().into());
        let (exchange, key) = (row.exchange.as_str().into(), row.routing_key.as_str().into());
        let confirm = channel.basic_publish(exchange, key, options, row.body.as_bytes(), properties).await;
        confirms.push((row.seq, confirm.expect("the broker takes the message")));
    }
    let (mut delivered, mut returned) = (Vec::new(), Vec::new());
    for (seq, confirm) in confirms {
        // The fault: whose return it is, is not looked at.
        match confirm.await.expect("the broker confirms") {
            Confirmation::Ack(None) => delivered.push(seq),
            _ => returned.push(seq),
        }
    }
    (delivered, returned)
}
