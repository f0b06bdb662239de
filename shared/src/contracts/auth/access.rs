//! What is told about doors that stayed shut.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contracts::catalogue::{Event, EventType};
use crate::contracts::origin::Origin;
use crate::ids::{SessionId, UserId};

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessDenial {
    /// The token was none of ours, or changed.
    ForgedToken,
    /// The object is another user's.
    NotOwner,
    /// The route is for staff.
    NotStaff,
    /// It is a superuser's account, and only another superuser may touch it.
    NotSuperuser,
}

/// Somebody asked for what is not his. Forged tokens and tries at others' objects are counted and told every few seconds:
/// those by address, these by user, session, address and object, and beyond a hundred of one user together, with the user
/// alone.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AccessDenied {
    /// Who, if he is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The username at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// His session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Why.
    pub reason: AccessDenial,
    /// What he asked for, such as `sessions/…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// How many times between the two instants.
    pub count: u64,
    /// The first of them.
    pub first_at: DateTime<Utc>,
    /// The last of them.
    pub last_at: DateTime<Utc>,
    /// The request; of several, the first.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for AccessDenied {
    const TYPE: EventType = EventType::ACCESS_DENIED;

    fn subject(&self) -> Option<String> {
        self.object.clone().or_else(|| self.user_id.map(|user_id| format!("users/{user_id}")))
    }
}
