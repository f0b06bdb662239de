//! Tasks as Django's background tasks have them: enqueued by code in its own transaction, for later, again and again, once or
//! in place of another; and seen in views of the names that are known from there.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::control::{pause, remove};
use shared::runs::{Enqueued, Existing, Repeat, Task, enqueue_task};
use shared::telemetry::TraceContext;
use test_support::settled;

use crate::bench::{Bench, KEY, at};
use crate::remote::operation;

async fn enqueue(bench: &Bench, task: &Task<'_>, now: DateTime<Utc>) -> Enqueued {
    let mut transaction = bench.as_program.begin().await.unwrap();
    let trace = TraceContext::new(&bench.entropy);
    let enqueued =
        enqueue_task(&mut transaction, &bench.outbox, &bench.entropy, &trace, task, now).await.unwrap();
    transaction.commit().await.unwrap();
    enqueued
}

async fn views(bench: &Bench) -> (Vec<Value>, Vec<Value>) {
    let read = async |sql: &'static str| sqlx::query_scalar(sql).fetch_all(bench.pool()).await.unwrap();
    (
        read("SELECT to_jsonb(task) FROM background_task AS task ORDER BY run_at").await,
        read("SELECT to_jsonb(task) FROM background_task_completedtask AS task ORDER BY run_at").await,
    )
}

#[tokio::test]
async fn a_task_for_later_waits_for_its_time_and_is_run_once() {
    let bench = Bench::new().await;
    let args = json!({ "sheep": 7 });
    let later = Task {
        run_at: Some(at("10:00:00")),
        priority: 4,
        verbose_name: "count them",
        creator: Some("ada"),
        backoff: Duration::from_mins(15),
        ..Task::new(KEY, &args)
    };
    let Enqueued::Run(run_id) = enqueue(&bench, &later, at("09:00:00")).await else { unreachable!() };
    assert_eq!(bench.events("default.count-sheep").await, 0);
    let (waiting, _) = views(&bench).await;
    assert_eq!(waiting[0]["task_params"], "[[], {\"sheep\": 7}]");
    for (column, value) in [("task_name", json!(KEY)), ("priority", json!(4)), ("creator", json!("ada"))] {
        assert_eq!(waiting[0][column], value);
    }
    let waits = "SELECT count(*) FROM job_runs WHERE backoff_seconds = 900 AND backoff_max_seconds = 900";
    assert_eq!(bench.count(waits).await, 1);
    assert_eq!(bench.rescue(at("09:59:59")).await.queued, 0);
    assert_eq!(bench.rescue(at("10:00:00")).await.queued, 1);
    assert_eq!(bench.rescue(at("10:00:01")).await.queued, 0);
    assert_eq!(bench.events("default.count-sheep").await, 1);
    assert_eq!(bench.execute(run_id, |context| Ok(context.args.to_string())).await, "succeeded 1");
    let (waiting, done) = views(&bench).await;
    assert_eq!((waiting.len(), done.len(), &done[0]["failed_at"]), (0, 1, &Value::Null));
}

#[tokio::test]
async fn a_task_whose_time_has_passed_is_run_now() {
    let bench = Bench::new().await;
    let args = json!({});
    let late = Task { run_at: Some(at("08:00:00")), ..Task::new(KEY, &args) };
    enqueue(&bench, &late, at("09:00:00")).await;
    assert_eq!(bench.events("default.count-sheep").await, 1);
}

#[tokio::test]
async fn a_repeated_task_is_run_from_its_time_on_until_its_end_and_no_build_retires_it() {
    let bench = Bench::new().await;
    bench.sync(&Bench::registry(|_| Ok(String::new())), at("08:59:00")).await;
    bench.run_sql("UPDATE job_schedules SET next_due_at = NULL").await;
    let args = json!({});
    let repeat = Repeat { every: Duration::from_secs(90), until: Some(at("09:04:30")) };
    let repeated = Task { run_at: Some(at("09:00:00")), repeat: Some(repeat), ..Task::new(KEY, &args) };
    let Enqueued::Schedule(key) = enqueue(&bench, &repeated, at("08:59:00")).await else { unreachable!() };
    assert!(key.starts_with("count-sheep:"), "{key}");
    let ahead = "SELECT count(*) FROM job_schedules WHERE watermark > '2026-05-04 08:59:00Z'";
    assert_eq!(bench.count(ahead).await, 0, "one that begins later is not ahead of the clock");
    let (waiting, _) = views(&bench).await;
    assert_eq!((&waiting[0]["repeat"], &waiting[0]["state"]), (&json!(90), &json!("scheduled")));
    let mut runs = Vec::new();
    for second in 0..600 {
        let now = at("08:59:00") + TimeDelta::seconds(second);
        if bench.tick(now).await.runs() > 0 {
            runs.push(now.format("%H:%M:%S").to_string());
        }
    }
    assert_eq!(runs, ["09:00:00", "09:01:30", "09:03:00", "09:04:30"]);
    bench.sync(&Bench::registry(|_| Ok(String::new())), at("10:00:00")).await;
    assert_eq!(bench.count("SELECT count(*) FROM job_schedules WHERE retired_at IS NOT NULL").await, 0);
    assert_eq!(
        bench.count("SELECT count(*) FROM background_task WHERE repeat IS NOT NULL").await,
        0,
        "it has ended"
    );
    let mut connection = bench.as_program.acquire().await.unwrap();
    let trace = TraceContext::new(&bench.entropy);
    for (every, until) in [
        (Duration::from_millis(900), None),
        (Duration::from_millis(1_500), None),
        (Duration::from_hours(24 * 3_661), None),
        (Duration::from_mins(1), Some(at("08:59:59"))),
    ] {
        let wrong = Task { repeat: Some(Repeat { every, until }), ..repeated };
        let refused =
            enqueue_task(&mut connection, &bench.outbox, &bench.entropy, &trace, &wrong, at("09:00:00"))
                .await;
        assert!(refused.unwrap_err().to_string().contains("a second or more"), "{every:?} {until:?}");
    }
}

#[tokio::test]
async fn of_a_task_that_is_there_the_old_one_is_kept_or_replaced_as_the_code_says() {
    let bench = Bench::new().await;
    let (args, others) = (json!({ "flock": 1 }), json!({ "flock": 2 }));
    let now = at("09:00:00");
    let task = |existing, run_at: &str| Task { run_at: Some(at(run_at)), existing, ..Task::new(KEY, &args) };
    assert!(matches!(enqueue(&bench, &task(Existing::Keep, "10:00:00"), now).await, Enqueued::Run(_)));
    assert_eq!(enqueue(&bench, &task(Existing::Keep, "11:00:00"), now).await, Enqueued::There);
    let other = Task { existing: Existing::Keep, ..Task::new(KEY, &others) };
    assert!(matches!(enqueue(&bench, &other, now).await, Enqueued::Run(_)));
    assert!(matches!(enqueue(&bench, &task(Existing::Ignore, "11:00:00"), now).await, Enqueued::Run(_)));
    assert_eq!(bench.count("SELECT count(*) FROM job_runs").await, 3);
    assert!(matches!(enqueue(&bench, &task(Existing::Replace, "12:00:00"), now).await, Enqueued::Run(_)));
    let (waiting, _) = views(&bench).await;
    let times: Vec<_> = waiting.iter().map(|task| task["run_at"].as_str().unwrap().to_owned()).collect();
    assert_eq!(times, ["2026-05-04T09:00:00+00:00", "2026-05-04T12:00:00+00:00"]);

    // What was tried is no trace the less.
    bench
        .run_sql("UPDATE job_runs SET state = 'retrying', attempt = 1 WHERE due_at > '2026-05-04 11:30Z'")
        .await;
    assert!(matches!(enqueue(&bench, &task(Existing::Replace, "13:00:00"), now).await, Enqueued::Run(_)));
    let tried = "SELECT count(*) FROM job_runs WHERE state = 'failed' AND error_kind = 'canceled' AND finished_at IS NOT NULL";
    assert_eq!((bench.count(tried).await, bench.events("job.run.failed").await), (1, 1));

    let repeat = Some(Repeat { every: Duration::from_mins(1), until: None });
    let repeated = Task { repeat, ..task(Existing::Replace, "09:00:00") };
    for _ in 0..3 {
        assert!(matches!(enqueue(&bench, &repeated, now).await, Enqueued::Schedule(_)));
    }
    assert_eq!(enqueue(&bench, &task(Existing::Keep, "11:00:00"), now).await, Enqueued::There);
    bench.tick(at("09:00:00")).await;
    assert_eq!(bench.tick(at("09:01:00")).await.runs(), 1, "those that were replaced have ended");
    assert_eq!(bench.count("SELECT count(*) FROM background_task WHERE repeat IS NOT NULL").await, 1);

    // An operator's word outlives the replacement.
    bench
        .run_sql(
            "UPDATE job_schedules SET paused_at = now(), paused_by = 'ada', paused_reason = 'a look',
                 registry_timetable = timetable, registry_time_zone = time_zone, timetable = '@daily'
             WHERE task_hash IS NOT NULL",
        )
        .await;
    enqueue(&bench, &repeated, at("09:02:00")).await;
    let kept = "SELECT count(*) FROM job_schedules WHERE task_hash IS NOT NULL AND paused_by = 'ada'
        AND timetable = '@daily' AND registry_timetable = 'every 60s'";
    assert_eq!(bench.count(kept).await, 1);
}

/// Red if a run that fails in the very moment of its replacement is deleted, and nobody told of its attempt.
#[tokio::test]
async fn a_run_that_fails_while_it_is_replaced_is_no_trace_the_less() {
    let bench = Bench::new().await;
    let args = json!({ "flock": 1 });
    let task = Task::new(KEY, &args);
    for _ in 0..2 {
        enqueue(&bench, &task, at("09:00:00")).await;
    }
    // One runs, and somebody holds the other, which was tried.
    bench
        .run_sql(
            "UPDATE job_runs SET state = 'running', attempt = 1, worker = 'a', lease_until = now() + interval '1 minute', started_at = now();
             UPDATE job_runs SET state = 'retrying', lease_until = NULL WHERE id = (SELECT min(id::text)::uuid FROM job_runs)",
        )
        .await;
    let mut other = bench.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM job_runs WHERE state = 'retrying' FOR UPDATE")
        .execute(&mut *other)
        .await
        .unwrap();
    let fails = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        settled(Duration::from_secs(30), "the replacement to wait", 1, async || bench.count(waiting).await)
            .await;
        sqlx::query("UPDATE job_runs SET state = 'retrying', lease_until = NULL")
            .execute(&mut *other)
            .await
            .unwrap();
        other.commit().await.unwrap();
    };
    let replacement = Task { existing: Existing::Replace, ..task };
    let (enqueued, ()) = tokio::join!(enqueue(&bench, &replacement, at("09:01:00")), fails);
    assert!(matches!(enqueued, Enqueued::Run(_)));
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE attempt = 1").await, 2);
}

/// Red if a task that code asks for anew never runs because somebody had paused the one that he then removed.
#[tokio::test]
async fn what_was_said_of_a_repeated_task_that_was_removed_does_not_count_for_the_next_one() {
    let bench = Bench::new().await;
    let args = json!({});
    let repeat = Some(Repeat { every: Duration::from_hours(24), until: None });
    let repeated = Task { repeat, existing: Existing::Replace, ..Task::new(KEY, &args) };
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    // One has begun when code asks anew, the other has not.
    for run_at in [at("09:00:00"), at("09:00:00") + TimeDelta::days(20_000)] {
        let task = Task { run_at: Some(run_at), ..repeated };
        let Enqueued::Schedule(key) = enqueue(&bench, &task, at("08:59:00")).await else { unreachable!() };
        pause(pool, outbox, operation, &key).await.unwrap();
        remove(pool, outbox, operation, &bench.entropy, &key).await.unwrap();
        enqueue(&bench, &task, at("10:00:00")).await;
        let paused = "SELECT count(*) FROM job_schedules WHERE retired_at IS NULL AND paused_at IS NOT NULL";
        assert_eq!(bench.count(paused).await, 0, "from {run_at} on");
    }
    assert_eq!(bench.count("SELECT count(*) FROM job_schedules WHERE retired_at IS NOT NULL").await, 2);
}

#[tokio::test]
async fn tasks_for_one_moment_are_in_nobodys_way() {
    let bench = Bench::new().await;
    bench.schedule(at("08:59:30")).await;
    let args = json!({});
    let task = Task { run_at: Some(at("09:00:00")), ..Task::new(KEY, &args) };
    for _ in 0..60 {
        assert!(matches!(enqueue(&bench, &task, at("08:59:40")).await, Enqueued::Run(_)));
    }
    assert_eq!(bench.tick(at("09:00:00")).await.runs(), 1, "nor in that of a schedule of the job");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_enqueue_the_same_at_once_it_is_there_once() {
    let bench = Bench::new().await;
    let args = json!({});
    let task = Task { existing: Existing::Keep, ..Task::new(KEY, &args) };
    let all = futures_util::future::join_all((0..10).map(|_| enqueue(&bench, &task, at("09:00:00")))).await;
    assert_eq!(all.iter().filter(|enqueued| **enqueued != Enqueued::There).count(), 1);
    assert_eq!(bench.count("SELECT count(*) FROM job_runs").await, 1);
}
