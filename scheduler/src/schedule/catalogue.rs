//! Brings `job_schedules` in step with the registry, once at start: new jobs are added, changed ones updated, vanished
//! ones retired. History stays.

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::contracts::jobs::DEFAULT_QUEUE;
use sqlx::{PgConnection, PgPool};

use super::cron_time::{Cron, CronError};
use super::due::{EXAMINED_MAX, Gap, GapReason, due_instants};
use super::store::{self, ScheduleRow};
use crate::jobs::Definition;
use crate::worker::Registry;

/// Keeps two programs that sync apart; "jobs" in ASCII.
const LOCK: i64 = 0x6a_6f_62_73;

/// Why the schedules could not be synced.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// A job of this build has a schedule that can't be read, a fault of ours.
    #[error("the schedule of {0} is wrong")]
    Cron(&'static str, #[source] CronError),
    /// The database refuses.
    #[error("the schedules can't be synced")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for SyncError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// How many schedules were treated how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    /// Not there before, or retired.
    pub added: usize,
    /// Something about them is new.
    pub changed: usize,
    /// Not in the registry any more.
    pub retired: usize,
    /// As they were.
    pub unchanged: usize,
}

/// Syncs in one transaction on the database's clock.
pub async fn sync(database: &PgPool, registry: &Registry) -> Result<Synced, SyncError> {
    let mut transaction = database.begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).fetch_one(&mut *transaction).await?;
    let now = store::now(&mut transaction).await?;
    let synced = sync_at(&mut transaction, registry, now).await?;
    transaction.commit().await?;
    let Synced { added, changed, retired, unchanged } = synced;
    tracing::info!(added, changed, retired, unchanged, "the schedules are in step with this build");
    Ok(synced)
}

/// Syncs in the caller's transaction, at `now`.
pub async fn sync_at(
    connection: &mut PgConnection,
    registry: &Registry,
    now: DateTime<Utc>,
) -> Result<Synced, SyncError> {
    let rows = store::lock_all(connection).await?;
    let mut synced = Synced::default();
    for (definition, line) in registry.scheduled() {
        let cron: Cron = line.parse().map_err(|error| SyncError::Cron(definition.key, error))?;
        let row = rows.iter().find(|row| row.job_key == definition.key);
        match row {
            Some(row) if row.retired_at.is_none() && is_as_defined(row, definition, line) => {
                synced.unchanged += 1;
            }
            Some(row) if row.retired_at.is_none() => {
                change(connection, row, (definition, line), &cron, now).await?;
                synced.changed += 1;
            }
            _ => {
                put(connection, (definition, line), now, cron.next_after(now), now).await?;
                synced.added += 1;
            }
        }
    }
    let is_scheduled = |key: &str| registry.scheduled().any(|(definition, _)| definition.key == key);
    for row in rows.iter().filter(|row| row.retired_at.is_none() && !is_scheduled(&row.job_key)) {
        close(connection, row, now).await?;
        retire(connection, &row.job_key, now).await?;
        synced.retired += 1;
    }
    Ok(synced)
}

/// Whether a row says what its definition says.
fn is_as_defined(row: &ScheduleRow, definition: &Definition, line: &str) -> bool {
    let Columns { window_seconds, timeout_seconds } = Columns::of(definition);
    row.cron == line
        && row.queue == DEFAULT_QUEUE
        && row.args == definition.args
        && row.catch_up_max == definition.catch_up_max
        && row.catch_up_window_seconds == window_seconds
        && row.timeout_seconds == timeout_seconds
        && row.attempts_max == definition.attempts_max
}

struct Columns {
    window_seconds: i32,
    timeout_seconds: i32,
}

impl Columns {
    fn of(definition: &Definition) -> Self {
        let seconds = |duration: std::time::Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        Self {
            window_seconds: seconds(definition.catch_up_window),
            timeout_seconds: seconds(definition.timeout),
        }
    }
}

async fn change(
    connection: &mut PgConnection,
    row: &ScheduleRow,
    (definition, line): (&Definition, &str),
    cron: &Cron,
    now: DateTime<Utc>,
) -> Result<(), SyncError> {
    // Another cron line begins now; the instants that the old one still owed get their answer first.
    let watermark = if row.cron == line {
        row.watermark
    } else {
        close(connection, row, now).await?;
        now
    };
    put(connection, (definition, line), watermark, cron.next_after(watermark), now).await?;
    Ok(())
}

/// Records the instants that a schedule still owes at its end as missed.
async fn close(
    connection: &mut PgConnection,
    row: &ScheduleRow,
    now: DateTime<Utc>,
) -> Result<(), SyncError> {
    // What an older build wrote and this one can't read owes nothing that anybody could name.
    let Ok(cron) = row.cron.parse::<Cron>() else { return Ok(()) };
    let mut after = row.watermark;
    loop {
        let owed: Vec<_> = due_instants(&cron, after, now, EXAMINED_MAX).collect();
        let (Some(first_at), Some(last_at)) = (owed.first().copied(), owed.last().copied()) else {
            return Ok(());
        };
        let instants = i64::try_from(owed.len()).unwrap_or(i64::MAX);
        let gap = Gap { first_at, last_at, instants, reason: GapReason::Missed };
        store::record_gap(connection, &row.job_key, after, &gap, now).await?;
        after = last_at;
    }
}

async fn put(
    connection: &mut PgConnection,
    (definition, line): (&Definition, &str),
    watermark: DateTime<Utc>,
    next_due_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let Columns { window_seconds, timeout_seconds } = Columns::of(definition);
    let args: &Value = &definition.args;
    sqlx::query!(
        r#"
        INSERT INTO job_schedules
            (job_key, cron, queue, args, catch_up_max, catch_up_window_seconds, timeout_seconds, attempts_max,
             watermark, next_due_at, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
        ON CONFLICT (job_key) DO UPDATE
        SET cron = excluded.cron,
            queue = excluded.queue,
            args = excluded.args,
            catch_up_max = excluded.catch_up_max,
            catch_up_window_seconds = excluded.catch_up_window_seconds,
            timeout_seconds = excluded.timeout_seconds,
            attempts_max = excluded.attempts_max,
            watermark = excluded.watermark,
            next_due_at = excluded.next_due_at,
            retired_at = NULL,
            updated_at = excluded.updated_at
        "#,
        definition.key,
        line,
        DEFAULT_QUEUE,
        args,
        definition.catch_up_max,
        window_seconds,
        timeout_seconds,
        definition.attempts_max,
        watermark,
        next_due_at,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

async fn retire(connection: &mut PgConnection, job_key: &str, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE job_schedules SET retired_at = $2, updated_at = $2 WHERE job_key = $1",
        job_key,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use shared::config::Reader;
    use shared::entropy::Entropy;

    use super::*;
    use crate::jobs::{self, MailConfig, Mailer};

    #[test]
    fn every_job_of_this_build_has_a_key_of_its_own_and_a_schedule_that_comes_due() {
        let mailer = Mailer::new(&MailConfig::read(&mut Reader::from_values([]))).unwrap();
        let all = jobs::all(mailer, Entropy::seeded(1));
        let keys: HashSet<_> = all.iter().map(|job| job.definition.key).collect();
        assert_eq!(keys.len(), all.len());
        for (definition, line) in Registry::new(all).scheduled() {
            let cron: Cron = line.parse().unwrap();
            assert!(cron.next_after(DateTime::UNIX_EPOCH).is_some(), "{}", definition.key);
            assert!((0..=100).contains(&definition.catch_up_max));
        }
    }
}
