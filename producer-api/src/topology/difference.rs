//! One difference between the topology in code and a virtual host.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

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
    /// The virtual host itself.
    VirtualHost {
        /// Its name.
        name: String,
    },
    /// An exchange.
    Exchange {
        /// Its name.
        name: String,
    },
    /// A queue; with `*` at its end, all of an API's replicas that begin so.
    Queue {
        /// Its name.
        name: String,
    },
    /// A user of Warren's, and what he may in the virtual host.
    User {
        /// His name.
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
        /// With these arguments; Warren's have none.
        #[serde(skip_serializing_if = "Map::is_empty")]
        arguments: Map<String, Value>,
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
        /// What of it: `type`, `durable`, an argument's name; of a user, `tags` or a right.
        property: String,
        /// As the code has it; null: not at all.
        expected: Value,
        /// As the broker has it; null: not at all.
        found: Value,
    },
    /// A policy of the broker's changes it, whatever it was declared with.
    Policy {
        /// The policy's name.
        policy: String,
        /// Whether it is an operator policy.
        operator: bool,
        /// What it sets.
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
            Self::VirtualHost { name } => write!(formatter, "virtual host {name}"),
            Self::Exchange { name } => write!(formatter, "exchange {name}"),
            Self::Queue { name } => write!(formatter, "queue {name}"),
            Self::User { name } => write!(formatter, "user {name}"),
            Self::Binding { source, destination, destination_type, routing_key, arguments } => {
                write!(
                    formatter,
                    "binding {source} -> {destination_type} {destination} for {routing_key:?}"
                )?;
                if arguments.is_empty() {
                    return Ok(());
                }
                write!(formatter, " with {}", Value::from(arguments.clone()))
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thing, finding } = self;
        match finding {
            Finding::Missing if matches!(thing, Thing::VirtualHost { .. }) => {
                write!(formatter, "{thing} is missing; run `topology apply`")
            }
            Finding::Missing => write!(formatter, "{thing} is missing"),
            Finding::Extra => write!(formatter, "{thing} is not Warren's"),
            Finding::Different { property, expected, found } => {
                write!(formatter, "{thing} has {property} {}, not {}", shown(found), shown(expected))
            }
            Finding::Policy { policy, operator, sets } => {
                let kind = if *operator { "operator policy" } else { "policy" };
                write!(formatter, "{thing} is changed by the {kind} {policy}: {sets}")
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
