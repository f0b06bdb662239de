//! What the consumer tells Prometheus.

use std::time::Duration;

use shared::role::Role;
use test_support::metrics::Scrape;
use test_support::programs::Program;
use test_support::{TestBroker, TestDatabase, eventually, settled};
use uuid::Uuid;

use crate::events::{event, fresh_id, properties, published};

const DEADLINE: Duration = Duration::from_mins(2);

fn quarantined(scrape: &Scrape, reason: &str) -> u64 {
    scrape.count(&format!(r#"audit_messages_quarantined_total{{reason="{reason}"}}"#))
}

#[tokio::test]
async fn every_message_is_counted_once_by_what_became_of_it() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let consumer = Program::audit_consumer(&database, &broker).start().await;
    let fresh = Scrape::of(&consumer.client()).await;
    let series =
        ["audit_events_recorded_total", "audit_events_duplicate_total", "audit_messages_redelivered_total"];
    for series in series.into_iter().chain(["audit_batch_messages_count", "audit_quarantine_rows"]) {
        assert_eq!(fresh.count(series), 0, "{series} is there from the start");
    }
    let ids: Vec<Uuid> = (0..5).map(|_| fresh_id()).collect();
    let mut messages: Vec<_> = ids.iter().chain([&ids[0]; 3]).map(|id| published(*id)).collect();
    let mut poison = event(fresh_id());
    poison["type"] = serde_json::json!((0..400).map(|_| fresh_id().to_string()).collect::<String>());
    messages.push((properties(poison["id"].as_str().unwrap()), poison.to_string().into_bytes()));
    messages.push((properties("one"), b"\xff not text".to_vec()));
    messages.push((properties("another"), b"no envelope".to_vec()));
    broker.publish_all_raw("task.events", "task.created", messages).await;
    let scrape =
        eventually(DEADLINE, "all messages to be counted and the quarantine to be read", async || {
            let scrape = Scrape::of(&consumer.client()).await;
            (scrape.count("audit_batch_messages_sum") == 11 && scrape.count("audit_quarantine_rows") == 3)
                .then_some(scrape)
        })
        .await;
    assert_eq!(scrape.count("audit_events_recorded_total"), 5);
    assert_eq!(scrape.count("audit_events_duplicate_total"), 3);
    for (reason, count) in [("not_utf8", 1), ("malformed", 1), ("refused_by_database", 1), ("too_new", 0)] {
        assert_eq!(quarantined(&scrape, reason), count, "{reason}");
    }
    assert_eq!(scrape.count("audit_messages_redelivered_total"), 0);
    assert_eq!(scrape.count("audit_lag_seconds_count"), 9, "of each that could be read");
    assert_eq!(scrape.count("audit_default_partition_rows"), 0);
    assert_eq!(scrape.count(r#"component_up{component="consumer"}"#), 1);
}

/// Goes red when messages count before they are committed.
#[tokio::test]
async fn what_a_killed_consumer_had_in_hand_counts_as_delivered_again() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mut consumer = Program::audit_consumer(&database, &broker).start().await;
    let lock = database.lock_table("audit.events").await;
    broker.publish_all_raw("task.events", "task.created", (0..3).map(|_| published(fresh_id()))).await;
    database.wait_for_a_blocked_writer("audit.events").await;
    assert_eq!(Scrape::of(&consumer.client()).await.count("audit_events_recorded_total"), 0);
    consumer.kill();
    settled(DEADLINE, "all messages to be back in the queue", 3, async || {
        broker.queue_depth("audit.events").await
    })
    .await;
    lock.rollback().await.unwrap();
    consumer.restart().await;
    settled(DEADLINE, "all messages to be recorded", 3, async || {
        Scrape::of(&consumer.client()).await.count("audit_events_recorded_total")
    })
    .await;
    let scrape = Scrape::of(&consumer.client()).await;
    assert_eq!(scrape.count("audit_messages_redelivered_total"), 3);
    assert_eq!(scrape.count("audit_events_duplicate_total"), 0);
}

/// By its own user, who may read no dead letter. Goes red when nobody learns that a queue gave up on a message.
#[tokio::test]
async fn dead_letters_are_counted_without_a_right_to_read_them() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let applied = broker.apply_topology().await;
    assert_eq!(applied.code, Some(0), "{}", applied.log);
    let program = Program::audit_consumer(&database, &broker).as_user_of(&broker, Role::AuditConsumer);
    let consumer = program.start().await;
    let counted = async || Scrape::of(&consumer.client()).await.figure("dead_letters_messages");
    settled(DEADLINE, "a count", Some(0.0), counted).await;
    for _ in 0..2 {
        let (properties, body) = published(fresh_id());
        broker.publish_raw("dead.letters", "any", properties, &body).await;
    }
    settled(DEADLINE, "both letters", Some(2.0), counted).await;
    broker.take_all("dead.letters").await;
    settled(DEADLINE, "no letter", Some(0.0), counted).await;
}

/// Goes red when the component tells what was so yesterday.
#[tokio::test]
async fn rows_without_a_month_take_the_component_down_and_the_month_takes_it_up() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let consumer = Program::audit_consumer(&database, &broker).start().await;
    let is_up =
        async || Scrape::of(&consumer.client()).await.figure(r#"component_up{component="partitions"}"#);
    settled(DEADLINE, "the component to be up", Some(1.0), is_up).await;
    let run = async |statement: &'static str| sqlx::query(statement).execute(database.pool()).await.unwrap();
    run("INSERT INTO audit.events (event_id, type, occurred_at, outcome, body)
         VALUES (audit.id_at('2031-01-05Z'), 't', '2031-01-05Z', 'success', '{}')")
    .await;
    settled(DEADLINE, "the component to be down", Some(0.0), is_up).await;
    run("SELECT audit.make_partitions('2031-01-05Z', 0)").await;
    settled(DEADLINE, "the component to be up again", Some(1.0), is_up).await;
}
