//! What is told about accounts, sessions and tokens, on `auth.events`.

use serde::{Deserialize, Serialize};

use super::catalogue::{Event, EventType};
use super::origin::Origin;
use crate::ids::{SessionId, UserId};

/// An account was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    /// The new account.
    pub user_id: UserId,
    /// Its username at that moment.
    pub username: String,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for UserRegistered {
    const TYPE: EventType = EventType::USER_REGISTERED;

    fn subject(&self) -> Option<String> {
        Some(format!("users/{}", self.user_id))
    }
}

/// A pair of tokens was given for a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginSucceeded {
    /// Who.
    pub user_id: UserId,
    /// The username at that moment.
    pub username: String,
    /// The session that began.
    pub session_id: SessionId,
    /// The refresh token's id.
    pub jti: String,
    /// How many logins of this account had failed since the last that succeeded.
    pub failures_before: u32,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for LoginSucceeded {
    const TYPE: EventType = EventType::LOGIN_SUCCEEDED;

    fn subject(&self) -> Option<String> {
        Some(format!("users/{}", self.user_id))
    }
}

/// Why a login failed. The client is told none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginFailure {
    /// No such user.
    UnknownUser,
    /// The user exists, the password is not his.
    WrongPassword,
    /// Name and password are right, the account is disabled.
    Disabled,
}

/// Somebody tried to log in; the password was looked at and it did not suffice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginFailed {
    /// The account tried, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The name as it was typed, cut to 150 characters.
    pub username: String,
    /// Why.
    pub reason: LoginFailure,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for LoginFailed {
    const TYPE: EventType = EventType::LOGIN_FAILED;

    fn subject(&self) -> Option<String> {
        self.user_id.map(|user_id| format!("users/{user_id}"))
    }
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// Its user logged out.
    Logout,
    /// Its user logged in again elsewhere.
    Replaced,
    /// Its last token ran out.
    Expired,
}

impl SessionEnd {
    /// As `user_sessions.end_reason` and the audit trail write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
        }
    }
}

/// A session is over; its tokens are refused from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnded {
    /// Whose.
    pub user_id: UserId,
    /// The username at that moment.
    pub username: String,
    /// Which.
    pub session_id: SessionId,
    /// Why.
    pub reason: SessionEnd,
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

/// A refresh token was answered with a new access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlacklistReason {
    /// Its session was logged out.
    Logout,
    /// The blacklist endpoint was called with it.
    Blacklisted,
    /// Its session was replaced by a newer login.
    Replaced,
}

impl BlacklistReason {
    /// As `blacklisted_tokens.reason` and the audit trail write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Blacklisted => "blacklisted",
            Self::Replaced => "replaced",
        }
    }
}

/// A refresh token is refused from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
