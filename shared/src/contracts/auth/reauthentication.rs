//! What is told about signed-in users who were asked for their password once more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::logins::Tally;
use crate::contracts::catalogue::{Event, EventType};
use crate::contracts::origin::Origin;
use crate::ids::{SessionId, UserId};

/// What a signed-in user has to give his password for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReauthenticationPurpose {
    /// To have another address.
    ChangeEmail,
    /// To choose another password.
    ChangePassword,
    /// To be rid of his account.
    DeleteAccount,
}

/// Why the password did not suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReauthenticationFailure {
    /// It is not the user's.
    WrongPassword,
    /// So many were wrong before, or so many are looked at now, that this one was not looked at.
    Limited,
}

/// Somebody with a good token was asked for the password and did not know it: the user mistyped, or the token is in other
/// hands. Those that were looked at are told one by one; the others are counted and told every few seconds, each user,
/// purpose and address by itself.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ReauthenticationFailed {
    /// Whose token it was; nobody's, if many were too many to be told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The username at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The session, of one that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// What for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<ReauthenticationPurpose>,
    /// Why.
    pub reason: ReauthenticationFailure,
    /// How often, if they were counted.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
    /// The request; of several, the first.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for ReauthenticationFailed {
    const TYPE: EventType = EventType::REAUTHENTICATION_FAILED;

    fn subject(&self) -> Option<String> {
        self.user_id.map(|user_id| format!("users/{user_id}"))
    }
}
