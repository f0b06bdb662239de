//! Having failed runs tried again, and runs end.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::store::{self, LockedRun};
use super::{ControlError, begin, end, told_of_run};
use crate::contracts::jobs::RunFailed;
use crate::contracts::schedules::{RunCanceled, RunReplayed};
use crate::operator::{Deed, Operation};
use crate::outbox::Outbox;

/// What is done to runs.
pub trait RunDeed {
    /// Does it to one that is locked; why not, if it can't be.
    fn act(
        &self,
        connection: &mut PgConnection,
        outbox: &Outbox,
        operation: &Operation,
        run: &LockedRun,
    ) -> impl Future<Output = Result<Deed, ControlError>> + Send;
}

/// A run that has failed gets as many attempts as it had, from now on.
#[derive(Debug, Clone, Copy)]
pub struct Replay;

/// A run ends without success: at once if no worker has it, else with its worker's next heartbeat.
#[derive(Debug, Clone, Copy)]
pub struct Cancel;

/// Does something to each of these runs, all in one transaction; tells what became of each.
pub async fn act_on_runs(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    ids: &[Uuid],
    deed: impl RunDeed + Send + Sync,
) -> Result<Vec<Deed>, ControlError> {
    let mut transaction = begin(database, operation).await?;
    let connection = &mut *transaction;
    let done = async {
        let locked = store::lock_runs(connection, ids).await?;
        let runs: HashMap<Uuid, LockedRun> = locked.into_iter().map(|run| (run.id.0, run)).collect();
        let mut deeds = Vec::new();
        for id in ids {
            deeds.push(match runs.get(id) {
                Some(run) => deed.act(connection, outbox, operation, run).await?,
                None => Deed::failed(id, "there is no such run"),
            });
        }
        Ok::<_, ControlError>(deeds)
    }
    .await;
    let deeds = end(transaction, done).await?;
    outbox.wake();
    Ok(deeds)
}

impl RunDeed for Replay {
    async fn act(
        &self,
        connection: &mut PgConnection,
        outbox: &Outbox,
        operation: &Operation,
        run: &LockedRun,
    ) -> Result<Deed, ControlError> {
        if run.state != "failed" {
            return Ok(Deed::failed(
                &run.id,
                format!("it is {}; only what has failed is replayed", run.state),
            ));
        }
        store::replay(connection, run.id).await?;
        outbox.append(connection, &operation.trace, run.tick()).await?;
        let event = RunReplayed { run: told_of_run(run, operation), attempts: run.attempt };
        outbox.append(connection, &operation.trace, event).await?;
        Ok(Deed::done(&run.id))
    }
}

impl RunDeed for Cancel {
    async fn act(
        &self,
        connection: &mut PgConnection,
        outbox: &Outbox,
        operation: &Operation,
        run: &LockedRun,
    ) -> Result<Deed, ControlError> {
        let reason = format!("{} ({})", operation.act.reason, operation.act.actor);
        let deed = match run.state.as_str() {
            "queued" | "retrying" => {
                let error = format!("canceled: {reason}");
                store::cancel_waiting(connection, run.id, &error).await?;
                let event = RunFailed {
                    run_id: run.id,
                    job_key: run.job_key.clone(),
                    scheduled_at: run.scheduled_at,
                    attempt: run.attempt,
                    duration_ms: None,
                    error,
                };
                outbox.append(connection, &operation.trace, event).await?;
                Deed::done(&run.id)
            }
            "running" => {
                store::cancel_running(connection, run.id, &reason).await?;
                Deed::done_so(&run.id, "it runs; its worker ends it within seconds")
            }
            state => return Ok(Deed::failed(&run.id, format!("it is over: {state}"))),
        };
        let event = RunCanceled { run: told_of_run(run, operation), state: run.state.clone() };
        outbox.append(connection, &operation.trace, event).await?;
        Ok(deed)
    }
}
