//! The relay between a real outbox and a real broker.

use std::collections::HashSet;

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use shared::broker::topology::{AUDIT_QUEUE, RUNS_QUEUE};
use test_support::{TestBroker, TestDatabase, assert_same_ids, eventually, settled};
use uuid::Uuid;

use crate::bench::{
    DEADLINE, Fact, LoginFact, RunningRelay, Tick, append_all, arrived, outbox, parked, waiting,
};

#[tokio::test]
async fn a_committed_event_is_in_the_queue_and_no_longer_in_the_outbox() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let outbox = outbox();
    let relay = RunningRelay::start(&database, &broker, &outbox, 500);
    let ids = append_all(database.pool(), &outbox, [Fact { number: 1 }]).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    let message = broker.take(AUDIT_QUEUE).await.unwrap();
    assert_eq!(message.message_id(), ids[0]);
    assert_eq!(message.routing_key, "task.created");
    assert_eq!(message.json()["id"], ids[0].to_string());
    let properties = message.properties;
    assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/cloudevents+json");
    assert_eq!(*properties.delivery_mode(), Some(2), "it survives the broker's restart");
    assert_eq!(properties.kind().as_ref().unwrap().as_str(), "task.created");
    assert!(properties.headers().as_ref().unwrap().contains_key("traceparent"));
    relay.stop().await.unwrap();
}

/// lapin hands a returned message to the wrong confirm, so this goes red when returns are not matched by message id,
/// and when rows are deleted before their confirms have come.
#[tokio::test]
async fn of_a_window_exactly_the_unroutable_are_parked_and_all_others_arrive() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    let outbox = outbox();
    let queue_of = |number: usize| if number.is_multiple_of(7) { "nobody" } else { "default" };
    let ids = append_all(database.pool(), &outbox, (0..2_000).map(|n| Tick { queue: queue_of(n) })).await;
    let _relay = RunningRelay::start(&database, &broker, &outbox, 200);
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    let ids_to = |queue: &str| -> Vec<Uuid> {
        ids.iter().enumerate().filter(|(number, _)| queue_of(*number) == queue).map(|(_, id)| *id).collect()
    };
    assert_same_ids("parked", parked(&database).await, ids_to("nobody"));
    assert_same_ids("arrived", arrived(&broker, RUNS_QUEUE).await, ids_to("default"));
    let reason: String = sqlx::query_scalar("SELECT DISTINCT reason FROM outbox_parked WHERE attempts = 3")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert!(reason.contains("NO_ROUTE"), "{reason}");
}

/// Goes red when rows are deleted before their confirms have come: what the full queue refused would be gone.
#[tokio::test]
async fn a_full_queue_starves_no_other_exchange_and_loses_nothing() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    bind_a_queue_for_one(&broker, "auth.events").await;
    let outbox = outbox();
    let logins = append_all(database.pool(), &outbox, (0..300).map(|_| LoginFact)).await;
    let facts = append_all(database.pool(), &outbox, (0..300).map(|number| Fact { number })).await;
    let _relay = RunningRelay::start(&database, &broker, &outbox, 50);
    settled(DEADLINE, "every fact about tasks to leave", 0_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE exchange = 'task.events'")
            .fetch_one(database.pool())
            .await
            .unwrap()
    })
    .await;
    eventually(DEADLINE, "a login to be tried twice", async || {
        let tries: Option<i32> =
            sqlx::query_scalar("SELECT max(attempts) FROM outbox").fetch_one(database.pool()).await.unwrap();
        (tries >= Some(2)).then_some(())
    })
    .await;
    assert!(parked(&database).await.is_empty(), "a full queue is no reason to park");
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel.queue_delete("for.one".into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    // What one of two queues refused was sent again to both.
    let arrived: HashSet<Uuid> = arrived(&broker, AUDIT_QUEUE).await.into_iter().collect();
    assert_same_ids("arrived", arrived, logins.into_iter().chain(facts));
}

/// A queue that refuses everything but its first message.
async fn bind_a_queue_for_one(broker: &TestBroker, exchange: &str) {
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    channel.queue_declare("for.one".into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
    let binding = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind("for.one".into(), exchange.into(), "#".into(), binding.0, binding.1).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
}

/// Goes red without `SKIP LOCKED`'s lock: a row would be claimed, and sent, by both.
#[tokio::test]
async fn relays_side_by_side_send_each_row_once() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    let outbox = outbox();
    let ids = append_all(database.pool(), &outbox, (0..3_000).map(|number| Fact { number })).await;
    let relays = [100, 70, 30].map(|window| RunningRelay::start(&database, &broker, &outbox, window));
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    assert_same_ids("arrived", arrived(&broker, AUDIT_QUEUE).await, ids);
    for relay in relays {
        relay.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_relay_finds_what_another_program_wrote() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let _relay = RunningRelay::start(&database, &broker, &outbox(), 500);
    // Another outbox: its wake doesn't reach this relay.
    append_all(database.pool(), &outbox(), [Fact { number: 1 }]).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
}

#[tokio::test]
async fn a_relay_that_meets_another_topology_ends_with_the_brokers_words() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeclareOptions::durable();
    channel.queue_declare(AUDIT_QUEUE.into(), options, FieldTable::default()).await.unwrap();
    let relay = RunningRelay::start(&database, &broker, &outbox(), 500);
    let error = relay.ended().await.unwrap_err();
    assert!(format!("{error:#}").contains("inequivalent arg"), "{error:#}");
}
