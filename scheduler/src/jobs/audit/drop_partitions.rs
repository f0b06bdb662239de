//! `drop-audit-partitions`: months of the trail that have outlived their time go, each in one transaction with the event
//! that tells of it.
//!
//! How old that is, the database says (`audit.dropped_after()`), by its own clock. Dropping needs the whole trail for a
//! moment, and inserts wait behind whoever waits for that: it waits half a second at the most and tries again.

use std::time::Duration;

use shared::contracts::trail::TrailPurged;
use shared::outbox::AppendError;
use shared::retention::RETENTION;
use shared::schedules::Overlap;
use tokio::time::sleep;

use super::store::{self, Dropped};
use crate::jobs::{Definition, Job, JobContext, JobError, JobResult};

const KEY: &str = "drop-audit-partitions";
/// How often a run tries to have the trail for itself. Long reads, as of `pg_dump`, end some time; another run comes.
const TRIES: u32 = 60;
/// How long inserts have the trail between two tries.
const PAUSE: Duration = Duration::from_secs(2);
/// SQLSTATEs of a lock that others did not give up in time, and of two who waited for each other.
const BUSY: [&str; 2] = ["55P03", "40P01"];

/// The job.
pub fn job() -> Job {
    let definition = Definition {
        verbose_name: "Drop the trail's partitions that are too old",
        timetable: Some("40 3 * * *"),
        args: serde_json::json!({}),
        overlap: Overlap::Skip,
        timeout: Duration::from_mins(10),
        attempts_max: 5,
        ..Definition::new(KEY)
    };
    Job::new(definition, drop_partitions)
}

/// Why a partition could not be dropped.
#[derive(Debug, thiserror::Error)]
enum DropError {
    #[error("the database refuses")]
    Database(#[from] sqlx::Error),
    #[error("the drop can't be told")]
    Append(#[source] AppendError),
}

async fn drop_partitions(context: JobContext) -> JobResult {
    let (mut partitions, mut rows, mut tries) = (0, 0, 0);
    while !context.stop.is_cancelled() {
        match drop_one(&context).await {
            Ok(Some(dropped)) => {
                tracing::info!(
                    partition = dropped.partition,
                    rows = dropped.rows,
                    "dropped old rows of the trail"
                );
                partitions += 1;
                rows += dropped.rows;
            }
            Ok(None) => return Ok(format!("purged {partitions} partition(s) of {rows} row(s)\n")),
            Err(error) if error.is_busy() && tries < TRIES => {
                tries += 1;
                tokio::select! {
                    () = context.stop.cancelled() => {}
                    () = sleep(PAUSE) => {}
                }
            }
            Err(error) => return Err(JobError::passing("the trail can't be had for a drop")(error)),
        }
    }
    Ok(format!("purged {partitions} partition(s) of {rows} row(s); stopped early, the next run goes on\n"))
}

async fn drop_one(context: &JobContext) -> Result<Option<Dropped>, DropError> {
    let mut transaction = context.database.begin().await?;
    // It counts a whole month, which no other statement of ours does. So it may take as long as the job.
    sqlx::query("SET LOCAL statement_timeout = '10min'").execute(&mut *transaction).await?;
    let Some(dropped) = store::drop_expired_partition(&mut transaction).await? else {
        return Ok(None);
    };
    let told = TrailPurged {
        actor: KEY.to_owned(),
        reason: format!("older than {} days", RETENTION.num_days()),
        partition: dropped.partition.clone(),
        rows: dropped.rows,
        first_at: dropped.first_at,
        last_at: dropped.last_at,
    };
    context.outbox.append(&mut transaction, &context.trace, told).await.map_err(DropError::Append)?;
    transaction.commit().await?;
    context.outbox.wake();
    Ok(Some(dropped))
}

impl DropError {
    /// Whether somebody else had the trail.
    fn is_busy(&self) -> bool {
        let Self::Database(error) = self else { return false };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| BUSY.contains(&code.as_ref()))
    }
}
