//! Ticks on `job.ticks`, and what became of their runs on `job.events`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalogue::{Event, EventType};
use crate::ids::RunId;

/// The queue of every job that has none of its own.
pub const DEFAULT_QUEUE: &str = "default";
/// The queue of mails: they wait for a server that is not ours, and nothing else should wait with them.
pub const MAIL_QUEUE: &str = "mail";

/// A run is due. Whoever receives it claims the run in the database first: the message may come twice.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct TickDue {
    /// The run to claim.
    pub run_id: RunId,
    /// The job.
    pub job_key: String,
    /// The queue of the job, which is the first word of the routing key.
    pub queue: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// The job's arguments.
    pub args: serde_json::Value,
}

impl Event for TickDue {
    const TYPE: EventType = EventType::TICK_DUE;

    fn subject(&self) -> Option<String> {
        Some(format!("runs/{}", self.run_id))
    }

    /// `queue.job-key`, so that another program can bind just its own jobs.
    fn routing_key(&self) -> String {
        format!("{}.{}", self.queue, self.job_key)
    }
}

/// A run did what it should.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunSucceeded {
    /// The run.
    pub run_id: RunId,
    /// The job.
    pub job_key: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// The attempt that succeeded, from 1.
    pub attempt: i32,
    /// How long that attempt took.
    pub duration_ms: u64,
}

impl Event for RunSucceeded {
    const TYPE: EventType = EventType::RUN_SUCCEEDED;

    fn subject(&self) -> Option<String> {
        Some(format!("runs/{}", self.run_id))
    }
}

/// A run has used up its attempts.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunFailed {
    /// The run.
    pub run_id: RunId,
    /// The job.
    pub job_key: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// The last attempt, from 1.
    pub attempt: i32,
    /// How long that attempt took, if it is known: a worker that died can't tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What went wrong.
    pub error: String,
}

impl Event for RunFailed {
    const TYPE: EventType = EventType::RUN_FAILED;

    fn subject(&self) -> Option<String> {
        Some(format!("runs/{}", self.run_id))
    }
}
