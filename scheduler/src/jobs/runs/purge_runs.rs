//! `purge-runs`: runs and gaps that nobody will ask for go, in small batches; so do schedules of code that have ended.

use std::time::Duration;

use shared::schedules::Overlap;

use super::store;
use crate::jobs::batches::in_batches;
use crate::jobs::{Definition, Job, JobContext, JobError, JobResult};

/// How long one can look up what became of a run, from its end, and of a task that is repeated no more.
const RUNS_KEPT: Duration = Duration::from_hours(90 * 24);
/// How long one can look up why an instant was not run, from the last of its gap: as long as the trail.
const GAPS_KEPT: Duration = Duration::from_hours(402 * 24);
/// How many rows are deleted in one transaction.
const BATCH: i64 = 1_000;

/// The job.
pub fn job() -> Job {
    let definition = Definition {
        verbose_name: "Forget runs and gaps that nobody asks for",
        timetable: Some("50 3 * * *"),
        overlap: Overlap::Skip,
        timeout: Duration::from_mins(10),
        ..Definition::new("purge-runs")
    };
    Job::new(definition, purge)
}

async fn purge(context: JobContext) -> JobResult {
    let JobContext { database, clock, stop, .. } = context;
    let (database, now) = (&database, clock.now());
    let runs = in_batches(&stop, || async move {
        store::delete_runs(&mut *database.acquire().await?, now - RUNS_KEPT, BATCH).await
    })
    .await
    .map_err(JobError::passing("runs can't be deleted"))?;
    let gaps = in_batches(&stop, || async move {
        store::delete_gaps(&mut *database.acquire().await?, now - GAPS_KEPT, BATCH).await
    })
    .await
    .map_err(JobError::passing("gaps can't be deleted"))?;
    let schedules = in_batches(&stop, || async move {
        store::delete_ended_schedules(&mut *database.acquire().await?, now - RUNS_KEPT, BATCH).await
    })
    .await
    .map_err(JobError::passing("schedules can't be deleted"))?;
    let stopped = if stop.is_cancelled() { "; stopped early, the next run goes on" } else { "" };
    Ok(format!(
        "deleted {runs} old run(s), {gaps} old gap(s) and {schedules} schedule(s) that had ended{stopped}\n"
    ))
}
