//! What is told about mailed links.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contracts::catalogue::{Event, EventType};
use crate::contracts::mail::MailPurpose;
use crate::contracts::origin::Origin;
use crate::ids::UserId;

/// Why nobody gets a link to choose a new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoPasswordReset {
    /// No account has the address.
    UnknownAddress,
    /// The account that has it is disabled.
    Disabled,
    /// So many links were asked for already.
    TooMany,
}

/// Somebody asked for a link to choose a new password. The client is told the same, whoever has the address.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PasswordResetRequested {
    /// The account, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Its username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Why no mail is sent; none if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<NoPasswordReset>,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for PasswordResetRequested {
    const TYPE: EventType = EventType::PASSWORD_RESET_REQUESTED;

    fn subject(&self) -> Option<String> {
        self.user_id.map(|user_id| format!("users/{user_id}"))
    }
}

/// Why a mailed link is no good. The client is told none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTokenFault {
    /// It was given for something else.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was used before.
    Used,
    /// Newer ones took its place.
    Superseded,
    /// Another one was used, or what it was for is gone.
    Withdrawn,
    /// The address belongs to another account by now.
    AddressTaken,
    /// Its account is disabled.
    Disabled,
}

impl MailTokenFault {
    /// As events and `mail_tokens.told_faults` write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Used => "used",
            Self::Superseded => "superseded",
            Self::Withdrawn => "withdrawn",
            Self::AddressTaken => "address_taken",
            Self::Disabled => "disabled",
        }
    }
}

/// A mailed link was followed that is no good; told once for each link and reason. One that was never given is told of as a forged token.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct MailTokenRefused {
    /// Whose it was, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// What it was for, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<MailPurpose>,
    /// Why.
    pub reason: MailTokenFault,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for MailTokenRefused {
    const TYPE: EventType = EventType::MAIL_TOKEN_REFUSED;

    fn subject(&self) -> Option<String> {
        self.user_id.map(|user_id| format!("users/{user_id}"))
    }
}
