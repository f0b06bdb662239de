//! Two schedulers over one database: every instant is run once, whoever dies.
//!
//! `print-user-tasks` runs each minute; here its row is told to run each second, so that a test takes seconds and not
//! minutes. The code that ticks and works is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, eventually, settled};

/// A killed worker's lease must run out before its run is taken over.
const DEADLINE: Duration = Duration::from_mins(2);
const JOB: &str = "print-user-tasks";

async fn make_user_1(database: &TestDatabase) {
    for statement in [
        "INSERT INTO users (username, email, password, date_joined) VALUES ('admin', '', '!', now())",
        "INSERT INTO tasks (user_id, title, duration, created_at, updated_at) \
         VALUES (1, 'water the plants', '1 hour', now(), now())",
    ] {
        sqlx::query(statement).execute(database.pool()).await.unwrap();
    }
}

/// From now on an instant is due each second; those since the last minute are, too.
async fn run_each_second(database: &TestDatabase) {
    sqlx::query(
        "UPDATE job_schedules SET timetable = '* * * * * *', registry_timetable = timetable, registry_time_zone = time_zone, \
         catch_up_max = 100, next_due_at = clock_timestamp() WHERE schedule_key = $1",
    )
    .bind(JOB)
    .execute(database.pool())
    .await
    .unwrap();
}

/// No further instant is due.
async fn run_no_more(database: &TestDatabase) {
    sqlx::query("UPDATE job_schedules SET next_due_at = NULL WHERE schedule_key = $1")
        .bind(JOB)
        .execute(database.pool())
        .await
        .unwrap();
}

async fn count(database: &TestDatabase, condition: &str) -> i64 {
    let query = format!("SELECT count(*) FROM job_runs WHERE job_key = '{JOB}' AND {condition}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(database.pool()).await.unwrap()
}

async fn wait_for_succeeded(database: &TestDatabase, at_least: i64) {
    eventually(DEADLINE, format!("{at_least} runs that succeeded"), async || {
        (count(database, "state = 'succeeded'").await >= at_least).then_some(())
    })
    .await;
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Whether each second from the first run to the watermark has exactly one run that succeeded with its output.
async fn every_instant_once(database: &TestDatabase) -> Result<usize, String> {
    let runs: Vec<(DateTime<Utc>, String, Option<String>)> = sqlx::query_as(
        "SELECT scheduled_at, state, output FROM job_runs WHERE job_key = $1 ORDER BY scheduled_at",
    )
    .bind(JOB)
    .fetch_all(database.pool())
    .await
    .unwrap();
    let watermark: DateTime<Utc> =
        sqlx::query_scalar("SELECT watermark FROM job_schedules WHERE job_key = $1")
            .bind(JOB)
            .fetch_one(database.pool())
            .await
            .unwrap();
    let gaps: i64 =
        sqlx::query_scalar("SELECT count(*) FROM job_gaps").fetch_one(database.pool()).await.unwrap();
    if gaps > 0 {
        return Err(format!("{gaps} gap(s)"));
    }
    let mut expected = runs.first().ok_or("nothing ran")?.0;
    for (scheduled_at, state, output) in &runs {
        if *scheduled_at != expected {
            return Err(format!("{scheduled_at} came where {expected} should"));
        }
        if state != "succeeded" {
            return Err(format!("{scheduled_at} {state}"));
        }
        let printed = output.as_deref().unwrap_or_default();
        if !printed.contains(&instant(*scheduled_at)) || !printed.contains("water the plants") {
            return Err(format!("{scheduled_at} printed {printed:?}"));
        }
        expected += TimeDelta::seconds(1);
    }
    if watermark < expected - TimeDelta::seconds(1) || watermark >= expected {
        return Err(format!("the last run is before {expected}, the watermark is {watermark}"));
    }
    Ok(runs.len())
}

/// How often each instant was printed to the standard outputs of these programs.
fn printed(programs: &[&RunningProgram]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for program in programs {
        for line in program.output().lines().filter(|line| line.starts_with("user 1 (admin) at ")) {
            let at = line.split(' ').nth(4).unwrap_or_default().trim_end_matches(':').to_owned();
            *times.entry(at).or_default() += 1;
        }
    }
    times
}

async fn start_two(database: &TestDatabase, broker: &TestBroker) -> [RunningProgram; 2] {
    let scheduler = |name: &str| Program::scheduler(database, broker).env("INSTANCE_NAME", name).start();
    [scheduler("one").await, scheduler("two").await]
}

/// Goes red without the unique key of the run, and without the lock on the schedule.
#[tokio::test]
async fn two_schedulers_run_and_print_each_instant_once() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    make_user_1(&database).await;
    let [one, two] = start_two(&database, &broker).await;
    run_each_second(&database).await;
    wait_for_succeeded(&database, 20).await;
    run_no_more(&database).await;
    settled(DEADLINE, "every run to have ended", 0, async || count(&database, "state <> 'succeeded'").await)
        .await;
    let runs = every_instant_once(&database).await.unwrap();
    let printed = printed(&[&one, &two]);
    assert!(printed.values().all(|times| *times == 1), "{printed:?}");
    assert_eq!(printed.len(), runs);
}

/// Goes red when a run whose worker died is not taken over, and when a tick is lost with its scheduler.
#[tokio::test]
async fn a_scheduler_killed_in_the_middle_leaves_no_instant_out() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    make_user_1(&database).await;
    let [mut one, two] = start_two(&database, &broker).await;
    run_each_second(&database).await;
    let before = count(&database, "true").await;
    wait_for_succeeded(&database, before + 5).await;
    one.kill();
    let at_the_kill = count(&database, "true").await;
    wait_for_succeeded(&database, at_the_kill + 10).await;
    run_no_more(&database).await;
    settled(DEADLINE, "every run to have ended", 0, async || count(&database, "state <> 'succeeded'").await)
        .await;
    every_instant_once(&database).await.unwrap();
    drop(two);
}

/// A whole outage: nobody is there for five minutes' worth of minutes, and each is made up for once.
#[tokio::test]
async fn what_was_due_while_no_scheduler_ran_is_made_up_for_once() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    make_user_1(&database).await;
    let [mut one, mut two] = start_two(&database, &broker).await;
    one.kill();
    two.kill();
    let last_minute: DateTime<Utc> = sqlx::query_scalar(
        "UPDATE job_schedules SET watermark = watermark - interval '4 minutes', \
         next_due_at = next_due_at - interval '4 minutes' WHERE job_key = $1 \
         RETURNING watermark + interval '4 minutes'",
    )
    .bind(JOB)
    .fetch_one(database.pool())
    .await
    .unwrap();
    one.start_again();
    two.start_again();
    let minute_before = last_minute - TimeDelta::minutes(4);
    settled(DEADLINE, "the four minutes", 4_i64, async || {
        sqlx::query_scalar(
            "SELECT count(*) FROM job_runs \
             WHERE job_key = $1 AND state = 'succeeded' AND scheduled_at > $2 AND scheduled_at <= $3",
        )
        .bind(JOB)
        .bind(minute_before)
        .bind(last_minute)
        .fetch_one(database.pool())
        .await
        .unwrap()
    })
    .await;
    let minutes: (i64, i64) =
        sqlx::query_as("SELECT count(*), count(DISTINCT scheduled_at) FROM job_runs WHERE job_key = $1")
            .bind(JOB)
            .fetch_one(database.pool())
            .await
            .unwrap();
    assert_eq!(minutes.0, minutes.1);
}

/// Broken on purpose: shows that the check above is not blind. Without the key a second ticker's row would stand.
#[tokio::test]
async fn without_the_unique_key_of_the_run_the_check_goes_red() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    make_user_1(&database).await;
    let scheduler = Program::scheduler(&database, &broker).start().await;
    run_each_second(&database).await;
    wait_for_succeeded(&database, 3).await;
    run_no_more(&database).await;
    settled(DEADLINE, "every run to have ended", 0, async || count(&database, "state <> 'succeeded'").await)
        .await;
    every_instant_once(&database).await.unwrap();
    drop(scheduler);
    let again = "INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, state, attempts_max, timeout_seconds, \
                 run_after, queued_at, finished_at, output) \
                 SELECT gen_random_uuid(), schedule_key, job_key, scheduled_at, queue, state, attempts_max, timeout_seconds, \
                 run_after, queued_at, finished_at, output FROM job_runs LIMIT 1";
    let refused = sqlx::query(again).execute(database.pool()).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().constraint(), Some("job_runs_tick_key"));
    sqlx::query("ALTER TABLE job_runs DROP CONSTRAINT job_runs_tick_key")
        .execute(database.pool())
        .await
        .unwrap();
    sqlx::query(again).execute(database.pool()).await.unwrap();
    every_instant_once(&database).await.unwrap_err();
}
