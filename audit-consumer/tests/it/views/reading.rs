//! What it costs to read a view, and who may.

use serde_json::json;
use shared::role::Role;
use sqlx::{AssertSqlSafe, Executor};

use crate::trail::Trail;

/// One row an event: bounded from outside by the event's id.
const BY_EVENT: &[&str] = &[
    "activity",
    "user_timeline",
    "session_history",
    "success_after_failures",
    "new_ip_logins",
    "token_reuse",
    "lockouts",
    "password_resets",
    "staff_actions",
    "operator_actions",
    "account_commands",
    "logins",
    "logouts",
    "blacklisted_tokens",
];
/// Sums: bounded by their arguments.
const SUMMED: &[&str] =
    &["failed_logins_by_ip", "failed_logins_by_account", "spraying", "stuffing", "pipeline_lag", "gaps"];
/// Of the pipeline.
const OTHERS: &[&str] = &["unsent", "unrecorded", "quarantined", "partitions"];

/// The nodes of an executed plan that read a partition, and were executed.
async fn nodes_read(trail: &Trail, query: &str) -> Vec<String> {
    let mut transaction = trail.database.pool().begin().await.unwrap();
    // So few rows are read whole otherwise; this asks whether an index would do.
    transaction.execute("SET LOCAL enable_seqscan = off").await.unwrap();
    let explain = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {query}");
    let plan: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *transaction).await.unwrap();
    plan.into_iter()
        .filter(|line| line.contains(" on events_") || line.contains("Index Scan on "))
        .filter(|line| !line.contains("never executed"))
        .collect()
}

/// A day of March is asked for; what a view looks up before may be in the 90 days before.
#[tokio::test]
async fn a_stretch_of_time_reads_its_partitions_alone_and_those_by_index() {
    let trail = Trail::new().await;
    trail.run("SELECT audit.make_partitions('2030-10-01', 8)").await;
    let march: chrono::DateTime<chrono::Utc> = "2031-03-15T00:00:00Z".parse().unwrap();
    for number in 0..40_i64 {
        let at = march + chrono::TimeDelta::minutes(number);
        let data = json!({ "user_id": number, "username": "x", "session_id": crate::trail::session(1), "ip": "192.0.2.1", "actor_id": 1 });
        for event_type in
            ["auth.login.succeeded", "auth.login.failed", "auth.token.reuse_detected", "operator.trail.read"]
        {
            trail.tell_at(at, event_type, data.clone()).await;
        }
    }
    trail.run("ANALYZE audit.events").await;
    let (from, until) = ("'2031-03-15 00:00Z'", "'2031-03-16 00:00Z'");
    let by_event = BY_EVENT.iter().map(|view| {
        format!("SELECT * FROM audit.{view} WHERE event_id >= audit.id_at({from}) AND event_id < audit.id_at({until})")
    });
    let summed = SUMMED.iter().map(|view| format!("SELECT * FROM audit.{view}({from}, {until})"));
    for query in by_event.chain(summed) {
        let read = nodes_read(&trail, &query).await;
        assert!(read.iter().any(|node| node.contains("events_2031_03")), "{query}: {read:?}");
        for node in read {
            let of_another_time = ["2030_10", "2030_11"].iter().any(|name| node.contains(name));
            assert!(!of_another_time, "{query}: {node}");
            assert!(!node.contains("Seq Scan"), "{query}: {node}");
        }
    }
}

/// `since` is known only when the query runs: the partitions before it are not read all the same.
#[tokio::test]
async fn so_long_ago_until_now_reads_no_partition_before() {
    let trail = Trail::new().await;
    trail.run("SELECT audit.make_partitions(now() - interval '200 days', 2)").await;
    trail.tell_at(shared::clock::Clock::system().now(), "task.created", json!({})).await;
    let explain = "SELECT * FROM audit.activity WHERE event_id >= audit.since('1 hour')";
    let read = nodes_read(&trail, explain).await;
    let old =
        trail.rows("SELECT partition FROM audit.partitions WHERE until_at < now() - interval '1 hour'").await;
    assert!(old.len() >= 3, "{old:?}");
    for partition in old {
        let name = partition["partition"].as_str().unwrap();
        assert!(!read.iter().any(|node| node.contains(name)), "{name}: {read:?}");
    }
}

#[tokio::test]
async fn the_first_id_of_an_instant_is_that_of_its_millisecond() {
    let trail = Trail::new().await;
    let ids = trail
        .row(
            "SELECT audit.id_at('2026-11-28 10:00:00.0009Z') = audit.id_at('2026-11-28 10:00:00.000Z') AS floor,
                    audit.instant_of(audit.id_at('2026-11-28 10:00:00.123Z')) = '2026-11-28 10:00:00.123Z' AS back,
                    audit.id_at('-infinity') AS first, audit.id_at('infinity') AS last",
        )
        .await;
    let (zero, end) = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff");
    assert_eq!(ids, json!({ "floor": true, "back": true, "first": zero, "last": end }));
}

#[tokio::test]
async fn an_operator_reads_every_view_and_every_view_says_what_it_is() {
    let trail = Trail::new().await;
    trail
        .tell(0, "auth.login.succeeded", json!({ "user_id": 7, "session_id": crate::trail::session(1) }))
        .await;
    let mut operator = trail.database.pool().acquire().await.unwrap();
    operator.execute(AssertSqlSafe(format!("SET ROLE {}", Role::Operator.name()))).await.unwrap();
    for view in BY_EVENT.iter().chain(SUMMED).chain(OTHERS) {
        let read = operator.execute(AssertSqlSafe(format!("SELECT * FROM audit.{view}"))).await;
        assert!(read.is_ok(), "{view}: {read:?}");
    }
    for function in SUMMED {
        let read = operator
            .execute(AssertSqlSafe(format!("SELECT * FROM audit.{function}(now() - interval '1 day')")))
            .await;
        assert!(read.is_ok(), "{function}: {read:?}");
    }
    operator.execute("RESET ROLE").await.unwrap();
    let views = trail
        .rows("SELECT relname FROM pg_class WHERE relnamespace = 'audit'::regnamespace AND relkind = 'v' ORDER BY 1")
        .await;
    let mut known: Vec<_> =
        BY_EVENT.iter().chain(SUMMED).chain(OTHERS).map(|view| json!({ "relname": view })).collect();
    known.sort_by_key(|view| view["relname"].as_str().unwrap().to_owned());
    assert_eq!(views, known, "a view that no test knows");
    let silent = trail
        .rows("SELECT relname FROM pg_class WHERE relnamespace = 'audit'::regnamespace AND relkind = 'v' AND obj_description(oid) IS NULL")
        .await;
    assert_eq!(silent, Vec::<serde_json::Value>::new());
}
