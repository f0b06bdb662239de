//! A worker asks for a run: by the rules of our own workers, whatever the job, and told the same if it asks again.

use std::time::Duration;

use sqlx::PgConnection;

use super::answer::{Answer, Granted};
use super::ask::ClaimAsk;
use super::desk::ReportDesk;
use super::{ReportError, end, store};
use crate::worker::claim::TRIES_MAX;
use crate::worker::claims_store::{self, Claimed, Turn};
use crate::worker::runs_store::ClaimedRun;

/// Claims a run of `queue`: the one that is named, or another in its turn.
pub(super) async fn claim(desk: &ReportDesk, queue: &str, ask: &ClaimAsk) -> Result<Answer, ReportError> {
    for _ in 0..TRIES_MAX {
        let mut transaction = desk.database.begin().await?;
        match attempt(&mut transaction, queue, ask, desk.lease).await {
            // What another claim of the same schedule has barred ends the transaction with it.
            Ok(None) => transaction.rollback().await?,
            Ok(Some(answer)) => return end(transaction, Ok(answer)).await,
            Err(error) => return end(transaction, Err(error)).await,
        }
    }
    Ok(Answer::not_granted("others claim runs of that schedule at this moment"))
}

/// `None`: somebody claimed another run of that schedule at the same moment.
async fn attempt(
    connection: &mut PgConnection,
    queue: &str,
    ask: &ClaimAsk,
    lease: Duration,
) -> Result<Option<Answer>, ReportError> {
    let Some((state, job_key)) = store::state(connection, queue, ask.run_id).await? else {
        return Ok(Some(Answer::not_granted(format!("{queue} has no run {}", ask.run_id))));
    };
    store::lock_turn(connection, ask.tick_id, &ask.worker).await?;
    let ours = (ask.worker.as_str(), lease.as_secs_f64());
    if let Some(run) = store::hold_again(connection, (queue, ask.tick_id), ours).await? {
        return Ok(Some(granted(run, lease, true)));
    }
    let turn = Turn { run_id: ask.run_id, jobs: ask.jobs.as_deref(), tick_id: Some(ask.tick_id) };
    Ok(match claims_store::claim(connection, turn, ours).await? {
        Claimed::Run(run) => Some(granted(run, lease, false)),
        Claimed::Nothing if ask.jobs.as_ref().is_some_and(|jobs| !jobs.contains(&job_key)) => {
            Some(Answer::not_granted(format!(
                "the run is of {job_key}, which is none of jobs, and nothing else waits in its turn"
            )))
        }
        Claimed::Nothing => {
            Some(Answer::not_granted(format!("the run is {state}, and nothing else waits in its turn")))
        }
        Claimed::Again => None,
    })
}

fn granted(run: ClaimedRun, lease: Duration, again: bool) -> Answer {
    Answer::Granted(Box::new(Granted {
        granted: true,
        again,
        run_id: run.id,
        job_key: run.job_key,
        schedule_key: run.schedule_key,
        scheduled_at: run.scheduled_at,
        args: run.args,
        attempt: run.attempt,
        attempts_max: run.attempts_max,
        lease_seconds: lease.as_secs(),
        timeout_seconds: run.timeout_seconds,
    }))
}
