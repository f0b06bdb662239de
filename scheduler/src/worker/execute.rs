//! Executes a claimed run: the job under its time limit and its lease, then the record of what became of it.

use std::pin::pin;
use std::time::Duration;

use shared::lifecycle::Backoff;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::Workshop;
use super::claim::Claim;
use super::lease::{self, Over};
use super::metrics::Ended;
use super::outcome::{End, Outcome};
use super::record::{Recorded, record};
use crate::jobs::{Job, JobContext, JobResult};

/// Executes a claimed run to its end; whatever happens is in the row afterwards, or the row is another attempt's.
pub async fn execute(workshop: &Workshop, claim: Claim) {
    let run = &claim.run;
    let span = tracing::info_span!(
        "job.run",
        run.id = %run.id,
        job.key = run.job_key,
        job.attempt = run.attempt,
        trace_id = claim.trace.trace_id()
    );
    execute_in_span(workshop, &claim).instrument(span).await;
}

async fn execute_in_span(workshop: &Workshop, claim: &Claim) {
    let started = Instant::now();
    let end = tokio::select! {
        // The lease goes first: what has none any more is not begun.
        biased;
        over = lease::keep(workshop, claim) => match over {
            Over::Lost(reason) => {
                tracing::warn!(reason, "a run is abandoned");
                workshop.metrics.ended(&claim.run.job_key, Ended::Abandoned, started.elapsed());
                return;
            }
            Over::Canceled(reason) => End::Canceled(reason),
        },
        end = attempt(workshop, claim) => end,
    };
    let took = started.elapsed();
    let outcome = Outcome::of(end, claim.run.attempt, &claim.run.retry_policy(), &workshop.entropy);
    let recorded = record_patiently(workshop, claim, &outcome, took).await;
    workshop.metrics.ended(&claim.run.job_key, ended(&outcome, recorded), took);
    log(&outcome, recorded, took);
}

/// Does the job's work, on a task of its own so that a panic is an end like any other.
async fn attempt(workshop: &Workshop, claim: &Claim) -> End {
    let run = &claim.run;
    let Some(job) = workshop.registry.get(&run.job_key) else {
        return End::UnknownJob(run.job_key.clone());
    };
    let limit = Duration::from_secs(u64::try_from(run.timeout_seconds).unwrap_or(0));
    match tokio::time::timeout(limit, spawn(job, workshop, claim, limit)).await {
        Ok(Ok(result)) => End::Finished(result),
        Ok(Err(panic)) => End::Panicked(panic.to_string()),
        Err(_) => End::TimedOut(limit),
    }
}

/// The job is asked to stop while some of its time is left, to end in order if it can end early.
fn spawn(job: &Job, workshop: &Workshop, claim: &Claim, limit: Duration) -> AbortOnDropHandle<JobResult> {
    let (run, stop) = (&claim.run, workshop.stop.child_token());
    let context = JobContext {
        run_id: run.id,
        scheduled_at: run.scheduled_at,
        attempt: run.attempt,
        args: run.args.clone(),
        database: workshop.database.clone(),
        outbox: workshop.outbox.clone(),
        clock: workshop.clock.clone(),
        printer: workshop.printer.clone(),
        trace: claim.trace,
        stop: stop.clone(),
    };
    let job = job.run(context);
    let work = async move {
        let mut job = pin!(job);
        tokio::select! {
            result = &mut job => return result,
            () = tokio::time::sleep(limit * 4 / 5) => stop.cancel(),
        }
        job.await
    };
    AbortOnDropHandle::new(tokio::spawn(work.in_current_span()))
}

/// Tries until the outcome is written or turns out to be fenced. The lease may run out meanwhile: the attempt's number
/// decides.
async fn record_patiently(workshop: &Workshop, claim: &Claim, outcome: &Outcome, took: Duration) -> Recorded {
    let mut backoff = Backoff::for_servers();
    loop {
        match record(workshop, claim, outcome, took).await {
            Ok(recorded) => return recorded,
            Err(error) => {
                let wait = backoff.next(&workshop.entropy);
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(error, ?wait, "an outcome can't be recorded, trying again");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

pub(super) fn ended(outcome: &Outcome, recorded: Recorded) -> Ended {
    match (recorded, outcome) {
        (Recorded::Fenced, _) => Ended::Fenced,
        (Recorded::Written, Outcome::Succeeded { .. }) => Ended::Succeeded,
        (Recorded::Written, Outcome::Retry { .. }) => Ended::Retried,
        (Recorded::Canceled, _) | (Recorded::Written, Outcome::Failed { .. }) => Ended::Failed,
    }
}

fn log(outcome: &Outcome, recorded: Recorded, took: Duration) {
    let duration_ms = took.as_millis();
    match (recorded, outcome) {
        (Recorded::Fenced, _) => {
            tracing::warn!(duration_ms, "a run has passed to another attempt, this one's outcome is dropped");
        }
        (Recorded::Canceled, _) => tracing::error!(duration_ms, "a run was canceled"),
        (Recorded::Written, Outcome::Succeeded { .. }) => tracing::info!(duration_ms, "a run succeeded"),
        (Recorded::Written, Outcome::Retry { wait, error, .. }) => {
            tracing::warn!(duration_ms, error, ?wait, "an attempt failed, the run is tried again");
        }
        (Recorded::Written, Outcome::Failed { error, .. }) => {
            tracing::error!(duration_ms, error, "a run failed");
        }
    }
}
