//! What is told about tokens and the keys that sign them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contracts::catalogue::{Event, EventType};
use crate::contracts::origin::Origin;
use crate::ids::{SessionId, UserId};

/// A refresh token was answered with a new access token.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TokenRefreshed {
    /// Whose; a token without a user id opens nothing, but is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The username at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Its session; none for a token minted elsewhere with the shared key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The refresh token's id.
    pub jti: String,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for TokenRefreshed {
    const TYPE: EventType = EventType::TOKEN_REFRESHED;

    fn subject(&self) -> Option<String> {
        Some(format!("tokens/{}", self.jti))
    }
}

/// Why a token is on the blacklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlacklistReason {
    /// Its session was logged out, or ended by its user or by staff.
    Logout,
    /// The blacklist endpoint was called with it.
    Blacklisted,
    /// Its session was replaced by a newer login.
    Replaced,
    /// It was exchanged for a newer one.
    Rotated,
    /// Its session ended because an older token of it was used again.
    Reuse,
    /// Its user has another password.
    PasswordChanged,
}

impl BlacklistReason {
    /// As `blacklisted_tokens.reason` and the audit trail write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Blacklisted => "blacklisted",
            Self::Replaced => "replaced",
            Self::Rotated => "rotated",
            Self::Reuse => "reuse",
            Self::PasswordChanged => "password_changed",
        }
    }
}

/// A refresh token is refused from now on.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TokenBlacklisted {
    /// Whose, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The username at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Its session, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Its id.
    pub jti: String,
    /// Why.
    pub reason: BlacklistReason,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for TokenBlacklisted {
    const TYPE: EventType = EventType::TOKEN_BLACKLISTED;

    fn subject(&self) -> Option<String> {
        Some(format!("tokens/{}", self.jti))
    }
}

/// A refresh token was used again after it had been exchanged, and not by a client that lost the answer: a copy of it is
/// in other hands.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TokenReuseDetected {
    /// Whose, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The username at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Its session, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Its id.
    pub jti: String,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for TokenReuseDetected {
    const TYPE: EventType = EventType::TOKEN_REUSE_DETECTED;

    fn subject(&self) -> Option<String> {
        Some(format!("tokens/{}", self.jti))
    }
}

/// A signing key was added; it signs a minute later.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct KeysRotated {
    /// The new key's id.
    pub kid: String,
    /// The ids of the keys that were deleted, since no token of theirs is good any more.
    pub retired: Vec<String>,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for KeysRotated {
    const TYPE: EventType = EventType::KEYS_ROTATED;

    fn subject(&self) -> Option<String> {
        Some(format!("keys/{}", self.kid))
    }
}
