//! Answers what is due: locks due schedules, plans, writes runs with their ticks, gaps and the new watermark. One
//! transaction, the caller's.

use chrono::{DateTime, TimeDelta, Utc};
use shared::entropy::Entropy;
use shared::outbox::{AppendError, Outbox};
use shared::telemetry::TraceContext;
use sqlx::PgConnection;

use super::cron_time::Cron;
use super::due::{self, Plan};
use super::store::{self, ScheduleRow};
use crate::worker::runs_store::{self, NewRuns};

/// The most schedules answered in one transaction.
const SCHEDULES_MAX: i64 = 20;
/// When a schedule that this build can't read is looked at again: a newer build may be about to take over.
const UNREADABLE_PUT_OFF: TimeDelta = TimeDelta::minutes(1);

/// Why nothing was answered; nothing is kept.
#[derive(Debug, thiserror::Error)]
pub enum PublishTickError {
    /// The schedules or runs could not be read or written.
    #[error("what is due can't be written")]
    Write(#[source] sqlx::Error),
    /// A tick could not be written to the outbox.
    #[error("a tick can't be sent")]
    Append(#[source] AppendError),
}

impl From<sqlx::Error> for PublishTickError {
    fn from(error: sqlx::Error) -> Self {
        Self::Write(error)
    }
}

/// What was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// Runs that were written.
    pub runs: usize,
    /// Instants that lie in gaps now.
    pub missed: i64,
    /// Whether more is due already.
    pub more: bool,
}

/// Answers what is due at `now`.
pub async fn publish_ticks(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    now: DateTime<Utc>,
) -> Result<Published, PublishTickError> {
    let due = store::lock_due(connection, now, SCHEDULES_MAX).await?;
    let mut published = Published {
        more: i64::try_from(due.len()).is_ok_and(|count| count >= SCHEDULES_MAX),
        ..Published::default()
    };
    for schedule in &due {
        let cron = match schedule.cron.parse::<Cron>() {
            Ok(cron) => cron,
            Err(error) => {
                tracing::error!(job.key = schedule.job_key, %error, "a schedule can't be read");
                store::put_off(connection, &schedule.job_key, now + UNREADABLE_PUT_OFF).await?;
                continue;
            }
        };
        let plan = due::plan(schedule.watermark, now, &cron, schedule.catch_up());
        published.runs += write(connection, outbox, entropy, schedule, &plan, now).await?;
        published.missed += plan.gaps.iter().map(|gap| gap.instants).sum::<i64>();
        published.more |= plan.next_due_at.is_some_and(|next| next <= now);
    }
    Ok(published)
}

/// Writes a plan; gives how many runs are new.
async fn write(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    schedule: &ScheduleRow,
    plan: &Plan,
    now: DateTime<Utc>,
) -> Result<usize, PublishTickError> {
    let job_key = schedule.job_key.as_str();
    for gap in &plan.gaps {
        let (first_at, last_at, instants) = (gap.first_at, gap.last_at, gap.instants);
        tracing::warn!(job.key = job_key, %first_at, %last_at, instants, "instants were missed");
        store::record_gap(connection, job_key, schedule.watermark, gap, now).await?;
    }
    let runs = NewRuns {
        job_key,
        queue: &schedule.queue,
        args: &schedule.args,
        attempts_max: schedule.attempts_max,
        timeout_seconds: schedule.timeout_seconds,
    };
    let ids: Vec<_> = plan.runs.iter().map(|_| entropy.uuid_v7(now)).collect();
    let inserted = runs_store::insert(connection, &runs, &ids, &plan.runs, now).await?;
    let count = inserted.len();
    let trace = TraceContext::new(entropy);
    for tick in inserted {
        tracing::info!(
            job.key = job_key,
            run.id = %tick.run_id,
            scheduled_at = %tick.scheduled_at,
            trace_id = trace.trace_id(),
            "a run is due"
        );
        outbox.append(connection, &trace, tick).await.map_err(PublishTickError::Append)?;
    }
    store::advance(connection, job_key, plan.watermark, plan.next_due_at).await?;
    Ok(count)
}
