//! The envelope around every payload, as a JSON Schema.

use serde_json::{Value, json};

use crate::contracts::EventType;
use crate::contracts::envelope::SEQUENCE_DIGITS;

/// What all envelopes have in common.
pub(super) fn envelope() -> Value {
    json!({
        "title": "CloudEvent",
        "description": "A CloudEvents 1.0 event in structured JSON mode.",
        "type": "object",
        "required": [
            "specversion", "id", "source", "type", "time", "datacontenttype", "dataschema", "traceparent",
            "sequence", "data",
        ],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": {
                "type": "string", "format": "uuid",
                "description": "A UUIDv7; also the AMQP message_id, and the audit row's key. Go by it to drop doubles.",
            },
            "source": { "type": "string", "description": "/warren/ and the program that tells it." },
            "type": { "type": "string", "description": "The event type; also the AMQP type." },
            "subject": { "type": "string", "description": "What it is about, such as tasks/7." },
            "time": { "type": "string", "format": "date-time", "description": "When the fact arose, in UTC." },
            "datacontenttype": { "const": "application/json" },
            "dataschema": { "type": "string", "description": "Where the schema of data is served." },
            "traceparent": {
                "type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                "description": "The W3C trace context in which the fact arose; also a header.",
            },
            "sequence": {
                "type": "string", "pattern": format!("^[0-9]{{{SEQUENCE_DIGITS}}}$"),
                "description": "Its place in the outbox. The wire promises no order; this restores it.",
            },
            "data": { "type": "object" },
        },
    })
}

/// The envelope of one event: which type it names, and what its data is.
pub(super) fn envelope_of(event: &EventType, envelope: &str, data: &Value) -> Value {
    json!({
        "allOf": [{ "$ref": envelope }],
        "properties": {
            "type": { "const": event.name },
            "dataschema": { "const": event.data_schema() },
            "data": data,
        },
    })
}
