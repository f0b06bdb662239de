//! A run is claimed once, executed under its attempt, and told of.

use std::time::Duration;

use chrono::TimeDelta;
use scheduler::jobs::{Definition, Job, JobError};
use scheduler::worker::{LeaseSettings, Registry, claim, claim_next, execute};
use shared::config::{DatabaseConfig, Secret};
use shared::role::Role;
use test_support::network::Proxy;
use tokio::time::Instant;

use crate::bench::{Bench, at, definition};

const SUCCEEDED: &str = "job.run.succeeded";
const FAILED: &str = "job.run.failed";

fn passing() -> JobError {
    JobError::passing("the sheep can't be counted")("they moved")
}

#[tokio::test]
async fn a_run_succeeds_keeps_its_output_and_is_told_of_once() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    assert_eq!(
        bench.execute(run_id, |context| Ok(format!("due at {}\n", context.scheduled_at))).await,
        "succeeded 1"
    );
    assert_eq!(bench.events(SUCCEEDED).await, 1);
    assert_eq!(
        bench
            .count("SELECT count(*) FROM job_runs WHERE output = E'due at 2026-05-04 09:01:00 UTC\\n'")
            .await,
        1
    );
}

#[tokio::test]
async fn of_two_workers_one_gets_the_run_and_nobody_gets_a_finished_one() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let workshop = bench.workshop(Bench::registry(|_| Ok(String::new())));
    let (one, other) = tokio::join!(claim(&workshop, run_id, None), claim(&workshop, run_id, None));
    let mut claims = [one.unwrap(), other.unwrap()].into_iter().flatten();
    execute(&workshop, claims.next().expect("one of them gets it")).await;
    assert!(claims.next().is_none());
    assert!(claim(&workshop, run_id, None).await.unwrap().is_none());
    assert_eq!(bench.events(SUCCEEDED).await, 1);
}

#[tokio::test]
async fn a_failing_job_is_tried_again_and_then_fails_and_its_schedule_goes_on() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    for attempt in 1..=2 {
        assert_eq!(bench.execute(run_id, |_| Err(passing())).await, format!("retrying {attempt}"));
        assert_eq!(bench.events(FAILED).await, 0, "not before the last attempt");
        bench.run_sql("UPDATE job_runs SET run_after = '2026-05-04T09:05:00Z'").await;
        assert_eq!(bench.rescue(at("09:04:59")).await.retried, 0, "its wait is not over");
        assert_eq!(bench.rescue(at("09:05:00")).await.retried, 1);
    }
    assert_eq!(bench.execute(run_id, |_| Err(passing())).await, "failed 3");
    assert_eq!(bench.events(FAILED).await, 1);
    let told = "SELECT count(*) FROM job_runs WHERE error = 'the sheep can''t be counted: they moved'";
    assert_eq!(bench.count(told).await, 1);
    assert_eq!(bench.events("default.count-sheep").await, 3, "one tick for each attempt");
    assert_eq!(bench.tick(at("09:02:00")).await.runs(), 1, "a schedule outlives its failed runs");
}

#[tokio::test]
async fn what_can_only_fail_again_fails_at_once() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    assert_eq!(bench.execute(run_id, |_| Err(JobError::Lasting("no flock".to_owned()))).await, "failed 1");
    assert_eq!(bench.events(FAILED).await, 1);
}

#[tokio::test]
async fn a_run_of_an_unknown_job_is_left_to_other_builds_fails_if_none_has_it_and_says_so() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let workshop = bench.workshop(Registry::new([]));
    let claimed = bench.claim(&workshop, run_id).await;
    execute(&workshop, claimed).await;
    assert_eq!(bench.state(run_id).await, "retrying 1");
    let left = "SELECT (attempts_max - attempt)::bigint FROM job_runs";
    assert_eq!(bench.count(left).await, 3, "it does not count");
    bench.run_sql("UPDATE job_runs SET state = 'queued', attempts_uncounted = 20, attempts_max = 2").await;
    let claimed = bench.claim(&workshop, run_id).await;
    execute(&workshop, claimed).await;
    assert_eq!(bench.state(run_id).await, "failed 2");
    assert_eq!(
        bench.count("SELECT count(*) FROM job_runs WHERE error_kind = 'unknown_job' AND error LIKE '%no job \"count-sheep\"%'").await,
        1
    );
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_like_any_other() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    assert_eq!(bench.execute(run_id, |_| panic!("a wolf")).await, "retrying 1");
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE error LIKE '%a wolf%'").await, 1);
}

#[tokio::test]
async fn a_job_is_cut_off_at_its_time_limit() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    bench.run_sql("UPDATE job_runs SET timeout_seconds = 1").await;
    let endless = Job::new(definition(), |_| std::future::pending());
    let workshop = bench.workshop(Registry::new([endless]));
    let claimed = bench.claim(&workshop, run_id).await;
    execute(&workshop, claimed).await;
    assert_eq!(bench.state(run_id).await, "retrying 1");
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE error LIKE '%within its 1 s'").await, 1);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_abandons_the_run_and_writes_nothing() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let endless =
        Job::new(Definition { timeout: Duration::from_mins(5), ..definition() }, |_| std::future::pending());
    let workshop = bench.workshop(Registry::new([endless]));
    let claimed = bench.claim(&workshop, run_id).await;
    // Taken over while the first worker is at it: its next renewal shows.
    bench.run_sql("UPDATE job_runs SET attempt = 2, worker = 'other'").await;
    execute(&workshop, claimed).await;
    assert_eq!(bench.state(run_id).await, "running 2");
    assert_eq!(bench.events(SUCCEEDED).await + bench.events(FAILED).await, 0);
}

#[tokio::test]
async fn a_worker_that_cannot_renew_ends_its_job_before_its_lease_does() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let endless =
        Job::new(Definition { timeout: Duration::from_mins(5), ..definition() }, |_| std::future::pending());
    let network = Proxy::before(bench.database.url()).await;
    let url = Secret::new(network.instead_of(&bench.database.url_as(Role::Scheduler)));
    let config = DatabaseConfig { url, pool_max: 5 };
    let mut workshop = bench.workshop(Registry::new([endless]));
    workshop.database = shared::database::connect(&config, "test").unwrap();
    // A renewal that fails and is tried again only after the same while would come too late.
    workshop.lease = LeaseSettings { length: Duration::from_secs(4), renewal: Duration::from_secs(3) };
    let claimed = bench.claim(&workshop, run_id).await;
    let held_until = claimed.asked_at + workshop.lease.length;
    network.admit(false);
    network.reset_connections();
    execute(&workshop, claimed).await;
    let late = Instant::now().saturating_duration_since(held_until);
    assert!(late < Duration::from_secs(1), "it went on for {late:?} without a lease");
    assert_eq!(bench.state(run_id).await, "running 1");
}

#[tokio::test]
async fn a_claim_whose_answer_comes_after_its_lease_begins_nothing() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let mut workshop = bench.workshop(Bench::registry(|_| Ok("too late".to_owned())));
    workshop.lease.length = Duration::ZERO;
    let claimed = bench.claim(&workshop, run_id).await;
    execute(&workshop, claimed).await;
    assert_eq!(bench.state(run_id).await, "running 1", "others may have it");
}

#[tokio::test]
async fn an_outcome_of_an_attempt_that_was_fenced_is_dropped() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let mut workshop = bench.workshop(Bench::registry(|_| Ok("too late".to_owned())));
    workshop.lease = LeaseSettings { length: Duration::from_secs(30), renewal: Duration::from_secs(10) };
    let old = bench.claim(&workshop, run_id).await;
    bench.run_sql("UPDATE job_runs SET lease_until = '2026-05-04T09:02:00Z'").await;
    assert_eq!(bench.rescue(at("09:02:01")).await.lost, 1);
    assert_eq!(bench.state(run_id).await, "retrying 1");
    bench.run_sql("UPDATE job_runs SET run_after = '2026-05-04T09:02:02Z'").await;
    assert_eq!(bench.rescue(at("09:02:02")).await.retried, 1);
    let new = bench.claim(&workshop, run_id).await;
    execute(&workshop, old).await;
    assert_eq!(bench.state(run_id).await, "running 2", "the old attempt wrote nothing");
    assert_eq!(bench.events(SUCCEEDED).await, 0);
    execute(&workshop, new).await;
    assert_eq!(bench.state(run_id).await, "succeeded 2");
    assert_eq!(bench.events(SUCCEEDED).await, 1);
}

#[tokio::test]
async fn a_job_that_fails_for_a_week_runs_the_moment_it_is_mended() {
    let bench = Bench::new().await;
    let hourly = Definition { timetable: Some("@hourly"), attempts_max: 1, ..definition() };
    let registry = Registry::new([Job::new(hourly, |_| std::future::ready(Err(passing())))]);
    bench.sync(&registry, at("00:30:00")).await;
    let workshop = bench.workshop(registry);
    for hour in 0..7 * 24 {
        assert_eq!(bench.tick(at("01:00:00") + TimeDelta::hours(hour)).await.runs(), 1);
        let claimed = claim_next(&workshop, None).await.unwrap().unwrap();
        execute(&workshop, claimed).await;
    }
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE state = 'failed'").await, 7 * 24);
    assert_eq!(bench.events(FAILED).await, 7 * 24, "each is told");
    bench.tick(at("01:00:00") + TimeDelta::days(7)).await;
    let mended = bench.workshop(Bench::registry(|_| Ok("at last".to_owned())));
    execute(&mended, claim_next(&mended, None).await.unwrap().unwrap()).await;
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE output = 'at last'").await, 1);
    assert_eq!(bench.count("SELECT count(*) FROM job_gaps").await, 0);
}
