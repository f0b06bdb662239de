//! A task that code wants once, later, or again and again: what Django's background tasks have beside the job and its arguments.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{EnqueueError, task_store};
use crate::contracts::jobs::{DEFAULT_QUEUE, RunFailed, TickDue};
use crate::entropy::Entropy;
use crate::ids::RunId;
use crate::outbox::Outbox;
use crate::telemetry::TraceContext;

/// The longest period of a repeated task: as a timetable reads it.
const PERIOD_SECONDS_MAX: i64 = 3_660 * 24 * 60 * 60;

/// What is said of a run that had been tried when another took its place.
const REPLACED: &str = "canceled: another task with the same job and arguments took its place";

/// A task, to be enqueued.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The job.
    pub job_key: &'a str,
    /// What it is given.
    pub args: &'a Value,
    /// Its queue.
    pub queue: &'a str,
    /// Of two that wait in a queue the one with the higher number goes first.
    pub priority: i16,
    /// What people call it.
    pub verbose_name: &'a str,
    /// Who wants it.
    pub creator: Option<&'a str>,
    /// Not before; now if none is given. One that has passed is run now.
    pub run_at: Option<DateTime<Utc>>,
    /// Again and again, from then on.
    pub repeat: Option<Repeat>,
    /// What becomes of another one with the same job and arguments that waits.
    pub existing: Existing,
    /// How many attempts each run may have.
    pub attempts_max: i32,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// The ceiling of the wait after the first failed attempt, which doubles with each. Whole seconds.
    pub backoff: Duration,
    /// How high it goes. Whole seconds.
    pub backoff_max: Duration,
}

/// How often a task is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// So long after one instant comes the next. Whole seconds, from one to ten years.
    pub every: Duration,
    /// The last instant is not later.
    pub until: Option<DateTime<Utc>>,
}

/// What becomes of another task with the same job and arguments that waits or is repeated. One that is being executed is left
/// alone in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and this one comes beside it.
    Ignore,
    /// It stays, and this one is not enqueued.
    Keep,
    /// It goes, and this one takes its place. A run that was tried before is kept, as one that was canceled.
    Replace,
}

/// What was enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// A run.
    Run(RunId),
    /// A schedule; its key.
    Schedule(String),
    /// Nothing: another one is there.
    There,
}

impl<'a> Task<'a> {
    /// A run of a job, now, in the default queue, with half a minute for each of three attempts.
    pub const fn new(job_key: &'a str, args: &'a Value) -> Self {
        Self {
            job_key,
            args,
            queue: DEFAULT_QUEUE,
            priority: 0,
            verbose_name: "",
            creator: None,
            run_at: None,
            repeat: None,
            existing: Existing::Ignore,
            attempts_max: 3,
            timeout: Duration::from_secs(30),
            backoff: Duration::from_secs(5),
            backoff_max: Duration::from_mins(10),
        }
    }

    /// Job and arguments in one: members in the order of their names.
    fn hash(&self) -> String {
        let text = format!("{}\n{}", self.job_key, self.args);
        URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
    }
}

/// Writes a task in the caller's transaction: a run with its tick, a run that waits for its time, or a schedule. Two that
/// enqueue the same with [`Existing::Keep`] or [`Existing::Replace`] wait for each other's transactions. An operator's pause and
/// timetable of a repeated task outlive its being replaced. Call [`Outbox::wake`] after the commit.
///
/// The API's role may enqueue single tasks with [`Existing::Ignore`]; all else needs rights on `job_schedules` and `job_runs` that
/// only the scheduler's has, so that a program of another role must be granted them first.
pub async fn enqueue_task(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    trace: &TraceContext,
    task: &Task<'_>,
    now: DateTime<Utc>,
) -> Result<Enqueued, EnqueueError> {
    let failed = |error| EnqueueError::Write(task.job_key.to_owned(), error);
    let hash = task.hash();
    if task.existing != Existing::Ignore {
        task_store::lock(connection, &hash).await.map_err(failed)?;
    }
    let word = match task.existing {
        Existing::Keep if task_store::is_there(connection, &hash).await.map_err(failed)? => {
            return Ok(Enqueued::There);
        }
        Existing::Ignore | Existing::Keep => None,
        Existing::Replace => {
            let word = task_store::remove(connection, &hash, now).await.map_err(failed)?;
            end_tried(connection, outbox, trace, &hash, task.job_key).await?;
            word
        }
    };
    let id = RunId(entropy.uuid_v7(now));
    let run_at = task.run_at.unwrap_or(now);
    // A key of its own: neither another task nor a schedule of the job has the same instants.
    let key = format!("{}:{}", task.job_key, id.0);
    if let Some(repeat) = task.repeat {
        let every = i64::try_from(repeat.every.as_secs()).unwrap_or(i64::MAX);
        let is_whole = repeat.every.subsec_nanos() == 0 && (1..=PERIOD_SECONDS_MAX).contains(&every);
        if !is_whole || repeat.until.is_some_and(|until| until < run_at) {
            return Err(EnqueueError::Repeat(task.job_key.to_owned()));
        }
        let schedule = (key.as_str(), hash.as_str(), every, run_at);
        task_store::insert_schedule(connection, task, schedule, word.as_ref(), now).await.map_err(failed)?;
        return Ok(Enqueued::Schedule(key));
    }
    let run_at = run_at.max(now);
    let is_due = run_at <= now;
    let times = (run_at, is_due.then_some(now));
    task_store::insert_run(connection, task, (id, &key, &hash), times).await.map_err(failed)?;
    if is_due {
        let tick = TickDue {
            run_id: id,
            job_key: task.job_key.to_owned(),
            queue: task.queue.to_owned(),
            scheduled_at: run_at,
            args: task.args.clone(),
        };
        outbox.append(connection, trace, tick).await?;
    }
    Ok(Enqueued::Run(id))
}

/// What was tried has an end, and somebody hears of it.
async fn end_tried(
    connection: &mut PgConnection,
    outbox: &Outbox,
    trace: &TraceContext,
    hash: &str,
    job_key: &str,
) -> Result<(), EnqueueError> {
    let failed = |error| EnqueueError::Write(job_key.to_owned(), error);
    let ended = task_store::end_tried(connection, hash, REPLACED).await.map_err(failed)?;
    let told = ended.into_iter().map(|run| RunFailed {
        run_id: run.id,
        job_key: run.job_key,
        scheduled_at: run.scheduled_at,
        attempt: run.attempt,
        duration_ms: None,
        error: REPLACED.to_owned(),
    });
    outbox.append_all(connection, trace, told).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_is_known_by_its_job_and_its_arguments_in_whatever_order() {
        let (one, other) = (json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 }));
        assert_eq!(Task::new("count", &one).hash(), Task::new("count", &other).hash());
        assert_ne!(Task::new("count", &one).hash(), Task::new("counts", &one).hash());
        assert_ne!(Task::new("count", &one).hash(), Task::new("count", &json!({ "a": 1 })).hash());
    }
}
