//! Runs that no schedule makes: enqueued by code, in the transaction of the fact that wants them.
//!
//! Such a run is a row of `job_runs` like any other, with its tick in the outbox; a worker of the scheduler executes it.
//! Its instant is the present one, or the next free microsecond: `(schedule_key, scheduled_at)` is the key of every run,
//! and that of a run without a schedule begins with its job.

mod task;
mod task_store;

pub use task::{Enqueued, Existing, Repeat, Task, enqueue_task};

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::contracts::jobs::{MAIL_QUEUE, TickDue};
use crate::contracts::mail::{SEND_MAIL, SEND_MAIL_ATTEMPTS_MAX, SEND_MAIL_TIMEOUT, SendMail};
use crate::entropy::Entropy;
use crate::ids::RunId;
use crate::outbox::{AppendError, Outbox};
use crate::telemetry::TraceContext;

/// How often the next free instant is looked for again, because somebody else took it at the same moment.
const TRIES_MAX: usize = 50;

/// Runs of one job, to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewRuns<'a> {
    /// The job.
    pub job_key: &'a str,
    /// Its queue.
    pub queue: &'a str,
    /// What each of them is given; as many runs are made.
    pub args: &'a [Value],
    /// How many attempts each may have.
    pub attempts_max: i32,
    /// How long an attempt may take.
    pub timeout: Duration,
}

/// Why a run could not be made. The fact that wants it must not be committed then.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The row can't be written.
    #[error("the run of {0} can't be written")]
    Write(String, #[source] sqlx::Error),
    /// So many others were made at the same microsecond.
    #[error("no free instant was found for a run of {0}")]
    Crowded(String),
    /// It can't be repeated so.
    #[error(
        "{0} can't be repeated so: a period is whole seconds, from a second or more to ten years, and the end not before the beginning"
    )]
    Repeat(String),
    /// Its tick can't be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Writes runs and their ticks in the caller's transaction, in as many statements for many as for one; gives their ids in
/// the order of their arguments. Call [`Outbox::wake`] after the commit.
pub async fn enqueue(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    trace: &TraceContext,
    runs: &NewRuns<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, EnqueueError> {
    let ids: Vec<RunId> = runs.args.iter().map(|_| RunId(entropy.uuid_v7(now))).collect();
    let mut left: Vec<(Uuid, &Value)> = ids.iter().map(|id| id.0).zip(runs.args).collect();
    let mut ticks = Vec::with_capacity(left.len());
    for _ in 0..TRIES_MAX {
        if left.is_empty() {
            break;
        }
        let written = insert(connection, runs, &left, now).await;
        let written = written.map_err(|error| EnqueueError::Write(runs.job_key.to_owned(), error))?;
        left.retain(|(id, _)| written.iter().all(|tick| tick.run_id.0 != *id));
        ticks.extend(written);
    }
    if !left.is_empty() {
        return Err(EnqueueError::Crowded(runs.job_key.to_owned()));
    }
    outbox.append_all(connection, trace, ticks).await?;
    Ok(ids)
}

/// Enqueues mails: [`enqueue`] with the attempts and the time that a mail gets, about a day.
pub async fn enqueue_mails(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    trace: &TraceContext,
    mails: &[SendMail],
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, EnqueueError> {
    let args: Vec<Value> = mails.iter().map(|mail| json!(mail)).collect();
    let runs = NewRuns {
        job_key: SEND_MAIL,
        queue: MAIL_QUEUE,
        args: &args,
        attempts_max: SEND_MAIL_ATTEMPTS_MAX,
        timeout: SEND_MAIL_TIMEOUT,
    };
    enqueue(connection, outbox, entropy, trace, &runs, now).await
}

/// Those that found their instant free. In ascending order: two that want the same instants wait for one another in a line
/// and never in a circle.
async fn insert(
    connection: &mut PgConnection,
    runs: &NewRuns<'_>,
    left: &[(Uuid, &Value)],
    now: DateTime<Utc>,
) -> Result<Vec<TickDue>, sqlx::Error> {
    let (ids, args): (Vec<Uuid>, Vec<Value>) = left.iter().map(|(id, args)| (*id, (*args).clone())).unzip();
    sqlx::query_as!(
        TickDue,
        r#"
        INSERT INTO job_runs
            (id, schedule_key, job_key, kind, scheduled_at, queue, args, attempts_max, timeout_seconds, run_after,
             queued_at)
        SELECT given.id, $3, $3, 'enqueued', free.instant + (given.place - 1) * interval '1 microsecond', $5, given.args,
            $6, $7, $4, $4
        FROM UNNEST($1::uuid[], $2::jsonb[]) WITH ORDINALITY AS given (id, args, place),
            (SELECT COALESCE(
                -- After the last one of this moment; others may wait for tomorrow.
                (SELECT max(scheduled_at) + interval '1 microsecond' FROM job_runs
                 WHERE schedule_key = $3 AND scheduled_at >= $4 AND scheduled_at < $4 + interval '1 second'),
                $4
            ) AS instant) AS free
        ORDER BY given.place
        ON CONFLICT (schedule_key, scheduled_at) DO NOTHING
        RETURNING id AS "run_id: RunId", job_key, queue, scheduled_at, args
        "#,
        &ids,
        &args,
        runs.job_key,
        now,
        runs.queue,
        runs.attempts_max,
        i32::try_from(runs.timeout.as_secs()).unwrap_or(i32::MAX),
    )
    .fetch_all(connection)
    .await
}
