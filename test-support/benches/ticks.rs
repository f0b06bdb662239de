//! 10,000 schedules of which 1,000 are due in the same second: `cargo xtask bench ticks`.
//!
//! Two schedulers (`scheduler tick`) side by side, the database durable. How late a run is: from its due instant to the commit of its
//! row, both by PostgreSQL's clock (`track_commit_timestamp`). Before that, what one scheduler (`scheduler run`) costs that has
//! nothing to do: of 10,000 schedules none is due, and nothing is in the outbox.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends at a fault and prints what it found"
)]

use std::process::ExitCode;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use test_support::distribution::Distribution;
use test_support::faults::PrivatePostgres;
use test_support::machine::{cpu_time, load};
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, eventually};

const SCHEDULES: i64 = 10_000;
const DUE: i64 = 1_000;
const ROUNDS: i64 = 6;
/// So that all rounds are over before the first run has waited for a minute: it would be told of once more, in a new row.
const EVERY_SECONDS: i64 = 8;
const IDLE_FOR: Duration = Duration::from_mins(1);
const DEADLINE: Duration = Duration::from_mins(2);
const LATENESS_MAX: Duration = Duration::from_secs(1);
const IDLE_MAX: f64 = 0.01;

#[tokio::main]
async fn main() -> ExitCode {
    let mut postgres = PrivatePostgres::start().await;
    let (database, broker) = (postgres.database_with_commit_instants().await, TestBroker::create().await);
    let pool = database.pool();
    make_schedules(pool).await;
    let scheduler = Program::scheduler(&database, &broker).env("RUST_LOG", "warn").start().await;
    let idle = idle(&scheduler).await;
    drop(scheduler);
    println!(
        "an idle scheduler over {SCHEDULES} schedules: {:.2} % of a core (limit {:.0} %); load {}",
        idle * 100.0,
        IDLE_MAX * 100.0,
        load()
    );

    let ticker = |name: &str| {
        Program::scheduler(&database, &broker).arg("tick").env("INSTANCE_NAME", name).env("RUST_LOG", "warn")
    };
    let tickers = [ticker("a").start().await, ticker("b").start().await];
    let lateness = lateness(pool).await;
    drop(tickers);
    println!("{DUE} of {SCHEDULES} schedules due at once, {ROUNDS} times, two schedulers: runs are late by");
    println!("  {lateness} (limit of p99: {} ms); load {}", LATENESS_MAX.as_millis(), load());
    let is_kept = idle <= IDLE_MAX && lateness.percentile(99) <= LATENESS_MAX;
    println!("{}", if is_kept { "every limit is kept" } else { "a limit is not kept" });
    ExitCode::from(u8::from(!is_kept))
}

/// They are nobody's who runs here, and so nobody retires them: code made them.
async fn make_schedules(pool: &PgPool) {
    let make = format!(
        "INSERT INTO job_schedules (schedule_key, job_key, timetable, origin, catch_up_max, catch_up_window_seconds,
             timeout_seconds, attempts_max, watermark, next_due_at, created_at, updated_at)
         SELECT 'bench-' || number, 'bench', '@yearly', 'enqueued', 1, 60, 60, 1, now(), now() + interval '1 year', now(), now()
         FROM generate_series(1, {SCHEDULES}) AS number"
    );
    sqlx::query(AssertSqlSafe(make)).execute(pool).await.unwrap();
    sqlx::query("ANALYZE job_schedules").execute(pool).await.unwrap();
}

/// The share of a core that a program takes.
async fn idle(program: &RunningProgram) -> f64 {
    // What it does at its start is not meant.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = cpu_time(program.pid());
    tokio::time::sleep(IDLE_FOR).await;
    cpu_time(program.pid()).saturating_sub(before).as_secs_f64() / IDLE_FOR.as_secs_f64()
}

async fn lateness(pool: &PgPool) -> Distribution {
    let begin = format!(
        "UPDATE job_schedules SET timetable = 'every {EVERY_SECONDS}s', watermark = now(),
             starts_at = date_trunc('second', now()) + interval '5 seconds',
             next_due_at = date_trunc('second', now()) + interval '5 seconds',
             ends_at = date_trunc('second', now()) + interval '5 seconds' + interval '{} seconds'
         WHERE schedule_key IN (SELECT 'bench-' || number FROM generate_series(1, {DUE}) AS number)",
        (ROUNDS - 1) * EVERY_SECONDS
    );
    sqlx::query(AssertSqlSafe(begin)).execute(pool).await.unwrap();
    eventually(DEADLINE, "every run to be written", async || {
        let written: i64 = sqlx::query_scalar("SELECT count(*) FROM job_runs WHERE job_key = 'bench'")
            .fetch_one(pool)
            .await
            .unwrap();
        (written == ROUNDS * DUE).then_some(())
    })
    .await;
    let late: Vec<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - scheduled_at)::float8 FROM job_runs \
         WHERE job_key = 'bench'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    Distribution::of(late.into_iter().map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
}
