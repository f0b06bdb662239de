//! What the scheduler tells Prometheus.

use scheduler::jobs::JobError;
use scheduler::schedule::ScheduleFigures;
use scheduler::worker::{Registry, execute};
use shared::clock::Clock;
use shared::metrics::{Exposition, Figures, Metrics};
use test_support::metrics::Scrape;

use crate::bench::{Bench, KEY, at};

fn told(bench: &Bench, figures: Vec<Box<dyn Figures>>) -> Exposition {
    Exposition::new("scheduler", bench.metrics.clone(), bench.pool(), &Clock::system(), figures)
}

#[tokio::test]
async fn every_attempt_is_counted_by_how_it_ended_and_schedules_are_told_as_they_stand() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let registry = Bench::registry(|context| match context.attempt {
        1 => Err(JobError::passing("the sheep can't be counted")("they moved")),
        _ => Ok(String::new()),
    });
    let workshop = bench.workshop(registry.clone());
    let exposition = told(&bench, vec![Box::new(ScheduleFigures::new(&bench.metrics, &registry))]);
    let attempts = |scrape: &Scrape, outcome: &str| {
        scrape.count(&format!(r#"scheduler_attempts_total{{job_key="{KEY}",outcome="{outcome}"}}"#))
    };
    let fresh = Scrape::from(&exposition).await;
    for outcome in ["succeeded", "retried", "failed", "fenced", "abandoned"] {
        assert_eq!(attempts(&fresh, outcome), 0, "{outcome} is there from the start");
    }
    assert_eq!(fresh.count(r#"scheduler_runs{state="queued"}"#), 1);
    assert_eq!(fresh.count(r#"scheduler_runs{state="running"}"#), 0);
    let overdue = fresh.figure(&format!(r#"scheduler_overdue_seconds{{job_key="{KEY}"}}"#));
    assert!(overdue > Some(60.0), "its next instant was in May: {overdue:?}");

    execute(&workshop, bench.claim(&workshop, run_id).await).await;
    bench.run_sql("UPDATE job_runs SET run_after = '2026-05-04T09:05:00Z'").await;
    assert_eq!(bench.rescue(at("09:05:00")).await.retried, 1);
    execute(&workshop, bench.claim(&workshop, run_id).await).await;
    let scrape = Scrape::from(&exposition).await;
    for (outcome, count) in [("retried", 1), ("succeeded", 1), ("failed", 0), ("abandoned", 0)] {
        assert_eq!(attempts(&scrape, outcome), count, "{outcome}");
    }
    let durations = format!(r#"scheduler_attempt_duration_seconds_count{{job_key="{KEY}"}}"#);
    assert_eq!(scrape.count(&durations), 2);
}

/// Red if a backfill or tasks for next week look like a worker that is gone.
#[tokio::test]
async fn queued_runs_whose_time_has_not_come_are_told_apart_from_those_that_wait_for_a_worker() {
    let bench = Bench::new().await;
    let registry = Bench::registry(|_| Ok(String::new()));
    let runs = async |state: &str| {
        read_now(&bench, &registry).await.count(&format!(r#"scheduler_runs{{state="{state}"}}"#))
    };
    bench.queued_run().await;
    assert_eq!((runs("queued").await, runs("not_due").await), (1, 0));
    bench.run_sql("UPDATE job_runs SET queued_at = NULL, run_after = now() + interval '1 hour'").await;
    assert_eq!((runs("queued").await, runs("not_due").await), (0, 1));
    bench.run_sql("UPDATE job_runs SET run_after = now()").await;
    assert_eq!((runs("queued").await, runs("not_due").await), (1, 0));
}

/// Figures are kept for a moment; nobody has asked these.
async fn read_now(bench: &Bench, registry: &Registry) -> Scrape {
    let metrics = Metrics::default();
    let figures: Box<dyn Figures> = Box::new(ScheduleFigures::new(&metrics, registry));
    Scrape::from(&Exposition::new("scheduler", metrics, bench.pool(), &Clock::system(), vec![figures])).await
}

/// Red if a run that fails without a worker of ours is told to nobody who watches.
#[tokio::test]
async fn runs_that_failed_for_good_are_told_by_job_whoever_had_them_and_whatever_they_died_of() {
    let bench = Bench::new().await;
    let registry = Bench::registry(|_| Ok(String::new()));
    let failed = async |job: &str| {
        read_now(&bench, &registry).await.count(&format!(r#"scheduler_failed_runs{{job_key="{job}"}}"#))
    };
    assert_eq!((failed(KEY).await, failed("unknown").await), (0, 0));
    bench.queued_run().await;
    bench.run_sql("UPDATE job_runs SET state = 'failed', error_kind = 'canceled', finished_at = now()").await;
    assert_eq!(failed(KEY).await, 0, "somebody wanted it to end");
    bench.run_sql("UPDATE job_runs SET error_kind = 'lease_lost'").await;
    assert_eq!((failed(KEY).await, failed("unknown").await), (1, 0));
    bench.run_sql("UPDATE job_runs SET job_key = 'sales-report'").await;
    assert_eq!((failed(KEY).await, failed("unknown").await), (0, 1));
    bench.run_sql("UPDATE job_runs SET finished_at = now() - interval '61 minutes'").await;
    assert_eq!((failed(KEY).await, failed("unknown").await), (0, 0));
}

#[tokio::test]
async fn a_ticker_counts_what_it_writes_and_what_was_missed() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    let ticker = bench.ticker();
    while ticker.tick().await.unwrap().more {}
    bench.run_sql("UPDATE job_schedules SET timetable = 'at the full moon', next_due_at = now()").await;
    ticker.tick().await.unwrap();
    let scrape = Scrape::from(&told(&bench, Vec::new())).await;
    let counted = async |sql| u64::try_from(bench.count(sql).await).unwrap();
    let written = counted("SELECT count(*) FROM job_runs").await;
    let missed = counted("SELECT sum(instants)::bigint FROM job_gaps").await;
    assert!(written > 0 && missed > 0, "{written} {missed}");
    assert_eq!(scrape.count("scheduler_ticks_written_total"), written);
    assert_eq!(scrape.count("scheduler_schedules_unreadable_total"), 1);
    assert_eq!(scrape.count(r#"scheduler_instants_not_run_total{reason="missed"}"#), missed);
}
