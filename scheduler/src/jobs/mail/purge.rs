//! `purge-mail`: what is remembered of mails goes when nobody can need it any more, in small batches.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::store;
use crate::jobs::{Definition, Job, JobContext, JobError, JobResult};

/// How long a link that has run out is still told from a forgery.
const TOKENS_KEPT: Duration = Duration::from_hours(24);
/// How long one can look up what became of a mail.
const ATTEMPTS_KEPT: Duration = Duration::from_hours(30 * 24);
/// How long a notice may be on its way to the address before the present one: a mail is tried for about a day.
const FORMER_ADDRESSES_KEPT: Duration = Duration::from_hours(48);
/// How many rows are deleted in one transaction.
const BATCH: i64 = 1_000;

/// The job.
pub fn job() -> Job {
    let definition = Definition {
        key: "purge-mail",
        cron: Some("20 * * * *"),
        args: serde_json::json!({}),
        catch_up_max: 1,
        catch_up_window: Duration::from_hours(24),
        timeout: Duration::from_mins(10),
        attempts_max: 3,
    };
    Job::new(definition, purge)
}

async fn purge(context: JobContext) -> JobResult {
    let JobContext { database, clock, stop, .. } = context;
    let now = clock.now();
    let tokens = delete_tokens(&database, &stop, now - TOKENS_KEPT)
        .await
        .map_err(JobError::passing("links can't be deleted"))?;
    let attempts = delete_attempts(&database, &stop, now - ATTEMPTS_KEPT)
        .await
        .map_err(JobError::passing("attempts can't be deleted"))?;
    let addresses = forget_addresses(&database, &stop, now - FORMER_ADDRESSES_KEPT)
        .await
        .map_err(JobError::passing("former addresses can't be forgotten"))?;
    let stopped = if stop.is_cancelled() { "; stopped early, the next run goes on" } else { "" };
    Ok(format!(
        "deleted {tokens} expired mail link(s) and {attempts} old attempt(s) to send a mail, forgot {addresses} former \
         address(es){stopped}\n"
    ))
}

async fn delete_tokens(
    database: &PgPool,
    stop: &CancellationToken,
    before: chrono::DateTime<chrono::Utc>,
) -> Result<u64, sqlx::Error> {
    let mut deleted = 0;
    while !stop.is_cancelled() {
        let batch = store::delete_tokens(&mut *database.acquire().await?, before, BATCH).await?;
        deleted += batch;
        if batch == 0 {
            break;
        }
    }
    Ok(deleted)
}

async fn delete_attempts(
    database: &PgPool,
    stop: &CancellationToken,
    before: chrono::DateTime<chrono::Utc>,
) -> Result<u64, sqlx::Error> {
    let mut deleted = 0;
    while !stop.is_cancelled() {
        let batch = store::delete_attempts(&mut *database.acquire().await?, before, BATCH).await?;
        deleted += batch;
        if batch == 0 {
            break;
        }
    }
    Ok(deleted)
}

async fn forget_addresses(
    database: &PgPool,
    stop: &CancellationToken,
    before: chrono::DateTime<chrono::Utc>,
) -> Result<u64, sqlx::Error> {
    let mut forgotten = 0;
    while !stop.is_cancelled() {
        let batch = store::forget_former_addresses(&mut *database.acquire().await?, before, BATCH).await?;
        forgotten += batch;
        if batch == 0 {
            break;
        }
    }
    Ok(forgotten)
}
