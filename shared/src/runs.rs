//! Runs that no schedule makes: enqueued by code, in the transaction of the fact that wants them.
//!
//! Such a run is a row of `job_runs` like any other, with its tick in the outbox; a worker of the scheduler executes it.
//! Its instant is the present one, or the next free microsecond: `(job_key, scheduled_at)` stays the key of every run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::contracts::jobs::{MAIL_QUEUE, TickDue};
use crate::contracts::mail::{SEND_MAIL, SEND_MAIL_ATTEMPTS_MAX, SEND_MAIL_TIMEOUT, SendMail};
use crate::entropy::Entropy;
use crate::ids::RunId;
use crate::outbox::{AppendError, Outbox};
use crate::telemetry::TraceContext;

/// How often the next free instant is looked for again, because somebody else took it at the same moment.
const TRIES_MAX: usize = 50;

/// A run to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    /// The job.
    pub job_key: &'a str,
    /// Its queue.
    pub queue: &'a str,
    /// What it is given.
    pub args: &'a Value,
    /// How many attempts it may have.
    pub attempts_max: i32,
    /// How long each may take.
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
    /// Its tick can't be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Writes a run and its tick in the caller's transaction. Call [`Outbox::wake`] after the commit.
pub async fn enqueue(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    trace: &TraceContext,
    run: &NewRun<'_>,
    now: DateTime<Utc>,
) -> Result<RunId, EnqueueError> {
    let id = RunId(entropy.uuid_v7(now));
    for _ in 0..TRIES_MAX {
        let written = insert(connection, id, run, now).await;
        if let Some(tick) = written.map_err(|error| EnqueueError::Write(run.job_key.to_owned(), error))? {
            outbox.append(connection, trace, tick).await?;
            return Ok(id);
        }
    }
    Err(EnqueueError::Crowded(run.job_key.to_owned()))
}

/// Enqueues a mail: [`enqueue`] with the attempts and the time that a mail gets, about a day.
pub async fn enqueue_mail(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    trace: &TraceContext,
    mail: SendMail,
    now: DateTime<Utc>,
) -> Result<RunId, EnqueueError> {
    let run = NewRun {
        job_key: SEND_MAIL,
        queue: MAIL_QUEUE,
        args: &json!(mail),
        attempts_max: SEND_MAIL_ATTEMPTS_MAX,
        timeout: SEND_MAIL_TIMEOUT,
    };
    enqueue(connection, outbox, entropy, trace, &run, now).await
}

async fn insert(
    connection: &mut PgConnection,
    id: RunId,
    run: &NewRun<'_>,
    now: DateTime<Utc>,
) -> Result<Option<TickDue>, sqlx::Error> {
    sqlx::query_as!(
        TickDue,
        r#"
        INSERT INTO job_runs
            (id, job_key, scheduled_at, queue, args, attempts_max, timeout_seconds, run_after, queued_at)
        SELECT $1, $2,
            COALESCE(
                -- After the last one that is not before this moment.
                (SELECT max(scheduled_at) + interval '1 microsecond' FROM job_runs
                 WHERE job_key = $2 AND scheduled_at >= $3),
                $3
            ),
            $4, $5, $6, $7, $3, $3
        ON CONFLICT (job_key, scheduled_at) DO NOTHING
        RETURNING id AS "run_id: RunId", job_key, queue, scheduled_at, args
        "#,
        id.0,
        run.job_key,
        now,
        run.queue,
        run.args,
        run.attempts_max,
        i32::try_from(run.timeout.as_secs()).unwrap_or(i32::MAX),
    )
    .fetch_optional(connection)
    .await
}
