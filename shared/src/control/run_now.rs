//! Running a schedule's job once, now, whatever its timetable says and though it may be paused.

use chrono::TimeDelta;
use sqlx::PgPool;

use super::act_on_schedules::lock;
use super::read::{self, RunRow};
use super::{ControlError, begin, end, store, told_of_run};
use crate::contracts::schedules::{RequestedKind, RunRequested};
use crate::entropy::Entropy;
use crate::operator::Operation;
use crate::outbox::Outbox;
use crate::schedules::store::now;

/// How many microseconds are looked at for one that is free.
const TRIES_MAX: i64 = 100;

/// Queues a run of the schedule's job with the schedule's arguments; gives it. Its instant is the present one.
pub async fn run_now(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    entropy: &Entropy,
    key: &str,
) -> Result<RunRow, ControlError> {
    let mut transaction = begin(database, operation).await?;
    let connection = &mut *transaction;
    let done = async {
        let row = lock(connection, key).await?;
        let now = now(connection).await?;
        for later in 0..TRIES_MAX {
            let new = store::NewRequested {
                id: entropy.uuid_v7(now),
                scheduled_at: now + TimeDelta::microseconds(later),
                run_after: now,
                queued_at: Some(now),
            };
            let made =
                store::request(connection, key, RequestedKind::Manual, &operation.act.actor, &[new]).await?;
            let Some(run) = made.into_iter().next() else { continue };
            let event = RunRequested { run: told_of_run(&run, operation), kind: RequestedKind::Manual };
            outbox.append(connection, &operation.trace, run.tick()).await?;
            outbox.append(connection, &operation.trace, event).await?;
            let run = read::run(connection, run.id.0).await?;
            return run.ok_or_else(|| ControlError::NotNow("the run is gone already".to_owned()));
        }
        Err(ControlError::NotNow(format!("no instant is free for a run of {}; try again", row.schedule_key)))
    }
    .await;
    let run = end(transaction, done).await?;
    outbox.wake();
    Ok(run)
}
