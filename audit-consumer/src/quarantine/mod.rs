//! What could not be read, as operators look at it, have it judged anew, and throw it away. No broker is asked.

mod act;
mod read;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

pub use act::{ActError, discard, replay};
pub use read::{count, find, list};

/// A message of the quarantine, without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Its row.
    pub id: i64,
    /// The AMQP `message_id` it came with.
    pub message_id: Option<String>,
    /// The AMQP `type` it came with.
    pub event_type: Option<String>,
    /// Where it was published.
    pub exchange: Option<String>,
    /// Under which key.
    pub routing_key: Option<String>,
    /// Why it is here: what was said when it came.
    pub reason: String,
    /// When it came first.
    pub first_seen: DateTime<Utc>,
    /// How many bytes its body has.
    pub body_bytes: i32,
}

/// A message of the quarantine in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InFull {
    /// What is listed of it.
    #[serde(flatten)]
    pub row: Quarantined,
    /// The SHA-256 of its message id and body, in hex.
    pub digest: String,
    /// All the properties it came with.
    pub properties: Value,
    /// Its body.
    #[serde(skip)]
    pub raw: Vec<u8>,
}
