//! What is told about logins.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contracts::catalogue::{Event, EventType};
use crate::contracts::origin::Origin;
use crate::ids::{SessionId, UserId};

/// A pair of tokens was given for a password.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginFailure {
    /// No such user.
    UnknownUser,
    /// The user exists, the password is not his.
    WrongPassword,
    /// Name and password are right, the account is disabled.
    Disabled,
    /// Name and password are right, the address is not verified and must be.
    Unverified,
    /// So many secrets were wrong before that none was looked at.
    Limited,
}

/// How often something happened between two instants.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// The first time.
    pub first_at: DateTime<Utc>,
    /// The last time.
    pub last_at: DateTime<Utc>,
}

/// What a limit is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// An account, or the name of none.
    Account,
    /// A client's address.
    Address,
}

/// So many secrets were wrong that none is looked at for a while. Nobody is shut out for ever, and sessions go on.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AccountLocked {
    /// The account tried last, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The name as it was typed, cut to 150 characters.
    pub username: String,
    /// Whether the account waits, or the address.
    pub scope: LimitScope,
    /// How many secrets were wrong.
    pub failures: u32,
    /// Until when none is looked at.
    pub until: DateTime<Utc>,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for AccountLocked {
    const TYPE: EventType = EventType::ACCOUNT_LOCKED;

    fn subject(&self) -> Option<String> {
        self.user_id.map(|user_id| format!("users/{user_id}"))
    }
}

/// Somebody tried to log in and it did not suffice. Tries whose password was looked at are told one by one; those that
/// a limit refused are counted and told every few seconds, each name and address by itself.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LoginFailed {
    /// The account tried, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The name as it was typed, cut to 150 characters.
    pub username: String,
    /// Why.
    pub reason: LoginFailure,
    /// How often, if they were counted.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
    /// The request; of several, the first.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for LoginFailed {
    const TYPE: EventType = EventType::LOGIN_FAILED;

    fn subject(&self) -> Option<String> {
        self.user_id.map(|user_id| format!("users/{user_id}"))
    }
}
