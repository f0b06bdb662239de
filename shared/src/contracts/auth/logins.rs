//! What is told about logins.

use serde::{Deserialize, Serialize};

use crate::contracts::catalogue::{Event, EventType};
use crate::contracts::origin::Origin;
use crate::ids::{SessionId, UserId};

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
