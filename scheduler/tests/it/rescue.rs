//! What becomes due by itself among the runs.

use chrono::TimeDelta;

use crate::bench::{Bench, at};

const TICK: &str = "default.count-sheep";

#[tokio::test]
async fn a_tick_that_got_lost_is_sent_again_ever_less_often() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let mut sent_after = Vec::new();
    for seconds in 0..=500 {
        if bench.rescue(at("09:01:00") + TimeDelta::seconds(seconds)).await.resent == 1 {
            sent_after.push(seconds);
        }
    }
    assert_eq!(sent_after, [60, 120, 240, 480]);
    assert_eq!(bench.events(TICK).await, 5);
    assert_eq!(bench.state(run_id).await, "queued 0");
}

/// Red if a queue that was lost with all its messages is told of again a few at a time.
#[tokio::test]
async fn however_many_messages_are_lost_a_ticker_sends_them_again_in_one_go() {
    let bench = Bench::new().await;
    bench.queued_run().await;
    bench
        .run_sql(
            "INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, attempts_max, timeout_seconds, run_after, queued_at)
             SELECT gen_random_uuid(), 'more', 'count-sheep', now() + n * interval '1 s', 'default', 1, 1, now() - interval '2 minutes',
                 now() - interval '2 minutes' FROM generate_series(1, 2500) AS n;
             UPDATE job_schedules SET next_due_at = NULL",
        )
        .await;
    let ticker = bench.ticker();
    while ticker.tick().await.unwrap().more {}
    assert_eq!(bench.events(TICK).await, 1 + 2501);
}

#[tokio::test]
async fn a_run_in_hand_is_left_alone_as_long_as_its_lease_holds() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let workshop = bench.workshop(Bench::registry(|_| Ok(String::new())));
    bench.claim(&workshop, run_id).await;
    bench.run_sql("UPDATE job_runs SET lease_until = '2026-05-04T09:30:00Z'").await;
    assert!(!bench.rescue(at("09:30:00")).await.any());
    assert_eq!(bench.rescue(at("09:30:01")).await.lost, 1);
}

#[tokio::test]
async fn a_run_whose_every_worker_died_fails_and_is_told_of() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    bench.run_sql("UPDATE job_runs SET attempts_max = 1").await;
    let workshop = bench.workshop(Bench::registry(|_| Ok(String::new())));
    bench.claim(&workshop, run_id).await;
    bench.run_sql("UPDATE job_runs SET lease_until = '2026-05-04T09:01:30Z'").await;
    bench.rescue(at("09:02:00")).await;
    assert_eq!(bench.state(run_id).await, "failed 1");
    assert_eq!(bench.events("job.run.failed").await, 1);
    assert_eq!(
        bench.count("SELECT count(*) FROM job_runs WHERE error LIKE 'test/1 let the lease%'").await,
        1
    );
}

#[tokio::test]
async fn two_tickers_rescue_a_run_once() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let workshop = bench.workshop(Bench::registry(|_| Ok(String::new())));
    bench.claim(&workshop, run_id).await;
    bench.run_sql("UPDATE job_runs SET lease_until = '2026-05-04T09:01:30Z'").await;
    let now = at("09:02:00");
    let (one, other) = tokio::join!(bench.rescue(now), bench.rescue(now));
    assert_eq!(one.lost + other.lost, 1);
    assert_eq!(bench.state(run_id).await, "retrying 1");
}
