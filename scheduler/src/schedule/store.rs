//! The rows of `job_schedules` and `job_gaps`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::due::{CatchUp, Gap};

/// A schedule as the table has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleRow {
    /// The job.
    pub job_key: String,
    /// When it is due.
    pub cron: String,
    /// Its queue.
    pub queue: String,
    /// What its runs are given.
    pub args: Value,
    /// How many late instants are run.
    pub catch_up_max: i32,
    /// How old they may be.
    pub catch_up_window_seconds: i32,
    /// How long an attempt may take.
    pub timeout_seconds: i32,
    /// How many attempts.
    pub attempts_max: i32,
    /// Up to where every instant is answered.
    pub watermark: DateTime<Utc>,
    /// Since when it has not been in the registry.
    pub retired_at: Option<DateTime<Utc>>,
}

impl ScheduleRow {
    /// The rule for late instants.
    pub fn catch_up(&self) -> CatchUp {
        CatchUp {
            max: usize::try_from(self.catch_up_max).unwrap_or(0),
            window: Duration::from_secs(u64::try_from(self.catch_up_window_seconds).unwrap_or(0)),
        }
    }
}

/// The database's clock.
pub async fn now(connection: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(connection).await
}

/// Locks the schedules that are due, those first that have waited longest, skipping those another ticker holds.
pub async fn lock_due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<ScheduleRow>, sqlx::Error> {
    sqlx::query_as!(
        ScheduleRow,
        r#"
        SELECT
            job_key, cron, queue, args, catch_up_max, catch_up_window_seconds, timeout_seconds, attempts_max,
            watermark, retired_at
        FROM job_schedules
        WHERE retired_at IS NULL AND next_due_at <= $1
        ORDER BY next_due_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
        "#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Locks every schedule, retired or not.
pub async fn lock_all(connection: &mut PgConnection) -> Result<Vec<ScheduleRow>, sqlx::Error> {
    sqlx::query_as!(
        ScheduleRow,
        r#"
        SELECT
            job_key, cron, queue, args, catch_up_max, catch_up_window_seconds, timeout_seconds, attempts_max,
            watermark, retired_at
        FROM job_schedules
        ORDER BY job_key
        FOR UPDATE
        "#,
    )
    .fetch_all(connection)
    .await
}

/// Moves a schedule on.
pub async fn advance(
    connection: &mut PgConnection,
    job_key: &str,
    watermark: DateTime<Utc>,
    next_due_at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE job_schedules SET watermark = $2, next_due_at = $3 WHERE job_key = $1",
        job_key,
        watermark,
        next_due_at,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Has a schedule looked at again at `next_look_at`, its watermark as it was.
pub async fn put_off(
    connection: &mut PgConnection,
    job_key: &str,
    next_look_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE job_schedules SET next_due_at = $2 WHERE job_key = $1", job_key, next_look_at)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Writes a gap. One that goes on where the last one ended, at `after`, lengthens it: an outage is one row however many
/// portions it is recorded in.
pub async fn record_gap(
    connection: &mut PgConnection,
    job_key: &str,
    after: DateTime<Utc>,
    gap: &Gap,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let lengthened = sqlx::query!(
        r#"
        UPDATE job_gaps
        SET last_at = $3, instants = instants + $4, recorded_at = $6
        WHERE job_key = $1 AND last_at = $2 AND reason = $5
        "#,
        job_key,
        after,
        gap.last_at,
        gap.instants,
        gap.reason.as_str(),
        now,
    )
    .execute(&mut *connection)
    .await?;
    if lengthened.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query!(
        r#"
        INSERT INTO job_gaps (job_key, first_at, last_at, instants, reason, recorded_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (job_key, first_at) DO NOTHING
        "#,
        job_key,
        gap.first_at,
        gap.last_at,
        gap.instants,
        gap.reason.as_str(),
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// A schedule whose watermark lies ahead of the clock, or did.
#[derive(Debug)]
pub struct AheadRow {
    /// The job.
    pub job_key: String,
    /// When it is due.
    pub cron: String,
    /// Its watermark.
    pub watermark: DateTime<Utc>,
    /// Since when it has been seen ahead.
    pub ahead_since: Option<DateTime<Utc>>,
}

/// Locks the schedules whose watermark lies ahead of `now`, or did.
pub async fn lock_ahead(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<AheadRow>, sqlx::Error> {
    sqlx::query_as!(
        AheadRow,
        r#"
        SELECT job_key, cron, watermark, watermark_ahead_since AS ahead_since
        FROM job_schedules
        WHERE retired_at IS NULL AND (watermark > $1 OR watermark_ahead_since IS NOT NULL)
        FOR UPDATE SKIP LOCKED
        "#,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Notes since when a watermark has been ahead; `None`: it is not.
pub async fn note_ahead(
    connection: &mut PgConnection,
    job_key: &str,
    since: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE job_schedules SET watermark_ahead_since = $2 WHERE job_key = $1", job_key, since)
        .execute(connection)
        .await
        .map(|_| ())
}

/// A schedule's next instant, for those who watch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DueInstant {
    /// Of which job.
    pub(super) job_key: String,
    /// When, in seconds since 1970.
    pub(super) next_due_seconds: f64,
    /// For how long it has been due.
    pub(super) overdue_seconds: f64,
}

/// When each schedule in force is due next.
pub(super) async fn next_due(connection: &mut PgConnection) -> Result<Vec<DueInstant>, sqlx::Error> {
    sqlx::query_as!(
        DueInstant,
        r#"
        SELECT job_key, EXTRACT(EPOCH FROM next_due_at)::float8 AS "next_due_seconds!",
            GREATEST(EXTRACT(EPOCH FROM clock_timestamp() - next_due_at)::float8, 0) AS "overdue_seconds!"
        FROM job_schedules
        WHERE retired_at IS NULL AND next_due_at IS NOT NULL
        "#,
    )
    .fetch_all(connection)
    .await
}

/// How many runs are in each of `states`, which are those of a run that is not over; counted up to `max` each.
pub(super) async fn count_runs(
    connection: &mut PgConnection,
    states: &[String],
    max: i64,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT named.state AS "state!", counted.runs AS "runs!"
        FROM UNNEST($1::text[]) AS named (state)
        CROSS JOIN LATERAL (
            SELECT count(*) AS runs
            FROM (
                SELECT FROM job_runs
                -- The list is that of the index job_runs_unfinished, which is used for it.
                WHERE job_runs.state = named.state AND job_runs.state IN ('queued', 'running', 'retrying')
                LIMIT $2
            ) AS head
        ) AS counted
        "#,
        states,
        max,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.state, row.runs)).collect())
}
