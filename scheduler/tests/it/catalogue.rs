//! The table of schedules follows the registry.

use chrono::{DateTime, Utc};
use scheduler::jobs::{Definition, Job, all};
use scheduler::schedule::catalogue::{Occasion, Synced, Told, sync};
use scheduler::worker::Registry;
use shared::entropy::Entropy;

use crate::bench::{Bench, at, definition, mailer};

fn registry(definitions: impl IntoIterator<Item = Definition>) -> Registry {
    Registry::new(
        definitions
            .into_iter()
            .map(|definition| Job::new(definition, |_| std::future::ready(Ok(String::new())))),
    )
}

fn synced(added: usize, changed: usize, retired: usize, unchanged: usize) -> Synced {
    Synced { added, changed, retired, unchanged, of_others: 0 }
}

#[tokio::test]
async fn new_jobs_are_added_changed_ones_updated_and_vanished_ones_retired_once_no_build_has_them() {
    let bench = Bench::new().await;
    let other = Definition { key: "other", ..definition() };
    let both = registry([definition(), other.clone()]);
    assert_eq!(bench.sync(&both, at("09:00:00")).await, synced(2, 0, 0, 0));
    assert_eq!(bench.sync(&both, at("09:00:10")).await, synced(0, 0, 0, 2));
    let changed = registry([Definition { attempts_max: 9, ..definition() }]);
    let waits = Synced { of_others: 1, ..synced(0, 1, 0, 0) };
    assert_eq!(bench.sync(&changed, at("09:00:20")).await, waits, "a build that has it may still run");
    assert_eq!(
        bench.count("SELECT attempts_max::bigint FROM job_schedules WHERE job_key = 'count-sheep'").await,
        9
    );
    let begins = Synced { of_others: 1, ..synced(0, 0, 0, 1) };
    assert_eq!(
        bench.sync(&changed, at("09:02:20")).await,
        begins,
        "others get their time to say that they have it"
    );
    assert_eq!(bench.prove(&changed, at("09:02:30")).await, synced(0, 0, 1, 1));
    assert_eq!(bench.tick(at("09:03:00")).await.runs(), 3, "a retired schedule is due no more");
    assert_eq!(bench.sync(&both, at("09:30:00")).await, synced(1, 1, 0, 0));
    assert_eq!(bench.count("SELECT count(*) FROM job_schedules WHERE retired_at IS NOT NULL").await, 0);
}

#[tokio::test]
async fn while_two_versions_run_the_older_takes_nothing_back_and_neither_retires_what_the_other_has() {
    let bench = Bench::new().await;
    let old = registry([definition(), Definition { key: "of-the-old", ..definition() }]);
    let new = registry([
        Definition { attempts_max: 9, ..definition() },
        Definition { key: "of-the-new", ..definition() },
    ]);
    let attempts = "SELECT attempts_max::bigint FROM job_schedules WHERE schedule_key = 'count-sheep'";
    let of_others = |of_others, synced: Synced| Synced { of_others, ..synced };

    bench.sync_as(&old, 1, Occasion::Start, at("09:00:00")).await;
    assert_eq!(
        bench.sync_as(&new, 2, Occasion::Start, at("09:00:10")).await,
        of_others(1, synced(1, 1, 0, 0))
    );
    // One of the old ones begins anew, and both go on.
    assert_eq!(
        bench.sync_as(&old, 1, Occasion::Start, at("09:00:20")).await,
        of_others(2, synced(0, 0, 0, 1))
    );
    for minute in 1..10 {
        let now = at(&format!("09:{minute:02}:00"));
        assert_eq!(bench.sync_as(&old, 1, Occasion::Proof, now).await, of_others(2, synced(0, 0, 0, 1)));
        assert_eq!(bench.sync_as(&new, 2, Occasion::Proof, now).await, of_others(1, synced(0, 0, 0, 2)));
        assert_eq!(bench.count(attempts).await, 9);
    }
    // The old ones are gone.
    assert_eq!(bench.sync_as(&new, 2, Occasion::Proof, at("09:10:40")).await, synced(0, 0, 1, 2));
    // Somebody goes back to the old version.
    assert_eq!(
        bench.sync_as(&old, 1, Occasion::Start, at("09:11:00")).await,
        of_others(2, synced(1, 0, 0, 0))
    );
    assert_eq!(bench.sync_as(&old, 1, Occasion::Proof, at("09:12:20")).await, synced(0, 1, 1, 1));
    assert_eq!(bench.count(attempts).await, 3);
}

#[tokio::test]
async fn of_two_builds_of_one_version_the_one_that_began_last_is_in_force_and_they_do_not_quarrel() {
    let bench = Bench::new().await;
    let one = registry([definition()]);
    let other = registry([Definition { attempts_max: 9, ..definition() }]);
    bench.sync_as(&one, 1, Occasion::Start, at("09:00:00")).await;
    assert_eq!(bench.sync_as(&other, 1, Occasion::Start, at("09:00:10")).await, synced(0, 1, 0, 0));
    for _ in 0..3 {
        let left = bench.sync_as(&one, 1, Occasion::Proof, at("09:00:20")).await;
        assert_eq!(left, Synced { of_others: 1, ..synced(0, 0, 0, 0) });
        assert_eq!(bench.sync_as(&other, 1, Occasion::Proof, at("09:00:20")).await, synced(0, 0, 0, 1));
    }
    // The other one is taken away.
    assert_eq!(bench.sync_as(&one, 1, Occasion::Proof, at("09:01:40")).await.of_others, 1);
    assert_eq!(bench.sync_as(&one, 1, Occasion::Proof, at("09:02:00")).await, synced(0, 1, 0, 0));
}

#[tokio::test]
async fn after_an_outage_builds_give_each_other_time_and_the_newer_one_has_its_way() {
    let bench = Bench::new().await;
    let old = registry([definition()]);
    let new = registry([
        Definition { attempts_max: 9, ..definition() },
        Definition { key: "of-the-new", ..definition() },
    ]);
    bench.sync_as(&new, 2, Occasion::Start, at("09:00:00")).await;
    // Nobody could say anything for an hour, and the older build is back first.
    let returned = bench.sync_as(&old, 1, Occasion::Return, at("10:00:00")).await;
    assert_eq!(returned, Synced { of_others: 2, ..synced(0, 0, 0, 0) });
    assert_eq!(bench.sync_as(&new, 2, Occasion::Return, at("10:00:05")).await, synced(0, 0, 0, 2));
    assert_eq!(bench.sync_as(&old, 1, Occasion::Proof, at("10:00:20")).await.of_others, 2);
    // However it came about: what an older one has changed the newer one takes back.
    bench.run_sql("UPDATE job_schedules SET attempts_max = 3, generation = 1").await;
    assert_eq!(bench.sync_as(&new, 2, Occasion::Proof, at("10:00:25")).await, synced(0, 1, 0, 1));
}

#[tokio::test]
async fn what_operators_have_said_outlives_a_new_build() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    bench
        .run_sql(
            "UPDATE job_schedules SET registry_timetable = timetable, registry_time_zone = time_zone,
                 timetable = '0 12 * * *', time_zone = 'Europe/London',
                 paused_at = '2026-05-04T09:00:00Z', paused_by = 'ada', paused_reason = 'a look at it'",
        )
        .await;
    let hourly = registry([Definition { timetable: Some("0 * * * *"), ..definition() }]);
    assert_eq!(bench.sync(&hourly, at("09:10:30")).await, synced(0, 1, 0, 0));
    let kept =
        "SELECT count(*) FROM job_schedules WHERE timetable = '0 12 * * *' AND time_zone = 'Europe/London'
        AND registry_timetable = '0 * * * *' AND registry_time_zone = 'UTC' AND paused_by = 'ada'";
    assert_eq!(bench.count(kept).await, 1);
    // Nor is it forgotten when no build has the job for a while.
    assert_eq!(bench.prove(&registry([]), at("09:30:00")).await, synced(0, 0, 1, 0));
    assert_eq!(bench.sync(&hourly, at("10:30:00")).await, synced(1, 0, 0, 0));
    assert_eq!(bench.count(kept).await, 1);
}

#[tokio::test]
async fn a_new_job_owes_nothing_from_before_it_was_known() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:30")).await;
    assert_eq!(bench.tick(at("09:00:59")).await.runs(), 0);
    assert_eq!(bench.count("SELECT count(*) FROM job_gaps").await, 0);
}

#[tokio::test]
async fn another_cron_line_begins_now_and_what_the_old_one_owed_is_answered_as_ever() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    let hourly = registry([Definition { timetable: Some("0 * * * *"), ..definition() }]);
    assert_eq!(bench.sync(&hourly, at("09:10:30")).await, synced(0, 1, 0, 0));
    // Those of the last five minutes are made up for, as the schedule's rule was.
    assert_eq!(bench.count("SELECT instants FROM job_gaps").await, 5);
    assert_eq!(bench.count("SELECT count(*) FROM job_runs").await, 5);
    assert_eq!(bench.count("SELECT count(*) FROM outbox WHERE exchange = 'job.ticks'").await, 5);
    assert_eq!(bench.tick(at("09:59:59")).await.runs(), 0);
    assert_eq!(bench.tick(at("10:00:00")).await.runs(), 1);
}

/// Red if a build that is gone counts as running for as long as the clock was ahead.
#[tokio::test]
async fn a_build_that_was_seen_while_the_clock_was_ahead_does_not_run_for_ever() {
    let bench = Bench::new().await;
    bench.schedule(at("15:00:00")).await;
    bench.run_sql("UPDATE job_schedules SET watermark = '2026-05-04 08:59Z'").await;
    let others = Registry::new([]);
    assert_eq!(bench.prove(&others, at("09:00:00")).await.retired, 0, "it may run yet");
    assert_eq!(bench.prove(&others, at("09:01:00")).await.retired, 0);
    assert_eq!(bench.prove(&others, at("09:01:31")).await.retired, 1);
}

/// Red if an instant that a clock which was ahead has run lies in a gap as well.
#[tokio::test]
async fn what_a_retired_schedule_owes_is_not_what_was_run_before_the_clock_was_set_right() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    assert_eq!(bench.tick(at("09:03:00")).await.runs(), 3);
    bench
        .run_sql(
            "UPDATE job_schedules SET watermark = '2026-05-04 09:01Z', set_back_from = '2026-05-04 09:03Z'",
        )
        .await;
    assert_eq!(bench.prove(&Registry::new([]), at("09:10:00")).await.retired, 1);
    let gaps: Vec<(DateTime<Utc>, DateTime<Utc>, i64)> =
        sqlx::query_as("SELECT first_at, last_at, instants FROM job_gaps")
            .fetch_all(bench.pool())
            .await
            .unwrap();
    assert_eq!(gaps, [(at("09:04:00"), at("09:10:00"), 7)]);
}

#[tokio::test]
async fn two_schedulers_that_start_at_once_sync_one_after_the_other() {
    let bench = Bench::new().await;
    let registry = Registry::new(all(mailer(&[]), Entropy::system()));
    let told = Told { outbox: &bench.outbox, entropy: &bench.entropy };
    let sync = || sync(&bench.as_program, told, &registry, Occasion::Start);
    let (one, other) = tokio::join!(sync(), sync());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.added + other.added, one.unchanged + other.unchanged), (7, 7));
}
