//! The AsyncAPI 3 document: every exchange and queue with its arguments and bindings, and every message on them.
//!
//! AsyncAPI's AMQP bindings have no word for a queue's arguments and for what binds it to an exchange; they stand in
//! `x-arguments` and `x-bindings`.

use serde_json::{Map, Value, json};

use super::cloud_event;
use super::payloads::{PAYLOADS, Payload};
use super::schemas;
use crate::broker::topology::{
    Argument, BINDINGS, Binding, DEAD_LETTERS, EXCHANGES, ExchangeDeclaration, QUEUES, QueueDeclaration,
    REPORTS_EXCHANGE, Routing,
};
use crate::contracts::envelope::CONTENT_TYPE;
use crate::contracts::{EventType, Exchange};

const ENVELOPE: &str = "#/components/schemas/CloudEvent";

/// The whole document.
pub fn asyncapi() -> Value {
    let (messages, schemas) = messages_and_schemas();
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Warren's events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What Warren's programs tell over RabbitMQ. Delivery is at least once and in no order: go by \
                            `id` to drop doubles, by `sequence` to restore the order. Inside a major version members are \
                            only added; a new major has a new `dataschema`. No message holds a password, a token or \
                            another secret; of a token only its id. The exclusive queues by which each producer-api hears \
                            of task.events and auth.events live as long as its connection and are not described.",
            "license": { "name": "MIT" },
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "broker": {
                "host": "{host}:{port}",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ 3.10 or newer. Where it is, is a setting of each program.",
                "variables": { "host": { "default": "localhost" }, "port": { "default": "5672" } },
            },
        },
        "channels": channels(),
        "operations": operations(),
        "components": { "messages": messages, "schemas": schemas },
    })
}

fn messages_and_schemas() -> (Map<String, Value>, Map<String, Value>) {
    let mut generator = schemas::settings()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut messages = Map::new();
    for payload in PAYLOADS {
        let data = (payload.schema)(&mut generator).to_value();
        messages.insert(payload.event.name.to_owned(), message(payload, &data));
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("CloudEvent".to_owned(), cloud_event::envelope());
    (messages, schemas)
}

fn message(payload: &Payload, data: &Value) -> Value {
    let event = &payload.event;
    json!({
        "name": event.name,
        "title": event.name,
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "required": ["traceparent"],
            "properties": { "traceparent": { "type": "string", "description": "As in the envelope." } },
        },
        "payload": cloud_event::envelope_of(event, ENVELOPE, data),
        "bindings": { "amqp": { "messageType": event.name } },
    })
}

fn channels() -> Map<String, Value> {
    let exchanges = EXCHANGES.iter().map(|exchange| (exchange_channel(exchange.name), of_exchange(exchange)));
    let queues = QUEUES.iter().map(|queue| (queue_channel(queue.name), of_queue(queue)));
    exchanges.chain(queues).collect()
}

fn exchange_channel(name: &str) -> String {
    format!("exchange:{name}")
}

fn queue_channel(name: &str) -> String {
    format!("queue:{name}")
}

fn of_exchange(declaration: &ExchangeDeclaration) -> Value {
    let routing = match declaration.routing {
        Routing::Topic => "topic",
        Routing::Fanout => "fanout",
    };
    let events = events_on(declaration.name);
    let mut channel = json!({
        "title": declaration.name,
        "messages": references(&events),
        "bindings": { "amqp": {
            "is": "routingKey",
            "exchange": {
                "name": declaration.name, "type": routing, "durable": true, "autoDelete": false, "vhost": "/",
            },
        } },
    });
    channel["address"] = address(declaration.name, &events);
    if declaration.name == Exchange::JobTicks.name() {
        channel["parameters"] = json!({
            "queue": { "description": "The queue of the job.", "default": "default" },
            "job_key": { "description": "The job." },
        });
    } else if declaration.name == REPORTS_EXCHANGE {
        channel["description"] = json!(
            "What workers of other programs ask about runs of their queue: small JSON objects with a `reply_to`, no events. \
             docs/FOREIGN-WORKERS.md describes each."
        );
        channel["parameters"] = json!({
            "queue": { "description": "The queue of the job." },
            "ask": { "description": "What is asked.", "enum": ["claim", "renew", "finish"] },
        });
    } else if !events.is_empty() {
        let keys: Vec<_> = events.iter().map(|event| event.name).collect();
        channel["parameters"] = json!({ "type": { "description": "The event type.", "enum": keys } });
    }
    channel
}

/// The routing key, as far as it is known.
fn address(exchange: &str, events: &[&EventType]) -> Value {
    if exchange == Exchange::JobTicks.name() {
        json!("{queue}.{job_key}")
    } else if exchange == REPORTS_EXCHANGE {
        json!("{queue}.{ask}")
    } else if events.is_empty() {
        Value::Null
    } else {
        json!("{type}")
    }
}

fn of_queue(declaration: &QueueDeclaration) -> Value {
    let arguments: Map<String, Value> = declaration
        .arguments
        .iter()
        .map(|(name, argument)| {
            let value = match argument {
                Argument::Text(text) => json!(text),
                Argument::Number(number) => json!(number),
            };
            ((*name).to_owned(), value)
        })
        .collect();
    let bindings: Vec<_> = bindings_of(declaration.name)
        .map(|binding| json!({ "exchange": binding.exchange, "pattern": binding.pattern }))
        .collect();
    json!({
        "title": declaration.name,
        "address": declaration.name,
        "messages": references(&events_in(declaration.name)),
        "bindings": { "amqp": {
            "is": "queue",
            "queue": {
                "name": declaration.name, "durable": true, "exclusive": false, "autoDelete": false, "vhost": "/",
            },
        } },
        "x-arguments": arguments,
        "x-bindings": bindings,
    })
}

/// What our programs do on them: publish to the exchanges of the outbox, read the queues.
fn operations() -> Map<String, Value> {
    let mut operations = Map::new();
    for exchange in Exchange::ALL {
        let name = exchange.name();
        let operation = json!({
            "action": "send",
            "title": format!("Publish to {name}"),
            "description": "Persistent, mandatory and confirmed, from the outbox: nothing is told that was not committed.",
            "channel": { "$ref": format!("#/channels/{}", exchange_channel(name)) },
            "bindings": { "amqp": { "deliveryMode": 2, "mandatory": true } },
        });
        operations.insert(format!("publish:{name}"), operation);
    }
    for queue in QUEUES {
        let operation = json!({
            "action": "receive",
            "title": format!("Read {}", queue.name),
            "channel": { "$ref": format!("#/channels/{}", queue_channel(queue.name)) },
            "bindings": { "amqp": { "ack": true } },
        });
        operations.insert(format!("read:{}", queue.name), operation);
    }
    operations
}

fn events_on(exchange: &str) -> Vec<&'static EventType> {
    EventType::ALL.iter().filter(|event| event.exchange.name() == exchange).collect()
}

/// What can come into a queue; into that of dead letters, whatever can come into any other.
fn events_in(queue: &str) -> Vec<&'static EventType> {
    if queue == DEAD_LETTERS {
        return EventType::ALL.iter().collect();
    }
    bindings_of(queue).flat_map(|binding| events_on(binding.exchange)).collect()
}

fn bindings_of(queue: &str) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| binding.queue == queue)
}

fn references(events: &[&EventType]) -> Map<String, Value> {
    let reference = |name: &str| json!({ "$ref": format!("#/components/messages/{name}") });
    events.iter().map(|event| (event.name.to_owned(), reference(event.name))).collect()
}
