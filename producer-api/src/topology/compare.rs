//! Every difference between the topology in code and a virtual host, both ways.

mod policies;
mod users;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use shared::broker::definitions::arguments;
use shared::broker::rights::REPLICA_QUEUES;
use shared::broker::topology::{BINDINGS, EXCHANGES, QUEUES};

use super::difference::{Difference, Finding, Thing};
use super::found::{Found, FoundBinding, FoundExchange, FoundQueue};

/// What every virtual host has, and we don't use.
const BROKERS_OWN: &str = "amq.";

/// Compares. `also` names exchanges and queues of others that are known and no difference, with their bindings.
///
/// No difference either: what the broker has by itself (`amq.…`), and the queues of the API's replicas with their bindings,
/// which come and go with their connections.
pub(super) fn differences(found: &Found, also: &[String]) -> Vec<Difference> {
    let known: BTreeSet<&str> = also.iter().map(String::as_str).collect();
    let mut differences = exchanges(&found.exchanges, &known);
    differences.extend(queues(&found.queues, &known));
    differences.extend(bindings(found, &known));
    differences.extend(policies::differences(found));
    differences.extend(found.users.iter().flat_map(users::differences));
    differences
}

fn exchanges(found: &[FoundExchange], known: &BTreeSet<&str>) -> Vec<Difference> {
    let mut differences = Vec::new();
    for declared in EXCHANGES {
        let thing = Thing::Exchange { name: declared.name.to_owned() };
        let Some(exchange) = found.iter().find(|exchange| exchange.name == declared.name) else {
            differences.push(Difference { thing, finding: Finding::Missing });
            continue;
        };
        let properties = [
            ("type", json!(declared.routing.name()), json!(exchange.kind)),
            ("durable", json!(true), json!(exchange.durable)),
            ("auto_delete", json!(false), json!(exchange.auto_delete)),
            ("internal", json!(false), json!(exchange.internal)),
        ];
        differences.extend(different(&thing, properties));
        differences.extend(different_arguments(&thing, &Map::new(), &exchange.arguments));
    }
    let is_known = |name: &str| {
        name.is_empty()
            || name.starts_with(BROKERS_OWN)
            || known.contains(name)
            || EXCHANGES.iter().any(|declared| declared.name == name)
    };
    let extra = found.iter().filter(|exchange| !is_known(&exchange.name));
    differences.extend(extra.map(|exchange| {
        let thing = Thing::Exchange { name: exchange.name.clone() };
        Difference { thing, finding: Finding::Extra }
    }));
    differences
}

fn queues(found: &[FoundQueue], known: &BTreeSet<&str>) -> Vec<Difference> {
    let mut differences = Vec::new();
    for declared in QUEUES {
        let thing = Thing::Queue { name: declared.name.to_owned() };
        let Some(queue) = found.iter().find(|queue| queue.name == declared.name) else {
            differences.push(Difference { thing, finding: Finding::Missing });
            continue;
        };
        let properties = [
            ("durable", json!(true), json!(queue.durable)),
            ("auto_delete", json!(false), json!(queue.auto_delete)),
            ("exclusive", json!(false), json!(queue.exclusive)),
        ];
        differences.extend(different(&thing, properties));
        differences.extend(different_arguments(&thing, &arguments(declared.arguments), &queue.arguments));
    }
    let is_known = |queue: &&FoundQueue| {
        queue.name.starts_with(BROKERS_OWN)
            || known.contains(queue.name.as_str())
            || is_a_replicas(queue)
            || QUEUES.iter().any(|declared| declared.name == queue.name)
    };
    differences.extend(found.iter().filter(|queue| !is_known(queue)).map(|queue| {
        let thing = Thing::Queue { name: queue.name.clone() };
        Difference { thing, finding: Finding::Extra }
    }));
    differences
}

/// Of all bindings that touch what is ours.
fn bindings(found: &Found, known: &BTreeSet<&str>) -> Vec<Difference> {
    let declared = BINDINGS.iter().map(|binding| FoundBinding {
        source: binding.exchange.to_owned(),
        destination: binding.queue.to_owned(),
        destination_type: "queue".to_owned(),
        routing_key: binding.pattern.to_owned(),
        arguments: Map::new(),
    });
    let declared: Vec<FoundBinding> = declared.collect();
    let missing = declared.iter().filter(|binding| !found.bindings.contains(binding));
    let missing = missing.map(|binding| difference(binding, Finding::Missing));
    let replicas: BTreeSet<&str> =
        found.queues.iter().filter(|queue| is_a_replicas(queue)).map(|queue| queue.name.as_str()).collect();
    let is_extra = |binding: &&FoundBinding| {
        let is_queue = binding.destination_type == "queue";
        let of_our_exchange = EXCHANGES.iter().any(|exchange| exchange.name == binding.source);
        let to_ours = if is_queue {
            QUEUES.iter().any(|queue| queue.name == binding.destination)
        } else {
            EXCHANGES.iter().any(|exchange| exchange.name == binding.destination)
        };
        let is_a_replicas = is_queue && replicas.contains(binding.destination.as_str());
        let is_known =
            [&binding.source, &binding.destination].into_iter().any(|name| known.contains(name.as_str()));
        // Every queue is bound to the default exchange, and nobody can change that.
        let is_expected =
            binding.source.is_empty() || is_a_replicas || is_known || declared.contains(binding);
        (of_our_exchange || to_ours) && !is_expected
    };
    let extra = found.bindings.iter().filter(is_extra).map(|binding| difference(binding, Finding::Extra));
    missing.chain(extra).collect()
}

fn is_a_replicas(queue: &FoundQueue) -> bool {
    let reader = queue.name.split('.').next().unwrap_or_default();
    queue.exclusive && queue.name.contains('.') && REPLICA_QUEUES.contains(&reader)
}

fn different<const N: usize>(
    thing: &Thing,
    properties: [(&str, Value, Value); N],
) -> impl Iterator<Item = Difference> {
    properties.into_iter().filter(|(_, expected, found)| expected != found).map(
        |(property, expected, found)| {
            let property = property.to_owned();
            Difference { thing: thing.clone(), finding: Finding::Different { property, expected, found } }
        },
    )
}

fn different_arguments(
    thing: &Thing,
    expected: &Map<String, Value>,
    found: &Map<String, Value>,
) -> Vec<Difference> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let value = |arguments: &Map<String, Value>, name: &str| arguments.get(name).cloned().unwrap_or_default();
    let pairs = names.into_iter().map(|name| (name, value(expected, name), value(found, name)));
    let unequal = pairs.filter(|(_, expected, found)| expected != found);
    let finding =
        |name: &String, expected, found| Finding::Different { property: name.clone(), expected, found };
    unequal
        .map(|(name, expected, found)| Difference {
            thing: thing.clone(),
            finding: finding(name, expected, found),
        })
        .collect()
}

fn difference(binding: &FoundBinding, finding: Finding) -> Difference {
    let FoundBinding { source, destination, destination_type, routing_key, arguments } = binding.clone();
    Difference {
        thing: Thing::Binding { source, destination, destination_type, routing_key, arguments },
        finding,
    }
}

#[cfg(test)]
mod tests;
