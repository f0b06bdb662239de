//! What is told about accounts.

use serde::{Deserialize, Serialize};

use crate::contracts::catalogue::{Event, EventType};
use crate::contracts::origin::Origin;
use crate::ids::UserId;

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

/// What is told of an account that was changed, whatever the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// An account was switched off: it can't log in, and its sessions are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDisabled(pub AccountChange);

impl Event for AccountDisabled {
    const TYPE: EventType = EventType::ACCOUNT_DISABLED;

    fn subject(&self) -> Option<String> {
        Some(format!("users/{}", self.0.user_id))
    }
}

/// An account was switched on again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountEnabled(pub AccountChange);

impl Event for AccountEnabled {
    const TYPE: EventType = EventType::ACCOUNT_ENABLED;

    fn subject(&self) -> Option<String> {
        Some(format!("users/{}", self.0.user_id))
    }
}

/// An account has another password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordChanged(pub AccountChange);

impl Event for PasswordChanged {
    const TYPE: EventType = EventType::PASSWORD_CHANGED;

    fn subject(&self) -> Option<String> {
        Some(format!("users/{}", self.0.user_id))
    }
}

/// The same password is kept under another hash: it was imported, or our parameters rose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
