//! Whether the trail is well.

use audit_consumer::audit::{Batch, Message, SetAside, record};
use chrono::{Months, TimeDelta};
use serde_json::json;
use shared::clock::Clock;
use shared::retention::{DROPPED_AFTER, RETENTION};

use crate::trail::{Trail, members, session};

#[tokio::test]
async fn the_lag_is_told_for_each_minute() {
    let trail = Trail::new().await;
    for (seconds, lag) in [(0, "10 ms"), (30, "20 ms"), (59, "30 s"), (60, "1 s"), (86_400, "9 s")] {
        let id = trail.tell(seconds, "task.created", json!({})).await;
        trail
            .run(&format!(
                "UPDATE audit.events SET recorded_at = occurred_at + interval '{lag}' WHERE event_id = '{id}'"
            ))
            .await;
    }
    let query = format!("{} ORDER BY minute", trail.summed("pipeline_lag", 0));
    let expected = [json!([3, "00:00:00.02", "00:00:30"]), json!([1, "00:00:01", "00:00:01"])];
    assert_eq!(members(&trail.rows(&query).await, &["events", "p50", "longest"]), expected);
    let now = Clock::system().now();
    trail.tell_at(now - TimeDelta::minutes(59), "task.created", json!({})).await;
    trail.tell_at(now - TimeDelta::minutes(62), "task.created", json!({})).await;
    assert_eq!(trail.row("SELECT * FROM audit.pipeline_lag").await["events"], 1, "the last hour alone");
}

/// Outbox row `seq`, `minutes` old.
fn outbox_row(seq: i64, minutes: i64) -> String {
    format!(
        "INSERT INTO outbox (seq, event_id, exchange, routing_key, headers, body, created_at) OVERRIDING SYSTEM VALUE
         VALUES ({seq}, gen_random_uuid(), 'task.events', 'task.created', '{{}}', '{{}}', now() - interval '{minutes} min');"
    )
}

#[tokio::test]
async fn what_waits_and_what_is_parked_is_unsent() {
    let trail = Trail::new().await;
    trail.run(&(outbox_row(7, 3) + &outbox_row(8, 0))).await;
    trail
        .run(
            "WITH gone AS (DELETE FROM outbox WHERE seq = 8 RETURNING *)
             INSERT INTO outbox_parked (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason)
             SELECT seq, event_id, exchange, routing_key, headers, body, created_at, 3, '312 NO_ROUTE' FROM gone",
        )
        .await;
    let rows =
        trail.rows("SELECT *, age > interval '2 min' AS old FROM audit.unsent ORDER BY sequence").await;
    let expected = [json!(["waiting", 7, true, 0, null]), json!(["parked", 8, false, 3, "312 NO_ROUTE"])];
    assert_eq!(members(&rows, &["state", "sequence", "old", "attempts", "reason"]), expected);
    assert!(rows[0].get("body").is_none(), "what is in an event on its way is not shown");
}

#[tokio::test]
async fn what_was_confirmed_and_is_no_row_of_the_trail_is_unrecorded() {
    let trail = Trail::new().await;
    trail.tell(5, "task.created", json!({})).await;
    trail.run(&(outbox_row(7, 3) + &outbox_row(8, 0))).await;
    trail
        .run(
            "WITH gone AS (DELETE FROM outbox RETURNING *)
             INSERT INTO outbox_confirmed
                 (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, parkings, confirmed_at)
             SELECT seq, CASE seq WHEN 8 THEN (SELECT event_id FROM audit.events) ELSE event_id END, exchange, routing_key,
                 headers, body, created_at, attempts, 1, now() - interval '1 hour'
             FROM gone",
        )
        .await;
    let rows = trail.rows("SELECT *, age >= interval '1 hour' AS old FROM audit.unrecorded").await;
    assert_eq!(members(&rows, &["sequence", "old", "parkings"]), [json!([7, true, 1])]);
    assert!(rows[0].get("body").is_none(), "what is in an event on its way is not shown");
}

/// Numbers 1, 2 and 3 are recorded, 4 to 8 are missing, of which two are known to be on their way; 9 is recorded.
#[tokio::test]
async fn a_gap_is_a_run_of_numbers_that_no_row_has_less_those_that_are_on_their_way() {
    let trail = Trail::new().await;
    for seconds in [5, 3, 4] {
        trail.tell(seconds, "task.created", json!({})).await;
    }
    trail.skip(5);
    trail.run(&(outbox_row(5, 0) + &outbox_row(8, 0) + &outbox_row(10, 0))).await;
    trail.tell(6, "task.created", json!({})).await;
    let row = trail.row(&trail.summed("gaps", 0)).await;
    let names = ["after_sequence", "before_sequence", "missing", "unsent", "unexplained"];
    assert_eq!(members(&[row], &names), [json!([3, 9, 5, 2, 3])]);
    // Outside of the stretch there is no gap to be seen: before its first row and after its last.
    assert_eq!(trail.rows(&trail.summed("gaps", 6)).await, Vec::<serde_json::Value>::new());
    assert_eq!(trail.rows("SELECT * FROM audit.gaps").await.len(), 0, "the last day alone");
}

#[tokio::test]
async fn the_quarantine_says_why_how_a_message_begins_and_whether_it_was_recorded_all_the_same() {
    let trail = Trail::new().await;
    let id = trail.tell(0, "task.created", json!({})).await.to_string();
    let other = session(1).to_string();
    let set_aside = [
        (Some(id.as_str()), &b"{\x00\xff"[..]),
        (Some(other.as_str()), b"plain"),
        (Some("odd"), b"x"),
        (None, b"y"),
    ];
    let set_aside = set_aside.map(|(message_id, body)| SetAside {
        message: Message { message_id, body, delivery: None },
        reason: "unreadable".to_owned(),
    });
    record(trail.database.pool(), Batch { candidates: Vec::new(), set_aside: set_aside.into() })
        .await
        .unwrap();
    let rows = trail.rows("SELECT * FROM audit.quarantined ORDER BY bytes DESC, beginning").await;
    let expected = [
        json!(["unreadable", other, 5, "plain", false]),
        json!(["unreadable", id, 3, r"{\000\377", true]),
        json!(["unreadable", "odd", 1, "x", false]),
        json!(["unreadable", null, 1, "y", false]),
    ];
    assert_eq!(members(&rows, &["reason", "message_id", "bytes", "beginning", "recorded"]), expected);
}

#[tokio::test]
async fn partitions_say_their_months_and_when_they_may_go() {
    let trail = Trail::new().await;
    trail.run("SELECT audit.make_partitions('2031-03-05', 0)").await;
    let march = trail.row("SELECT * FROM audit.partitions WHERE partition = 'events_2031_03'").await;
    let names = ["from_at", "until_at", "is_default", "dropped_from"];
    let dropped_from =
        "2031-04-01T00:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap() + DROPPED_AFTER;
    let shown = dropped_from.format("%Y-%m-%dT%H:%M:%S+00:00").to_string();
    let expected = json!(["2031-03-01T00:00:00+00:00", "2031-04-01T00:00:00+00:00", false, shown]);
    assert_eq!(members(&[march], &names), [expected]);
    let stray = Clock::system().now() + Months::new(30);
    let id = shared::entropy::Entropy::system().uuid_v7(stray);
    trail.record(&crate::trail::envelope(id, stray, 1, "task.created", &json!({})).to_string(), stray).await;
    let default = trail.row("SELECT * FROM audit.partitions WHERE is_default").await;
    let names = ["partition", "from_at", "rows_about", "dropped_from"];
    assert_eq!(members(&[default], &names), [json!(["events_default", null, 1, null])]);
}

/// One figure in two languages.
#[tokio::test]
async fn the_database_and_the_programs_keep_the_trail_equally_long() {
    let trail = Trail::new().await;
    let row = trail
        .row("SELECT extract(epoch FROM audit.kept_for()) AS kept, extract(epoch FROM audit.dropped_after()) AS dropped")
        .await;
    assert_eq!(
        members(&[row], &["kept", "dropped"]),
        [json!([RETENTION.as_seconds_f64(), DROPPED_AFTER.as_seconds_f64()])]
    );
}
