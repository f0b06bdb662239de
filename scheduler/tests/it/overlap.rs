//! What becomes of an instant while another run of its schedule is not over, and which run goes first.

use scheduler::jobs::{Definition, Job, JobError};
use scheduler::worker::{Registry, claim, execute};
use shared::ids::RunId;
use shared::schedules::Overlap;
use uuid::Uuid;

use crate::bench::{Bench, KEY, at, definition};

fn registry(overlap: Overlap) -> Registry {
    Registry::new([Job::new(Definition { overlap, ..definition() }, |_| {
        std::future::ready(Ok(String::new()))
    })])
}

/// The runs that no worker has, in the order of their instants.
async fn queued(bench: &Bench) -> Vec<RunId> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM job_runs WHERE state = 'queued' ORDER BY scheduled_at")
            .fetch_all(bench.pool())
            .await
            .unwrap();
    ids.into_iter().map(RunId).collect()
}

const SKIPPED: &str = "SELECT COALESCE(sum(instants), 0)::bigint FROM job_gaps WHERE reason = 'skipped'";

/// Red if runs that wait keep the rule under which they were made.
#[tokio::test]
async fn runs_that_wait_when_a_build_forbids_overlap_wait_for_each_other_from_then_on() {
    let bench = Bench::new().await;
    let exclusive = "SELECT count(*) FROM job_runs WHERE is_exclusive";
    bench.sync(&registry(Overlap::Allow), at("09:00:00")).await;
    assert_eq!(bench.tick(at("09:02:00")).await.runs(), 2);
    assert_eq!(bench.count(exclusive).await, 0);
    bench.sync(&registry(Overlap::Queue), at("09:02:10")).await;
    assert_eq!(bench.count(exclusive).await, 2);
    bench.sync(&registry(Overlap::Allow), at("09:02:20")).await;
    assert_eq!(bench.count(exclusive).await, 0);
    // One that is running when the rule changes follows it once it waits again.
    let failing = bench.workshop(Bench::registry(|_| Err(JobError::passing("no")("not now"))));
    let claimed = bench.claim(&failing, queued(&bench).await[0]).await;
    bench.sync(&registry(Overlap::Skip), at("09:02:30")).await;
    assert_eq!(bench.count(exclusive).await, 1);
    execute(&failing, claimed).await;
    assert_eq!(
        bench.count("SELECT count(*) FROM job_runs WHERE state = 'retrying' AND is_exclusive").await,
        1
    );
}

#[tokio::test]
async fn where_overlap_is_skipped_nothing_is_queued_until_the_run_is_over_however_it_waits() {
    let bench = Bench::new().await;
    let registry = registry(Overlap::Skip);
    bench.sync(&registry, at("09:00:00")).await;
    assert_eq!(bench.tick(at("09:01:00")).await.runs(), 1);
    let workshop = bench.workshop(registry);
    for (now, state) in [("09:02:00", "queued"), ("09:03:00", "running"), ("09:04:00", "retrying")] {
        bench.run_sql("UPDATE job_runs SET state = 'queued', lease_until = NULL, finished_at = NULL").await;
        let run = queued(&bench).await[0];
        match state {
            "running" => drop(bench.claim(&workshop, run).await),
            "retrying" => bench.run_sql("UPDATE job_runs SET state = 'retrying'").await,
            _ => {}
        }
        assert_eq!(bench.tick(at(now)).await.runs(), 0, "one is {state}");
    }
    assert_eq!(bench.count(SKIPPED).await, 3);
    assert_eq!(bench.count("SELECT count(*) FROM job_gaps").await, 1, "in a row");
    bench.run_sql("UPDATE job_runs SET state = 'failed', finished_at = now()").await;
    assert_eq!(bench.tick(at("09:05:00")).await.runs(), 1);
    assert_eq!(bench.tick(at("09:06:00")).await.runs(), 0);
    assert_eq!(bench.count("SELECT count(*) FROM job_gaps").await, 2, "the run lies in none");
}

#[tokio::test]
async fn where_one_is_queued_it_waits_for_the_other_and_is_told_of_when_that_is_over() {
    let bench = Bench::new().await;
    let registry = registry(Overlap::Queue);
    bench.sync(&registry, at("09:00:00")).await;
    let workshop = bench.workshop(registry);
    assert_eq!(bench.tick(at("09:01:00")).await.runs(), 1);
    let first = bench.claim(&workshop, queued(&bench).await[0]).await;
    assert_eq!(bench.tick(at("09:02:00")).await.runs(), 1);
    assert_eq!(bench.tick(at("09:03:00")).await.runs(), 0);
    assert_eq!(bench.count(SKIPPED).await, 1);
    let second = queued(&bench).await[0];
    assert!(claim(&workshop, second, None).await.unwrap().is_none(), "the other runs");
    bench.run_sql("UPDATE job_runs SET lease_until = '2026-05-04T12:00:00Z' WHERE state = 'running'").await;
    assert!(!bench.rescue(at("09:30:00")).await.any(), "it is not lost, and not told of again");
    assert_eq!(bench.events(&format!("default.{KEY}")).await, 2);
    execute(&workshop, first).await;
    assert_eq!(bench.events(&format!("default.{KEY}")).await, 3, "its turn is told anew");
    let claimed = bench.claim(&workshop, second).await;
    execute(&workshop, claimed).await;
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE state = 'succeeded'").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_claim_at_once_one_run_of_an_exclusive_schedule_runs() {
    let bench = Bench::new().await;
    let registry = registry(Overlap::Allow);
    bench.sync(&registry, at("09:00:00")).await;
    assert_eq!(bench.tick(at("09:05:00")).await.runs(), 5);
    bench.run_sql("UPDATE job_runs SET is_exclusive = true").await;
    let workshop = bench.workshop(registry);
    let runs = queued(&bench).await;
    for _ in 0..5 {
        let claims =
            futures_util::future::join_all(runs.iter().map(|run| claim(&workshop, *run, None))).await;
        let claimed: Vec<_> = claims.into_iter().filter_map(|claimed| claimed.unwrap()).collect();
        assert_eq!(claimed.len(), 1);
        for claimed in claimed {
            execute(&workshop, claimed).await;
        }
    }
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE state = 'succeeded'").await, 5);
}

#[tokio::test]
async fn a_run_that_waits_for_another_attempt_leaves_the_way_to_the_next() {
    let bench = Bench::new().await;
    bench.sync(&registry(Overlap::Queue), at("09:00:00")).await;
    let failing = Job::new(Definition { overlap: Overlap::Queue, ..definition() }, |_| {
        std::future::ready(Err(JobError::passing("no")("not now")))
    });
    let workshop = bench.workshop(Registry::new([failing]));
    bench.tick(at("09:01:00")).await;
    let first = bench.claim(&workshop, queued(&bench).await[0]).await;
    bench.tick(at("09:02:00")).await;
    let second = queued(&bench).await[0];
    execute(&workshop, first).await;
    assert!(claim(&workshop, second, None).await.unwrap().is_some());
}

#[tokio::test]
async fn the_more_important_run_goes_first_and_the_other_takes_its_turn() {
    let bench = Bench::new().await;
    let low = Definition { key: "low", priority: -1, ..definition() };
    let high = Definition { key: "high", priority: 7, ..definition() };
    let job = |definition| Job::new(definition, |_| std::future::ready(Ok(String::new())));
    let registry = Registry::new([job(low), job(definition()), job(high)]);
    bench.sync(&registry, at("09:00:00")).await;
    assert_eq!(bench.tick(at("09:01:00")).await.runs(), 3);
    let sent: Vec<String> = sqlx::query_scalar("SELECT routing_key FROM outbox ORDER BY seq")
        .fetch_all(bench.pool())
        .await
        .unwrap();
    assert_eq!(sent, ["default.high", "default.count-sheep", "default.low"]);
    // The messages come the other way round.
    let workshop = bench.workshop(registry);
    let named: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM job_runs ORDER BY priority")
        .fetch_all(bench.pool())
        .await
        .unwrap();
    let mut order = Vec::new();
    for run in named {
        order.push(bench.claim(&workshop, RunId(run)).await.run.job_key);
    }
    assert_eq!(order, ["high", KEY, "low"]);
}
