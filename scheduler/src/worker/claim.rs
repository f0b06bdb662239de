//! Claiming: the message names a run, the database decides whether it is ours.

use shared::ids::RunId;
use shared::telemetry::TraceContext;

use super::Workshop;
use super::claims_store::{self, Claimed, Turn};
use super::runs_store::ClaimedRun;

/// A run that is ours, and the trace its tick came in.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The run.
    pub run: ClaimedRun,
    /// A span of its own in the tick's trace.
    pub trace: TraceContext,
    /// When the claim was asked for: the lease ends no earlier than its length after this.
    pub asked_at: tokio::time::Instant,
}

/// How often a claim is tried that meets another one of the same schedule.
pub(super) const TRIES_MAX: usize = 5;

/// Which run.
enum Which<'a> {
    /// The one that a message names, or another in its turn.
    Named(RunId),
    /// Whichever waits, of a queue if one is given.
    Any(Option<&'a str>),
}

/// Claims whichever run waits, of `queue` if it is given, the most important first; `None`: there is none.
pub async fn claim_next(workshop: &Workshop, queue: Option<&str>) -> Result<Option<Claim>, sqlx::Error> {
    claim_which(workshop, TraceContext::new(&workshop.entropy), Which::Any(queue)).await
}

/// Claims a run; `None`: there is nothing to do. Committed when it returns.
pub async fn claim(
    workshop: &Workshop,
    run_id: RunId,
    traceparent: Option<&str>,
) -> Result<Option<Claim>, sqlx::Error> {
    let trace = TraceContext::continue_from(traceparent, &workshop.entropy);
    claim_which(workshop, trace, Which::Named(run_id)).await
}

async fn claim_which(
    workshop: &Workshop,
    trace: TraceContext,
    which: Which<'_>,
) -> Result<Option<Claim>, sqlx::Error> {
    let jobs: Vec<String> = workshop.registry.keys().map(str::to_owned).collect();
    let ours = (workshop.worker.as_str(), workshop.lease.length.as_secs_f64());
    let mut connection = workshop.database.acquire().await?;
    for _ in 0..TRIES_MAX {
        let asked_at = tokio::time::Instant::now();
        let claimed = match which {
            Which::Named(run_id) => {
                let turn = Turn { run_id, jobs: Some(&jobs), tick_id: None };
                claims_store::claim(&mut connection, turn, ours).await?
            }
            Which::Any(queue) => claims_store::claim_next(&mut connection, queue, &jobs, ours).await?,
        };
        match claimed {
            Claimed::Run(run) => return Ok(Some(Claim { run, trace, asked_at })),
            Claimed::Nothing => break,
            Claimed::Again => {}
        }
    }
    Ok(None)
}
