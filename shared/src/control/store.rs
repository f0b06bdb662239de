//! The rows that operators change.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::contracts::jobs::TickDue;
use crate::contracts::schedules::RequestedKind;
use crate::ids::{RunId, UserId};

/// A run that nobody else can act upon now.
#[derive(Debug, Clone)]
pub struct LockedRun {
    /// The run.
    pub id: RunId,
    /// Its schedule; of a run that none made, a key of its own or its job.
    pub schedule_key: String,
    /// Its job.
    pub job_key: String,
    /// Its queue.
    pub queue: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// What the job is given.
    pub args: Value,
    /// Where it stands.
    pub state: String,
    /// How many attempts it has had.
    pub attempt: i32,
    /// Whether no other run of its schedule may run beside it.
    pub is_exclusive: bool,
}

impl LockedRun {
    /// The message that tells of it.
    pub(super) fn tick(&self) -> TickDue {
        TickDue {
            run_id: self.id,
            job_key: self.job_key.clone(),
            queue: self.queue.clone(),
            scheduled_at: self.scheduled_at,
            args: self.args.clone(),
        }
    }
}

/// A run that somebody wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRequested {
    pub(super) id: Uuid,
    pub(super) scheduled_at: DateTime<Utc>,
    pub(super) run_after: DateTime<Utc>,
    pub(super) queued_at: Option<DateTime<Utc>>,
}

/// Whether an account may do what staff does, until the transaction ends.
pub(super) async fn is_staff(connection: &mut PgConnection, user: UserId) -> Result<bool, sqlx::Error> {
    let is_staff = sqlx::query_scalar!(
        r#"SELECT is_active AND is_staff AS "is_staff!" FROM users WHERE id = $1 FOR SHARE"#,
        user.0
    );
    Ok(is_staff.fetch_optional(connection).await?.unwrap_or(false))
}

pub(super) async fn pause(
    connection: &mut PgConnection,
    key: &str,
    now: DateTime<Utc>,
    (actor, reason): (&str, &str),
) -> Result<(), sqlx::Error> {
    let paused = sqlx::query!(
        "UPDATE job_schedules SET paused_at = $2, paused_by = $3, paused_reason = $4, updated_at = $2
         WHERE schedule_key = $1",
        key,
        now,
        actor,
        reason,
    );
    paused.execute(connection).await.map(|_| ())
}

/// Since when, and by whom; none if it is not paused.
pub(super) async fn paused(
    connection: &mut PgConnection,
    key: &str,
) -> Result<Option<(DateTime<Utc>, String)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT paused_at AS "paused_at!", paused_by AS "paused_by!"
           FROM job_schedules WHERE schedule_key = $1 AND paused_at IS NOT NULL"#,
        key,
    );
    Ok(row.fetch_optional(connection).await?.map(|row| (row.paused_at, row.paused_by)))
}

pub(super) async fn resume(connection: &mut PgConnection, key: &str) -> Result<(), sqlx::Error> {
    let resumed = sqlx::query!(
        "UPDATE job_schedules
         SET paused_at = NULL, paused_by = NULL, paused_reason = NULL, updated_at = clock_timestamp()
         WHERE schedule_key = $1",
        key,
    );
    resumed.execute(connection).await.map(|_| ())
}

/// Whether an instant of a schedule has a run or lies in a gap.
pub(super) async fn is_answered(
    connection: &mut PgConnection,
    key: &str,
    instant: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (SELECT FROM job_runs WHERE schedule_key = $1 AND scheduled_at = $2)
            OR EXISTS (SELECT FROM job_gaps WHERE schedule_key = $1 AND $2 BETWEEN first_at AND last_at) AS "is_answered!"
        "#,
        key,
        instant,
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn set_timetable(
    connection: &mut PgConnection,
    key: &str,
    (timetable, time_zone): (&str, &str),
    registry: Option<(&str, &str)>,
) -> Result<(), sqlx::Error> {
    let set = sqlx::query!(
        "UPDATE job_schedules
         SET timetable = $2, time_zone = $3, registry_timetable = $4, registry_time_zone = $5,
             updated_at = clock_timestamp()
         WHERE schedule_key = $1",
        key,
        timetable,
        time_zone,
        registry.map(|(timetable, _)| timetable),
        registry.map(|(_, time_zone)| time_zone),
    );
    set.execute(connection).await.map(|_| ())
}

/// Inserts runs of a schedule, as it has them, where there is none; gives those that are new, in the order of their instants.
pub(super) async fn request(
    connection: &mut PgConnection,
    key: &str,
    kind: RequestedKind,
    creator: &str,
    runs: &[NewRequested],
) -> Result<Vec<LockedRun>, sqlx::Error> {
    let ids: Vec<Uuid> = runs.iter().map(|run| run.id).collect();
    let instants: Vec<_> = runs.iter().map(|run| run.scheduled_at).collect();
    let run_after: Vec<_> = runs.iter().map(|run| run.run_after).collect();
    let queued_at: Vec<_> = runs.iter().map(|run| run.queued_at).collect();
    let mut made = sqlx::query_as!(
        LockedRun,
        r#"
        INSERT INTO job_runs
            (id, schedule_key, job_key, scheduled_at, queue, priority, args, attempts_max, timeout_seconds,
             backoff_seconds, backoff_max_seconds, is_exclusive, kind, creator, verbose_name, due_at, run_after, queued_at)
        SELECT
            wanted.id, schedule_key, job_key, wanted.scheduled_at, queue,
            -- What is made up for goes behind what is due.
            CASE WHEN $6 = 'backfill' THEN GREATEST(priority - 1, -32768)::smallint ELSE priority END, args, attempts_max, timeout_seconds,
            backoff_seconds, backoff_max_seconds, overlap <> 'allow', $6, $7, verbose_name, wanted.run_after,
            wanted.run_after, wanted.queued_at
        FROM UNNEST($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
                AS wanted (id, scheduled_at, run_after, queued_at)
            JOIN job_schedules ON schedule_key = $1
        ON CONFLICT (schedule_key, scheduled_at) DO NOTHING
        RETURNING id AS "id: RunId", schedule_key, job_key, queue, scheduled_at, args, state, attempt, is_exclusive
        "#,
        key,
        &ids,
        &instants,
        &run_after,
        &queued_at as &[Option<DateTime<Utc>>],
        kind.as_str(),
        creator,
    )
    .fetch_all(connection)
    .await?;
    made.sort_by_key(|run| run.scheduled_at);
    Ok(made)
}

/// In the order of their ids, so that two operators wait for each other instead of deadlocking.
pub(super) async fn lock_runs(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<LockedRun>, sqlx::Error> {
    sqlx::query_as!(
        LockedRun,
        r#"
        SELECT id AS "id: RunId", schedule_key, job_key, queue, scheduled_at, args, state, attempt, is_exclusive
        FROM job_runs
        WHERE id = ANY($1)
        ORDER BY id
        FOR UPDATE
        "#,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// The attempts go on counting: they fence.
pub(super) async fn replay(connection: &mut PgConnection, id: RunId) -> Result<(), sqlx::Error> {
    let replayed = sqlx::query!(
        "UPDATE job_runs
         SET state = 'queued', finished_at = NULL, cancel_reason = NULL, queued_at = clock_timestamp(),
             run_after = clock_timestamp(), due_at = clock_timestamp(), replayed_at = clock_timestamp(),
             attempts_max = attempt + attempts_max - attempts_before - attempts_uncounted,
             attempts_before = attempt, attempts_uncounted = 0,
             is_exclusive = COALESCE(
                 (SELECT overlap <> 'allow' FROM job_schedules WHERE schedule_key = job_runs.schedule_key), is_exclusive)
         WHERE id = $1",
        id.0,
    );
    replayed.execute(connection).await.map(|_| ())
}

pub(super) async fn cancel_waiting(
    connection: &mut PgConnection,
    id: RunId,
    error: &str,
) -> Result<(), sqlx::Error> {
    let canceled = sqlx::query!(
        "UPDATE job_runs
         SET state = 'failed', finished_at = clock_timestamp(), error = $2, error_kind = 'canceled'
         WHERE id = $1",
        id.0,
        error,
    );
    canceled.execute(connection).await.map(|_| ())
}

pub(super) async fn cancel_running(
    connection: &mut PgConnection,
    id: RunId,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let canceled = sqlx::query!("UPDATE job_runs SET cancel_reason = $2 WHERE id = $1", id.0, reason);
    canceled.execute(connection).await.map(|_| ())
}
