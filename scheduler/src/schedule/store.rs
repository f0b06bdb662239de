//! The rows of `job_schedules` as the ticker and the catalogue see them.

use chrono::{DateTime, Utc};
use shared::schedules::store::{ScheduleRow, lock};
use sqlx::PgConnection;

/// Whether there is anything to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// The database's clock when it looked.
    pub(super) now: DateTime<Utc>,
    /// A schedule is due, or has been ahead of the clock.
    pub(super) is_due: bool,
    /// When a schedule is due next.
    pub(super) next_due_at: Option<DateTime<Utc>>,
}

/// Looks whether a schedule is due, and when the next one is.
pub(super) async fn work(connection: &mut PgConnection) -> Result<Work, sqlx::Error> {
    sqlx::query_as!(
        Work,
        r#"
        SELECT
            clock.now AS "now!",
            EXISTS (SELECT FROM job_schedules WHERE retired_at IS NULL AND next_due_at <= clock.now)
                OR EXISTS (SELECT FROM job_schedules WHERE retired_at IS NULL AND watermark > clock.now)
                OR EXISTS (
                    SELECT FROM job_schedules WHERE retired_at IS NULL AND watermark_ahead_since IS NOT NULL
                ) AS "is_due!",
            (SELECT min(next_due_at) FROM job_schedules WHERE retired_at IS NULL AND next_due_at > clock.now) AS next_due_at
        -- One moment for all of them, which an index can be asked for.
        FROM (SELECT clock_timestamp() AS now OFFSET 0) AS clock
        "#
    )
    .fetch_one(connection)
    .await
}

/// Whether a run waits for another attempt or for its time, its worker may be lost, or its lease or wait ends so late that the
/// clock must have been ahead when it began; and, if it is asked for, whether a message may be lost. That takes a look at each run
/// that waits, however many they are.
pub(super) async fn is_stuck(
    connection: &mut PgConnection,
    with_messages: bool,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM job_runs WHERE state = 'retrying' AND run_after <= clock.now
        ) OR EXISTS (
            SELECT FROM job_runs
            WHERE state = 'running' AND (lease_until < clock.now OR lease_until > clock.now + interval '1 hour')
        ) OR EXISTS (
            SELECT FROM job_runs
            WHERE state = 'retrying' AND run_after > clock.now + interval '1 hour'
              AND run_after > clock.now + interval '1 hour' + make_interval(secs => backoff_max_seconds)
        ) OR EXISTS (
            SELECT FROM job_runs WHERE state = 'queued' AND queued_at IS NULL AND run_after <= clock.now
        ) OR ($1 AND EXISTS (
            SELECT FROM job_runs
            WHERE state = 'queued'
              AND (queued_at + LEAST(GREATEST(queued_at - run_after, interval '1 minute'), interval '1 hour') <= clock.now
                -- The clock was ahead.
                OR queued_at > clock.now + interval '1 hour')
              AND NOT (is_exclusive AND EXISTS (
                  SELECT FROM job_runs AS other
                  WHERE other.schedule_key = job_runs.schedule_key AND other.state = 'running'))
        )) AS "is_stuck!"
        FROM (SELECT clock_timestamp() AS now OFFSET 0) AS clock
        "#,
        with_messages,
    )
    .fetch_one(connection)
    .await
}

/// Locks the schedules of the registry, retired or not, and whatever else has one of these keys: what a build declares is no
/// operator's from then on.
pub(super) async fn lock_registered(
    connection: &mut PgConnection,
    declared: &[String],
) -> Result<Vec<ScheduleRow>, sqlx::Error> {
    let taken_over = sqlx::query!(
        "UPDATE job_schedules SET origin = 'registry', creator = NULL
         WHERE schedule_key = ANY($1) AND origin <> 'registry'",
        declared,
    );
    let taken_over = taken_over.execute(&mut *connection).await?.rows_affected();
    if taken_over > 0 {
        tracing::warn!(
            schedules = taken_over,
            "schedules that operators had added are declared by this build now"
        );
    }
    let keys = sqlx::query_scalar!("SELECT schedule_key FROM job_schedules WHERE origin = 'registry'");
    let keys = keys.fetch_all(&mut *connection).await?;
    lock(connection, &keys).await
}

/// Locks the schedules whose watermark lies ahead of `now`, or did.
pub(super) async fn lock_ahead(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<ScheduleRow>, sqlx::Error> {
    let keys = sqlx::query_scalar!(
        r#"
        SELECT schedule_key
        FROM job_schedules
        WHERE retired_at IS NULL AND (watermark > $1 OR watermark_ahead_since IS NOT NULL)
        FOR UPDATE SKIP LOCKED
        "#,
        now,
    )
    .fetch_all(&mut *connection)
    .await?;
    if keys.is_empty() { Ok(Vec::new()) } else { lock(connection, &keys).await }
}

/// Sets back a watermark that is ahead: what it has answered of the time to come counts no longer, but for the runs.
pub(super) async fn set_back(
    connection: &mut PgConnection,
    schedule_key: &str,
    now: DateTime<Utc>,
    next_due_at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    let set_back = sqlx::query!(
        r#"
        UPDATE job_schedules
        SET watermark = $2, next_due_at = $3, watermark_ahead_since = NULL,
            set_back_from = GREATEST(set_back_from, watermark)
        WHERE schedule_key = $1
        "#,
        schedule_key,
        now,
        next_due_at,
    );
    set_back.execute(&mut *connection).await?;
    let void =
        sqlx::query!("DELETE FROM job_gaps WHERE schedule_key = $1 AND first_at > $2", schedule_key, now);
    void.execute(connection).await.map(|_| ())
}

/// Notes since when a watermark has been ahead; `None`: it is not.
pub(super) async fn note_ahead(
    connection: &mut PgConnection,
    schedule_key: &str,
    since: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    let noted = sqlx::query!(
        "UPDATE job_schedules SET watermark_ahead_since = $2 WHERE schedule_key = $1",
        schedule_key,
        since,
    );
    noted.execute(connection).await.map(|_| ())
}

/// The next instant of a job's schedules, for those who watch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DueInstant {
    /// Of which job.
    pub(super) job_key: String,
    /// When, in seconds since 1970.
    pub(super) next_due_seconds: f64,
    /// For how long it has been due.
    pub(super) overdue_seconds: f64,
}

/// When each job that has a schedule in force is due next.
pub(super) async fn next_due(connection: &mut PgConnection) -> Result<Vec<DueInstant>, sqlx::Error> {
    sqlx::query_as!(
        DueInstant,
        r#"
        SELECT job_key, EXTRACT(EPOCH FROM min(next_due_at))::float8 AS "next_due_seconds!",
            GREATEST(EXTRACT(EPOCH FROM clock_timestamp() - min(next_due_at))::float8, 0) AS "overdue_seconds!"
        FROM job_schedules
        WHERE retired_at IS NULL AND next_due_at IS NOT NULL
        GROUP BY job_key
        ORDER BY min(next_due_at) DESC
        "#,
    )
    .fetch_all(connection)
    .await
}

/// How many runs of each job have failed for good in the last hour, but for those that somebody wanted to end.
pub(super) async fn failed_runs(connection: &mut PgConnection) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT job_key, count(*) AS "runs!"
        FROM job_runs
        -- An index can be asked for it, since it is one moment for all rows.
        WHERE finished_at > statement_timestamp() - interval '1 hour' AND state = 'failed'
          AND error_kind IS DISTINCT FROM 'canceled'
        GROUP BY job_key
        "#,
    );
    let rows = rows.fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.job_key, row.runs)).collect())
}

/// How many runs are not over: those of each such state, and `not_due` for those queued ones whose time has not come; counted up
/// to `max` each.
pub(super) async fn count_runs(
    connection: &mut PgConnection,
    max: i64,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT named.label AS "label!", counted.runs AS "runs!"
        FROM (VALUES
            ('queued', 'queued', '-infinity'::timestamptz, statement_timestamp()),
            ('not_due', 'queued', statement_timestamp(), 'infinity'),
            ('running', 'running', '-infinity', 'infinity'),
            ('retrying', 'retrying', '-infinity', 'infinity')
        ) AS named (label, state, after, until)
        CROSS JOIN LATERAL (
            SELECT count(*) AS runs
            FROM (
                SELECT FROM job_runs
                -- The list is that of the index job_runs_unfinished, which is used for it.
                WHERE job_runs.state = named.state AND job_runs.state IN ('queued', 'running', 'retrying')
                  AND run_after > named.after AND run_after <= named.until
                LIMIT $1
            ) AS head
        ) AS counted
        "#,
        max,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.label, row.runs)).collect())
}
