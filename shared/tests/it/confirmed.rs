//! From the broker's confirm to the row of the trail: what is lost in between is sent again, and nothing else is.

use chrono::{TimeDelta, Utc};
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use shared::broker::topology::{AUDIT_QUEUE, RUNS_QUEUE};
use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::ids::EventId;
use shared::outbox::RelaySettings;
use shared::role::Role;
use sqlx::PgPool;
use test_support::{TestBroker, TestDatabase, assert_same_ids, eventually, settled};
use uuid::Uuid;

use crate::bench::{DEADLINE, Fact, RunningRelay, Tick, append_all, arrived, outbox, parked, waiting};

/// Goes red when a confirm alone lets an event go: the queue of somebody else makes it routable, so the broker confirms what
/// the trail never gets.
#[tokio::test]
async fn an_event_that_the_trail_never_got_is_sent_again_once_the_trail_has_a_later_one() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("realtime.of-a-replica".into(), exclusive, FieldTable::default()).await.unwrap();
    bind(&channel, "realtime.of-a-replica").await;
    channel
        .queue_unbind(AUDIT_QUEUE.into(), "task.events".into(), "#".into(), FieldTable::default())
        .await
        .unwrap();
    let outbox = outbox();
    let ids = append_all(database.pool(), &outbox, (0..3).map(|number| Fact { number })).await;
    // Programs that may only expect the topology can't mend it.
    let relay = RunningRelay::start_expecting(&database, &broker, &outbox);
    settled(DEADLINE, "the events to be confirmed", 0, async || waiting(&database).await).await;
    assert_same_ids("confirmed", confirmed(&database).await, ids.clone());

    age(database.pool(), &ids, 200).await;
    record(database.pool(), later_than(0)).await;
    eventually(DEADLINE, "all to be parked", async || (parked(&database).await.len() == 3).then_some(()))
        .await;
    assert_eq!(confirmed(&database).await, Vec::<Uuid>::new());
    let reasons: Vec<String> = sqlx::query_scalar("SELECT DISTINCT reason FROM outbox_parked")
        .fetch_all(database.pool())
        .await
        .unwrap();
    assert!(reasons[0].ends_with("Z; the trail has later events and not this one"), "{reasons:?}");
    assert_eq!(relay.count(database.pool(), r#"relay_missing_total{exchange="task.events"}"#).await, 3);

    bind(&channel, AUDIT_QUEUE).await;
    sqlx::query("UPDATE outbox_parked SET retry_at = now()").execute(database.pool()).await.unwrap();
    settled(DEADLINE, "nothing to be parked", Vec::<Uuid>::new(), async || parked(&database).await).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    assert_same_ids("arrived", arrived(&broker, AUDIT_QUEUE).await, ids.clone());
    for id in ids {
        record(database.pool(), id).await;
    }
    settled(DEADLINE, "nothing to be awaited", Vec::<Uuid>::new(), async || confirmed(&database).await).await;
    connection.close(200, "done".into()).await.unwrap();
}

/// Goes red when a consumer that is down or behind makes the relay fill its queue with copies.
#[tokio::test]
async fn what_waits_in_the_queue_is_not_sent_again_however_long_it_waits() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let outbox = outbox();
    let _relay = RunningRelay::start(&database, &broker, &outbox, 500);
    // Recorded: an event that arose before those were confirmed, or hardly after it, and one whose id is from the future.
    record(database.pool(), later_than(-3_600)).await;
    record(database.pool(), later_than(-3_600 + 20)).await;
    record(database.pool(), later_than(3_600)).await;
    // And one that was from the future when it was recorded, whose time has come.
    let of_a_fast_clock = later_than(-10);
    record(database.pool(), of_a_fast_clock).await;
    sqlx::query("UPDATE audit.events SET recorded_at = now() - interval '6 hours' WHERE event_id = $1")
        .bind(of_a_fast_clock)
        .execute(database.pool())
        .await
        .unwrap();
    let ids = append_all(database.pool(), &outbox, (0..3).map(|number| Fact { number })).await;
    settled(DEADLINE, "the events to be confirmed", 0, async || waiting(&database).await).await;
    age(database.pool(), &ids, 3_600).await;
    // Each of these is confirmed, recorded and forgotten: in between the relay has looked at all the others.
    for number in 3..6 {
        let id = append_all(database.pool(), &outbox, [Fact { number }]).await;
        settled(DEADLINE, "one more to be confirmed", 0, async || waiting(&database).await).await;
        sqlx::query("UPDATE outbox_confirmed SET event_id = $1 WHERE event_id = $2")
            .bind(later_than(-7_200 + i64::try_from(number).unwrap()))
            .bind(id[0])
            .execute(database.pool())
            .await
            .unwrap();
        record_all_but(database.pool(), &ids).await;
        settled(DEADLINE, "it to be forgotten", 3, async || confirmed(&database).await.len()).await;
    }
    assert_eq!(parked(&database).await, Vec::<Uuid>::new());
    assert_same_ids("awaited", confirmed(&database).await, ids.clone());
    assert_eq!(broker.take_all(AUDIT_QUEUE).await.len(), 6, "each was sent once");
}

#[tokio::test]
async fn an_event_in_quarantine_has_arrived_and_a_tick_is_not_awaited() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let outbox = outbox();
    let _relay = RunningRelay::start(&database, &broker, &outbox, 500);
    let ticks = append_all(database.pool(), &outbox, [Tick { queue: "default" }]).await;
    let facts = append_all(database.pool(), &outbox, [Fact { number: 1 }]).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    assert_same_ids("ticks that arrived", arrived(&broker, RUNS_QUEUE).await, ticks);
    assert_same_ids("awaited", confirmed(&database).await, facts.clone());
    for message in broker.take_all(AUDIT_QUEUE).await {
        set_aside(database.pool(), message.message_id(), &message.body).await;
    }
    settled(DEADLINE, "nothing to be awaited", Vec::<Uuid>::new(), async || confirmed(&database).await).await;
}

/// Goes red when anybody's message under its id stands for an event: a broken copy, and the event itself is lost with its queue.
#[tokio::test]
async fn other_bytes_in_quarantine_under_its_id_do_not_stand_for_an_event() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let outbox = outbox();
    // As the program that may see least of the trail.
    let pool = database.pool_as(Role::Scheduler);
    let settings = RelaySettings::default();
    let _relay = RunningRelay::start_with(pool, &broker.config(), &outbox, settings);
    let ids = append_all(database.pool(), &outbox, (0..2).map(|number| Fact { number })).await;
    settled(DEADLINE, "the events to be confirmed", 0, async || waiting(&database).await).await;
    let sent = broker.take_all(AUDIT_QUEUE).await;
    let [lost, other] =
        [0, 1].map(|place| sent.iter().find(|message| message.message_id() == ids[place]).unwrap());
    // All under its id: cut off, its bytes where the border between id and body is another one, and the other event's.
    let (id, body) = (ids[0].to_string(), &lost.body);
    set_aside(database.pool(), ids[0], &body[..body.len() - 1]).await;
    set_aside_as(database.pool(), &id[..8], &[&id.as_bytes()[8..], body].concat()).await;
    set_aside(database.pool(), ids[0], &other.body).await;
    set_aside(database.pool(), ids[1], &other.body).await;
    // Both were looked at in the same moment.
    settled(DEADLINE, "the one that has arrived to be forgotten", vec![ids[0]], async || {
        confirmed(&database).await
    })
    .await;
    age(database.pool(), &ids, 200).await;
    record(database.pool(), later_than(0)).await;
    settled(DEADLINE, "the lost one to be parked", vec![ids[0]], async || parked(&database).await).await;
    assert_eq!(confirmed(&database).await, Vec::<Uuid>::new());
}

/// Goes red when the look at the trail leaves its transaction open until the next one: who drops a partition, or migrates, waits for
/// half a second, and gives up.
#[tokio::test]
async fn a_relay_with_nothing_to_do_leaves_the_trail_to_others() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    record(database.pool(), later_than(0)).await;
    let relay = RunningRelay::start(&database, &broker, &outbox(), 100);
    settled(DEADLINE, "the relay to look", "up".to_owned(), async || {
        relay.health.readiness().checks["relay"].clone()
    })
    .await;
    // Twenty times running; one that looks each second and holds on is found at nearly each.
    let mut free = 0;
    settled(DEADLINE, "nobody to hold the trail", 20, async || {
        let is_held: bool = sqlx::query_scalar(
            "SELECT EXISTS (
                 SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
                 WHERE datname = current_database() AND relation = 'audit.quarantine'::regclass
             )",
        )
        .fetch_one(database.pool())
        .await
        .unwrap();
        free = if is_held { 0 } else { free + 1 };
        free
    })
    .await;
}

async fn bind(channel: &lapin::Channel, queue: &str) {
    let (options, table) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue.into(), "task.events".into(), "#".into(), options, table).await.unwrap();
}

async fn confirmed(database: &TestDatabase) -> Vec<Uuid> {
    sqlx::query_scalar("SELECT event_id FROM outbox_confirmed").fetch_all(database.pool()).await.unwrap()
}

/// Has them be confirmed so many seconds ago.
async fn age(database: &PgPool, ids: &[Uuid], seconds: i32) {
    sqlx::query(
        "UPDATE outbox_confirmed SET confirmed_at = now() - make_interval(secs => $2) WHERE event_id = ANY($1)",
    )
    .bind(ids)
    .bind(f64::from(seconds))
    .execute(database)
    .await
    .unwrap();
}

/// The id of an event that arises so many seconds from now.
fn later_than(seconds: i64) -> Uuid {
    Entropy::system().uuid_v7(Clock::system().now() + TimeDelta::seconds(seconds))
}

/// As the consumer does.
async fn record(database: &PgPool, id: Uuid) {
    let arose_at = EventId(id).arose_at().unwrap_or(chrono::DateTime::<Utc>::MIN_UTC);
    sqlx::query(
        "INSERT INTO audit.events (event_id, type, occurred_at, outcome, body) VALUES ($1, 'test', $2, 'success', '{}')",
    )
    .bind(id)
    .bind(arose_at)
    .execute(database)
    .await
    .unwrap();
}

/// Puts a message into quarantine, as the consumer does.
async fn set_aside(database: &PgPool, id: Uuid, body: &[u8]) {
    set_aside_as(database, &id.to_string(), body).await;
}

async fn set_aside_as(database: &PgPool, message_id: &str, body: &[u8]) {
    sqlx::query(
        "INSERT INTO audit.quarantine (digest, raw, properties, reason)
         VALUES (sha256($1 || $3), $3, jsonb_build_object('message_id', $2::text), 'unreadable')",
    )
    .bind(message_id.as_bytes())
    .bind(message_id)
    .bind(body)
    .execute(database)
    .await
    .unwrap();
}

async fn record_all_but(database: &PgPool, ids: &[Uuid]) {
    let others: Vec<Uuid> =
        sqlx::query_scalar("SELECT event_id FROM outbox_confirmed WHERE event_id <> ALL($1)")
            .bind(ids)
            .fetch_all(database)
            .await
            .unwrap();
    for id in others {
        record(database, id).await;
    }
}
