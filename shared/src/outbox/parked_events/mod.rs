//! Events that the broker could not route, as operators look at them, send them again, and throw them away.
//!
//! Replayed, a row is in the outbox again with its old place, id and body, and due at once: whether it is sent now any relay
//! finds out, and parks it again if not. (What relays do about them by themselves is in `parked.rs`.)

mod act;
mod read;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

pub use act::{ActError, discard, replay};
pub use read::{count, find, list};

/// A parked event, without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// Its id.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: Option<String>,
    /// Its place in the outbox.
    pub place: i64,
    /// Where it was to be published.
    pub exchange: String,
    /// Under which key.
    pub routing_key: String,
    /// When its fact was committed.
    pub created_at: DateTime<Utc>,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
    /// How often it was tried.
    pub attempts: i32,
    /// How often it was parked.
    pub parkings: i32,
    /// When a relay tries it once more by itself; none if never.
    pub retry_at: Option<DateTime<Utc>>,
    /// The broker's words.
    pub reason: String,
    /// How many bytes its body has.
    pub body_bytes: i32,
}
