//! `drop-audit-partitions` against a real trail. The database's own clock says what is old, so the rows here are of long ago.

use std::time::Duration;

use chrono::{DateTime, Datelike, Days, Months, Utc};
use scheduler::jobs::{JobResult, drop_partitions};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::database::{Role, connect};
use shared::retention::DROPPED_AFTER;
use sqlx::{AssertSqlSafe, Executor};
use test_support::eventually;

use crate::bench::Bench;
use crate::jobs::run;

async fn purge(bench: &Bench) -> JobResult {
    run(bench, drop_partitions::job(), json!({})).await
}

/// The first instant of the month in which the youngest events lie that may go: its partition must stay.
fn border() -> DateTime<Utc> {
    let day = Clock::system().now() - DROPPED_AFTER;
    day.date_naive().with_day(1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc()
}

async fn make_partitions(bench: &Bench, first: DateTime<Utc>, more: i32) {
    sqlx::query("SELECT audit.make_partitions($1, $2)")
        .bind(first)
        .bind(more)
        .execute(bench.pool())
        .await
        .unwrap();
}

async fn insert(bench: &Bench, at: DateTime<Utc>) {
    sqlx::query(
        "INSERT INTO audit.events (event_id, type, occurred_at, outcome, body) VALUES ($1, 't', $2, 'success', '{}')",
    )
    .bind(bench.entropy.uuid_v7(at))
    .bind(at)
    .execute(bench.pool())
    .await
    .unwrap();
}

/// What was told of purges, the first one first.
async fn told(bench: &Bench) -> Vec<Value> {
    let bodies: Vec<String> = sqlx::query_scalar(
        "SELECT body FROM outbox WHERE routing_key = 'operator.trail.purged' ORDER BY seq",
    )
    .fetch_all(bench.pool())
    .await
    .unwrap();
    bodies.iter().map(|body| serde_json::from_str::<Value>(body).unwrap()["data"].clone()).collect()
}

fn name(month: DateTime<Utc>) -> String {
    format!("events_{}", month.format("%Y_%m"))
}

/// Goes red when the border is a month off to either side, when a month goes untold, or when what is told is not what was
/// there.
#[tokio::test]
async fn months_that_outlived_their_time_go_one_by_one_and_no_younger_one() {
    let bench = Bench::new().await;
    let border = border();
    let (gone, empty) = (border - Months::new(1), border - Months::new(2));
    make_partitions(&bench, empty, 2).await;
    let (first, last) = (gone + Days::new(1), border - chrono::TimeDelta::milliseconds(1));
    let stray = border - Months::new(50);
    for at in [last, first, gone + Days::new(9), border, stray, Clock::system().now() + Months::new(50)] {
        insert(&bench, at).await;
    }
    assert_eq!(purge(&bench).await.unwrap(), "purged 3 partition(s) of 4 row(s)\n");
    let reason = "older than 400 days";
    let purged = |partition: &str, rows: i64, first: Option<DateTime<Utc>>, last: Option<DateTime<Utc>>| {
        let mut told = json!({ "actor": "drop-audit-partitions", "reason": reason, "partition": partition, "rows": rows });
        if let (Some(first), Some(last)) = (first, last) {
            (told["first_at"], told["last_at"]) = (json!(first), json!(last));
        }
        told
    };
    let expected = [
        purged(&name(empty), 0, None, None),
        purged(&name(gone), 3, Some(first), Some(last)),
        purged("events_default", 1, Some(stray), Some(stray)),
    ];
    assert_eq!(told(&bench).await, expected);
    let left: Vec<DateTime<Utc>> = sqlx::query_scalar("SELECT occurred_at FROM audit.events ORDER BY 1")
        .fetch_all(bench.pool())
        .await
        .unwrap();
    assert_eq!((left[0], left.len()), (border, 2));
    let there = sqlx::query_scalar::<_, bool>(AssertSqlSafe(format!(
        "SELECT to_regclass('audit.{}') IS NOT NULL",
        name(border)
    )));
    assert!(there.fetch_one(bench.pool()).await.unwrap());
    assert_eq!(purge(&bench).await.unwrap(), "purged 0 partition(s) of 0 row(s)\n");
}

/// Goes red when the job waits for the trail as long as it takes: then every insert waits behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inserts_go_on_while_a_long_read_keeps_a_month_from_being_dropped() {
    let bench = Bench::new().await;
    make_partitions(&bench, border() - Months::new(1), 0).await;
    let mut reader = bench.pool().begin().await.unwrap();
    reader.execute("SELECT count(*) FROM audit.events").await.unwrap();
    let purging = async { purge(&bench).await.unwrap() };
    let inserting = async {
        bench.database.wait_for_a_blocked_writer("audit.events").await;
        for place in 0..3 {
            let mut writer = bench.pool().begin().await.unwrap();
            writer.execute("SET LOCAL lock_timeout = '20s'").await.unwrap();
            let event = "INSERT INTO audit.events (event_id, type, occurred_at, outcome, body)
                VALUES (audit.id_at(now() + $1 * interval '1 s'), 't', now(), 'success', '{}')";
            sqlx::query(event).bind(place).execute(&mut *writer).await.unwrap();
            writer.commit().await.unwrap();
        }
        assert_eq!(bench.events("operator.trail.purged").await, 0, "nothing was dropped meanwhile");
        reader.rollback().await.unwrap();
    };
    let (output, ()) = tokio::join!(purging, inserting);
    assert_eq!(output, "purged 1 partition(s) of 0 row(s)\n");
    assert_eq!(bench.events("operator.trail.purged").await, 1);
}

#[tokio::test]
async fn a_month_whose_end_can_not_be_told_stays() {
    let bench = Bench::new().await;
    let gone = border() - Months::new(1);
    make_partitions(&bench, gone, 0).await;
    insert(&bench, gone).await;
    bench
        .run_sql("ALTER TABLE outbox ADD CONSTRAINT mute CHECK (routing_key <> 'operator.trail.purged')")
        .await;
    assert!(purge(&bench).await.is_err());
    assert_eq!(bench.count("SELECT count(*) FROM audit.events").await, 1);
    bench.run_sql("ALTER TABLE outbox DROP CONSTRAINT mute").await;
    assert_eq!(purge(&bench).await.unwrap(), "purged 1 partition(s) of 1 row(s)\n");
}

/// Counting a large month takes longer than a statement of ours otherwise may. Goes red when such a month can never be
/// dropped.
#[tokio::test]
async fn a_month_that_takes_longer_than_other_statements_may_is_dropped_all_the_same() {
    let mut bench = Bench::new().await;
    make_partitions(&bench, border() - Months::new(1), 0).await;
    bench
        .run_sql(
            "ALTER FUNCTION audit.drop_expired_partition() RENAME TO drop_swiftly;
             CREATE FUNCTION audit.drop_expired_partition()
             RETURNS TABLE (partition text, rows bigint, first_at timestamptz, last_at timestamptz)
             LANGUAGE sql SECURITY DEFINER AS $$ SELECT pg_sleep(1); SELECT * FROM audit.drop_swiftly() $$;",
        )
        .await;
    // As the program connects, but with less patience: nobody waits for 20 s here.
    let pool = connect(&bench.database.config_as(Role::Scheduler), "test").unwrap();
    let options = pool.connect_options().as_ref().clone();
    pool.set_connect_options(options.options([("statement_timeout", "300ms")]));
    bench.as_program = pool;
    assert_eq!(purge(&bench).await.unwrap(), "purged 1 partition(s) of 0 row(s)\n");
}

/// Two schedulers, a run that is done again: one month is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_purge_at_once_tell_of_each_month_once() {
    let bench = Bench::new().await;
    make_partitions(&bench, border() - Months::new(4), 3).await;
    let (one, other) = tokio::join!(purge(&bench), purge(&bench));
    one.unwrap();
    other.unwrap();
    let partitions: Vec<_> = told(&bench).await.iter().map(|told| told["partition"].clone()).collect();
    let expected: Vec<_> = [4, 3, 2, 1].map(|months| json!(name(border() - Months::new(months)))).into();
    assert_eq!(partitions, expected);
    eventually(Duration::from_secs(1), "no lock left", async || {
        (bench.count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").await == 0).then_some(())
    })
    .await;
}
