//! From the commit of a fact to the commit of its audit row, at a steady rate through the three real programs.
//!
//! Tasks are made over HTTP at fixed instants, whatever the ones before take; each is one transaction with one event.
//! PostgreSQL itself says when each transaction committed (`track_commit_timestamp`): that of the task's row and that of the
//! audit row's, by one clock.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use test_support::api::{Client, Login, try_send};
use test_support::distribution::Distribution;
use test_support::programs::Program;
use test_support::{TestBroker, TestDatabase};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep};

use crate::backlog::DEADLINE;
use crate::report::Report;
use crate::size::Size;

const WARM_UP_SECONDS: u32 = 5;
const USERS: usize = 20;
const MEDIAN_MAX: Duration = Duration::from_millis(20);
const PERCENTILE_99_MAX: Duration = Duration::from_millis(100);

pub(crate) async fn measure(database: &TestDatabase, size: &Size, report: &mut Report) {
    sqlx::query("TRUNCATE outbox, outbox_confirmed, audit.events").execute(database.pool()).await.unwrap();
    let broker = TestBroker::create().await;
    let api = Program::producer_api(database, &broker).start().await;
    let _consumer = Program::audit_consumer(database, &broker).start().await;
    // Its mails go to standard output: a mail server that is missing would cost retries.
    let _scheduler = Program::scheduler(database, &broker).env("EMAIL_BACKEND", "console").start().await;
    let client = api.client();
    let mut logins = Vec::new();
    for number in 0..USERS {
        logins.push(client.join(&format!("user_{number}")).await);
    }
    let asked = size.a_second * (WARM_UP_SECONDS + size.steady_seconds);
    let made = make_tasks(&client, &logins, size.a_second, asked).await;
    let what = format!("latency: {} tasks a second", size.a_second);
    report.kept_pace(&what, &made.answers, made.took, WARM_UP_SECONDS + size.steady_seconds);
    let latencies = latencies(database.pool()).await;
    let counted = latencies.into_iter().skip(usize::try_from(size.a_second * WARM_UP_SECONDS).unwrap());
    let latencies = Distribution::of(counted);
    println!("latency: commit of the fact to commit of its audit row: {latencies}");
    report.below("latency: median", latencies.median(), MEDIAN_MAX);
    report.below("latency: 99th percentile", latencies.percentile(99), PERCENTILE_99_MAX);
}

/// How the making of tasks went.
struct Made {
    /// How many answers there were of each status; 0 where none came.
    answers: BTreeMap<u16, usize>,
    /// From the first request to the last answer.
    took: Duration,
}

/// Makes tasks at their instants, whatever the ones before take.
async fn make_tasks(client: &Client, logins: &[Login], a_second: u32, count: u32) -> Made {
    let began = Instant::now();
    let mut instants = interval_at(began, Duration::from_secs(1) / a_second);
    let mut running = JoinSet::new();
    for number in 0..usize::try_from(count).unwrap() {
        instants.tick().await;
        let (client, login) = (client.clone(), logins[number % logins.len()].clone());
        running.spawn(async move {
            let body = json!({ "title": "measured", "duration": "01:00:00" });
            let request = client.request(Method::POST, "/api/tasks/").bearer_auth(&login.access).json(&body);
            try_send(request).await.map_or(0, |answer| answer.status)
        });
    }
    let mut answers = BTreeMap::new();
    for status in running.join_all().await {
        *answers.entry(status).or_default() += 1;
    }
    Made { answers, took: began.elapsed() }
}

/// Of every task that was made, in their order, once each has its audit row.
async fn latencies(database: &PgPool) -> Vec<Duration> {
    let tasks: i64 = sqlx::query_scalar("SELECT count(*) FROM tasks").fetch_one(database).await.unwrap();
    let began = Instant::now();
    loop {
        let seconds: Vec<f64> = sqlx::query_scalar(
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(recorded.xmin) - pg_xact_commit_timestamp(fact.xmin))::float8 \
             FROM tasks AS fact JOIN audit.events AS recorded \
                 ON recorded.type = 'task.created' AND recorded.body::jsonb ->> 'subject' = 'tasks/' || fact.id \
             ORDER BY fact.id",
        )
        .fetch_all(database)
        .await
        .unwrap();
        if seconds.len() == usize::try_from(tasks).unwrap() {
            return seconds.into_iter().map(Duration::from_secs_f64).collect();
        }
        assert!(began.elapsed() < DEADLINE, "{} of {tasks} tasks have an audit row", seconds.len());
        sleep(Duration::from_millis(500)).await;
    }
}
