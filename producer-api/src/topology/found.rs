//! What a virtual host has, as the management API tells it.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A virtual host's exchanges, queues and bindings.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The exchanges.
    pub exchanges: Vec<FoundExchange>,
    /// The queues.
    pub queues: Vec<FoundQueue>,
    /// The bindings.
    pub bindings: Vec<FoundBinding>,
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
    /// The policy in force.
    pub(super) policy: Option<String>,
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
    /// The policy in force.
    pub(super) policy: Option<String>,
    /// The operator policy in force.
    pub(super) operator_policy: Option<String>,
    /// What both come to. An empty list where there is none: Erlang has one word for both.
    #[serde(default)]
    pub(super) effective_policy_definition: Value,
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
