//! Writing events: in the transaction of their fact, and readable as CloudEvents.

use shared::contracts::ReceivedEnvelope;
use shared::entropy::Entropy;
use shared::telemetry::TraceContext;
use sqlx::Row;
use test_support::TestDatabase;

use crate::bench::{Fact, append_all, outbox, waiting};

#[tokio::test]
async fn an_appended_event_is_an_envelope_with_the_sequence_of_its_row() {
    let database = TestDatabase::create().await;
    let (outbox, trace) = (outbox(), TraceContext::new(&Entropy::system()));
    let mut transaction = database.pool().begin().await.unwrap();
    let id = outbox.append(&mut transaction, &trace, Fact { number: 7 }).await.unwrap();
    transaction.commit().await.unwrap();
    let row = sqlx::query("SELECT * FROM outbox").fetch_one(database.pool()).await.unwrap();
    let body: String = row.get("body");
    let envelope = ReceivedEnvelope::parse(body.as_bytes()).unwrap();
    assert_eq!(envelope.id, id);
    assert_eq!(envelope.sequence_number(), Some(row.get("seq")));
    assert_eq!(envelope.sequence.as_ref().unwrap().len(), 20);
    assert_eq!(envelope.r#type, "task.created");
    assert_eq!(envelope.traceparent, Some(trace.to_string()));
    assert_eq!(envelope.data.get(), r#"{"number":7}"#);
    assert_eq!(row.get::<String, _>("exchange"), "task.events");
    assert_eq!(row.get::<uuid::Uuid, _>("event_id"), id.0);
}

#[tokio::test]
async fn an_event_whose_fact_is_rolled_back_was_never_there() {
    let database = TestDatabase::create().await;
    let mut transaction = database.pool().begin().await.unwrap();
    let trace = TraceContext::new(&Entropy::system());
    outbox().append(&mut transaction, &trace, Fact { number: 1 }).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(waiting(&database).await, 0);
}

#[tokio::test]
async fn events_of_one_transaction_are_in_the_order_in_which_they_were_appended() {
    let database = TestDatabase::create().await;
    let ids = append_all(database.pool(), &outbox(), (0..50).map(|number| Fact { number })).await;
    let by_sequence: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT event_id FROM outbox ORDER BY seq")
        .fetch_all(database.pool())
        .await
        .unwrap();
    assert_eq!(by_sequence, ids);
}

#[tokio::test]
async fn events_appended_at_once_are_in_the_order_in_which_they_were_given() {
    let database = TestDatabase::create().await;
    let (outbox, trace) = (outbox(), TraceContext::new(&Entropy::system()));
    let mut transaction = database.pool().begin().await.unwrap();
    let none: [Fact; 0] = [];
    assert!(outbox.append_all(&mut transaction, &trace, none).await.unwrap().is_empty());
    outbox.append(&mut transaction, &trace, Fact { number: 1_000 }).await.unwrap();
    let facts = (0..1_000).rev().map(|number| Fact { number });
    let ids = outbox.append_all(&mut transaction, &trace, facts).await.unwrap();
    outbox.append(&mut transaction, &trace, Fact { number: 1_001 }).await.unwrap();
    transaction.commit().await.unwrap();
    let rows = sqlx::query("SELECT * FROM outbox ORDER BY seq").fetch_all(database.pool()).await.unwrap();
    let mut numbers = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let body: String = row.get("body");
        let envelope = ReceivedEnvelope::parse(body.as_bytes()).unwrap();
        assert_eq!(envelope.sequence_number(), Some(row.get("seq")), "the one of its own row");
        assert_eq!(envelope.id.0, row.get::<uuid::Uuid, _>("event_id"));
        assert_eq!(envelope.traceparent, Some(trace.to_string()));
        assert_eq!(row.get::<String, _>("routing_key"), "task.created");
        if (1..=1_000).contains(&place) {
            assert_eq!(envelope.id, ids[place - 1]);
        }
        numbers.push(envelope.data.get().to_owned());
    }
    let expected = [1_000].into_iter().chain((0..1_000).rev()).chain([1_001]);
    assert_eq!(numbers, expected.map(|number| format!(r#"{{"number":{number}}}"#)).collect::<Vec<_>>());
}
