//! Messages as the tests send them.

use lapin::BasicProperties;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::entropy::Entropy;
use uuid::Uuid;

/// An id of now.
pub(crate) fn fresh_id() -> Uuid {
    Entropy::system().uuid_v7(Clock::system().now())
}

/// A `task.created` with this id.
pub(crate) fn event(id: Uuid) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "/warren/test",
        "type": "task.created",
        "time": Clock::system().now(),
        "dataschema": "/schemas/task.created/v1",
        "sequence": "00000000000000000001",
        "data": { "user_id": 7, "username": "ada" },
    })
}

/// The event with this id, as it is published.
pub(crate) fn published(id: Uuid) -> (BasicProperties, Vec<u8>) {
    (properties(&id.to_string()), event(id).to_string().into_bytes())
}

/// The properties of a message with this id.
pub(crate) fn properties(message_id: &str) -> BasicProperties {
    BasicProperties::default().with_message_id(message_id.into()).with_delivery_mode(2)
}
