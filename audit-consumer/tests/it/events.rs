//! Messages as the tests send them.

use std::process::Command;

use chrono::DateTime;
use lapin::BasicProperties;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::entropy::Entropy;
use test_support::{TestBroker, environment};
use uuid::Uuid;

/// An id of now.
pub(crate) fn fresh_id() -> Uuid {
    Entropy::system().uuid_v7(Clock::system().now())
}

/// The `task.created` with this id, the same each time.
pub(crate) fn event(id: Uuid) -> Value {
    let arose_at = id.get_timestamp().and_then(|arose_at| {
        let (seconds, nanoseconds) = arose_at.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    });
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "/warren/test",
        "type": "task.created",
        "time": arose_at.unwrap_or_default(),
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

/// Publishes a message with an id that is no text in any encoding that AMQP knows: Rust's client would not.
pub(crate) fn publish_undecodable(broker: &TestBroker, exchange: &str, routing_key: &str) {
    let program = r#"
import os, pika, sys
with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(message_id=b"\xff\xfe", delivery_mode=2)
    channel.basic_publish(sys.argv[1], sys.argv[2], b"{}", properties, mandatory=True)
"#;
    let mut python = Command::new(environment::python());
    let python = python.args(["-c", program, exchange, routing_key]).env("AMQP_URL", broker.amqp_url());
    assert!(python.status().unwrap().success());
}
