//! What is told about operators who had schedules and runs do otherwise than by themselves.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalogue::{Event, EventType};
use super::operators::OperatorAct;
use crate::ids::RunId;

/// A schedule that somebody acted upon.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ScheduleAct {
    /// The schedule.
    pub schedule_key: String,
    /// Its job.
    pub job_key: String,
    /// Who did it and why.
    #[serde(flatten)]
    pub act: OperatorAct,
}

/// A run that somebody acted upon.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunAct {
    /// The run.
    pub run_id: RunId,
    /// Its schedule; of a run that none made, a key of its own or its job.
    pub schedule_key: String,
    /// Its job.
    pub job_key: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// Who did it and why.
    #[serde(flatten)]
    pub act: OperatorAct,
}

/// There is a schedule that no build declares.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ScheduleAdded {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: ScheduleAct,
    /// The queue of its runs.
    pub queue: String,
    /// When it is due.
    pub timetable: String,
    /// By the clocks of which time zone.
    pub time_zone: String,
}

/// A schedule is over: what it owed is answered, and it is due no more.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ScheduleRemoved(pub ScheduleAct);

/// A schedule is paused: its instants are not run from now on.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SchedulePaused(pub ScheduleAct);

/// A schedule goes on.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ScheduleResumed {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: ScheduleAct,
    /// Since when it had been paused.
    pub paused_at: DateTime<Utc>,
    /// By whom.
    pub paused_by: String,
}

/// A schedule is due at other times.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ScheduleChanged {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: ScheduleAct,
    /// When it is due from now on.
    pub timetable: String,
    /// By the clocks of which time zone.
    pub time_zone: String,
    /// When it was due before.
    pub former_timetable: String,
    /// By the clocks of which time zone.
    pub former_time_zone: String,
    /// Whether that is an operator's word; else it is the registry's again.
    pub is_override: bool,
}

/// Why somebody wants a run that no schedule would make now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestedKind {
    /// Once, now.
    Manual,
    /// For an instant that has passed and was not run.
    Backfill,
}

impl RequestedKind {
    /// As `job_runs.kind` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Backfill => "backfill",
        }
    }
}

/// A run was made because somebody wanted it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunRequested {
    /// The run.
    #[serde(flatten)]
    pub run: RunAct,
    /// Why.
    pub kind: RequestedKind,
}

/// A run that had failed is tried again.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunReplayed {
    /// The run.
    #[serde(flatten)]
    pub run: RunAct,
    /// How many attempts had failed.
    pub attempts: i32,
}

/// A run is to end without success.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunCanceled {
    /// The run.
    #[serde(flatten)]
    pub run: RunAct,
    /// What it was doing: `queued`, `retrying` or `running`. A running one ends within seconds.
    pub state: String,
}

impl Event for ScheduleAdded {
    const TYPE: EventType = EventType::SCHEDULE_ADDED;

    fn subject(&self) -> Option<String> {
        Some(format!("schedules/{}", self.schedule.schedule_key))
    }
}

impl Event for ScheduleRemoved {
    const TYPE: EventType = EventType::SCHEDULE_REMOVED;

    fn subject(&self) -> Option<String> {
        Some(format!("schedules/{}", self.0.schedule_key))
    }
}

impl Event for SchedulePaused {
    const TYPE: EventType = EventType::SCHEDULE_PAUSED;

    fn subject(&self) -> Option<String> {
        Some(format!("schedules/{}", self.0.schedule_key))
    }
}

impl Event for ScheduleResumed {
    const TYPE: EventType = EventType::SCHEDULE_RESUMED;

    fn subject(&self) -> Option<String> {
        Some(format!("schedules/{}", self.schedule.schedule_key))
    }
}

impl Event for ScheduleChanged {
    const TYPE: EventType = EventType::SCHEDULE_CHANGED;

    fn subject(&self) -> Option<String> {
        Some(format!("schedules/{}", self.schedule.schedule_key))
    }
}

impl Event for RunRequested {
    const TYPE: EventType = EventType::RUN_REQUESTED;

    fn subject(&self) -> Option<String> {
        Some(format!("runs/{}", self.run.run_id))
    }
}

impl Event for RunReplayed {
    const TYPE: EventType = EventType::RUN_REPLAYED;

    fn subject(&self) -> Option<String> {
        Some(format!("runs/{}", self.run.run_id))
    }
}

impl Event for RunCanceled {
    const TYPE: EventType = EventType::RUN_CANCELED;

    fn subject(&self) -> Option<String> {
        Some(format!("runs/{}", self.run.run_id))
    }
}
