//! Running what was not run: the instants of a range that have no run are made up for, at a pace.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::act_on_schedules::lock;
use super::{ControlError, begin, end, store, told_of_run};
use crate::contracts::schedules::{RequestedKind, RunRequested};
use crate::entropy::Entropy;
use crate::operator::Operation;
use crate::outbox::Outbox;
use crate::schedules::due::due_instants;
use crate::schedules::store::now;

/// Later than anybody waits for.
const FAR: TimeDelta = TimeDelta::days(36_500);
/// The most instants of one backfill.
const INSTANTS_MAX: usize = 10_000;

/// Which instants, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Not before.
    pub from: DateTime<Utc>,
    /// Not after.
    pub until: DateTime<Utc>,
    /// A run begins not before the one that is this much earlier in the row.
    pub pace: Duration,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfilled {
    /// Runs.
    pub runs: usize,
    /// Instants that had one already, whatever had become of it.
    pub there: usize,
}

/// Makes a run for each instant of the range that has none. The gaps in which they lie stay: they tell why nothing was run
/// then. Those that the schedule has still to answer are refused: it does so by itself.
pub async fn backfill(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    entropy: &Entropy,
    (key, range): (&str, Range),
) -> Result<Backfilled, ControlError> {
    let mut transaction = begin(database, operation).await?;
    let connection = &mut *transaction;
    let done = async {
        let row = lock(connection, key).await?;
        if range.from > range.until {
            return Err(ControlError::NotNow("the range ends before it begins".to_owned()));
        }
        if range.until > row.watermark {
            let words = format!(
                "{key} has answered its instants up to {} only; choose an end that is not later",
                row.watermark
            );
            return Err(ControlError::NotNow(words));
        }
        let timetable = row.timetable().map_err(|error| {
            ControlError::NotNow(format!("when {key} is due can't be read here: {error}"))
        })?;
        let before = range.from - TimeDelta::microseconds(1);
        let instants: Vec<_> = due_instants(&timetable, before, range.until, INSTANTS_MAX + 1).collect();
        if instants.len() > INSTANTS_MAX {
            let words = format!("these are more than {INSTANTS_MAX} instants; choose a shorter range");
            return Err(ControlError::NotNow(words));
        }
        let now = now(connection).await?;
        let pace = TimeDelta::from_std(range.pace).unwrap_or(TimeDelta::MAX);
        let new: Vec<_> = (0..)
            .zip(&instants)
            .map(|(place, scheduled_at)| store::NewRequested {
                id: entropy.uuid_v7(now),
                scheduled_at: *scheduled_at,
                run_after: pace
                    .checked_mul(place)
                    .and_then(|wait| now.checked_add_signed(wait))
                    .unwrap_or(now + FAR),
                // A ticker tells of each when its time has come.
                queued_at: None,
            })
            .collect();
        let made =
            store::request(connection, key, RequestedKind::Backfill, &operation.act.actor, &new).await?;
        let runs = made.len();
        let events = made
            .iter()
            .map(|run| RunRequested { run: told_of_run(run, operation), kind: RequestedKind::Backfill });
        outbox.append_all(connection, &operation.trace, events).await?;
        Ok::<_, ControlError>(Backfilled { runs, there: instants.len() - runs })
    }
    .await;
    let made = end(transaction, done).await?;
    outbox.wake();
    Ok(made)
}
