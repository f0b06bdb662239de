//! Schedules that no build declares: added and removed by operators.

use std::time::Duration;

use chrono::TimeDelta;
use scheduler::jobs::{Definition, Job};
use scheduler::worker::Registry;
use serde_json::json;
use shared::control::{NewSchedule, add, find_schedule, pause, remove};

use crate::bench::{Bench, KEY, at, definition};
use crate::remote::{Office, once, operation};

#[tokio::test]
async fn an_added_schedule_is_due_and_no_build_retires_it() {
    let office = Office::open().await;
    let bench = &office.bench;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(bench));
    let new = NewSchedule {
        // Not due while this test runs.
        timetable: "at 2100-01-01 09:00".to_owned(),
        time_zone: "Asia/Kolkata".to_owned(),
        args: json!({ "region": "eu" }),
        priority: -3,
        jitter: Duration::from_secs(0),
        backoff: Duration::from_secs(7),
        backoff_max: Duration::from_mins(2),
        ..once("nightly")
    };
    let added = add(pool, outbox, operation, &new).await.unwrap();
    assert_eq!(bench.events("operator.schedule.added").await, 1);
    let registry = Bench::registry(|_| Ok(String::new()));
    bench.sync(&registry, office.now().await).await;
    bench.prove(&registry, office.now().await + TimeDelta::hours(1)).await;
    let found = find_schedule(pool, "nightly").await.unwrap().unwrap().schedule;
    assert_eq!(
        (found.retired_at, found.creator.as_deref(), found.queue.as_str()),
        (None, Some("ada"), "sales")
    );
    assert_eq!((found.priority, found.next[0]), (-3, added.next_due_at));
    assert_eq!((found.backoff_seconds, found.backoff_max_seconds), (7, 120));
    bench.tick(added.next_due_at).await;
    let waits = "SELECT count(*) FROM job_runs WHERE backoff_seconds = 7 AND backoff_max_seconds = 120";
    assert_eq!(bench.count(waits).await, 1);
    assert_eq!(bench.events("sales.report").await, 1);
}

#[tokio::test]
async fn keys_that_are_there_and_words_that_make_no_schedule_are_refused() {
    let office = Office::open().await;
    let bench = &office.bench;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(bench));
    bench.schedule(at("09:00:00")).await;
    add(pool, outbox, operation, &once("nightly")).await.unwrap();
    bench.run_sql("INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, attempts_max, timeout_seconds, run_after)
        VALUES (gen_random_uuid(), 'by-code', 'by-code', now(), 'default', 1, 1, now())").await;
    let line = |timetable: &str| NewSchedule { timetable: timetable.to_owned(), ..once("other") };
    for (new, expected) in [
        (once("nightly"), "there is a schedule nightly already"),
        (once(KEY), "the key of a schedule in code"),
        (once("send-mail"), "runs that no schedule makes"),
        (once("by-code"), "runs that no schedule makes"),
        (line("at noon"), "no moment"),
        (line("0 0 30 2 *"), "would never be due"),
        (
            NewSchedule { backoff: Duration::from_mins(11), ..once("other") },
            "the highest not below the first",
        ),
        (NewSchedule { backoff: Duration::ZERO, ..once("other") }, "the waits between attempts"),
        (NewSchedule { time_zone: "Mars/Olympus".to_owned(), ..once("other") }, "no time zone"),
    ] {
        let refused = add(pool, outbox, operation, &new).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    assert_eq!(bench.events("operator.schedule.added").await, 1);
    let gone = remove(pool, outbox, operation, &bench.entropy, "sheep").await.unwrap_err().to_string();
    assert!(gone.contains("no schedule \"sheep\""), "{gone}");
    let ours = remove(pool, outbox, operation, &bench.entropy, KEY).await.unwrap_err().to_string();
    assert!(ours.contains("declared in code"), "{ours}");
}

#[tokio::test]
async fn a_removed_schedule_has_answered_what_it_owed_and_its_key_may_be_used_again() {
    let office = Office::open().await;
    let bench = &office.bench;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(bench));
    let minutely = NewSchedule { timetable: "every 60s".to_owned(), catch_up_max: 100, ..once("minutely") };
    add(pool, outbox, operation, &minutely).await.unwrap();
    bench
        .run_sql(
            "UPDATE job_schedules SET watermark = watermark - interval '10 minutes', next_due_at = now()",
        )
        .await;
    remove(pool, outbox, operation, &bench.entropy, "minutely").await.unwrap();
    // A minute may have passed meanwhile.
    assert!((10..=11).contains(&bench.count("SELECT count(*) FROM job_runs").await));
    assert_eq!(bench.events("operator.schedule.removed").await, 1);
    assert_eq!(bench.tick(office.now().await + TimeDelta::days(1)).await.runs(), 0);
    let again = remove(pool, outbox, operation, &bench.entropy, "minutely").await.unwrap_err().to_string();
    assert!(again.contains("it was removed"), "{again}");
    assert!(pause(pool, outbox, operation, "minutely").await.is_err());
    // What it has answered stays so.
    let once = NewSchedule { timetable: "at 2020-05-04 09:00".to_owned(), ..minutely.clone() };
    assert!(add(pool, outbox, operation, &once).await.unwrap_err().to_string().contains("never be due"));
    add(pool, outbox, operation, &minutely).await.unwrap();
    let ticked = bench.tick(office.now().await + TimeDelta::seconds(60)).await;
    assert!(ticked.runs() >= 1 && ticked.missed() == 0, "{ticked:?}");
}

#[tokio::test]
async fn a_build_that_declares_the_key_of_an_added_schedule_takes_it_over() {
    let office = Office::open().await;
    let bench = &office.bench;
    let (pool, outbox, operation) = (&bench.as_program, &bench.outbox, &operation(bench));
    let minutely = NewSchedule { timetable: "* * * * *".to_owned(), ..once("taken") };
    add(pool, outbox, operation, &minutely).await.unwrap();
    let taken = Definition { key: "taken", ..definition() };
    let registry = Registry::new([Job::new(taken, |_| std::future::ready(Ok(String::new())))]);
    let now = office.now().await;
    assert_eq!(bench.sync(&registry, now).await.changed, 1);
    assert_eq!(bench.prove(&registry, now).await.unchanged, 1);
    let found = find_schedule(pool, "taken").await.unwrap().unwrap().schedule;
    assert_eq!((found.queue.as_str(), found.job_key.as_str(), found.creator), ("default", "taken", None));
    assert!(bench.tick(now + TimeDelta::minutes(1)).await.runs() >= 1, "what it owed is not lost");
}
