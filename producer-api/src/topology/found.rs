//! What a virtual host has, as the management API tells it.

use serde::Deserialize;
use serde_json::{Map, Value};

/// What is in a virtual host.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The exchanges.
    pub exchanges: Vec<FoundExchange>,
    /// The queues.
    pub queues: Vec<FoundQueue>,
    /// The bindings.
    pub bindings: Vec<FoundBinding>,
    /// The policies, which change queues and exchanges whatever they were declared with.
    pub policies: Vec<FoundPolicy>,
    /// The policies that only an administrator can set, and that go before the others.
    pub operator_policies: Vec<FoundPolicy>,
    /// The users and their rights; none if the login may not look at them.
    pub users: Option<FoundUsers>,
}

/// An exchange.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundExchange {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) durable: bool,
    #[serde(default)]
    pub(super) auto_delete: bool,
    #[serde(default)]
    pub(super) internal: bool,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

/// A queue.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundQueue {
    pub(super) name: String,
    pub(super) durable: bool,
    #[serde(default)]
    pub(super) auto_delete: bool,
    #[serde(default)]
    pub(super) exclusive: bool,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

/// A binding.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundBinding {
    /// The exchange; empty for the default one, to which every queue is bound.
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) destination_type: String,
    pub(super) routing_key: String,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

/// A policy.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundPolicy {
    pub(super) name: String,
    /// A regular expression that is looked for anywhere in a name.
    pub(super) pattern: String,
    /// `all`, `exchanges`, `queues`, or queues of one type.
    #[serde(rename = "apply-to", default)]
    pub(super) apply_to: String,
    pub(super) definition: Value,
}

/// The broker's users, and their rights in the virtual host.
#[derive(Debug, Clone, Default)]
pub struct FoundUsers {
    /// All users.
    pub users: Vec<FoundUser>,
    /// What they may.
    pub permissions: Vec<FoundPermissions>,
    /// By which routing keys alone they may publish, and bind.
    pub topic_permissions: Vec<FoundTopicPermissions>,
}

/// A user.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundUser {
    pub(super) name: String,
    pub(super) password_hash: Value,
    #[serde(default)]
    pub(super) hashing_algorithm: Value,
    tags: FoundTags,
}

/// RabbitMQ 3.8 tells them as one text, parted by commas.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum FoundTags {
    List(Vec<String>),
    Text(String),
}

impl FoundUser {
    /// The tags in one text, parted by commas, as they are put.
    pub(super) fn tags(&self) -> String {
        match &self.tags {
            FoundTags::List(tags) => tags.join(","),
            FoundTags::Text(text) => text.clone(),
        }
    }
}

/// What a user may in a virtual host.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundPermissions {
    pub(super) user: String,
    pub(super) configure: String,
    pub(super) write: String,
    pub(super) read: String,
}

/// By which routing keys a user may use an exchange.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundTopicPermissions {
    pub(super) user: String,
    pub(super) exchange: String,
    pub(super) write: String,
    pub(super) read: String,
}
