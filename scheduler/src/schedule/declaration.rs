//! What a build declares of a schedule, as the columns have it. Pure.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::schedules::store::ScheduleRow;

use crate::jobs::Definition;

/// What a definition says, as the columns have it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declaration {
    pub(super) job_key: String,
    pub(super) verbose_name: String,
    pub(super) timetable: String,
    pub(super) time_zone: String,
    pub(super) starts_at: Option<DateTime<Utc>>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    pub(super) jitter_seconds: i32,
    pub(super) queue: String,
    pub(super) priority: i16,
    pub(super) args: Value,
    pub(super) catch_up_max: i32,
    pub(super) catch_up_window_seconds: i32,
    pub(super) overlap: String,
    pub(super) timeout_seconds: i32,
    pub(super) attempts_max: i32,
    pub(super) backoff_seconds: i32,
    pub(super) backoff_max_seconds: i32,
}

impl Declaration {
    pub(super) fn of(definition: &Definition, line: &str) -> Self {
        let seconds = |duration: std::time::Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let args = if definition.args.is_null() { json!({}) } else { definition.args.clone() };
        Self {
            job_key: definition.key.to_owned(),
            verbose_name: definition.verbose_name.to_owned(),
            timetable: line.to_owned(),
            time_zone: definition.time_zone.to_owned(),
            starts_at: definition.starts_at,
            ends_at: definition.ends_at,
            jitter_seconds: seconds(definition.jitter),
            queue: definition.queue.to_owned(),
            priority: definition.priority,
            args,
            catch_up_max: definition.catch_up_max,
            catch_up_window_seconds: seconds(definition.catch_up_window),
            overlap: definition.overlap.as_str().to_owned(),
            timeout_seconds: seconds(definition.timeout),
            attempts_max: definition.attempts_max,
            backoff_seconds: seconds(definition.backoff),
            backoff_max_seconds: seconds(definition.backoff_max),
        }
    }

    /// What the table has of the registry, whatever an operator has put over it.
    pub(super) fn in_force(row: &ScheduleRow) -> Self {
        let row = row.clone();
        Self {
            job_key: row.job_key,
            verbose_name: row.verbose_name,
            timetable: row.registry_timetable.unwrap_or(row.timetable),
            time_zone: row.registry_time_zone.unwrap_or(row.time_zone),
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            jitter_seconds: row.jitter_seconds,
            queue: row.queue,
            priority: row.priority,
            args: row.args,
            catch_up_max: row.catch_up_max,
            catch_up_window_seconds: row.catch_up_window_seconds,
            overlap: row.overlap,
            timeout_seconds: row.timeout_seconds,
            attempts_max: row.attempts_max,
            backoff_seconds: row.backoff_seconds,
            backoff_max_seconds: row.backoff_max_seconds,
        }
    }
}
