//! `purge-mail`: what is remembered of mails goes when nobody can need it any more, in small batches.

use std::time::Duration;

use shared::schedules::Overlap;

use super::purge_store;
use crate::jobs::batches::in_batches;
use crate::jobs::{Definition, Job, JobContext, JobError, JobResult};

/// How long a link that has run out is still told from a forgery.
const TOKENS_KEPT: Duration = Duration::from_hours(24);
/// How long one can look up what became of a mail: its attempts from their begin, its run from its end.
const OUTCOMES_KEPT: Duration = Duration::from_hours(30 * 24);
/// How long a notice may be on its way to the address before the present one: a mail is tried for about a day.
const FORMER_ADDRESSES_KEPT: Duration = Duration::from_hours(48);
/// How many rows are deleted in one transaction.
const BATCH: i64 = 1_000;

/// The job.
pub fn job() -> Job {
    let definition = Definition {
        verbose_name: "Forget links and mails that nobody needs",
        timetable: Some("20 * * * *"),
        args: serde_json::json!({}),
        overlap: Overlap::Skip,
        timeout: Duration::from_mins(10),
        ..Definition::new("purge-mail")
    };
    Job::new(definition, purge)
}

async fn purge(context: JobContext) -> JobResult {
    let JobContext { database, clock, stop, .. } = context;
    let (database, now) = (&database, clock.now());
    let tokens = in_batches(&stop, || async move {
        purge_store::delete_tokens(&mut *database.acquire().await?, now - TOKENS_KEPT, BATCH).await
    })
    .await
    .map_err(JobError::passing("links can't be deleted"))?;
    let attempts = in_batches(&stop, || async move {
        purge_store::delete_attempts(&mut *database.acquire().await?, now - OUTCOMES_KEPT, BATCH).await
    })
    .await
    .map_err(JobError::passing("attempts can't be deleted"))?;
    let runs = in_batches(&stop, || async move {
        purge_store::delete_runs(&mut *database.acquire().await?, now - OUTCOMES_KEPT, BATCH).await
    })
    .await
    .map_err(JobError::passing("runs can't be deleted"))?;
    let addresses = in_batches(&stop, || async move {
        purge_store::forget_former_addresses(
            &mut *database.acquire().await?,
            now - FORMER_ADDRESSES_KEPT,
            BATCH,
        )
        .await
    })
    .await
    .map_err(JobError::passing("former addresses can't be forgotten"))?;
    let stopped = if stop.is_cancelled() { "; stopped early, the next run goes on" } else { "" };
    Ok(format!(
        "deleted {tokens} expired mail link(s), {attempts} old attempt(s) to send a mail and {runs} old run(s), forgot \
         {addresses} former address(es){stopped}\n"
    ))
}
