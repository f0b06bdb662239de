//! The relay between a real outbox and a real broker.

use std::collections::HashSet;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use shared::broker::topology::{AUDIT_QUEUE, RUNS_QUEUE};
use shared::entropy::Entropy;
use shared::telemetry::TraceContext;
use sqlx::PgPool;
use test_support::faults::PrivatePostgres;
use test_support::{TestBroker, TestDatabase, assert_same_ids, eventually, settled};
use uuid::Uuid;

use crate::bench::{
    DEADLINE, Fact, LoginFact, RunningRelay, Tick, append_all, arrived, bind_a_queue_for_one, outbox, parked,
    waiting,
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
    settled(DEADLINE, "each to be sent or parked", 0_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE parkings = 0")
            .fetch_one(database.pool())
            .await
            .unwrap()
    })
    .await;
    let ids_to = |queue: &str| -> Vec<Uuid> {
        ids.iter().enumerate().filter(|(number, _)| queue_of(*number) == queue).map(|(_, id)| *id).collect()
    };
    // On a slow machine some of them may be in the outbox again by now, for another try.
    let kept: Vec<(Uuid, Option<String>, i32)> = sqlx::query_as(
        "SELECT event_id, reason, attempts FROM outbox_parked UNION ALL SELECT event_id, NULL, attempts FROM outbox",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    assert_same_ids("parked", kept.iter().map(|(id, ..)| *id), ids_to("nobody"));
    assert_same_ids("arrived", arrived(&broker, RUNS_QUEUE).await, ids_to("default"));
    assert!(kept.iter().all(|(_, reason, attempts)| {
        *attempts >= 3 && reason.as_ref().is_none_or(|reason| reason.contains("NO_ROUTE"))
    }));
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

/// Goes red when what the broker refuses takes the places of what it would take, or is tried without a pause.
#[tokio::test]
async fn a_backlog_of_refused_rows_holds_up_no_fresh_row_of_the_same_exchange() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    bind_a_queue_for_one(&broker, "auth.events").await;
    let outbox = outbox();
    // All due again at once, and older than anything that comes.
    plant_tried_rows(database.pool(), "now() - interval '1 h'").await;
    let fresh = append_all(database.pool(), &outbox, (0..200).map(|_| LoginFact)).await;
    let _relay = RunningRelay::start(&database, &broker, &outbox, 100);
    settled(DEADLINE, "each fresh row to be tried", 0_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE event_id = ANY($1) AND attempts = 0")
            .bind(&fresh)
            .fetch_one(database.pool())
            .await
            .unwrap()
    })
    .await;
    let untried: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE attempts = 3")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert!(untried > 15_000, "the fresh ones came only when {untried} of 20000 were left");
}

/// 20,000 rows that were tried three times and wait for another try until `not_before`.
async fn plant_tried_rows(database: &PgPool, not_before: &'static str) {
    let plant = format!(
        "INSERT INTO outbox (event_id, exchange, routing_key, headers, body, attempts, not_before)
         SELECT gen_random_uuid(), 'auth.events', 'auth.login.succeeded', '{{}}', '{{}}', 3, {not_before}
         FROM generate_series(1, 20000)"
    );
    sqlx::query(sqlx::AssertSqlSafe(plant)).execute(database).await.unwrap();
}

/// Goes red when a look at the outbox reads past rows that are not due, or are of another exchange, or were sent before.
#[tokio::test]
async fn a_backlog_is_worked_off_without_being_read_again_for_each_window() {
    const EVENTS: i64 = 20_000;
    // A server of its own: as long as any transaction lasts there, of whatever database, the places of rows that left are read.
    let postgres = PrivatePostgres::start().await;
    let (database, broker) = (postgres.database().await, TestBroker::create().await);
    let outbox = outbox();
    plant_tried_rows(database.pool(), "now() + interval '9 minutes'").await;
    append_all(database.pool(), &outbox, (0..EVENTS).map(|_| LoginFact)).await;
    // What the planner knows of such a backlog makes it look the wrong way, if it may.
    sqlx::query("VACUUM ANALYZE outbox").execute(database.pool()).await.unwrap();
    let relay = RunningRelay::start(&database, &broker, &outbox, 100);
    // Not by a look at the outbox, which would count.
    settled(DEADLINE, "what nobody has tried to be sent", EVENTS, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox_confirmed").fetch_one(database.pool()).await.unwrap()
    })
    .await;
    // Its connection tells the statistics what it read when it ends.
    relay.stop().await.unwrap();
    let read = "SELECT (seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes AS index \
                    WHERE index.relid = tables.relid))::bigint \
                FROM pg_stat_user_tables AS tables WHERE relname = 'outbox'";
    let read: i64 = sqlx::query_scalar(read).fetch_one(database.pool()).await.unwrap();
    assert!(
        (EVENTS..10 * EVENTS).contains(&read),
        "{read} rows were read to send {EVENTS} of {}",
        2 * EVENTS
    );
}

/// Goes red when a parked row stays where it is although its binding is back, or is sent to the broker again and again.
#[tokio::test]
async fn a_parked_row_is_tried_again_after_a_wait_that_grows_and_leaves_once_it_is_routed() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    let outbox = outbox();
    let ids = append_all(database.pool(), &outbox, [Tick { queue: "nobody" }]).await;
    let _relay = RunningRelay::start(&database, &broker, &outbox, 100);
    let mut waits = Vec::new();
    for parkings in 1..=3 {
        let wait = eventually(DEADLINE, format!("parking {parkings}"), async || {
            sqlx::query_scalar::<_, f64>(
                "SELECT extract(epoch FROM retry_at - parked_at)::float8 FROM outbox_parked WHERE parkings = $1",
            )
            .bind(parkings)
            .fetch_optional(database.pool())
            .await
            .unwrap()
        })
        .await;
        waits.push(wait);
        if parkings == 3 {
            broker.bind_queue("for.nobody", "job.ticks", &[]).await;
        }
        // Its wait is over.
        sqlx::query("UPDATE outbox_parked SET retry_at = now()").execute(database.pool()).await.unwrap();
    }
    settled(DEADLINE, "nothing to be parked", Vec::<Uuid>::new(), async || parked(&database).await).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    assert_same_ids("arrived", arrived(&broker, "for.nobody").await, ids);
    for (nth, (wait, shortest)) in waits.iter().zip([5.0, 10.0, 20.0]).enumerate() {
        // Both instants are of different clocks, so a little less may be seen.
        assert!((shortest - 1.0..=shortest * 2.0 + 1.0).contains(wait), "wait {nth} is {wait} s");
    }
}

/// Goes red when the sequence is drawn before the lock of what changed, or lost on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_of_one_row_sort_by_sequence_into_their_order_however_many_relays_there_are() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    let outbox = outbox();
    sqlx::query("CREATE TABLE counters (id int PRIMARY KEY, version int NOT NULL)")
        .execute(database.pool())
        .await
        .unwrap();
    sqlx::query("INSERT INTO counters SELECT id, 0 FROM generate_series(1, 3) AS id")
        .execute(database.pool())
        .await
        .unwrap();
    let _relays = [1, 7, 30].map(|window| RunningRelay::start(&database, &broker, &outbox, window));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let (pool, outbox) = (database.pool().clone(), outbox.clone());
        writers.spawn(async move {
            for turn in 0..75 {
                let mut transaction = pool.begin().await.unwrap();
                let version: i32 = sqlx::query_scalar(
                    "UPDATE counters SET version = version + 1 WHERE id = $1 RETURNING version",
                )
                .bind((writer + turn) % 3 + 1)
                .fetch_one(&mut *transaction)
                .await
                .unwrap();
                let number = usize::try_from(((writer + turn) % 3 + 1) * 1_000 + version).unwrap();
                let trace = TraceContext::new(&Entropy::system());
                outbox.append(&mut transaction, &trace, Fact { number }).await.unwrap();
                transaction.commit().await.unwrap();
                outbox.wake();
            }
        });
    }
    writers.join_all().await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    let mut facts: Vec<(String, u64)> = broker
        .take_all(AUDIT_QUEUE)
        .await
        .iter()
        .map(|message| {
            let event = message.json();
            (event["sequence"].as_str().unwrap().to_owned(), event["data"]["number"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(facts.len(), 300);
    facts.sort();
    for counter in 1..=3 {
        let versions: Vec<u64> =
            facts.iter().map(|(_, number)| *number).filter(|number| number / 1_000 == counter).collect();
        assert_eq!(versions, (1..=100).map(|version| counter * 1_000 + version).collect::<Vec<_>>());
    }
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

/// Goes red when they wait for as long as the clock was ahead.
#[tokio::test]
async fn rows_that_a_program_whose_clock_was_ahead_has_put_off_are_sent_soon() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let ids = append_all(database.pool(), &outbox(), (1..=2).map(|number| Fact { number })).await;
    sqlx::raw_sql(
        "UPDATE outbox SET attempts = 1, not_before = now() + interval '6 hours';
         WITH taken AS (DELETE FROM outbox WHERE seq = (SELECT max(seq) FROM outbox) RETURNING *)
         INSERT INTO outbox_parked (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason, parkings, retry_at)
         SELECT seq, event_id, exchange, routing_key, headers, body, created_at, attempts, 'no route', 1, not_before FROM taken",
    )
    .execute(database.pool())
    .await
    .unwrap();
    let _relay = RunningRelay::start(&database, &broker, &outbox(), 500);
    settled(DEADLINE, "nothing to be parked", Vec::<Uuid>::new(), async || parked(&database).await).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    assert_same_ids("arrived", arrived(&broker, AUDIT_QUEUE).await, ids);
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
