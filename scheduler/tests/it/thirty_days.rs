//! Thirty days of ten schedules, in a minute: three planners take turns, abort, stand still, and live with a clock that jumps, while
//! operators pause schedules and have them go on.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use scheduler::jobs::{Definition, Job};
use scheduler::schedule::watermark;
use scheduler::worker::Registry;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::schedules::publish_tick::publish_ticks;
use shared::schedules::store::lock;
use shared::schedules::timetable::Timetable;
use shared::schedules::{Overlap, settle};
use sqlx::PgPool;

use crate::bench::{Bench, at};

/// How many days.
const DAYS: i64 = 30;

/// Which schedules operators pause.
const OFTEN: [&str; 5] = ["minutely", "skips", "queues", "only-in-time", "late-by-design"];

fn definitions() -> [Definition; 10] {
    let new = |key, timetable, time_zone| Definition {
        timetable: Some(timetable),
        time_zone,
        catch_up_max: 3,
        catch_up_window: Duration::from_hours(2),
        ..Definition::new(key)
    };
    [
        Definition { catch_up_max: 5, ..new("minutely", "* * * * *", "UTC") },
        Definition { overlap: Overlap::Skip, ..new("skips", "*/5 * * * *", "UTC") },
        Definition { overlap: Overlap::Queue, ..new("queues", "*/7 * * * *", "America/Chicago") },
        Definition { catch_up_max: 0, ..new("only-in-time", "every 10m", "UTC") },
        Definition { jitter: Duration::from_mins(10), ..new("late-by-design", "0 * * * *", "Europe/London") },
        new("nightly", "30 2 * * *", "Australia/Lord_Howe"),
        new("weekly", "@weekly", "Africa/Casablanca"),
        Definition {
            starts_at: Some(at("00:00:00") + TimeDelta::days(3)),
            ends_at: Some(at("00:00:00") + TimeDelta::days(20)),
            ..new("for-a-while", "every 1h30m", "UTC")
        },
        new("once", "at 2026-05-20 12:00", "Asia/Kolkata"),
        Definition { catch_up_max: 100, ..new("all-of-them", "0,30 9-17 * * 1-5", "Pacific/Chatham") },
    ]
}

/// What may happen, drawn from a seed.
struct Chance(Entropy);

impl Chance {
    fn seconds(&self, most: u64) -> TimeDelta {
        TimeDelta::from_std(self.0.jitter(Duration::from_secs(most))).unwrap()
    }

    fn one_in(&self, count: u64) -> bool {
        self.0.jitter(Duration::from_secs(count)) < Duration::from_secs(1)
    }
}

/// One look of one planner; with `aborts` it dies before its commit.
async fn look(pool: &PgPool, outbox: &Outbox, entropy: &Entropy, now: DateTime<Utc>, aborts: bool) -> bool {
    let mut transaction = pool.begin().await.unwrap();
    watermark::watch(&mut transaction, now).await.unwrap();
    let published = publish_ticks(&mut transaction, outbox, entropy, now).await.unwrap();
    if aborts {
        transaction.rollback().await.unwrap();
        return true;
    }
    transaction.commit().await.unwrap();
    published.more
}

/// An operator pauses a schedule that goes on, or has a paused one go on, at `now`: as the commands do, which have the database's clock
/// alone. Whether he paused it.
async fn pause_or_resume(bench: &Bench, key: &str, now: DateTime<Utc>) -> bool {
    let mut transaction = bench.as_program.begin().await.unwrap();
    let connection = &mut *transaction;
    let row = lock(connection, &[key.to_owned()]).await.unwrap().pop().unwrap();
    let change = if row.paused_at.is_none() {
        "UPDATE job_schedules SET paused_at = $2, paused_by = 'ada', paused_reason = 'a look' WHERE schedule_key = $1"
    } else {
        settle(connection, &bench.outbox, &bench.entropy, key, now).await.unwrap();
        "UPDATE job_schedules SET paused_at = NULL, paused_by = NULL, paused_reason = NULL WHERE schedule_key = $1 AND $2 IS NOT NULL"
    };
    sqlx::query(change).bind(key).bind(now).execute(connection).await.unwrap();
    transaction.commit().await.unwrap();
    row.paused_at.is_none()
}

async fn look_until_nothing_is_due(bench: &Bench, now: DateTime<Utc>) {
    let mut looks = 0;
    while look(&bench.as_program, &bench.outbox, &bench.entropy, now, false).await {
        looks += 1;
        assert!(looks < 1_000, "there is no end of it");
    }
}

/// Every instant of each schedule up to its watermark has one run or lies in one gap.
async fn account(bench: &Bench, begin: DateTime<Utc>) {
    let mut runs: HashMap<String, BTreeSet<DateTime<Utc>>> = HashMap::new();
    let rows: Vec<(String, DateTime<Utc>)> =
        sqlx::query_as("SELECT schedule_key, scheduled_at FROM job_runs")
            .fetch_all(bench.pool())
            .await
            .unwrap();
    for (key, instant) in rows {
        assert!(runs.entry(key).or_default().insert(instant), "the key is unique");
    }
    let gaps: Vec<(String, DateTime<Utc>, DateTime<Utc>, i64)> =
        sqlx::query_as("SELECT schedule_key, first_at, last_at, instants FROM job_gaps ORDER BY first_at")
            .fetch_all(bench.pool())
            .await
            .unwrap();
    let watermarks: HashMap<String, DateTime<Utc>> =
        sqlx::query_as("SELECT schedule_key, watermark FROM job_schedules")
            .fetch_all(bench.pool())
            .await
            .unwrap()
            .into_iter()
            .collect();
    for definition in definitions() {
        let key = definition.key;
        let timetable = Timetable::new(definition.timetable.unwrap(), definition.time_zone).unwrap();
        let timetable = timetable.within(definition.starts_at, definition.ends_at);
        let until = watermarks[key];
        let instants = || timetable.instants_after(begin).take_while(|instant| *instant <= until);
        let ran = runs.remove(key).unwrap_or_default();
        let of_it: Vec<_> = gaps.iter().filter(|gap| gap.0 == key).collect();
        let mut counted = vec![0_i64; of_it.len()];
        for instant in instants() {
            let in_gaps: Vec<usize> = (0..of_it.len())
                .filter(|place| (of_it[*place].1..=of_it[*place].2).contains(&instant))
                .collect();
            let answers = usize::from(ran.contains(&instant)) + in_gaps.len();
            assert_eq!(answers, 1, "{key} at {instant}: in gaps {in_gaps:?}");
            for place in in_gaps {
                counted[place] += 1;
            }
        }
        for (gap, counted) in of_it.iter().zip(counted) {
            assert_eq!(gap.3, counted, "{key}: the gap of {} to {}", gap.1, gap.2);
        }
        let named: BTreeSet<_> =
            timetable.instants_after(begin).take_while(|at| Some(at) <= ran.last()).collect();
        assert!(ran.is_subset(&named), "{key}: a run that no instant asks for");
        assert!(!ran.is_empty() && (ran.len() > 1 || key == "once"), "{key}: {} run(s)", ran.len());
    }
    let ticks = "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE exchange = 'job.ticks'
        GROUP BY body::jsonb -> 'data' ->> 'run_id' HAVING count(*) > 1) AS doubled";
    assert_eq!(bench.count(ticks).await, 0);
    let untold =
        "SELECT (SELECT count(*) FROM job_runs) - (SELECT count(*) FROM outbox WHERE exchange = 'job.ticks')";
    assert_eq!(bench.count(untold).await, 0, "a tick for each run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_thirty_days_every_instant_is_answered_once_whatever_planners_and_the_clock_do() {
    let bench = Bench::new().await;
    let chance = Chance(Entropy::seeded(30));
    let begin = at("00:00:00");
    let jobs =
        definitions().map(|definition| Job::new(definition, |_| std::future::ready(Ok(String::new()))));
    bench.sync(&Registry::new(jobs), begin).await;
    // What the clock is ahead by, and for how long it stays so.
    let (mut ahead, mut ahead_until) = (TimeDelta::zero(), begin);
    let (mut real, mut looks, mut aborts, mut jumps, mut pauses) = (begin, 0, 0, 0, 0);
    while real < begin + TimeDelta::days(DAYS) {
        real += match (chance.one_in(300), chance.one_in(3)) {
            // Nobody looks for a while.
            (true, _) => chance.seconds(6 * 3_600),
            (_, true) => chance.seconds(20),
            _ => chance.seconds(900),
        };
        if real >= ahead_until {
            ahead = TimeDelta::zero();
            if chance.one_in(200) {
                ahead = chance.seconds(4 * 3_600) - TimeDelta::hours(1);
                ahead_until = real + chance.seconds(6 * 3_600);
                jumps += 1;
            }
        }
        let now = real + ahead;
        let planner = |aborts| look(&bench.as_program, &bench.outbox, &bench.entropy, now, aborts);
        let fates = [chance.one_in(10), chance.one_in(10), chance.one_in(10)];
        aborts += fates.iter().filter(|aborts| **aborts).count();
        if chance.one_in(4) {
            tokio::join!(planner(fates[0]), planner(fates[1]), planner(fates[2]));
        } else {
            planner(fates[0]).await;
        }
        looks += 1;
        if chance.one_in(30) {
            // Of those that are due often: each still has runs in the end.
            let key = OFTEN[usize::from(chance.0.bytes::<1>()[0]) % OFTEN.len()];
            pauses += usize::from(pause_or_resume(&bench, key, now).await);
        }
        if chance.one_in(2) {
            bench
                .run_sql("UPDATE job_runs SET state = 'succeeded', finished_at = now() WHERE state = 'queued' AND is_exclusive")
                .await;
        }
    }
    // The clock is right in the end, and what it was ahead by passes.
    for minutes in [0, 90, 180, 600] {
        look_until_nothing_is_due(&bench, real + TimeDelta::minutes(minutes)).await;
    }
    assert!(looks > 5_000 && aborts > 500 && jumps > 10, "{looks} looks, {aborts} aborts, {jumps} jumps");
    assert!(pauses > 50, "{pauses} pauses");
    for reason in ["missed", "skipped", "paused"] {
        let gaps = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM job_gaps WHERE reason = $1");
        assert!(gaps.bind(reason).fetch_one(bench.pool()).await.unwrap() > 5, "{reason}");
    }
    assert!(bench.count("SELECT count(*) FROM job_schedules WHERE set_back_from IS NOT NULL").await > 0);
    account(&bench, begin).await;
}
