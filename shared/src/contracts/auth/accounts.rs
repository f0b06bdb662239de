//! What is told about accounts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contracts::catalogue::{Event, EventType};
use crate::contracts::origin::Origin;
use crate::ids::UserId;

/// An account was committed.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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

/// What is told of an account that was changed, whatever the change.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AccountChange {
    /// The account.
    pub user_id: UserId,
    /// Its username at that moment.
    pub username: String,
    /// Who did it; nobody when an operator's command did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<UserId>,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

macro_rules! account_changes {
    ($($(#[$docs:meta])* $name:ident = $event_type:ident;)+) => {
        $(
            $(#[$docs])*
            #[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
            pub struct $name(pub AccountChange);

            impl Event for $name {
                const TYPE: EventType = EventType::$event_type;

                fn subject(&self) -> Option<String> {
                    Some(format!("users/{}", self.0.user_id))
                }
            }
        )+
    };
}

account_changes! {
    /// An account was switched off: it can't log in, and its sessions are over.
    AccountDisabled = ACCOUNT_DISABLED;
    /// An account was switched on again.
    AccountEnabled = ACCOUNT_ENABLED;
    /// An account is gone, and its tasks with it.
    AccountDeleted = ACCOUNT_DELETED;
    /// Wrong passwords of an account are forgotten before their time: it may try at once.
    AccountUnlocked = ACCOUNT_UNLOCKED;
    /// An account has another password.
    PasswordChanged = PASSWORD_CHANGED;
    /// A user chose another password by a mailed link.
    PasswordResetCompleted = PASSWORD_RESET_COMPLETED;
    /// A user proved by a mailed link that the address of his account is his.
    EmailVerified = EMAIL_VERIFIED;
    /// A user proved by a mailed link that another address is his: the account has that one now.
    EmailChanged = EMAIL_CHANGED;
}

/// A user changed what he says of himself.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct UserUpdated {
    /// What was changed; `username` is the new one.
    #[serde(flatten)]
    pub change: AccountChange,
    /// The names of the fields that have another value now.
    pub fields: Vec<String>,
}

impl Event for UserUpdated {
    const TYPE: EventType = EventType::USER_UPDATED;

    fn subject(&self) -> Option<String> {
        Some(format!("users/{}", self.change.user_id))
    }
}

/// An account has an address that another one had proved to be its own before. It can't be verified; its owner gets a
/// notice.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EmailConflict {
    /// The account that has the address now, unproved.
    pub user_id: UserId,
    /// Its username.
    pub username: String,
    /// The account whose address it is.
    pub owner_id: UserId,
}

impl Event for EmailConflict {
    const TYPE: EventType = EventType::EMAIL_CONFLICT;

    fn subject(&self) -> Option<String> {
        Some(format!("users/{}", self.user_id))
    }
}

/// The same password is kept under another hash: it was imported, or our parameters rose.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PasswordRehashed {
    /// The account.
    pub user_id: UserId,
    /// Its username at that moment.
    pub username: String,
    /// The algorithm before, such as `pbkdf2_sha256`.
    pub from_algorithm: String,
    /// The algorithm now.
    pub to_algorithm: String,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Event for PasswordRehashed {
    const TYPE: EventType = EventType::PASSWORD_REHASHED;

    fn subject(&self) -> Option<String> {
        Some(format!("users/{}", self.user_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changes_of_an_account_are_flat_on_the_wire() {
        let origin = Origin { user_agent: Some("curl".to_owned()), ..Origin::default() };
        let username = "ada".to_owned();
        let change = AccountChange { user_id: UserId(7), username, actor_id: Some(UserId(1)), origin };
        let flat = r#"{"user_id":7,"username":"ada","actor_id":1,"user_agent":"curl"}"#;
        assert_eq!(serde_json::to_string(&AccountDisabled(change.clone())).unwrap(), flat);
        assert_eq!(serde_json::to_string(&AccountEnabled(change.clone())).unwrap(), flat);
        let by_command = AccountChange { actor_id: None, ..change };
        let flat = r#"{"user_id":7,"username":"ada","user_agent":"curl"}"#;
        assert_eq!(serde_json::to_string(&PasswordChanged(by_command)).unwrap(), flat);
    }
}
