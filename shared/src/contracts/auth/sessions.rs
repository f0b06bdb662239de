//! What is told about sessions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contracts::catalogue::{Event, EventType};
use crate::contracts::origin::Origin;
use crate::ids::{SessionId, UserId};

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// Its user logged out.
    Logout,
    /// Its user logged in again elsewhere.
    Replaced,
    /// Its last token ran out.
    Expired,
    /// A refresh token that had been exchanged long before was used again: somebody holds a copy.
    Reuse,
    /// Its user has another password.
    PasswordChanged,
    /// Its user chose another password by a mailed link.
    PasswordReset,
    /// Its user was disabled.
    AccountDisabled,
    /// Its user is gone.
    AccountDeleted,
    /// Its user ended it from another place.
    UserRevoked,
    /// A staff member ended it.
    StaffRevoked,
}

impl SessionEnd {
    /// As `user_sessions.end_reason` and the audit trail write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Reuse => "reuse",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::AccountDeleted => "account_deleted",
            Self::AccountDisabled => "account_disabled",
            Self::UserRevoked => "user_revoked",
            Self::StaffRevoked => "staff_revoked",
        }
    }
}

/// A session is over; its tokens are refused from now on.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SessionEnded {
    /// Whose.
    pub user_id: UserId,
    /// The username at that moment.
    pub username: String,
    /// Which.
    pub session_id: SessionId,
    /// Why.
    pub reason: SessionEnd,
    /// The staff member who ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<UserId>,
    /// The request that ended it; empty when time did.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for SessionEnded {
    const TYPE: EventType = EventType::SESSION_ENDED;

    fn subject(&self) -> Option<String> {
        Some(format!("sessions/{}", self.session_id))
    }
}
