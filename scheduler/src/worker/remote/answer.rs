//! What a worker of another program is answered.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use shared::ids::RunId;

use super::ask::Kind;

/// A run to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Granted {
    /// Always.
    pub granted: bool,
    /// Whether this worker had it already, by the same tick: it missed the answer, or has it in hand.
    pub again: bool,
    /// The run, which may be another than the tick's.
    pub run_id: RunId,
    /// Its job.
    pub job_key: String,
    /// Its schedule; of a run that none made, a key of its own or its job.
    pub schedule_key: String,
    /// The due instant.
    pub scheduled_at: DateTime<Utc>,
    /// What the job is given.
    pub args: Value,
    /// Which attempt this is: what is said of the run later counts only under it.
    pub attempt: i32,
    /// The last attempt it may have.
    pub attempts_max: i32,
    /// How long it is the worker's unless it renews.
    pub lease_seconds: u64,
    /// How long the attempt may take.
    pub timeout_seconds: i32,
}

/// What a worker is answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A run to do.
    Granted(Box<Granted>),
    /// More time.
    Renewed {
        /// Always.
        granted: bool,
        /// How long.
        lease_seconds: u64,
    },
    /// No run, or no more time.
    NotGranted {
        /// Never.
        granted: bool,
        /// Why.
        reason: String,
    },
    /// The outcome is in the run's row.
    Recorded {
        /// Always.
        recorded: bool,
        /// Where the run stands by it: `succeeded`, `retrying` or `failed`.
        state: String,
        /// What there is to know beside: it was there already, or the run was to end.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// It is not, and will not be.
    NotRecorded {
        /// Never.
        recorded: bool,
        /// Why.
        reason: String,
    },
    /// The message asks for nothing that can be done.
    Unreadable {
        /// Never.
        granted: bool,
        /// Never.
        recorded: bool,
        /// Why.
        reason: String,
    },
}

/// What a finish that was there already is answered with.
pub(super) const ALREADY: &str = "already recorded";

impl Answer {
    pub(super) fn not_granted(reason: impl Into<String>) -> Self {
        Self::NotGranted { granted: false, reason: reason.into() }
    }

    pub(super) fn not_recorded(reason: impl Into<String>) -> Self {
        Self::NotRecorded { recorded: false, reason: reason.into() }
    }

    pub(super) fn recorded(state: &str, note: Option<String>) -> Self {
        Self::Recorded { recorded: true, state: state.to_owned(), note }
    }

    /// To what is no ask, or would have been one of `kind`.
    pub(super) fn unreadable(kind: Option<Kind>, reason: String) -> Self {
        match kind {
            Some(Kind::Claim | Kind::Renew) => Self::not_granted(reason),
            Some(Kind::Finish) => Self::not_recorded(reason),
            None => Self::Unreadable { granted: false, recorded: false, reason },
        }
    }

    /// As it is counted.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Granted(granted) if granted.again => "again",
            Self::Granted(_) | Self::Renewed { .. } => "granted",
            Self::Recorded { note: Some(note), .. } if note == ALREADY => "again",
            Self::Recorded { .. } => "recorded",
            Self::NotGranted { .. } | Self::NotRecorded { .. } | Self::Unreadable { .. } => "refused",
        }
    }
}
