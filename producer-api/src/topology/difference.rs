//! One difference between the topology in code and a virtual host.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// What differs, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What it is about.
    #[serde(flatten)]
    pub thing: Thing,
    /// How it differs.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What a virtual host is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "thing", rename_all = "snake_case")]
pub enum Thing {
    /// An exchange.
    Exchange {
        /// Its name.
        name: String,
    },
    /// A queue.
    Queue {
        /// Its name.
        name: String,
    },
    /// A binding.
    Binding {
        /// From this exchange.
        source: String,
        /// To this queue or exchange.
        destination: String,
        /// Which of the two that is.
        destination_type: String,
        /// For this routing key or pattern.
        routing_key: String,
    },
}

/// How it differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Finding {
    /// The code has it, the broker hasn't.
    Missing,
    /// The broker has it, the code hasn't.
    Extra,
    /// Both have it, and not alike.
    Different {
        /// What of it: `type`, `durable`, an argument's name.
        property: String,
        /// As the code has it; null: not at all.
        expected: Value,
        /// As the broker has it; null: not at all.
        found: Value,
    },
    /// A policy of the broker's changes it, whatever it was declared with.
    Policy {
        /// The policy's name; of two, both.
        policy: String,
        /// What it sets, as far as the broker tells.
        sets: Value,
    },
}

impl Difference {
    /// Whether it is something that the code knows nothing of.
    pub fn is_of_others(&self) -> bool {
        self.finding == Finding::Extra
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange { name } => write!(formatter, "exchange {name}"),
            Self::Queue { name } => write!(formatter, "queue {name}"),
            Self::Binding { source, destination, destination_type, routing_key } => {
                write!(formatter, "binding {source} -> {destination_type} {destination} for {routing_key:?}")
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thing, finding } = self;
        match finding {
            Finding::Missing => write!(formatter, "{thing} is missing"),
            Finding::Extra => write!(formatter, "{thing} is not Warren's"),
            Finding::Different { property, expected, found } => {
                write!(formatter, "{thing} has {property} {}, not {}", shown(found), shown(expected))
            }
            Finding::Policy { policy, sets } if sets.is_null() => {
                write!(formatter, "{thing} is changed by the policy {policy}")
            }
            Finding::Policy { policy, sets } => {
                write!(formatter, "{thing} is changed by the policy {policy}: {sets}")
            }
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "unset".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
