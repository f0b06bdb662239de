//! Claiming: the message names a run, the database decides whether it is ours.

use shared::ids::RunId;
use shared::telemetry::TraceContext;

use super::Workshop;
use super::runs_store::{self, ClaimedRun};

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

/// Claims whichever run waits, of `queue` if it is given, the most important first; `None`: there is none.
pub async fn claim_next(workshop: &Workshop, queue: Option<&str>) -> Result<Option<Claim>, sqlx::Error> {
    let asked_at = tokio::time::Instant::now();
    let mut connection = workshop.database.acquire().await?;
    let lease_seconds = workshop.lease.length.as_secs_f64();
    let run = runs_store::claim_next(&mut connection, queue, &workshop.worker, lease_seconds).await?;
    Ok(run.map(|run| Claim { run, trace: TraceContext::new(&workshop.entropy), asked_at }))
}

/// Claims a run; `None`: there is nothing to do. Committed when it returns.
pub async fn claim(
    workshop: &Workshop,
    run_id: RunId,
    traceparent: Option<&str>,
) -> Result<Option<Claim>, sqlx::Error> {
    let asked_at = tokio::time::Instant::now();
    let mut connection = workshop.database.acquire().await?;
    let lease_seconds = workshop.lease.length.as_secs_f64();
    let run = runs_store::claim(&mut connection, run_id, &workshop.worker, lease_seconds).await?;
    Ok(run.map(|run| Claim {
        run,
        trace: TraceContext::continue_from(traceparent, &workshop.entropy),
        asked_at,
    }))
}
