//! What the relay and the outbox tell Prometheus, against a real database and a real broker.

use std::time::{Duration, Instant};

use shared::clock::Clock;
use shared::lifecycle::{Health, Standing};
use shared::metrics::{Exposition, Figures, Metrics};
use shared::outbox::OutboxFigures;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use test_support::metrics::Scrape;
use test_support::{TestBroker, TestDatabase, eventually, settled};
use tokio::net::TcpListener;

use crate::bench::{
    DEADLINE, Fact, LoginFact, RunningRelay, Tick, append_all, bind_a_queue_for_one, outbox, parked, waiting,
};

/// What the outbox and a relay tell of themselves, and the health that they report on.
fn told(metrics: &Metrics, pool: &PgPool) -> (Exposition, Health) {
    let health = Health::default();
    let figures = OutboxFigures::new(metrics, health.component("outbox", Standing::Supporting));
    let figures: Vec<Box<dyn Figures>> = vec![Box::new(figures)];
    (Exposition::new("test", metrics.clone(), pool, &Clock::system(), figures), health)
}

#[tokio::test]
async fn each_message_is_counted_by_what_became_of_it_each_time_it_is_tried() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    bind_a_queue_for_one(&broker, "auth.events").await;
    broker.publish_raw("auth.events", "any", lapin::BasicProperties::default(), b"{}").await;
    let outbox = outbox();
    append_all(database.pool(), &outbox, (0..7).map(|number| Fact { number })).await;
    append_all(database.pool(), &outbox, ["nobody", "default", "nobody"].map(|queue| Tick { queue })).await;
    append_all(database.pool(), &outbox, [LoginFact, LoginFact]).await;
    let relay = RunningRelay::start(&database, &broker, &outbox, 500);
    let (exposition, _) = told(&relay.metrics, database.pool());
    let tries = async |exchange: &'static str| {
        let tries: Option<i64> = sqlx::query_scalar(
            "SELECT sum(attempts)::bigint FROM
                 (SELECT exchange, attempts FROM outbox UNION ALL SELECT exchange, attempts FROM outbox_parked) AS kept
             WHERE exchange = $1",
        )
        .bind(exchange)
        .fetch_one(database.pool())
        .await
        .unwrap();
        u64::try_from(tries.unwrap_or_default()).unwrap()
    };
    // What is left is what was refused.
    eventually(
        DEADLINE,
        "the refused to be tried twice, the unroutable to be parked, the others to leave",
        async || {
            let twice = tries("auth.events").await >= 4;
            (twice && parked(&database).await.len() == 2 && waiting(&database).await == 2).then_some(())
        },
    )
    .await;
    let connected = |scrape: &Scrape| scrape.count(r#"relay_connected{exchange="auth.events"}"#);
    assert_eq!(connected(&Scrape::from(&exposition).await), 1);
    relay.stop().await.unwrap();
    let scrape = Scrape::from(&exposition).await;
    let count = |exchange: &str, verdict: &str| {
        scrape.count(&format!(r#"relay_messages_total{{exchange="{exchange}",verdict="{verdict}"}}"#))
    };
    assert_eq!(count("task.events", "acked"), 7);
    assert_eq!(count("job.ticks", "acked"), 1);
    assert_eq!(count("auth.events", "acked"), 0);
    assert_eq!(count("job.ticks", "returned"), tries("job.ticks").await, "unroutable");
    assert_eq!(count("auth.events", "nacked"), tries("auth.events").await, "refused by a full queue");
    for exchange in ["auth.events", "task.events", "job.events", "job.ticks"] {
        assert_eq!(count(exchange, "unknown"), 0, "{exchange}");
    }
    assert_eq!(count("task.events", "nacked") + count("job.ticks", "nacked"), 0);
    assert!(scrape.count(r#"relay_parked_total{exchange="job.ticks"}"#) >= 2);
    assert_eq!(scrape.count(r#"relay_parked_total{exchange="auth.events"}"#), 0);
    let published = 8 + count("job.ticks", "returned") + count("auth.events", "nacked");
    assert_eq!(scrape.count("relay_window_messages_sum"), published);
    assert_eq!(connected(&scrape), 0, "it has stopped");
    assert_eq!(scrape.count(r#"relay_blocked{exchange="auth.events"}"#), 0);
}

#[tokio::test]
async fn the_outbox_is_told_as_it_is_and_what_has_waited_for_long_degrades_the_program() {
    let database = TestDatabase::create().await;
    let (exposition, health) = told(&Metrics::default(), database.pool());
    let scrape = Scrape::from(&exposition).await;
    for exchange in ["auth.events", "task.events", "job.events", "job.ticks"] {
        for name in [
            "outbox_rows",
            "outbox_due_rows",
            "outbox_oldest_age_seconds",
            "outbox_parked_rows",
            "outbox_parked_oldest_age_seconds",
            "outbox_confirmed_rows",
            "outbox_confirmed_oldest_age_seconds",
        ] {
            assert_eq!(scrape.count(&format!(r#"{name}{{exchange="{exchange}"}}"#)), 0, "{name} {exchange}");
        }
    }
    assert_eq!(health.readiness().status, "ready");

    append_all(database.pool(), &outbox(), (0..3).map(|number| Fact { number })).await;
    sqlx::raw_sql(
        "UPDATE outbox SET created_at = created_at - interval '90 seconds'
         WHERE seq = (SELECT min(seq) FROM outbox);
         UPDATE outbox SET not_before = clock_timestamp() + interval '1 hour'
         WHERE seq = (SELECT max(seq) FROM outbox);
         INSERT INTO outbox_parked
             (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason)
         SELECT 0, gen_random_uuid(), 'job.ticks', 'a', '{}', '', clock_timestamp(), 3, 'NO_ROUTE'",
    )
    .execute(database.pool())
    .await
    .unwrap();
    let scrape = eventually(DEADLINE, "the figures to be read again", async || {
        let scrape = Scrape::from(&exposition).await;
        (scrape.count(r#"outbox_rows{exchange="task.events"}"#) > 0).then_some(scrape)
    })
    .await;
    assert_eq!(scrape.count(r#"outbox_rows{exchange="task.events"}"#), 3);
    assert_eq!(scrape.count(r#"outbox_due_rows{exchange="task.events"}"#), 2);
    let age = scrape.figure(r#"outbox_oldest_age_seconds{exchange="task.events"}"#).unwrap();
    assert!((90.0..150.0).contains(&age), "{age}");
    assert_eq!(scrape.count(r#"outbox_rows{exchange="auth.events"}"#), 0);
    assert_eq!(scrape.count(r#"outbox_parked_rows{exchange="job.ticks"}"#), 1);
    let readiness = health.readiness();
    assert_eq!(readiness.status, "degraded");
    let words = &readiness.checks["outbox"];
    assert!(words.starts_with("3 event(s) for task.events are in the outbox, the oldest for "), "{words}");
}

/// Goes red when nobody says that events which were set aside, or lost behind RabbitMQ, don't get on.
#[tokio::test]
async fn what_was_parked_or_is_not_in_the_trail_for_long_degrades_the_program_and_says_so() {
    let database = TestDatabase::create().await;
    let (exposition, health) = told(&Metrics::default(), database.pool());
    let outbox = outbox();
    let ids = append_all(database.pool(), &outbox, [Fact { number: 1 }]).await;
    append_all(database.pool(), &outbox, [LoginFact]).await;
    let (parked, confirmed) = ("outbox_parked_oldest_age_seconds", "outbox_confirmed_oldest_age_seconds");
    let task_is_parked = "WITH moved AS (DELETE FROM outbox WHERE exchange = 'task.events' RETURNING outbox.*)
         INSERT INTO outbox_parked (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason)
         SELECT seq, event_id, exchange, routing_key, headers, body, created_at - interval '90 seconds', 3, 'NO_ROUTE'
         FROM moved";
    // While it is tried once more nothing is parked, and nothing has got on.
    let task_is_tried = "WITH moved AS (DELETE FROM outbox_parked RETURNING outbox_parked.*)
         INSERT INTO outbox (seq, event_id, exchange, routing_key, headers, body, created_at, not_before, parkings)
         OVERRIDING SYSTEM VALUE
         SELECT seq, event_id, exchange, routing_key, headers, body, created_at, clock_timestamp(), 1 FROM moved";
    let all_are_confirmed = "WITH moved AS (DELETE FROM outbox RETURNING outbox.*)
         INSERT INTO outbox_confirmed (
             seq, event_id, exchange, routing_key, headers, body, created_at, attempts, parkings, confirmed_at
         )
         SELECT seq, event_id, exchange, routing_key, headers, body, created_at, attempts, parkings,
             clock_timestamp() - CASE exchange WHEN 'task.events' THEN interval '250 s' ELSE interval '100 s' END
         FROM moved";
    let parked_words = "events for task.events are parked, or tried once more, the oldest for ";
    let confirmed_words = "1 event(s) of task.events are confirmed and not in the trail, the oldest for ";
    for (what, rows, name, least, words) in [
        (task_is_parked, 1, parked, 90.0, parked_words),
        (task_is_tried, 0, parked, 90.0, parked_words),
        (all_are_confirmed, 0, confirmed, 250.0, confirmed_words),
    ] {
        sqlx::raw_sql(what).execute(database.pool()).await.unwrap();
        let of_tasks = |name: &str| format!(r#"{name}{{exchange="task.events"}}"#);
        // What was read a moment ago is told again.
        eventually(DEADLINE, what, async || {
            let scrape = Scrape::from(&exposition).await;
            let is_read = scrape.count(&of_tasks("outbox_parked_rows")) == rows;
            (is_read && scrape.figure(&of_tasks(name))? >= least).then_some(())
        })
        .await;
        let readiness = health.readiness();
        assert_eq!(readiness.status, "degraded", "{what}");
        let said = &readiness.checks["outbox"];
        assert!(said.starts_with(words), "{said}");
    }
    let scrape = Scrape::from(&exposition).await;
    assert_eq!(scrape.count(&format!(r#"{parked}{{exchange="task.events"}}"#)), 0);
    assert_eq!(scrape.count(&format!(r#"{parked}{{exchange="auth.events"}}"#)), 0);
    sqlx::query("DELETE FROM outbox_confirmed WHERE event_id = $1")
        .bind(ids[0])
        .execute(database.pool())
        .await
        .unwrap();
    settled(DEADLINE, "the other, which is no reason", "ready", async || {
        Scrape::from(&exposition).await;
        health.readiness().status
    })
    .await;
}

/// Goes red when the rows that are counted are those that lie there first, whosever they are.
#[tokio::test]
async fn however_many_of_one_exchange_are_parked_those_of_another_are_counted() {
    let database = TestDatabase::create().await;
    let (exposition, _) = told(&Metrics::default(), database.pool());
    sqlx::query(
        "INSERT INTO outbox_parked
             (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason)
         SELECT number, gen_random_uuid(), CASE WHEN number > 12000 THEN 'task.events' ELSE 'auth.events' END, 'a', '{}',
             '', clock_timestamp() - number * interval '1 second', 3, 'NO_ROUTE'
         FROM generate_series(1, 12003) AS number",
    )
    .execute(database.pool())
    .await
    .unwrap();
    let scrape = Scrape::from(&exposition).await;
    let parked = |exchange: &str| scrape.count(&format!(r#"outbox_parked_rows{{exchange="{exchange}"}}"#));
    assert_eq!((parked("auth.events"), parked("task.events"), parked("job.events")), (10_000, 3, 0));
    let oldest = scrape.figure(r#"outbox_parked_oldest_age_seconds{exchange="auth.events"}"#).unwrap();
    assert!((12_000.0..12_060.0).contains(&oldest), "it is among those that are counted: {oldest}");
}

/// Goes red when a scrape waits for the database as long as the database likes, or tells what it once knew.
#[tokio::test]
async fn figures_of_a_database_that_accepts_and_says_nothing_are_absent_after_a_second() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://warren@{}/warren", silent.local_addr().unwrap());
    let pool = PgPoolOptions::new().connect_lazy(&url).unwrap();
    let (exposition, health) = told(&Metrics::default(), &pool);
    let began = Instant::now();
    let scrape = Scrape::from(&exposition).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(scrape.count("database_figures_up"), 0);
    assert!(scrape.series_of("outbox_rows").is_empty(), "{}", scrape.text());
    assert_eq!(health.readiness().checks["outbox"], "the database can't be asked");
    assert_eq!(scrape.count(r#"database_connections{state="busy"}"#), 0, "what needs no database is told");
}

/// Goes red when a relay that comes too late publishes, settles and counts a window with nothing in it.
#[tokio::test]
async fn rows_that_another_relay_holds_are_no_window() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    append_all(database.pool(), &outbox(), [Fact { number: 1 }]).await;
    let mut holder = database.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM outbox FOR UPDATE").execute(&mut *holder).await.unwrap();
    let relay = RunningRelay::start(&database, &broker, &outbox(), 500);
    let (exposition, _) = told(&relay.metrics, database.pool());
    eventually(DEADLINE, "the relay to have looked", async || {
        (relay.health.readiness().checks["relay"] == "up").then_some(())
    })
    .await;
    assert_eq!(Scrape::from(&exposition).await.count("relay_window_messages_count"), 0);
    holder.rollback().await.unwrap();
    eventually(DEADLINE, "the row to leave", async || (waiting(&database).await == 0).then_some(())).await;
    relay.stop().await.unwrap();
    assert_eq!(Scrape::from(&exposition).await.count("relay_window_messages_count"), 1);
}
