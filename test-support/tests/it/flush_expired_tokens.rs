//! `scheduler flushexpiredtokens` over the real binary: what it deletes, beside whom, and how it ends.

use std::time::Duration;

use shared::role::Role;
use sqlx::AssertSqlSafe;
use test_support::programs::{Ended, Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, eventually, settled};

use crate::gate::Gate;

const DEADLINE: Duration = Duration::from_mins(1);

/// The command, with the one setting it needs.
fn flush(database: &TestDatabase) -> Program {
    Program::named("scheduler")
        .env("DATABASE_URL", &database.url_as(Role::Scheduler))
        .arg("flushexpiredtokens")
}

async fn execute(database: &TestDatabase, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(database.pool()).await.unwrap();
}

async fn count(database: &TestDatabase, what: &str) -> i64 {
    let query = AssertSqlSafe(format!("SELECT count(*) FROM {what}"));
    sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap()
}

/// More than one batch, and less than two.
async fn expire_1500_tokens(database: &TestDatabase) {
    let rows = "INSERT INTO users (username, email, password, date_joined) VALUES ('ada', '', '!', now());
        INSERT INTO outstanding_tokens (jti, user_id, created_at, expires_at)
        SELECT 'jti' || n, 1, now() - interval '2 days', now() - interval '1 day' FROM generate_series(1, 1500) AS n";
    execute(database, rows).await;
}

/// The job is due now, for the minute before this one, and then for a year no more.
async fn run_the_job_once(database: &TestDatabase) {
    let due = "UPDATE job_schedules SET watermark = watermark - interval '1 hour', next_due_at = clock_timestamp(),
            registry_timetable = timetable, registry_time_zone = time_zone,
            timetable = to_char(timezone('UTC', clock_timestamp()) - interval '1 minute', 'FMMI FMHH24 FMDD FMMM \"*\"')
        WHERE job_key = 'purge-expired-tokens'";
    execute(database, due).await;
}

/// How many tokens a purge says that it deleted.
fn deleted(line: &str) -> u32 {
    let (_, words) = line.split_once("deleted ").unwrap();
    words.split(' ').next().unwrap().parse().unwrap()
}

/// Goes red when the command does nothing, when it asks for RabbitMQ, and when an end of a session is not told.
#[tokio::test]
async fn what_has_run_out_is_flushed_at_once_and_told_by_another_programs_relay() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let _consumer = Program::audit_consumer(&database, &broker).start().await;
    let api = Program::producer_api(&database, &broker).start().await;
    let client = api.client();
    let (over, live) = (client.join("ada").await, client.join("grace").await);
    let ada = format!("WHERE user_id = {}", over.user_id);
    execute(&database, &format!("UPDATE outstanding_tokens SET expires_at = now(), kept_until = NULL {ada}"))
        .await;
    execute(&database, &format!("UPDATE user_sessions SET login_time = now() - interval '1 day' {ada}"))
        .await;

    let ended = flush(&database).run().await;
    assert_eq!((ended.code, ended.log.as_str()), (Some(0), ""));
    assert_eq!(
        ended.output,
        "ended 1 expired session(s), deleted 1 expired token(s), 0 of them blacklisted, 0 old change(s) of \
         standing, 0 old count(s) of wrong passwords, and 0 old idempotency key(s)\n"
    );
    eventually(DEADLINE, "the expired session to be refused", async || {
        (client.tasks(&over).await.status == 401).then_some(())
    })
    .await;
    client.refresh(&live.refresh).await.expect(200);
    assert_eq!(count(&database, &format!("outstanding_tokens {ada}")).await, 0);
    settled(DEADLINE, "the session's end in the trail", 1, async || {
        count(&database, "audit.events WHERE type = 'auth.session.ended' AND reason = 'expired'").await
    })
    .await;

    let again = flush(&database).run().await;
    assert!(again.output.starts_with("ended 0 expired session(s), deleted 0"), "{}", again.output);
}

/// Goes red when either waits for rows that the other one has in hand.
#[tokio::test]
async fn a_flush_and_the_job_share_what_is_to_be_deleted() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    expire_1500_tokens(&database).await;
    let mut gate = Gate::shut(&database).await;
    let _scheduler = Program::scheduler(&database, &broker).start().await;
    run_the_job_once(&database).await;
    gate.wait_for(1).await;
    let mut command = flush(&database).spawn();
    gate.wait_for(2).await;
    gate.open().await;
    assert_eq!(command.ended().await.code(), Some(0), "{}", command.log());
    let output = eventually(DEADLINE, "the job's run to succeed", async || {
        let query =
            "SELECT output FROM job_runs WHERE job_key = 'purge-expired-tokens' AND state = 'succeeded'";
        sqlx::query_scalar::<_, String>(query).fetch_optional(database.pool()).await.unwrap()
    })
    .await;
    let shares = (deleted(&output), deleted(&command.output()));
    assert_eq!(shares, (1_000, 500), "job and command");
    assert_eq!(count(&database, "outstanding_tokens").await, 0);
}

/// A flush in the middle of its first batch, and the gate that keeps it there, once it says that it was asked to stop.
async fn asked_to_stop(database: &TestDatabase) -> (RunningProgram, Gate) {
    expire_1500_tokens(database).await;
    let mut gate = Gate::shut(database).await;
    let command = flush(database).spawn();
    gate.wait_for(1).await;
    command.ask_to_stop();
    eventually(DEADLINE, "the command to say that it was asked to stop", async || {
        (command.log() == "scheduler: asked to stop, finishing work in hand\n").then_some(())
    })
    .await;
    (command, gate)
}

/// Goes red when a signal breaks a batch off, when it is passed over, and when nothing is said.
#[tokio::test]
async fn a_flush_that_is_asked_to_stop_finishes_its_batch_and_says_so() {
    let database = TestDatabase::create().await;
    let (mut command, gate) = asked_to_stop(&database).await;
    gate.open().await;
    assert_eq!(command.ended().await.code(), Some(0), "{}", command.log());
    let output = command.output();
    assert_eq!(deleted(&output), 1_000, "{output}");
    assert!(output.ends_with("; stopped early, the next run goes on\n"), "{output}");
    assert_eq!(count(&database, "outstanding_tokens").await, 500);
}

/// Goes red when the command waits for its batch all the same.
#[tokio::test]
async fn a_second_signal_ends_a_flush_at_once() {
    let database = TestDatabase::create().await;
    let (mut command, _gate) = asked_to_stop(&database).await;
    command.ask_to_stop();
    assert_eq!(command.ended().await.code(), Some(1));
    assert!(command.log().ends_with("scheduler: ended at once by a second signal\n"), "{}", command.log());
    assert_eq!(command.output(), "");
}

#[track_caller]
fn assert_failed(ended: &Ended, code: i32, text: &str) {
    assert_eq!((ended.code, ended.output.as_str()), (Some(code), ""), "{}", ended.log);
    assert!(ended.log.contains(text) && !ended.log.contains("hidden"), "{}", ended.log);
}

/// Goes red when a mistake has another exit code, or words that don't say what to do.
#[tokio::test]
async fn a_flush_that_can_not_begin_says_why() {
    let away = Program::named("scheduler").env("DATABASE_URL", "postgres://user:hidden@127.0.0.1:1/warren");
    let away = away.arg("flushexpiredtokens").run().await;
    assert_failed(&away, 1, "PostgreSQL does not answer; check DATABASE_URL");
    assert_eq!(away.log.lines().count(), 1, "{}", away.log);
    let old = flush(&TestDatabase::create_empty().await).run().await;
    assert_failed(&old, 1, "run `producer-api database migrate`");
    assert_eq!(old.log.lines().count(), 1, "{}", old.log);
    let unset = Program::named("scheduler").arg("flushexpiredtokens").run().await;
    assert_failed(&unset, 2, "DATABASE_URL");
}
