//! Every instant gets one answer, whoever gives it.

use std::time::Duration;

use chrono::TimeDelta;
use scheduler::jobs::{Definition, Job};
use scheduler::schedule::watermark;
use scheduler::worker::Registry;

use crate::bench::{Bench, KEY, at, definition};

const TICK: &str = "default.count-sheep";

#[tokio::test]
async fn a_due_instant_becomes_one_run_and_one_tick() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    assert_eq!(bench.tick(at("09:00:59")).await.runs(), 0, "nothing is due yet");
    assert_eq!(bench.tick(at("09:01:00")).await.runs(), 1);
    assert_eq!(bench.tick(at("09:01:01")).await.runs(), 0, "the watermark has moved");
    assert_eq!(bench.events(TICK).await, 1);
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE state = 'queued' AND attempt = 0").await, 1);
}

#[tokio::test]
async fn two_tickers_write_one_run_for_each_instant() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    for minute in 1..=20 {
        let now = at("09:00:00") + TimeDelta::minutes(minute);
        let tickers = tokio::join!(bench.tick(now), bench.tick(now), bench.tick(now));
        assert_eq!(tickers.0.runs() + tickers.1.runs() + tickers.2.runs(), 1, "at {now}");
    }
    assert_eq!(bench.count("SELECT count(DISTINCT scheduled_at) FROM job_runs").await, 20);
    assert_eq!(bench.events(TICK).await, 20);
}

#[tokio::test]
async fn an_instant_that_is_answered_already_is_not_answered_again() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    bench.tick(at("09:02:00")).await;
    // As after a watermark that was set back: only the unique key remembers.
    bench
        .run_sql("UPDATE job_schedules SET watermark = '2026-05-04T09:00:00Z', next_due_at = watermark")
        .await;
    assert_eq!(bench.tick(at("09:02:01")).await.runs(), 0);
    assert_eq!(bench.events(TICK).await, 2, "and no tick is sent twice");
}

#[tokio::test]
async fn the_database_itself_refuses_a_second_run_of_one_instant() {
    let bench = Bench::new().await;
    bench.queued_run().await;
    let doubled = sqlx::query(
        "INSERT INTO job_runs
             (id, schedule_key, job_key, scheduled_at, queue, attempts_max, timeout_seconds, run_after, queued_at)
         SELECT gen_random_uuid(), schedule_key, job_key, scheduled_at, queue, 1, 1, run_after, queued_at FROM job_runs",
    )
    .execute(bench.pool())
    .await;
    let constraint =
        doubled.unwrap_err().as_database_error().and_then(|error| error.constraint().map(str::to_owned));
    assert_eq!(constraint.as_deref(), Some("job_runs_tick_key"));
}

#[tokio::test]
async fn an_outage_leaves_the_newest_runs_and_one_gap_for_the_rest() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    let published = bench.tick(at("09:20:07")).await;
    assert_eq!((published.runs(), published.missed(), published.more), (5, 15, false));
    let gaps = "SELECT count(*) FROM job_gaps WHERE reason = 'missed' AND instants = 15 \
                AND first_at = '2026-05-04T09:01:00Z' AND last_at = '2026-05-04T09:15:00Z'";
    assert_eq!(bench.count(gaps).await, 1);
}

#[tokio::test]
async fn a_year_of_outage_is_answered_in_portions_that_make_one_gap() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    let now = at("09:00:05") + TimeDelta::days(60);
    let mut rounds = 1;
    while bench.tick(now).await.more {
        rounds += 1;
    }
    assert!(rounds > 1, "one transaction must not do it all");
    let instants = i64::from(60 * 24 * 60);
    assert_eq!(bench.count("SELECT count(*) FROM job_gaps").await, 1);
    assert_eq!(bench.count("SELECT instants FROM job_gaps").await, instants - 5);
    assert_eq!(bench.count("SELECT count(*) FROM job_runs").await, 5);
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_keeps_no_other_waiting() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    bench
        .run_sql(
            "INSERT INTO job_schedules (schedule_key, job_key, timetable, catch_up_max, catch_up_window_seconds, timeout_seconds,
                 attempts_max, watermark, next_due_at, created_at, updated_at)
             SELECT 'from-tomorrow', 'from-tomorrow', 'every full moon', 1, 60, 60, 1, watermark, watermark, watermark, watermark
             FROM job_schedules",
        )
        .await;
    assert_eq!(bench.tick(at("09:01:00")).await.runs(), 1);
    assert_eq!(
        bench.count("SELECT count(*) FROM job_schedules WHERE next_due_at > '2026-05-04T09:01:00Z'").await,
        2
    );
}

#[tokio::test]
async fn a_watermark_ahead_of_the_clock_is_set_back_after_an_hour() {
    let bench = Bench::new().await;
    bench.schedule(at("15:00:00")).await;
    for (now, ahead) in [("09:00:30", true), ("09:59:00", true), ("10:00:30", false)] {
        let mut connection = bench.pool().acquire().await.unwrap();
        watermark::watch(&mut connection, at(now)).await.unwrap();
        drop(connection);
        let still = "SELECT count(*) FROM job_schedules WHERE watermark_ahead_since IS NOT NULL";
        assert_eq!(bench.count(still).await, i64::from(ahead), "at {now}");
    }
    assert_eq!(bench.tick(at("10:01:00")).await.runs(), 1, "{KEY} runs again");
}

/// Red if a schedule that was just answered waits for the next look, which may be later than its next instant.
#[tokio::test]
async fn a_ticker_looks_again_when_what_it_has_just_answered_is_due_once_more() {
    let bench = Bench::new().await;
    bench.schedule(bench.now().await - TimeDelta::minutes(2)).await;
    let ticked = bench.ticker().tick().await.unwrap();
    assert!(bench.count("SELECT count(*) FROM job_runs").await >= 2);
    let next = ticked.next_due_in.unwrap();
    // A minute may have begun while it ticked.
    assert!(next <= Duration::from_secs(90), "{next:?}");
}

/// Red if a gap that the other timetable names no instant of keeps every schedule from being set back, and from ticking.
#[tokio::test]
async fn a_watermark_ahead_is_set_back_also_when_the_timetable_has_become_another() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    // The clock is ahead by hours: most of them lie in one gap.
    assert_eq!(bench.tick(at("15:00:00")).await.runs(), 5);
    let noon = Definition { timetable: Some("0 12 * * *"), ..definition() };
    let registry = Registry::new([Job::new(noon, |_| std::future::ready(Ok(String::new())))]);
    for now in ["09:30:00", "10:30:00"] {
        let mut connection = bench.as_program.acquire().await.unwrap();
        watermark::watch(&mut connection, at(now)).await.unwrap();
        drop(connection);
        bench.sync(&registry, at(now)).await;
    }
    let shortened = "SELECT count(*) FROM job_gaps
        WHERE first_at = '2026-05-04T09:01:00Z' AND last_at = first_at AND instants = 1";
    assert_eq!(bench.count(shortened).await, 1);
    assert_eq!(bench.tick(at("12:00:00")).await.runs(), 1, "{KEY} runs again");
}

#[tokio::test]
async fn what_is_due_once_and_has_passed_runs_once_however_often_builds_begin() {
    let bench = Bench::new().await;
    let once = Definition { timetable: Some("at 2020-05-04 09:00"), catch_up_max: 0, ..definition() };
    let registry = Registry::new([Job::new(once, |_| std::future::ready(Ok(String::new())))]);
    for (now, runs) in [("09:00:00", 1), ("09:00:01", 0), ("15:00:00", 0)] {
        bench.sync(&registry, at(now)).await;
        assert_eq!(bench.tick(at(now)).await.runs(), runs, "at {now}");
    }
    bench.prove(&Registry::new([]), at("20:00:00")).await;
    bench.sync(&registry, at("21:00:00")).await;
    assert_eq!(bench.tick(at("21:00:00")).await.runs(), 0, "nor when it is taken up again");
    assert_eq!(bench.count("SELECT count(*) FROM job_gaps").await, 0);
}
