//! Runs that code enqueues in its own transaction, without a schedule.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use scheduler::jobs::{Definition, Job};
use scheduler::schedule::catalogue::Synced;
use scheduler::worker::Registry;
use serde_json::{Value, json};
use shared::ids::RunId;
use shared::runs::{NewRuns, enqueue};
use shared::telemetry::TraceContext;
use sqlx::{PgConnection, PgPool};

use crate::bench::{Bench, KEY, at, definition};

async fn enqueue_all_at(
    bench: &Bench,
    connection: &mut PgConnection,
    args: &[Value],
    now: DateTime<Utc>,
) -> Vec<RunId> {
    let timeout = Duration::from_secs(30);
    let runs = NewRuns { job_key: KEY, queue: "default", args, attempts_max: 5, timeout };
    let trace = TraceContext::new(&bench.entropy);
    enqueue(connection, &bench.outbox, &bench.entropy, &trace, &runs, now).await.unwrap()
}

async fn enqueue_at(bench: &Bench, connection: &mut PgConnection, args: &Value, now: DateTime<Utc>) -> RunId {
    enqueue_all_at(bench, connection, std::slice::from_ref(args), now).await[0]
}

async fn instants(pool: &PgPool) -> BTreeSet<DateTime<Utc>> {
    let all: Vec<_> = sqlx::query_scalar("SELECT scheduled_at FROM job_runs").fetch_all(pool).await.unwrap();
    let count = all.len();
    let different: BTreeSet<_> = all.into_iter().collect();
    assert_eq!(different.len(), count);
    different
}

#[tokio::test]
async fn a_run_is_enqueued_with_the_fact_that_wants_it_or_not_at_all() {
    let bench = Bench::new().await;
    let mut transaction = bench.pool().begin().await.unwrap();
    enqueue_at(&bench, &mut transaction, &json!({}), at("09:00:00")).await;
    transaction.rollback().await.unwrap();
    assert_eq!(bench.count("SELECT count(*) FROM job_runs").await, 0);
    assert_eq!(bench.events("default.count-sheep").await, 0);

    let mut transaction = bench.pool().begin().await.unwrap();
    let run_id = enqueue_at(&bench, &mut transaction, &json!({ "sheep": 7 }), at("09:00:00")).await;
    transaction.commit().await.unwrap();
    assert_eq!(bench.events("default.count-sheep").await, 1);
    assert_eq!(bench.execute(run_id, |context| Ok(context.args.to_string())).await, "succeeded 1");
    assert_eq!(bench.count(r#"SELECT count(*) FROM job_runs WHERE output = '{"sheep":7}'"#).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_enqueued_at_one_moment_each_have_an_instant_of_their_own() {
    let bench = &Bench::new().await;
    let now = at("09:00:00");
    let mut transaction = bench.pool().begin().await.unwrap();
    for _ in 0..3 {
        enqueue_at(bench, &mut transaction, &json!({}), now).await;
    }
    transaction.commit().await.unwrap();
    assert_eq!(instants(bench.pool()).await.into_iter().next_back().unwrap(), now + Duration::from_micros(2));

    let enqueuing = (0..12).map(|number| async move {
        let mut transaction = bench.pool().begin().await.unwrap();
        // Some begin in the middle of what others want.
        let now = now + Duration::from_micros(number % 3);
        enqueue_all_at(bench, &mut transaction, &vec![json!({}); 4], now).await;
        transaction.commit().await.unwrap();
    });
    futures_util::future::join_all(enqueuing).await;
    assert_eq!(instants(bench.pool()).await.len(), 3 + 12 * 4);
    assert_eq!(bench.events("default.count-sheep").await, 3 + 12 * 4);
}

#[tokio::test]
async fn many_runs_are_enqueued_in_the_order_of_their_arguments() {
    let bench = Bench::new().await;
    let args: Vec<Value> = (0..3).map(|number| json!({ "number": number })).collect();
    let mut transaction = bench.pool().begin().await.unwrap();
    let ids = enqueue_all_at(&bench, &mut transaction, &args, at("09:00:00")).await;
    assert!(enqueue_all_at(&bench, &mut transaction, &[], at("09:00:00")).await.is_empty());
    transaction.commit().await.unwrap();
    let rows: Vec<(uuid::Uuid, Value)> =
        sqlx::query_as("SELECT id, args FROM job_runs ORDER BY scheduled_at")
            .fetch_all(bench.pool())
            .await
            .unwrap();
    assert_eq!(rows, ids.iter().map(|id| id.0).zip(args).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_job_without_a_schedule_is_never_due_and_retires_the_one_it_had() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    let unscheduled = Definition { timetable: None, ..definition() };
    let unscheduled = Registry::new([Job::new(unscheduled, |_| std::future::ready(Ok(String::new())))]);
    let retired = Synced { retired: 1, ..Synced::default() };
    assert_eq!(bench.prove(&unscheduled, at("09:02:00")).await, retired);
    assert_eq!(bench.prove(&unscheduled, at("09:02:10")).await, Synced::default());
    assert_eq!(bench.tick(at("09:05:00")).await.runs(), 0);
}
