//! The table of schedules follows the registry.

use scheduler::jobs::{Definition, Job, all};
use scheduler::schedule::catalogue::{Synced, sync};
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
    Synced { added, changed, retired, unchanged }
}

#[tokio::test]
async fn new_jobs_are_added_changed_ones_updated_and_vanished_ones_retired() {
    let bench = Bench::new().await;
    let other = Definition { key: "other", ..definition() };
    let both = registry([definition(), other.clone()]);
    assert_eq!(bench.sync(&both, at("09:00:00")).await, synced(2, 0, 0, 0));
    assert_eq!(bench.sync(&both, at("09:00:10")).await, synced(0, 0, 0, 2));
    let changed = registry([Definition { attempts_max: 9, ..definition() }]);
    assert_eq!(bench.sync(&changed, at("09:00:20")).await, synced(0, 1, 1, 0));
    assert_eq!(
        bench.count("SELECT attempts_max::bigint FROM job_schedules WHERE job_key = 'count-sheep'").await,
        9
    );
    assert_eq!(bench.tick(at("09:01:00")).await.runs, 1, "a retired schedule is due no more");
    assert_eq!(bench.sync(&both, at("09:30:00")).await, synced(1, 1, 0, 0));
    assert_eq!(bench.count("SELECT count(*) FROM job_schedules WHERE retired_at IS NOT NULL").await, 0);
}

#[tokio::test]
async fn a_new_job_owes_nothing_from_before_it_was_known() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:30")).await;
    assert_eq!(bench.tick(at("09:00:59")).await.runs, 0);
    assert_eq!(bench.count("SELECT count(*) FROM job_gaps").await, 0);
}

#[tokio::test]
async fn another_cron_line_begins_now_and_what_the_old_one_owed_is_missed() {
    let bench = Bench::new().await;
    bench.schedule(at("09:00:00")).await;
    let hourly = registry([Definition { cron: Some("0 * * * *"), ..definition() }]);
    assert_eq!(bench.sync(&hourly, at("09:10:30")).await, synced(0, 1, 0, 0));
    assert_eq!(bench.count("SELECT instants FROM job_gaps").await, 10);
    assert_eq!(bench.tick(at("09:59:59")).await.runs, 0);
    assert_eq!(bench.tick(at("10:00:00")).await.runs, 1);
}

#[tokio::test]
async fn two_schedulers_that_start_at_once_sync_one_after_the_other() {
    let bench = Bench::new().await;
    let registry = Registry::new(all(mailer(&[]), Entropy::system()));
    let (one, other) = tokio::join!(sync(&bench.as_program, &registry), sync(&bench.as_program, &registry));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.added + other.added, one.unchanged + other.unchanged), (5, 5));
}
