//! The rows of schedules that operators add and remove.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::add::{NewSchedule, seconds};

/// As `job_schedules.origin` has it: declared by a build.
const REGISTRY: &str = "registry";
/// Added by an operator.
const OPERATOR: &str = "operator";

/// What is there under a key.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) origin: String,
    pub(super) watermark: DateTime<Utc>,
    pub(super) retired_at: Option<DateTime<Utc>>,
}

/// What is there under `key`, locked.
pub(super) async fn before(connection: &mut PgConnection, key: &str) -> Result<Option<Before>, sqlx::Error> {
    sqlx::query_as!(
        Before,
        "SELECT origin, watermark, retired_at FROM job_schedules WHERE schedule_key = $1 FOR UPDATE",
        key,
    )
    .fetch_optional(connection)
    .await
}

/// Why no schedule can be added under a key.
pub(super) fn refusal(key: &str, before: Option<&Before>) -> Option<String> {
    let before = before?;
    match (before.origin.as_str(), before.retired_at) {
        (REGISTRY, _) => Some(format!("{key} is the key of a schedule in code; choose another")),
        (OPERATOR, Some(_)) => None,
        _ => Some(format!("there is a schedule {key} already; remove it first, or choose another key")),
    }
}

/// Whether a build declares it.
pub(super) async fn is_in_code(connection: &mut PgConnection, key: &str) -> Result<bool, sqlx::Error> {
    Ok(before(connection, key).await?.is_some_and(|before| before.origin == REGISTRY))
}

/// Whether there are runs under a key that has no schedule.
pub(super) async fn has_runs(connection: &mut PgConnection, key: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM job_runs WHERE schedule_key = $1) AS "has_runs!""#, key)
        .fetch_one(connection)
        .await
}

/// Writes a schedule where there is none, or in place of one that was removed; whether it did.
pub(super) async fn put(
    connection: &mut PgConnection,
    new: &NewSchedule,
    creator: &str,
    (watermark, next_due_at, now): (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>),
) -> Result<bool, sqlx::Error> {
    let put = sqlx::query!(
        r#"
        INSERT INTO job_schedules
            (schedule_key, job_key, verbose_name, creator, origin, timetable, time_zone, starts_at, ends_at,
             jitter_seconds, queue, priority, args, catch_up_max, catch_up_window_seconds, overlap, timeout_seconds,
             attempts_max, backoff_seconds, backoff_max_seconds, watermark, next_due_at, created_at, updated_at)
        VALUES ($1, $2, $3, $4, 'operator', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                $22)
        ON CONFLICT (schedule_key) DO UPDATE
        SET job_key = excluded.job_key,
            verbose_name = excluded.verbose_name,
            creator = excluded.creator,
            timetable = excluded.timetable,
            time_zone = excluded.time_zone,
            registry_timetable = NULL,
            registry_time_zone = NULL,
            starts_at = excluded.starts_at,
            ends_at = excluded.ends_at,
            jitter_seconds = excluded.jitter_seconds,
            queue = excluded.queue,
            priority = excluded.priority,
            args = excluded.args,
            catch_up_max = excluded.catch_up_max,
            catch_up_window_seconds = excluded.catch_up_window_seconds,
            overlap = excluded.overlap,
            timeout_seconds = excluded.timeout_seconds,
            attempts_max = excluded.attempts_max,
            backoff_seconds = excluded.backoff_seconds,
            backoff_max_seconds = excluded.backoff_max_seconds,
            watermark = excluded.watermark,
            next_due_at = excluded.next_due_at,
            paused_at = NULL,
            paused_by = NULL,
            paused_reason = NULL,
            retired_at = NULL,
            updated_at = excluded.updated_at
        WHERE job_schedules.origin = 'operator' AND job_schedules.retired_at IS NOT NULL
        "#,
        new.key,
        new.job_key,
        new.verbose_name,
        creator,
        new.timetable,
        new.time_zone,
        new.starts_at,
        new.ends_at,
        seconds(new.jitter),
        new.queue,
        new.priority,
        new.args,
        new.catch_up_max,
        seconds(new.catch_up_window),
        new.overlap.as_str(),
        seconds(new.timeout),
        new.attempts_max,
        seconds(new.backoff),
        seconds(new.backoff_max),
        watermark,
        next_due_at,
        now,
    );
    Ok(put.execute(connection).await?.rows_affected() == 1)
}

/// Ends a schedule.
pub(super) async fn retire(
    connection: &mut PgConnection,
    key: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let retired = sqlx::query!(
        "UPDATE job_schedules
         SET retired_at = $2, watermark = GREATEST(watermark, $2), next_due_at = NULL, updated_at = $2
         WHERE schedule_key = $1",
        key,
        now,
    );
    retired.execute(connection).await.map(|_| ())
}
