//! The rows of `job_runs` that schedules make.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::contracts::jobs::TickDue;
use crate::ids::RunId;

/// A run to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DueRun {
    /// Its id.
    pub(super) id: Uuid,
    /// Of which schedule.
    pub(super) schedule_key: String,
    /// The due instant.
    pub(super) scheduled_at: DateTime<Utc>,
    /// When it is due, which may be later by its jitter.
    pub(super) due_at: DateTime<Utc>,
}

/// Has the runs of a schedule that wait follow its rule for overlap. One that is running does so when it waits for another attempt.
pub async fn share(connection: &mut PgConnection, schedule_key: &str) -> Result<(), sqlx::Error> {
    let shared = sqlx::query!(
        r#"
        UPDATE job_runs
        SET is_exclusive = overlap <> 'allow'
        FROM job_schedules
        WHERE job_schedules.schedule_key = $1 AND job_runs.schedule_key = $1 AND state IN ('queued', 'retrying')
          AND is_exclusive <> (overlap <> 'allow')
        "#,
        schedule_key,
    );
    shared.execute(connection).await.map(|_| ())
}

/// Inserts runs, each as its schedule has it; gives those that were not there yet, the more important ones first and then in
/// the order of their instants.
pub(super) async fn insert(
    connection: &mut PgConnection,
    runs: &[DueRun],
    now: DateTime<Utc>,
) -> Result<Vec<TickDue>, sqlx::Error> {
    let ids: Vec<Uuid> = runs.iter().map(|run| run.id).collect();
    let keys: Vec<String> = runs.iter().map(|run| run.schedule_key.clone()).collect();
    let instants: Vec<_> = runs.iter().map(|run| run.scheduled_at).collect();
    let due_at: Vec<_> = runs.iter().map(|run| run.due_at).collect();
    sqlx::query_as!(
        TickDue,
        r#"
        WITH inserted AS (
            INSERT INTO job_runs
                (id, schedule_key, job_key, scheduled_at, queue, priority, args, attempts_max, timeout_seconds,
                 backoff_seconds, backoff_max_seconds, is_exclusive, creator, verbose_name, due_at, run_after, queued_at)
            SELECT
                due.id, schedule_key, job_key, due.scheduled_at, queue, priority, args, attempts_max, timeout_seconds,
                backoff_seconds, backoff_max_seconds, overlap <> 'allow', creator, verbose_name, due.at, $4, $4
            FROM UNNEST($1::uuid[], $2::text[], $3::timestamptz[], $5::timestamptz[])
                AS due (id, schedule_key, scheduled_at, at)
            JOIN job_schedules USING (schedule_key)
            ON CONFLICT (schedule_key, scheduled_at) DO NOTHING
            RETURNING id, job_key, queue, scheduled_at, args, priority
        )
        SELECT id AS "run_id: RunId", job_key, queue, scheduled_at, args
        FROM inserted
        ORDER BY priority DESC, scheduled_at, id
        "#,
        &ids,
        &keys,
        &instants,
        now,
        &due_at,
    )
    .fetch_all(connection)
    .await
}

/// The instants of a schedule's runs later than `after` and not later than `until`.
pub(super) async fn instants(
    connection: &mut PgConnection,
    schedule_key: &str,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<BTreeSet<DateTime<Utc>>, sqlx::Error> {
    let instants = sqlx::query_scalar!(
        "SELECT scheduled_at FROM job_runs WHERE schedule_key = $1 AND scheduled_at > $2 AND scheduled_at <= $3",
        schedule_key,
        after,
        until,
    );
    Ok(instants.fetch_all(connection).await?.into_iter().collect())
}
