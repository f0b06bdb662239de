//! `kill -9` of everything in the middle of ten thousand events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared::clock::Clock;
use shared::contracts::tasks::{TaskCreated, TaskFact, TaskState};
use shared::contracts::{Event, Origin};
use shared::entropy::Entropy;
use shared::ids::{TaskId, UserId};
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;
use sqlx::PgPool;
use test_support::api::{Login, try_send};
use test_support::faults::PrivateRabbitmq;
use test_support::programs::{Program, RunningProgram};
use test_support::{TestDatabase, assert_same_ids, eventually, settled};
use tokio::task::JoinHandle;
use uuid::Uuid;

const EVENTS: i64 = 10_000;
const DEADLINE: Duration = Duration::from_mins(3);

/// Notes every event that is ever committed to the outbox: what must be in the trail at the end.
async fn note_every_event(database: &TestDatabase) {
    for statement in [
        "CREATE TABLE committed_events (event_id uuid PRIMARY KEY)",
        "CREATE FUNCTION note_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
         'BEGIN INSERT INTO committed_events VALUES (NEW.event_id); RETURN NULL; END'",
        // A tick is a command and no fact: it is not in the trail.
        "CREATE TRIGGER note_event AFTER INSERT ON outbox FOR EACH ROW WHEN (NEW.exchange <> 'job.ticks') \
         EXECUTE FUNCTION note_event()",
    ] {
        sqlx::query(statement).execute(database.pool()).await.unwrap();
    }
}

async fn committed(database: &TestDatabase) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM committed_events").fetch_one(database.pool()).await.unwrap()
}

async fn recorded(database: &TestDatabase) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM audit.events").fetch_one(database.pool()).await.unwrap()
}

/// Users who plan tasks until `stop`, whatever happens to the API.
fn plan_tasks(api: &RunningProgram, login: &Login, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let planner = |number: usize| {
        let (client, login, stop) = (api.client(), login.clone(), stop.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let task =
                    serde_json::json!({ "title": format!("planner {number}"), "duration": "01:00:00" });
                let request = client.request(reqwest::Method::POST, "/api/tasks/").bearer_auth(&login.access);
                match try_send(request.json(&task)).await {
                    Ok(answer) if answer.status == 201 => {}
                    // Told to come back: under this load a connection may not come free in time. Nothing was committed.
                    Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.body),
                    // The API is dead; whether it had committed, nobody knows.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
    };
    (0..8).map(planner).collect()
}

/// Another program that commits facts in transactions of ten, until enough were committed by all.
fn commit_facts(database: &TestDatabase, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (pool, stop): (PgPool, _) = (database.pool().clone(), stop.clone());
    let outbox = Outbox::new("test", Clock::system(), Entropy::system());
    tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            let mut transaction = pool.begin().await.unwrap();
            for _ in 0..10 {
                let trace = TraceContext::new(&Entropy::system());
                outbox.append(&mut transaction, &trace, fact()).await.unwrap();
            }
            transaction.commit().await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
}

fn fact() -> impl Event {
    let at = Clock::system().now();
    let task = TaskState {
        id: TaskId(0),
        title: "not by the API".to_owned(),
        duration_microseconds: 1,
        version: 1,
        created_at: at,
        updated_at: at,
    };
    let (username, origin) = ("test".to_owned(), Origin::default());
    TaskCreated(TaskFact { user_id: UserId(0), username, session_id: None, task, origin })
}

/// Goes red when the consumer acknowledges before its commit, when the relay deletes before the confirm, when the trail
/// has no key, and when the API commits a fact without its event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_are_ten_thousand_rows_though_consumer_api_and_broker_are_killed() {
    let mut rabbitmq = PrivateRabbitmq::start().await;
    let (database, broker) = (TestDatabase::create().await, rabbitmq.broker().await);
    note_every_event(&database).await;
    let mut api = Program::producer_api(&database, &broker).start().await;
    // Batches so small that a kill surely meets one that is written and not acknowledged, or the other way round.
    let mut consumer = Program::audit_consumer(&database, &broker).env("AUDIT_BATCH_MAX", "50").start().await;
    let login = api.client().join("ada").await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = plan_tasks(&api, &login, &stop);
    load.push(commit_facts(&database, &stop));
    let reached = async |share: i64, what: &str| {
        let goal = EVENTS * share / 100;
        eventually(DEADLINE, format!("{goal} events, to kill {what}"), async || {
            (committed(&database).await >= goal).then_some(())
        })
        .await;
    };

    reached(10, "the consumer").await;
    kill_with_a_batch_in_hand(&mut consumer, &database).await;
    reached(25, "the API").await;
    consumer.start_again();
    api.kill();
    reached(35, "nothing").await;
    api.restart().await;
    reached(50, "the broker").await;
    rabbitmq.kill().await;
    rabbitmq.start_again().await;
    reached(70, "consumer and API at once").await;
    consumer.kill();
    api.kill();
    consumer.start_again();
    api.restart().await;
    reached(100, "nobody any more").await;

    stop.store(true, Ordering::Relaxed);
    for one in load {
        one.await.unwrap();
    }
    let total = committed(&database).await;
    assert!(total >= EVENTS);
    settled(DEADLINE, "a row for every event", total, async || recorded(&database).await).await;
    assert_every_event_once(&database).await;
}

/// Kills the consumer while a lock keeps its batch from being committed: an acknowledgement that was sent too early
/// would lose that batch.
async fn kill_with_a_batch_in_hand(consumer: &mut RunningProgram, database: &TestDatabase) {
    let lock = database.lock_table("audit.events").await;
    database.wait_for_a_blocked_writer("audit.events").await;
    consumer.kill();
    lock.rollback().await.unwrap();
}

async fn assert_every_event_once(database: &TestDatabase) {
    let ids = async |query: &'static str| -> Vec<Uuid> {
        sqlx::query_scalar(query).fetch_all(database.pool()).await.unwrap()
    };
    let rows = ids("SELECT event_id FROM audit.events").await;
    assert_same_ids("rows of the trail", rows, ids("SELECT event_id FROM committed_events").await);
    // Every task that exists has its event, and every event its task.
    let (tasks, told): (Vec<i64>, Vec<i64>) = sqlx::query_as(
        "SELECT (SELECT array_agg(id ORDER BY id) FROM tasks), \
         (SELECT array_agg(id ORDER BY id) FROM (SELECT (body::jsonb #>> '{data,task,id}')::bigint AS id \
         FROM audit.events WHERE type = 'task.created') AS told WHERE id > 0)",
    )
    .fetch_one(database.pool())
    .await
    .unwrap();
    assert!(tasks.len() > 100, "the API was hardly used: {} tasks", tasks.len());
    assert_eq!(tasks, told);
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(database.pool()).await.unwrap();
    assert_eq!(left, 0, "nothing waits any more");
    for table in ["audit.quarantine", "outbox_parked"] {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap();
        assert_eq!(count, 0, "{table}");
    }
}
