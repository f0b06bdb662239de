//! `purge-parked-ticks`: ticks that no queue took and nobody needs any more go, in small batches. A tick is a command: it is void
//! when its run no longer waits, and one of several for the same run suffices. Facts stay parked until an operator decides.

use std::fmt::Write;
use std::time::Duration;

use shared::contracts::Exchange;
use shared::schedules::Overlap;

use super::store;
use crate::jobs::batches::in_batches;
use crate::jobs::{Definition, Job, JobContext, JobError, JobResult};

/// How many rows are deleted in one transaction. Each looks at all parked ticks: these are few transactions.
const BATCH: i64 = 50_000;

/// The job.
pub fn job() -> Job {
    let definition = Definition {
        verbose_name: "Forget parked ticks that nobody needs",
        timetable: Some("35 * * * *"),
        overlap: Overlap::Skip,
        timeout: Duration::from_mins(5),
        ..Definition::new("purge-parked-ticks")
    };
    Job::new(definition, purge)
}

async fn purge(context: JobContext) -> JobResult {
    let JobContext { database, stop, .. } = context;
    let database = &database;
    let ticks = in_batches(&stop, || async move {
        let exchange = Exchange::JobTicks.name();
        store::delete_void_ticks(&mut *database.acquire().await?, exchange, BATCH).await
    })
    .await
    .map_err(JobError::passing("parked ticks can't be deleted"))?;
    let left = async { store::parked(&mut *database.acquire().await?).await };
    let left = left.await.map_err(JobError::passing("what is parked can't be counted"))?;
    let stopped = if stop.is_cancelled() { "; stopped early, the next run goes on" } else { "" };
    let mut output = format!("deleted {ticks} parked tick(s) that nobody needs{stopped}\n");
    for row in left {
        let (exchange, rows, since) = (row.exchange, row.rows, row.since);
        tracing::warn!(exchange, rows, %since, "events are parked; see `producer-api parked list`");
        // Writing to a String can't fail.
        let _ = writeln!(output, "{rows} parked of {exchange}, the oldest since {since}");
    }
    Ok(output)
}
