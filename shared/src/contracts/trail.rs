//! What is told about the audit trail itself, on `auth.events`: who read it, and what of it is gone.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalogue::{Event, EventType, Outcome};
use super::origin::Origin;
use crate::ids::{EventId, RequestId, SessionId, UserId};

/// Which events somebody asked for; whatever is not set leaves none out.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TrailFilters {
    /// Of this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// About this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// That carried this username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Of this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// From this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// That went well, or did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Of this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// Of this trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Not before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// A member of staff read a page of the trail.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TrailRead {
    /// Who.
    pub actor_id: UserId,
    /// His username.
    pub actor: String,
    /// His session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Which events he asked for.
    pub filters: TrailFilters,
    /// Those before this one, if it was not the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<EventId>,
    /// How many he was shown.
    pub rows: u64,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for TrailRead {
    const TYPE: EventType = EventType::TRAIL_READ;

    fn subject(&self) -> Option<String> {
        Some("trail".to_owned())
    }
}

/// As what lines events are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// JSON, one object a line.
    Jsonl,
    /// Comma-separated values.
    Csv,
}

/// Somebody began to export events of the trail by a command. It is told before the first line leaves, so also of an export
/// that broke off.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TrailExported {
    /// Who, as he calls himself.
    pub actor: String,
    /// Why, in his own words.
    pub reason: String,
    /// Which events.
    pub filters: TrailFilters,
    /// Those behind this one, if an export goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<EventId>,
    /// As what.
    pub format: ExportFormat,
    /// Where to: a file's name, or `-`.
    pub output: String,
    /// The command: its name as the user agent.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for TrailExported {
    const TYPE: EventType = EventType::TRAIL_EXPORTED;

    fn subject(&self) -> Option<String> {
        Some("trail".to_owned())
    }
}

/// Rows of the trail have outlived their time and are gone for good.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TrailPurged {
    /// Who did it: the job.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The partition that was dropped; `events_default` stays and has lost rows of no month.
    pub partition: String,
    /// How many rows are gone.
    pub rows: i64,
    /// The instant of the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<DateTime<Utc>>,
    /// The instant of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<DateTime<Utc>>,
}

impl Event for TrailPurged {
    const TYPE: EventType = EventType::TRAIL_PURGED;

    fn subject(&self) -> Option<String> {
        Some(format!("trail/{}", self.partition))
    }
}
