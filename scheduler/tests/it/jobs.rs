//! The built-in jobs, each run once.

use chrono::TimeDelta;
use scheduler::jobs::{
    Job, JobContext, JobResult, Printer, make_partitions, print_user_tasks, purge_expired,
    purge_parked_ticks, purge_runs,
};
use shared::ids::RunId;
use shared::telemetry::TraceContext;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bench::{Bench, at};

pub(crate) async fn run(bench: &Bench, job: Job, args: serde_json::Value) -> JobResult {
    run_until(bench, job, args, CancellationToken::new()).await
}

async fn run_until(bench: &Bench, job: Job, args: serde_json::Value, stop: CancellationToken) -> JobResult {
    job.run(JobContext {
        run_id: RunId(Uuid::nil()),
        scheduled_at: at("09:00:00"),
        attempt: 1,
        args,
        database: bench.as_program.clone(),
        outbox: bench.outbox.clone(),
        clock: bench.clock.clone(),
        printer: Printer::to(bench.printed.clone()),
        trace: TraceContext::new(&bench.entropy),
        stop,
    })
    .await
}

/// Purges to the end; gives the line that says what was done.
async fn purge(bench: &Bench) -> String {
    run(bench, purge_expired::job(), serde_json::json!({})).await.unwrap()
}

const USERS: &str = "INSERT INTO users (username, email, password, date_joined)
    VALUES ('admin', 'admin@example.org', '!', now()), ('user', 'user@example.org', '!', now())";

#[tokio::test]
async fn the_tasks_of_a_user_are_printed_newest_first_and_kept() {
    let bench = Bench::new().await;
    bench.run_sql(USERS).await;
    bench
        .run_sql(
            "INSERT INTO tasks (user_id, title, duration, created_at, updated_at) VALUES
                 (1, 'older', '1 day 02:00', '2026-05-01', '2026-05-01'),
                 (1, 'newer', '00:30:00.5', '2026-05-02', '2026-05-02'),
                 (2, 'somebody else''s', '1 hour', now(), now())",
        )
        .await;
    let output = run(&bench, print_user_tasks::job(), serde_json::json!({ "user_id": 1 })).await.unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "user 1 (admin) at 2026-05-04T09:00:00Z: 2 task(s), newest first");
    assert!(lines[2].contains("newer  00:30:00.500000"), "{output}");
    assert!(lines[3].contains("older  1 02:00:00"), "{output}");
    assert_eq!((lines.len(), bench.printed.text()), (4, output.clone()));
}

#[tokio::test]
async fn no_tasks_no_user_and_no_sense_are_told_apart() {
    let bench = Bench::new().await;
    bench.run_sql(USERS).await;
    let print = |user| run(&bench, print_user_tasks::job(), serde_json::json!({ "user_id": user }));
    assert!(
        print(serde_json::json!(2)).await.unwrap().ends_with("(user) at 2026-05-04T09:00:00Z: no tasks\n")
    );
    assert!(print(serde_json::json!(77)).await.unwrap().ends_with("no such user\n"));
    assert!(print(serde_json::json!("x")).await.is_err());
}

/// Session 1: every token ran out; 2: one lives; 3: ended before; 4: has none left; 5: begun a moment ago.
const SESSIONS: &str = "
    INSERT INTO user_sessions (id, user_id, is_active, login_time, logout_time, end_reason)
    SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 1 + n % 2, n <> 3,
           timestamptz '2026-05-04T09:00:00Z' - CASE n WHEN 5 THEN interval '10 s' ELSE interval '2 days' END,
           CASE n WHEN 3 THEN timestamptz '2026-05-03' END, CASE n WHEN 3 THEN 'logout' END
    FROM generate_series(1, 5) AS n;
    INSERT INTO outstanding_tokens (jti, user_id, session_id, created_at, expires_at)
    SELECT 'jti' || n, 1, ('00000000-0000-0000-0000-00000000000' || session)::uuid, '2026-05-02', expires
    FROM (VALUES (1, 1, timestamptz '2026-05-03'), (2, 1, '2026-05-04T09:00:00Z'), (3, 2, '2026-05-03'),
                 (4, 2, '2026-05-05'), (5, 3, '2026-05-03')) AS token (n, session, expires);
    INSERT INTO blacklisted_tokens (token_id, blacklisted_at, reason)
    SELECT id, '2026-05-03', 'logout' FROM outstanding_tokens WHERE jti IN ('jti4', 'jti5')";

#[tokio::test]
async fn expired_tokens_go_and_the_sessions_that_lived_by_them_end() {
    let bench = Bench::new().await;
    bench.run_sql(USERS).await;
    bench.run_sql(SESSIONS).await;
    assert_eq!(
        purge(&bench).await,
        "ended 2 expired session(s), deleted 4 expired token(s), 1 of them blacklisted, 0 old change(s) of \
         standing, 0 old count(s) of wrong passwords, and 0 old idempotency key(s)\n"
    );
    let left: Vec<String> =
        sqlx::query_scalar("SELECT jti FROM outstanding_tokens").fetch_all(bench.pool()).await.unwrap();
    assert_eq!(left, ["jti4"]);
    assert_eq!(bench.count("SELECT count(*) FROM blacklisted_tokens").await, 1);
    let ended: Vec<String> = sqlx::query_scalar(
        "SELECT right(id::text, 1) FROM user_sessions WHERE end_reason = 'expired' ORDER BY id",
    )
    .fetch_all(bench.pool())
    .await
    .unwrap();
    assert_eq!(ended, ["1", "4"]);
    assert_eq!(bench.events("auth.session.ended").await, 2);
    assert_eq!(
        purge(&bench).await,
        "ended 0 expired session(s), deleted 0 expired token(s), 0 of them blacklisted, 0 old change(s) of \
         standing, 0 old count(s) of wrong passwords, and 0 old idempotency key(s)\n"
    );
}

/// A token that has expired is good for its leeway, and so may be what was made of it: were its row gone, nothing would
/// be left to say that it is blacklisted.
#[tokio::test]
async fn an_expired_token_whose_row_is_still_needed_stays_and_keeps_its_session() {
    let bench = Bench::new().await;
    bench.run_sql(USERS).await;
    bench.run_sql(SESSIONS).await;
    bench.run_sql("UPDATE outstanding_tokens SET kept_until = '2026-05-04T09:00:00.000001Z'").await;
    assert!(purge(&bench).await.contains("deleted 0 expired token(s)"));
    assert_eq!(bench.count("SELECT count(*) FROM outstanding_tokens").await, 5);
    let without_tokens = "SELECT count(*) FROM user_sessions WHERE end_reason = 'expired'";
    assert_eq!(bench.count(without_tokens).await, 1, "only session 4 has no token left");
    bench
        .run_sql("UPDATE outstanding_tokens SET kept_until = '2026-05-04T09:00:00Z' WHERE jti = 'jti1'")
        .await;
    assert!(purge(&bench).await.contains("deleted 1 expired token(s)"));
}

#[tokio::test]
async fn thousands_are_purged_in_batches() {
    let bench = Bench::new().await;
    bench.run_sql(USERS).await;
    bench
        .run_sql(
            "INSERT INTO user_sessions (id, user_id, login_time)
             SELECT gen_random_uuid(), 1 + n % 2, '2026-05-01' FROM generate_series(1, 250) AS n;
             INSERT INTO outstanding_tokens (jti, user_id, created_at, expires_at)
             SELECT 'jti' || n, 1, '2026-05-01', '2026-05-02' FROM generate_series(1, 2500) AS n",
        )
        .await;
    let output = purge(&bench).await;
    assert!(output.starts_with("ended 250 expired session(s), deleted 2500 expired token(s)"), "{output}");
    assert_eq!(bench.events("auth.session.ended").await, 250);
}

#[tokio::test]
async fn counts_of_wrong_passwords_go_a_day_after_their_last_try_and_their_last_wait() {
    let bench = Bench::new().await;
    let counts = "INSERT INTO login_limits (kind, key, failures, counted_from, tried_at, locked_until)
        SELECT 'account', sha256(name::bytea), 9, tried_at, tried_at, locked_until
        FROM (SELECT $1::timestamptz - interval '1 day' AS at) AS day, LATERAL (VALUES
            ('old', at - interval '1 second', NULL), ('old wait', at - interval '1 hour', at - interval '1 second'),
            ('new', at, NULL), ('new wait', at - interval '1 hour', at)
        ) AS given (name, tried_at, locked_until)";
    sqlx::query(counts).bind(bench.clock.now()).execute(bench.pool()).await.unwrap();
    let many = "INSERT INTO login_limits (kind, key, failures, counted_from, tried_at)
        SELECT 'address', sha256(n::text::bytea), 1, '2026-05-01', '2026-05-01' FROM generate_series(1, 2500) AS n";
    bench.run_sql(many).await;
    let output = purge(&bench).await;
    assert!(output.contains(" 2502 old count(s) of wrong passwords,"), "{output}");
    let left = "SELECT count(*) FROM login_limits WHERE key IN (sha256('new'), sha256('new wait'))";
    assert_eq!((bench.count(left).await, bench.count("SELECT count(*) FROM login_limits").await), (2, 2));
}

#[tokio::test]
async fn a_purge_that_is_asked_to_stop_stops_between_batches_and_says_so() {
    let bench = Bench::new().await;
    bench.run_sql(USERS).await;
    bench.run_sql(SESSIONS).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let output = run_until(&bench, purge_expired::job(), serde_json::json!({}), stop).await.unwrap();
    assert!(output.contains("deleted 0") && output.contains("stopped early"), "{output}");
}

#[tokio::test]
async fn partitions_are_made_ahead_and_only_once() {
    let bench = Bench::new().await;
    bench.clock.advance(TimeDelta::days(3650));
    let make = || run(&bench, make_partitions::job(), serde_json::json!({}));
    assert!(make().await.unwrap().starts_with("made 4 partition(s)"));
    assert!(make().await.unwrap().starts_with("made 0 partition(s)"));
}

/// Whose changes of standing are left by a purge that says it deleted two.
async fn users_left_by_a_purge_of_two_changes(bench: &Bench) -> Vec<i64> {
    let output = purge(bench).await;
    assert!(output.contains(", 2 old change(s) of standing, "), "{output}");
    let query = sqlx::query_scalar("SELECT user_id FROM standing_changes ORDER BY user_id");
    query.fetch_all(bench.pool()).await.unwrap()
}

/// A replica reads a change when its transaction has committed, however old the change is by then. User 1 and 2 changed
/// long ago; 3 in a long transaction that was still going on when 4 changed, an hour and a minute ago; 5 changed lately.
#[tokio::test]
async fn changes_of_standing_go_an_hour_after_their_transactions_ended() {
    let bench = Bench::new().await;
    bench
        .run_sql(
            "INSERT INTO standing_changes (user_id, at, transaction, horizon) VALUES
                 (1, '2026-05-04T06:00:00Z', '100', '90'), (2, '2026-05-04T07:00:00Z', '110', '101'),
                 (3, '2026-05-04T07:10:00Z', '120', '111'), (4, '2026-05-04T07:59:00Z', '130', '120'),
                 (5, '2026-05-04T08:59:00Z', '140', '135')",
        )
        .await;
    assert_eq!(users_left_by_a_purge_of_two_changes(&bench).await, [3, 4, 5]);
}

/// They come with a dump. Goes red when nothing deletes them, and when the purge believes what they say about
/// transactions: then it deletes changes that nobody has read.
#[tokio::test]
async fn changes_with_transactions_of_another_cluster_go_at_once_and_take_no_others_along() {
    let bench = Bench::new().await;
    bench
        .run_sql(
            "INSERT INTO standing_changes (user_id, at, transaction, horizon) VALUES
                 (1, '2026-05-04T07:00:00Z', '100', '90'), (2, '2026-05-04T07:59:00Z', '1000000000000', '999999999999'),
                 (3, '2026-05-04T08:30:00Z', '1000000000001', '999999999999')",
        )
        .await;
    bench.run_sql("INSERT INTO standing_changes (user_id) VALUES (4)").await;
    assert_eq!(users_left_by_a_purge_of_two_changes(&bench).await, [1, 4]);
}

/// A key is promised to be known for a day. Goes red when the purge takes one before, or leaves one behind.
#[tokio::test]
async fn idempotency_keys_go_after_their_day_and_not_before() {
    let bench = Bench::new().await;
    bench.run_sql(USERS).await;
    bench
        .run_sql(
            "INSERT INTO idempotency_keys (user_id, key, request, created_at)
             SELECT 1 + n % 2, sha256(n::text::bytea), sha256('request'), at
             FROM (SELECT n, CASE n WHEN 1 THEN timestamptz '2026-05-04T09:00:00Z' WHEN 2 THEN '2026-05-03T09:00:00.000001Z'
                       WHEN 3 THEN '2026-05-03T09:00:00Z' ELSE '2026-05-01' END AS at
                   FROM generate_series(1, 2500) AS n) AS known",
        )
        .await;
    let output = purge(&bench).await;
    assert!(output.ends_with("and 2498 old idempotency key(s)\n"), "{output}");
    let left = "SELECT count(*) FROM idempotency_keys WHERE created_at > '2026-05-03T09:00:00Z'";
    assert_eq!(bench.count(left).await, 2);
    assert_eq!(bench.count("SELECT count(*) FROM idempotency_keys").await, 2);
    assert!(purge(&bench).await.ends_with("and 0 old idempotency key(s)\n"));
}

#[tokio::test]
async fn runs_gaps_and_ended_schedules_go_when_they_are_old_and_nothing_else_does() {
    let bench = Bench::new().await;
    // The clock of these tests stands at nine on the fourth of May.
    bench
        .run_sql(
            "INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, state, attempts_max, timeout_seconds,
                 run_after, finished_at)
             SELECT gen_random_uuid(), 'old', 'old', '2026-01-01'::timestamptz + n * interval '1 second', 'default', 'failed',
                 1, 1, now(), '2026-02-03 09:00Z'::timestamptz + (n - 1500) * interval '1 second'
             FROM generate_series(1, 1501) AS n;
             INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, attempts_max, timeout_seconds, run_after)
             VALUES (gen_random_uuid(), 'waits', 'waits', '2020-01-01', 'default', 1, 1, now());
             INSERT INTO job_gaps (schedule_key, first_at, last_at, instants, reason, recorded_at)
             VALUES ('old', '2020-01-01', '2025-03-28 09:00Z', 9, 'missed', now()),
                 ('old', '2025-03-29', '2025-03-29', 1, 'missed', now());
             INSERT INTO job_schedules (schedule_key, job_key, timetable, origin, catch_up_max, catch_up_window_seconds,
                 timeout_seconds, attempts_max, watermark, next_due_at, ends_at, created_at, updated_at)
             SELECT key, 'any', 'every 60s', origin, 1, 1, 1, 1, now(), next, ends, now(), now()
             FROM (VALUES
                 ('ended', 'enqueued', NULL::timestamptz, '2026-01-01'::timestamptz),
                 ('ends', 'enqueued', now(), '2026-01-01'),
                 ('lately', 'enqueued', NULL, '2026-05-01'),
                 ('of-the-registry', 'registry', NULL, '2026-01-01')
             ) AS given (key, origin, next, ends)",
        )
        .await;
    let output = run(&bench, purge_runs::job(), serde_json::json!({})).await.unwrap();
    assert_eq!(output, "deleted 1500 old run(s), 1 old gap(s) and 1 schedule(s) that had ended\n");
    assert_eq!(bench.count("SELECT count(*) FROM job_runs").await, 2);
    assert_eq!(bench.count("SELECT count(*) FROM job_schedules").await, 3);
}

#[tokio::test]
async fn parked_ticks_go_when_nobody_needs_them_and_facts_stay() {
    let bench = Bench::new().await;
    bench
        .run_sql(
            "INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, state, attempts_max, timeout_seconds,
                 run_after, queued_at, finished_at)
             SELECT ('018f0000-0000-7000-8000-00000000000' || n)::uuid, 'report', 'report', now() + n * interval '1 second',
                 'sales', state, 1, 1, now(), now(), CASE state WHEN 'failed' THEN now() END
             FROM (VALUES (1, 'queued'), (2, 'failed')) AS given (n, state);
             INSERT INTO outbox_parked (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason, retry_at)
             SELECT n, gen_random_uuid(), exchange, 'sales.report', '{}',
                 format('{\"data\":{\"run_id\":\"018f0000-0000-7000-8000-00000000000%s\"}}', run), now(), 3, '312', now()
             FROM (VALUES
                 (1, 'job.ticks', 1), (2, 'job.ticks', 1), (3, 'job.ticks', 1),
                 (4, 'job.ticks', 2), (5, 'job.ticks', 3), (6, 'auth.events', 2)
             ) AS given (n, exchange, run)",
        )
        .await;
    let output = run(&bench, purge_parked_ticks::job(), serde_json::json!({})).await.unwrap();
    let first = "deleted 4 parked tick(s) that nobody needs\n1 parked of auth.events, the oldest since ";
    assert!(output.starts_with(first), "{output}");
    assert_eq!(bench.count("SELECT count(*) FROM outbox_parked WHERE seq IN (3, 6)").await, 2);
    assert_eq!(bench.count("SELECT count(*) FROM outbox_parked").await, 2);
}
