//! The commands about schedules and runs, over the real binary, and what a scheduler makes of them.

use std::time::Duration;

use serde_json::Value;
use shared::database::Role;
use test_support::programs::{Ended, Program};
use test_support::{TestBroker, TestDatabase, eventually};

use crate::gate::Gate;

const DEADLINE: Duration = Duration::from_mins(1);
const JOB: &str = "print-user-tasks";
const PURGE: &str = "purge-expired-tokens";
const WITHOUT_A_BROKER: &str = "--queue default --set AMQP_URL=amqp://nobody@127.0.0.1:1/none";

async fn run(database: &TestDatabase, line: &str) -> Ended {
    let program = Program::named("scheduler").env("DATABASE_URL", &database.url_as(Role::Scheduler));
    line.split(' ').fold(program, Program::arg).run().await
}

#[track_caller]
fn objects(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    ended.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One line that says what is wrong, and nothing on standard output.
#[track_caller]
fn assert_failed(ended: &Ended, code: i32, text: &str) {
    assert_eq!(ended.code, Some(code), "{}", ended.log);
    assert!(ended.log.contains(text) && ended.output.is_empty(), "{}{}", ended.log, ended.output);
}

async fn count(database: &TestDatabase, what: &'static str) -> i64 {
    sqlx::query_scalar(what).fetch_one(database.pool()).await.unwrap()
}

#[tokio::test]
async fn schedules_and_runs_are_listed_shown_and_acted_upon_and_the_scheduler_obeys() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let scheduler = Program::scheduler(&database, &broker).start().await;

    let listed = objects(&run(&database, "schedules list --json").await);
    let one = listed.iter().find(|schedule| schedule["schedule_key"] == JOB).unwrap();
    assert_eq!(
        (one["timetable"].as_str(), one["next"].as_array().map(Vec::len)),
        (Some("* * * * *"), Some(5))
    );
    let table = run(&database, "schedules list").await.output;
    assert!(
        table.starts_with("KEY") && table.contains("purge-expired-tokens") && table.contains("active"),
        "{table}"
    );

    let words = "--reason look --actor ada --json";
    let paused = objects(&run(&database, &format!("schedules pause {JOB} {words}")).await);
    assert_eq!(paused[0]["outcome"], "paused");
    assert_failed(&run(&database, &format!("schedules pause {JOB} --reason x")).await, 1, "paused already");
    assert_failed(&run(&database, "schedules pause nothing --reason x").await, 1, "no schedule \"nothing\"");
    assert_failed(&run(&database, &format!("schedules pause {JOB}")).await, 2, "--reason");
    let shown = run(&database, &format!("schedules show {JOB}")).await.output;
    assert!(
        shown.contains("paused_by") && shown.contains("ada") && shown.contains("NOT RUN FROM"),
        "{shown}"
    );

    let requested = objects(&run(&database, &format!("schedules run {JOB} {words}")).await);
    let id = requested[0]["run_id"].as_str().unwrap().to_owned();
    eventually(DEADLINE, "the run that was asked for", async || {
        let shown = objects(&run(&database, &format!("runs show {id} --json")).await).remove(0);
        (shown["state"] == "succeeded").then_some(shown)
    })
    .await;
    let people = run(&database, &format!("runs show {id}")).await.output;
    assert!(people.contains("no such user") && people.contains("manual"), "{people}");
    let replayed = run(&database, &format!("runs replay {id} --reason x")).await;
    assert_eq!(replayed.code, Some(1), "{}", replayed.log);
    assert!(replayed.output.contains("only what has failed"), "{}", replayed.output);

    // What was canceled once, and replayed, can be canceled once more.
    let of_others = "INSERT INTO job_runs (id, schedule_key, job_key, queue, scheduled_at, due_at, run_after, args, attempts_max,
            timeout_seconds, state, queued_at)
        VALUES (gen_random_uuid(), 'nightly', 'report', 'sales', now(), now(), now(), '{}', 3, 60, 'queued', now())";
    sqlx::raw_sql(of_others).execute(database.pool()).await.unwrap();
    for (line, outcome) in [
        ("runs cancel --all --job report", "canceled"),
        ("runs replay --all --job report --error-kind canceled", "replayed"),
        ("runs cancel --all --job report", "canceled"),
    ] {
        let deeds = objects(&run(&database, &format!("{line} {words}")).await);
        assert_eq!(deeds.iter().map(|deed| &deed["outcome"]).collect::<Vec<_>>(), [outcome], "{line}");
    }

    let wrong = format!("schedules override {JOB} --timetable @often --reason x");
    assert_failed(&run(&database, &wrong).await, 1, "@hourly");
    for line in [
        format!("schedules override {JOB} --timetable @daily --time-zone Asia/Kolkata {words}"),
        format!("schedules reset {JOB} {words}"),
        format!("schedules resume {JOB} {words}"),
    ] {
        assert_eq!(run(&database, &line).await.code, Some(0), "{line}");
    }
    let runs =
        objects(&run(&database, &format!("runs list --job {JOB} --state succeeded --limit 1 --json")).await);
    assert_eq!(runs.len(), 1);
    drop(scheduler);
}

#[tokio::test]
async fn process_ticks_and_works_without_a_broker_for_as_long_as_it_is_told() {
    let database = TestDatabase::create().await;
    let process = format!("process --duration 1s {WITHOUT_A_BROKER}");
    let ended = run(&database, &process).await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let requested = objects(&run(&database, &format!("schedules run {JOB} --reason test --json")).await);
    let id = requested[0]["run_id"].as_str().unwrap();
    let ended = run(&database, &process).await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.output.contains("no such user"), "{}", ended.output);
    let shown = objects(&run(&database, &format!("runs show {id} --json")).await);
    assert_eq!(shown[0]["state"], "succeeded");
    assert_eq!(count(&database, "SELECT count(*) FROM job_schedules WHERE retired_at IS NULL").await, 7);
}

/// Goes red when the end of the ticker, or of the program, takes the run along.
#[tokio::test]
async fn process_that_is_asked_to_stop_does_the_run_in_hand_to_its_end() {
    let database = TestDatabase::create().await;
    assert_eq!(run(&database, &format!("process --duration 1s {WITHOUT_A_BROKER}")).await.code, Some(0));
    // Its own time may come meanwhile.
    assert_eq!(run(&database, &format!("schedules pause {PURGE} --reason test")).await.code, Some(0));
    let token = "INSERT INTO users (username, email, password, date_joined) VALUES ('ada', '', '!', now());
        INSERT INTO outstanding_tokens (jti, user_id, created_at, expires_at)
        VALUES ('jti', 1, now() - interval '2 days', now() - interval '1 day')";
    sqlx::raw_sql(token).execute(database.pool()).await.unwrap();
    let mut gate = Gate::shut(&database).await;
    let requested = objects(&run(&database, &format!("schedules run {PURGE} --reason test --json")).await);
    let id = requested[0]["run_id"].as_str().unwrap();
    let process = Program::named("scheduler").env("DATABASE_URL", &database.url_as(Role::Scheduler));
    let line = format!("process {WITHOUT_A_BROKER}");
    let mut process = line.split(' ').fold(process, Program::arg).spawn();
    gate.wait_for(1).await;
    process.ask_to_stop();
    eventually(DEADLINE, "the program to say that it was asked to stop", async || {
        process.log().contains("asked to stop").then_some(())
    })
    .await;
    gate.open().await;
    let status = process.ended().await;
    assert!(status.success(), "{status}: {}", process.log());
    let shown = objects(&run(&database, &format!("runs show {id} --json")).await);
    assert_eq!((shown[0]["state"].as_str(), shown[0]["attempt"].as_i64()), (Some("succeeded"), Some(1)));
}
