//! The rows of `job_schedules`.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::due::CatchUp;
use super::jitter;
use super::timetable::{Timetable, TimetableError};

/// A schedule as the table has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleRow {
    /// The schedule.
    pub schedule_key: String,
    /// Its job.
    pub job_key: String,
    /// What people call it.
    pub verbose_name: String,
    /// When it is due.
    pub timetable: String,
    /// By the clocks of which time zone.
    pub time_zone: String,
    /// It is not due before.
    pub starts_at: Option<DateTime<Utc>>,
    /// It is not due afterwards.
    pub ends_at: Option<DateTime<Utc>>,
    /// How much later than its instants it may be due.
    pub jitter_seconds: i32,
    /// Its queue.
    pub queue: String,
    /// Its rank in the queue.
    pub priority: i16,
    /// What its runs are given.
    pub args: Value,
    /// How many late instants are run.
    pub catch_up_max: i32,
    /// How old they may be.
    pub catch_up_window_seconds: i32,
    /// What becomes of an instant while another run is not over.
    pub overlap: String,
    /// How long an attempt may take.
    pub timeout_seconds: i32,
    /// How many attempts.
    pub attempts_max: i32,
    /// The ceiling of the wait after the first failed attempt.
    pub backoff_seconds: i32,
    /// The highest ceiling.
    pub backoff_max_seconds: i32,
    /// Up to where every instant is answered.
    pub watermark: DateTime<Utc>,
    /// Since when the watermark has been seen ahead of the clock.
    pub watermark_ahead_since: Option<DateTime<Utc>>,
    /// Where the watermark was when it was set back: instants up to there may have runs already.
    pub set_back_from: Option<DateTime<Utc>>,
    /// Since when it has been paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// What the registry says of its timetable, if an operator has overridden it.
    pub registry_timetable: Option<String>,
    /// What the registry says of its time zone then.
    pub registry_time_zone: Option<String>,
    /// Which build declared it.
    pub generation: i64,
    /// Until when such a build counts as running.
    pub declared_until: Option<DateTime<Utc>>,
    /// Since when it has not been in the registry.
    pub retired_at: Option<DateTime<Utc>>,
}

impl ScheduleRow {
    /// When it is due.
    pub fn timetable(&self) -> Result<Timetable, TimetableError> {
        let timetable = Timetable::new(&self.timetable, &self.time_zone)?;
        Ok(timetable.within(self.starts_at, self.ends_at))
    }

    /// How much later than its instants it is due.
    pub fn offset(&self) -> TimeDelta {
        jitter::offset(&self.schedule_key, self.jitter_seconds)
    }

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

/// Locks the schedules that are due, those first that have waited longest and then the more important ones, skipping those
/// another ticker holds.
pub async fn lock_due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<ScheduleRow>, sqlx::Error> {
    let keys = sqlx::query_scalar!(
        r#"
        SELECT schedule_key
        FROM job_schedules
        WHERE retired_at IS NULL AND next_due_at <= $1
        ORDER BY next_due_at, priority DESC
        LIMIT $2
        FOR UPDATE SKIP LOCKED
        "#,
        now,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    if keys.is_empty() { Ok(Vec::new()) } else { lock(connection, &keys).await }
}

/// Locks schedules, those first that are due first.
pub async fn lock(connection: &mut PgConnection, keys: &[String]) -> Result<Vec<ScheduleRow>, sqlx::Error> {
    sqlx::query_as!(
        ScheduleRow,
        r#"
        SELECT
            schedule_key, job_key, verbose_name, timetable, time_zone, starts_at, ends_at, jitter_seconds, queue, priority,
            args, catch_up_max, catch_up_window_seconds, overlap, timeout_seconds, attempts_max, backoff_seconds,
            backoff_max_seconds, watermark, watermark_ahead_since, set_back_from, paused_at, registry_timetable, registry_time_zone,
            generation, declared_until, retired_at
        FROM job_schedules
        WHERE schedule_key = ANY($1)
        ORDER BY next_due_at, priority DESC, schedule_key
        FOR UPDATE
        "#,
        keys,
    )
    .fetch_all(connection)
    .await
}

/// How many runs of schedules are not over; those that have none are left out.
pub async fn unfinished(
    connection: &mut PgConnection,
    keys: &[String],
) -> Result<HashMap<String, usize>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT schedule_key, count(*) AS "runs!"
        FROM job_runs
        WHERE schedule_key = ANY($1) AND state IN ('queued', 'running', 'retrying')
          -- What an operator wants beside them, or once more, keeps no instant from being run.
          AND kind = 'scheduled' AND replayed_at IS NULL
        GROUP BY schedule_key
        "#,
        keys,
    )
    .fetch_all(connection)
    .await?;
    let counted = |runs: i64| usize::try_from(runs).unwrap_or(usize::MAX);
    Ok(rows.into_iter().map(|row| (row.schedule_key, counted(row.runs))).collect())
}

/// How far schedules have come.
#[derive(Debug, Default)]
pub struct Advances {
    /// Which.
    pub keys: Vec<String>,
    /// Up to where each is answered.
    pub watermarks: Vec<DateTime<Utc>>,
    /// When each is looked at again.
    pub next_due_at: Vec<Option<DateTime<Utc>>>,
}

impl Advances {
    /// Adds a schedule.
    pub fn push(&mut self, key: &str, watermark: DateTime<Utc>, next_due_at: Option<DateTime<Utc>>) {
        self.keys.push(key.to_owned());
        self.watermarks.push(watermark);
        self.next_due_at.push(next_due_at);
    }
}

/// Moves schedules on.
pub async fn advance(connection: &mut PgConnection, advances: &Advances) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        UPDATE job_schedules
        SET watermark = advance.watermark, next_due_at = advance.next_due_at
        FROM UNNEST($1::text[], $2::timestamptz[], $3::timestamptz[]) AS advance (schedule_key, watermark, next_due_at)
        WHERE job_schedules.schedule_key = advance.schedule_key
        "#,
        &advances.keys,
        &advances.watermarks,
        &advances.next_due_at as &[Option<DateTime<Utc>>],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Has a schedule looked at again at `next_look_at`, its watermark as it was.
pub async fn put_off(
    connection: &mut PgConnection,
    schedule_key: &str,
    next_look_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE job_schedules SET next_due_at = $2 WHERE schedule_key = $1",
        schedule_key,
        next_look_at
    )
    .execute(connection)
    .await
    .map(|_| ())
}
