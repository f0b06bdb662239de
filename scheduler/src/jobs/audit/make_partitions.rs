//! `make-audit-partitions`: the months ahead have their partition before the first event of theirs comes.

use std::time::Duration;

use shared::schedules::Overlap;

use crate::jobs::{Definition, Job, JobContext, JobError, JobResult};

/// How many months ahead of the present one.
const MONTHS_AHEAD: i32 = 3;

/// The job.
pub fn job() -> Job {
    let definition = Definition {
        verbose_name: "Make the trail's partitions of the months to come",
        timetable: Some("10 0 * * *"),
        args: serde_json::json!({}),
        overlap: Overlap::Skip,
        timeout: Duration::from_mins(1),
        attempts_max: 5,
        ..Definition::new("make-audit-partitions")
    };
    Job::new(definition, make_partitions)
}

async fn make_partitions(context: JobContext) -> JobResult {
    let made = sqlx::query_scalar!(
        r#"SELECT audit.make_partitions($1, $2) AS "made!""#,
        context.clock.now(),
        MONTHS_AHEAD,
    )
    .fetch_one(&context.database)
    .await
    .map_err(JobError::passing("the partitions can't be made"))?;
    Ok(format!("made {made} partition(s); there is one for each month up to {MONTHS_AHEAD} ahead\n"))
}
