//! One row of the trail.

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use shared::contracts::Outcome;
use shared::ids::EventId;
use uuid::Uuid;

/// A row of `audit.events`: the message's exact text, and copies of what is in it for SQL.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry<'a> {
    /// The key.
    pub event_id: EventId,
    /// The event type's name.
    pub event_type: String,
    /// When the fact arose.
    pub occurred_at: DateTime<Utc>,
    /// Its place in the outbox.
    pub sequence: Option<i64>,
    /// Whom it is about.
    pub user_id: Option<i64>,
    /// The username at that moment.
    pub username: Option<String>,
    /// The session it is about, or in which it was done.
    pub session_id: Option<Uuid>,
    /// The token it is about.
    pub jti: Option<String>,
    /// The client's address.
    pub ip: Option<IpNetwork>,
    /// The client's name for itself.
    pub user_agent: Option<String>,
    /// Whether it went well for whoever asked for it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Option<String>,
    /// The HTTP request behind it.
    pub request_id: Option<Uuid>,
    /// The trace in which it arose.
    pub trace_id: Option<String>,
    /// The message's exact text.
    pub body: &'a str,
}
