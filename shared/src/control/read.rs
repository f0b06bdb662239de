//! Looking at schedules and runs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::schedules::jitter;
use crate::schedules::timetable::Timetable;

/// How many instants to come are told.
const NEXT: usize = 5;
/// How many runs and gaps are told with a schedule.
const RECENT: i64 = 10;

/// A schedule as operators see it. Instants in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Schedule {
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
    /// Whether an operator says so, against the registry.
    pub is_override: bool,
    /// It is not due before.
    #[schema(required)]
    pub starts_at: Option<DateTime<Utc>>,
    /// It is not due afterwards.
    #[schema(required)]
    pub ends_at: Option<DateTime<Utc>>,
    /// How much later than its instants it may be due.
    pub jitter_seconds: i32,
    /// Its queue.
    pub queue: String,
    /// Its rank in the queue.
    pub priority: i16,
    /// What its runs are given.
    #[schema(value_type = Object)]
    pub args: Value,
    /// What becomes of an instant while another run is not over.
    pub overlap: String,
    /// How many late instants are run.
    pub catch_up_max: i32,
    /// How old they may be.
    pub catch_up_window_seconds: i32,
    /// How long an attempt may take.
    pub timeout_seconds: i32,
    /// How many attempts.
    pub attempts_max: i32,
    /// The ceiling of the wait after the first failed attempt; it doubles with each.
    pub backoff_seconds: i32,
    /// How high it goes.
    pub backoff_max_seconds: i32,
    /// Who made it; none: the registry.
    #[schema(required)]
    pub creator: Option<String>,
    /// Up to where every instant is answered.
    pub watermark: DateTime<Utc>,
    /// Since when it has been paused.
    #[schema(required)]
    pub paused_at: Option<DateTime<Utc>>,
    /// By whom.
    #[schema(required)]
    pub paused_by: Option<String>,
    /// Why.
    #[schema(required)]
    pub paused_reason: Option<String>,
    /// Since when no build has had it.
    #[schema(required)]
    pub retired_at: Option<DateTime<Utc>>,
    /// The next instants, if it is in force and this build can read it.
    pub next: Vec<DateTime<Utc>>,
}

struct Columns {
    schedule_key: String,
    job_key: String,
    verbose_name: String,
    timetable: String,
    time_zone: String,
    registry_timetable: Option<String>,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    jitter_seconds: i32,
    queue: String,
    priority: i16,
    args: Value,
    overlap: String,
    catch_up_max: i32,
    catch_up_window_seconds: i32,
    timeout_seconds: i32,
    attempts_max: i32,
    backoff_seconds: i32,
    backoff_max_seconds: i32,
    creator: Option<String>,
    watermark: DateTime<Utc>,
    paused_at: Option<DateTime<Utc>>,
    paused_by: Option<String>,
    paused_reason: Option<String>,
    retired_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl From<Columns> for Schedule {
    fn from(row: Columns) -> Self {
        let mut next = Vec::new();
        if row.retired_at.is_none()
            && let Ok(timetable) = Timetable::new(&row.timetable, &row.time_zone)
        {
            let offset = jitter::offset(&row.schedule_key, row.jitter_seconds);
            let timetable = timetable.within(row.starts_at, row.ends_at);
            next.extend(
                timetable.instants_after(row.now - offset).take(NEXT).map(|instant| instant + offset),
            );
        }
        Self {
            schedule_key: row.schedule_key,
            job_key: row.job_key,
            verbose_name: row.verbose_name,
            timetable: row.timetable,
            time_zone: row.time_zone,
            is_override: row.registry_timetable.is_some(),
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            jitter_seconds: row.jitter_seconds,
            queue: row.queue,
            priority: row.priority,
            args: row.args,
            overlap: row.overlap,
            catch_up_max: row.catch_up_max,
            catch_up_window_seconds: row.catch_up_window_seconds,
            timeout_seconds: row.timeout_seconds,
            attempts_max: row.attempts_max,
            backoff_seconds: row.backoff_seconds,
            backoff_max_seconds: row.backoff_max_seconds,
            creator: row.creator,
            watermark: row.watermark,
            paused_at: row.paused_at,
            paused_by: row.paused_by,
            paused_reason: row.paused_reason,
            retired_at: row.retired_at,
            next,
        }
    }
}

/// Those in force, or all, by their keys: the first `limit` behind `after`.
pub async fn list_schedules(
    database: &PgPool,
    with_retired: bool,
    (after, limit): (Option<&str>, i64),
) -> Result<Vec<Schedule>, sqlx::Error> {
    select(&mut *database.acquire().await?, None, with_retired, (after, limit)).await
}

async fn select(
    connection: &mut PgConnection,
    key: Option<&str>,
    with_retired: bool,
    (after, limit): (Option<&str>, i64),
) -> Result<Vec<Schedule>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Columns,
        r#"
        SELECT schedule_key, job_key, verbose_name, timetable, time_zone, registry_timetable, starts_at, ends_at,
            jitter_seconds, queue, priority, args, overlap, catch_up_max, catch_up_window_seconds, timeout_seconds,
            attempts_max, backoff_seconds, backoff_max_seconds, creator, watermark, paused_at, paused_by, paused_reason, retired_at,
            clock_timestamp() AS "now!"
        FROM job_schedules
        WHERE ($1::text IS NULL OR schedule_key = $1) AND ($2 OR retired_at IS NULL)
            AND ($3::text IS NULL OR schedule_key > $3)
        ORDER BY schedule_key
        LIMIT $4
        "#,
        key,
        with_retired,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Schedule::from).collect())
}

/// Instants of a schedule that were not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Gap)]
pub struct GapRow {
    /// The first of them.
    pub first_at: DateTime<Utc>,
    /// The last.
    pub last_at: DateTime<Utc>,
    /// How many.
    pub instants: i64,
    /// Why: `missed`, `skipped` or `paused`.
    pub reason: String,
}

/// A schedule with what became of it lately.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ScheduleInFull {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Its newest runs, the newest first.
    pub runs: Vec<RunRow>,
    /// Its newest gaps, the newest first.
    pub gaps: Vec<GapRow>,
}

/// One, retired or not.
pub async fn find_schedule(database: &PgPool, key: &str) -> Result<Option<ScheduleInFull>, sqlx::Error> {
    schedule_in_full(&mut *database.acquire().await?, key).await
}

/// The same, in somebody's transaction.
pub(super) async fn schedule_in_full(
    connection: &mut PgConnection,
    key: &str,
) -> Result<Option<ScheduleInFull>, sqlx::Error> {
    let Some(schedule) = select(&mut *connection, Some(key), true, (None, 1)).await?.pop() else {
        return Ok(None);
    };
    let filter = RunFilter { schedule_key: Some(key.to_owned()), ..RunFilter::default() };
    let runs = select_runs(&mut *connection, &filter, RECENT).await?;
    let gaps = sqlx::query_as!(
        GapRow,
        "SELECT first_at, last_at, instants, reason FROM job_gaps WHERE schedule_key = $1
         ORDER BY first_at DESC LIMIT $2",
        key,
        RECENT,
    );
    Ok(Some(ScheduleInFull { schedule, runs, gaps: gaps.fetch_all(connection).await? }))
}

/// A run as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Run)]
pub struct RunRow {
    /// The run.
    pub id: Uuid,
    /// Its schedule; of a run that none made, a key of its own or its job.
    pub schedule_key: String,
    /// Its job.
    pub job_key: String,
    /// Why it is there: `scheduled`, `enqueued`, `manual` or `backfill`.
    pub kind: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// Where it stands: `queued`, `running`, `retrying`, `succeeded` or `failed`.
    pub state: String,
    /// How many attempts it has had.
    pub attempt: i32,
    /// The last attempt it may have.
    pub attempts_max: i32,
    /// Its queue.
    pub queue: String,
    /// Its rank in the queue.
    pub priority: i16,
    /// Who wanted it, if not the registry.
    #[schema(required)]
    pub creator: Option<String>,
    /// Who has or had it.
    #[schema(required)]
    pub worker: Option<String>,
    /// Not before.
    pub run_after: DateTime<Utc>,
    /// When its last attempt began.
    #[schema(required)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over.
    #[schema(required)]
    pub finished_at: Option<DateTime<Utc>>,
    /// Of what kind its last error was.
    #[schema(required)]
    pub error_kind: Option<String>,
    /// Its last error.
    #[schema(required)]
    pub error: Option<String>,
    /// What its job said, if it is shown in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this job.
    pub job_key: Option<String>,
    /// Of this schedule.
    pub schedule_key: Option<String>,
    /// There for this reason.
    pub kind: Option<String>,
    /// Not canceled.
    pub is_not_canceled: bool,
    /// In this state.
    pub state: Option<String>,
    /// With an error of this kind.
    pub error_kind: Option<String>,
    /// In this queue.
    pub queue: Option<String>,
    /// Due not before.
    pub from: Option<DateTime<Utc>>,
    /// Due not after.
    pub until: Option<DateTime<Utc>>,
    /// Those behind this one: its instant and its id.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// The newest that match, at most `limit`, without their outputs.
pub async fn list_runs(
    database: &PgPool,
    filter: &RunFilter,
    limit: i64,
) -> Result<Vec<RunRow>, sqlx::Error> {
    select_runs(&mut *database.acquire().await?, filter, limit).await
}

async fn select_runs(
    connection: &mut PgConnection,
    filter: &RunFilter,
    limit: i64,
) -> Result<Vec<RunRow>, sqlx::Error> {
    sqlx::query_as!(
        RunRow,
        r#"
        SELECT id, schedule_key, job_key, kind, scheduled_at, state, attempt, attempts_max, queue, priority, creator,
            worker, run_after, started_at, finished_at, error_kind, error, NULL AS output
        FROM job_runs
        WHERE ($1::text IS NULL OR job_key = $1)
            AND ($2::text IS NULL OR schedule_key = $2)
            AND ($3::text IS NULL OR state = $3)
            AND ($4::text IS NULL OR error_kind = $4)
            AND ($5::text IS NULL OR queue = $5)
            AND ($6::timestamptz IS NULL OR scheduled_at >= $6)
            AND ($7::timestamptz IS NULL OR scheduled_at <= $7)
            AND ($9::text IS NULL OR kind = $9)
            AND (NOT $10 OR error_kind IS DISTINCT FROM 'canceled')
            AND ($11::timestamptz IS NULL OR (scheduled_at, id) < ($11, $12::uuid))
        ORDER BY scheduled_at DESC, id DESC
        LIMIT $8
        "#,
        filter.job_key,
        filter.schedule_key,
        filter.state,
        filter.error_kind,
        filter.queue,
        filter.from,
        filter.until,
        limit,
        filter.kind,
        filter.is_not_canceled,
        filter.before.map(|(scheduled_at, _)| scheduled_at),
        filter.before.map(|(_, id)| id),
    )
    .fetch_all(connection)
    .await
}

/// One, with its output.
pub async fn find_run(database: &PgPool, id: Uuid) -> Result<Option<RunRow>, sqlx::Error> {
    run(&mut *database.acquire().await?, id).await
}

/// The same, in somebody's transaction.
pub(super) async fn run(connection: &mut PgConnection, id: Uuid) -> Result<Option<RunRow>, sqlx::Error> {
    sqlx::query_as!(
        RunRow,
        r#"
        SELECT id, schedule_key, job_key, kind, scheduled_at, state, attempt, attempts_max, queue, priority, creator,
            worker, run_after, started_at, finished_at, error_kind, error, output
        FROM job_runs
        WHERE id = $1
        "#,
        id,
    )
    .fetch_optional(connection)
    .await
}
