//! The topology in RabbitMQ's own format of definitions, which `rabbitmqctl import_definitions` and the management API read.

use serde_json::{Map, Value, json};

use super::topology::{Argument, BINDINGS, EXCHANGES, QUEUES};

/// The definitions for one virtual host. The management API, asked to put them into another one, does that.
pub fn definitions(virtual_host: &str) -> Value {
    let exchanges: Vec<Value> = EXCHANGES
        .iter()
        .map(|exchange| {
            json!({
                "name": exchange.name,
                "vhost": virtual_host,
                "type": exchange.routing.name(),
                "durable": true,
                "auto_delete": false,
                "internal": false,
                "arguments": {},
            })
        })
        .collect();
    let queues: Vec<Value> = QUEUES
        .iter()
        .map(|queue| {
            json!({
                "name": queue.name,
                "vhost": virtual_host,
                "durable": true,
                "auto_delete": false,
                "arguments": arguments(queue.arguments),
            })
        })
        .collect();
    let bindings: Vec<Value> = BINDINGS
        .iter()
        .map(|binding| {
            json!({
                "source": binding.exchange,
                "vhost": virtual_host,
                "destination": binding.queue,
                "destination_type": "queue",
                "routing_key": binding.pattern,
                "arguments": {},
            })
        })
        .collect();
    json!({ "exchanges": exchanges, "queues": queues, "bindings": bindings })
}

/// A queue's arguments as the management API tells them.
pub fn arguments(arguments: &[(&str, Argument)]) -> Map<String, Value> {
    let value = |argument: &Argument| match *argument {
        Argument::Text(text) => json!(text),
        Argument::Number(number) => json!(number),
    };
    arguments.iter().map(|(name, argument)| ((*name).to_owned(), value(argument))).collect()
}
