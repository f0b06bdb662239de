//! What becomes due by itself among the runs.

use chrono::TimeDelta;
use scheduler::schedule::{Last, Ticker};
use shared::lifecycle::{Health, Standing};

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

/// Red if a run whose worker died is not given up before the clock is where it once was, and if it is taken from one that lives.
#[tokio::test]
async fn a_run_that_was_claimed_while_the_clock_was_ahead_is_given_up_a_minute_after_that_is_seen() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let workshop = bench.workshop(Bench::registry(|_| Ok(String::new())));
    bench.claim(&workshop, run_id).await;
    bench
        .run_sql(
            "UPDATE job_runs SET lease_until = lease_until + interval '6 hours';
             UPDATE job_schedules SET next_due_at = NULL",
        )
        .await;
    bench.ticker().tick().await.unwrap();
    assert_eq!(bench.state(run_id).await, "running 1", "its worker may renew its lease yet");
    let now = bench.now().await;
    assert_eq!(bench.rescue(now).await.lost, 0);
    assert_eq!(bench.rescue(now + TimeDelta::minutes(2)).await.lost, 1);
}

#[tokio::test]
async fn a_tick_that_got_lost_while_the_clock_was_ahead_is_sent_again_soon() {
    let bench = Bench::new().await;
    bench.queued_run().await;
    let sent = bench.events(TICK).await;
    bench
        .run_sql(
            "UPDATE job_runs SET queued_at = clock_timestamp() + interval '6 hours';
             UPDATE job_schedules SET next_due_at = NULL",
        )
        .await;
    bench.ticker().tick().await.unwrap();
    assert_eq!(bench.events(TICK).await, sent + 1);
}

/// Red if whoever waits for a worker is told of each minute for as long as the clock was ahead.
#[tokio::test]
async fn a_tick_that_was_sent_while_the_clock_was_ahead_is_sent_again_ever_less_often() {
    let bench = Bench::new().await;
    bench.queued_run().await;
    bench
        .run_sql("UPDATE job_runs SET run_after = '2026-05-04 15:01Z', queued_at = '2026-05-04 15:01Z'")
        .await;
    let mut sent_after = Vec::new();
    for seconds in 0..=500 {
        if bench.rescue(at("09:01:00") + TimeDelta::seconds(seconds)).await.resent == 1 {
            sent_after.push(seconds);
        }
    }
    assert_eq!(sent_after, [0, 60, 120, 240, 480]);
}

/// Red if the wait for a lost message goes by how long nobody had looked when it was sent.
#[tokio::test]
async fn a_tick_that_got_lost_after_a_long_outage_is_sent_again_after_a_minute() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    for state in [
        "UPDATE job_runs SET state = 'retrying', attempt = 1, run_after = '2026-05-04T09:01Z'",
        "UPDATE job_runs SET state = 'queued', queued_at = NULL, run_after = '2026-05-04T09:01Z'",
    ] {
        bench.run_sql(state).await;
        let told = bench.rescue(at("12:00:00")).await;
        assert_eq!((told.retried + told.queued, told.resent), (1, 0), "{state}");
        assert_eq!(bench.rescue(at("12:01:00")).await.resent, 1, "{state}");
        assert_eq!(bench.state(run_id).await.split(' ').next(), Some("queued"));
    }
}

/// Red if it waits for as long as the clock was ahead.
#[tokio::test]
async fn a_retry_that_was_put_off_while_the_clock_was_ahead_is_queued_soon() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    bench
        .run_sql(
            "UPDATE job_runs SET state = 'retrying', attempt = 1, run_after = clock_timestamp() + interval '6 hours';
             UPDATE job_schedules SET next_due_at = NULL",
        )
        .await;
    let ticker = bench.ticker();
    bench.run_sql("UPDATE job_runs SET backoff_max_seconds = 6 * 3600").await;
    ticker.tick().await.unwrap();
    ticker.tick().await.unwrap();
    assert_eq!(bench.state(run_id).await, "retrying 1", "it may wait for as long");
    bench.run_sql("UPDATE job_runs SET backoff_max_seconds = 600").await;
    ticker.tick().await.unwrap();
    ticker.tick().await.unwrap();
    assert_eq!(bench.state(run_id).await, "queued 1");
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

/// Red if ticks wait until runs can be rescued again, and if each look repeats the one for lost messages that failed.
#[tokio::test]
async fn a_ticker_that_can_not_see_to_stuck_runs_says_so_and_goes_on() {
    let bench = Bench::new().await;
    bench.queued_run().await;
    bench
        .run_sql(
            "UPDATE job_schedules SET next_due_at = NULL;
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON job_runs FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let health = Health::default();
    let component = health.component("ticker", Standing::Required);
    let mut ticker = Ticker { component, ..bench.ticker() };
    ticker.tick().await.unwrap();
    let said = health.readiness().checks["ticker"].clone();
    assert!(said.contains("stuck runs") && said.contains("not now"), "{said}");
    // The message waits for its turn, and all else is seen to, which does not make it well.
    ticker.tick().await.unwrap();
    assert!(!health.readiness().is_ready());
    bench.run_sql("DROP TRIGGER refuse ON job_runs").await;
    ticker.looked_for_messages = Last::default();
    ticker.tick().await.unwrap();
    assert!(health.readiness().is_ready());
}
