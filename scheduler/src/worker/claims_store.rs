//! Claims: rows of `job_runs` that go from `queued` to `running`.

use shared::ids::RunId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::runs_store::ClaimedRun;

/// A turn in a queue, by a message that names a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn<'a> {
    /// The run that is named.
    pub(super) run_id: RunId,
    /// Of runs that are not named, only of these jobs; none: of any.
    pub(super) jobs: Option<&'a [String]>,
    /// The message, if the worker may ask again by it: then it is good for one claim.
    pub(super) tick_id: Option<Uuid>,
}

/// Makes a queued run ours for `lease_seconds`: the named one, unless a more important one waits in its queue; if the named one
/// is somebody else's or finished, whichever waits.
///
/// A message is a turn in its queue more than a run: there is one for each run that waits, and who is more important takes the
/// turn of another.
pub(super) async fn claim(
    connection: &mut PgConnection,
    turn: Turn<'_>,
    (worker, lease_seconds): (&str, f64),
) -> Result<Claimed, sqlx::Error> {
    let claimed = sqlx::query_as!(
        ClaimedRun,
        r#"
        WITH named AS MATERIALIZED (SELECT queue, priority FROM job_runs WHERE id = $1)
        UPDATE job_runs
        SET state = 'running',
            attempt = attempt + 1,
            worker = $2,
            turn = $5,
            started_at = clock_timestamp(),
            lease_until = clock_timestamp() + make_interval(secs => $3)
        WHERE state = 'queued'
          -- Who asked twice, and has done by now what he was given the first time, has had his turn.
          AND NOT EXISTS (SELECT FROM job_runs AS had WHERE had.turn = $5 AND had.worker = $2)
          AND id = COALESCE(
            (
                SELECT waiting.id FROM job_runs AS waiting JOIN named USING (queue)
                WHERE waiting.state = 'queued' AND waiting.queued_at IS NOT NULL AND waiting.priority > named.priority
                  AND ($4::text[] IS NULL OR waiting.job_key = ANY($4))
                  AND NOT (waiting.is_exclusive AND EXISTS (
                      SELECT FROM job_runs AS other
                      WHERE other.schedule_key = waiting.schedule_key AND other.state = 'running'))
                ORDER BY waiting.priority DESC, waiting.run_after, waiting.id
                LIMIT 1
                FOR UPDATE OF waiting SKIP LOCKED
            ),
            (
                SELECT waiting.id FROM job_runs AS waiting
                WHERE waiting.id = $1 AND waiting.state = 'queued' AND waiting.queued_at IS NOT NULL
                  -- Of our own workers, one that does not know the job says so of the run that it was told of.
                  AND ($5 IS NULL OR $4 IS NULL OR waiting.job_key = ANY($4))
                  AND NOT (waiting.is_exclusive AND EXISTS (
                      SELECT FROM job_runs AS other
                      WHERE other.schedule_key = waiting.schedule_key AND other.state = 'running'))
                FOR UPDATE OF waiting SKIP LOCKED
            ),
            (
                SELECT waiting.id FROM job_runs AS waiting JOIN named USING (queue)
                WHERE waiting.state = 'queued' AND waiting.queued_at IS NOT NULL
                  AND ($4::text[] IS NULL OR waiting.job_key = ANY($4))
                  AND NOT (waiting.is_exclusive AND EXISTS (
                      SELECT FROM job_runs AS other
                      WHERE other.schedule_key = waiting.schedule_key AND other.state = 'running'))
                ORDER BY waiting.priority DESC, waiting.run_after, waiting.id
                LIMIT 1
                FOR UPDATE OF waiting SKIP LOCKED
            )
        )
        RETURNING id AS "id: RunId", schedule_key, job_key, scheduled_at,
            COALESCE(due_at, run_after) AS "due_at!", is_exclusive, args, attempt, attempts_before, attempts_uncounted,
            attempts_max, timeout_seconds, backoff_seconds, backoff_max_seconds
        "#,
        turn.run_id.0,
        worker,
        lease_seconds,
        turn.jobs as Option<&[String]>,
        turn.tick_id,
    )
    .fetch_optional(connection)
    .await;
    unless_barred(claimed)
}

/// Makes whichever run waits ours, of `queue` if it is given.
pub(super) async fn claim_next(
    connection: &mut PgConnection,
    queue: Option<&str>,
    jobs: &[String],
    (worker, lease_seconds): (&str, f64),
) -> Result<Claimed, sqlx::Error> {
    let claimed = sqlx::query_as!(
        ClaimedRun,
        r#"
        UPDATE job_runs
        SET state = 'running',
            attempt = attempt + 1,
            worker = $2,
            started_at = clock_timestamp(),
            lease_until = clock_timestamp() + make_interval(secs => $3)
        WHERE state = 'queued' AND id = (
            SELECT waiting.id FROM job_runs AS waiting
            WHERE waiting.state = 'queued' AND waiting.queued_at IS NOT NULL
              AND ($1::text IS NULL OR waiting.queue = $1) AND waiting.job_key = ANY($4)
              AND NOT (waiting.is_exclusive AND EXISTS (
                  SELECT FROM job_runs AS other
                  WHERE other.schedule_key = waiting.schedule_key AND other.state = 'running'))
            ORDER BY waiting.priority DESC, waiting.run_after, waiting.id
            LIMIT 1
            FOR UPDATE OF waiting SKIP LOCKED
        )
        RETURNING id AS "id: RunId", schedule_key, job_key, scheduled_at,
            COALESCE(due_at, run_after) AS "due_at!", is_exclusive, args, attempt, attempts_before, attempts_uncounted,
            attempts_max, timeout_seconds, backoff_seconds, backoff_max_seconds
        "#,
        queue,
        worker,
        lease_seconds,
        jobs,
    )
    .fetch_optional(connection)
    .await;
    unless_barred(claimed)
}

/// What became of a claim.
#[derive(Debug)]
pub(super) enum Claimed {
    /// It is ours.
    Run(ClaimedRun),
    /// There is nothing to do, or what there is must wait for another run of its schedule.
    Nothing,
    /// Somebody claimed another run of that schedule at the same moment: there may be something else to do.
    Again,
}

fn unless_barred(claimed: Result<Option<ClaimedRun>, sqlx::Error>) -> Result<Claimed, sqlx::Error> {
    match claimed {
        Ok(Some(run)) => Ok(Claimed::Run(run)),
        Ok(None) => Ok(Claimed::Nothing),
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("job_runs_exclusive") => {
            Ok(Claimed::Again)
        }
        Err(error) => Err(error),
    }
}
