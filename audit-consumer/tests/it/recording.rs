//! Batches against a real database.

use std::sync::Arc;

use audit_consumer::audit::{Batch, Candidate, Message, Recorded, SetAside, record};
use audit_consumer::deliveries::classify;
use serde_json::json;
use shared::clock::Clock;
use shared::role::Role;
use sqlx::PgPool;
use test_support::TestDatabase;
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::events::{event, fresh_id};

/// Judges bodies as the consumer does.
fn batch(bodies: &[String]) -> Batch<'_> {
    let mut batch = Batch::default();
    for body in bodies {
        let message = Message { message_id: None, body: body.as_bytes(), delivery: None };
        match classify(&message, Clock::system().now()) {
            Ok(entry) => batch.candidates.push(Candidate { entry, message }),
            Err(reason) => batch.set_aside.push(SetAside { message, reason: reason.to_string() }),
        }
    }
    batch
}

async fn recorded_ids(database: &PgPool) -> Vec<Uuid> {
    sqlx::query_scalar("SELECT event_id FROM audit.events ORDER BY event_id")
        .fetch_all(database)
        .await
        .unwrap()
}

async fn quarantine(database: &PgPool) -> Vec<(Vec<u8>, String)> {
    sqlx::query_as("SELECT raw, reason FROM audit.quarantine ORDER BY id").fetch_all(database).await.unwrap()
}

/// Connections with the rights of the consumer.
fn as_program(database: &TestDatabase) -> PgPool {
    database.pool_as(Role::AuditConsumer)
}

fn sorted(mut ids: Vec<Uuid>) -> Vec<Uuid> {
    ids.sort();
    ids
}

/// Goes red without `ON CONFLICT DO NOTHING` and without the primary key.
#[tokio::test]
async fn a_redelivered_event_is_one_row() {
    let database = TestDatabase::create().await;
    let bodies: Vec<String> = (0..3).map(|_| event(fresh_id()).to_string()).collect();
    let first = record(&as_program(&database), batch(&bodies)).await.unwrap();
    assert_eq!(first, Recorded { entries: 3, ..Recorded::default() });
    let second = record(&as_program(&database), batch(&bodies)).await.unwrap();
    assert_eq!(second, Recorded::default());
    assert_eq!(recorded_ids(database.pool()).await.len(), 3);
}

#[tokio::test]
async fn duplicates_inside_one_batch_are_one_row() {
    let database = TestDatabase::create().await;
    let (one, other) = (fresh_id(), fresh_id());
    let bodies = [one, other, one, one, other].map(|id| event(id).to_string());
    let recorded = record(&as_program(&database), batch(&bodies)).await.unwrap();
    assert_eq!(recorded.entries, 2);
    assert_eq!(recorded_ids(database.pool()).await, sorted(vec![one, other]));
}

#[tokio::test]
async fn a_message_under_the_id_of_another_goes_to_quarantine_and_the_first_stays() {
    let database = TestDatabase::create().await;
    let id = fresh_id();
    let bodies = [event(id), event(fresh_id())].map(|event| event.to_string());
    record(&as_program(&database), batch(&bodies)).await.unwrap();
    let mut forged = event(id);
    forged["data"]["ip"] = json!("192.0.2.66");
    // Beside one that is new, and one that comes again.
    let next = [forged, event(fresh_id()), event(id)].map(|event| event.to_string());
    let next = [next[0].clone(), next[1].clone(), bodies[0].clone()];
    let recorded = record(&as_program(&database), batch(&next)).await.unwrap();
    assert_eq!(recorded, Recorded { entries: 1, quarantined: 1, refused: 0, other: 1 });
    // And when it comes again.
    let again = record(&as_program(&database), batch(&next)).await.unwrap();
    assert_eq!(again, Recorded { other: 1, ..Recorded::default() });
    let kept = quarantine(database.pool()).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].0, next[0].as_bytes());
    assert_eq!(kept[0].1, format!("the trail has another message under the id {id}"));
    let first = "SELECT body = $1 FROM audit.events WHERE event_id = $2";
    let first = sqlx::query_scalar(first).bind(&bodies[0]).bind(id).fetch_one(database.pool()).await;
    assert!(first.unwrap_or(false), "the first body stays");
}

#[tokio::test]
async fn the_body_and_the_columns_are_what_was_sent() {
    let database = TestDatabase::create().await;
    let mut sent = event(fresh_id());
    sent["type"] = json!("auth.login.failed");
    sent["data"]["ip"] = json!("192.0.2.7");
    sent["data"]["reason"] = json!("wrong_password");
    let bodies = [format!(" {sent}")];
    record(&as_program(&database), batch(&bodies)).await.unwrap();
    let row: (String, String, String, String, i64) =
        sqlx::query_as("SELECT body, host(ip), outcome, reason, user_id FROM audit.events")
            .fetch_one(database.pool())
            .await
            .unwrap();
    assert_eq!(row, (bodies[0].clone(), "192.0.2.7".into(), "failure".into(), "wrong_password".into(), 7));
}

#[tokio::test]
async fn a_message_set_aside_twice_is_one_row_of_the_quarantine() {
    let database = TestDatabase::create().await;
    let bodies = ["not an envelope".to_owned(), "not an envelope".to_owned(), event(fresh_id()).to_string()];
    let first = record(&as_program(&database), batch(&bodies)).await.unwrap();
    assert_eq!(first, Recorded { entries: 1, quarantined: 1, ..Recorded::default() });
    let second = record(&as_program(&database), batch(&bodies)).await.unwrap();
    assert_eq!(second, Recorded::default());
    let kept = quarantine(database.pool()).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].0, b"not an envelope");
    assert!(kept[0].1.contains("not a CloudEvents envelope"), "{}", kept[0].1);
}

/// The type of the poison row is too long for its index entry, which only the database knows.
#[tokio::test]
async fn a_row_that_the_database_refuses_goes_to_quarantine_and_the_others_are_recorded() {
    let database = TestDatabase::create().await;
    let good: Vec<Uuid> = (0..20).map(|_| fresh_id()).collect();
    let mut bodies: Vec<String> = good.iter().map(|id| event(*id).to_string()).collect();
    let mut poison = event(fresh_id());
    // Random, so that it can't be compressed below the limit.
    poison["type"] = json!((0..400).map(|_| fresh_id().to_string()).collect::<String>());
    bodies.insert(13, poison.to_string());
    bodies.push("not an envelope".to_owned());
    let recorded = record(&as_program(&database), batch(&bodies)).await.unwrap();
    assert_eq!(recorded, Recorded { entries: 20, quarantined: 2, refused: 1, ..Recorded::default() });
    assert_eq!(recorded_ids(database.pool()).await, sorted(good));
    let kept = quarantine(database.pool()).await;
    let refused = kept.iter().find(|(raw, _)| *raw == poison.to_string().into_bytes()).unwrap();
    assert!(refused.1.contains("the database refuses the row"), "{}", refused.1);
}

/// An outage must not send good rows to quarantine: the batch is kept.
#[tokio::test]
async fn a_database_out_of_order_is_an_error_and_nothing_is_written() {
    let database = TestDatabase::create().await;
    sqlx::query("ALTER TABLE audit.events RENAME TO events_elsewhere")
        .execute(database.pool())
        .await
        .unwrap();
    let bodies = [event(fresh_id()).to_string(), "not an envelope".to_owned()];
    let error = record(&as_program(&database), batch(&bodies)).await.unwrap_err();
    assert_eq!(error.messages, 2);
    assert!(quarantine(database.pool()).await.is_empty());
    sqlx::query("ALTER TABLE audit.events_elsewhere RENAME TO events")
        .execute(database.pool())
        .await
        .unwrap();
    let recorded = record(&as_program(&database), batch(&bodies)).await.unwrap();
    assert_eq!(recorded, Recorded { entries: 1, quarantined: 1, ..Recorded::default() });
}

/// Two consumers may hold the same messages, in any order. Goes red without the order in the INSERTs, by a deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consumers_side_by_side_record_the_same_events_once() {
    let database = TestDatabase::create().await;
    let mut recorded = Vec::new();
    for _ in 0..8 {
        let ids: Vec<Uuid> = (0..300).map(|_| fresh_id()).collect();
        let mut bodies: Vec<String> = ids.iter().map(|id| event(*id).to_string()).collect();
        bodies.extend(ids.iter().take(30).map(|id| format!("not an envelope {id}")));
        recorded.extend(ids);
        assert_eq!(
            record_side_by_side(&database, &bodies).await,
            Recorded { entries: 300, quarantined: 30, ..Recorded::default() }
        );
    }
    assert_eq!(recorded_ids(database.pool()).await, sorted(recorded));
}

/// Six consumers record the same messages at the same moment, each in another order; gives what they wrote together.
async fn record_side_by_side(database: &TestDatabase, bodies: &[String]) -> Recorded {
    let start = Arc::new(Barrier::new(6));
    let mut consumers = Vec::new();
    for turn in 0..6 {
        let (pool, start, mut bodies) = (as_program(database), start.clone(), bodies.to_vec());
        bodies.rotate_left(turn * 53);
        if turn % 2 == 0 {
            bodies.reverse();
        }
        consumers.push(tokio::spawn(async move {
            start.wait().await;
            record(&pool, batch(&bodies)).await.unwrap()
        }));
    }
    let mut total = Recorded::default();
    for consumer in consumers {
        let written = consumer.await.unwrap();
        total.entries += written.entries;
        total.quarantined += written.quarantined;
    }
    total
}
