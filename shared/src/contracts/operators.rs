//! What is told about operators: who did what by a command, and why.
//!
//! Of a message that was thrown away these say which it was, to the digest of its bytes; never what was in it, because
//! what strangers send may hold anything.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalogue::{Event, EventType};
use super::origin::Origin;
use crate::ids::{EventId, UserId};

/// Who did it and why: a part of whatever an operator does.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct OperatorAct {
    /// Who, as he calls himself; else the system's user and host, such as `root@db1`.
    pub actor: String,
    /// The number of his account, if he did it over the API: then `actor` is its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<UserId>,
    /// Why, in his own words.
    pub reason: String,
    /// The command: its name as the user agent, and the id that everything done by one call of it has in common. Over the API,
    /// the request.
    #[serde(flatten)]
    pub origin: Origin,
}

/// By what the bytes of a message can be known again.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct BodyDigest {
    /// How many bytes its body had.
    pub body_bytes: u64,
    /// The SHA-256 of its body, in hex.
    pub body_sha256: String,
}

/// An event that the broker could not route, and that was parked.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ParkedEvent {
    /// Its id.
    pub event_id: EventId,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Its place in the outbox.
    pub place: i64,
    /// Where it was to be published.
    pub exchange: String,
    /// Under which key.
    pub routing_key: String,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
    /// Why: the broker's words.
    pub parked_for: String,
    /// Its body.
    #[serde(flatten)]
    pub body: BodyDigest,
    /// Who did it and why.
    #[serde(flatten)]
    pub act: OperatorAct,
}

/// A parked event is in the outbox again, as it was.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ParkedReplayed(pub ParkedEvent);

impl Event for ParkedReplayed {
    const TYPE: EventType = EventType::PARKED_REPLAYED;

    fn subject(&self) -> Option<String> {
        Some(format!("events/{}", self.0.event_id))
    }
}

/// A parked event was thrown away: nobody will be told of its fact.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ParkedDiscarded(pub ParkedEvent);

impl Event for ParkedDiscarded {
    const TYPE: EventType = EventType::PARKED_DISCARDED;

    fn subject(&self) -> Option<String> {
        Some(format!("events/{}", self.0.event_id))
    }
}

/// A message that the audit consumer could not read.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct QuarantinedMessage {
    /// Its row in the quarantine.
    pub quarantine_id: i64,
    /// The SHA-256 of its message id and body, in hex: that row's key.
    pub digest: String,
    /// The AMQP `message_id` it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The AMQP `type` it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// When it was set aside.
    pub first_seen: DateTime<Utc>,
    /// Its body.
    #[serde(flatten)]
    pub body: BodyDigest,
    /// Who did it and why.
    #[serde(flatten)]
    pub act: OperatorAct,
}

/// A message of the quarantine could be read after all, and is in the trail.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct QuarantineReplayed {
    /// The message.
    #[serde(flatten)]
    pub message: QuarantinedMessage,
    /// The event it holds: the key of its row in the trail.
    pub event_id: EventId,
    /// Whether that row is new; else the same event was recorded already.
    pub recorded: bool,
}

impl Event for QuarantineReplayed {
    const TYPE: EventType = EventType::QUARANTINE_REPLAYED;

    fn subject(&self) -> Option<String> {
        Some(format!("quarantine/{}", self.message.quarantine_id))
    }
}

/// A message of the quarantine was thrown away.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct QuarantineDiscarded(pub QuarantinedMessage);

impl Event for QuarantineDiscarded {
    const TYPE: EventType = EventType::QUARANTINE_DISCARDED;

    fn subject(&self) -> Option<String> {
        Some(format!("quarantine/{}", self.0.quarantine_id))
    }
}

/// A message that a queue gave up on.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its AMQP `message_id`; of ours, the event's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Its AMQP `type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// The queue it died in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The key it was published under.
    pub routing_key: String,
    /// Of what it died, in RabbitMQ's word, such as `delivery_limit` or `rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub died_of: Option<String>,
    /// When it died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub died_at: Option<DateTime<Utc>>,
    /// Its body.
    #[serde(flatten)]
    pub body: BodyDigest,
    /// Who did it and why.
    #[serde(flatten)]
    pub act: OperatorAct,
}

impl DeadLetter {
    fn subject(&self) -> Option<String> {
        self.message_id.as_ref().map(|id| format!("messages/{id}"))
    }
}

/// A dead letter is in the queue it died in once more.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DeadLetterReplayed(pub DeadLetter);

impl Event for DeadLetterReplayed {
    const TYPE: EventType = EventType::DEAD_LETTER_REPLAYED;

    fn subject(&self) -> Option<String> {
        self.0.subject()
    }
}

/// A dead letter was thrown away.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DeadLetterDiscarded(pub DeadLetter);

impl Event for DeadLetterDiscarded {
    const TYPE: EventType = EventType::DEAD_LETTER_DISCARDED;

    fn subject(&self) -> Option<String> {
        self.0.subject()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// The audit consumer copies `reason` into its column: it must be the operator's, on the top level, of every act.
    #[test]
    fn who_and_why_stand_beside_what_on_the_wire() {
        let user_agent = Some("producer-api parked discard".to_owned());
        let act = OperatorAct {
            actor: "root@db1".to_owned(),
            actor_id: None,
            reason: "its binding is gone for good".to_owned(),
            origin: Origin { user_agent, ..Origin::default() },
        };
        let body = BodyDigest { body_bytes: 2, body_sha256: "44136fa3".to_owned() };
        let discarded = ParkedDiscarded(ParkedEvent {
            event_id: EventId(Uuid::nil()),
            event_type: None,
            place: 7,
            exchange: "task.events".to_owned(),
            routing_key: "task.created".to_owned(),
            parked_at: DateTime::from_timestamp(1_763_700_000, 0).unwrap(),
            parked_for: "312 NO_ROUTE".to_owned(),
            body,
            act,
        });
        let flat = serde_json::json!({
            "event_id": Uuid::nil(), "place": 7, "exchange": "task.events", "routing_key": "task.created",
            "parked_at": "2025-11-21T04:40:00Z", "parked_for": "312 NO_ROUTE", "body_bytes": 2,
            "body_sha256": "44136fa3", "actor": "root@db1", "reason": "its binding is gone for good",
            "user_agent": "producer-api parked discard",
        });
        assert_eq!(serde_json::to_value(&discarded).unwrap(), flat);
        assert_eq!(discarded.subject().unwrap(), format!("events/{}", Uuid::nil()));
    }
}
