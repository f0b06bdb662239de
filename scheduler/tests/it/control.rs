//! What operators have schedules and runs do, told in the trail with the deed or not done at all.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use scheduler::jobs::{Definition, Job, JobContext, JobError};
use scheduler::worker::{LeaseSettings, Registry, claim_next, execute};
use shared::clock::Clock;
use shared::control::{
    Cancel, ControlError, Override, Range, Replay, RunFilter, act_on_runs, backfill, find_schedule,
    list_runs, list_schedules, override_timetable, pause, reset, resume, run_now,
};
use shared::ids::RunId;
use shared::operator::{Deed, Operation};
use uuid::Uuid;

use crate::bench::{Bench, KEY, at, definition};

const FAILED: &str = "job.run.failed";

fn operation(bench: &Bench) -> Operation {
    Operation::new("a test", "ada".to_owned(), "why not".to_owned(), &Clock::system(), &bench.entropy)
}

/// These use cases go by the database's clock.
async fn moment(bench: &Bench, query: &'static str) -> DateTime<Utc> {
    sqlx::query_scalar(query).fetch_one(bench.pool()).await.unwrap()
}

async fn told(bench: &Bench, event: &str) -> i64 {
    let told =
        "SELECT count(*) FROM outbox WHERE routing_key = $1 AND body::jsonb -> 'data' ->> 'actor' = 'ada'
        AND body::jsonb -> 'data' ->> 'reason' = 'why not'";
    sqlx::query_scalar(told).bind(event).fetch_one(bench.pool()).await.unwrap()
}

#[tokio::test]
async fn a_paused_schedule_answers_its_instants_as_paused_and_goes_on_with_the_next_one() {
    let bench = Bench::new().await;
    let begin = bench.now().await - TimeDelta::hours(1);
    bench.schedule(begin).await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    pause(pool, outbox, operation, KEY).await.unwrap();
    let again = pause(pool, outbox, operation, KEY).await.unwrap_err();
    assert!(again.to_string().contains("paused already"), "{again}");
    // What had been due before is run by the rules as if it were not paused.
    let paused_at = moment(&bench, "SELECT paused_at FROM job_schedules").await;
    bench.tick(paused_at).await;
    assert_eq!(bench.count("SELECT count(*) FROM job_runs").await, 5);
    bench.tick(paused_at + TimeDelta::minutes(10)).await;
    assert_eq!(bench.count("SELECT count(*) FROM job_runs").await, 5);
    let paused = "SELECT sum(instants)::bigint FROM job_gaps WHERE reason = 'paused'";
    assert_eq!(bench.count(paused).await, 10);
    bench.run_sql("DELETE FROM job_gaps WHERE reason = 'paused'").await;
    bench.run_sql("UPDATE job_schedules SET paused_at = paused_at - interval '3 minutes', watermark = watermark - interval '13 minutes'").await;
    let watermark = "SELECT watermark FROM job_schedules";
    let paused_from = moment(&bench, watermark).await;
    resume(pool, outbox, operation, &bench.entropy, KEY).await.unwrap();
    let paused_until = moment(&bench, watermark).await;
    assert!(paused_until - paused_from >= TimeDelta::minutes(3), "{paused_from} to {paused_until}");
    assert_eq!(bench.count(paused).await, (paused_until - paused_from).num_minutes());
    assert!(matches!(
        resume(pool, outbox, operation, &bench.entropy, KEY).await,
        Err(ControlError::NotNow(_))
    ));
    let ticked = bench.tick(paused_until + TimeDelta::minutes(1)).await;
    assert_eq!(ticked.runs(), 1, "whoever was refused has left no lock behind");
    assert_eq!(told(&bench, "operator.schedule.paused").await, 1);
    assert_eq!(told(&bench, "operator.schedule.resumed").await, 1);
}

#[tokio::test]
async fn an_overridden_schedule_is_due_as_the_operator_says_until_it_is_reset() {
    let bench = Bench::new().await;
    bench.schedule(bench.now().await).await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    let word = |timetable: &str, zone: &str| Override {
        timetable: Some(timetable.to_owned()),
        time_zone: Some(zone.to_owned()),
    };
    let wrong = override_timetable(pool, outbox, operation, &bench.entropy, (KEY, &word("* * *", "UTC")))
        .await
        .unwrap_err();
    assert!(wrong.to_string().contains("cron has five"), "{wrong}");
    for _ in 0..2 {
        override_timetable(
            pool,
            outbox,
            operation,
            &bench.entropy,
            (KEY, &word("0 9 * * *", "Asia/Kolkata")),
        )
        .await
        .unwrap();
    }
    let all = list_schedules(pool, false, (None, i64::MAX)).await.unwrap();
    let next: Vec<_> = all[0].next.iter().map(|next| next.format("%H:%M").to_string()).collect();
    assert_eq!((next.join(" "), all[0].is_override), ("03:30 03:30 03:30 03:30 03:30".to_owned(), true));
    // Not compared with the first of these: its time may have come meanwhile.
    let due = moment(&bench, "SELECT next_due_at FROM job_schedules").await;
    assert_eq!(due.format("%H:%M:%S").to_string(), "03:30:00");
    reset(pool, outbox, operation, &bench.entropy, KEY).await.unwrap();
    assert!(matches!(
        reset(pool, outbox, operation, &bench.entropy, KEY).await,
        Err(ControlError::NotNow(_))
    ));
    let found = find_schedule(pool, KEY).await.unwrap().unwrap().schedule;
    assert_eq!(
        (found.timetable.as_str(), found.time_zone.as_str(), found.is_override),
        ("* * * * *", "UTC", false)
    );
    assert_eq!(told(&bench, "operator.schedule.changed").await, 3);
}

#[tokio::test]
async fn a_job_is_run_now_whatever_its_schedule_says_and_though_it_is_paused() {
    let bench = Bench::new().await;
    bench.schedule(bench.now().await).await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    pause(pool, outbox, operation, KEY).await.unwrap();
    let run = run_now(pool, outbox, operation, &bench.entropy, KEY).await.unwrap();
    assert_eq!(bench.events(&format!("default.{KEY}")).await, 1);
    assert_eq!(bench.execute(RunId(run.id), |_| Ok(String::new())).await, "succeeded 1");
    let kept = "SELECT count(*) FROM job_runs WHERE kind = 'manual' AND creator = 'ada'";
    assert_eq!(bench.count(kept).await, 1);
    assert_eq!(told(&bench, "operator.run.requested").await, 1);
    let none = run_now(pool, outbox, operation, &bench.entropy, "sheep").await.unwrap_err();
    assert!(none.to_string().contains("no schedule \"sheep\""), "{none}");
}

#[tokio::test]
async fn a_range_that_was_missed_is_made_up_for_at_a_pace_and_what_was_run_is_not_run_again() {
    let bench = Bench::new().await;
    let begin = bench.now().await - TimeDelta::hours(1);
    bench.schedule(begin).await;
    bench.tick(bench.now().await).await;
    let missed = bench.count("SELECT sum(instants)::bigint FROM job_gaps").await;
    let watermark = moment(&bench, "SELECT watermark FROM job_schedules").await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    let range = Range { from: begin, until: watermark, pace: Duration::from_mins(1) };
    let made = backfill(pool, outbox, operation, &bench.entropy, (KEY, range)).await.unwrap();
    assert_eq!((i64::try_from(made.runs).unwrap(), made.there), (missed, 5));
    let again = backfill(pool, outbox, operation, &bench.entropy, (KEY, range)).await.unwrap();
    assert_eq!((again.runs, again.there), (0, made.runs + 5));
    assert_eq!(told(&bench, "operator.run.requested").await, missed);
    // One a minute, the oldest instant first.
    let now = bench.now().await;
    assert_eq!(bench.rescue(now).await.queued, 1);
    assert_eq!(bench.rescue(now + TimeDelta::minutes(2)).await.queued, 2);
    let future = Range { until: watermark + TimeDelta::minutes(1), ..range };
    let refused = backfill(pool, outbox, operation, &bench.entropy, (KEY, future)).await.unwrap_err();
    assert!(refused.to_string().contains("not later"), "{refused}");
    let reversed = Range { from: watermark, until: begin, ..range };
    let refused = backfill(pool, outbox, operation, &bench.entropy, (KEY, reversed)).await.unwrap_err();
    assert!(refused.to_string().contains("ends before"), "{refused}");
    let endless = Range { from: DateTime::UNIX_EPOCH, ..range };
    let refused = backfill(pool, outbox, operation, &bench.entropy, (KEY, endless)).await.unwrap_err();
    assert!(refused.to_string().contains("more than 10000"), "{refused}");
}

#[tokio::test]
async fn a_failed_run_is_replayed_with_as_many_attempts_as_it_had_and_they_still_fence() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let lasting = |_| Err(JobError::Lasting("no flock".to_owned()));
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    let replay = async || act_on_runs(pool, outbox, operation, &[run_id.0], Replay).await.unwrap().remove(0);
    assert!(!replay().await.done, "it has not failed");
    assert_eq!(bench.execute(run_id, lasting).await, "failed 1");
    assert_eq!(replay().await, Deed::done(&run_id));
    assert_eq!(bench.events(&format!("default.{KEY}")).await, 2);
    for attempt in 2..4 {
        assert_eq!(
            bench.execute(run_id, |_| Err(JobError::passing("no")("not now"))).await,
            format!("retrying {attempt}")
        );
        bench.run_sql("UPDATE job_runs SET state = 'queued'").await;
    }
    assert_eq!(bench.execute(run_id, |_| Err(JobError::passing("no")("not now"))).await, "failed 4");
    // It follows the rule that its schedule has by then.
    bench.run_sql("UPDATE job_schedules SET overlap = 'skip'").await;
    assert_eq!(replay().await, Deed::done(&run_id));
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE is_exclusive").await, 1);
    assert_eq!(bench.execute(run_id, |_| Ok(String::new())).await, "succeeded 5");
    assert_eq!(told(&bench, "operator.run.replayed").await, 2);
}

/// Red if it runs until the clock is where it was when somebody paused it.
#[tokio::test]
async fn a_schedule_that_was_paused_while_the_clock_was_ahead_stays_paused_when_it_is_set_right() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    bench.run_sql("UPDATE job_schedules SET paused_at = '2026-05-04 14:00Z', paused_by = 'ada', paused_reason = 'a look'").await;
    assert_eq!(bench.tick(at("09:03:00")).await.runs(), 0);
    let paused = "SELECT sum(instants)::bigint FROM job_gaps WHERE reason = 'paused'";
    assert_eq!(bench.count(paused).await, 3);
}

#[tokio::test]
async fn a_waiting_run_is_canceled_at_once_a_running_one_soon_and_a_finished_one_not() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    let cancel =
        async || act_on_runs(pool, outbox, operation, &[run_id.0, Uuid::nil()], Cancel).await.unwrap();
    let deeds = cancel().await;
    assert_eq!((deeds[0].done, deeds[1].note.as_deref()), (true, Some("there is no such run")));
    assert_eq!(bench.state(run_id).await, "failed 0");
    assert_eq!((bench.events(FAILED).await, told(&bench, "operator.run.canceled").await), (1, 1));
    assert!(!cancel().await[0].done, "it is over");

    bench.run_sql("UPDATE job_runs SET state = 'queued', finished_at = NULL").await;
    let endless =
        Job::new(Definition { timeout: Duration::from_mins(5), ..definition() }, |_| std::future::pending());
    let workshop = bench.workshop(Registry::new([endless]));
    let claimed = bench.claim(&workshop, run_id).await;
    assert!(cancel().await[0].done);
    execute(&workshop, claimed).await;
    assert_eq!(bench.state(run_id).await, "failed 1", "attempts are left, and it is not tried again");
    let run = &list_runs(pool, &RunFilter::default(), 10).await.unwrap()[0];
    assert_eq!(
        (run.error_kind.as_deref(), run.error.as_deref()),
        (Some("canceled"), Some("canceled: why not (ada)"))
    );
    assert_eq!(bench.events(FAILED).await, 2);
}

/// Red if a purge with more to do than it has time for fails, and what it did is told nowhere.
#[tokio::test]
async fn a_job_that_can_end_early_is_asked_to_before_its_time_is_over_and_has_succeeded() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    bench.run_sql("UPDATE job_runs SET timeout_seconds = 10").await;
    let batches = Job::new(definition(), |context: JobContext| async move {
        context.stop.cancelled().await;
        Ok("stopped early\n".to_owned())
    });
    let workshop = bench.workshop(Registry::new([batches]));
    execute(&workshop, bench.claim(&workshop, run_id).await).await;
    assert_eq!(bench.state(run_id).await, "succeeded 1");
    assert!(!workshop.stop.is_cancelled(), "others go on");
}

#[tokio::test]
async fn a_run_that_was_to_end_and_failed_before_it_heard_of_it_is_not_tried_again() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let workshop = bench.workshop(Bench::registry(|_| Err(JobError::passing("no")("not now"))));
    let claimed = bench.claim(&workshop, run_id).await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    assert!(act_on_runs(pool, outbox, operation, &[run_id.0], Cancel).await.unwrap()[0].done);
    execute(&workshop, claimed).await;
    assert_eq!(bench.state(run_id).await, "failed 1");
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE error_kind = 'canceled'").await, 1);
    assert_eq!(bench.events(FAILED).await, 1);
}

/// Red if such a run is among those that failed by themselves, which alerts go by and `runs replay --all` takes.
#[tokio::test]
async fn a_run_that_was_to_end_and_failed_for_good_before_it_heard_of_it_counts_as_canceled() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let lasting = |_| Err(JobError::Lasting("no flock".to_owned()));
    let mut workshop = bench.workshop(Bench::registry(lasting));
    // It hears of nothing meanwhile.
    workshop.lease = LeaseSettings { length: Duration::from_secs(30), renewal: Duration::from_secs(10) };
    let claimed = bench.claim(&workshop, run_id).await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    assert!(act_on_runs(pool, outbox, operation, &[run_id.0], Cancel).await.unwrap()[0].done);
    execute(&workshop, claimed).await;
    assert_eq!(bench.state(run_id).await, "failed 1");
    let run = &list_runs(pool, &RunFilter::default(), 10).await.unwrap()[0];
    assert_eq!(
        (run.error_kind.as_deref(), run.error.as_deref()),
        (Some("canceled"), Some("canceled: why not (ada); no flock"))
    );
    assert_eq!(bench.events(FAILED).await, 1);
}

#[tokio::test]
async fn what_was_due_before_a_pause_and_what_jitter_has_put_off_beyond_it_is_run() {
    let bench = Bench::new().await;
    // Neither has an instant later than now: none comes by while this test pauses and resumes.
    let begun = bench.now().await;
    let definition = Definition { ends_at: Some(begun), ..definition() };
    let job = |definition| Registry::new([Job::new(definition, |_| std::future::ready(Ok(String::new())))]);
    bench.sync(&job(definition.clone()), begun - TimeDelta::minutes(3)).await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    // Nobody ticked before the pause, nor during it.
    pause(pool, outbox, operation, KEY).await.unwrap();
    resume(pool, outbox, operation, &bench.entropy, KEY).await.unwrap();
    assert_eq!(bench.count("SELECT count(*) FROM job_runs").await, 3);
    assert_eq!(bench.count("SELECT count(*) FROM job_gaps").await, 0);
    // All of the last minutes come ten minutes late.
    bench.run_sql("DELETE FROM job_runs").await;
    let late = Definition { key: "late", jitter: Duration::from_mins(10), ..definition };
    bench.sync(&job(late), begun - TimeDelta::minutes(2)).await;
    let of_late = "SELECT (SELECT count(*) FROM job_runs WHERE schedule_key = 'late')
        + (SELECT count(*) FROM job_gaps WHERE schedule_key = 'late')";
    assert_eq!(bench.count(of_late).await, 0);
    pause(pool, outbox, operation, "late").await.unwrap();
    resume(pool, outbox, operation, &bench.entropy, "late").await.unwrap();
    assert_eq!(bench.count(of_late).await, 0);
    let due = moment(&bench, "SELECT next_due_at FROM job_schedules WHERE schedule_key = 'late'").await;
    assert!(due > begun, "{due}");
    bench.tick(due + TimeDelta::minutes(1)).await;
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE schedule_key = 'late'").await, 2);
    assert_eq!(bench.count(of_late).await, 2);
}

#[tokio::test]
async fn an_operator_may_have_a_job_run_once_also_at_a_time_that_has_passed_and_not_never() {
    let bench = Bench::new().await;
    bench.schedule(bench.now().await).await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    let word = |line: &str| Override { timetable: Some(line.to_owned()), time_zone: None };
    let never = override_timetable(pool, outbox, operation, &bench.entropy, (KEY, &word("0 0 30 2 *"))).await;
    assert!(never.unwrap_err().to_string().contains("never be due"));
    let once = word("at 2020-05-04 09:00");
    override_timetable(pool, outbox, operation, &bench.entropy, (KEY, &once)).await.unwrap();
    assert_eq!(bench.tick(bench.now().await).await.runs(), 1);
    assert_eq!(bench.tick(bench.now().await + TimeDelta::days(1)).await.runs(), 0);
}

#[tokio::test]
async fn a_run_that_was_to_end_and_lost_its_worker_is_not_tried_again() {
    let bench = Bench::new().await;
    let run_id = bench.queued_run().await;
    let workshop = bench.workshop(Bench::registry(|_| Ok(String::new())));
    bench.claim(&workshop, run_id).await;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(&bench));
    assert!(act_on_runs(pool, outbox, operation, &[run_id.0], Cancel).await.unwrap()[0].done);
    let later = bench.now().await + TimeDelta::minutes(1);
    assert_eq!(bench.rescue(later).await.lost, 1);
    assert_eq!(bench.state(run_id).await, "failed 1");
}

#[tokio::test]
async fn without_a_broker_runs_are_taken_from_the_table_the_most_important_first() {
    let bench = Bench::new().await;
    bench.queued_run().await;
    bench.run_sql("UPDATE job_runs SET queue = 'other'").await;
    let workshop = bench.workshop(Bench::registry(|_| Ok(String::new())));
    assert!(claim_next(&workshop, Some("default")).await.unwrap().is_none());
    assert!(claim_next(&workshop, None).await.unwrap().is_some());
    assert!(claim_next(&workshop, None).await.unwrap().is_none());
}
