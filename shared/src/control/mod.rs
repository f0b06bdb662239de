//! What operators have schedules and runs do otherwise than by themselves. Each deed is told in the audit trail, in the
//! transaction that does it: what can't be told is not done.

mod act_on_runs;
mod act_on_schedules;
mod add;
mod add_store;
mod backfill;
mod read;
mod remove;
mod run_now;
mod store;

pub use act_on_runs::{Cancel, Replay, RunDeed, act_on_runs};
pub use act_on_schedules::{Override, override_timetable, pause, reset, resume};
pub use add::{Added, NewSchedule, add};
pub use backfill::{Backfilled, Range, backfill};
pub use read::{
    GapRow, RunFilter, RunRow, Schedule, ScheduleInFull, find_run, find_schedule, list_runs, list_schedules,
};
pub use remove::remove;
pub use run_now::run_now;

use sqlx::{PgPool, Postgres, Transaction};

use crate::contracts::schedules::{RunAct, ScheduleAct};
use crate::operator::Operation;
use crate::outbox::AppendError;
use crate::schedules::publish_tick::PublishTickError;
use crate::schedules::store::ScheduleRow;
use crate::schedules::timetable::TimetableError;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The database did not do its part.
    #[error("the schedules and runs can't be changed; nothing was done")]
    Database(#[from] sqlx::Error),
    /// The event that tells it could not be written.
    #[error("what was done can't be told, so it was not done")]
    Untold(#[from] AppendError),
    /// What is owed could not be answered.
    #[error("what the schedule owes can't be answered; nothing was done")]
    Owed(#[from] PublishTickError),
    /// The account that wants it is staff's no more.
    #[error("only staff may do this; nothing was done")]
    NotStaff,
    /// There is no such schedule.
    #[error("there is no schedule {0:?}; `scheduler schedules list --retired` shows all")]
    NoSchedule(String),
    /// The schedule can't do that as it is; why.
    #[error("{0}")]
    NotNow(String),
    /// What is asked for can't be read.
    #[error(transparent)]
    Timetable(#[from] TimetableError),
}

/// Begins a deed. That of an account holds only while it is staff's: it was when its request began, which may be a while ago.
async fn begin(
    database: &PgPool,
    operation: &Operation,
) -> Result<Transaction<'static, Postgres>, ControlError> {
    let mut transaction = database.begin().await?;
    if let Some(actor) = operation.act.actor_id
        && !store::is_staff(&mut transaction, actor).await?
    {
        transaction.rollback().await?;
        return Err(ControlError::NotStaff);
    }
    Ok(transaction)
}

/// Keeps what was done, or nothing of it. What fails is rolled back at once: sqlx leaves that to whoever uses the connection
/// next, and the schedule would be locked until then.
async fn end<T>(
    transaction: Transaction<'_, Postgres>,
    done: Result<T, ControlError>,
) -> Result<T, ControlError> {
    match done {
        Ok(done) => {
            transaction.commit().await?;
            Ok(done)
        }
        Err(error) => {
            // The first error says more than another one would.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

fn told(row: &ScheduleRow, operation: &Operation) -> ScheduleAct {
    ScheduleAct {
        schedule_key: row.schedule_key.clone(),
        job_key: row.job_key.clone(),
        act: operation.act.clone(),
    }
}

fn told_of_run(run: &store::LockedRun, operation: &Operation) -> RunAct {
    RunAct {
        run_id: run.id,
        schedule_key: run.schedule_key.clone(),
        job_key: run.job_key.clone(),
        scheduled_at: run.scheduled_at,
        act: operation.act.clone(),
    }
}
